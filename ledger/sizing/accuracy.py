"""How sized holds turned out, from the read models: what was asked, held and used, added up.

Looks at holds that were captured for the last time. Reads what stands in the tables; judges not.
"""

from __future__ import annotations

import json
from typing import Final, NamedTuple

from ledger.journal.connection import Pool, borrow
from ledger.projections.sql import load

_SQL: Final = load("sizing")


class Accuracy(NamedTuple):
    """Holds of one kind. Sums are of minor units of the quantity's meter."""

    product: str
    attributes: dict[str, str]
    quantity: str
    learned_of: int
    permille: int
    holds: int
    within_value: int
    above_hold: int
    asked: int
    held: int
    used: int
    above: int


async def accuracy(
    pool: Pool,
    tenant: int,
    start: int,
    end: int,
    account: int | None,
    product: str,
    after: int,
    rows: int,
) -> tuple[list[Accuracy], dict[int, int]]:
    """Kinds of holds that were authorised in [start, end), from the `after`th on, and what each
    shard stood at. Raises JournalUnavailable."""
    async with (
        borrow(pool) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        reached = await connection.fetch(_SQL["positions"])
        found = await connection.fetch(
            _SQL["accuracy"], tenant, start, end, account, product, after, rows
        )
    kinds = [
        Accuracy(row[0], json.loads(row[1]), *row[2:8], *[int(each) for each in row[8:]])
        for row in found
    ]
    return kinds, {row["shard"]: row["entries"] for row in reached}
