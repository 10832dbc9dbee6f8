"""Forecasts from hours of usage, by hand-computed figures where the future is certain, and by what
holds of every future where it is not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ledger.core.limits import HOUR_US
from ledger.forecast.draws import AS_RECORDED, FACTOR_MAX, Chance, Draws, level_of, seed_of
from ledger.forecast.figures import Band, Bill, Foretold, Outlook, band, foretell
from ledger.forecast.hours import DAY, HISTORY, LEAST, WEEK, Hours, hours_of
from ledger.forecast.pots import Means, Pot, means_of
from ledger.forecast.walk import NEVER, walk

NOW = 500_000  # hours since 1970
NOW_US = NOW * HOUR_US + 1  # no hour begins here, so all of them count from the next on
FOREVER = 1 << 62
UNBILLED = Bill(0, False, None)


def steady(rate: int, hours: int = HISTORY) -> Hours:
    """So much in each hour: every future of it is the same."""
    return Hours(NOW - hours, [rate] * hours)


def pot(units: int, start: int = 0, end: int | None = None) -> Pot:
    """Units in force from and until so many hours from now."""
    expires = FOREVER if end is None else NOW_US + end * HOUR_US
    return Pot(units, NOW_US + start * HOUR_US, expires)


def means(*pots: Pot, coming: tuple[Pot, ...] = (), owed: int = 0, headroom: int = 0) -> Means:
    return means_of(pots, coming, owed, headroom, NOW_US)


def ahead(
    hours: Hours, pays: Means, horizon: int = 100, bill: Bill = UNBILLED, period: int = 50
) -> Foretold:
    return foretell(hours, pays, bill, NOW_US, horizon, NOW_US + period * HOUR_US, 7)


def same(value: int) -> Band:
    return Band(value, value, value)


def at(hour: int) -> int:
    return NOW_US + hour * HOUR_US


def test_a_steady_rate_empties_a_grant_at_the_hour_that_division_gives():
    """10 an hour of 955: gone within the 96th hour."""
    found = ahead(steady(10), means(pot(955)))
    assert found.outlook == Outlook.EMPTIES
    assert (found.available, found.burn_an_hour, found.burn_a_day) == (955, 10, 240)
    assert (found.last_day, found.history) == (240, HISTORY)
    assert found.empty_at_us == same(at(96))
    assert found.used == same(1_000)
    assert found.left == same(0)
    assert found.unpaid == same(0)  # until the end of the period, after 50 hours


def test_what_expires_is_gone_too():
    """100 that expire after 4 hours, 40 of them used, then 30 more: gone in the 7th hour."""
    found = ahead(steady(10), means(pot(100, end=4), pot(30)))
    assert found.empty_at_us == same(at(7))
    assert found.expired == same(60)
    assert found.unpaid == same(500 - 70)


def test_an_expiry_alone_empties_a_balance():
    found = ahead(steady(0), means(pot(100, end=30)))
    assert (found.outlook, found.empty_at_us) == (Outlook.EMPTIES, same(at(30)))
    assert found.expired == same(100)


def test_nothing_used_and_nothing_that_expires_lasts_for_ever():
    found = ahead(steady(0), means(pot(100)))
    assert found.outlook == Outlook.NEVER_AT_THIS_RATE
    assert (found.empty_at_us, found.left, found.burn_a_day) == (same(0), same(100), 0)


def test_an_empty_balance_is_said_to_be_empty():
    found = ahead(steady(10), means())
    assert (found.outlook, found.empty_at_us) == (Outlook.EMPTY, same(NOW_US))


def test_a_grant_to_come_lasts_from_where_it_begins():
    """200 for 20 hours, then 1,000 from the 10th hour on: 1,200 by the 120th."""
    coming = (pot(1_000, start=10),)
    found = ahead(steady(10), means(pot(200), coming=coming), horizon=200)
    assert found.empty_at_us == same(at(120))


def test_a_grant_that_comes_too_late_does_not_hide_that_the_balance_was_empty():
    """50 for 5 hours; 5 hours without; then 1,000, of which the horizon leaves 100."""
    coming = (pot(1_000, start=10),)
    found = ahead(steady(10), means(pot(50), coming=coming), horizon=100)
    assert found.empty_at_us == same(at(5))
    assert found.left == same(100)
    assert found.unpaid == same(50)


def test_what_comes_pays_first_what_is_owed():
    """Rule B3. 60 owed of an overdraft of 100; 200 that come after 2 hours leave 120 after 80."""
    coming = (pot(200, start=2),)
    found = ahead(steady(10), means(coming=coming, owed=60, headroom=40), horizon=3)
    assert found.available == 40
    assert found.left == same(200 - 80 - 10 + 100)


def test_a_bill_is_what_was_until_now_and_what_no_pot_pays():
    """30 an hour of 600 for 50 hours: 900 more than is there."""
    hours, pays = steady(30), means(pot(600))
    assert ahead(hours, pays, bill=Bill(70, True, None)).bill == same(970)
    assert ahead(hours, pays, bill=Bill(70, True, 500)).bill == same(500)
    assert ahead(hours, pays, bill=Bill(700, True, 500)).bill == same(700)
    assert ahead(hours, pays, bill=Bill(70, False, None)).bill == same(70)


def test_less_than_three_days_foretell_nothing():
    found = ahead(steady(10, LEAST - 1), means(pot(955)))
    assert found.outlook == Outlook.INSUFFICIENT_HISTORY
    assert (found.available, found.burn_a_day, found.empty_at_us) == (955, 240, None)
    assert ahead(steady(10, LEAST), means(pot(955))).outlook == Outlook.EMPTIES


def test_weeks_keep_their_shape():
    """1,000 on Mondays and nothing else: a week holds one Monday, whatever day it begins on."""
    used = [1_000 if hour % WEEK == 0 else 0 for hour in range(NOW - HISTORY, NOW)]
    found = ahead(Hours(NOW - HISTORY, used), means(pot(10**9)), horizon=WEEK)
    assert found.used is not None
    assert found.used.p50 == 1_000


def test_the_hours_of_a_history():
    """They begin with the first usage, end before the present hour, and are never below zero."""
    drawn = {(NOW - 3) * HOUR_US: 5, (NOW - 2) * HOUR_US: -4, NOW * HOUR_US: 9}
    hours = hours_of(drawn, (NOW - 3) * HOUR_US, NOW_US)
    assert (hours.first, hours.used) == (NOW - 3, [5, 0, 0])
    assert len(hours_of(drawn, 0, NOW_US)) == HISTORY
    assert hours_of({}, None, NOW_US).used == []
    assert hours_of(drawn, NOW * HOUR_US, NOW_US).used == []
    assert Hours(0, [1, 1, 0, 3]).burn(24) == 30


def test_a_band_is_by_the_nearest_rank():
    assert band(range(1, 11)) == Band(1, 5, 9)
    assert band(range(200)) == Band(19, 99, 179)
    assert band([4]) == same(4)


def test_chance_is_the_same_everywhere():
    """SplitMix64 of the seed 0 begins with 0xE220A8397B1DCDAF."""
    assert Chance(0).below(1 << 64) == 0xE220A8397B1DCDAF
    assert seed_of(1, 2) != seed_of(12)


histories = st.lists(st.integers(0, 50), min_size=LEAST, max_size=3 * WEEK + 5)
pots = st.builds(
    pot, st.integers(0, 400), st.integers(-3, 40), st.one_of(st.none(), st.integers(1, 60))
)


@given(histories, st.lists(pots, max_size=5), st.integers(0, 99), st.integers(0, 300))
def test_every_future_adds_up(used: list[int], held: list[Pot], seed: int, headroom: int) -> None:
    """What was there and came is what was used and paid, what expired and what is left; and a
    balance that is never empty leaves nothing unpaid."""
    hours = Hours(NOW - len(used), used)
    pays = means(*held, headroom=headroom)
    future = walk(hours, Draws(hours), pays, NOW, 50, 50, seed)
    there = sum([each.units for each in pays.pots if each.start < 50]) + headroom
    assert there == future.left + future.expired + future.used - future.unpaid
    if future.empty_after == NEVER:
        assert future.unpaid == 0
    assert future == walk(hours, Draws(hours), pays, NOW, 50, 50, seed)


@given(histories, st.integers(1, 900), st.integers(0, 99))
def test_levels_and_blocks_stay_within_the_history(used: list[int], length: int, seed: int) -> None:
    hours, chance = Hours(NOW - len(used), used), Chance(seed)
    level = level_of(hours, length, chance)
    assert 0 <= level.numerator <= FACTOR_MAX * level.denominator
    if len(set(used)) == 1:
        assert level.of(1_000) == AS_RECORDED.of(1_000)
    draws = Draws(hours)
    for hour in range(NOW, NOW + 30):
        place = draws.block(hour, 1 + hour % DAY, chance)
        assert 0 <= place <= len(used) - (1 + hour % DAY)
