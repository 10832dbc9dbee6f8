"""A commit that returns with a warning: durable here, and not where it had to be."""

from __future__ import annotations

import asyncio
from pathlib import Path

from ledger.v1 import usage_pb2
from tests.backup.restoring import recorded
from tests.patience import HANGS_S

from .outage import altered, loaded, own_postgres

CANCELLED = 5
IN_WAIT = (
    "FROM pg_stat_activity "
    "WHERE wait_event = 'SyncRep' AND application_name LIKE 'drawdown shard % writer'"
)
WAITING = f"SELECT count(*) {IN_WAIT}"
CANCEL_WRITERS = f"SELECT count(pg_cancel_backend(pid)) {IN_WAIT}"


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
            while not await admin.fetchval(WAITING):
                await asyncio.sleep(0.01)
            waited_for_none = await recorded(postgres.dsn)
            while cancelled < CANCELLED or not workload.told[usage_pb2.INGEST_OUTCOME_UNKNOWN]:
                cancelled += await admin.fetchval(CANCEL_WRITERS)  # and what its successors write
                await asyncio.sleep(0.01)
        assert workload.acknowledged.keys() <= waited_for_none.keys(), "no standby has the others"
