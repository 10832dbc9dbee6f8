"""Grants of every kind and the money behind them: how each is drawn."""

from __future__ import annotations

from typing import Any

from ledger.core.catalog import asset_number
from ledger.core.events import GrantKind, Rollover
from ledger.core.limits import DAY_US, HOUR_US, SECOND_US
from ledger.simulation.draws import EUROPE, At, Draw, Drawn, Made, Ref, again_of
from ledger.simulation.draws_mandates import draw_bought
from ledger.simulation.scenario import Operation


def draw_issue(draw: Draw) -> Drawn:
    """A grant: small, large, free, soon over, not yet in force, for some products only."""
    again = again_of(draw, "issue", 12, {"amount": 77})
    if again is not None:
        return again
    random = draw.random
    tenant, account = draw.account()
    free = draw.chance(30)
    key = f"key-{random.randrange(4)}" if draw.chance(15) else ""
    fields = {
        "kind": GrantKind.PROMOTIONAL if free else GrantKind.PREPAID,
        "asset": draw.asset(tenant),
        "amount": random.choice((1, 10, 50) if draw.scarce else (1, 10, 50, 300, 5_000)),
        "price_paid": 0 if free or draw.chance(30) else random.choice((1, 7, 100, 9_999)),
        "price_asset": asset_number(tenant, 2),
        "priority": random.randrange(3),
        "effective_at": _grant_effective(draw),
        "expires_at": _grant_expiry(draw),
        "products": (draw.product(),) if draw.chance(20) else (),
        "external_key": key,
    }
    if draw.whole and len(draw.operations) < 2:  # something for holds and corrections to move
        ample = {"amount": random.choice((300, 5_000)), "products": (), "expires_at": 0}
        return Drawn(1, "acme", {**fields, **ample, **_issued_in(draw)})
    if draw.whole:
        fields |= _whole_grant(draw, fields)
    return Drawn(tenant, account, fields)


def _issued_in(draw: Draw) -> dict[str, Any]:
    """Of the first tenant, in force from now on."""
    assets = {"asset": draw.asset(1), "price_asset": asset_number(1, 2)}
    return {**assets, "effective_at": 0}


def _whole_grant(draw: Draw, fields: dict[str, Any]) -> dict[str, Any]:
    """What a grant may be beside: of another kind, shared, gated, rolling over, for some only."""
    more: dict[str, Any] = {}
    if draw.chance(20):
        more["tags"] = (draw.random.choice(("text", "work")),)
    if draw.chance(10):
        more["attributes"] = EUROPE
    if draw.chance(35):
        more["shared"] = True
    if draw.chance(20):
        more["source"] = "stripe"
    if fields["price_paid"]:
        kind = draw.random.randrange(10)
        if kind < 2:
            more["kind"] = GrantKind.POSTPAID
        elif kind < 4:
            more["kind"] = GrantKind.ALLOWANCE
        elif kind < 8:
            more["pending"] = True
    if draw.chance(40):
        more["rollover"] = draw_rollover(draw)
        if not fields["expires_at"] and draw.chance(90):
            more["expires_at"] = At(draw.random.choice((SECOND_US, 3 * SECOND_US, HOUR_US)))
    return more


def draw_rollover(draw: Draw) -> Made:
    """What becomes of the rest of a grant."""
    lifetime = draw.random.choice((0, SECOND_US, 20 * SECOND_US, 2 * DAY_US, 9 * DAY_US))
    again = lifetime >= DAY_US or (lifetime > 0 and draw.chance(5))  # as short as that is refused
    cap = draw.random.choice((-1, -1, 0, 5, 40))
    return Made(Rollover, (draw.random.randrange(4), 3, cap, lifetime, again))


def _grant_effective(draw: Draw) -> At | int:
    if draw.chance(50):
        return 0
    return At(draw.random.choice((-30 * DAY_US, -HOUR_US, -SECOND_US, 2 * SECOND_US)))


def _grant_expiry(draw: Draw) -> At | int:
    if draw.chance(45):
        return 0
    return At(draw.random.choice((SECOND_US, 3 * SECOND_US, 20 * SECOND_US, HOUR_US, 3 * DAY_US)))


def draw_void(draw: Draw) -> Drawn | None:
    """Take an earlier grant back."""
    again = again_of(draw, "void", 12, {"forfeit": True} if draw.whole else {})
    grant = draw.earlier("issue")
    if again is not None or grant is None:
        return again
    if not draw.whole:
        return Drawn(grant.tenant, grant.account, {"grant": Ref(grant.number)})
    found = draw.grant("issue")
    assert found is not None
    tenant, account, number = found
    return Drawn(tenant, account, {"grant": number, "forfeit": draw.chance(30)})


