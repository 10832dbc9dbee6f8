"""Opening a shard: load the checkpoint, replay the journal's tail, append WriterOpened at tail + 1.

A predecessor's INSERT either landed before that row, and is replayed, or must fail on the primary
key. Nothing is answered before the row is durable. Families are fetched as the tail, and later
commands, need them. Then the checkpoints are claimed for the new epoch, so that a predecessor's
come to nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from ledger.core.catalog import Catalog
from ledger.core.events import ConfigurationApplied, Event, WriterOpened
from ledger.core.evolve import evolve_all
from ledger.core.live_timers import rebuild_timers
from ledger.core.packing import unpack_family
from ledger.core.state import State
from ledger.engine.batch import Batch
from ledger.engine.clock import Clock, WriterTime, check_skew
from ledger.engine.configuration import Configurations
from ledger.engine.lease import ALWAYS, ReadLease
from ledger.engine.paging import needed_roots, roots_of, touched_accounts
from ledger.engine.restore import CheckpointDamaged, Restored, restore
from ledger.journal.checkpoint import CheckpointStore
from ledger.journal.codec import BatchCodec
from ledger.journal.errors import CommitUnknown, JournalConflict, JournalCorrupt
from ledger.journal.protocol import Journal, JournalRow

YIELD_EVENTS: Final = 1_024  # entries replayed between two yields to the loop
OPENINGS_MAX: Final = 4  # rows that one opening tries to append before it gives way

Progress = Callable[[int, int], None]
"""Called with (entries replayed, entries to replay) as the replay goes on: those of the tail."""


class LeaseLapsed(Exception):
    """A shard is not opened by a process that may not have it any more."""


class Replayer:
    """Folds journal rows into a state, checking the chain; from a checkpoint if given."""

    __slots__ = (
        "_codec",
        "_configurations",
        "_store",
        "_touched",
        "head_hash",
        "restored",
        "state",
    )

    def __init__(
        self,
        shard: int,
        codec: BatchCodec[Event],
        configurations: Configurations,
        restored: Restored | None = None,
        store: CheckpointStore | None = None,
    ) -> None:
        self.restored = restored if restored is not None else Restored(State(shard, Catalog()))
        self.state = self.restored.state
        self.head_hash = self.restored.hash
        self._touched: dict[int, None] = {}  # accounts
        self._codec = codec
        self._configurations = configurations
        self._store = store

    def dirty(self) -> dict[int, None]:
        """The families that have changed since that checkpoint."""
        return roots_of(self.state, self._touched)

    async def take(self, row: JournalRow) -> list[Event]:
        """Fold one row; returns its events. Raises JournalCorrupt."""
        state = self.state
        expected = (state.shard, state.batch_seq + 1, state.entry_seq, self.head_hash)
        if (row.shard, row.batch_seq, row.first_event, row.prev_hash) != expected:
            raise JournalCorrupt(
                f"shard {row.shard}, batch {row.batch_seq} does not continue batch "
                f"{state.batch_seq}: the chain is broken"
            )
        events = self._codec.decode(row.payload)
        if len(events) != row.event_count:
            raise JournalCorrupt(
                f"shard {row.shard}, batch {row.batch_seq} holds {len(events)} events, "
                f"its row says {row.event_count}"
            )
        if state.paged:
            await self._page_in(events)
        state.begin_batch(row.batch_seq, row.recorded_at_us)
        for event in [event for event in events if type(event) is ConfigurationApplied]:
            await self._configurations.load(event.tenant, event.version)
            self._configurations.install(state.catalog, event.tenant, event.version)
        for start in range(0, len(events), YIELD_EVENTS):
            evolve_all(state, events[start : start + YIELD_EVENTS])
            await asyncio.sleep(0)
        self.head_hash = row.hash
        self._touched.update(touched_accounts(events))
        return events

    async def _page_in(self, events: Sequence[Event]) -> None:
        """Bring in what these entries change. Raises CheckpointDamaged, and JournalConflict where a
        predecessor has moved the checkpoint on meanwhile: begin again with that one."""
        roots = needed_roots(self.state, events)
        if not roots:
            return
        assert self._store is not None
        try:
            for family in await self._store.families(roots, self.restored.expected):
                unpack_family(self.state, family.body)
        except msgspec.MsgspecError as error:
            raise CheckpointDamaged(
                f"a family of the checkpoint cannot be read: {error}"
            ) from error
        missing = [root for root in roots if root in self.state.paged_families]
        if missing:
            raise CheckpointDamaged(f"families {missing} of the checkpoint are not stored")


async def open_shard(
    journal: Journal,
    store: CheckpointStore,
    trusted: bool,
    clock: Clock,
    codec: BatchCodec[Event],
    configurations: Configurations,
    recorded_by: str,
    progress: Progress,
    lease: ReadLease = ALWAYS,
) -> tuple[Replayer, WriterTime]:
    """Replay to the tail and take the shard over. Raises ClockSkewed and the journal's errors.

    Without `trusted` the stored checkpoint is dropped and everything is replayed. Raises
    LeaseLapsed instead of appending where the shard may be another process's by now.

    A journal that goes on answering "taken" or "unknown" would be filled with openings: after
    OPENINGS_MAX the caller waits before it tries again, or stops.
    """
    checked = check_skew(clock, await journal.now_us())
    await journal.prepare()
    restored = await restore(store, journal, configurations, trusted)
    replayer = Replayer(journal.shard, codec, configurations, restored, store)
    openings = 0
    while True:
        await _read_to_tail(journal, replayer, progress)
        state = replayer.state
        time = WriterTime(clock, state.recorded_at, checked)
        batch = Batch(state.batch_seq + 1, state.entry_seq, time.next())
        if not lease.holds():
            raise LeaseLapsed(f"shard {journal.shard}: the lease lapsed while it was replayed")
        opened = WriterOpened(state.epoch + 1, state.batch_seq, replayer.head_hash, recorded_by)
        batch.events.append(opened)
        row = batch.row(journal.shard, replayer.head_hash, codec)
        try:
            await journal.append(row)
        except (JournalConflict, CommitUnknown):
            openings += 1
            if openings == OPENINGS_MAX:
                raise
            continue  # somebody's row, perhaps ours, is at the tail: read on
        await replayer.take(row)
        if not await store.claim(state.epoch, restored.seen, reset=restored.reset):
            raise JournalConflict(
                f"the checkpoint of shard {journal.shard} changed while it was read"
            )
        rebuild_timers(state)
        return replayer, time


async def _read_to_tail(journal: Journal, replayer: Replayer, progress: Progress) -> None:
    head = await journal.head()
    known = replayer.restored.entry_seq  # by the checkpoint, without a replay
    total = max(0, head.next_event - known) if head is not None else 0
    progress(replayer.state.entry_seq - known, total)
    async for row in journal.read(replayer.state.batch_seq, with_private=False):
        await replayer.take(row)
        done = replayer.state.entry_seq - known
        progress(done, max(total, done))
