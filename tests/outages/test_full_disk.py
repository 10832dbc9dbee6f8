"""The disk is full: for the tables, or for the WAL, where PostgreSQL stops itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psutil

from tests.crash.workload import AGAIN
from tests.patience import HANGS_S

from .limits import full_at, space_again
from .outage import EXTRA, acknowledged, administrator, ask, heard, loaded, own_postgres

WAL_SEGMENT_BYTES = 16 << 20  # made ahead at this size; no more than this still lets it be written
BELOW_ANY_SEGMENT_BYTES = 8_192
SENT_AGAIN = 50
ROWS = 13_000  # x 1.4 kB = 18 MB
GROW = (
    "INSERT INTO ledger.journal SELECT 9999, n, 1, 1, 1, 1, 1, "
    "decode(repeat('00', 32), 'hex'), decode(repeat('00', 32), 'hex'), "
    "decode(repeat('00', 1300), 'hex') FROM generate_series(2, $1::int) n"
)


async def test_tables_that_cannot_grow_lose_nothing_and_service_resumes(tmp_path: Path) -> None:
    """An event that was recorded before is meanwhile told as a replay, or is to be sent again."""
    async with own_postgres() as postgres, loaded(postgres.dsn, tmp_path / "log") as workload:
        await acknowledged(workload, EXTRA)
        await _grow_the_journal(postgres.dsn)
        await asyncio.to_thread(full_at, postgres, WAL_SEGMENT_BYTES)
        number, outcomes = EXTRA, {"recorded"}
        async with asyncio.timeout(HANGS_S):
            while outcomes == {"recorded"}:  # until a page is full and a file has to grow
                number += 1
                outcomes = await heard(workload.address, number)
        for _ in range(SENT_AGAIN):
            for result in await ask(workload.address, EXTRA):
                assert result.replayed or result.outcome in AGAIN, result
        await asyncio.to_thread(space_again, postgres)
        for each in range(EXTRA + 1, number + 1):
            await acknowledged(workload, each)


async def test_a_postgres_without_space_for_its_wal_loses_nothing_and_service_resumes(
    tmp_path: Path,
) -> None:
    """It stops itself rather than go on; once it is started with space the server goes on."""
    async with own_postgres() as postgres, loaded(postgres.dsn, tmp_path / "log") as workload:
        assert postgres.pid is not None
        postmaster = psutil.Process(postgres.pid)
        await asyncio.to_thread(full_at, postgres, BELOW_ANY_SEGMENT_BYTES)
        await asyncio.to_thread(postmaster.wait, HANGS_S)
        outcomes = await heard(workload.address, EXTRA)
        assert "recorded" not in outcomes, "nothing is durable without a database"
        await asyncio.to_thread(postgres.start)
        await acknowledged(workload, EXTRA)


async def _grow_the_journal(dsn: str) -> None:
    """Rows that were rolled back leave its file as large as they made it."""
    async with administrator(dsn) as admin:
        await admin.execute("ALTER TABLE ledger.journal_p000000 SET (autovacuum_enabled = off)")
        transaction = admin.transaction()
        await transaction.start()
        await admin.execute(GROW, ROWS)
        await transaction.rollback()
        size = await admin.fetchval("SELECT pg_relation_size('ledger.journal_p000000')")
    assert size > WAL_SEGMENT_BYTES
