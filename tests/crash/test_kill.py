"""SIGKILL of the server, and of PostgreSQL, at random moments under load.

Promise: every event is counted exactly once, and whatever was acknowledged is there. `make faults`
kills hundreds of times.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import shutil
from collections.abc import Awaitable, Iterator
from pathlib import Path

import pytest

from ledger.journal.embedded import EmbeddedPostgres
from ledger.journal.embedded_host import throwaway_root
from ledger.journal.migrate import migrate
from ledger.verify import verify
from tests.crash.processes import ServerProcess
from tests.crash.workload import Workload
from tests.killing import kill_server
from tests.patience import HANGS_S

SENDERS = 4
KILLS = 6
BATCHES_BETWEEN_KILLS = 25


async def _run(workload: Workload, chaos: Awaitable[None]) -> None:
    senders = [asyncio.create_task(workload.sender()) for _ in range(SENDERS)]
    try:
        await chaos
    finally:
        workload.stopping = True
    async with asyncio.timeout(HANGS_S):
        await asyncio.gather(*senders)


async def test_the_server_is_killed_under_load(database: str, throwaway_log: Path) -> None:
    chance = random.Random(1)
    server = ServerProcess(database, throwaway_log, projector=True)
    server.start()
    try:
        await server.ready()
        workload = Workload(server.address)
        await workload.prepare()

        async def kills() -> None:
            for kill in range(KILLS):
                async with asyncio.timeout(HANGS_S):
                    await workload.reached((kill + 1) * BATCHES_BETWEEN_KILLS)
                await asyncio.sleep(chance.random() / 50)  # the moment is the test's input
                server.kill()
                server.start()
                await server.ready()

        await _run(workload, kills())
        await workload.check()
        await _verify(database)
    finally:
        server.stop()


async def test_the_server_is_killed_amid_checkpoints_and_pages(
    database: str, throwaway_log: Path
) -> None:
    """Everything is checkpointed and leaves memory all the time; no outcome differs."""
    chance = random.Random(5)
    server = ServerProcess(
        database,
        throwaway_log,
        checkpoint_entries=100,
        checkpoint_interval_s=1,
        resident_families=1,
        idle_s=1,
    )
    server.start()
    try:
        await server.ready()
        workload = Workload(server.address)
        await workload.prepare()

        async def kills() -> None:
            for kill in range(KILLS // 2):
                async with asyncio.timeout(HANGS_S):
                    await workload.reached((kill + 1) * BATCHES_BETWEEN_KILLS)
                await asyncio.sleep(chance.random() / 50)  # the moment is the test's input
                server.kill()
                server.start()
                await server.ready()

        await _run(workload, kills())
        server.stop()
        server.start()
        await server.ready()
        await workload.check()
        report = await verify(database)
        assert report.ok, report.findings
        busy = [shard for shard in report.shards if shard.usage_events]
        assert busy and all(shard.checkpointed for shard in busy)
    finally:
        server.stop()
    log = await asyncio.to_thread(throwaway_log.read_text)
    assert "is ignored" not in log and "takes no checkpoints" not in log


async def test_postgres_is_killed_under_load(
    own_postgres: EmbeddedPostgres, throwaway_log: Path
) -> None:
    await migrate(own_postgres.dsn, 4)
    chance = random.Random(3)
    server = ServerProcess(own_postgres.dsn, throwaway_log)
    server.start()
    try:
        await server.ready()
        workload = Workload(server.address)
        await workload.prepare()

        async def kills() -> None:
            for kill in range(KILLS // 2):
                async with asyncio.timeout(HANGS_S):
                    await workload.reached((kill + 1) * BATCHES_BETWEEN_KILLS)
                await asyncio.sleep(chance.random() / 50)  # the moment is the test's input
                await asyncio.to_thread(kill_server, own_postgres)
                await asyncio.to_thread(own_postgres.start)

        await _run(workload, kills())
        await workload.check()
        await _verify(own_postgres.dsn)
    finally:
        server.stop()


async def _verify(dsn: str) -> None:
    report = await verify(dsn)
    assert report.ok, report.findings


@pytest.fixture
def own_postgres() -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL that nothing else uses: this test kills it."""
    server = EmbeddedPostgres(throwaway_root() / f"drawdown-crash-{secrets.token_hex(4)}")
    with server:
        yield server
    shutil.rmtree(server.data_dir, ignore_errors=True)


@pytest.fixture
def throwaway_log(tmp_path: Path) -> Path:
    return tmp_path / "server.log"
