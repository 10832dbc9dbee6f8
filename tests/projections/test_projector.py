"""Read models say what the journal says, exactly once, whatever happens to their projector."""

from __future__ import annotations

import asyncio
import contextlib
import typing

import pytest

from ledger.core import events as core_events
from ledger.core.limits import DAY_US, HOUR_US
from ledger.core.outcomes import Reason
from ledger.journal.connection import open_pool
from ledger.journal.directory import TENANT_DEFAULT
from ledger.journal.errors import JournalUnavailable
from ledger.projections import fold
from ledger.projections import shard as shard_module
from ledger.projections.lag import LAG_MAX_US, Lag, Reached, read_lag
from ledger.projections.projector import ShardBusy, ShardProjector, run_projector
from ledger.projections.shard import catches_up
from ledger.projections.store import ProjectionDamaged, ProjectionStore
from ledger.verify import verify
from tests.projections.books import CREDIT, DRAW, TOKENS, Books, open_books
from tests.projections.projecting import (
    everything,
    looking,
    make_checkpoints,
    project,
    start_projector,
    until,
)

WAITS_FOR_A_LOCK = (
    "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() "
    "AND application_name LIKE 'drawdown projector%' AND wait_event_type = 'Lock'"
)
USAGE = "SELECT * FROM projection.usage WHERE tenant = $1 AND account = $2 ORDER BY entry_seq DESC"


async def agrees(dsn: str) -> None:
    report = await verify(dsn)
    assert report.ok, report.findings
    assert all(shard.projected == shard.entries for shard in report.shards), report.shards


def test_every_event_is_projected_or_known_to_have_no_row() -> None:
    without_rows = {
        core_events.PriceOverridesSet,
        core_events.PackagePricesSet,
        core_events.WriterOpened,
        core_events.CapWindowOpened,
        core_events.ConfigurationApplied,
        core_events.LimitExceeded,
        core_events.UsageMetered,
        core_events.MetersReversed,
        core_events.RequestAbandoned,
        core_events.QuoteMade,
        core_events.QuoteExpired,
        core_events.MinimumsAwaited,
        core_events.OperationJoined,
        core_events.OperationPolicySet,
        core_events.PackageOperationsSet,
        core_events.RerateShared,  # what each account is given or bears of it has one
    }
    named = {core_events.UsageRecorded, *fold.HANDLERS, *without_rows}
    assert named == set(typing.get_args(core_events.Event))


async def test_tables_say_what_the_journal_says(database: str) -> None:
    """Every kind of entry, then those that time causes; counters are compared with the replay."""
    async with open_books(database) as books:
        await books.a_bit_of_everything()
        await project(database)
        await agrees(database)
        books.clock.ahead_us += 3 * DAY_US  # holds and grants run out
        for account in list(books.accounts.values()):
            if "/left" not in account.account_id:
                await books.use(account, f"late {account.number}")
    assert await project(database) > 0
    await agrees(database)
    async with looking(database) as connection:
        states = await connection.fetch("SELECT DISTINCT state FROM projection.holds ORDER BY 1")
        assert [state for (state,) in states] == [1, 2, 3, 4], "all settled, in every way"
        charged = "SELECT sum(charge) FROM projection.usage_events WHERE by_expiry"
        assert await connection.fetchval(charged) == 6 * (5 * 3 + 1 * 15)
        parts = await connection.fetch(
            "SELECT DISTINCT state, amount, captured, captures FROM projection.holds "
            "WHERE captures <> 1 OR state = 3 ORDER BY 1, 3, 2"
        )
        assert [tuple(row) for row in parts] == [
            (1, 600, 600, 2),  # 135, then 465 of 600
            (2, 45, 0, 0),
            (2, 600, 0, 0),
            (3, 45, 0, 0),
            (3, 600, 135, 1),  # 20 x 3 + 5 x 15
            (4, 30, 30, 0),
        ]
        ended = await connection.fetch("SELECT DISTINCT state FROM projection.grants ORDER BY 1")
        assert [state for (state,) in ended] == [0, 1, 2]
        assert await connection.fetchval("SELECT count(*) FROM projection.denials") == 6


