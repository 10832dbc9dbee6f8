"""What became of many events: counts, charges, latencies. Integers only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from ledger.client import EventOutcome


class Tally:
    """Filled as answers come."""

    def __init__(self) -> None:
        self.events = 0
        self.outcomes: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.replayed = 0
        self.over_limit = 0
        self.charges: Counter[tuple[str, int]] = Counter()  # (asset, scale) -> minor units
        self.latencies_us: list[int] = []  # a batch
        self.example: EventOutcome | None = None  # of what was not applied

    def add(self, outcomes: Iterable[EventOutcome], took_us: int) -> None:
        """The outcomes of one batch, and how long it took."""
        self.latencies_us.append(took_us)
        for outcome in outcomes:
            self.events += 1
            self.outcomes[outcome.outcome.name] += 1
            self.replayed += outcome.replayed
            self.over_limit += outcome.over_limit
            if outcome.charge:
                self.charges[outcome.asset, outcome.scale] += outcome.charge
            if outcome.reason:
                self.reasons[outcome.reason] += 1
                self.example = self.example or outcome

    def percentile_us(self, percent: int) -> int:
        """Of the batches' latencies; 0 without any."""
        return percentile(self.latencies_us, percent)


def percentile(values: Sequence[int], percent: int) -> int:
    """The nearest-rank percentile; 0 of nothing."""
    if not values:
        return 0
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]
