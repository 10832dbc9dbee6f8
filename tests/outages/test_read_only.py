"""A database that turns read-only under load, and takes writes again."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.patience import HANGS_S

from .outage import EXTRA, acknowledged, altered, heard, loaded, own_postgres


async def test_a_read_only_database_answers_retry_and_service_resumes(tmp_path: Path) -> None:
    async with own_postgres() as postgres, loaded(postgres.dsn, tmp_path / "log") as workload:
        async with altered(postgres.dsn, "default_transaction_read_only", "on"):
            last, outcomes, told = EXTRA, {"recorded"}, set[str]()
            async with asyncio.timeout(HANGS_S):
                while "recorded" in outcomes:  # until each shard's session has read its settings
                    last += 1
                    outcomes = await heard(workload.address, last)
                    told |= outcomes
            assert "unknown" not in told, "it says itself that nothing was written"
            last += 1
            assert await heard(workload.address, last) <= {"retry", "unavailable"}
        for number in range(EXTRA + 1, last + 1):
            await acknowledged(workload, number)
