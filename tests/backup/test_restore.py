"""Backup under load, a lost data directory, and restores to a moment: the runbook, executed.

Promise: what was acknowledged before the moment is there once, nothing of after it is; sent again,
everything counts once.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import asyncpg
import grpc
import pytest

from ledger.journal.embedded import EmbeddedPostgres
from ledger.journal.embedded_host import account_for
from ledger.journal.errors import EmbeddedUnavailable
from ledger.journal.migrate import migrate
from ledger.v1 import balance_pb2, balance_pb2_grpc
from ledger.verify import verify
from tests.backup.restoring import make_place, recorded, restored
from tests.backup.runbook import Runbook, drawdown
from tests.crash.processes import ServerProcess
from tests.crash.workload import TENANT, Workload, account_name, insisting, send_again
from tests.killing import kill_server
from tests.patience import HANGS_S

SENDERS = 2
BATCHES_BETWEEN = 25
MOMENT = "before-upgrade"
Heads = dict[tuple[int, int], bytes]


@dataclass
class Disaster:
    """What was known when the data directory was lost."""

    runbook: Runbook
    place: Path
    workload: Workload
    acknowledged: set[tuple[int, int]]  # events, before the moment
    started: set[int]  # batches, before or at the moment
    targets: dict[str, str]
    position: str  # of a read after the moment
    heads: Heads

    def target(self, kind: str) -> str:
        return f"recovery_target_{kind} = '{self.targets[kind]}'"


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A directory for backups and clusters, of the user that PostgreSQL runs as."""
    path = make_place()
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def disaster(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Disaster:
    return asyncio.run(_disaster(place, tmp_path_factory.mktemp("first") / "server.log"))


async def _disaster(place: Path, log: Path) -> Disaster:
    postgres = EmbeddedPostgres(place / "first", sync_initdb=False)
    with postgres:
        await migrate(postgres.dsn, 4)
        variables = {"DATABASE_URL": postgres.dsn, "BACKUPS": str(place / "backups")}
        runbook = Runbook(account_for(place / "first" / "cluster"), variables)
        runbook.run("archive")
        postgres.stop()
        postgres.start()
        async with serving(postgres.dsn, log) as server:
            found = await _until_disaster(server, runbook, place)
            server.kill()
            kill_server(postgres)
    shutil.rmtree(place / "first")
    return found


async def _until_disaster(server: ServerProcess, runbook: Runbook, place: Path) -> Disaster:
    """Load all the time; a base backup; a moment; what comes after it."""
    workload = Workload(server.address)
    await workload.prepare()
    senders = [asyncio.create_task(workload.sender()) for _ in range(SENDERS)]
    await workload.reached(BATCHES_BETWEEN)
    await asyncio.to_thread(runbook.run, "base backup")
    assert not all(sender.done() for sender in senders)
    await workload.reached(len(workload.completed) + BATCHES_BETWEEN)
    acknowledged = set(workload.acknowledged)
    named, time = (await asyncio.to_thread(runbook.run, "name a moment")).split("\n")[:2]
    started = set(workload.started)
    await workload.reached(len(workload.completed) + BATCHES_BETWEEN)
    workload.stopping = True
    await asyncio.gather(*senders)
    position = await _position(server)
    await _archive_all(runbook.variables["DATABASE_URL"])
    return Disaster(
        runbook,
        place,
        workload,
        acknowledged,
        started,
        {"name": MOMENT, "time": time, "lsn": named},
        position,
        await _heads(runbook.variables["DATABASE_URL"]),
    )


@pytest.mark.parametrize("kind", ["name", "time", "lsn"])
async def test_a_lost_database_comes_back_as_it_was_at_a_moment(
    disaster: Disaster, kind: str
) -> None:
    with restored(disaster.runbook, disaster.place, disaster.target(kind)) as postgres:
        drawdown("check what was restored", postgres.dsn)
        heads = await _heads(postgres.dsn)
        assert heads.items() < disaster.heads.items(), "a true beginning of what was"
        events = await recorded(postgres.dsn)
        assert set(events.values()) == {1}
        assert events.keys() >= disaster.acknowledged
        assert {number for number, _ in events} <= disaster.started
        assert len(events) < len(disaster.workload.acknowledged)


async def test_without_a_target_nothing_that_was_archived_is_lost(disaster: Disaster) -> None:
    with restored(disaster.runbook, disaster.place, "") as postgres:
        drawdown("check what was restored", postgres.dsn)
        assert await _heads(postgres.dsn) == disaster.heads
        events = await recorded(postgres.dsn)
        assert set(events.values()) == {1}
        assert events.keys() == disaster.workload.acknowledged.keys()


def test_a_moment_that_the_archive_does_not_reach_is_an_error(disaster: Disaster) -> None:
    never = restored(disaster.runbook, disaster.place, "recovery_target_name = 'never'")
    with pytest.raises(EmbeddedUnavailable, match="before configured recovery target"):
        never.__enter__()
    never.__exit__()


async def test_a_restored_database_is_kept_and_callers_send_again(
    disaster: Disaster, tmp_path: Path
) -> None:
    """Server, callers, backups go on: what is sent again counts once, the new archive is whole."""
    with restored(disaster.runbook, disaster.place, disaster.target("name")) as postgres:
        before = await recorded(postgres.dsn)
        heads = await _heads(postgres.dsn)
        archive = disaster.place / "backups-2"
        again = Runbook(
            disaster.runbook.account, {"DATABASE_URL": postgres.dsn, "BACKUPS": str(archive)}
        )
        again.run("archive")
        postgres.stop()
        postgres.start()
        again.run("base backup")
        async with serving(postgres.dsn, tmp_path / "server.log") as server:
            await _refuses_positions_from_after(disaster, server)
            assert await send_again(server.address, disaster.workload.started) == before.keys()
            disaster.workload.address = server.address
            await disaster.workload.check()
        report = await verify(postgres.dsn)
        assert report.ok, report.findings
        kept = await _heads(postgres.dsn)
        for shard in {shard for shard, _ in heads}:
            after = (shard, max(seq for of, seq in heads if of == shard) + 1)
            assert kept[after] != disaster.heads.get(after), "a head from after is not there"
        await _archive_all(postgres.dsn)
    with restored(disaster.runbook, disaster.place, "", archive) as postgres:
        assert await _heads(postgres.dsn) == kept


# -- what is looked at -----------------------------------------------------------------------------


async def _refuses_positions_from_after(disaster: Disaster, server: ServerProcess) -> None:
    """A position from after the moment is refused, not answered from before it."""
    request = balance_pb2.BalanceServiceGetRequest(
        tenant=TENANT, account=account_name(0), min_position=disaster.position
    )
    async with grpc.aio.insecure_channel(server.address) as channel:
        stub = balance_pb2_grpc.BalanceServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await insisting(partial(stub.Get, request))
        assert refused.value.code() == grpc.StatusCode.OUT_OF_RANGE


async def _position(server: ServerProcess) -> str:
    async with grpc.aio.insecure_channel(server.address) as channel:
        stub = balance_pb2_grpc.BalanceServiceStub(channel)
        request = balance_pb2.BalanceServiceGetRequest(tenant=TENANT, account=account_name(0))
        found = await insisting(partial(stub.Get, request))
    return str(found.position)


async def _heads(dsn: str) -> Heads:
    """The hash of every journal row."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch("SELECT shard, batch_seq, hash FROM ledger.journal")
    finally:
        await connection.close()
    return {(shard, batch_seq): hashed for shard, batch_seq, hashed in rows}


# -- machinery -------------------------------------------------------------------------------------


@asynccontextmanager
async def serving(dsn: str, log: Path) -> AsyncIterator[ServerProcess]:
    server = ServerProcess(dsn, log, projector=True)
    server.start()
    try:
        await server.ready()
        yield server
    finally:
        server.stop()


async def _archive_all(dsn: str) -> None:
    """What the next `archive_timeout` does: close the segment, and wait until it is archived."""
    connection = await asyncpg.connect(dsn)
    try:
        last = await connection.fetchval("SELECT pg_walfile_name(pg_switch_wal())")
        async with asyncio.timeout(HANGS_S):
            while not await connection.fetchval(
                "SELECT last_archived_wal >= $1 FROM pg_stat_archiver", last
            ):
                await asyncio.sleep(0.05)
    finally:
        await connection.close()
