"""One suite over both checkpoint stores: whole or not at all, only for the owner, only what is
durable."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest
from msgspec.structs import replace

from ledger.journal.checkpoint import (
    CheckpointPosition,
    CheckpointStore,
    CheckpointWrite,
    Expected,
    FamilyPlace,
    NewSegment,
    StoredCheckpoint,
    StoredFamily,
    StoredSegment,
    WriteOutcome,
    find_in_bucket,
    records_of,
)
from ledger.journal.checkpoint_memory import MemoryCheckpointData, MemoryCheckpoints, WriteFault
from ledger.journal.checkpoint_postgres import FAMILIES_A_STATEMENT, PostgresCheckpoints
from ledger.journal.connection import open_pool
from ledger.journal.errors import JournalConflict, JournalUnavailable
from ledger.journal.memory import MemoryJournal, MemoryStore
from ledger.journal.postgres import PostgresJournal
from ledger.journal.protocol import GENESIS_HASH, Journal, JournalRow

from .chain import chain

SHARD = 2


@dataclass
class Stores:
    """One store, opened as often as there are writers, beside a journal of three batches."""

    open: Callable[[], CheckpointStore]
    rows: list[JournalRow]

    def checkpoint(self, batch_seq: int, epoch: int = 1, body: bytes = b"body") -> StoredCheckpoint:
        row = self.rows[batch_seq - 1]
        return StoredCheckpoint(
            epoch, batch_seq, row.hash, row.next_event, row.recorded_at_us, 1, body
        )


@pytest.fixture(params=["memory", "postgres"])
async def stores(request: pytest.FixtureRequest) -> AsyncIterator[Stores]:
    rows = chain(3, shard=SHARD)
    journal: Journal
    if request.param == "memory":
        kept: MemoryStore = {}
        data = MemoryCheckpointData()
        journal = MemoryJournal(kept, SHARD)
        for row in rows:
            await journal.append(row)
        yield Stores(lambda: MemoryCheckpoints(kept, data, SHARD), rows)
        return
    dsn = request.getfixturevalue("database")
    journal = PostgresJournal(dsn, SHARD)
    for row in rows:
        await journal.append(row)
    await journal.close()
    pool = await open_pool(dsn, application_name="test checkpoints")
    yield Stores(lambda: PostgresCheckpoints(pool, SHARD), rows)
    await pool.close()


def family(root: int, body: bytes = b"family", due: int = 5) -> StoredFamily:
    return StoredFamily(FamilyPlace(root, (root, root + 1_000), due, 1, 2), body)


def record(number: int) -> bytes:
    return number.to_bytes(16, "big") + (number << 20).to_bytes(8, "big")


def segment(number: int, buckets: dict[int, list[int]]) -> NewSegment:
    keys = sum(len(each) for each in buckets.values())
    return NewSegment(
        StoredSegment(number, 7, 1, number, keys, 8, 1, b"filter %d" % number),
        [(bucket, b"".join(map(record, keys))) for bucket, keys in buckets.items()],
    )


async def places_of(store: CheckpointStore) -> list[FamilyPlace]:
    return [place async for page in store.places() for place in page]


async def test_a_store_that_nobody_opened_is_empty(stores: Stores) -> None:
    store = stores.open()
    assert await store.load() is None
    assert await places_of(store) == []
    assert await store.families([1]) == []
    assert await store.segments() == []
    assert await store.buckets([(1, 1)]) == {}
    assert [page async for page in store.all_buckets(1)] == []
    change = CheckpointWrite(stores.checkpoint(1), 0, [], [], [])
    assert await store.write(change) is WriteOutcome.FENCED, "nobody has claimed it"


async def test_what_is_written_is_read(stores: Stores) -> None:
    store = stores.open()
    assert await store.claim(1, None, reset=False)
    claimed = await store.load()
    assert claimed == StoredCheckpoint(1, 0, GENESIS_HASH, 0, 0, 1, b"")
    families = [family(root) for root in range(1, FAMILIES_A_STATEMENT + 20)]
    first = segment(256, {0: [1, 2], 200: [3]})
    change = CheckpointWrite(stores.checkpoint(2), 0, families, [first], [])
    assert await store.write(change) is WriteOutcome.WRITTEN
    assert await store.load() == stores.checkpoint(2)
    assert await places_of(store) == [each.place for each in families]
    assert await store.families([3, 1, 9_999]) == [family(1), family(3)]
    assert await store.segments() == [first.segment]
    found = await store.buckets([(256, 0), (256, 7), (300, 0)])
    assert found == {(256, 0): record(1) + record(2), (256, 7): b""}, "300 is no segment"
    assert [bucket async for page in store.all_buckets(256) for bucket in page] == [
        (0, record(1) + record(2)),
        (200, record(3)),
    ]


async def test_a_write_changes_what_it_names_and_drops_merged_segments(stores: Stores) -> None:
    store = stores.open()
    assert await store.claim(1, None, reset=False)
    small = [segment(256, {0: [1]}), segment(257, {0: [2]})]
    first = CheckpointWrite(stores.checkpoint(1), 0, [family(1), family(2)], small, [])
    assert await store.write(first) is WriteOutcome.WRITTEN
    large = segment(512, {0: [1, 2, 3]})
    second = CheckpointWrite(
        stores.checkpoint(2), 1, [family(2, b"changed", 6), family(3)], [large], [256, 257]
    )
    assert await store.write(second) is WriteOutcome.WRITTEN
    assert await store.families([1, 2, 3]) == [family(1), family(2, b"changed", 6), family(3)]
    assert await store.segments() == [large.segment]
    assert await store.buckets([(256, 0), (512, 0)]) == {
        (512, 0): record(1) + record(2) + record(3)
    }
    assert [page async for page in store.all_buckets(257)] == []


async def test_a_write_that_was_refused_changes_nothing(stores: Stores) -> None:
    store = stores.open()
    assert await store.claim(4, None, reset=False)
    good = CheckpointWrite(stores.checkpoint(1, epoch=4), 0, [family(1)], [], [])
    assert await store.write(good) is WriteOutcome.WRITTEN
    more = [family(1, b"worse"), family(2)]
    new = [segment(768, {1: [9]})]
    for made, previous, outcome in (
        (stores.checkpoint(2, epoch=3), 1, WriteOutcome.FENCED),
        (stores.checkpoint(2, epoch=5), 1, WriteOutcome.FENCED),
        (stores.checkpoint(3, epoch=4), 2, WriteOutcome.MOVED),
        (replace(stores.checkpoint(3, epoch=4), batch_seq=9), 1, WriteOutcome.NOT_IN_JOURNAL),
        (replace(stores.checkpoint(3, epoch=4), hash=b"x" * 32), 1, WriteOutcome.NOT_IN_JOURNAL),
    ):
        assert await store.write(CheckpointWrite(made, previous, more, new, [])) is outcome
        assert await store.load() == stores.checkpoint(1, epoch=4)
        assert await store.families([1, 2]) == [family(1)]
        assert await store.segments() == []
        assert await store.buckets([(768, 1)]) == {}


async def test_the_same_write_again_is_written(stores: Stores) -> None:
    """What a writer does that does not know what became of its first attempt."""
    store = stores.open()
    assert await store.claim(1, None, reset=False)
    change = CheckpointWrite(stores.checkpoint(1), 0, [family(1)], [segment(256, {0: [1]})], [])
    for _ in range(2):
        assert await store.write(change) is WriteOutcome.WRITTEN
    assert len(await store.segments()) == 1


async def test_a_claim_names_what_it_has_seen(stores: Stores) -> None:
    store = stores.open()
    nothing = CheckpointPosition(0, GENESIS_HASH)
    assert not await store.claim(1, nothing, reset=False), "there is no row"
    assert await store.claim(1, None, reset=False)
    assert not await store.claim(2, None, reset=False), "there is one"
    assert not await store.claim(1, nothing, reset=False), "the epoch must rise"
    assert await store.claim(2, nothing, reset=False)
    change = CheckpointWrite(stores.checkpoint(1, epoch=2), 0, [], [], [])
    assert await store.write(change) is WriteOutcome.WRITTEN
    assert not await store.claim(3, nothing, reset=False), "it moved meanwhile"
    assert await store.claim(3, stores.checkpoint(1).position, reset=False)
    assert await store.load() == stores.checkpoint(1, epoch=3)


async def test_a_reset_drops_everything_whatever_its_epoch(stores: Stores) -> None:
    store = stores.open()
    assert await store.claim(9, None, reset=False)
    change = CheckpointWrite(
        stores.checkpoint(2, epoch=9), 0, [family(1)], [segment(512, {0: [1]})], []
    )
    assert await store.write(change) is WriteOutcome.WRITTEN
    assert not await store.claim(3, CheckpointPosition(2, b"x" * 32), reset=True)
    assert await store.claim(3, stores.checkpoint(2).position, reset=True)
    assert await store.load() == StoredCheckpoint(3, 0, GENESIS_HASH, 0, 0, 1, b"")
    assert await places_of(store) == []
    assert await store.segments() == []
    assert await store.buckets([(512, 0)]) == {}


async def test_of_two_writers_one_loses(stores: Stores) -> None:
    """A predecessor that wakes up writes nothing, however its write meets the successor's claim."""
    old, new = stores.open(), stores.open()
    assert await old.claim(1, None, reset=False)
    change = CheckpointWrite(stores.checkpoint(1), 0, [family(1, b"old")], [], [])
    outcome, claimed = await asyncio.gather(
        old.write(change), new.claim(2, CheckpointPosition(0, GENESIS_HASH), reset=False)
    )
    assert (outcome is WriteOutcome.WRITTEN) != claimed
    stored = await new.load()
    assert stored is not None
    assert (stored.epoch, stored.batch_seq) == ((2, 0) if claimed else (1, 1))
    assert await new.families([1]) == ([] if claimed else [family(1, b"old")])


