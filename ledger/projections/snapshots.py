"""Where the counters of busy books stood within one transaction of the projector. Pure.

Answers as of the past sum up what was recorded after a snapshot. A book that moves often within a
transaction gets snapshots inside it too, at the ends of batches: what was recorded at one instant
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
    """Of the books with at least `every` of these transfers: at each end of a batch but the last
    after which so many came since the snapshot before."""
    busy = {book: [0, 0, 0, 0, 0] for book, count in counts.items() if count >= every}
    found: list[Snapshot] = []
    if not busy:
        return found
    at = transfers[0][-1]
    for row in transfers:
        if row[-1] != at:
            found.extend(_take(busy, at, every))
            at = row[-1]
        debit, credit = busy.get(row[_DEBIT]), busy.get(row[_CREDIT])
        if debit is not None:
            _add(debit, 0, row)
        if credit is not None:
            _add(credit, 1, row)
    return found


def _add(sums: list[int], side: int, row: Row) -> None:
    """`sums` are the four counters, debits first, and the transfers since the last snapshot."""
    amount, phase = row[7], row[8]
    sums[4] += 1
    if phase == POSTED:
        sums[side] += amount
    else:
        sums[2 + side] += amount if phase == PENDING else -amount


def _take(busy: dict[int, list[int]], at: int, every: int) -> list[Snapshot]:
    found = []
    for book, sums in busy.items():
        if sums[4] >= every:
            found.append(Snapshot(book, at, *sums[:4]))
            sums[4] = 0
    return found
