"""The journal of one shard on PostgreSQL: one autocommit INSERT a batch.

Owns two connections of its own: one that only appends, one that reads beside it. Small batches of
the shards of a process may share a commit (`grouping`). Says exactly what it knows of a failed
append (rule I6): refused by the server = not written; sent and not answered,
or answered with a warning = unknown, and the connection is cut, never cancelled. Must not retry,
reorder or interpret batches.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final

import asyncpg
from asyncpg.prepared_stmt import PreparedStatement

from ledger.failpoints import armed, reached
from ledger.journal.connection import CONNECT_ERRORS, Connection, connect, describe
from ledger.journal.errors import (
    CommitUnknown,
    JournalConflict,
    JournalCorrupt,
    JournalUnavailable,
)
from ledger.journal.grouping import CommitGroup
from ledger.journal.protocol import BATCH_SEQ_FIRST, JournalHead, JournalRow, check_row
from ledger.journal.sql import load

PARTITION_MARGIN: Final = 200_000  # batches of room when the next partitions are made
PAGE_ROWS_FIRST: Final = 32
PAGE_ROWS_MAX: Final = 4_096
PAGE_BYTES: Final = 8 << 20  # a page of a read aims at this
INT64_MAX: Final = 2**63 - 1

_SQL: Final = load("journal")

# Errors of class 22, 23, 25, 42, 53, 54 and 55 end the statement before it commits: not written.
_NOT_WRITTEN_CLASSES: Final = frozenset({"22", "23", "25", "42", "53", "54", "55"})


class PostgresJournal:
    """See `protocol.Journal`. Connects when prepared or first used; after any failure again at the
    next use."""

    def __init__(self, dsn: str, shard: int, group: CommitGroup | None = None) -> None:
        """`dsn` must reach PostgreSQL itself, not a transaction pooler: sessions carry settings.
        `group`: of the shards whose small batches share commits; None: each has its own."""
        self.shard = shard
        self._dsn = dsn
        self._group = group
        self._writer: Connection | None = None
        self._insert: PreparedStatement[asyncpg.Record] | None = None
        self._notices: list[str] = []
        self._capacity = -1
        self._preparing = asyncio.Lock()
        self._reader: Connection | None = None
        self._reader_lock = asyncio.Lock()

    async def prepare(self) -> None:
        """See `Journal.prepare`. Not left to the opening row, which may share a commit on another
        shard's connection. The statement runs once for a batch that continues nothing, so that the
        server has planned it and knows the partition."""
        async with self._preparing:
            if self._is_ready():
                return
            try:
                await self._make_ready(BATCH_SEQ_FIRST)
                assert self._writer is not None, "the connection is there"
                head = await self._writer.fetchrow(_SQL["head"], self.shard)
                batch_seq = BATCH_SEQ_FIRST if head is None else head[0] + 1
                insert = await self._make_ready(batch_seq)
                await insert.fetch(self.shard, batch_seq + 1, 0, 0, 0, 0, 0, b"", b"", b"", b"")
            except BaseException as error:
                self._cut_writer()
                if isinstance(error, (*CONNECT_ERRORS, asyncpg.PostgresError)):
                    raise JournalUnavailable(f"shard {self.shard}: {describe(error)}") from error
                raise

    async def append(self, row: JournalRow) -> None:
        """See `Journal.append`. Cancelling it leaves the outcome unknown: the connection is cut, or
        the commit that it shares goes on."""
        assert row.shard == self.shard, f"row of shard {row.shard} given to shard {self.shard}"
        if self._group is not None and self._group.takes(row):
            await self._group.append(self, row)
        else:
            await self.append_alone(row)

    async def append_alone(self, row: JournalRow) -> None:
        """The same in a commit of its own."""
        if not (await self.append_together([row]))[0]:
            await self.refuse(row)

    async def append_together(self, rows: Sequence[JournalRow]) -> list[bool]:
        """See `GroupedJournal`. All statements are sent before the first is answered, and one
        commit ends them."""
        insert = await self._ready_to_write(rows)
        self._notices.clear()
        given = [
            (
                row.shard,
                row.batch_seq,
                row.recorded_at_us,
                row.first_event,
                row.event_count,
                row.format,
                row.codec,
                row.prev_hash,
                row.hash,
                row.payload,
                row.private,
            )
            for row in rows
        ]
        sent = asyncio.ensure_future(
            insert.fetch(*given[0]) if len(given) == 1 else insert.fetchmany(given)
        )
        try:
            if armed():
                await asyncio.sleep(0)  # the statements are on their way
                _reached("append.sent", rows)
            written = await asyncio.shield(sent)
            _reached("append.durable", rows)
        except asyncio.CancelledError:
            sent.add_done_callback(_swallow)
            self._cut_writer()
            raise
        except asyncpg.UniqueViolationError as error:
            raise JournalConflict(f"{_places(rows)} is taken: {describe(error)}") from error
        except Exception as error:
            if _is_not_written(error):
                raise JournalUnavailable(f"{_places(rows)} refused: {describe(error)}") from error
            self._cut_writer()
            raise CommitUnknown(f"{_places(rows)} sent, no answer: {describe(error)}") from error
        if self._notices:
            self._cut_writer()
            raise CommitUnknown(f"{_places(rows)} answered with: {'; '.join(self._notices)}")
        return [bool(count) for (count,) in written]

    async def read(
        self, after_batch_seq: int, through: int | None = None, *, with_private: bool = True
    ) -> AsyncIterator[JournalRow]:
        """See `Journal.read`. Pages by key, so that a slow reader holds no snapshot."""
        sql = _SQL["page_with_private" if with_private else "page"]
        last = INT64_MAX if through is None else through
        limit = PAGE_ROWS_FIRST
        while after_batch_seq < last:
            records = await self._query(sql, self.shard, after_batch_seq, last, limit)
            # Hashing lets other threads run, and other shards are read meanwhile.
            rows, corrupt = await asyncio.to_thread(_checked, records)
            size = 1
            for row in rows:
                size += len(row.payload) + len(row.private)
                after_batch_seq = row.batch_seq
                yield row
            if corrupt is not None:
                raise corrupt
            if len(records) < limit:
                return
            limit = min(max(PAGE_BYTES * len(records) // size, PAGE_ROWS_FIRST), PAGE_ROWS_MAX)

    async def head(self) -> JournalHead | None:
        """See `Journal.head`."""
        records = await self._query(_SQL["head"], self.shard)
        return JournalHead(*records[0]) if records else None

    async def fetch(
        self, batch_seqs: Sequence[int], *, with_private: bool = True
    ) -> list[JournalRow]:
        """See `Journal.fetch`."""
        sql = _SQL["fetch_with_private" if with_private else "fetch"]
        records = await self._query(sql, self.shard, list(batch_seqs))
        return [check_row(JournalRow(*record)) for record in records]

    async def now_us(self) -> int:
        """See `Journal.now_us`."""
        records = await self._query(_SQL["now"])
        now: int = records[0][0]
        return now

    async def close(self) -> None:
        """See `Journal.close`."""
        connections = [self._writer, self._reader]
        self._writer = self._insert = self._reader = None
        for connection in connections:
            if connection is not None:
                connection.terminate()  # nothing is in flight that a farewell would save

    async def _ready_to_write(
        self, rows: Sequence[JournalRow]
    ) -> PreparedStatement[asyncpg.Record]:
        batch_seq = max([row.batch_seq for row in rows])
        insert = self._insert
        try:
            if insert is None or not self._has_room(batch_seq):
                async with self._preparing:
                    insert = await self._make_ready(batch_seq)
            _reached("append.before", rows)
            return insert
        except (*CONNECT_ERRORS, asyncpg.PostgresError) as error:
            self._cut_writer()
            raise JournalUnavailable(f"shard {self.shard}: {describe(error)}") from error

    def _is_ready(self) -> bool:
        return self._writer is not None and not self._writer.is_closed()

    def _has_room(self, batch_seq: int) -> bool:
        return self._is_ready() and batch_seq + PARTITION_MARGIN <= self._capacity

    async def _make_ready(self, batch_seq: int) -> PreparedStatement[asyncpg.Record]:
        """The connection, the statement and the partitions. Raises what PostgreSQL raises."""
        if self._writer is None or self._writer.is_closed() or self._insert is None:
            self._cut_writer()
            self._writer = await self._open("writer")
            self._writer.add_log_listener(self._note)
            self._insert = await self._writer.prepare(_SQL["append"])
            self._capacity = await self._writer.fetchval(_SQL["capacity"])
        if batch_seq + PARTITION_MARGIN > self._capacity:
            await self._make_room(self._writer, batch_seq)
        return self._insert

    async def _make_room(self, writer: Connection, batch_seq: int) -> None:
        """Ahead of need, so a failure matters only once the room is really used up."""
        try:
            wanted = batch_seq + PARTITION_MARGIN
            self._capacity = await writer.fetchval(_SQL["ensure_partitions"], wanted)
        except asyncpg.PostgresError as error:
            if batch_seq > self._capacity or writer.is_closed():
                raise JournalUnavailable(
                    f"shard {self.shard}: no partition holds batch {batch_seq}, and none could be "
                    f"made: {describe(error)}; run `drawdown migrate`"
                ) from error

    async def refuse(self, row: JournalRow) -> None:
        """See `GroupedJournal`."""
        records = await self._query(_SQL["exists"], self.shard, row.batch_seq)
        if records[0][0]:
            raise JournalConflict(f"{_place(row)} is taken")
        raise JournalCorrupt(
            f"{_place(row)} does not continue the batch before it: no batch {row.batch_seq - 1} "
            f"with hash {row.prev_hash.hex()}"
        )

    async def _query(self, sql: str, *arguments: object) -> list[asyncpg.Record]:
        async with self._reader_lock:
            try:
                if self._reader is None or self._reader.is_closed():
                    self._reader = await self._open("reader")
                records: list[asyncpg.Record] = await self._reader.fetch(sql, *arguments)
                reached("read.answered")
                return records
            except (*CONNECT_ERRORS, asyncpg.PostgresError) as error:
                if self._reader is not None:
                    self._reader.terminate()
                    self._reader = None
                raise JournalUnavailable(f"shard {self.shard}: {describe(error)}") from error

    async def _open(self, part: str) -> Connection:
        return await connect(self._dsn, application_name=f"drawdown shard {self.shard} {part}")

    def _cut_writer(self) -> None:
        if self._writer is not None:
            self._writer.terminate()
        self._writer = self._insert = None

    def _note(self, _: object, message: asyncpg.PostgresLogMessage) -> None:
        self._notices.append(describe(message))


def _is_not_written(error: Exception) -> bool:
    """An ERROR of these classes ends the statement before its commit. FATAL may come after it."""
    if not isinstance(error, asyncpg.PostgresError) or error.severity_en != "ERROR":
        return False
    return (error.sqlstate or "")[:2] in _NOT_WRITTEN_CLASSES


def _swallow(sent: asyncio.Future[object]) -> None:
    if not sent.cancelled():
        sent.exception()


def _checked(
    records: Sequence[asyncpg.Record],
) -> tuple[list[JournalRow], JournalCorrupt | None]:
    """The rows of a page, each as it was written; up to the first that is not."""
    rows: list[JournalRow] = []
    try:
        for record in records:
            rows.append(check_row(JournalRow(*record)))
    except JournalCorrupt as corrupt:
        return rows, corrupt
    return rows, None


def _reached(step: str, rows: Sequence[JournalRow]) -> None:
    """A step of a commit counts once a batch."""
    for _ in rows:
        reached(step)


def _places(rows: Sequence[JournalRow]) -> str:
    return "; ".join([_place(row) for row in rows])


def _place(row: JournalRow) -> str:
    return f"shard {row.shard}, batch {row.batch_seq}"


assert BATCH_SEQ_FIRST == 1, "the append statement lets batch 1 stand without a predecessor"
