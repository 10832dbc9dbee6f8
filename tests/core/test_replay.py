"""Replay is the fold of the journal's bytes and of nothing else (architecture, pure core)."""

from __future__ import annotations

import zoneinfo

import pytest
from core_world import START_US, Core, replay
from ledger_case import LedgerCase

import ledger.core.drawing.comparators
import ledger.core.drawing.drawdown
import ledger.core.periods
import ledger.core.pricing.pricing
import ledger.core.pricing.quoted
import rating.price
import rating.zones
from ledger.core.digest import digest
from ledger.core.limits import DAY_US
from ledger.core.live_timers import rebuild_timers

DAY = """
account acme           overdraft=10 overage=self cap=20 zone=Europe/Berlin
account acme/a         parent=acme card=usd excess=absorb
account acme/tokyo     parent=acme zone=Asia/Tokyo
grant   acme      40   as=a  paid=99 priority=2 expires=+2d
grant   acme      40   as=b  free    priority=1 for=chat
usage   acme      30
usage   acme      3    of=half
usage   acme      of=gpt input=9 cached=3 output=1
usage   acme/a    3
usage   acme      3    of=mystery
usage   acme      3    at=-36d
hold    acme      9    as=h
hold    acme      9    as=i
hold    acme      9    as=j
hold    acme      999  as=k -> denied INSUFFICIENT_CREDITS
capture h         12
release i
void    b
clock   +1h
sweep
capture j         2
usage   acme      200
grant   acme      300  as=c
policy  acme/tokyo overage=self
policy  acme      card=usd zone=America/New_York grace=2d
usage   acme/tokyo 7
clock   +3d
sweep
account other
close   other
abandon other     id=never
clock   +40d
usage   acme      1
"""


@pytest.fixture(scope="module")
def lived() -> LedgerCase:
    case = LedgerCase()
    case.run(DAY)
    return case


@pytest.fixture
def nothing_may_be_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rating, comparators, calendars and zones raise. A compiled core does not see the patches."""

    def raises(*args: object, **kwargs: object) -> None:
        raise AssertionError("replay computed what the journal records")

    for module, name in (
        (rating.price, "rate"),
        (ledger.core.pricing.pricing, "rate"),
        (ledger.core.pricing.pricing, "rerate"),
        (ledger.core.pricing.quoted, "rate_own"),
        (ledger.core.drawing.drawdown, "order_of"),
        (ledger.core.drawing.comparators, "Fraction"),
        (ledger.core.periods, "month_of"),
        (ledger.core.periods, "local_of"),
        (ledger.core.periods, "instant_of"),
        (rating.zones, "local_of"),
        (rating.zones, "instant_of"),
        (rating.zones, "ZoneInfo"),
        (zoneinfo, "ZoneInfo"),
    ):
        monkeypatch.setattr(module, name, raises)
    rating.zones._zone.cache_clear()


@pytest.mark.usefixtures("nothing_may_be_computed")
def test_replay_gives_the_same_state_and_computes_nothing(lived: LedgerCase) -> None:
    assert digest(replay(lived.core.journal())) == digest(lived.core.state)


def test_replay_prices_nothing(lived: LedgerCase) -> None:
    """The catalog is empty in every replay of these tests: no card, no asset is looked at."""
    state = replay(lived.core.journal())
    assert not state.catalog.cards
    assert not state.catalog.assets
    state.books.check()


def test_a_replayed_state_decides_like_the_one_that_lived(lived: LedgerCase) -> None:
    """What is derived and not recorded (order of grants, timers, cards) is rebuilt, too."""
    once, again = LedgerCase(), LedgerCase()
    more = """
    usage  acme 1
    hold   acme 2 as=m
    grant  acme 5 as=n expires=+1h
    sweep
    clock  +2d
    sweep
    usage  acme 30
    """
    half = DAY.splitlines().index("void    b")
    once.run("\n".join(DAY.splitlines()[:half]))
    again.run("\n".join(DAY.splitlines()[:half]))
    again.core.state = replay(again.core.journal(), again.core.catalog)
    rebuild_timers(again.core.state)
    for case in (once, again):
        case.core.advance(DAY_US)
        case.run(more)
    assert once.core.journal() == again.core.journal()
    assert digest(once.core.state) == digest(again.core.state)


def test_a_postponed_batch_replays_into_the_same_state() -> None:
    """Moving an empty batch over the end of a generation of keys moves the keys, too."""
    for days in (1, 8, 36):
        case = LedgerCase()
        case.run("account acme\nusage acme 1\nhold acme 1 as=h of=free\nrelease h\nclock +1d")
        core = case.core
        core.now += days * DAY_US
        core.state.postpone_batch(core.now)
        core.batches[-1] = (core.now, [])
        case.run("usage acme 1")
        case.finish()


def test_positions_count_every_entry() -> None:
    case = LedgerCase()
    case.run("account acme\nusage acme 1")
    state = case.core.state
    in_first = len(case.core.batches[0][1])
    assert (state.entry_seq, state.batch_length, state.first_event) == (in_first, in_first, 0)
    case.run("clock +1s\nusage acme 1")
    in_second = len(case.core.batches[1][1])
    assert state.entry_seq == in_first + in_second
    assert (state.batch_length, state.first_event) == (in_second, in_first)


def test_a_batch_moves_time_forward_only() -> None:
    core = Core()
    for batch_seq, recorded_at in ((2, START_US), (3, START_US + 1), (1, START_US + 1)):
        with pytest.raises(AssertionError):
            core.state.begin_batch(batch_seq, recorded_at)
    with pytest.raises(AssertionError):
        core.state.postpone_batch(START_US)
