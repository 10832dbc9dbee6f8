"""Work that is charged at once, and as much of it as is affordable: how each is drawn."""

from __future__ import annotations

from typing import Any, Final

from ledger.simulation.draws import LIFETIMES, Draw, Drawn, again_of
from ledger.simulation.prices import PRODUCTS

DECIDED_WORLDS: Final = 12
DECIDED_WORLD: Final = 8
"""One seed in so many draws them, so that the worlds of all others stay as they are."""


def draw_debit(draw: Draw) -> Drawn:
    """Work to be charged within every limit, all of it or as much as is affordable."""
    again = again_of(draw, "debit", 12, _other(draw))
    if again is not None:
        return again
    tenant, account = draw.account()
    return Drawn(tenant, account, _work(draw, 50))


def draw_range(draw: Draw) -> Drawn:
    """A hold of as much as is affordable."""
    again = again_of(draw, "range", 12, _other(draw))
    if again is not None:
        return again
    tenant, account = draw.account()
    return Drawn(tenant, account, {**_work(draw, 100), "lifetime": draw.random.choice(LIFETIMES)})


def _work(draw: Draw, ranged: int) -> dict[str, Any]:
    """Some work; of so many in a hundred one quantity may be less, seldom one that it has not."""
    product = draw.product()
    quantities = draw.quantities(product)
    fields: dict[str, Any] = {"product": product, "quantities": quantities, **draw.attributes()}
    if draw.chance(ranged):
        most = max(quantities)
        named = draw.random.choice(PRODUCTS[product]) if draw.chance(97) else "seconds"
        fields |= {"up_to": named, "minimum": draw.random.choice((0, 0, 1, most // 2, most))}
    return fields


def _other(draw: Draw) -> dict[str, Any]:
    """In what the same identity may come again with another body."""
    return draw.random.choice(
        (
            {"quantities": (5,), "product": "chat", "up_to": "tokens", "minimum": 0},
            {"minimum": 1, "up_to": "tokens", "product": "chat", "quantities": (100,)},
            {"quantities": (1_000,), "product": "half", "up_to": "tokens", "minimum": 7},
        )
    )
