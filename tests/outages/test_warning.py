"""A commit that returns with a warning: durable here, and not where it had to be."""

from __future__ import annotations

import asyncio
from pathlib import Path

from ledger.v1 import usage_pb2
from tests.patience import HANGS_S

from .outage import altered, loaded, own_postgres

CANCELLED = 5
CANCEL_WRITERS = (
    "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity "
    "WHERE wait_event = 'SyncRep' AND application_name LIKE 'drawdown shard % writer'"
)


async def test_a_cancelled_wait_for_a_standby_is_unknown_and_service_resumes(
    tmp_path: Path,
) -> None:
    async with (
        own_postgres() as postgres,
        loaded(postgres.dsn, tmp_path / "log") as workload,
        altered(postgres.dsn, "synchronous_standby_names", "missing") as admin,
    ):
        cancelled = 0
        async with asyncio.timeout(HANGS_S):
            while not workload.told[usage_pb2.INGEST_OUTCOME_UNKNOWN]:
                cancelled += await admin.fetchval(CANCEL_WRITERS)
                await asyncio.sleep(0.01)
            acknowledged = len(workload.acknowledged)
            while cancelled < CANCELLED:  # its successors' first rows come back the same way
                cancelled += await admin.fetchval(CANCEL_WRITERS)
                await asyncio.sleep(0.01)
        assert len(workload.acknowledged) == acknowledged, "no standby has it"
