"""Budgets that count each value of an attribute by itself (rules H4, H5)."""

from __future__ import annotations

from budget_case import BudgetCase, budget_case
from minimum_world import packed_and_back


@budget_case
def test_each_value_has_the_limit_by_itself(case: BudgetCase) -> None:
    """
    account acme
    grant   acme  1000
    budget  acme/per  100 by=user  -> budget 1
    hold    acme  60 with=user:a as=H1
    expect  pends acme/per:a  60
    hold    acme  41 with=user:a as=H2  -> denied by acme/per:a, 40 left
    hold    acme  41 with=user:b as=H3
    hold    acme  101 with=user:c as=H4  -> denied by acme/per:c, 100 left
    capture H1  50
    release H3
    expect  spent acme/per:a  50
    expect  pends acme/per:a  0
    expect  pends acme/per:b  0
    hold    acme  51 with=user:a as=H5  -> denied by acme/per:a, 50 left
    hold    acme  100 with=user:b as=H6
    expect  counters acme/per  2
    expect  spent acme/per  0
    """


@budget_case
def test_recorded_usage_counts_for_its_value_and_may_exceed(case: BudgetCase) -> None:
    """
    account acme
    grant   acme  1000
    budget  acme/per  100 by=user
    usage   acme  130 with=user:a id=u1
    usage   acme  30 with=user:b
    expect  spent acme/per:a  130
    expect  spent acme/per:b  30
    hold    acme  1 with=user:a as=H1  -> denied by acme/per:a, 0 left
    hold    acme  70 with=user:b as=H2
    reverse u1 50
    expect  spent acme/per:a  80
    hold    acme  21 with=user:a as=H3  -> denied by acme/per:a, 20 left
    """


@budget_case
def test_a_soft_one_counts_and_never_refuses(case: BudgetCase) -> None:
    """
    account acme
    grant   acme  1000
    budget  acme/per  10 by=user soft
    usage   acme  30 with=user:a
    hold    acme  30 with=user:a as=H1
    expect  spent acme/per:a  30
    expect  pends acme/per:a  30
    """


@budget_case
def test_usage_without_the_attribute_is_of_a_value_of_its_own(case: BudgetCase) -> None:
    """
    # Nobody passes the limit by leaving the attribute out.
    account acme
    grant   acme  1000
    budget  acme/per  100 by=user
    hold    acme  80 as=H1
    hold    acme  30 with=region:eu as=H2  -> denied by acme/per:, 20 left
    usage   acme  15 with=region:eu
    expect  spent acme/per:  15
    expect  pends acme/per:  80
    hold    acme  80 with=user:a as=H3
    """


@budget_case
def test_two_attributes_are_a_value_together(case: BudgetCase) -> None:
    """
    account acme
    grant   acme  1000
    budget  acme/per  100 by=user+team but=a+x:10
    usage   acme  90 with=team:x,user:b
    hold    acme  11 with=team:x,user:b as=H1  -> denied by acme/per:b+x, 10 left
    hold    acme  100 with=team:y,user:b as=H2
    hold    acme  11 with=team:x,user:a as=H3  -> denied by acme/per:a+x, 10 left
    hold    acme  100 with=user:a as=H4
    expect  pends acme/per:a+  100
    """


@budget_case
def test_what_it_is_for_says_what_counts_of_each_value(case: BudgetCase) -> None:
    """
    account acme
    account dev parent=acme
    grant   acme  1000 shared
    budget  acme/chats  10 by=user for=chat
    budget  acme/media  20 by=user tags=media of=requests
    budget  acme/eu     30 by=user where=region:eu
    usage   dev   10 with=region:eu,user:a
    usage   dev   5 of=image with=region:us,user:a
    expect  spent acme/chats:a  10
    expect  spent acme/media:a  1
    expect  spent acme/eu:a  10
    hold    dev   1 with=user:a as=H1  -> denied by acme/chats:a, 0 left
    hold    dev   10 with=user:b as=H2
    """


@budget_case
def test_each_measure_counts_its_own_for_a_value(case: BudgetCase) -> None:
    """
    account acme  card=resold
    grant   acme  15 free as=gift priority=0
    grant   acme  1000 as=bought priority=1
    budget  acme/net       1000 of=net by=user
    budget  acme/cost      1000 of=cost asset=usd by=user
    budget  acme/tokens    1000 of=tokens by=user
    budget  acme/requests  1000 of=requests by=user
    usage   acme  10 id=u1 with=user:a
    usage   acme  10 id=u2 with=user:b
    expect  spent acme/net:a   0
    expect  spent acme/net:b   5
    expect  spent acme/cost:b  30
    expect  spent acme/tokens:b  10
    expect  spent acme/requests:b  1
    expect  counters acme/net  1
    reverse u2
    expect  spent acme/net:b  0
    expect  spent acme/requests:b  0
    expect  spent acme/requests:a  1
    """


