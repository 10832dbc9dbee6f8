"""The files of an embedded server's data directory: locks, the server's pid file, its log.

Locks are flocks, so that the kernel frees them with their last holder, however it dies:
`start.lock` while somebody starts the server, `owner.lock` as long as its owner lives,
`server.lock` as long as any process of the server does (each inherits it).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from msgspec import Struct

from ledger.journal.errors import EmbeddedUnavailable

POLL_S: Final = 0.01
LOG_BYTES_MAX: Final = 16 << 20
_STATUS_LINE: Final = 7  # of postmaster.pid: pid, directory, start, port, socket, host, shm, status


class ServerFile(Struct, frozen=True):
    """What a server says of itself in postmaster.pid; after a kill it names the dead."""

    pid: int
    port: str
    ready: bool


class DataFiles:
    """Paths and locks below one data directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.cluster = directory / "cluster"
        self.database_made = directory / "database"
        self.server_file = self.cluster / "postmaster.pid"
        self.log = directory / "postgres.log"

    def server(self) -> ServerFile | None:
        """What the pid file says, if it is there."""
        try:
            lines = self.server_file.read_text().splitlines()
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not lines or not lines[0].strip().isdigit():
            return None
        lines += [""] * (_STATUS_LINE + 1 - len(lines))  # it grows while the server starts
        return ServerFile(
            int(lines[0]),
            lines[3].strip(),
            lines[_STATUS_LINE].strip() == "ready",
        )

    def try_lock(self, name: str) -> int | None:
        """Take a lock, None where somebody has it; `os.close` gives it back."""
        path = self.directory / name
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise EmbeddedUnavailable(f"{path} cannot be opened: {error}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    @contextlib.contextmanager
    def locked(self, name: str, timeout_s: float, otherwise: str) -> Iterator[int]:
        """Wait for a lock and hold it; EmbeddedUnavailable says `otherwise` after the timeout."""
        deadline = time.monotonic() + timeout_s
        while (descriptor := self.try_lock(name)) is None:
            if time.monotonic() > deadline:
                raise EmbeddedUnavailable(otherwise)
            time.sleep(POLL_S)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def open_log(self) -> BinaryIO:
        """The server's log, to append to; a long one is put aside first."""
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES_MAX:
            self.log.replace(self.log.with_suffix(".log.1"))
        return self.log.open("ab")

    def log_since(self, place: int) -> str:
        """What was logged since the log was opened, when it was so many bytes long."""
        with self.log.open("rb") as log:
            log.seek(place)
            return log.read().decode(errors="replace")

    def log_tail(self) -> str:
        """The last lines of the log, in one."""
        try:
            text = self.log.read_text(errors="replace")
        except OSError:
            return "no log"
        return " | ".join(text.strip().splitlines()[-5:])


def empty(directory: Path) -> None:
    """Remove what is in it."""
    for each in directory.iterdir():
        if each.is_dir() and not each.is_symlink():
            shutil.rmtree(each)
        else:
            each.unlink()
