"""What may be asked of a plan of seats, and why not (rules S2, S3). Reads state only."""

from __future__ import annotations

from ledger.core.commands import RemoveSeats, StartSeatPlan
from ledger.core.events import Allotment, GrantKind, SeatRemoval, SeatTerms
from ledger.core.funding.recurring import invalid_terms
from ledger.core.limits import (
    INT64_MAX,
    SEAT_PLANS_AN_ACCOUNT_MAX,
    SEATS_NAMED_MAX,
    SEATS_OWN_MAX,
    SEATS_POOLED_MAX,
)
from ledger.core.outcomes import Reason, Refusal
from ledger.core.seats.seats import Seat, SeatPlan
from ledger.core.state import Account, State


def running(state: State, account: Account, name: str, expected_version: int) -> SeatPlan | Refusal:
    """The account's plan of that name, if it goes on."""
    plan = account.seats.plans.get(name) if account.seats is not None else None
    if plan is None:
        return Refusal(
            Reason.SEAT_PLAN_UNKNOWN,
            "plan",
            name,
            "the account has no such plan of seats; start it, or name another",
        )
    if plan.ends_at <= state.now:
        return Refusal(
            Reason.SEAT_PLAN_ENDED,
            "plan",
            str(plan.ends_at),
            "the plan ended at this instant; start it again",
        )
    if expected_version and expected_version != plan.revision:
        return Refusal(
            Reason.VERSION_MISMATCH,
            "expected_version",
            str(plan.revision),
            f"the plan is at version {plan.revision}, not {expected_version}; read it again",
        )
    return plan


def not_startable(
    state: State, account: Account, command: StartSeatPlan, before: SeatPlan | None
) -> Refusal | None:
    """Why a plan cannot begin. One that ended begins again only after its period: what that had
    granted is not granted again (rule S2)."""
    plans = account.seats.plans if account.seats is not None else {}
    if before is not None and before.ends_at > state.now:
        return Refusal(
            Reason.SEAT_PLAN_EXISTS,
            "plan",
            command.seat_plan,
            "the account has this plan of seats already; add seats to it, or end it first",
        )
    if before is not None and before.period_end > state.now:
        return Refusal(
            Reason.SEAT_PLAN_ENDED,
            "plan",
            str(before.period_end),
            "the period of the plan that ended runs until this instant, with what it has granted; "
            "start it again then",
        )
    refusal = too_many_plans(len(plans)) if before is None else None
    if refusal is not None:
        return refusal
    if command.count < 0:
        return seats_invalid("count", str(command.count), "a number of seats is zero or more")
    return _invalid_names(command.seats) or invalid_seat_terms(state, account, command.terms)


def too_many_plans(have: int) -> Refusal | None:
    """One more than an account may have."""
    if have < SEAT_PLANS_AN_ACCOUNT_MAX:
        return None
    return Refusal(
        Reason.SEATS_LIMIT,
        "plan",
        str(have),
        f"an account has at most {SEAT_PLANS_AN_ACCOUNT_MAX} plans of seats, ended ones too",
    )


def invalid_seat_terms(state: State, account: Account, terms: SeatTerms) -> Refusal | None:
    """The first thing that is wrong with the terms of a plan."""
    allowance = terms.allowance
    refusal = invalid_terms(state, account, allowance)
    if refusal is not None:
        field = refusal.field.removeprefix("terms.")
        return Refusal(refusal.reason, f"terms.allowance.{field}", refusal.value, refusal.message)
    own = terms.allotment == Allotment.INDIVIDUAL
    wrong = (
        (
            own and not terms.attribute,
            "terms.attribute",
            "",
            "an allowance of each seat's own needs the attribute that names the seat",
        ),
        (
            own and allowance.shared,
            "terms.allowance.shared",
            "true",
            "only its seat draws an allowance of its own; share that of a pool",
        ),
        (
            allowance.kind == GrantKind.POSTPAID,
            "terms.allowance.kind",
            "postpaid",
            "an allowance comes with a fee, is given away, or is paid ahead",
        ),
        (
            allowance.rollover is not None,
            "terms.allowance.rollover",
            "set",
            "what seats are given ends with the period and its expires_after",
        ),
        (
            not -1 <= terms.alert <= INT64_MAX,
            "terms.alert",
            str(terms.alert),
            "an alert is told at so many units left, from 0 to 2^63 - 1, or not",
        ),
        (
            terms.alert >= 0 and not own,
            "terms.alert",
            str(terms.alert),
            "seats of a pool have nothing of their own; have a budget say how much is used",
        ),
    )
    for fails, field, value, message in wrong:
        if fails:
            return seats_invalid(field, value, message)
    return None


def terms_fixed(plan: SeatPlan, terms: SeatTerms) -> Refusal | None:
    """What a plan keeps while it goes on: how it gives its allowance, its periods and its fee; all
    of it where a package says it."""
    if plan.terms.packaged:
        message = "a package says what the plan gives; publish a version of it, or change it"
        return Refusal(Reason.TERMS_FIXED, "plan", plan.name, message)
    before, allowance = plan.terms, terms.allowance
    for field, kept, given in (
        ("allotment", before.allotment.name, terms.allotment.name),
        ("charge", before.charge, terms.charge),
        *[
            (f"allowance.{field}", getattr(before.allowance, field), getattr(allowance, field))
            for field in ("unit", "every", "anchor", "zone")
        ],
    ):
        if kept != given:
            return Refusal(
                Reason.TERMS_FIXED,
                f"terms.{field}",
                str(given),
                "a plan keeps how it gives its allowance, its periods and its fee; end it with its "
                "period, and start another",
            )
    return None


