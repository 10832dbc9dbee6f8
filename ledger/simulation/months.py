"""The months of an account, written down one by one: what the core's calendars must agree with.

A list of the instants at which months begin, changed by hand with each change of zone (rule T1).
Nothing of the core's code; good for the years of simulated worlds.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Final
from zoneinfo import ZoneInfo

from ledger.core.limits import DAY_US

ZONES: Final = ("", "", "", "Europe/Berlin", "America/New_York", "Pacific/Kiritimati")
"""What policies of a simulated world name; "" = the nearest ancestor's."""

_YEARS: Final = range(2024, 2030)


class Months:
    """Where each month of an account begins, and the zone that counts, now or from the next on."""

    def __init__(self, zone: str, starts: tuple[int, ...] = ()) -> None:
        self.zone = zone
        self.starts = starts or _midnights(zone)

    def month_of(self, at: int) -> tuple[int, int]:
        """[start, end)."""
        start = max(each for each in self.starts if each <= at)
        return start, self.end_of(at)

    def end_of(self, at: int) -> int:
        """The first instant after the month."""
        return min(each for each in self.starts if each > at)

    def count_in(self, zone: str, now: int) -> None:
        """The month that runs ends as it was to end, then months of the zone follow; the hours in
        between, zones being 26 apart at most, belong to the first of them."""
        end = self.end_of(now)
        before = [each for each in self.starts if each <= end]
        after = [each for each in _midnights(zone) if each > end + 2 * DAY_US]
        self.zone, self.starts = zone, (*before, *after)


@cache
def _midnights(zone: str) -> tuple[int, ...]:
    """The first instant of each month in a zone."""
    with files("tzdata").joinpath("zoneinfo", *zone.split("/")).open("rb") as file:
        found = ZoneInfo.from_file(file)
    return tuple(
        int(datetime(year, month, 1, tzinfo=found).timestamp()) * 1_000_000
        for year in _YEARS
        for month in range(1, 13)
    )
