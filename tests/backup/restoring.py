"""What the tests of backups share: a place, a lost server, a restored one, what it holds."""

from __future__ import annotations

import secrets
import shutil
from collections import Counter
from pathlib import Path

import asyncpg

from ledger.journal.codec import decode_private
from ledger.journal.embedded import EmbeddedPostgres
from ledger.journal.embedded_host import account_for, make_owned, throwaway_root
from tests.backup.runbook import Runbook


def make_place() -> Path:
    """A directory for backups and clusters, of the user that PostgreSQL runs as."""
    path = throwaway_root() / f"drawdown-backup-{secrets.token_hex(4)}"
    make_owned(path, account_for(path))
    path.chmod(0o755)
    return path


class restored:
    """The runbook's restore into a new data directory, PostgreSQL started on it."""

    def __init__(
        self, runbook: Runbook, place: Path, target: str, backups: Path | None = None
    ) -> None:
        backups = backups or place / "backups"
        self._directory = place / f"restored-{secrets.token_hex(4)}"
        make_owned(self._directory, runbook.account)
        (base,) = (backups / "base").iterdir()
        runbook.run(
            "restore",
            TARGET=target,
            BACKUPS=str(backups),
            BASE=str(base),
            RESTORED=str(self._directory / "cluster"),
        )
        self._postgres = EmbeddedPostgres(self._directory, sync_initdb=False)

    def __enter__(self) -> EmbeddedPostgres:
        return self._postgres.start()

    def __exit__(self, *_: object) -> None:
        self._postgres.stop()
        shutil.rmtree(self._directory)


async def recorded(dsn: str) -> Counter[tuple[int, int]]:
    """How often each event of the workload stands in the journal."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch("SELECT records FROM ledger.journal_private")
    finally:
        await connection.close()
    found: Counter[tuple[int, int]] = Counter()
    for (records,) in rows:
        private = decode_private(records)
        for source, event_id in zip(private.sources, private.ids, strict=True):
            if source == "crash":
                _, number, index = event_id.split("-")
                found[int(number), int(index)] += 1
    return found
