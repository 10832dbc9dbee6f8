"""Billing periods as instants. For now a period is a calendar month in UTC (rule T1).

`decide` computes the bounds and records them; `evolve` never does.
"""

from __future__ import annotations

from functools import cache
from typing import Final
from zoneinfo import available_timezones

from ledger.core.limits import DAY_US

_MONTH_DAYS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_EPOCH_DAY: Final = 719_162  # days from 1 January of the year 1 to 1 January 1970


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def is_zone(name: str) -> bool:
    """Whether the IANA time zone database has it; "" = none of its own."""
    return not name or name in _zones()


class Months:
    """The month that an instant falls in, remembered: neighbouring events share it."""

    __slots__ = ("end", "start")

    def __init__(self) -> None:
        self.start = 0
        self.end = 0

    def start_of(self, at_us: int) -> int:
        """First microsecond of the month of `at_us`, whatever the instant."""
        if not self.start <= at_us < self.end:
            self.start, self.end = month_of(at_us)
        return self.start


def month_of(at_us: int) -> tuple[int, int]:
    """[start, end) of the calendar month in UTC, by the Gregorian rule before 1582 too."""
    day = at_us // DAY_US + _EPOCH_DAY
    day %= 146_097  # 400 years
    centuries = min(day // 36_524, 3)
    day -= centuries * 36_524
    fours, day = divmod(day, 1_461)
    years = min(day // 365, 3)
    day -= years * 365
    leap = years == 3 and (fours != 24 or centuries == 3)
    month = 0
    length = 31
    while day >= length:
        day -= length
        month += 1
        length = _MONTH_DAYS[month] + (1 if leap and month == 1 else 0)
    start = at_us // DAY_US - day
    return start * DAY_US, (start + length) * DAY_US
