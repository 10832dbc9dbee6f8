"""What the engine says of its batches, as metrics and as two spans: the batch and its commit.

One batch span links to at most LINKS_MAX of the sampled calls whose commands it holds, and stands
in the trace of the first of them. A batch that fails, or commits slowly, is recorded in any case.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

from ledger.engine.observer import CheckpointFigures
from ledger.engine.ticket import Ticket
from ledger.telemetry.rpc import SLOW_CALL_US, RpcSpan, new_span_id, new_trace_id
from ledger.telemetry.spans import AttributeValue, SpanExport, SpanRecord
from ledger.telemetry.tallies import Tallies

LINKS_MAX: Final = 128
BATCH_SPAN: Final = "ledger.batch"
COMMIT_SPAN: Final = "journal.commit"


class _Started:
    """A batch on its way to the journal."""

    __slots__ = ("batch_seq", "calls", "entries", "first_ns", "row_bytes", "sealed_ns", "shard")

    def __init__(self, shard: int, batch_seq: int, entries: int, row_bytes: int) -> None:
        self.shard = shard
        self.batch_seq = batch_seq
        self.entries = entries
        self.row_bytes = row_bytes
        self.calls: list[RpcSpan] = []  # the sampled ones
        self.sealed_ns = 0
        self.first_ns = 0  # when the batch was begun


class BatchObserver:
    """Implements `ledger.engine.observer.Observer`."""

    def __init__(
        self, tallies: Tallies, export: SpanExport | None, slow_commit_us: int = SLOW_CALL_US
    ) -> None:
        self._tallies = tallies
        self._export = export
        self._slow_commit_us = slow_commit_us

    def batch_sealed(
        self, shard: int, batch_seq: int, tickets: Sequence[Ticket], entries: int, row_bytes: int
    ) -> object:
        """A batch goes to the journal."""
        started = _Started(shard, batch_seq, entries, row_bytes)
        if self._export is not None:
            started.sealed_ns = started.first_ns = time.time_ns()
            if tickets:
                started.first_ns = min(started.sealed_ns, tickets[0].recorded_at * 1_000)
            self._link(started, tickets)
        if tickets:
            kinds = self._tallies.entries
            for kind, count in Counter(map(type, tickets[0].events)).items():
                kinds[kind.__name__] = kinds.get(kind.__name__, 0) + count
        return started

    def batch_ended(self, started: object, commit_us: int, error: BaseException | None) -> None:
        """The batch is durable, or not."""
        assert isinstance(started, _Started)
        tallies = self._tallies
        result = "durable" if error is None else type(error).__name__
        tallies.commits[result] = tallies.commits.get(result, 0) + 1
        tallies.commit_us.observe(commit_us)
        if error is None:
            tallies.batch_entries.observe(started.entries)
            tallies.journal_bytes += started.row_bytes
            tallies.durable[started.shard] += started.entries
        if self._export is not None and (
            started.calls or error is not None or commit_us >= self._slow_commit_us
        ):
            self._record(self._export, started, commit_us, error)

    def queue_changed(self, shard: int, commands: int) -> None:
        """So many commands wait."""
        self._tallies.queued[shard] = commands

    def shard_opened(self, shard: int, entries: int, elapsed_us: int) -> None:
        """A shard was replayed and taken over."""
        tallies = self._tallies
        tallies.openings[shard] += 1
        tallies.opening_us[shard] = elapsed_us
        tallies.durable[shard] = entries

    def checkpoint_written(self, shard: int, figures: CheckpointFigures) -> None:
        """A checkpoint is durable."""
        self._tallies.checkpoints[shard].add(figures)

    def families_changed(self, shard: int, resident: int, paged: int) -> None:
        """So many families are in memory, and so many are not."""
        self._tallies.resident[shard] = resident
        self._tallies.paged[shard] = paged

    def suspense_changed(self, shard: int, waiting: int, rated: int) -> None:
        """So many usage events wait for a price, and `rated` more entries rated such."""
        self._tallies.suspended[shard] = waiting
        self._tallies.rated[shard] += rated

    def replayed(self, shard: int, done: int, total: int) -> None:
        """How far a shard's replay is."""
        self._tallies.replayed[shard] = done
        self._tallies.to_replay[shard] = total

    def _link(self, started: _Started, tickets: Sequence[Ticket]) -> None:
        batch = f"{started.shard}/{started.batch_seq}"
        for ticket in tickets:
            span = ticket.span
            if isinstance(span, RpcSpan) and span.sampled:
                span.batch = batch
                started.calls.append(span)
                if len(started.calls) == LINKS_MAX:
                    return

    def _record(
        self, export: SpanExport, started: _Started, commit_us: int, error: BaseException | None
    ) -> None:
        calls = started.calls
        trace_id = calls[0].trace_id if calls else new_trace_id()
        batch_id = new_span_id()
        failed = "" if error is None else f"{type(error).__name__}: {error}"
        end_ns = max(started.sealed_ns + commit_us * 1_000, started.sealed_ns)
        attributes: dict[str, AttributeValue] = {
            "drawdown.shard": started.shard,
            "drawdown.batch_seq": started.batch_seq,
            "drawdown.entries": started.entries,
            "drawdown.bytes": started.row_bytes,
        }
        export.offer(
            SpanRecord(
                name=BATCH_SPAN,
                kind="INTERNAL",
                trace_id=trace_id,
                span_id=batch_id,
                parent_id=calls[0].span_id if calls else b"",
                parent_remote=False,
                start_ns=started.first_ns,
                end_ns=end_ns,
                attributes=attributes,
                links=[(call.trace_id, call.span_id) for call in calls],
                error=failed,
            )
        )
        export.offer(
            SpanRecord(
                name=COMMIT_SPAN,
                kind="CLIENT",
                trace_id=trace_id,
                span_id=new_span_id(),
                parent_id=batch_id,
                parent_remote=False,
                start_ns=started.sealed_ns,
                end_ns=end_ns,
                attributes={
                    "db.system.name": "postgresql",
                    "db.operation.name": "INSERT",
                    "db.collection.name": "journal",
                    **attributes,
                },
                error=failed,
            )
        )
