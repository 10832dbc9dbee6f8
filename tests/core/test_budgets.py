"""Budgets: all that apply must allow, and each counts what it says (rules H4, H5)."""

from __future__ import annotations

from budget_case import BudgetCase, budget_case

from ledger.core.limits import BUDGETS_A_LINE_MAX


@budget_case
def test_a_hard_budget_refuses_what_is_authorised_beyond_it(case: BudgetCase) -> None:
    """
    account acme
    grant   acme  1000
    budget  acme/all  100  -> budget 1
    hold    acme  60 as=H1
    expect  pends acme/all  60
    hold    acme  41 as=H2  -> denied by acme/all, 40 left
    hold    acme  40 as=H3
    release H1
    hold    acme  61 as=H4  -> denied by acme/all, 60 left
    capture H3  25
    expect  spent acme/all  25
    expect  pends acme/all  0
    """


@budget_case
def test_recorded_usage_counts_and_may_exceed(case: BudgetCase) -> None:
    """
    account acme
    grant   acme  1000
    budget  acme/all  100
    usage   acme  130  -> drawn 130 from acme
    expect  spent acme/all  130
    hold    acme  1 as=H  -> denied by acme/all, 0 left
    """


@budget_case
def test_a_soft_budget_counts_and_never_refuses(case: BudgetCase) -> None:
    """
    account acme
    grant   acme  1000
    budget  acme/all  100 soft
    usage   acme  130
    hold    acme  50 as=H
    expect  spent acme/all  130
    expect  pends acme/all  50
    """


@budget_case
def test_those_of_all_accounts_above_must_allow(case: BudgetCase) -> None:
    """
    # The account's own are asked first, then those above it (rule H4).
    account acme
    account dev   parent=acme
    account bot   parent=dev
    account other parent=acme
    grant   acme  1000 shared
    budget  acme/all  100
    budget  dev/all   50
    hold    bot   30 as=H1
    expect  pends dev/all   30
    expect  pends acme/all  30
    usage   other 60
    hold    bot   25 as=H2  -> denied by dev/all, 20 left
    hold    bot   15 as=H3  -> denied by acme/all, 10 left
    hold    other 11 as=H4  -> denied by acme/all, 10 left
    hold    bot   10 as=H5
    """


@budget_case
def test_it_is_for_products_tags_and_attributes(case: BudgetCase) -> None:
    """
    account acme
    grant   acme  1000
    budget  acme/chats  10 for=chat
    budget  acme/media  20 tags=media
    budget  acme/both   100 for=chat tags=media
    usage   acme  10
    usage   acme  5 of=image
    usage   acme  7 of=batch
    expect  spent acme/chats  10
    expect  spent acme/media  5
    expect  spent acme/both   15
    hold    acme  1 as=H1  -> denied by acme/chats, 0 left
    hold    acme  16 of=image as=H2  -> denied by acme/media, 15 left
    hold    acme  500 of=batch as=H3
    """


@budget_case
def test_attributes_all_have_to_match(case: BudgetCase) -> None:
    """
    account acme
    grant   acme  1000
    budget  acme/eu  10 where=region:eu
    quote   acme  5 as=Q1 with=region:eu hold=H1
    quote   acme  6 as=Q2 with=region:eu hold=H2  -> refused BUDGET_EXCEEDED budget
    quote   acme  6 as=Q3 with=region:us hold=H3
    quote   acme  6 as=Q4 with=region:eu
    expect  pends acme/eu  5
    """


@budget_case
def test_each_measure_counts_its_own(case: BudgetCase) -> None:
    """
    account acme  card=resold
    grant   acme  15 free as=gift priority=0
    grant   acme  1000 as=bought priority=1
    budget  acme/charge    1000
    budget  acme/net       1000 of=net
    budget  acme/cost      1000 of=cost asset=usd
    budget  acme/tokens    1000 of=tokens
    budget  acme/requests  1000 of=requests
    usage   acme  10 id=u1  -> drawn 10 from gift, cost 30
    usage   acme  10 id=u2  -> drawn 5 from gift, drawn 5 from bought, cost 30
    expect  spent acme/charge    20
    expect  spent acme/net       5
    expect  spent acme/cost      60
    expect  spent acme/tokens    20
    expect  spent acme/requests  2
    reverse u2  7
    expect  spent acme/charge    13
    expect  spent acme/net       0
    expect  spent acme/cost      60
    expect  spent acme/tokens    13
    expect  spent acme/requests  2
    reverse u1  cost=back
    expect  spent acme/charge    3
    expect  spent acme/cost      30
    expect  spent acme/tokens    3
    expect  spent acme/requests  1
    """