async def test_one_event_whole(database: str) -> None:
    """Quantities, charges, price rows, slices, names and personal data of one usage event."""
    async with open_books(database) as books:
        team = await books.account("team")
        issued = await books.grant(team, 900, paid=3_000)
        await books.use(team, "first")  # 100 x 3 + 20 x 15 = 600
        await books.use(team, "second")  # 300 from the grant, 300 owed
        await project(database)
        async with looking(database) as connection:
            newest = await connection.fetch(USAGE, TENANT_DEFAULT, team.number)
            assert [row["event_id"] for row in newest] == ["second", "first"]
            found = newest[0]
            assert (found["product"], found["quantity_names"]) == ("chat", list(TOKENS))
            assert (found["quantities"], found["charges"]) == ([100, 20], [300, 300])
            assert (found["charge"], found["asset"], found["over_limit"]) == (600, CREDIT, 300)
            assert (found["rate_card"], found["outcome"], found["reason"]) == ("default", 1, None)
            assert len(found["price_rows"]) == 2
            assert (found["operation"], found["operation_parent"]) == ("answer", "question")
            assert found["personal"] == '{"user": "person of second"}'
            assert found["trace"] == b"\x01" * 16
            slices = found["slices"]
            assert f'"book": {issued.book}, "cost": 0' in slices
            assert '"value": 1000' in slices, "300 of 900 units, bought for 3000"
            balance = await connection.fetch(
                "SELECT * FROM projection.trial_balance WHERE tenant = $1", TENANT_DEFAULT
            )
            units = [row for row in balance if row["asset"] == CREDIT]
            debits = sum(row["debits_posted"] for row in units)
            assert debits == sum(row["credits_posted"] for row in units) == 900 + 1_200
            money = [row for row in balance if row["asset"] != CREDIT]
            debits = sum(row["debits_posted"] for row in money)
            assert debits == sum(row["credits_posted"] for row in money) == 3_000 + 3_000


async def test_what_waits_for_a_price_is_listed(database: str) -> None:
    async with open_books(database) as books:
        team = await books.account("team")
        await books.ask(team, books.usage(team, "picture", (3,), DRAW))
        await books.ask(team, books.usage(team, "old", age_us=40 * DAY_US))
        await project(database)
        async with looking(database) as connection:
            [waiting] = await connection.fetch(
                "SELECT * FROM projection.suspense WHERE tenant = $1", TENANT_DEFAULT
            )
            assert (waiting["quantity_name"], waiting["quantity"]) == ("pictures", 3)
            assert (waiting["reason"], waiting["account"]) == ("UNPRICED", team.number)
            old = (await connection.fetch(USAGE, TENANT_DEFAULT, team.number))[0]
            assert (old["event_id"], old["outcome"]) == ("old", 3)
            assert (old["reason"], old["charges"]) == (Reason.TOO_OLD, None)


