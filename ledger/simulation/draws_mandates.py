"""Mandates of agents, granted and revoked: how each is drawn."""

from __future__ import annotations

from typing import Any, Final

from ledger.core.catalog import asset_number
from ledger.core.events import MandateTerms, PurchaseTerms
from ledger.core.limits import HOUR_US, SECOND_US
from ledger.simulation.draws import EUROPE, At, Draw, Drawn, Made, Ref, again_of

MANDATED_WORLDS: Final = 24
MANDATED_WORLD: Final = 13
BUYING_WORLD: Final = 37  # of four times as many
"""One seed in so many draws them, so that the worlds of all others stay as they are."""

_PRODUCTS: Final = ((), (), (), ("chat",), ("chat", "half"), ("chat", "gpt", "half"))
_BUDGETS: Final = (20, 100, 100, 400, 400, 2_000)
_PRICES: Final = (0, 0, 0, 10, 60, 200)
_PURCHASES: Final = (2, 10, 40, 40, 300)
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
    fields: dict[str, Any] = {"terms": Made(MandateTerms, parts)}
    if draw.buys and draw.chance(75):
        limit = random.choice(_PURCHASES) if draw.chance(96) else 0
        numerator = 3 if draw.chance(88) else 4
        fields["purchase"] = PurchaseTerms(limit, asset_number(draw.home, 2), numerator, 7, "card")
    return Drawn(draw.home, account, fields)


def draw_buy(draw: Draw) -> Drawn | None:
    """Units that an agent has its payer buy; seldom of another asset, or of an account that is no
    agent's."""
    again = again_of(draw, "buy", 10, {"amount": 8})
    mandate = draw.earlier("mandate")
    if again is not None or mandate is None:
        return again
    random = draw.random
    account = mandate.account if draw.chance(85) else random.choice(("acme", "acme/x", "acme/x/z"))
    amount = random.choice((1, 7, 7, 40, 200)) if draw.chance(96) else 0
    asset = asset_number(draw.home, 1 if draw.chance(94) else 2)
    return Drawn(mandate.tenant, account, {"asset": asset, "amount": amount})


def draw_bought(draw: Draw) -> tuple[int, str, Ref] | None:
    """(tenant, who is to pay, the grant) of a purchase that waits for its payment, mostly."""
    found = draw.of("buy") if draw.buys and draw.chance(70) else None
    if found is None:
        return None
    return found[0].tenant, "acme" if draw.chance(75) else "acme/x", found[1]


def draw_revoke(draw: Draw) -> Drawn | None:
    """Nothing new from the next decision on; seldom of an account that has no mandate."""
    again = again_of(draw, "revoke", 12, {"note": "another"})
    mandate = draw.earlier("mandate")
    if again is not None or mandate is None:
        return again
    account = mandate.account if draw.chance(92) else "acme"
    return Drawn(mandate.tenant, account, {"note": ""})