def draw_adjust(draw: Draw) -> Drawn | None:
    """Credit or debit by hand."""
    again = again_of(draw, "adjust", 12, {"amount": 3})
    if again is not None:
        return again
    amount = draw.random.choice((-40, -7, -1, 1, 2, 30))
    found = draw.grant("issue") if draw.chance(60) else None
    if found is None:
        tenant, account = draw.account()
        expires_at = At(3 * SECOND_US) if amount > 0 and draw.chance(30) else 0
        fields = {"asset": draw.asset(tenant), "amount": amount, "expires_at": expires_at}
        return Drawn(tenant, account, {"note": b"", **fields})
    tenant, account, number = found
    named = {"asset": draw.asset(tenant), "amount": amount, "grant": number}
    return Drawn(tenant, account, {"note": b"", **named})


# -- payments --------------------------------------------------------------------------------------


def _of_grant(draw: Draw, kind: str, other: dict[str, Any], fields: dict[str, Any]) -> Drawn | None:
    again = again_of(draw, kind, 12, other)
    found = draw.grant("issue")
    if again is not None or found is None:
        return again
    tenant, account, number = found
    return Drawn(tenant, account, {"grant": number, **fields})


def _gated(draw: Draw) -> Operation | None:
    """One of the last grants that wait for their payment."""
    found = [each for each in draw.operations if each.kind == "issue" and each.same_as < 0]
    found = [each for each in found if each.fields.get("pending")]
    return draw.random.choice(found[-4:]) if found else None


def draw_confirm(draw: Draw) -> Drawn | None:
    """A payment came: for one that waits for it, mostly."""
    bought = draw_bought(draw)
    if bought is not None:
        tenant, payer, grant = bought
        return Drawn(tenant, payer, {"grant": grant, "amount": draw.random.choice((0, 0, 1, 3))})
    gated = _gated(draw)
    amount = draw.random.choice((0, 0, 1, 3, 50))
    if gated is None or draw.chance(15):
        return _of_grant(draw, "confirm", {"amount": 2}, {"amount": amount})
    fields: dict[str, Any] = {"grant": Ref(gated.number), "amount": amount}
    if draw.chance(15):
        fields["asset"] = draw.asset(gated.tenant)
    return Drawn(gated.tenant, gated.account, fields)


def draw_fail(draw: Draw) -> Drawn | None:
    """It failed."""
    bought = draw_bought(draw)
    if bought is not None:
        tenant, payer, grant = bought
        return Drawn(tenant, payer, {"grant": grant})
    gated = _gated(draw)
    if gated is None or draw.chance(15):
        return _of_grant(draw, "fail", {}, {})
    return Drawn(gated.tenant, gated.account, {"grant": Ref(gated.number)})


def draw_refund(draw: Draw) -> Drawn | None:
    """Pay unused units back."""
    amount = draw.random.choice((0, 0, 1, 4, 100))
    return _of_grant(draw, "refund", {"amount": 2}, {"amount": amount, "note": b""})


def draw_charge_back(draw: Draw) -> Drawn | None:
    """The bank took a payment back."""
    return _of_grant(draw, "charge_back", {"note": b"m" * 16}, {"note": b""})


def draw_bill(draw: Draw) -> Drawn:
    """Bill all, one asset, or a part of it."""
    again = again_of(draw, "bill", 12, {"note": b"m" * 16})
    if again is not None:
        return again
    tenant, account = draw.account()
    fields = {"asset": 0, "most": 0, "note": b""}
    if draw.chance(50):
        fields |= {"asset": asset_number(tenant, draw.random.choice((1, 2, 2)))}
        fields |= {"most": draw.random.choice((0, 1, 5, 60))}
    return Drawn(tenant, account, fields)


def _of_bill(draw: Draw, kind: str) -> Drawn:
    """A part of what was billed, of the same account where there was a bill."""
    again = again_of(draw, kind, 12, {"amount": 2})
    if again is not None:
        return again
    bill = draw.earlier("bill", "charge_back", "commit") if draw.chance(80) else None
    tenant, account = draw.account() if bill is None else (bill.tenant, bill.account)
    asset = asset_number(tenant, 2 if draw.chance(95) else 1)
    amount = draw.random.choice((1, 1, 3, 20))
    return Drawn(tenant, account, {"asset": asset, "amount": amount, "note": b""})


def draw_pay(draw: Draw) -> Drawn:
    """A bill is paid in part."""
    return _of_bill(draw, "pay")


def draw_credit_note(draw: Draw) -> Drawn:
    """A part of a bill is waived."""
    return _of_bill(draw, "credit_note")


def draw_write_off(draw: Draw) -> Drawn:
    """A part of a bill is given up."""
    return _of_bill(draw, "write_off")