async def test_a_reader_is_told_that_another_process_moved_the_checkpoint_on(
    stores: Stores,
) -> None:
    """What a successor stored since is not of the state that asks: not even an absent bucket."""
    store = stores.open()
    assert await store.claim(1, None, reset=False)
    first = CheckpointWrite(stores.checkpoint(1), 0, [family(1)], [segment(256, {0: [1]})], [])
    assert await store.write(first) is WriteOutcome.WRITTEN
    ours, there = Expected(1), Expected(1, 1)
    for expected in (None, ours, there):
        assert await store.families([1, 2], expected) == [family(1)]
        assert await store.buckets([(256, 0)], expected) == {(256, 0): record(1)}
    second = CheckpointWrite(stores.checkpoint(2), 1, [], [], [])
    assert await store.write(second) is WriteOutcome.WRITTEN
    assert await store.families([1], ours) == [family(1)], "the owner's own checkpoints move it"
    with pytest.raises(JournalConflict, match="after batch 2"):
        await store.families([1], there)
    head = stores.checkpoint(2)
    assert await store.claim(2, CheckpointPosition(2, head.hash), reset=False)
    with pytest.raises(JournalConflict, match="epoch 2"):
        await store.families([9], ours)
    with pytest.raises(JournalConflict, match="epoch 2"):
        await store.buckets([(999, 0)], ours)


