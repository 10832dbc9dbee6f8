"""One call's trace, from the caller through a real server to its entry and to a collector."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from telemetry.collector import Collector

from cli.processes import Server
from ledger.telemetry.rpc import SLOW_CALL_US
from ledger.telemetry.traceparent import format_traceparent
from ledger.v1 import account_pb2, account_pb2_grpc, usage_pb2, usage_pb2_grpc

TRACE = bytes(range(16))
CALLER = bytes(range(8))


@pytest.fixture
def server(collector: Collector, database: str, tmp_path: Path) -> Iterator[Server]:
    running = Server(
        tmp_path / "log",
        "--no-projector",
        DATABASE_URL=database,
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{collector.address}",
        OTEL_TRACES_SAMPLER="parentbased_always_off",
        OTEL_SERVICE_NAME="ledger-under-test",
    )
    yield running
    running.end()


def test_a_trace_goes_from_the_caller_to_the_entry_and_to_the_commit(
    server: Server, collector: Collector
) -> None:
    with grpc.insecure_channel(server.address) as channel:
        account_pb2_grpc.AccountServiceStub(channel).Create(
            account_pb2.AccountServiceCreateRequest(
                tenant="default", request_id="create", account="acme"
            )
        )
        usage = usage_pb2_grpc.UsageServiceStub(channel)
        event = usage_pb2.UsageEvent(
            id="1", account="acme", product="m", quantities={"input_tokens": 5}
        )
        usage.Ingest(
            usage_pb2.IngestRequest(tenant="default", source="test", events=[event]),
            metadata=[("traceparent", format_traceparent(TRACE, CALLER, True))],
        )
        found = usage.Get(
            usage_pb2.UsageServiceGetRequest(
                tenant="default", account="acme", source="test", id="1"
            )
        )
    assert found.entry.trace_id == TRACE.hex()
    assert server.end() == 0  # sends what is left
    quick = [
        span
        for span in collector.spans
        if span.end_time_unix_nano - span.start_time_unix_nano < SLOW_CALL_US * 1_000
    ]
    sampled = {span.trace_id for span in quick} | {TRACE}
    assert sampled == {TRACE}  # and nothing else; what is slow is sent in any case
    ours = sorted(
        [span for span in collector.spans if span.trace_id == TRACE], key=lambda each: each.name
    )
    assert [each.name for each in ours] == [
        "journal.commit",
        "ledger.batch",
        "ledger.v1.UsageService/Ingest",
    ]
    commit, batch, call = ours
    assert call.parent_span_id == CALLER
    assert batch.parent_span_id == call.span_id == batch.links[0].span_id
    assert commit.parent_span_id == batch.span_id
    assert collector.resources[0]["service.name"] == "ledger-under-test"
