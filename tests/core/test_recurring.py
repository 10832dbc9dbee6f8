"""Recurring grants: periods, proration, changes, pauses, ends (rules T1, T2, T3, S1, B5, D6)."""

from __future__ import annotations

from ledger_case import LedgerCase, ledger_case

from ledger.core.outcomes import Refusal
from ledger.core.state import NEVER

# -- periods (rule T1) -----------------------------------------------------------------------------


@ledger_case
def test_each_period_is_issued_by_the_clock_once(case: LedgerCase) -> None:
    """
    account acme
    recurring acme 100 as=R                  -> started; R issued 100 for 2026-01-01 to 2026-02-01
    usage acme 30                            -> drawn 30 from R@2026-01-01
    clock 2026-01-31T23:59
    sweep                                    -> nothing
    clock 2026-02-01
    sweep                                    -> R issued 100 for 2026-02-01 to 2026-03-01
    sweep                                    -> nothing
    expect available acme 100
    """


@ledger_case
def test_usage_in_a_new_period_finds_the_new_grant_though_nobody_asked(case: LedgerCase) -> None:
    """
    account acme
    recurring acme 100 as=R
    usage acme 80
    clock 2026-02-01
    usage acme 100     -> R issued 100 for 2026-02-01 to 2026-03-01; drawn 100 from R@2026-02-01
    usage acme 1                             -> owed 1; 1 over the limit
    clock 2026-03-01
    hold acme 60 as=H
        -> R@2026-01-01 expired 20; repaid 1; R issued 100 for 2026-03-01 to 2026-04-01; \
held 60 from R@2026-03-01
    """


@ledger_case
def test_days_clamp_and_return(case: LedgerCase) -> None:
    """
    account acme
    recurring acme 10 as=R starts=2026-01-31 -> started
    clock 2026-01-31
    sweep                                    -> R issued 10 for 2026-01-31 to 2026-02-28
    clock 2026-02-28
    sweep                                    -> R issued 10 for 2026-02-28 to 2026-03-31
    clock 2026-03-31
    sweep          -> R@2026-01-31 expired 10; R issued 10 for 2026-03-31 to 2026-04-30
    """


@ledger_case
def test_periods_are_of_the_zone_of_the_terms_else_of_the_account_or_its_ancestors(
    case: LedgerCase,
) -> None:
    """
    account acme zone=America/New_York
    account acme/team parent=acme
    clock 2026-02-01T05:00                   # midnight there
    recurring acme/team 10 as=R -> started; R issued 10 for 2026-02-01T05:00 to 2026-03-01T05:00
    recurring acme 2688 as=K zone=Asia/Kathmandu anchor=2025-12-31T18:15 prorate=first
        -> started; K issued 2645 for 2026-02-01T05:00 to 2026-02-28T18:15  # 661.25 of 672 h
    clock 2026-03-01T05:00
    sweep
        -> K issued 2688 for 2026-02-28T18:15 to 2026-03-31T18:15; \
R issued 10 for 2026-03-01T05:00 to 2026-04-01T04:00  # clocks go forward there
    """


@ledger_case
def test_a_new_zone_starts_with_the_next_period(case: LedgerCase) -> None:
    """
    account acme
    recurring acme 7440 as=R anchor=2026-01-01T05:00 prorate=none starts=2026-01-01T05:00
    clock 2026-01-20
    policy acme zone=America/New_York
    clock 2026-02-01T05:00                   # what runs ends as it was to end: 05:00 UTC
    sweep      -> R issued 7440 for 2026-02-01T05:00 to 2026-03-01T05:00
    clock 2026-03-01T05:00
    sweep      -> R@2026-01-01T05:00 expired 7440; \
R issued 7440 for 2026-03-01T05:00 to 2026-04-01T04:00
    """


@ledger_case
def test_the_part_that_a_new_anchor_leaves_is_given_by_its_time(case: LedgerCase) -> None:
    """
    account acme
    recurring acme 3100 as=R                 -> started; R issued 3100 for 2026-01-01 to 2026-02-01
    change R 3100 anchor=2026-01-11          -> changed
    clock 2026-01-11
    sweep                                    -> nothing
    clock 2026-02-01                         # 10 of the 31 days from 11 January to 11 February
    sweep                                    -> R issued 1000 for 2026-02-01 to 2026-02-11
    clock 2026-02-11
    sweep        -> R@2026-01-01 expired 3100; R issued 3100 for 2026-02-11 to 2026-03-11
    """


