"""Billing periods as instants, and shares of them (rules T1, S1).

A `Cycle` cuts the time line into periods in a zone, from an anchor. Rounding positions, caps of
overage and late events go by calendar month in the account's zone (`Calendar`), which usage asks
for at every event. `decide` computes the bounds and records them; `evolve` never does.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import datetime, timedelta
from functools import cache
from typing import Final, NamedTuple, TypeAlias

from ledger.core.events import PeriodUnit
from ledger.core.limits import ANCHOR_MAX_US, DAY_US
from ledger.core.outcomes import Reason, Refusal
from rating.compile import ROUND_HALF_EVEN
from rating.price import rounded
from rating.zones import UTC_ZONE, instant_of, is_zone, local_of

_MONTH_DAYS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_EPOCH_DAY: Final = 719_162  # days from 1 January of the year 1 to 1 January 1970

_ZONES_APART_US: Final = 2 * DAY_US  # more than any two zones are at the same instant: 26 hours
_ZONES_END_US: Final = (datetime(9000, 1, 1) - datetime(1970, 1, 1)) // timedelta(microseconds=1)

_A_DAY: Final = timedelta(days=1)
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


Zones: TypeAlias = tuple[tuple[int, str], ...]
"""(instant, zone), in order: the zones of an account's months, each from its instant on; the first
was so ever before."""


class Calendar:
    """The months of the accounts that count in the same zones, of which most share one object.

    The month that was asked for last is remembered: neighbouring events share it.
    """

    __slots__ = (
        "day_end", "day_start", "end", "first", "last", "now", "present", "start", "zones",
    )  # fmt: skip

    def __init__(self, zones: Zones) -> None:
        self.zones = zones
        self.start = 0
        self.end = 0
        self.day_start = 0  # the day that was asked for last
        self.day_end = 0
        self.now = -1  # the time that the rest is of
        self.present = 0  # start of the month that holds it
        self.first = 0  # instants of that month that usage may be of: from, to
        self.last = -1

    @property
    def zone(self) -> str:
        """The zone that counts, now or from the next month on."""
        return self.zones[-1][1]

    def start_of(self, at_us: int) -> int:
        """First microsecond of the month of `at_us`, whatever the instant."""
        if not self.start <= at_us < self.end:
            self.start, self.end = _within(at_us, self.zones)
        return self.start

    def end_of(self, at_us: int) -> int:
        """First microsecond after the month of `at_us`."""
        self.start_of(at_us)
        return self.end

    def day_of(self, at_us: int) -> int:
        """First microsecond of the day of `at_us`, whatever the instant."""
        if not self.day_start <= at_us < self.day_end:
            self.day_start, self.day_end = _day_within(at_us, self.zones)
        return self.day_start

    def stand_at(self, now: int, window_start: int, window_end: int) -> None:
        """Move on to a batch's time and the times that its usage may be of (rule I4)."""
        self.now = now
        self.present = self.start_of(now)
        self.first = max(window_start, self.present)
        self.last = min(window_end, self.end - 1)


def counting_from(zones: Zones, zone: str, since: int) -> Zones:
    """The zones where another one counts from `since`, the end of a month in those of before.

    What was to count from then on does not: within a month the last change holds (rule T1).
    """
    kept = [each for place, each in enumerate(zones) if place == 0 or each[0] < since]
    if kept[-1][1] != zone:
        kept.append((since, zone))
    return tuple(kept)


def _within(at_us: int, zones: Zones) -> tuple[int, int]:
    """[start, end) of the month of an instant, cut where another zone begins to count.

    What is left of a month in the new zone by then, hours, belongs to the first month there.
    """
    place = _place_of(at_us, zones)
    since, zone = zones[place]
    start, end = _month_in(at_us, zone)
    if place:
        _, first_end = _month_in(since + _ZONES_APART_US, zone)
        if at_us < first_end:
            start, end = since, first_end
    if place + 1 < len(zones):
        end = min(end, zones[place + 1][0])
    return start, end


def _day_within(at_us: int, zones: Zones) -> tuple[int, int]:
    """[start, end) of the day of an instant, cut where another zone begins to count."""
    place = _place_of(at_us, zones)
    since, zone = zones[place]
    start, end = day_in(at_us, zone)
    if place:
        start = max(start, since)
    if place + 1 < len(zones):
        end = min(end, zones[place + 1][0])
    return start, end


def _place_of(at_us: int, zones: Zones) -> int:
    """Which of the zones counts at an instant."""
    place = len(zones) - 1
    while place > 0 and at_us < zones[place][0]:
        place -= 1
    return place


