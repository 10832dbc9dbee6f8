"""The processes of the demo: `drawdown serve` as a child, with its PostgreSQL and projector.

The same entry points that a user has. Owns the temporary data directory and removes it, leftovers
of demos that were killed included: whose log nobody holds locked any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import urllib.request
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self

from ledger.journal.embedded import EmbeddedPostgres
from ledger.journal.embedded_host import throwaway_root
from ledger.journal.errors import EmbeddedUnavailable

PREFIX: Final = "drawdown-demo-"
READY_TIMEOUT_S: Final = 120
STOP_TIMEOUT_S: Final = 30
HURRY_AFTER_S: Final = 0.3
LAG_TIMEOUT_S: Final = 30
LAG_EVERY_S: Final = 0.25
LOG_LINES: Final = 15
KEPT: Final = ("DRAWDOWN_CONNECT_TIMEOUT_S", "DRAWDOWN_SLOW_CALL_MS")  # settings of the user's
_LAG: Final = re.compile(r'^drawdown_projection_lag_entries\{shard="\d+"\} (\S+)$', re.MULTILINE)


class DemoFailed(Exception):
    """The demo cannot go on; the message says what to do."""


class Ledger:
    """A running ledger: a context manager. Raises DemoFailed."""

    def __init__(self, data_dir: Path | None, database_url: str | None) -> None:
        """`database_url`, else an embedded PostgreSQL in `data_dir`, else in a temporary one."""
        self.temporary = data_dir is None and database_url is None
        self.ready: dict[str, Any] = {}
        self._root = throwaway_root() / f"{PREFIX}{secrets.token_hex(4)}"
        self._data_dir = data_dir or self._root
        self._database_url = database_url
        self._log = self._root.with_suffix(".log")
        self._process: Process | None = None
        self._held: BinaryIO | None = None

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(_remove_leftovers)
        try:
            self._held = await asyncio.to_thread(_hold, self._log)
            if self._database_url is not None:
                code, output = await self.run("migrate")
                if code:
                    raise DemoFailed(f"the database cannot be prepared: {output}")
            await self._serve()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._end()

    @property
    def address(self) -> str:
        """Where its gRPC services are."""
        return str(self.ready["address"])

    @property
    def database(self) -> str:
        """Where its books are, for people."""
        return str(self.ready["database"])

    async def run(self, *arguments: str) -> tuple[int, str]:
        """Run a `drawdown` command on its books: (exit code, what it printed)."""
        done = await asyncio.to_thread(
            subprocess.run,  # not the loop's own: that one forks, which gRPC warns of
            [sys.executable, "-m", "ledger.cli", *arguments],
            stdin=DEVNULL,
            capture_output=True,
            env=self._environment(),
            check=False,
        )
        return done.returncode, (done.stdout or done.stderr).decode(errors="replace").strip()

    async def caught_up(self) -> bool:
        """Return when the read models have every entry; False if that takes too long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAG_TIMEOUT_S):
                async for lag in self._lags():
                    if lag == 0:
                        return True
        return False

    # -- parts -------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "ledger.cli", "serve", "--json"),
                *("--listen", "127.0.0.1:0", "--metrics-port", "0"),
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=log,
                env=self._environment(),
                start_new_session=True,  # Ctrl-C is for the demo, which then stops the server
            )
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                line = await self._process.stdout.readline()
        except TimeoutError:
            line = b""
        if not line:
            raise DemoFailed(f"the server did not start:\n{self._log_tail()}")
        self.ready = json.loads(line)

    async def _lags(self) -> AsyncIterator[int]:
        url = f"http://{self.ready['metrics']}/metrics"
        while True:
            text = await asyncio.to_thread(_get, url)
            found = _LAG.findall(text)
            yield sum(int(float(lag)) for lag in found) if found else -1
            await asyncio.sleep(LAG_EVERY_S)

    async def _end(self) -> None:
        process = self._process
        if process is not None and process.returncode is None:
            for patience_s in (HURRY_AFTER_S, STOP_TIMEOUT_S):  # the second signal: do not linger
                with contextlib.suppress(TimeoutError, ProcessLookupError):
                    process.send_signal(signal.SIGTERM)
                    async with asyncio.timeout(patience_s):
                        await process.wait()
                    break
            if process.returncode is None:
                process.kill()
                await process.wait()
        if self.temporary:
            await asyncio.to_thread(_remove, self._root)
        self._log.unlink(missing_ok=True)
        if self._held is not None:
            self._held.close()

    def _environment(self) -> dict[str, str]:
        """Ours, without settings that would lead elsewhere."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if name in KEPT or not name.startswith(("DRAWDOWN_", "DATABASE_URL"))
        }
        if self._database_url is not None:
            return {**kept, "DATABASE_URL": self._database_url}
        return {**kept, "DRAWDOWN_DATA_DIR": str(self._data_dir)}

    def _log_tail(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-LOG_LINES:])


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as reply:
        text: str = reply.read().decode()
    return text


def _hold(log: Path) -> BinaryIO:
    """Keep others from taking what belongs to this log for a leftover, until it is closed or its
    process ends."""
    while True:
        held = log.open("ab")
        fcntl.flock(held, fcntl.LOCK_EX)  # who looks whether it is a leftover has it a moment
        if _is_still(log, held):
            return held
        held.close()


def _hold_leftover(log: Path) -> BinaryIO | None:
    """The same, at once; None where a demo that lives holds it."""
    held = log.open("ab")
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_still(log, held):
            return held
    held.close()
    return None


def _is_still(log: Path, held: BinaryIO) -> bool:
    """Nobody removed it before it was locked."""
    with contextlib.suppress(FileNotFoundError):
        return log.stat().st_ino == os.fstat(held.fileno()).st_ino
    return False


def _remove_leftovers() -> None:
    """Directories and logs of demos that were killed."""
    root = throwaway_root()
    for name in {left.stem for left in root.glob(f"{PREFIX}*")}:
        log = root / f"{name}.log"
        with contextlib.suppress(EmbeddedUnavailable, OSError):
            held = _hold_leftover(log)
            if held is None:
                continue
            with held:
                try:
                    _remove(root / name)
                finally:
                    log.unlink()


def _remove(path: Path) -> None:
    """Remove a data directory of which nobody is the living owner."""
    if path.is_dir() and EmbeddedPostgres(path).reap():
        shutil.rmtree(path, ignore_errors=True)
