"""`export`: one snapshot of a tenant's books into files, with a manifest of what they hold."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import msgspec

from ledger.exports import catch_up as catching_up
from ledger.exports import files, names, rows
from ledger.exports.amounts import instant_text
from ledger.exports.beancount import BeancountWriter
from ledger.exports.catch_up import Watch
from ledger.exports.chart import BookSet
from ledger.exports.files import MANIFEST, PROGRAM, Staging
from ledger.exports.hledger import HledgerWriter
from ledger.exports.sheet import JournalWriter, Sheet
from ledger.exports.source import (
    EVERY_PHASE,
    Balance,
    Counters,
    ExportRefused,
    Selection,
    Source,
    open_source,
)
from ledger.exports.tables import CsvWriter, ParquetWriter, RowWriter
from ledger.projections.changes import POSTED

FORMAT_VERSION: Final = 1  # of the manifest and of the columns


class Format(StrEnum):
    """What is written."""

    HLEDGER = "hledger"
    BEANCOUNT = "beancount"
    CSV = "csv"
    PARQUET = "parquet"


SUFFIXES: Final = {
    Format.HLEDGER: ".journal",
    Format.BEANCOUNT: ".beancount",
    Format.CSV: ".csv",
    Format.PARQUET: ".parquet",
}
_JOURNALS: Final[dict[Format, Callable[[Any, Any, Sheet], JournalWriter]]] = {
    Format.HLEDGER: HledgerWriter,
    Format.BEANCOUNT: BeancountWriter,
}


class Exported(msgspec.Struct, frozen=True):
    """What was written: the manifest, and the entries that the read models were behind by."""

    manifest: dict[str, Any]
    behind: int


def check(selection: Selection, format: Format, out: Path, *, force: bool) -> bool:
    """Whether `out` is to be one file; what can be refused before a look at the books.

    Raises ExportRefused.
    """
    begin, end = selection.from_us, selection.to_us
    if begin is not None and end is not None and begin >= end:
        raise ExportRefused(
            f"the range from {instant_text(begin)} to {instant_text(end)} is empty",
            "--to is the first instant that is no longer exported, after --from",
        )
    single = out.suffix == SUFFIXES[format]
    if single and format in _JOURNALS and len(selection.books) > 1:
        raise ExportRefused(
            "units and money stand in two journals, never in one (rule B2)",
            "choose --books, or name a directory with --out",
        )
    files.check_target(out, single=single, force=force)
    return single


async def export(
    dsn: str,
    selection: Selection,
    format: Format,
    out: Path,
    *,
    force: bool = False,
    wait_s: int = 0,
    watch: Watch,
) -> Exported:
    """Write the export. Raises ExportRefused, ProjectionDamaged, JournalUnavailable.

    `out` that ends in the format's suffix is one file (of tables: the transfers), its manifest
    beside it; else a directory with one file for each set of books, or for each table.
    """
    single = check(selection, format, out, force=force)
    if wait_s:
        await catching_up.catch_up(dsn, wait_s, watch)
    async with open_source(dsn, selection) as source:
        with files.staged(out, single=single) as staging:
            run = _Run(source, format, staging, single, watch)
            if format in _JOURNALS:
                for books in selection.books:
                    await run.journal(books)
            else:
                await run.tables()
            await source.check_copy()
            manifest = run.manifest()
            with staging.text(MANIFEST) as file:
                file.write(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
    return Exported(manifest, manifest["behind_entries"])


class _Run:
    """One export under way."""

    def __init__(
        self, source: Source, format: Format, staging: Staging, single: bool, watch: Watch
    ) -> None:
        self._source = source
        self._format = format
        self._staging = staging
        self._single = single
        self._watch = watch
        self._written: dict[str, int] = {}  # file -> its rows
        self._sums: dict[tuple[str, int, str], tuple[Counters, Counters]] = {}

    async def journal(self, books: BookSet) -> None:
        """One set of books for an accountant's tool."""
        source, staging = self._source, self._staging
        extent = await source.extent([books], [POSTED])
        name, closing = f"{books}{SUFFIXES[self._format]}", f"{books}.closing"
        with staging.text(name) as out, staging.text(closing) as end:
            sheet = Sheet(
                source.selection, books, source.positions, source.assets, extent, _version()
            )
            writer = _JOURNALS[self._format](out, end, sheet)
            async for balance in source.balances([books]):
                self._add(balance)
                writer.balance(balance)
            done = 0
            async for page in source.transfers([books], [POSTED]):
                writer.transfers(page)
                done += len(page)
                self._watch(str(books), done, extent.rows)
            writer.end()
        assert done == extent.rows, (done, extent)
        staging.append(name, closing)
        self._written[name] = done

    async def tables(self) -> None:
        """Transfers and balances, of the chosen sets together."""
        source = self._source
        chosen = source.selection.books
        total = (await source.extent(chosen)).rows
        with self._table("transfers", rows.TRANSFERS) as transfers:
            done = 0
            async for page in source.transfers(chosen, EVERY_PHASE):
                transfers.write([rows.transfer_row(*each, source.assets) for each in page])
                done += len(page)
                self._watch("transfers", done, total)
        assert done == total, (done, total)
        self._written[f"transfers{SUFFIXES[self._format]}"] = done
        balances = (
            contextlib.nullcontext() if self._single else self._table("balances", rows.BALANCES)
        )
        with balances as table:
            count = 0
            async for balance in source.balances(chosen):
                self._add(balance)
                count += 1
                if table is not None:
                    table.write([rows.balance_row(balance)])
        if not self._single:
            self._written[f"balances{SUFFIXES[self._format]}"] = count

    @contextlib.contextmanager
    def _table(self, name: str, columns: tuple[rows.Column, ...]) -> Iterator[RowWriter]:
        file = f"{name}{SUFFIXES[self._format]}"
        writer: RowWriter
        if self._format is Format.CSV:
            with self._staging.text(file) as out:
                writer = CsvWriter(out, columns)
                yield writer
                writer.close()
            return
        notes = {"drawdown": json.dumps(self._heading(), ensure_ascii=False)}
        writer = ParquetWriter(self._staging.folder / file, columns, notes)
        try:
            yield writer
        finally:
            writer.close()

    def _add(self, balance: Balance) -> None:
        """Into the trial balance: by set, asset and kind."""
        place = (balance.book.books.value, balance.asset.number, balance.book.kind)
        opening, closing = self._sums.get(place, (_ZERO, _ZERO))
        self._sums[place] = (opening.plus(balance.opening), closing.plus(balance.closing))

    def manifest(self) -> dict[str, Any]:
        """What was written, of what, and what it adds up to."""
        return {
            **self._heading(),
            "files": [
                {
                    "name": name,
                    "rows": count,
                    "bytes": self._staging.size(name),
                    "sha256": self._staging.digest(name),
                }
                for name, count in self._written.items()
            ],
            "trial_balance": self._trial_balance(),
        }

    def _heading(self) -> dict[str, Any]:
        source = self._source
        asked = source.selection
        behind = sum(max(0, each.head_entries - each.entries) for each in source.positions)
        return {
            "program": PROGRAM,
            "version": _version(),
            "format": self._format.value,
            "format_version": FORMAT_VERSION,
            "tenant": asked.tenant,
            "books": [each.value for each in asked.books],
            "from": None if asked.from_us is None else instant_text(asked.from_us),
            "to": None if asked.to_us is None else instant_text(asked.to_us),
            "time": "recorded" if asked.by_recorded else "effective",
            "account": asked.account,
            "only_assets": list(asked.assets),
            "assets": [
                {
                    "code": asset.code,
                    "number": number,
                    "scale": asset.scale,
                    "kind": asset.kind,
                    "hledger": names.hledger_commodity(asset.code),
                    "beancount": names.beancount_commodity(asset.code, number),
                }
                for number, asset in source.assets.items()
            ],
            "positions": [
                {
                    "shard": each.shard,
                    "batch_seq": each.batch_seq,
                    "entries": each.entries,
                    "recorded_at": instant_text(each.recorded_at),
                    "hash": each.hash.hex(),
                }
                for each in source.positions
            ],
            "behind_entries": behind,
        }

    def _trial_balance(self) -> list[dict[str, Any]]:
        """Minor units as text, since totals may not fit 64 bits (rule N1)."""
        assets = self._source.assets
        return [
            {
                "books": books,
                "asset": assets[asset].code,
                "scale": assets[asset].scale,
                "kind": kind.lower(),
                "opening": _document(opening),
                "closing": _document(closing),
            }
            for (books, asset, kind), (opening, closing) in sorted(self._sums.items())
        ]


_ZERO: Final = Counters(0, 0, 0, 0)


def _document(counters: Counters) -> dict[str, str]:
    return {name: str(value) for name, value in counters._asdict().items()}


def _version() -> str:
    return version("drawdown")
