"""What every store of read models promises to a projector, run on PostgreSQL and the simulator's.

`sides.open()` is another projector's connection. What is written is looked at through the protocol
alone: `learn` finds rows again, and a row that stands already refuses to be written twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import asyncpg
import pytest

from ledger.core.events import Event, WriterOpened
from ledger.core.upcast import UPCASTS
from ledger.journal.codec import BatchCodec, PrivateRecords, encode_private
from ledger.journal.connection import CONNECT_ERRORS
from ledger.journal.errors import JournalCorrupt, JournalUnavailable
from ledger.journal.postgres import PostgresJournal
from ledger.journal.protocol import GENESIS_HASH, Journal, JournalRow, make_row
from ledger.projections import changes as c
from ledger.projections.changes import AccountChange, Changes, GrantChange, HoldChange, Moved
from ledger.projections.facts import Facts, GrantFact, HoldFact, HoldLine, Needed
from ledger.projections.shard import ShardBusy, TableProjector
from ledger.projections.sql import load
from ledger.projections.store import ProjectionStore
from ledger.projections.tables import Position, ProjectionDamaged, Tables
from ledger.simulation.database import Database, DiskFaults, SimulatedJournal
from ledger.simulation.projection import ProjectionDatabase, SimulatedTables
from tests.journal.proxy import Cut, CuttingProxy
from tests.patience import HANGS_S

SHARD, TENANT, CREDITS = 0, 1, 1
ACCOUNT, GRANT, HOLD, BOOK, FUNDING = 101, 201, 301, 401, 402
PLAN = UUID(int=5)
LONG_AGO_US = 1_700_000_000_000_000
FAR_AHEAD_US = 4_000_000_000_000_000
START = Position(0, 0, 0, GENESIS_HASH, 0)
AWAY = (JournalUnavailable, *CONNECT_ERRORS)
CODEC: BatchCodec[Event] = BatchCodec(Event, UPCASTS)


def rows(count: int, *, at_us: int = LONG_AGO_US) -> list[JournalRow]:
    """A journal of openings, which have no rows in the read models."""
    made: list[JournalRow] = []
    for number in range(1, count + 1):
        before = made[-1] if made else None
        prev_hash = before.hash if before else GENESIS_HASH
        made.append(
            make_row(
                shard=SHARD,
                batch_seq=number,
                recorded_at_us=at_us + number,
                first_event=number - 1,
                event_count=1,
                format=1,
                codec=1,
                prev_hash=prev_hash,
                payload=CODEC.encode([WriterOpened(number, number - 1, prev_hash, "test")]),
                private=encode_private(PrivateRecords([], [], [], [], [], [])),
            )
        )
    return made


class Sides(Protocol):
    """One storage, and what others do to it."""

    def journal(self) -> Journal: ...

    async def open(self) -> Tables: ...

    async def scrub(self) -> None:
        """Announce an erasure: waits for the projector's transaction."""
        ...

    async def stand_at(self, last: JournalRow) -> None:
        """Another copy takes the place of this one, as far as that batch."""
        ...

    def losing(self, cut: Cut) -> AbstractContextManager[None]:
        """Meanwhile a commit's connection is lost, before or after it reached the server."""
        ...


@dataclass
class SimulatedSides:
    database: Database
    projections: ProjectionDatabase

    def journal(self) -> Journal:
        return SimulatedJournal(self.database, SHARD)

    async def open(self) -> Tables:
        return SimulatedTables(self.projections, SHARD)

    async def scrub(self) -> None:
        await self.projections.announce(SHARD)

    async def stand_at(self, last: JournalRow) -> None:
        await self.projections.replace(SHARD, last)

    @contextmanager
    def losing(self, cut: Cut) -> Iterator[None]:
        before = cut is Cut.BEFORE_SERVER
        chance = DiskFaults(unknown_lost=1_000) if before else DiskFaults(unknown_landed=1_000)
        self.database.faults = chance
        yield
        self.database.faults = DiskFaults()


