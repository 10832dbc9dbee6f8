"""A real server in memory, a client of it, and a TCP proxy between them that cuts connections."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import grpc
import pytest

from ledger.api.server import LedgerServer
from ledger.client import DrawdownClient, Limits, RetryPolicy
from ledger.engine.ledger import Ledger
from ledger.journal.storage import MemoryStorage
from rating.v1 import pricing_pb2
from tests.api.served import SystemClock, card
from tests.patience import HANGS_S

PROMPT = RetryPolicy(first_us=1_000, longest_us=20_000, give_up_us=HANGS_S * 1_000_000)
SMALL = Limits(batch_events=64, worth_events=16, linger_us=0, coalesce_us=1_000)


class CuttingProxy:
    """Forwards bytes both ways; `cuts` after the next so many bytes of answers, and again. While
    `speaks` is clear, answers are kept back, and their connections are cut once it is set."""

    def __init__(self, upstream: str) -> None:
        self._host, self._port = upstream.rsplit(":", 1)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.address = ""
        self.cuts: list[int] = []  # bytes of answers to let through before each cut
        self.cut = 0
        self.speaks = asyncio.Event()
        self.speaks.set()

    async def __aenter__(self) -> CuttingProxy:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        upstream_reader, upstream = await asyncio.open_connection(self._host, int(self._port))

        async def forward() -> None:
            while data := await reader.read(65_536):
                upstream.write(data)
                await upstream.drain()

        async def backward() -> None:
            while data := await upstream_reader.read(65_536):
                if not self.speaks.is_set():
                    await self.speaks.wait()
                    return
                if self.cuts:
                    if len(data) >= self.cuts[0]:
                        self.cuts.pop(0)
                        self.cut += 1
                        return
                    self.cuts[0] -= len(data)
                writer.write(data)
                await writer.drain()

        with contextlib.suppress(ConnectionError):
            both = {asyncio.create_task(forward()), asyncio.create_task(backward())}
            try:
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for half in both:
                    half.cancel()
                await asyncio.gather(*both, return_exceptions=True)
                writer.transport.abort()
                upstream.transport.abort()


class DeafProxy(grpc.GenericRpcHandler):
    """Forwards each call with one answer, but for those whose request holds any of `deaf`: they
    are never answered."""

    def __init__(self, upstream: str) -> None:
        self._upstream = grpc.aio.insecure_channel(upstream)
        self._server = grpc.aio.server()
        self._server.add_generic_rpc_handlers((self,))
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self.deaf: set[bytes] = set()

    async def __aenter__(self) -> DeafProxy:
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop(0)
        await self._upstream.close()

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        forward = self._upstream.unary_unary(handler_call_details.method)

        async def forwarded(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
            if any(word in request for word in self.deaf):
                await asyncio.Event().wait()
            try:
                return await forward(request, metadata=context.invocation_metadata())
            except grpc.aio.AioRpcError as error:
                trailing = tuple(error.trailing_metadata())
                await context.abort(error.code(), error.details() or "", trailing)

        return grpc.unary_unary_rpc_method_handler(forwarded)


@pytest.fixture
async def address() -> AsyncIterator[str]:
    """Where a real server with the card of tests/api serves, in memory."""
    storage = MemoryStorage(SystemClock().now_us, 4)
    ledger = Ledger(storage, SystemClock())
    ledger.start()
    await ledger.opened()
    server = LedgerServer(ledger)
    try:
        yield await server.start("127.0.0.1:0")
    finally:
        await server.stop(0)
        await ledger.stop()


@pytest.fixture
async def client(address: str) -> AsyncIterator[DrawdownClient]:
    """A client of it; families `acme` (with acme/chat) and `beta`, a grant each."""
    async with DrawdownClient(
        address, source="test", product="chat", limits=SMALL, retry=PROMPT
    ) as client:
        await client.create_asset("credit", 6, pricing_pb2.ASSET_KIND_CREDIT)
        await client.publish_rate_card(card())
        await client.create_account("acme")
        await client.create_account("acme/chat", parent="acme")
        await client.create_account("beta")
        for account in ("acme", "acme/chat", "beta"):
            await client.issue_grant(account, "credit", 10**9)
        yield client


@pytest.fixture
async def proxy(address: str) -> AsyncIterator[CuttingProxy]:
    """A proxy before the server."""
    async with CuttingProxy(address) as proxy:
        yield proxy
