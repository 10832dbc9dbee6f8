"""`drawdown` as a process: run a command, or keep a server."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from cli.forks import Forks

READY_TIMEOUT_S = 90
STOP_TIMEOUT_S = 60
TIMEOUT_S = 120
COMMAND = [sys.executable, "-m", "ledger.cli"]
FORKS = Forks()


def environment(**more: str) -> dict[str, str]:
    """Ours, without what would point a command elsewhere."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("DRAWDOWN_", "OTEL_")) and name != "DATABASE_URL"
    }
    return kept | more


def drawdown(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end: forked, or from its imports on where another runs just now, or
    where a variable is Python's own."""
    own = environment(**variables)
    if not any(name.startswith("PYTHON") for name in variables):
        forked = FORKS.run(arguments, own, TIMEOUT_S)
        if forked is not None:
            return forked
    return subprocess.run(
        [*COMMAND, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env=own,
        check=False,
    )


class Server:
    """`drawdown serve --json` on free ports; `ready` is the line that it prints."""

    def __init__(self, log: Path, *arguments: str, **variables: str) -> None:
        self.log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [
                    *COMMAND,
                    "serve",
                    "--json",
                    "--listen=127.0.0.1:0",
                    "--metrics-port=0",
                    *arguments,
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environment(**variables),
            )
        lines: queue.Queue[str] = queue.Queue()
        assert self._process.stdout is not None
        reader = threading.Thread(
            target=lambda out: lines.put(out.readline()), args=[self._process.stdout], daemon=True
        )
        reader.start()
        line = lines.get(timeout=READY_TIMEOUT_S)
        assert line, self.log.read_text()
        self.ready: dict[str, Any] = json.loads(line)

    @property
    def address(self) -> str:
        """Where its gRPC services are."""
        return str(self.ready["address"])

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            return self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        finally:
            assert self._process.stdout is not None
            self._process.stdout.close()
