"""Billing periods as instants. For now a period is a calendar month in UTC (rule T1).

`decide` computes the bounds and records them; `evolve` never does.
"""

from __future__ import annotations

from datetime import date

from ledger.core.limits import DAY_US

_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()


class Months:
    """The month that an instant falls in, remembered: neighbouring events share it."""

    __slots__ = ("_end", "_start")

    def __init__(self) -> None:
        self._start = 0
        self._end = 0

    def start_of(self, at_us: int) -> int:
        """First microsecond of the month of `at_us`."""
        if not self._start <= at_us < self._end:
            day = _EPOCH_ORDINAL + at_us // DAY_US
            first = date.fromordinal(day).replace(day=1)
            after = date(first.year + first.month // 12, first.month % 12 + 1, 1)
            self._start = (first.toordinal() - _EPOCH_ORDINAL) * DAY_US
            self._end = (after.toordinal() - _EPOCH_ORDINAL) * DAY_US
        return self._start
