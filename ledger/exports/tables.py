"""CSV and Parquet: the columns of `rows` in files.

CSV is RFC 4180 with a heading: commas, CRLF, quotes doubled, UTF-8. Parquet needs pyarrow, which is
imported when the first file is opened; its rows are written in groups, so that memory is bounded.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TextIO

from ledger.exports import rows
from ledger.exports.amounts import instant_text
from ledger.exports.rows import Column, Row
from ledger.exports.source import ExportRefused

if TYPE_CHECKING:
    import pyarrow

BATCH_ROWS: Final = 5_000  # python objects held; x ~3 kB = 15 MB
GROUP_ROWS: Final = 100_000  # of a row group, packed by Arrow; x ~200 B = 20 MB


class RowWriter(Protocol):
    """Takes rows of one table; `close` makes the file complete."""

    def write(self, some: Sequence[Row]) -> None:
        """Append rows."""
        ...

    def close(self) -> None:
        """Write what is left."""
        ...


class CsvWriter:
    """See RowWriter."""

    def __init__(self, out: TextIO, columns: Sequence[Column]) -> None:
        self._writer = csv.writer(out, lineterminator="\r\n")
        self._instants = [i for i, column in enumerate(columns) if column.type == rows.INSTANT]
        self._writer.writerow([column.name for column in columns])

    def write(self, some: Sequence[Row]) -> None:
        """See RowWriter."""
        if not self._instants:
            self._writer.writerows(some)
            return
        for row in some:
            cells = list(row)
            for index in self._instants:
                cells[index] = instant_text(cells[index])
            self._writer.writerow(cells)

    def close(self) -> None:
        """See RowWriter."""


class ParquetWriter:
    """See RowWriter."""

    def __init__(self, path: Path, columns: Sequence[Column], notes: Mapping[str, str]) -> None:
        """`notes` become the file's key-value metadata. Raises ExportRefused without pyarrow."""
        self._arrow = arrow = _pyarrow()
        import pyarrow.parquet

        self._types = [_arrow_type(arrow, column.type) for column in columns]
        fields = [
            arrow.field(column.name, type_, nullable=column.empty)
            for column, type_ in zip(columns, self._types, strict=True)
        ]
        self._schema = arrow.schema(fields, metadata=dict(notes))
        self._decimals = [i for i, column in enumerate(columns) if column.type == rows.AMOUNT]
        self._texts = [i for i, column in enumerate(columns) if column.type == rows.TEXT]
        self._batches: list[pyarrow.RecordBatch] = []
        self._rows: list[Row] = []
        self._held = 0
        self._writer = pyarrow.parquet.ParquetWriter(path, self._schema, compression="zstd")

    def write(self, some: Sequence[Row]) -> None:
        """See RowWriter."""
        self._rows.extend(some)
        if len(self._rows) >= BATCH_ROWS:
            self._pack()
            if self._held >= GROUP_ROWS:
                self._flush()

    def close(self) -> None:
        """See RowWriter."""
        try:
            self._pack()
            self._flush()
        finally:
            self._writer.close()

    def _pack(self) -> None:
        """Hand the rows over to Arrow."""
        if not self._rows:
            return
        arrow = self._arrow
        columns: list[Any] = [list(column) for column in zip(*self._rows, strict=True)]
        for index in self._decimals:
            columns[index] = [Decimal(text) for text in columns[index]]
        arrays = [
            arrow.array(column, arrow.string()).dictionary_encode()
            if index in self._texts
            else arrow.array(column, self._types[index])
            for index, column in enumerate(columns)
        ]
        self._batches.append(arrow.RecordBatch.from_arrays(arrays, schema=self._schema))
        self._held += len(self._rows)
        self._rows = []

    def _flush(self) -> None:
        """Write one row group."""
        if self._batches:
            table = self._arrow.Table.from_batches(self._batches, self._schema)
            self._writer.write_table(table.unify_dictionaries(), row_group_size=GROUP_ROWS * 2)
        self._batches = []
        self._held = 0


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ImportError as error:
        raise ExportRefused(
            "Parquet needs pyarrow, which is not installed",
            "pip install 'drawdown[parquet]', or export --format csv",
        ) from error
    return pyarrow


def _arrow_type(arrow: Any, name: str) -> Any:
    types: dict[str, Any] = {
        rows.INT32: arrow.int32(),
        rows.INT64: arrow.int64(),
        rows.TEXT: arrow.dictionary(arrow.int32(), arrow.string()),
        rows.AMOUNT: arrow.decimal128(38, 18),
        rows.TOTAL: arrow.decimal128(38, 0),
        rows.INSTANT: arrow.timestamp("us", tz="UTC"),
    }
    return types[name]