async def test_two_projectors_at_once_do_not_double(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They take turns batch by batch; whoever finds the shard moved on starts from there."""
    monkeypatch.setattr(shard_module, "STEP_EVENTS", 1)
    async with open_books(database) as books:
        await books.a_bit_of_everything()
    await make_checkpoints(database)
    steps = [0, 0]

    async def run(which: int, each: ShardProjector) -> None:
        while each.entries == 0 or each.entries < each.head_entries:
            with contextlib.suppress(ShardBusy):
                steps[which] += await each.step()
            await asyncio.sleep(0)
        await each.close()

    for shard in range(4):
        pair = [ShardProjector(database, shard), ShardProjector(database, shard)]
        for each in pair:  # else one is done before the other has connected
            await each.step()
        await asyncio.gather(*[run(which, each) for which, each in enumerate(pair)])
    assert all(steps), f"both had a share: {steps}"
    await agrees(database)


async def test_a_shard_that_another_projector_has_is_left_alone(database: str) -> None:
    async with open_books(database) as books:
        team = await books.account("team")
    await make_checkpoints(database)
    holder = await ProjectionStore.open(database, team.shard)
    each = ShardProjector(database, team.shard)
    async with holder.connection.transaction():
        assert await holder.lock() is not None
        with pytest.raises(ShardBusy):
            await each.step()
    assert await each.step() > 0
    await each.close()
    holder.close()


async def test_killed_in_the_middle_of_a_transaction(database: str) -> None:
    """SIGKILL while rows are written and the checkpoint is not: nothing of it is seen, then all."""
    async with open_books(database) as books:
        await books.a_bit_of_everything("first ")
        await project(database)
        before = await everything(database)
        await books.a_bit_of_everything("second ")
    async with looking(database) as watcher, looking(database) as holder, holder.transaction():
        await holder.execute("LOCK TABLE projection.books IN EXCLUSIVE MODE")
        process = start_projector(database)
        try:
            await until(watcher, WAITS_FOR_A_LOCK)  # its rows are copied, its counters are not
        finally:
            process.kill()
            process.wait()
    assert await everything(database) == before
    await project(database)
    await agrees(database)


async def test_killed_again_and_again(database: str) -> None:
    """A projector that lives for a moment only, under a writer that goes on, still gets there."""
    async with open_books(database) as books, looking(database) as connection:
        team = await books.account("team")
        await books.grant(team, 10**9)
        await make_checkpoints(database)
        reached = -1
        for round in range(4):
            process = start_projector(database)
            try:
                for batch in range(20):
                    await books.use(team, *[f"{round}-{batch}-{each}" for each in range(50)])
                reached = await until(
                    connection,
                    "SELECT nullif(entries, $1) FROM projection.checkpoint WHERE shard = $2",
                    reached,
                    team.shard,
                )
            finally:
                process.kill()
                process.wait()
    await project(database)
    await agrees(database)
    async with looking(database) as connection:
        assert await connection.fetchval("SELECT count(*) FROM projection.usage_events") == 4_000
        assert (
            await connection.fetchval("SELECT sum(charge) FROM projection.usage_events")
            == 2_400_000
        )


async def test_a_connection_that_is_cut_is_opened_again(database: str) -> None:
    async with open_books(database) as books, looking(database) as connection:
        team = await books.account("team")
        await make_checkpoints(database)
        each = ShardProjector(database, team.shard)
        assert await each.step() > 0
        await books.grant(team, 1_000)
        await connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name LIKE 'drawdown projector%'"
        )
        with pytest.raises(JournalUnavailable):
            await each.step()
        assert await each.step() > 0
        await each.close()
    await project(database)
    await agrees(database)


async def test_tables_that_contradict_the_journal_stop_their_shard(database: str) -> None:
    """A book that is gone is a reason to rebuild, not to go on."""
    async with open_books(database) as books:
        team = await books.account("team")
        await books.grant(team, 10**6)
        await project(database)
        async with looking(database) as connection:
            await connection.execute("DELETE FROM projection.books")
        await books.use(team, "event")
        each = ShardProjector(database, team.shard)
        with pytest.raises(ProjectionDamaged, match="drawdown rebuild"):
            await each.step()
        await each.close()


async def test_it_follows_and_tells_how_far_behind_it_is(database: str) -> None:
    """`run_projector` keeps up with a writer, reports its lag, and ends when it is told to."""
    told: list[Lag] = []
    stop = asyncio.Event()
    async with open_books(database) as books:
        running = asyncio.create_task(
            run_projector(database, by="this test", on_lag=told.append, stop=stop)
        )
        team = await books.account("team")
        await books.grant(team, 10**6)
        await books.use(team, "event")
        entries = books.ledger.writers[team.shard].state.entry_seq
        async with looking(database) as connection:
            await until(
                connection,
                "SELECT true FROM projection.checkpoint WHERE shard = $1 AND entries >= $2",
                team.shard,
                entries,
            )
            status = await connection.fetchrow(
                "SELECT * FROM projection.status WHERE shard = $1", team.shard
            )
            assert (status["entries"], status["lag_entries"], status["lag_us"]) == (entries, 0, 0)
            assert status["measured_by"] == "this test"
        stop.set()
        await running
        assert Lag(team.shard, 0, 0) in told
        pool = await open_pool(database, application_name="test")
        try:
            reached = await read_lag(pool)
        finally:
            await pool.close()
        recorded_at = books.ledger.writers[team.shard].state.recorded_at
        assert Reached(team.shard, entries, recorded_at) in reached
        assert [each.shard for each in reached] == [0, 1, 2, 3]


async def test_facts_of_earlier_entries_are_found_again(database: str) -> None:
    """Holds and grants that an earlier projector wrote are settled by a later one."""
    async with open_books(database) as books:
        team = await books.account("team")
        issued = await books.grant(team, 10**6, lifetime_us=HOUR_US)
        holds = [await books.hold(team) for _ in range(3)]
        await project(database)
        await books.release(team, holds[0])
        await books.capture(team, holds[1], (1, 1))
        await project(database)
        await agrees(database)
        books.clock.ahead_us += 2 * DAY_US
        await books.use(team, "later")
        await project(database)
        await agrees(database)
        await _grant_ended(books, issued.grant)


async def _grant_ended(books: Books, number: int) -> None:
    async with looking(books.dsn) as connection:
        grant = await connection.fetchrow(
            "SELECT * FROM projection.grant_balances WHERE number = $1", number
        )
        assert (grant["state"], grant["drawn"], grant["held"], grant["remaining"]) == (2, 18, 0, 0)
        assert grant["expired"] == 10**6 - 18


@pytest.mark.parametrize(
    ("behind", "lag_us", "written", "done", "goes_on"),
    [
        (0, 0, 0, 100, False),  # level
        (500, 60_000_001, 100, 100, True),  # further behind than it may be
        (500, 60_000_000, 100, 100, False),  # writers are busy, and need the machine
        (500, 1, 24, 100, True),  # writers are quiet
        (500, 1, 25, 100, False),
    ],
)
def test_it_rests_for_busy_writers_until_it_is_too_far_behind(
    behind: int, lag_us: int, written: int, done: int, goes_on: bool
) -> None:
    assert catches_up(behind, lag_us, LAG_MAX_US, written, done) is goes_on
