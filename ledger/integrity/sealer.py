"""Signs what became durable, in a process of its own, apart from writers and from the network.

Every round it seals each shard whose journal went on: reads its rows from the last seal to the
tail, checks that they continue it, hashes, signs, and writes one row. Two sealers cannot fork: a
seal's number is taken once. One that was away takes up where the last seal ends. Never seals what
contradicts itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Callable
from typing import Final

from ledger.integrity.keys import KeyNotIntroduced, KeyRecord, SealKey, introduce
from ledger.integrity.leaves import SECRET_BYTES
from ledger.integrity.ranges import SEAL_ENTRIES_MAX, SealedRange, StoredSeal, mark_after
from ledger.integrity.seal import NO_SEAL, SEAL_FORMAT, SEAL_SEQ_FIRST, Seal
from ledger.integrity.store import PostgresSealStore, SealStore
from ledger.journal.connection import open_pool
from ledger.journal.errors import JournalCorrupt, JournalUnavailable
from ledger.journal.migrate import read_settings
from ledger.journal.postgres import PostgresJournal
from ledger.journal.protocol import Journal

logger = logging.getLogger(__name__)

SEAL_EVERY_S: Final = 10
"""Between two rounds: what an attacker could still cut off unseen. A seal is 350 bytes, and 32 more
for each 1,024 entries: 1.1 GB a year for a shard that is never idle."""


def wall_us() -> int:
    """This machine's clock, microseconds UTC."""
    return time.time_ns() // 1_000


class Sealer:
    """One key that seals shards. Not reentrant."""

    def __init__(
        self,
        seals: SealStore,
        key: SealKey,
        *,
        now_us: Callable[[], int] = wall_us,
        make_secret: Callable[[int], bytes] = secrets.token_bytes,
        entries_max: int = SEAL_ENTRIES_MAX,
    ) -> None:
        """A seal takes no further batch once it holds `entries_max` entries."""
        self._seals = seals
        self._key = key
        self._now_us = now_us
        self._make_secret = make_secret
        self._entries_max = entries_max

    async def introduce(self) -> KeyRecord:
        """Make the key known where it is the first. Raises KeyNotIntroduced where others are."""
        while True:
            records = await self._seals.keys()
            for record in records:
                if record.key_id == self._key.key_id:
                    return record
            if records:
                raise KeyNotIntroduced(
                    f"seal key {self._key.key_id.hex()} is not among this ledger's "
                    f"{len(records)}; introduce it with `drawdown seal-key rotate`"
                )
            first = introduce(self._key, None, None, self._seals.instance, self._now_us())
            await self._seals.add_key(first)

    async def seal(self, journal: Journal) -> Seal | None:
        """Seal what is durable behind the shard's last seal; None where there is nothing.

        Raises JournalUnavailable (try again), JournalCorrupt, KeyNotIntroduced.
        """
        last = await self._seals.last(journal.shard)
        before = last.seal if last is not None else None
        if before is not None and before.key_id != self._key.key_id:
            await self._check_newer(before)
        secret = self._make_secret(SECRET_BYTES)
        sealed = SealedRange(journal.shard, mark_after(before), secret)
        async with contextlib.aclosing(
            journal.read(sealed.start.batch_seq, with_private=False)  # type: ignore[type-var]
        ) as rows:
            async for row in rows:
                sealed.take(row)
                if sealed.entries >= self._entries_max:
                    break
                await asyncio.sleep(0)
        if not sealed.entries:
            return None
        seal = self._key.seal(self._unsigned(sealed, before))
        stored = StoredSeal(seal, secret, sealed.chunk_roots())
        return seal if await self._seals.append(stored) else None  # another sealer was here

    def _unsigned(self, sealed: SealedRange, before: Seal | None) -> Seal:
        start, reached = sealed.start, sealed.reached
        now = self._now_us()
        return Seal(
            SEAL_FORMAT,
            self._seals.instance,
            self._key.key_id,
            sealed.shard,
            before.seal_seq + 1 if before is not None else SEAL_SEQ_FIRST,
            start.batch_seq + 1,
            reached.batch_seq,
            start.entries,
            reached.entries,
            max(now, before.sealed_at_us + 1) if before is not None else now,
            reached.hash,
            sealed.root(),
            before.hash() if before is not None else NO_SEAL,
        )

    async def _check_newer(self, before: Seal) -> None:
        """A key never seals after one that was introduced later."""
        order = [record.key_id for record in await self._seals.keys()]
        if before.key_id in order and order.index(before.key_id) > order.index(self._key.key_id):
            raise KeyNotIntroduced(
                f"shard {before.shard} is sealed by key {before.key_id.hex()}, which is newer than "
                f"{self._key.key_id.hex()}: give the new one"
            )


async def run_sealer(
    dsn: str, key: SealKey, *, every_s: int = SEAL_EVERY_S, stop: asyncio.Event | None = None
) -> None:
    """Seal every shard each `every_s` seconds, and once more when `stop` is set.

    Waits for a database that goes away. Raises MigrationRefused, KeyNotIntroduced and
    JournalUnavailable at the start only.
    """
    settings = await read_settings(dsn)
    pool = await open_pool(dsn, application_name="drawdown sealer", size_max=1)
    try:
        seals = PostgresSealStore(pool, settings.instance_id.bytes)
        sealer = Sealer(seals, key)
        await sealer.introduce()
        stop = stop or asyncio.Event()
        last = False
        while not last:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), every_s)
            last = stop.is_set()  # before the round: what it seals is all that was there
            await seal_all(dsn, seals, sealer, settings.shards)
    finally:
        pool.terminate()


async def seal_all(dsn: str, seals: PostgresSealStore, sealer: Sealer, shards: int) -> int:
    """One round: every shard to the tail that it has as its turn comes; how many seals that made.

    Logs what it cannot seal.
    """
    made = 0
    try:
        for shard in await seals.unsealed(shards):
            made += await _seal_to_tail(PostgresJournal(dsn, shard), sealer)
    except JournalUnavailable as error:
        logger.warning("the sealer waits for the database: %s", error)
    return made


async def _seal_to_tail(journal: PostgresJournal, sealer: Sealer) -> int:
    """A busy shard has always gone on by the time it is sealed: that is for the next round."""
    made = 0
    try:
        head = await journal.head()
        while (seal := await sealer.seal(journal)) is not None:
            made += 1
            if head is None or seal.last_batch >= head.batch_seq:
                break
    except (JournalCorrupt, KeyNotIntroduced) as error:
        logger.error("shard %s is not sealed: %s", journal.shard, error)
    finally:
        await journal.close()
    return made
