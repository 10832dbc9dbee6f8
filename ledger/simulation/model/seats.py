"""Seats: plans with their periods, what each gives, and whose usage draws it (rules D1, S1 to S3).

What a plan has given in its period is added up grant by grant as well: no tally is believed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import ceil
from typing import Final

from ledger.core import events as e
from ledger.core.events import SeatEntry, SeatIssue, SeatRemoval, SeatTally, Timing
from ledger.simulation.model.period_room import following_terms, room_for
from ledger.simulation.model.recurring import grant_of_terms, period_of
from ledger.simulation.model.shard import Shard
from ledger.simulation.naive import prorated
from ledger.simulation.naive_holdings import (
    ENDLESS,
    NaiveAccount,
    NaivePlan,
    NaiveSeat,
    Piece,
)
from ledger.simulation.rules import Rule

RULE: Final = Rule.SEATED
KEEP: Final = SeatRemoval.KEEP_UNTIL_PERIOD_END
PRORATED: Final = SeatRemoval.FORFEIT_PRORATED


# -- started, changed, ended -----------------------------------------------------------------------


def started(m: Shard, event: e.SeatPlanStarted) -> None:
    """Of an open account that has no such plan, for what is left of the first period; or with a
    package, whose entry follows."""
    if not event.key:
        m.touch(m.accounts[event.account])
        m.ahead.append(event)
        return
    account = m.deciding(event.account)
    m.expect(Rule.CLOSED_TAKES_NOTHING, "seats of a closed account", 0, account.closed_at)
    m.expect(RULE, "whether a package says it", False, event.terms.packaged)
    begin_plan(m, account, event, m.recorded_at)


def begin_plan(
    m: Shard, account: NaiveAccount, event: e.SeatPlanStarted, start: int, room: int | None = None
) -> None:
    """From an instant on, with so many units at most."""
    before = account.seat_plans.get(event.seat_plan)
    if before is not None and max(before.ends_at, before.end) > start:
        m.fail(RULE, f"{event.seat_plan} starts again amid {before.start} to {before.end}")
    plan = before or NaivePlan(event.seat_plan, account.number, event.terms)
    account.seat_plans[plan.name] = plan
    plan.terms, plan.next_terms = event.terms, None
    plan.started_at, plan.ends_at = start, ENDLESS
    _versioned(m, plan, event.revision, 0)
    _begin(m, account, plan, event, start)
    names = (*event.names, *[""] * event.count)
    if plan.individual:
        _allot(m, plan, event, list(enumerate(names, start=plan.next_seat)), room=room)
        return
    seats = [
        SeatEntry(number, name, ENDLESS, False, 0, 0)
        for number, name in enumerate(event.names, start=plan.next_seat)
    ]
    plan.unassigned, plan.leaving = event.count, 0
    _pool(m, plan, event, 0, len(names), room)
    _take(m, plan, event.seats, seats)
    _tallied(m, plan, event.tally)


def period_begun(m: Shard, event: e.SeatPeriodBegun) -> None:
    """The next one, once, with the seats that stay, on the terms that are in force then."""
    account = m.accounts[event.account]
    plan = account.seat_plans[event.seat_plan]
    m.touch(account)
    if plan.due > m.recorded_at:
        m.fail(Rule.EXPIRED_IN_TIME, f"{event} is not due before {plan.due}")
    coming = plan.next_terms
    if plan.terms.packaged:
        coming = following_terms(m, account, plan)
    m.expect(RULE, "terms from now on", coming, event.terms)
    plan.terms, plan.next_terms = coming or plan.terms, None
    start = plan.end
    there = plan.present(start)
    _begin(m, account, plan, event, start)
    if plan.individual:
        suspended = [each.number for each in there if each.suspended]
        _allot(m, plan, event, [(each.number, each.name) for each in there], suspended)
        return
    plan.leaving = 0
    _pool(m, plan, event, 0, len(there) + plan.unassigned)
    m.expect(RULE, "seats of a pool", (), event.seats)
    _tallied(m, plan, event.tally)


def added(m: Shard, event: e.SeatsAdded) -> None:
    """Those that were to leave stay; others take places that are free, with what was taken back of
    them at most; the rest have their share of the time."""
    account, plan = _running(m, event)
    m.expect(Rule.CLOSED_TAKES_NOTHING, "seats of a closed account", 0, account.closed_at)
    _versioned(m, plan, event.revision, event.expected_version)
    now, there = m.recorded_at, plan.quantity(m.recorded_at)
    room = room_for(m, account, plan, _more(plan, event, now))
    seats: list[SeatEntry] = []
    if not plan.individual:
        more, number = 0, plan.next_seat
        for name in event.names:
            seat = plan.named.get(name)
            if seat is None:
                seats.append(SeatEntry(number, name, plan.ends_at, False, 0, 0))
                number += 1
            else:
                here = seat.until > now
                held = seat.suspended and here
                seats.append(SeatEntry(seat.number, name, plan.ends_at, held, 0, 0))
            more += seat is None or seat.until <= now
        back = min(event.count, plan.leaving)
        plan.unassigned += event.count
        plan.leaving -= back
        _pool(m, plan, event, there, more + event.count - back, room)
        _take(m, plan, event.seats, seats)
        _tallied(m, plan, event.tally)
        return
    terms = plan.terms.allowance
    part = (plan.end - now, plan.full)
    leaving = [each for each in plan.present(now) if plan.leaves(each) and not each.name]
    vacant = [each for each in plan.seats.values() if each.until <= now and each.entitled]
    coming = [each for each in event.names if plan.seat_of(each, now) is None]
    number = plan.next_seat
    fresh = max(0, there + _more(plan, event, now) - plan.largest)
    issues: list[tuple[int, int, int]] = []
    for name in (*event.names, *[""] * event.count):
        stays = plan.seat_of(name, now) if name else (leaving.pop(0) if leaving else None)
        if stays is not None:
            seats.append(_entry(stays, until=plan.ends_at))
            continue
        there += 1
        free = [each for each in vacant if name and each.name == name]
        free += [each for each in vacant if each.name not in coming]
        share = prorated(terms.amount, *part)
        if free:
            vacant.remove(free[0])
            amount = min(share, free[0].entitled - free[0].released)
            price = terms.price_paid * amount // terms.amount
            amount, price = _within(room, amount, price)
            released = free[0].released + amount
            seats.append(
                SeatEntry(free[0].number, name, plan.ends_at, False, free[0].entitled, released)
            )
        else:
            amount, price = share, prorated(terms.price_paid, *part)
            amount, price = _within(room if fresh else 0, amount, price)
            fresh -= bool(fresh)
            seats.append(SeatEntry(number, name, plan.ends_at, False, amount, amount))
            number += 1
        if room is not None:
            room -= amount
        issues.append((seats[-1].seat, amount, price))
    _take(m, plan, event.seats, seats)
    _issue(m, plan, event.issues, issues, now)
    plan.largest = max(plan.largest, there)
    _tallied(m, plan, event.tally)


def removed(m: Shard, event: e.SeatsRemoved) -> None:
    """With the period, or now: then what is unspent of theirs is taken back, and no more."""
    _, plan = _running(m, event)
    _versioned(m, plan, event.revision, event.expected_version)
    now, there = m.recorded_at, plan.quantity(m.recorded_at)
    seats: list[NaiveSeat] = []
    for name in event.names:
        seat = plan.seat_of(name, now)
        if seat is None or is_held(m, plan, seat):
            m.fail(RULE, f"{name!r} of {plan.name} is removed: {seat}")
        if plan.leaves(seat) and event.mode == KEEP:
            m.fail(RULE, f"{name!r} of {plan.name} leaves again")
        seats.append(seat)
    until = plan.end if event.mode == KEEP else now
    if plan.individual:
        free = spare(m, plan)
        if len(free) < event.count:
            m.fail(RULE, f"{event.count} of {len(free)} seats that nobody has are removed")
        seats += free[len(free) - event.count :]
        taken = [*event.taken]
        for seat in seats if event.mode != KEEP else ():
            seat.released -= _take_back(m, plan, seat.grants, _forfeit(m, plan, seat, event), taken)
        m.expect(RULE, "taken back of others", [], taken)
    else:
        if plan.unassigned < event.count:
            m.fail(RULE, f"{event.count} of {plan.unassigned} seats that nobody has are removed")
        plan.unassigned -= event.count
        if event.mode == KEEP:
            plan.leaving += event.count
            m.expect(RULE, "taken back", (), event.taken)
        else:
            _take_pool(m, plan, event, len(seats) + event.count, there)
    _take(m, plan, event.seats, [_entry(each, until=until) for each in seats])
    _tallied(m, plan, event.tally)


def reassigned(m: Shard, event: e.SeatReassigned) -> None:
    """What is left of it goes along; nothing is granted."""
    _, plan = _running(m, event)
    _versioned(m, plan, event.revision, event.expected_version)
    now = m.recorded_at
    if event.name == event.to or (event.to and plan.seat_of(event.to, now)):
        m.fail(RULE, f"{event.to!r} has a seat of {plan.name} already")
    seat = plan.seat_of(event.name, now) if event.name else None
    if event.name and seat is None:
        m.fail(RULE, f"{event.name!r} has no seat of {plan.name}")
    if seat is not None and (event.to or plan.individual):
        expected = _entry(seat, name=event.to, suspended=False)
    elif seat is not None:
        leaves = plan.leaves(seat)
        plan.leaving += leaves
        plan.unassigned += not leaves
        expected = _entry(seat, until=now, suspended=False)
    elif plan.individual:
        free = [each for each in plan.present(now) if not each.name and not plan.leaves(each)]
        if not free:
            m.fail(RULE, f"{event.to!r} has a seat of {plan.name} that is nobody's")
        expected = _entry(free[0], name=event.to)
    else:
        if not plan.unassigned:
            m.fail(RULE, f"{event.to!r} has a seat of {plan.name} that is nobody's")
        plan.unassigned -= 1
        gone = plan.named.get(event.to)
        number = gone.number if gone is not None else plan.next_seat
        expected = SeatEntry(number, event.to, plan.ends_at, False, 0, 0)
    _take(m, plan, event.seats, [expected])
    _tallied(m, plan, event.tally)


def suspended(m: Shard, event: e.SeatSuspended) -> None:
    """Nothing is authorised for it, or is again; once each."""
    _, plan = _running(m, event)
    _versioned(m, plan, event.revision, event.expected_version)
    seat = plan.seat_of(event.name, m.recorded_at)
    if seat is None or seat.suspended == event.suspended:
        m.fail(RULE, f"{event.name!r} of {plan.name} is suspended or resumed: {seat}")
    _take(m, plan, event.seats, [_entry(seat, suspended=event.suspended)])


def terms_changed(m: Shard, event: e.SeatTermsChanged) -> None:
    """From the next period on; as they are now takes back what was to come."""
    account, plan = _running(m, event)
    m.expect(Rule.CLOSED_TAKES_NOTHING, "seats of a closed account", 0, account.closed_at)
    _versioned(m, plan, event.revision, event.expected_version)
    m.expect(RULE, "what a plan keeps", False, fixed(plan, event.terms))
    plan.next_terms = event.terms if event.terms != plan.terms else None


def ended(m: Shard, event: e.SeatPlanEnded) -> None:
    """With the period, or now with all of its seats; or its package says it no more, whose entry
    follows."""
    if not event.key:
        m.ahead.append(event)
        return
    _, plan = _running(m, event)
    _versioned(m, plan, event.revision, event.expected_version)
    now, taken = m.recorded_at, [*event.taken]
    ends_at = now if event.timing == Timing.NOW else plan.end
    m.expect(RULE, "end", ends_at, event.ends_at)
    if event.timing == Timing.NOW:
        held = [seat for seat in plan.present(now) if is_held(m, plan, seat)]
        m.expect(RULE, "seats with holds", [], held)
    if event.timing == Timing.NOW and event.mode != KEEP:
        if plan.individual:
            for seat in plan.present(now):
                units = _forfeit(m, plan, seat, event)
                seat.released -= _take_back(m, plan, seat.grants, units, taken)
            m.expect(RULE, "taken back of others", [], taken)
        else:
            _take_pool(m, plan, event, plan.quantity(now), plan.quantity(now))
    else:
        m.expect(RULE, "taken back", [], taken)
    _end(m, plan, event, ends_at)


def end_plan(m: Shard, plan: NaivePlan, event: e.SeatPlanEnded, ends_at: int) -> None:
    """It ends then, and keeps what it has."""
    _versioned(m, plan, event.revision, 0)
    _end(m, plan, event, ends_at)


def _end(m: Shard, plan: NaivePlan, event: e.SeatPlanEnded, ends_at: int) -> None:
    plan.ends_at = ends_at
    for seat in plan.seats.values():
        seat.until = min(seat.until, ends_at)
    _tallied(m, plan, event.tally)


def fixed(plan: NaivePlan, terms: e.SeatTerms) -> bool:
    """Whether such terms would change what a plan keeps: how it gives, and its periods."""
    before, allowance = plan.terms, plan.terms.allowance
    return (before.allotment, before.charge) != (terms.allotment, terms.charge) or any(
        getattr(allowance, name) != getattr(terms.allowance, name)
        for name in ("unit", "every", "anchor", "zone")
    )


def is_held(m: Shard, plan: NaivePlan, seat: NaiveSeat) -> bool:
    """Whether a hold has units of a seat, or is for it."""
    own = any(grant.held for grant in m.grants.values() if _is_of(plan, seat, grant.seat))
    pair = (plan.terms.attribute, seat.name)
    account = m.accounts[plan.account]
    return own or (
        seat.name != "" and any(pair in hold.use.attributes for hold in account.holds.values())
    )


def spare(m: Shard, plan: NaivePlan) -> list[NaiveSeat]:
    """Seats of their own that nobody has, that stay and of which nothing is held."""
    return [
        seat
        for seat in plan.present(m.recorded_at)
        if not seat.name and not plan.leaves(seat) and not is_held(m, plan, seat)
    ]


def _is_of(plan: NaivePlan, seat: NaiveSeat, of: tuple[int, str, int] | None) -> bool:
    return of == (plan.account, plan.name, seat.number)


# -- parts of these --------------------------------------------------------------------------------


def _running(m: Shard, event: e.SeatsAdded | e.Event) -> tuple[NaiveAccount, NaivePlan]:
    account = m.deciding(event.account)
    plan = account.seat_plans.get(event.seat_plan)  # type: ignore[union-attr]
    if plan is None or plan.ends_at <= m.recorded_at:
        m.fail(RULE, f"{event} of a plan that does not go on: {plan}")
    return account, plan


def _versioned(m: Shard, plan: NaivePlan, version: int, expected: int) -> None:
    if expected:
        m.expect(Rule.POLICY_VERSIONS, "as expected", plan.version, expected)
    plan.version += 1
    m.expect(Rule.POLICY_VERSIONS, "version of the plan of seats", plan.version, version)


def _begin(
    m: Shard,
    account: NaiveAccount,
    plan: NaivePlan,
    event: e.SeatPlanStarted | e.SeatPeriodBegun,
    start: int,
) -> None:
    """Nothing is given yet of the period that holds an instant."""
    terms = plan.terms.allowance
    cycle_start, end = period_of(m, account, plan.started_at, terms, start)
    plan.start, plan.end, plan.full = start, end, end - cycle_start
    found = (event.start, event.end, event.full)
    m.expect(RULE, "period", (start, end, plan.full), found)
    plan.grants, plan.given = [], 0
    plan.largest = plan.seat_us = plan.released = 0
    for seat in [*plan.seats.values()]:
        seat.entitled = seat.released = 0
        seat.grants = []
        if seat.until <= start and not seat.allotted:
            plan.forget(seat)


def _allot(
    m: Shard,
    plan: NaivePlan,
    event: e.SeatPlanStarted | e.SeatPeriodBegun,
    seats: Sequence[tuple[int, str]],
    suspended: Iterable[int] = (),
    room: int | None = None,
) -> None:
    """Each has its allowance of the period, or the share of the time that is left (rule S1); of
    less room equal parts, the first of them a unit more (rule P3)."""
    terms, part = plan.terms.allowance, (plan.end - plan.start, plan.full)
    share, price_paid = prorated(terms.amount, *part), prorated(terms.price_paid, *part)
    expected: list[SeatEntry] = []
    issues: list[tuple[int, int, int]] = []
    for place, (number, name) in enumerate(seats):
        most = None if room is None else room // len(seats) + (place < room % len(seats))
        amount, price = _within(most, share, price_paid)
        expected.append(SeatEntry(number, name, ENDLESS, number in suspended, amount, amount))
        issues.append((number, amount, price))
    _take(m, plan, event.seats, expected)
    _issue(m, plan, event.issues, issues, plan.start)
    plan.unassigned = plan.leaving = 0
    plan.largest = len(expected)
    _tallied(m, plan, event.tally)


def _pool(
    m: Shard,
    plan: NaivePlan,
    event: e.SeatPlanStarted | e.SeatsAdded | e.SeatPeriodBegun,
    there: int,
    more: int,
    room: int | None = None,
) -> None:
    """What seats above the largest quantity of the period bring, rounded once with all before; who
    takes a place that is paid for has what was taken back of it at most (rule S2)."""
    terms = plan.terms.allowance
    start = m.recorded_at if isinstance(event, e.SeatsAdded) else plan.start
    remaining = plan.end - start
    fresh = max(0, there + more - plan.largest)

    def worth(units: int, seat_us: int) -> int:
        return round(Fraction(units * seat_us, plan.full))

    after = plan.seat_us + fresh * remaining
    gone = max(0, worth(terms.amount, plan.seat_us) - plan.released)
    back = min(prorated((more - fresh) * terms.amount, remaining, plan.full), gone)
    amount = worth(terms.amount, after) - worth(terms.amount, plan.seat_us) + back
    price = worth(terms.price_paid, after) - worth(terms.price_paid, plan.seat_us)
    price += round(Fraction(terms.price_paid * back, terms.amount))
    if room is not None and amount > room:  # time that nothing is given for never comes back
        given = Fraction(max(0, room - back) * plan.full, terms.amount)
        after = min(after, plan.seat_us + ceil(given))
    amount, price = _within(room, amount, price)
    plan.seat_us, plan.largest = after, max(plan.largest, there + more)
    _issue(m, plan, event.issues, [(0, amount, price)], start)


def _within(room: int | None, amount: int, price: int) -> tuple[int, int]:
    """So many units at most, with their share of the price, rounded down."""
    if room is None or amount <= room:
        return amount, price
    return room, price * room // amount


def _more(plan: NaivePlan, event: e.SeatsAdded, now: int) -> int:
    """How many seats more there are, those that were to leave not counted."""
    coming = len([each for each in event.names if plan.seat_of(each, now) is None])
    leaving = plan.leaving
    if plan.individual:
        leaving = len([x for x in plan.present(now) if plan.leaves(x) and not x.name])
    return coming + max(0, event.count - leaving)


def _issue(
    m: Shard,
    plan: NaivePlan,
    found: tuple[SeatIssue, ...],
    wanted: list[tuple[int, int, int]],
    start: int,
) -> None:
    """The grants of these (seat, units, price) stand just before, of whoever gets anything."""
    expected = [each for each in wanted if each[1]]
    said = [(each.seat, each.amount, each.price_paid) for each in found]
    m.expect(RULE, "what seats are given", expected, said)
    terms, account = plan.terms.allowance, m.accounts[plan.account]
    for each in found:
        over = plan.end + terms.expires_after
        grant_of_terms(
            m, account, each.grant, terms, each.amount, each.price_paid, start, over,
            repays=not each.seat,
        )  # fmt: skip
        plan.released += each.amount
        plan.given += m.grants[each.grant].amount
        if not each.seat:
            plan.grants.append(each.grant)
            continue
        seat = plan.seats[each.seat]
        m.grants[each.grant].seat = (account.number, plan.name, seat.number)
        seat.grants.append(each.grant)
        seat.allotted, seat.alerted = True, False


def _take(
    m: Shard, plan: NaivePlan, found: tuple[SeatEntry, ...], expected: list[SeatEntry]
) -> None:
    """Seats are from now on as the entry says, which is as they must be."""
    m.expect(RULE, "seats", expected, list(found))
    for entry in expected:
        seat = plan.seats.get(entry.seat)
        if seat is None:
            seat = plan.seats[entry.seat] = NaiveSeat(entry.seat)
            plan.next_seat = max(plan.next_seat, entry.seat + 1)
        plan.call(seat, entry.name)
        seat.until, seat.suspended = entry.until, entry.suspended
        seat.entitled, seat.released = entry.entitled, entry.released


def _entry(
    seat: NaiveSeat,
    name: str | None = None,
    until: int | None = None,
    suspended: bool | None = None,
) -> SeatEntry:
    return SeatEntry(
        seat.number,
        seat.name if name is None else name,
        seat.until if until is None else until,
        seat.suspended if suspended is None else suspended,
        seat.entitled,
        seat.released,
    )


def _forfeit(m: Shard, plan: NaivePlan, seat: NaiveSeat, event: e.Event) -> int:
    """Units that a seat loses at most: all that it had, or the share of the time that is left."""
    if event.mode != PRORATED:  # type: ignore[union-attr]
        return seat.released
    return prorated(plan.terms.allowance.amount, plan.end - m.recorded_at, plan.full)


def _take_pool(
    m: Shard, plan: NaivePlan, event: e.SeatsRemoved | e.SeatPlanEnded, seats: int, there: int
) -> None:
    """So many seats' part of what the pool has had, or of the time that is left."""
    amount = plan.released * seats // there if seats else 0
    if event.mode == PRORATED:
        whole = seats * plan.terms.allowance.amount
        amount = prorated(whole, plan.end - m.recorded_at, plan.full)
    taken = [*event.taken]
    _take_back(m, plan, plan.grants, amount, taken)
    m.expect(RULE, "taken back of others", [], taken)