@budget_case
def test_a_threshold_is_told_of_the_value_that_reaches_it(case: BudgetCase) -> None:
    """
    account acme
    grant   acme  1000
    budget  acme/per  100 by=user at=50,100 but=b:20
    usage   acme  49 with=user:a
    usage   acme  1 with=user:a  -> drawn 1 from acme; per:a at 50%
    usage   acme  50 with=user:a -> drawn 50 from acme; per:a at 100%
    usage   acme  25 with=user:b -> drawn 25 from acme; per:b at 50%; per:b at 100%
    """


@budget_case
def test_beyond_its_number_of_values_they_count_together_with_the_same_limit(
    case: BudgetCase,
) -> None:
    """
    # Two have a counter. c and d share one, so neither can have more than the limit.
    account acme
    grant   acme  1000
    budget  acme/per  100 by=user values=2 at=50 each=day
    usage   acme  10 with=user:a
    usage   acme  10 with=user:b
    usage   acme  60 with=user:c  -> drawn 60 from acme; per:* at 50%
    hold    acme  30 with=user:d as=H1
    expect  spent acme/per:*  60
    expect  pends acme/per:*  30
    hold    acme  11 with=user:c as=H2  -> denied by acme/per:c and others, 10 left
    hold    acme  11 with=user:e as=H3  -> denied by acme/per:e and others, 10 left
    hold    acme  90 with=user:a as=H4
    capture H1  5
    hold    acme  36 with=user:e as=H5  -> denied by acme/per:e and others, 35 left
    """


@budget_case
def test_counters_whose_windows_are_over_make_room(case: BudgetCase) -> None:
    """
    account acme
    grant   acme  1000
    budget  acme/per  100 by=user values=2 each=day
    usage   acme  60 with=user:a
    usage   acme  60 with=user:b
    usage   acme  60 with=user:c
    expect  counters acme/per  3
    clock   +24h
    hold    acme  100 with=user:c as=H1
    expect  counters acme/per  1
    expect  pends acme/per:c  100
    usage   acme  60 with=user:d
    usage   acme  60 with=user:e
    expect  spent acme/per:*  60
    """


@budget_case
def test_a_hold_keeps_its_counter_and_is_counted_in_the_window_of_its_authorisation(
    case: BudgetCase,
) -> None:
    """
    account acme
    grant   acme  1000
    budget  acme/per  100 by=user values=1 each=day
    clock   +12h
    hold    acme  60 with=user:a as=H1 lifetime=24h
    clock   +13h
    # It may be over, but something of it pends: what is new counts with the others.
    hold    acme  50 with=user:b as=H2
    expect  pends acme/per:*  50
    capture H1  40
    expect  spent acme/per:a  0
    expect  life acme/per:a  40
    usage   acme  5 with=user:c
    expect  spent acme/per:*  5
    clock   +24h
    usage   acme  5 with=user:c
    expect  spent acme/per:c  5
    expect  counters acme/per  1
    """


@budget_case
def test_who_counted_with_the_others_goes_on_with_them_until_their_window_is_over(
    case: BudgetCase,
) -> None:
    """
    # b used 70 with the others; a counter of its own would let it use 100 more.
    account acme
    grant   acme  1000
    budget  acme/per  100 by=user values=1 each=first:1h
    usage   acme  10 with=user:a
    clock   +30m
    usage   acme  70 with=user:b
    clock   +31m
    # The counter of a is over, that of the others is not.
    hold    acme  31 with=user:b as=H1  -> denied by acme/per:b and others, 30 left
    hold    acme  31 with=user:c as=H2  -> denied by acme/per:c and others, 30 left
    clock   +30m
    hold    acme  100 with=user:b as=H3
    expect  counters acme/per  1
    expect  pends acme/per:b  100
    """