@ledger_case
def test_weeks_and_longer_periods(case: LedgerCase) -> None:
    """
    account acme
    recurring acme 1 as=W every=2week    -> started; W issued 1 for 2026-01-01 to 2026-01-15
    recurring acme 1 as=Q every=1quarter -> started; Q issued 1 for 2026-01-01 to 2026-04-01
    recurring acme 1 as=Y every=1year    -> started; Y issued 1 for 2026-01-01 to 2027-01-01
    clock 2026-01-15
    sweep                                -> W issued 1 for 2026-01-15 to 2026-01-29
    """


# -- shares (rule S1) ------------------------------------------------------------------------------


@ledger_case
def test_a_first_period_by_its_time(case: LedgerCase) -> None:
    """
    account acme
    clock 2026-01-11
    recurring acme 3100 as=N anchor=2026-01-01 prorate=none
        -> started; N issued 3100 for 2026-01-11 to 2026-02-01
    recurring acme 3100 as=F anchor=2026-01-01 prorate=first paid=620
        -> started; F issued 2100 for 2026-01-11 to 2026-02-01
    recurring acme 3100 as=L anchor=2026-01-01 prorate=last
        -> started; L issued 3100 for 2026-01-11 to 2026-02-01
    recurring acme 3100 as=B anchor=2026-01-01 prorate=both
        -> started; B issued 2100 for 2026-01-11 to 2026-02-01
    """
    assert case.grant("F@2026-01-11").price_paid == 420  # fee and allowance alike
    assert case.grant("F@2026-01-11").effective_at == case.core.now


@ledger_case
def test_a_last_period_by_its_time(case: LedgerCase) -> None:
    """
    account acme
    recurring acme 2800 as=N prorate=none ends=2026-02-08
    recurring acme 2800 as=F prorate=first ends=2026-02-08
    recurring acme 2800 as=L prorate=last ends=2026-02-08
    recurring acme 2800 as=B prorate=both ends=2026-02-08
    recurring acme 2800 as=E prorate=both ends=2026-02-01
    clock 2026-02-01
    sweep
        -> N issued 2800 for 2026-02-01 to 2026-02-08; \
F issued 2800 for 2026-02-01 to 2026-02-08; \
L issued 700 for 2026-02-01 to 2026-02-08; B issued 700 for 2026-02-01 to 2026-02-08
    clock 2026-03-01
    sweep                                    # nothing new, though what was issued expires
    expect available acme 0
    """


@ledger_case
def test_first_and_last_in_one_period(case: LedgerCase) -> None:
    """
    account acme
    clock 2026-01-11
    recurring acme 3100 as=B anchor=2026-01-01 prorate=both ends=2026-01-21
        -> started; B issued 1000 for 2026-01-11 to 2026-01-21
    recurring acme 3100 as=L anchor=2026-01-01 prorate=last ends=2026-01-21
        -> started; L issued 2000 for 2026-01-11 to 2026-01-21
    recurring acme 3100 as=F anchor=2026-01-01 prorate=first ends=2026-01-21
        -> started; F issued 2100 for 2026-01-11 to 2026-01-21
    """


@ledger_case
def test_shares_are_rounded_half_to_even_and_may_be_nothing(case: LedgerCase) -> None:
    """
    account acme
    clock 2026-01-16T12:00                   # half of January is left
    recurring acme 1 as=A anchor=2026-01-01 prorate=first
        -> started; A issued 0 for 2026-01-16T12:00 to 2026-02-01
    recurring acme 3 as=C anchor=2026-01-01 prorate=first
        -> started; C issued 2 for 2026-01-16T12:00 to 2026-02-01
    expect available acme 2
    clock 2026-02-01
    sweep -> A issued 1 for 2026-02-01 to 2026-03-01; C issued 3 for 2026-02-01 to 2026-03-01
    """


# -- expiry, grace, late events (rules T2, T3, D6) -------------------------------------------------


