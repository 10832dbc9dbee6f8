"""A commit that returns with a warning: durable here, and not where it had to be."""

from __future__ import annotations

import asyncio
from pathlib import Path

from .outage import EXTRA, acknowledged, altered, heard, loaded, own_postgres

CANCEL_WRITERS = (
    "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity "
    "WHERE wait_event = 'SyncRep' AND application_name LIKE 'drawdown shard % writer'"
)


async def test_a_cancelled_wait_for_a_standby_is_unknown_and_service_resumes(
    tmp_path: Path,
) -> None:
    async with own_postgres() as postgres, loaded(postgres.dsn, tmp_path / "log") as workload:
        async with altered(postgres.dsn, "synchronous_standby_names", "missing") as admin:
            asked: list[asyncio.Task[set[str]]] = []
            outcomes: set[str] = set()
            number = EXTRA
            async with asyncio.timeout(30):
                while "unknown" not in outcomes:
                    asked = [asyncio.create_task(heard(workload.address, number))]
                    while not asked[0].done():
                        await admin.fetchval(CANCEL_WRITERS)
                        await asyncio.wait(asked, timeout=0.02)
                    outcomes = await asked[0]
            assert "recorded" not in outcomes, "the standby does not have it"
        await acknowledged(workload, number)
