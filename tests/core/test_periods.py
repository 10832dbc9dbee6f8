"""Periods in zones, and shares of them (rules T1, S1)."""

from __future__ import annotations

import itertools
from calendar import monthrange
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zone_files import EPOCH, first_shown, offsets, shown, us, utc

from ledger.core.events import PeriodUnit
from ledger.core.limits import DAY_US, HOUR_US
from ledger.core.periods import Cycle, prorated
from rating.zones import instant_of, is_zone, local_of

ZONES = (
    "UTC",
    "America/New_York",
    "America/St_Johns",  # clocks went back at one minute past midnight: a day was doubled
    "America/Sao_Paulo",  # midnights were skipped
    "Africa/Casablanca",  # goes back for Ramadan
    "Africa/Monrovia",  # 44 minutes and 30 seconds behind, until 1972
    "Antarctica/Troll",  # two hours
    "Asia/Kathmandu",
    "Asia/Tehran",
    "Australia/Lord_Howe",  # half an hour
    "Europe/Berlin",
    "Pacific/Apia",  # had no 30 December 2011
    "Pacific/Kwajalein",  # had no 21 August 1993
)
UNITS = {"week": PeriodUnit.WEEK, "month": PeriodUnit.MONTH}
UNITS |= {"quarter": PeriodUnit.QUARTER, "year": PeriodUnit.YEAR}

zones = st.sampled_from(ZONES)
instants = st.datetimes(datetime(1970, 1, 2), datetime(2037, 1, 1)).map(lambda at: us(at))
cycles = st.builds(
    Cycle, st.sampled_from(PeriodUnit), st.integers(1, 120), instants, st.sampled_from(ZONES)
)