@ledger_case
def test_late_usage_finds_the_grant_of_its_own_period_until_grace_ends(case: LedgerCase) -> None:
    """
    account acme
    recurring acme 100 as=R
    clock 2026-02-01T12:00
    usage acme 10 at=2026-01-31T23:59
        -> R issued 100 for 2026-02-01 to 2026-03-01; drawn 10 from R@2026-01-01
    usage acme 10                            -> drawn 10 from R@2026-02-01
    usage acme 95 at=2026-01-31              -> drawn 90 from R@2026-01-01, owed 5; 5 over the limit
    clock 2026-02-02
    usage acme 10 at=2026-01-31T23:59
        -> R@2026-01-01 expired 0; owed 10; 10 over the limit; adjustment
    """


@ledger_case
def test_what_is_left_expires_a_grace_after_the_period(case: LedgerCase) -> None:
    """
    account acme
    recurring acme 100 as=R
    usage acme 30
    clock 2026-02-01
    sweep                                    -> R issued 100 for 2026-02-01 to 2026-03-01
    clock 2026-02-02
    sweep                                    -> R@2026-01-01 expired 70
    """


@ledger_case
def test_a_grant_may_outlive_its_period(case: LedgerCase) -> None:
    """
    account acme
    recurring acme 100 as=R lasts=10d
    clock 2026-02-01
    usage acme 150                           # of January first: it expires sooner
        -> R issued 100 for 2026-02-01 to 2026-03-01; drawn 100 from R@2026-01-01, \
drawn 50 from R@2026-02-01
    """
    assert case.grant("R@2026-01-01").expires_at == case.core.now + 10 * 86_400_000_000


@ledger_case
def test_what_a_hold_gives_back_after_the_period_follows_the_grant(case: LedgerCase) -> None:
    """
    account acme
    recurring acme 100 as=R
    clock 2026-01-31T20:00
    hold acme 100 as=H lifetime=24h          -> held 100 from R@2026-01-01
    clock 2026-02-01
    usage acme 5       -> R issued 100 for 2026-02-01 to 2026-03-01; drawn 5 from R@2026-02-01
    capture H 40                             -> drawn 40 from R@2026-01-01
    clock 2026-02-02
    sweep                                    -> R@2026-01-01 expired 60
    """


# -- what the grants are (rules B5, D1, T3) --------------------------------------------------------


@ledger_case
def test_what_is_left_of_a_period_rolls_over_at_its_end(case: LedgerCase) -> None:
    """
    account acme
    recurring acme 100 as=R paid=50 allowance rollover=1/2 most=20 rolls=28d
    usage acme 30                            -> drawn 30 from R@2026-01-01
    clock 2026-02-01
    sweep                                    # min(70 x 1/2, 20)
    expect available acme 120
    usage acme 120
    clock 2026-02-02
    sweep                                    -> R@2026-01-01 expired 50
    """
    rolled = next(grant for grant in case.account("acme").grants if grant.amount == 20)
    assert (rolled.price_paid, rolled.recurring) == (10, 0)


@ledger_case
def test_missed_periods_roll_over_as_they_would_have(case: LedgerCase) -> None:
    """
    account acme
    recurring acme 100 as=R rollover=1/1 rolls=31d
    clock 2026-03-20                         # nobody came since 1 January
    sweep
    expect available acme 200                # March's, and what February's left at its end
    """
    amounts = [grant.amount for grant in case.account("acme").grants]
    assert sorted(amounts) == [100] * 5


@ledger_case
def test_a_shared_allowance_is_there_for_the_team_at_the_turn_of_a_period(
    case: LedgerCase,
) -> None:
    """
    account acme
    account acme/team parent=acme
    recurring acme 100 as=R shared
    usage acme/team 80                       -> drawn 80 from R@2026-01-01
    clock 2026-02-01
    usage acme/team 100
        -> R issued 100 for 2026-02-01 to 2026-03-01; drawn 100 from R@2026-02-01
    """


@ledger_case
def test_of_an_allowance_that_is_taken_back_its_share_of_the_fee_is_not_billed(
    case: LedgerCase,
) -> None:
    """
    account acme
    recurring acme 3100 as=R paid=310 allowance prorate=both
    usage acme 100
    clock 2026-01-11
    end R now                                -> R@2026-01-01 reduced by 2100; ended 2026-01-11
    expect recognised R@2026-01-01 10
    """
    unbilled = case.account("acme").unbilled
    assert [book.owed for book in unbilled.values()] == [100]


# -- downtime (rule T3) ----------------------------------------------------------------------------


