"""With the WAL streamed and waited for, a lost disk loses nothing that was acknowledged."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import asyncpg

from ledger.journal.embedded import EmbeddedPostgres
from ledger.journal.embedded_host import account_for
from ledger.journal.migrate import migrate
from tests.backup.restoring import make_place, recorded, restored
from tests.backup.runbook import Runbook, drawdown
from tests.crash.processes import ServerProcess
from tests.crash.workload import Workload
from tests.killing import kill_server
from tests.patience import HANGS_S

BATCHES = 25


async def test_a_disk_lost_under_load_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    place = make_place()
    postgres = EmbeddedPostgres(place / "first", sync_initdb=False)
    try:
        with postgres:
            await migrate(postgres.dsn, 4)
            variables = {"DATABASE_URL": postgres.dsn, "BACKUPS": str(place / "backups")}
            runbook = Runbook(account_for(place / "first" / "cluster"), variables)
            runbook.run("archive")
            postgres.stop()
            postgres.start()
            workload = await _until_the_disk_is_lost(postgres, runbook, tmp_path / "server.log")
        shutil.rmtree(place / "first")
        with restored(runbook, place, "") as copy:
            drawdown("check what was restored", copy.dsn)
            events = await recorded(copy.dsn)
            assert set(events.values()) == {1}
            assert events.keys() >= workload.acknowledged.keys()
            assert {number for number, _ in events} <= workload.started
    finally:
        shutil.rmtree(place)


async def _until_the_disk_is_lost(
    postgres: EmbeddedPostgres, runbook: Runbook, log: Path
) -> Workload:
    server = ServerProcess(postgres.dsn, log)
    server.start()
    try:
        await server.ready()
        workload = Workload(server.address)
        await workload.prepare()
        with runbook.started("stream the WAL"):
            await _streaming(postgres.dsn)
            runbook.run("wait for the stream")
            runbook.run("base backup")
            senders = [asyncio.create_task(workload.sender()) for _ in range(2)]
            await workload.reached(BATCHES)
            kill_server(postgres)  # in the middle of commits; its directory is never read again
        for sender in senders:
            sender.cancel()
        await asyncio.gather(*senders, return_exceptions=True)
    finally:
        server.kill()
    return workload


async def _streaming(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        async with asyncio.timeout(HANGS_S):
            while not await connection.fetchval(
                "SELECT count(*) FROM pg_stat_replication "
                "WHERE application_name = 'drawdown_archive' AND state = 'streaming'"
            ):
                await asyncio.sleep(0.05)
    finally:
        await connection.close()
