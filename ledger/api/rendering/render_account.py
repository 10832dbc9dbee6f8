"""Accounts, policies and aliases as messages; policies of requests as the core takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from ledger.api.assets import Assets
from ledger.api.errors import CallFailed
from ledger.api.ids import GRANT, mint
from ledger.api.limits import HOLDS_OPEN_MAX, Checked
from ledger.core.events import AccountPolicy, Comparator, Excess, Overage, OverdraftKind, WriteOff
from ledger.core.limits import (
    HOLDS_OPEN_MAX_DEFAULT,
    ID_BYTES_MAX,
    OVERDRAFT_BASIS_POINTS_MAX,
    PERIOD_GRACE_MAX_US,
    PERIOD_GRACE_US,
    ZONE_BYTES_MAX,
)
from ledger.core.state import Account, State
from ledger.journal.directory import AccountProfile, AliasRange, Entry
from ledger.v1 import account_pb2 as pb

_OVERAGE: Final = {pb.OVERAGE_UNSPECIFIED: Overage.OFF, **{int(each): each for each in Overage}}
_EXCESS: Final = {pb.EXCESS_UNSPECIFIED: Excess.OWE, **{int(each): each for each in Excess}}
_COMPARATOR: Final = {int(each): each for each in Comparator}
_OVERDRAFT: Final = {
    pb.OVERDRAFT_KIND_UNSPECIFIED: OverdraftKind.FIXED,
    **{int(each): each for each in OverdraftKind},
}


class FreezeView(NamedTuple):
    """A freeze: of which account, since when, and the locator of its entry."""

    account: int
    frozen_at_us: int
    cause: int
    recorded_by: int


class AccountView(NamedTuple):
    """What an account's message needs of the state, taken at one position."""

    policy: AccountPolicy
    version: int
    created_at_us: int
    closed_at_us: int = 0
    reopened_at_us: int = 0
    frozen: FreezeView | None = None  # itself
    above: FreezeView | None = None  # the nearest above it
    profile_version: int = 1
    profile_at: int = 0  # locator of the entry that the profile stands beside
    parent: int = 0
    place_version: int = 1

    @property
    def freeze(self) -> FreezeView | None:
        """What stops it from taking new usage."""
        return self.frozen or self.above


def account_view(state: State, number: int) -> AccountView | None:
    """The view of one account; None where its AccountCreated is not recorded."""
    account = state.accounts.get(number)
    if account is None:
        return None
    return AccountView(
        account.policy,
        account.version,
        account.created_at,
        account.closed_at,
        account.reopened_at,
        _freeze_view(account) if account.frozen_at else None,
        _freeze_view(account.parent.freezer()) if account.parent is not None else None,
        account.profile_version,
        account.profile_at,
        account.parent.number if account.parent is not None else 0,
        account.place_version,
    )


def _freeze_view(account: Account | None) -> FreezeView | None:
    if account is None:
        return None
    return FreezeView(account.number, account.frozen_at, account.freeze_cause, account.frozen_by)


def policy_of(assets: Assets, tenant: int, shard: int, policy: pb.AccountPolicy) -> AccountPolicy:
    """The policy of a request. Raises CallFailed with every fault."""
    check = Checked()
    check.text("policy.rate_card", policy.rate_card, ID_BYTES_MAX)
    check.text("policy.overdraft_asset", policy.overdraft_asset, ID_BYTES_MAX)
    check.instant("policy.billing_anchor_us", policy.billing_anchor_us)
    check.text("policy.settlement_asset", policy.settlement_asset, ID_BYTES_MAX)
    check.between("policy.overdraft_limit", policy.overdraft_limit, 0)
    if policy.HasField("overage_cap"):
        check.between("policy.overage_cap", policy.overage_cap, 0)
    check.between("policy.max_open_holds", policy.max_open_holds, 0, HOLDS_OPEN_MAX)
    check.one_of("policy.overage", policy.overage, _OVERAGE)
    check.one_of("policy.excess", policy.excess, _EXCESS)
    check.one_of("policy.comparator", policy.comparator, _COMPARATOR)
    check.one_of("policy.overdraft_kind", policy.overdraft_kind, _OVERDRAFT)
    check.text("policy.zone", policy.zone, ZONE_BYTES_MAX)
    check.between(
        "policy.overdraft_basis_points",
        policy.overdraft_basis_points,
        0,
        OVERDRAFT_BASIS_POINTS_MAX,
    )
    check.between("policy.period_grace_us", policy.period_grace_us, 0, PERIOD_GRACE_MAX_US)
    check.between("policy.overdraft_grace_us", policy.overdraft_grace_us, 0)
    if policy.overdraft_limit:
        check.given("policy.overdraft_asset", bool(policy.overdraft_asset))
    check.done()
    asset = _asset(assets, tenant, shard, "overdraft_asset", policy.overdraft_asset)
    return AccountPolicy(
        policy.rate_card,
        asset,
        policy.overdraft_limit,
        _OVERAGE[policy.overage],
        policy.overage_cap if policy.HasField("overage_cap") else -1,
        _EXCESS[policy.excess],
        policy.max_open_holds or HOLDS_OPEN_MAX_DEFAULT,
        _COMPARATOR[policy.comparator],
        policy.holds_overdraft if policy.HasField("holds_overdraft") else True,
        policy.holds_overage if policy.HasField("holds_overage") else True,
        policy.zone,
        policy.period_grace_us if policy.HasField("period_grace_us") else PERIOD_GRACE_US,
        _OVERDRAFT[policy.overdraft_kind],
        policy.overdraft_basis_points,
        policy.overdraft_grace_us if policy.HasField("overdraft_grace_us") else -1,
        policy.promotional_backfills,
        policy.freeze_on_chargeback,
        billing_anchor=policy.billing_anchor_us,
        settlement_asset=_asset(assets, tenant, shard, "settlement_asset", policy.settlement_asset),
        labels=tuple(policy.labels),
    )


