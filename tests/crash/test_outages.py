"""A database that takes no writes: callers hear the truth meanwhile.

Promise: nothing is acknowledged that is not there, and service resumes by itself.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import grpc
import pytest

from ledger.journal.embedded import EmbeddedPostgres
from ledger.journal.embedded_host import throwaway_root
from ledger.journal.migrate import migrate
from ledger.v1 import usage_pb2_grpc
from ledger.verify import verify
from tests.crash.processes import ServerProcess
from tests.crash.workload import AGAIN, RECORDED, Workload, batch_of

NEVER_SENT_BY_OTHERS = 1_000_000  # number of a batch that the workload does not reach
BATCHES = 10


@pytest.fixture
def own_postgres() -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(throwaway_root() / f"drawdown-outage-{secrets.token_hex(4)}")
    with server:
        yield server
    shutil.rmtree(server.data_dir, ignore_errors=True)


@asynccontextmanager
async def loaded(postgres: EmbeddedPostgres, log: Path) -> AsyncIterator[Workload]:
    """A server under load; at the end it must go on, and everything must add up."""
    await migrate(postgres.dsn, 4)
    server = ServerProcess(postgres.dsn, log)
    server.start()
    try:
        await server.ready()
        workload = Workload(server.address)
        await workload.prepare()
        senders = [asyncio.create_task(workload.sender()) for _ in range(2)]
        await workload.reached(BATCHES)
        yield workload
        async with asyncio.timeout(60):
            await workload.reached(len(workload.completed) + BATCHES)
        workload.stopping = True
        async with asyncio.timeout(60):
            await asyncio.gather(*senders)
        await workload.check()
        report = await verify(postgres.dsn)
        assert report.ok, report.findings
    finally:
        server.stop()


async def outcome_of_one_batch(address: str, number: int) -> str:
    """What a caller hears: "recorded", "again", or a retryable status."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub = usage_pb2_grpc.UsageServiceStub(channel)
        try:
            reply = await stub.Ingest(batch_of(number), timeout=30)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
            return "unavailable"
    outcomes = {result.outcome for result in reply.results}
    assert outcomes <= RECORDED | AGAIN, outcomes
    return "again" if outcomes & AGAIN else "recorded"


async def test_a_read_only_database_answers_retry_and_service_resumes(
    own_postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    async with loaded(own_postgres, tmp_path / "server.log") as workload:
        admin = await asyncpg.connect(own_postgres.dsn)
        try:
            await admin.execute("ALTER SYSTEM SET default_transaction_read_only = on")
            await admin.execute("SELECT pg_reload_conf()")
            heard = "recorded"
            async with asyncio.timeout(30):
                while heard == "recorded":  # until the sessions have read their settings
                    heard = await outcome_of_one_batch(workload.address, NEVER_SENT_BY_OTHERS)
                    if heard == "recorded":
                        workload.started.add(NEVER_SENT_BY_OTHERS)
            assert heard in ("again", "unavailable")
        finally:
            await admin.execute("SET default_transaction_read_only = off")
            await admin.execute("ALTER SYSTEM RESET default_transaction_read_only")
            await admin.execute("SELECT pg_reload_conf()")
            await admin.close()
        workload.started.discard(NEVER_SENT_BY_OTHERS)
        await _forget(workload, NEVER_SENT_BY_OTHERS)


async def _forget(workload: Workload, number: int) -> None:
    """The extra batch is sent until it counts, and then is one of the workload's."""
    async with asyncio.timeout(60):
        while await outcome_of_one_batch(workload.address, number) != "recorded":
            await asyncio.sleep(0.05)
    async with grpc.aio.insecure_channel(workload.address) as channel:
        stub = usage_pb2_grpc.UsageServiceStub(channel)
        reply = await stub.Ingest(batch_of(number), timeout=30)
    for index, result in enumerate(reply.results):
        workload.acknowledged[number, index] = result.charge
    workload.started.add(number)
