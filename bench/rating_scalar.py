"""Events rated per second, in process, by one plan: the hot path of rating alone.

The workload is a real row of the public price map (two quantities, whole unit prices) over
quantities of a real size. ``events_per_s()`` is for the bench driver; as a pytest-benchmark file:

    pytest bench/rating_scalar.py --benchmark-enable
"""

from time import perf_counter_ns

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from rating.compile import CompiledCard, Plan
from rating.data import price_map
from rating.llm_prices import import_price_map
from rating.price import rate

PRODUCT = "gpt-4o"
ROUND_EVENTS = 10_000
ROUNDS = 30

TWO_QUANTITIES = ("input_tokens", "output_tokens")
WITH_CACHE = ("input_tokens", "output_tokens", "cached_tokens")


def plan_of(product: str, quantities: tuple[str, ...]) -> Plan:
    """The plan of a product of the public price map."""
    card, _ = import_price_map(price_map())
    return CompiledCard(card, version=1).match(product, {"region": "eu"}, quantities)


def events(quantities: tuple[str, ...]) -> list[tuple[int, ...]]:
    """Quantities of distinct events: prompts to 8,000 tokens, answers to 1,000, half cached."""
    made = []
    for index in range(ROUND_EVENTS):
        prompt, answer = 200 + index * 7_919 % 7_800, 1 + index * 104_729 % 1_000
        made.append((prompt, answer, prompt // 2)[: len(quantities)])
    return made


def rate_all(plan: Plan, batch: list[tuple[int, ...]]) -> int:
    """Rates every event; the sum of the charges keeps the work honest."""
    total = 0
    totals: dict[int, int] = {}
    for quantities in batch:
        _, charged, _, _ = rate(plan, quantities, totals)
        total += charged
    return total


def events_per_s(quantities: tuple[str, ...] = TWO_QUANTITIES) -> int:
    """Events rated per second: the median of the rounds."""
    plan, batch = plan_of(PRODUCT, quantities), events(quantities)
    rate_all(plan, batch)
    took_ns = []
    for _ in range(ROUNDS):
        began = perf_counter_ns()
        rate_all(plan, batch)
        took_ns.append(perf_counter_ns() - began)
    took_ns.sort()
    return ROUND_EVENTS * 1_000_000_000 // took_ns[ROUNDS // 2]


@pytest.mark.parametrize(
    "quantities", [TWO_QUANTITIES, WITH_CACHE], ids=["two_quantities", "with_cached_subset"]
)
def test_rate_scalar(benchmark: BenchmarkFixture, quantities: tuple[str, ...]) -> None:
    plan, batch = plan_of(PRODUCT, quantities), events(quantities)
    assert plan.whole
    assert benchmark(rate_all, plan, batch) > 0
    benchmark.extra_info["events_per_round"] = ROUND_EVENTS


if __name__ == "__main__":
    print(f"two quantities      {events_per_s():>12,} events/s")
    print(f"with cached subset  {events_per_s(WITH_CACHE):>12,} events/s")
