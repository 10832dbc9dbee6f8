"""Billing periods as instants, and shares of them (rules T1, S1).

A `Cycle` cuts the time line into periods in a zone, from an anchor. Rounding positions and overage
caps go by calendar month in UTC (`Months`), which usage asks for at every event. `decide` computes
the bounds and records them; `evolve` never does.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from ledger.core.events import PeriodUnit
from ledger.core.limits import DAY_US
from ledger.core.zones import instant_of, local_of
from rating.compile import ROUND_HALF_EVEN
from rating.price import rounded

_MONTH_DAYS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_EPOCH_DAY: Final = 719_162  # days from 1 January of the year 1 to 1 January 1970

_UNIT_MONTHS: Final = {PeriodUnit.MONTH: 1, PeriodUnit.QUARTER: 3, PeriodUnit.YEAR: 12}


class Cycle(NamedTuple):
    """Periods [start, end) of `every` units, one of which starts at the anchor's local time.

    Period 0 holds the anchor. An anchor on a day that a month lacks starts on its last day, and on
    the anchor's day again where there is one. Good for instants of the years 1 to 9,000.
    """

    unit: PeriodUnit
    every: int
    anchor_us: int
    zone: str

    def period_of(self, at_us: int) -> tuple[int, int]:
        """[start, end) of the period that holds an instant."""
        _, start, end = self._find(at_us)
        return start, end

    def index_of(self, at_us: int) -> int:
        """Number of the period that holds an instant; it is negative before the anchor's."""
        return self._find(at_us)[0]

    def start_of(self, index: int) -> int:
        """First microsecond of a period."""
        return self._start(local_of(self.anchor_us, self.zone), index)

    def _find(self, at_us: int) -> tuple[int, int, int]:
        anchor, local = local_of(self.anchor_us, self.zone), local_of(at_us, self.zone)
        if self.unit == PeriodUnit.WEEK:
            index = (local - anchor) // timedelta(weeks=self.every)
        else:
            months = (local.year - anchor.year) * 12 + local.month - anchor.month
            index = months // (_UNIT_MONTHS[self.unit] * self.every)
        # At most one off: by the day of the month, or where clocks go back.
        start = self._start(anchor, index)
        if at_us < start:
            index, end = index - 1, start
            start = self._start(anchor, index)
        else:
            end = self._start(anchor, index + 1)
            if end <= at_us:
                index, start = index + 1, end
                end = self._start(anchor, index + 1)
        assert start <= at_us < end, (self, at_us)
        return index, start, end

    def _start(self, anchor: datetime, index: int) -> int:
        if self.unit == PeriodUnit.WEEK:
            return instant_of(anchor + index * timedelta(weeks=self.every), self.zone)
        months = anchor.year * 12 + anchor.month - 1 + index * _UNIT_MONTHS[self.unit] * self.every
        year, month = months // 12, months % 12 + 1
        day = min(anchor.day, monthrange(year, month)[1])
        return instant_of(anchor.replace(year=year, month=month, day=day), self.zone)


def prorated(amount: int, remaining_us: int, full_us: int) -> int:
    """The share of an amount for a part of a period, rounded once, half to even (rule S1)."""
    assert amount >= 0 and 0 <= remaining_us <= full_us and full_us > 0, (remaining_us, full_us)
    return rounded(amount * remaining_us, full_us, ROUND_HALF_EVEN)


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
