"""Mandates of agents, granted and revoked: how each is drawn."""

from __future__ import annotations

from typing import Final

from ledger.core.catalog import asset_number
from ledger.core.events import MandateTerms
from ledger.core.limits import HOUR_US, SECOND_US
from ledger.simulation.draws import EUROPE, At, Draw, Drawn, Made, again_of

MANDATED_WORLDS: Final = 24
MANDATED_WORLD: Final = 13
"""One seed in so many draws them, so that the worlds of all others stay as they are."""

_PRODUCTS: Final = ((), (), (), ("chat",), ("chat", "half"), ("chat", "gpt", "half"))
_BUDGETS: Final = (20, 100, 100, 400, 400, 2_000)
_PRICES: Final = (0, 0, 0, 10, 60, 200)
_ENDS: Final = (0, 0, 0, SECOND_US, 5 * SECOND_US, HOUR_US)


def draw_mandate(draw: Draw) -> Drawn:
    """A mandate, mostly of an account below another; at times more than what stands above it."""
    terms = Made(MandateTerms, (asset_number(draw.home, 1), 77))
    again = again_of(draw, "mandate", 10, {"terms": terms})
    if again is not None:
        return again
    random = draw.random
    account = random.choice(("acme", "acme/x", "acme/x", "acme/x/z"))
    ends = random.choice(_ENDS)
    parts = (
        asset_number(draw.home, 1 if draw.chance(92) else 2),
        random.choice(_BUDGETS) if draw.chance(96) else 0,
        random.choice(_PRODUCTS),
        EUROPE if draw.chance(10) else (),
        random.choice(_PRICES),
        At(ends if draw.chance(96) else -SECOND_US) if ends else 0,
    )
    return Drawn(draw.home, account, {"terms": Made(MandateTerms, parts)})


def draw_revoke(draw: Draw) -> Drawn | None:
    """Nothing new from the next decision on; seldom of an account that has no mandate."""
    again = again_of(draw, "revoke", 12, {"note": "another"})
    mandate = draw.earlier("mandate")
    if again is not None or mandate is None:
        return again
    account = mandate.account if draw.chance(92) else "acme"
    return Drawn(mandate.tenant, account, {"note": ""})
