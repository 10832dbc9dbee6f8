"""Lines priced per second, in process, for each price model; and how long a card takes to compile.

Every model runs on over its total, as in a ledger: each line moves it. "matrix" is one row for each
of 60 combinations of attributes, matched anew for every event. In plain Python on one core:

    python -m bench.rating_models
    pytest bench/rating_models.py --benchmark-enable
"""

from __future__ import annotations

from time import process_time_ns

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from rating.card import Meter, PriceRow, RateCard, validate
from rating.compile import CompiledCard, Plan
from rating.model_lines import Facts
from rating.models import (
    CostPlus,
    Formula,
    Graduated,
    Model,
    Package,
    Percentage,
    Scope,
    Stairstep,
    Tier,
    Volume,
)
from rating.price import rate, rerate

ROUND_LINES = 10_000
ROUNDS = 15
ROWS = 3_000
COMPILE_ROUNDS = 7

BOUNDS = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
TIERS = (
    *(Tier(up_to, f"0.0000{9 - place}5") for place, up_to in enumerate(BOUNDS)),
    Tier(None, "0.000035"),
)
STAIRS = (
    *(Tier(up_to, flat=str(place)) for place, up_to in enumerate(BOUNDS)),
    Tier(None, flat="50"),
)
MODELS: dict[str, Model | None] = {
    "per_unit": None,
    "graduated": Graduated(TIERS),
    "volume": Volume(TIERS),
    "stairstep": Stairstep(STAIRS),
    "package": Package(1_000, "0.05"),
    "percentage": Percentage("0.029", "0.30", 10_000, "0.50", "10"),
    "cost_plus": CostPlus("1.2", "0.000001"),
    "formula": Formula('tokens * 0.000002 * ceil(attr("width") / 512)', ("width",)),
}
FACTS = Facts({"width": "1024"}, (1_234,))


def row(product: str, model: Model | None) -> PriceRow:
    scope = Scope.EVENT if isinstance(model, Formula) else Scope.MONTH
    return PriceRow(product, "tokens", "" if model else "0.000002", model=model, scope=scope)


def card_of(rows: tuple[PriceRow, ...]) -> RateCard:
    return RateCard(name="bench", asset="USD", asset_scale=9, meters=(Meter("tokens"),), rows=rows)


def plan_of(name: str) -> Plan:
    card = card_of((row("gpt", MODELS[name]),))
    assert validate(card) == []
    return CompiledCard(card, version=1).match("gpt", {}, ("tokens",))


def price_all(plan: Plan) -> int:
    """Prices every event, moves the totals; the sum keeps the work honest."""
    total = 0
    totals: dict[int, int] = {}
    for quantity in range(200, 200 + ROUND_LINES):
        _, charged, advances, _ = rate(plan, (quantity,), totals, FACTS)
        total += charged
        if plan.rerates:
            for _, amount in rerate(plan, (quantity,), totals):
                total += amount
        for key, more in advances:
            totals[key] = totals.get(key, 0) + more
    return total


def matrix() -> CompiledCard:
    """60 rows of one product: model x region x mode."""
    rows = tuple(
        PriceRow(
            "llm",
            "tokens",
            f"0.00000{1 + place % 9}",
            {"model": f"m{place % 10}", "region": f"r{place // 10 % 3}", "mode": f"k{place // 30}"},
        )
        for place in range(60)
    )
    return CompiledCard(card_of(rows), version=1)


def match_all(card: CompiledCard) -> int:
    """Every event is matched anew, by its attributes, and priced."""
    shapes = [
        {"model": f"m{n % 10}", "region": f"r{n % 3}", "mode": f"k{n % 2}"} for n in range(60)
    ]
    quantities, total = ("tokens",), 0
    totals: dict[int, int] = {}
    for index in range(ROUND_LINES):
        plan = card.match("llm", shapes[index % 60], quantities)
        total += rate(plan, (index,), totals)[1]
    return total


def big_card(kind: str) -> RateCard:
    """3,000 products, each at prices of its own; graduated ones in six tiers."""
    rows = []
    for n in range(ROWS):
        tiers = tuple(Tier(each.up_to, f"{each.price}{n}") for each in TIERS)
        model = Graduated(tiers) if kind == "graduated" else None
        price = "" if model else f"0.00000{n + 1}"
        rows.append(PriceRow(f"product-{n}", "tokens", price, model=model))
    return card_of(tuple(rows))


def publish(card: RateCard) -> int:
    """What a publication asks of rating: check the card, and make it ready to match."""
    assert validate(card) == []
    return len(CompiledCard(card, version=1).card.rows)


def compile_all(card: RateCard) -> int:
    """What the first event of every row's shape asks, over all rows."""
    compiled = CompiledCard(card, version=1)
    return sum(compiled.match(each.product, {}, ("tokens",)).priced for each in card.rows)


def median_ns(run: object, argument: object, rounds: int) -> int:
    """Median CPU time of one run, so that what else the machine does counts little."""
    assert callable(run)
    run(argument)
    took = []
    for _ in range(rounds):
        began = process_time_ns()
        run(argument)
        took.append(process_time_ns() - began)
    return sorted(took)[rounds // 2]


@pytest.mark.parametrize("name", MODELS)
def test_lines_of_a_model(benchmark: BenchmarkFixture, name: str) -> None:
    assert benchmark(price_all, plan_of(name)) > 0
    benchmark.extra_info["lines_per_round"] = ROUND_LINES


def test_lines_of_a_matrix(benchmark: BenchmarkFixture) -> None:
    assert benchmark(match_all, matrix()) > 0
    benchmark.extra_info["lines_per_round"] = ROUND_LINES


@pytest.mark.parametrize("name", ["per_unit", "graduated"])
def test_publish_a_card_of_3000_rows(benchmark: BenchmarkFixture, name: str) -> None:
    assert benchmark(publish, big_card(name)) == ROWS
    assert compile_all(big_card(name)) == ROWS


def main() -> None:
    for name in MODELS:
        lines = ROUND_LINES * 1_000_000_000 // median_ns(price_all, plan_of(name), ROUNDS)
        print(f"{name:<12} {lines:>12,} lines/s")
    lines = ROUND_LINES * 1_000_000_000 // median_ns(match_all, matrix(), ROUNDS)
    print(f"{'matrix':<12} {lines:>12,} lines/s")
    for name in ("per_unit", "graduated"):
        for what, run in (("publish", publish), ("compile", compile_all)):
            took = median_ns(run, big_card(name), COMPILE_ROUNDS) // 1_000_000
            print(f"{what} {ROWS:,} {name} rows {took:>6,} ms")


if __name__ == "__main__":
    main()
