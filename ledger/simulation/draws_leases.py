"""Credit leases: granted, renewed, reported on, recalled, given back: how each is drawn."""

from __future__ import annotations

from typing import Any, Final

from ledger.core.events import LeaseLapse
from ledger.core.limits import HOUR_US, MINUTE_US, SECOND_US
from ledger.simulation.draws import At, Draw, Drawn, again_of

LEASED_WORLDS: Final = 12
LEASED_WORLD: Final = 6
"""One seed in so many draws them, so that the worlds of all others stay as they are."""

_WANTED: Final = (1, 20, 20, 100, 500)
_TERMS: Final = (0, 5 * SECOND_US, 5 * SECOND_US, 7 * SECOND_US, HOUR_US)


def draw_acquire(draw: Draw) -> Drawn:
    """A lease, of more than is there for many."""
    again = again_of(draw, "acquire", 12, {"wanted": 77, "minimum": 0})
    if again is not None:
        return again
    random = draw.random
    tenant, account = draw.account()
    wanted = random.choice(_WANTED)
    fields: dict[str, Any] = {
        "product": draw.product(),
        **draw.attributes(),
        "holder": f"holder-{random.randrange(3)}",
        "wanted": wanted,
        "minimum": random.choice((0, 0, 1, wanted // 2, wanted)),
        "lifetime": random.choice(_TERMS) if draw.chance(96) else SECOND_US,
        "on_lapse": random.choice((LeaseLapse.RETURN, LeaseLapse.RETURN, LeaseLapse.CHARGE)),
    }
    return Drawn(tenant, account, fields)


def draw_renew(draw: Draw) -> Drawn | None:
    """More or less of it, for another term."""
    again = again_of(draw, "renew", 12, {"wanted": 78})
    lease = draw.of("acquire")
    if again is not None or lease is None:
        return again
    random = draw.random
    fields = {
        "hold": lease[1],
        "wanted": random.choice(_WANTED),
        "keep": random.choice((0, 0, 1, 20, 500)),
        "lifetime": random.choice(_TERMS) if draw.chance(97) else SECOND_US,
    }
    return Drawn(lease[0].tenant, lease[0].account, fields)


def draw_leased(draw: Draw) -> Drawn | None:
    """Usage that its holder reports: of its slice, or more; seldom of other work."""
    again = again_of(draw, "leased", 12, {"quantities": (5,), "product": "chat"})
    lease = draw.of("acquire")
    if again is not None or lease is None:
        return again
    first = lease[0].fields
    product = first["product"] if draw.chance(95) else draw.product()
    fields = {
        "hold": lease[1],
        "product": product,
        "quantities": draw.quantities(product),
        "effective_at": At(-draw.random.randrange(MINUTE_US)) if draw.chance(40) else 0,
        "attributes": first.get("attributes", ()) if draw.chance(95) else (),
    }
    return Drawn(lease[0].tenant, lease[0].account, fields)


def draw_return(draw: Draw) -> Drawn | None:
    """Give a lease back, or write off what lapsed and stays charged."""
    again = again_of(draw, "return", 12, {})
    lease = draw.of("acquire")
    if again is not None or lease is None:
        return again
    fields = {"hold": lease[1], "write_off": draw.chance(30)}
    return Drawn(lease[0].tenant, lease[0].account, fields)


def draw_recall(draw: Draw) -> Drawn | None:
    """Ask its holder to come down."""
    again = again_of(draw, "recall", 12, {"keep": 3})
    lease = draw.of("acquire")
    if again is not None or lease is None:
        return again
    fields = {"hold": lease[1], "keep": draw.random.choice((0, 0, 5, 100))}
    return Drawn(lease[0].tenant, lease[0].account, fields)
