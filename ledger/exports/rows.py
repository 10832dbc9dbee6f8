"""The columns of CSV and Parquet, once, and the rows under them. Pure; docs/exports.md lists them.

Amounts stand in minor units as they were posted, beside the exact decimal; counters in minor units
only. Nothing is left out: every phase, raw book numbers, entry and line, so that the table of
transfers can be put together again.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from ledger.core.catalog import Asset
from ledger.exports.amounts import decimal_text
from ledger.exports.sheet import movement, pot_name, product_of
from ledger.exports.source import Balance, Book, Counters, Transfer
from ledger.projections.changes import PENDING, POSTED, RELEASED

INT32: Final = "int32"
INT64: Final = "int64"
TEXT: Final = "dictionary"  # of strings
AMOUNT: Final = "decimal128(38, 18)"  # 19 digits of an int64 before, 18 of the largest scale behind
TOTAL: Final = "decimal128(38, 0)"  # a sum of int64s
INSTANT: Final = "timestamp[us, UTC]"


class Column(NamedTuple):
    """`empty` = null in Parquet, nothing in CSV, where there is no such thing."""

    name: str
    type: str
    empty: bool = False


TRANSFERS: Final = (
    Column("shard", INT32),
    Column("entry_seq", INT64),
    Column("line", INT32),
    Column("books", TEXT),
    Column("phase", TEXT),
    Column("movement", TEXT),
    Column("pot", TEXT, empty=True),
    Column("product", TEXT, empty=True),
    Column("asset", TEXT),
    Column("scale", INT32),
    Column("amount", AMOUNT),
    Column("amount_minor", INT64),
    Column("debit_account", TEXT),
    Column("credit_account", TEXT),
    Column("debit_book", INT64),
    Column("credit_book", INT64),
    Column("debit_account_id", TEXT, empty=True),
    Column("credit_account_id", TEXT, empty=True),
    Column("debit_grant", INT64, empty=True),
    Column("credit_grant", INT64, empty=True),
    Column("value_asset", TEXT, empty=True),
    Column("value_minor", INT64),
    Column("cost_minor", INT64),
    Column("effective_at", INSTANT),
    Column("recorded_at", INSTANT),
)

BALANCES: Final = (
    Column("books", TEXT),
    Column("account", TEXT),
    Column("kind", TEXT),
    Column("name", TEXT, empty=True),
    Column("account_id", TEXT, empty=True),
    Column("grant", INT64, empty=True),
    Column("asset", TEXT),
    Column("scale", INT32),
    *(
        Column(f"{when}_{counter}", TOTAL)
        for when in ("opening", "closing")
        for counter in Counters._fields
    ),
)

PHASES: Final = {PENDING: "pending", POSTED: "posted", RELEASED: "released"}

Row = tuple[Any, ...]


def transfer_row(transfer: Transfer, debit: Book, credit: Book, assets: dict[int, Asset]) -> Row:
    """One row of TRANSFERS; amounts as text, instants as microseconds, None where empty."""
    asset = assets[transfer.asset]
    valued = assets.get(debit.price_asset or credit.price_asset)
    return (
        transfer.shard,
        transfer.entry_seq,
        transfer.line,
        debit.books.value,
        PHASES[transfer.phase],
        movement(debit, credit),
        pot_name(transfer.pot) or None,
        product_of(debit, credit) or None,
        asset.code,
        asset.scale,
        decimal_text(transfer.amount, asset.scale),
        transfer.amount,
        debit.path,
        credit.path,
        transfer.debit_book,
        transfer.credit_book,
        debit.account_id or None,
        credit.account_id or None,
        debit.grant or None,
        credit.grant or None,
        valued.code if valued is not None else None,
        transfer.value,
        transfer.cost,
        transfer.effective_at,
        transfer.recorded_at,
    )


def balance_row(balance: Balance) -> Row:
    """One row of BALANCES."""
    book = balance.book
    return (
        book.books.value,
        book.path,
        book.kind.lower(),
        book.name or None,
        book.account_id or None,
        book.grant or None,
        balance.asset.code,
        balance.asset.scale,
        *balance.opening,
        *balance.closing,
    )
