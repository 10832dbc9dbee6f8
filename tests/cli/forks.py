"""Commands as processes of their own, forked from one that has imported what they need.

A command spends most of its time on imports, and the tests run hundreds. What is forked is a whole
process all the same: arguments, variables, directory, output, signals and exit code are its own.
One after the other: the process that forks reads a line of JSON for each and answers with its code.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

IMPORTED = (
    "ledger.cli.app",
    "ledger.client",
    "ledger.exports.run",
    "ledger.integrity.key_files",
    "ledger.settings",
    "ledger.telemetry.telemetry",
    "ledger.verify",
    "rich.console",
    "tenacity",
)


class Forks:
    """Made once for a process of tests; ends with it."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def run(
        self, arguments: Sequence[str], variables: Mapping[str, str], timeout_s: float
    ) -> subprocess.CompletedProcess[str] | None:
        """A command to its end; None where another runs just now. Raises TimeoutExpired."""
        if not self._turn.acquire(blocking=False):
            return None
        try:
            with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
                code = self._ended(arguments, variables, (out, err), timeout_s)
                out.seek(0)
                err.seek(0)
                return subprocess.CompletedProcess(arguments, code, out.read(), err.read())
        finally:
            self._turn.release()

    def _ended(
        self,
        arguments: Sequence[str],
        variables: Mapping[str, str],
        said: Sequence[IO[str]],
        timeout_s: float,
    ) -> int:
        process = self._running()
        assert process.stdin is not None and process.stdout is not None
        asked = {
            "arguments": arguments,
            "variables": dict(variables),
            "directory": str(Path.cwd()),
            "said": [f"/proc/{os.getpid()}/fd/{each.fileno()}" for each in said],
        }
        process.stdin.write(json.dumps(asked) + "\n")
        process.stdin.flush()
        pid = int(process.stdout.readline())
        late = threading.Timer(timeout_s, os.kill, (pid, 9))
        late.start()
        began = time.monotonic()
        code = int(process.stdout.readline())
        late.cancel()
        if code == -9 and time.monotonic() - began > timeout_s:
            raise subprocess.TimeoutExpired(list(arguments), timeout_s)
        return code

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-P", __file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        return self._process


def fork_all() -> None:
    """The process that forks: a command for each line, until its input ends."""
    import importlib

    for name in IMPORTED:
        importlib.import_module(name)
    gc.freeze()
    for line in sys.stdin:
        asked = json.loads(line)
        pid = os.fork()
        if pid == 0:
            os._exit(_command(asked))
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def _command(asked: Mapping[str, Any]) -> int:
    """In the child: as `python -m ledger.cli` would. Its exit code."""
    from ledger.cli import main

    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, path in enumerate(asked["said"], start=1):
        os.dup2(os.open(path, os.O_WRONLY), number)
    os.chdir(asked["directory"])
    os.environ.clear()
    os.environ.update(asked["variables"])
    time.tzset()
    sys.argv[1:] = asked["arguments"]
    sys.stdin = open(0)  # noqa: SIM115  # what was read ahead are others' commands
    try:
        main()
    except SystemExit as ends:
        return ends.code if isinstance(ends.code, int) else 0
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


if __name__ == "__main__":
    fork_all()
