"""Fees of fixed charges, from the read models."""

from __future__ import annotations

from typing import Final, NamedTuple

from ledger.journal.connection import Pool, borrow
from ledger.projections.as_of import Standing, standing_of
from ledger.projections.sql import load

_SQL: Final = load("fees")


class FeeRow(NamedTuple):
    """A fee, see the query."""

    entry_seq: int
    charge: int
    name: str
    product: str
    asset: int
    period: int
    start: int
    end: int
    quantity: int
    amount: int
    total: int
    effective_at: int
    recorded_at: int


async def fees_of(
    pool: Pool, tenant: int, shard: int, account: int, after: int, charge: int, rows: int
) -> tuple[list[FeeRow], Standing]:
    """Fees of an account after an entry, in the order recorded, with where they stand. `charge` 0 =
    of all its charges. Raises JournalUnavailable."""
    async with (
        borrow(pool) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        standing = await standing_of(connection, tenant, shard)
        found = await connection.fetch(_SQL["fees"], tenant, shard, account, after, charge, rows)
    return [FeeRow(*row) for row in found], standing
