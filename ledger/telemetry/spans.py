"""Finished spans on their way out: a bounded queue, and one thread that exports.

The event loop only appends a small record. Everything dear (the SDK's objects, the encoding, the
network) happens in the thread. A full queue drops and counts; nothing here waits for a collector.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter

QUEUE_SPANS_MAX: Final = 2_048  # the standard's default; x ~1 kB = 2 MB
EXPORT_SPANS_MAX: Final = 512
EXPORT_DELAY_MS: Final = 5_000
SCOPE: Final = "drawdown"

logger = logging.getLogger(__name__)

AttributeValue = str | int | bool


class SpanRecord(msgspec.Struct, gc=False):
    """One finished span. Times are nanoseconds since the epoch; `error` is "" where all is well.

    `kind` is the SDK's name of it: SERVER, CLIENT, INTERNAL. Links are (trace id, span id).
    """

    name: str
    kind: str
    trace_id: bytes
    span_id: bytes
    parent_id: bytes  # b"" = none
    parent_remote: bool
    start_ns: int
    end_ns: int
    attributes: Mapping[str, AttributeValue]
    links: Sequence[tuple[bytes, bytes]] = ()
    error: str = ""


class SpanExport:
    """Takes records from any thread, exports them from its own."""

    def __init__(
        self,
        exporter: SpanExporter,
        resource: Resource,
        queue_max: int = QUEUE_SPANS_MAX,
        batch_max: int = EXPORT_SPANS_MAX,
        delay_ms: int = EXPORT_DELAY_MS,
    ) -> None:
        self.exported = 0
        self.dropped = 0  # the queue was full
        self.failed = 0  # the exporter gave up on them
        self._exporter = exporter
        self._resource = resource
        self._queue: deque[SpanRecord] = deque()
        self._queue_max = queue_max
        self._batch_max = min(batch_max, queue_max)
        self._delay_ms = delay_ms
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="span-export", daemon=True)
        self._thread.start()

    def offer(self, record: SpanRecord) -> None:
        """Take a record, or count it as dropped. Never waits, never raises."""
        if len(self._queue) >= self._queue_max:
            self.dropped += 1
            return
        self._queue.append(record)
        if len(self._queue) >= self._batch_max:
            self._wake.set()

    def close(self, timeout_s: int = 5) -> None:
        """Export what is queued, for as long as that, and stop."""
        self._stopping = True
        self._wake.set()
        self._thread.join(timeout_s)
        self._exporter.shutdown()

    def _run(self) -> None:
        while True:
            self._wake.wait(self._delay_ms / 1_000)
            self._wake.clear()
            while self._queue:
                self._export_some()
            if self._stopping:
                return

    def _export_some(self) -> None:
        from opentelemetry.sdk.trace.export import SpanExportResult

        records = [self._queue.popleft() for _ in range(min(len(self._queue), self._batch_max))]
        try:
            result = self._exporter.export([_readable(each, self._resource) for each in records])
        except Exception:
            logger.exception("spans could not be exported")
            result = SpanExportResult.FAILURE
        if result is SpanExportResult.SUCCESS:
            self.exported += len(records)
        else:
            self.failed += len(records)


def _readable(record: SpanRecord, resource: Resource) -> ReadableSpan:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

    def context(trace_id: bytes, span_id: bytes, remote: bool) -> SpanContext:
        return SpanContext(
            int.from_bytes(trace_id, "big"),
            int.from_bytes(span_id, "big"),
            remote,
            TraceFlags(TraceFlags.SAMPLED),
        )

    parent = None
    if record.parent_id:
        parent = context(record.trace_id, record.parent_id, record.parent_remote)
    return ReadableSpan(
        name=record.name,
        context=context(record.trace_id, record.span_id, False),
        parent=parent,
        resource=resource,
        attributes=record.attributes,
        links=[Link(context(*link, remote=False)) for link in record.links],
        kind=SpanKind[record.kind],
        status=Status(StatusCode.ERROR, record.error) if record.error else Status(StatusCode.UNSET),
        start_time=record.start_ns,
        end_time=record.end_ns,
        instrumentation_scope=InstrumentationScope(SCOPE),
    )
