"""Linked usage: all of a group is recorded, or nothing of it and nothing changes (product A5)."""

from __future__ import annotations

from typing import Any

import pytest
from core_world import CREDITS, FAMILY, TENANT, USD, Core, replay
from hypothesis import given
from hypothesis import strategies as st

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.digest import digest
from ledger.core.keys import KeyMap
from ledger.core.limits import DAY_US, HOUR_US, INT64_MAX, MINUTE_US
from ledger.core.metering.linked import refuse_linked
from ledger.core.outcomes import Known, Reason, Refusal

ROOT, CHILD, CLOSED, STRANGER = 1, 2, 3, 4


def world() -> Core:
    """A family of three, of whom one is closed, and a stranger; the root has 50 credits."""
    core = Core()
    for number, parent in ((ROOT, 0), (CHILD, ROOT), (CLOSED, ROOT), (STRANGER, 0)):
        root = number if not parent else ROOT
        created = c.CreateAccount(
            FAMILY.request(f"account {number}"), TENANT, number, parent, root, e.AccountPolicy()
        )
        assert isinstance(core.run(created), e.AccountCreated)
    assert isinstance(core.run(c.CloseAccount(FAMILY.request("close"), CLOSED)), e.AccountClosed)
    prepaid = e.GrantKind.PREPAID
    core.run(
        c.IssueGrant(FAMILY.request("g"), ROOT, prepaid, CREDITS, 50, 7, USD, 0, 0, 0, (), b"")
    )
    core.advance(2 * DAY_US)
    return core


def linked(core: Core, *events: dict[str, Any]) -> list[c.LinkedUsage]:
    made = []
    for place, event in enumerate(events):
        event_id = event.get("id", f"e{place}")
        names = tuple(event.get("names", ("tokens",)))
        quantities = event.get("quantities", (event.get("tokens", 1),))
        made.append(
            c.LinkedUsage(
                FAMILY.usage("s", event_id),
                event.get("account", ROOT),
                core.shape(event.get("product", "chat"), *names),
                tuple(quantities),
                core.now + event["ago"] if "ago" in event else 0,
                c.Names("s", event_id),
                follow=len(events) - 1 - place,
            )
        )
    return made


def run(core: Core, group: list[c.LinkedUsage]) -> list[Any]:
    """What the writer does with a group; nothing of it is usual usage."""
    assert core.run_usual(group) == 0
    refusals = refuse_linked(core.state, group, core.batches[-1][1])
    if refusals is not None:
        return list(refusals)
    return [core.run(command) for command in group]


def reasons(outcomes: list[Any]) -> list[str]:
    return [each.reason if isinstance(each, Refusal) else type(each).__name__ for each in outcomes]


def test_what_was_due_of_a_refused_group_is_looked_at_by_top_up_rules() -> None:
    """Rule H6: a rule looks after each entry, also where nothing of the group is recorded."""
    core = world()
    rule = e.TopUpRule(CREDITS, 55, 0, 25, 1, 1, USD, "card", 24, HOUR_US)
    core.run(c.SetTopUpRule(FAMILY.request("rule"), ROOT, rule))
    free, until = e.GrantKind.PROMOTIONAL, core.now + HOUR_US
    core.run(
        c.IssueGrant(FAMILY.request("h"), ROOT, free, CREDITS, 9, 0, USD, 0, 0, until, (), b"")
    )
    core.advance(2 * DAY_US)
    assert reasons(run(core, linked(core, {}, {"account": STRANGER}))) == [
        "LINKED_FAILED",
        "LINKED_FAMILIES",
    ]
    posted = [type(event).__name__ for event in core.batches[-1][1]]
    assert posted[-1] == "TopUpRequested", posted
    assert digest(replay(core.journal())) == digest(core.state)


def test_a_group_is_recorded_event_by_event() -> None:
    core = world()
    group = linked(core, {"tokens": 30}, {"tokens": 30}, {"account": CHILD, "tokens": 4})
    outcomes = run(core, group)
    assert reasons(outcomes) == ["UsageRecorded"] * 3
    assert [sum(p.amount for p in each.slices) for each in outcomes] == [30, 30, 4]
    assert digest(replay(core.journal())) == digest(core.state)


@pytest.mark.parametrize(
    ("bad", "reason", "field"),
    [
        ({"account": 99}, Reason.ACCOUNT_UNKNOWN, "account"),
        ({"account": CLOSED}, Reason.ACCOUNT_CLOSED, "account"),
        ({"account": STRANGER}, Reason.LINKED_FAMILIES, "account"),
        ({"tokens": 0}, Reason.QUANTITIES_ALL_ZERO, "quantities"),
        ({"tokens": -1}, Reason.QUANTITY_INVALID, "quantities"),
        ({"ago": 6 * MINUTE_US}, Reason.IN_FUTURE, "effective_at_us"),
        ({"ago": -36 * DAY_US}, Reason.LINKED_TOO_OLD, "effective_at_us"),
        ({"product": "huge", "tokens": 5}, Reason.OVERFLOW, "quantities"),
        ({"id": "e0"}, Reason.CONFLICT, "id"),
        (
            {"product": "gpt", "names": ("cached", "input"), "quantities": (5, 4)},
            Reason.SUBSET_EXCEEDS_PARENT,
            "quantities",
        ),
    ],
    ids=lambda value: str(value)[:30],
)
def test_one_that_is_refused_takes_all_along(
    bad: dict[str, Any], reason: Reason, field: str
) -> None:
    core = world()
    before, entries = digest(core.state), len(core.batches[-1][1])
    outcomes = run(core, linked(core, {}, {"tokens": 2}, bad, {"tokens": -5}))
    failed = Reason.LINKED_FAILED
    assert reasons(outcomes) == [failed, failed, reason, failed], "the first that fails is named"
    assert outcomes[2].field == field
    assert outcomes[0].value == bad.get("id", "e2") and reason in outcomes[0].message
    assert digest(core.state) == before and len(core.batches[-1][1]) == entries
    again = run(core, linked(core, {}, {"tokens": 2}, {"id": "e2"}, {}))
    assert reasons(again) == ["UsageRecorded"] * 4, "the same ids may come again"


