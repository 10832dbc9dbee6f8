"""The chart of accounts: where each kind of book stands in an accountant's tool. Pure.

Owns which of the two sets a kind belongs to (rule B2) and the type of account that it is shown as.
Positive is debit, negative credit, as in the ledger. A kind is looked up by its name in `BookKind`;
one that has no place here cannot be exported, and a test asserts that there is none.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Final, NamedTuple

from ledger.core.events import BookKind


class BookSet(StrEnum):
    """The two sets of books (rule B2). Units are not the general ledger; money is."""

    UNITS = "units"
    MONEY = "money"


class Owner(IntEnum):
    """What a book's `owner` is the number of."""

    HOUSE = 0
    ACCOUNT = 1
    GRANT = 2


class Place(NamedTuple):
    """Where a kind of book stands: `Liabilities:Units:Grants:...`."""

    books: BookSet
    root: str  # one of the five that both tools know
    words: str
    owner: Owner = Owner.HOUSE
    named: bool = False  # whether its name (a product, source, provider) is a level of its own


_UNITS: Final = BookSet.UNITS
_MONEY: Final = BookSet.MONEY

CHART: Final[dict[str, Place]] = {
    "GRANT": Place(_UNITS, "Liabilities", "Grants", Owner.GRANT),
    "COMMITMENT": Place(_UNITS, "Assets", "Commitments", Owner.GRANT),
    "OVERAGE": Place(_UNITS, "Assets", "Overage", Owner.ACCOUNT),
    "ADVANCE": Place(_UNITS, "Assets", "Advances", Owner.ACCOUNT),
    "PROMOTION": Place(_UNITS, "Equity", "Promotion"),
    "FUNDING": Place(_UNITS, "Equity", "Funding", named=True),
    "SETTLED": Place(_UNITS, "Equity", "Settled"),
    "CONVERSION": Place(_UNITS, "Equity", "Conversion", named=True),
    "USED": Place(_UNITS, "Income", "Used", named=True),
    "TRUE_UP": Place(_UNITS, "Income", "TrueUp"),
    "FORFEITED": Place(_UNITS, "Income", "Forfeited"),
    "CASH": Place(_MONEY, "Assets", "Cash", named=True),
    "UNBILLED": Place(_MONEY, "Assets", "Unbilled", Owner.ACCOUNT),
    "RECEIVABLE": Place(_MONEY, "Assets", "Receivable", Owner.ACCOUNT),
    "DEFERRED": Place(_MONEY, "Liabilities", "Deferred", Owner.GRANT),
    "UNEARNED": Place(_MONEY, "Liabilities", "Unearned", named=True),
    "PAYABLE": Place(_MONEY, "Liabilities", "Payable", named=True),
    "REVENUE": Place(_MONEY, "Income", "Revenue", named=True),
    "BREAKAGE": Place(_MONEY, "Income", "Breakage"),
    "CREDIT_NOTE": Place(_MONEY, "Income", "CreditNotes"),
    "BAD_DEBT": Place(_MONEY, "Expenses", "BadDebt"),
    "COST": Place(_MONEY, "Expenses", "Cost", named=True),
}
"""Every word of rule B2, by the name of its BookKind."""

OPENING: Final = {each: f"Equity:{each.value.capitalize()}:Opening" for each in BookSet}
"""The other side of opening balances. Every book is carried over: it stands at zero (rule B7)."""


OWN: Final = "Own"
"""Below a family's root: the books of the root account itself."""


def place_of(kind: int) -> Place:
    """The place of a kind. KeyError: it has none."""
    return CHART[BookKind(kind).name]


def kinds_of(books: BookSet) -> list[int]:
    """The kinds of one set."""
    return [int(kind) for kind in BookKind if place_of(kind).books == books]


def kinds_owned_by(owner: Owner) -> list[int]:
    """The kinds whose owner is such a number."""
    return [int(kind) for kind in BookKind if place_of(kind).owner == owner]
