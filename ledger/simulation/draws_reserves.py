"""Holds of operations, and the calls that draw from them: how each is drawn (rules H1, H4)."""

from __future__ import annotations

from typing import Any, Final

from ledger.core.limits import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from ledger.simulation.draws import At, Draw, Drawn, Ref, again_of
from ledger.simulation.prices import PRODUCTS

RESERVED_WORLDS: Final = 24
RESERVED_WORLD: Final = 20
"""One seed in so many draws them, so that the worlds of all others stay as they are."""

_AMOUNTS: Final = (3, 8, 8, 20, 20, 40, 200)
_LIFETIMES: Final = (0, 0, 0, SECOND_US, 3 * SECOND_US, MINUTE_US, HOUR_US)


def draw_reserve(draw: Draw) -> Drawn:
    """Units for an operation with all its calls; seldom none, or for longer than any may live."""
    again = again_of(draw, "reserve", 10, {"amount": 41})
    if again is not None:
        return again
    random = draw.random
    tenant, account = draw.account()
    budget = draw.earlier("operation")
    if budget is not None and draw.chance(35):
        limit = budget.fields["terms"].limit
        fields = {
            "operation": budget.fields["operation"],
            "amount": max(1, limit // random.choice((1, 1, 2, 3)) + draw.chance(10)),
            "lifetime": 0,
        }
        return Drawn(budget.tenant, budget.account, fields)
    fields = {
        "operation": random.choice(draw.named),
        **draw.part_of(),
        "amount": random.choice(_AMOUNTS) if draw.chance(96) else 0,
        "lifetime": random.choice(_LIFETIMES) if draw.chance(95) else 2 * DAY_US,
    }
    return Drawn(tenant, account, fields)


def draw_reserved_capture(draw: Draw) -> Drawn | None:
    """What a call has used, of a hold of an operation; seldom of a hold of one piece of work, or
    without its product."""
    of_work = draw.earlier("authorize", "range") if draw.chance(8) else None
    hold = of_work or draw.earlier("reserve")
    if hold is None:
        return None
    product = draw.product()
    if of_work is not None and draw.chance(50):
        product = of_work.fields["product"]
    fields: dict[str, Any] = {
        "hold": Ref(hold.number),
        "quantity_names": PRODUCTS[product],
        "quantities": draw.quantities(product),
        "effective_at": At(-draw.random.randrange(MINUTE_US)) if draw.chance(20) else 0,
        "keep_open": draw.chance(85),
    }
    if draw.chance(88):
        fields |= {"product": product, **draw.attributes()}
    return Drawn(hold.tenant, hold.account, fields | draw.part_of())


def draw_reserved_debit(draw: Draw, fields: dict[str, Any]) -> Drawn | None:
    """Such work, of a hold of an operation; seldom of another hold, or of another account's."""
    hold = draw.earlier(*(("reserve",) if draw.chance(86) else ("authorize", "range")))
    if hold is None:
        return None
    account = hold.account if draw.chance(97) else "acme/x"
    return Drawn(hold.tenant, account, {**fields, "hold": Ref(hold.number)})
