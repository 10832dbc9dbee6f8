"""Holds that are open, and what is remembered of settled ones."""

from __future__ import annotations

import msgspec

from ledger.core.events import LeaseLapse, PlanDeclared, PlanOverridden, Slice
from ledger.core.evolve.holds import lend
from ledger.core.leases.leases import CreditLease, SettledLease
from ledger.core.packing.wide import Wide, wide
from ledger.core.state import (
    Estimate,
    Family,
    Hold,
    Outcome,
    SettledHold,
    SettledOutcome,
    State,
)
from rating.overrides import NumberedOverride


class PackedEstimate(msgspec.Struct, array_like=True, gc=False):
    """What the expiry of an open hold would charge, and by which price rows."""

    quantity_names: tuple[str, ...]
    rate_card: str
    card_version: int
    rows: tuple[int, ...]
    quantities: tuple[int, ...]
    overrides: tuple[NumberedOverride | None, ...] = ()


class PackedOutcome(msgspec.Struct, array_like=True, gc=False):
    """What makes a hold an outcome that pends."""

    estimate: PackedEstimate
    confirms: bool
    reported_at: int
    reported_by: int


class PackedLease(msgspec.Struct, array_like=True, gc=False):
    """What makes a hold a credit lease."""

    holder: str
    wanted: int
    minimum: int
    term: int
    margin: int
    on_lapse: LeaseLapse
    share: int
    granted_at: int
    renewals: int
    recalled: int
    reports: int
    reported: Wide
    over: Wide
    lapsed_at: int


class PackedHold(msgspec.Struct, array_like=True, gc=False):
    """An open hold."""

    number: int
    account: int
    product: str
    attributes: tuple[tuple[str, str], ...]
    asset: int
    used: int
    slices: tuple[Slice, ...]
    authorized_at: int
    expires_at: int
    amount: Wide
    lifetime_max: int
    period: int
    captures: int
    estimate: PackedEstimate | None
    quote: int = 0
    outcome: PackedOutcome | None = None
    lease: PackedLease | None = None
    operation: bytes = b""
    drawn: tuple[tuple[str, int], ...] | None = None
    part_of: int = 0
    parts: tuple[int, ...] = ()
    counted_at: int = 0  # 0 = when it was authorised


class PackedSettledOutcome(msgspec.Struct, array_like=True, gc=False):
    """What is remembered of an outcome that was settled."""

    reported_at: int
    reported_by: int
    settled_by: int
    charge: Wide
    quantity_names: tuple[str, ...]
    quantities: tuple[int, ...]


class PackedSettledLease(msgspec.Struct, array_like=True, gc=False):
    """What is remembered of a credit lease that ended."""

    holder: str
    on_lapse: int
    granted_at: int
    reports: int
    reported: Wide
    over: Wide
    unreported: int


class PackedSettled(msgspec.Struct, array_like=True, gc=False):
    """A settled hold within the dedupe window, in the order of settling."""

    number: int
    account: int
    product: str
    attributes: tuple[tuple[str, str], ...]
    asset: int
    amount: Wide
    ended: int
    captured_late: bool
    settled_at: int
    captured: Wide
    captures: int
    authorized_at: int
    expires_at: int
    outcome: PackedSettledOutcome | None = None
    lease: PackedSettledLease | None = None
    operation: bytes = b""
    drawn: tuple[tuple[str, int], ...] | None = None
    counted_at: int = 0  # 0 = when it was authorised


def pack_hold(hold: Hold) -> PackedHold:
    return PackedHold(
        hold.number,
        hold.account.number,
        hold.product,
        hold.attributes,
        hold.asset,
        hold.used.number if hold.used is not None else 0,
        hold.slices,
        hold.authorized_at,
        hold.expires_at,
        wide(hold.amount),
        hold.lifetime_max,
        hold.period,
        hold.captures,
        _pack_estimate(hold.estimate) if hold.estimate is not None else None,
        hold.quote,
        _pack_outcome(hold.outcome) if hold.outcome is not None else None,
        _pack_lease(hold.lease) if hold.lease is not None else None,
        hold.operation,
        tuple(hold.drawn.items()) if hold.drawn is not None else None,
        hold.part_of,
        hold.parts,
        hold.counted_at if hold.part_of else 0,
    )


def _pack_lease(lease: CreditLease) -> PackedLease:
    return PackedLease(
        lease.holder,
        lease.wanted,
        lease.minimum,
        lease.term,
        lease.margin,
        lease.on_lapse,
        lease.share,
        lease.granted_at,
        lease.renewals,
        lease.recalled,
        lease.reports,
        wide(lease.reported),
        wide(lease.over),
        lease.lapsed_at,
    )


def _unpack_lease(packed: PackedLease) -> CreditLease:
    lease = CreditLease(
        packed.holder,
        packed.wanted,
        packed.minimum,
        packed.term,
        packed.margin,
        packed.on_lapse,
        packed.share,
        packed.granted_at,
    )
    lease.renewals = packed.renewals
    lease.recalled = packed.recalled
    lease.reports = packed.reports
    lease.reported = int(packed.reported)
    lease.over = int(packed.over)
    lease.lapsed_at = packed.lapsed_at
    return lease


