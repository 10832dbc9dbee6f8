"""What the writers of journals share: heading, days of balances, the words of a movement."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple, Protocol

from ledger.core.catalog import Asset
from ledger.core.events import Pot
from ledger.exports import names
from ledger.exports.amounts import day_number, instant_text
from ledger.exports.chart import BookSet
from ledger.exports.source import Balance, Book, Extent, Page, Position, Selection

_POTS: Final = {int(pot): pot.name for pot in Pot}


class Sheet(NamedTuple):
    """One set of books of one range, as of one position a shard."""

    selection: Selection
    books: BookSet
    positions: tuple[Position, ...]
    assets: dict[int, Asset]
    extent: Extent  # of posted transfers
    version: str

    @property
    def opening_day(self) -> int:
        """The day before the range's first; before the first transfer, where there is no `from`."""
        begin = self.selection.from_us
        return day_number(self.extent.first if begin is None else begin) - 1

    @property
    def closing_day(self) -> int:
        """The range's last day; that of the last transfer, where there is no `to`."""
        end = self.selection.to_us
        if end is not None:
            return day_number(max(end - 1, 0))
        return max(day_number(self.extent.last), self.opening_day + 1)

    def day(self, effective_at: int, recorded_at: int) -> int:
        """The day on which a transfer stands."""
        return day_number(recorded_at if self.selection.by_recorded else effective_at)

    def heading(self) -> Iterator[str]:
        """Lines for people; every text of a customer is quoted and on one line."""
        asked = self.selection
        begin = "the beginning" if asked.from_us is None else instant_text(asked.from_us)
        end = "the end" if asked.to_us is None else f"before {instant_text(asked.to_us)}"
        time = "recorded" if asked.by_recorded else "effective"
        tenant = names.one_line(asked.tenant)
        yield f"drawdown {self.version}: {self.books} books of tenant {tenant}"
        yield f"from {begin} to {end}, by {time} time; days are of UTC; posted transfers only"
        if asked.account is not None:
            yield (
                f"of account {names.one_line(asked.account)} and all below it: accounts of the "
                "house show their part only"
            )
        for each in self.positions:
            yield f"shard {each.shard}: up to entry {each.entries}, hash {each.hash.hex()}"


class JournalWriter(Protocol):
    """Writes one set of books for one tool. First all balances, then all transfers, then `end`."""

    def balance(self, balance: Balance) -> None:
        """Declare an account, and what it stands at before the range and at its end."""
        ...

    def transfers(self, page: Page) -> None:
        """Write posted transfers."""
        ...

    def end(self) -> None:
        """Write what stands at the end."""
        ...


def movement(debit: Book, credit: Book) -> str:
    """`grant > used`: from the book that is debited to the one that is credited."""
    return f"{debit.kind} > {credit.kind}".lower()


def product_of(debit: Book, credit: Book) -> str:
    """The product, source or provider that names one of the books; "" = none."""
    return credit.name or debit.name


def pot_name(pot: int) -> str:
    """What a slice was drawn from (core's Pot); "" where the transfer is no draw."""
    return _POTS[pot] if pot else ""