@ledger_case
def test_missed_periods_are_issued_in_order_and_expire(case: LedgerCase) -> None:
    """
    account acme
    recurring acme 100 as=R
    usage acme 25
    clock 2026-04-01T12:00
    usage acme 1
        -> R issued 100 for 2026-02-01 to 2026-03-01; R@2026-01-01 expired 75; \
R issued 100 for 2026-03-01 to 2026-04-01; R@2026-02-01 expired 100; \
R issued 100 for 2026-04-01 to 2026-05-01; drawn 1 from R@2026-04-01
    usage acme 7 at=2026-03-31               -> drawn 7 from R@2026-03-01
    clock 2026-04-02
    sweep                                    -> R@2026-03-01 expired 93
    """


@ledger_case
def test_a_sweep_issues_what_was_missed_a_part_at_a_time(case: LedgerCase) -> None:
    """
    account acme
    recurring acme 100 as=R every=1week
    clock 2027-01-01
    """
    sweeps = 0
    while case.core.sweep(entries_max=5):
        sweeps += 1
        case.core.begin_batch()
    assert sweeps > 20
    grants = case.account("acme").grants
    assert len(grants) == 53
    assert [grant.effective_at for grant in grants] == sorted(
        {grant.effective_at for grant in grants}
    )
    assert [grant.settled != 0 for grant in grants] == [True] * 52 + [False]


@ledger_case
def test_a_repaid_advance(case: LedgerCase) -> None:
    """
    account acme overdraft=50
    usage acme 40                            -> overdraft 40
    recurring acme 100 as=R -> started; repaid 40; R issued 100 for 2026-01-01 to 2026-02-01
    expect available acme 110
    """


# -- changes ---------------------------------------------------------------------------------------


@ledger_case
def test_a_change_starts_with_the_next_period(case: LedgerCase) -> None:
    """
    account acme
    recurring acme 100 as=R
    change R 200                             -> changed
    change R 300 priority=2                  -> changed
    expect available acme 100
    clock 2026-02-01
    sweep                                    -> R issued 300 for 2026-02-01 to 2026-03-01
    """
    assert case.grant("R@2026-02-01").priority == 2
    assert case.recurrence("R").version == 3


@ledger_case
def test_terms_that_came_with_a_period_are_those_in_force(case: LedgerCase) -> None:
    """
    account acme
    recurring acme 100 as=R
    change R 300 prorate=last                -> changed
    clock 2026-02-01
    sweep                                    -> R issued 300 for 2026-02-01 to 2026-03-01
    change R 200 now prorate=last            -> changed
    change R 400 now prorate=last            -> changed, 100 more
    """
    recurring = case.recurrence("R")
    assert (recurring.terms.amount, recurring.next_terms) == (400, None)


@ledger_case
def test_a_change_now_gives_the_share_of_what_is_more(case: LedgerCase) -> None:
    """
    account acme
    recurring acme 3100 as=R paid=310
    clock 2026-01-11
    change R 6200 now paid=930               -> changed, 2100 more
    expect available acme 5200
    clock 2026-02-01
    sweep                                    -> R issued 6200 for 2026-02-01 to 2026-03-01
    clock 2026-02-02
    sweep              -> R@2026-01-01 expired 3100; R@2026-01-01+ expired 2100
    """
    assert case.grant("R@2026-01-01+").price_paid == 420


@ledger_case
def test_up_and_down_never_gives_more_than_the_largest(case: LedgerCase) -> None:
    """
    account acme
    recurring acme 3100 as=R
    change R 6200 now                        -> changed, 3100 more
    change R 3100 now                        -> changed
    clock 2026-01-11
    change R 6200 now                        -> changed
    change R 9300 now                        -> changed, 2100 more
    change R 1 now                           -> changed
    change R 9300 now                        -> changed
    expect available acme 8300
    change R 1 now
    clock 2026-02-01
    sweep                                    -> R issued 1 for 2026-02-01 to 2026-03-01
    change R 11 now                          -> changed, 10 more
    """


@ledger_case
def test_a_change_now_of_zone_or_length_still_starts_with_the_next_period(
    case: LedgerCase,
) -> None:
    """
    account acme
    recurring acme 100 as=R
    change R 100 now every=1week             -> changed
    clock 2026-01-10
    sweep                                    -> nothing
    clock 2026-02-01                         # weeks from 1 January: to 5 February, 4 days of 7
    sweep                                    -> R issued 57 for 2026-02-01 to 2026-02-05
    """


