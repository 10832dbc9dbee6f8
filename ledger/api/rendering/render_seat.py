"""Plans of seats and seats as messages, from the state at one position; terms as the core takes
them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from ledger.api.assets import Assets
from ledger.api.ids import GRANT, mint
from ledger.core.events import (
    Allotment,
    ExhaustedSeat,
    SeatEntry,
    SeatIssue,
    SeatRemoval,
    SeatTerms,
    UnknownSeat,
)
from ledger.core.seats.seat_draws import left_of_period
from ledger.core.seats.seats import Seat, SeatPlan
from ledger.core.state import NEVER, State
from ledger.v1 import recurring_pb2, types_pb2
from ledger.v1 import seat_pb2 as pb

ALLOTMENTS: Final = {int(each): each for each in Allotment}
UNKNOWN: Final = {0: UnknownSeat.POOL, **{int(each): each for each in UnknownSeat}}
EXHAUSTED: Final = {0: ExhaustedSeat.ACCOUNT, **{int(each): each for each in ExhaustedSeat}}
REMOVALS: Final = {
    0: SeatRemoval.KEEP_UNTIL_PERIOD_END,
    **{int(each): each for each in SeatRemoval},
}
ENDINGS: Final = {**REMOVALS, 0: SeatRemoval.FORFEIT_UNUSED}


class PlanView(NamedTuple):
    """What a plan's message needs of the state, taken at one position."""

    name: str
    terms: SeatTerms
    quantity: int
    unassigned: int
    leaving: int
    largest: int
    released: int
    available: int
    period_start_us: int
    period_end_us: int
    ends_at_us: int  # NEVER = it goes on
    version: int
    grants: tuple[int, ...]
    next_terms: SeatTerms | None


class SeatView(NamedTuple):
    """What a seat's message needs of the state, taken at one position."""

    number: int
    name: str
    suspended: bool
    leaves_at_us: int  # 0 = it stays
    released: int
    available: int
    pending: int
    grants: tuple[int, ...]


def plans_of(state: State, account: int, clock_us: int, name: str = "") -> list[PlanView]:
    """The plans of an account by name, or the one of a name."""
    found = state.accounts.get(account)
    plans = found.seats.plans if found is not None and found.seats is not None else {}
    now_us = state.present(clock_us)
    return [_plan_view(state, each, now_us) for each in plans.values() if name in ("", each.name)]


def _plan_view(state: State, plan: SeatPlan, now_us: int) -> PlanView:
    there = plan.present(now_us)
    ended = plan.ends_at <= now_us
    nobodys = [seat for seat in there if not seat.name]
    leaving = len([seat for seat in there if seat.leaves])
    grants = [state.grants[number] for number in plan.grants]
    return PlanView(
        plan.name,
        plan.terms,
        plan.quantity(now_us),
        0 if ended else len(nobodys) + plan.tally.unassigned + plan.tally.leaving,
        0 if ended else leaving + plan.tally.leaving,
        plan.tally.largest,
        plan.tally.released,
        sum([max(0, each.book.available) for each in grants if not each.settled]),
        plan.period_start,
        plan.period_end,
        plan.ends_at,
        plan.revision,
        plan.grants,
        plan.next_terms,
    )


def seats_of(
    state: State, account: int, plan: str, name: str, after: int, most: int, clock_us: int
) -> list[SeatView] | None:
    """Seats of a plan that are there, by number, after one; None where there is no such plan."""
    found = state.accounts.get(account)
    plans = found.seats.plans if found is not None and found.seats is not None else {}
    if plan not in plans:
        return None
    now_us = state.present(clock_us)
    there = sorted(plans[plan].present(now_us), key=_number)
    wanted = [seat for seat in there if seat.number > after and name in ("", seat.name)]
    return [_seat_view(state, seat) for seat in wanted[:most]]


def _number(seat: Seat) -> int:
    return seat.number


def _seat_view(state: State, seat: Seat) -> SeatView:
    leaves = seat.until if seat.until != NEVER else 0
    return SeatView(
        seat.number,
        seat.name,
        seat.suspended,
        leaves,
        seat.released,
        left_of_period(state, seat),
        sum([state.grants[number].book.debits_pending for number in seat.grants]),
        seat.grants,
    )


def render_plan(
    assets: Assets, view: PlanView, shard: int, number: int, account: str
) -> pb.SeatPlan:
    """One plan of the account of that number and id."""
    return pb.SeatPlan(
        name=view.name,
        account=account,
        terms=render_terms(assets, view.terms),
        next_terms=render_terms(assets, view.next_terms) if view.next_terms is not None else None,
        quantity=view.quantity,
        unassigned=view.unassigned,
        leaving=view.leaving,
        largest=view.largest,
        released=view.released,
        available=view.available,
        period_start_us=view.period_start_us,
        period_end_us=view.period_end_us,
        ends_at_us=0 if view.ends_at_us == NEVER else view.ends_at_us,
        version=view.version,
        grant_ids=[mint(GRANT, shard, number, each) for each in view.grants],
    )


def render_seat(view: SeatView, shard: int, account: int) -> pb.Seat:
    """One seat."""
    return pb.Seat(
        number=view.number,
        name=view.name,
        suspended=view.suspended,
        leaves_at_us=view.leaves_at_us,
        released=view.released,
        available=view.available,
        pending=view.pending,
        grant_ids=[mint(GRANT, shard, account, each) for each in view.grants],
    )


def render_issues(
    issues: Sequence[SeatIssue], seats: Sequence[SeatEntry], shard: int, account: int
) -> list[pb.SeatIssue]:
    """What seats were granted, with who had them then."""
    names = {entry.seat: entry.name for entry in seats}
    return [
        pb.SeatIssue(
            number=each.seat,
            name=names.get(each.seat, ""),
            grant_id=mint(GRANT, shard, account, each.grant),
            amount=each.amount,
            price_paid=each.price_paid,
        )
        for each in issues
    ]


def render_terms(assets: Assets, terms: SeatTerms) -> pb.SeatTerms:
    """Terms as they are in force: what was left to a default is filled."""
    given = terms.allowance
    asset = assets.of(given.asset)
    price_asset = assets.of(given.price_asset if given.price_paid else 0)
    return pb.SeatTerms(
        attribute=terms.attribute,
        allotment=pb.SeatAllotment.ValueType(terms.allotment),
        allowance=pb.SeatAllowance(
            kind=types_pb2.GrantKind.ValueType(given.kind),
            asset=asset.code,
            amount=given.amount,
            price_paid=given.price_paid,
            price_asset=price_asset.code,
            priority=given.priority,
            products=given.products,
            tags=given.tags,
            unit=recurring_pb2.PeriodUnit.ValueType(given.unit),
            every=given.every,
            anchor_us=given.anchor,
            zone=given.zone,
            expires_after_us=given.expires_after,
            shared=given.shared,
            scale=asset.scale,
            price_scale=price_asset.scale,
        ),
        unknown=pb.UnknownSeat.ValueType(terms.unknown),
        exhausted=pb.ExhaustedSeat.ValueType(terms.exhausted),
        alert=terms.alert if terms.alert >= 0 else None,
        charge=terms.charge,
    )
