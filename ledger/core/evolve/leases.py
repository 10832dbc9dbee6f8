"""Credit leases: slices in escrow, moved on, used, given back (rule H7)."""

from __future__ import annotations

from ledger.core.events import (
    LeaseGranted,
    LeaseLapsed,
    LeaseOverdue,
    LeaseRecalled,
    LeaseRenewed,
    LeaseReturned,
    OperationLeaseGranted,
    UsageLeased,
)
from ledger.core.evolve.holds import hold_authorized, lend, reserve, settle, unreserve
from ledger.core.evolve.moves import set_timer
from ledger.core.evolve.usage import usage_costed
from ledger.core.leases.leases import NOT_RECALLED, CreditLease
from ledger.core.state import (
    HOLD_EXPIRED,
    HOLD_RELEASED,
    NEVER,
    TIMER_HOLD,
    Hold,
    SettledHold,
    State,
)


def lease_granted(state: State, event: LeaseGranted) -> None:
    hold_authorized(state, event)
    hold = state.holds[event.hold]
    hold.lease = CreditLease(
        event.holder,
        event.wanted,
        event.minimum,
        event.lifetime_max,
        event.margin,
        event.on_lapse,
        event.share,
        state.now,
    )
    account = hold.account
    account.leases = (*account.leases, hold)


def operation_lease_granted(state: State, event: OperationLeaseGranted) -> None:
    lease_granted(state, event)
    state.holds[event.hold].operation = event.operation


def lease_renewed(state: State, event: LeaseRenewed) -> None:
    """What is in escrow counts anew: in the windows of now, and of whatever pays it now."""
    hold, lease = _of(state, event.hold)
    before = hold.left
    unreserve(state, hold)
    hold.used = state.books.accounts[event.used_book] if event.used_book else hold.used
    hold.slices = event.slices
    hold.amount += event.amount - before
    hold.authorized_at = event.effective_at
    hold.counted_at = event.effective_at
    hold.period = event.period
    hold.lifetime_max = event.term
    hold.expires_at = event.expires_at
    reserve(state, hold)
    lend(state, hold)
    set_timer(state, hold.account, event.expires_at, TIMER_HOLD, event.hold)
    lease.wanted, lease.share = event.wanted, event.share
    lease.term, lease.margin = event.term, event.margin
    lease.renewals += 1
    if lease.recalled != NOT_RECALLED and event.amount <= lease.recalled:
        lease.recalled = NOT_RECALLED
    state.keys.add(event.key, state.locator)


def usage_leased(state: State, event: UsageLeased) -> None:
    """Usage as any; the lease it is of remembers how much came, what of it was over."""
    usage_costed(state, event)
    charge = sum([piece.amount for piece in event.slices])
    if event.late:
        _late(state, event, charge)
        return
    _, lease = _of(state, event.hold)
    lease.reports += 1
    lease.reported += charge
    lease.over += event.over


def _late(state: State, event: UsageLeased, charge: int) -> None:
    settled: SettledHold = state.families[state.accounts[event.account].root].settled[event.hold]
    ended = settled.lease
    assert ended is not None, event.hold
    settled.lease = ended._replace(
        reports=ended.reports + 1,
        reported=ended.reported + charge,
        over=ended.over + event.over,
        unreported=ended.unreported - (charge - event.over),
    )


def lease_returned(state: State, event: LeaseReturned) -> None:
    settle(state, state.holds[event.hold], HOLD_RELEASED)
    state.keys.add(event.key, state.locator)


def lease_lapsed(state: State, event: LeaseLapsed) -> None:
    settle(state, state.holds[event.hold], HOLD_EXPIRED)


def lease_overdue(state: State, event: LeaseOverdue) -> None:
    """It stays where it is, and no clock settles it."""
    hold, lease = _of(state, event.hold)
    hold.expires_at = NEVER
    lease.lapsed_at = state.now


def lease_recalled(state: State, event: LeaseRecalled) -> None:
    _, lease = _of(state, event.hold)
    lease.recalled = event.keep
    state.keys.add(event.key, state.locator)


def _of(state: State, number: int) -> tuple[Hold, CreditLease]:
    hold = state.holds[number]
    assert hold.lease is not None, number
    return hold, hold.lease
