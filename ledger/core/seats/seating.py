"""Deciding seat plans: started, seats added, removed, reassigned, suspended, resumed, each period,
and their end (rules S1, S2). Reads state, changes nothing.

Changes at one instant apply in the order in which they are asked for. Periods follow each other as
those of recurring grants do, each begun once by the writer's clock, as of its own time.
"""

from __future__ import annotations

from msgspec.structs import replace

from ledger.core.admission import known_account, open_account
from ledger.core.commands import (
    AddSeats,
    ChangeSeatTerms,
    EndSeatPlan,
    ReassignSeat,
    RemoveSeats,
    ResumeSeat,
    StartSeatPlan,
    SuspendSeat,
)
from ledger.core.events import (
    Allotment,
    Event,
    RecurringTerms,
    SeatEntry,
    SeatPeriodBegun,
    SeatPlanEnded,
    SeatPlanStarted,
    SeatReassigned,
    SeatRemoval,
    SeatsAdded,
    SeatsRemoved,
    SeatSuspended,
    SeatTally,
    SeatTerms,
    SeatTermsChanged,
    TakenBack,
    Timing,
)
from ledger.core.limits import INT64_MAX
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.packages.packaged_seats import following_terms
from ledger.core.packages.period_room import room_for
from ledger.core.periods import Cycle
from ledger.core.seats.seat_changes import (
    add_own,
    add_pooled,
    allot,
    entry_of,
    remove_own,
    remove_pooled,
    take_all,
)
from ledger.core.seats.seat_checks import (
    find_seat,
    held,
    invalid_seat_terms,
    is_held,
    not_addable,
    not_startable,
    running,
    seats_invalid,
    seats_leaving,
    seats_limit,
    seats_too_few,
    taken_already,
    terms_fixed,
)
from ledger.core.seats.seat_fees import follow, invalid_fee
from ledger.core.seats.seat_shares import ANYTHING, Part, add_to_pool, units_of
from ledger.core.seats.seats import NOTHING_COUNTED, SeatPlan
from ledger.core.state import NEVER, Account, State

# -- what may be asked -----------------------------------------------------------------------------


def decide_start_plan(
    state: State, command: StartSeatPlan, out: list[Event]
) -> Event | Known | Refusal:
    """Have an account have seats from now on, for what is left of the first period."""
    account = open_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    plans = account.seats.plans if account.seats is not None else {}
    before = plans.get(command.seat_plan)
    refusal = not_startable(state, account, command, before)
    if refusal is not None:
        return refusal
    terms, now = command.terms, state.now
    part = part_from(account, terms, now)
    refusal = seats_limit(terms, part.full, len(command.seats), command.count)
    refusal = refusal or invalid_fee(state, account, terms, part)
    if refusal is not None:
        return refusal
    before_it = len(out)
    started = started_plan(
        state,
        account,
        command.seat_plan,
        terms,
        command.seats,
        command.count,
        now,
        command.key,
        command.trace,
        out,
    )
    quantity = len(command.seats) + command.count
    refusal = follow(state, account, terms, quantity, quantity, out, given_back=INT64_MAX)
    if refusal is not None:
        del out[before_it:]
        return refusal
    out.append(started)
    return started


def started_plan(
    state: State,
    account: Account,
    name: str,
    terms: SeatTerms,
    named: tuple[str, ...],
    count: int,
    start: int,
    key: bytes,
    trace: bytes,
    out: list[Event],
    room: int = ANYTHING,
) -> SeatPlanStarted:
    """The entry of a plan that can start then; what it needs and grants, at most `room` units, is
    appended before it."""
    before = account.seats.plans.get(name) if account.seats is not None else None
    part = part_from(account, terms, start)
    first = before.next_seat if before is not None else 1
    names = (*named, *[""] * count)
    if terms.allotment == Allotment.INDIVIDUAL:
        seats, issues, tally = allot(
            state, account, terms.allowance, part, enumerate(names, start=first), out, room
        )
    else:
        seats = tuple(
            [
                SeatEntry(number, each, NEVER, False, 0, 0)
                for number, each in enumerate(named, start=first)
            ]
        )
        counted = replace(NOTHING_COUNTED, unassigned=count)
        issues, tally = add_to_pool(
            state, account, terms.allowance, counted, part, 0, len(names), out, room
        )
    return SeatPlanStarted(
        key,
        account.number,
        name,
        terms,
        named,
        count,
        part.start,
        part.end,
        part.full,
        seats,
        issues,
        tally,
        (before.revision if before is not None else 0) + 1,
        trace,
    )


def part_from(account: Account, terms: SeatTerms, start: int) -> Part:
    """What is left of the period that holds a plan's start."""
    began, end = _cycle(account, terms.allowance, start).period_of(start)
    return Part(start, end, end - began)


