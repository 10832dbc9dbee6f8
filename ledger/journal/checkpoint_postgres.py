"""Checkpoints on PostgreSQL: one transaction each, whose last statement is a compare-and-swap.

Everything before that statement touches rows that only the shard's owner writes, so a successor
waits for no long transaction. Must not retry: the same write again says what became of it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from struct import iter_unpack, pack
from typing import Any, Final

from ledger.failpoints import reached
from ledger.journal.checkpoint import (
    CheckpointPosition,
    CheckpointWrite,
    Expected,
    FamilyPlace,
    NewSegment,
    StoredCheckpoint,
    StoredFamily,
    StoredSegment,
    WriteOutcome,
)
from ledger.journal.connection import Connection, Pool, borrow
from ledger.journal.sql import load

PLACES_A_PAGE: Final = 8_192  # x ~100 B
BUCKETS_A_PAGE: Final = 128  # x 24 kB = 3 MB
FAMILIES_A_STATEMENT: Final = 512  # x ~1 kB
BUCKETS_A_COPY: Final = 32  # x 24 kB: the loop has its turn after each
SCHEMA: Final = "ledger"

_SQL: Final = load("checkpoint")


class _Refused(Exception):
    """Rolls the transaction back."""

    def __init__(self, outcome: WriteOutcome) -> None:
        super().__init__(outcome.name)
        self.outcome = outcome


class PostgresCheckpoints:
    """See `CheckpointStore`."""

    def __init__(self, pool: Pool, shard: int) -> None:
        """The pool stays whoever's it is."""
        self.shard = shard
        self._pool = pool

    async def load(self) -> StoredCheckpoint | None:
        """See `CheckpointStore.load`."""
        async with borrow(self._pool) as connection:
            return await load_checkpoint(connection, self.shard)

    async def places(self) -> AsyncIterator[Sequence[FamilyPlace]]:
        """See `CheckpointStore.places`."""
        after = -1
        while True:
            async with borrow(self._pool) as connection:
                rows = await connection.fetch(_SQL["places"], self.shard, after, PLACES_A_PAGE)
            if not rows:
                return
            yield [
                FamilyPlace(root, _numbers(accounts), due, format, tenant)
                for root, accounts, due, format, tenant in rows
            ]
            after = rows[-1]["root"]

    async def families(
        self, roots: Collection[int], expected: Expected | None = None
    ) -> list[StoredFamily]:
        """See `CheckpointStore.families`."""
        async with borrow(self._pool) as connection:
            rows = await connection.fetch(_SQL["families"], self.shard, list(roots))
        return [family_of(row[2:]) for row in self._checked(rows, expected)]

    async def segments(self) -> list[StoredSegment]:
        """See `CheckpointStore.segments`."""
        async with borrow(self._pool) as connection:
            return await load_segments(connection, self.shard)

    async def buckets(
        self, places: Collection[tuple[int, int]], expected: Expected | None = None
    ) -> dict[tuple[int, int], bytes]:
        """See `CheckpointStore.buckets`."""
        segments = [segment for segment, _ in places]
        numbers = [bucket for _, bucket in places]
        async with borrow(self._pool) as connection:
            rows = await connection.fetch(_SQL["buckets"], self.shard, segments, numbers)
        found = self._checked(rows, expected)
        return {(segment, bucket): body for _, _, segment, bucket, body in found}

    def _checked(
        self, rows: Sequence[Sequence[Any]], expected: Expected | None
    ) -> list[Sequence[Any]]:
        """The rows that name something; each begins with the epoch and batch that it is of."""
        if rows and expected is not None:
            expected.check(self.shard, rows[0][0], rows[0][1])
        return [row for row in rows if row[2] is not None]

    async def all_buckets(self, segment: int) -> AsyncIterator[Sequence[tuple[int, bytes]]]:
        """See `CheckpointStore.all_buckets`."""
        after = -1
        while True:
            async with borrow(self._pool) as connection:
                page = await bucket_page(connection, self.shard, segment, after)
            if not page:
                return
            yield page
            after = page[-1][0]

    async def claim(self, epoch: int, seen: CheckpointPosition | None, *, reset: bool) -> bool:
        """See `CheckpointStore.claim`."""
        async with borrow(self._pool) as connection, connection.transaction():
            reached("checkpoint.claim")
            if seen is None:
                first = await connection.fetchval(_SQL["claim_first"], self.shard, epoch)
                return first is not None
            sql = _SQL["reset" if reset else "claim"]
            taken = await connection.fetchval(sql, self.shard, epoch, seen.batch_seq, seen.hash)
            if taken is not None and reset:
                for block in ("drop_families", "drop_all_segments", "drop_all_buckets"):
                    await connection.execute(_SQL[block], self.shard)
            return taken is not None

    async def write(self, change: CheckpointWrite) -> WriteOutcome:
        """See `CheckpointStore.write`."""
        made = change.checkpoint
        try:
            async with borrow(self._pool) as connection:
                reached("checkpoint.before")
                stored = await load_checkpoint(connection, self.shard)
                if stored is None or stored.epoch != made.epoch:
                    return WriteOutcome.FENCED
                if stored.position == made.position:
                    return WriteOutcome.WRITTEN
                if stored.batch_seq != change.previous_batch_seq:
                    return WriteOutcome.MOVED
                async with connection.transaction():
                    await self._write(connection, change)
                reached("checkpoint.durable")
        except _Refused as refused:
            return refused.outcome
        return WriteOutcome.WRITTEN

    async def close(self) -> None:
        """See `CheckpointStore.close`."""

    async def _write(self, connection: Connection, change: CheckpointWrite) -> None:
        made = change.checkpoint
        in_journal = await connection.fetchval(_SQL["row_hash"], self.shard, made.batch_seq)
        if in_journal != made.hash:
            raise _Refused(WriteOutcome.NOT_IN_JOURNAL)
        for start in range(0, len(change.families), FAMILIES_A_STATEMENT):
            part = change.families[start : start + FAMILIES_A_STATEMENT]
            await self._put_families(connection, part)
        for new in change.segments:
            await self._put_segment(connection, new)
        if change.dropped_segments:
            for block in ("drop_segments", "drop_buckets"):
                await connection.execute(_SQL[block], self.shard, list(change.dropped_segments))
        moved = await connection.fetchval(
            _SQL["move"],
            self.shard,
            made.epoch,
            made.batch_seq,
            made.hash,
            made.entry_seq,
            made.recorded_at_us,
            made.format,
            made.body,
            change.previous_batch_seq,
        )
        if moved is None:
            raise _Refused(WriteOutcome.FENCED)
        reached("checkpoint.commit")

    async def _put_families(self, connection: Connection, part: Sequence[StoredFamily]) -> None:
        await connection.execute(
            _SQL["put_families"],
            self.shard,
            [family.place.root for family in part],
            [_packed(family.place.accounts) for family in part],
            [family.place.due_us for family in part],
            [family.place.format for family in part],
            [family.place.tenant for family in part],
            [family.body for family in part],
        )

    async def _put_segment(self, connection: Connection, new: NewSegment) -> None:
        segment = new.segment
        await connection.execute(
            _SQL["put_segment"],
            self.shard,
            segment.number,
            segment.generation_us,
            segment.first_batch,
            segment.last_batch,
            segment.keys,
            segment.bucket_bits,
            segment.format,
            segment.filter,
        )
        for start in range(0, len(new.buckets), BUCKETS_A_COPY):
            part = new.buckets[start : start + BUCKETS_A_COPY]
            await connection.copy_records_to_table(
                "key_bucket",
                schema_name=SCHEMA,
                columns=("shard", "segment", "bucket", "body"),
                records=[(self.shard, segment.number, bucket, body) for bucket, body in part],
            )


