"""Runway alerts: told once a crossing, by a forecast that is new; and what verify says of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from core_world import CREDITS, FAMILY, HOUR_US, TENANT, Core, replay
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from replaying import counters, replayed
from test_verify_rules import judged

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.digest import digest
from ledger.core.limits import RUNWAY_HOURS_MAX, RUNWAY_REPORT_AGE_MAX_US
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.packing import drop_family, pack_family, unpack_family

ACME = 1
ALERT = e.RunwayAlert(CREDITS, 72, 96)


def ready(alert: e.RunwayAlert = ALERT) -> Core:
    core = Core()
    core.run(c.CreateAccount(FAMILY.request("open"), TENANT, ACME, 0, ACME, e.AccountPolicy()))
    made = core.run(c.SetRunwayAlert(FAMILY.request("alert"), ACME, alert))
    assert isinstance(made, e.RunwayAlertSet)
    return core


def report(core: Core, hours: int, name: str = "", **changes: Any) -> Any:
    """A forecast of now: empty in so many hours in one future of ten; 0 = within none looked at."""
    [standing] = core.state.accounts[ACME].runways
    now = core.state.now
    fields = {
        "key": FAMILY.request(name or f"{standing.version} {standing.crossings}"),
        "account": ACME,
        "asset": CREDITS,
        "version": standing.version,
        "crossing": standing.crossings + 1,
        "as_of": now,
        "empty_at": now + hours * HOUR_US if hours else 0,
        "available": 10,
        "needed": 20,
        **changes,
    }
    return core.run(c.ReportRunway(**fields))


def told(core: Core, hours: int) -> bool | None:
    """What a forecast tells: that it is short, that it lasts again, or nothing."""
    core.advance(HOUR_US)
    outcome = report(core, hours)
    if isinstance(outcome, Refusal):
        assert outcome.reason == Reason.RUNWAY_NOT_CROSSED
        return None
    assert isinstance(outcome, e.RunwayCrossed)
    return outcome.short


def test_a_crossing_is_told_once_and_again_after_it_lasted() -> None:
    """Below 72 hours it is told; from there on only what lasts for more than 96 counts."""
    core = ready()
    said = [told(core, hours) for hours in (73, 72, 71, 1, 73, 96, 97, 73, 72, 0, 0)]
    assert said == [None, True, None, None, None, None, False, None, True, False, None]
    [standing] = core.state.accounts[ACME].runways
    assert (standing.crossings, standing.short) == (4, False)
    assert judged(core) == []


def test_what_is_empty_now_is_short_and_a_new_version_tells_anew() -> None:
    core = ready()
    outcome = report(core, 0, empty_at=core.state.now, available=-(10**30))
    assert isinstance(outcome, e.RunwayCrossed) and outcome.short
    assert outcome.available == str(-(10**30))
    [standing] = core.state.accounts[ACME].runways
    assert standing.available == str(-(10**30)) and standing.crossed_at == core.state.now
    again = core.run(c.SetRunwayAlert(FAMILY.request("again"), ACME, ALERT, 1))
    assert isinstance(again, e.RunwayAlertSet) and again.version == 2
    assert told(core, 5) is True
    removed = core.run(c.RemoveRunwayAlert(FAMILY.request("off"), ACME, CREDITS))
    assert isinstance(removed, e.RunwayAlertRemoved)
    gone = report(core, 5, "gone")
    assert isinstance(gone, Refusal) and gone.reason == Reason.RUNWAY_ALERT_UNKNOWN
    third = core.run(c.SetRunwayAlert(FAMILY.request("third"), ACME, ALERT))
    assert isinstance(third, e.RunwayAlertSet) and third.version == 3
    assert judged(core) == []


def test_who_tells_twice_is_told_what_was_recorded() -> None:
    core = ready()
    core.advance(HOUR_US)
    first = report(core, 5, "one")
    assert isinstance(first, e.RunwayCrossed)
    again = report(core, 4, "one", crossing=1)
    assert isinstance(again, Known)
    late = report(core, 4, "other", crossing=1)
    assert isinstance(late, Refusal) and late.reason == Reason.VERSION_MISMATCH


def test_an_old_forecast_tells_nothing() -> None:
    core = ready()
    core.advance(HOUR_US)
    for as_of in (core.state.now - RUNWAY_REPORT_AGE_MAX_US - 1, core.state.now + 1):
        found = report(core, 5, "old", as_of=as_of)
        assert isinstance(found, Refusal) and found.reason == Reason.RUNWAY_REPORT_OLD
    found = report(core, 5, "old", as_of=core.state.now - RUNWAY_REPORT_AGE_MAX_US)
    assert isinstance(found, e.RunwayCrossed)
    assert judged(core) == []


def test_a_closed_account_is_told_of_no_more() -> None:
    core = ready()
    core.run(c.CloseAccount(FAMILY.request("shut"), ACME))
    found = report(core, 5)
    assert isinstance(found, Refusal) and found.reason == Reason.ACCOUNT_CLOSED
    found = core.run(c.SetRunwayAlert(FAMILY.request("anew"), ACME, ALERT))
    assert isinstance(found, Refusal) and found.reason == Reason.ACCOUNT_CLOSED


@given(
    st.lists(st.integers(0, 12) | st.sampled_from(["set", "remove", "page"]), max_size=25),
    st.integers(1, 6),
    st.integers(0, 4),
)
def test_any_life_is_as_a_plain_latch_says(steps: list[Any], hours: int, more: int) -> None:
    """Against a latch of its own; replayed, and packed and back, it is the same state."""
    alert = e.RunwayAlert(CREDITS, hours, hours + more)
    core = ready(alert)
    short, in_force = False, True
    for number, step in enumerate(steps):
        if step == "set":
            core.run(c.SetRunwayAlert(FAMILY.request(f"s{number}"), ACME, alert))
            short, in_force = False, True
        elif step == "remove":
            outcome = core.run(c.RemoveRunwayAlert(FAMILY.request(f"r{number}"), ACME, CREDITS))
            assert isinstance(outcome, Refusal) != in_force
            short, in_force = False, False
        elif step == "page":
            state, root = core.state, core.state.accounts[ACME].root
            before = digest(state)
            packed = pack_family(state, root, state.settled_before)
            drop_family(state, root)
            unpack_family(state, packed)
            assert digest(state) == before
            assert pack_family(state, root, state.settled_before) == packed
        else:
            core.advance(HOUR_US)
            outcome = report(core, step, f"f{number}")
            within = 0 < step <= (hours + more if short else hours)
            crossed = in_force and within != short
            assert isinstance(outcome, e.RunwayCrossed) == crossed
            short = not short if crossed else short
    assert judged(core) == []
    assert digest(replay(core.journal())) == digest(core.state)


def lived() -> Core:
    core = ready()
    for hours in (70, 0, 3):
        core.advance(HOUR_US)
        assert isinstance(report(core, hours), e.RunwayCrossed)
    core.run(c.RemoveRunwayAlert(FAMILY.request("off"), ACME, CREDITS))
    return core


def test_the_journal_is_read_as_the_commands_that_it_answered() -> None:
    core = lived()
    replay_ = replayed(core, plainly=True, faithfully=True)
    assert counters(replay_.state) == counters(core.state)
    assert replay_.state.accounts[ACME].runways == core.state.accounts[ACME].runways


def _alert(event: Any, **fields: Any) -> Any:
    return replace(event, alert=replace(event.alert, **fields))


BROKEN: list[tuple[type, int, Callable[[Any], Any], str]] = [
    (e.RunwayAlertSet, 0, lambda x: replace(x, version=2), "version of the runway alert"),
    (e.RunwayAlertSet, 0, lambda x: _alert(x, hours=0), "hours of a runway alert"),
    (e.RunwayAlertSet, 0, lambda x: _alert(x, rearm_hours=71), "hours of a runway alert"),
    (
        e.RunwayAlertSet,
        0,
        lambda x: _alert(x, rearm_hours=RUNWAY_HOURS_MAX + 1),
        "hours of a runway alert",
    ),
    (e.RunwayAlertRemoved, 0, lambda x: replace(x, asset=9), "runway alert that is removed"),
    (e.RunwayCrossed, 0, lambda x: replace(x, asset=9), "runway alert that tells"),
    (e.RunwayCrossed, 0, lambda x: replace(x, version=2), "version of the runway alert"),
    (e.RunwayCrossed, 1, lambda x: replace(x, crossing=1), "crossing of the runway alert"),
    (e.RunwayCrossed, 0, lambda x: replace(x, short=False), "short"),
    (e.RunwayCrossed, 0, lambda x: replace(x, empty_at=0), "empty by a runway alert"),
    (
        e.RunwayCrossed,
        0,
        lambda x: replace(x, empty_at=x.as_of + 72 * HOUR_US + 1),
        "empty by a runway alert",
    ),
    (
        e.RunwayCrossed,
        1,
        lambda x: replace(x, empty_at=x.as_of + 96 * HOUR_US),
        "lasting again",
    ),
    (
        e.RunwayCrossed,
        0,
        lambda x: replace(x, as_of=x.as_of - RUNWAY_REPORT_AGE_MAX_US - 1),
        "time of the forecast",
    ),
]


@pytest.mark.parametrize(("kind", "which", "broken", "what"), BROKEN)
def test_each_rule_broken_once(
    kind: type, which: int, broken: Callable[[Any], Any], what: str
) -> None:
    core = lived()
    places = [
        (batch, index)
        for _, batch in core.batches
        for index, event in enumerate(batch)
        if type(event) is kind
    ]
    batch, index = places[which]
    batch[index] = broken(batch[index])
    try:
        found = judged(core, replays=False)
    except ValueError:  # the fold does not know the alert
        from test_mandate_rules import _found

        assert any(what in each for each in _found(core))
        return
    assert any(what in each.what for each in found), found
