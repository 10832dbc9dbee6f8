"""Minimums at a period's end: prorated, drawn once, counted exactly (rules R2, S1, T2, D3)."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from core_world import TENANT
from ledger_case import LedgerCase, told_to
from minimum_world import (
    MinimumCase,
    SandboxMinimumCase,
    minimum_case,
    minimum_of,
    publish_minimums,
)
from replaying import replayed
from test_backtest import assert_is_the_ledger
from test_verify_rules import judged

from ledger.core import events as e
from ledger.core.live_timers import rebuild_timers
from ledger.core.packing import drop_family, pack_family, unpack_family


@minimum_case
def test_a_shortfall_is_drawn_once_when_the_grace_of_the_period_is_over(case: LedgerCase) -> None:
    """
    # January ends on the 31st; its grace a day later (rule T2). 100 are due, 30 were used.
    minimums plan all=100
    account acme card=plan
    grant   acme 1000
    usage   acme 30
    clock   2026-02-01T23:59
    sweep                     -> nothing
    clock   2026-02-02
    sweep                     -> minimum all 30 of 100, drawn 70 from acme
    sweep                     -> nothing
    clock   2026-02-20
    sweep                     -> nothing
    expect  spent minimum 70
    clock   2026-03-02
    sweep                     -> minimum all 0 of 100, drawn 100 from acme
    """


@minimum_case
def test_a_minimum_that_is_met_asks_for_nothing(case: LedgerCase) -> None:
    """
    minimums plan all=100 chat=50
    account acme card=plan
    grant   acme 1000
    usage   acme 60
    usage   acme 50 of=image
    clock   2026-02-02
    sweep   -> minimum chat 60 of 50; minimum all 110 of 100
    """


@minimum_case
def test_an_account_without_usage_pays_it_too_and_what_touches_it_settles_it(
    case: LedgerCase,
) -> None:
    """
    # No sweep has run: the usage of March finds January and February settled before it.
    minimums plan all=100
    account acme card=plan
    grant   acme 1000
    clock   2026-03-05
    usage   acme 1   -> minimum all 0 of 100, drawn 100 from acme;
              minimum all 0 of 100, drawn 100 from acme; drawn 1 from acme
    """


@minimum_case
def test_late_usage_counts_in_its_own_period_until_the_grace_is_over(case: LedgerCase) -> None:
    """
    minimums plan all=100
    account acme card=plan
    grant   acme 1000
    clock   2026-02-01T12:00
    usage   acme 40 at=2026-01-31T12:00
    usage   acme 5
    clock   2026-02-02
    sweep   -> minimum all 40 of 100, drawn 60 from acme
    usage   acme 10 at=2026-01-31T12:00   # closed: it counts in February (rule T2)
    clock   2026-03-02
    sweep   -> minimum all 15 of 100, drawn 85 from acme
    """


@minimum_case
def test_inner_minimums_come_first_and_count_in_the_outer_ones(case: LedgerCase) -> None:
    """
    # The line lacks 50 - 20 = 30; with it the product has 20 + 30 + 9 = 59 of 80, and lacks 21;
    # with both the account has 29 + 51 + 7 = 87 of 100, and lacks 13.
    minimums plan gpt.input=50 gpt=80 all=100
    account acme card=plan
    grant   acme 1000
    usage   acme 0 of=gpt input=10 output=3
    usage   acme 7
    clock   2026-02-02
    sweep   -> minimum gpt.input 20 of 50, drawn 30 from acme;
              minimum gpt 59 of 80, drawn 21 from acme; minimum all 87 of 100, drawn 13 from acme
    expect  spent gpt 80
    expect  spent minimum 13
    """


@minimum_case
def test_it_is_prorated_to_the_time_that_the_account_was_open(case: LedgerCase) -> None:
    """
    # Opened at noon of the 16th: 15.5 of January's 31 days, so half of 100.
    minimums plan all=100
    clock   2026-01-16T12:00
    account acme card=plan
    grant   acme 1000
    usage   acme 8
    clock   2026-02-02
    sweep   -> minimum all 8 of 50, drawn 42 from acme
    """


@minimum_case
def test_it_is_prorated_to_the_time_that_the_card_had_it(case: LedgerCase) -> None:
    """
    # From the 16th, 12:00: 62 x 15.5 / 31; what was used before counts only from then on, for the
    # version before had no minimum and nothing to count.
    minimums plan
    account acme card=plan
    grant   acme 1000
    usage   acme 20
    clock   2026-01-16T12:00
    minimums plan all=62
    usage   acme 3
    clock   2026-02-02
    sweep   -> minimum all 3 of 31, drawn 28 from acme
    """


@minimum_case
def test_another_amount_counts_for_its_own_time(case: LedgerCase) -> None:
    """
    # Half of the month at 62, half at 124: 93. A refreshed version goes on with what was counted.
    minimums plan all=62
    account acme card=plan
    grant   acme 1000
    usage   acme 20
    clock   2026-01-16T12:00
    minimums plan all=124
    usage   acme 3
    clock   2026-02-02
    sweep   -> minimum all 23 of 93, drawn 70 from acme
    """


@minimum_case
def test_a_card_that_has_none_at_the_end_asks_for_none(case: LedgerCase) -> None:
    """
    minimums plan all=62
    account acme card=plan
    grant   acme 1000
    clock   2026-01-31
    minimums plan
    clock   2026-02-02
    sweep   -> nothing
    clock   2026-02-10
    minimums plan all=28
    clock   2026-03-02
    sweep   -> minimum all 0 of 19, drawn 19 from acme
    """


@minimum_case
def test_the_card_of_the_periods_end_counts_whatever_was_agreed_in_its_grace(
    case: LedgerCase,
) -> None:
    """
    # Another card in the grace changes nothing for January; February has it for 27.5 of 28 days.
    minimums plan all=100
    minimums other all=56
    account acme card=plan
    grant   acme 1000
    clock   2026-02-01T12:00
    policy  acme card=other
    clock   2026-02-02
    sweep   -> minimum all 0 of 100, drawn 100 from acme
    clock   2026-03-02
    sweep   -> minimum all 0 of 55, drawn 55 from acme
    """


@minimum_case
def test_what_accounts_below_are_charged_by_the_same_card_counts(case: LedgerCase) -> None:
    """
    # `search` inherits the card and pays no minimum of its own; `own` has its card by name.
    minimums plan all=100
    account acme card=plan
    account search parent=acme
    account own parent=acme card=plan
    grant   acme 1000 shared
    usage   search 30
    usage   acme 10
    usage   own 25
    clock   2026-02-02
    sweep   -> minimum all 40 of 100, drawn 60 from acme; minimum all 25 of 100, drawn 75 from acme
    """


@minimum_case
def test_an_account_that_counts_for_a_minimum_moves_once_that_is_settled(case: LedgerCase) -> None:
    """
    # Rules R2, D1: what `search` was charged is not taken from the minimum of eu by a move.
    minimums plan all=100
    account acme card=plan
    account eu parent=acme card=plan
    account us parent=acme card=plan
    account team parent=eu
    account search parent=team
    grant   acme 1000 shared
    usage   search 30
    move    search us  -> refused MINIMUMS_OPEN account
    move    team us  -> refused MINIMUMS_OPEN account
    move    search eu
    clock   2026-02-02
    sweep   -> minimum all 0 of 100, drawn 100 from acme;
              minimum all 30 of 100, drawn 70 from acme;
              minimum all 0 of 100, drawn 100 from acme
    move    search us
    usage   search 20
    clock   2026-03-02
    sweep   -> minimum all 0 of 100, drawn 100 from acme;
              minimum all 0 of 100, drawn 100 from acme;
              minimum all 20 of 100, drawn 80 from acme
    """


@minimum_case
def test_a_shortfall_goes_down_the_waterfall_of_recorded_usage(case: LedgerCase) -> None:
    """
    minimums plan all=100
    account acme card=plan overdraft=20 overage=self cap=30
    grant   acme 10
    clock   2026-02-02
    sweep   -> minimum all 0 of 100, drawn 10 from acme, overdraft 20, overage 30 on acme, owed 40;
              40 over the limit
    """


@minimum_case
def test_each_minimum_draws_what_the_one_before_has_left(case: LedgerCase) -> None:
    """
    minimums plan chat=50 all=80
    account acme card=plan overage=self
    grant   acme 60
    clock   2026-02-02
    sweep   -> minimum chat 0 of 50, drawn 50 from acme;
               minimum all 50 of 80, drawn 10 from acme, overage 20 on acme
    """


@minimum_case
def test_an_allowance_of_the_period_pays_before_it_is_forfeited(case: LedgerCase) -> None:
    """
    minimums plan all=100
    account acme card=plan overage=self
    grant   acme 80 expires=2026-02-01
    clock   2026-02-02
    sweep   -> minimum all 0 of 100, drawn 80 from acme, overage 20 on acme; acme expired 0
    """


@minimum_case
def test_what_is_for_cash_only_is_billed_whatever_credits_there_are(case: LedgerCase) -> None:
    """
    minimums plan-usd all=100 cash
    account acme card=plan-usd
    grant   acme 1000 asset=usd
    usage   acme 30
    clock   2026-02-02
    sweep   -> minimum all 30 of 100, overage 70 on acme
    expect  unbilled acme 70
    expect  revenue minimum 70
    """


@minimum_case
def test_reversals_lower_what_was_charged(case: LedgerCase) -> None:
    """
    minimums plan gpt.input=50 gpt=80
    account acme card=plan
    grant   acme 1000
    usage   acme 0 of=gpt input=20 output=10 id=a
    usage   acme 0 of=gpt input=5 id=b
    reverse a 0 input=10
    reverse b charged=4
    clock   2026-02-02
    sweep   -> minimum gpt.input 26 of 50, drawn 24 from acme; minimum gpt 80 of 80
    """


@minimum_case
def test_goodwill_and_then_the_whole_lower_it_once(case: LedgerCase) -> None:
    """
    minimums plan all=50
    account acme card=plan
    grant   acme 1000
    usage   acme 30 id=a
    usage   acme 8
    reverse a charged=10
    reverse a
    clock   2026-02-02
    sweep   -> minimum all 8 of 50, drawn 42 from acme
    """


@minimum_case
def test_usage_that_is_rated_anew_counts_at_its_new_price(case: LedgerCase) -> None:
    """
    # 100 at 10, then 50 at 5 and 500 less for the first: 750; taken back below the boundary: 1,000.
    minimums plan volume=900 volume.tokens=800
    account acme card=plan
    grant   acme 10000
    usage   acme 100 of=volume
    usage   acme 50 of=volume id=a
    clock   2026-02-02
    sweep   -> minimum volume.tokens 750 of 800, drawn 50 from acme;
              minimum volume 800 of 900, drawn 100 from acme
    """


@minimum_case
def test_a_reversal_over_a_boundary_counts_too(case: LedgerCase) -> None:
    """
    minimums plan volume=2000
    account acme card=plan
    grant   acme 10000
    usage   acme 100 of=volume
    usage   acme 50 of=volume id=a
    reverse a
    clock   2026-02-02
    sweep   -> minimum volume 1000 of 2000, drawn 1000 from acme
    """


@minimum_case
def test_holds_count_as_they_are_captured(case: LedgerCase) -> None:
    """
    minimums plan all=100
    account acme card=plan
    grant   acme 1000
    hold    acme 40 as=h
    hold    acme 40 as=g
    capture h 25
    release g
    clock   2026-02-02
    sweep   -> minimum all 25 of 100, drawn 75 from acme
    """


@minimum_case
def test_a_closed_account_owes_none_and_one_that_is_opened_again_its_share(
    case: LedgerCase,
) -> None:
    """
    # Open for 5 of January's 31 days before, and from the 26th for 6 more: 11 of 31.
    minimums plan all=31
    account acme card=plan
    account gone card=plan
    grant   acme 1000
    clock   2026-01-06
    close   acme write-off
    close   gone
    clock   2026-01-26
    reopen  acme
    grant   acme 1000 as=more
    clock   2026-02-02
    sweep   -> minimum all 0 of 11, drawn 11 from more
    """


@minimum_case
def test_months_are_those_of_the_zone(case: LedgerCase) -> None:
    """
    # 1 February in Berlin is 31 January, 23:00 in UTC.
    minimums plan all=100
    account acme card=plan zone=Europe/Berlin
    grant   acme 1000
    usage   acme 5
    clock   2026-01-31T23:30
    usage   acme 7
    clock   2026-02-01T23:00
    sweep   -> minimum all 5 of 100, drawn 95 from acme
    """


@minimum_case
def test_an_amendment_moves_what_was_charged(case: LedgerCase) -> None:
    """
    minimums plan all=100
    account acme card=plan
    grant   acme 1000
    usage   acme 30 id=a
    amend   a 45 as=b
    clock   2026-02-02
    sweep   -> minimum all 45 of 100, drawn 55 from acme
    """


def sandbox_case(test: Callable[[LedgerCase], None]) -> Callable[[], None]:
    return told_to(SandboxMinimumCase, test)


@sandbox_case
def test_a_sandboxs_clock_settles_its_periods_in_order(case: LedgerCase) -> None:
    """
    minimums plan all=100
    account acme card=plan
    grant   acme 1000
    usage   acme 30
    clock   2026-03-02
    sweep   -> minimum all 30 of 100, drawn 70 from acme; minimum all 0 of 100, drawn 100 from acme
    """


def test_a_sweep_settles_no_more_than_it_may() -> None:
    """A month ends for every account at once: the sweep goes on where it stopped (rule R2)."""
    case = LedgerCase()
    publish_minimums(case.core, "plan", (minimum_of("all", "10"),))
    for number in range(40):
        case.run(f"account a{number} card=plan\ngrant a{number} 100")
    for number in range(40):
        case.run(f"account b{number}")  # of a card without minimums: looked at, and no entry
    case.run("clock 2026-02-02")
    settled = []
    for _ in range(40):
        made = case.core.sweep(10)
        assert len(made) <= 13
        settled += [each.account for each in made if isinstance(each, e.MinimumCharged)]
    assert sorted(settled) == sorted(case.accounts[f"a{number}"] for number in range(40))
    assert case.core.state.minimums_from.keys() == {TENANT}


def test_a_history_with_minimums_is_decided_again_to_the_unit() -> None:
    """Under the card as it was, a replay settles the same periods with the same entries."""
    case = MinimumCase()
    case.run(
        """
        minimums plan gpt.input=50 gpt=80 all=100
        account acme card=plan overage=self
        account heir parent=acme
        grant   acme 300
        usage   acme 0 of=gpt input=10 output=3 id=a
        usage   heir 7
        clock   2026-01-20
        minimums plan gpt.input=50 gpt=80 all=200
        usage   acme 50 of=volume
        reverse a
        clock   2026-02-02
        sweep
        usage   acme 60 of=volume
        clock   2026-03-05
        usage   acme 1
        clock   2026-04-05
        sweep
        """
    )
    again = replayed(case.core, catalog=case.core.catalog, plainly=True, faithfully=True)
    assert_is_the_ledger(again, case.core)
    assert_is_the_ledger(replayed(case.core, catalog=case.core.catalog), case.core)
    case.finish()


def test_a_replay_passes_periods_that_had_none() -> None:
    """The journal says nothing of them; the one that was settled after them is all the same."""
    case = MinimumCase()
    case.run(
        """
        minimums plan
        minimums other all=10
        account acme card=plan overage=self
        clock 2026-03-05
        sweep -> nothing
        minimums plan all=50
        clock 2026-04-05
        sweep -> minimum all 0 of 44, overage 44 on acme
        """
    )
    for plainly in (True, False):
        again = replayed(case.core, catalog=case.core.catalog, plainly=plainly)
        assert_is_the_ledger(again, case.core)
    case.finish()


def test_families_that_are_packed_elsewhere_settle_too() -> None:
    """A first minimum makes each of them due at once, so that it is read and has a timer; packed
    again it wakes when its grace is over; a restart finds the same timers."""
    case = MinimumCase()
    case.run("account acme card=plan\ngrant acme 500")
    state = case.core.state
    root = case.accounts["acme"]
    body = pack_family(state, root, state.settled_before)
    drop_family(state, root)
    case.run("clock +1h\nminimums plan all=31\nclock +1h")
    assert case.core.sweep() == []
    assert state.overdue == [root]
    state.overdue = []
    unpack_family(state, body)
    assert case.core.sweep() == []
    due = state.accounts[root].minimums_due
    body = pack_family(state, root, state.settled_before)
    drop_family(state, root)
    assert state.paged_families[root] == due
    case.run("clock 2026-02-02")
    assert case.core.sweep() == []
    assert state.overdue == [root]
    state.overdue = []
    unpack_family(state, body)
    rebuild_timers(state)
    charged = [each for each in case.core.sweep() if isinstance(each, e.MinimumCharged)]
    assert [(each.account, each.minimum, each.last) for each in charged] == [(root, 31, 1)]
    rebuild_timers(state)
    assert case.core.sweep() == []


@minimum_case
def test_what_was_inherited_counts_where_it_was_also_in_another_zone(case: LedgerCase) -> None:
    """
    # Rule R2: eu and hq used 30 before eu named the card itself, in a month of acme, not of eu.
    minimums plan all=100
    account  acme card=plan overage=self
    account  eu parent=acme overage=self zone=Asia/Tokyo
    account  hq parent=eu
    clock    +2d
    usage    hq 10
    usage    eu 20            -> overage 20 on eu
    policy   eu card=plan overage=self zone=Asia/Tokyo
    usage    eu 40            -> overage 40 on eu
    clock    2026-02-05
    sweep    -> minimum all 40 of 99, overage 59 on eu; minimum all 30 of 100, overage 70 on acme
    """


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"minimum": 99}, "minimum"),
        ({"charged": 29}, "charged"),
        ({"parts": ((100, 1),)}, "minimum"),
        ({"full": 1}, "time that it was in force"),
        ({"effective_at": 0}, "effective time"),
        ({"end": 2**60}, "period"),
        ({"cash_only": 1}, "slices of what is billed in money"),
        ({"over_limit": 1}, "over_limit"),
        ({"slices": ()}, "sum of slices"),
    ],
)
def test_verify_says_what_no_minimum_may_say(changes: dict[str, object], what: str) -> None:
    """Said once more, apart from what decides (rules R2, S1)."""
    case = MinimumCase()
    case.run(
        "minimums plan all=100\naccount acme card=plan\ngrant acme 500\nusage acme 30\n"
        "clock 2026-02-02\nsweep"
    )
    batch = case.core.batches[-1][1]
    (place,) = [at for at, each in enumerate(batch) if isinstance(each, e.MinimumCharged)]
    batch[place] = msgspec.structs.replace(batch[place], **changes)
    found = judged(case.core)
    assert any(f", {what}" in each for each in map(str, found)), found
