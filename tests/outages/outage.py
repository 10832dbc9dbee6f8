"""What the tests of outages share: a PostgreSQL of their own, a loaded server, what callers hear.

Promise of each: nothing is acknowledged that is not there, callers hear the truth meanwhile, and
service resumes by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import grpc

from ledger.journal.embedded import EmbeddedPostgres
from ledger.journal.embedded_host import throwaway_root
from ledger.journal.migrate import migrate
from ledger.v1 import usage_pb2, usage_pb2_grpc
from ledger.verify import verify
from tests.crash.processes import ServerProcess, discard
from tests.crash.workload import AGAIN, EVENTS_A_BATCH, RECORDED, Workload, batch_of
from tests.patience import HANGS_S

EXTRA = 1_000_000  # number of a batch that the workload does not reach
BATCHES = 10
SENDERS = 2
HEARD = {
    usage_pb2.INGEST_OUTCOME_RETRY: "retry",
    usage_pb2.INGEST_OUTCOME_UNKNOWN: "unknown",
}


@asynccontextmanager
async def own_postgres() -> AsyncIterator[EmbeddedPostgres]:
    """A migrated PostgreSQL that nothing else uses, gone afterwards."""
    postgres = EmbeddedPostgres(
        throwaway_root() / f"drawdown-outage-{secrets.token_hex(4)}", sync_initdb=False
    )
    try:
        await asyncio.to_thread(postgres.start)
        await migrate(postgres.dsn, 4)
        yield postgres
    finally:
        await asyncio.to_thread(discard, postgres)


@asynccontextmanager
async def administrator(dsn: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def loaded(dsn: str, log: Path, through: str = "") -> AsyncIterator[Workload]:
    """A server under load; at the end it must go on, and everything must add up.

    `through`: the DSN that the server is given, where that is not `dsn`.
    """
    server = ServerProcess(through or dsn, log)
    senders: list[asyncio.Task[None]] = []
    server.start()
    try:
        await server.ready()
        workload = Workload(server.address)
        await workload.prepare()
        senders = [asyncio.create_task(workload.sender()) for _ in range(SENDERS)]
        await progress(workload)
        yield workload
        await progress(workload)
        assert server.running, "it went on by itself"
        workload.stopping = True
        async with asyncio.timeout(HANGS_S):
            await asyncio.gather(*senders)
        await workload.check()
        report = await verify(dsn)
        assert report.ok, report.findings
    finally:
        for sender in senders:
            sender.cancel()
        await asyncio.gather(*senders, return_exceptions=True)
        await asyncio.to_thread(server.stop)  # a proxy on this loop goes on meanwhile


async def progress(workload: Workload) -> None:
    """Some more batches are acknowledged whole."""
    async with asyncio.timeout(HANGS_S):
        await workload.reached(len(workload.completed) + BATCHES)


async def heard(address: str, number: int) -> set[str]:
    """What a caller hears of one batch: "recorded", "retry", "unknown", or a status."""
    results = await ask(address, number)
    return {HEARD.get(result.outcome, "recorded") for result in results} or {"unavailable"}


async def acknowledged(workload: Workload, number: int) -> None:
    """An extra batch is sent until each event of it was recorded and then told as a replay.

    One that is to be sent again says nothing of an earlier time; one that is recorded a second time
    and no replay was counted twice.
    """
    known: dict[int, int] = {}
    counted: set[int] = set()
    replayed: set[int] = set()
    async with asyncio.timeout(HANGS_S):
        while len(replayed) < EVENTS_A_BATCH:
            for index, result in enumerate(await ask(workload.address, number)):
                if result.outcome in AGAIN:
                    continue
                assert result.charge == known.setdefault(index, result.charge), (known, result)
                if result.replayed:
                    replayed.add(index)
                else:
                    assert index not in counted, f"batch {number}, event {index}, twice: {result}"
                    counted.add(index)
            await asyncio.sleep(0.02)
    workload.acknowledged.update({(number, index): known[index] for index in known})
    workload.started.add(number)


async def ask(address: str, number: int) -> list[usage_pb2.IngestResult]:
    """The results of one batch sent once; none where the server is unavailable."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub = usage_pb2_grpc.UsageServiceStub(channel)
        try:
            reply = await stub.Ingest(batch_of(number), timeout=HANGS_S)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
            return []
    for result in reply.results:
        assert result.outcome in RECORDED | AGAIN, result
    return list(reply.results)


@asynccontextmanager
async def altered(
    dsn: str, name: str, value: str
) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """The setting of the whole PostgreSQL is that, and afterwards what it was."""
    async with administrator(dsn) as admin:
        await admin.execute("SET default_transaction_read_only = off")
        await admin.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        await admin.execute("SELECT pg_reload_conf()")
        try:
            yield admin
        finally:
            with contextlib.suppress(asyncpg.PostgresError):
                await admin.execute("SET synchronous_commit = local")
            await admin.execute(f"ALTER SYSTEM RESET {name}")
            await admin.execute("SELECT pg_reload_conf()")