def day_in(at_us: int, zone: str) -> tuple[int, int]:
    """[start, end) of the day in a zone; before 1970 and after 8999 in UTC."""
    if zone == UTC_ZONE or not 0 <= at_us < _ZONES_END_US:
        start = at_us - at_us % DAY_US
        return start, start + DAY_US
    midnight = local_of(at_us, zone).replace(hour=0, minute=0, second=0, microsecond=0)
    start, end = instant_of(midnight, zone), instant_of(midnight + _A_DAY, zone)
    while end <= at_us:  # clocks went back over midnight: the day that was begun goes on
        midnight += _A_DAY
        start, end = end, instant_of(midnight + _A_DAY, zone)
    return start, end


Anchors: TypeAlias = tuple[tuple[int, int], ...]
"""(instant, anchor), in order: what an account's billing periods run from, each from its instant
on; 0 = they are the months of its calendar."""

CALENDAR_MONTHS: Final[Anchors] = ((0, 0),)


def billing_period(at_us: int, anchors: Anchors, calendar: Calendar) -> tuple[int, int]:
    """[start, end) of the billing period that holds an instant (rule T1): a month from the anchor,
    cut where another anchor begins to count. One that began in another zone ends by that zone's
    clocks."""
    place = len(anchors) - 1
    while place > 0 and at_us < anchors[place][0]:
        place -= 1
    since, anchor = anchors[place]
    if anchor == 0:
        start, end = _within(at_us, calendar.zones)
    else:
        start, end = _anchored(at_us, anchor, calendar.zones, _place_of(at_us, calendar.zones))
    if place:
        start = max(start, since)
    if place + 1 < len(anchors):
        end = min(end, anchors[place + 1][0])
    return start, end


def full_period(at_us: int, anchors: Anchors, calendar: Calendar) -> tuple[int, int]:
    """[start, end) of the whole month that an instant's billing period is, or is a part of, where
    another anchor or zone cuts it (rule S1)."""
    place = len(anchors) - 1
    while place > 0 and at_us < anchors[place][0]:
        place -= 1
    anchor = anchors[place][1]
    zone = calendar.zones[_place_of(at_us, calendar.zones)][1]
    if anchor == 0:
        return _month_in(at_us, zone)
    return Cycle(PeriodUnit.MONTH, 1, anchor, zone).period_of(at_us)


def _anchored(at_us: int, anchor: int, zones: Zones, place: int) -> tuple[int, int]:
    since, zone = zones[place]
    start, end = Cycle(PeriodUnit.MONTH, 1, anchor, zone).period_of(at_us)
    if place and start < since:
        before, before_end = _anchored(since - 1, anchor, zones, place - 1)
        if at_us < before_end:
            return before, before_end
        start = max(start, before_end)
    return start, end


def anchored_from(anchors: Anchors, anchor: int, since: int) -> Anchors:
    """The anchors where another one counts from `since`, the end of a period by those of before.

    What was to count from then on does not: within a period the last change holds (rule T1).
    """
    kept = [each for place, each in enumerate(anchors) if place == 0 or each[0] < since]
    if kept[-1][1] != anchor:
        kept.append((since, anchor))
    return tuple(kept)


def _month_in(at_us: int, zone: str) -> tuple[int, int]:
    """[start, end) of the calendar month in a zone; before 1970 and after 8999 in UTC."""
    if zone == UTC_ZONE or not 0 <= at_us < _ZONES_END_US:
        start, end = month_of(at_us)
        if zone != UTC_ZONE:
            start, end = (max(start, _ZONES_END_US), end) if at_us > 0 else (start, min(end, 0))
        return start, end
    start, end = Cycle(PeriodUnit.MONTH, 1, _first_of_2000(zone), zone).period_of(at_us)
    return max(start, 0), min(end, _ZONES_END_US)


@cache
def _first_of_2000(zone: str) -> int:
    """An instant at which a month begins in the zone."""
    return instant_of(datetime(2000, 1, 1), zone)


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


def refuse_anchor(field: str, anchor: int) -> Refusal | None:
    """Whether periods cannot run from there."""
    if 0 <= anchor <= ANCHOR_MAX_US:
        return None
    return Refusal(
        Reason.ANCHOR_INVALID,
        field,
        str(anchor),
        f"an anchor is an instant up to {ANCHOR_MAX_US}; 0 = the start",
    )


def refuse_zone(field: str, zone: str) -> Refusal | None:
    """Whether it names a zone that there is not; "" names none."""
    if not zone or is_zone(zone):
        return None
    return Refusal(
        Reason.ZONE_UNKNOWN,
        field,
        zone,
        "name a zone of the IANA time zone database, as Europe/Berlin, or none",
    )
