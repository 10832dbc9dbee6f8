"""Where a shard's checkpoints are kept: rows and protocol, for the engine, `verify`, the simulator.

Knows nothing of what the bodies mean. `ledger.journal.checkpoint_memory` and
`ledger.journal.checkpoint_postgres` implement it and pass one conformance suite. One checkpoint a
shard is kept; a write moves it forward whole or not at all, and only for the owner of the shard.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from enum import IntEnum
from typing import Final, Protocol

from msgspec import Struct

from ledger.journal.errors import JournalConflict

KEY_BYTES: Final = 16
RECORD_BYTES: Final = 24  # of a bucket: a key, and its locator in 8 bytes, big-endian


class CheckpointPosition(Struct, frozen=True, gc=False):
    """The batch that a checkpoint stands after: its number and the hash of its journal row."""

    batch_seq: int
    hash: bytes


class StoredCheckpoint(Struct, frozen=True, gc=False):
    """A shard without its families and keys, at the end of a batch; times in microseconds UTC.

    `epoch` is the owner's; `batch_seq` 0 = an owner, but no checkpoint yet.
    """

    epoch: int
    batch_seq: int
    hash: bytes
    entry_seq: int
    recorded_at_us: int
    format: int
    body: bytes

    @property
    def position(self) -> CheckpointPosition:
        """Where it stands."""
        return CheckpointPosition(self.batch_seq, self.hash)


class Expected(Struct, frozen=True, gc=False):
    """What a reader has of a checkpoint: its owner's epoch, and where it stands (-1 = anywhere)."""

    epoch: int
    batch_seq: int = -1

    def check(self, shard: int, epoch: int, batch_seq: int) -> None:
        """Raises JournalConflict where another owner, or another checkpoint, is stored."""
        if epoch != self.epoch or self.batch_seq not in (-1, batch_seq):
            raise JournalConflict(
                f"shard {shard}: the checkpoint is of epoch {epoch} after batch {batch_seq} by "
                f"now; epoch {self.epoch} was read"
            )


class FamilyPlace(Struct, frozen=True, gc=False):
    """What stays in memory of a family that is not: its tenant and accounts, and when something
    falls due, by the tenant's clock (rule T4)."""

    root: int
    accounts: tuple[int, ...]
    due_us: int
    format: int  # of its body
    tenant: int


class StoredFamily(Struct, frozen=True, gc=False):
    """A family as it was when it last changed before the checkpoint."""

    place: FamilyPlace
    body: bytes


class StoredSegment(Struct, frozen=True, gc=False):
    """A segment of keys without its buckets. `generation_us` is its generation's start."""

    number: int
    generation_us: int
    first_batch: int
    last_batch: int
    keys: int
    bucket_bits: int
    format: int
    filter: bytes


class NewSegment(Struct, frozen=True, gc=False):
    """A segment to be written, with its buckets that hold anything: (bucket, body)."""

    segment: StoredSegment
    buckets: Sequence[tuple[int, bytes]]


class CheckpointWrite(Struct, frozen=True, gc=False):
    """All that one checkpoint changes. Families that are not named stay as they are stored."""

    checkpoint: StoredCheckpoint
    previous_batch_seq: int
    families: Sequence[StoredFamily]
    segments: Sequence[NewSegment]
    dropped_segments: Sequence[int]


class WriteOutcome(IntEnum):
    """What became of a write; all but WRITTEN changed nothing. In the order of the checks."""

    WRITTEN = 1  # now, or by an earlier attempt at the same write
    FENCED = 2  # another epoch owns the shard
    MOVED = 3  # the stored checkpoint is not the previous one
    NOT_IN_JOURNAL = 4  # the journal has no such batch with that hash


class CheckpointStore(Protocol):
    """The checkpoint of one shard. Everything raises JournalUnavailable; reads may be repeated."""

    shard: int

    async def load(self) -> StoredCheckpoint | None:
        """What is stored, whoever owns it; None where nobody ever opened the shard with it."""
        ...

    def places(self) -> AsyncIterator[Sequence[FamilyPlace]]:
        """Every stored family without its body, in pages, by root."""
        ...

    async def families(
        self, roots: Collection[int], expected: Expected | None = None
    ) -> list[StoredFamily]:
        """These families, those that are stored, by root; of one moment.

        Raises JournalConflict where what is stored is no longer what was `expected`: another
        process has moved it on, and its families are not those of this state.
        """
        ...

    async def segments(self) -> list[StoredSegment]:
        """Every segment, by number."""
        ...

    async def buckets(
        self, places: Collection[tuple[int, int]], expected: Expected | None = None
    ) -> dict[tuple[int, int], bytes]:
        """Bodies by (segment, bucket), b"" where it holds nothing. Raises as `families` does.

        What is left out is of a segment that is no longer there: its keys are in another one.
        """
        ...

    def all_buckets(self, segment: int) -> AsyncIterator[Sequence[tuple[int, bytes]]]:
        """Every bucket of a segment, (bucket, body) in pages, ascending."""
        ...

    async def claim(self, epoch: int, seen: CheckpointPosition | None, *, reset: bool) -> bool:
        """Become the owner, if the stored checkpoint is still the one that was `seen`.

        The epoch must be above the stored one. With `reset` everything stored is dropped, whatever
        its epoch: it is not of this journal. False = nothing changed: look again.
        """
        ...

    async def write(self, change: CheckpointWrite) -> WriteOutcome:
        """Move the checkpoint forward, whole or not at all.

        After JournalUnavailable it may have been written: the same write again says.
        """
        ...

    async def close(self) -> None:
        """Let go of connections. Idempotent."""
        ...


def find_in_bucket(body: bytes, key: bytes) -> int | None:
    """Locator of a key in a bucket, or None."""
    place = body.find(key)
    while place >= 0:
        if place % RECORD_BYTES == 0:
            return int.from_bytes(body[place + KEY_BYTES : place + RECORD_BYTES], "big")
        place = body.find(key, place + 1)
    return None


def records_of(body: bytes) -> list[tuple[bytes, int]]:
    """(key, locator) of everything in a bucket, in order."""
    return [
        (
            body[place : place + KEY_BYTES],
            int.from_bytes(body[place + KEY_BYTES : place + RECORD_BYTES], "big"),
        )
        for place in range(0, len(body), RECORD_BYTES)
    ]
