"""Rows of a journal, in order, into the tree of one seal. Checks that they continue one another.

Used by whoever makes a seal, checks one or proves an entry of it, so that all three hash the same.
No I/O.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from ledger.integrity.leaves import Salts, batch_prefix, leaf
from ledger.integrity.merkle import Chunks, leaf_hash, root_of
from ledger.integrity.seal import Seal
from ledger.journal.codec import split_events
from ledger.journal.errors import JournalCorrupt
from ledger.journal.protocol import GENESIS_HASH, JournalRow

SEAL_ENTRIES_MAX: Final = 1 << 20
"""A seal takes no further batch beyond; x 32 B / 1,024 = 32 kB of chunk roots, 2 s of hashing."""


class StoredSeal(Struct, frozen=True):
    """A seal with what stands beside it and in no proof: the secret of its salts, and the chunk
    roots (32 bytes each), which save whoever proves an entry from hashing all of them again."""

    seal: Seal
    secret: bytes
    chunk_roots: bytes


class Mark(Struct, frozen=True):
    """Where a journal stands after a batch: what the next row must continue."""

    batch_seq: int
    entries: int
    hash: bytes


BEGINNING: Final = Mark(0, 0, GENESIS_HASH)


def mark_after(seal: Seal | None) -> Mark:
    """Where a seal ends."""
    return BEGINNING if seal is None else Mark(seal.last_batch, seal.next_entry, seal.head_hash)


class SealedRange:
    """The tree over the entries after `start`; `take` rows, then ask for the roots."""

    __slots__ = ("_chunks", "_salts", "reached", "shard", "start")

    def __init__(self, shard: int, start: Mark, secret: bytes) -> None:
        self.shard = shard
        self.start = start
        self.reached = start
        self._salts = Salts(secret)
        self._chunks = Chunks()

    @property
    def entries(self) -> int:
        """How many leaves so far."""
        return self.reached.entries - self.start.entries

    def take(self, row: JournalRow) -> None:
        """The next row. Raises JournalCorrupt where it does not continue the one before."""
        reached = self.reached
        expected = (self.shard, reached.batch_seq + 1, reached.entries, reached.hash)
        if (row.shard, row.batch_seq, row.first_event, row.prev_hash) != expected:
            raise JournalCorrupt(
                f"shard {self.shard}: batch {row.batch_seq} with first entry {row.first_event} "
                f"does not continue batch {reached.batch_seq}, which ends before entry "
                f"{reached.entries}"
            )
        add = self._chunks.add
        for hashed in leaf_hashes(row, self._salts):
            add(hashed)
        self.reached = Mark(row.batch_seq, row.next_event, row.hash)

    def root(self) -> bytes:
        """The Merkle root over all leaves."""
        return root_of(self._chunks.roots())

    def chunk_roots(self) -> bytes:
        """The roots of the chunks, one after the other."""
        return b"".join(self._chunks.roots())


def leaf_hashes(row: JournalRow, salts: Salts) -> list[bytes]:
    """The leaf hashes of a row's entries, in order. Raises JournalCorrupt."""
    events = split_events(row.payload)
    if len(events) != row.event_count:
        raise JournalCorrupt(
            f"shard {row.shard}, batch {row.batch_seq} holds {len(events)} events, its row says "
            f"{row.event_count}"
        )
    prefix = batch_prefix(row.format, row.shard, row.batch_seq, row.first_event, row.recorded_at_us)
    salt_of = salts.of
    return [
        leaf_hash(leaf(prefix, number, salt_of(number), event))
        for number, event in enumerate(events, row.first_event)
    ]
