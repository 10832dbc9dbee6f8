"""Quotes and usage that names them: how each is drawn."""

from __future__ import annotations

from typing import Any, Final

from ledger.core.limits import MINUTE_US
from ledger.simulation.draws import LIFETIMES, At, Draw, Drawn, Ref, again_of

QUOTED_WORLDS: Final = 36
QUOTED_WORLD: Final = 12
"""One seed in so many draws quotes, so that the worlds of all others stay as they are."""


def draw_quote(draw: Draw) -> Drawn | None:
    """A promise, with a hold or without; most expire soon."""
    again = again_of(draw, "quote", 12, {"quantities": (5,), "product": "chat"})
    if again is not None:
        return again
    tenant, account = draw.account()
    product = draw.product()
    fields: dict[str, Any] = {
        "product": product,
        "quantities": draw.quantities(product),
        "lifetime": draw.random.choice(LIFETIMES),
        "tolerance": draw.random.choice((0, 0, 10_000, 13_333, 20_000)),
        "held": draw.chance(30),
        **draw.attributes(),
    }
    return Drawn(tenant, account, fields)


def draw_quoted(draw: Draw) -> Drawn | None:
    """Usage that names an earlier quote: less or more than quoted, at times of other work."""
    again = again_of(draw, "quoted", 12, {"quantities": (9,), "product": "chat"})
    if again is not None:
        return again
    quote = draw.earlier("quote")
    if quote is None:
        return None
    product = quote.fields["product"] if draw.chance(90) else draw.product()
    attributes = quote.fields.get("attributes", ()) if draw.chance(90) else ()
    fields = {
        "quote": Ref(quote.number),
        "product": product,
        "quantities": draw.quantities(product),
        "effective_at": At(-draw.random.randrange(MINUTE_US)) if draw.chance(40) else 0,
        "attributes": attributes,
    }
    return Drawn(quote.tenant, quote.account, fields)
