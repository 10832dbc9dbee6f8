"""What usage drew by the hour, from the read models: what forecasts rest on. Must not judge."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final, NamedTuple

from ledger.journal.connection import Pool, borrow
from ledger.projections.as_of import Standing, standing_of
from ledger.projections.sql import load

_SQL: Final = load("burn")


class Burn(NamedTuple):
    """By asset: the hour in which usage first drew, and what was drawn in each hour since an
    instant, both by the hours' first microseconds."""

    began: dict[int, int]
    drawn: dict[int, dict[int, int]]
    standing: Standing


async def burn_of(
    pool: Pool, tenant: int, shard: int, accounts: Sequence[int], above: Sequence[int], since: int
) -> Burn:
    """What usage of these accounts drew, and of others from what the accounts `above` share.
    Raises JournalUnavailable."""
    async with (
        borrow(pool) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        standing = await standing_of(connection, tenant, shard)
        began = await connection.fetch(_SQL["began"], tenant, shard, accounts)
        rows = await connection.fetch(_SQL["drawn"], tenant, shard, accounts, since, above)
    drawn: dict[int, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for asset, hour, amount in rows:
        drawn[asset][hour] += int(amount)
    return Burn(dict(map(tuple, began)), drawn, standing)
