"""A journal in memory, with the promises of the real one: for tests and the simulator.

Several `MemoryJournal`s over one store contend like several writers on one database. Faults are
injected by a hook that sees each append. Reads no clock of its own and draws no randomness.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from enum import Enum
from typing import TypeAlias

from msgspec.structs import replace

from ledger.journal.errors import (
    CommitUnknown,
    JournalConflict,
    JournalCorrupt,
    JournalUnavailable,
)
from ledger.journal.protocol import (
    BATCH_SEQ_FIRST,
    GENESIS_HASH,
    JournalHead,
    JournalRow,
    check_row,
)

MemoryStore: TypeAlias = dict[tuple[int, int], JournalRow]
"""Rows by (shard, batch_seq): what survives a simulated crash."""


class AppendFault(Enum):
    """How an append shall fail."""

    CONFLICT = "conflict"
    UNAVAILABLE = "unavailable"
    UNKNOWN_WRITTEN = "unknown, written"
    UNKNOWN_NOT_WRITTEN = "unknown, not written"


def no_fault(_: JournalRow) -> AppendFault | None:
    """Every append succeeds."""
    return None


def _epoch() -> int:
    return 0


async def yield_once() -> None:
    """Let another task run."""
    await asyncio.sleep(0)


class MemoryJournal:
    """One shard of a `MemoryStore`. `pause` runs before and after each write and each page read."""

    def __init__(
        self,
        store: MemoryStore,
        shard: int,
        *,
        on_append: Callable[[JournalRow], AppendFault | None] = no_fault,
        pause: Callable[[], Awaitable[None]] = yield_once,
        clock: Callable[[], int] = _epoch,
    ) -> None:
        """`clock` gives the journal's time in microseconds; the default stands at 0."""
        self.shard = shard
        self.available = True  # False: everything answers JournalUnavailable
        self._store = store
        self._on_append = on_append
        self._pause = pause
        self._clock = clock

    async def read(
        self, after_batch_seq: int, through: int | None = None, *, with_private: bool = True
    ) -> AsyncIterator[JournalRow]:
        """See `Journal.read`."""
        await self._reachable()
        batch_seq = max(after_batch_seq, BATCH_SEQ_FIRST - 1) + 1
        while through is None or batch_seq <= through:
            row = self._store.get((self.shard, batch_seq))
            if row is None:
                return
            yield check_row(stripped(row, with_private))
            batch_seq += 1
            await self._reachable()

    async def prepare(self) -> None:
        """See `Journal.prepare`."""

    async def append(self, row: JournalRow) -> None:
        """See `Journal.append`."""
        assert row.shard == self.shard, f"row of shard {row.shard} given to shard {self.shard}"
        await self._reachable()
        fault = self._on_append(row)
        if fault is AppendFault.CONFLICT:
            raise JournalConflict(_place(row))
        if fault is AppendFault.UNAVAILABLE:
            raise JournalUnavailable(_place(row))
        if fault is AppendFault.UNKNOWN_NOT_WRITTEN:
            raise CommitUnknown(_place(row))
        self._write(row)
        if fault is AppendFault.UNKNOWN_WRITTEN:
            raise CommitUnknown(_place(row))
        await self._pause()

    async def head(self) -> JournalHead | None:
        """See `Journal.head`."""
        await self._reachable()
        last = max((seq for shard, seq in self._store if shard == self.shard), default=None)
        if last is None:
            return None
        row = self._store[self.shard, last]
        return JournalHead(
            row.batch_seq, row.recorded_at_us, row.first_event, row.event_count, row.hash
        )

    async def fetch(
        self, batch_seqs: Sequence[int], *, with_private: bool = True
    ) -> list[JournalRow]:
        """See `Journal.fetch`."""
        await self._reachable()
        found = (self._store.get((self.shard, seq)) for seq in sorted(set(batch_seqs)))
        return [check_row(stripped(row, with_private)) for row in found if row is not None]

    async def now_us(self) -> int:
        """See `Journal.now_us`."""
        await self._reachable()
        return self._clock()

    async def close(self) -> None:
        """See `Journal.close`."""

    async def _reachable(self) -> None:
        await self._pause()
        if not self.available:
            raise JournalUnavailable(f"shard {self.shard}: the journal is away")

    def _write(self, row: JournalRow) -> None:
        if (row.shard, row.batch_seq) in self._store:
            raise JournalConflict(_place(row))
        before = self._store.get((row.shard, row.batch_seq - 1))
        stored = GENESIS_HASH if row.batch_seq == BATCH_SEQ_FIRST else before and before.hash
        if stored != row.prev_hash:
            raise JournalCorrupt(f"{_place(row)} does not continue the batch before it")
        self._store[row.shard, row.batch_seq] = row


def stripped(row: JournalRow, with_private: bool) -> JournalRow:
    """The row as a reader gets it: private records are left unread unless asked for."""
    return row if with_private or not row.private else replace(row, private=b"")


def _place(row: JournalRow) -> str:
    return f"shard {row.shard}, batch {row.batch_seq}"
