"""Seats: each period once, never more than the time share of the largest quantity, and only its own
usage draws what is a seat's (rules D1, S1 to S3)."""

from __future__ import annotations

from collections.abc import Sequence

from ledger.core.events import (
    Allotment,
    HoldAuthorized,
    SeatAllowanceLow,
    SeatEntry,
    SeatIssue,
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
    UnknownSeat,
    UsageRecorded,
)
from ledger.core.seats.seats import SeatPlan
from ledger.core.state import Account, State
from ledger.verify.rules.judge import Judge
from ledger.verify.rules.period_bound import look_at_added, note_started


def seat_plan_started(judge: Judge, state: State, event: SeatPlanStarted) -> None:
    """Of an open account that has no such plan, from now on; after the period of one that ended."""
    account = state.accounts[event.account]
    before = _plan(account, event.seat_plan)
    judge.equal(state, "plan of seats of a closed account", 0, account.closed_at)
    if event.key or event.start > state.now:  # of a package: as its period begins
        judge.equal(state, "start of the plan of seats", state.now, event.start)
    judge.equal(state, "whether a package starts it", not event.key, event.terms.packaged)
    if before is not None and max(before.ends_at, before.period_end) > event.start:
        judge.wrong(state, "plan of seats", "one that is over", event.seat_plan)
    revision = before.revision + 1 if before is not None else 1
    judge.equal(state, "version of the plan of seats", revision, event.revision)
    note_started(judge, state, event)
    quantity = len(event.names) + event.count
    _look_at_period(judge, state, account, event, event.terms, quantity)


def seats_added(judge: Judge, state: State, event: SeatsAdded) -> None:
    """Nobody who has a seat has another; what is new has its share of the time, what comes back has
    at most what was taken back of its place."""
    plan = _running(judge, state, event.account, event.seat_plan, event.revision)
    if plan is None:
        return
    now = state.now
    granted = _look_at_issues(judge, state, plan.account, event.issues, now)
    for name in event.names:
        seat = plan.by_name.get(name)
        if seat is not None and seat.until >= plan.ends_at > now:
            judge.wrong(state, "seat that is added", "nobody's", name)
    quantity = _look_at_quantity(judge, state, plan, event.seats, event.tally)
    _look_at_tally(judge, state, plan, event.tally, sum(granted.values()))
    look_at_added(judge, state, plan, event, quantity - plan.quantity(now))
    for entry in event.seats:
        before = plan.seats.get(entry.seat)
        had = before.released if before is not None else 0
        given = granted.get(entry.seat, 0)
        judge.equal(state, f"units of seat {entry.seat}", had + given, entry.released)
        if not 0 <= entry.released <= entry.entitled:
            judge.wrong(state, f"units of seat {entry.seat}", f"{entry.entitled} at most", given)
        if before is not None:
            judge.equal(state, f"allowance of seat {entry.seat}", before.entitled, entry.entitled)
        most = plan.terms.allowance.amount * (plan.period_end - now)
        if given and 2 * given * plan.full > 2 * most + plan.full:
            judge.wrong(state, f"share of seat {entry.seat}", f"{most} / {plan.full}", given)


def seats_removed(judge: Judge, state: State, event: SeatsRemoved) -> None:
    """Seats that are there; what is taken back is theirs, or their pool's."""
    plan = _running(judge, state, event.account, event.seat_plan, event.revision)
    if plan is None:
        return
    for name in event.names:
        if plan.seat_of(name, state.now) is None:
            judge.wrong(state, "seat that is removed", "one that is there", name)
    removed = {entry.seat for entry in event.seats}
    taken: dict[int, int] = {}
    for part in event.taken:
        seat = state.grants[part.grant].seat
        number = seat.number if seat is not None else 0
        if plan.individual and (seat is None or seat.plan is not plan or number not in removed):
            judge.wrong(state, "units taken back", "of a seat that is removed", part)
        taken[number] = taken.get(number, 0) + part.amount
    _look_at_taken(judge, state, plan, event.taken)
    _look_at_share(judge, state, plan, event.mode, taken, len(event.names) + event.count)
    _look_at_quantity(judge, state, plan, event.seats, event.tally)
    _look_at_tally(judge, state, plan, event.tally, -sum(taken.values()))
    for entry in event.seats:
        left = plan.seats[entry.seat].released - taken.get(entry.seat, 0)
        judge.equal(state, f"units of seat {entry.seat}", left, entry.released)