def _invalid_names(names: tuple[str, ...]) -> Refusal | None:
    if "" in names:
        return seats_invalid("seats", "", "a named seat has a name; count those that have none")
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return seats_invalid("seats", name, "a call names each seat once")
        seen.add(name)
    return None


def seats_limit(terms: SeatTerms, full: int, named: int, unassigned: int) -> Refusal | None:
    """More seats than a plan has, or more units than one transfer fits (rule N1)."""
    allowance, quantity = terms.allowance, named + unassigned
    own = terms.allotment == Allotment.INDIVIDUAL
    for value, most, what in (
        (quantity, SEATS_OWN_MAX if own else SEATS_POOLED_MAX, "seats"),
        (named, SEATS_NAMED_MAX, "named seats"),
    ):
        if value > most:
            message = f"a plan has at most {most} {what}"
            if own:
                message += " with an allowance of their own"
            return Refusal(Reason.SEATS_LIMIT, "seats", str(value), message)
    figures = (allowance.amount, allowance.price_paid, 2 * full)  # a period may be longer
    if quantity * max(figures) > INT64_MAX:
        return Refusal(
            Reason.OVERFLOW,
            "seats",
            str(quantity),
            "seats x allowance, price and microseconds of a period fit in 64 bits each; have fewer "
            "seats, or a shorter period",
        )
    return None


def not_addable(plan: SeatPlan, names: tuple[str, ...], count: int, now: int) -> Refusal | None:
    """Why these seats cannot be added."""
    refusal = _invalid_count(names, count) or _invalid_names(names)
    if refusal is not None:
        return refusal
    named = len([seat for seat in plan.present(now) if seat.name])
    coming = 0
    for name in names:
        seat = plan.seat_of(name, now)
        if seat is not None and not seat.leaves:
            return taken_already("seats", name)
        coming += seat is None
    unassigned = plan.quantity(now) - named + count
    return seats_limit(plan.terms, plan.full, named + coming, unassigned)


def _invalid_count(names: tuple[str, ...], count: int) -> Refusal | None:
    if count < 0 or not (names or count):
        return seats_invalid(
            "count", str(count), "name seats, or say how many; a number of seats is zero or more"
        )
    return None


def seats_leaving(state: State, plan: SeatPlan, command: RemoveSeats) -> list[Seat] | Refusal:
    """The seats that are to be removed but those of a pool that nobody has."""
    now = state.now
    refusal = _invalid_count(command.seats, command.count) or _invalid_names(command.seats)
    if refusal is not None:
        return refusal
    found: list[Seat] = []
    for name in command.seats:
        seat = find_seat(plan, "seats", name, now)
        if isinstance(seat, Refusal):
            return seat
        if seat.leaves and command.mode == SeatRemoval.KEEP_UNTIL_PERIOD_END:
            return Refusal(
                Reason.SEAT_LEAVING,
                "seats",
                name,
                "the seat leaves with the period already; forfeit what it has, or add it again",
            )
        if is_held(plan, seat):
            return held(name)
        found.append(seat)
    if not plan.individual:
        spare = plan.tally.unassigned
    else:
        free = [
            seat
            for seat in plan.present(now)
            if not seat.name and not seat.leaves and not is_held(plan, seat)
        ]
        spare = len(free)
        found.extend(free[max(0, spare - command.count) :] if command.count else [])
    if spare < command.count:
        return seats_too_few("count", spare)
    return found


def find_seat(plan: SeatPlan, field: str, name: str, now: int) -> Seat | Refusal:
    """A seat that is there."""
    seat = plan.seat_of(name, now)
    if seat is None:
        return Refusal(
            Reason.SEAT_UNKNOWN,
            field,
            name,
            "the plan has no such seat now; add it, or name another",
        )
    return seat


def is_held(plan: SeatPlan, seat: Seat) -> bool:
    """Whether a hold reserves what is the seat's, or was authorised for it."""
    if any(grant.book.debits_pending for grant in seat.pots):
        return True
    pair = (plan.terms.attribute, seat.name)
    return bool(seat.name) and any(pair in hold.attributes for hold in plan.account.holds.values())


def held(name: str) -> Refusal:
    """A seat for which something is held is not removed."""
    return Refusal(
        Reason.SEAT_HELD,
        "seats",
        name,
        "holds are open for the seat; capture or release them first",
    )


def taken_already(field: str, name: str) -> Refusal:
    """Two cannot have one seat's name."""
    return Refusal(
        Reason.SEAT_TAKEN, field, name, "the plan has a seat of this name already; name another"
    )


def seats_too_few(field: str, unassigned: int) -> Refusal:
    """Fewer seats are unassigned than are asked for."""
    return Refusal(
        Reason.SEATS_TOO_FEW,
        field,
        str(unassigned),
        "so many seats of the plan are unassigned, free of holds and stay; name seats, or add some",
    )


def seats_invalid(field: str, value: str, message: str) -> Refusal:
    """What is said of seats or of a plan does not fit together."""
    return Refusal(Reason.SEATS_INVALID, field, value, message)
