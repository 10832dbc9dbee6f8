"""CSV and Parquet, read back with the usual readers: the same table, and the same sums."""

from __future__ import annotations

import csv
import datetime
import hashlib
import json
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from ledger.core.events import Pot
from ledger.core.limits import DAY_US
from ledger.exports import rows
from ledger.exports.chart import BookSet
from ledger.exports.run import Format
from ledger.exports.source import Counters
from tests.exports.exporting import exact, exported, the_transfers
from tests.exports.history import ODD_IDS, ODD_PRODUCTS
from tests.exports.test_tools import NOW_US, RANGES
from tests.projections.projecting import looking

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
PHASES = {name: number for number, name in rows.PHASES.items()}
FORMATS = (Format.CSV, Format.PARQUET)

Row = dict[str, Any]


def microseconds(value: Any) -> int:
    instant = datetime.datetime.fromisoformat(value) if isinstance(value, str) else value
    return (instant - EPOCH) // datetime.timedelta(microseconds=1)


def read(folder: Path, table: str, format: Format) -> list[Row]:
    """The rows with Python's own types: what a reader of that format makes of them."""
    if format is Format.PARQUET:
        return list(pyarrow.parquet.read_table(folder / f"{table}.parquet").to_pylist())
    columns = {each.name: each for each in (*rows.TRANSFERS, *rows.BALANCES)}
    with (folder / f"{table}.csv").open(encoding="utf-8", newline="") as file:
        found: list[Row] = []
        for line in csv.DictReader(file, strict=True):
            row: Row = {}
            for name, text in line.items():
                kind = columns[name].type
                if not text and columns[name].empty:
                    row[name] = None
                elif kind in (rows.INT32, rows.INT64):
                    row[name] = int(text)
                elif kind in (rows.AMOUNT, rows.TOTAL):
                    row[name] = Decimal(text)
                else:
                    row[name] = text
            found.append(row)
    return found


def as_stored(row: Row) -> tuple[Any, ...]:
    """What stands in the table of transfers, out of an exported row alone."""
    return (
        row["shard"],
        row["entry_seq"],
        row["line"],
        row["debit_book"],
        row["credit_book"],
        row["amount_minor"],
        PHASES[row["phase"]],
        Pot[row["pot"]].value if row["pot"] else 0,
        row["value_minor"],
        row["cost_minor"],
        microseconds(row["effective_at"]),
        microseconds(row["recorded_at"]),
    )


@pytest.mark.parametrize("format", FORMATS)
async def test_read_back_it_is_the_table_of_transfers(
    history: str, tmp_path: Path, format: Format
) -> None:
    await exported(history, format, tmp_path / "all")
    found = read(tmp_path / "all", "transfers", format)
    stored = await the_transfers(history)
    assert sorted(map(as_stored, found)) == stored
    times = [(microseconds(row["effective_at"]), *as_stored(row)[:3]) for row in found]
    assert times == sorted(times)
    for row in found:
        assert row["amount"] == exact(row["amount_minor"], row["scale"])
    assert {row["phase"] for row in found} == {"pending", "posted", "released"}
    assert {row["product"] for row in found} >= set(ODD_PRODUCTS)
    backwards = [row for row in found if row["movement"] == "used > grant"]
    assert {row["value_asset"] for row in backwards} == {"USD"}  # what a reversal gives back
    assert all(row["value_minor"] < 0 for row in backwards)
    ids = {row["debit_account_id"] for row in found} | {row["credit_account_id"] for row in found}
    assert ids >= {*ODD_IDS, None}


@pytest.mark.parametrize("format", FORMATS)
async def test_the_rows_of_a_book_add_up_to_its_counters(
    history: str, tmp_path: Path, format: Format
) -> None:
    """Rule B1: posted and pending, debits and credits, of every book."""
    await exported(history, format, tmp_path / "all")
    sums: dict[tuple[int, int], dict[str, int]] = defaultdict(
        lambda: dict.fromkeys(Counters._fields, 0)
    )
    for row in read(tmp_path / "all", "transfers", format):
        counter = "posted" if row["phase"] == "posted" else "pending"
        sign = -1 if row["phase"] == "released" else 1
        for side in ("debit", "credit"):
            book = sums[row["shard"], row[f"{side}_book"]]
            book[f"{side}s_{counter}"] += sign * row["amount_minor"]
    async with looking(history) as connection:
        books = await connection.fetch(
            "SELECT shard, book, debits_posted, credits_posted, debits_pending, credits_pending "
            "FROM projection.books WHERE tenant = 1"
        )
    for shard, book, *counters in map(tuple, books):
        assert tuple(sums[shard, book].values()) == tuple(map(int, counters)), (shard, book)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("by_recorded", [False, True])
async def test_two_ranges_are_the_whole(
    history: str, tmp_path: Path, format: Format, by_recorded: bool
) -> None:
    """[from, middle) and [middle, to) share nothing and leave nothing out, by either time."""
    async with looking(history) as connection:
        time = "recorded_at" if by_recorded else "effective_at"
        middle = await connection.fetchval(
            f"SELECT {time} FROM projection.transfers WHERE tenant = 1 ORDER BY 1 "
            "OFFSET (SELECT count(*) / 2 FROM projection.transfers WHERE tenant = 1) LIMIT 1"
        )
    asked = {"by_recorded": by_recorded}
    await exported(history, format, tmp_path / "1", to_us=middle, **asked)
    await exported(history, format, tmp_path / "2", from_us=middle, **asked)
    await exported(history, format, tmp_path / "all", **asked)
    first, second, whole = (
        read(tmp_path / each, "transfers", format) for each in ("1", "2", "all")
    )
    assert first + second == whole
    assert first
    assert second
    one, two = (read(tmp_path / each, "balances", format) for each in ("1", "2"))
    closing, opening = (
        {
            (row["account"], row["asset"]): [row[f"{when}_{each}"] for each in Counters._fields]
            for row in some
            if any(row[f"{when}_{each}"] for each in Counters._fields)
        }
        for some, when in ((one, "closing"), (two, "opening"))
    )
    assert closing == opening