async def test_a_store_that_is_away_says_so() -> None:
    kept: MemoryStore = {}
    rows = chain(1, shard=SHARD)
    await MemoryJournal(kept, SHARD).append(rows[0])
    data = MemoryCheckpointData()
    fault: list[WriteFault | None] = [WriteFault.NOT_WRITTEN, WriteFault.WRITTEN, None]
    store = MemoryCheckpoints(kept, data, SHARD, on_write=lambda _: fault.pop(0))
    assert await store.claim(1, None, reset=False)
    made = StoredCheckpoint(1, 1, rows[0].hash, rows[0].next_event, rows[0].recorded_at_us, 1, b"")
    change = CheckpointWrite(made, 0, [], [], [])
    for reached in (0, 1):
        with pytest.raises(JournalUnavailable):
            await store.write(change)
        stored = await store.load()
        assert stored is not None and stored.batch_seq == reached
    assert await store.write(change) is WriteOutcome.WRITTEN
    store.available = False
    with pytest.raises(JournalUnavailable):
        await store.load()


async def test_postgres_that_is_away_says_so(database: str) -> None:
    pool = await open_pool(database, application_name="test checkpoints")
    store = PostgresCheckpoints(pool, SHARD)
    await pool.close()
    with pytest.raises(JournalUnavailable):
        await store.load()


def test_a_key_is_found_only_where_a_record_begins() -> None:
    inside = b"\x07" * 16
    body = record(1) + b"\x01" * 8 + inside + record(3)
    assert len(body) % 24 == 0
    assert find_in_bucket(body, inside) is None
    assert find_in_bucket(body, (3).to_bytes(16, "big")) == 3 << 20
    assert find_in_bucket(b"", inside) is None
    assert records_of(record(1) + record(2)) == [
        ((1).to_bytes(16, "big"), 1 << 20),
        ((2).to_bytes(16, "big"), 2 << 20),
    ]