@ledger_case
def test_a_change_before_the_start(case: LedgerCase) -> None:
    """
    account acme
    recurring acme 100 as=R starts=2026-01-05 -> started
    change R 200 now                         -> changed
    change R 300                             -> changed
    clock 2026-01-05
    sweep                                    -> R issued 300 for 2026-01-05 to 2026-02-05
    """


@ledger_case
def test_versions_and_what_never_changes(case: LedgerCase) -> None:
    """
    account acme
    recurring acme 100 as=R paid=10
    change R 200 paid=10 version=1           -> changed
    change R 300 paid=10 version=1           -> refused VERSION_MISMATCH expected_version
    change R 300 free                        -> refused TERMS_FIXED terms.kind
    change R 300 asset=usd                   -> refused TERMS_FIXED terms.asset
    """


# -- pauses ----------------------------------------------------------------------------------------


@ledger_case
def test_nothing_is_issued_while_it_is_paused_and_what_was_issued_stays(case: LedgerCase) -> None:
    """
    account acme
    recurring acme 100 as=R
    clock 2026-01-10
    pause R                                  -> done
    pause R                                  -> refused RECURRING_PAUSED recurring_grant_id
    usage acme 30                            -> drawn 30 from R@2026-01-01
    clock 2026-01-20
    resume R                                 -> done
    resume R                                 -> refused RECURRING_NOT_PAUSED recurring_grant_id
    pause R
    clock 2026-03-01
    sweep                                    -> R@2026-01-01 expired 70
    """


@ledger_case
def test_a_pause_within_a_period_gives_no_second_grant_for_it(case: LedgerCase) -> None:
    """
    account acme
    recurring acme 100 as=R prorate=both
    pause R
    clock 2026-01-20
    resume R                                 -> done
    sweep                                    -> nothing
    clock 2026-02-01
    sweep                                    -> R issued 100 for 2026-02-01 to 2026-03-01
    """


@ledger_case
def test_resumed_within_a_period_by_the_proration_of_a_first_one(case: LedgerCase) -> None:
    """
    account acme
    recurring acme 3100 as=N prorate=none
    recurring acme 3100 as=F prorate=first
    recurring acme 3100 as=L prorate=last
    pause N
    pause F
    pause L
    clock 2026-03-11                         # what began in February is not made up for
    sweep
    resume N                                 -> done; N issued 3100 for 2026-03-11 to 2026-04-01
    resume F                                 -> done; F issued 2100 for 2026-03-11 to 2026-04-01
    resume L                                 -> done; L issued 3100 for 2026-03-11 to 2026-04-01
    clock 2026-04-01
    sweep
        -> N issued 3100 for 2026-04-01 to 2026-05-01; \
F issued 3100 for 2026-04-01 to 2026-05-01; \
L issued 3100 for 2026-04-01 to 2026-05-01
    """


@ledger_case
def test_paused_before_it_starts(case: LedgerCase) -> None:
    """
    account acme
    recurring acme 100 as=R starts=2026-01-05
    pause R
    change R 50 now                          -> changed
    clock 2026-01-04
    resume R                                 -> done
    clock 2026-01-05
    sweep                                    -> R issued 50 for 2026-01-05 to 2026-02-05
    """


@ledger_case
def test_a_change_now_while_paused_gives_nothing_now(case: LedgerCase) -> None:
    """
    account acme
    recurring acme 100 as=R
    pause R
    change R 200 now                         -> changed
    resume R
    change R 300 now                         -> changed, 200 more
    """


# -- ends ------------------------------------------------------------------------------------------


@ledger_case
def test_an_end_with_the_period_is_the_last_of_it(case: LedgerCase) -> None:
    """
    account acme
    recurring acme 100 as=R
    clock 2026-01-10
    end R                                    -> ended 2026-02-01
    usage acme 30                            -> drawn 30 from R@2026-01-01
    change R 200 now                         # until then it can be asked
    clock 2026-02-01
    sweep                                    -> nothing
    change R 200                             -> refused RECURRING_ENDED recurring_grant_id
    pause R                                  -> refused RECURRING_ENDED recurring_grant_id
    end R                                    -> refused RECURRING_ENDED recurring_grant_id
    """


