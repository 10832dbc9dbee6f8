"""Work that is charged at once, as much of it as is affordable, and rules for what happens on
shortage: how each is drawn."""

from __future__ import annotations

from typing import Any, Final

from ledger.core.catalog import asset_number
from ledger.core.events import Alternative, LimitKind, PolicyAction, PolicyRule, QuantityMap
from ledger.core.limits import HOUR_US, SECOND_US
from ledger.simulation.draws import EUROPE, LIFETIMES, Draw, Drawn, again_of
from ledger.simulation.draws_reserves import draw_reserved_debit
from ledger.simulation.prices import PRODUCTS

DECIDED_WORLDS: Final = 12
DECIDED_WORLD: Final = 8
RULED_WORLD: Final = 10
"""One seed in so many draws them, and another one rules too, so that the worlds of all others stay
as they are."""


def draw_debit(draw: Draw) -> Drawn:
    """Work to be charged within every limit, all of it or as much as is affordable."""
    again = again_of(draw, "debit", 12, _other(draw))
    if again is not None:
        return again
    tenant, account = draw.account()
    work = _work(draw, 50)
    reserved = draw_reserved_debit(draw, work) if draw.reserves and draw.chance(75) else None
    return reserved or Drawn(tenant, account, work)


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
    fields |= draw.part_of()
    if draw.chance(ranged):
        most = max(quantities)
        named = draw.random.choice(PRODUCTS[product]) if draw.chance(97) else "seconds"
        fields |= {"up_to": named, "minimum": draw.random.choice((0, 0, 1, most // 2, most))}
    if draw.ruled and draw.chance(35):
        fields["alternatives"] = _alternatives(draw, draw.random.choice((1, 1, 2)))
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


# -- rules for what happens on shortage ------------------------------------------------------------

_ACTIONS: Final = (
    PolicyAction.DENY,
    PolicyAction.OVERDRAW,
    PolicyAction.OVERDRAW,
    PolicyAction.DOWNGRADE,
    PolicyAction.DOWNGRADE,
    PolicyAction.DEFER,
    PolicyAction.TOP_UP,
)
_DENYING: Final = (
    LimitKind.GRANTS,
    LimitKind.OVERDRAFT,
    LimitKind.OVERAGE,
    LimitKind.GRACE,
    LimitKind.PRICE,
)
_MAPS: Final = (
    (),
    (),
    (QuantityMap("tokens", "tokens", 500),),
    (QuantityMap("tokens", "tokens", 100), QuantityMap("input", "input", 100)),
    (QuantityMap("tokens", "input", 333),),
    (QuantityMap("input", "tokens"), QuantityMap("cached", "")),
    (QuantityMap("cached", "tokens", 1_500), QuantityMap("input", "tokens", 10)),
)


def draw_rules(draw: Draw) -> Drawn:
    """Rules of an account, or none any more; at times only if the version is the expected one."""
    again = again_of(draw, "rules", 10, {"rules": ()})
    if again is not None:
        return again
    tenant, account = draw.account()
    count = draw.random.choice((0, 1, 1, 2, 3))
    version = draw.random.randrange(1, 4) if draw.chance(20) else 0
    rules = tuple(_rule(draw, tenant) for _ in range(count))
    return Drawn(tenant, account, {"rules": rules, "expected_version": version})


def _rule(draw: Draw, tenant: int) -> PolicyRule:
    random = draw.random
    action = random.choice(_ACTIONS)
    fields: dict[str, Any] = {}
    if draw.chance(20):
        fields["products"] = (draw.product(), "gpt")
    if draw.chance(8):
        fields["attributes"] = EUROPE
    if draw.chance(20):
        fields["limits"] = tuple(random.sample(_DENYING, 2))
    if draw.chance(12):
        fields |= {"lifetime_asset": asset_number(tenant, 2), "lifetime_least": 50}
    if draw.chance(15):
        fields["available_below"] = random.choice((0, 1, 40))
    match action:
        case PolicyAction.OVERDRAW:
            fields |= {
                "asset": draw.asset(tenant),
                "bound": random.choice((1, 20, 300)) if draw.chance(96) else 0,
                "lasting": random.choice((0, 0, SECOND_US, HOUR_US)),
            }
        case PolicyAction.DOWNGRADE:
            fields["alternatives"] = _alternatives(draw, random.choice((0, 1, 2, 3)))
        case PolicyAction.DEFER:
            fields["alternatives"] = _alternatives(draw, 1)
            fields["lifetime"] = random.choice((0, SECOND_US, HOUR_US))
        case PolicyAction.DENY if draw.chance(20):
            fields["margin_floor"] = 300
    return PolicyRule(action, **fields)


def _alternatives(draw: Draw, count: int) -> tuple[Alternative, ...]:
    """Other products, or the same of elsewhere, at times with other quantities."""
    found = []
    for _ in range(count):
        product = draw.random.choice(("chat", "half", "half", "gpt", "mystery"))
        attributes = EUROPE if draw.chance(25) else ()
        if attributes and draw.chance(50):
            product = ""
        found.append(Alternative(product, attributes, draw.random.choice(_MAPS)))
    return tuple(found)