def _take_back(
    m: Shard, plan: NaivePlan, grants: list[int], amount: int, taken: list[e.TakenBack]
) -> int:
    """What was unspent of these grants, the last first, stands just before as taken back."""
    units = 0
    for number in reversed(grants):
        grant = m.grants[number]
        here = [each for each in m.ahead if isinstance(each, e.GrantReduced)]
        back = sum(each.amount for each in here if each.grant == number)
        part = 0 if grant.settled else min(amount - units, grant.available + back)
        if part <= 0:
            m.expect(RULE, f"taken back of grant {number}", 0, back)
            continue
        m.expect(RULE, f"taken back of grant {number}", part, back)
        m.explained(e.GrantReduced, number)
        said = taken.pop(0) if taken else None
        m.expect(RULE, "said to be taken back", e.TakenBack(number, part), said)
        units += part
    plan.released -= units
    plan.given -= units
    return units


def _tallied(m: Shard, plan: NaivePlan, tally: SeatTally) -> None:
    """The tally is that, and the period has given no more than the time share of its largest
    quantity (rule S2)."""
    expected = SeatTally(plan.unassigned, plan.leaving, plan.largest, plan.seat_us, plan.released)
    m.expect(RULE, "tally", expected, tally)
    m.expect(RULE, "units that the period has given", plan.given, plan.released)
    rest = plan.end - plan.start
    if plan.individual:
        most = plan.largest * prorated(plan.terms.allowance.amount, rest, plan.full)
    else:
        most = prorated(plan.terms.allowance.amount * plan.largest, rest, plan.full)
    if plan.given > most:
        m.fail(RULE, f"{plan.name} has given {plan.given} of {most}")


# -- what is told ----------------------------------------------------------------------------------


def after_draw(m: Shard, account: NaiveAccount, pieces: list[Piece]) -> None:
    """Of each seat that was drawn from little may be left, which is told once a grant of its."""
    if not account.seat_plans:
        return
    drawn = dict.fromkeys(
        m.grants[piece.place[1]].seat for piece in pieces if piece.place[0] == "grant"
    )

    def follow() -> list[e.Event]:
        found: list[e.Event] = []
        for of in drawn:
            if of is None:
                continue
            plan = m.accounts[of[0]].seat_plans[of[1]]
            seat = plan.seats[of[2]]
            left = sum(m.grants[number].available for number in seat.grants)
            if seat.grants and not seat.alerted and left <= plan.terms.alert:
                seat.alerted = True
                found.append(
                    e.SeatAllowanceLow(
                        of[0], plan.name, seat.number, seat.name, left, seat.entitled
                    )
                )
        return found

    m.behind.append(follow)
