"""The writers of journals on books of every kind that rule B2 names, with every owner and name.

Both tools accept them and count the same, also for kinds that no history here has made.
"""

from __future__ import annotations

import io
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ledger.core.catalog import Asset
from ledger.core.events import Pot
from ledger.core.limits import DAY_US, INT64_MAX
from ledger.exports.beancount import BeancountWriter
from ledger.exports.chart import CHART, BookSet
from ledger.exports.hledger import HledgerWriter
from ledger.exports.sheet import JournalWriter, Sheet
from ledger.exports.source import (
    Balance,
    Book,
    Counters,
    Extent,
    Page,
    Selection,
    Transfer,
    path_of,
)
from ledger.projections.changes import POSTED
from tests.exports.hledger_binary import Hledger
from tests.exports.test_tools import beancount_balances, hledger_balances

ASSETS = {1: Asset(1, 1, "EUR", 2, "money"), 2: Asset(2, 1, "NANO", 9, "money")}
ROWS: list[dict[str, Any]] = [
    {"account": 7, "root": 7, "account_id": "acme", "root_id": "acme", "owner": 7},
    {"account": 8, "root": 7, "account_id": "acme/a", "root_id": "acme", "owner": 8},
    {"account": 9, "root": 9, "account_id": None, "root_id": None, "owner": 9},
]
NAMES = ("", "chat", "chat-b", "own", "Own")
BEGIN_US = 20_000 * DAY_US


def every_book(books: BookSet) -> list[Book]:
    """Each kind with each owner and name, in both assets."""
    found: dict[tuple[str, int], Book] = {}
    for kind, place in CHART.items():
        if place.books is not books:
            continue
        for row in ROWS:
            for name in NAMES:
                path = path_of(place, {**row, "name": name})
                for asset in ASSETS:
                    found[path, asset] = Book(
                        0, len(found) + 1, kind, books, path, asset, name, row["account"],
                        row["account_id"] or "", 0, 0,
                    )  # fmt: skip
    return list(found.values())


@pytest.mark.parametrize("books", BookSet)
def test_no_book_stands_below_another(books: BookSet) -> None:
    paths = {book.path for book in every_book(books)}
    for path in paths:
        assert not any(other.startswith(f"{path}:") for other in paths)


@pytest.mark.parametrize("books", BookSet)
def test_both_tools_accept_every_kind_of_book(
    books: BookSet, tmp_path: Path, hledger: Hledger
) -> None:
    """A ring of transfers through all of them, on top of what stood there before."""
    page: Page = []
    opening: dict[tuple[str, int], list[int]] = {}
    every = every_book(books)
    for number, asset in ASSETS.items():
        ring = [book for book in every if book.asset == number]
        for index, (debit, credit) in enumerate(pairwise([*ring, ring[0]])):
            amount = INT64_MAX - index if index % 7 == 0 else index + 1
            page.append(
                (
                    Transfer(
                        0, index, number, debit.number, credit.number, asset.number, amount, POSTED,
                        int(Pot.GRANT) if index % 2 else 0, 0, 0, BEGIN_US + index * DAY_US // 50,
                        BEGIN_US,
                    ),
                    debit,
                    credit,
                )
            )  # fmt: skip
            opening.setdefault((debit.path, number), [0, 0])[0] += index
            opening.setdefault((credit.path, number), [0, 0])[1] += index
    balances: list[Balance] = []
    for book in every:
        debits, credits = opening[book.path, book.asset]
        moved = [
            sum(each.amount for each, *sides in page if sides[side] == book) for side in (0, 1)
        ]
        balances.append(
            Balance(
                book,
                ASSETS[book.asset],
                Counters(debits, credits, 0, 0),
                Counters(debits + moved[0], credits + moved[1], 0, 0),
                2,
            )
        )
    sheet = Sheet(
        Selection("default", (books,), from_us=BEGIN_US), books, (), ASSETS,
        Extent(len(page), BEGIN_US, page[-1][0].effective_at), "1",
    )  # fmt: skip
    kinds: dict[str, type[HledgerWriter | BeancountWriter]] = {
        "x.journal": HledgerWriter,
        "x.beancount": BeancountWriter,
    }
    for name, kind in kinds.items():
        out, closing = io.StringIO(), io.StringIO()
        writer: JournalWriter = kind(out, closing, sheet)
        for balance in balances:
            writer.balance(balance)
        writer.transfers(page)
        writer.end()
        (tmp_path / name).write_text(out.getvalue() + closing.getvalue())
    hledger("-f", tmp_path / "x.journal", "check", "accounts", "commodities", "assertions")
    expected = {
        (each.book.path, each.asset.code): Decimal(each.closing.posted).scaleb(-each.asset.scale)
        for each in balances
        if each.closing.posted
    }
    assert expected
    assert hledger_balances(hledger, tmp_path / "x.journal") == expected
    assert beancount_balances(tmp_path / "x.beancount") == expected