def _asset(assets: Assets, tenant: int, shard: int, field: str, code: str) -> int:
    """The number of an asset that a policy names; 0 where it names none."""
    number = assets.number(tenant, code, shard)
    if number < 0:
        raise CallFailed(
            "ASSET_UNKNOWN",
            "the tenant has no such asset; create it first",
            field=f"policy.{field}",
            value=code,
        )
    return number


def render_policy(assets: Assets, policy: AccountPolicy, version: int) -> pb.AccountPolicy:
    """A recorded policy."""
    rendered = pb.AccountPolicy(
        rate_card=policy.rate_card,
        overdraft_asset=assets.of(policy.overdraft_asset).code,
        overdraft_limit=policy.overdraft_limit,
        overage=pb.Overage.ValueType(policy.overage),
        excess=pb.Excess.ValueType(policy.excess),
        max_open_holds=policy.holds_open_max,
        version=version,
        comparator=pb.Comparator.ValueType(policy.comparator),
        holds_overdraft=policy.holds_overdraft,
        holds_overage=policy.holds_overage,
        zone=policy.zone,
        period_grace_us=policy.period_grace,
        overdraft_kind=pb.OverdraftKind.ValueType(policy.overdraft_kind),
        overdraft_basis_points=policy.overdraft_basis_points,
        promotional_backfills=policy.promotional_backfills,
        freeze_on_chargeback=policy.freeze_on_chargeback,
        billing_anchor_us=policy.billing_anchor,
        settlement_asset=assets.of(policy.settlement_asset).code,
        labels=policy.labels,
    )
    if policy.overdraft_grace >= 0:
        rendered.overdraft_grace_us = policy.overdraft_grace
    if policy.overage_cap >= 0:
        rendered.overage_cap = policy.overage_cap
    return rendered


def render_account(
    assets: Assets,
    profile: AccountProfile,
    names: Mapping[int, str],
    view: AccountView,
    note: tuple[str, str] = ("", ""),
) -> pb.Account:
    """One account: names from the directory, the rest from the state. `note`: reason and actor of
    its freeze."""
    state, freeze = pb.ACCOUNT_STATE_OPEN, None
    if view.freeze is not None:
        state = pb.ACCOUNT_STATE_FROZEN
        freeze = pb.Freeze(
            account=names[view.freeze.account],
            frozen_at_us=view.freeze.frozen_at_us,
            cause=pb.FreezeCause.ValueType(view.freeze.cause),
            reason=note[0],
            actor=note[1],
        )
    if view.closed_at_us:
        state = pb.ACCOUNT_STATE_CLOSED
    return pb.Account(
        account=profile.entry.account_id,
        parent=profile.parent_id or "",
        root=names[profile.entry.root],
        policy=render_policy(assets, view.policy, view.version),
        display_name=profile.display_name,
        metadata=profile.metadata,
        state=state,
        created_at_us=view.created_at_us,
        closed_at_us=view.closed_at_us,
        shard=profile.entry.shard,
        freeze=freeze,
        reopened_at_us=view.reopened_at_us,
        metadata_version=view.profile_version,
        erased_at_us=profile.erased_at_us,
        place_version=view.place_version,
    )


def render_write_off(assets: Assets, written: WriteOff, entry: Entry) -> pb.WriteOff:
    """One transfer of a closing."""
    asset = assets.of(written.asset)
    grant_id = mint(GRANT, entry.shard, entry.number, written.grant) if written.grant else ""
    return pb.WriteOff(
        kind=pb.WriteOffKind.ValueType(written.kind),
        grant_id=grant_id,
        asset=asset.code,
        scale=asset.scale,
        amount=written.amount,
    )


def render_alias(found: AliasRange) -> pb.Alias:
    """One alias and when it is in force."""
    return pb.Alias(
        alias=found.alias,
        account=found.account_id,
        effective_from_us=found.effective_from_us,
        effective_to_us=found.effective_to_us or 0,
        seat_attribute=found.seat_attribute,
        seat=found.seat,
    )
