"""Budgets in lanes count as those that stand alone do, whatever changes between runs (H4, H5)."""

from __future__ import annotations

from random import Random

import pytest
from core_world import FAMILY, replay
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
    assert list(lane.kept[2:]) == [20, 500_000, 1, 2, INT64_MAX, 3]
    assert lane.rest == (1, 3)
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
    for account in (BOT, OTHER):
        family.ask(c.SetBudget, account, "calls", REQUESTS)
    for number in range(3):
        family.use([bot(family.core, 10 * number + each, each) for each in (BOT, OTHER)])
    accounts = family.core.state.accounts
    lanes = [accounts[each].lane for each in (BOT, OTHER)]
    assert lanes[0] is not None and lanes[1] is not None
    assert lanes[0].layout is lanes[1].layout
    assert [used(family, each) for each in (BOT, OTHER)] == [[3], [3]]


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
        commands: list[tuple[object, ...]] = []
        match draws.choice(["set", "set", "change", "remove", "hold", "release", "move", "page"]):
            case "set":
                commands = [(c.SetBudget, account, f"b{step}", terms)]
            case "change" if of is not None:
                asked = (terms.limit, terms.thresholds)
                again = replace(of.terms, limit=asked[0], thresholds=asked[1])
                commands = [(c.SetBudget, account, of.name, again)]
            case "remove" if of is not None:
                commands = [(c.RemoveBudget, account, of.name)]
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
                    drop_family(state, ROOT)
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
        ahead = draws.choice([1, 1, MINUTE_US, HOUR_US, DAY_US])
        for each in both:
            each.core.advance(ahead)
    assert lanes > 5
    assert both[0].counted() == both[1].counted()
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
    lane = core.state.accounts[BOT].lane
    assert lane is None or lane.rest == (0,)
