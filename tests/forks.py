"""`drawdown` as processes of their own, forked from one that has imported what they need.

A command, and the start of a server, spend most of their time on imports, and the tests start
hundreds. What is forked is a whole process all the same: arguments, variables, directory, output,
signals and exit code are its own. The process that forks reads a line of JSON for each, and says
its id, and its exit code once it ends.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

COMMAND = (sys.executable, "-m", "ledger.cli")
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
SERVING = ("ledger.cli.serving", "uvloop")
"""Beside them, once a server is asked for."""
READ_AT_IMPORT = "PYTHON"
"""So begin variables that a fork would come too late for: theirs is a process of its own."""


class Forked:
    """A process that was forked, with the part of `subprocess.Popen` that tests use."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self.args = list(arguments)
        self.pid = 0
        self.returncode: int | None = None
        self._begun = threading.Event()
        self._ended = threading.Event()

    def poll(self) -> int | None:
        """Its exit code, or None while it runs."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code. Raises TimeoutExpired."""
        if not self._ended.wait(timeout):
            assert timeout is not None
            raise subprocess.TimeoutExpired(self.args, timeout)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Nothing where it has ended, be it that nobody has said so yet."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def began(self, pid: int) -> None:
        """The process that forks says so."""
        self.pid = pid
        self._begun.set()

    def ended(self, code: int) -> None:
        """The process that forks says so, or is gone."""
        self.returncode = code
        self._begun.set()
        self._ended.set()

    def wait_begun(self) -> None:
        """Until its id is known."""
        self._begun.wait()


class Forks:
    """Made once for a process of tests; what forks for it ends with it."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._asked: dict[int, Forked] = {}

    def start(
        self, arguments: Sequence[str], variables: Mapping[str, str], out: IO[Any], err: IO[Any]
    ) -> Forked:
        """`drawdown` with these arguments and nothing but these variables, its input empty."""
        forked = Forked(arguments)
        with self._turn:
            process = self._running()
            number = len(self._asked)
            self._asked[number] = forked
            asked = {
                "number": number,
                "arguments": arguments,
                "variables": dict(variables),
                "directory": str(Path.cwd()),
                "said": [f"/proc/{os.getpid()}/fd/{each.fileno()}" for each in (out, err)],
            }
            assert process.stdin is not None
            process.stdin.write(json.dumps(asked) + "\n")
            process.stdin.flush()
        forked.wait_begun()
        return forked

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-P", __file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            threading.Thread(target=self._hear, args=[self._process.stdout], daemon=True).start()
        return self._process

    def _hear(self, said: IO[str]) -> None:
        for line in said:
            number, what, value = line.split()
            forked = self._asked[int(number)]
            (forked.began if what == "began" else forked.ended)(int(value))
        for forked in self._asked.values():
            if forked.returncode is None:
                forked.ended(-signal.SIGKILL)


FORKS = Forks()


def start(
    arguments: Sequence[str], variables: Mapping[str, str], out: IO[Any], err: IO[Any]
) -> Forked | subprocess.Popen[bytes]:
    """`drawdown` as a process: forked, unless a variable is read as modules are imported."""
    if all(
        os.environ.get(name) == variables.get(name)
        for name in os.environ.keys() | variables.keys()
        if name.startswith(READ_AT_IMPORT)
    ):
        return FORKS.start(arguments, variables, out, err)
    return subprocess.Popen(
        [*COMMAND, *arguments], stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=variables
    )


# -- the process that forks ------------------------------------------------------------------------


def fork_all() -> None:
    """Fork for each line, and say who ended, until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever asked ends what it has started
    _take_in(IMPORTED)
    ready = select.poll()
    ready.register(0)
    running: dict[int, tuple[int, int]] = {}  # file descriptor of a process -> number, id
    begun = b""
    while True:
        for descriptor, _ in ready.poll():
            if descriptor:
                ready.unregister(descriptor)
                os.close(descriptor)
                number, pid = running.pop(descriptor)
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                print(number, "ended", code, flush=True)
                continue
            read = os.read(0, 65_536)
            if not read:
                return
            *lines, begun = (begun + read).split(b"\n")
            for line in lines:
                asked = json.loads(line)
                pid = _forked(asked)
                descriptor = os.pidfd_open(pid)
                running[descriptor] = asked["number"], pid
                ready.register(descriptor, select.POLLIN)
                print(asked["number"], "began", pid, flush=True)


def _take_in(names: Sequence[str]) -> None:
    for name in names:
        importlib.import_module(name)
    gc.freeze()


def _forked(asked: Mapping[str, Any]) -> int:
    if asked["arguments"][:1] == ["serve"]:
        _take_in(SERVING)
    said = [os.open(path, os.O_WRONLY | os.O_APPEND) for path in asked["said"]]
    pid = os.fork()
    if pid == 0:
        os._exit(_command(asked, said))
    for each in said:
        os.close(each)
    return pid


def _command(asked: Mapping[str, Any], said: Sequence[int]) -> int:
    """In the child: as `python -m ledger.cli` would. Its exit code."""
    from ledger.cli import main
    from ledger.failpoints import VARIABLE, arm

    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, each in enumerate(said, start=1):
        os.dup2(each, number)
    os.closerange(3, max(map(int, os.listdir("/proc/self/fd"))) + 1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(asked["directory"])
    os.environ.clear()
    os.environ.update(asked["variables"])
    time.tzset()
    sys.argv[1:] = asked["arguments"]
    code = 0
    try:
        arm(asked["variables"].get(VARIABLE, ""))
        main()
    except SystemExit as ends:
        code = ends.code if isinstance(ends.code, int) else 0
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    fork_all()