@budget_case
def test_named_values_have_limits_and_counters_of_their_own(case: BudgetCase) -> None:
    """
    account acme
    grant   acme  10000
    budget  acme/per  100 by=user values=1 but=vip:500,off:0
    usage   acme  10 with=user:a
    usage   acme  10 with=user:b
    hold    acme  500 with=user:vip as=H1
    hold    acme  1 with=user:vip as=H2  -> denied by acme/per:vip, 0 left
    hold    acme  1 with=user:off as=H3  -> denied by acme/per:off, 0 left
    expect  spent acme/per:*  10
    # Named while it counts with the others: until their window is over it has no more than they.
    budget  acme/per  100 by=user values=1 but=b:500,c:20,vip:500
    hold    acme  91 with=user:b as=H4  -> denied by acme/per:b and others, 90 left
    hold    acme  11 with=user:c as=H5  -> denied by acme/per:c and others, 10 left
    hold    acme  10 with=user:c as=H6
    """


@budget_case
def test_limits_and_the_number_of_values_change_and_counters_go_on(case: BudgetCase) -> None:
    """
    account acme
    grant   acme  1000
    budget  acme/per  100 by=user values=1
    usage   acme  60 with=user:a
    budget  acme/per  50 by=user values=2  -> budget 2
    hold    acme  1 with=user:a as=H1  -> denied by acme/per:a, 0 left
    usage   acme  60 with=user:b
    budget  acme/per  80 by=user values=2 but=b:61
    hold    acme  21 with=user:a as=H2  -> denied by acme/per:a, 20 left
    hold    acme  2 with=user:b as=H3  -> denied by acme/per:b, 1 left
    budget  acme/per  80 by=team  -> refused BUDGET_FIXED budget.group_by
    budget  acme/per  80  -> refused BUDGET_FIXED budget.group_by
    budget  acme/all  80
    budget  acme/all  80 by=user  -> refused BUDGET_FIXED budget.group_by
    unbudget acme/per
    budget  acme/per  80 by=user -> budget 1
    hold    acme  20 with=user:a as=H4
    """


@budget_case
def test_removed_amid_holds_and_opened_anew(case: BudgetCase) -> None:
    """
    account acme
    grant   acme  1000
    budget  acme/per  100 by=user
    hold    acme  60 with=user:a as=H1
    unbudget acme/per
    budget  acme/per  100 by=user
    capture H1  50
    expect  spent acme/per:a  50
    hold    acme  60 with=user:b as=H2
    usage   acme  5 with=user:b
    expect  spent acme/per:b  5
    expect  pends acme/per:b  60
    unbudget acme/per
    """
    assert case.core.state.families[1].budgets == {}
    assert case.core.state.families[1].budgeted_holds == {}


@budget_case
def test_late_usage_of_a_value_that_nobody_counted_counts_nowhere(case: BudgetCase) -> None:
    """
    account acme
    grant   acme  1000 effective=-40d
    budget  acme/per  100 by=user each=day
    usage   acme  60 with=user:a at=-24h
    expect  counters acme/per  0
    usage   acme  5 with=user:a
    usage   acme  60 with=user:a at=-24h id=u2
    expect  spent acme/per:a  5
    expect  life acme/per:a  65
    reverse u2
    expect  life acme/per:a  5
    """


@budget_case
def test_what_is_given_back_lowers_the_counter_that_had_counted_it(case: BudgetCase) -> None:
    """
    account acme
    grant   acme  1000
    budget  acme/per  100 by=user values=1 each=last:1h
    usage   acme  60 with=user:a id=u1
    usage   acme  50 with=user:b id=u2
    expect  spent acme/per:*  50
    reverse u2 20
    expect  spent acme/per:*  30
    clock   +2h
    usage   acme  60 with=user:b id=u3
    expect  spent acme/per:b  60
    reverse u2
    expect  spent acme/per:b  60
    reverse u3 10
    expect  spent acme/per:b  50
    """


@budget_case
def test_what_its_values_may_not_be(case: BudgetCase) -> None:
    """
    account acme
    budget  acme/x  100 by=a+b+c  -> refused BUDGET_INVALID budget.group_by
    budget  acme/x  100 by=a+a  -> refused BUDGET_INVALID budget.group_by
    budget  acme/x  100 by=a values=0  -> refused BUDGET_INVALID budget.values_max
    budget  acme/x  100 by=a values=10001  -> refused BUDGET_INVALID budget.values_max
    budget  acme/x  100 by=a but=v+w:3  -> refused BUDGET_INVALID budget.value_limits
    budget  acme/x  100 by=a but=v:3,v:4  -> refused BUDGET_INVALID budget.value_limits
    budget  acme/x  100 by=a but=v:-1  -> refused BUDGET_INVALID budget.value_limits
    """


