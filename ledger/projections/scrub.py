"""What an erasure does to the read models: blank what came from private records.

The journal's private records are blanked first (`ledger.journal.erasure`), so that nothing brings
the names back: no later step of a projector, no rebuild. `forget_pending` does both in that order
for every erasure that the directory has pending, and is done only when both are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Final

import asyncpg

from ledger.journal.connection import Pool, borrow
from ledger.journal.directory import Directory
from ledger.journal.erasure import Blanked, blank_pending
from ledger.projections.sql import load

PAGE_ROWS: Final = 2_000

_SQL: Final = load("scrub")


async def scrub(pool: Pool, account: int) -> int:
    """Blank ids, sources, operations and personal attributes of an account's usage, and who asked
    for what; how many rows.

    Call it once the account's private records in the journal are blanked: a projector's step that
    read them before is waited for, and none reads them later. May be repeated. Raises
    JournalUnavailable.
    """
    async with borrow(pool) as connection:
        place = await connection.fetchrow(_SQL["place"], account)
        if place is None:
            return 0
        tenant, shard = place
        copies = [row["nspname"] for row in await connection.fetch(_SQL["copies"])]
    blanked = 0
    for schema in copies:
        with contextlib.suppress(asyncpg.UndefinedTableError):  # swapped in: it is the next one
            blanked += await _scrub_copy(pool, schema, account, tenant, shard)
    return blanked


async def _scrub_copy(pool: Pool, schema: str, account: int, tenant: int, shard: int) -> int:
    blanked = 0
    after = -1
    announced = False
    while True:
        async with borrow(pool) as connection, connection.transaction():
            await connection.execute(f"SET LOCAL search_path = {schema}")
            if not announced:
                await connection.execute(_SQL["announce"], shard)
                announced = True
                continue
            if after < 0:
                done = await connection.execute(_SQL["actors"], tenant, account, shard)
                blanked += int(done.rpartition(" ")[2])
            page = await connection.fetchrow(_SQL["page"], tenant, account, shard, after, PAGE_ROWS)
            assert page is not None, "a query of two scalars has a row"
        blanked += int(page["blanked"])
        if page["last"] is None:
            return blanked
        after = page["last"]


async def forget_pending(
    pool: Pool,
    directory: Directory,
    progress: Callable[[int, int], None] = lambda _shard, _batch: None,
) -> Blanked:
    """Blank what every pending erasure left, in the journal's side table and in the read models.

    The order of `journal.erasure.blank_pending`, with `scrub` before an erasure counts as done.
    `progress` is told (shard, batch_seq). Raises JournalUnavailable; run it again.
    """
    return await blank_pending(pool, directory, progress, scrub=scrub)