@dataclass
class PostgresSides:
    dsn: str
    proxy: CuttingProxy
    opened: list[ProjectionStore] = field(default_factory=list)
    journals: list[PostgresJournal] = field(default_factory=list)

    def journal(self) -> Journal:
        self.journals.append(PostgresJournal(self.dsn, SHARD))
        return self.journals[-1]

    async def open(self) -> Tables:
        name = urlsplit(self.dsn).path
        proxied = f"postgresql://drawdown@127.0.0.1:{self.proxy.port}{name}"
        self.opened.append(await ProjectionStore.open(proxied, SHARD))
        return self.opened[-1]

    async def scrub(self) -> None:
        await self._execute(load("scrub")["announce"], SHARD)

    async def stand_at(self, last: JournalRow) -> None:
        await self._execute(
            "UPDATE checkpoint SET batch_seq = $2, entries = $3, recorded_at = $4, "
            "hash = $5 WHERE shard = $1",
            SHARD,
            last.batch_seq,
            last.next_event,
            last.recorded_at_us,
            last.hash,
        )

    @contextmanager
    def losing(self, cut: Cut) -> Iterator[None]:
        self.proxy.arm(cut, b"COMMIT;")
        yield

    async def _execute(self, statement: str, *arguments: object) -> None:
        connection = await asyncpg.connect(self.dsn)
        await connection.execute("SET search_path = projection")
        await connection.execute(statement, *arguments)
        await connection.close()

    async def close(self) -> None:
        for store in self.opened:
            store.close()
        for journal in self.journals:
            await journal.close()


class Now:
    """A database's clock that stands."""

    def now_us(self) -> int:
        return LONG_AGO_US + 1_000_000


@pytest.fixture(params=["simulated", "postgres"])
async def sides(request: pytest.FixtureRequest) -> AsyncIterator[Sides]:
    if request.param == "simulated":
        database = Database(Now(), Random(1), DiskFaults(), shards=1)
        yield SimulatedSides(database, ProjectionDatabase(database))
        return
    dsn = request.getfixturevalue("database")
    query = parse_qs(urlsplit(dsn).query)
    async with CuttingProxy(f"{query['host'][0]}/.s.PGSQL.{query['port'][0]}") as proxy:
        made = PostgresSides(dsn, proxy)
        store = await made.open()
        assert isinstance(store, ProjectionStore)
        await store.make_checkpoints(1)
        yield made
        await made.close()


# -- what is written -------------------------------------------------------------------------------


def account() -> Changes:
    made = Changes()
    made.accounts = [(TENANT, SHARD, ACCOUNT, None, ACCOUNT, "{}", 1, LONG_AGO_US)]
    return made


def grant() -> Changes:
    made = Changes()
    made.grants = [
        (TENANT, SHARD, GRANT, ACCOUNT, 1, 1, CREDITS, 50, 0, CREDITS, 0, LONG_AGO_US, None, [],
         [], "{}", False, None, "{}", BOOK, FUNDING, None, None, None, LONG_AGO_US)
    ]  # fmt: skip
    return made


def transfer(line: int, phase: int = c.PENDING, amount: int = 7) -> tuple[Any, ...]:
    at = LONG_AGO_US
    return (TENANT, SHARD, 9, line, BOOK, FUNDING, CREDITS, amount, phase, 1, line, 0, at, at)


def hold() -> Changes:
    """A hold of entry 9 with two slices, written in the wrong order; another line is no slice."""
    made = Changes()
    made.holds = [
        (TENANT, SHARD, HOLD, 9, ACCOUNT, PLAN, CREDITS, 12, [12], LONG_AGO_US, LONG_AGO_US, 60, 1,
         5, None, None)
    ]  # fmt: skip
    made.transfers = [transfer(1, amount=5), transfer(0), transfer(2, c.POSTED)]
    return made


