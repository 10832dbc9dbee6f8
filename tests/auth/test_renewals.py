"""Keys that several renew at once: each is written, one after the other."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from ledger.auth.key_store import PostgresKeyStore
from ledger.journal.sql import load
from tests.patience import HANGS_S

_SQL = load("access")


@pytest.mark.parametrize("kind", ["server", "gateway"])
async def test_a_renewal_waits_for_one_that_is_under_way(database: str, kind: str) -> None:
    async with asyncpg.create_pool(database) as pool, pool.acquire() as other:
        store = PostgresKeyStore(pool)
        renewal = other.transaction()
        await renewal.start()
        await other.execute(_SQL[f"lock_{kind}_keys"])
        added = _SQL[f"add_{kind}_key"]
        assert await other.fetchval(added, b"1" * 32, "first", 0) == 1
        add = store.add_server_key if kind == "server" else store.add_gateway_key
        second = asyncio.create_task(add("second", 0))
        await _until_blocked(pool)
        await renewal.commit()
        assert await second == 2


async def test_the_first_key_of_gateways_waits_for_a_renewal(database: str) -> None:
    async with asyncpg.create_pool(database) as pool, pool.acquire() as other:
        store = PostgresKeyStore(pool)
        renewal = other.transaction()
        await renewal.start()
        await other.execute(_SQL["lock_gateway_keys"])
        asked = asyncio.create_task(store.gateway_keys())
        await _until_blocked(pool)
        assert await other.fetchval(_SQL["add_gateway_key"], b"1" * 32, "first", 0) == 1
        await renewal.commit()
        assert [key.secret for key in await asked] == [b"1" * 32]


async def _until_blocked(pool: asyncpg.Pool[asyncpg.Record]) -> None:
    """PostgreSQL has no event for it."""
    async with asyncio.timeout(HANGS_S):
        while not await pool.fetchval(
            "SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
            "AND datname = current_database())"
        ):
            pass
