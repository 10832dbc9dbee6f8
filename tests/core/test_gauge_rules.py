"""Gauges under other prices, and what verify finds of them (R1, T2)."""

from __future__ import annotations

import contextlib
from fractions import Fraction
from typing import Any

import pytest
from core_world import (
    FAMILY,
    START_US,
    Core,
)
from gauge_world import ACME, GRACE_US, MONTH_US, World
from msgspec.structs import replace
from replaying import catalog_at, replayed
from test_backtest import assert_is_the_ledger
from test_verify_rules import judged

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.books import BooksUnbalanced
from ledger.core.catalog import Catalog
from ledger.core.evolve import evolve
from ledger.core.limits import DAY_US, GAUGE_REPORTS_MAX, HOUR_US
from ledger.core.state import State
from ledger.verify.report import Findings, ShardReport
from ledger.verify.rules import Rules
from rating.functions import SCOPE_DAY


@pytest.fixture
def world() -> World:
    return World()


def test_the_unchanged_card_makes_the_journals_own_entries(world: World) -> None:
    world.report(40, id="a")
    world.report(7, id="b")
    world.back("b")
    world.report(3, scope=SCOPE_DAY, named="cpu")
    world.to(START_US + MONTH_US + GRACE_US)
    world.back("a", charged=True, quantities=(10,))
    assert_is_the_ledger(replayed(world.core, faithfully=True), world.core)


def test_other_prices_are_tried_on_what_was_reported(world: World) -> None:
    """What gauges showed is a fact; a candidate prices it."""
    world.report(40)
    world.to(START_US + MONTH_US + GRACE_US)
    replay_ = replayed(world.core, catalog=catalog_at(Fraction(2)))
    found = replay_.close(10)
    assert found.usage_events == 1
    [line] = found.burn
    assert (line.old, line.new) == (40, 80)


def _changed(event: e.Event, kind: type, **changes: Any) -> e.Event:
    return replace(event, **changes) if isinstance(event, kind) else event


def _findings(core: Core) -> list[str]:
    """What the rules say, up to an entry that cannot be applied."""
    findings = Findings(ShardReport(0))
    rules, state = Rules(findings), State(0, Catalog())
    with contextlib.suppress(KeyError, IndexError, AssertionError, BooksUnbalanced):
        for batch_seq, (recorded_at, events) in enumerate(core.batches, start=1):
            state.begin_batch(batch_seq, recorded_at)
            for event in events:
                rules.before(state, event)
                evolve(state, event)
    return [f"{each.what}: {each.expected}" for each in findings.found]


@pytest.mark.parametrize(
    ("kind", "changes", "found"),
    [
        (e.GaugeReported, {"before": (9,)}, "level before a report"),
        (e.GaugeReported, {"after": (9,)}, "level after a report"),
        (e.GaugeReported, {"end": START_US}, "scope of a report"),
        (e.GaugeReported, {"end": START_US + 90 * DAY_US}, "length of a scope"),
        (e.GaugeReported, {"effective_at": START_US - 40 * DAY_US}, "effective time"),
        (e.GaugeReported, {"quantities": (-1,)}, "what a gauge shows"),
        (e.GaugeReversed, {"report": b"x" * 16}, "report that is taken back"),
        (e.GaugeReversed, {"before": (9,)}, "level before it is taken back"),
        (e.GaugeReversed, {"after": (9,)}, "level once it is taken back"),
        (e.GaugeReversed, {"gauge": 1}, "gauge of a report"),
        (e.GaugeCharged, {"gauge": 1}, "gauge that is charged"),
        (e.GaugeCharged, {"report": 1}, "report that is charged"),
        (e.GaugeCharged, {"key": b"x" * 16}, "key of the charge"),
        (e.GaugeCharged, {"quantities": (9,)}, "quantities of a gauge"),
        (e.GaugeCharged, {"effective_at": START_US}, "effective time"),
        (e.GaugeCharged, {"period": START_US + MONTH_US}, "month"),
        (e.GaugeCharged, {"charges": (9,)}, "sum of slices"),
    ],
)
def test_verify_holds_gauges_to_their_reports(
    world: World, kind: type, changes: dict[str, Any], found: str
) -> None:
    """A journal that says otherwise than its reports is found out."""
    world.report(5, id="a")
    world.report(6, id="b")
    world.back("b")
    world.to(START_US + MONTH_US + GRACE_US)
    assert judged(world.core) == []
    for place, (at, events) in enumerate(world.core.batches):
        changed = [_changed(event, kind, **changes) for event in events]
        world.core.batches[place] = (at, changed)
    assert any(found in each for each in _findings(world.core))