def settling(state: int) -> HoldChange:
    made = HoldChange(TENANT)
    made.state, made.settled_at, made.settled_by = state, LONG_AGO_US, 11
    return made


def captured_in_part() -> HoldChange:
    """Of 7 and 5 units 7 and 1 were taken, and the hold was extended."""
    made = HoldChange(TENANT)
    made.reserved, made.captured, made.captures = [0, 4], 8, 1
    made.expires_at = LONG_AGO_US + 9
    return made


def books() -> Changes:
    made = Changes()
    made.books = [(TENANT, SHARD, BOOK, 1, CREDITS, GRANT, "grant")]
    made.moved = {BOOK: moved(10)}
    return made


def moved(pending: int) -> Moved:
    made = Moved(TENANT)
    made.debits_pending = pending
    return made


def usage() -> Changes:
    made = Changes()
    made.usage = [
        (TENANT, SHARD, 9, ACCOUNT, PLAN, CREDITS, LONG_AGO_US, LONG_AGO_US, c.APPLIED, None, False,
         False, [1], [1], 1, None, None, None, "test", "e-1", None, None, None)
    ]  # fmt: skip
    return made


def denial() -> Changes:
    made = Changes()
    made.denials = [
        (TENANT, SHARD, 9, ACCOUNT, PLAN, CREDITS, [1], 1, 0, "CREDITS", LONG_AGO_US, None)
    ]
    return made


def one_transfer() -> Changes:
    made = Changes()
    made.transfers = [transfer(0)]
    return made


def needed(what: str, number: int) -> Needed:
    made = Needed()
    getattr(made, what).add(number)
    return made


def all_needed() -> Needed:
    made = Needed()
    made.accounts.add(ACCOUNT)
    made.grants.add(GRANT)
    made.holds.add(HOLD)
    return made


async def put(tables: Tables, *changes: Changes) -> None:
    """Each in a write of its own, in one transaction."""
    async with tables.transaction():
        assert await tables.lock() is not None
        for each in changes:
            await tables.write(each, Facts())


async def refused(tables: Tables, changes: Changes) -> None:
    with pytest.raises(ProjectionDamaged):
        await put(tables, changes)


async def learned(tables: Tables, what: Needed) -> Facts:
    facts = Facts()
    async with tables.transaction():
        assert await tables.lock() is not None
        await tables.learn(what, facts)
    return facts


async def step(tables: Tables, before: Position, last: JournalRow, *changes: Changes) -> None:
    """A projector's transaction."""
    async with tables.transaction():
        assert await tables.lock() is not None
        for each in changes:
            await tables.write(each, Facts())
        await tables.advance(before, last)


def reached(last: JournalRow, scrubs: int = 0) -> Position:
    return Position(last.batch_seq, last.next_event, last.recorded_at_us, last.hash, scrubs)


# -- transactions and the lock ---------------------------------------------------------------------


async def test_nothing_stands_at_first(sides: Sides) -> None:
    tables = await sides.open()
    assert await tables.glance() == (START, 0, 0)
    async with tables.transaction():
        assert await tables.lock() == START


async def test_a_transaction_stands_whole_once_it_ended(sides: Sides) -> None:
    [row] = rows(1)
    await step(await sides.open(), START, row, account(), grant(), hold())
    another = await sides.open()
    assert (await another.glance())[0] == reached(row)
    facts = await learned(another, all_needed())
    assert facts.tenants == {ACCOUNT: TENANT} and facts.grants and facts.holds[HOLD] is not None


class OutOfTheWay(Exception):
    """Something fails."""


async def test_a_transaction_that_fails_leaves_nothing(sides: Sides) -> None:
    [row] = rows(1)
    tables = await sides.open()

    async def fail() -> None:
        async with tables.transaction():
            await tables.lock()
            await tables.write(account(), Facts())
            await tables.advance(START, row)
            raise OutOfTheWay

    with pytest.raises(OutOfTheWay):
        await fail()
    assert (await tables.glance())[0] == START
    with pytest.raises(ProjectionDamaged):
        await learned(tables, needed("accounts", ACCOUNT))
    await step(tables, START, row, account())


