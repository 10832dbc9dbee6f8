"""Running projectors in tests, and looking at what they wrote."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from ledger.projections.projector import ShardProjector
from ledger.projections.store import ProjectionStore
from tests.patience import HANGS_S

SHARDS = 4
TABLES = {
    "checkpoint": "shard, batch_seq, entries, recorded_at, hash",
    "transfers": "*",
    "plans": "*",
    "usage_events": "*",
    "books": "*",
    "accounts": "*",
    "account_policies": "*",
    "grants": "*",
    "holds": "*",
    "denials": "*",
    "reversals": "*",
    "adjustments": "*",
    "amendments": "*",
    "manual_adjustments": "*",
    "shared_rerates": "*",
    "usage_hours": "*",
    "entry_actors": "*",
}
RUN = (
    "import asyncio, sys; from ledger.projections.projector import run_projector as r; "
    "asyncio.run(r(sys.argv[1], by='test'))"
)


async def make_checkpoints(dsn: str) -> None:
    store = await ProjectionStore.open(dsn, 0)
    try:
        await store.make_checkpoints(SHARDS)
    finally:
        store.close()


async def project(dsn: str) -> int:
    """Bring every shard to the tail; how many entries that took."""
    await make_checkpoints(dsn)
    done = 0
    for shard in range(SHARDS):
        projector = ShardProjector(dsn, shard)
        try:
            while step := await projector.step():
                done += step
        finally:
            await projector.close()
    return done


@asynccontextmanager
async def looking(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def everything(dsn: str, schema: str = "projection") -> dict[str, list[Any]]:
    """Every row of every table, in a canonical order."""
    async with looking(dsn) as connection:
        return {
            table: sorted(
                [
                    repr(row)
                    for row in await connection.fetch(f"SELECT {what} FROM {schema}.{table}")
                ]
            )
            for table, what in TABLES.items()
        }


async def until(connection: asyncpg.Connection, query: str, *arguments: object) -> Any:
    """Ask until the answer is true."""
    async with asyncio.timeout(HANGS_S):
        while True:
            found = await connection.fetchval(query, *arguments)
            if found:
                return found
            await asyncio.sleep(0.01)


def start_projector(dsn: str) -> subprocess.Popen[bytes]:
    """A projector in a process of its own."""
    return subprocess.Popen([sys.executable, "-c", RUN, dsn])
