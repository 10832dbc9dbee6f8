"""Credit leases as messages, and what a message needs of the state, taken at one position (H7)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple, TypeAlias

from ledger.api.assets import Assets
from ledger.api.ids import LEASE, mint
from ledger.core.events import LeaseLapse
from ledger.core.identity import KEY_BYTES
from ledger.core.state import HOLD_EXPIRED, NEVER, Account, Hold, SettledHold, State
from ledger.v1 import lease_pb2 as pb

LeaseState: TypeAlias = pb.LeaseState.ValueType

LAPSES: Final[Mapping[int, LeaseLapse]] = {
    pb.LEASE_LAPSE_UNSPECIFIED: LeaseLapse.RETURN,
    pb.LEASE_LAPSE_RETURN: LeaseLapse.RETURN,
    pb.LEASE_LAPSE_CHARGE: LeaseLapse.CHARGE,
}


class LeaseDetails(NamedTuple):
    """A lease as it is, or what is remembered of it."""

    number: int
    account: int
    product: str
    attributes: Mapping[str, str]
    holder: str
    state: LeaseState
    left: int
    asset: int
    wanted: int
    minimum: int
    down_to: int
    term_us: int
    margin_us: int
    lapses_at_us: int
    on_lapse: int
    reports: int
    reported: int
    over: int
    unreported: int
    granted_at_us: int
    renewals: int
    operation: bytes


class Exposure(NamedTuple):
    """What is out with holders in one asset."""

    asset: int
    leases: int
    in_escrow: int
    overdue: int
    may_overdraw: int


def find_lease(state: State, account: int, number: int) -> LeaseDetails | None:
    """The account's lease of that number, open or ended within the window."""
    owner = state.accounts.get(account)
    if owner is None:
        return None
    hold = owner.holds.get(number)
    if hold is not None:
        return _open(hold)
    settled = state.settled_hold(owner, number)
    if settled is None or settled.account is not owner:
        return None
    return _settled(settled)


def leases_of(account: Account | None, after: int, most: int) -> list[LeaseDetails]:
    """Those that hold something or wait for it, as they were granted, from behind `after` on."""
    holds = account.leases if account is not None else ()
    found = [_open(hold) for hold in holds if hold.number > after]
    return [each for each in found if each is not None][:most]


def exposures_of(state: State, account: Account | None) -> list[Exposure]:
    """By asset: what is in escrow, and what late reports may overdraw."""
    found: dict[int, Exposure] = {}
    if account is None:
        return []
    for hold in account.leases:
        before = found.get(hold.asset, Exposure(hold.asset, 0, 0, 0, 0))
        overdue = hold.left if hold.lease is not None and hold.lease.lapsed_at else 0
        found[hold.asset] = before._replace(
            leases=before.leases + 1,
            in_escrow=before.in_escrow + hold.left,
            overdue=before.overdue + overdue,
        )
    for settled in state.families[account.root].settled.values():
        lease = settled.lease
        if lease is None or settled.account is not account or not lease.unreported:
            continue
        if settled.settled_at > state.settled_before:
            before = found.get(settled.asset, Exposure(settled.asset, 0, 0, 0, 0))
            more = before.may_overdraw + lease.unreported
            found[settled.asset] = before._replace(may_overdraw=more)
    return list(found.values())


def _open(hold: Hold) -> LeaseDetails | None:
    lease = hold.lease
    if lease is None:
        return None
    return LeaseDetails(
        hold.number,
        hold.account.number,
        hold.product,
        dict(hold.attributes),
        lease.holder,
        pb.LEASE_STATE_OVERDUE if lease.lapsed_at else pb.LEASE_STATE_OPEN,
        hold.left,
        hold.asset,
        lease.wanted,
        lease.minimum,
        lease.down_to(hold.left),
        lease.term,
        lease.margin,
        0 if hold.expires_at == NEVER else hold.expires_at,
        int(lease.on_lapse),
        lease.reports,
        lease.reported,
        lease.over,
        0,
        lease.granted_at,
        lease.renewals,
        hold.operation[:KEY_BYTES],
    )


def _settled(hold: SettledHold) -> LeaseDetails | None:
    lease = hold.lease
    if lease is None:
        return None
    lapsed = hold.ended == HOLD_EXPIRED
    return LeaseDetails(
        hold.number,
        hold.account.number,
        hold.product,
        dict(hold.attributes),
        lease.holder,
        pb.LEASE_STATE_LAPSED if lapsed else pb.LEASE_STATE_RETURNED,
        0,
        hold.asset,
        0,
        0,
        0,
        0,
        0,
        0,
        lease.on_lapse,
        lease.reports,
        lease.reported,
        lease.over,
        lease.unreported,
        lease.granted_at,
        0,
        hold.operation[:KEY_BYTES],
    )


def render_lease(
    assets: Assets, lease: LeaseDetails, shard: int, names: Mapping[int, str]
) -> pb.Lease:
    """A lease; `names` has the id of its account."""
    asset = assets.of(lease.asset)
    return pb.Lease(
        lease_id=mint(LEASE, shard, lease.account, lease.number),
        account=names[lease.account],
        product=lease.product,
        attributes=lease.attributes,
        holder=lease.holder,
        state=lease.state,
        left=lease.left,
        asset=asset.code,
        scale=asset.scale,
        wanted=lease.wanted,
        minimum=lease.minimum,
        down_to=lease.down_to,
        term_us=lease.term_us,
        margin_us=lease.margin_us,
        lapses_at_us=lease.lapses_at_us,
        on_lapse=pb.LeaseLapse.ValueType(lease.on_lapse),
        reports=lease.reports,
        reported=str(lease.reported),
        over=str(lease.over),
        unreported=lease.unreported,
        granted_at_us=lease.granted_at_us,
        renewals=lease.renewals,
        operation_key=lease.operation.hex(),
    )


def render_exposure(assets: Assets, exposure: Exposure) -> pb.LeaseExposure:
    """What is out in one asset."""
    asset = assets.of(exposure.asset)
    return pb.LeaseExposure(
        asset=asset.code,
        scale=asset.scale,
        leases=exposure.leases,
        in_escrow=str(exposure.in_escrow),
        overdue=str(exposure.overdue),
        may_overdraw=str(exposure.may_overdraw),
    )