# -- tables ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cycle", "anchor", "starts"),
    [
        # Days 29 to 31 clamp, and come back.
        ("1 month UTC", "2025-01-31", "2025-02-28 2025-03-31 2025-04-30 2025-05-31"),
        ("1 month UTC", "2025-01-30", "2025-02-28 2025-03-30 2025-04-30"),
        ("1 month UTC", "2024-01-29", "2024-02-29 2024-03-29"),
        ("1 month UTC", "2025-01-29", "2025-02-28 2025-03-29"),
        ("2 month UTC", "2024-12-31", "2025-02-28 2025-04-30 2025-06-30 2025-08-31"),
        ("1 quarter UTC", "2025-11-30", "2026-02-28 2026-05-30 2026-08-30"),
        # A leap day is the 28th in other years.
        ("1 year UTC", "2024-02-29", "2025-02-28 2026-02-28 2027-02-28 2028-02-29"),
        ("4 year UTC", "2024-02-29", "2028-02-29 2032-02-29"),
        ("1 year UTC", "2096-02-29", "2097-02-28 2098-02-28 2099-02-28 2100-02-28 2101-02-28"),
        ("1 week UTC", "2024-02-26T12:34:56.000007", "2024-03-04T12:34:56.000007"),
        ("2 week UTC", "2024-12-23", "2025-01-06 2025-01-20"),
        # Midnights of New York, over both changes of its clocks.
        ("1 month America/New_York", "2025-02-01T05:00", "2025-03-01T05:00 2025-04-01T04:00"),
        ("1 month America/New_York", "2025-10-01T04:00", "2025-11-01T04:00 2025-12-01T05:00"),
        ("1 week America/New_York", "2025-03-03T05:00", "2025-03-10T04:00 2025-03-17T04:00"),
        # 31 January 19:00 there is the first of the month in UTC; so is 28 February.
        ("1 month America/New_York", "2025-01-01T00:00", "2025-02-01T00:00 2025-03-01T00:00"),
        # Half past two is skipped on 9 March and comes twice, at half past one, on 2 November.
        ("1 week America/New_York", "2025-03-02T07:30", "2025-03-09T07:00 2025-03-16T06:30"),
        ("1 week America/New_York", "2025-10-26T05:30", "2025-11-02T05:30 2025-11-09T06:30"),
        # An anchor in the second of two hours: the first of them is meant.
        ("1 week America/New_York", "2025-11-02T06:30", "2025-11-09T06:30"),
        # Half an hour: quarter past two is skipped, quarter to two comes twice.
        ("1 week Australia/Lord_Howe", "2025-09-27T15:45", "2025-10-04T15:30 2025-10-11T15:15"),
        ("1 week Australia/Lord_Howe", "2025-03-29T14:45", "2025-04-05T14:45 2025-04-12T15:15"),
        # A day that never was: the week after begins as the next day does.
        ("1 week Pacific/Apia", "2011-12-23T20:00", "2011-12-30T10:00 2012-01-05T20:00"),
        ("1 week Pacific/Apia", "2011-12-24T09:59", "2011-12-30T10:00 2012-01-06T09:59"),
        ("1 week Pacific/Apia", "2011-12-24T10:00", "2011-12-30T10:00 2012-01-06T10:00"),
        # Casablanca goes back during Ramadan and forward after it.
        (
            "1 month Africa/Casablanca",
            "2025-01-31T23:00",
            "2025-03-01T00:00 2025-04-01T00:00 2025-04-30T23:00",
        ),
        ("1 month Asia/Kathmandu", "2025-01-30T18:15", "2025-02-27T18:15 2025-03-30T18:15"),
        # No midnight began 18 October 2015 in Sao Paulo.
        ("1 week America/Sao_Paulo", "2015-10-11T03:00", "2015-10-18T03:00 2015-10-25T02:00"),
    ],
)
def test_where_periods_begin(cycle: str, anchor: str, starts: str) -> None:
    every, unit, zone = cycle.split()
    made = Cycle(UNITS[unit], int(every), utc(anchor), zone)
    expected = [utc(start) for start in starts.split()]
    assert [made.start_of(index + 1) for index in range(len(expected))] == expected
    for index, bounds in enumerate(itertools.pairwise(expected)):
        start, end = bounds
        for at in (start, (start + end) // 2, end - 1):
            assert made.period_of(at) == bounds
            assert made.index_of(at) == index + 1
        assert made.index_of(start - 1) == index


@pytest.mark.parametrize(
    ("amount", "remaining", "full", "share"),
    [
        (3000, 15 * DAY_US, 30 * DAY_US, 1500),
        (3000, 0, DAY_US, 0),
        (3000, DAY_US, DAY_US, 3000),
        (0, 1, 2, 0),
        (1, 1, 2, 0),  # half to even
        (3, 1, 2, 2),
        (5, 1, 2, 2),
        (1, DAY_US // 2 + 1, DAY_US, 1),
        (1, DAY_US // 2 - 1, DAY_US, 0),
        (100, 743 * HOUR_US, 743 * HOUR_US, 100),  # a month of 31 days and an hour less
        (2**63 - 1, 31 * DAY_US - 1, 31 * DAY_US, 2**63 - 1 - 3_443_613),
        (2**63 - 1, 1, 366 * DAY_US, 291_672),
    ],
)
def test_a_share_is_rounded_once(amount: int, remaining: int, full: int, share: int) -> None:
    assert prorated(amount, remaining, full) == share
    assert share == round(Fraction(amount * remaining, full))


# -- properties ------------------------------------------------------------------------------------


@given(cycles, st.integers(-10, 10))
def test_periods_tile_the_time_line(cycle: Cycle, index: int) -> None:
    starts = [cycle.start_of(each) for each in range(index, index + 3)]
    assert starts == sorted(set(starts))
    for number, (start, end) in enumerate(itertools.pairwise(starts)):
        assert cycle.index_of(start) == cycle.index_of(end - 1) == index + number
        assert cycle.period_of(start) == cycle.period_of(end - 1) == (start, end)


@given(cycles, instants)
def test_every_instant_is_in_its_period_alone(cycle: Cycle, at: int) -> None:
    start, end = cycle.period_of(at)
    assert start <= at < end
    index = cycle.index_of(at)
    assert (cycle.start_of(index), cycle.start_of(index + 1)) == (start, end)


@given(st.sampled_from(PeriodUnit), st.integers(1, 24), instants, instants)
def test_in_utc_it_is_the_calendar(unit: PeriodUnit, every: int, anchor: int, at: int) -> None:
    """Walk the calendar from the anchor, one unit after the other."""
    start, end = Cycle(unit, every, anchor, "UTC").period_of(at)
    first = EPOCH + timedelta(microseconds=anchor)
    steps = every * {PeriodUnit.WEEK: 7}.get(unit, 1)
    months = {PeriodUnit.MONTH: 1, PeriodUnit.QUARTER: 3, PeriodUnit.YEAR: 12}

    def place(index: int) -> int:
        if unit == PeriodUnit.WEEK:
            return us(first + timedelta(days=steps * index))
        year, month = first.year, first.month
        for _ in range(abs(index) * months[unit] * every):
            month += 1 if index > 0 else -1
            year, month = (
                (year + 1, 1) if month == 13 else (year - 1, 12) if month == 0 else (year, month)
            )
        day = first.day
        while day > monthrange(year, month)[1]:
            day -= 1
        return us(first.replace(year=year, month=month, day=day))

    index = 0
    while place(index) > at:
        index -= 1
    while place(index + 1) <= at:
        index += 1
    assert (start, end) == (place(index), place(index + 1))


@given(cycles, st.integers(-10, 10))
def test_a_start_is_the_first_instant_that_shows_its_time(cycle: Cycle, index: int) -> None:
    """Against the transitions of the database themselves, read here byte by byte."""
    start = cycle.start_of(index)
    if not -(10**9) < start // 1_000_000 < 2_100_000_000:  # what the file lists
        return
    anchor = shown(cycle.anchor_us, cycle.zone)
    if cycle.unit == PeriodUnit.WEEK:
        wanted = anchor + timedelta(weeks=cycle.every * index)
    else:
        unit = {PeriodUnit.MONTH: 1, PeriodUnit.QUARTER: 3, PeriodUnit.YEAR: 12}[cycle.unit]
        year, month = divmod(anchor.year * 12 + anchor.month - 1 + index * unit * cycle.every, 12)
        day = min(anchor.day, monthrange(year, month + 1)[1])
        wanted = anchor.replace(year=year, month=month + 1, day=day)
    assert start == first_shown(wanted, cycle.zone)


@given(instants, zones)
def test_local_time_there_and_back(at: int, zone: str) -> None:
    local = local_of(at, zone)
    assert local == shown(at, zone)
    back = instant_of(local, zone)
    assert back <= at and local_of(back, zone) == local


@given(st.datetimes(datetime(1971, 1, 1), datetime(2036, 1, 1)), st.timedeltas(), zones)
def test_later_local_times_are_never_earlier_instants(
    local: datetime, after: timedelta, zone: str
) -> None:
    later = local + abs(after) % timedelta(days=2)
    assert instant_of(local, zone) <= instant_of(later, zone)
    assert instant_of(local, zone) == first_shown(local, zone)


@given(
    st.integers(0, 2**63 - 1),
    st.integers(1, 366 * DAY_US).flatmap(
        lambda full: st.tuples(st.integers(0, full), st.integers(0, full), st.just(full))
    ),
)
def test_a_share_is_exact_and_never_above_the_whole(
    amount: int, part: tuple[int, int, int]
) -> None:
    first, second, full = part
    shares = [prorated(amount, each, full) for each in sorted((first, second))]
    assert 0 <= shares[0] <= shares[1] <= amount
    for remaining, share in zip(sorted((first, second)), shares, strict=True):
        assert share == round(Fraction(amount) * remaining / full)  # half to even, as Fraction does
        assert prorated(amount, full - remaining, full) + share - amount in (-1, 0, 1)


def test_zones_are_those_of_the_package() -> None:
    assert all(is_zone(zone) for zone in ZONES)
    for name in ("", "Mars/Olympus", "../zones", "utc", "Europe/", "Europe/Berlin/", "localtime"):
        assert not is_zone(name), name


@pytest.mark.parametrize("zone", ZONES)
def test_two_thousand_years_of_periods(zone: str) -> None:
    cycle = Cycle(PeriodUnit.YEAR, 100, utc("2024-02-29"), zone)
    starts = [cycle.start_of(index) for index in range(-10, 60)]
    assert [cycle.index_of(start) for start in starts] == list(range(-10, 60))


def test_the_files_are_read_as_they_say() -> None:
    berlin = offsets("Europe/Berlin")
    assert shown(utc("2030-03-31T00:59:59"), "Europe/Berlin").hour == 1
    assert shown(utc("2030-03-31T01:00"), "Europe/Berlin").hour == 3
    assert datetime.fromtimestamp(berlin[0][-1], UTC).year == 2037
