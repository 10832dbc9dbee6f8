"""The commands of docs/integrity.md and docs/reliability.md run as they stand, in their order."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ledger.client import DrawdownClient, UsageEvent
from tests.crash.processes import LastingServer
from tests.docs.examples import ROOT
from tests.integrity.sealing import ALL_SEALED, wait_until


def blocks(page: str) -> list[str]:
    found = re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    assert found, f"{page} has no commands"
    return found


def shell(block: str, folder: Path, **variables: str) -> str:
    """What it says on standard output; each of its commands must succeed."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-eu"],
        input=block,
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), **variables},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_the_commands_of_integrity_run(database: str, tmp_path: Path) -> None:
    """A first key, which seals; a proof; the key's successor; verification. The auditor has the
    first public key."""
    keys, verification, proof = blocks("docs/integrity.md")
    create, *successor = keys.splitlines(keepends=True)
    dsn = {"DATABASE_URL": database}
    (tmp_path / "public.pem").write_text(shell(create, tmp_path))
    server = LastingServer(
        database, tmp_path / "log", f"--seal-key={tmp_path / 'key.pem'}", "--seal-every-s=1"
    )
    server.start()
    try:
        await server.ready()
        async with DrawdownClient(server.address, tenant="default", source="app") as ledger:
            await ledger.create_account("acme")
            await ledger.ingest([UsageEvent("evt-1", "acme", {"tokens": 7}, product="chat")])
        await asyncio.to_thread(wait_until, database, ALL_SEALED)
        shell(proof, tmp_path, DRAWDOWN_ADDRESS=server.address)
    finally:
        server.stop()
    shell("".join(successor), tmp_path, **dsn)
    said = shell(verification, tmp_path, **dsn)
    assert json.loads(said[said.index("\n{") :])["ok"] is True


def test_the_command_of_reliability_runs(tmp_path: Path) -> None:
    [worlds] = blocks("docs/reliability.md")
    assert "0 broken" in shell(worlds, tmp_path)


@pytest.mark.parametrize("page", ["exports", "operations"])
def test_other_pages_of_commands_are_run_by_their_own_tests(page: str) -> None:
    """tests/exports/test_documented.py and tests/backup/runbook.py read these pages."""
    reader = {"exports": "exports/test_documented.py", "operations": "backup/runbook.py"}[page]
    assert f"{page}.md" in (ROOT / "tests" / reader).read_text()
