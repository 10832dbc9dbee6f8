"""Budgets and caps in lanes count as those that stand alone do, whatever changes between runs (H4,
H5, D8)."""

from __future__ import annotations

from random import Random

import pytest
from core_world import CREDITS, FAMILY, TENANT, replay
from msgspec.structs import replace
from test_tallies import (
    BOT,
    CHARGES,
    MEASURES,
    OTHER,
    REQUESTS,
    ROOT,
    TEAM,
    WINDOWS,
    Family,
    bot,
    opened,
    usage,
)
from test_verify_rules import judged

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.commands.base import NO_NAMES
from ledger.core.digest import digest
from ledger.core.limits import DAY_US, HOUR_US, INT64_MAX, MINUTE_US
from ledger.core.packing import drop_family, pack_family, unpack_family

EVENTS = (
    "set", "set", "change", "remove", "hold", "release", "move", "page",
    "cap", "cap", "recap", "uncap",
)  # fmt: skip
SIBLING = 4


def used(family: Family, account: int = BOT) -> list[int]:
    """What the windows of an account's budgets show now."""
    now = family.core.now
    budgets = family.core.state.accounts[account].budgets
    return [budget.counter.within(budget.terms.window, now)[0] for budget in budgets]


def laid(*budgets: e.BudgetTerms) -> Family:
    """A family whose bot's budgets stand in a lane: two events opened them, one was of a run."""
    family = opened(*budgets)
    family.use([bot(family.core, 1_000)])
    assert family.core.state.accounts[BOT].lane is not None
    return family


def test_a_run_lays_what_it_has_counted_one_by_one() -> None:
    """Sliding windows, and what is not for all usage, go on one by one beside it."""
    sliding = replace(REQUESTS, window=WINDOWS[5])
    family = laid(CHARGES, sliding, REQUESTS, replace(CHARGES, products=("chat",)))
    lane = family.core.state.accounts[BOT].lane
    assert lane is not None
    assert lane.layout is not None
    assert list(lane.layout.kept[2:]) == [20, 500_000, 2, INT64_MAX, 1, 3]
    assert lane.layout.rest == (1, 3)
    family.use([bot(family.core, number) for number in range(5)])
    assert used(family) == [70, 7, 7, 70]
    assert family.core.state.accounts[BOT].lane is lane
    tallied = family.events(e.BudgetsTallied)[-1]
    assert sorted(zip(tallied.budgets, tallied.posted, strict=True)) == [
        (1, 50), (2, 5), (3, 5), (4, 50),
    ]  # fmt: skip
    assert judged(family.core) == []


def test_accounts_with_budgets_alike_share_what_these_measure() -> None:
    family = Family(plainly=False)
    family.ask(c.CreateAccount, TENANT, SIBLING, TEAM, ROOT, e.AccountPolicy())
    for account in (BOT, SIBLING):
        family.ask(c.SetBudget, account, "calls", REQUESTS)
    for number in range(3):
        family.use([bot(family.core, 10 * number + each, each) for each in (BOT, SIBLING)])
    accounts = family.core.state.accounts
    lanes = [accounts[each].lane for each in (BOT, SIBLING)]
    assert lanes[0] is not None and lanes[1] is not None
    assert lanes[0].layout is lanes[1].layout
    assert lanes[0].row != lanes[1].row
    assert [used(family, each) for each in (BOT, SIBLING)] == [[3], [3]]
    layouts = family.core.state.families[ROOT].layouts
    assert list(layouts.values()) == [lanes[0].layout]
    for account in (BOT, SIBLING):
        accounts[account].end_lane()
    assert not layouts


def test_caps_stand_beside_the_budgets_of_an_account() -> None:
    """100 may be drawn: 20 were, 30 are in a lane, 40 are held from there on, and then 10 are left
    beside 20 that go over."""
    family = Family(plainly=False)
    month = e.CapTerms(100, window=WINDOWS[2])
    cap = family.ask(c.SetCap, ROOT, BOT, CREDITS, 0, month)
    family.ask(c.SetBudget, BOT, "calls", REQUESTS)
    for number in range(5):
        family.use([bot(family.core, number)])
    account = family.core.state.accounts[BOT]
    assert account.layout is not None
    assert account.layout.caps == ((0, ROOT, CREDITS),)
    assert list(account.layout.kept[account.row + 4 :]) == [50, 100, 1]
    assert family.drawn()[cap.cap] == (50, 0, 0, (50, 0))
    held = family.ask(c.AuthorizeHold, BOT, family.core.shape("chat", "tokens"), (40,), HOUR_US)
    assert isinstance(held, e.HoldAuthorized)
    family.use([bot(family.core, 5)])
    assert account.layout is not None
    assert list(account.layout.kept[account.row + 4 :]) == [60, 60, 1]
    family.use([bot(family.core, 6), bot(family.core, 7)])
    assert account.layout is None
    assert family.drawn()[cap.cap] == (60, 40, 0, (60, 40))
    assert judged(family.core) == []
    assert digest(replay(family.core.journal())) == digest(family.core.state)