@budget_case
def test_a_budget_of_cost_refuses_by_what_the_provider_takes(case: BudgetCase) -> None:
    """
    account acme  card=resold
    grant   acme  1000
    budget  acme/cost  30 of=cost asset=usd
    hold    acme  11 as=H1  -> denied by acme/cost, 30 left
    hold    acme  10 as=H2
    expect  pends acme/cost  30
    capture H2  4
    expect  spent acme/cost  12
    """


@budget_case
def test_windows_begin_anew(case: BudgetCase) -> None:
    """
    account acme
    grant   acme  100000
    clock   2026-03-10T12:00
    budget  acme/day     10 each=day
    budget  acme/month   25 each=month
    budget  acme/hour    8 each=first:1h
    budget  acme/recent  20 each=last:2d
    budget  acme/life    1000
    usage   acme  8
    hold    acme  1 as=H1  -> denied by acme/hour, 0 left
    clock   2026-03-10T13:30
    hold    acme  3 as=H2  -> denied by acme/day, 2 left
    hold    acme  2 as=H3  lifetime=1h
    capture H3  2
    clock   2026-03-11T09:00
    hold    acme  8 as=H4
    capture H4  8
    clock   2026-03-11T11:00
    hold    acme  3 as=H5  -> denied by acme/day, 2 left
    hold    acme  2 as=H6
    capture H6  2
    clock   2026-03-12T08:00
    hold    acme  1 as=H7  -> denied by acme/recent, 0 left
    clock   2026-03-14T08:00
    hold    acme  6 as=H8  -> denied by acme/month, 5 left
    clock   2026-04-01T00:00
    hold    acme  8 as=H9
    expect  spent acme/life  20
    expect  pends acme/life  8
    """


@budget_case
def test_usage_counts_in_the_window_of_its_own_time(case: BudgetCase) -> None:
    """
    # Current and previous window; what is older counts only in the lifetime (rule H5).
    account acme
    grant   acme  1000 effective=-40d
    clock   2026-03-10T12:00
    budget  acme/day  100 each=day
    usage   acme  1
    usage   acme  2 at=2026-03-09T10:00 id=u1
    usage   acme  4 at=2026-03-08T10:00
    expect  spent acme/day  1
    expect  life acme/day   7
    expect  late acme/day   4
    reverse u1
    expect  spent acme/day  1
    expect  life acme/day   5
    """


@budget_case
def test_a_hold_and_its_captures_count_in_the_window_of_the_authorisation(
    case: BudgetCase,
) -> None:
    """
    account acme
    grant   acme  1000
    clock   2026-03-10T23:50
    budget  acme/day  100 each=day
    hold    acme  60 as=H1
    clock   2026-03-11T00:04
    expect  pends acme/day  0
    capture H1  20 open
    expect  spent acme/day  0
    capture H1  70
    expect  spent acme/day  0
    expect  life acme/day   90
    usage   acme  5
    expect  spent acme/day  5
    """
    cells = case.budget("acme/day").counter.cells
    assert [(cell.posted, cell.pending) for cell in cells] == [(90, 0), (5, 0)]


@budget_case
def test_a_reversal_lowers_the_window_in_which_its_capture_counted(case: BudgetCase) -> None:
    """
    account acme
    grant   acme  1000
    clock   2026-03-10T23:50
    budget  acme/day  100 each=day
    hold    acme  60 as=H1
    clock   2026-03-11T00:04
    capture H1  20 id=c1
    usage   acme  5
    reverse c1
    expect  spent acme/day  5
    expect  life acme/day   5
    """
    assert [cell.posted for cell in case.budget("acme/day").counter.cells] == [0, 5]


@budget_case
def test_expiry_gives_back_and_a_charge_at_expiry_counts(case: BudgetCase) -> None:
    """
    account acme
    grant   acme  1000
    budget  acme/all  100
    hold    acme  60 as=H1
    hold    acme  40 of=agent as=H2
    clock   +1d
    sweep
    expect  pends acme/all  0
    """
    assert case.budget("acme/all").counter.posted in (0, 40)


