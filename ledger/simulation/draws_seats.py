"""Seats: how plans are started, seats added, removed, reassigned and suspended (rules S1 to S3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ledger.core.catalog import asset_number
from ledger.core.events import (
    Allotment,
    ExhaustedSeat,
    GrantKind,
    PeriodUnit,
    Proration,
    RecurringTerms,
    SeatRemoval,
    SeatTerms,
    Timing,
    UnknownSeat,
)
from ledger.core.limits import DAY_US, SECOND_US
from ledger.simulation.draws import EUROPE, Draw, Drawn, Made, again_of
from ledger.simulation.plans import FLIPPED, TEAMS
from ledger.simulation.processes import EPOCH_US
from ledger.simulation.scenario import Operation

SEATED_WORLDS: Final = 24
SEATED_WORLD: Final = 15
"""One seed in so many draws them, so that the worlds of all others stay as they are."""

ATTRIBUTE: Final = "agent"
NAMES: Final = ("ann", "ann", "bob", "cid")
SEATED: Final = (*NAMES, "dan")
"""Whom usage names: those that have seats at times, and one who never has."""

_PLANS: Final = {"agents": Allotment.INDIVIDUAL, "desks": Allotment.POOLED}
_AMOUNTS: Final = (9, 40, 200)
_MANY: Final = (20_000_000, 60_000_000)  # of which a second's share is something
_WEEK_US: Final = 7 * DAY_US
_MODES: Final = tuple(SeatRemoval)
_PAID: Final = (GrantKind.PREPAID, GrantKind.ALLOWANCE)


def draw_seat_plan(draw: Draw) -> Drawn:
    """A plan of seats; the period that runs mostly ends soon."""
    again = again_of(draw, "seat_plan", 10, {"count": 7})
    if again is not None:
        return again
    tenant, account = draw.account() if draw.chance(30) else (draw.home, "acme")
    name = "agents" if draw.chance(65) else "desks"
    fields: dict[str, Any] = {
        "seat_plan": name,
        "terms": _terms(draw, tenant, name),
        "seats": _names(draw, 2),
        "count": draw.random.choice((0, 0, 1, 2)) if draw.chance(97) else -1,
    }
    return Drawn(tenant, account, fields)


def _terms(draw: Draw, tenant: int, name: str) -> Made:
    random = draw.random
    own = _PLANS[name] == Allotment.INDIVIDUAL
    paid = draw.chance(35)
    soon = draw.chance(75)
    ends = SECOND_US * random.choice((1, 2, 3, 3, 4, 5, 86_400, 432_000))
    allowance = (
        random.choice(_PAID) if paid else GrantKind.PROMOTIONAL,
        asset_number(tenant, 1 if draw.chance(93) else 2),
        random.choice(_MANY if soon and draw.chance(80) else _AMOUNTS),
        random.choice((1, 30, 999_000)) if paid else 0,
        asset_number(tenant, 2),
        random.randrange(3),
        ("chat", "half") if draw.chance(15) else (),
        PeriodUnit.WEEK if draw.chance(85) else PeriodUnit.MONTH,
        1,
        EPOCH_US + ends - _WEEK_US if soon else 0,
        random.choice(("", "", "Europe/Berlin")),
        Proration.BOTH,
        random.choice((0, 0, SECOND_US, 3 * DAY_US)),
        (),
        EUROPE if draw.chance(8) else (),
        not own and draw.chance(40),
    )
    return Made(
        SeatTerms,
        (
            ATTRIBUTE if own or draw.chance(50) else "",
            _PLANS[name],
            Made(RecurringTerms, allowance),
            random.choice(tuple(UnknownSeat)),
            random.choice((ExhaustedSeat.ACCOUNT, *ExhaustedSeat)),
            random.choice((-1, 0, 5, 30)) if own else -1,
        ),
    )


def _names(draw: Draw, most: int) -> tuple[str, ...]:
    names = draw.random.sample(NAMES[1:], draw.random.randrange(most + 1))
    return (*names, *names[:1]) if draw.chance(4) else tuple(names)


def _name(draw: Draw, started: Operation) -> str:
    """Mostly one that the plan was asked to have."""
    asked: list[str] = [
        name
        for each in draw.operations
        if each.kind in ("seat_plan", "seat_add") and each.account == started.account
        for name in each.fields.get("seats", ())
    ]
    return draw.random.choice(asked if asked and draw.chance(85) else NAMES)


def _of_plan(draw: Draw) -> tuple[Operation, dict[str, Any]] | None:
    """A plan that was asked for; seldom by another name, or at a version."""
    if draw.plans == FLIPPED:
        return _of_package(draw)
    started = draw.earlier("seat_plan")
    if started is None:
        return None
    name = started.fields["seat_plan"] if draw.chance(96) else draw.random.choice(("agents", "x"))
    version = draw.random.randrange(1, 6) if draw.chance(8) else 0
    return started, {"seat_plan": name, "expected_version": version}


def _of_package(draw: Draw) -> tuple[Operation, dict[str, Any]] | None:
    """The same of a plan that packages say."""
    of = draw.earlier("subscribe", "package")
    if of is None:
        return None
    names = TEAMS.get(of.fields["package"], ("agents", "desks"))
    name = draw.random.choice(names) if draw.chance(98) else "x"
    version = draw.random.randrange(1, 6) if draw.chance(4) else 0
    return of, {"seat_plan": name, "expected_version": version}


def _change(
    draw: Draw,
    kind: str,
    other: dict[str, Any],
    drawn: Callable[[Operation], dict[str, Any]],
) -> Drawn | None:
    again = again_of(draw, kind, 8, other)
    found = _of_plan(draw)
    if again is not None or found is None:
        return again
    started, said = found
    return Drawn(started.tenant, started.account, {**said, **drawn(started)})


def draw_seat_add(draw: Draw) -> Drawn | None:
    """More seats, named or not; seldom none, or one twice."""
    fields = {"seats": _names(draw, 2), "count": draw.random.choice((0, 1, 1, 3))}
    return _change(draw, "seat_add", {"count": 9}, lambda started: fields)


def draw_seat_remove(draw: Draw) -> Drawn | None:
    """Fewer seats, with the period or now."""

    def drawn(started: Operation) -> dict[str, Any]:
        named = draw.chance(65)
        return {
            "seats": (_name(draw, started),) if named else (),
            "count": draw.random.choice((0, 0, 1) if named else (1, 1, 2)),
            "mode": draw.random.choice(_MODES),
        }

    return _change(draw, "seat_remove", {"count": 9}, drawn)


def draw_seat_reassign(draw: Draw) -> Drawn | None:
    """A seat is another's, or nobody's, or one that was nobody's is somebody's."""

    def drawn(started: Operation) -> dict[str, Any]:
        seat = _name(draw, started) if draw.chance(70) else ""
        return {"seat": seat, "to": draw.random.choice((*NAMES, ""))}

    return _change(draw, "seat_reassign", {"to": "dan"}, drawn)


def draw_seat_suspend(draw: Draw) -> Drawn | None:
    """Nothing is authorised for a seat."""
    return _change(draw, "seat_suspend", {"seat": "dan"}, lambda of: {"seat": _name(draw, of)})


def draw_seat_resume(draw: Draw) -> Drawn | None:
    """It is again: mostly one of a suspension."""
    before = draw.earlier("seat_suspend")
    seat = before.fields.get("seat") if before is not None and draw.chance(70) else None
    return _change(
        draw, "seat_resume", {"seat": "dan"}, lambda of: {"seat": seat or _name(draw, of)}
    )


def draw_seat_terms(draw: Draw) -> Drawn | None:
    """Other terms from the next period on; seldom those that stay, or as they are."""
    found = _of_plan(draw)
    if found is None:
        return None
    started, said = found
    before: Made = started.fields["terms"]
    name = started.fields["seat_plan"]
    fresh = _terms(draw, started.tenant, name)
    kept, new = before.parts[2].parts, fresh.parts[2].parts
    if draw.chance(90):
        new = (*new[:7], *kept[7:11], *new[11:])
    terms = Made(SeatTerms, (*fresh.parts[:2], Made(RecurringTerms, new), *fresh.parts[3:]))
    if draw.chance(12):
        terms = before
    again = again_of(draw, "seat_terms", 8, {"expected_version": 9})
    return again or Drawn(started.tenant, started.account, {**said, "terms": terms})


def draw_seat_end(draw: Draw) -> Drawn | None:
    """Nothing more is given, from the next period on or now."""
    fields = {"timing": draw.random.choice(tuple(Timing)), "mode": draw.random.choice(_MODES)}
    return _change(draw, "seat_end", {"expected_version": 9}, lambda started: fields)
