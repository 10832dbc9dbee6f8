"""A real PostgreSQL for every test that asks for one.

`postgres_server`  one embedded server a session, throwaway. It does not wait for the disk: killing
                   processes loses nothing by that. The servers that tests start themselves, and
                   that they kill, wait as in production
`database`         the DSN of a fresh, migrated database for one test (4 shards)
`module_database`  the same for one module
`empty_database`   the same without a schema
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import secrets
import shutil
import threading
import tracemalloc  # noqa: F401  pytest asks it of what was never awaited, also amid a simulated loop
from collections.abc import Callable, Coroutine, Generator, Iterator
from typing import Any, TypeVar

import asyncpg
import hypothesis
import psutil
import pytest

from ledger.journal.embedded import DATABASE, EmbeddedPostgres
from ledger.journal.embedded_host import throwaway_root
from ledger.journal.migrate import migrate

for profile, examples in (("unhurried", 40), ("thorough", 500)):  # the latter by `make simulate`
    hypothesis.settings.register_profile(profile, deadline=None, max_examples=examples)
hypothesis.settings.load_profile("unhurried")  # speed is never asserted
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")  # tests start PostgreSQL by fork

COLLECTED_AFTER = (10_000, 20, 20)
PREFIX = "drawdown-test-"
TEMPLATE = "template_ledger"
THROWAWAY = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off"}
"""A database of a test is a copy of 24 MB, and there are hundreds: flushing them takes longer than
what is tested, and autovacuum goes through all of them every minute."""
LONGEST_FIRST = (
    "bench",
    "simulation",
    "faults",
    "gateway",
    "crash",
    "demo",
    "backup",
    "exports",
    "outages",
)
T = TypeVar("T")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected stays to the end: Python's collector does not go through it again and
    again, which took a sixth of all that tests do; nor through what is new as soon as otherwise."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(*COLLECTED_AFTER)
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long begin first, the longest of all in front, so that no process is left
    alone with one at the end."""
    places = {name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.path.parent.name, len(places)))


def run_apart(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine on a loop and thread of its own: fixtures of any scope may call it."""
    outcome: list[T] = []
    failure: list[BaseException] = []

    def body() -> None:
        try:
            outcome.append(asyncio.run(work()))
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedPostgres]:
    """The session's server. Servers of sessions that were killed are stopped and removed first:
    never one of a process that lives, which may be about to start it."""
    root = throwaway_root()
    for left in root.glob(f"{PREFIX}[0-9]*-*"):
        if psutil.pid_exists(int(left.name.removeprefix(PREFIX).partition("-")[0])):
            continue
        with contextlib.suppress(Exception):
            orphan = EmbeddedPostgres(left)
            if orphan.reap():
                shutil.rmtree(left, ignore_errors=True)
    from tests.crash.processes import discard

    name = f"{PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
    server = EmbeddedPostgres(root / name, sync_initdb=False)
    server.start()
    settings = [f"ALTER SYSTEM SET {name} = {value}" for name, value in THROWAWAY.items()]
    run_apart(lambda: _execute(server.dsn, *settings, "SELECT pg_reload_conf()"))
    yield server
    discard(server)


def database_dsn(server: EmbeddedPostgres, name: str) -> str:
    """The DSN of another database of the server."""
    return server.dsn.replace(f"@/{DATABASE}?", f"@/{name}?")


async def _execute(dsn: str, *statements: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


def copied(server: EmbeddedPostgres, template: str) -> Iterator[str]:
    """The DSN of a copy of a database. It stays until the server goes: to drop one is to wait for
    a checkpoint of everything. Nobody is connected to it any more."""
    name = f"test_{secrets.token_hex(6)}"
    run_apart(lambda: _execute(server.dsn, f"CREATE DATABASE {name} TEMPLATE {template}"))
    yield database_dsn(server, name)
    ended = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    run_apart(lambda: _execute(server.dsn, ended))


@pytest.fixture(scope="session")
def template_database(postgres_server: EmbeddedPostgres) -> str:
    """The name of a migrated database that nobody connects to."""

    async def make() -> None:
        await _execute(postgres_server.dsn, f"CREATE DATABASE {TEMPLATE}")
        await migrate(database_dsn(postgres_server, TEMPLATE), 4)

    run_apart(make)
    return TEMPLATE


@pytest.fixture
def database(postgres_server: EmbeddedPostgres, template_database: str) -> Iterator[str]:
    """The DSN of a fresh migrated database."""
    yield from copied(postgres_server, template_database)


@pytest.fixture(scope="module")
def module_database(postgres_server: EmbeddedPostgres, template_database: str) -> Iterator[str]:
    """The same, shared by the tests of a module."""
    yield from copied(postgres_server, template_database)


@pytest.fixture
def empty_database(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """The DSN of a fresh database without a schema."""
    yield from copied(postgres_server, "template1")
