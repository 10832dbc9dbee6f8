"""What every call goes through: decoded or refused, traced or not, answered or failed by the table.

The one place where an exception becomes a status, and where a call that belongs to another process
is passed on. It adds one coroutine and two calls of the telemetry to a handler. Must not know any
service.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final, NoReturn, Protocol, TypeVar

from google.protobuf.message import Message
from grpc.aio import AbortError, ServicerContext

from ledger.api.errors import CallFailed, failure_of
from ledger.api.forward import HOP, STATUS_DETAILS, Forwarder, Hop, PassedOn
from ledger.api.gate import Gate
from ledger.api.malformed import Malformed
from ledger.api.tracing import Span, Telemetry
from ledger.auth.principal import ANYONE, Principal
from ledger.auth.refusals import AuthRefused
from ledger.core.commands import Command
from ledger.core.limits import SECOND_US
from ledger.engine.clock import Clock
from ledger.engine.ledger import Ledger
from ledger.engine.ticket import NotApplied, NotOwner, Ticket
from ledger.journal.directory import Entry
from ledger.journal.errors import JournalError

PASSED_METADATA: Final = frozenset({"traceparent", "tracestate"})

Request = TypeVar("Request")
Reply = TypeVar("Reply", bound=Message)

_log = logging.getLogger(__name__)


class Calling(Protocol):
    """What is asked of whatever brought a call: gRPC's context is one."""

    def time_remaining(self) -> float | None:
        """Seconds until the caller stops waiting; None = never."""
        ...

    def invocation_metadata(self) -> Any:
        """Pairs of a name and a value that came with it, or None."""
        ...


class Detached:
    """Brings a call that nobody waits for; what came with the first one goes with it."""

    __slots__ = ("_metadata",)

    def __init__(self, metadata: tuple[tuple[str, Any], ...]) -> None:
        self._metadata = metadata

    def time_remaining(self) -> float | None:
        """See Calling."""
        return None

    def invocation_metadata(self) -> tuple[tuple[str, Any], ...]:
        """See Calling."""
        return self._metadata


class Call:
    """What a servicer may know of the call that it answers."""

    __slots__ = ("_clock", "_context", "gate", "principal", "recorded", "span")

    def __init__(
        self,
        context: Calling,
        clock: Clock,
        span: Span | None,
        gate: Gate | None = None,
    ) -> None:
        self._context = context
        self._clock = clock
        self.span = span
        self.gate = gate
        self.principal: Principal = ANYONE
        self.recorded = False
        """Whether something was recorded for it: from then on no failure may say the opposite."""

    @property
    def trace(self) -> bytes:
        """The trace id to store with the entries; b"" where the call is not traced."""
        return b"" if self.span is None else self.span.trace_id

    @property
    def deadline_us(self) -> int:
        """When the caller stops waiting, by the monotonic clock; 0 = never."""
        remaining = self._context.time_remaining()
        if remaining is None:
            return 0
        return self._clock.monotonic_us() + int(remaining * SECOND_US)

    @property
    def left_us(self) -> int | None:
        """How long the caller still waits; None = without end."""
        remaining = self._context.time_remaining()
        return None if remaining is None else int(remaining * SECOND_US)

    @property
    def forwarded(self) -> bool:
        """Whether another process passed the call on to us; then it goes no further."""
        metadata = self._context.invocation_metadata() or ()
        return any(key == HOP for key, _ in metadata)

    @property
    def hop(self) -> Hop:
        """What goes with the call to another process: what is left of the deadline, the trace."""
        passed = [
            (key, value)
            for key, value in self._context.invocation_metadata() or ()
            if key in PASSED_METADATA and isinstance(value, str)
        ]
        if self.span is not None:
            passed = [(key, value) for key, value in passed if key != "traceparent"]
            passed.append(("traceparent", self.span.traceparent))
        return Hop(tuple(passed), self._context.time_remaining(), self.principal)

    def part(self) -> Call:
        """A call of its own for one of several things that this one asks for."""
        return self._like(self._context)

    def detached(self) -> Call:
        """One that goes on when whoever brought this one has gone."""
        metadata = self._context.invocation_metadata() or ()
        kept = tuple((key, value) for key, value in metadata if key in (*PASSED_METADATA, HOP))
        return self._like(Detached(kept))

    def _like(self, context: Calling) -> Call:
        call = Call(context, self._clock, self.span, self.gate)
        call.principal = self.principal
        return call

    async def prove(self, method: str, context: ServicerContext[Any, Any]) -> None:
        """Find out who calls. Raises AuthRefused."""
        if self.gate is not None:
            self.principal = await self.gate.caller(method, context)

    async def let_in(self, method: str, request: Any) -> None:
        """Let the call go on with this request. Raises CallFailed, NotOwner."""
        if self.gate is None:
            return
        try:
            await self.gate.let_in(method, self.principal, request, self)
        except AuthRefused as refused:
            failure = failure_of(refused)
            assert failure is not None
            raise failure from None

    async def still_let_in(self, method: str, request: Any) -> None:
        """The same of a call that goes on and on: keys are revoked meanwhile, accounts move.
        Raises AuthRefused, CallFailed, NotOwner."""
        if self.gate is not None:
            self.principal = await self.gate.caller(method, self._context)  # type: ignore[arg-type]
            await self.let_in(method, request)

    async def found(
        self, tenant: int, shard: int, account: int, field: str = "", value: str = ""
    ) -> None:
        """What the call found by another name than its account's is of an account that the caller
        covers. Raises AuthRefused, which names the field."""
        if self.gate is not None and self.principal.accounts:
            await self.gate.found(self.principal, tenant, shard, account, field, value)

    async def covers_family(self, entry: Entry) -> bool:
        """Whether the caller covers all of an account's family. Raises NotOwner."""
        if self.gate is None:
            return True
        return await self.gate.permits.covers(self.principal, entry, family=True)

    async def covered(self, tenant: int, shard: int, accounts: Sequence[int]) -> frozenset[int]:
        """Those of a shard's accounts that the caller covers. Raises NotOwner."""
        if self.gate is None or not self.principal.accounts:
            return frozenset(accounts)
        return await self.gate.permits.covers_numbers(self.principal, tenant, shard, accounts)

    async def submit(self, ledger: Ledger, entry: Entry, command: Command) -> Ticket:
        """One command of this call to its writer. Raises NotApplied, OutcomeUnknown."""
        ticket = await ledger.submit(
            entry, command, self.deadline_us, self.span, self.principal.actor
        )
        self.recorded = True
        return ticket