@budget_case
def test_a_quote_with_a_hold_is_asked_for_its_value(case: BudgetCase) -> None:
    """
    account acme
    grant   acme  1000
    budget  acme/per  10 by=user
    quote   acme  5 as=Q1 with=user:a hold=H1
    quote   acme  6 as=Q2 with=user:a hold=H2  -> refused BUDGET_EXCEEDED budget
    quote   acme  6 as=Q3 with=user:b hold=H3
    expect  pends acme/per:a  5
    """


@budget_case
def test_what_is_given_back_lowers_no_counter_that_came_later(case: BudgetCase) -> None:
    """
    # The counter of a is gone; what it had counted never was among the others of today.
    account acme
    grant   acme  1000
    budget  acme/per  100 by=user values=1 each=day
    usage   acme  60 with=user:a id=u1
    clock   +24h
    usage   acme  10 with=user:b
    usage   acme  20 with=user:c
    reverse u1
    expect  spent acme/per:*  20
    expect  life acme/per:*  20
    expect  life acme/per:b  10
    """


@budget_case
def test_a_fixed_window_of_the_others_is_not_lowered(case: BudgetCase) -> None:
    """
    # It begins with another value: what is given back may be of before.
    account acme
    grant   acme  1000
    budget  acme/per  100 by=user values=1 each=first:1h
    usage   acme  10 with=user:a id=u1
    usage   acme  50 with=user:b id=u2
    reverse u2
    expect  spent acme/per:*  50
    reverse u1
    expect  spent acme/per:a  0
    """


@budget_case
def test_others_whose_holds_pend_go_on_together(case: BudgetCase) -> None:
    """
    account acme
    grant   acme  1000
    budget  acme/per  100 by=user values=1 each=day
    clock   +12h
    usage   acme  10 with=user:a
    hold    acme  50 with=user:b as=H1 lifetime=24h
    expect  pends acme/per:*  50
    clock   +13h
    usage   acme  5 with=user:c
    expect  spent acme/per:*  5
    expect  counters acme/per  2
    release H1
    usage   acme  6 with=user:d
    expect  spent acme/per:*  11
    clock   +24h
    usage   acme  7 with=user:d
    expect  spent acme/per:d  7
    expect  counters acme/per  1
    """


def test_counters_go_on_when_their_family_was_away() -> None:
    """Packed and back in the middle: what is over is found as before (ARCHITECTURE, the family is
    the unit of packing)."""
    case = BudgetCase()
    case.run(
        """
        account acme
        grant   acme  1000
        budget  acme/per  100 by=user values=2 each=day
        usage   acme  60 with=user:a
        hold    acme  30 with=user:b as=H1 lifetime=2h
        usage   acme  20 with=user:c
        """
    )
    packed_and_back(case.core)
    case.run(
        """
        hold    acme  41 with=user:a as=H2  -> denied by acme/per:a, 40 left
        hold    acme  81 with=user:d as=H3  -> denied by acme/per:d and others, 80 left
        release H1
        clock   +24h
        """
    )
    packed_and_back(case.core)
    case.run(
        """
        hold    acme  100 with=user:e as=H4
        expect  counters acme/per  1
        """
    )
    case.finish()


@budget_case
def test_what_a_boundary_of_a_volume_gives_back_is_of_all_and_lowers_none(
    case: BudgetCase,
) -> None:
    """
    # 10 a token to 100, then 5 for all: b's 20 cost 100, and of a's 1,000 half is given back
    # as b passes the boundary, which lowers neither.
    account  acme
    override acme chat:v100/10,5
    grant    acme  10000
    budget   acme/per  1500 by=user
    usage    acme  100 with=user:a
    expect   spent acme/per:a  1000
    usage    acme  20 with=user:b id=u
    expect   spent acme/per:a  1000
    expect   life acme/per:b  100
    hold     acme  101 with=user:a as=H1  -> denied by acme/per:a, 500 left
    hold     acme  280 with=user:b as=H2
    """


@budget_case
def test_debits_are_within_the_limit_of_their_value(case: BudgetCase) -> None:
    """
    account acme
    grant   acme  1000
    budget  acme/per  100 by=user
    debit   acme  60 with=user:a
    debit   acme  41 with=user:a  -> denied by acme/per:a, 40 left
    debit   acme  60 with=user:a least=1
    expect  spent acme/per:a  100
    debit   acme  100 with=user:b
    expect  spent acme/per:b  100
    """
