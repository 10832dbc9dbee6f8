"""Calls that belong to another process of the same database, passed on to it: one hop, never two.

A servicer runs as if every shard were its own; the first touch of one that is not raises NotOwner,
before anything is recorded there, and the same request goes to the owner with the caller's deadline
and trace. The answer is the owner's, word for word. Must not know any service.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final, TypeVar

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from ledger.api.errors import TABLE, CallFailed
from ledger.api.limits import MESSAGE_BYTES_MAX
from ledger.auth.passing import METADATA, PrincipalSeal
from ledger.auth.principal import Principal, server_principal
from ledger.engine.ledger import Ledger
from ledger.engine.ticket import NotApplied, NotOwner

STATUS_DETAILS: Final = "grpc-status-details-bin"
HOP: Final = "drawdown-forwarded-by"
"""Metadata that marks a forwarded call; its value names the process that forwarded it."""

LOOK_S: Final = 0.5  # between two looks at whether the owner of a call in flight still lives
RETRY_AFTER_US: Final = 100_000
OPTIONS: Final = (
    ("grpc.enable_retries", 0),
    ("grpc.max_receive_message_length", 2 * MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", 2 * MESSAGE_BYTES_MAX),  # a part may name what a batch implied
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 500),
)
READS: Final = (
    "Get", "List", "Check", "Quote", "Compare", "TrialBalance", "Preview", "Resolve",
    "Draft", "RollUp", "Watch", "Explain",
)  # fmt: skip
"""Beginnings of the names of methods that record nothing."""
NO_READS: Final = frozenset({"GetOutcome"})  # but these do: it may abandon what it asks about

Reply = TypeVar("Reply", bound=Message)


class PassedOn(Exception):
    """The status with which the owner answered, to be handed on as it is."""

    def __init__(self, code: grpc.StatusCode, message: str, details: bytes) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details

    def failure(self) -> CallFailed:
        """The same as a failure of this process, for one event among others."""
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        for detail in status_pb2.Status.FromString(self.details).details:
            _ = detail.Unpack(info) or detail.Unpack(retry)
        if info.reason not in TABLE:
            return CallFailed("OUTCOME_UNKNOWN", f"{info.reason}: {self.message}")
        after_us = retry.retry_delay.ToMicroseconds()
        return CallFailed(info.reason, self.message, retry_after_us=after_us)


class Hop:
    """What a forwarded call takes along."""

    __slots__ = ("metadata", "principal", "timeout_s")

    def __init__(
        self,
        metadata: tuple[tuple[str, str], ...],
        timeout_s: float | None,
        principal: Principal | None = None,
    ) -> None:
        """`principal`: for whom the call is passed on; None: it is work of this server's own."""
        self.metadata = metadata
        self.timeout_s = timeout_s
        self.principal = principal


