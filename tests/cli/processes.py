"""`drawdown` as a process: run a command, or keep a server."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from tests.forks import start
from tests.patience import HANGS_S

READY_TIMEOUT_S = TIMEOUT_S = 3 * HANGS_S  # a PostgreSQL may be made and migrated
STOP_TIMEOUT_S = HANGS_S
TERM_MS = 10_000  # a busy machine lets a lease of production lapse, and a read is refused


def environment(**more: str) -> dict[str, str]:
    """Ours, without what would point a command elsewhere."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("DRAWDOWN_", "OTEL_")) and name != "DATABASE_URL"
    }
    return kept | more


def drawdown(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; again while read models are behind, for a projector may be slow."""
    until = time.monotonic() + TIMEOUT_S
    while True:
        done = _ran(*arguments, **variables)
        if "READ_MODELS_BEHIND" not in done.stderr or time.monotonic() > until:
            return done


def _ran(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = start(arguments, environment(**variables), out, err)
        try:
            code = process.wait(TIMEOUT_S)
        except BaseException:
            process.kill()
            raise
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(arguments, code, out.read(), err.read())


class Server:
    """`drawdown serve --json` on free ports; `ready` is the line that it prints."""

    def __init__(self, log: Path, *arguments: str, **variables: str) -> None:
        self.log = log
        said, out = os.pipe()
        with log.open("ab") as errors, open(out, "wb") as output:
            self._process = start(
                ["serve", "--json", "--listen=127.0.0.1:0", "--metrics-port=0", *arguments],
                environment(**{"DRAWDOWN_LEASE_TERM_MS": str(TERM_MS), **variables}),
                output,
                errors,
            )
        self._said = open(said, encoding="utf-8")  # noqa: SIM115  until it has ended
        lines: queue.Queue[str] = queue.Queue()
        reader = threading.Thread(target=lambda: lines.put(self._said.readline()), daemon=True)
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
            self._said.close()
