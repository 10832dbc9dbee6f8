"""Where seals and public keys stand: in PostgreSQL, append-only, or in memory for tests.

Owns their rows and who wins when two sealers seal the same. Must not sign, check or interpret.
"""

from __future__ import annotations

from typing import Final, Protocol

import asyncpg

from ledger.failpoints import reached
from ledger.integrity.keys import KeyRecord
from ledger.integrity.ranges import StoredSeal
from ledger.integrity.seal import Seal
from ledger.journal.connection import Pool, borrow
from ledger.journal.sql import load

_SQL: Final = load("seals")


class SealStore(Protocol):
    """Seals of every shard, and the keys. `instance` is the installation's 16-byte id.

    Methods raise JournalUnavailable where storage is away; all are safe to try again.
    """

    instance: bytes

    async def keys(self) -> list[KeyRecord]:
        """Every public key, in the order of their introduction."""
        ...

    async def add_key(self, record: KeyRecord) -> bool:
        """Write a record down; False where its number or its key is there already."""
        ...

    async def append(self, stored: StoredSeal) -> bool:
        """Write a seal down; False where its number is taken or it does not continue the last."""
        ...

    async def last(self, shard: int) -> StoredSeal | None:
        """The last seal of a shard."""
        ...

    async def covering(self, shard: int, entry_seq: int) -> StoredSeal | None:
        """The seal that covers an entry; None where none does yet."""
        ...

    async def page(self, shard: int, after: int, limit: int) -> list[StoredSeal]:
        """The next seals with seal_seq > after, in order, `limit` at most."""
        ...


class PostgresSealStore:
    """See SealStore."""

    def __init__(self, pool: Pool, instance: bytes) -> None:
        self.instance = instance
        self._pool = pool

    async def keys(self) -> list[KeyRecord]:
        """See SealStore."""
        async with borrow(self._pool) as connection:
            rows = await connection.fetch(_SQL["keys"])
        return [key_record(row, self.instance) for row in rows]

    async def add_key(self, record: KeyRecord) -> bool:
        """See SealStore."""
        async with borrow(self._pool) as connection:
            done = await connection.execute(
                _SQL["add_key"],
                record.format,
                record.key_seq,
                record.key_id,
                record.public_key,
                record.introduced_by,
                record.introduced_at_us,
                record.prev_hash,
                record.old_signature,
                record.signature,
            )
        return str(done) == "INSERT 0 1"

    async def append(self, stored: StoredSeal) -> bool:
        """See SealStore."""
        seal = stored.seal
        async with borrow(self._pool) as connection:
            reached("seal.before")
            done = await connection.execute(
                _SQL["append"],
                seal.format,
                seal.key_id,
                seal.shard,
                seal.seal_seq,
                seal.first_batch,
                seal.last_batch,
                seal.first_entry,
                seal.next_entry,
                seal.sealed_at_us,
                seal.head_hash,
                seal.merkle_root,
                seal.prev_seal,
                seal.signature,
                stored.secret,
                stored.chunk_roots,
            )
        return str(done) == "INSERT 0 1"

    async def last(self, shard: int) -> StoredSeal | None:
        """See SealStore."""
        return await self._one("last", shard)

    async def covering(self, shard: int, entry_seq: int) -> StoredSeal | None:
        """See SealStore."""
        found = await self._one("covering", shard, entry_seq)
        return found if found is not None and found.seal.first_entry <= entry_seq else None

    async def page(self, shard: int, after: int, limit: int) -> list[StoredSeal]:
        """See SealStore."""
        async with borrow(self._pool) as connection:
            rows = await connection.fetch(_SQL["page"], shard, after, limit)
        return [stored_seal(row, self.instance) for row in rows]

    async def unsealed(self, shards: int) -> list[int]:
        """Which of that many shards hold batches that no seal covers."""
        async with borrow(self._pool) as connection:
            return [row[0] for row in await connection.fetch(_SQL["unsealed"], shards)]

    async def _one(self, block: str, *arguments: object) -> StoredSeal | None:
        async with borrow(self._pool) as connection:
            row = await connection.fetchrow(_SQL[block], *arguments)
        return stored_seal(row, self.instance) if row is not None else None


class MemorySealStore:
    """See SealStore: lasts as long as the object."""

    def __init__(self, instance: bytes = bytes(16)) -> None:
        self.instance = instance
        self._keys: list[KeyRecord] = []
        self._seals: dict[int, list[StoredSeal]] = {}

    async def keys(self) -> list[KeyRecord]:
        """See SealStore."""
        return list(self._keys)

    async def add_key(self, record: KeyRecord) -> bool:
        """See SealStore."""
        known = {each.key_id for each in self._keys}
        if record.key_seq != len(self._keys) + 1 or record.key_id in known:
            return False
        self._keys.append(record)
        return True

    async def append(self, stored: StoredSeal) -> bool:
        """See SealStore."""
        seals = self._seals.setdefault(stored.seal.shard, [])
        if stored.seal.seal_seq != len(seals) + 1:
            return False
        if seals and seals[-1].seal.next_entry != stored.seal.first_entry:
            return False
        seals.append(stored)
        return True

    async def last(self, shard: int) -> StoredSeal | None:
        """See SealStore."""
        seals = self._seals.get(shard)
        return seals[-1] if seals else None

    async def covering(self, shard: int, entry_seq: int) -> StoredSeal | None:
        """See SealStore."""
        for stored in self._seals.get(shard, ()):
            if stored.seal.first_entry <= entry_seq < stored.seal.next_entry:
                return stored
        return None

    async def page(self, shard: int, after: int, limit: int) -> list[StoredSeal]:
        """See SealStore."""
        return self._seals.get(shard, [])[after : after + limit]


def stored_seal(row: asyncpg.Record, instance: bytes) -> StoredSeal:
    """A row of `ledger.seal`."""
    format, *fields, secret, chunk_roots = row
    return StoredSeal(Seal(format, instance, *fields), secret, chunk_roots)


def key_record(row: asyncpg.Record, instance: bytes) -> KeyRecord:
    """A row of `ledger.seal_key`."""
    format, *fields = row
    return KeyRecord(format, instance, *fields)
