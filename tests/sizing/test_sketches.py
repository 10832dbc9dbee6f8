"""Quantiles are within the error that the library states, over seeded streams, merged or not."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.sizing import TRACES, gone_through
from ledger.core.limits import INT64_MAX
from ledger.sizing.sketches import RANK_ERROR, Sketch, merged

PERMILLES = (500, 750, 900, 950, 990, 999)
STREAMS = {
    "even": lambda pick: pick.randrange(100_000),
    "long tail": lambda pick: int(pick.lognormvariate(6, 2)),
    "two humps": lambda pick: pick.choice((100, 4_000)) + pick.randrange(80),
    "few values": lambda pick: pick.choice((0, 1, 7, 4_096)),
    "large": lambda pick: INT64_MAX - pick.randrange(1_000_000),
}


def off(values: Sequence[int], found: int, permille: int) -> int:
    """By how many observations the rank of what was found is off: 0 where it is exact."""
    below = sum(value < found for value in values)
    through = sum(value <= found for value in values)
    wanted = -(-permille * len(values) // 1_000)
    return max(below + 1 - wanted, wanted - through, 0)


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("shards", [1, 7])
def test_a_quantile_is_within_the_stated_error_of_its_rank(name: str, shards: int) -> None:
    """Twenty seeded streams of 20,000, each in `shards` sketches that went to bytes and back. The
    library states its error for 99 of 100 sketches: one answer of all may be twice as far off."""
    beyond = 0
    for seed in range(20):
        pick = random.Random(seed)
        values = [STREAMS[name](pick) for _ in range(20_000)]
        parts = [Sketch() for _ in range(shards)]
        for place, value in enumerate(values):
            parts[place % shards].take(value)
        whole = merged([each.to_bytes() for each in parts])
        assert whole.observations == len(values)
        for permille in PERMILLES:
            found = whole.quantile(permille)
            assert found in values
            error = off(values, found, permille)
            assert error <= 2 * RANK_ERROR * len(values), (seed, permille, error)
            beyond += error > RANK_ERROR * len(values)
    assert beyond <= 2, beyond


@given(st.lists(st.integers(0, INT64_MAX), min_size=1, max_size=300), st.sampled_from(PERMILLES))
def test_as_long_as_all_is_kept_a_quantile_is_exact(values: list[int], permille: int) -> None:
    sketch = Sketch()
    for value in values:
        sketch.take(value)
    exact = sorted(values)[-(-permille * len(values) // 1_000) - 1]
    assert Sketch(sketch.to_bytes()).quantile(permille) == exact


def test_a_sketch_stays_small() -> None:
    sketch = Sketch()
    for value in range(300_000):
        sketch.take(value * 7_919 % 99_991)
    assert len(sketch.to_bytes()) < 12_000


@pytest.mark.parametrize("trace", TRACES)
def test_on_real_traces_what_is_promised_is_kept_and_most_of_what_was_held_for_nothing_is_free(
    trace: str,
) -> None:
    """Usage drifts, so that the next hour is not the last one: a point and a half of a hundred."""
    found = gone_through([request.output_tokens for request in TRACES[trace]()])
    assert 935 <= found["within_permille"] <= 965
    assert found["held_to_used"] * 2 < found["max_tokens_to_used"]
