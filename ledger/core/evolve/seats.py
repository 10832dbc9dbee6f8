"""Seat plans and their seats (rules S1 to S3)."""

from __future__ import annotations

from ledger.core.events import (
    SeatAllowanceLow,
    SeatEntry,
    SeatIssue,
    SeatPeriodBegun,
    SeatPlanEnded,
    SeatPlanStarted,
    SeatReassigned,
    SeatsAdded,
    SeatsRemoved,
    SeatSuspended,
    SeatTermsChanged,
)
from ledger.core.evolve.moves import activate, retire, set_timer
from ledger.core.seats.seats import Seat, SeatPlan, SeatPlans
from ledger.core.state import NEVER, TIMER_SEATS, State


def seat_plan_started(state: State, event: SeatPlanStarted) -> None:
    account = state.accounts[event.account]
    plans = account.seats
    if plans is None:
        plans = account.seats = SeatPlans(account)
    plan = plans.plans.get(event.seat_plan)
    if plan is None:
        plan = SeatPlan(account, event.seat_plan, event.terms, state.now)
        plans.add(plan)
    plan.terms, plan.next_terms = event.terms, None
    plan.started_at = event.start
    plan.ends_at = NEVER
    plan.revision = event.revision
    plans.find_kinds()
    account.find_watched()
    _begin(state, plan, event.start, event.end, event.full)
    plan.tally = event.tally
    _set_seats(plan, event.seats)
    _issued(state, plan, event.issues)
    if event.key:
        state.keys.add(event.key, state.locator)


def seats_added(state: State, event: SeatsAdded) -> None:
    plan = _of(state, event.account, event.seat_plan)
    plan.revision = event.revision
    plan.tally = event.tally
    _set_seats(plan, event.seats)
    _issued(state, plan, event.issues)
    state.keys.add(event.key, state.locator)


def seats_removed(state: State, event: SeatsRemoved) -> None:
    plan = _of(state, event.account, event.seat_plan)
    plan.revision = event.revision
    plan.tally = event.tally
    _set_seats(plan, event.seats)
    state.keys.add(event.key, state.locator)


def seat_reassigned(state: State, event: SeatReassigned) -> None:
    plan = _of(state, event.account, event.seat_plan)
    plan.revision = event.revision
    plan.tally = event.tally
    _set_seats(plan, event.seats)
    state.keys.add(event.key, state.locator)


def seat_suspended(state: State, event: SeatSuspended) -> None:
    plan = _of(state, event.account, event.seat_plan)
    plan.revision = event.revision
    _set_seats(plan, event.seats)
    state.keys.add(event.key, state.locator)


def seat_terms_changed(state: State, event: SeatTermsChanged) -> None:
    plan = _of(state, event.account, event.seat_plan)
    plan.revision = event.revision
    plan.next_terms = event.terms if event.terms != plan.terms else None
    state.keys.add(event.key, state.locator)


def seat_period_begun(state: State, event: SeatPeriodBegun) -> None:
    plan = _of(state, event.account, event.seat_plan)
    if event.terms is not None:
        plan.terms, plan.next_terms = event.terms, None
        assert plan.account.seats is not None
        plan.account.seats.find_kinds()
        plan.account.find_watched()
    _begin(state, plan, event.start, event.end, event.full)
    plan.tally = event.tally
    _set_seats(plan, event.seats)
    _issued(state, plan, event.issues)


def seat_plan_ended(state: State, event: SeatPlanEnded) -> None:
    plan = _of(state, event.account, event.seat_plan)
    plan.revision = event.revision
    plan.ends_at = event.ends_at
    plan.tally = event.tally
    for seat in plan.seats.values():
        seat.until = min(seat.until, event.ends_at)
    for part in event.taken:
        seat_of = state.grants[part.grant].seat
        if seat_of is not None:
            seat_of.released -= part.amount
    if event.key:
        state.keys.add(event.key, state.locator)


def seat_allowance_low(state: State, event: SeatAllowanceLow) -> None:
    _of(state, event.account, event.seat_plan).seats[event.seat].alerted = True


def _of(state: State, account: int, name: str) -> SeatPlan:
    plans = state.accounts[account].seats
    assert plans is not None, account
    return plans.plans[name]


def _begin(state: State, plan: SeatPlan, start: int, end: int, full: int) -> None:
    """Stand in that period: nobody has been granted anything of it yet. Seats that were gone by its
    start are forgotten, but those that had an allowance of their own."""
    plan.period_start, plan.period_end, plan.full = start, end, full
    plan.grants = ()
    for seat in list(plan.seats.values()):
        seat.entitled = seat.released = 0
        seat.grants = ()
        if seat.until <= start and not seat.allotted:
            plan.forget(seat)
    set_timer(state, plan.account, end, TIMER_SEATS, plan.account.number)


def _set_seats(plan: SeatPlan, entries: tuple[SeatEntry, ...]) -> None:
    for entry in entries:
        seat = plan.seats.get(entry.seat)
        if seat is None:
            seat = plan.seats[entry.seat] = Seat(entry.seat, plan)
            plan.next_seat = max(plan.next_seat, entry.seat + 1)
        plan.place(seat, entry.name)
        seat.until = entry.until
        seat.suspended = entry.suspended
        seat.entitled = entry.entitled
        seat.released = entry.released


def _issued(state: State, plan: SeatPlan, issues: tuple[SeatIssue, ...]) -> None:
    """The grants that were issued just before are those of these seats: the last is first in the
    account's chain, from which they are taken."""
    for issue in reversed(issues):
        if not issue.grant:
            continue
        if not issue.seat:
            plan.grants = (*plan.grants, issue.grant)
            continue
        seat, grant = plan.seats[issue.seat], state.grants[issue.grant]
        retire(grant)
        grant.seat = seat
        activate(grant)
        seat.grants = (*seat.grants, issue.grant)
        seat.allotted = True
        seat.alerted = False
