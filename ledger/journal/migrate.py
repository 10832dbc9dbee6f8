"""Applies `migrations/NNNN_name.sql` in order, once each, and fixes the number of shards.

Forward only. Each file runs in a transaction of its own together with its record; a file whose
first line is `-- no-transaction` holds one statement that PostgreSQL runs outside one, and must be
safe to run again. A file that was applied may never change: its checksum is compared each time.
A database that has none gets what they make at once, from a snapshot (`schema_snapshot`).
Needs a connection of its own: it holds a session lock while it works.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import Final
from uuid import UUID

import asyncpg
from msgspec import Struct

from ledger.failpoints import reached
from ledger.journal.connection import CONNECT_ERRORS, Connection, connect, describe
from ledger.journal.directory import PLACEMENT_HASH
from ledger.journal.errors import JournalUnavailable, MigrationRefused, SettingsMismatch
from ledger.journal.schema_snapshot import FILE as SNAPSHOT_FILE
from ledger.journal.schema_snapshot import load_snapshot
from ledger.journal.sql import load

SHARDS_DEFAULT: Final = 4
SHARDS_MAX: Final = 1_024
SERVER_VERSION_MIN: Final = 150_000
LOCK_POLL_S: Final = 0.05

_SQL: Final = load("migrate")
_FILE: Final = re.compile(r"^(\d{4})_([a-z0-9_]+)\.sql$")
_NO_TRANSACTION: Final = "-- no-transaction"


class Migration(Struct, frozen=True):
    """One file: `text` with unix line ends, `checksum` its SHA-256 in hex."""

    number: int
    name: str
    text: str
    checksum: str
    transactional: bool


class Settings(Struct, frozen=True):
    """What the first migrate fixed for the life of the installation."""

    shards: int
    hash_name: str
    instance_id: UUID
    created_at_us: int


class Migrated(Struct, frozen=True):
    """What a run did: the names that it applied (none when up to date), and the settings."""

    applied: tuple[str, ...]
    settings: Settings


def migrations_directory() -> Path:
    """Where the files are: inside the installed wheel, or at the top of a source tree."""
    package = Path(str(resources.files("ledger")))
    for candidate in (package / "migrations", package.parent / "migrations"):
        if any(candidate.glob("[0-9]*.sql")):
            return candidate
    raise MigrationRefused(f"no migrations beside {package}: the installation is incomplete")


def load_migrations(directory: Path | None = None) -> tuple[Migration, ...]:
    """All files of the directory, by number. Raises MigrationRefused on a bad or double name."""
    found: dict[int, Migration] = {}
    for path in sorted((directory or migrations_directory()).glob("*.sql")):
        if path.name == SNAPSHOT_FILE:
            continue
        match = _FILE.match(path.name)
        if match is None:
            raise MigrationRefused(f"{path.name}: a migration is named 0001_what_it_does.sql")
        number = int(match[1])
        if number in found:
            raise MigrationRefused(f"{path.name}: number {number} is {found[number].name} too")
        text = path.read_text("utf-8").replace("\r\n", "\n")
        found[number] = Migration(
            number,
            path.stem,
            text,
            sha256(text.encode()).hexdigest(),
            not text.startswith(_NO_TRANSACTION),
        )
    return tuple(found.values())


async def migrate(
    dsn: str,
    shards: int | None = None,
    *,
    directory: Path | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Migrated:
    """Bring the schema up to date; safe to run by several processes at once.

    `shards` (default 4) is fixed by the first run; later runs may leave it out or must agree.
    `progress` is told each name before it is applied. Raises MigrationRefused, SettingsMismatch,
    JournalUnavailable.
    """
    if shards is not None and not 1 <= shards <= SHARDS_MAX:
        raise SettingsMismatch(f"{shards} shards: 1 to {SHARDS_MAX} are possible")
    directory = directory or migrations_directory()
    files = load_migrations(directory)
    async with _session(dsn, "drawdown migrate") as connection:
        await _check_server(connection)
        while not await connection.fetchval(_SQL["try_lock"]):  # noqa: ASYNC110  the lock is remote
            await asyncio.sleep(LOCK_POLL_S)
        await connection.execute(_SQL["bootstrap"])
        pending = _pending(files, await connection.fetch(_SQL["applied"]))
        snapshot = load_snapshot(directory, files) if pending == files else None
        if snapshot is not None:
            await _apply_at_once(connection, *snapshot, progress)
        for migration in pending if snapshot is None else pending[len(snapshot[1]) :]:
            progress(migration.name)
            await _apply(connection, migration)
        settings = await _fix_settings(connection, shards)
        await connection.execute(_SQL["create_role"])
        await connection.execute(_SQL["grant_role"])
        return Migrated(tuple(migration.name for migration in pending), settings)


async def read_settings(dsn: str, shards: int | None = None) -> Settings:
    """What was fixed; start-up checks itself against it. Raises like `migrate`, changes nothing.

    Refuses where migrations are pending: the tables may not be those that this code expects.
    """
    async with _session(dsn, "drawdown settings") as connection:
        if not await connection.fetchval(_SQL["has_migrations"]):
            raise MigrationRefused("this database has no ledger yet: run `drawdown migrate`")
        pending = _pending(load_migrations(), await connection.fetch(_SQL["applied"]))
        if pending:
            names = ", ".join(migration.name for migration in pending)
            raise MigrationRefused(f"migrations are pending: {names}; run `drawdown migrate`")
        return _agreed(await connection.fetchrow(_SQL["settings"]), shards)


@contextlib.asynccontextmanager
async def _session(dsn: str, name: str) -> AsyncIterator[Connection]:
    """A connection of its own. Raises JournalUnavailable where it is lost: all may be run again."""
    connection = await connect(dsn, application_name=name, role=False)
    try:
        yield connection
        await connection.close()
    except CONNECT_ERRORS as error:
        raise JournalUnavailable(f"PostgreSQL went away: {describe(error)}") from error
    finally:
        connection.terminate()


def _pending(files: tuple[Migration, ...], applied: list[asyncpg.Record]) -> tuple[Migration, ...]:
    by_number = {migration.number: migration for migration in files}
    for row in applied:
        migration = by_number.pop(row["number"], None)
        if migration is None:
            raise MigrationRefused(
                f"the database has migration {row['name']}, which this version does not know: "
                "run a version at least as new as the one that applied it"
            )
        if migration.checksum != row["checksum"]:
            raise MigrationRefused(
                f"{migration.name}.sql has checksum {migration.checksum[:12]}, but was applied as "
                f"{row['checksum'][:12]}: an applied migration is never edited, add a new one"
            )
    newest = max((row["number"] for row in applied), default=0)
    for number, migration in by_number.items():
        if number < newest:
            raise MigrationRefused(
                f"{migration.name} comes out of order: migration {newest:04} is already applied"
            )
    return tuple(by_number.values())


async def _apply_at_once(
    connection: Connection,
    snapshot: str,
    covered: tuple[Migration, ...],
    progress: Callable[[str], None],
) -> None:
    """What these migrations make of an empty database, in one transaction with their records."""
    async with connection.transaction():
        await connection.execute(snapshot)
        for migration in covered:
            progress(migration.name)
            await connection.execute(
                _SQL["record"], migration.number, migration.name, migration.checksum
            )
            reached("migration.commit")


async def _apply(connection: Connection, migration: Migration) -> None:
    record = (migration.number, migration.name, migration.checksum)
    try:
        if migration.transactional:
            async with connection.transaction():
                await connection.execute(migration.text)
                await connection.execute(_SQL["record"], *record)
                reached("migration.commit")
        else:
            await connection.execute(migration.text)
            await connection.execute(_SQL["record"], *record)
    except CONNECT_ERRORS:
        raise  # it may be committed: the next run sees
    except asyncpg.PostgresError as error:
        raise MigrationRefused(
            f"{migration.name} failed ({error.sqlstate}): {error}; earlier migrations are applied"
        ) from error


async def _check_server(connection: Connection) -> None:
    server = await connection.fetchrow(_SQL["server"])
    assert server is not None
    if server["version"] < SERVER_VERSION_MIN:
        raise MigrationRefused(f"PostgreSQL {server['version'] // 10_000}: 15 or newer is needed")
    if server["encoding"] != "UTF8":
        raise MigrationRefused(f"the database's encoding is {server['encoding']}, not UTF8")


async def _fix_settings(connection: Connection, shards: int | None) -> Settings:
    await connection.execute(_SQL["fix_settings"], shards or SHARDS_DEFAULT, PLACEMENT_HASH)
    return _agreed(await connection.fetchrow(_SQL["settings"]), shards)


def _agreed(row: asyncpg.Record | None, shards: int | None) -> Settings:
    if row is None:
        raise MigrationRefused("the ledger's settings are missing: run `drawdown migrate`")
    settings = Settings(row["shards"], row["hash_name"], row["instance_id"], row["created"])
    if shards is not None and shards != settings.shards:
        raise SettingsMismatch(
            f"this ledger has {settings.shards} shards since its first migrate, {shards} were "
            "asked for: the number places every family and cannot change; leave it out"
        )
    if settings.hash_name != PLACEMENT_HASH:
        raise SettingsMismatch(
            f"this ledger places families by {settings.hash_name}, this version by {PLACEMENT_HASH}"
        )
    return settings