def seat_reassigned(judge: Judge, state: State, event: SeatReassigned) -> None:
    """It keeps what it has, and nothing is granted (rule S2)."""
    plan = _running(judge, state, event.account, event.seat_plan, event.revision)
    if plan is None:
        return
    if event.to and plan.seat_of(event.to, state.now) is not None:
        judge.wrong(state, "seat that is given away", "to somebody without one", event.to)
    for entry in event.seats:
        before = plan.seats.get(entry.seat)
        figures = (before.entitled, before.released) if before is not None else (0, 0)
        found = (entry.entitled, entry.released)
        judge.equal(state, f"allowance of seat {entry.seat}", figures, found)
    _look_at_quantity(judge, state, plan, event.seats, event.tally, moved=True)
    _look_at_tally(judge, state, plan, event.tally, 0)


def seat_suspended(judge: Judge, state: State, event: SeatSuspended) -> None:
    """A seat that is there, and was not so before."""
    plan = _running(judge, state, event.account, event.seat_plan, event.revision)
    if plan is None:
        return
    seat = plan.seat_of(event.name, state.now)
    judge.equal(
        state,
        f"whether seat {event.name!r} was suspended",
        not event.suspended,
        seat.suspended if seat is not None else None,
    )


def seat_period_begun(judge: Judge, state: State, event: SeatPeriodBegun) -> None:
    """Follows the period before without gap, once it is due, with the seats that stay."""
    account = state.accounts[event.account]
    plan = _plan(account, event.seat_plan)
    if plan is None or plan.ends_at <= event.start:
        judge.wrong(state, "period of seats", "of a plan that goes on", event.seat_plan)
        return
    judge.equal(state, "start of the period of seats", plan.period_end, event.start)
    if event.start > state.now:
        judge.wrong(state, "period of seats", f"due at {event.start}", state.now)
    there = plan.present(event.start)
    if plan.individual:
        numbers = [seat.number for seat in there]
        judge.equal(state, "seats of the period", numbers, [each.seat for each in event.seats])
    if event.terms is not None:
        kept = (plan.terms.packaged or plan.next_terms is not None, plan.terms.allotment)
        judge.equal(state, "kind of the plan", kept, (True, event.terms.allotment))
    if plan.next_terms is not None:
        judge.equal(state, "terms from the next period on", plan.next_terms, event.terms)
    terms = event.terms or plan.terms
    _look_at_period(judge, state, account, event, terms, len(there) + event.tally.unassigned)
    judge.equal(state, "unassigned seats", plan.tally.unassigned, event.tally.unassigned)


def seat_terms_changed(judge: Judge, state: State, event: SeatTermsChanged) -> None:
    """Of a plan that no package says; in the same periods, given in the same way, with its fee."""
    plan = _running(judge, state, event.account, event.seat_plan, event.revision)
    if plan is None:
        return
    before, after = plan.terms, event.terms
    judge.equal(
        state,
        "what a plan of seats keeps",
        (False, before.allotment, before.charge, _periods(before)),
        (before.packaged or after.packaged, after.allotment, after.charge, _periods(after)),
    )


def _periods(terms: SeatTerms) -> tuple[object, ...]:
    allowance = terms.allowance
    return allowance.unit, allowance.every, allowance.anchor, allowance.zone


def seat_plan_ended(judge: Judge, state: State, event: SeatPlanEnded) -> None:
    """Now, or with its period."""
    plan = _running(judge, state, event.account, event.seat_plan, event.revision)
    if plan is None:
        return
    if event.ends_at not in (state.now, plan.period_end):
        judge.wrong(state, "end of the plan of seats", plan.period_end, event.ends_at)
    _look_at_taken(judge, state, plan, event.taken)
    taken: dict[int, int] = {}
    for part in event.taken:
        seat = state.grants[part.grant].seat
        number = seat.number if seat is not None else 0
        taken[number] = taken.get(number, 0) + part.amount
    now = event.timing == Timing.NOW
    mode = event.mode if now else SeatRemoval.KEEP_UNTIL_PERIOD_END
    _look_at_share(judge, state, plan, mode, taken, plan.quantity(state.now))
    released = plan.tally.released - sum(taken.values())
    judge.equal(state, "units of the plan of seats", released, event.tally.released)