def decide_add_seats(state: State, command: AddSeats, out: list[Event]) -> Event | Known | Refusal:
    """More seats: those that leave with the period stay, with what they have; others take the place
    of seats that left early, with what was left; the rest have their share of the period."""
    account = open_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    plan = running(state, account, command.seat_plan, command.expected_version)
    if isinstance(plan, Refusal):
        return plan
    refusal = not_addable(plan, command.seats, command.count, state.now)
    if refusal is not None:
        return refusal
    before_it = len(out)
    seats, issues, tally = (
        add_own(state, plan, command, out)
        if plan.individual
        else add_pooled(state, plan, command, out)
    )
    refusal = _follow(state, plan, seats, tally, out)
    if refusal is not None:
        del out[before_it:]
        return refusal
    added = SeatsAdded(
        command.key,
        account.number,
        plan.name,
        command.seats,
        command.count,
        seats,
        issues,
        tally,
        plan.revision + 1,
        command.expected_version,
        command.trace,
    )
    out.append(added)
    return added


def decide_remove_seats(
    state: State, command: RemoveSeats, out: list[Event]
) -> Event | Known | Refusal:
    """Fewer seats, from the end of the period on or now; what is taken back is what is unspent."""
    account = known_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    plan = running(state, account, command.seat_plan, command.expected_version)
    if isinstance(plan, Refusal):
        return plan
    leaving = seats_leaving(state, plan, command)
    if isinstance(leaving, Refusal):
        return leaving
    removed = (
        remove_own(state, plan, leaving, command.mode, out)
        if plan.individual
        else remove_pooled(state, plan, leaving, command, out)
    )
    given_back = 0
    if command.mode == SeatRemoval.FORFEIT_PRORATED:
        given_back = len(command.seats) + command.count
    refusal = _follow(state, plan, removed.seats, removed.tally, out, given_back)
    assert refusal is None, f"a fee for fewer seats is refused: {refusal}"
    event = SeatsRemoved(
        command.key,
        account.number,
        plan.name,
        command.seats,
        command.count,
        command.mode,
        removed.seats,
        removed.taken,
        removed.tally,
        plan.revision + 1,
        command.expected_version,
        command.trace,
    )
    out.append(event)
    return event


def decide_reassign(
    state: State, command: ReassignSeat, out: list[Event]
) -> Event | Known | Refusal:
    """Give a seat to another, with what is left of it: never a new allowance (rule S2)."""
    account = known_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    plan = running(state, account, command.seat_plan, command.expected_version)
    if isinstance(plan, Refusal):
        return plan
    if command.seat == command.to:
        return seats_invalid("to", command.to, "a seat is given to another than who has it")
    if command.to and plan.seat_of(command.to, state.now) is not None:
        return taken_already("to", command.to)
    found = _to_reassign(state, plan, command)
    if isinstance(found, Refusal):
        return found
    seats, tally = found
    reassigned = SeatReassigned(
        command.key,
        account.number,
        plan.name,
        command.seat,
        command.to,
        seats,
        tally,
        plan.revision + 1,
        command.expected_version,
        command.trace,
    )
    out.append(reassigned)
    return reassigned


def decide_suspend_seat(
    state: State, command: SuspendSeat | ResumeSeat, out: list[Event]
) -> Event | Known | Refusal:
    """Authorise nothing for a seat, or again. It stays in the quantity, with what it has."""
    account = known_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    plan = running(state, account, command.seat_plan, command.expected_version)
    if isinstance(plan, Refusal):
        return plan
    seat = find_seat(plan, "seat", command.seat, state.now)
    if isinstance(seat, Refusal):
        return seat
    suspends = isinstance(command, SuspendSeat)
    if seat.suspended == suspends:
        return Refusal(
            Reason.SEAT_SUSPENDED if suspends else Reason.SEAT_NOT_SUSPENDED,
            "seat",
            command.seat,
            "the seat is suspended already" if suspends else "the seat is not suspended",
        )
    suspended = SeatSuspended(
        command.key,
        account.number,
        plan.name,
        command.seat,
        suspends,
        (replace(entry_of(seat), suspended=suspends),),
        plan.revision + 1,
        command.expected_version,
        command.trace,
    )
    out.append(suspended)
    return suspended


def decide_change_terms(
    state: State, command: ChangeSeatTerms, out: list[Event]
) -> Event | Known | Refusal:
    """Have a plan give otherwise from its next period on; what the one that runs has granted, and
    its rules, stay."""
    account = open_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    plan = running(state, account, command.seat_plan, command.expected_version)
    if isinstance(plan, Refusal):
        return plan
    terms = command.terms
    there = len(plan.present(plan.period_end))
    refusal = (
        terms_fixed(plan, terms)
        or invalid_seat_terms(state, account, terms)
        or seats_limit(terms, plan.full, there, plan.tally.unassigned)
    )
    if refusal is not None:
        return refusal
    changed = SeatTermsChanged(
        command.key,
        account.number,
        plan.name,
        terms,
        plan.revision + 1,
        command.expected_version,
        command.trace,
    )
    out.append(changed)
    return changed


