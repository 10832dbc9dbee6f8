"""One shard into one copy of the read models, exactly once: the projector without its database.

Rows and checkpoint go into one transaction, which holds the shard's checkpoint row. Works over the
protocols `Journal` and `Tables`, so that the same code runs on PostgreSQL and in the simulator.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from ledger.core.events import Event
from ledger.core.upcast import UPCASTS
from ledger.journal.codec import BatchCodec, decode_private
from ledger.journal.errors import JournalCorrupt, JournalUnavailable
from ledger.journal.protocol import Journal, JournalRow
from ledger.projections.changes import Changes
from ledger.projections.facts import Facts
from ledger.projections.fold import Fold
from ledger.projections.lag import LAG_MAX_US, Lag
from ledger.projections.tables import Position, ProjectionDamaged, Tables

STEP_EVENTS: Final = 32_768  # a transaction stops taking batches here; x ~1.5 kB of rows = 50 MB
POLL_MIN_S: Final = 0.02  # also what gathers small batches into one transaction
POLL_MAX_S: Final = 0.1
GATHER_MAX_S: Final = 2.0
YIELD: Final = 3
"""While the writers are busy, this process works on one shard at a time and then rests YIELD times
as long as that transaction took: decisions have the machine, and each counter changes once a larger
transaction. No shard falls much more than LAG_MAX_US behind, and when the writers are quiet all
catch up at full speed."""

AWAY_MAX_S: Final = 2.0  # between two tries while the database is away
BUSY_S: Final = 1.0  # before looking again at a shard that another projector has
DAMAGED_S: Final = 10.0  # before looking again at a shard that contradicts its journal

logger = logging.getLogger(__name__)

OnLag = Callable[[Lag], None]


class ShardBusy(Exception):
    """Another projector holds the shard."""


class TableProjector:
    """One shard into one copy of the read models. Not reentrant.

    After any exception but ShardBusy everything in memory is forgotten; `step` connects again.
    """

    def __init__(
        self,
        journal: Journal,
        open_tables: Callable[[], Awaitable[Tables]],
        by: str = "",
    ) -> None:
        """`open_tables` connects; raises JournalUnavailable."""
        self.shard = journal.shard
        self.entries = 0  # projected, in all
        self.head_entries = 0  # in the journal, when last seen
        self.lag_us = 0
        self._by = by
        self._journal = journal
        self._open_tables = open_tables
        self._codec: BatchCodec[Event] = BatchCodec(Event, UPCASTS)
        self._store: Tables | None = None
        self._facts = Facts()
        self._reached: Position | None = None
        self._pages: AsyncIterator[JournalRow] | None = None

    async def step(self) -> int:
        """Project what is next, about STEP_EVENTS entries at most; returns how many, 0 = none left.

        Raises ShardBusy, JournalUnavailable (try again), JournalCorrupt, ProjectionDamaged.
        """
        try:
            return await self._step()
        except ShardBusy:
            raise
        except BaseException:
            await self._forget()
            raise

    async def close(self) -> None:
        """Let go of connections; what was not committed is gone."""
        await self._forget()
        await self._journal.close()

    @property
    def batch_seq(self) -> int:
        """The last batch projected, as far as we know; 0 = none."""
        return 0 if self._reached is None else self._reached.batch_seq

    async def _step(self) -> int:
        if self._store is None:
            self._store = await self._open_tables()
        store = self._store
        found, head_batch_seq, self.head_entries = await store.glance()
        if found == self._reached and found.batch_seq >= head_batch_seq:
            return 0
        async with store.transaction():
            before = await store.lock()
            if before is None:
                raise ShardBusy
            if before != self._reached:
                await self._go_to(before)
            changes = Changes()
            last = await self._fold(store, before, changes)
            if last is not None:
                await store.write(changes, self._facts)
                await store.advance(before, last)
                self.lag_us = await store.report(last, self.head_entries, self._by)
        self._facts.trim()
        if last is None:
            self._reached = before
            self.entries = before.entries
        else:
            self._reached = Position(
                last.batch_seq, last.next_event, last.recorded_at_us, last.hash, before.scrubs
            )
            self.entries = last.next_event
        self.head_entries = max(self.head_entries, self.entries)
        return changes.events

    async def _go_to(self, position: Position) -> None:
        """The read models stand elsewhere than we left them: begin from there."""
        self._facts = Facts()
        self._reached = position
        await self._drop_pages()

    async def _fold(self, store: Tables, before: Position, changes: Changes) -> JournalRow | None:
        """Fold the next batches; returns the last one, None at the tail."""
        fold = Fold(self.shard, self._facts, changes)
        last: JournalRow | None = None
        batch_seq, entries, prev_hash = before.batch_seq, before.entries, before.hash
        while changes.events < STEP_EVENTS:
            row = await self._next_row(batch_seq)
            if row is None:
                break
            if (row.batch_seq, row.first_event, row.prev_hash) != (
                batch_seq + 1,
                entries,
                prev_hash,
            ):
                raise JournalCorrupt(
                    f"shard {self.shard}: batch {row.batch_seq} with first entry "
                    f"{row.first_event} does not continue batch {batch_seq}, which the read "
                    f"models end with at entry {entries}"
                )
            events = self._codec.decode(row.payload)
            if len(events) != row.event_count:
                raise JournalCorrupt(
                    f"shard {self.shard}, batch {row.batch_seq} holds {len(events)} events, its "
                    f"row says {row.event_count}"
                )
            needed = self._facts.needed(events)
            if needed:
                await store.learn(needed, self._facts)
            fold.take(row.first_event, row.recorded_at_us, events, decode_private(row.private))
            last = row
            batch_seq, entries, prev_hash = row.batch_seq, row.next_event, row.hash
        return last

    async def _next_row(self, after: int) -> JournalRow | None:
        """The row that follows; what a page read ahead is kept for the next step."""
        if self._pages is None:
            self._pages = self._journal.read(after)
        row = await anext(self._pages, None)
        if row is None:
            self._pages = None
        return row

    async def _drop_pages(self) -> None:
        pages, self._pages = self._pages, None
        if pages is not None:
            await pages.aclose()  # type: ignore[attr-defined]

    async def _forget(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            store.close()
        self._facts = Facts()
        self._reached = None
        await self._drop_pages()


def catches_up(behind: int, lag_us: int, lag_max_us: int, written: int, done: int) -> bool:
    """Whether to go on without a rest: too far behind, or the writers are quiet.

    `behind`, `written` and `done` are entries: not projected yet, new since the last look, and
    projected since.
    """
    return behind > 0 and (lag_us > lag_max_us or written * 4 < done)


async def follow(
    projector: TableProjector, on_lag: OnLag, turn: asyncio.Lock, lag_max_us: int = LAG_MAX_US
) -> None:
    """One shard, for ever. A damaged one is reported and tried again: a rebuild heals it.

    A shard works while it has the `turn`, and keeps it while the process rests for the writers.
    """
    loop = asyncio.get_running_loop()
    pause = POLL_MIN_S
    head = -1  # not seen yet
    while True:
        async with turn:
            began = loop.time()
            try:
                done = await projector.step()
            except ShardBusy:
                pause = BUSY_S
            except JournalUnavailable as error:
                pause = min(max(pause * 2, POLL_MAX_S), AWAY_MAX_S)
                logger.warning("the projector waits for the database: %s", error)
            except (JournalCorrupt, ProjectionDamaged) as error:
                pause = DAMAGED_S
                logger.error("shard %s is not projected: %s", projector.shard, error)
            else:
                behind = projector.head_entries - projector.entries
                written = projector.head_entries - head if head >= 0 else 0
                head = projector.head_entries
                if done:
                    on_lag(Lag(projector.shard, behind, projector.lag_us if behind else 0))
                if catches_up(behind, projector.lag_us, lag_max_us, written, done):
                    pause = 0
                elif done:
                    pause = POLL_MIN_S
                    await asyncio.sleep(min(YIELD * (loop.time() - began), GATHER_MAX_S))
                else:
                    pause = min(max(pause, POLL_MIN_S) * 1.5, POLL_MAX_S)
        await asyncio.sleep(pause)
