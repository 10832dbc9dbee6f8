"""A served ledger for a test: `served` in memory, `stored` on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ledger.journal.storage import MemoryStorage, PostgresStorage
from ledger.projections.as_of import History
from tests.api import served as api


@pytest.fixture
async def served() -> AsyncIterator[api.Served]:
    """In memory, nothing published yet."""
    storage = MemoryStorage(api.SystemClock().now_us, 4)
    async with api.served(storage) as caller:
        yield caller


@pytest.fixture
async def priced(served: api.Served) -> api.Served:
    """In memory, with the card of `served.card`."""
    await served.priced()
    return served


@pytest.fixture
async def stored(database: str) -> AsyncIterator[api.Served]:
    """On a fresh database, with the card of `served.card`."""
    storage = await PostgresStorage.open(database, 4)
    try:
        async with api.served(storage, history=History(storage.pool)) as caller:
            await caller.priced()
            yield caller
    finally:
        await storage.close()
