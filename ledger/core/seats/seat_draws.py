"""Whose allowance usage draws that names a seat, and what it may draw besides (rules D1, S3).

A seat's own allowance pays first, under every comparator: it is the nearest pot. Reads state,
changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from ledger.core.drawing.comparators import order_of
from ledger.core.events import (
    Event,
    ExhaustedSeat,
    HoldAuthorized,
    RecurringTerms,
    SeatAllowanceLow,
    Slice,
    UnknownSeat,
    UsageRecorded,
)
from ledger.core.holdings import Grant
from ledger.core.outcomes import Reason, Refusal
from ledger.core.seats.seats import Seat, SeatPlan
from ledger.core.shapes import Shape, Use
from ledger.core.state import Account, State


class Turn:
    """What pays first for usage of a seat, and whether the account pays the rest: its grants and
    overdraft (`account`), overage (`overage`)."""

    __slots__ = ("account", "overage", "pots")

    def __init__(self, pots: list[Grant], exhausted: ExhaustedSeat, recorded: bool) -> None:
        self.pots = pots
        denies = exhausted == ExhaustedSeat.DENY and not recorded
        self.account = exhausted != ExhaustedSeat.OVERAGE and not denies
        self.overage = not denies


def turn_of(account: Account, asset: int, use: Use, at: int, recorded: bool) -> Turn | None:
    """What seats have to do with who pays; None = nothing. `recorded` usage has happened, and is
    never refused (rule D4)."""
    found = seats_of(account, asset, use, at)
    if found is None:
        return None
    plan, seats = found
    return Turn(_in_order(seats), plan.terms.exhausted, recorded)


def seats_of(account: Account, asset: int, use: Use, at: int) -> tuple[SeatPlan, list[Seat]] | None:
    """Whose allowances pay first for usage of a seat, and the plan that says so; None = nobody's,
    it is no usage of a seat that has one."""
    seats = account.seats
    if seats is None or not seats.individual:
        return None
    for plan in seats.individual:
        name = _named(plan, use.attributes)
        if not name or not _pays_for(plan.terms.allowance, asset, use):
            continue
        seat = plan.seat_of(name, at)
        if seat is not None:
            return plan, [seat]
        if plan.terms.unknown == UnknownSeat.UNASSIGNED:
            return plan, [each for each in plan.present(at) if not each.name]
    return None


def _named(plan: SeatPlan, attributes: frozenset[tuple[str, str]]) -> str:
    """The seat of a plan that usage names; "" = none."""
    for name, value in attributes:
        if name == plan.terms.attribute:
            return value
    return ""


def _pays_for(allowance: RecurringTerms, asset: int, use: Use) -> bool:
    """Whether seats are given something for such usage at all."""
    if allowance.asset != asset:
        return False
    named = not allowance.products and not allowance.tags
    named = named or use.product in allowance.products or not use.tags.isdisjoint(allowance.tags)
    return named and use.attributes.issuperset(allowance.attributes)


def _in_order(seats: list[Seat]) -> list[Grant]:
    """Their grants with units left, seat by seat, each as the comparator says."""
    return [grant for seat in seats for grant in sorted(seat.pots, key=order_of)]


# -- who is let in ---------------------------------------------------------------------------------


def refuse_seat(account: Account, shape: Shape, at: int) -> Refusal | None:
    """New usage names a seat that a plan does not have and rejects (rule S3); the same id may be
    accepted once it has (rule I2)."""
    seats = account.seats
    if seats is None or not seats.strict:
        return None
    for plan in seats.strict:
        for name, value in shape.attributes:
            if name == plan.terms.attribute and _is_unknown(plan, value, at):
                return Refusal(
                    Reason.SEAT_UNKNOWN,
                    f"attributes.{name}",
                    value,
                    f"the plan {plan.name!r} has no such seat at that time; add it and send the "
                    "same again",
                )
    return None


def _is_unknown(plan: SeatPlan, name: str, at: int) -> bool:
    lasts = plan.started_at <= at < plan.ends_at
    return lasts and plan.seat_of(name, at) is None


def is_suspended(account: Account, use: Use, now: int) -> bool:
    """Whether work names a seat for which nothing is authorised."""
    if account.seats is None:
        return False
    for plan in account.seats.plans.values():
        name = _named(plan, use.attributes)
        seat = plan.seat_of(name, now) if name else None
        if seat is not None and seat.suspended:
            return True
    return False


# -- what is told ----------------------------------------------------------------------------------


def tell_seats(state: State, event: Event, out: list[Event]) -> None:
    """Append for each seat that an entry drew from what its plan has told of it: little is left of
    what the period gave it."""
    if not isinstance(event, UsageRecorded | HoldAuthorized):
        return
    for seat in _drawn(state, event.slices):
        alert, left = seat.plan.terms.alert, left_of_period(state, seat)
        if not seat.alerted and seat.grants and left <= alert:
            out.append(
                SeatAllowanceLow(
                    seat.plan.account.number,
                    seat.plan.name,
                    seat.number,
                    seat.name,
                    left,
                    seat.entitled,
                )
            )


def _drawn(state: State, slices: Sequence[Slice]) -> list[Seat]:
    """The seats whose allowances these slices are of, each once."""
    found: list[Seat] = []
    for piece in slices:
        grant = state.books.accounts[piece.book].grant
        if grant is not None and grant.seat is not None and grant.seat not in found:
            found.append(grant.seat)
    return found


def left_of_period(state: State, seat: Seat) -> int:
    """Units that are left of what the period gave a seat."""
    return sum([max(0, state.grants[number].book.available) for number in seat.grants])
