"""Usage, linked usage, corrections and holds: how each is drawn."""

from __future__ import annotations

from typing import Any, Final

from ledger.core.events import EndedGrants
from ledger.core.limits import DAY_US, HOUR_US, MINUTE_US
from ledger.simulation.draws import LIFETIMES, PARENTS, REPORTED, At, Draw, Drawn, Ref, again_of
from ledger.simulation.draws_reserves import draw_reserved_capture
from ledger.simulation.prices import PRODUCTS


def draw_usage(draw: Draw) -> Drawn:
    """A batch of events of one tenant: most of one account; retries, conflicts, late, future."""
    tenant, account = draw.account()
    events = []
    for _ in range(draw.random.choice((1, 1, 2, 3, 8))):
        if draw.chance(30):
            other_tenant, other = draw.account()
            account = other if other_tenant == tenant else account
        product = draw.product()
        events.append(
            {
                "account": account,
                "product": product,
                "quantities": draw.quantities(product),
                "effective_at": _effective(draw),
                "same_as": _earlier_event(draw, tenant),
                **draw.attributes(),
                **draw.part_of(),
            }
        )
    return Drawn(tenant, account, {"events": events})


def draw_linked(draw: Draw) -> Drawn | None:
    """Events of one family that are recorded together or not at all; at times the whole again, or
    with an event that stands already."""
    again = draw.earlier("linked") if draw.chance(20) else None
    tenant, account = draw.account()
    if again is not None:
        return Drawn(again.tenant, again.account, again.fields, again.number)
    family = [account, *[child for child, parent in PARENTS.items() if parent == account]]
    events = []
    for _ in range(draw.random.choice((2, 2, 3))):
        product = draw.product()
        events.append(
            {
                "account": draw.random.choice(family) if draw.chance(30) else account,
                "product": product,
                "quantities": draw.quantities(product),
                "effective_at": _effective(draw) if draw.chance(30) else 0,
                "same_as": _earlier_event(draw, tenant) if draw.chance(10) else None,
                **draw.attributes(),
                **draw.part_of(),
            }
        )
    return Drawn(tenant, account, {"events": events})


def _effective(draw: Draw) -> At | int:
    kind = draw.random.randrange(20)
    if kind < 10:
        return 0
    if kind < 15:
        return At(-draw.random.randrange(5 * MINUTE_US))
    if kind < 17:
        return At(-draw.random.randrange(40) * DAY_US)
    if kind < 18:
        return At(draw.random.randrange(4 * MINUTE_US))
    return At(draw.random.choice((4, 6, 60)) * MINUTE_US) if kind < 19 else At(-35 * DAY_US)


def _earlier_event(draw: Draw, tenant: int) -> tuple[int, int, bool] | None:
    """(operation, place, whether the body differs) of an event whose identity comes again."""
    if not draw.chance(15):
        return None
    first = draw.earlier("usage")
    if first is None or first.tenant != tenant:
        return None
    return first.number, draw.random.randrange(len(first.fields["events"])), draw.chance(30)


def draw_authorize(draw: Draw) -> Drawn:
    """A hold; a lifetime that ends soon, for most; seldom under an id that was given up."""
    again = again_of(draw, "authorize", 12, {"quantities": (5,), "product": "chat"})
    if again is not None:
        return again
    given_up = draw.earlier("abandon") if draw.chance(15) else None
    tenant, account = draw.account()
    if given_up is not None:
        tenant, account = given_up.tenant, given_up.account
    product = draw.product()
    lifetime = draw.random.choice(LIFETIMES)
    fields: dict[str, Any] = {
        "product": product,
        "quantities": draw.quantities(product),
        "lifetime": lifetime,
        **draw.attributes(),
        **draw.part_of(),
    }
    identity = given_up.fields["of"] if given_up is not None else -1
    return Drawn(tenant, account, fields, identity=identity)


