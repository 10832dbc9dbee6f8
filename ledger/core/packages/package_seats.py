"""Plans of seats begun and ended as a package comes and goes (rules P1, P3, S2).

What is there of a package's plans goes by its periods: a plan that is new is started with the seats
that the package includes, one that no package says any more ends with its period. Reads state,
changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from ledger.core.events import Event, SeatPlanEnded, SeatRemoval, SeatTerms, Timing
from ledger.core.packages.packaged import Package, PackagedSeats
from ledger.core.packages.packaged_seats import terms_of
from ledger.core.packages.seat_room import room
from ledger.core.seats.seat_shares import ANYTHING
from ledger.core.seats.seating import part_from, started_plan
from ledger.core.seats.seats import SeatPlan
from ledger.core.state import Account, State

Begins: TypeAlias = list[tuple[PackagedSeats, SeatTerms]]
"""Plans of seats that are to be started, with the terms that they have."""


def seats_to_begin(
    state: State, account: Account, package: Package, anchor: int, start: int
) -> Begins:
    """Those of a package that do not go on from a period's start, and of which no period that has
    begun counts (rule S2)."""
    plans = account.seats.plans if account.seats is not None else {}
    begins: Begins = []
    for seats in package.seats:
        before = plans.get(seats.name)
        if before is None or max(before.ends_at, before.period_end) <= start:
            begins.append((seats, terms_of(state, account, package, seats, anchor)))
    return begins


def units_of(begins: Begins) -> dict[int, int]:
    """Asset -> units that they come to a whole period."""
    units: dict[int, int] = {}
    for seats, terms in begins:
        asset, amount = terms.allowance.asset, terms.allowance.amount
        units[asset] = units.get(asset, 0) + seats.included * amount
    return units


def set_seats(
    state: State,
    account: Account,
    package: Package,
    begins: Begins,
    start: int,
    out: list[Event],
    most: Mapping[int, int] | None,
) -> None:
    """Have the account have the package's plans from a period's start on, and no others of one: at
    `most` so many units by asset, besides what other seats leave them. None = what the package
    before gave is kept beside it (rule P5)."""
    plans = account.seats.plans if account.seats is not None else {}
    named = {seats.name for seats in package.seats}
    for plan in plans.values():
        if plan.name not in named:
            _end(plan, out)
    if not begins:
        return
    part = part_from(account, begins[0][1], start)
    left = dict.fromkeys(units_of(begins), ANYTHING)
    if most is not None:
        for asset, units in units_of(begins).items():
            left[asset] = min(most[asset], room(state, account, asset, named, part, units))
    for seats, terms in begins:
        asset = terms.allowance.asset
        started = started_plan(
            state, account, seats.name, terms, (), seats.included, start, b"", b"", out, left[asset]
        )
        left[asset] -= started.tally.released
        out.append(started)


def end_seats(account: Account, out: list[Event]) -> None:
    """The account has no package any more: its plans end with their periods."""
    for plan in account.seats.plans.values() if account.seats is not None else ():
        _end(plan, out)


def _end(plan: SeatPlan, out: list[Event]) -> None:
    if not plan.terms.packaged or plan.ends_at <= plan.period_end:
        return
    out.append(
        SeatPlanEnded(
            b"",
            plan.account.number,
            plan.name,
            Timing.NEXT_PERIOD,
            SeatRemoval.KEEP_UNTIL_PERIOD_END,
            plan.period_end,
            (),
            plan.tally,
            plan.revision + 1,
        )
    )