async def load_checkpoint(connection: Connection, shard: int) -> StoredCheckpoint | None:
    """The stored checkpoint of a shard."""
    row = await connection.fetchrow(_SQL["load"], shard)
    return None if row is None else StoredCheckpoint(*row)


async def load_segments(connection: Connection, shard: int) -> list[StoredSegment]:
    """The stored segments of a shard, by number."""
    return [StoredSegment(*row) for row in await connection.fetch(_SQL["segments"], shard)]


async def bucket_page(
    connection: Connection, shard: int, segment: int, after: int
) -> list[tuple[int, bytes]]:
    """Buckets of a segment after that one."""
    rows = await connection.fetch(_SQL["all_buckets"], shard, segment, after, BUCKETS_A_PAGE)
    return [(bucket, body) for bucket, body in rows]


async def family_page(connection: Connection, shard: int, after: int) -> list[StoredFamily]:
    """Stored families after that root."""
    rows = await connection.fetch(_SQL["families_page"], shard, after, FAMILIES_A_STATEMENT)
    return [family_of(row) for row in rows]


def family_of(row: Sequence[object]) -> StoredFamily:
    """A stored family from (root, accounts, due, format, tenant, body)."""
    root, accounts, due, format, tenant, body = row
    assert isinstance(root, int) and isinstance(accounts, bytes) and isinstance(due, int)
    assert isinstance(format, int) and isinstance(tenant, int) and isinstance(body, bytes)
    return StoredFamily(FamilyPlace(root, _numbers(accounts), due, format, tenant), body)


def _numbers(accounts: bytes) -> tuple[int, ...]:
    return tuple([number for (number,) in iter_unpack(">q", accounts)])


def _packed(accounts: Sequence[int]) -> bytes:
    return pack(f">{len(accounts)}q", *accounts)
