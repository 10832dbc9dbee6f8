"""Where the counters of busy books stood within one transaction of the projector. Pure.

Answers as of the past sum up what was recorded after a snapshot. A book that moves often within a
transaction gets snapshots inside it too, between batches: what was recorded at one instant
is in a snapshot whole or not at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Final, NamedTuple

from ledger.projections.changes import PENDING, POSTED, Row

EVERY: Final = 512
"""Transfers of a book from one snapshot to the next, or those of one batch where that has more."""

_DEBIT: Final = 4  # places in a row of `transfers`
_CREDIT: Final = 5
_POT: Final = 9


class Snapshot(NamedTuple):
    """What a transaction had added to a book's counters by the end of a batch."""

    book: int
    recorded_at: int
    debits_posted: int
    credits_posted: int
    debits_pending: int
    credits_pending: int


def touched(transfers: Iterable[Row]) -> Counter[int]:
    """How many of these transfers debit each book, or credit it other than by a draw.

    Draws credit books of usage: nobody looks those up by instants, and they need no snapshots.
    """
    found = Counter(map(itemgetter(_DEBIT), transfers))
    found.update([row[_CREDIT] for row in transfers if not row[_POT]])
    return found


def snapshots(transfers: Sequence[Row], counts: Counter[int], every: int) -> list[Snapshot]:
    """Of the books with at least `every` of these transfers: between two batches that move it,
    where so many came since the snapshot before."""
    busy = {book: _Busy(book) for book, count in counts.items() if count >= every}
    found: list[Snapshot] = []
    if not busy:
        return found
    for row in transfers:
        debit, credit = busy.get(row[_DEBIT]), busy.get(row[_CREDIT])
        if debit is not None:
            debit.add(found, every, 0, row)
        if credit is not None:
            credit.add(found, every, 1, row)
    return found


class _Busy:
    """A book's counters, debits first; transfers since its last snapshot; when the last of them was
    recorded, by the clock of its tenant (rule T4)."""

    __slots__ = ("at", "book", "count", "counters")

    def __init__(self, book: int) -> None:
        self.book = book
        self.counters = [0, 0, 0, 0]
        self.count = 0
        self.at = 0

    def add(self, found: list[Snapshot], every: int, side: int, row: Row) -> None:
        """Count a transfer; where a batch has ended before it, a snapshot may be due."""
        if row[-1] != self.at:
            if self.count >= every:
                found.append(Snapshot(self.book, self.at, *self.counters))
                self.count = 0
            self.at = row[-1]
        amount, phase = row[7], row[8]
        self.count += 1
        if phase == POSTED:
            self.counters[side] += amount
        else:
            self.counters[2 + side] += amount if phase == PENDING else -amount
