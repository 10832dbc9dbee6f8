"""Where telemetry hangs on at the edge: one thin object, handed in; nothing here knows a library.

`rpc_started` decides whether a call is traced. Where it is not, nothing is allocated for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from grpc.aio import ServicerContext


class Span(Protocol):
    """A call that is traced."""

    @property
    def trace_id(self) -> bytes:
        """The W3C trace id, 16 bytes: stored with each entry of the call."""
        ...

    @property
    def traceparent(self) -> str:
        """The W3C header that makes a call to another process a child of this one."""
        ...


class Away(NamedTuple):
    """What came of something that a gateway asked while a shard was away."""

    name: str
    said: Mapping[str, str]
    method: str = ""
    """The call that recorded it."""

    code: str = "OK"
    """How that ended, or why there was none."""


class Telemetry(Protocol):
    """Traces and metrics of calls. Must not raise, must not wait."""

    def rpc_started(self, method: str, context: ServicerContext[Any, Any]) -> Span | None:
        """A call arrived; `method` is its full name. None: it is not traced."""
        ...

    def rpc_ended(self, method: str, span: Span | None, code: str, started_us: int) -> None:
        """The call ended with this gRPC code; `started_us` is by the monotonic clock."""
        ...

    def events_ingested(self, outcomes: Mapping[str, int]) -> None:
        """Events of one batch by outcome, for example {"APPLIED": 999, "SUSPENSE": 1}."""
        ...

    def decided(self, method: str, decision: str, count: int = 1) -> None:
        """Answers of Check, CheckMany or Authorize: ALLOW, ALLOW_OVERDRAFT or DENY."""
        ...

    def sized(self, learned_of: str) -> None:
        """A quantity was to be learned: of ACCOUNT, ATTRIBUTES, PRODUCT, or NONE's usage."""
        ...

    def away_started(self, traceparent: str) -> Span | None:
        """Something that a gateway asked is decided, or recorded later, without or after the
        shard; the header is of what it belongs to, "" = nothing. None: it has no trace."""
        ...

    def away_ended(self, span: Span | None, ended: Away, started_us: int) -> None:
        """That is over."""
        ...

    def recorded_after(self, waited_us: int) -> None:
        """What was let in is recorded, so long after."""
        ...


class NoTelemetry:
    """Watches nothing."""

    def rpc_started(self, method: str, context: ServicerContext[Any, Any]) -> Span | None:
        """See Telemetry."""
        return None

    def rpc_ended(self, method: str, span: Span | None, code: str, started_us: int) -> None:
        """See Telemetry."""

    def events_ingested(self, outcomes: Mapping[str, int]) -> None:
        """See Telemetry."""

    def decided(self, method: str, decision: str, count: int = 1) -> None:
        """See Telemetry."""

    def sized(self, learned_of: str) -> None:
        """See Telemetry."""

    def away_started(self, traceparent: str) -> Span | None:
        """See Telemetry."""
        return None

    def away_ended(self, span: Span | None, ended: Away, started_us: int) -> None:
        """See Telemetry."""

    def recorded_after(self, waited_us: int) -> None:
        """See Telemetry."""
