"""The commands of docs/operations.md, run as they stand there, by PostgreSQL's own user."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from ledger.journal.embedded_host import Account, find_binaries

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
TIMEOUT_S = 120


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
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        path = f"{find_binaries(self.account)}:{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands(title)],
            capture_output=True,
            text=True,
            cwd="/",
            env=kept | {"PATH": path, "LC_ALL": "C", "HOME": "/"} | self.variables | variables,
            timeout=TIMEOUT_S,
            check=False,
            **self.account.popen_arguments(),
        )
        assert done.returncode == 0, f"{title}: {done.stderr}{done.stdout}"
        return done.stdout


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