def seat_allowance_low(judge: Judge, state: State, event: SeatAllowanceLow) -> None:
    """As little is left as the plan has it told of, which it was not in this period."""
    plan = _plan(state.accounts[event.account], event.seat_plan)
    seat = plan.seats.get(event.seat) if plan is not None else None
    if plan is None or seat is None or seat.alerted:
        judge.wrong(state, "seat with little left", "told once a period", event.seat)
        return
    left = sum([max(0, state.grants[number].book.available) for number in seat.grants])
    judge.equal(state, "left of the seat's allowance", left, event.left)
    if left > plan.terms.alert:
        judge.wrong(state, "left of the seat's allowance", f"{plan.terms.alert} at most", left)


def seats_pay(judge: Judge, state: State, event: UsageRecorded | HoldAuthorized) -> None:
    """What is a seat's own is drawn by usage that names it, or by that of an unknown seat where it
    is nobody's and the plan says so (rules D1, S3). A capture draws what its hold was given."""
    for piece in event.slices:
        grant = state.books.accounts[piece.book].grant
        if grant is None or grant.seat is None:
            continue
        seat, terms = grant.seat, grant.seat.plan.terms
        named = dict(state.declared[event.plan].attributes).get(terms.attribute, "")
        judge.equal(state, f"account of seat {seat.number}", grant.account.number, event.account)
        spare = not seat.name and terms.unknown == UnknownSeat.UNASSIGNED
        unknown = named and seat.plan.seat_of(named, event.effective_at) is None
        if not named or not (named == seat.name or (spare and unknown)):
            judge.wrong(state, f"seat that pays with grant {grant.number}", named, seat.name)


def _plan(account: Account, name: str) -> SeatPlan | None:
    return account.seats.plans.get(name) if account.seats is not None else None


def _running(judge: Judge, state: State, number: int, name: str, revision: int) -> SeatPlan | None:
    plan = _plan(state.accounts[number], name)
    if plan is None or plan.ends_at <= state.now:
        judge.wrong(state, "plan of seats", "one that goes on", name)
        return None
    judge.equal(state, "version of the plan of seats", plan.revision + 1, revision)
    return plan


def _look_at_period(
    judge: Judge,
    state: State,
    account: Account,
    event: SeatPlanStarted | SeatPeriodBegun,
    terms: SeatTerms,
    quantity: int,
) -> None:
    """A period is a part of a full one, and grants the share of the time of all its seats, rounded
    once a grant (rule S1)."""
    remaining = event.end - event.start
    if not 0 < remaining <= event.full:
        judge.wrong(state, "period of seats", f"1 to {event.full}", remaining)
        return
    judge.equal(state, "largest quantity", quantity, event.tally.largest)
    granted = _look_at_issues(judge, state, account, event.issues, event.start)
    amount = terms.allowance.amount
    less = _has_others(account, event, terms) or _has_grants(state, account, event, terms)
    if terms.allotment == Allotment.INDIVIDUAL:
        whole = _half_even(amount * remaining, event.full)
        for entry in event.seats:
            given = granted.get(entry.seat, 0)
            found = (entry.entitled, entry.released, given)
            due = given if less and given < whole else whole
            judge.equal(state, f"units of seat {entry.seat}", (due, due, due), found)
    else:
        whole = _half_even(amount * quantity * remaining, event.full)
        given = granted.get(0, 0)
        seat_us, counted = quantity * remaining, event.tally.seat_us
        fewer = less and given < whole and 0 <= counted < seat_us
        judge.equal(state, "time of the seats", counted if fewer else seat_us, counted)
        judge.equal(state, "units of the pool", given if less and given < whole else whole, given)
    judge.equal(state, "units of the period", sum(granted.values()), event.tally.released)


def _has_others(
    account: Account, event: SeatPlanStarted | SeatPeriodBegun, terms: SeatTerms
) -> bool:
    """Whether seats of another package have a part of the period, which counts (rule P3)."""
    plans = account.seats.plans.values() if account.seats is not None else ()
    since, subscription = event.start, account.subscription
    if isinstance(event, SeatPlanStarted) and subscription and since < subscription.period_end:
        since = min(since, subscription.period_end - subscription.full)  # over by now, too
    return terms.packaged and any(
        plan.terms.packaged
        and plan.name != event.seat_plan
        and plan.terms.allowance.asset == terms.allowance.asset
        and since < plan.period_end
        and plan.ends_at <= plan.period_end
        for plan in plans
    )