class Calls:
    """Makes handlers of behaviours."""

    __slots__ = ("_clock", "_forwarder", "_gate", "_telemetry")

    def __init__(
        self,
        clock: Clock,
        telemetry: Telemetry,
        forwarder: Forwarder,
        gate: Gate | None = None,
    ) -> None:
        """`gate` None: nobody is asked who calls."""
        self._clock = clock
        self._gate = gate
        self._telemetry = telemetry
        self._forwarder = forwarder

    def unary(
        self,
        method: str,
        behaviour: Callable[[Request, Call], Awaitable[Reply]],
        reply_type: type[Reply],
    ) -> Callable[[Any, Any], Awaitable[Reply]]:
        """The handler of a unary method."""
        clock, telemetry, gate = self._clock, self._telemetry, self._gate

        async def handle(request: Any, context: ServicerContext[Any, Any]) -> Reply:
            started_us = clock.monotonic_us()
            span = telemetry.rpc_started(method, context)
            code = "OK"
            call: Call | None = None
            try:
                try:
                    call = Call(context, clock, span, gate)
                    if gate is not None:
                        await call.prove(method, context)
                    if type(request) is Malformed:
                        raise request.failure()
                    return await self.answer(method, behaviour, request, reply_type, call)
                except asyncio.CancelledError:
                    code = "CANCELLED"
                    raise
                except Exception as error:
                    failure = _failure(method, error)
                code = failure.code.name
                ending = abort(context, failure)
                del context, call, failure  # see abort: this frame is one of those
                await ending
            finally:
                telemetry.rpc_ended(method, span, code, started_us)

        return handle

    async def answer(
        self,
        method: str,
        behaviour: Callable[[Request, Call], Awaitable[Reply]],
        request: Request,
        reply_type: type[Reply],
        call: Call,
    ) -> Reply:
        """The answer of a unary method, ours or that of the process that has the shard. A service
        that stands on another's calls asks it here, with a call of its own for each, and is let in
        as whoever called it would be."""
        try:
            await call.let_in(method, request)
            return await behaviour(request, call)
        except (NotApplied, JournalError) as error:
            return await self._elsewhere(method, request, reply_type, call, error)

    async def _elsewhere(
        self,
        method: str,
        request: Any,
        reply_type: type[Reply],
        call: Call,
        error: Exception,
    ) -> Reply:
        """The answer of the process that has the shard; or the failure, as sure as we are of it."""
        try:
            if isinstance(error, NotOwner) and not call.forwarded:
                return await self._forwarder.pass_on(method, request, reply_type, error, call.hop)
        except (NotOwner, PassedOn, CallFailed) as failed:
            error = failed
        if call.recorded:
            raise CallFailed(
                "OUTCOME_UNKNOWN",
                f"the call is recorded, but its answer could not be made ({error}): send the same "
                "ids again, or ask GetOutcome",
            ) from error
        raise error

    def server_stream(
        self,
        method: str,
        behaviour: Callable[[Request, Call], AsyncGenerator[Reply, None]],
        reply_type: type[Reply],
    ) -> Callable[[Any, Any], AsyncGenerator[Reply, None]]:
        """The handler of a method that answers one request by many messages: ours, or those of the
        process that has the shard."""

        async def of_one(
            request: Any, context: ServicerContext[Any, Any]
        ) -> AsyncGenerator[Reply, None]:
            async def replies(
                requests: AsyncIterator[Request], call: Call
            ) -> AsyncGenerator[Reply, None]:
                begun = False
                try:
                    async for each in requests:
                        async with contextlib.aclosing(behaviour(each, call)) as ours:
                            async for reply in ours:
                                begun = True
                                yield reply
                    return
                except NotOwner as error:
                    if begun or call.forwarded:
                        raise
                    refused = error
                theirs = self._forwarder.relay(method, request, reply_type, refused, call.hop)
                async with contextlib.aclosing(theirs):
                    async for reply in theirs:
                        yield reply

            handle = self.stream(method, replies)
            answering = handle(_alone(request), context)
            del context  # see abort
            async with contextlib.aclosing(answering) as said:
                async for reply in said:
                    yield reply

        return of_one

    def stream(
        self,
        method: str,
        behaviour: Callable[[AsyncIterator[Request], Call], AsyncIterator[Reply]],
    ) -> Callable[[Any, Any], AsyncGenerator[Reply, None]]:
        """The handler of a bidirectional stream. Each message is let in on its own."""
        clock, telemetry, gate = self._clock, self._telemetry, self._gate

        async def handle(
            requests: AsyncIterator[Any], context: ServicerContext[Any, Any]
        ) -> AsyncGenerator[Reply, None]:
            started_us = clock.monotonic_us()
            span = telemetry.rpc_started(method, context)
            code = "OK"
            call: Call | None = None
            try:
                try:
                    call = Call(context, clock, span, gate)
                    if gate is not None:
                        await call.prove(method, context)
                    async for reply in behaviour(_decoded(requests, method, call, context), call):
                        yield reply
                    return
                except (asyncio.CancelledError, GeneratorExit):
                    code = "CANCELLED"
                    raise
                except Exception as error:
                    failure = _failure(method, error)
                code = failure.code.name
                ending = abort(context, failure)
                del requests, context, call, failure
                await ending
            finally:
                telemetry.rpc_ended(method, span, code, started_us)

        return handle


