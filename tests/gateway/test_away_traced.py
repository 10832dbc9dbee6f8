"""One trace tells of a request that ran while its shard was away, and of its recording later."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from prometheus_client import generate_latest
from telemetry.collector import Collector, collector

from ledger.gateway import recording
from ledger.gateway.let_in import let_in_of
from ledger.gateway.open_spool import OpenSpool
from ledger.journal.storage import MemoryStorage
from ledger.telemetry.telemetry import Telemetry
from ledger.telemetry.traceparent import format_traceparent
from ledger.v1 import usage_pb2
from tests.api.cluster import member, until
from tests.api.served import SystemClock
from tests.gateway.test_asking import descriptor
from tests.gateway.test_away import BOUNDS, MODES, Sides, body_of
from tests.gateway.test_several_servers import own
from tests.patience import HANGS_S

__all__ = ["collector"]
TRACE, SPAN = bytes(range(16)), bytes(range(8))
CHECK = "envoy.service.auth.v3.Authorization/Check"


@pytest.fixture
def telemetry(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> Iterator[Telemetry]:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{collector.address}")
    monkeypatch.delenv("OTEL_TRACES_SAMPLER", raising=False)  # as the caller says
    made = Telemetry(4, os.environ)
    yield made
    made.close()


@pytest.fixture
async def sides(
    telemetry: Telemetry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Sides]:
    monkeypatch.setattr(recording, "ROUND_S", 0.05)
    monkeypatch.setattr("ledger.gateway.away.LOOK_S", HANGS_S)  # as in test_away
    first = MemoryStorage(SystemClock().now_us, 4)
    spool = OpenSpool(tmp_path / "spool", BOUNDS)
    options = {"let_in": spool, "telemetry": telemetry.rpc}
    async with (
        member(first.seen_by_another(), "far") as far,
        member(first, "near", **options) as near,
    ):
        await until(lambda: len(near.ledger.owned) == len(far.ledger.owned) == 2)
        await until(lambda: own(far) != own(near))
        made = Sides(near, far, spool)
        await near.priced()
        await far.account(made.account)
        await far.grant(made.account, 1_000_000)
        try:
            yield made
        finally:
            await made.close()


async def asked(sides: Sides, sampled: bool = True) -> Any:
    """One question, by a gateway that is traced itself."""
    request = sides.asking.request(x_account=sides.account)
    header = format_traceparent(TRACE, SPAN, sampled)
    return await sides.asking.authorization.Check(request, metadata=(("traceparent", header),))


def said(span: Span) -> dict[str, str]:
    return {each.key: each.value.string_value for each in span.attributes}


async def test_what_was_let_in_and_its_recording_are_one_trace(
    sides: Sides, telemetry: Telemetry, collector: Collector
) -> None:
    await sides.set(MODES.FAIL_MODE_OPEN)
    await sides.goes()
    token = (await asked(sides)).dynamic_metadata["hold_id"]
    assert sides.spool.oldest_us > 0
    await sides.asking.settle(descriptor(40, hold_id=token))
    await sides.comes_back(telemetry=telemetry.rpc)
    await sides.recorded()
    assert sides.spool.oldest_us == 0
    found = await sides.near.usage.Get(
        usage_pb2.UsageServiceGetRequest(
            tenant="default",
            account=sides.account,
            source="gateway",
            id=let_in_of(token.partition(".")[0]).key,
        )
    )
    assert found.entry.trace_id == TRACE.hex()
    telemetry.close()

    [away] = collector.named("gateway.away")
    [call] = [each for each in collector.named(CHECK) if each.trace_id == TRACE]
    assert (away.trace_id, away.parent_span_id) == (TRACE, call.span_id)
    assert away.status.code == Status.STATUS_CODE_UNSET
    assert said(away) == {
        "drawdown.outcome": "LET_IN",
        "drawdown.away": said(away)["drawdown.away"],
        "drawdown.product": "chat",
        "drawdown.fail_mode": "open",
        "drawdown.decided_by": "fail_open",
    }
    [recorded] = collector.named("gateway.record")
    assert (recorded.trace_id, recorded.parent_span_id) == (TRACE, away.span_id)
    assert [(link.trace_id, link.span_id) for link in recorded.links] == [(TRACE, away.span_id)]
    assert recorded.start_time_unix_nano > away.end_time_unix_nano
    assert recorded.kind == Span.SPAN_KIND_CLIENT
    assert said(recorded) == {
        "drawdown.outcome": "RECORDED",
        "drawdown.product": "chat",
        "drawdown.decided_by": "fail_open",
        "rpc.system.name": "grpc",
        "rpc.method": "ledger.v1.UsageService/Ingest",
        "rpc.response.status_code": "OK",
    }
    shown = generate_latest(telemetry.registry).decode()
    assert "drawdown_gateway_let_in_recorded_seconds_count 1.0" in shown
    assert "drawdown_gateway_let_in_oldest_seconds 0.0" in shown


async def test_a_denial_while_away_is_recorded_whatever_the_sampler_says(
    sides: Sides, telemetry: Telemetry, collector: Collector
) -> None:
    await sides.goes()
    assert body_of(await asked(sides, sampled=False)) == (503, "LEDGER_UNAVAILABLE")
    telemetry.close()
    [away] = collector.named("gateway.away")
    assert (away.trace_id, away.parent_span_id) == (TRACE, SPAN)
    assert away.status.code == Status.STATUS_CODE_ERROR
    assert said(away)["error.type"] == "LEDGER_UNAVAILABLE"
    assert said(away)["drawdown.fail_mode"] == "closed"
