"""Sealing in tests: keys that anyone can make again, one round of a sealer, copies to damage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncpg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.integrity.keys import SealKey
from ledger.integrity.sealer import Sealer, seal_all, wall_us
from ledger.integrity.store import PostgresSealStore
from ledger.journal.connection import open_pool
from ledger.journal.migrate import read_settings
from ledger.verify import Report
from tests.conftest import run_apart
from tests.projections.books import open_books
from tests.projections.projecting import looking, project

SHARDS = 4
INSTANCE = bytes(range(100, 116))
APPEND_ONLY = ("journal", "seal", "seal_key")
PATIENCE_S = 120
TELLING = """
CREATE OR REPLACE FUNCTION public.tell_sealed() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN NOTIFY sealed; RETURN NULL; END';
CREATE OR REPLACE TRIGGER tell_sealed AFTER INSERT ON ledger.seal
    EXECUTE FUNCTION public.tell_sealed();
"""
ALL_SEALED = """
SELECT NOT EXISTS (SELECT FROM ledger.journal j WHERE NOT EXISTS (
    SELECT FROM ledger.seal s WHERE s.shard = j.shard AND s.last_batch >= j.batch_seq))
"""


def key_of(seed: int) -> SealKey:
    """The same key for the same seed."""
    return SealKey(Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


KEY, NEXT_KEY, OTHER_KEY = key_of(1), key_of(2), key_of(3)


def wait_until(database: str, sealed: str) -> None:
    """Until the seals are such: a busy machine starts the sealer later than the server. Each seal
    that is stored wakes it."""

    async def wait() -> None:
        connection = await asyncpg.connect(database)
        try:
            stored = asyncio.Event()
            await connection.add_listener("sealed", lambda *_: stored.set())
            await connection.execute(TELLING)
            async with asyncio.timeout(PATIENCE_S):
                while not await connection.fetchval(sealed):
                    await stored.wait()
                    stored.clear()
        finally:
            await connection.close()

    run_apart(wait)


@asynccontextmanager
async def seal_store(dsn: str) -> AsyncIterator[PostgresSealStore]:
    settings = await read_settings(dsn)
    pool = await open_pool(dsn, application_name="test", size_max=1)
    try:
        yield PostgresSealStore(pool, settings.instance_id.bytes)
    finally:
        pool.terminate()


async def seal(dsn: str, key: SealKey = KEY, now_us: Callable[[], int] = wall_us) -> int:
    """One round over all shards; how many seals it made."""
    async with seal_store(dsn) as store:
        sealer = Sealer(store, key, now_us=now_us)
        await sealer.introduce()
        return await seal_all(dsn, store, sealer, SHARDS)


async def fill(dsn: str) -> None:
    """Books with a bit of everything, sealed twice and then gone on; projected."""
    async with open_books(dsn) as books:
        await books.a_bit_of_everything("first ")
        assert await seal(dsn) == SHARDS
        await books.a_bit_of_everything("second ")
        assert await seal(dsn) > 1
        await books.a_bit_of_everything("third ")
    await project(dsn)


@asynccontextmanager
async def harming(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """As a superuser who means harm: neither triggers nor rights nor references stop him."""
    async with looking(dsn) as connection:
        for table in APPEND_ONLY:
            await connection.execute(f"ALTER TABLE ledger.{table} DISABLE TRIGGER append_only")
        await connection.execute("SET session_replication_role = replica")
        yield connection


def whats(report: Report) -> list[str]:
    """What was found, in order."""
    return [finding.what for finding in report.findings]
