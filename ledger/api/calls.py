"""What every call goes through: decoded or refused, traced or not, answered or failed by the table.

The one place where an exception becomes a status. It adds one coroutine and two calls of the
telemetry to a handler. Must not know any service.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, NoReturn, TypeVar, cast

from grpc.aio import AbortError, ServicerContext

from ledger.api.errors import CallFailed, failure_of
from ledger.api.malformed import Malformed
from ledger.api.tracing import Span, Telemetry
from ledger.engine.clock import Clock

STATUS_DETAILS: Final = "grpc-status-details-bin"
US_A_SECOND: Final = 1_000_000

Request = TypeVar("Request")
Reply = TypeVar("Reply")

_log = logging.getLogger(__name__)


class Call:
    """What a servicer may know of the call that it answers."""

    __slots__ = ("_clock", "_context", "span")

    def __init__(self, context: ServicerContext[Any, Any], clock: Clock, span: Span | None) -> None:
        self._context = context
        self._clock = clock
        self.span = span

    @property
    def trace(self) -> bytes:
        """The trace id to store with the entries; b"" where the call is not traced."""
        return b"" if self.span is None else self.span.trace_id

    @property
    def deadline_us(self) -> int:
        """When the caller stops waiting, by the monotonic clock; 0 = never."""
        remaining = cast("float | None", self._context.time_remaining())
        if remaining is None:
            return 0
        return self._clock.monotonic_us() + int(remaining * US_A_SECOND)


class Calls:
    """Makes handlers of behaviours."""

    __slots__ = ("_clock", "_telemetry")

    def __init__(self, clock: Clock, telemetry: Telemetry) -> None:
        self._clock = clock
        self._telemetry = telemetry

    def unary(
        self, method: str, behaviour: Callable[[Request, Call], Awaitable[Reply]]
    ) -> Callable[[Any, Any], Awaitable[Reply]]:
        """The handler of a unary method."""
        clock, telemetry = self._clock, self._telemetry

        async def handle(request: Any, context: ServicerContext[Any, Any]) -> Reply:
            started_us = clock.monotonic_us()
            span = telemetry.rpc_started(method, context)
            code = "OK"
            try:
                if type(request) is Malformed:
                    raise request.failure()
                return await behaviour(request, Call(context, clock, span))
            except asyncio.CancelledError:
                code = "CANCELLED"
                raise
            except Exception as error:
                failure = _failure(method, error)
                code = failure.code.name
                await abort(context, failure)
            finally:
                telemetry.rpc_ended(method, span, code, started_us)

        return handle

    def stream(
        self,
        method: str,
        behaviour: Callable[[AsyncIterator[Request], Call], AsyncIterator[Reply]],
    ) -> Callable[[Any, Any], AsyncIterator[Reply]]:
        """The handler of a bidirectional stream."""
        clock, telemetry = self._clock, self._telemetry

        async def handle(
            requests: AsyncIterator[Any], context: ServicerContext[Any, Any]
        ) -> AsyncIterator[Reply]:
            started_us = clock.monotonic_us()
            span = telemetry.rpc_started(method, context)
            code = "OK"
            try:
                async for reply in behaviour(_decoded(requests), Call(context, clock, span)):
                    yield reply
            except (asyncio.CancelledError, GeneratorExit):
                code = "CANCELLED"
                raise
            except Exception as error:
                failure = _failure(method, error)
                code = failure.code.name
                await abort(context, failure)
            finally:
                telemetry.rpc_ended(method, span, code, started_us)

        return handle


async def abort(context: ServicerContext[Any, Any], failure: CallFailed) -> NoReturn:
    """End the call with the failure's google.rpc.Status."""
    status = failure.status()
    await context.abort(
        failure.code,
        failure.message,
        ((STATUS_DETAILS, status.SerializeToString()),),
    )
    raise AssertionError("abort returned")


async def _decoded(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        if type(request) is Malformed:
            raise request.failure()
        yield request


def _failure(method: str, error: Exception) -> CallFailed:
    if isinstance(error, AbortError):
        raise error
    failure = failure_of(error)
    if failure is not None:
        return failure
    _log.exception("%s failed on a bug of the server", method, exc_info=error)
    return CallFailed(
        "INTERNAL",
        f"the server failed on a bug of its own ({type(error).__name__}); whether the call was "
        "recorded is not known: ask GetOutcome",
    )
