"""Rebuilding gives the same tables, beside readers and a projector that go on; erased names stay
erased."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ledger.journal.connection import connect, open_pool
from ledger.journal.directory import TENANT_DEFAULT
from ledger.projections import rebuild as rebuild_module
from ledger.projections import shard as shard_module
from ledger.projections.projector import ShardProjector, run_projector
from ledger.projections.rebuild import RebuildRunning, rebuild
from ledger.projections.scrub import forget_pending, scrub
from ledger.projections.sql import load
from ledger.verify import verify
from tests.projections.books import open_books
from tests.projections.projecting import everything, looking, make_checkpoints, project, until

NAMED = (
    "SELECT count(*) FROM projection.usage_events WHERE account = $1 AND num_nonnulls(source, "
    "event_id, operation, operation_parent, personal) > 0"
)


async def test_a_rebuild_equals_what_was_built_step_by_step(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[int, int, int]] = []
    async with open_books(database) as books:
        for round in range(3):
            await books.a_bit_of_everything(f"round {round} ")
            await project(database)
    monkeypatch.setattr(shard_module, "STEP_EVENTS", 7)
    before = await everything(database)
    done = await rebuild(database, lambda *at: told.append(at))
    assert await everything(database) == before
    assert {(shard, entries, entries) for shard, entries in enumerate(done.entries)} <= set(told)
    async with looking(database) as connection:
        left = await connection.fetch(
            "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'projection%'"
        )
        assert [name for (name,) in left] == ["projection"]
    report = await verify(database)
    assert report.ok, report.findings


async def test_a_rebuild_heals_what_was_damaged(database: str) -> None:
    async with open_books(database) as books:
        await books.a_bit_of_everything()
        await project(database)
    before = await everything(database)
    async with looking(database) as connection:
        await connection.execute("DROP SCHEMA projection CASCADE")
    await rebuild(database)
    assert await everything(database) == before


async def test_a_rebuild_beside_a_writer_and_a_projector(database: str) -> None:
    """Both go on all the time; the projector continues in the copy that was swapped in."""
    stop = asyncio.Event()
    async with open_books(database) as books, looking(database) as connection:
        team = await books.account("team")
        await books.grant(team, 10**9)
        running = asyncio.create_task(run_projector(database, stop=stop))
        count = 0

        async def write() -> None:
            nonlocal count
            while not stop.is_set():
                await books.use(team, *[f"{count}-{each}" for each in range(100)])
                count += 100

        writing = asyncio.create_task(write())
        for _ in range(3):
            await until(connection, "SELECT count(*) > 500 FROM projection.usage_events")
            await rebuild(database)
        stop.set()
        await asyncio.gather(writing, running)
    await project(database)
    report = await verify(database)
    assert report.ok, report.findings
    async with looking(database) as connection:
        assert await connection.fetchval("SELECT count(*) FROM projection.usage_events") == count


async def test_what_came_while_the_largest_shard_was_filled_is_there_before_the_swap_begins(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The swap holds the projectors still, and its session may not idle for long."""
    async with open_books(database) as books:
        team = await books.account("team")
        await project(database)
        fill, catch_up = rebuild_module._fill, rebuild_module._catch_up
        fills = 0
        late: list[int] = []

        async def filled(*arguments: Any) -> None:
            nonlocal fills
            await fill(*arguments)
            fills += 1
            if fills == 1:  # this shard was done early, and others took their time
                await books.use(team, *[f"meanwhile {each}" for each in range(100)])
                await project(database)

        async def caught_up(projector: ShardProjector, *arguments: Any) -> None:
            before = projector.entries
            await catch_up(projector, *arguments)
            if len(arguments) > 1:  # up to where the copy in use stands
                late.append(projector.entries - before)

        monkeypatch.setattr(rebuild_module, "_fill", filled)
        monkeypatch.setattr(rebuild_module, "_catch_up", caught_up)
        await rebuild(database)
        assert late == [0] * 4
    assert (await verify(database)).ok


async def test_one_rebuild_at_a_time(database: str) -> None:
    other = await connect(database, application_name="test", role=False)
    try:
        assert await other.fetchval(load("rebuild")["try_lock"])
        with pytest.raises(RebuildRunning):
            await rebuild(database)
    finally:
        other.terminate()


async def test_erased_names_do_not_come_back(database: str) -> None:
    """Neither in the tables in use, nor in a rebuild; other accounts keep theirs."""
    async with open_books(database) as books, looking(database) as connection:
        gone, kept = await books.account("gone"), await books.account("kept")
        for team in (gone, kept):
            await books.use(team, *[f"{team.number}-{each}" for each in range(10)])
        await project(database)
        assert await connection.fetchval(NAMED, gone.number) == 10
        pool = await open_pool(database, application_name="test")
        try:
            await books.ledger.directory.erase(TENANT_DEFAULT, "gone")
            done = await forget_pending(pool, books.ledger.directory)
            assert done.accounts == 1
            assert await connection.fetchval(NAMED, gone.number) == 0
            assert await connection.fetchval(NAMED, kept.number) == 10
            await rebuild(database)
            assert await connection.fetchval(NAMED, gone.number) == 0
            assert await connection.fetchval(NAMED, kept.number) == 10
            assert await scrub(pool, gone.number) == 0, "nothing was left"
        finally:
            await pool.close()
    report = await verify(database)
    assert report.ok, report.findings


async def test_names_that_a_projector_has_read_ahead_are_read_again(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that was read before the erasure does not bring the names back."""
    monkeypatch.setattr(shard_module, "STEP_EVENTS", 1)
    async with open_books(database) as books, looking(database) as connection:
        gone = await books.account("gone")
        for each in range(10):
            await books.use(gone, f"event {each}")
        await make_checkpoints(database)
        slow = ShardProjector(database, gone.shard)
        while not await connection.fetchval(NAMED, gone.number):
            await slow.step()
        pool = await open_pool(database, application_name="test")
        try:
            await books.ledger.directory.erase(TENANT_DEFAULT, "gone")
            await forget_pending(pool, books.ledger.directory)
        finally:
            await pool.close()
        while await slow.step():
            pass
        await slow.close()
        count = "SELECT count(*) FROM projection.usage_events"
        assert await connection.fetchval(count) == 10
        assert await connection.fetchval(NAMED, gone.number) == 0
