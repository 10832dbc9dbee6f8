"""Events that were retired, and what each means today: old journals stay readable for ever.

To change a released event: give the new class a new tag in `events`, move the old class here as it
is (same tag, fields, order, types and defaults; its name may change), and add its upcaster to
`UPCASTS`. An upcaster is a function of the old event alone: no state, no clock, no configuration,
one event in, one event out, since usage names its plan by place and positions count entries. It may
give a class that is retired as well: steps are followed until the event is current.

Only `journal.codec` calls these, as it reads; nothing else ever meets a retired class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import msgspec

from ledger.core.events import (
    AccountCreated,
    AccountPolicy,
    AccountPolicyUpdated,
    Backfill,
    BudgetMove,
    BudgetsTallied,
    Committed,
    ContractAmended,
    ContractSigned,
    Excess,
    GrantExpired,
    GrantIssued,
    GrantKind,
    GrantVoided,
    HoldAuthorized,
    HoldExpiry,
    Overage,
    Slice,
    UsageCaptured,
    UsageLeased,
)
from ledger.core.limits import HOLD_LIFETIME_MAX_US
from ledger.core.periods import month_of
from rating.overrides import NumberedOverride

Upcasts: TypeAlias = Mapping[type, Callable[[Any], Any]]
"""Retired class -> the event that says the same today, made from the old event alone."""


class Policy(msgspec.Struct, frozen=True, array_like=True):
    """An account's policy before it could name a comparator."""

    rate_card: str = ""
    overdraft_asset: int = 0
    overdraft_limit: int = 0
    overage: Overage = Overage.OFF
    overage_cap: int = -1
    excess: Excess = Excess.OWE
    holds_open_max: int = 10_000


class AccountCreated1(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=10):
    """An account of a family, whose policy names no comparator."""

    key: bytes
    tenant: int
    account: int
    parent: int
    root: int
    policy: Policy
    profile: bytes = b""
    trace: bytes = b""


class AccountPolicyUpdated1(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=11):
    """A new policy, which names no comparator."""

    key: bytes
    account: int
    policy: Policy
    version: int
    expected_version: int = 0
    trace: bytes = b""


class HoldAuthorized1(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=40):
    """A hold of before products had a policy of expiry: released, after a day at most."""

    key: bytes
    account: int
    hold: int
    plan: int
    quantities: tuple[int, ...]
    charges: tuple[int, ...]
    used_book: int
    slices: tuple[Slice, ...]
    effective_at: int
    expires_at: int
    lifetime: int
    policy_version: int
    trace: bytes = b""


class GrantIssued1(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=20):
    """A grant without a money side, that repaid an advance whatever it was of."""

    key: bytes
    account: int
    grant: int
    ordinal: int
    kind: GrantKind
    asset: int
    amount: int
    price_paid: int
    price_asset: int
    priority: int
    effective_at: int
    expires_at: int
    products: tuple[str, ...]
    external_key: bytes
    book: int
    funding_book: int
    effective_given: int = 0
    backfill: int = 0
    backfill_book: int = 0
    backfill_value: int = 0
    trace: bytes = b""


class GrantVoided1(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=21):
    """A void that moved units only."""

    key: bytes
    account: int
    grant: int
    amount: int
    trace: bytes = b""


class GrantExpired1(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=22):
    """A breakage of units only."""

    account: int
    grant: int
    amount: int
    forfeited_book: int


class ContractSigned1(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=134):
    """A contract of which nothing rolls over."""

    key: bytes
    account: int
    contract: str
    package: str
    version: int
    starts_at: int
    ends_at: int
    overrides: tuple[NumberedOverride, ...]
    auto_renew: int
    minimum: int
    committed: tuple[Committed, ...]
    commitments: tuple[int, ...]
    version_given: int
    starts_given: int
    trace: bytes = b""


class ContractAmended1(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=136):
    """An amendment that says neither a minimum nor what rolls over."""

    key: bytes
    account: int
    contract: str
    effective_at: int
    revision: int
    expected_version: int = 0
    overrides: tuple[NumberedOverride, ...] | None = None
    version: int = 0
    ends_at: int = 0
    auto_renew: int = 0
    committed: tuple[Committed, ...] = ()
    commitments: tuple[int, ...] = ()
    rerate_from: int = 0
    effective_given: int = 0
    trace: bytes = b""