def _told(world: World, *events: e.Event) -> list[str]:
    """What the rules say where these entries come next."""
    world.core.advance(1)
    world.core.batches[-1][1].extend(events)
    found = _findings(world.core)
    world.core.batches[-1][1].clear()
    return found


def test_verify_finds_reports_that_come_too_late_or_are_not_kept(world: World) -> None:
    """Of a scope that is over, or was charged as its account closed; one gauge too many."""
    for number in range(GAUGE_REPORTS_MAX + 1):
        world.report(number, id=f"v{number}")
    world.core.advance(DAY_US)
    first = world.core.batches[1][1]
    plan, reported = first
    assert isinstance(reported, e.GaugeReported)
    again = replace(reported, key=b"n" * 16, plan=0, before=(GAUGE_REPORTS_MAX,))
    level = (GAUGE_REPORTS_MAX,)
    assert _told(world, plan, replace(again, after=level)) == []
    other = replace(plan, product="image")
    assert any("is usage of" in each for each in _told(world, other, replace(again, after=level)))
    late = replace(again, start=START_US - DAY_US, end=START_US, effective_at=START_US - 1)
    late = replace(late, before=(), after=late.quantities)
    assert any("one whose grace has not ended" in each for each in _told(world, plan, late))
    for number in range(GAUGE_REPORTS_MAX, 1, -1):
        assert isinstance(world.back(f"v{number}"), e.GaugeReversed)
    last = world.original("v1")
    assert isinstance(last.event, e.GaugeReported)
    back = e.GaugeReversed(
        b"b" * 16, ACME, last.locator, last.entry_seq, last.event.key, last.event.gauge,
        last.event.start, last.event.end, (1,), (),
    )  # fmt: skip
    [found] = _told(world, back)
    assert "not the last that is kept" in found
    found = _told(world, replace(back, original=last.locator + 1))[-1]
    assert f"report that is taken back: {last.locator}" in found
    world.check()


def test_verify_finds_what_is_charged_out_of_turn(world: World) -> None:
    """The inner scope comes first."""
    world.core.advance(30 * DAY_US + HOUR_US)
    world.report(9)
    world.report(5, scope=SCOPE_DAY, named="cpu")
    world.to(START_US + MONTH_US + GRACE_US)
    plan, day, month = [
        each
        for each in world.core.batches[-1][1]
        if isinstance(each, e.PlanDeclared | e.GaugeCharged)
    ]
    at = world.core.batches[-1][0]
    rest = [each for each in world.core.batches[-1][1] if isinstance(each, e.BookOpened)]
    world.core.batches[-1] = (at, [*rest, plan, month, day])
    index = len(rest)
    turned = [replace(each, plan=index) for each in (month, day)]  # type: ignore[type-var]
    world.core.batches[-1] = (at, [*rest, plan, *turned])
    assert any("charged first" in each for each in _findings(world.core))


def test_verify_finds_a_report_of_a_scope_that_was_charged_at_a_closing(world: World) -> None:
    world.report(5)
    world.core.advance(10 * DAY_US)
    world.close()
    world.to(world.core.now + GRACE_US)
    world.core.run(c.ReopenAccount(FAMILY.request("o"), ACME))
    plan, reported = world.core.batches[1][1]
    assert isinstance(reported, e.GaugeReported)
    again = replace(reported, key=b"n" * 16, plan=0, effective_at=world.core.now)
    assert any("one that is not charged" in each for each in _told(world, plan, again))


def test_verify_finds_a_charge_before_its_time(world: World) -> None:
    world.report(5)
    world.to(START_US + MONTH_US + GRACE_US)
    at, events = world.core.batches.pop()
    world.core.batches.append((at - 2 * DAY_US, events))
    found = _findings(world.core)
    assert any("scope of a gauge" in what for what in found), found
