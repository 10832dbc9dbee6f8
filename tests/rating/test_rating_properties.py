"""Promises over any card and any events: the compiled card agrees with the slow evaluator."""

from collections.abc import Mapping
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rating_evaluator import SubsetExceedsParent, evaluate, round_by

from rating.card import (
    Meter,
    PriceRow,
    RateCard,
    Rounding,
    canonical_bytes,
    content_hash,
    decode_card,
    validate,
)
from rating.compile import CompiledCard, row_of
from rating.exact import parse_price
from rating.price import UNPRICED, RatingFault, rate, rounded

QUANTITIES = ("prompt", "part", "part_of_part", "other")
PRICES = ("0", "1", "2.5", "0.001", "1e-3", "1/3", "7/11", "3", "0.0004999", "250000000000.25")

amounts = st.one_of(
    st.integers(0, 40), st.integers(0, 10**6), st.sampled_from([2**63 - 1, 2**63, 2**63 + 1])
)
attribute_values = st.dictionaries(
    st.sampled_from(["mode", "region"]), st.sampled_from(["a", "b"]), max_size=2
)
rows = st.builds(
    PriceRow,
    product=st.sampled_from(["gpt", "other", "*"]),
    quantity=st.sampled_from(QUANTITIES),
    price=st.sampled_from(PRICES),
    attributes=st.dictionaries(
        st.sampled_from(["mode", "region"]), st.sampled_from(["a", "b", "*"]), max_size=2
    ),
    above_prompt=st.sampled_from([0, 0, 5, 20, 1000]),
    priority=st.integers(-1, 1),
)


def selector(row: PriceRow) -> object:
    attributes = tuple(sorted(row.attributes.items()))
    return (row.product, row.quantity, attributes, row.above_prompt, row.priority)


@st.composite
def cards(draw: st.DrawFn) -> RateCard:
    scale = draw(st.integers(0, 3))
    nested = draw(st.booleans())
    card = RateCard(
        name="any",
        asset="USD",
        asset_scale=draw(st.sampled_from([0, 2, 9])),
        rounding=draw(st.sampled_from(Rounding)),
        prompt_quantity="prompt",
        meters=(
            Meter("prompt", scale),
            Meter("part", scale, "prompt"),
            Meter("part_of_part", scale, "part" if nested else "prompt"),
            Meter("other", draw(st.integers(0, 3))),
        ),
        rows=tuple(draw(st.lists(rows, max_size=24, unique_by=selector))),
    )
    assert validate(card) == []
    return card


@st.composite
def quantity_maps(draw: st.DrawFn) -> dict[str, int]:
    names = draw(st.lists(st.sampled_from(QUANTITIES), min_size=1, unique=True))
    return {name: draw(amounts) for name in names}


events = st.lists(
    st.tuples(st.sampled_from(["gpt", "unknown"]), attribute_values, quantity_maps()), max_size=12
)


@given(cards(), events)
def test_the_compiled_card_agrees_with_the_slow_evaluator(
    card: RateCard, stream: list[tuple[str, dict[str, str], dict[str, int]]]
) -> None:
    compiled = CompiledCard(card, version=3)
    totals: dict[int, int] = {}
    slow_totals: dict[int, int] = {}
    for product, attributes, quantities in stream:
        plan = compiled.match(product, attributes, tuple(quantities))
        amounts_given = tuple(quantities.values())
        try:
            expected = evaluate(card, product, attributes, quantities, slow_totals)
        except SubsetExceedsParent:
            with pytest.raises(RatingFault):
                rate(plan, amounts_given, totals)
            continue
        charges, total, advances, used = rate(plan, amounts_given, totals)
        for index, line in enumerate(expected.values()):
            if line.ordinal is None:
                waiting = UNPRICED if line.own else 0
                assert (charges[index], used.rows[index]) == (waiting, -1)
            else:
                assert row_of(used.rows[index]) == (3, line.ordinal)
                assert charges[index] == line.charge
                if line.advance:
                    slow_totals[line.ordinal] = slow_totals.get(line.ordinal, 0) + line.advance
        assert total == sum(line.charge or 0 for line in expected.values())
        for row, advance in advances:
            totals[row] = totals.get(row, 0) + advance
        assert {row_of(row)[1]: q for row, q in totals.items()} == slow_totals


