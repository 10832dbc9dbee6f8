"""Plans of seats, those that ended too."""

from __future__ import annotations

import msgspec

from ledger.core.events import SeatTally, SeatTerms
from ledger.core.seats.seats import Seat, SeatPlan, SeatPlans
from ledger.core.state import Account


class PackedSeat(msgspec.Struct, array_like=True, gc=False):
    """A seat; `known`: usage that names it is its own. Its grants name it."""

    number: int
    name: str
    known: bool
    until: int
    suspended: bool
    entitled: int
    released: int
    grants: tuple[int, ...]
    allotted: bool
    alerted: bool


class PackedSeatPlan(msgspec.Struct, array_like=True, gc=False):
    """A plan. `ends_at` NEVER = it goes on."""

    name: str
    terms: SeatTerms
    created_at: int
    started_at: int
    ends_at: int
    revision: int
    period_start: int
    period_end: int
    full: int
    grants: tuple[int, ...]
    tally: SeatTally
    next_seat: int
    seats: list[PackedSeat]
    next_terms: SeatTerms | None = None


def pack_seat_plans(plans: SeatPlans | None) -> list[PackedSeatPlan]:
    if plans is None:
        return []
    return [
        PackedSeatPlan(
            plan.name,
            plan.terms,
            plan.created_at,
            plan.started_at,
            plan.ends_at,
            plan.revision,
            plan.period_start,
            plan.period_end,
            plan.full,
            plan.grants,
            plan.tally,
            plan.next_seat,
            [_pack_seat(plan, plan.seats[number]) for number in sorted(plan.seats)],
            plan.next_terms,
        )
        for plan in plans.plans.values()
    ]


def _pack_seat(plan: SeatPlan, seat: Seat) -> PackedSeat:
    return PackedSeat(
        seat.number,
        seat.name,
        plan.by_name.get(seat.name) is seat,
        seat.until,
        seat.suspended,
        seat.entitled,
        seat.released,
        seat.grants,
        seat.allotted,
        seat.alerted,
    )


def unpack_seat_plans(account: Account, packed: list[PackedSeatPlan]) -> SeatPlans | None:
    if not packed:
        return None
    plans = SeatPlans(account)
    for each in packed:
        plan = SeatPlan(account, each.name, each.terms, each.created_at)
        plan.started_at = each.started_at
        plan.ends_at = each.ends_at
        plan.revision = each.revision
        plan.period_start = each.period_start
        plan.period_end = each.period_end
        plan.full = each.full
        plan.grants = each.grants
        plan.tally = each.tally
        plan.next_seat = each.next_seat
        plan.next_terms = each.next_terms
        for kept in each.seats:
            seat = plan.seats[kept.number] = Seat(kept.number, plan)
            seat.name = kept.name
            if kept.known:
                plan.by_name[kept.name] = seat
            seat.until = kept.until
            seat.suspended = kept.suspended
            seat.entitled = kept.entitled
            seat.released = kept.released
            seat.grants = kept.grants
            seat.allotted = kept.allotted
            seat.alerted = kept.alerted
        plans.add(plan)
    return plans
