"""A server on an embedded PostgreSQL of its own, as a newcomer starts it."""

import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from telemetry.collector import collector

from cli.processes import Server
from ledger.journal.embedded_host import throwaway_root

__all__ = ["collector", "data_dir", "server"]


@pytest.fixture(scope="package")
def data_dir() -> Iterator[Path]:
    """A data directory that the embedded PostgreSQL's user can reach."""
    path = throwaway_root() / f"drawdown-cli-{secrets.token_hex(4)}"
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="package")
def server(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests of commands; gone after them, for an idle one works, too."""
    log = tmp_path_factory.mktemp("serve") / "log"
    running = Server(log, f"--data-dir={data_dir}")
    yield running
    assert running.end() == 0, log.read_text()
