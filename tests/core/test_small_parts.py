"""Periods, keys and digests by themselves (rules I1, I4, T1)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from ledger.core.identity import FamilyDigest
from ledger.core.keys import KeyMap
from ledger.core.limits import (
    DAY_US,
    DEDUPE_GENERATION_US,
    DEDUPE_WINDOW_US,
    FUTURE_TOLERANCE_US,
)
from ledger.core.outcomes import LOCATOR_INDEX_MASK, locator_of, split_locator
from ledger.core.periods import Calendar, month_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 11, 30), timezones=st.just(UTC)))
def test_a_period_is_the_calendar_month_in_utc(at: datetime) -> None:
    first = at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    after = (first + timedelta(days=32)).replace(day=1)
    expected = tuple((bound - EPOCH) // timedelta(microseconds=1) for bound in (first, after))
    at_us = (at - EPOCH) // timedelta(microseconds=1)
    assert month_of(at_us) == expected
    assert Calendar(((0, "UTC"),)).start_of(at_us) == expected[0]


@given(st.integers(-(2**63), 2**63 - 1))
def test_every_instant_of_64_bits_has_a_month(at_us: int) -> None:
    start, end = month_of(at_us)
    assert start <= at_us < end
    assert 28 * DAY_US <= end - start <= 31 * DAY_US


@given(st.lists(st.integers(1, 20 * DAY_US), max_size=30))
def test_a_key_is_found_for_the_window_and_forgotten_in_time(steps: list[int]) -> None:
    keys = KeyMap()
    recorded: dict[bytes, int] = {}
    now = 1_767_225_600_000_000
    for number, step in enumerate(steps):
        now += step
        keys.rotate(now)
        key = number.to_bytes(16, "big")
        keys.add(key, number)
        recorded[key] = now
        for known, at in recorded.items():
            if at >= now - DEDUPE_WINDOW_US - FUTURE_TOLERANCE_US:
                assert keys.find(known) == int.from_bytes(known, "big")
            elif at < now - DEDUPE_WINDOW_US - FUTURE_TOLERANCE_US - 14 * DAY_US:
                assert keys.find(known) is None
        assert len(keys) == sum(len(generation) for _, generation in keys.snapshot())
        assert keys.newest_max == keys.keys_max - len(keys) + len(keys.newest)


def test_locators() -> None:
    assert split_locator(locator_of(2**40, LOCATOR_INDEX_MASK)) == (2**40, LOCATOR_INDEX_MASK)


def test_identities_do_not_run_into_each_other() -> None:
    family = FamilyDigest(b"k" * 32)
    digests = [
        family.usage("a", "bc"),
        family.usage("ab", "c"),
        family.usage("", "abc"),
        family.usage("2:ab", "c"),
        family.request("abc"),
        family.external("abc"),
        family.operation("abc"),
        family.pairs((("a", "bc"),)),
        family.pairs((("ab", "c"),)),
        family.pairs((("a", "b"), ("c", ""))),
        FamilyDigest(b"l" * 32).usage("a", "bc"),
    ]
    assert len(set(digests)) == len(digests)
    assert all(len(digest) == 16 for digest in digests)
    assert family.external("") == family.operation("") == family.pairs(()) == b""


def test_a_generation_goes_when_it_is_old_not_only_when_another_begins() -> None:
    week = DEDUPE_GENERATION_US
    keys = KeyMap()
    keys.rotate(week)
    keys.add(b"k" * 16, 1)
    boundary = 2 * week + DEDUPE_WINDOW_US
    keys.rotate(boundary)
    assert keys.find(b"k" * 16) == 1, "an event of the last second may still be asked for"
    keys.rotate(boundary + FUTURE_TOLERANCE_US)
    assert keys.find(b"k" * 16) is None
