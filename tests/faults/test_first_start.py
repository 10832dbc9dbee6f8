"""`drawdown serve` is killed at its very first start, amid migrations, and started again."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.failpoints import VARIABLE
from ledger.journal.embedded import EmbeddedPostgres
from ledger.journal.embedded_host import throwaway_root
from ledger.verify import verify
from tests.cli.processes import Server, environment
from tests.crash.workload import Workload
from tests.faults.migrating import schema_of
from tests.forks import COMMAND
from tests.patience import HANGS_S

KILLED_AT = (4, 2)  # the n-th migration of a start: after three are there, then after four


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A folder that PostgreSQL's user can reach, without a PostgreSQL of its own any more."""
    folder = Path(tempfile.mkdtemp(prefix="drawdown-first-", dir=throwaway_root()))
    folder.chmod(0o755)
    yield folder / "data"
    EmbeddedPostgres(folder / "data").reap()
    shutil.rmtree(folder, ignore_errors=True)


async def test_a_server_killed_amid_its_first_migrations_starts_again(
    data_dir: Path, database: str, tmp_path: Path
) -> None:
    for migration in KILLED_AT:
        code = await asyncio.to_thread(_serve_until_killed, data_dir, migration)
        assert code == -signal.SIGKILL
    server = await asyncio.to_thread(Server, tmp_path / "log", f"--data-dir={data_dir}")
    try:
        workload = Workload(server.address)
        await workload.prepare()
        sender = asyncio.create_task(workload.sender())
        await workload.reached(1)
        workload.stopping = True
        await sender
        await workload.check()
        dsn = str(server.ready["database_url"])
        assert await schema_of(dsn) == await schema_of(database)
        report = await verify(dsn)
        assert report.ok, report.findings
    finally:
        await asyncio.to_thread(server.end)


def _serve_until_killed(data_dir: Path, migration: int) -> int:
    return subprocess.run(
        [*COMMAND, "serve", "--listen=127.0.0.1:0", "--metrics-port=0", f"--data-dir={data_dir}"],
        env=environment(**{VARIABLE: f"migration.commit:{migration}"}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=HANGS_S,
    ).returncode
