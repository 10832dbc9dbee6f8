"""A logical copy, taken beside running traffic: whole by itself, with read models or without."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from ledger.journal.embedded import EmbeddedPostgres
from ledger.journal.embedded_host import account_for, make_owned
from ledger.verify import verify
from tests.backup.runbook import Runbook, drawdown
from tests.crash.processes import ServerProcess
from tests.crash.workload import Workload, send_again
from tests.projections.projecting import project

BATCHES = 10


@pytest.mark.parametrize("title", ["dump", "dump without read models"])
async def test_a_dump_taken_under_load_is_a_whole_ledger(
    postgres_server: EmbeddedPostgres,
    database: str,
    empty_database: str,
    tmp_path: Path,
    title: str,
) -> None:
    account = account_for(postgres_server.data_dir / "cluster")
    backups = postgres_server.data_dir / f"backups-{len(title)}"
    make_owned(backups, account)
    variables = {"DATABASE_URL": database, "COPY_URL": empty_database, "BACKUPS": str(backups)}
    runbook = Runbook(account, variables)
    server = ServerProcess(database, tmp_path / "server.log", projector=True)
    server.start()
    try:
        await server.ready()
        workload = Workload(server.address)
        await workload.prepare()
        sender = asyncio.create_task(workload.sender())
        await workload.reached(BATCHES)
        acknowledged = len(workload.acknowledged)
        await asyncio.to_thread(runbook.run, title)
        workload.stopping = True
        await sender
    finally:
        server.stop()
    runbook.run("load the dump")
    shutil.rmtree(backups)
    drawdown("prepare the copy", empty_database)
    await project(empty_database)
    report = await verify(empty_database)
    assert report.ok, report.findings
    usage_events = sum(shard.usage_events for shard in report.shards)
    assert acknowledged <= usage_events <= len(workload.acknowledged)
    if title == "dump":
        return
    copy = ServerProcess(empty_database, tmp_path / "copy.log")
    copy.start()
    try:
        await copy.ready()
        workload.address = copy.address
        await send_again(copy.address, workload.started)  # with what came after the dump
        await workload.check()
    finally:
        copy.stop()