@pytest.mark.parametrize("asked", RANGES.values(), ids=RANGES)
async def test_balances_move_by_what_the_range_holds(
    history: str, tmp_path: Path, asked: dict[str, Any]
) -> None:
    await exported(history, Format.CSV, tmp_path / "all", **asked)
    moved: dict[tuple[str, str], int] = defaultdict(int)
    for row in read(tmp_path / "all", "transfers", Format.CSV):
        if row["phase"] == "posted":
            moved[row["debit_account"], row["asset"]] += row["amount_minor"]
            moved[row["credit_account"], row["asset"]] -= row["amount_minor"]
    for row in read(tmp_path / "all", "balances", Format.CSV):
        change = (row["closing_debits_posted"] - row["closing_credits_posted"]) - (
            row["opening_debits_posted"] - row["opening_credits_posted"]
        )
        assert change == moved.pop((row["account"], row["asset"]), 0)
    assert not moved


async def test_parquet_has_types_groups_and_a_note_of_what_it_is(
    history: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.exports.tables.BATCH_ROWS", 50)
    monkeypatch.setattr("ledger.exports.tables.GROUP_ROWS", 100)
    monkeypatch.setattr("ledger.exports.source.PAGE_ROWS", 30)
    monkeypatch.setattr("ledger.exports.source.BOOKS_MAX", 20)
    done = await exported(history, Format.PARQUET, tmp_path / "p")
    file = pyarrow.parquet.ParquetFile(tmp_path / "p" / "transfers.parquet")
    assert file.metadata.num_row_groups > 3
    types = {field.name: field.type for field in file.schema_arrow}
    assert types["amount"] == pyarrow.decimal128(38, 18)
    assert types["amount_minor"] == pyarrow.int64()
    assert types["effective_at"] == pyarrow.timestamp("us", tz="UTC")
    assert pyarrow.types.is_dictionary(types["debit_account"])
    note = json.loads(file.schema_arrow.metadata[b"drawdown"])
    assert note["positions"] == done.manifest["positions"]
    assert note["version"]
    found = read(tmp_path / "p", "transfers", Format.PARQUET)
    assert sorted(map(as_stored, found)) == await the_transfers(history)


async def test_csv_is_rfc_4180(history: str, tmp_path: Path) -> None:
    await exported(history, Format.CSV, tmp_path / "c")
    raw = (tmp_path / "c" / "transfers.csv").read_bytes()
    assert raw.endswith(b"\r\n")
    assert raw.split(b"\r\n")[0].decode() == ",".join(each.name for each in rows.TRANSFERS)
    assert b'"quo""te\\back\nline\ttab"' in raw


@pytest.mark.parametrize("format", Format)
async def test_the_manifest_says_what_there_is(
    history: str, tmp_path: Path, format: Format
) -> None:
    done = await exported(history, format, tmp_path / "e", from_us=NOW_US - 9 * DAY_US)
    manifest = json.loads((tmp_path / "e" / "manifest.json").read_text())
    assert manifest == done.manifest
    assert manifest["behind_entries"] == 0
    names = {each["name"] for each in manifest["files"]}
    assert {path.name for path in (tmp_path / "e").iterdir()} == names | {"manifest.json"}
    for each in manifest["files"]:
        content = (tmp_path / "e" / each["name"]).read_bytes()
        assert each["sha256"] == hashlib.sha256(content).hexdigest()
        assert each["bytes"] == len(content)
    async with looking(history) as connection:
        positions = await connection.fetch(
            "SELECT shard, entries, hash FROM projection.checkpoint ORDER BY shard"
        )
    assert [(each["shard"], each["entries"], each["hash"]) for each in manifest["positions"]] == [
        (shard, entries, hash.hex()) for shard, entries, hash in map(tuple, positions)
    ]
    sums: dict[tuple[str, str, str, str], int] = defaultdict(int)
    for row in manifest["trial_balance"]:
        for when in ("opening", "closing"):
            for phase in ("posted", "pending"):
                place = (row["books"], row["asset"], when, phase)
                sums[place] += int(row[when][f"debits_{phase}"])
                sums[place] -= int(row[when][f"credits_{phase}"])
    assert sums
    assert not any(sums.values())  # rule B7


async def test_the_trial_balance_is_that_of_the_books(history: str, tmp_path: Path) -> None:
    done = await exported(history, Format.CSV, tmp_path / "e", (BookSet.UNITS,))
    async with looking(history) as connection:
        total = await connection.fetchval(
            "SELECT sum(debits_posted) FROM projection.trial_balance WHERE tenant = 1 AND kind = 6"
        )
        credits = await connection.fetchval(
            "SELECT sum(credits_posted) FROM projection.trial_balance WHERE tenant = 1 AND kind = 6"
        )
    used = [each["closing"] for each in done.manifest["trial_balance"] if each["kind"] == "used"]
    assert sum(int(each["debits_posted"]) for each in used) == total
    assert sum(int(each["credits_posted"]) for each in used) == credits > 0
