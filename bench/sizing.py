"""Holds sized by learned quantiles against ``max_tokens``, on the real traces; no ledger.

Each trace is gone through in its order, as a server would: the answer's tokens of a request are
held for by what was learned of those before it (read anew after every READ_EVERY, for a server
keeps what it has read for a while), and learned once it has run. ``max_tokens`` is the largest
answer of the trace: the least that a caller could have said without cutting one off. Nothing is
left out: until OBSERVATIONS_MIN were seen, ``max_tokens`` is held.

``within_permille``: requests of those sized that used no more than was held, against the PERMILLE
that are promised. ``held_to_used``: all that was held to all that was used; ``max_tokens_to_used``
likewise. ``above_permille``: what was used above the holds, of all that was used: new usage (rule
H1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from time import perf_counter_ns

from ledger.demo.traces import (
    TraceRequest,
    azure_code,
    azure_conversation,
    mooncake_conversation,
)
from ledger.sizing.rules import OBSERVATIONS_DEFAULT as OBSERVATIONS_MIN
from ledger.sizing.sketches import Sketch

PERMILLE = 950
READ_EVERY = 100
OBSERVATIONS = 200_000

TRACES: dict[str, Callable[[], Iterable[TraceRequest]]] = {
    "code": azure_code,
    "conversation": azure_conversation,
    "mooncake": mooncake_conversation,
}


def gone_through(used: Sequence[int], permille: int = PERMILLE) -> dict[str, int | float]:
    """The figures of one trace, from the answers' tokens in their order."""
    sketch, most, value = Sketch(), max(used), 0
    sized = within = held = above = 0
    for place, tokens in enumerate(used):
        if place >= OBSERVATIONS_MIN and place % READ_EVERY == 0:
            value = sketch.quantile(permille)
        if value:
            sized += 1
            within += tokens <= value
        hold = value or most
        held += hold
        above += max(tokens - hold, 0)
        sketch.take(tokens)
    total = sum(used)
    return {
        "within_permille": (within * 1_000 + sized // 2) // sized,
        "held_to_used": round(held / total, 2),
        "max_tokens_to_used": round(most * len(used) / total, 2),
        "above_permille": (above * 1_000 + total // 2) // total,
    }


def measured() -> dict[str, int | float]:
    """The figures of every trace, and what an observation and a look cost."""
    found: dict[str, int | float] = {}
    for name, trace in TRACES.items():
        used = [request.output_tokens for request in trace()]
        for figure, value in gone_through(used).items():
            found[f"{name}_{figure}"] = value
    sketch = Sketch()
    began = perf_counter_ns()
    for number in range(OBSERVATIONS):
        sketch.take(number * 7_919 % 8_191)
    found["observation_ns"] = (perf_counter_ns() - began) // OBSERVATIONS
    kept = sketch.to_bytes()
    began = perf_counter_ns()
    for _ in range(100):
        Sketch(kept).quantile(PERMILLE)
    found["read_us"] = (perf_counter_ns() - began) // 100_000
    found["sketch_bytes"] = len(kept)
    return found


if __name__ == "__main__":
    for name, value in measured().items():
        print(f"{name:36} {value}")
