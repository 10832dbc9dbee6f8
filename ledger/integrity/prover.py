"""Makes the proof of one entry: its seal, its batch, and the chunk of the tree that holds it.

Reads a seal and some rows beside a running writer; hashes 1,024 leaves an entry at most. What
contradicts the seal is JournalCorrupt, never a proof.
"""

from __future__ import annotations

from typing import Final

from ledger.integrity.leaves import Salts, batch_prefix, leaf
from ledger.integrity.merkle import CHUNK_LEAVES, HASH_BYTES, audit_path, leaf_hash, root_of
from ledger.integrity.proof import (
    PLAN_FIELD,
    PROOF_FORMAT,
    Identity,
    Proof,
    ProvenEntry,
    field_of,
    tag_of,
)
from ledger.integrity.ranges import StoredSeal
from ledger.integrity.store import SealStore
from ledger.journal.codec import split_events
from ledger.journal.errors import JournalCorrupt
from ledger.journal.protocol import Journal, JournalRow

READ_ROWS_MAX: Final = 64  # at once, and only where batches are small


class NotSealed(Exception):
    """No seal covers the entry yet: ask again after the next one. The message says how far."""


async def prove(
    journal: Journal, seals: SealStore, entry_seq: int, identity: Identity | None = None
) -> Proof:
    """The proof of one entry of the journal's shard, with its plan where it names one.

    Raises NotSealed, JournalUnavailable, JournalCorrupt.
    """
    stored = await seals.covering(journal.shard, entry_seq)
    if stored is None:
        last = await seals.last(journal.shard)
        reached = f"up to entry {last.seal.next_entry - 1}" if last is not None else "nothing"
        raise NotSealed(
            f"entry {entry_seq} of shard {journal.shard} is under no seal yet; sealed: {reached}"
        )
    prover = _Prover(journal, stored)
    entry = await prover.prove(entry_seq)
    place = PLAN_FIELD.get(tag_of(entry.event))
    plan = None
    if place is not None:
        plan = await prover.prove(entry.first_event + field_of(entry.event, place))
    return Proof(PROOF_FORMAT, stored.seal, entry, plan, identity)


class _Prover:
    def __init__(self, journal: Journal, stored: StoredSeal) -> None:
        self._journal = journal
        self._seal = stored.seal
        self._salts = Salts(stored.secret)
        self._roots = [
            stored.chunk_roots[at : at + HASH_BYTES]
            for at in range(0, len(stored.chunk_roots), HASH_BYTES)
        ]
        self._rows: dict[int, JournalRow] = {}

    async def prove(self, entry_seq: int) -> ProvenEntry:
        seal = self._seal
        number, index = divmod(entry_seq - seal.first_entry, CHUNK_LEAVES)
        low = seal.first_entry + number * CHUNK_LEAVES
        row = await self._row_of(entry_seq)
        leaves = await self._leaves(row.batch_seq, low, min(low + CHUNK_LEAVES, seal.next_entry))
        if root_of(leaves) != self._roots[number] or root_of(self._roots) != seal.merkle_root:
            raise JournalCorrupt(
                f"shard {seal.shard}: entries {low} to {low + len(leaves) - 1} are not what seal "
                f"{seal.seal_seq} was made of"
            )
        return ProvenEntry(
            row.format,
            row.batch_seq,
            row.first_event,
            row.recorded_at_us,
            entry_seq,
            self._salts.of(entry_seq),
            split_events(row.payload)[entry_seq - row.first_event],
            [*audit_path(leaves, index), *audit_path(self._roots, number)],
        )

    async def _row_of(self, entry_seq: int) -> JournalRow:
        """The row that holds an entry: first entries grow with the batch."""
        low, high = self._seal.first_batch, self._seal.last_batch
        while low <= high:
            middle = (low + high) // 2
            row = await self._row(middle)
            if entry_seq < row.first_event:
                high = middle - 1
            elif entry_seq >= row.next_event:
                low = middle + 1
            else:
                return row
        raise JournalCorrupt(f"shard {self._seal.shard}: no sealed batch holds entry {entry_seq}")

    async def _leaves(self, batch_seq: int, low: int, high: int) -> list[bytes]:
        """The leaf hashes of entries low to high - 1, from the batches around `batch_seq`."""
        row = await self._row(batch_seq)
        step = min(READ_ROWS_MAX, 1 + CHUNK_LEAVES // row.event_count)
        while row.first_event > low:
            await self._read(max(row.batch_seq - step, self._seal.first_batch), row.batch_seq)
            while row.first_event > low and row.batch_seq - 1 in self._rows:
                row = self._rows[row.batch_seq - 1]
        hashes: list[bytes] = []
        while True:
            hashes += self._hashes(row, max(low, row.first_event), min(high, row.next_event))
            if row.next_event >= high:
                return hashes
            following = row.batch_seq + 1
            await self._read(following, min(row.batch_seq + step, self._seal.last_batch))
            row = await self._row(following)

    def _hashes(self, row: JournalRow, low: int, high: int) -> list[bytes]:
        prefix = batch_prefix(
            row.format, row.shard, row.batch_seq, row.first_event, row.recorded_at_us
        )
        events = split_events(row.payload)
        return [
            leaf_hash(
                leaf(prefix, number, self._salts.of(number), events[number - row.first_event])
            )
            for number in range(low, high)
        ]

    async def _row(self, batch_seq: int) -> JournalRow:
        if batch_seq not in self._rows:
            await self._read(batch_seq, batch_seq)
        return self._rows[batch_seq]

    async def _read(self, first: int, last: int) -> None:
        """Have the batches first to last. Raises JournalCorrupt where one is missing."""
        missing = [each for each in range(first, last + 1) if each not in self._rows]
        for found in await self._journal.fetch(missing, with_private=False) if missing else ():
            self._rows[found.batch_seq] = found
        for each in missing:
            if each not in self._rows:
                raise JournalCorrupt(f"shard {self._seal.shard}: batch {each} is missing")
