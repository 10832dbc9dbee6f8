"""Accounts: their policy, and what is kept beside their grants."""

from __future__ import annotations

import msgspec

from ledger.core.account import opened_anchors
from ledger.core.budgets.operation_terms import OperationPolicy, PackageOperationPolicy
from ledger.core.contracts.contracts import Contract
from ledger.core.decisions.decision_policies import NO_RULES, OwnRules
from ledger.core.events import AccountPolicy, TopUpRule
from ledger.core.evolve.accounts import (
    inherit_frozen,
    inherited_calendar,
    inherited_card,
    inherited_comparator,
    inherited_overrides,
)
from ledger.core.evolve.decision_policies import inherit_rules
from ledger.core.evolve.operations import give_operations
from ledger.core.funding.runway import Runway
from ledger.core.mandates.mandates import Mandate
from ledger.core.packing.gauges import PackedGauges, pack_gauges, unpack_gauges
from ledger.core.packing.packages import (
    PackedSubscription,
    pack_subscription,
    unpack_subscription,
)
from ledger.core.packing.seats import PackedSeatPlan, pack_seat_plans, unpack_seat_plans
from ledger.core.packing.statements import (
    PackedStatements,
    pack_statements,
    unpack_statements,
)
from ledger.core.packing.wide import Wide, wide
from ledger.core.pricing.shared_totals import KIND_MASK, Due, Dues, is_kept
from ledger.core.pricing.sold import Sold
from ledger.core.state import Account, Debt, State
from rating.overrides import Layer, SetOverride


class PackedAccount(msgspec.Struct, array_like=True, gc=False):
    """Totals, sorted: (price row, period, quantity), (asset, period, posted), (asset, pending).

    `gaps`: [closed, reopened). `written_off`, `frozen_by`, `profile_at`: locators of
    entries.
    """

    tenant: int
    number: int
    parent: int
    policy: AccountPolicy
    version: int
    created_at: int
    closed_at: int
    suspended: int
    totals: list[tuple[int, int, Wide]]
    overage_posted: list[tuple[int, int, Wide]]
    overage_pending: list[tuple[int, Wide]]
    reopened_at: int
    written_off: int
    gaps: list[tuple[int, int]]
    frozen_at: int
    frozen_by: int
    freeze_cause: int
    profile_version: int
    profile_at: int
    debt: list[tuple[int, int, list[tuple[int, str, Wide]], int]]  # asset, run, parts, since
    lifetime: list[tuple[int, Wide]]  # by money asset
    top_up_rules: list[tuple[int, int, TopUpRule | None]]  # asset, version, rule
    closed_until: int
    zones: list[tuple[int, str]]  # [] = as if it were opened today
    anchors: list[tuple[int, int]]  # [] = as if it were opened today
    scoped: list[tuple[int, int, int, Wide]]  # key, scope, start, quantity
    # key, scope, start; then used book, book, month of overage, units: first drawn first.
    row_draws: list[tuple[int, int, int, list[tuple[int, int, int, Wide]]]]
    overrides: tuple[SetOverride, ...] = ()
    overrides_version: int = 0
    minimums_until: int = 0
    cards_before: list[tuple[int, str]] = []
    subscription: PackedSubscription | None = None
    place_version: int = 1
    parents_before: tuple[tuple[int, int, int], ...] = ()  # when, locator, parent until then
    sold: Sold | None = None
    seats: list[PackedSeatPlan] = []
    statements: PackedStatements | None = None
    gauges: PackedGauges | None = None
    contracts: tuple[Contract, ...] = ()
    rerates_due: int = 0  # since when
    dues: list[Due] = []
    packaged: tuple[tuple[int, int], ...] = ()
    rules: OwnRules | None = None  # of its decisions
    mandate: Mandate | None = None
    runways: tuple[Runway, ...] = ()
    operations: OperationPolicy | None = None  # what each may use
    packaged_operations: PackageOperationPolicy | None = None


def pack_account(
    state: State, account: Account, months_before: int, days_before: int
) -> PackedAccount:
    """What was counted in months and days that began by then is left out: it is forgotten."""
    return PackedAccount(
        account.tenant,
        account.number,
        account.parent.number if account.parent is not None else 0,
        account.policy,
        account.version,
        account.created_at,
        account.closed_at,
        account.suspended,
        [
            (row, period, wide(account.totals[row, period]))
            for row, period in sorted(account.totals)
            if period > months_before
        ],
        [
            (asset, period, wide(account.overage_posted[asset, period]))
            for asset, period in sorted(account.overage_posted)
            if period > months_before
        ],
        [
            (asset, wide(account.overage_pending[asset]))
            for asset in sorted(account.overage_pending)
        ],
        account.reopened_at,
        account.written_off,
        list(account.gaps),
        account.frozen_at,
        account.frozen_by,
        account.freeze_cause,
        account.profile_version,
        account.profile_at,
        [
            (
                asset,
                debt.run,
                [(*part, wide(owed)) for part, owed in debt.owed.items()],
                debt.since,
            )
            for asset, debt in sorted(account.debt.items())
        ],
        [(asset, wide(account.lifetime[asset])) for asset in sorted(account.lifetime)],
        [(asset, *account.top_up_rules[asset]) for asset in sorted(account.top_up_rules)],
        account.closed_until,
        _pack_zones(state, account),
        [] if account.anchors == opened_anchors(account.policy) else list(account.anchors),
        [
            (*place, wide(account.scoped[place]))
            for place in sorted(account.scoped)
            if is_kept(place, days_before, months_before)
        ],
        [
            (
                *place,
                [(*part, wide(units)) for part, units in account.row_draws[place].items()],
            )
            for place in sorted(account.row_draws)
            if is_kept(place, days_before, months_before)
        ],
        account.overrides,
        account.overrides_version,
        account.minimums_until,
        list(account.cards_before),
        pack_subscription(account.subscription),
        account.place_version,
        account.parents_before,
        account.sold,
        pack_seat_plans(account.seats),
        pack_statements(account.statements),
        pack_gauges(account.gauges),
        account.contracts,
        account.dues.due if account.dues is not None else 0,
        account.dues.waiting if account.dues is not None else [],
        account.packaged,
        account.own_rules if account.own_rules != NO_RULES else None,
        account.mandate,
        account.runways,
        account.operation_policy,
        account.packaged_operations,
    )


