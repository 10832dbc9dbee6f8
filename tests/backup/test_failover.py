"""The primary is lost for good and its synchronous standby takes over: two servers lose nothing."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from ledger.journal.embedded import EmbeddedPostgres
from ledger.journal.embedded_host import account_for, make_owned
from ledger.journal.migrate import migrate
from ledger.verify import verify
from tests.backup.restoring import make_place
from tests.backup.runbook import Runbook
from tests.crash.processes import ServerProcess
from tests.crash.workload import Workload
from tests.killing import kill_server
from tests.patience import HANGS_S

BATCHES = 20


async def test_a_synchronous_standby_takes_over_under_two_servers(tmp_path: Path) -> None:
    place = make_place()
    standby, socket = place / "standby", place / "socket"
    make_owned(socket, account_for(socket))
    primary = EmbeddedPostgres(place / "first", sync_initdb=False)
    options = f"-k {socket} -c listen_addresses= -c hot_standby=on"
    variables = {"STANDBY": str(standby), "STANDBY_OPTIONS": options}
    try:
        with primary:
            await migrate(primary.dsn, 4)
            runbook = Runbook(
                account_for(place / "first" / "cluster"), variables | {"DATABASE_URL": primary.dsn}
            )
            runbook.run("make a standby")
            runbook.run("start the standby")
            try:
                runbook.run("wait for the standby")
                await _lose_the_primary(primary, runbook, socket, tmp_path)
            finally:
                runbook.run("stop the standby")
    finally:
        shutil.rmtree(place)


async def _lose_the_primary(
    primary: EmbeddedPostgres, runbook: Runbook, socket: Path, logs: Path
) -> None:
    both = f"{_host_of(primary.dsn)},{socket}"
    dsn = f"postgresql://drawdown@/drawdown?host={both}&target_session_attrs=read-write"
    servers = [ServerProcess(dsn, logs / f"{name}.log") for name in ("a", "b")]
    try:
        for server in servers:
            server.start()
        for server in servers:
            await server.ready()
        workload = Workload(servers[0].address)
        await workload.prepare()
        senders = [asyncio.create_task(workload.sender()) for _ in range(3)]
        await workload.reached(BATCHES)
        kill_server(primary)  # in the middle of commits, and never started again
        await asyncio.to_thread(runbook.run, "promote the standby")
        async with asyncio.timeout(HANGS_S):
            await workload.reached(len(workload.completed) + BATCHES)
        workload.stopping = True
        async with asyncio.timeout(HANGS_S):
            await asyncio.gather(*senders)
        await workload.check()
        report = await verify(dsn)
        assert report.ok, report.findings
    finally:
        for server in servers:
            server.stop()


def _host_of(dsn: str) -> str:
    return parse_qs(urlsplit(dsn).query)["host"][0]
