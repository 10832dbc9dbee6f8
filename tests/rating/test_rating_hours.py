"""Rows that apply at certain hours: the instants they cover, and what prices (rules R3, T1)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.card import Meter, PriceRow, RateCard, canonical_bytes, decode_card, validate
from rating.compile import CompiledCard, row_of
from rating.hours import Windows
from rating.models import Hours
from rating.versions import NEVER_US, CardVersion, CardVersions

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BERLIN = "Europe/Berlin"
NIGHT = Hours(BERLIN, "22:00", "06:00")
WORK = Hours(BERLIN, "09:00", "17:00", (1, 2, 3, 4, 5))


def us(text: str, zone: str = "UTC", fold: int = 0) -> int:
    """Microseconds of "2026-03-29 01:30" by the clocks of a zone."""
    local = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)
    return (local - EPOCH) // timedelta(microseconds=1)


def holds(hours: Hours, at_us: int) -> bool:
    return Windows((hours,)).class_at(at_us) == 1


@pytest.mark.parametrize(
    ("hours", "local", "expected"),
    [
        (NIGHT, "2026-11-27 21:59:59.999999", False),
        (NIGHT, "2026-11-27 22:00", True),
        (NIGHT, "2026-11-28 00:00", True),
        (NIGHT, "2026-11-28 05:59:59.999999", True),
        (NIGHT, "2026-11-28 06:00", False),
        (WORK, "2026-11-27 09:00", True),  # a Friday
        (WORK, "2026-11-27 17:00", False),
        (WORK, "2026-11-28 12:00", False),  # a Saturday
        (Hours(BERLIN, "22:00", "06:00", (5,)), "2026-11-28 03:00", True),
        (Hours(BERLIN, "22:00", "06:00", (6,)), "2026-11-28 03:00", False),
        (Hours(BERLIN, weekdays=(7,)), "2026-11-29 23:59", True),
        (Hours(BERLIN, weekdays=(7,)), "2026-11-30 00:00", False),
        (Hours(BERLIN, "00:00", "24:00"), "2026-11-29 12:00", True),
    ],
)
def test_a_window_is_from_its_start_until_its_end(hours: Hours, local: str, expected: bool) -> None:
    """The start belongs to it and the end does not; it is of the day on which it starts."""
    assert holds(hours, us(local, BERLIN)) is expected


def test_a_skipped_time_is_the_next_instant_and_a_doubled_one_the_first() -> None:
    """Rule T1: on 29 March 2026 clocks go from 2:00 to 3:00, on 25 October from 3:00 to 2:00."""
    skipped = Hours(BERLIN, "02:30", "04:00")
    assert not holds(skipped, us("2026-03-29 00:59:59.999999"))
    assert holds(skipped, us("2026-03-29 01:00"))  # 3:00 by the clocks
    assert not holds(skipped, us("2026-03-29 02:00"))
    doubled = Hours(BERLIN, "02:30", "03:00")
    assert holds(doubled, us("2026-10-25 00:30"))  # 2:30 for the first time
    assert holds(doubled, us("2026-10-25 01:00"))  # 2:00 for the second: the window goes on
    assert holds(doubled, us("2026-10-25 01:30"))
    assert not holds(doubled, us("2026-10-25 02:00"))


def test_a_zone_far_from_utc_and_a_day_that_it_left_out() -> None:
    """Samoa had no 30 December 2011; its Friday window is empty."""
    apia = "Pacific/Apia"
    friday = Hours(apia, "09:00", "17:00", (5,))
    assert holds(friday, us("2011-12-23 12:00", apia))
    before, after = us("2011-12-29 23:59", apia), us("2011-12-31 00:00", apia)
    assert not any(holds(friday, at) for at in (before, after, after + 3_600_000_000))
    assert after - before == 60_000_000


@given(
    st.integers(us("1995-01-01"), us("2037-12-30")),
    st.sampled_from(["UTC", BERLIN, "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"]),
    st.tuples(st.integers(0, 23), st.integers(0, 23)).filter(lambda hours: hours[0] != hours[1]),
    st.lists(st.integers(1, 7), min_size=1, unique=True).map(sorted),
)
def test_the_class_is_that_of_the_clocks_but_where_they_change(
    at_us: int, zone: str, clock: tuple[int, int], days: list[int]
) -> None:
    """By the wall clock itself, on days around which no clock changes."""
    start, end = clock
    windows = Windows((Hours(zone, f"{start:02}:00", f"{end:02}:00", tuple(days)),))
    found, begin, until = windows.span(at_us)
    assert begin <= at_us < until
    assert windows.class_at(begin) == windows.class_at(until - 1) == found
    local = (EPOCH + timedelta(microseconds=at_us)).astimezone(ZoneInfo(zone))
    around = (local - timedelta(days=2), local, local + timedelta(days=2))
    if len({each.astimezone(ZoneInfo(zone)).utcoffset() for each in around}) == 1:
        day = local if start < end or local.hour >= start else local - timedelta(days=1)
        inside = start <= local.hour < end if start < end else not end <= local.hour < start
        assert found == int(inside and day.isoweekday() in days)


def test_instants_beyond_the_calendar_are_of_its_last_day() -> None:
    assert holds(NIGHT, 2**63 - 1) in (True, False)
    assert holds(NIGHT, -(2**63)) in (True, False)


DAY_AND_NIGHT = RateCard(
    name="power",
    asset="USD",
    asset_scale=2,
    meters=(Meter("kwh"),),
    rows=(
        PriceRow("ev", "kwh", "0.30"),
        PriceRow("ev", "kwh", "0.20", hours=NIGHT),
        PriceRow("ev", "kwh", "0.25", {"plan": "eco"}),
        PriceRow("ev", "kwh", "0.10", {"plan": "eco"}, hours=NIGHT),
        PriceRow("ev", "kwh", "0.15", priority=1, hours=Hours(BERLIN, "04:00", "05:00")),
    ),
)


def row_at(local: str, attributes: dict[str, str]) -> int:
    card = CompiledCard(DAY_AND_NIGHT, version=1)
    plan = card.match("ev", attributes, ("kwh",), card.time_class(us(local, BERLIN)))
    return row_of(plan.rows[0])[1]


def test_a_row_with_hours_wins_over_one_without_but_attributes_come_first() -> None:
    """Rule R3, hours being more specific than none."""
    assert validate(DAY_AND_NIGHT) == []
    assert decode_card(canonical_bytes(DAY_AND_NIGHT)) == DAY_AND_NIGHT
    assert row_at("2026-11-27 12:00", {}) == 0
    assert row_at("2026-11-27 23:00", {}) == 1
    assert row_at("2026-11-28 04:30", {}) == 4
    assert row_at("2026-11-27 12:00", {"plan": "eco"}) == 2
    assert row_at("2026-11-27 23:00", {"plan": "eco"}) == 3
    assert row_at("2026-11-28 04:30", {"plan": "eco"}) == 3


def test_versions_choose_the_plan_by_the_time_of_the_event_and_settle_never() -> None:
    """So a caller that keeps plans by shape alone keeps none of such a card."""
    plain = RateCard(
        name="power",
        asset="USD",
        asset_scale=2,
        meters=(Meter("kwh"),),
        rows=DAY_AND_NIGHT.rows[:1],
    )
    at = us("2026-01-01")
    versions = CardVersions([CardVersion(1, 0, 0, CompiledCard(plain, 1))])
    assert versions.settled_from_us == 0
    versions = versions.adding(CardVersion(2, at, at, CompiledCard(DAY_AND_NIGHT, 2)))
    assert versions.settled_from_us == NEVER_US
    rows = []
    for local in ("2025-11-27 23:00", "2026-11-27 12:00", "2026-11-27 23:00", "2026-11-28 12:00"):
        plan = versions.plan_for(us(local, BERLIN), "ev", {}, ("kwh",))
        assert plan is not None
        rows.append(row_of(plan.rows[0]))
    assert rows == [(1, 0), (2, 0), (2, 1), (2, 0)]
    again = versions.adding(CardVersion(3, at + 1, at + 1, CompiledCard(plain, 3)))
    assert again.settled_from_us == at + 1


def test_a_card_without_hours_has_one_time_class() -> None:
    plain = RateCard(
        name="p", asset="USD", asset_scale=2, meters=(Meter("kwh"),), rows=DAY_AND_NIGHT.rows[:1]
    )
    card = CompiledCard(plain, version=1)
    assert card.windows is None
    assert card.time_class(us("2026-11-27 23:00")) == 0
