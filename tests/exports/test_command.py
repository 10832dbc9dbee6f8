"""`drawdown export` as people run it: files, news, and what it refuses."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest
from cli.processes import drawdown, environment

from ledger.exports import files
from ledger.exports.chart import BookSet
from ledger.exports.run import Format, export
from ledger.exports.source import ExportRefused, Selection, open_source
from ledger.projections.tables import ProjectionDamaged
from tests.conftest import run_apart
from tests.exports.exporting import exported
from tests.exports.history import ODD_IDS
from tests.forks import COMMAND
from tests.projections.books import open_books
from tests.projections.projecting import looking, project

SUFFIXES = {"hledger": "journal", "beancount": "beancount", "csv": "csv", "parquet": "parquet"}


def refused(dsn: str, *arguments: str) -> str:
    """What it says as it refuses; nothing is left where it would have written."""
    done = drawdown("export", "--wait=0", *arguments, DATABASE_URL=dsn)
    assert done.returncode in (1, 2), (done.returncode, done.stderr)
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.parametrize("format", Format)
def test_a_directory_and_what_it_holds(history: str, tmp_path: Path, format: Format) -> None:
    out = tmp_path / "november"
    done = drawdown("export", f"--format={format}", f"--out={out}", DATABASE_URL=history)
    assert done.returncode == 0, done.stderr
    names = ("units", "money") if format in ("hledger", "beancount") else ("transfers", "balances")
    expected = {f"{name}.{SUFFIXES[format]}" for name in names} | {"manifest.json"}
    assert {path.name for path in out.iterdir()} == expected
    assert [path.name for path in tmp_path.iterdir()] == ["november"]
    assert f"exported to {out}" in done.stdout


@pytest.mark.parametrize("format", Format)
def test_one_file_with_its_manifest_beside_it(history: str, tmp_path: Path, format: Format) -> None:
    out = tmp_path / f"units.{SUFFIXES[format]}"
    arguments = ["export", f"--format={format}", "--books=units", f"--out={out}", "--json"]
    done = drawdown(*arguments, DATABASE_URL=history)
    assert done.returncode == 0, done.stderr
    beside = tmp_path / f"{out.name}.manifest.json"
    assert {*tmp_path.iterdir()} == {out, beside}
    assert json.loads(done.stdout) == json.loads(beside.read_text())
    again = drawdown(*arguments, DATABASE_URL=history)
    assert again.returncode == 1
    assert "exists" in again.stderr
    assert drawdown(*arguments, "--force", DATABASE_URL=history).returncode == 0
    assert {*tmp_path.iterdir()} == {out, beside}


def test_what_does_not_exist_is_named(history: str, tmp_path: Path) -> None:
    out = f"--out={tmp_path / 'x'}"
    said = refused(history, "--format=csv", out, "--tenant=nobody")
    assert "no tenant 'nobody'" in said
    assert "default, sandbox" in said
    said = refused(history, "--format=csv", out, "--asset=gold")
    assert "no asset 'gold'" in said
    assert "CREDIT" in said
    said = refused(history, "--format=csv", out, "--account=nobody")
    assert "no account 'nobody'" in said
    assert not any(tmp_path.iterdir())


def test_a_range_that_ends_before_it_begins(history: str, tmp_path: Path) -> None:
    out = f"--out={tmp_path / 'x'}"
    for end in ("2026-11-01", "2026-10-31T23:59:59Z"):
        said = refused(history, "--format=csv", out, "--from=2026-11-01", f"--to={end}")
        assert "is empty" in said
    for wrong in ("yesterday", "1969-12-31", "0001-01-01T00:00:00+14:00"):
        assert wrong in refused(history, "--format=csv", out, f"--from={wrong}")


def test_units_and_money_are_not_put_into_one_journal(history: str, tmp_path: Path) -> None:
    """Rule B2."""
    said = refused(history, "--format=hledger", f"--out={tmp_path / 'all.journal'}")
    assert "never in one" in said


def test_only_an_export_is_replaced(history: str, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "letter").write_text("dear")
    out = f"--out={precious}"
    assert "--force" in refused(history, "--format=csv", out)
    assert "is not replaced" in refused(history, "--format=csv", out, "--force")
    assert (precious / "letter").read_text() == "dear"
    done = tmp_path / "done"
    assert drawdown("export", "--format=csv", f"--out={done}", DATABASE_URL=history).returncode == 0
    (done / "note").write_text("mine")
    assert "is not replaced" in refused(history, "--format=csv", f"--out={done}", "--force")
    (done / "note").unlink()
    arguments = ["export", "--format=hledger", f"--out={done}", "--force"]
    assert drawdown(*arguments, DATABASE_URL=history).returncode == 0
    assert {path.name for path in done.iterdir()} == {
        "units.journal",
        "money.journal",
        "manifest.json",
    }
    assert {path.name for path in tmp_path.iterdir()} == {"precious", "done"}


def test_there_is_no_directory_to_write_to(history: str, tmp_path: Path) -> None:
    said = refused(history, "--format=csv", f"--out={tmp_path / 'no' / 'where'}")
    assert "is no directory" in said


@pytest.mark.parametrize("format", Format)
def test_a_full_disk_leaves_nothing(history: str, tmp_path: Path, format: Format) -> None:
    """No more than 4 kB may be written, as if the disk were full."""
    command = [*COMMAND, "export", f"--format={format}", f"--out={tmp_path / 'x'}"]
    done = subprocess.run(
        ["sh", "-c", 'ulimit -f 8; exec "$@"', "sh", *command],
        capture_output=True,
        text=True,
        env=environment(DATABASE_URL=history),
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "cannot be written" in done.stderr
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, OSError])
def test_what_ends_early_leaves_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "export"
    target.mkdir()
    (target / "manifest.json").write_text("{}")

    def half_of_it() -> None:
        with files.staged(target, single=False) as staging, staging.text("half") as half:
            half.write("a line")
            raise error

    with pytest.raises((error, ExportRefused)):
        half_of_it()
    assert [path.name for path in tmp_path.iterdir()] == ["export"]
    assert [path.name for path in target.iterdir()] == ["manifest.json"]


def test_without_pyarrow_it_says_what_to_install(history: str, tmp_path: Path) -> None:
    code = "import sys; sys.modules['pyarrow'] = None; from ledger.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "export", "--format=parquet", f"--out={tmp_path / 'x'}"],
        capture_output=True,
        text=True,
        env=environment(DATABASE_URL=history),
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "drawdown[parquet]" in done.stderr
    assert not any(tmp_path.iterdir())


async def test_read_models_that_are_behind(database: str, tmp_path: Path) -> None:
    """Nobody projects: it says so, or does it itself when it may wait."""
    async with open_books(database) as books:
        await books.grant(await books.account("acme"), 1_000)
    done = await exported(database, Format.CSV, tmp_path / "now")
    assert done.behind > 0
    assert done.manifest["behind_entries"] == done.behind
    run = asyncio.to_thread(
        drawdown, "export", "--format=csv", f"--out={tmp_path / 'x'}", "--wait=0",
        DATABASE_URL=database,
    )  # fmt: skip
    assert f"{done.behind:,} entries behind" in (await run).stderr
    seen: list[str] = []
    later = await export(
        database,
        Selection("default", (BookSet.UNITS,)),
        Format.CSV,
        tmp_path / "then",
        wait_s=60,
        watch=lambda what, done, total: seen.append(what),
    )
    assert later.behind == 0
    assert later.manifest["files"][0]["rows"] == 1
    assert any("catches up" in each for each in seen)


async def test_a_book_that_does_not_add_up_is_not_exported(database: str, tmp_path: Path) -> None:
    """Rule B1: what the transfers say is compared with the counters before anything is named."""
    async with open_books(database) as books:
        await books.grant(await books.account("acme"), 1_000)
    await project(database)
    async with looking(database) as connection:
        await connection.execute("UPDATE projection.books SET debits_posted = debits_posted + 1")
    for format in Format:
        with pytest.raises(ProjectionDamaged, match="add up to"):
            await exported(database, format, tmp_path / "x")
        files.check_target(tmp_path / "x", single=False, force=False)  # nothing stands there


async def test_a_transfer_between_the_two_sets_is_not_exported(
    database: str, tmp_path: Path
) -> None:
    """Rule B2."""
    async with open_books(database) as books:
        await books.grant(await books.account("acme"), 1_000)
    await project(database)
    connection = await asyncpg.connect(database)
    try:
        await connection.execute("UPDATE projection.books SET asset = asset + 1 WHERE kind = 4")
    finally:
        await connection.close()
    with pytest.raises(ProjectionDamaged, match="two sets of books or two assets"):
        await exported(database, Format.CSV, tmp_path / "x")


async def test_a_rebuild_amid_an_export_is_not_held_up_and_leaves_nothing_out(
    database: str, tmp_path: Path
) -> None:
    """The snapshot shows nothing of the new copy. Whether PostgreSQL finds the old one under the
    name depends on its caches: the export is whole, or refused."""
    async with open_books(database) as books:
        await books.grant(await books.account("acme"), 1_000)
    await project(database)

    async def swap() -> None:
        async with looking(database) as connection, connection.transaction():
            await connection.execute(
                "LOCK TABLE projection.checkpoint IN ACCESS EXCLUSIVE MODE NOWAIT;"
                "ALTER SCHEMA projection RENAME TO projection_old;"
                "SELECT ledger.create_projection('projection')"
            )

    def rebuilt(what: str, done: int, total: int) -> None:
        if done == total:
            run_apart(swap)

    for format in Format:
        before = await exported(database, format, tmp_path / f"{format} before")
        out = tmp_path / f"{format} amid"
        asked = Selection("default", tuple(BookSet))
        try:
            amid = await export(database, asked, format, out, watch=rebuilt)
        except ExportRefused:
            files.check_target(out, single=False, force=False)  # nothing stands there
        else:
            assert amid.manifest["trial_balance"] == before.manifest["trial_balance"]
            for now, then in zip(amid.manifest["files"], before.manifest["files"], strict=True):
                assert now["rows"] == then["rows"]
        async with looking(database) as connection:
            await connection.execute(
                "DROP SCHEMA projection CASCADE; ALTER SCHEMA projection_old RENAME TO projection"
            )


async def test_another_copy_under_the_name_is_refused(database: str, tmp_path: Path) -> None:
    """The same, where the session does look the name up anew."""
    async with open_source(database, Selection("default", tuple(BookSet))) as source:
        await source.check_copy()
        source._copy += 1
        with pytest.raises(ExportRefused, match="rebuilt"):
            await source.check_copy()


async def test_a_subtree_holds_its_own_and_nobody_else_s(history: str, tmp_path: Path) -> None:
    await exported(history, Format.CSV, tmp_path / "x", account=ODD_IDS[0])
    text = (tmp_path / "x" / "balances.csv").read_text()
    assert "acme--2Fsearch:A" in text  # the child's
    for other in ("team0", "calendar", "rich"):
        assert other not in text


async def test_progress_is_told(history: str, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    await export(
        history,
        Selection("default", tuple(BookSet)),
        Format.BEANCOUNT,
        tmp_path / "x",
        watch=lambda *news: told.append(news),
    )
    last = {what: (done, total) for what, done, total in told}
    assert set(last) == {"units", "money"}
    assert all(done == total > 0 for done, total in last.values())
