"""The commands of docs/operations.md, run as they stand there, by PostgreSQL's own user."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ledger.journal.embedded_host import Account, find_binaries
from tests.patience import HANGS_S

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
TIMEOUT_S = 3 * HANGS_S


def commands(title: str) -> str:
    """The block of the page whose first line is `# title`."""
    found = re.findall(
        rf"^```bash\n# {title}\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE
    )
    assert len(found) == 1, f"{len(found)} blocks are called {title!r}"
    return found[0]


@dataclass
class Runbook:
    """A shell with the variables that the page asks for."""

    account: Account
    variables: dict[str, str] = field(default_factory=dict)

    def run(self, title: str, **variables: str) -> str:
        """Run one block; returns what it printed. With the same rights as PostgreSQL itself."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands(title)],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
            **self._arguments(variables),
        )
        assert done.returncode == 0, f"{title}: {done.stderr}{done.stdout}"
        return done.stdout

    @contextlib.contextmanager
    def started(self, title: str) -> Iterator[None]:
        """Run a block that goes on until it is stopped."""
        running = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", commands(title)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **self._arguments({}),
        )
        try:
            yield
        finally:
            running.terminate()
            running.wait(HANGS_S)

    def _arguments(self, variables: dict[str, str]) -> dict[str, Any]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        path = f"{find_binaries(self.account)}:{os.environ['PATH']}"
        given = {"PATH": path, "LC_ALL": "C", "HOME": "/"} | self.variables | variables
        return {"cwd": "/", "env": kept | given, **self.account.popen_arguments()}


def drawdown(title: str, dsn: str) -> None:
    """Run a block whose only command is `drawdown`, as whoever runs these tests."""
    (line,) = commands(title).splitlines()
    program, *arguments = line.split()
    assert program == "drawdown"
    done = subprocess.run(
        [sys.executable, "-m", "ledger.cli", *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"DATABASE_URL": dsn},
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
