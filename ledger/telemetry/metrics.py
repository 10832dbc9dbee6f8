"""The tallies in Prometheus's words: read when somebody scrapes, never before.

Durations are seconds and sizes plain numbers, as Prometheus has them. Must not count anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from ledger.core.limits import SECOND_US
from ledger.telemetry.spans import SpanExport
from ledger.telemetry.tallies import Histogram, Tallies


class TallyCollector(Collector):
    """Shows a process's tallies, and its span export where there is one."""

    def __init__(
        self, tallies: Tallies, export: SpanExport | None, now_us: Callable[[], int]
    ) -> None:
        """`now_us` is the wall clock, in microseconds."""
        self._tallies = tallies
        self._export = export
        self._now_us = now_us

    def collect(self) -> Iterator[Metric]:
        """Everything, as it stands."""
        tallies = self._tallies
        yield _counter(
            "drawdown_events", "Usage events by outcome.", ["outcome"],
            [([name], count) for name, count in list(tallies.events.items())],
        )  # fmt: skip
        yield _counter(
            "drawdown_decisions", "Answers of Check and Authorize.", ["method", "decision"],
            [(list(place), count) for place, count in list(tallies.decisions.items())],
        )  # fmt: skip
        yield _counter(
            "drawdown_sized_quantities", "Quantities to be learned, by whose usage.",
            ["learned_of"],
            [([name], count) for name, count in list(tallies.sizes.items())],
        )  # fmt: skip
        yield _histograms(
            "rpc_server_call_duration_seconds", "Time from a call's arrival to its end.",
            ["rpc_method", "rpc_response_status_code"],
            [
                ([method, code], histogram)
                for (method, code), histogram in list(tallies.calls.items())
            ],
            SECOND_US,
        )  # fmt: skip
        yield from self._journal()
        yield from self._shards()
        yield from self._checkpoints()
        if self._export is not None:
            export = self._export
            counts = [("exported", export.exported), ("dropped", export.dropped)]
            yield _counter(
                "drawdown_spans", "Spans by what became of them.", ["result"],
                [([name], count) for name, count in [*counts, ("failed", export.failed)]],
            )  # fmt: skip

    def _journal(self) -> Iterator[Metric]:
        tallies = self._tallies
        yield _histograms(
            "drawdown_batch_entries", "Entries of a durable batch.", [],
            [([], tallies.batch_entries)], 1,
        )  # fmt: skip
        yield _histograms(
            "drawdown_commit_duration_seconds", "Time that the journal took for a batch.", [],
            [([], tallies.commit_us)], SECOND_US,
        )  # fmt: skip
        yield _counter(
            "drawdown_commits", "Commits by result; all but durable reopen the shard.", ["result"],
            [([name], count) for name, count in list(tallies.commits.items())],
        )  # fmt: skip
        yield _counter(
            "drawdown_entries", "Entries sent to the journal, by kind.", ["kind"],
            [([name], count) for name, count in list(tallies.entries.items())],
        )  # fmt: skip
        yield _counter(
            "drawdown_journal_bytes", "Compressed bytes of durable batches.", [],
            [([], tallies.journal_bytes)],
        )  # fmt: skip

    def _checkpoints(self) -> Iterator[Metric]:
        tallies = self._tallies
        shards = tallies.checkpoints
        counters = [
            ("checkpoints", "Durable checkpoints.", [each.written for each in shards]),
            (
                "checkpoint_families",
                "Families that they wrote.",
                [each.families for each in shards],
            ),
            ("checkpoint_keys", "Identities that they moved.", [each.keys for each in shards]),
            ("checkpoint_bytes", "Bytes that they wrote.", [each.bytes for each in shards]),
        ]
        for name, text, counts in counters:
            yield _counter(
                f"drawdown_{name}", text, ["shard"],
                [([str(shard)], count) for shard, count in enumerate(counts)],
            )  # fmt: skip
        seconds = [
            ("checkpoint_duration_seconds", "Time that the last checkpoint took.",
             [each.duration_us for each in shards]),
            ("checkpoint_pause_seconds", "Longest wait of decisions for the last checkpoint.",
             [each.pause_us for each in shards]),
            ("checkpoint_pause_max_seconds", "The same for any since the start.",
             [each.pause_max_us for each in shards]),
        ]  # fmt: skip
        for name, text, durations in seconds:
            yield _gauge(
                f"drawdown_{name}", text, ((place, us / SECOND_US) for place, us in
                                           enumerate(durations)),
            )  # fmt: skip
        gauges: list[tuple[str, str, Sequence[int]]] = [
            ("checkpoint_entries", "Entries that the last checkpoint covers.",
             [each.entries for each in shards]),
            ("key_segments", "Filters that a new identity asks.",
             [each.segments for each in shards]),
            ("key_segment_keys", "Identities in segments.", [each.segment_keys for each in shards]),
            ("families_resident", "Families in memory.", tallies.resident),
            ("families_paged", "Families that left memory.", tallies.paged),
        ]  # fmt: skip
        for name, text, values in gauges:
            yield _gauge(f"drawdown_{name}", text, enumerate(values))

    def _shards(self) -> Iterator[Metric]:
        tallies = self._tallies
        gauges: list[tuple[str, str, Sequence[int]]] = [
            ("queue_depth", "Commands that wait.", tallies.queued),
            ("shard_open", "1 while the shard serves.", [int(each) for each in tallies.open]),
            ("shard_owned", "1 while it is this server's.", [int(each) for each in tallies.owned]),
            ("durable_entries", "Entries that are durable.", tallies.durable),
            ("replay_entries", "Entries replayed by the last opening.", tallies.replayed),
            ("replay_entries_expected", "Entries that it has to replay.", tallies.to_replay),
            ("suspense_events", "Usage events that wait for a price.", tallies.suspended),
        ]
        for name, text, values in gauges:
            yield _gauge(f"drawdown_{name}", text, enumerate(values))
        yield _gauge(
            "drawdown_replay_duration_seconds", "Time that the last opening took.",
            ((shard, us / SECOND_US) for shard, us in enumerate(tallies.opening_us)),
        )  # fmt: skip
        yield _gauge(
            "drawdown_lease_left_seconds", "How long reads may be answered without a renewal.",
            ((shard, us / SECOND_US) for shard, us in enumerate(tallies.lease_left_us)),
        )  # fmt: skip
        yield _counter(
            "drawdown_takeovers", "Shards taken that another server had before.", [],
            [([], tallies.takeovers)],
        )  # fmt: skip
        yield _counter(
            "drawdown_forwards", "Calls passed on to the owner of a shard, by result.",
            ["rpc_method", "result"],
            [(list(place), count) for place, count in list(tallies.forwards.items())],
        )  # fmt: skip
        yield _counter(
            "drawdown_gateway_away",
            "What gateways were told while a shard was away, and what became of what was let in.",
            ["outcome"],
            [([outcome], count) for outcome, count in list(tallies.gateway_away.items())],
        )
        running, ended, kept_bytes = tallies.let_in
        let_in = GaugeMetricFamily(
            "drawdown_gateway_let_in", "Requests let in and not recorded yet.", labels=["state"]
        )
        let_in.add_metric(["running"], running)
        let_in.add_metric(["ended"], ended)
        let_in.add_metric(["unread"], tallies.let_in_unread)
        yield let_in
        yield GaugeMetricFamily(
            "drawdown_gateway_let_in_bytes", "What those take on this server's disk.", kept_bytes
        )
        yield GaugeMetricFamily(
            "drawdown_gateway_let_in_oldest_seconds",
            "How long the oldest of those is here: since it was let in, or taken up at the start.",
            tallies.let_in_oldest_us / SECOND_US,
        )
        yield _histograms(
            "drawdown_gateway_let_in_recorded_seconds",
            "How long what was let in was here until it was recorded.",
            [],
            [([], tallies.let_in_us)],
            SECOND_US,
        )
        yield _counter(
            "drawdown_suspense_rated", "Entries that rated usage which had waited.", ["shard"],
            [([str(shard)], count) for shard, count in enumerate(tallies.rated)],
        )  # fmt: skip
        yield _counter(
            "drawdown_shard_openings", "How often a shard was opened.", ["shard"],
            [([str(shard)], count) for shard, count in enumerate(tallies.openings)],
        )  # fmt: skip
        known = [shard for shard, reached in enumerate(tallies.projected) if reached >= 0]
        behind = {
            shard: max(0, tallies.durable[shard] - tallies.projected[shard]) for shard in known
        }
        yield _gauge(
            "drawdown_projection_lag_entries", "Durable entries not yet in the read models.",
            behind.items(),
        )  # fmt: skip
        yield _gauge(
            "drawdown_projection_lag_seconds", "Age of what the read models show; 0 = all of it.",
            (
                (shard, max(0, self._now_us() - tallies.projected_at_us[shard]) / SECOND_US)
                if entries
                else (shard, 0)
                for shard, entries in behind.items()
            ),
        )  # fmt: skip