def test_caps_that_set_aside_or_slide_stand_alone() -> None:
    for terms in (
        e.CapTerms(1_000, window=WINDOWS[5]),
        e.CapTerms(-1, 1, 2, WINDOWS[2]),
        e.CapTerms(1_000, reserved=7),
        e.CapTerms(1_000),
    ):
        family = Family(plainly=False)
        assert isinstance(family.ask(c.SetCap, ROOT, BOT, CREDITS, 1, terms), e.CapSet)
        family.ask(c.SetBudget, BOT, "calls", REQUESTS)
        for number in range(4):
            family.use([bot(family.core, number)])
        layout = family.core.state.accounts[BOT].layout
        assert layout is not None
        assert layout.caps is None
        assert [each[0] for each in family.drawn().values()] == [40]


def test_a_quantity_that_usage_does_not_have_is_not_said() -> None:
    family = laid(REQUESTS, e.BudgetTerms(e.BudgetMeasure.QUANTITY, 10**6, quantity="tokens"))
    shape = family.core.shape("gpt", "input", "cached", "output", attributes=())
    for number in range(3):  # the first opens the books of its product; a run lays them anew
        key = FAMILY.usage("gpt", str(number))
        family.use([c.RecordUsage(key, BOT, shape, (1, 1, 1), 0, NO_NAMES)])
    assert family.events(e.BudgetsTallied)[-1].posted == (1,)
    assert used(family) == [5, 20]
    assert judged(family.core) == []


def test_a_threshold_is_told_as_it_is_reached_in_a_lane() -> None:
    """50 % of 100; 20 were used: the third event from there on tells it."""
    family = laid(replace(CHARGES, limit=100))
    family.use([bot(family.core, number) for number in range(4)])
    (crossed,) = family.events(e.BudgetCrossed)
    assert (crossed.threshold, crossed.used) == (50, "50")
    assert used(family) == [60]
    assert judged(family.core) == []


def test_another_limit_tells_from_what_a_lane_has_used() -> None:
    """50 % of 60 is 30, and 20 were used."""
    family = laid(CHARGES)
    family.ask(c.SetBudget, BOT, "b0", replace(CHARGES, limit=60))
    family.use([bot(family.core, 1)])
    assert [each.used for each in family.events(e.BudgetCrossed)] == ["30"]
    assert judged(family.core) == []


def test_a_hold_counts_beside_a_lane() -> None:
    """A hard budget of 50 has 30 left; a hold of 20 leaves room for 10."""
    family = laid(replace(CHARGES, limit=50, thresholds=()))
    shape = family.core.shape("chat", "tokens")
    held = family.ask(c.AuthorizeHold, BOT, shape, (20,), HOUR_US)
    assert isinstance(held, e.HoldAuthorized)
    assert isinstance(family.ask(c.AuthorizeHold, BOT, shape, (11,), HOUR_US), e.WorkDenied)
    family.use([bot(family.core, 1)])
    assert isinstance(family.ask(c.AuthorizeHold, BOT, shape, (1,), HOUR_US), e.WorkDenied)
    family.ask(c.ReleaseHold, BOT, held.hold)
    family.use([bot(family.core, 2)])
    assert used(family) == [40]
    assert judged(family.core) == []