async def test_what_is_not_committed_is_seen_by_nobody_else(sides: Sides) -> None:
    [row] = rows(1)
    tables, another = await sides.open(), await sides.open()
    async with tables.transaction():
        await tables.lock()
        await tables.write(account(), Facts())
        await tables.advance(START, row)
        facts = Facts()
        await tables.learn(needed("accounts", ACCOUNT), facts)
        assert facts.tenants == {ACCOUNT: TENANT}, "its own changes it sees"
        assert (await tables.glance())[0] == reached(row)
        assert (await another.glance())[0] == START
    assert (await another.glance())[0] == reached(row)


async def test_one_projector_has_a_shard(sides: Sides) -> None:
    first, second = await sides.open(), await sides.open()
    async with first.transaction():
        assert await first.lock() == START
        async with second.transaction():
            assert await second.lock() is None
        async with second.transaction():
            assert await second.lock() is None, "asking twice does not help"
        assert await first.lock() == START, "it keeps what it has"
    async with second.transaction():
        assert await second.lock() == START


async def test_the_lock_ends_with_a_transaction_that_fails(sides: Sides) -> None:
    first, second = await sides.open(), await sides.open()
    with pytest.raises(ProjectionDamaged):
        await learned(first, needed("accounts", 1))
    async with second.transaction():
        assert await second.lock() == START


async def test_the_lock_ends_with_its_connection_and_nothing_stands(sides: Sides) -> None:
    [row] = rows(1)
    first, second = await sides.open(), await sides.open()
    working = first.transaction()
    await working.__aenter__()
    await first.lock()
    await first.write(account(), Facts())
    await first.advance(START, row)
    first.close()
    await until_locked(second)
    await step(second, START, row, account())


async def until_locked(tables: Tables) -> None:
    """The server hears of a connection that ended a little later."""
    async with asyncio.timeout(HANGS_S):
        while True:
            async with tables.transaction():
                if await tables.lock() is not None:
                    return
            await asyncio.sleep(0.01)


async def test_a_projector_finds_a_shard_busy_and_goes_on_when_it_is_free(sides: Sides) -> None:
    journal = sides.journal()
    for row in rows(2):
        await journal.append(row)
    holder = await sides.open()
    projector = TableProjector(sides.journal(), sides.open)
    async with holder.transaction():
        await holder.lock()
        with pytest.raises(ShardBusy):
            await projector.step()
    assert await projector.step() == 2
    assert await projector.step() == 0
    await projector.close()


# -- the checkpoint --------------------------------------------------------------------------------


async def test_a_checkpoint_moves_on_from_where_it_stood_only(sides: Sides) -> None:
    first, second, third = rows(3)
    tables = await sides.open()
    await step(tables, START, first)
    with pytest.raises(ProjectionDamaged):
        await step(tables, START, second, account())
    assert (await tables.glance())[0] == reached(first)
    await step(tables, reached(first), second, account())
    await step(tables, reached(second), third)


async def test_a_glance_shows_the_journals_end(sides: Sides) -> None:
    journal, tables = sides.journal(), await sides.open()
    written = rows(3)
    for row in written:
        await journal.append(row)
    await step(tables, START, written[0])
    assert await tables.glance() == (reached(written[0]), 3, 3)


async def test_a_report_tells_how_far_behind_the_shard_is(sides: Sides) -> None:
    """Nothing where it has all there is, and nothing below nothing where the clock is behind."""
    tables = await sides.open()
    [row], [future] = rows(1), rows(1, at_us=FAR_AHEAD_US)
    async with tables.transaction():
        await tables.lock()
        assert await tables.report(row, row.next_event, "test") == 0
        assert await tables.report(row, row.next_event + 1, "test") >= 999_999
        assert await tables.report(row, 0, "test") == 0, "the head was seen before the row was"
        assert await tables.report(future, future.next_event + 1, "test") == 0


