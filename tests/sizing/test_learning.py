"""What is learned of the read models: once each, whoever learns, whatever is killed meanwhile."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import asyncpg
import pytest

from ledger.core.commands import AcquireLease, LeasedUsage
from ledger.core.events import LEASED_QUANTITY, LeaseLapse, SizedBy
from ledger.core.limits import DAY_US, MINUTE_US
from ledger.core.outcomes import Refusal
from ledger.core.shapes import Shape
from ledger.journal.connection import open_pool
from ledger.projections.rebuild import rebuild
from ledger.sizing import learning
from ledger.sizing.learned import Learned
from ledger.sizing.learning import Learner
from ledger.sizing.rules import FORTNIGHT_US, SizingRule, SizingSet, SizingVersion
from ledger.sizing.sketches import Sketch
from tests.patience import HANGS_S
from tests.projections.books import AGENT, CHAT, Books, open_books
from tests.projections.projecting import SHARDS, looking, project

RULE = SizingRule("chat", ("output_tokens",), 900, observations_min=10)
LEARN = (
    "import asyncio, sys; from ledger.sizing.learning import Learner\n"
    "async def run():\n"
    "    learner = Learner(sys.argv[1], 4)\n"
    "    while await learner.step() >= 0:\n"
    "        print('learned', flush=True)\n"
    "asyncio.run(run())"
)


async def learn_all(dsn: str) -> int:
    learner = Learner(dsn, SHARDS)
    seen = 0
    try:
        while (step := await learner.step()) >= 0:
            seen += step
    finally:
        learner.close()
    return seen


async def rules(books: Books, *given: SizingRule) -> None:
    made = await books.ledger.publish_sizing(1, SizingSet(given))
    assert not hasattr(made, "reason"), made


async def observations(dsn: str) -> dict[tuple[int, str], int]:
    """(account, quantity) -> how much was seen, over all shards and fortnights."""
    async with looking(dsn) as connection:
        rows = await connection.fetch(
            "SELECT account, quantity, sum(observations) AS seen, array_agg(sketch) AS kept "
            "FROM projection.sizing_sketches GROUP BY account, quantity"
        )
    for row in rows:
        assert sum(Sketch(each).observations for each in row["kept"]) == row["seen"]
    return {(row["account"], row["quantity"]): int(row["seen"]) for row in rows}


async def used(books: Books, name: str, count: int) -> Any:
    entry = await books.account(name)
    await books.grant(entry, 10**9)
    for start in range(0, count, 500):
        ids = [f"{name}-{number}" for number in range(start, min(start + 500, count))]
        await books.use(entry, *ids)
    return entry


async def test_all_usage_is_learned_once_whoever_learns(database: str) -> None:
    """Two learners at once, and a third that takes over from where they were."""
    async with open_books(database) as books:
        await rules(books, RULE)
        first = await used(books, "first", 700)
        second = await used(books, "second", 300)
        await project(database)
        assert sum(await asyncio.gather(learn_all(database), learn_all(database))) == 1_000
        await books.use(first, "one more")
        await project(database)
    assert await learn_all(database) == 1 and await learn_all(database) == 0
    assert await observations(database) == {
        (first.number, "output_tokens"): 701,
        (second.number, "output_tokens"): 300,
        (0, "output_tokens"): 1_001,
    }


async def test_learners_in_turn_lose_nothing_of_each_other(database: str) -> None:
    """What one keeps in memory is out of date once another was there."""
    learners = [Learner(database, SHARDS) for _ in range(2)]
    async with open_books(database) as books:
        await rules(books, RULE)
        team = await books.account("team")
        await books.grant(team, 10**9)
        for turn in range(6):
            await books.use(team, *[f"{turn} {number}" for number in range(10)])
            await project(database)
            assert await learners[turn % 2].step() == 10
    for each in learners:
        each.close()
    assert (await observations(database))[(team.number, "output_tokens")] == 60


async def test_a_learner_that_is_killed_leaves_nothing_half_learned(database: str) -> None:
    """SIGKILL while its sketches are written and how far it came is not: then each counts once."""
    async with open_books(database) as books:
        await rules(books, RULE)
        team = await used(books, "team", 400)
        await project(database)
        assert await learn_all(database) == 400
        await books.use(team, *[f"more {number}" for number in range(100)])
        await project(database)
    async with looking(database) as watcher, looking(database) as holder, holder.transaction():
        await holder.execute("LOCK TABLE projection.sizing_sketches IN EXCLUSIVE MODE")
        process = start_learner(database)
        try:
            await until(
                watcher,
                "SELECT true FROM pg_stat_activity WHERE application_name = 'drawdown sizing' "
                "AND wait_event_type = 'Lock' LIMIT 1",
            )
        finally:
            process.kill()
            process.wait()
    assert (await observations(database))[(team.number, "output_tokens")] == 400
    assert await learn_all(database) == 100
    assert (await observations(database))[(team.number, "output_tokens")] == 500


def start_learner(dsn: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", LEARN, dsn])


async def until(connection: asyncpg.Connection, question: str) -> None:
    async with asyncio.timeout(HANGS_S):
        while not await connection.fetchval(question):
            await asyncio.sleep(0.02)


async def test_a_rebuild_empties_what_was_learned_and_it_is_learned_again(database: str) -> None:
    async with open_books(database) as books:
        await rules(books, RULE)
        await used(books, "team", 200)
        await project(database)
    learner = Learner(database, SHARDS)  # one that was there before and goes on
    assert await learner.step() == 200
    before = await observations(database)
    await rebuild(database)
    assert await observations(database) == {}
    assert await learner.step() == 200
    assert await observations(database) == before
    learner.close()
    assert await learn_all(database) == 0


async def test_usage_of_leases_counts_and_what_an_expiry_has_charged_does_not(
    database: str,
) -> None:
    """A lease's usage as plain usage; a hold that its product charges at its expiry was never
    more than an estimate; a capture that comes after an expiry has happened."""
    async with open_books(database) as books:
        await rules(books, RULE, SizingRule("agent", ("output_tokens",), 900))
        team = await books.account("team")
        await books.grant(team, 10**9)
        (lease,) = await books.ask(
            team,
            AcquireLease(
                books.key(team), team.number, Shape("chat", (), (LEASED_QUANTITY,)), "edge",
                10**6, 0, 10 * MINUTE_US, LeaseLapse.RETURN,
            ),
        )  # fmt: skip
        assert not isinstance(lease, Refusal)
        for number in range(3):
            plain = books.usage(team, f"leased {number}")
            (outcome,) = await books.ask(
                team,
                LeasedUsage(
                    plain.key, team.number, CHAT, plain.quantities, 0, plain.names,
                    plain.operation, plain.personal, hold=lease.hold,
                ),
            )  # fmt: skip
            assert not isinstance(outcome, Refusal), outcome
        late = await books.hold(team, lifetime_us=MINUTE_US)
        await books.hold(team, lifetime_us=MINUTE_US, shape=AGENT)
        books.clock.ahead_us += 2 * MINUTE_US
        await books.capture(team, late, (100, 55))
        await project(database)
        async with looking(database) as connection:
            charged = await connection.fetchval(
                "SELECT count(*) FROM projection.usage_events WHERE by_expiry"
            )
        assert charged == 1
    assert await learn_all(database) == 4


async def test_what_is_older_than_the_fortnight_before_is_forgotten(database: str) -> None:
    async with open_books(database) as books:
        await rules(books, RULE)
        team = await used(books, "team", 50)
        pool = await open_pool(database, application_name="this test")
        for weeks, seen in ((2, 50 + 30), (2, 30 + 30), (6, 30)):
            books.clock.ahead_us += weeks * 7 * DAY_US
            await books.use(team, *[f"{books.clock.ahead_us} {each}" for each in range(30)])
            await project(database)
            await learn_all(database)
            [sized] = await Learned(pool).sizes(1, RULE, {}, team.number, books.clock.now_us())
            assert (sized.by, sized.observations, sized.value) == (SizedBy.ACCOUNT, seen, 20)
        await pool.close()
    async with looking(database) as connection:
        kept = await connection.fetchval("SELECT count(*) FROM projection.sizing_sketches")
    assert kept == 2  # the account's and the tenant's, of one fortnight
    assert FORTNIGHT_US == 14 * DAY_US


async def test_what_was_fed_longest_ago_goes_first(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most five a tenant and shard: the tenant's own, and four accounts'."""
    monkeypatch.setattr(learning, "SKETCHES_MAX", 5)
    async with open_books(database) as books:
        await rules(books, RULE)
        team = await books.account("team")
        await books.grant(team, 10**9)
        children = [await books.account(f"team/{number}", "team") for number in range(7)]
        for child in children:  # one family is on one shard
            await books.grant(child, 10**6)
            await books.use(child, f"of {child.number}")
            await project(database)
            await learn_all(database)
    kept = {account for account, _ in await observations(database)}
    assert kept == {0, *[child.number for child in children[3:]]}