def _pack_outcome(outcome: Outcome) -> PackedOutcome:
    estimate = _pack_estimate(outcome.estimate)
    return PackedOutcome(estimate, outcome.confirms, outcome.reported_at, outcome.reported_by)


def _pack_estimate(estimate: Estimate) -> PackedEstimate:
    plan = estimate.plan
    return PackedEstimate(
        plan.quantity_names,
        plan.rate_card,
        plan.card_version,
        plan.rows,
        estimate.quantities,
        plan.overrides,
    )


def _unpack_estimate(hold: PackedHold, packed: PackedEstimate) -> Estimate:
    declared = (
        hold.product,
        hold.attributes,
        packed.quantity_names,
        packed.rate_card,
        packed.card_version,
        packed.rows,
        hold.asset,
    )
    overrides = packed.overrides
    plan = PlanOverridden(*declared, overrides) if overrides else PlanDeclared(*declared)
    return Estimate(plan, packed.quantities)


def unpack_hold(state: State, packed: PackedHold) -> None:
    account = state.accounts[packed.account]
    hold = Hold(
        packed.number,
        account,
        packed.product,
        packed.attributes,
        packed.asset,
        state.books.accounts[packed.used] if packed.used else None,
        packed.slices,
        packed.authorized_at,
        packed.expires_at,
        packed.lifetime_max,
        packed.period,
        _unpack_estimate(packed, packed.estimate) if packed.estimate is not None else None,
    )
    hold.amount = int(packed.amount)
    hold.captures = packed.captures
    hold.quote = packed.quote
    hold.operation = packed.operation
    hold.drawn = dict(packed.drawn) if packed.drawn is not None else None
    if packed.part_of:
        hold.part_of, hold.parts = packed.part_of, packed.parts
        hold.counted_at = packed.counted_at
    if packed.outcome is not None:
        pends = packed.outcome
        hold.outcome = Outcome(
            _unpack_estimate(packed, pends.estimate),
            pends.confirms,
            pends.reported_at,
            pends.reported_by,
        )
        account.outcomes += 1
    if packed.lease is not None:
        hold.lease = _unpack_lease(packed.lease)
        account.leases = (*account.leases, hold)
    state.holds[packed.number] = hold
    account.holds[packed.number] = hold
    lend(state, hold)


def pack_settled(hold: SettledHold) -> PackedSettled:
    return PackedSettled(
        hold.number,
        hold.account.number,
        hold.product,
        hold.attributes,
        hold.asset,
        wide(hold.amount),
        hold.ended,
        hold.captured_late,
        hold.settled_at,
        wide(hold.captured),
        hold.captures,
        hold.authorized_at,
        hold.expires_at,
        _pack_settled_outcome(hold.outcome) if hold.outcome is not None else None,
        _pack_settled_lease(hold.lease) if hold.lease is not None else None,
        hold.operation,
        tuple(hold.drawn.items()) if hold.drawn is not None else None,
        hold.counted_at if hold.counted_at != hold.authorized_at else 0,
    )


def _pack_settled_lease(lease: SettledLease) -> PackedSettledLease:
    return PackedSettledLease(
        lease.holder,
        lease.on_lapse,
        lease.granted_at,
        lease.reports,
        wide(lease.reported),
        wide(lease.over),
        lease.unreported,
    )


def _unpack_settled_lease(packed: PackedSettledLease) -> SettledLease:
    return SettledLease(
        packed.holder,
        packed.on_lapse,
        packed.granted_at,
        packed.reports,
        int(packed.reported),
        int(packed.over),
        packed.unreported,
    )


def _pack_settled_outcome(outcome: SettledOutcome) -> PackedSettledOutcome:
    return PackedSettledOutcome(
        outcome.reported_at,
        outcome.reported_by,
        outcome.settled_by,
        wide(outcome.charge),
        outcome.quantity_names,
        outcome.quantities,
    )


def unpack_settled(state: State, family: Family, packed: PackedSettled) -> None:
    family.settled[packed.number] = SettledHold(
        packed.number,
        state.accounts[packed.account],
        packed.product,
        packed.attributes,
        packed.asset,
        int(packed.amount),
        packed.ended,
        packed.captured_late,
        packed.settled_at,
        int(packed.captured),
        packed.captures,
        packed.authorized_at,
        packed.expires_at,
        _unpack_settled_outcome(packed.outcome) if packed.outcome is not None else None,
        _unpack_settled_lease(packed.lease) if packed.lease is not None else None,
        packed.operation,
        dict(packed.drawn) if packed.drawn is not None else None,
        packed.counted_at,
    )


def _unpack_settled_outcome(packed: PackedSettledOutcome) -> SettledOutcome:
    return SettledOutcome(
        packed.reported_at,
        packed.reported_by,
        packed.settled_by,
        int(packed.charge),
        packed.quantity_names,
        packed.quantities,
    )
