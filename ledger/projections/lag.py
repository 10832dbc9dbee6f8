"""How far behind the journal the read models are, for whoever shows it."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from ledger.core.limits import MINUTE_US
from ledger.journal.connection import Pool, borrow
from ledger.projections.sql import load

LAG_MAX_US: Final = MINUTE_US
"""So far behind they may fall while the writers need the machine, unless told otherwise."""

_SQL: Final = load("lag")


class Lag(Struct, frozen=True):
    """What a projector tells after each step: entries and microseconds behind the journal."""

    shard: int
    entries: int
    us: int


class Reached(Struct, frozen=True):
    """Where a shard's read models stand: so many entries, the last of them of that time."""

    shard: int
    entries: int
    recorded_at_us: int


async def read_lag(pool: Pool) -> list[Reached]:
    """The checkpoint of every shard that was ever projected. Raises JournalUnavailable."""
    async with borrow(pool) as connection:
        return [Reached(*row) for row in await connection.fetch(_SQL["reached"])]
