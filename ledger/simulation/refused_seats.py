"""Whether a refusal of plans of seats follows from the state (rules S1 to S3).

One line a reason, written from the rules, over the naive model. See `refusals`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ledger.core.events import SeatRemoval, Timing
from ledger.simulation.messages import Record
from ledger.simulation.model import ShardModel
from ledger.simulation.model.decisions import refused_seat
from ledger.simulation.model.seats import fixed, is_held, spare
from ledger.simulation.naive_holdings import NaiveAccount, NaivePlan, NaiveSeat

_Check = Callable[[ShardModel, Record, NaiveAccount | None], bool]
_OfPlan = Callable[[ShardModel, Record, NaivePlan], bool]


def plan_of(record: Record, account: NaiveAccount | None) -> NaivePlan | None:
    """The account's plan of the name that was asked for."""
    return None if account is None else account.seat_plans.get(record.body["seat_plan"])


def _of_plan(check: _OfPlan) -> _Check:
    def of(model: ShardModel, record: Record, account: NaiveAccount | None) -> bool:
        plan = plan_of(record, account)
        return plan is not None and plan.ends_at > model.recorded_at and check(model, record, plan)

    return of


def _ended(model: ShardModel, record: Record, account: NaiveAccount | None) -> bool:
    plan = plan_of(record, account)
    if plan is None or plan.ends_at > model.recorded_at:
        return False
    return record.kind != "seat_plan" or plan.end > model.recorded_at


def _invalid(model: ShardModel, record: Record, account: NaiveAccount | None) -> bool:
    body = record.body
    if record.kind == "seat_reassign":
        return bool(body["seat"] == body["to"])
    names, count = body["seats"], body["count"]
    nothing = record.kind != "seat_plan" and not names and not count
    return count < 0 or nothing or "" in names or len({*names}) < len(names)


def _named(model: ShardModel, record: Record, plan: NaivePlan) -> list[NaiveSeat | None]:
    body = record.body
    names = body["seats"] if "seats" in body else (body["seat"],)
    return [plan.seat_of(name, model.recorded_at) for name in names if name]


def _unknown(model: ShardModel, record: Record, account: NaiveAccount | None) -> bool:
    if not record.kind.startswith("seat_"):
        at = record.body.get("effective_at") or model.recorded_at
        attributes = record.body.get("attributes", ())
        return account is not None and refused_seat(account, attributes, at)
    return _of_plan(lambda m, r, plan: None in _named(m, r, plan))(model, record, account)


def _taken(model: ShardModel, record: Record, plan: NaivePlan) -> bool:
    if record.kind == "seat_reassign":
        return plan.seat_of(record.body["to"], model.recorded_at) is not None
    found = _named(model, record, plan)
    return any(seat is not None and not plan.leaves(seat) for seat in found)


def _too_few(model: ShardModel, record: Record, plan: NaivePlan) -> bool:
    if record.kind == "seat_reassign":
        now = model.recorded_at
        nobodys = [each for each in plan.present(now) if not each.name and not plan.leaves(each)]
        return not (nobodys if plan.individual else plan.unassigned)
    have = len(spare(model, plan)) if plan.individual else plan.unassigned
    return bool(record.body["count"] > have)


def _held(model: ShardModel, record: Record, plan: NaivePlan) -> bool:
    seats = _named(model, record, plan) if record.kind == "seat_remove" else []
    if record.kind == "seat_end" and record.body["timing"] == Timing.NOW:
        seats = [*plan.present(model.recorded_at)]
    return any(seat is not None and is_held(model, plan, seat) for seat in seats)


def _leaving(model: ShardModel, record: Record, plan: NaivePlan) -> bool:
    found = _named(model, record, plan)
    kept = record.body["mode"] == SeatRemoval.KEEP_UNTIL_PERIOD_END
    return kept and any(seat is not None and plan.leaves(seat) for seat in found)


def _suspended(suspended: bool) -> _OfPlan:
    def of(model: ShardModel, record: Record, plan: NaivePlan) -> bool:
        [seat] = _named(model, record, plan)
        return seat is not None and seat.suspended == suspended

    return of


SEAT_REASONS: Final[dict[str, _Check]] = {
    "SEAT_PLAN_UNKNOWN": lambda model, record, account: plan_of(record, account) is None,
    "SEAT_PLAN_EXISTS": _of_plan(lambda model, record, plan: True),
    "SEAT_PLAN_ENDED": _ended,
    "SEATS_INVALID": _invalid,
    "SEAT_UNKNOWN": _unknown,
    "SEAT_TAKEN": _of_plan(_taken),
    "SEATS_TOO_FEW": _of_plan(_too_few),
    "SEAT_HELD": _of_plan(_held),
    "SEAT_LEAVING": _of_plan(_leaving),
    "SEAT_SUSPENDED": _of_plan(_suspended(True)),
    "SEAT_NOT_SUSPENDED": _of_plan(_suspended(False)),
}
"""Reason -> whether the model's state gives it."""


def terms_fixed(model: ShardModel, record: Record, account: NaiveAccount | None) -> bool:
    """Whether other terms would change what a plan keeps."""
    plan = plan_of(record, account)
    return plan is not None and fixed(plan, record.body["terms"])