@budget_case
def test_changing_the_limit_keeps_counter_and_holds(case: BudgetCase) -> None:
    """
    account acme
    grant   acme  1000
    budget  acme/all  100
    usage   acme  30
    hold    acme  50 as=H1
    budget  acme/all  40 version=1  -> budget 2
    expect  spent acme/all  30
    expect  pends acme/all  50
    hold    acme  1 as=H2  -> denied by acme/all, 0 left
    capture H1  50  -> drawn 50 from acme
    budget  acme/all  90 version=1  -> refused VERSION_MISMATCH expected_version
    budget  acme/all  90  -> budget 3
    hold    acme  10 as=H3
    budget  acme/all  90 each=day  -> refused BUDGET_FIXED budget.window
    budget  acme/all  90 for=chat  -> refused BUDGET_FIXED budget.products
    budget  acme/all  90 soft  -> budget 4
    hold    acme  100 as=H4
    """


@budget_case
def test_thresholds_are_told_once_a_window(case: BudgetCase) -> None:
    """
    account acme
    grant   acme  100000
    clock   2026-03-10T12:00
    budget  acme/day  100 each=day at=50,80,100,150
    usage   acme  49  -> drawn 49 from acme
    usage   acme  1 id=u1  -> drawn 1 from acme; day at 50%
    reverse u1
    usage   acme  1   -> drawn 1 from acme
    usage   acme  60  -> drawn 60 from acme; day at 80%; day at 100%
    clock   2026-03-11T12:00
    usage   acme  90  -> drawn 90 from acme; day at 50%; day at 80%
    """


@budget_case
def test_a_sliding_window_tells_a_threshold_once_in_its_length(case: BudgetCase) -> None:
    """
    account acme
    grant   acme  100000
    budget  acme/recent  100 soft each=last:1d at=100
    usage   acme  100  -> drawn 100 from acme; recent at 100%
    clock   +12h
    usage   acme  100  -> drawn 100 from acme
    clock   +13h
    usage   acme  1    -> drawn 1 from acme; recent at 100%
    """


@budget_case
def test_it_counts_from_its_own_entry_on(case: BudgetCase) -> None:
    """
    account acme
    grant   acme  1000
    usage   acme  10 id=u1
    hold    acme  10 as=H1
    budget  acme/all  100
    reverse u1
    expect  spent acme/all  0
    capture H1  10
    expect  spent acme/all  10
    unbudget acme/all  -> removed
    unbudget acme/all  -> refused BUDGET_UNKNOWN name
    budget  acme/all  5  -> budget 1
    expect  spent acme/all  0
    """


@budget_case
def test_removing_a_budget_lets_its_holds_go_on(case: BudgetCase) -> None:
    """
    account acme
    grant   acme  1000
    budget  acme/one  100
    budget  acme/two  100
    hold    acme  10 as=H1
    unbudget acme/one
    capture H1  4
    expect  spent acme/two  4
    expect  pends acme/two  0
    """
    assert case.core.state.families[case.accounts["acme"]].budgeted_holds == {}


@budget_case
def test_what_waits_for_a_price_counts_once_it_is_rated(case: BudgetCase) -> None:
    """
    account acme
    grant   acme  1000
    budget  acme/charge    100
    budget  acme/tokens    100 of=tokens
    budget  acme/requests  100 of=requests
    usage   acme  10 of=late id=u1  -> suspense
    expect  spent acme/charge    0
    expect  spent acme/tokens    10
    expect  spent acme/requests  1
    publish late.tokens=2
    sweep
    expect  spent acme/charge    20
    expect  spent acme/tokens    10
    expect  spent acme/requests  1
    reverse u1
    expect  spent acme/charge    0
    expect  spent acme/tokens    0
    expect  spent acme/requests  0
    """


@budget_case
def test_an_amendment_counts_what_stands_in_its_place(case: BudgetCase) -> None:
    """
    account acme
    grant   acme  1000
    budget  acme/all  100
    budget  acme/requests  100 of=requests
    usage   acme  30 id=u1
    amend   u1 12 as=u2
    expect  spent acme/all  12
    expect  spent acme/requests  1
    """


@budget_case
def test_outcomes_pend_and_count_as_they_are_confirmed(case: BudgetCase) -> None:
    """
    account acme
    grant   acme  1000
    budget  acme/all  20
    report  acme  15 of=case as=O1
    report  acme  10 of=case as=O2
    expect  pends acme/all  25
    hold    acme  1 as=H  -> denied by acme/all, 0 left
    accept  O1
    reject  O2
    expect  spent acme/all  15
    expect  pends acme/all  0
    """


