"""What every event is, and what several kinds of them hold."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import msgspec


class Pot(IntEnum):
    """What a slice was drawn from (rules D1, D4)."""

    GRANT = 1
    OVERDRAFT = 2
    OVERAGE = 3
    EXCESS_OWED = 4
    EXCESS_BILLED = 5
    ABSORBED = 6
    CONVERTED = 7  # paid in the settlement currency (rule R5)


class PeriodUnit(IntEnum):
    """What a period is counted in (rule T1)."""

    WEEK = 1
    MONTH = 2
    QUARTER = 3
    YEAR = 4


class BookKind(IntEnum):
    """The books of rule B2: those of units, then those of money."""

    GRANT = 1
    ADVANCE = 2
    OVERAGE = 3
    FUNDING = 4
    PROMOTION = 5
    USED = 6
    FORFEITED = 7
    COMMITMENT = 8
    TRUE_UP = 9
    SETTLED = 10
    CONVERSION = 19
    # The money books, never mixed with those above in one transfer.
    CASH = 11
    DEFERRED = 12
    UNBILLED = 13
    RECEIVABLE = 14
    REVENUE = 15
    BREAKAGE = 16
    CREDIT_NOTE = 17
    BAD_DEBT = 18
    COST = 20
    PAYABLE = 21
    UNEARNED = 22


OF_A_GRANT: Final = frozenset({BookKind.GRANT, BookKind.COMMITMENT, BookKind.DEFERRED})
"""Books whose owner is a grant."""
OF_AN_ACCOUNT: Final = frozenset(
    {BookKind.ADVANCE, BookKind.OVERAGE, BookKind.UNBILLED, BookKind.RECEIVABLE}
)
"""Books whose owner is an account. All others are the house's."""


class Slice(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One transfer of a draw: debit `book`, credit the product's used book (rules B3, B4, D3).

    `value` is the money recognised by this slice, in minor units of the money asset of the grant
    (or of the price, where no grant paid); `cost` its part of what the provider takes, in those of
    the asset of the entry's cost card (rule N3).
    """

    pot: int
    book: int
    amount: int
    value: int = 0
    cost: int = 0


class ScopedAdvance(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How far a running total of another scope than the month moves (rule R1): `key` says whose,
    `scope` is 1 for the account's day and 3 for its billing period, which begins at `start`.

    A total that several accounts share has a scope above 15: the number of the account at the top
    of the subtree, or with the contract, times 16, and 5 for its day, 6 for its month, 7 for its
    billing period or 8 for the contract's term (rule D8).
    """

    key: int
    scope: int
    start: int
    quantity: int


class RowDraw(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a price row with a running total drew in a scope from a book, or gave back (below 0).

    It is what a re-rate, or a reversal that is due more than its own event drew, gives back from.
    `used` is the book that was credited; `period` the month in which it counts as overage, 0 where
    it is none. Key, scope and start as in the running total.
    """

    key: int
    scope: int
    start: int
    used: int
    book: int
    period: int
    amount: int


class ListedLine(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A line whose row has a list price (rule R9): of `commit`, its charge at commit rate, `paid`
    is what commitments paid, first; the rest was charged at list price, of which all is `listed`:
    listed x (commit - paid) / commit. `place` is that of its quantity."""

    place: int
    commit: int
    listed: int
    paid: int


class ProviderCost(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What the provider takes for usage, or takes no more where it is given back (rule B4).

    `lines` stand parallel to the quantities, -1 where the cost card has no price; `plan` is the
    cost card's declaration, by its index in the batch, whose asset is the money that they are in.
    Debit `cost_book`, credit `payable_book`, or the other way round; both 0 where nothing is due.
    `advances` and `scoped` move the card's own running totals, as those of prices do (rule R1).
    """

    lines: tuple[int, ...]
    plan: int
    cost_book: int = 0
    payable_book: int = 0
    advances: tuple[tuple[int, int], ...] = ()
    scoped: tuple[ScopedAdvance, ...] = ()

    @property
    def total(self) -> int:
        """The sum of the lines that are known."""
        return sum([line for line in self.lines if line > 0])


class Backfill(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A part of an advance that a grant repays: debit grant, credit `book` (rules B3, B4, H6).

    `product` is what the advance was drawn for; "" = the oldest, whatever it was.
    """

    book: int
    product: str
    amount: int
    value: int = 0  # money recognised by it


class Fact(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Base of all events. `gc=False`: events hold no reference cycles."""
