"""A TCP proxy before PostgreSQL that cuts a connection at a chosen moment."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from enum import Enum

Rule = Callable[[bytes], bool]


class Cut(Enum):
    """When the connection is lost."""

    BEFORE_SERVER = "the request never reaches the server"
    AFTER_SERVER = "the server did it, its answer is lost"


class CuttingProxy:
    """Forwards to a unix socket; `arm` makes the next request that carries `marker` the last."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._armed: tuple[Cut, bytes] | None = None
        self.answered = asyncio.Event()
        self.port = 0

    async def __aenter__(self) -> CuttingProxy:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def arm(self, cut: Cut, marker: bytes) -> None:
        self._armed = (cut, marker)

    async def _accept(
        self, client_reader: asyncio.StreamReader, client: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        server_reader, server = await asyncio.open_unix_connection(self._upstream)
        swallow = asyncio.Event()

        async def forward() -> None:
            while data := await client_reader.read(65_536):
                if self._armed is not None and self._armed[1] in data:
                    cut, self._armed = self._armed[0], None
                    if cut is Cut.BEFORE_SERVER:
                        return
                    swallow.set()
                server.write(data)
                await server.drain()

        async def backward() -> None:
            while data := await server_reader.read(65_536):
                if swallow.is_set():
                    self.answered.set()
                    return  # the answer is dropped, the connection is cut
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
