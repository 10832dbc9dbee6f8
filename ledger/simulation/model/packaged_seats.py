"""Plans of seats that packages begin and end: what stands before the entry of a package, and which
that explains (rules P1, P3, S2)."""

from __future__ import annotations

from fractions import Fraction
from math import floor
from typing import Any

from ledger.core import events as e
from ledger.core.events import SeatRemoval, Timing
from ledger.simulation.model import period_room as room
from ledger.simulation.model import seats
from ledger.simulation.model.shard import Shard
from ledger.simulation.naive_holdings import NaiveAccount
from ledger.simulation.naive_packages import NaiveSubscription
from ledger.simulation.rules import Rule

RULE = Rule.PACKAGED


def begun(
    m: Shard,
    account: NaiveAccount,
    subscription: NaiveSubscription,
    start: int,
    left: dict[int, int] | None,
) -> None:
    """The plans of the package, and no others of one, go on from the start of a term."""
    package = subscription.version.package
    begins = room.to_begin(account, package, start)
    _ended(m, account, {said.name for said in package.seats})
    starts = _ahead(m, account, e.SeatPlanStarted)
    m.expect(RULE, "plans of seats", [x.name for x in begins], [x.seat_plan for x in starts])
    rooms = dict(left or {})
    for asset in {room.asset_of(account, said.allowance.asset) for said in begins}:
        of = [said for said in begins if room.asset_of(account, said.allowance.asset) == asset]
        units = sum([said.included * said.allowance.amount for said in of])
        rest = Fraction(subscription.end - start, subscription.full)
        named = {said.name for said in package.seats}
        beside = room.beside_others(m, account, asset, named, start, floor(units * rest))
        if beside is not None and left is not None:
            rooms[asset] = min(rooms.get(asset, beside), beside)
    for said, event in zip(begins, starts, strict=True):
        terms = room.seat_terms(account, package, said, subscription.anchor)
        asset = terms.allowance.asset
        found = (event.terms, event.names, event.count, event.start, event.end)
        m.expect(RULE, said.name, (terms, (), said.included, start, subscription.end), found)
        seats.begin_plan(m, account, event, start, rooms.get(asset))
        m.ahead.remove(event)
        if asset in rooms:
            rooms[asset] -= account.seat_plans[said.name].released


def over(m: Shard, account: NaiveAccount) -> None:
    """There is no package any more: its plans end with their periods."""
    _ended(m, account, set())


def _ended(m: Shard, account: NaiveAccount, named: set[str]) -> None:
    """Plans of packages that nobody says end with their periods, and keep what they have."""
    end = [
        plan
        for name, plan in sorted(account.seat_plans.items())
        if plan.terms.packaged and name not in named and plan.ends_at > plan.end
    ]
    found = _ahead(m, account, e.SeatPlanEnded)
    m.expect(RULE, "plans that end", [x.name for x in end], [x.seat_plan for x in found])
    for plan, event in zip(end, found, strict=True):
        keeps = (Timing.NEXT_PERIOD, SeatRemoval.KEEP_UNTIL_PERIOD_END, plan.end, ())
        m.expect(RULE, plan.name, keeps, (event.timing, event.mode, event.ends_at, event.taken))
        seats.end_plan(m, plan, event, plan.end)
        m.ahead.remove(event)


def _ahead(m: Shard, account: NaiveAccount, kind: Any) -> list[Any]:
    return [x for x in m.ahead if isinstance(x, kind) and x.account == account.number]
