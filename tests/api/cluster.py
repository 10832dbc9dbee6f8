"""Several servers of one ledger in this process, each behind a socket of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc

from bench.ports import free_port
from ledger.api.server import LedgerServer
from ledger.engine.lease import Terms
from ledger.engine.ledger import Ledger, Storage
from ledger.journal.leases import Identity
from tests.api.served import Served, SystemClock
from tests.patience import HANGS_S

TERMS = Terms(10_000_000)  # a busy machine lets those of production lapse


@asynccontextmanager
async def member(
    storage: Storage,
    name: str,
    *,
    listen: str = "",
    credentials: grpc.ServerCredentials | None = None,
    **options: Any,
) -> AsyncIterator[Served]:
    """One server that shares its storage with others. Where it is gone nobody else listens, so
    that it can come back: the kernel gives such a port to none."""
    ledger = Ledger(storage, SystemClock(), identity=Identity(name, ""), terms=TERMS)
    server = LedgerServer(ledger, **options)
    address = await server.listen(listen or f"127.0.0.1:{free_port()}", credentials)
    ledger.start(address)
    async with asyncio.timeout(HANGS_S):
        await ledger.opened()
    await server.serve()
    try:
        trusted = options.get("peer_credentials")
        async with (
            grpc.aio.insecure_channel(address)
            if trusted is None
            else grpc.aio.secure_channel(address, trusted)
        ) as channel:
            yield Served(server, ledger, channel, address=address)
    finally:
        await server.stop(0)
        await ledger.stop()


@asynccontextmanager
async def cluster(storages: list[Storage], **options: Any) -> AsyncIterator[list[Served]]:
    """As many servers as storages, once each has its share."""
    async with AsyncExitStack() as stack:
        servers = [
            await stack.enter_async_context(member(storage, f"server-{n}", **options))
            for n, storage in enumerate(storages)
        ]
        share = storages[0].shards // len(servers)
        await until(lambda: all(len(each.ledger.owned) >= share for each in servers))
        await until(lambda: all(map(is_open, servers)))
        yield servers


def is_open(served: Served) -> bool:
    """Whether it serves what it owns, and knows who owns the rest."""
    ledger = served.ledger
    return all(
        ledger.writers[shard].opened.is_set()
        if ledger.shards.owns(shard)
        else ledger.shards.route(shard) != ""
        for shard in range(len(ledger.writers))
    )


async def until(condition: Callable[[], bool]) -> None:
    """Return when it is so; servers change each other's mind without telling."""
    async with asyncio.timeout(HANGS_S):
        while not condition():
            await asyncio.sleep(0.01)