def _has_grants(
    state: State, account: Account, event: SeatPlanStarted | SeatPeriodBegun, terms: SeatTerms
) -> bool:
    """Whether another package granted of the period, which counts: where a plan starts it is the
    one before that the account still has (rule P3)."""
    subscription = account.subscription
    if not terms.packaged or subscription is None or event.start >= subscription.period_end:
        return False
    asset = terms.allowance.asset
    granted = sum([each.released for each in subscription.minted if each.asset == asset])
    if isinstance(event, SeatPlanStarted):
        return granted > 0
    issued = [each for each in subscription.issues if each.grant]
    own = [each.amount for each in issued if state.grants[each.grant].asset == asset]
    return granted > sum(own)


def _look_at_issues(
    judge: Judge, state: State, account: Account, issues: Sequence[SeatIssue], start: int
) -> dict[int, int]:
    """Each is a grant that is there, of that account and from then on: seat -> units."""
    found: dict[int, int] = {}
    for issue in issues:
        found[issue.seat] = found.get(issue.seat, 0) + issue.amount
        if not issue.grant:
            judge.equal(state, f"units of seat {issue.seat}", 0, issue.amount)
            continue
        grant = state.grants[issue.grant]
        judge.equal(
            state,
            f"grant {issue.grant}",
            (account.number, issue.amount, issue.price_paid, start),
            (grant.account.number, grant.amount, grant.price_paid, grant.effective_at),
        )
    return found


def _look_at_quantity(
    judge: Judge,
    state: State,
    plan: SeatPlan,
    entries: Sequence[SeatEntry],
    tally: SeatTally,
    *,
    moved: bool = False,
) -> int:
    """Never below nothing; a seat that is given away changes no quantity. Returns it."""
    now = state.now
    there = {seat.number for seat in plan.present(now)}
    for entry in entries:
        if entry.until > now:
            there.add(entry.seat)
        else:
            there.discard(entry.seat)
    quantity = len(there) + tally.unassigned + tally.leaving
    if min(tally.unassigned, tally.leaving) < 0 or quantity > tally.largest:
        judge.wrong(state, "quantity of seats", f"{tally.largest} at most", quantity)
    if moved:
        judge.equal(state, "quantity of seats", plan.quantity(now), quantity)
    return quantity


def _look_at_tally(
    judge: Judge, state: State, plan: SeatPlan, tally: SeatTally, granted: int
) -> None:
    """What a pool has had is never more than the time share of its largest quantity (rule S2)."""
    before = plan.tally
    judge.equal(state, "units of the period", before.released + granted, tally.released)
    more = tally.largest - before.largest
    if more < 0:
        judge.wrong(state, "largest quantity", f"{before.largest} or more", tally.largest)
    if plan.individual:
        return
    seat_us = before.seat_us + more * (plan.period_end - state.now)
    fewer = plan.terms.packaged and before.seat_us <= tally.seat_us < seat_us
    judge.equal(state, "time of the seats", tally.seat_us if fewer else seat_us, tally.seat_us)
    most = _half_even(plan.terms.allowance.amount * tally.seat_us, plan.full)
    if not 0 <= tally.released <= most:
        judge.wrong(state, "units of the pool", f"{most} at most", tally.released)


def _look_at_taken(judge: Judge, state: State, plan: SeatPlan, taken: Sequence[TakenBack]) -> None:
    grants = {number for seat in plan.seats.values() for number in seat.grants}
    grants.update(plan.grants)
    for part in taken:
        if part.grant not in grants or part.amount <= 0:
            judge.wrong(state, "units taken back", "of a grant of the period", part)


def _look_at_share(
    judge: Judge,
    state: State,
    plan: SeatPlan,
    mode: SeatRemoval,
    taken: dict[int, int],
    seats: int,
) -> None:
    """Of seats that leave with the period nothing is taken back, by the share of the time no more
    than theirs: each one's own, or of their pool (rules S1, S2)."""
    if mode == SeatRemoval.KEEP_UNTIL_PERIOD_END:
        judge.equal(state, "units taken back of seats that stay", {}, taken)
    if mode != SeatRemoval.FORFEIT_PRORATED:
        return
    whole = plan.terms.allowance.amount * (1 if plan.individual else seats)
    most = _half_even(whole * (plan.period_end - state.now), plan.full)
    for number, units in taken.items():
        if units > most:
            judge.wrong(state, f"units taken back of seat {number}", f"{most} at most", units)


def _half_even(numerator: int, denominator: int) -> int:
    """Rounded to the nearest, a half to the even one (rule N2)."""
    whole, rest = divmod(numerator, denominator)
    return whole + (2 * rest > denominator or (2 * rest == denominator and whole % 2 == 1))
