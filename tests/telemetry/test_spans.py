"""Calls, batches and commits as spans, exported to a collector over gRPC."""

import asyncio
import os
import threading
import time
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from ledger.engine.ticket import Ticket
from ledger.telemetry.observer import LINKS_MAX
from ledger.telemetry.spans import SpanExport, SpanRecord
from ledger.telemetry.telemetry import Telemetry, TelemetryInvalid
from ledger.telemetry.traceparent import format_traceparent
from telemetry.collector import Collector
from tests.patience import HANGS_S

INGEST = "ledger.v1.UsageService/Ingest"
NAME = INGEST
TRACE = bytes(range(16))
SPAN = bytes(range(8, 16))
RECORD = SpanRecord("call", "SERVER", TRACE, SPAN, b"", False, 1, 2, {})


class Context:
    """As much of a gRPC context as telemetry looks at."""

    def __init__(self, *metadata: tuple[str, str]) -> None:
        self._metadata = metadata

    def invocation_metadata(self) -> Any:
        return self._metadata


@pytest.fixture
def telemetry(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> Telemetry:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{collector.address}")
    monkeypatch.delenv("OTEL_TRACES_SAMPLER", raising=False)
    return Telemetry(2, os.environ, slow_call_us=200_000)


def monotonic_us() -> int:
    return time.monotonic_ns() // 1_000


def called_by(sampled: bool) -> Context:
    return Context(("traceparent", format_traceparent(TRACE, SPAN, sampled)))


def attributes(span: Span) -> dict[str, Any]:
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


def test_a_sampled_call_becomes_a_span_below_its_caller(
    telemetry: Telemetry, collector: Collector
) -> None:
    span = telemetry.rpc.rpc_started(INGEST, called_by(True))
    assert span is not None
    assert span.trace_id == TRACE
    telemetry.rpc.rpc_ended(INGEST, span, "OK", monotonic_us())
    telemetry.close()
    [sent] = collector.named(NAME)
    assert (sent.trace_id, sent.parent_span_id, sent.kind) == (TRACE, SPAN, Span.SPAN_KIND_SERVER)
    assert attributes(sent) == {
        "rpc.system.name": "grpc",
        "rpc.method": NAME,
        "rpc.response.status_code": "OK",
    }
    assert sent.status.code == Status.STATUS_CODE_UNSET
    assert collector.resources[0]["service.name"] == "drawdown"


def test_an_unsampled_call_keeps_its_trace_id_and_becomes_no_span(
    telemetry: Telemetry, collector: Collector
) -> None:
    span = telemetry.rpc.rpc_started(INGEST, called_by(False))
    assert span is not None
    assert span.trace_id == TRACE
    telemetry.rpc.rpc_ended(INGEST, span, "OK", monotonic_us())
    telemetry.close()
    assert collector.spans == []


@pytest.mark.parametrize(
    ("code", "elapsed_us", "recorded", "failed"),
    [
        ("OK", 0, False, False),
        ("NOT_FOUND", 0, False, False),  # the caller's fault
        ("UNAVAILABLE", 0, True, True),
        ("INTERNAL", 0, True, True),
        ("OK", 300_000, True, False),
    ],
)
def test_failed_and_slow_calls_are_recorded_with_the_start_set_afterwards(
    telemetry: Telemetry,
    collector: Collector,
    code: str,
    elapsed_us: int,
    recorded: bool,
    failed: bool,
) -> None:
    span = telemetry.rpc.rpc_started(INGEST, called_by(False))
    telemetry.rpc.rpc_ended(INGEST, span, code, monotonic_us() - elapsed_us)
    telemetry.close()
    sent = collector.named(NAME)
    assert bool(sent) is recorded
    for each in sent:
        assert each.trace_id == TRACE
        assert each.end_time_unix_nano - each.start_time_unix_nano >= elapsed_us * 1_000
        assert (each.status.code == Status.STATUS_CODE_ERROR) is failed


def test_a_call_without_a_header_starts_a_trace(telemetry: Telemetry, collector: Collector) -> None:
    span = telemetry.rpc.rpc_started(INGEST, Context())
    assert span is not None
    assert len(span.trace_id) == 16
    telemetry.rpc.rpc_ended(INGEST, span, "OK", monotonic_us())
    telemetry.close()
    [sent] = collector.named(NAME)
    assert (sent.trace_id, sent.parent_span_id) == (span.trace_id, b"")


async def test_a_trace_goes_from_the_call_to_the_batch_to_the_commit(
    telemetry: Telemetry, collector: Collector
) -> None:
    """One batch span in the trace of the first sampled call, with at most 128 links."""
    observer = telemetry.observer
    spans = [telemetry.rpc.rpc_started(INGEST, Context()) for _ in range(LINKS_MAX + 20)]
    unsampled = telemetry.rpc.rpc_started(INGEST, called_by(False))
    future = asyncio.get_running_loop().create_future()
    tickets = [Ticket(1, [], future, 0, span) for span in [unsampled, None, *spans]]
    started = observer.batch_sealed(1, 7, tickets, 148, 4_000)
    observer.batch_ended(started, 900, None)
    for span in spans:
        telemetry.rpc.rpc_ended(INGEST, span, "OK", monotonic_us())
    telemetry.close()
    [batch] = collector.named("ledger.batch")
    [commit] = collector.named("journal.commit")
    calls = {span.span_id: span for span in collector.named(NAME)}
    first = calls[batch.parent_span_id]
    assert first.trace_id == batch.trace_id == commit.trace_id
    assert attributes(first)["drawdown.batch"] == "1/7"
    assert len(batch.links) == LINKS_MAX
    assert {link.span_id for link in batch.links} <= calls.keys()
    assert commit.parent_span_id == batch.span_id
    assert attributes(batch)["drawdown.entries"] == 148
    assert attributes(commit)["db.system.name"] == "postgresql"


def test_a_batch_that_fails_is_recorded_and_an_unsampled_one_is_not(
    telemetry: Telemetry, collector: Collector
) -> None:
    observer = telemetry.observer
    observer.batch_ended(observer.batch_sealed(0, 1, [], 3, 100), 900, None)
    observer.batch_ended(observer.batch_sealed(0, 2, [], 3, 100), 900, OSError("connection lost"))
    telemetry.close()
    [batch] = collector.named("ledger.batch")
    assert attributes(batch)["drawdown.batch_seq"] == 2
    assert batch.status.message == "OSError: connection lost"


def test_a_full_queue_drops_and_counts() -> None:
    """Nothing waits for a collector that is slow."""
    exporting, answered = threading.Event(), threading.Event()

    class Slow(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            exporting.set()
            answered.wait(HANGS_S)
            return SpanExportResult.SUCCESS

    export = SpanExport(Slow(), Resource({}), queue_max=10, delay_ms=60_000)
    for _ in range(10):
        export.offer(RECORD)
    assert exporting.wait(HANGS_S)
    for _ in range(25):
        export.offer(RECORD)
    answered.set()
    export.close()
    assert (export.exported, export.dropped) == (20, 15)


def test_a_collector_that_is_away_costs_spans_and_nothing_else() -> None:
    class Broken(SpanExporter):
        def export(self, spans: Any) -> Any:
            raise ConnectionError("no collector")

    export = SpanExport(Broken(), Resource({}))
    export.offer(RECORD)
    export.close()
    assert (export.exported, export.failed) == (0, 1)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_nothing_leaves_unless_the_environment_says_so(environment: dict[str, str]) -> None:
    telemetry = Telemetry(1, environment)
    assert telemetry.export is None
    assert telemetry.rpc.rpc_started(INGEST, Context()) is None
    stored = telemetry.rpc.rpc_started(INGEST, called_by(True))
    assert stored is not None
    assert stored.trace_id == TRACE  # the entry still tells the caller's trace
    assert stored.sampled is False


@pytest.mark.parametrize(
    "environment",
    [
        {"OTEL_TRACES_EXPORTER": "zipkin"},
        {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
        {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_BSP_MAX_QUEUE_SIZE": "many"},
    ],
)
def test_what_cannot_be_had_is_refused_with_its_value(environment: dict[str, str]) -> None:
    value = list(environment.values())[-1]
    with pytest.raises(TelemetryInvalid, match=value):
        Telemetry(1, environment)
