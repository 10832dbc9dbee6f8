"""The seals of one shard against its rows: signature, key, chain, head hash, Merkle root, tail.

Each seal is checked from where the one before it ends, so that a damaged row is found in its own
seal. A row that somebody rewrote together with every hash behind it is found here, and so is a tail
that is gone; what no seal covers yet is only chained, and is counted.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final

from msgspec import Struct

from ledger.integrity.keys import KeyRecord, faults_of, trusted_keys
from ledger.integrity.ranges import Mark, SealedRange, StoredSeal, mark_after
from ledger.integrity.seal import NO_SEAL, Seal, SealMalformed
from ledger.integrity.store import key_record, stored_seal
from ledger.journal.connection import Connection
from ledger.journal.errors import JournalCorrupt
from ledger.journal.protocol import JournalRow
from ledger.journal.sql import load
from ledger.verify.report import Findings

PAGE_SEALS: Final = 64  # x 33 kB at most = 2 MB
_SQL: Final = load("seals")


class KeyTrust(Struct, frozen=True):
    """Public keys by id, in the order of their introduction, and what is wrong with the records.

    `anchored`: they were reached from a key that whoever verifies holds, not merely found.
    """

    keys: dict[bytes, bytes]
    order: dict[bytes, int]
    anchored: bool
    faults: list[str]


async def read_trust(connection: Connection, instance: bytes, anchors: Sequence[bytes]) -> KeyTrust:
    """The keys that this database names, as far as `anchors` (public keys) vouch for them."""
    records: list[KeyRecord] = []
    faults: list[str] = []
    for row in await connection.fetch(_SQL["keys"]):
        record = key_record(row, instance)
        faults += [
            f"seal key {record.key_seq}: {fault}" for fault in faults_of(record, records, instance)
        ]
        records.append(record)
    order = {record.key_id: record.key_seq for record in records}
    if not anchors:
        found = {record.key_id: record.public_key for record in records}
        return KeyTrust(found, order, False, faults)
    return KeyTrust(trusted_keys([] if faults else records, anchors), order, True, faults)


class SealCheck:
    """Takes the rows of one shard in order, whole or not; adds what is wrong to `findings`."""

    def __init__(
        self,
        findings: Findings,
        seals: AsyncIterator[StoredSeal],
        trust: KeyTrust,
        before: Seal | None = None,
    ) -> None:
        """`seals` begin after `before`, a seal that is taken as checked."""
        self._findings = findings
        self._seals = seals
        self._trust = trust
        self._last = before
        self._current: StoredSeal | None = None
        self._range: SealedRange | None = None
        self._ended = False

    @property
    def last(self) -> Seal | None:
        """The last seal that rows were compared with."""
        return self._last

    async def take(self, row: JournalRow) -> None:
        """The next row of the shard."""
        current = await self._reach(row.batch_seq)
        report = self._findings.report
        if current is None or row.batch_seq < current.seal.first_batch:
            report.unsealed_entries += row.event_count
            return
        if self._range is None:
            return  # it is broken already
        try:
            self._range.take(row)
        except JournalCorrupt as error:
            self._broken(current.seal, "rows that continue one another", error)
            return
        if row.batch_seq == current.seal.last_batch:
            self._compare(current, self._range)
            self._range = None

    async def end(self, batches: int) -> None:
        """After the last row: what is sealed beyond it is gone (a tail was cut off)."""
        current = await self._reach(batches + 1)
        while current is not None:
            if current.seal.last_batch > batches:
                self._findings.batch = current.seal.last_batch
                self._findings.add(
                    f"seal {current.seal.seal_seq}, last batch sealed",
                    current.seal.last_batch,
                    f"the journal ends at {batches}",
                )
            self._current = None
            current = await self._reach(batches + 1)

    async def _reach(self, batch_seq: int) -> StoredSeal | None:
        """The seal that may cover a batch: the first that does not end before it."""
        while not self._ended:
            if self._current is None:
                self._current = await anext(self._seals, None)
                if self._current is None:
                    self._ended = True
                    return None
                self._open(self._current)
            if batch_seq <= self._current.seal.last_batch:
                return self._current
            if self._range is not None:
                self._broken(self._current.seal, "every batch of it", "batches are missing")
            self._current = None
        return None

    def _open(self, stored: StoredSeal) -> None:
        """Check what a seal says by itself, and of the one before it."""
        seal, last = stored.seal, self._last
        where = f"seal {seal.seal_seq}"
        compare = self._findings.compare
        here, self._findings.batch = self._findings.batch, seal.last_batch
        start = mark_after(last)
        compare(f"{where}, seal_seq", last.seal_seq + 1 if last is not None else 1, seal.seal_seq)
        try:
            compare(f"{where}, prev_seal", last.hash() if last else NO_SEAL, seal.prev_seal)
            self._check_signature(seal, where)
        except SealMalformed as error:
            self._findings.add(where, "a seal", error)
        compare(f"{where}, first batch", start.batch_seq + 1, seal.first_batch)
        compare(f"{where}, first entry", start.entries, seal.first_entry)
        if last is not None and seal.sealed_at_us <= last.sealed_at_us:
            self._findings.add(f"{where}, time", f"after {last.sealed_at_us}", seal.sealed_at_us)
        self._range = SealedRange(seal.shard, _start_of(seal, start), stored.secret)
        self._findings.report.seals += 1
        self._last = seal
        self._findings.batch = here

    def _check_signature(self, seal: Seal, where: str) -> None:
        last, trust = self._last, self._trust
        public_key = trust.keys.get(seal.key_id)
        if public_key is None:
            known = "one that a trusted key vouches for" if trust.anchored else "a known key"
            self._findings.add(f"{where}, key", known, seal.key_id)
            return
        if not seal.signed_by(public_key):
            self._findings.add(f"{where}, signature", "one that holds", "one that does not")
        order = trust.order
        if last is not None and order.get(seal.key_id, 0) < order.get(last.key_id, 0):
            self._findings.add(f"{where}, key", "none older than the last", seal.key_id)

    def _compare(self, stored: StoredSeal, sealed: SealedRange) -> None:
        seal, reached = stored.seal, sealed.reached
        where = f"seal {seal.seal_seq}"
        compare = self._findings.compare
        compare(f"{where}, next entry", seal.next_entry, reached.entries)
        compare(f"{where}, head hash", seal.head_hash, reached.hash)
        compare(f"{where}, Merkle root", seal.merkle_root, sealed.root())
        compare(f"{where}, chunk roots", sealed.chunk_roots(), stored.chunk_roots)
        self._findings.report.sealed_batches = seal.last_batch

    def _broken(self, seal: Seal, expected: str, found: object) -> None:
        self._findings.add(f"seal {seal.seal_seq}", expected, found)
        self._range = None


def _start_of(seal: Seal, start: Mark) -> Mark:
    """Where a seal's rows begin: by itself, chained to where the last one ended."""
    return Mark(seal.first_batch - 1, seal.first_entry, start.hash)


async def read_seals(
    connection: Connection, shard: int, instance: bytes, after: int, through: int
) -> AsyncIterator[StoredSeal]:
    """The seals with after < seal_seq <= through, in order, a page at a time."""
    while after < through:
        page = await connection.fetch(_SQL["page"], shard, after, PAGE_SEALS)
        for row in page:
            stored = stored_seal(row, instance)
            after = stored.seal.seal_seq
            if after > through:
                return
            yield stored
        if len(page) < PAGE_SEALS:
            return


async def last_seal(connection: Connection, shard: int, instance: bytes) -> Seal | None:
    """The last seal of a shard."""
    row = await connection.fetchrow(_SQL["last"], shard)
    return stored_seal(row, instance).seal if row is not None else None
