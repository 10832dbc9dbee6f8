"""Recorded usage by the hour: what futures are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ledger.core.limits import HOUR_US
from rating.rounding import ROUND_HALF_EVEN, rounded

DAY: Final = 24  # hours
WEEK: Final = 7 * DAY
HISTORY: Final = 4 * WEEK  # hours that are looked back on at most
LEAST: Final = 3 * DAY  # hours since the first usage, below which nothing is foretold


class Hours:
    """What was used in each of the last hours, all of them over: `first` is the number of the first
    one, in hours since 1970, and `used` what was drawn in each, in minor units."""

    __slots__ = ("_sums", "first", "used")

    def __init__(self, first: int, used: list[int]) -> None:
        assert all(each >= 0 for each in used)
        self.first = first
        self.used = used
        self._sums = [0]
        for each in used:
            self._sums.append(self._sums[-1] + each)

    def __len__(self) -> int:
        return len(self.used)

    @property
    def total(self) -> int:
        """What was used in all of them."""
        return self._sums[-1]

    def between(self, start: int, end: int) -> int:
        """What was used in the hours from the place `start` until before `end`."""
        return self._sums[end] - self._sums[start]

    @property
    def last_day(self) -> int:
        """What was used in the last 24 of them."""
        return self.between(max(0, len(self) - DAY), len(self))

    def burn(self, hours: int) -> int:
        """What is used in so many hours at the mean rate, half to even."""
        return rounded(self.total * hours, len(self), ROUND_HALF_EVEN) if self.used else 0


def hours_of(drawn: Mapping[int, int], began: int | None, now_us: int) -> Hours:
    """The hours that are over, from the first usage on, at most HISTORY of them.

    `drawn`: first microsecond of an hour -> what usage drew in it, less what was given back; an
    hour in which more was given back counts as one without usage. `began`: the hour of the first
    usage ever, None where there is none.
    """
    end = now_us // HOUR_US
    if began is None:
        return Hours(end, [])
    first = min(end, max(end - HISTORY, began // HOUR_US))
    return Hours(first, [max(0, drawn.get(hour * HOUR_US, 0)) for hour in range(first, end)])