class Forwarder:
    """Channels to the other processes; `close` once."""

    def __init__(
        self,
        ledger: Ledger,
        credentials: grpc.ChannelCredentials | None = None,
        counted: Callable[[str, str], None] = lambda method, result: None,
        seal: PrincipalSeal | None = None,
    ) -> None:
        """`credentials` None: plain. `counted` is told (method, result) of each forwarded call.

        `seal` proves to the other process for whom we call; None: nothing does.
        """
        self._seal = seal
        self._ledger = ledger
        self._credentials = credentials
        self.counted = counted
        self._channels: dict[str, grpc.aio.Channel] = {}

    @property
    def process(self) -> str:
        """The name of this process."""
        keeper = self._ledger.shards.keeper
        return keeper.identity.process if keeper is not None else ""

    def owners(self) -> dict[str, list[int]]:
        """Address -> shards of every other process that has any."""
        shards, found = self._ledger.shards, dict[str, list[int]]()
        for shard in range(len(shards.writers)):
            address = "" if shards.owns(shard) else shards.route(shard)
            if address:
                found.setdefault(address, []).append(shard)
        return found

    def route(self, shard: int) -> str:
        """The address of the other process that has the shard; "" = none is known, look again."""
        address = self._ledger.shards.route(shard)
        if not address:
            self._look_again()
        return address

    def lives(self, address: str) -> bool:
        """Whether a process at that address is among the living, as far as we know."""
        keeper = self._ledger.shards.keeper
        return keeper is None or address in keeper.peers.values()

    async def pass_on(
        self, method: str, request: Message, reply: type[Reply], refused: NotOwner, hop: Hop
    ) -> Reply:
        """Ask the owner of the shard that refused. Raises PassedOn, CallFailed, NotOwner."""
        address = self.route(refused.shard)
        if not address:
            raise refused
        return await self.ask(address, method, request, reply, hop)

    async def ask(
        self, address: str, method: str, request: Message, reply: type[Reply], hop: Hop
    ) -> Reply:
        """One call to another process. Raises PassedOn, CallFailed."""
        channel = self._channel(address)
        if channel.get_state(try_to_connect=True) is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
            self.counted(method, "UNREACHABLE")
            raise unreachable(address)
        call = channel.unary_unary(
            f"/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=reply.FromString,
        )(request, timeout=hop.timeout_s, metadata=self._metadata(method, hop))
        try:
            answer: Reply = await self._while_it_lives(call, address)
        except grpc.aio.AioRpcError as error:
            self.counted(method, error.code().name)
            raise self.failure(error, address, method) from error
        self.counted(method, "OK")
        return answer

    async def relay(
        self, method: str, request: Message, reply: type[Reply], refused: NotOwner, hop: Hop
    ) -> AsyncGenerator[Reply, None]:
        """Every message of a stream of the owner of the shard that refused. Raises PassedOn,
        CallFailed, NotOwner."""
        address = self.route(refused.shard)
        if not address:
            raise refused
        call = self._channel(address).unary_stream(
            f"/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=reply.FromString,
        )(request, timeout=hop.timeout_s, metadata=self._metadata(method, hop))
        try:
            async for each in call:
                yield each
        except grpc.aio.AioRpcError as error:
            self.counted(method, error.code().name)
            raise self.failure(error, address, method) from error
        finally:
            call.cancel()
        self.counted(method, "OK")

    async def open(
        self, address: str, method: str, request: type[Message], reply: type[Message], hop: Hop
    ) -> Any:
        """A stream both ways to another process, once that is connected. Raises CallFailed:
        OWNER_UNREACHABLE."""
        channel = self._channel(address)
        while True:
            state = channel.get_state(try_to_connect=True)
            if state is grpc.ChannelConnectivity.READY:
                break
            if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                raise unreachable(address)
            await channel.wait_for_state_change(state)
        return channel.stream_stream(
            f"/{method}",
            request_serializer=request.SerializeToString,
            response_deserializer=reply.FromString,
        )(timeout=hop.timeout_s, metadata=self._metadata(method, hop))

    def _metadata(self, method: str, hop: Hop) -> tuple[tuple[str, str | bytes], ...]:
        marked = (*hop.metadata, (HOP, self.process))
        if self._seal is None:
            return marked
        principal = hop.principal or server_principal(self.process)
        return (*marked, (METADATA, self._seal.seal(principal, method)))

    async def close(self) -> None:
        """Let go of every channel."""
        channels, self._channels = self._channels, {}
        for channel in channels.values():
            await channel.close()

    async def _while_it_lives(self, call: Any, address: str) -> Any:
        """The answer of a call; given up when its process is not among the living any more."""
        answering = asyncio.ensure_future(call)
        try:
            while True:
                done, _ = await asyncio.wait({answering}, timeout=LOOK_S)
                if done:
                    return answering.result()
                if not self.lives(address):
                    raise CallFailed(
                        "OUTCOME_UNKNOWN",
                        f"{address} had the call and does not live any more: send the same ids "
                        "again, or ask GetOutcome",
                    )
        finally:
            if not answering.done():
                call.cancel()
                answering.cancel()

    def failure(
        self, error: grpc.aio.AioRpcError, address: str, method: str
    ) -> PassedOn | CallFailed:
        """What a call that was passed on comes to, as sure as we are of it."""
        self._look_again()
        for key, value in error.trailing_metadata() or ():
            if key == STATUS_DETAILS and isinstance(value, bytes):
                return PassedOn(error.code(), error.details() or "", value)
        name = method.rpartition("/")[2]
        if name.startswith(READS) and name not in NO_READS:
            return unreachable(address)
        return CallFailed(
            "OUTCOME_UNKNOWN",
            f"{address} had the call and gave no answer ({error.code().name}: {error.details()}): "
            "send the same ids again, or ask GetOutcome",
        )

    def _look_again(self) -> None:
        keeper = self._ledger.shards.keeper
        if keeper is not None:
            keeper.poke()

    def _channel(self, address: str) -> grpc.aio.Channel:
        channel = self._channels.get(address)
        if channel is None:
            channel = self._channels[address] = (
                grpc.aio.insecure_channel(address, OPTIONS)
                if self._credentials is None
                else grpc.aio.secure_channel(address, self._credentials, OPTIONS)
            )
        return channel


def nobody(shards: list[int]) -> NotApplied:
    """A call over all shards finds some that nobody serves now."""
    refused = NotOwner(shards[0], RETRY_AFTER_US)
    return NotApplied(
        refused.reason,
        f"the shards {shards} are between two processes now; ask again",
        RETRY_AFTER_US,
    )


def unreachable(address: str) -> CallFailed:
    """Nothing was recorded by what was to be passed on to that process."""
    return CallFailed(
        "OWNER_UNREACHABLE",
        f"{address} serves the account and cannot be reached now; nothing was recorded by this "
        "call; send it again",
        retry_after_us=RETRY_AFTER_US,
    )
