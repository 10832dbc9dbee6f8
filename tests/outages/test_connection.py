"""The connection to PostgreSQL is cut, half-closed or slow in the middle of commits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import zstandard

from ledger.journal.codec import PRIVATE_FORMAT
from ledger.v1 import usage_pb2
from tests.crash.workload import Workload
from tests.journal.proxy import Cut, CuttingProxy
from tests.patience import HANGS_S

from .outage import loaded, progress

USAGE = PRIVATE_FORMAT + zstandard.FRAME_HEADER  # private records: in each INSERT of usage alone
WRITER = b" writer"  # in the name that a writer's connection gives itself
UNKNOWN = usage_pb2.INGEST_OUTCOME_UNKNOWN
ROUNDS = 2
HELD_S = 0.5


async def test_connections_lost_amid_commits_are_unknown_and_service_resumes(
    database: str, tmp_path: Path
) -> None:
    async with proxied(database, tmp_path / "log") as (proxy, workload):
        for cut in [*Cut] * ROUNDS:
            before = workload.told[UNKNOWN]
            proxy.arm(cut, USAGE, WRITER)
            async with asyncio.timeout(HANGS_S):
                await proxy.struck.wait()
                if cut is not Cut.BEFORE_SERVER:
                    await proxy.answered.wait()
            await progress(workload)
            assert workload.told[UNKNOWN] > before, cut


async def test_a_slow_answer_is_waited_for(database: str, tmp_path: Path) -> None:
    """No deadline of ours cancels a commit: what comes late is acknowledged late."""
    async with proxied(database, tmp_path / "log") as (proxy, workload):
        proxy.hold(USAGE, WRITER)
        async with asyncio.timeout(HANGS_S):
            await proxy.answered.wait()
        await asyncio.sleep(HELD_S)  # how long is the test's input
        proxy.release.set()
        await progress(workload)
        assert not workload.told[UNKNOWN], "nobody was left unsure"


@asynccontextmanager
async def proxied(database: str, log: Path) -> AsyncIterator[tuple[CuttingProxy, Workload]]:
    """A server under load that reaches its PostgreSQL by the proxy alone."""
    parts = urlsplit(database)
    query = parse_qs(parts.query)
    async with CuttingProxy(f"{query['host'][0]}/.s.PGSQL.{query['port'][0]}") as proxy:
        # The socket trusts, TCP would not: the proxy turns one into the other.
        through = f"postgresql://{parts.username}@127.0.0.1:{proxy.port}{parts.path}"
        async with loaded(database, log, through) as workload:
            yield proxy, workload
