"""Which conditions of time of day hold at an instant: the time class of a card.

Owns the windows of ``Hours`` as instants: both bounds by rule T1, so that a skipped local time is
the next instant and a doubled one the first. A window therefore never has a hole, and lasts an hour
less or more on the days when clocks change. Days are worked out once and remembered.
"""

import re
from bisect import bisect_right
from datetime import date, datetime, time, timedelta
from typing import Final

from rating.models import Hours
from rating.zones import instant_of, local_of

DAY_US: Final = 86_400_000_000
MIDNIGHT_MINUTES: Final = 1_440
DAYS_MAX: Final = 1_024  # days of UTC remembered a card, x ~500 B = 0.5 MB
EARLIEST_US: Final = -62_135_596_800_000_000 + 7 * DAY_US  # 0001-01-08: room for a window
LATEST_US: Final = 253_402_300_800_000_000 - 7 * DAY_US  # 9999-12-25

_CLOCK: Final = re.compile(r"([01][0-9]|2[0-4]):([0-5][0-9])", re.ASCII)


def minutes_of(clock: str) -> int | None:
    """Minutes since midnight of "HH:MM", to "24:00"; None where it is no such time."""
    found = _CLOCK.fullmatch(clock)
    if found is None:
        return None
    minutes = int(found[1]) * 60 + int(found[2])
    return minutes if minutes <= MIDNIGHT_MINUTES else None


class Windows:
    """The distinct conditions of a card; bit n of a time class says that condition n holds."""

    __slots__ = ("_days", "conditions")

    def __init__(self, conditions: tuple[Hours, ...]) -> None:
        self.conditions: tuple[Hours, ...] = conditions
        self._days: dict[int, tuple[list[int], list[int]]] = {}

    def span(self, at_us: int) -> tuple[int, int, int]:
        """(time class, from, until): the class at an instant, and while it surely holds."""
        at_us = min(max(at_us, EARLIEST_US), LATEST_US)
        bounds, classes = self._day(at_us)
        place = bisect_right(bounds, at_us) - 1
        return classes[place], bounds[place], bounds[place + 1]

    def class_at(self, at_us: int) -> int:
        """The time class of an instant of the years 1 to 9999; the nearest of them beyond."""
        return self.span(at_us)[0]

    def _day(self, at_us: int) -> tuple[list[int], list[int]]:
        number = at_us // DAY_US
        day = self._days.get(number)
        if day is None:
            if len(self._days) >= DAYS_MAX:
                del self._days[next(iter(self._days))]
            day = self._days[number] = self._worked_out(number)
        return day

    def _worked_out(self, number: int) -> tuple[list[int], list[int]]:
        """The bounds within a day of UTC, its own included, and the class from each on."""
        begin, end = number * DAY_US, (number + 1) * DAY_US
        windows = [_windows(hours, begin) for hours in self.conditions]
        inside = {at for found in windows for window in found for at in window if begin < at < end}
        bounds = [begin, *sorted(inside)]
        classes = [
            sum(
                1 << place
                for place, found in enumerate(windows)
                if any(start <= bound < stop for start, stop in found)
            )
            for bound in bounds
        ]
        return [*bounds, end], classes


def _windows(hours: Hours, begin_us: int) -> list[tuple[int, int]]:
    """The windows that may touch the day of UTC from that instant, as [start, end)."""
    start, end = minutes_of(hours.start), minutes_of(hours.end)
    assert start is not None and end is not None, hours
    if end <= start:
        end += MIDNIGHT_MINUTES
    first = local_of(begin_us, hours.zone).date() - timedelta(days=1)
    days = [first + timedelta(days=step) for step in range(4)]
    return [
        (_instant(day, start, hours.zone), _instant(day, end, hours.zone))
        for day in days
        if day.isoweekday() in hours.weekdays
    ]


def _instant(day: date, minutes: int, zone: str) -> int:
    return instant_of(datetime.combine(day, time()) + timedelta(minutes=minutes), zone)
