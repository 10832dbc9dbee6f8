"""Batches of several shards that share a commit: each is written, refused or unknown by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest
from msgspec.structs import astuple

from ledger.engine.ledger import Ledger
from ledger.journal import grouping
from ledger.journal.connection import SESSION
from ledger.journal.grouping import GROUP_BYTES_MAX, PATIENCE_S, CommitGroup
from ledger.journal.postgres import PostgresJournal
from ledger.journal.protocol import (
    CommitUnknown,
    JournalConflict,
    JournalCorrupt,
    JournalRow,
)
from ledger.journal.sql import load
from ledger.journal.storage import PostgresStorage
from tests.patience import HANGS_S

from .chain import chain
from .proxy import Cut, CuttingProxy

SHARDS = 4
TURNS_MAX = 200  # of who waits for 0.2 s; of who spins, thousands


class Present:
    """The machine's clocks."""

    def now_us(self) -> int:
        return time.time_ns() // 1_000

    def monotonic_us(self) -> int:
        return time.monotonic_ns() // 1_000


class Grouped:
    """The journals of a process, and what stands in the database."""

    def __init__(self, dsn: str, admin: asyncpg.Connection[asyncpg.Record]) -> None:
        group = CommitGroup()
        self.journals = [PostgresJournal(dsn, shard, group) for shard in range(SHARDS)]
        self._admin = admin

    async def append(self, rows: Sequence[JournalRow]) -> list[BaseException | None]:
        appending = [self.journals[row.shard].append(row) for row in rows]
        return list(await asyncio.gather(*appending, return_exceptions=True))

    async def commits(self) -> list[list[int]]:
        """The shards of each transaction that wrote, in order."""
        rows = await self._admin.fetch(
            "SELECT array_agg(shard ORDER BY shard) AS shards FROM ledger.journal "
            "GROUP BY xmin::text::bigint ORDER BY xmin::text::bigint"
        )
        return [row["shards"] for row in rows]

    async def close(self) -> None:
        for journal in self.journals:
            await journal.close()