@given(cards(), quantity_maps(), attribute_values)
def test_a_plan_says_of_itself_what_is_true(
    card: RateCard, quantities: Mapping[str, int], attributes: Mapping[str, str]
) -> None:
    plan = CompiledCard(card, version=1).match("gpt", attributes, tuple(quantities))
    assert [above for above, _ in plan.steps] == sorted({n for n, _ in plan.steps}, reverse=True)
    for one in (plan, *(step for _, step in plan.steps)):
        assert one.priced == sum(row >= 0 for row in one.rows)
        assert one.whole == all(d == 1 for d in one.denominators)
        assert one.flat == (one.whole and one.priced == one.count and not any(one.subsets))
        assert one.simple == (one.flat and not one.steps)
        assert one is plan or one.steps == ()


@given(
    st.sampled_from(PRICES),
    st.sampled_from(Rounding),
    st.lists(st.integers(0, 10**12), min_size=1, max_size=30),
)
def test_events_one_by_one_cost_what_their_sum_costs(
    price: str, rounding: Rounding, parts: list[int]
) -> None:
    card = RateCard(
        name="any",
        asset="credit",
        asset_scale=0,
        rounding=rounding,
        meters=(Meter("calls"),),
        rows=(PriceRow("api", "calls", price),),
    )
    plan = CompiledCard(card, version=1).match("api", {}, ("calls",))
    totals: dict[int, int] = {}
    charged = 0
    for part in parts:
        charges, _, advances, _ = rate(plan, (part,), totals)
        assert charges[0] >= 0
        charged += charges[0]
        for row, quantity in advances:
            totals[row] = totals.get(row, 0) + quantity
    assert charged == round_by(rounding, Fraction(price) * sum(parts))


@given(
    st.integers(0, 2**130),
    st.integers(1, 2**70),
    st.sampled_from(list(enumerate([Rounding.HALF_EVEN, Rounding.HALF_UP, "up", "down"]))),
)
def test_rounding_is_that_of_fractions(
    numerator: int, denominator: int, mode: tuple[int, str]
) -> None:
    code, name = mode
    expected = round_by(Rounding(name), Fraction(numerator, denominator))
    assert rounded(numerator, denominator, code) == expected
    halves = round_by(Rounding(name), Fraction(numerator, 2))
    assert rounded(numerator, 2, code) == halves


@given(st.integers(0, 10**30), st.integers(0, 30), st.integers(-40, 40))
def test_a_decimal_price_is_exactly_its_digits(digits: int, places: int, exponent: int) -> None:
    text = f"{digits:0{places + 1}d}"
    text = f"{text[: len(text) - places]}.{text[len(text) - places :]}" if places else text
    assert Fraction(*parse_price(text)) == Fraction(digits, 10**places)
    assert Fraction(*parse_price(f"{text}e{exponent}")) == Fraction(f"{text}e{exponent}")


@given(cards())
def test_canonical_bytes_round_trip_and_name_the_card(card: RateCard) -> None:
    body = canonical_bytes(card)
    again = decode_card(body)
    assert again == card
    assert canonical_bytes(again) == body
    assert len(content_hash(body)) == 32


@given(cards(), events)
def test_what_is_remembered_never_changes_a_plan(
    card: RateCard, stream: list[tuple[str, dict[str, str], dict[str, int]]]
) -> None:
    remembering = CompiledCard(card, version=1)
    for product, attributes, quantities in [*stream, *stream]:
        kept = remembering.match(product, {**attributes, "id": "x"}, tuple(quantities))
        fresh = CompiledCard(card, version=1).match(product, attributes, tuple(quantities))
        assert kept.rows == fresh.rows
        assert [(n, p.rows) for n, p in kept.steps] == [(n, p.rows) for n, p in fresh.steps]
