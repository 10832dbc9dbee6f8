"""Which statement a transfer belongs to (rules T2, T5).

A transfer counts from its effective time, or from its recording where that is earlier, as in every
balance of the past (docs/time-machine.md). It is in the first statement whose period ends after
that and which had not ended when it was recorded: in its own period's, or, once that is closed, as
an adjustment in the next. So what the statements up to one take in is what the balance as of the
end of its period counts, as known when it was closed. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple


class Place(IntEnum):
    """Where a transfer is, seen from one statement."""

    BEFORE = 1  # in an earlier statement, or before the first
    IN = 2  # of its own period
    ADJUSTS = 3  # of an earlier period, recorded after that was closed
    AFTER = 4  # in a later statement, if in any


class Span(NamedTuple):
    """What one statement takes in: its period [start, end), what had ended the statement before
    (the entry; `until` where there is none), and the entries before `until`."""

    start: int
    end: int
    before: int
    until: int

    def place_of(self, entry_seq: int, effective_at: int, recorded_at: int) -> Place:
        """Where a transfer of that entry is."""
        counts_at = min(effective_at, recorded_at)
        if entry_seq >= self.until or counts_at >= self.end:
            return Place.AFTER
        if counts_at >= self.start:
            return Place.IN
        return Place.ADJUSTS if entry_seq >= self.before else Place.BEFORE


class Closed(NamedTuple):
    """An earlier statement of the account, by its number: an adjustment names it."""

    statement: int
    start: int
    end: int


OF_NO_STATEMENT = 0
"""What an adjustment names that is of a time before the account's first statement."""


def adjusted(earlier: Sequence[Closed], counts_at: int) -> int:
    """The number of the statement whose period holds an instant."""
    for each in earlier:
        if each.start <= counts_at < each.end:
            return each.statement
    return OF_NO_STATEMENT
