"""What every journal promises, run against memory, PostgreSQL and the simulator's.

`store` opens another journal on the same storage: a second writer, or the same one after a crash.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from random import Random

import pytest

from ledger.journal.grouping import CommitGroup
from ledger.journal.memory import MemoryJournal, MemoryStore
from ledger.journal.postgres import PostgresJournal
from ledger.journal.protocol import (
    Journal,
    JournalConflict,
    JournalCorrupt,
    JournalHead,
    JournalRow,
    JournalUnavailable,
    make_row,
)
from ledger.simulation.database import Database, DiskFaults, SimulatedJournal

from .chain import chain


@dataclass
class Store:
    """One storage and the journals opened on it."""

    make: Callable[[int], Journal]
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    def open(self, shard: int = 0) -> Journal:
        journal = self.make(shard)
        self.stack.push_async_callback(journal.close)
        return journal


class FixedTime:
    """A database's clock that stands."""

    def now_us(self) -> int:
        return 1_700_000_000_000_000


@pytest.fixture(params=["memory", "simulated", "postgres", "grouped"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    if request.param == "memory":
        rows: MemoryStore = {}
        made = Store(lambda shard: MemoryJournal(rows, shard, clock=lambda: 1_700_000_000_000_000))
    elif request.param == "simulated":
        database = Database(FixedTime(), Random(1), DiskFaults(), shards=4)
        made = Store(lambda shard: SimulatedJournal(database, shard))
    else:
        dsn = request.getfixturevalue("database")
        group = CommitGroup() if request.param == "grouped" else None
        made = Store(lambda shard: PostgresJournal(dsn, shard, group))
    async with made.stack:
        yield made


async def read_all(
    journal: Journal, after: int = 0, through: int | None = None, *, with_private: bool = True
) -> list[JournalRow]:
    rows = journal.read(after, through, with_private=with_private)
    return [row async for row in rows]


async def append_all(journal: Journal, rows: list[JournalRow]) -> None:
    for row in rows:
        await journal.append(row)


async def test_to_prepare_writes_nothing_and_may_be_done_at_any_time(store: Store) -> None:
    rows, journal = chain(3, shard=3), store.open(3)
    await journal.prepare()
    assert await journal.head() is None
    await append_all(journal, rows[:2])
    await journal.prepare()
    successor = store.open(3)
    await successor.prepare()
    await successor.append(rows[2])
    assert await read_all(journal) == rows
    await journal.close()
    await journal.prepare()
    assert await read_all(journal) == rows


async def test_an_empty_shard_has_no_head_and_no_rows(store: Store) -> None:
    journal = store.open()
    assert await journal.head() is None
    assert await read_all(journal) == []
    assert await journal.fetch([1, 2]) == []


async def test_rows_come_back_as_they_were_written_and_in_order(store: Store) -> None:
    rows = chain(5, private=b"who it was")
    await append_all(store.open(), rows)
    again = store.open()
    assert await read_all(again) == rows
    last = rows[-1]
    assert await again.head() == JournalHead(5, last.recorded_at_us, 12, 3, last.hash)
    assert last.next_event == 15


async def test_a_read_begins_after_and_ends_with_what_was_asked(store: Store) -> None:
    journal, rows = store.open(), chain(6)
    await append_all(journal, rows)
    assert await read_all(journal, 2, 4) == rows[2:4]
    assert await read_all(journal, 4) == rows[4:]
    assert await read_all(journal, 6) == []
    assert await read_all(journal, 3, 3) == []
    assert await read_all(journal, 0, 99) == rows


async def test_private_records_can_be_left_unread(store: Store) -> None:
    journal, rows = store.open(), chain(2, private=b"who it was")
    await append_all(journal, rows)
    assert [row.private for row in await read_all(journal, with_private=False)] == [b"", b""]
    assert [row.private for row in await journal.fetch([1], with_private=False)] == [b""]
    assert (await journal.fetch([2]))[0].private == b"who it was"


async def test_fetch_gives_what_exists_once_each_in_order(store: Store) -> None:
    journal, rows = store.open(), chain(5)
    await append_all(journal, rows)
    assert await journal.fetch([4, 2, 9, 2]) == [rows[1], rows[3]]
    assert await journal.fetch([]) == []


async def test_many_rows_are_read_in_pages(store: Store) -> None:
    journal, rows = store.open(), chain(150)
    await append_all(journal, rows)
    assert await read_all(journal, 1) == rows[1:]


async def test_a_read_can_be_left_and_rows_appended_meanwhile(store: Store) -> None:
    journal, rows = store.open(), chain(80)
    await append_all(journal, rows[:70])
    seen = []
    async with aclosing(journal.read(0)) as reading:
        async for row in reading:
            seen.append(row)
            if row.batch_seq == 10:
                await append_all(journal, rows[70:])
            if row.batch_seq == 79:
                break
    assert seen == rows[:79]


async def test_of_two_writers_one_gets_a_conflict_and_reads_on(store: Store) -> None:
    first, second = store.open(), store.open()
    opening = chain(1)
    await append_all(first, opening)
    [ours] = chain(1, after=opening[0], mark="ours")
    [theirs] = chain(1, after=opening[0], mark="theirs")
    await first.append(ours)
    with pytest.raises(JournalConflict):
        await second.append(theirs)
    assert await read_all(second, 1) == [ours]
    [next_theirs] = chain(1, after=ours, mark="theirs")
    await second.append(next_theirs)
    with pytest.raises(JournalConflict):
        await first.append(chain(1, after=ours, mark="ours")[0])


async def test_a_row_sent_twice_is_a_conflict_not_a_second_row(store: Store) -> None:
    journal, [row] = store.open(), chain(1)
    await journal.append(row)
    with pytest.raises(JournalConflict):
        await journal.append(row)
    assert await read_all(journal) == [row]


async def test_a_writer_far_behind_gets_a_conflict(store: Store) -> None:
    journal, rows = store.open(), chain(4)
    await append_all(journal, rows)
    [late] = chain(1, after=rows[0], mark="late")
    with pytest.raises(JournalConflict):
        await journal.append(late)


@pytest.mark.parametrize("gap", [True, False])
async def test_a_row_must_continue_the_stored_tail(store: Store, gap: bool) -> None:
    """Neither a gap nor another history can be written, whatever the writer believes."""
    journal, rows = store.open(), chain(3)
    await journal.append(rows[0])
    elsewhere = chain(2, mark="another history")
    with pytest.raises(JournalCorrupt, match="does not continue"):
        await journal.append(rows[2] if gap else elsewhere[1])
    assert await read_all(journal) == rows[:1]
    await journal.append(rows[1])


async def test_shards_are_apart(store: Store) -> None:
    one, two = store.open(1), store.open(2)
    rows_one, rows_two = chain(2, shard=1), chain(3, shard=2)
    await append_all(one, rows_one)
    await append_all(two, rows_two)
    assert await read_all(one) == rows_one
    assert await read_all(two) == rows_two


async def test_a_damaged_row_is_not_returned(store: Store) -> None:
    journal, [row] = store.open(), chain(1)
    damaged = JournalRow(
        *(getattr(row, name) if name != "payload" else b"other" for name in row.__struct_fields__)
    )
    await journal.append(damaged)
    with pytest.raises(JournalCorrupt, match="shard 0, batch 1"):
        await read_all(journal)
    with pytest.raises(JournalCorrupt):
        await journal.fetch([1])


async def test_private_records_are_outside_the_hash_and_columns_inside(store: Store) -> None:
    [row] = chain(1)
    [with_private] = chain(1, private=b"x")
    assert row.hash == with_private.hash
    columns = {name: getattr(row, name) for name in row.__struct_fields__ if name != "hash"}
    hashes = {row.hash}
    for name, value in columns.items():
        if name == "private":
            continue
        other = value + b"\1" if isinstance(value, bytes) else value + 1
        hashes.add(make_row(**(columns | {name: other})).hash)
    assert len(hashes) == 10


async def test_the_clock_is_the_storage_s(store: Store) -> None:
    now = await store.open().now_us()
    assert isinstance(now, int)
    assert now > 1_600_000_000_000_000


async def test_a_journal_can_be_closed_and_used_again(store: Store) -> None:
    journal, rows = store.open(), chain(2)
    await journal.append(rows[0])
    await journal.close()
    await journal.close()
    await journal.append(rows[1])
    assert await read_all(journal) == rows


async def test_an_unreachable_journal_says_that_nothing_was_written() -> None:
    memory = MemoryJournal({}, 0)
    memory.available = False
    database = Database(FixedTime(), Random(1), DiskFaults(), shards=1)
    database.away = True
    away = PostgresJournal("postgresql://drawdown@127.0.0.1:1/drawdown", 0)
    for journal in (memory, SimulatedJournal(database, 0), away):
        for attempt in (
            journal.append(chain(1)[0]),
            journal.head(),
            journal.fetch([1]),
            journal.now_us(),
            read_all(journal),
        ):
            with pytest.raises(JournalUnavailable):
                await attempt
        await journal.close()
