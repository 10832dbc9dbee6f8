"""The migration runner: once each, in order, never edited, and settings fixed for ever."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import asyncpg
import pytest

from ledger.journal.connection import APPLICATION_ROLE
from ledger.journal.errors import JournalUnavailable, MigrationRefused, SettingsMismatch
from ledger.journal.migrate import load_migrations, migrate, migrations_directory, read_settings


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A copy of the real migrations, to be tampered with."""
    return Path(shutil.copytree(migrations_directory(), tmp_path / "migrations"))


def to_windows(files: Path) -> None:
    for path in files.iterdir():
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


async def test_the_first_migrate_makes_everything_and_the_next_nothing(empty_database: str) -> None:
    seen: list[str] = []
    first = await migrate(empty_database, progress=seen.append)
    assert seen == list(first.applied) == [found.name for found in load_migrations()]
    assert (first.settings.shards, first.settings.hash_name) == (4, "blake2b-64")
    second = await migrate(empty_database)
    assert second.applied == ()
    assert second.settings == first.settings == await read_settings(empty_database, 4)


async def test_the_number_of_shards_is_fixed_by_the_first_migrate(empty_database: str) -> None:
    await migrate(empty_database, 8)
    for attempt in (migrate(empty_database, 4), read_settings(empty_database, 4)):
        with pytest.raises(SettingsMismatch, match=r"has 8 shards .* 4 were asked for"):
            await attempt
    assert (await migrate(empty_database)).settings.shards == 8


@pytest.mark.parametrize("shards", [0, -1, 1025])
async def test_an_impossible_number_of_shards_is_refused(empty_database: str, shards: int) -> None:
    with pytest.raises(SettingsMismatch, match=f"{shards} shards: 1 to 1024"):
        await migrate(empty_database, shards)


async def test_several_processes_may_migrate_at_once(empty_database: str) -> None:
    done = await asyncio.gather(*(migrate(empty_database, 2) for _ in range(5)))
    assert sorted(len(each.applied) for each in done) == [0] * 4 + [len(load_migrations())]
    assert len({each.settings.instance_id for each in done}) == 1


async def test_an_edited_migration_is_refused(empty_database: str, files: Path) -> None:
    await migrate(empty_database, directory=files)
    edited = files / "0002_tenants.sql"
    edited.write_text(edited.read_text() + "-- one more thought\n")
    with pytest.raises(MigrationRefused, match=r"0002_tenants\.sql has checksum"):
        await migrate(empty_database, directory=files)


async def test_line_ends_do_not_change_a_checksum(empty_database: str, files: Path) -> None:
    await migrate(empty_database, directory=files)
    to_windows(files)
    assert (await migrate(empty_database, directory=files)).applied == ()


async def test_an_older_version_refuses_a_newer_database(empty_database: str, files: Path) -> None:
    (files / "9000_from_the_future.sql").write_text("SELECT 1;")
    await migrate(empty_database, directory=files)
    for attempt in (migrate(empty_database), read_settings(empty_database)):
        with pytest.raises(MigrationRefused, match="9000_from_the_future"):
            await attempt


async def test_a_migration_may_not_slip_in_before_an_applied_one(
    empty_database: str, files: Path
) -> None:
    (files / "9000_last.sql").write_text("SELECT 1;")
    await migrate(empty_database, directory=files)
    (files / "8000_late.sql").write_text("SELECT 1;")
    with pytest.raises(MigrationRefused, match="8000_late comes out of order: migration 9000"):
        await migrate(empty_database, directory=files)


async def test_a_failed_migration_leaves_nothing_of_itself(
    empty_database: str, files: Path
) -> None:
    broken = files / "9000_broken.sql"
    broken.write_text("CREATE TABLE ledger.half_done (); SELECT 1 / 0;")
    with pytest.raises(MigrationRefused, match=r"9000_broken failed \(22012\)"):
        await migrate(empty_database, directory=files)
    connection = await asyncpg.connect(empty_database)
    try:
        assert await connection.fetchval("SELECT to_regclass('ledger.half_done')") is None
    finally:
        await connection.close()
    broken.write_text("CREATE TABLE ledger.half_done ();")
    assert (await migrate(empty_database, directory=files)).applied == ("9000_broken",)


async def test_a_statement_can_run_outside_a_transaction(empty_database: str, files: Path) -> None:
    """While others wait for the lock too: a waiting session must hold no snapshot."""
    (files / "9000_index.sql").write_text(
        "-- no-transaction\nCREATE INDEX CONCURRENTLY IF NOT EXISTS late ON ledger.tenant (kind)"
    )
    await asyncio.gather(*(migrate(empty_database, directory=files) for _ in range(3)))
    connection = await asyncpg.connect(empty_database)
    try:
        valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ledger.late'::regclass"
        assert await connection.fetchval(valid)
    finally:
        await connection.close()


@pytest.mark.parametrize("name", ["1_short.sql", "0006-dash.sql", "0006_Upper.sql"])
def test_a_badly_named_file_is_refused(files: Path, name: str) -> None:
    (files / name).write_text("SELECT 1;")
    with pytest.raises(MigrationRefused, match=name):
        load_migrations(files)


def test_a_number_stands_once(files: Path) -> None:
    (files / "0002_again.sql").write_text("SELECT 1;")
    with pytest.raises(MigrationRefused, match="number 2 is"):
        load_migrations(files)


async def test_start_up_refuses_what_is_not_migrated(empty_database: str) -> None:
    with pytest.raises(MigrationRefused, match="no ledger yet: run `drawdown migrate`"):
        await read_settings(empty_database)
    newest = load_migrations()[-1]
    await migrate(empty_database)
    connection = await asyncpg.connect(empty_database)
    try:
        await connection.execute("DELETE FROM ledger.migration WHERE number = $1", newest.number)
    finally:
        await connection.close()
    with pytest.raises(MigrationRefused, match=f"pending: {newest.name}; run `drawdown migrate`"):
        await read_settings(empty_database)


async def test_an_absent_server_is_reported_as_such() -> None:
    with pytest.raises(JournalUnavailable, match="cannot be reached"):
        await migrate("postgresql://drawdown@127.0.0.1:1/drawdown")


async def test_a_user_without_rights_over_roles_can_migrate(empty_database: str) -> None:
    """Hosted databases give no CREATEROLE: everything works, the triggers still hold."""
    owner = f"owner_{empty_database.split('/')[3][5:17]}"
    name = empty_database.split("/")[3].split("?")[0]
    admin = await asyncpg.connect(empty_database)
    try:
        await admin.execute(f"CREATE ROLE {owner} LOGIN")
        await admin.execute(f"ALTER DATABASE {name} OWNER TO {owner}")
        dsn = empty_database.replace("drawdown@", f"{owner}@")
        assert (await migrate(dsn)).applied
        plain = await asyncpg.connect(dsn)
        try:
            assert not await plain.fetchval(
                "SELECT pg_has_role(current_user, $1, 'MEMBER')", APPLICATION_ROLE
            )
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
                await plain.execute("DELETE FROM ledger.journal")
        finally:
            await plain.close()
        await admin.execute(f"REASSIGN OWNED BY {owner} TO drawdown; DROP OWNED BY {owner}")
        await admin.execute(f"DROP ROLE {owner}")
    finally:
        await admin.close()
