"""A TCP proxy before PostgreSQL that cuts, half-closes or holds a connection at a chosen moment."""

from __future__ import annotations

import asyncio
import contextlib
from enum import Enum
from typing import Self

REQUEST_BYTES = 8


class Cut(Enum):
    """When the connection is lost."""

    BEFORE_SERVER = "the request never reaches the server"
    AFTER_SERVER = "the server did it, its answer is lost"
    HALF_CLOSED = "the server did it; no more comes from either side, and nobody resets"


class CuttingProxy:
    """Forwards to a unix socket; `arm` makes the next request that carries `marker` the last.

    `hold` lets that request through and keeps its answer back until `release` is set. `among`: only
    on connections that opened with these bytes.
    """

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._armed: tuple[Cut | None, bytes, bytes] | None = None
        self.struck = asyncio.Event()
        self.answered = asyncio.Event()
        self.release = asyncio.Event()
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def arm(self, cut: Cut, marker: bytes, among: bytes = b"") -> None:
        self._expect(cut, marker, among)

    def hold(self, marker: bytes, among: bytes = b"") -> None:
        self._expect(None, marker, among)

    def _expect(self, cut: Cut | None, marker: bytes, among: bytes) -> None:
        for event in (self.struck, self.answered, self.release):
            event.clear()
        self._armed = cut, marker, among

    def _strikes(self, data: bytes, opening: bytes) -> bool:
        return self._armed is not None and self._armed[1] in data and self._armed[2] in opening

    async def _accept(
        self, client_reader: asyncio.StreamReader, client: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        server_reader, server = await asyncio.open_unix_connection(self._upstream)
        swallow: list[Cut | None] = []

        async def forward() -> None:
            opening = b""
            while data := await client_reader.read(65_536):
                if len(opening) <= REQUEST_BYTES:  # a request for TLS, which it refuses, or nothing
                    opening += data
                if self._armed is not None and self._strikes(data, opening):
                    cut, self._armed = self._armed[0], None
                    self.struck.set()
                    if cut is Cut.BEFORE_SERVER:
                        return
                    swallow.append(cut)
                server.write(data)
                await server.drain()
                if swallow and swallow[0] is Cut.HALF_CLOSED:
                    server.write_eof()

        async def backward() -> None:
            while data := await server_reader.read(65_536):
                if swallow:
                    self.answered.set()
                    cut = swallow.pop()
                    if cut is Cut.AFTER_SERVER:
                        return  # the answer is dropped, the connection is cut
                    if cut is Cut.HALF_CLOSED:
                        client.write_eof()
                        await self.release.wait()  # or until the client hangs up
                        return
                    await self.release.wait()
                client.write(data)
                await client.drain()

        with contextlib.suppress(ConnectionError):
            both = {asyncio.create_task(forward()), asyncio.create_task(backward())}
            try:
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for half in both:
                    half.cancel()
                await asyncio.gather(*both, return_exceptions=True)
                client.transport.abort()
                server.transport.abort()
