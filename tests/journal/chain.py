"""Rows for journal tests, in chains."""

from __future__ import annotations

from collections.abc import Iterator

from ledger.journal.protocol import GENESIS_HASH, JournalRow, make_row


def chain(
    count: int,
    *,
    shard: int = 0,
    after: JournalRow | None = None,
    events: int = 3,
    private: bytes = b"",
    mark: str = "",
) -> list[JournalRow]:
    """`count` rows that continue `after`; `mark` makes two chains differ."""
    return list(_rows(count, shard, after, events, private, mark))


def _rows(
    count: int, shard: int, last: JournalRow | None, events: int, private: bytes, mark: str
) -> Iterator[JournalRow]:
    for _ in range(count):
        last = make_row(
            shard=shard,
            batch_seq=last.batch_seq + 1 if last else 1,
            recorded_at_us=(last.recorded_at_us if last else 1_700_000_000_000_000) + 1,
            first_event=last.next_event if last else 0,
            event_count=events,
            format=1,
            codec=1,
            prev_hash=last.hash if last else GENESIS_HASH,
            payload=f"payload {mark} of {last.batch_seq + 1 if last else 1}".encode() * 3,
            private=private,
        )
        yield last