def _pack_zones(state: State, account: Account) -> list[tuple[int, str]]:
    zones = account.calendar.zones
    opened = inherited_calendar(state, account.parent, account.policy)
    return [] if zones == opened.zones else list(zones)


def forget_counted(packed: PackedAccount, months: int, days: int) -> bool:
    """Drop what was counted in months, and in days, that began then or earlier; whether there was
    any."""
    totals = [each for each in packed.totals if each[1] > months]
    posted = [each for each in packed.overage_posted if each[1] > months]
    scoped = [each for each in packed.scoped if is_kept(each[:3], days, months)]
    drawn = [each for each in packed.row_draws if is_kept(each[:3], days, months)]
    before = (packed.totals, packed.overage_posted, packed.scoped, packed.row_draws)
    packed.totals, packed.overage_posted, packed.scoped, packed.row_draws = (
        totals, posted, scoped, drawn,
    )  # fmt: skip
    return (totals, posted, scoped, drawn) != before


def _by_month(counters: list[tuple[int, int, Wide]]) -> dict[tuple[int, int], int]:
    """(number, month) -> how much; the oldest months first, for they are forgotten first."""
    ordered = sorted(counters, key=_month) if len(counters) > 1 else counters
    return {(number, month): int(amount) for number, month, amount in ordered}


def _month(counter: tuple[int, int, Wide]) -> int:
    return counter[1]


def unpack_account(state: State, root: int, packed: PackedAccount) -> None:
    parent = state.accounts[packed.parent] if packed.parent else None
    own: Layer = packed.overrides
    overrides = inherited_overrides(parent, own, packed.sold)
    account = Account(
        packed.tenant,
        packed.number,
        root,
        parent,
        packed.policy,
        inherited_card(state, packed.tenant, parent, packed.policy, overrides),
        inherited_comparator(parent, packed.policy),
        inherited_calendar(state, parent, packed.policy),
        packed.created_at,
    )
    account.overrides, account.sold, account.override_set = own, packed.sold, overrides
    account.overrides_version = packed.overrides_version
    account.contracts, account.packaged = packed.contracts, packed.packaged
    if packed.rules is not None:
        account.own_rules = packed.rules
        inherit_rules(account)
    account.mandate = packed.mandate
    account.runways = packed.runways
    account.minimums_until = packed.minimums_until
    account.cards_before = tuple(packed.cards_before)
    account.subscription = unpack_subscription(account, packed.subscription)
    account.seats = unpack_seat_plans(account, packed.seats)
    account.place_version = packed.place_version
    account.parents_before = packed.parents_before
    account.statements = unpack_statements(account, packed.statements)
    if packed.zones:
        account.calendar = state.calendar(tuple(packed.zones))
    if packed.anchors:
        account.anchors = tuple(packed.anchors)
    account.scoped = {
        (key, scope, start): int(quantity) for key, scope, start, quantity in packed.scoped
    }
    account.row_draws = {
        (key, scope, start): {
            (used, book, period): int(units) for used, book, period, units in drawn
        }
        for key, scope, start, drawn in packed.row_draws
    }
    account.closed_until = packed.closed_until
    account.version = packed.version
    account.closed_at = packed.closed_at
    account.gauges = unpack_gauges(account, packed.gauges)
    if account.gauges is not None:
        state.families[root].gauged += 1
    account.suspended = packed.suspended
    for *place, quantity in packed.scoped:
        key, scope, start = place
        if scope > KIND_MASK:
            state.families[root].share((key, scope, start), account.number, int(quantity))
    if packed.dues:
        account.dues = Dues(account)
        account.dues.due, account.dues.waiting = packed.rerates_due, packed.dues
    account.totals = _by_month(packed.totals)
    account.overage_posted = _by_month(packed.overage_posted)
    account.overage_pending = {asset: int(pending) for asset, pending in packed.overage_pending}
    account.reopened_at = packed.reopened_at
    account.written_off = packed.written_off
    account.gaps = tuple(packed.gaps)
    account.frozen_at = packed.frozen_at
    account.frozen_by = packed.frozen_by
    account.freeze_cause = packed.freeze_cause
    account.top_up_rules = {asset: (version, rule) for asset, version, rule in packed.top_up_rules}
    account.find_watched()
    if packed.operations is not None or packed.packaged_operations is not None:
        give_operations(state, account, packed.operations, packed.packaged_operations)
    account.profile_version = packed.profile_version
    account.profile_at = packed.profile_at
    inherit_frozen(account)
    for asset, run, owed, since in packed.debt:
        debt = account.debt[asset] = Debt()
        debt.run, debt.since = run, since
        debt.owed = {(each, product): int(units) for each, product, units in owed}
    account.lifetime = {asset: int(value) for asset, value in packed.lifetime}
    if parent is not None:
        parent.children.append(account)
    state.accounts[packed.number] = account
