"""What usage drew by the hour, summed from the entries: what the read model of it is held to.

An account's hours are compared by three sums, which any draw that is missing, doubled, or stands at
another hour or book moves: so it costs three integers an account, however long the journal is.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from ledger.core.events import (
    ConversionReversed,
    Event,
    UsageConverted,
    UsageRecorded,
    UsageRerated,
    UsageReversed,
)
from ledger.core.limits import HOUR_US

HourSums: TypeAlias = dict[int, tuple[int, int, int]]
"""By account: what its usage drew, and the same times the hours since 1970, and times the books."""

NOTHING: Final = (0, 0, 0)


def add_hours(sums: HourSums, event: Event) -> None:
    """Add what an entry draws for usage, less what it gives back of usage."""
    if isinstance(event, UsageRecorded | UsageConverted):
        lines = [(piece.book, piece.amount) for piece in event.slices]
    elif isinstance(event, UsageReversed | ConversionReversed):
        lines = [(back.drawn, -back.amount) for back in event.given_back]
    elif isinstance(event, UsageRerated):
        lines = [(piece.book, piece.amount) for piece in event.slices]
        lines += [(back.drawn, -back.amount) for back in event.given_back]
    else:
        return
    amount, by_hour, by_book = sums.get(event.account, NOTHING)
    hour = event.effective_at // HOUR_US
    for book, units in lines:
        amount += units
        by_hour += units * hour
        by_book += units * book
    sums[event.account] = (amount, by_hour, by_book)
