"""Which usage was charged, by account and time, and where it stands in the journal (rule R7).

From the read models, which say which; what an entry says is read in the journal. Must not judge.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ledger.journal.connection import Pool, borrow
from ledger.projections.sql import load

_SQL: Final = load("charged")


class Charged(NamedTuple):
    """A usage event: its number in the shard, its batch with that one's first entry, and whether it
    stands in the stead of other usage."""

    entry_seq: int
    amended: bool
    batch_seq: int
    first_event: int


async def charged_accounts(
    pool: Pool,
    tenant: int,
    shard: int,
    times: tuple[int, int],
    rate_card: str,
    after: int,
    rows: int,
) -> list[int]:
    """Accounts after one with usage of those times that was priced by the card, ascending. Raises
    JournalUnavailable."""
    async with borrow(pool) as connection:
        found = await connection.fetch(
            _SQL["accounts"], tenant, shard, *times, rate_card, after, rows
        )
    return [row[0] for row in found]


async def charged_usage(
    pool: Pool,
    tenant: int,
    shard: int,
    account: int,
    times: tuple[int, int],
    rate_card: str,
    after: int,
    rows: int,
) -> list[Charged]:
    """Usage of an account of those times after an entry, as it was recorded; `rate_card` "" = by
    whatever card it was priced. Raises JournalUnavailable."""
    async with borrow(pool) as connection:
        found = await connection.fetch(
            _SQL["entries"], tenant, shard, account, *times, rate_card, after, rows
        )
    return [Charged(*row) for row in found]
