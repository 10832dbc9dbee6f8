"""Exporting in tests, and what the books say themselves."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

from ledger.exports.chart import BookSet
from ledger.exports.run import Exported, Format, export
from ledger.exports.source import Selection, open_source
from tests.projections.projecting import looking

BOTH = tuple(BookSet)
TENANT = "default"
Balances = dict[tuple[str, str], Decimal]


def nobody(what: str, done: int, total: int) -> None:
    """Nobody watches."""


async def exported(
    dsn: str, format: Format, out: Path, books: tuple[BookSet, ...] = BOTH, **asked: Any
) -> Exported:
    """Export to `out`."""
    return await export(dsn, Selection(TENANT, books, **asked), format, out, watch=nobody)


async def our_balances(dsn: str, books: BookSet) -> Balances:
    """What the counters of the books come to, by account and asset code, without zeros."""
    async with open_source(dsn, Selection(TENANT, (books,))) as source:
        rows = await source._connection.fetch(
            "SELECT shard, book, debits_posted - credits_posted AS posted FROM projection.books "
            "WHERE tenant = $1",
            source._tenant,
        )
        await source._learn((row["shard"], row["book"]) for row in rows)
        sums: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        for row in rows:
            book = source._known[row["shard"], row["book"]]
            if book.books is books:
                asset = source.assets[book.asset]
                sums[book.path, asset.code] += exact(row["posted"], asset.scale)
    return {place: amount for place, amount in sums.items() if amount}


def exact(minor: Any, scale: int) -> Decimal:
    """Minor units as a decimal, whatever the context rounds to."""
    value = Decimal(minor)
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    return Decimal((sign, digits, exponent - scale))


async def the_transfers(dsn: str) -> list[tuple[Any, ...]]:
    """Every row of the transfers of the tenant, by its key."""
    async with looking(dsn) as connection:
        rows = await connection.fetch(
            "SELECT t.shard, t.entry_seq, t.line, t.debit_book, t.credit_book, t.amount, t.phase, "
            "t.pot, t.value, t.cost, t.effective_at, t.recorded_at FROM projection.transfers t "
            "JOIN ledger.tenant n ON n.number = t.tenant WHERE n.name = $1 ORDER BY 1, 2, 3",
            TENANT,
        )
    return [tuple(row) for row in rows]