async def test_an_erasure_moves_the_position_and_stays_in_it(sides: Sides) -> None:
    first, second = rows(2)
    tables = await sides.open()
    async with tables.transaction():
        await tables.lock()
        await tables.advance(START, first)
        announcing = asyncio.create_task(sides.scrub())
        done, _ = await asyncio.wait({announcing}, timeout=0.05)
        assert not done, "it waits for what has read private records"
    await announcing
    assert (await tables.glance())[0] == reached(first, 1)
    await step(tables, reached(first, 1), second)
    assert (await tables.glance())[0] == reached(second, 1)


async def test_a_projector_begins_anew_where_another_copy_took_the_place(sides: Sides) -> None:
    journal = sides.journal()
    written = rows(4)
    for row in written[:2]:
        await journal.append(row)
    projector = TableProjector(sides.journal(), sides.open)
    assert await projector.step() == 2
    for row in written[2:]:
        await journal.append(row)
    await sides.stand_at(written[2])
    assert await projector.step() == 1, "from where it stands now"
    await sides.stand_at(written[0])
    assert await projector.step() == 3
    await sides.scrub()
    assert await projector.step() == 0
    tables = await sides.open()
    assert await tables.glance() == (reached(written[3], 1), 4, 4)
    await projector.close()


async def test_a_copy_that_does_not_fit_the_journal_is_not_continued(sides: Sides) -> None:
    journal = sides.journal()
    for row in rows(2):
        await journal.append(row)
    await sides.stand_at(rows(1, at_us=FAR_AHEAD_US)[0])
    projector = TableProjector(sides.journal(), sides.open)
    with pytest.raises(JournalCorrupt):
        await projector.step()
    await projector.close()


# -- what is known ---------------------------------------------------------------------------------


async def test_what_was_written_is_found_again(sides: Sides) -> None:
    tables = await sides.open()
    await put(tables, account(), grant(), hold())
    facts = await learned(tables, all_needed())
    assert facts.tenants == {ACCOUNT: TENANT}
    assert facts.grants == {GRANT: GrantFact(TENANT, CREDITS, BOOK, FUNDING, 0, 0, CREDITS)}
    slices = (HoldLine(1, BOOK, FUNDING, 7, 0, 0), HoldLine(1, BOOK, FUNDING, 5, 1, 0))
    assert facts.holds == {HOLD: HoldFact(TENANT, CREDITS, LONG_AGO_US, 5, slices)}


@pytest.mark.parametrize("what", ["accounts", "grants"])
async def test_what_has_to_be_there_and_is_not_is_damage(sides: Sides, what: str) -> None:
    with pytest.raises(ProjectionDamaged):
        await learned(await sides.open(), needed(what, 7))


async def test_a_hold_that_is_not_open_is_known_as_that(sides: Sides) -> None:
    tables = await sides.open()
    await put(tables, hold())
    settled = Changes()
    settled.changed_holds = {HOLD: settling(c.HOLD_RELEASED)}
    await put(tables, settled)
    assert (await learned(tables, needed("holds", HOLD))).holds == {HOLD: None}
    assert (await learned(tables, needed("holds", 7))).holds == {7: None}
    await refused(tables, settled)


async def test_a_hold_may_begin_and_end_in_one_transaction(sides: Sides) -> None:
    tables = await sides.open()
    both = hold()
    both.changed_holds = {HOLD: settling(c.HOLD_EXPIRED)}
    await put(tables, both)
    assert (await learned(tables, needed("holds", HOLD))).holds == {HOLD: None}


async def test_what_a_capture_left_of_a_hold_is_found_again(sides: Sides) -> None:
    """In a transaction of its own and in that of the hold; the end comes once all the same."""
    tables = await sides.open()
    await put(tables, hold())
    for change in (captured_in_part(), HoldChange(TENANT)):
        part = Changes()
        part.changed_holds = {HOLD: change}
        await put(tables, part)
        fact = (await learned(tables, needed("holds", HOLD))).holds[HOLD]
        assert fact is not None and [line.amount for line in fact.lines] == [0, 4]
    settled = Changes()
    settled.changed_holds = {HOLD: settling(c.HOLD_CAPTURED)}
    await put(tables, settled)
    await refused(tables, settled)


