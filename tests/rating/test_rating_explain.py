"""Why a line costs what it costs: as data that adds up, and in words (rules R1 and R3)."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st
from model_strategies import amounts, monotone, plans, transactional, volumes
from rating_evaluator import round_by

from rating.card import Meter, PriceRow, RateCard, validate
from rating.compile import CompiledCard
from rating.differences import Cause, difference
from rating.explain import Beaten, Explanation, explain
from rating.model_lines import Facts
from rating.models import (
    CostPlus,
    Formula,
    Graduated,
    Hours,
    Package,
    Percentage,
    Scope,
    Tier,
    Volume,
)
from rating.plan import Plan
from rating.price import rate, rerate
from rating.wording import decimal, difference_in_words, in_words

CARD = RateCard(
    name="llm",
    asset="USD",
    asset_scale=2,
    meters=(
        Meter("calls"),
        Meter("hours", 3),
        Meter("amount", 2),
        Meter("input_tokens"),
        Meter("cached_tokens", subset_of="input_tokens"),
    ),
    rows=(
        PriceRow("*", "calls", "0.05"),
        PriceRow(
            "api", "calls", "", model=Graduated((Tier(10, "0.10", "1"), Tier(None, "0.05", "2")))
        ),
        PriceRow(
            "api", "calls", "", model=Volume((Tier(10, "0.10"), Tier(None, "0.05"))), priority=1
        ),
        PriceRow("api", "calls", "0.01", {"mode": "batch"}),
        PriceRow("api", "hours", "0.333", scope=Scope.DAY, included=500),
        PriceRow("api", "amount", "", model=Percentage("0.029", "0.30", 0, "0.50")),
        PriceRow("pack", "calls", "", model=Package(100, "5")),
        PriceRow("cost", "calls", "", model=CostPlus("1.2", "0.01")),
        PriceRow("sum", "calls", "", model=Formula("calls / 3"), scope=Scope.EVENT),
        PriceRow("gpt", "input_tokens", "1/3"),
        PriceRow("gpt", "input_tokens", "1", above_prompt=100),
        PriceRow("gpt", "input_tokens", "2", hours=Hours("Europe/Berlin", "22:00", "06:00")),
        PriceRow("capped", "calls", "1", maximum="3"),
    ),
)


def account(
    product: str,
    quantities: dict[str, int],
    totals: dict[int, int] | None = None,
    facts: Facts = Facts(),  # noqa: B008
    time_class: int = 0,
    **attributes: str,
) -> Explanation:
    card = CompiledCard(CARD, version=0)
    plan = card.match(product, attributes, tuple(quantities), time_class)
    given = tuple(quantities.values())
    return explain(card, plan, product, attributes, given, totals or {}, facts, time_class)


def test_the_card_is_good() -> None:
    assert validate(CARD) == []


def test_a_graduated_line_shows_its_tiers() -> None:
    """8 before, 5 more: 2 in the first tier, 3 in the second, which is entered."""
    card = RateCard(
        name="g", asset="USD", asset_scale=2, meters=CARD.meters[:1], rows=CARD.rows[1:2]
    )
    compiled = CompiledCard(card, version=0)
    plan = compiled.match("api", {}, ("calls",))
    (line,) = explain(compiled, plan, "api", {}, (5,), {0: 8}).lines
    assert [
        (piece.tier, piece.lower, piece.upper, piece.unit_price, piece.flat, piece.amount)
        for piece in line.slices
    ] == [
        (0, 8, 10, (10, 1), (0, 1), (20, 1)),
        (1, 10, 13, (5, 1), (200, 1), (215, 1)),
    ]
    assert (line.before, line.measured, line.charge) == (8, 5, 235)
    assert (line.exact_before, line.exact_after) == ((180, 1), (415, 1))


def test_the_row_says_what_it_beat_and_by_what() -> None:
    (line,) = account("api", {"calls": 1}, mode="batch").lines
    assert line.ordinal == 3
    assert line.conditions == ("product api", "mode batch")
    assert line.beaten == (Beaten(1, "attributes"), Beaten(2, "attributes"), Beaten(0, "product"))
    (line,) = account("api", {"calls": 1}).lines
    assert (line.ordinal, line.beaten) == (2, (Beaten(1, "priority"), Beaten(0, "product")))


def test_a_volume_line_and_its_rerate_in_words() -> None:
    said = in_words(account("api", {"calls": 5}, {2: 8}))
    assert said.splitlines() == [
        "api: 0.25 USD by llm version 0",
        "  earlier quantity priced anew: -0.4 USD, apart",
        "  5 calls: 0.25 USD",
        "    row 2 (product api), volume",
        "    before row 1, as its priority is higher",
        "    before row 0, as it names the product",
        "    8 before it in the month",
        "    tier 2: 5 x 0.05 = 0.25",
        "    earlier quantity priced anew: -0.4 USD, apart",
    ]


def test_included_units_rounding_and_scope_in_words() -> None:
    """0.3 hours before; of 1.3 more 0.2 are free; 1.1 x 0.333 = 0.3663."""
    said = in_words(account("api", {"hours": 1300, "nothing": 4}, {4: 300}))
    assert said.splitlines() == [
        "api: 0.37 USD by llm version 0",
        "  1.3 hours: 0.37 USD",
        "    row 4 (product api), per_unit",
        "    0.3 before it in the day",
        "    0.2 of it are free",
        "    tier 1: 1.1 x 0.333 = 0.3663",
        "    exactly 0 to 0.3663, both rounded half_even",
        "  4 nothing: no row prices it; it waits",
    ]


def test_fixed_parts_and_limits_in_words() -> None:
    assert in_words(account("api", {"amount": 100})).splitlines()[1:] == [
        "  1 amount: 0.5 USD",
        "    row 5 (product api), percentage",
        "    tier 1: 1 x 0.029 = 0.029",
        "    0.3 USD for the transaction",
        "    the minimum of a transaction applies",
        "    exactly 0 to 0.029, both rounded half_even",
    ]
    assert in_words(account("capped", {"calls": 5})).splitlines()[1:] == [
        "  5 calls: 3 USD",
        "    row 12 (product capped), per_unit",
        "    before row 0, as it names the product",
        "    tier 1: 5 x 1 = 5",
        "    the maximum of its scope applies",
    ]


def test_packages_costs_and_formulas_in_words() -> None:
    assert in_words(account("pack", {"calls": 101})).splitlines()[1:] == [
        "  101 calls: 10 USD",
        "    row 6 (product pack), package",
        "    before row 0, as it names the product",
        "    tier 1: 2 packages x 5 = 10",
    ]
    assert in_words(account("cost", {"calls": 7}, facts=Facts(costs=(50,)))).splitlines()[1:] == [
        "  7 calls: 0.61 USD",
        "    row 7 (product cost), cost_plus",
        "    before row 0, as it names the product",
        "    the provider takes 0.5 USD",
        "    tier 1: 0.5 USD x 1.2 = 0.6",
        "    0.01 USD for the transaction",
    ]
    assert in_words(account("sum", {"calls": 1})).splitlines()[1:] == [
        "  1 calls: 0.33 USD",
        "    row 8 (product sum), formula",
        "    before row 0, as it names the product",
        "    exactly 0 to 1/3, both rounded half_even",
    ]


def test_parts_of_a_parent_thresholds_and_hours_in_words() -> None:
    assert in_words(account("gpt", {"input_tokens": 101, "cached_tokens": 1})).splitlines() == [
        "gpt: 100 USD by llm version 0",
        "  100 input_tokens (of 101, the rest is charged as its parts): 100 USD",
        "    row 10 (product gpt, prompt above 100), per_unit",
        "    before row 9, as its prompt threshold is larger",
        "    tier 1: 100 x 1 = 100",
        "  1 cached_tokens: no row prices it; it waits",
    ]
    assert in_words(account("gpt", {"input_tokens": 101}, time_class=1)).splitlines()[2:4] == [
        "    row 11 (product gpt, 22:00 to 06:00 on days 1234567 in Europe/Berlin), per_unit",
        "    before row 9, as it names hours",
    ]


def test_why_one_event_cost_more_than_another() -> None:
    """Quantity, what ran before it, tier, row, attributes: each with both values."""
    one = account("api", {"calls": 5}, {2: 0})
    other = account("api", {"calls": 6}, {2: 8})
    found = difference(one, other)
    assert found.more == 30 - 50
    assert found.causes == ()
    assert found.lines[0].causes == (
        Cause("quantity", "", "5", "6"),
        Cause("running_total", "", "0", "8"),
        Cause("tier", "", "1", "2"),
    )
    batch = account("api", {"calls": 5, "hours": 1500}, mode="batch")
    assert difference_in_words(difference(one, batch), one, batch).splitlines() == [
        "the second event costs 0.12 USD less than the first",
        "  the attribute mode: none and batch",
        "  calls: 0.5 USD and 0.05 USD",
        "    the row: 2 of version 0 and 3 of version 0",
        "  hours: nothing and 0.33 USD",
        "    the quantity: none and 1500",
    ]
    assert difference(one, one).lines == ()
    said = difference_in_words(difference(one, one), one, one)
    assert said == "both events cost the same"


@given(plans(st.one_of(monotone, volumes, transactional)), amounts, amounts)
def test_an_account_adds_up_to_the_line(
    priced: tuple[RateCard, Plan], before: int, more: int
) -> None:
    """Slices make the exact difference; rounded, with fixed part and limits, it is the charge."""
    card, plan = priced
    compiled = CompiledCard(card, version=1)
    totals = dict.fromkeys(plan.keys or plan.rows, before)
    facts = Facts(costs=(more,))
    charges, total, _, _ = rate(plan, (more,), totals, facts)
    found = explain(compiled, plan, "api", {}, (more,), totals, facts)
    (line,) = found.lines
    assert (line.charge, found.total) == (charges[0], total)
    assert found.rerates == sum(each for _, each in rerate(plan, (more,), totals))
    exact = Fraction(*line.exact_after) - Fraction(*line.exact_before)
    assert sum(Fraction(*piece.amount) for piece in line.slices) == exact
    for piece in line.slices:
        units = piece.upper - piece.lower
        assert Fraction(*piece.amount) == units * Fraction(*piece.unit_price) + Fraction(
            *piece.flat
        )
    if not line.limited_by:
        rounded = [
            round_by(card.rounding, Fraction(*each))
            for each in (line.exact_before, line.exact_after)
        ]
        assert line.charge == rounded[1] - rounded[0] + line.fixed


@given(st.integers(-(10**12), 10**12), st.integers(1, 10**6))
def test_decimals_are_exact_or_ratios(numerator: int, denominator: int) -> None:
    text = decimal((numerator, denominator))
    assert Fraction(text) == Fraction(numerator, denominator)
