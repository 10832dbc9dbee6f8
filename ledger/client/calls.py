"""One call that carries its own identity: the same is sent again until answered or given up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Generator
from copy import copy
from dataclasses import replace
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import grpc

from ledger.client.advice import unreached
from ledger.client.channels import Channels
from ledger.client.durations import SECOND_US
from ledger.client.errors import ClientClosed, error_of
from ledger.client.failures import MOVED, failure_of
from ledger.client.pipelined import ItemFailed, Pipes
from ledger.client.positions import Positions
from ledger.client.refreshing import Refreshing, Stall
from ledger.client.retry import Attempts, Failure, FailureKind, RandRange, RetryPolicy
from ledger.client.routing import Routing

if TYPE_CHECKING:
    from google.protobuf.message import Message

RequestT = TypeVar("RequestT", bound="Message")
ReplyT = TypeVar("ReplyT", bound="Message")
Method = Callable[[grpc.aio.Channel], "grpc.aio.UnaryUnaryMultiCallable[RequestT, ReplyT]"]
Both = Callable[[grpc.aio.Channel], "grpc.aio.StreamStreamMultiCallable[RequestT, ReplyT]"]
Stream = Callable[[grpc.aio.Channel], "grpc.aio.UnaryStreamMultiCallable[RequestT, ReplyT]"]
_log: Final = logging.getLogger("ledger.client")
_CLOSED: Final = Failure(FailureKind.UNKNOWN, "CANCELLED", "", "the client was closed")


AnswerT = TypeVar("AnswerT", covariant=True)


class _Begun(Protocol[AnswerT]):
    """What was sent: a call, or an item on a stream."""

    def __await__(self) -> Generator[Any, Any, AnswerT]: ...

    def cancel(self) -> bool:
        """Wait for it no more."""
        ...


class _Life:
    closed = False
    said = False  # that no server answers


class Caller:
    """What the groups of calls share: where to send, how often, and what replies have shown."""

    def __init__(
        self,
        tenant: str,
        channels: Channels,
        routing: Routing,
        policy: RetryPolicy,
        randrange: RandRange,
        new_id: Callable[[], str],
        read_your_writes: bool,
        *,
        pipelined: bool = False,
    ) -> None:
        self.tenant: Final = tenant
        self.routing: Final = routing
        self.positions = Positions()
        self.new_id: Final = new_id
        self.refreshing: Final = Refreshing(tenant, channels, routing)
        self.pipes: Final = (
            Pipes(channels, policy.attempt_us, routing.address_of, self.refreshing.soon)
            if pipelined
            else None
        )
        self._life = _Life()
        self._channels = channels
        self._policy = policy
        self._randrange = randrange
        self._read_your_writes = read_your_writes

    @property
    def closed(self) -> bool:
        """Whether nothing more is to be sent."""
        return self._life.closed

    def close(self) -> None:
        """Send nothing more, in no session either."""
        self._life.closed = True

    def session(self, position: str) -> Caller:
        """The same with positions of its own."""
        made = copy(self)
        made.positions = Positions()
        made.positions.observe(position)
        return made

    def min_position(self, given: str | None) -> str:
        """What a read asks for: what the caller gave, else all that replies have shown."""
        if given is not None:
            return given
        return str(self.positions) if self._read_your_writes else ""

    async def call(
        self,
        method: Method[RequestT, ReplyT],
        request: RequestT,
        account: str = "",
        *,
        attempt_us: int = 0,
    ) -> ReplyT:
        """Send until answered; `attempt_us` where one attempt may take longer than others. Raises
        Refused, NotApplied, OutcomeUnknown, ClientClosed."""
        timeout_s = (attempt_us or self._policy.attempt_us) / SECOND_US

        def begin(address: str) -> grpc.aio.UnaryUnaryCall[RequestT, ReplyT]:
            channel = self._channels.to(address)
            return method(channel)(request, timeout=timeout_s, metadata=self._channels.metadata)

        return await self._until_answered(begin, account)

    async def decide(
        self,
        method: Method[RequestT, ReplyT],
        which: str,
        request: RequestT,
        account: str = "",
    ) -> ReplyT:
        """The same of a decision, which goes with others on a stream where the client wants that;
        `which` is the name of its field in an item of one."""
        pipes = self.pipes
        if pipes is None:
            return await self.call(method, request, account)

        def begin(address: str) -> asyncio.Future[ReplyT]:
            return pipes.ask(address, which, request, account)

        return await self._until_answered(begin, account, watched=True)

    async def _until_answered(
        self, begin: Callable[[str], _Begun[ReplyT]], account: str, *, watched: bool = False
    ) -> ReplyT:
        """`watched`: whoever sends it sees to what stalls."""
        attempts = Attempts(self._policy, self._randrange, monotonic_us())
        while True:
            if self.closed:
                if attempts.unknown:
                    raise error_of(_CLOSED)
                raise ClientClosed("the client is closed")
            address = self.routing.address_of(account)
            self.refreshing.used()
            call = begin(address)
            stall = None if watched else self._stall(call, address, account)
            try:
                reply = await call
            except (grpc.aio.AioRpcError, ItemFailed, asyncio.CancelledError) as error:
                failure = MOVED if stall is not None and stall.moved else None
                if isinstance(error, grpc.aio.AioRpcError):
                    failure = failure_of(error)
                elif isinstance(error, ItemFailed):
                    failure = error.failure
                if failure is None:
                    self._look_for_closing(error)
                    raise
                self.refreshing.failed(address, failure)
                verdict = attempts.failed(failure, monotonic_us())
                if isinstance(verdict, Failure):
                    raise error_of(self._advised(verdict, address)) from error
                self._say_first(failure, address)
                await asyncio.sleep(verdict / SECOND_US)
                continue
            finally:
                if stall is not None:
                    stall.over()
            shard = self.positions.observe(getattr(reply, "position", ""))
            self.routing.saw(account, shard)
            return reply

    def _say_first(self, failure: Failure, address: str) -> None:
        """Before any server has answered, whoever waits is told why, once."""
        life = self._life
        if not life.said and self.refreshing.fail_modes is None and _is_unreached(failure):
            life.said = True
            seconds = -(-self._policy.give_up_us // SECOND_US)
            _log.warning(
                "no server answers yet, it is tried %s: %s",
                f"for {seconds} s" if seconds else "until one does",
                self._advised(failure, address).message,
            )

    def _advised(self, failure: Failure, address: str) -> Failure:
        """The same, with what to do where no server was reached."""
        if not _is_unreached(failure):
            return failure
        advice = unreached(address, failure.message, tls=self._channels.tls)
        return replace(failure, message=f"{advice} ({failure.message})")

    def _look_for_closing(self, error: BaseException) -> None:
        """A channel that is closed cancels its calls, though nobody has cancelled their callers:
        those are told. Raises OutcomeUnknown."""
        task = asyncio.current_task()
        if self.closed and task is not None and not task.cancelling():
            raise error_of(_CLOSED) from error

    def _stall(self, call: _Begun[Any], address: str, account: str) -> Stall:
        return Stall(self.refreshing, call, address, lambda: self.routing.address_of(account))

    async def stream(
        self, method: Stream[RequestT, ReplyT], request: RequestT
    ) -> AsyncIterator[ReplyT]:
        """Send once, to the home address, and give every message of the answer. Nothing is sent
        again by itself. Raises Refused, NotApplied, OutcomeUnknown, ClientClosed."""
        call = method(self._home())(request, metadata=self._channels.metadata)
        async for reply in self._given(call):
            yield reply

    async def resumed(
        self,
        method: Stream[RequestT, ReplyT],
        ask: Callable[[str], RequestT],
        account: str,
        position: str = "",
    ) -> AsyncIterator[ReplyT]:
        """Every message of a stream that has no end of its own: where it breaks, or its server
        stops, it is asked for anew with the last position. Raises Refused, ClientClosed; NotApplied
        and OutcomeUnknown where nothing has come for as long as a call is tried."""
        attempts = Attempts(self._policy, self._randrange, monotonic_us())
        while True:
            if self.closed:
                raise ClientClosed("the client is closed")
            address = self.routing.address_of(account)
            self.refreshing.used()
            metadata, answered = self._channels.metadata, False
            call = method(self._channels.to(address))(ask(position), metadata=metadata)
            failure = MOVED
            try:
                async for reply in call:
                    attempts = Attempts(self._policy, self._randrange, monotonic_us())
                    answered = True
                    position = getattr(reply, "position", "") or position
                    self.positions.observe(position)
                    yield reply
            except grpc.aio.AioRpcError as error:
                failure = self._channels.since(metadata, failure_of(error), answered=answered)
            except asyncio.CancelledError as error:
                self._look_for_closing(error)
                raise
            finally:
                call.cancel()
            self.refreshing.failed(address, failure)
            verdict = attempts.failed(failure, monotonic_us())
            if isinstance(verdict, Failure):
                raise error_of(verdict)
            await asyncio.sleep(verdict / SECOND_US)

    async def both(
        self, method: Both[RequestT, ReplyT], requests: AsyncIterator[RequestT]
    ) -> AsyncIterator[ReplyT]:
        """The same of a stream of requests."""
        call = method(self._home())(requests, metadata=self._channels.metadata)
        async for reply in self._given(call):
            yield reply

    def _home(self) -> grpc.aio.Channel:
        if self.closed:
            raise ClientClosed("the client is closed")
        return self._channels.to(self.routing.address_of(""))

    async def _given(self, call: Any) -> AsyncIterator[Any]:
        """What a stream gives, until it ends. Raises Refused, NotApplied, OutcomeUnknown."""
        try:
            async for reply in call:
                yield reply
        except grpc.aio.AioRpcError as error:
            raise error_of(failure_of(error)) from error
        except asyncio.CancelledError as error:
            self._look_for_closing(error)
            raise
        finally:
            call.cancel()


def _is_unreached(failure: Failure) -> bool:
    return failure.code == "UNAVAILABLE" and not failure.reason


def monotonic_us() -> int:
    """This machine's monotonic clock, in microseconds."""
    return monotonic_ns() // 1_000