async def test_a_hold_may_be_captured_in_part_where_it_begins(sides: Sides) -> None:
    tables = await sides.open()
    both = hold()
    both.changed_holds = {HOLD: captured_in_part()}
    await put(tables, both)
    fact = (await learned(tables, needed("holds", HOLD))).holds[HOLD]
    assert fact is not None and [line.amount for line in fact.lines] == [0, 4]


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [account, grant, hold, books, usage, denial, one_transfer])
async def test_a_row_stands_once(sides: Sides, make: Callable[[], Changes]) -> None:
    tables = await sides.open()
    await put(tables, make())
    await refused(tables, make())


async def test_a_plan_may_be_written_again(sides: Sides) -> None:
    tables = await sides.open()
    changes, facts = Changes(), Facts()
    row = (TENANT, SHARD, PLAN, "chat", "{}", ["tokens"], "card", 1, [None], CREDITS)
    changes.plans = {(TENANT, PLAN): row}
    for _ in range(2):
        async with tables.transaction():
            await tables.lock()
            await tables.write(changes, facts)
    assert facts.plans == {(TENANT, PLAN)}


async def test_counters_add_up_and_never_fall_below_zero(sides: Sides) -> None:
    tables = await sides.open()
    await put(tables, books())  # 10
    for pending in (-7, -3, 2, -2):
        change = Changes()
        change.moved = {BOOK: moved(pending)}
        await put(tables, change)
    below = Changes()
    below.moved = {BOOK: moved(-1)}
    await refused(tables, below)


def moves_nothing_there() -> Changes:
    made = Changes()
    made.moved = {7: moved(1)}
    return made


def ends_no_grant() -> Changes:
    made = Changes()
    made.changed_grants = {7: GrantChange(TENANT)}
    return made


def settles_no_hold() -> Changes:
    made = Changes()
    made.changed_holds = {7: settling(c.HOLD_RELEASED)}
    return made


def changes_no_account() -> Changes:
    made = Changes()
    made.changed_accounts = {7: AccountChange(TENANT)}
    return made


@pytest.mark.parametrize(
    "make", [moves_nothing_there, ends_no_grant, settles_no_hold, changes_no_account]
)
async def test_what_changes_has_to_be_there(sides: Sides, make: Callable[[], Changes]) -> None:
    await refused(await sides.open(), make())


# -- lost connections ------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [Cut.BEFORE_SERVER, Cut.AFTER_SERVER])
async def test_a_commit_whose_connection_is_lost_stands_whole_or_not_at_all(
    sides: Sides, cut: Cut
) -> None:
    [row] = rows(1)
    tables = await sides.open()
    with sides.losing(cut), pytest.raises(AWAY):
        await step(tables, START, row, account(), grant(), hold())
    tables.close()
    another = await sides.open()
    await until_locked(another)
    if cut is Cut.AFTER_SERVER:
        assert (await another.glance())[0] == reached(row)
        assert (await learned(another, needed("accounts", ACCOUNT))).tenants
        return
    assert (await another.glance())[0] == START
    with pytest.raises(ProjectionDamaged):
        await learned(another, needed("accounts", ACCOUNT))


async def test_a_projector_goes_on_after_a_commit_of_which_nobody_knows(sides: Sides) -> None:
    journal = sides.journal()
    for row in rows(2):
        await journal.append(row)
    projector = TableProjector(sides.journal(), sides.open)
    with sides.losing(Cut.AFTER_SERVER), pytest.raises(AWAY):
        await projector.step()
    assert await projector.step() == 0, "it had been done"
    assert (await (await sides.open()).glance())[0].entries == 2
    await projector.close()