def decide_end_plan(
    state: State, command: EndSeatPlan, out: list[Event]
) -> Event | Known | Refusal:
    """End it with the period, or now: then all of its seats are removed in that way."""
    account = known_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    plan = running(state, account, command.seat_plan, command.expected_version)
    if isinstance(plan, Refusal):
        return plan
    taken: tuple[TakenBack, ...] = ()
    ends_at, tally = plan.period_end, plan.tally
    if command.timing == Timing.NOW:
        ends_at = state.now
        for seat in plan.present(ends_at):
            if is_held(plan, seat):
                return held(seat.name)
        taken = take_all(state, plan, command.mode, out)
        tally = replace(tally, released=tally.released - units_of(taken))
    prorated = command.timing == Timing.NOW and command.mode == SeatRemoval.FORFEIT_PRORATED
    given_back = plan.quantity(state.now) if prorated else 0
    refusal = follow(state, account, plan.terms, 0, 0, out, given_back=given_back)
    assert refusal is None, f"a fee for no seats is refused: {refusal}"
    ended = SeatPlanEnded(
        command.key,
        account.number,
        plan.name,
        command.timing,
        command.mode,
        ends_at,
        taken,
        tally,
        plan.revision + 1,
        command.expected_version,
        command.trace,
    )
    out.append(ended)
    return ended


# -- what time does --------------------------------------------------------------------------------


def begin_period(state: State, plan: SeatPlan, out: list[Event]) -> None:
    """Begin the next period of a plan, with the seats that stay (rules T1, S1)."""
    account, start = plan.account, plan.period_end
    assert start <= state.now, (plan.name, start)
    changed = plan.next_terms or following_terms(state, plan)
    terms = (changed or plan.terms).allowance
    cycle_start, end = _cycle(account, terms, plan.started_at).period_of(start)
    part = Part(start, end, end - cycle_start)
    there = plan.present(start)
    seats: tuple[SeatEntry, ...] = ()
    if plan.individual:
        names = [(seat.number, seat.name) for seat in there]
        room = room_for(state, plan, terms, part, len(names))
        fresh, issues, tally = allot(state, account, terms, part, names, out, room)
        seats = tuple(
            [
                replace(entry, suspended=seat.suspended)
                for entry, seat in zip(fresh, there, strict=True)
            ]
        )
    else:
        counted = replace(NOTHING_COUNTED, unassigned=plan.tally.unassigned)
        quantity = len(there) + counted.unassigned
        room = room_for(state, plan, terms, part, quantity)
        issues, tally = add_to_pool(state, account, terms, counted, part, 0, quantity, out, room)
    out.append(
        SeatPeriodBegun(
            account.number,
            plan.name,
            part.start,
            part.end,
            part.full,
            seats,
            issues,
            tally,
            changed,
        )
    )


def _cycle(account: Account, terms: RecurringTerms, start: int) -> Cycle:
    zone = terms.zone or account.calendar.zone
    return Cycle(terms.unit, terms.every, terms.anchor or start, zone)


def _to_reassign(
    state: State, plan: SeatPlan, command: ReassignSeat
) -> tuple[tuple[SeatEntry, ...], SeatTally] | Refusal:
    """The seat as it is then, and where a pool's was unassigned or is to be, how many of it are."""
    now, tally, to = state.now, plan.tally, command.to
    if command.seat:
        seat = find_seat(plan, "seat", command.seat, now)
        if isinstance(seat, Refusal):
            return seat
        if to or plan.individual:
            return (replace(entry_of(seat), name=to, suspended=False),), tally
        if not seat.leaves:
            tally = replace(tally, unassigned=tally.unassigned + 1)
        else:
            tally = replace(tally, leaving=tally.leaving + 1)
        return (replace(entry_of(seat), until=now, suspended=False),), tally
    if plan.individual:
        for seat in plan.present(now):
            if not seat.name and not seat.leaves:
                return (replace(entry_of(seat), name=to),), tally
        return seats_too_few("seat", 0)
    if not tally.unassigned:
        return seats_too_few("seat", 0)
    refusal = seats_limit(plan.terms, plan.full, len(plan.present(now)) + 1, tally.unassigned - 1)
    if refusal is not None:
        return refusal
    gone = plan.by_name.get(to)
    number = gone.number if gone is not None else plan.next_seat
    tally = replace(tally, unassigned=tally.unassigned - 1)
    return (SeatEntry(number, to, plan.ends_at, False, 0, 0),), tally


def _follow(
    state: State,
    plan: SeatPlan,
    entries: tuple[SeatEntry, ...],
    tally: SeatTally,
    out: list[Event],
    given_back: int = 0,
) -> Refusal | None:
    """Have the plan's fee be for its seats as they are with these entries, now and then."""
    if not plan.terms.charge:
        return None
    until = {seat.number: seat.until for seat in plan.present(state.now)}
    until |= {entry.seat: entry.until for entry in entries}
    there = [each for each in until.values() if each > state.now]
    stay = [each for each in there if each > plan.period_end]
    present = len(there) + tally.unassigned + tally.leaving
    coming = 0 if plan.ends_at <= plan.period_end else len(stay) + tally.unassigned
    return follow(state, plan.account, plan.terms, present, coming, out, given_back=given_back)
