"""What changes of seats come to: which are there then, what is granted, what taken back (S1, S2).

Of seats with an allowance of their own each is looked at; of a pool their number. Reads state,
changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from msgspec.structs import replace

from ledger.core.commands import AddSeats, RemoveSeats
from ledger.core.events import (
    Event,
    RecurringTerms,
    SeatEntry,
    SeatIssue,
    SeatRemoval,
    SeatTally,
    TakenBack,
)
from ledger.core.packages.period_room import room_for
from ledger.core.seats.seat_shares import (
    ANYTHING,
    Part,
    add_to_pool,
    granted,
    take_back,
    units_of,
    within,
)
from ledger.core.seats.seats import Seat, SeatPlan
from ledger.core.state import NEVER, Account, State

# -- seats with an allowance of their own ----------------------------------------------------------


def allot(
    state: State,
    account: Account,
    terms: RecurringTerms,
    part: Part,
    seats: Iterable[tuple[int, str]],
    out: list[Event],
    room: int = ANYTHING,
) -> tuple[tuple[SeatEntry, ...], tuple[SeatIssue, ...], SeatTally]:
    """Grant each of these (number, name) an allowance for the part, whose first seats they are; of
    less `room` than they come to each has as much, those of the lowest numbers a unit more."""
    entries: list[SeatEntry] = []
    issues: list[SeatIssue] = []
    whole, price_paid = part.share(terms.amount), part.share(terms.price_paid)
    numbered = list(seats)
    for place, (number, name) in enumerate(numbered):
        most = (room + len(numbered) - 1 - place) // len(numbered)
        amount, price = within(most, whole, price_paid)
        issues.append(granted(state, account, terms, number, amount, price, part, out))
        entries.append(SeatEntry(number, name, NEVER, False, amount, amount))
    given = tuple([each for each in issues if each.grant])
    released = sum([each.amount for each in given])
    return tuple(entries), given, SeatTally(0, 0, len(entries), 0, released)


def add_own(
    state: State, plan: SeatPlan, command: AddSeats, out: list[Event]
) -> tuple[tuple[SeatEntry, ...], tuple[SeatIssue, ...], SeatTally]:
    """More seats of their own, each as it is then; what they are granted, one after the other as
    long as there is room; and the tally. Only what they are above the largest quantity of the
    period brings its share: a seat that left early may have had nothing (rules S2, P3)."""
    now, terms = state.now, plan.terms.allowance
    part = _rest_of(plan, now)
    vacant = plan.vacant(now)
    leaving = [seat for seat in plan.present(now) if seat.leaves and not seat.name]
    coming = [name for name in command.seats if plan.seat_of(name, now) is None]
    more = len(coming) + max(0, command.count - len(leaving))
    left = room_for(state, plan, terms, part, more)
    entries: list[SeatEntry] = []
    issues: list[SeatIssue] = []
    number, quantity = plan.next_seat, plan.quantity(now)
    fresh = max(0, quantity + more - plan.tally.largest)
    for name in (*command.seats, *[""] * command.count):
        seat = plan.seat_of(name, now) if name else (leaving.pop(0) if leaving else None)
        if seat is not None:
            entries.append(replace(entry_of(seat), until=plan.ends_at))
            continue
        quantity += 1
        seat = _to_take(vacant, name, coming)
        if seat is not None:
            vacant.remove(seat)
            amount = min(part.share(terms.amount), seat.entitled - seat.released)
            price = terms.price_paid * amount // terms.amount
            amount, price = within(left, amount, price)
            entry = SeatEntry(seat.number, name, plan.ends_at, False, seat.entitled, 0)
            entry = replace(entry, released=seat.released + amount)
        else:
            amount, price = part.share(terms.amount), part.share(terms.price_paid)
            amount, price = within(left if fresh > 0 else 0, amount, price)
            fresh -= 1
            entry = SeatEntry(number, name, plan.ends_at, False, amount, amount)
            number += 1
        left -= amount
        entries.append(entry)
        issues.append(granted(state, plan.account, terms, entry.seat, amount, price, part, out))
    tally = plan.tally
    released = tally.released + sum([each.amount for each in issues])
    tally = replace(tally, largest=max(tally.largest, quantity), released=released)
    return tuple(entries), tuple([each for each in issues if each.grant]), tally


def _to_take(vacant: list[Seat], name: str, coming: list[str]) -> Seat | None:
    """Whose place it takes: its own of before, else that of one who does not come back now."""
    for seat in vacant:
        if name and seat.name == name:
            return seat
    for seat in vacant:
        if seat.name not in coming:
            return seat
    return None


class Removed(NamedTuple):
    """Seats as they are then, what was taken back before, and the tally."""

    seats: tuple[SeatEntry, ...]
    taken: tuple[TakenBack, ...]
    tally: SeatTally


def remove_own(
    state: State, plan: SeatPlan, leaving: list[Seat], mode: SeatRemoval, out: list[Event]
) -> Removed:
    """These seats leave with the period, or now with what is taken back of theirs."""
    entries: list[SeatEntry] = []
    taken: list[TakenBack] = []
    for seat in leaving:
        if mode == SeatRemoval.KEEP_UNTIL_PERIOD_END:
            entries.append(replace(entry_of(seat), until=plan.period_end))
            continue
        parts = _take_own(state, plan, seat, mode, out)
        taken.extend(parts)
        released = seat.released - units_of(parts)
        entries.append(replace(entry_of(seat), until=state.now, released=released))
    tally = plan.tally
    released = tally.released - units_of(tuple(taken))
    return Removed(tuple(entries), tuple(taken), replace(tally, released=released))


def _take_own(
    state: State, plan: SeatPlan, seat: Seat, mode: SeatRemoval, out: list[Event]
) -> tuple[TakenBack, ...]:
    amount = seat.released
    if mode == SeatRemoval.FORFEIT_PRORATED:
        amount = _rest_of(plan, state.now).share(plan.terms.allowance.amount)
    return take_back(state, seat.grants, amount, out)


# -- seats of a pool -------------------------------------------------------------------------------


def add_pooled(
    state: State, plan: SeatPlan, command: AddSeats, out: list[Event]
) -> tuple[tuple[SeatEntry, ...], tuple[SeatIssue, ...], SeatTally]:
    """The same of seats of a pool."""
    now, tally = state.now, plan.tally
    entries: list[SeatEntry] = []
    number, more = plan.next_seat, 0
    for name in command.seats:
        seat = plan.by_name.get(name)
        more += seat is None or seat.until <= now
        if seat is None:
            entries.append(SeatEntry(number, name, plan.ends_at, False, 0, 0))
            number += 1
        else:
            stays = seat.suspended and seat.until > now
            entries.append(SeatEntry(seat.number, name, plan.ends_at, stays, 0, 0))
    back = min(command.count, tally.leaving)
    more += command.count - back
    tally = replace(
        tally, unassigned=tally.unassigned + command.count, leaving=tally.leaving - back
    )
    terms, part = plan.terms.allowance, _rest_of(plan, now)
    room = room_for(state, plan, terms, part, more)
    issues, tally = add_to_pool(
        state, plan.account, terms, tally, part, plan.quantity(now), more, out, room
    )
    return tuple(entries), issues, tally


def remove_pooled(
    state: State, plan: SeatPlan, leaving: list[Seat], command: RemoveSeats, out: list[Event]
) -> Removed:
    """The same of seats of a pool, of which those that nobody has are counted."""
    tally, count = plan.tally, command.count
    tally = replace(tally, unassigned=tally.unassigned - count)
    if command.mode == SeatRemoval.KEEP_UNTIL_PERIOD_END:
        entries = [replace(entry_of(seat), until=plan.period_end) for seat in leaving]
        return Removed(tuple(entries), (), replace(tally, leaving=tally.leaving + count))
    entries = [replace(entry_of(seat), until=state.now) for seat in leaving]
    taken = _take_pooled(state, plan, len(leaving) + count, command.mode, out)
    tally = replace(tally, released=tally.released - units_of(taken))
    return Removed(tuple(entries), taken, tally)


def _take_pooled(
    state: State, plan: SeatPlan, seats: int, mode: SeatRemoval, out: list[Event]
) -> tuple[TakenBack, ...]:
    """Take back so many seats' share of the pool: of what it has had, or of the time left."""
    if mode == SeatRemoval.FORFEIT_PRORATED:
        amount = _rest_of(plan, state.now).share(seats * plan.terms.allowance.amount)
    else:
        amount = plan.tally.released * seats // plan.quantity(state.now) if seats else 0
    return take_back(state, plan.grants, amount, out)


def take_all(
    state: State, plan: SeatPlan, mode: SeatRemoval, out: list[Event]
) -> tuple[TakenBack, ...]:
    """What ending a plan takes back of all that is there."""
    now = state.now
    if mode == SeatRemoval.KEEP_UNTIL_PERIOD_END:
        return ()
    if not plan.individual:
        return _take_pooled(state, plan, plan.quantity(now), mode, out)
    taken: list[TakenBack] = []
    for seat in plan.present(now):
        taken.extend(_take_own(state, plan, seat, mode, out))
    return tuple(taken)


# -- of both ---------------------------------------------------------------------------------------


def _rest_of(plan: SeatPlan, now: int) -> Part:
    return Part(now, plan.period_end, plan.full)


def entry_of(seat: Seat) -> SeatEntry:
    """A seat as it is."""
    return SeatEntry(
        seat.number, seat.name, seat.until, seat.suspended, seat.entitled, seat.released
    )