async def test_a_new_rule_learns_from_the_last_entries(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a stretch at a time."""
    monkeypatch.setattr(learning, "HISTORY_ENTRIES", 120)
    monkeypatch.setattr(learning, "STRETCH_ENTRIES", 7)
    async with open_books(database) as books:
        team = await used(books, "team", 400)
        await rules(books, RULE)
        await project(database)
    # A batch of usage has its plan and books beside it; the rules are an entry of every shard.
    assert 100 <= await learn_all(database) <= 120
    assert (await observations(database))[(team.number, "output_tokens")] <= 120


async def test_where_the_database_is_away_nothing_is_learned(database: str) -> None:
    """And what was known stays known."""
    async with open_books(database) as books:
        await rules(books, RULE)
        team = await used(books, "team", 20)
        now_us = books.clock.now_us()
        await project(database)
    await learn_all(database)
    pool = await open_pool(database, application_name="this test")
    learned = Learned(pool, fresh_s=0)
    [known] = await learned.sizes(1, RULE, {}, team.number, now_us)
    assert known.by == SizedBy.ACCOUNT
    await pool.close()
    for _ in range(3):
        assert await learned.sizes(1, RULE, {}, team.number, now_us) == (known,)
        await asyncio.sleep(0)
    [unknown] = await learned.sizes(1, RULE, {}, team.number + 1, now_us)
    assert (unknown.by, unknown.observations) == (SizedBy.NONE, 0)
    await learned.close()


def test_a_rule_of_an_account_goes_before_one_of_all() -> None:
    mine = SizingRule("chat", ("q",), 900, account="acme", floor=5, ceiling=9)
    version = SizingVersion(3, SizingSet((RULE, mine)))
    assert version.rule("chat", "acme") is mine
    assert version.rule("chat", "other") is RULE
    assert version.rule("image", "acme") is None
    assert [mine.size(100, value) for value in (1, 7, 40)] == [5, 7, 9]
    assert mine.size(3, 40) == 3
