"""The server is killed again and again while it replays, and then lives."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import grpc

from ledger.v1 import usage_pb2, usage_pb2_grpc
from ledger.verify import verify
from tests.crash.processes import ServerProcess
from tests.crash.workload import (
    ACCOUNTS,
    AGAIN,
    RECORDED,
    RETRIED_CODES,
    TENANT,
    Workload,
    account_name,
    patient_channel,
)
from tests.patience import HANGS_S

from .outage import administrator

EVENTS_A_CALL = 4_000
CALLS = 8  # x 4,000 = 32,000 entries
SENT_AGAIN = 3
READS = (9, 10, 12)  # the clocks and heads of four shards are read first, then their pages
SHARDS = 4
NEVER = 10**9

REPLAYING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
    "AND application_name LIKE 'drawdown shard % reader'"
)
CHECKPOINTS = "SELECT count(*) FROM ledger.checkpoint WHERE batch_seq > 0"
ROWS = "SELECT count(*) FROM ledger.journal"


async def test_kills_during_replay_leave_everything_as_it_was(
    database: str, tmp_path: Path
) -> None:
    server = ServerProcess(
        database,
        tmp_path / "log",
        checkpoint_entries=NEVER,
        checkpoint_interval_s=3_600,
    )
    server.start()
    try:
        await server.ready()
        await Workload(server.address).prepare()
        before = await send(server.address, range(CALLS))
        server.kill()  # so that no last checkpoint is made
        async with administrator(database) as admin:
            amid = [await _killed_amid_replay(server, admin, read) for read in READS]
            assert not await admin.fetchval(CHECKPOINTS)
        assert all(amid), "each was killed before all was replayed"
        server.start()
        await server.ready()
        again = await send(server.address, range(SENT_AGAIN))
        assert again == [(charge, True) for charge, _ in before[: len(again)]]
        report = await verify(database)
        assert report.ok, report.findings
        assert sum(shard.usage_events for shard in report.shards) == EVENTS_A_CALL * CALLS
    finally:
        await asyncio.to_thread(server.stop)


async def _killed_amid_replay(
    server: ServerProcess, admin: asyncpg.Connection[asyncpg.Record], read: int
) -> bool:
    """Killed at its n-th read of the journal; whether a shard was not open yet."""
    async with asyncio.timeout(HANGS_S):
        while await admin.fetchval(REPLAYING):  # of the one before
            await asyncio.sleep(0.01)
        rows = await admin.fetchval(ROWS)
        server.start_with(failpoint=f"read.answered:{read}")
        while server.running:
            await asyncio.sleep(0.01)
    return bool(await admin.fetchval(ROWS) < rows + SHARDS)  # a writer that opens adds a row


async def send(address: str, numbers: range) -> list[tuple[int, bool]]:
    """All events until each is acknowledged: what it cost, and whether it was there already."""
    async with patient_channel(address) as channel:
        stub = usage_pb2_grpc.UsageServiceStub(channel)
        return [pair for number in numbers for pair in await _call(stub, number)]


async def _call(stub: usage_pb2_grpc.UsageServiceAsyncStub, number: int) -> list[tuple[int, bool]]:
    events = [
        usage_pb2.UsageEvent(
            id=f"event-{number}-{index}",
            account=account_name(index % ACCOUNTS),
            quantities={"tokens": 1 + index % 50},
        )
        for index in range(EVENTS_A_CALL)
    ]
    request = usage_pb2.IngestRequest(tenant=TENANT, source="long", product="chat", events=events)
    first: dict[int, tuple[int, bool]] = {}
    async with asyncio.timeout(HANGS_S):
        while len(first) < EVENTS_A_CALL:
            try:
                reply = await stub.Ingest(request)
            except grpc.aio.AioRpcError as error:
                if error.code() not in RETRIED_CODES:
                    raise
                continue
            for index, result in enumerate(reply.results):
                assert result.outcome in RECORDED | AGAIN, result
                if result.outcome in RECORDED:
                    first.setdefault(index, (result.charge, result.replayed))
    return [first[index] for index in range(EVENTS_A_CALL)]