@pytest.fixture
async def admin(database: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


@pytest.fixture
async def grouped(
    database: str, admin: asyncpg.Connection[asyncpg.Record]
) -> AsyncIterator[Grouped]:
    made = Grouped(database, admin)
    yield made
    await made.close()


def firsts(count: int = SHARDS, private: bytes = b"") -> list[JournalRow]:
    return [chain(1, shard=shard, private=private)[0] for shard in range(count)]


async def test_what_is_ready_together_is_one_commit_with_a_row_a_shard(grouped: Grouped) -> None:
    first = [chain(2, shard=shard, private=b"names") for shard in range(SHARDS)]
    assert await grouped.append([rows[0] for rows in first]) == [None] * SHARDS
    assert await grouped.append([rows[1] for rows in first]) == [None] * SHARDS
    assert await grouped.commits() == [[0, 1, 2, 3], [0, 1, 2, 3]]
    for journal, rows in zip(grouped.journals, first, strict=True):
        assert [row async for row in journal.read(0)] == rows


async def test_each_shard_has_its_connection_before_it_serves(
    database: str, admin: asyncpg.Connection[asyncpg.Record]
) -> None:
    """Opening rows share commits, on the connections of few; none connects at its first call."""
    shards = await admin.fetchval("SELECT shards FROM ledger.settings")
    storage = await PostgresStorage.open(database, shards)
    ledger = Ledger(storage, Present())
    ledger.start()
    await ledger.opened()
    writers = await admin.fetch(
        "SELECT application_name AS name FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name LIKE 'drawdown shard % writer'"
    )
    names = sorted(row["name"] for row in writers)
    assert names == sorted(f"drawdown shard {shard} writer" for shard in range(shards))
    await ledger.stop()
    await storage.close()


async def test_what_comes_while_a_commit_is_on_its_way_is_the_next(
    grouped: Grouped, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grouping, "PATIENCE_S", HANGS_S)  # else one that is slow is passed
    rows = firsts()
    begun = asyncio.create_task(grouped.append(rows[:1]))
    for _ in range(3):
        await asyncio.sleep(0)
    assert await grouped.append(rows[1:]) == [None] * 3
    assert await begun == [None]
    assert await grouped.commits() == [[0], [1, 2, 3]]


@pytest.fixture
def _locks_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow a test is: it lets go of them."""
    monkeypatch.setitem(SESSION, "lock_timeout", "10min")


@pytest.mark.usefixtures("_locks_are_waited_for")
async def test_a_commit_that_is_held_up_holds_up_its_own_shards_alone(
    grouped: Grouped,
    admin: asyncpg.Connection[asyncpg.Record],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another process has written shard 1's place and does not commit; a second batch of shard 0
    waits for the first, and those of 2 and 3 go on, again and again."""
    turns, take = 0, CommitGroup._take

    def counted(group: CommitGroup) -> object:
        nonlocal turns
        turns += 1
        return take(group)

    monkeypatch.setattr(CommitGroup, "_take", counted)
    rows = [chain(3, shard=shard) for shard in range(SHARDS)]
    holding = admin.transaction()
    await holding.start()
    [theirs] = chain(1, shard=1, mark="theirs")
    await admin.execute(load("journal")["append"], *astuple(theirs))
    held = asyncio.create_task(grouped.append([rows[0][0], rows[1][0]]))
    await asyncio.sleep(0.02)
    next_of_0 = asyncio.create_task(grouped.append([rows[0][1]]))
    async with asyncio.timeout(HANGS_S):
        for number in range(3):
            assert await grouped.append([rows[2][number], rows[3][number]]) == [None, None]
    turns = 0
    await asyncio.sleep(2 * PATIENCE_S)
    assert turns < TURNS_MAX  # whoever waits does not spin
    assert not held.done()
    assert not next_of_0.done()
    await holding.rollback()
    assert await held == [None, None]
    assert await next_of_0 == [None]
    assert await grouped.append([rows[0][2], rows[1][1], rows[2][2]]) != [None] * 3  # 2 has it
    for journal, stored in zip(grouped.journals, (3, 2, 3, 3), strict=True):
        found = [row async for row in journal.read(0)]
        assert found == rows[journal.shard][:stored]


@pytest.mark.usefixtures("_locks_are_waited_for")
async def test_whoever_is_cancelled_amid_a_commit_that_is_held_up_waits_for_it_the_next_time(
    grouped: Grouped, admin: asyncpg.Connection[asyncpg.Record]
) -> None:
    """One statement at a time on a connection, and of a shard."""
    rows = [chain(2, shard=shard) for shard in range(2)]
    holding = admin.transaction()
    await holding.start()
    [theirs] = chain(1, shard=1, mark="theirs")
    await admin.execute(load("journal")["append"], *astuple(theirs))
    first = asyncio.create_task(grouped.journals[0].append(rows[0][0]))
    second = asyncio.create_task(grouped.journals[1].append(rows[1][0]))
    await asyncio.sleep(0.02)
    first.cancel()
    await asyncio.wait([first])
    again = asyncio.create_task(grouped.append([rows[0][0]]))
    await asyncio.sleep(2 * PATIENCE_S)
    assert not again.done()
    await holding.rollback()
    await second
    [answer] = await again
    assert isinstance(answer, JournalConflict)  # it was written


async def test_a_large_batch_waits_for_nobody(grouped: Grouped) -> None:
    small = firsts(3)
    [large] = chain(1, shard=3, private=b"x" * GROUP_BYTES_MAX)
    assert await grouped.append([*small, large]) == [None] * 4
    assert sorted(await grouped.commits()) == [[0, 1, 2], [3]]


async def test_a_place_that_is_taken_is_refused_alone(grouped: Grouped) -> None:
    """Another process has written to shard 1: it alone is fenced."""
    rows = firsts()
    [theirs] = chain(1, shard=1, mark="theirs")
    assert await grouped.append([theirs]) == [None]
    answers = await grouped.append(rows)
    assert isinstance(answers[1], JournalConflict)
    assert "shard 1, batch 1 is taken" in str(answers[1])
    assert [answers[place] for place in (0, 2, 3)] == [None, None, None]
    assert [row async for row in grouped.journals[1].read(0)] == [theirs]


async def test_a_batch_that_continues_nothing_is_refused_alone(grouped: Grouped) -> None:
    rows = firsts()
    rows[2] = chain(2, shard=2)[1]
    answers = await grouped.append(rows)
    assert isinstance(answers[2], JournalCorrupt)
    assert "no batch 1" in str(answers[2])
    assert [answers[place] for place in (0, 1, 3)] == [None, None, None]
    assert await grouped.commits() == [[0, 1, 3]]


@pytest.mark.parametrize("cut", list(Cut))
async def test_a_connection_lost_during_a_shared_commit_leaves_all_unknown(
    database: str, admin: asyncpg.Connection[asyncpg.Record], cut: Cut
) -> None:
    """All of them are written or none is; each shard's tail tells."""
    query = parse_qs(urlsplit(database).query)
    rows = firsts()
    async with CuttingProxy(f"{query['host'][0]}/.s.PGSQL.{query['port'][0]}") as proxy:
        name = urlsplit(database).path
        grouped = Grouped(f"postgresql://drawdown@127.0.0.1:{proxy.port}{name}", admin)
        proxy.arm(cut, rows[1].payload)
        answers = await grouped.append(rows)
        for row, answer in zip(rows, answers, strict=True):
            assert isinstance(answer, CommitUnknown), row
            assert f"shard {row.shard}, batch 1" in str(answer)
        if cut is not Cut.BEFORE_SERVER:
            await proxy.answered.wait()
        written = await grouped.commits()
        assert written == ([] if cut is Cut.BEFORE_SERVER else [[0, 1, 2, 3]])
        again = await grouped.append(rows)
        taken = [isinstance(answer, JournalConflict) for answer in again]
        assert taken == [cut is not Cut.BEFORE_SERVER] * SHARDS
        await grouped.close()


async def test_who_is_cancelled_leaves_the_commit_to_the_others(grouped: Grouped) -> None:
    rows = firsts()
    appending = [asyncio.create_task(grouped.journals[row.shard].append(row)) for row in rows]
    for _ in range(3):
        await asyncio.sleep(0)
    appending[0].cancel()
    answers = await asyncio.gather(*appending, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert answers[1:] == [None, None, None]
    assert await grouped.append(chain(2)[1:]) == [None]  # its own was written with theirs
