"""The double-entry kernel: integer book accounts, four counters each, transfers.

It knows nothing of credits. A transfer has one debit, one credit, one asset, one positive amount
(rule B1); so debits equal credits for each asset after every entry (rule B7). The two sides are
summed apart and compared, and a writer that sees them differ stops.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ledger.core.holdings import Grant


class BooksUnbalanced(Exception):
    """Debits and credits differ: a bug or a damaged journal. The writer must stop (rule B7)."""


class AssetTotals:
    """Both sides of one asset, summed apart."""

    __slots__ = ("credits_pending", "credits_posted", "debits_pending", "debits_posted")

    def __init__(self) -> None:
        self.debits_posted = 0
        self.credits_posted = 0
        self.debits_pending = 0
        self.credits_pending = 0

    @property
    def balanced(self) -> bool:
        """Whether debits equal credits, posted and pending."""
        return (
            self.debits_posted == self.credits_posted
            and self.debits_pending == self.credits_pending
        )


class Book:
    """One book account. Posted counters only grow; pending ones never fall below zero (rule B1)."""

    __slots__ = (
        "asset",
        "credits_pending",
        "credits_posted",
        "debits_pending",
        "debits_posted",
        "grant",
        "kind",
        "name",
        "number",
        "owner",
        "revenues",
        "tenant",
        "totals",
        "value_book",
    )

    def __init__(
        self,
        number: int,
        tenant: int,
        kind: int,
        asset: int,
        owner: int,
        name: str,
        totals: AssetTotals,
    ) -> None:
        self.number = number
        self.tenant = tenant
        self.kind = kind
        self.asset = asset
        self.owner = owner
        self.name = name
        self.debits_posted = 0
        self.credits_posted = 0
        self.debits_pending = 0
        self.credits_pending = 0
        self.totals = totals  # of its asset: the same object for every book of that asset
        self.grant: Grant | None = None  # what draws on this book, if it is a grant's
        # Of a book that is drawn: what pays in money for it, its deferred or unbilled (rule B4).
        self.value_book: Book | None = None
        # Of a used book: its product's revenue by money asset, the same object for all assets.
        self.revenues: dict[int, Book] | None = None

    @property
    def available(self) -> int:
        """Credits posted - debits posted - debits pending, in minor units (rule B6)."""
        return self.credits_posted - self.debits_posted - self.debits_pending

    @property
    def owed(self) -> int:
        """Debits posted - credits posted: what an advance or overage account stands at."""
        return self.debits_posted - self.credits_posted


class Books:
    """All book accounts of a shard and the totals of each asset.

    Numbers run from 1 without gaps, so `numbered[number]` finds a book with one look at memory.
    """

    __slots__ = ("accounts", "numbered", "totals")

    def __init__(self) -> None:
        self.accounts: dict[int, Book] = {}
        self.numbered: list[Book | None] = [None]
        self.totals: dict[int, AssetTotals] = {}

    def open(self, number: int, tenant: int, kind: int, asset: int, owner: int, name: str) -> Book:
        """Open a book account; its number is new and its counters are zero."""
        assert number == len(self.numbered), f"book {number} does not follow the last one"
        totals = self.totals.get(asset)
        if totals is None:
            totals = self.totals[asset] = AssetTotals()
        book = Book(number, tenant, kind, asset, owner, name, totals)
        self.accounts[number] = book
        self.numbered.append(book)
        return book

    def pass_over(self, number: int) -> None:
        """That number is of a book account that is not kept here."""
        assert number == len(self.numbered), f"book {number} does not follow the last one"
        self.numbered.append(None)

    def drop(self, number: int) -> None:
        """Keep a book account no more."""
        del self.accounts[number]
        self.numbered[number] = None

    def transfer(self, debit: Book, credit: Book, amount: int) -> None:
        """Post one transfer of `amount` > 0 minor units."""
        _assert_transfer(debit, credit, amount)
        debit.debits_posted += amount
        credit.credits_posted += amount
        totals = debit.totals
        totals.debits_posted += amount
        totals.credits_posted += amount

    def reserve(self, debit: Book, credit: Book, amount: int) -> None:
        """Pend one transfer: a hold's slice (rule B1)."""
        _assert_transfer(debit, credit, amount)
        debit.debits_pending += amount
        credit.credits_pending += amount
        totals = debit.totals
        totals.debits_pending += amount
        totals.credits_pending += amount

    def release(self, debit: Book, credit: Book, amount: int) -> None:
        """Take a pending transfer back: captured, released or expired."""
        _assert_transfer(debit, credit, amount)
        debit.debits_pending -= amount
        credit.credits_pending -= amount
        totals = debit.totals
        totals.debits_pending -= amount
        totals.credits_pending -= amount
        if debit.debits_pending < 0 or credit.credits_pending < 0:
            raise BooksUnbalanced(f"book {debit.number} or {credit.number} pends below zero")

    def check(self) -> None:
        """Sum every book account and compare with the totals; linear, for `verify` and tests."""
        sums: dict[int, AssetTotals] = {asset: AssetTotals() for asset in self.totals}
        for book in self.accounts.values():
            total = sums[book.asset]
            total.debits_posted += book.debits_posted
            total.credits_posted += book.credits_posted
            total.debits_pending += book.debits_pending
            total.credits_pending += book.credits_pending
            if book.grant is not None and book.available < 0:
                raise BooksUnbalanced(
                    f"grant {book.grant.number} is drawn {-book.available} beyond its units"
                )
        for asset, total in sums.items():
            kept = self.totals[asset]
            if not total.balanced or (
                total.debits_posted != kept.debits_posted
                or total.debits_pending != kept.debits_pending
            ):
                raise BooksUnbalanced(
                    f"asset {asset}: debits {total.debits_posted} + {total.debits_pending}, "
                    f"credits {total.credits_posted} + {total.credits_pending}, posted + pending"
                )


def _assert_transfer(debit: Book, credit: Book, amount: int) -> None:
    if amount <= 0 or debit.totals is not credit.totals:
        raise BooksUnbalanced(
            f"no transfer: {amount} from book {debit.number} of asset {debit.asset} "
            f"to book {credit.number} of asset {credit.asset}"
        )
