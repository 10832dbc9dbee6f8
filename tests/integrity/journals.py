"""A small journal in memory whose every byte is known, sealed with known keys and salts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ledger.core import events as e
from ledger.core.identity import FamilyDigest
from ledger.integrity.sealer import Sealer
from ledger.integrity.store import MemorySealStore
from ledger.journal.codec import BatchCodec
from ledger.journal.memory import MemoryJournal
from ledger.journal.protocol import GENESIS_HASH, make_row
from tests.integrity.sealing import INSTANCE, KEY

SHARD = 3
NOON_US = 1_800_000_000_000_000
FAMILY_KEY = bytes(range(32))
PLAN = e.PlanDeclared("chat", (("mode", "batch"),), ("tokens",), "default", 1, (2,), 7)


def usage(event_id: str, plan: int = 0) -> e.UsageRecorded:
    key = FamilyDigest(FAMILY_KEY).usage("app", event_id)
    return e.UsageRecorded(key, 11, NOON_US, plan, (5,), (15,), 4, (e.Slice(1, 9, 15),), NOON_US)


def batch(number: int, size: int) -> list[e.Event]:
    """A plan that nobody names, the plan, usage events, and what is easy to guess."""
    used = [usage(f"evt-{number}-{each}", 1) for each in range(size)]
    return [PLAN, PLAN, *used, e.HoldExpired(12, number)]


class Written:
    """A journal and its seals; `write` appends batches, `seal` seals what is there."""

    def __init__(self) -> None:
        self.journal = MemoryJournal({}, SHARD)
        self.seals = MemorySealStore(INSTANCE)
        self._codec: BatchCodec[e.Event] = BatchCodec(e.Event)
        self._hash, self._batch_seq, self._entries = GENESIS_HASH, 0, 0

    async def write(self, *batches: Sequence[e.Event], at: Mapping[int, int] | None = None) -> None:
        """`at`: when batches are recorded, by number; else a microsecond apart from noon on."""
        for events in batches:
            recorded_at_us = (at or {}).get(self._batch_seq + 1, NOON_US + self._batch_seq)
            row = make_row(
                shard=SHARD,
                batch_seq=self._batch_seq + 1,
                recorded_at_us=recorded_at_us,
                first_event=self._entries,
                event_count=len(events),
                format=1,
                codec=1,
                prev_hash=self._hash,
                payload=self._codec.encode(events),
            )
            await self.journal.append(row)
            self._hash, self._batch_seq, self._entries = row.hash, row.batch_seq, row.next_event

    def sealer(self, entries_max: int = 1 << 20) -> Sealer:
        return Sealer(
            self.seals,
            KEY,
            now_us=lambda: NOON_US,
            make_secret=lambda size: bytes(range(size)),
            entries_max=entries_max,
        )


async def small() -> Written:
    """Three batches under one seal, two under the next, one under none."""
    written = Written()
    sealer = written.sealer()
    await sealer.introduce()
    await written.write(*[batch(number, 4 + number) for number in range(3)])
    assert await sealer.seal(written.journal)
    await written.write(*[batch(number, 1) for number in (3, 4)])
    assert await sealer.seal(written.journal)
    await written.write(batch(5, 1))
    return written
