"""Checkpoints in memory, with the promises of the real store: for tests and the simulator.

Several `MemoryCheckpoints` over one `MemoryCheckpointData` contend like several writers on one
database. Faults are injected by a hook that sees each write.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from enum import Enum

from msgspec.structs import replace

from ledger.journal.checkpoint import (
    CheckpointPosition,
    CheckpointWrite,
    Expected,
    FamilyPlace,
    StoredCheckpoint,
    StoredFamily,
    StoredSegment,
    WriteOutcome,
)
from ledger.journal.errors import JournalUnavailable
from ledger.journal.memory import MemoryStore
from ledger.journal.protocol import GENESIS_HASH

PAGE: int = 256


class MemoryCheckpointData:
    """What is stored of one shard: survives a simulated crash."""

    __slots__ = ("buckets", "checkpoint", "families", "segments")

    def __init__(self) -> None:
        self.checkpoint: StoredCheckpoint | None = None
        self.families: dict[int, StoredFamily] = {}
        self.segments: dict[int, StoredSegment] = {}
        self.buckets: dict[tuple[int, int], bytes] = {}


class WriteFault(Enum):
    """How a write shall fail."""

    WRITTEN = "away, written"
    NOT_WRITTEN = "away, not written"


def no_write_fault(_: CheckpointWrite) -> WriteFault | None:
    """Every write succeeds."""
    return None


async def _yield_once() -> None:
    await asyncio.sleep(0)


class MemoryCheckpoints:
    """See `CheckpointStore`. `pause` runs before everything, and after a write."""

    def __init__(
        self,
        journal: MemoryStore,
        data: MemoryCheckpointData,
        shard: int,
        *,
        on_write: Callable[[CheckpointWrite], WriteFault | None] = no_write_fault,
        pause: Callable[[], Awaitable[None]] = _yield_once,
    ) -> None:
        """`journal` is where the hash of a checkpoint's batch is looked up."""
        self.shard = shard
        self.available = True  # False: everything answers JournalUnavailable
        self._journal = journal
        self._data = data
        self._on_write = on_write
        self._pause = pause

    async def load(self) -> StoredCheckpoint | None:
        """See `CheckpointStore.load`."""
        await self._reachable()
        return self._data.checkpoint

    async def places(self) -> AsyncIterator[Sequence[FamilyPlace]]:
        """See `CheckpointStore.places`."""
        await self._reachable()
        roots = sorted(self._data.families)
        for start in range(0, len(roots), PAGE):
            yield [self._data.families[root].place for root in roots[start : start + PAGE]]
            await self._reachable()

    async def families(
        self, roots: Collection[int], expected: Expected | None = None
    ) -> list[StoredFamily]:
        """See `CheckpointStore.families`."""
        await self._reachable()
        self._check(expected)
        stored = self._data.families
        return [stored[root] for root in sorted(roots) if root in stored]

    def _check(self, expected: Expected | None) -> None:
        stored = self._data.checkpoint
        if stored is not None and expected is not None:
            expected.check(self.shard, stored.epoch, stored.batch_seq)

    async def segments(self) -> list[StoredSegment]:
        """See `CheckpointStore.segments`."""
        await self._reachable()
        return [segment for _, segment in sorted(self._data.segments.items())]

    async def buckets(
        self, places: Collection[tuple[int, int]], expected: Expected | None = None
    ) -> dict[tuple[int, int], bytes]:
        """See `CheckpointStore.buckets`."""
        await self._reachable()
        self._check(expected)
        stored = self._data.buckets
        there = self._data.segments
        return {place: stored.get(place, b"") for place in sorted(places) if place[0] in there}

    async def all_buckets(self, segment: int) -> AsyncIterator[Sequence[tuple[int, bytes]]]:
        """See `CheckpointStore.all_buckets`."""
        await self._reachable()
        found = [(place[1], body) for place, body in sorted(self._data.buckets.items())
                 if place[0] == segment]  # fmt: skip
        for start in range(0, len(found), PAGE):
            yield found[start : start + PAGE]
            await self._reachable()

    async def claim(self, epoch: int, seen: CheckpointPosition | None, *, reset: bool) -> bool:
        """See `CheckpointStore.claim`."""
        await self._reachable()
        stored = self._data.checkpoint
        if (stored.position if stored is not None else None) != seen:
            return False
        if reset:
            self._data.families.clear()
            self._data.segments.clear()
            self._data.buckets.clear()
            stored = None
        elif stored is not None and stored.epoch >= epoch:
            return False
        self._data.checkpoint = (
            replace(stored, epoch=epoch)
            if stored is not None
            else StoredCheckpoint(epoch, 0, GENESIS_HASH, 0, 0, 1, b"")
        )
        return True

    async def write(self, change: CheckpointWrite) -> WriteOutcome:
        """See `CheckpointStore.write`."""
        await self._reachable()
        fault = self._on_write(change)
        if fault is WriteFault.NOT_WRITTEN:
            raise JournalUnavailable(f"shard {self.shard}: checkpoint not written")
        outcome = self._write(change)
        if fault is WriteFault.WRITTEN:
            raise JournalUnavailable(f"shard {self.shard}: checkpoint not answered")
        await self._pause()
        return outcome

    async def close(self) -> None:
        """See `CheckpointStore.close`."""

    def _write(self, change: CheckpointWrite) -> WriteOutcome:
        data, made = self._data, change.checkpoint
        stored = data.checkpoint
        if stored is None or stored.epoch != made.epoch:
            return WriteOutcome.FENCED
        if stored.position == made.position:
            return WriteOutcome.WRITTEN
        if stored.batch_seq != change.previous_batch_seq:
            return WriteOutcome.MOVED
        row = self._journal.get((self.shard, made.batch_seq))
        if row is None or row.hash != made.hash:
            return WriteOutcome.NOT_IN_JOURNAL
        data.checkpoint = made
        data.families.update({family.place.root: family for family in change.families})
        for new in change.segments:
            number = new.segment.number
            assert number not in data.segments, number
            data.segments[number] = new.segment
            data.buckets.update({(number, bucket): body for bucket, body in new.buckets})
        for number in change.dropped_segments:
            data.segments.pop(number, None)
            for place in [place for place in data.buckets if place[0] == number]:
                del data.buckets[place]
        return WriteOutcome.WRITTEN

    async def _reachable(self) -> None:
        await self._pause()
        if not self.available:
            raise JournalUnavailable(f"shard {self.shard}: the checkpoints are away")
