"""A card opened in steps is the card opened at once, and no step is long."""

from __future__ import annotations

import pytest

from rating.card import (
    CardError,
    Meter,
    PriceRow,
    Product,
    RateCard,
    canonical_bytes,
    decode_card,
)
from rating.compile import CompiledCard
from rating.models import Graduated, Hours, Minimum, MinimumScope, Tier
from rating.opening import STEP, CardOpening
from rating.plan import Plan

NIGHT = Hours("Europe/Berlin", "22:00", "06:00")
TIERS = Graduated((Tier(1_000, "0.01"), Tier(None, "0.001")))


def large(rows: int, products: int = 0) -> RateCard:
    """Every kind of row, over many products; whoever has no product of its own is anybody's."""
    made = tuple(
        PriceRow(
            f"p{n % 97}" if n % 5 else "*",
            "calls",
            "" if n % 3 == 0 else f"0.{n + 1}",
            {"n": str(n)} if n % 2 else {},
            priority=n,
            model=TIERS if n % 3 == 0 else None,
            hours=NIGHT if n % 7 == 0 else None,
        )
        for n in range(rows)
    )
    return RateCard(
        name="large",
        asset="USD",
        asset_scale=6,
        meters=(Meter("calls"),),
        rows=made,
        products=tuple(Product(f"p{n}", tags=("t",)) for n in range(products)),
        minimums=(Minimum(MinimumScope.ACCOUNT, "5"),),
    )


def opened(body: bytes) -> tuple[CompiledCard, int]:
    """The card, and how many steps it took."""
    opening, steps = CardOpening(body, 3), 1
    while (card := opening.step()) is None:
        steps += 1
    return card, steps


def described(plan: Plan) -> tuple[object, ...]:
    """What a plan charges: the rows, their prices and how their totals run."""
    return plan.rows, plan.numerators, plan.denominators, plan.keys, plan.scopes


@pytest.mark.parametrize("rows", [0, 1, STEP - 1, STEP, STEP + 1, 3 * STEP])
@pytest.mark.parametrize("products", [0, 1, STEP + 1])
def test_what_is_opened_in_steps_is_what_is_opened_at_once(rows: int, products: int) -> None:
    card = large(rows, products)
    body = canonical_bytes(card)
    found, steps = opened(body)
    once = CompiledCard(decode_card(body), 3)
    assert found.card == once.card == card
    assert steps >= (rows + products) // STEP, "no step opens more"
    assert found.product("p0") == once.product("p0")
    for product in ("p0", "p1", "p96", "elsewhere"):
        for attributes in ({}, {"n": "1"}, {"n": "28"}):
            for at_us in (0, 23 * 3_600_000_000):
                plans = [
                    each.match(product, attributes, ("calls",), each.time_class(at_us))
                    for each in (found, once)
                ]
                assert described(plans[0]) == described(plans[1])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        canonical_bytes(large(1))[:-1],
        canonical_bytes(large(2)).replace(b"calls", b"cal\xffs"),
        canonical_bytes(large(2)).replace(b"quantity", b"quantitx"),
    ],
    ids=["empty", "no msgpack", "cut off", "no text", "unknown field"],
)
def test_bytes_that_are_no_card_are_refused_as_at_once(body: bytes) -> None:
    for open_it in (decode_card, opened):
        with pytest.raises(CardError, match="not a rate card") as refused:
            open_it(body)
        assert [fault.reason for fault in refused.value.faults] == ["CARD_MALFORMED"]