def test_a_group_sent_again_is_replayed_whole_or_in_part() -> None:
    core = world()
    run(core, linked(core, {"tokens": 2}, {"tokens": 3}, {"tokens": 4}))
    before = digest(core.state)
    again = linked(core, {"tokens": 2}, {"tokens": 3}, {"tokens": 4})
    assert reasons(run(core, again)) == ["Known"] * 3
    part = linked(core, {"tokens": 2}, {"tokens": 9})
    outcomes = run(core, part)
    assert all(isinstance(each, Known) for each in outcomes)
    assert [core.difference(*pair) for pair in zip(part, outcomes, strict=True)] == [
        "",
        "quantities",
    ]
    assert digest(core.state) == before


def test_a_group_of_which_a_part_is_recorded_is_refused() -> None:
    core = world()
    [alone] = linked(core, {"id": "b"})
    core.run(alone)
    before = digest(core.state)
    outcomes = run(core, linked(core, {"id": "a"}, {"id": "b"}, {"id": "c"}))
    failed = Reason.LINKED_FAILED
    assert reasons(outcomes) == [failed, Reason.LINKED_RECORDED, failed]
    assert digest(core.state) == before


def test_an_id_that_stands_twice_is_refused_though_it_is_recorded() -> None:
    """Rule I1: a group names an event once; with another body the second was a conflict beside a
    replay."""
    core = world()
    assert reasons([core.run(linked(core, {"id": "a", "tokens": 3})[0])]) == ["UsageRecorded"]
    for tokens in (3, 4):
        group = linked(core, {"id": "a", "tokens": 3}, {"id": "a", "tokens": tokens})
        assert reasons(run(core, group)) == ["LINKED_FAILED", "CONFLICT"]


def test_what_is_safe_to_retry_is_said_to_all() -> None:
    core = world()
    core.state.keys = KeyMap(keys_max=1)
    outcomes = run(core, linked(core, {}, {}))
    assert reasons(outcomes) == [Reason.KEYS_EXHAUSTED] * 2


def test_what_is_due_on_the_accounts_of_a_group_is_posted_first() -> None:
    core = world()
    shape = core.shape("chat", "tokens")
    held = core.run(c.AuthorizeHold(FAMILY.request("h"), ROOT, shape, (40,), 0))
    assert isinstance(held, e.HoldAuthorized)
    core.advance(20 * MINUTE_US)
    outcomes = run(core, linked(core, {"tokens": 45}, {"tokens": 5}))
    assert not any(each.over_limit for each in outcomes), "the hold had given back"
    assert not core.state.holds


def test_rounding_within_a_group_never_passes_the_limit_of_a_charge() -> None:
    """Each alone would be 2^63 - 1, but the first moves the second's rounding by one."""
    core = world()
    most = 2 * INT64_MAX + 1  # at 1/2: 2^63 - 1/2, half-even
    for tokens in (most, most - 1, most - 2):
        outcomes = run(
            core, linked(core, {"product": "half"}, {"product": "half", "tokens": tokens})
        )
        if isinstance(outcomes[1], Refusal):
            assert outcomes[1].reason == Reason.OVERFLOW
        else:
            assert sum(piece.amount for piece in outcomes[1].slices) <= INT64_MAX
        core = world()


accounts = st.sampled_from([ROOT, ROOT, ROOT, CHILD, CHILD, CLOSED, STRANGER, 99])
events = st.fixed_dictionaries(
    {
        "id": st.sampled_from([f"e{number}" for number in range(12)]),
        "account": accounts,
        "product": st.sampled_from(["chat", "image", "half", "huge", "mystery"]),
        "tokens": st.sampled_from([1, 2, 3, 7, 20, 20, 20, 0, -1, INT64_MAX]),
    },
    optional={"ago": st.sampled_from([0, -MINUTE_US, -30 * DAY_US, -36 * DAY_US, 6 * MINUTE_US])},
)


@given(st.lists(st.lists(events, min_size=2, max_size=5), max_size=8))
def test_after_the_check_nothing_refuses_and_before_it_nothing_changes(
    groups: list[list[dict[str, Any]]],
) -> None:
    """All recorded, all known before, or no entry and no change."""
    core = world()
    for given_ in groups:
        group = linked(core, *given_)
        before, entries = digest(core.state), len(core.batches[-1][1])
        known = [core.state.keys.find(command.key) is not None for command in group]
        outcomes = run(core, group)
        if all(isinstance(each, Refusal) for each in outcomes):
            assert digest(core.state) == before and len(core.batches[-1][1]) == entries
            assert sum(each.reason != Reason.LINKED_FAILED for each in outcomes) == 1
        elif all(known):
            assert all(isinstance(each, Known) for each in outcomes)
            assert digest(core.state) == before
        else:
            assert not any(known)
            assert all(isinstance(each, e.UsageRecorded) for each in outcomes), outcomes
        core.state.books.check()
    assert digest(replay(core.journal())) == digest(core.state)