@pytest.mark.parametrize("seed", range(16))
def test_lanes_count_what_entry_by_entry_would(seed: int) -> None:
    """Budgets are set, changed and removed, accounts move, holds come and go, families leave memory
    and come back, days pass: between runs of usage, mostly on time."""
    draws = Random(seed)
    both = [Family(plainly=plainly) for plainly in (False, True)]
    number = lanes = 0
    holds: list[int] = []
    for each in both:
        each.ask(c.SetCap, ROOT, BOT, CREDITS, 0, e.CapTerms(10**6, window=WINDOWS[2]))
    for step in range(40):
        account = draws.choice([ROOT, TEAM, BOT, BOT, OTHER])
        terms = e.BudgetTerms(
            limit=draws.choice([300, 5_000, 10**12]),
            hard=False,
            window=draws.choice(WINDOWS[:5] + WINDOWS[1:3]),
            thresholds=draws.choice([(), (50, 100), (1,)]),
            **draws.choice(MEASURES[:1] * 3 + MEASURES),
        )
        budgets = both[1].core.state.accounts[account].budgets
        of = draws.choice(budgets) if budgets else None
        given = list(both[1].core.state.accounts[ROOT].caps_given.values())
        commands: list[tuple[object, ...]] = []
        match draws.choice(EVENTS):
            case "set":
                commands = [(c.SetBudget, account, f"b{step}", terms)]
            case "change" if of is not None:
                asked = (terms.limit, terms.thresholds)
                again = replace(of.terms, limit=asked[0], thresholds=asked[1])
                commands = [(c.SetBudget, account, of.name, again)]
            case "remove" if of is not None:
                commands = [(c.RemoveBudget, account, of.name)]
            case "cap":
                below = draws.choice([TEAM, BOT, BOT])
                ceiling = e.CapTerms(
                    draws.choice([-1, 400, 10**6]),
                    window=draws.choice(WINDOWS[1:4] * 3 + WINDOWS),
                    reserved=draws.choice([0] * 9 + [50]),
                )
                of_grant = 1 if ceiling.reserved else draws.choice([0, 0, 1])
                commands = [(c.SetCap, ROOT, below, CREDITS, of_grant, ceiling)]
            case "recap" if given:
                cap = draws.choice(given)
                ceiling = replace(cap.terms, limit=draws.choice([-1, 400, 10**6]))
                of_grant = cap.grant.number if cap.grant is not None else 0
                said = (ROOT, cap.below.number, CREDITS, of_grant, ceiling, cap.number)
                commands = [(c.SetCap, *said)]
            case "uncap" if given:
                commands = [(c.RemoveCap, ROOT, draws.choice(given).number)]
            case "hold":
                commands = [(c.AuthorizeHold, BOT, "chat", (5,), HOUR_US)]
            case "release" if holds:
                commands = [(c.ReleaseHold, BOT, holds.pop())]
            case "move":
                commands = [(c.MoveAccount, BOT, draws.choice([ROOT, TEAM]))]
            case "page":
                for each in both:
                    state = each.core.state
                    body = pack_family(state, ROOT, state.settled_before)
                    layouts = state.families[ROOT].layouts
                    drop_family(state, ROOT)
                    assert not layouts
                    unpack_family(state, body)
        for command, *fields in commands:
            outcomes = [
                each.ask(
                    command,
                    *[
                        each.core.shape("chat", "tokens") if one == "chat" else one
                        for one in fields
                    ],
                )
                for each in both
            ]
            assert type(outcomes[0]) is type(outcomes[1])
            if isinstance(outcomes[0], e.HoldAuthorized):
                holds.append(outcomes[0].hold)
        for _ in range(2):
            size = draws.randrange(1, 12)
            late = draws.random() < 0.2
            again_at = draws.getstate()
            for each in both:
                draws.setstate(again_at)
                made = [usage(each.core, draws, number + place) for place in range(size)]
                each.use(made if late else [replace(one, effective_at=0) for one in made])
            number += size
        accounts = both[0].core.state.accounts.values()
        lanes += sum([each.lane is not None for each in accounts])
        if draws.random() < 0.3:  # whoever looks lets the windows show it
            assert both[0].counted() == both[1].counted()
            assert both[0].drawn() == both[1].drawn()
        ahead = draws.choice([1, 1, MINUTE_US, HOUR_US, DAY_US])
        for each in both:
            each.core.advance(ahead)
    assert lanes > 5
    assert both[0].counted() == both[1].counted()
    assert both[0].drawn() == both[1].drawn()
    assert len(both[0].events(e.BudgetCrossed)) == len(both[1].events(e.BudgetCrossed))
    for each in both:
        state = each.core.state
        assert judged(each.core) == []
        assert digest(replay(each.core.journal())) == digest(state)


def test_what_passes_64_bits_is_counted_beside_lanes() -> None:
    """Rule N1: figures of a window may, those of a lane may not."""
    family = laid(replace(CHARGES, thresholds=()), REQUESTS)
    core = family.core
    (budget, _) = core.state.accounts[BOT].budgets
    budget.take_counter().cells[-1].posted = INT64_MAX - 5
    family.use([bot(core, 1), bot(core, 2)])
    assert used(family) == [INT64_MAX + 15, 4]
    layout = core.state.accounts[BOT].layout
    assert layout is None or layout.rest == (0,)