def draw_capture(draw: Draw) -> Drawn | None:
    """Settle an earlier hold: less, as much, or more than it reserved."""
    again = again_of(draw, "capture", 12, {"quantities": (9,)})
    if again is not None:
        return again
    reserved = draw_reserved_capture(draw) if draw.reserves and draw.chance(65) else None
    hold = draw.earlier("authorize", "range")
    if reserved is not None or hold is None:
        return reserved
    product = hold.fields["product"]
    fields = {
        "hold": Ref(hold.number),
        "quantity_names": PRODUCTS[product],
        "quantities": draw.quantities(product),
        "effective_at": At(-draw.random.randrange(MINUTE_US)) if draw.chance(30) else 0,
    }
    if draw.whole and draw.chance(40):
        fields["keep_open"] = True
    if draw.named and draw.chance(15):  # that of the hold or, seldom, another one
        said = hold.fields if draw.chance(70) else draw.part_of()
        if "operation" in said:
            fields["operation"] = said["operation"]
    return Drawn(hold.tenant, hold.account, fields)


def draw_extend(draw: Draw) -> Drawn | None:
    """Move an earlier hold's expiry, at times too far."""
    again = again_of(draw, "extend", 12, {"lifetime": 7 * MINUTE_US})
    hold = draw.of("authorize", "range", "reserve")
    if again is not None or hold is None:
        return again
    lifetime = draw.random.choice((*LIFETIMES, 2 * DAY_US))
    return Drawn(hold[0].tenant, hold[0].account, {"hold": hold[1], "lifetime": lifetime})


def draw_release(draw: Draw) -> Drawn | None:
    """Give an earlier hold back."""
    again = again_of(draw, "release", 12, {})
    hold = draw.earlier("authorize", "range", "reserve")
    if again is not None or hold is None:
        return again
    return Drawn(hold.tenant, hold.account, {"hold": Ref(hold.number)})


# -- corrections -----------------------------------------------------------------------------------

_ENDED: Final = (EndedGrants.RESTORE, EndedGrants.RESTORE, EndedGrants.ONWARD)


def _original(draw: Draw) -> tuple[int, str, Any, tuple[str, ...]] | None:
    """(tenant, account, place of a recorded event or capture, its product's quantities)."""
    first = draw.earlier(
        "usage", "usage", "capture", "linked", "amend", "quoted", "debit", "leased"
    )
    if first is None:
        return None
    if first.kind in ("quoted", "debit", "leased"):
        return (
            first.tenant,
            first.account,
            (first.number, REPORTED if first.kind == "leased" else -1),
            PRODUCTS[first.fields["product"]],
        )
    if first.kind == "capture":
        return first.tenant, first.account, (first.number, -1), first.fields["quantity_names"]
    place = 0
    event = first.fields
    if first.kind != "amend":
        place = draw.random.randrange(len(first.fields["events"]))
        event = first.fields["events"][place]
    account = event.get("account", first.account)
    return first.tenant, account, (first.number, place), PRODUCTS[event["product"]]


def draw_reverse(draw: Draw) -> Drawn | None:
    """Give usage back: all, some, or a part of the charge."""
    again = again_of(draw, "reverse", 12, {"note": b"u" * 16})
    original = _original(draw)
    if again is not None or original is None:
        return again
    tenant, account, place, names = original
    fields: dict[str, Any] = {"original": place, "ended": draw.random.choice(_ENDED)}
    how = draw.random.randrange(10)
    if how < 3:
        fields["quantities"] = tuple(draw.random.choice((0, 1, 2, 3)) for _ in names)
    elif how < 5:
        fields["as_charged"] = draw.random.choice((1, 2, 7, 40))
    return Drawn(tenant, account, {"note": b"", **fields})


def draw_amend(draw: Draw) -> Drawn | None:
    """Give usage back and record other usage in its stead."""
    again = again_of(draw, "amend", 12, {"note": b"u" * 16})
    original = _original(draw)
    if again is not None or original is None:
        return again
    tenant, account, place, _ = original
    product = draw.product()
    fields = {
        "original": place,
        "ended": draw.random.choice(_ENDED),
        "note": b"",
        "product": product,
        "quantities": draw.quantities(product),
        "effective_at": At(-draw.random.randrange(MINUTE_US)),
    }
    if draw.chance(20):
        fields["effective_at"] = At(-draw.random.choice((HOUR_US, 39 * DAY_US, 401 * DAY_US)))
    return Drawn(tenant, account, fields)