@budget_case
def test_budgets_that_are_none_are_refused_by_their_field(case: BudgetCase) -> None:
    """
    account acme
    budget  acme/b  -1  -> refused BUDGET_INVALID budget.limit
    budget  acme/b  1 each=last:1m  -> refused BUDGET_INVALID budget.window.length_us
    budget  acme/b  1 each=day@Mars  -> refused BUDGET_INVALID budget.window.zone
    budget  acme/b  1 at=80,50  -> refused BUDGET_INVALID budget.thresholds
    budget  acme/b  1 at=1001  -> refused BUDGET_INVALID budget.thresholds
    budget  acme/b  1 of=cost  -> refused ASSET_KIND_INVALID budget.asset
    budget  nobody/b  1  -> refused ACCOUNT_UNKNOWN account
    """


def test_no_more_budgets_apply_to_an_account_than_may() -> None:
    """Budgets on one line, from the root to the deepest account, are limited (rule H4)."""
    case = BudgetCase()
    case.run("account acme\naccount dev parent=acme\naccount side parent=acme")
    for number in range(BUDGETS_A_LINE_MAX - 1):
        case.run(f"budget dev/b{number} 1")
    case.run(
        "budget acme/one 1 -> budget 1\n"
        "budget acme/two 1 -> refused BUDGETS_LIMIT account\n"
        "budget dev/more 1 -> refused BUDGETS_LIMIT account\n"
        "budget dev/b0 2 -> budget 2\n"
        "budget side/one 1 -> budget 1"
    )
    case.finish()


@budget_case
def test_a_denial_and_a_setting_replay(case: BudgetCase) -> None:
    """
    account acme
    grant   acme  1000
    budget  acme/all  10 id=r1  -> budget 1
    budget  acme/all  10 id=r1  -> replayed: budget 1
    budget  acme/all  11 id=r1  -> refused CONFLICT terms
    hold    acme  11 as=H id=h1  -> denied by acme/all, 10 left
    budget  acme/all  100
    hold    acme  11 as=H id=h1  -> replayed: denied by acme/all, 10 left
    """


@budget_case
def test_closing_an_account_gives_back_what_its_holds_pend(case: BudgetCase) -> None:
    """
    account acme
    account dev parent=acme
    grant   acme  1000 shared
    budget  acme/all  100
    hold    dev   60 as=H1
    hold    dev   20 as=H2
    close   dev release
    expect  pends acme/all  0
    hold    acme  100 as=H3
    """


@budget_case
def test_one_of_a_subtree_knows_nothing_of_its_siblings(case: BudgetCase) -> None:
    """
    account acme
    account dev  parent=acme
    account ops  parent=acme
    grant   acme  1000 shared
    budget  dev/all  10
    usage   ops  500
    hold    ops  100 as=H1
    expect  spent dev/all  0
    hold    dev  10 as=H2
    """


@budget_case
def test_a_reversal_falls_where_its_usage_counted_before_a_move(case: BudgetCase) -> None:
    """
    # Rules H4, D1: the window of its event, in the budgets that had counted it.
    account acme
    account eu   parent=acme
    account us   parent=acme
    account ann  parent=eu
    grant   ann  100
    budget  eu/all  50
    budget  us/all  50
    usage   ann  10 id=u
    hold    ann  5 as=H
    move    ann  us
    usage   ann  20
    reverse u
    expect  spent eu/all  0
    expect  pends eu/all  5
    release H
    expect  pends eu/all  0
    expect  spent us/all  20
    """


@budget_case
def test_an_account_that_moves_counts_where_it_stands(case: BudgetCase) -> None:
    """
    # What its holds pended where it stood is given back there; what it uses counts where it is.
    account acme
    account dev  parent=acme
    account ops  parent=acme
    account bot  parent=dev
    grant   acme 1000 shared
    budget  acme/all  100
    budget  dev/all   100
    budget  ops/all   30
    usage   bot  10 id=u1
    hold    bot  20 as=H1
    hold    bot  5 as=H2
    move    bot ops
    expect  pends dev/all  25
    capture H1  15
    release H2
    expect  spent dev/all  10
    expect  pends dev/all  0
    expect  spent ops/all  15
    expect  spent acme/all  25
    hold    bot  16 as=H3  -> denied by ops/all, 15 left
    """