def registry(collector: TallyCollector) -> CollectorRegistry:
    """What /metrics shows: the tallies and the process itself."""
    metrics = CollectorRegistry(auto_describe=False)
    metrics.register(collector)
    ProcessCollector(registry=metrics)
    PlatformCollector(registry=metrics)
    GCCollector(registry=metrics)
    return metrics


def _counter(
    name: str, text: str, labels: Sequence[str], values: Iterable[tuple[Sequence[str], int]]
) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for place, count in values:
        family.add_metric(place, count)
    return family


def _gauge(name: str, text: str, values: Iterable[tuple[int, float]]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=["shard"])
    for shard, value in values:
        family.add_metric([str(shard)], value)
    return family


def _histograms(
    name: str,
    text: str,
    labels: Sequence[str],
    values: Iterable[tuple[Sequence[str], Histogram]],
    unit: int,
) -> Metric:
    family = HistogramMetricFamily(name, text, labels=labels)
    for place, histogram in values:
        seen = 0
        buckets: list[tuple[str, float]] = []
        bounds = [str(bound / unit) for bound in histogram.bounds]
        for bound, count in zip([*bounds, "+Inf"], list(histogram.counts), strict=True):
            seen += count
            buckets.append((bound, seen))
        family.add_metric(place, buckets, histogram.total / unit)
    return family
