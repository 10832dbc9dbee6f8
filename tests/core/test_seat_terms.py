"""Other terms of a plan of seats, from its next period on (rules P3, S2). April has 30 days."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from replaying import counters, replayed, totals
from seat_world import ACME, MAY, Team, day, individual, pooled
from test_verify_rules import judged

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.limits import DAY_US

JUNE = MAY + 31 * DAY_US
POOL = pooled(100)


def change(team: Team, terms: e.SeatTerms, plan: str = "agents", version: int = 0) -> Any:
    return team.ask(c.ChangeSeatTerms(team.key(), ACME, plan, terms, version))


def plan_of(team: Team, name: str = "agents") -> Any:
    seats = team.core.state.accounts[ACME].seats
    assert seats is not None
    return seats.plans[name]


def granted(team: Team) -> list[tuple[int, int]]:
    """(day of April, units) of every grant."""
    return [
        ((event.effective_at - day(1)) // DAY_US + 1, event.amount)
        for _, batch in team.core.batches
        for event in batch
        if isinstance(event, e.GrantIssued)
    ]


def test_another_allowance_comes_with_the_next_period(team: Team) -> None:
    """3 seats of 100, from May on of 250; seats that come meanwhile are of April."""
    team.start(POOL, count=3)
    team.to(day(16))
    changed = change(team, pooled(250))
    assert changed.revision == 2
    team.add(count=2)
    assert granted(team) == [(1, 300), (16, 100)]
    team.to(MAY)
    assert granted(team)[2:] == [(31, 1_250)]
    assert (plan_of(team).terms, plan_of(team).next_terms) == (pooled(250), None)
    team.to(JUNE)
    assert granted(team)[3:] == [(62, 1_250)]


def test_rules_come_with_it_too(team: Team) -> None:
    """Rule S3: an unknown seat is rejected from May on, what a seat lacks is billed to nobody."""
    team.start(individual(100), "ann")
    terms = individual(100, unknown=e.UnknownSeat.REJECT, exhausted=e.ExhaustedSeat.DENY, alert=10)
    change(team, terms)
    assert team.use(1, "zed")
    team.to(MAY)
    refusal = team.refused(team.usage(1, "zed"))
    assert refusal[0] == "SEAT_UNKNOWN"


def test_terms_as_they_are_take_back_what_was_to_come(team: Team) -> None:
    team.start(POOL, count=1)
    change(team, pooled(250))
    change(team, pooled(70))
    assert plan_of(team).next_terms == pooled(70)
    change(team, POOL)
    assert plan_of(team).next_terms is None
    team.to(MAY)
    assert granted(team) == [(1, 100), (31, 100)]


def test_a_plan_that_ends_with_its_period_gives_nothing_more(team: Team) -> None:
    team.start(POOL, count=1)
    change(team, pooled(250))
    team.end(e.Timing.NEXT_PERIOD)
    team.to(JUNE)
    assert granted(team) == [(1, 100)]


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        (individual(100), ("TERMS_FIXED", "terms.allotment", "INDIVIDUAL")),
        (replace(POOL, charge="fee"), ("TERMS_FIXED", "terms.charge", "fee")),
        (pooled(100, every=2), ("TERMS_FIXED", "terms.allowance.every", "2")),
        (pooled(100, zone="Asia/Tokyo"), ("TERMS_FIXED", "terms.allowance.zone", "Asia/Tokyo")),
        (pooled(100, anchor=7), ("TERMS_FIXED", "terms.allowance.anchor", "7")),
        (pooled(0), ("AMOUNT_INVALID", "terms.allowance.amount", "0")),
        (pooled(100, asset=77), ("ASSET_UNKNOWN", "terms.allowance.asset", "77")),
        (replace(POOL, alert=5), ("SEATS_INVALID", "terms.alert", "5")),
    ],
)
def test_what_a_plan_keeps_and_what_is_invalid_is_refused(
    team: Team, terms: e.SeatTerms, said: tuple[str, str, str]
) -> None:
    team.start(POOL, count=1)
    assert team.refused(c.ChangeSeatTerms(team.key(), ACME, "agents", terms)) == said


def test_a_plan_that_is_not_there_or_is_another_is_refused(team: Team) -> None:
    command = c.ChangeSeatTerms(team.key(), ACME, "agents", POOL)
    assert team.refused(command)[0] == "SEAT_PLAN_UNKNOWN"
    team.start(POOL, count=1)
    stale = c.ChangeSeatTerms(team.key(), ACME, "agents", POOL, 7)
    assert team.refused(stale) == ("VERSION_MISMATCH", "expected_version", "1")
    team.end()
    assert team.refused(c.ChangeSeatTerms(team.key(), ACME, "agents", POOL))[0] == "SEAT_PLAN_ENDED"
    huge = pooled(2**62)
    team.start(POOL, count=4, plan="large")
    refusal = team.refused(c.ChangeSeatTerms(team.key(), ACME, "large", huge))
    assert refusal[0] in ("OVERFLOW", "SEATS_LIMIT")


def test_the_same_again_is_known_and_another_is_a_conflict(team: Team) -> None:
    """Rule I1."""
    team.start(POOL, count=1)
    command = c.ChangeSeatTerms(team.key(), ACME, "agents", pooled(250))
    team.ask(command)
    assert team.core.difference(command, team.ask(command)) == ""
    other = c.ChangeSeatTerms(command.key, ACME, "agents", pooled(300))
    assert team.core.difference(other, team.ask(other)) == "terms"


@pytest.mark.parametrize(
    ("kind", "changes", "what"),
    [
        (e.SeatTermsChanged, {"revision": 9}, "version of the plan of seats"),
        (e.SeatTermsChanged, {"terms": individual(100)}, "what a plan of seats keeps"),
        (e.SeatTermsChanged, {"terms": replace(POOL, packaged=True)}, "what a plan of seats keeps"),
        (e.SeatPeriodBegun, {"terms": None}, "terms from the next period on"),
        (e.SeatPeriodBegun, {"terms": pooled(300)}, "terms from the next period on"),
    ],
)
def test_verify_finds_what_no_change_may_say(
    team: Team, kind: type, changes: dict[str, Any], what: str
) -> None:
    team.start(POOL, count=1)
    change(team, pooled(250))
    team.to(MAY)
    batches = team.core.batches
    place, index = next(
        (n, i)
        for n, (_, events) in enumerate(batches)
        for i, event in enumerate(events)
        if type(event) is kind
    )
    at, events = batches[place]
    told = [*events[:index], replace(events[index], **changes), *events[index + 1 :]]
    team.core.batches = [*batches[:place], (at, told), *batches[place + 1 :]]
    found = judged(team.core, replays=False)
    team.core.batches = batches
    assert any(what in each.what for each in found), found


def test_its_journal_decided_again_makes_the_same_entries(team: Team) -> None:
    team.start(individual(100, alert=10), "ann", count=2)
    change(team, individual(250, priority=3))
    team.to(MAY)
    team.use(95, "ann")
    again = replayed(team.core, plainly=True, faithfully=True)
    assert counters(again.state) == counters(team.core.state)
    assert totals(again.state) == totals(team.core.state)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("change"), st.integers(1, 500)),
            st.tuples(st.just("period"), st.just(0)),
        ),
        max_size=10,
    ),
    st.integers(1, 9),
)
def test_each_period_gives_what_was_said_last_before_it(
    steps: list[tuple[str, int]], count: int
) -> None:
    """Rules P3, S2: changes within a period give nothing, and none gives more than its period."""
    team = Team()
    team.start(POOL, count=count)
    now, then, expected = 100, 100, [100 * count]
    for verb, amount in steps:
        if verb == "change":
            change(team, pooled(amount))
            then = amount
        else:
            team.to(plan_of(team).period_end)
            now = then
            expected.append(now * count)
    assert [units for _, units in granted(team)] == expected
    team.finish()


def test_a_plan_that_starts_again_forgets_what_was_to_come_before(team: Team) -> None:
    """3 seats of 100 that were to be of 250, ended with April; from May on of 70, June too."""
    team.start(POOL, count=3)
    change(team, pooled(250))
    team.end(e.Timing.NEXT_PERIOD)
    team.to(MAY)
    team.start(pooled(70), count=3)
    assert (plan_of(team).terms, plan_of(team).next_terms) == (pooled(70), None)
    team.to(JUNE)
    assert granted(team) == [(1, 300), (31, 210), (62, 210)]