class BudgetsTallied1(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=116):
    """A tally of budgets, a move at a time."""

    account: int
    first: int
    moves: tuple[BudgetMove, ...]


class UsageLeased1(UsageCaptured, frozen=True, tag=173):
    """A report of a lease that does not say whether it named an operation of its own."""

    over: int = 0
    counted_at: int = 0


def _policy(old: Policy) -> AccountPolicy:
    return AccountPolicy(*msgspec.structs.astuple(old))


def _account_created(old: AccountCreated1) -> AccountCreated:
    return AccountCreated(
        old.key,
        old.tenant,
        old.account,
        old.parent,
        old.root,
        _policy(old.policy),
        old.profile,
        old.trace,
    )


def _policy_updated(old: AccountPolicyUpdated1) -> AccountPolicyUpdated:
    return AccountPolicyUpdated(
        old.key,
        old.account,
        _policy(old.policy),
        old.version,
        old.expected_version,
        old.trace,
    )


def _hold_authorized(old: HoldAuthorized1) -> HoldAuthorized:
    return HoldAuthorized(
        old.key,
        old.account,
        old.hold,
        old.plan,
        old.quantities,
        old.charges,
        old.used_book,
        old.slices,
        old.effective_at,
        old.expires_at,
        old.lifetime,
        HOLD_LIFETIME_MAX_US,
        HoldExpiry.RELEASE,
        month_of(old.effective_at)[0],
        old.policy_version,
        old.trace,
    )


def _grant_issued(old: GrantIssued1) -> GrantIssued:
    backfills = (
        (Backfill(old.backfill_book, "", old.backfill, old.backfill_value),) if old.backfill else ()
    )
    return GrantIssued(
        old.key,
        old.account,
        old.grant,
        old.ordinal,
        old.kind,
        old.asset,
        old.amount,
        old.price_paid,
        old.price_asset,
        old.priority,
        old.effective_at,
        old.expires_at,
        old.products,
        old.external_key,
        old.book,
        old.funding_book,
        old.effective_given,
        backfills,
        trace=old.trace,
    )


def _grant_voided(old: GrantVoided1) -> GrantVoided:
    return GrantVoided(old.key, old.account, old.grant, old.amount, trace=old.trace)


def _grant_expired(old: GrantExpired1) -> GrantExpired:
    return GrantExpired(old.account, old.grant, old.amount, old.forfeited_book)


def _contract_signed(old: ContractSigned1) -> ContractSigned:
    return ContractSigned(
        old.key,
        old.account,
        old.contract,
        old.package,
        old.version,
        old.starts_at,
        old.ends_at,
        old.overrides,
        old.auto_renew,
        old.minimum,
        old.committed,
        old.commitments,
        old.version_given,
        old.starts_given,
        trace=old.trace,
    )


def _contract_amended(old: ContractAmended1) -> ContractAmended:
    return ContractAmended(
        old.key,
        old.account,
        old.contract,
        old.effective_at,
        old.revision,
        old.expected_version,
        old.overrides,
        old.version,
        old.ends_at,
        old.auto_renew,
        old.committed,
        old.commitments,
        old.rerate_from,
        old.effective_given,
        trace=old.trace,
    )


def _budgets_tallied(old: BudgetsTallied1) -> BudgetsTallied:
    spans = [(move.since, move.end) for move in old.moves]
    windows = tuple(dict.fromkeys(spans))
    places = {span: place for place, span in enumerate(windows)}
    return BudgetsTallied(
        old.account,
        old.first,
        windows,
        tuple([move.budget for move in old.moves]),
        tuple([places[span] for span in spans]),
        tuple([move.posted for move in old.moves]),
    )


def _usage_leased(old: UsageLeased1) -> UsageLeased:
    return UsageLeased(*(*msgspec.structs.astuple(old), -1))


UPCASTS: Final[Upcasts] = MappingProxyType(
    {
        AccountCreated1: _account_created,
        AccountPolicyUpdated1: _policy_updated,
        HoldAuthorized1: _hold_authorized,
        GrantIssued1: _grant_issued,
        GrantVoided1: _grant_voided,
        GrantExpired1: _grant_expired,
        ContractSigned1: _contract_signed,
        ContractAmended1: _contract_amended,
        BudgetsTallied1: _budgets_tallied,
        UsageLeased1: _usage_leased,
    }
)
"""Every retired class of a journal."""
