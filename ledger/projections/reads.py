"""What others read here. Every row carries `as_of`: the entries of its shard that it rests on.

Rows are asyncpg records with the columns of the views in `migrations/0010_projections.sql`. Ids of
erased accounts are NULL, so their events are found by entry only.
"""

from __future__ import annotations

from typing import Final

import asyncpg

from ledger.core.limits import INT64_MAX
from ledger.journal.connection import Pool, borrow
from ledger.projections.sql import load

PAGE_ROWS_MAX: Final = 1_000

_SQL: Final = load("reads")


async def find_usage(
    pool: Pool, tenant: int, account: int, source: str, event_id: str
) -> asyncpg.Record | None:
    """One usage event by its names, also beyond the dedupe window: a correction of it names its
    `entry_seq`. Raises JournalUnavailable."""
    async with borrow(pool) as connection:
        return await connection.fetchrow(_SQL["usage_of_event"], tenant, account, source, event_id)


async def list_usage(
    pool: Pool, tenant: int, account: int, before: int = INT64_MAX, rows: int = 100
) -> list[asyncpg.Record]:
    """An account's usage with entry_seq < `before`, newest first. Raises JournalUnavailable."""
    assert 0 < rows <= PAGE_ROWS_MAX, rows
    async with borrow(pool) as connection:
        return list(await connection.fetch(_SQL["usage_of_account"], tenant, account, before, rows))


async def list_adjustments(
    pool: Pool, tenant: int, account: int, period: int, after: int = -1, rows: int = 100
) -> list[asyncpg.Record]:
    """What of closed periods counts in the account's period that begins then (rule T2): usage and
    reversals with entry_seq > `after`, oldest first. Raises JournalUnavailable."""
    assert 0 < rows <= PAGE_ROWS_MAX, rows
    async with borrow(pool) as connection:
        found = await connection.fetch(_SQL["adjustments"], tenant, account, period, after, rows)
        return list(found)


async def list_suspense(
    pool: Pool, tenant: int, shard: int, after: int = -1, rows: int = 100
) -> list[asyncpg.Record]:
    """Quantities that wait for a price (rule B8), oldest first, with entry_seq > `after`.

    An entry has at most 16; the next page begins after the last whole entry. Raises
    JournalUnavailable.
    """
    assert 16 < rows <= PAGE_ROWS_MAX, rows
    async with borrow(pool) as connection:
        return list(await connection.fetch(_SQL["suspense"], tenant, shard, after, rows))


async def trial_balance(pool: Pool, tenant: int) -> list[asyncpg.Record]:
    """A tenant's books by asset, kind and name, a row a shard (rule B7). Raises
    JournalUnavailable."""
    async with borrow(pool) as connection:
        return list(await connection.fetch(_SQL["trial_balance"], tenant))
