"""Sealing in tests: keys that anyone can make again, one round of a sealer, copies to damage."""

from __future__ import annotations

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
from tests.projections.books import open_books
from tests.projections.projecting import looking, project

SHARDS = 4
INSTANCE = bytes(range(100, 116))
APPEND_ONLY = ("journal", "seal", "seal_key")


def key_of(seed: int) -> SealKey:
    """The same key for the same seed."""
    return SealKey(Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


KEY, NEXT_KEY, OTHER_KEY = key_of(1), key_of(2), key_of(3)


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
