"""Subscriptions to packages: begun, changed, cancelled (rules P1, P3)."""

from __future__ import annotations

from typing import Any, Final

from ledger.core.events import Follow, OldGrants, Timing
from ledger.core.limits import DAY_US
from ledger.simulation.draws import At, Draw, Drawn, again_of
from ledger.simulation.plans import FLIPPED, PLANS

PACKAGED_WORLDS: Final = 48
PACKAGED_WORLD: Final = 12
"""One seed in so many draws them, so that the worlds of all others stay as they are."""

FLIPPED_WORLDS: Final = 96
FLIPPED_WORLD: Final = 43
"""The same, of those in which packages have seats."""

_NAMES: Final = ("basic", "basic", "pro", "pro", "pro", "team")


def draw_subscribe(draw: Draw) -> Drawn:
    """A package, by its newest version or by one."""
    again = again_of(draw, "subscribe", 10, {"package": "team"})
    if again is not None:
        return again
    tenant, account = draw.account() if draw.chance(30) else (draw.home, "acme")
    return Drawn(tenant, account, _asked(draw))


def _asked(draw: Draw) -> dict[str, Any]:
    random = draw.random
    flips = draw.plans == FLIPPED
    names, published = (FLIPPED, FLIPPED) if flips else (_NAMES, PLANS)
    name = random.choice(names) if draw.chance(97) else "nothing"
    follow = random.choice((Follow.FOLLOW, *Follow))
    version = 0
    if follow != Follow.FOLLOW and draw.chance(50):  # by the first of it, which stands behind cards
        version = 5 + (published.index(name) if name in published else 0)
    until: At | int = 0
    if (follow == Follow.FOLLOW_AFTER) == draw.chance(97):
        until = At(random.choice((DAY_US, 8 * DAY_US, 30 * DAY_US)))
    return {"package": name, "follow": follow, "version": version, "locked_until": until}


def _of_subscription(draw: Draw) -> tuple[int, str] | None:
    found = draw.earlier("subscribe")
    return None if found is None else (found.tenant, found.account)


def draw_package(draw: Draw) -> Drawn | None:
    """Another package or version, mostly now."""
    again = again_of(draw, "package", 10, {"old_grants": OldGrants.FORFEIT_UNUSED})
    of = _of_subscription(draw)
    if again is not None or of is None:
        return again
    fields = {
        **_asked(draw),
        "timing": Timing.NOW if draw.chance(70) else Timing.NEXT_PERIOD,
        "old_grants": draw.random.choice(tuple(OldGrants)),
        "expected_version": draw.random.randrange(1, 5) if draw.chance(10) else 0,
    }
    return Drawn(*of, fields)


def draw_cancel(draw: Draw) -> Drawn | None:
    """No package any more, now or with the period."""
    again = again_of(draw, "cancel", 10, {"old_grants": OldGrants.FORFEIT_UNUSED})
    of = _of_subscription(draw)
    if again is not None or of is None:
        return again
    fields = {
        "timing": draw.random.choice(tuple(Timing)),
        "old_grants": draw.random.choice(tuple(OldGrants)),
        "expected_version": draw.random.randrange(1, 5) if draw.chance(10) else 0,
    }
    return Drawn(*of, fields)
