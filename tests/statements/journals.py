"""Journals of a core in memory, written to a real database as shard 0."""

from __future__ import annotations

from typing import Any

from ledger.journal.postgres import PostgresJournal
from ledger.journal.protocol import GENESIS_HASH, make_row
from tests.projections.histories import CODEC, NO_NAMES


async def write(batches: list[tuple[int, list[Any]]], dsn: str) -> None:
    """Append every batch that holds something."""
    journal = PostgresJournal(dsn, 0)
    last = None
    try:
        for recorded_at, events in batches:
            if not events:
                continue
            last = make_row(
                shard=0,
                batch_seq=last.batch_seq + 1 if last else 1,
                recorded_at_us=recorded_at,
                first_event=last.next_event if last else 0,
                event_count=len(events),
                format=1,
                codec=1,
                prev_hash=last.hash if last else GENESIS_HASH,
                payload=CODEC.encode(events),
                private=NO_NAMES,
            )
            await journal.append(last)
    finally:
        await journal.close()