@ledger_case
def test_an_end_now_takes_back_the_rest_of_a_last_period(case: LedgerCase) -> None:
    """
    account acme
    recurring acme 3100 as=N prorate=first
    recurring acme 3100 as=L prorate=last
    clock 2026-01-11
    end N now                                -> ended 2026-01-11
    end L now                                -> L@2026-01-01 reduced by 2100; ended 2026-01-11
    expect left N@2026-01-01 3100
    expect left L@2026-01-01 1000
    usage acme 4101                          # what is left pays until it expires
    clock 2026-02-02
    sweep                                    -> N@2026-01-01 expired 0; L@2026-01-01 expired 0
    """


@ledger_case
def test_what_is_taken_back_stops_at_what_is_neither_drawn_nor_held(case: LedgerCase) -> None:
    """
    account acme
    recurring acme 3100 as=R prorate=both paid=31
    usage acme 2000                          -> drawn 2000 from R@2026-01-01
    hold acme 400 as=H lifetime=24h
    clock +1h
    end R now                       -> R@2026-01-01 reduced by 700; ended 2026-01-01T01:00
    expect left R@2026-01-01 400
    capture H 300                            -> drawn 300 from R@2026-01-01
    expect available acme 100
    usage acme 100
    expect recognised R@2026-01-01 24
    """


@ledger_case
def test_the_whole_of_a_grant_may_be_taken_back(case: LedgerCase) -> None:
    """
    account acme
    recurring acme 100 as=R prorate=last
    end R now                                -> R@2026-01-01 reduced by 100; ended 2026-01-01
    usage acme 1                             -> owed 1; 1 over the limit
    clock 2026-02-02
    sweep                                    -> R@2026-01-01 expired 0
    """


@ledger_case
def test_an_end_now_takes_back_what_a_change_added_too(case: LedgerCase) -> None:
    """
    account acme
    recurring acme 3100 as=R prorate=last
    clock 2026-01-11
    change R 6200 now prorate=last           -> changed, 2100 more
    clock 2026-01-22
    end R now  -> R@2026-01-01 reduced by 1000; R@2026-01-01+ reduced by 1000; ended 2026-01-22
    """


@ledger_case
def test_ends_before_the_start_in_a_pause_and_earlier_than_was_said(case: LedgerCase) -> None:
    """
    account acme
    recurring acme 100 as=S starts=2026-01-05
    end S                                    -> ended 2026-01-01
    recurring acme 100 as=P starts=2026-01-05
    pause P
    end P                                    -> ended 2026-01-01
    recurring acme 100 as=E ends=2026-01-20
    end E                                    -> ended 2026-01-20
    end E now                                -> ended 2026-01-01
    clock 2026-02-01
    sweep                                    -> E@2026-01-01 expired 100
    """


@ledger_case
def test_a_pause_that_lasts_beyond_the_end(case: LedgerCase) -> None:
    """
    account acme
    recurring acme 100 as=R ends=2026-02-10
    pause R
    clock 2026-02-15
    resume R                                 -> refused RECURRING_ENDED recurring_grant_id
    """


@ledger_case
def test_an_account_closes_when_its_recurring_grants_have_ended(case: LedgerCase) -> None:
    """
    account acme
    recurring acme 100 as=R starts=2026-01-05
    close acme                               -> refused ACCOUNT_NOT_EMPTY account
    end R now
    close acme                               -> done
    recurring acme 100 as=T                  -> refused ACCOUNT_CLOSED account
    """


# -- refusals --------------------------------------------------------------------------------------


