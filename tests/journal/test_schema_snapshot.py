"""A new database is made from the snapshot, and is what the migrations would have made."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ledger.journal.embedded import EmbeddedPostgres
from ledger.journal.migrate import load_migrations, migrate, migrations_directory
from ledger.journal.schema_snapshot import FILE, load_snapshot
from tests.faults.migrating import new_database, schema_of
from tests.journal.snapshot import dump, rows, statements, without_snapshot


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A copy of the real migrations, to be tampered with."""
    return Path(shutil.copytree(migrations_directory(), tmp_path / "migrations"))


def test_it_is_of_all_migrations() -> None:
    found = load_snapshot(migrations_directory(), load_migrations())
    assert found is not None, "run `python -m tests.journal.snapshot`"
    assert found[1] == load_migrations(), "run `python -m tests.journal.snapshot`"


async def test_both_ways_make_the_same_database(
    postgres_server: EmbeddedPostgres, empty_database: str, tmp_path: Path
) -> None:
    await migrate(empty_database)
    async with new_database(empty_database) as one_by_one:
        await migrate(one_by_one, directory=without_snapshot(tmp_path))
        assert await schema_of(empty_database) == await schema_of(one_by_one)
        assert await rows(empty_database) == await rows(one_by_one)
        at_once, apart = (
            statements(dump(postgres_server, dsn, "--schema-only"))
            for dsn in (empty_database, one_by_one)
        )
        assert "CREATE TABLE projection.usage" in at_once
        assert at_once == apart


async def test_a_snapshot_of_other_files_is_left_alone(empty_database: str, files: Path) -> None:
    edited = files / "0002_tenants.sql"
    edited.write_text(edited.read_text() + "CREATE TABLE ledger.of_an_edited_file (n int);\n")
    assert load_snapshot(files, load_migrations(files)) is None
    await migrate(empty_database, directory=files)
    assert "of_an_edited_file" in [row[1] for row in await schema_of(empty_database)]


@pytest.mark.parametrize("said", ["", "-- stands for 0050\n", "-- stands for 0001, " + "0" * 64])
def test_a_file_that_does_not_say_what_it_is_of_is_left_alone(files: Path, said: str) -> None:
    (files / FILE).write_text(said + "\nDROP SCHEMA ledger;\n")
    assert load_snapshot(files, load_migrations(files)) is None


async def test_an_older_snapshot_is_followed_by_what_came_later(
    empty_database: str, files: Path
) -> None:
    (files / "9000_later.sql").write_text("CREATE TABLE ledger.later (number int);")
    done = await migrate(empty_database, directory=files)
    assert done.applied[-1] == "9000_later"
    assert len(done.applied) == len(load_migrations()) + 1
    assert "later" in [row[1] for row in await schema_of(empty_database)]
