"""What limits of the past rest on: lifetime value after each payment, and since when an account has
owed in advance (rule H6). Pure: found in the transfers of one transaction of the projector.

A row is what stood once a batch was recorded: entries of one batch are known all together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from ledger.projections.changes import POSTED, Row

ADVANCE: Final = 2  # core's BookKind
CASH: Final = 11
_OWED_BY: Final = frozenset({2, 4})  # core's Pot: what draws an advance

_TENANT: Final = 0  # places in a row of `transfers`
_ENTRY: Final = 2
_LINE: Final = 3
_DEBIT: Final = 4
_CREDIT: Final = 5
_ASSET: Final = 6
_AMOUNT: Final = 7
_PHASE: Final = 8
_POT: Final = 9
_RECORDED_AT: Final = 13


class BookFact(NamedTuple):
    """What a book is and which account it is of; 0 = the house's."""

    kind: int
    account: int


class Payment(NamedTuple):
    """What a batch added to an account's lifetime value; below zero = took from it."""

    tenant: int
    account: int
    asset: int
    recorded_at: int
    amount: int


class DebtSince(NamedTuple):
    """Since when an account has owed, as of the end of a batch; None = it owes nothing."""

    tenant: int
    account: int
    asset: int
    recorded_at: int
    since: int | None


def looked_at(transfers: Iterable[Row], drawn: Mapping[tuple[int, int], int]) -> set[int]:
    """The books of which it matters whether they are cash or an advance, and whose they are.

    `drawn`: by (entry, line) of money that is given back, the book that had been drawn."""
    found = set(drawn.values())
    for row in transfers:
        if row[_PHASE] != POSTED:
            continue
        if not row[_POT]:
            found.add(row[_DEBIT])
            found.add(row[_CREDIT])
        elif row[_POT] in _OWED_BY:
            found.add(row[_DEBIT])
    return found


def payments(
    transfers: Iterable[Row],
    kinds: Mapping[int, BookFact],
    drawn: Mapping[tuple[int, int], int],
) -> list[Payment]:
    """Cash that came from customers, less what went back to them, by account, asset and batch.

    What goes back out of revenue is of whoever has the grant that had been `drawn` (rule D3)."""
    found: dict[tuple[int, int, int, int], int] = {}
    for row in transfers:
        if row[_POT] or row[_PHASE] != POSTED:
            continue
        debit, credit = kinds[row[_DEBIT]], kinds[row[_CREDIT]]
        paid = (debit.kind == CASH) - (credit.kind == CASH)
        if paid:
            payer = credit if paid > 0 else debit
            given_back = drawn.get((row[_ENTRY], row[_LINE]))
            if given_back is not None:
                payer = kinds[given_back]
            place = (row[_TENANT], payer.account, row[_ASSET], row[_RECORDED_AT])
            found[place] = found.get(place, 0) + paid * row[_AMOUNT]
    return [Payment(*place, amount) for place, amount in found.items()]


def advances(transfers: Iterable[Row], kinds: Mapping[int, BookFact]) -> dict[int, int]:
    """What each advance book owes more by these transfers."""
    found: dict[int, int] = {}
    for book, _, amount in _owing(transfers, kinds):
        found[book] = found.get(book, 0) + amount
    return found


def debts(
    transfers: Sequence[Row],
    kinds: Mapping[int, BookFact],
    before: Mapping[int, tuple[int, int | None]],
) -> list[DebtSince]:
    """Where these transfers changed since when an account owes. `before`, by book: what was owed
    before them, and since when."""
    standing = dict(before)
    found: dict[tuple[int, int], DebtSince] = {}
    for book, row, amount in _owing(transfers, kinds):
        owed, since = standing[book]
        at = row[_RECORDED_AT]
        if owed == 0:
            since = at
        owed += amount
        if owed == 0:
            since = None
        standing[book] = (owed, since)
        found[book, at] = DebtSince(row[_TENANT], kinds[book].account, row[_ASSET], at, since)
    last = {book: since for book, (_, since) in before.items()}
    changed = []
    for (book, _), each in found.items():
        if each.since != last[book]:
            last[book] = each.since
            changed.append(each)
    return changed


def _owing(
    transfers: Iterable[Row], kinds: Mapping[int, BookFact]
) -> Iterable[tuple[int, Row, int]]:
    """(advance book, transfer, what it owes more by it)."""
    for row in transfers:
        if row[_PHASE] != POSTED:
            continue
        if row[_POT] in _OWED_BY:
            yield row[_DEBIT], row, row[_AMOUNT]
        elif not row[_POT]:
            if kinds[row[_DEBIT]].kind == ADVANCE:
                yield row[_DEBIT], row, row[_AMOUNT]
            if kinds[row[_CREDIT]].kind == ADVANCE:
                yield row[_CREDIT], row, -row[_AMOUNT]