@ledger_case
def test_what_is_refused_changes_nothing(case: LedgerCase) -> None:
    """
    account acme
    recurring acme 0 as=R                    -> refused AMOUNT_INVALID terms.amount
    recurring acme 9223372036854775808 as=R  -> refused AMOUNT_INVALID terms.amount
    recurring acme 1 as=R paid=9223372036854775808 -> refused AMOUNT_INVALID terms.price_paid
    recurring acme 1 as=R every=0month       -> refused PERIOD_INVALID terms.every
    recurring acme 1 as=R every=121year      -> refused PERIOD_INVALID terms.every
    recurring acme 1 as=R anchor=2200-01-02  -> refused ANCHOR_INVALID terms.anchor_us
    recurring acme 1 as=R anchor=1969-12-31  -> refused ANCHOR_INVALID terms.anchor_us
    recurring acme 1 as=R zone=Mars/Olympus  -> refused ZONE_UNKNOWN terms.zone
    recurring acme 1 as=R zone=../zones      -> refused ZONE_UNKNOWN terms.zone
    recurring acme 1 as=R starts=2025-11-26  -> refused START_INVALID starts_at_us
    recurring acme 1 as=R starts=2200-01-02  -> refused START_INVALID starts_at_us
    recurring acme 1 as=R ends=2025-12-31    -> refused END_INVALID ends_at_us
    recurring acme 1 as=R starts=2026-01-05 ends=2026-01-05 -> refused END_INVALID ends_at_us
    recurring acme 1 as=R ends=2200-01-02    -> refused END_INVALID ends_at_us
    recurring acme 1 as=R lasts=3661d        -> refused EXPIRY_INVALID terms.expires_after_us
    recurring acme 1 as=R key=K starts=2026-01-05
    account acme/team parent=acme
    recurring acme/team 1 as=S key=K         -> refused RECURRING_KEY_TAKEN external_key
    end R now
    recurring acme 1 as=S key=K              -> refused RECURRING_KEY_TAKEN external_key
    """
    state = case.core.state
    assert state.next_recurring == 2
    assert not state.grants
    assert case.account("acme").next_due in (NEVER, case.core.state.recurring[1].starts_at)


@ledger_case
def test_one_of_another_account_or_of_nobody_is_unknown(case: LedgerCase) -> None:
    """
    account acme
    account beta
    recurring acme 1 as=R
    """
    from ledger.core.commands import PauseRecurring

    acme, beta = case.accounts["acme"], case.accounts["beta"]
    for number, (account, recurring, reason) in enumerate(
        (
            (beta, 1, "RECURRING_UNKNOWN"),
            (acme, 2, "RECURRING_UNKNOWN"),
            (404, 1, "ACCOUNT_UNKNOWN"),
        )
    ):
        outcome = case.core.run(PauseRecurring(b"%16d" % number, account, recurring))
        assert isinstance(outcome, Refusal) and outcome.reason == reason


@ledger_case
def test_a_retry_gets_the_first_outcome_and_another_body_is_a_conflict(case: LedgerCase) -> None:
    """
    account acme
    recurring acme 100 as=R id=1
    recurring acme 100 as=R id=1             -> replayed: started
    recurring acme 200 as=R id=1             -> refused CONFLICT terms
    recurring acme 100 as=R id=1 starts=2026-01-05 -> refused CONFLICT starts_at_us
    recurring acme 100 as=R id=1 ends=2026-01-05 -> refused CONFLICT ends_at_us
    recurring acme 100 as=R id=1 key=K       -> refused CONFLICT external_key
    change R 200 now id=2
    change R 200 now id=2                    -> replayed: changed, 100 more
    change R 200 id=2                        -> refused CONFLICT timing
    change R 201 now id=2                    -> refused CONFLICT terms
    pause R id=3
    pause R id=3                             -> replayed: done
    resume R id=3                            -> refused CONFLICT request
    resume R id=4
    end R id=5
    end R now id=5                           -> refused CONFLICT timing
    clock 2026-02-01
    end R id=5                               -> replayed: ended 2026-02-01
    """


@ledger_case
def test_a_start_in_the_past_issues_what_began_since(case: LedgerCase) -> None:
    """
    account acme
    recurring acme 100 as=R every=2week starts=2025-12-04
        -> started; R issued 100 for 2025-12-04 to 2025-12-18; \
R issued 100 for 2025-12-18 to 2026-01-01; R@2025-12-04 expired 100; \
R issued 100 for 2026-01-01 to 2026-01-15
    usage acme 5 at=2025-12-31               -> drawn 5 from R@2025-12-18
    """


@ledger_case
def test_an_account_has_so_many_at_most(case: LedgerCase) -> None:
    """
    account acme
    """
    from ledger.core.limits import RECURRING_AN_ACCOUNT_MAX

    for number in range(RECURRING_AN_ACCOUNT_MAX):
        case.run(f"recurring acme 1 as=R{number} starts=2026-02-01")
    case.run("recurring acme 1 as=X -> refused RECURRING_LIMIT account")
