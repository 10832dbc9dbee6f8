"""A PostgreSQL of our own, for a ledger without a database URL: start, adopt, stop.

Owns one data directory: the cluster, its socket, log and locks. Starts the binaries of a wheel
itself (`embedded_host` says which, and as whom) with full durability. PostgreSQL outlives an owner
that is killed; the next start on the directory finds it and takes it over. Connections come
through a socket that only its user and root can reach; TCP is off. Must not know what is stored.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote

import psutil

from ledger.journal import embedded_host as host
from ledger.journal.embedded_files import POLL_S, DataFiles, empty
from ledger.journal.errors import EmbeddedUnavailable

SUPERUSER: Final = "drawdown"
DATABASE: Final = "drawdown"
PARTIAL: Final = "cluster.partial-"  # and who makes it
SOCKET_PORT: Final = 5432  # only names the socket file
START_TIMEOUT_S: Final = 120.0  # recovery after a crash included
LOCK_TIMEOUT_S: Final = 30.0
STOP_TIMEOUT_S: Final = 30.0
INTERRUPTED_TIMEOUT_S: Final = 15.0  # a backend sees within a second that its postmaster is gone
INTERRUPTED_POLL_S: Final = 0.2
LOCK_FILE_EXISTS: Final = "F0001"  # SQLSTATE of a start that finds an old server's memory in use
MEMORY_IN_USE: Final = "pre-existing shared memory block"  # as initdb tells the same
SAID_MAX: Final = 2_000  # characters of what a program says as it fails; paths take most of them

SETTINGS: Final = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "unix_socket_permissions": "0700",
    "logging_collector": "off",
    "log_line_prefix": "%m [%p] %e ",  # with the SQLSTATE, which a refused start is told by
    "hot_standby": "off",  # after a restore it is ready when it may be written to, not before
}


logger = logging.getLogger(__name__)


class _StartInterrupted(EmbeddedUnavailable):
    """It was killed as it started, or one that was killed has left processes in its way."""


class EmbeddedPostgres:
    """One PostgreSQL server for one data directory; a context manager.

    The process that started it, or found it without a living owner, owns it and stops it on exit;
    a process that finds it owned only uses it (`adopted`). Blocking: from a running event loop use
    `asyncio.to_thread(server.start)`. Raises EmbeddedUnavailable, whose message says what to do.
    """

    def __init__(self, data_dir: Path | str | None = None, *, sync_initdb: bool = True) -> None:
        """`sync_initdb=False` skips flushing the new, empty cluster: for throwaway ones."""
        self.data_dir = Path(data_dir or host.default_data_directory()).resolve()
        self._files = DataFiles(self.data_dir)
        self._cluster = self._files.cluster
        self._sync_initdb = sync_initdb
        self._process: subprocess.Popen[bytes] | None = None
        self._owner_lock: int | None = None
        self._owner_pid = 0
        self._log_from = 0
        self._account = host.account_for(self._cluster)
        self._socket = host.socket_directory(self.data_dir, self._account)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def dsn(self) -> str:
        """How to reach it through its socket."""
        directory = quote(str(self._socket), safe="")
        server = self._files.server()
        port = server.port if server else SOCKET_PORT
        return f"postgresql://{SUPERUSER}@/{DATABASE}?host={directory}&port={port}"

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        server = self._running()
        return server.pid if server else None

    @property
    def adopted(self) -> bool:
        """Whether another living process owns it, so that `stop` leaves it running."""
        return self._owner_lock is None

    def start(self) -> Self:
        """Start it or take over the one that runs. Does nothing if it runs already; restarts it
        if it was killed meanwhile.
        """
        host.make_data_directory(self.data_dir, self._account)
        with self._starting():
            if self._owner_lock is None:
                self._owner_lock = self._files.try_lock("owner.lock")
                self._owner_pid = os.getpid()
            try:
                self._launch_until_ready()
                self._create_database()
            except BaseException:
                self.stop()
                raise
        if not self.adopted:
            atexit.register(self.stop)
        return self

    def stop(self) -> None:
        """Stop it if we own it: connections are cut, everything committed is on disk. Idempotent.

        Raises nothing that a second `stop` could repair; an owner that forked is not an owner.
        """
        if self._owner_lock is None or self._owner_pid != os.getpid():
            return
        atexit.unregister(self.stop)
        server = self._running()
        if server is not None:
            self._terminate(server)
        self._reap()
        os.close(self._owner_lock)
        self._owner_lock = None

    def reap(self) -> bool:
        """Stop the server if its owner died, and start none. False: a living process owns it."""
        with self._starting():
            if self._owner_lock is None:
                self._owner_lock = self._files.try_lock("owner.lock")
                self._owner_pid = os.getpid()
        if self.adopted:
            return False
        self.stop()
        return True

    async def supervise(
        self, interval_s: float = 0.5, on_restart: Callable[[], None] = lambda: None
    ) -> None:
        """Start it again whenever it is gone; `on_restart` is told each time.

        Runs until cancelled: cancel it before `stop`. Raises EmbeddedUnavailable.
        """
        while True:
            await asyncio.sleep(interval_s)
            if await asyncio.to_thread(self._running) is None:  # it reads files: not on the loop
                await asyncio.to_thread(self.start)
                on_restart()

    def _starting(self) -> contextlib.AbstractContextManager[int]:
        hangs = f"another process is starting the server of {self.data_dir}, and hangs"
        return self._files.locked("start.lock", LOCK_TIMEOUT_S + START_TIMEOUT_S, hangs)

    def _launch_until_ready(self) -> None:
        """Launch again, for a bounded time, where what was killed is in the way."""
        deadline = 0.0
        while True:
            try:
                if self._running() is None:
                    self._launch(host.find_binaries(self._account))
                self._wait_ready()
                return
            except _StartInterrupted as error:
                now = time.monotonic()
                deadline = deadline or now + INTERRUPTED_TIMEOUT_S
                if now > deadline:
                    raise
                logger.warning("%s; trying again for %.0f s at most", error, deadline - now)
            time.sleep(INTERRUPTED_POLL_S)

    def _launch(self, binaries: Path) -> None:
        account = self._account
        unseen = (
            f"a PostgreSQL that cannot be seen from here (in another container?) uses "
            f"{self.data_dir}: stop it, or choose another data directory"
        )
        try:
            with self._files.locked("server.lock", LOCK_TIMEOUT_S, unseen) as server_lock:
                host.make_owned(self._socket, account)
                self._remove_unfinished()
                if not self._cluster.exists():
                    self._make_cluster(binaries)
                # Nobody holds the server's lock, so whatever these files name is gone.
                self._files.server_file.unlink(missing_ok=True)
                for stale in self._socket.glob(".s.PGSQL.*"):
                    stale.unlink()
                self._spawn(binaries, server_lock)
        except PermissionError as error:
            raise EmbeddedUnavailable(
                f"PostgreSQL cannot be started as user {account.name}: {error}; start as an "
                "unprivileged user, or set DATABASE_URL"
            ) from error

    def _spawn(self, binaries: Path, server_lock: int) -> None:
        settings = SETTINGS | {
            "unix_socket_directories": str(self._socket),
            "listen_addresses": "",
            "port": str(SOCKET_PORT),
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        with self._files.open_log() as log:
            self._log_from = log.tell()
            self._process = subprocess.Popen(
                [binaries / "postgres", "-D", self._cluster, *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=_environment(),
                start_new_session=True,  # Ctrl-C is for us; we stop it when we are done
                pass_fds=(server_lock,),  # held until the last process of the server is gone
                umask=0o077,
                **self._account.popen_arguments(),
            )

    def _remove_unfinished(self) -> None:
        """Clusters of whoever was killed as it made them: only who holds the lock makes one."""
        for left in self.data_dir.glob(f"{PARTIAL}*"):
            if left != self._partial():
                shutil.rmtree(left, ignore_errors=True)

    def _partial(self) -> Path:
        return self.data_dir / f"{PARTIAL}{os.getpid()}"

    def _make_cluster(self, binaries: Path) -> None:
        partial = self._partial()
        host.make_owned(partial, self._account)
        empty(partial)  # of one that was killed as it made it: a container gives the same id again
        command: list[Path | str] = [
            binaries / "initdb",
            f"--pgdata={partial}",
            f"--username={SUPERUSER}",
            "--auth-local=trust",
            "--auth-host=reject",
            "--encoding=UTF8",
            "--locale=C",
            "--data-checksums",
            "--no-instructions",
        ]
        self._run(command + ([] if self._sync_initdb else ["--no-sync"]))
        partial.rename(self._cluster)

    def _create_database(self) -> None:
        server = self._files.server()
        if server is None or self._files.database_made.exists():
            return
        client: list[Path | str] = [host.find_binaries(self._account) / "psql", "-XAt"]
        client += ["-v", "ON_ERROR_STOP=1", "-h", self._socket, "-p", server.port]
        client += ["-U", SUPERUSER, "-d", "postgres", "-c"]
        exists = self._run([*client, f"SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'"])
        if not exists.strip():
            self._run([*client, f"CREATE DATABASE {DATABASE}"])
        self._files.database_made.touch()

    def _run(self, command: list[Path | str]) -> str:
        done: subprocess.CompletedProcess[str] = subprocess.run(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd="/",
            env=_environment(),
            check=False,
            **self._account.popen_arguments(),
        )
        if done.returncode != 0:
            said = done.stderr.strip()
            failed = f"{Path(command[0]).name} failed in {self.data_dir}: {said[-SAID_MAX:]}"
            if MEMORY_IN_USE in said:  # it is known by the inode of a directory that is gone
                raise _StartInterrupted(failed)
            raise EmbeddedUnavailable(failed)
        return done.stdout

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            server = self._files.server()
            if server is not None and server.ready:
                return
            if self._process is not None and self._process.poll() is not None:
                raise self._stopped(self._process.returncode)
            if time.monotonic() > deadline:
                raise EmbeddedUnavailable(
                    f"PostgreSQL in {self.data_dir} is not ready after {START_TIMEOUT_S:.0f} s: "
                    f"{self._files.log_tail()}"
                )
            time.sleep(POLL_S)

    def _stopped(self, code: int) -> EmbeddedUnavailable:
        """Why it ended before it was ready."""
        tail = self._files.log_tail()
        if f" {LOCK_FILE_EXISTS} FATAL:" in self._files.log_since(self._log_from):
            return _StartInterrupted(
                f"processes of a PostgreSQL that was killed still hold the memory of "
                f"{self.data_dir}: {tail}"
            )
        if code < 0:
            return _StartInterrupted(
                f"PostgreSQL was killed by signal {-code} as it started in {self.data_dir}: {tail}"
            )
        return EmbeddedUnavailable(
            f"PostgreSQL stopped with code {code} while starting in {self.data_dir}: {tail}"
        )

    def _running(self) -> psutil.Process | None:
        """The server of this directory, by its pid file and its command line."""
        if self._process is not None and self._process.poll() is not None:
            self._process = None
        named = self._files.server()
        if named is None:
            return None
        try:
            server = psutil.Process(named.pid)
            alive = server.status() != psutil.STATUS_ZOMBIE
            return server if alive and str(self._cluster) in server.cmdline() else None
        except psutil.Error:
            return None

    def _terminate(self, server: psutil.Process) -> None:
        children = server.children(recursive=True)
        for sent, patience_s in ((signal.SIGINT, STOP_TIMEOUT_S), (signal.SIGQUIT, 5.0)):
            with contextlib.suppress(psutil.NoSuchProcess):
                server.send_signal(sent)  # SIGINT: cut connections, checkpoint, exit
            try:
                server.wait(patience_s)
                return
            except psutil.TimeoutExpired:
                continue
        for process in (server, *children):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def _reap(self) -> None:
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
            self._process = None


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return kept | {"LC_ALL": "C", "TZ": "UTC"}
