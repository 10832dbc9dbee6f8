"""A database that turns read-only under load, and takes writes again."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.patience import HANGS_S

from .outage import EXTRA, acknowledged, altered, heard, loaded, own_postgres


async def test_a_read_only_database_answers_retry_and_service_resumes(tmp_path: Path) -> None:
    async with own_postgres() as postgres, loaded(postgres.dsn, tmp_path / "log") as workload:
        async with altered(postgres.dsn, "default_transaction_read_only", "on"):
            outcomes = {"recorded"}
            async with asyncio.timeout(HANGS_S):
                while outcomes == {"recorded"}:  # until the sessions have read their settings
                    outcomes = await heard(workload.address, EXTRA)
            assert "unknown" not in outcomes, "it says itself that nothing was written"
            assert await heard(workload.address, EXTRA + 1) <= {"retry", "unavailable"}
        for number in (EXTRA, EXTRA + 1):
            await acknowledged(workload, number)
