"""Rate cards as messages: what the library can say in one comes back the same from the wire."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.api.rendering.render_card import card_of, left_out, render_card
from ledger.api.rendering.render_model import placed
from rating.card import (
    ExpiryPolicy,
    Meter,
    PriceRow,
    Product,
    RateCard,
    canonical_bytes,
    validate,
)
from rating.models import CostPlus, Formula, Hours, Minimum, MinimumScope, Scope
from rating.v1 import card_pb2 as pb
from tests.rating.model_strategies import monotone, plans, transactional, volumes

NAMES = st.sampled_from(["a", "b", "*", "ä", "x" * 64])
HOURS = st.one_of(
    st.none(),
    st.builds(
        Hours,
        st.sampled_from(["Europe/Berlin", "UTC"]),
        st.sampled_from(["00:00", "22:00"]),
        st.sampled_from(["06:00", "24:00"]),
        st.sampled_from([(1, 2, 3, 4, 5, 6, 7), (1, 7), (3,)]),
    ),
)
FORMULAS = st.just(
    PriceRow(
        "api",
        "calls",
        "",
        model=Formula('calls * attr("width") / 3', ("width",)),
        scope=Scope.EVENT,
    )
)
PRODUCTS = st.lists(
    st.builds(
        Product,
        NAMES.filter(lambda name: name != "*"),
        NAMES,
        st.sampled_from(ExpiryPolicy),
        st.booleans(),
        st.lists(NAMES, max_size=2).map(tuple),
        st.dictionaries(NAMES, NAMES, max_size=2),
    ),
    unique_by=lambda product: product.product,
    max_size=3,
).map(tuple)
MINIMUMS = st.one_of(
    st.builds(Minimum, st.just(MinimumScope.ACCOUNT), st.just("10"), cash_only=st.booleans()),
    st.builds(Minimum, st.just(MinimumScope.PRODUCT), st.just("0"), st.just("api")),
    st.builds(Minimum, st.just(MinimumScope.LINE), st.just("5"), st.just("a"), st.just("calls")),
)


def scope_of(minimum: Minimum) -> MinimumScope:
    return minimum.scope


@st.composite
def cards(draw: st.DrawFn) -> RateCard:
    """Valid cards of a few rows of any kind that are served."""
    card, _ = draw(st.one_of(plans(monotone), plans(volumes), plans(transactional)))
    [row] = card.rows
    rows = [row]
    rows += draw(st.lists(FORMULAS, max_size=1))
    rows = [
        msgspec.structs.replace(
            each,
            hours=draw(HOURS),
            priority=number,
            above_prompt=draw(st.sampled_from([0, 2**63 - 1])),
            attributes=draw(st.dictionaries(NAMES, NAMES, max_size=2)),
        )
        for number, each in enumerate(rows)
    ]
    meters = (*card.meters, Meter("input_tokens"))
    card = msgspec.structs.replace(
        card,
        rows=tuple(rows),
        meters=meters,
        products=draw(PRODUCTS),
        minimums=tuple(draw(st.lists(MINIMUMS, unique_by=scope_of, max_size=2))),
    )
    assert validate(card) == []
    return card


@given(cards())
def test_a_card_comes_back_from_its_message_to_the_byte(card: RateCard) -> None:
    """So its content hash does: what a client publishes is what is stored and shown."""
    assert left_out(card) == []
    wire = render_card(card).SerializeToString()
    back, faults = card_of(pb.RateCard.FromString(wire))
    assert faults == []
    assert back == card
    assert canonical_bytes(back) == canonical_bytes(card)
    assert render_card(back) == render_card(card)


def test_what_is_not_served_is_named_and_never_dropped() -> None:
    """A list price beside a model is in the library alone."""
    card = RateCard(
        "default",
        "USD",
        2,
        meters=(Meter("calls"),),
        rows=(
            PriceRow("a", "calls", "1", included=5, list_price="2"),
            PriceRow("c", "calls", "1", list_price="2"),
            PriceRow("b", "calls", "", model=CostPlus("1.2")),
        ),
        minimums=(Minimum(MinimumScope.ACCOUNT, "10"), Minimum(MinimumScope.CONTRACT, "10")),
    )
    assert validate(card) == []
    assert [(fault.path, fault.reason) for fault in left_out(card)] == [
        ("rows[0].list_price", "NOT_SERVED"),
    ]


def test_a_card_that_names_its_costs_comes_back() -> None:
    """With who is paid for a product, and a price that rests on the cost (rule B4)."""
    card = RateCard(
        "resold",
        "USD",
        9,
        meters=(Meter("calls"),),
        rows=(PriceRow("a", "calls", "", model=CostPlus("1.2", "0.01")),),
        products=(Product("a", provider="acme-ai"),),
        cost_card="supplier",
    )
    back, faults = card_of(pb.RateCard.FromString(render_card(card).SerializeToString()))
    assert (back, faults) == (card, [])


def test_what_is_left_out_of_a_message_has_its_default() -> None:
    """A row says no more than it must: a month, a whole day, every day of the week."""
    row = pb.PriceRow(product="a", quantity="calls", price="1", hours=pb.Hours(zone="UTC"))
    card, _ = card_of(pb.RateCard(name="n", asset="USD", rows=[row]))
    assert card.rows == (PriceRow("a", "calls", "1", hours=Hours("UTC")),)
    open_tier = pb.PriceRow(graduated=pb.GraduatedModel(tiers=[pb.Tier(up_to=5), pb.Tier()]))
    card, _ = card_of(pb.RateCard(rows=[open_tier]))
    model = card.rows[0].model
    assert [tier.up_to for tier in model.tiers] == [5, None]  # type: ignore[union-attr]


def test_every_enum_that_nobody_knows_is_named_beside_all_other_faults() -> None:
    message = pb.RateCard(
        name="n",
        rounding=9,  # type: ignore[arg-type]
        products=[pb.Product(product="a", hold_expiry=8)],  # type: ignore[arg-type]
        rows=[pb.PriceRow(scope=9)],  # type: ignore[arg-type]
    )
    card, faults = card_of(message)
    assert sorted((fault.path, fault.reason, fault.value) for fault in faults) == [
        ("products[0].hold_expiry", "HOLD_EXPIRY_UNKNOWN", "8"),
        ("rounding", "ROUNDING_UNKNOWN", "9"),
        ("rows[0].scope", "SCOPE_UNKNOWN", "9"),
    ]
    assert {fault.path for fault in validate(card)} >= {"asset", "rows[0].price"}


TIER = pb.Tier(price="1")


@pytest.mark.parametrize(
    ("row", "faults"),
    [
        ({}, [("price", "PRICE_MALFORMED")]),
        (
            {"price": "1", "package": pb.PackageModel(size=0, price="x")},
            [
                ("price", "PRICE_WITH_MODEL"),
                ("package.size", "NUMBER_OUT_OF_RANGE"),
                ("package.price", "PRICE_MALFORMED"),
            ],
        ),
        ({"graduated": pb.GraduatedModel()}, [("graduated.tiers", "TIERS_EMPTY")]),
        (
            {"volume": pb.VolumeModel(tiers=[TIER, pb.Tier(up_to=5)])},
            [
                ("volume.tiers[0].up_to", "TIER_OPEN_NOT_LAST"),
                ("volume.tiers[1].up_to", "TIER_LAST_NOT_OPEN"),
                ("volume.tiers[1]", "TIER_WITHOUT_PRICE"),
            ],
        ),
        (
            {"stairstep": pb.StairstepModel(tiers=[pb.Tier(up_to=-1, flat="1"), TIER])},
            [
                ("stairstep.tiers[0].up_to", "TIERS_NOT_ASCENDING"),
                ("stairstep.tiers[1].price", "PRICE_NOT_FOR_MODEL"),
                ("stairstep.tiers[1]", "TIER_WITHOUT_PRICE"),
            ],
        ),
        (
            {"percentage": pb.PercentageModel(fixed="0.001"), "maximum": "0.001"},
            [
                ("percentage.rate", "PRICE_MALFORMED"),
                ("percentage.fixed", "AMOUNT_NOT_WHOLE"),
                ("maximum", "AMOUNT_NOT_WHOLE"),
                ("maximum", "MAXIMUM_NOT_FOR_MODEL"),
            ],
        ),
        (
            {"formula": pb.FormulaModel(expression="calls *"), "included": 3},
            [
                ("scope", "WRONG_SCOPE"),
                ("formula.expression", "FORMULA_MALFORMED"),
                ("included", "INCLUDED_NOT_FOR_MODEL"),
            ],
        ),
        (
            {
                "formula": pb.FormulaModel(expression='attr("width")'),
                "scope": pb.RUNNING_SCOPE_EVENT,
            },
            [("formula.attributes", "FORMULA_ATTRIBUTE_UNKNOWN")],
        ),
        (
            {"price": "1", "included": -1, "hours": pb.Hours(start="25:00", weekdays=[8])},
            [
                ("included", "NUMBER_OUT_OF_RANGE"),
                ("hours.zone", "ZONE_UNKNOWN"),
                ("hours.start", "CLOCK_MALFORMED"),
                ("hours.weekdays", "WEEKDAYS_MALFORMED"),
            ],
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_every_fault_is_named_by_the_field_of_the_message(row, faults) -> None:
    """A missing model, a price beside one, tiers, limits, formulas that do not parse, hours."""
    message = pb.RateCard(
        name="n",
        asset="USD",
        asset_scale=2,
        meters=[pb.Meter(quantity="calls")],
        rows=[pb.PriceRow(product="api", quantity="calls", **row)],
    )
    card, unknown = card_of(message)
    found = [(fault.path, fault.reason) for fault in placed(card, validate(card))]
    assert unknown == []
    assert found == [(f"rows[0].{path}", reason) for path, reason in faults]
