"""The one hook of a gRPC call: which trace it belongs to, and one span when it is over.

An unsampled call costs a header read, and a small object where there is a trace id to store. Calls
that fail by the server's fault, and slow ones, become a span whatever the sampler said: their
start is set afterwards. Names follow the RPC semantic conventions of OpenTelemetry.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from random import Random
from typing import Any, Final

from grpc.aio import ServicerContext

from ledger.api.tracing import Away
from ledger.telemetry.sampling import Sampler
from ledger.telemetry.spans import AttributeValue, SpanExport, SpanRecord
from ledger.telemetry.tallies import Histogram, Tallies, add
from ledger.telemetry.traceparent import HEADER, Remote, format_traceparent, parse_traceparent

SERVER_FAULTS: Final = frozenset(
    {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
)
"""Codes that are the server's fault by the conventions; insufficient credits is not one."""

RPC_SYSTEM_NAME: Final = "rpc.system.name"  # the conventions' present names, said once
RPC_METHOD: Final = "rpc.method"
RPC_RESPONSE_STATUS_CODE: Final = "rpc.response.status_code"
ERROR_TYPE: Final = "error.type"

RECORD_NOTHING: Final = frozenset(
    {
        "ledger.v1.DecisionService/Check",
        "ledger.v1.BalanceService/Get",
        "rating.v1.PricingService/Quote",
        "rating.v1.PricingService/Compare",
    }
)
"""Quick calls without an entry: no trace id to store, so where no span can leave either the headers
are not read (3 us of gRPC's own)."""

SLOW_CALL_US: Final = 500_000
STREAM: Final = "Stream"  # a stream is long by nature, not slow

_ids: Final = Random()  # names of spans, nothing secret


class RpcSpan:
    """A call with a trace id: `sampled` says whether it is recorded."""

    __slots__ = ("batch", "parent", "sampled", "span_id", "trace_id")

    def __init__(self, trace_id: bytes, parent: Remote | None, sampled: bool) -> None:
        self.trace_id = trace_id
        self.span_id = new_span_id() if sampled else b""
        self.parent = parent
        self.sampled = sampled
        self.batch = ""  # "shard/batch_seq" of the last batch that holds its commands

    @property
    def traceparent(self) -> str:
        """See Span: where we record nothing ourselves, the caller's span is the parent."""
        span_id = self.span_id or (self.parent.span_id if self.parent is not None else b"")
        return format_traceparent(self.trace_id, span_id or new_span_id(), self.sampled)


class RpcTelemetry:
    """Implements `ledger.api.tracing.Telemetry`. `export` None: spans go nowhere."""

    def __init__(
        self,
        tallies: Tallies,
        sampler: Sampler,
        export: SpanExport | None,
        slow_call_us: int = SLOW_CALL_US,
    ) -> None:
        self._tallies = tallies
        self._sampler = sampler
        self._export = export
        self._slow_call_us = slow_call_us

    def rpc_started(self, method: str, context: ServicerContext[Any, Any] | Any) -> RpcSpan | None:
        """The trace of a call that arrives; None where it has none."""
        if self._export is None and method in RECORD_NOTHING:
            return None
        parent = None
        for key, value in context.invocation_metadata() or ():
            if key == HEADER and isinstance(value, str):
                parent = parse_traceparent(value)
        if self._export is None:
            return None if parent is None else RpcSpan(parent.trace_id, parent, False)
        trace_id = parent.trace_id if parent is not None else new_trace_id()
        return RpcSpan(trace_id, parent, self._sampler.samples(trace_id, parent))

    def rpc_ended(self, method: str, span: Any, code: str, started_us: int) -> None:
        """Count a call; record it where it is sampled, failed or was slow."""
        elapsed_us = time.monotonic_ns() // 1_000 - started_us
        calls = self._tallies.calls
        histogram = calls.get((method, code))
        if histogram is None:
            histogram = calls[(method, code)] = Histogram()
        histogram.observe(elapsed_us)
        export = self._export
        if export is None or not isinstance(span, RpcSpan):
            return
        failed = code in SERVER_FAULTS
        slow = elapsed_us >= self._slow_call_us and not method.endswith(STREAM)
        if span.sampled or failed or slow:
            export.offer(_record(method, span, code, elapsed_us, failed))

    def events_ingested(self, outcomes: Mapping[str, int]) -> None:
        """Count the events of one batch by outcome."""
        add(self._tallies.events, outcomes)

    def decided(self, method: str, decision: str, count: int = 1) -> None:
        """Count answers of Check, CheckMany or Authorize."""
        decisions = self._tallies.decisions
        place = (method, decision)
        decisions[place] = decisions.get(place, 0) + count

    def sized(self, learned_of: str) -> None:
        """Count a quantity that was to be learned."""
        sizes = self._tallies.sizes
        sizes[learned_of] = sizes.get(learned_of, 0) + 1

    def away_started(self, traceparent: str) -> RpcSpan | None:
        """Always recorded, as what fails by our fault is."""
        parent = parse_traceparent(traceparent) if traceparent else None
        if self._export is None:
            return None if parent is None else RpcSpan(parent.trace_id, parent, False)
        trace_id = parent.trace_id if parent is not None else new_trace_id()
        return RpcSpan(trace_id, parent, True)

    def away_ended(self, span: Any, ended: Away, started_us: int) -> None:
        """One span, below what it belongs to and linked to it: that may be long over."""
        if self._export is None or not isinstance(span, RpcSpan):
            return
        ended_ns, parent = time.time_ns(), span.parent
        attributes: dict[str, AttributeValue] = {**ended.said}
        if ended.method:
            attributes |= _of_call(ended.method, ended.code)
        error = "" if ended.code == "OK" else ended.code
        if error:
            attributes[ERROR_TYPE] = error
        self._export.offer(
            SpanRecord(
                name=ended.name,
                kind="CLIENT" if ended.method else "INTERNAL",
                trace_id=span.trace_id,
                span_id=span.span_id,
                parent_id=parent.span_id if parent is not None else b"",
                parent_remote=True,
                start_ns=ended_ns - (time.monotonic_ns() - started_us * 1_000),
                end_ns=ended_ns,
                attributes=attributes,
                links=[(parent.trace_id, parent.span_id)] if parent is not None else (),
                error=error,
            )
        )

    def recorded_after(self, waited_us: int) -> None:
        """Count one."""
        self._tallies.let_in_us.observe(waited_us)


def new_trace_id() -> bytes:
    """16 random bytes."""
    return _ids.getrandbits(128).to_bytes(16, "big")


def new_span_id() -> bytes:
    """8 random bytes."""
    return _ids.getrandbits(64).to_bytes(8, "big")


def _record(method: str, span: RpcSpan, code: str, elapsed_us: int, failed: bool) -> SpanRecord:
    attributes = _of_call(method, code)
    if span.batch:
        attributes["drawdown.batch"] = span.batch
    if failed:
        attributes[ERROR_TYPE] = code
    ended_ns = time.time_ns()
    return SpanRecord(
        name=method,
        kind="SERVER",
        trace_id=span.trace_id,
        span_id=span.span_id or new_span_id(),
        parent_id=span.parent.span_id if span.parent is not None else b"",
        parent_remote=True,
        start_ns=ended_ns - elapsed_us * 1_000,
        end_ns=ended_ns,
        attributes=attributes,
        error=code if failed else "",
    )


def _of_call(method: str, code: str) -> dict[str, AttributeValue]:
    return {RPC_SYSTEM_NAME: "grpc", RPC_METHOD: method, RPC_RESPONSE_STATUS_CODE: code}