async def abort(context: ServicerContext[Any, Any], failure: CallFailed | PassedOn) -> NoReturn:
    """End the call with the failure's google.rpc.Status. The context keeps what is raised for good,
    and that each frame that it came through: one that kept the context would make a cycle, so that
    each failure waited for the collector. It is raised amid no other error for the same reason."""
    details = (
        failure.details if isinstance(failure, PassedOn) else failure.status().SerializeToString()
    )
    ending = context.abort(failure.code, failure.message, ((STATUS_DETAILS, details),))
    del context, failure
    await ending
    raise AssertionError("abort returned")


async def _alone(request: Any) -> AsyncIterator[Any]:
    yield request


async def _decoded(
    requests: AsyncIterator[Any], method: str, call: Call, context: ServicerContext[Any, Any]
) -> AsyncIterator[Any]:
    async for request in requests:
        if type(request) is Malformed:
            raise request.failure()
        await call.prove(method, context)
        await call.let_in(method, request)
        yield request


def _failure(method: str, error: Exception) -> CallFailed | PassedOn:
    if isinstance(error, AbortError):
        raise error
    return error if isinstance(error, PassedOn) else failure_in(method, error)


def failure_in(method: str, error: Exception) -> CallFailed:
    """The failure that an exception means; one of a bug is told to the log."""
    if isinstance(error, PassedOn):
        return error.failure()
    failure = failure_of(error)
    if failure is not None:
        return failure
    _log.exception("%s failed on a bug of the server", method, exc_info=error)
    return CallFailed(
        "INTERNAL",
        f"the server failed on a bug of its own ({type(error).__name__}); whether the call was "
        "recorded is not known: ask GetOutcome",
    )
