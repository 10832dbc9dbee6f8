"""Grants shared with a whole subtree: children draw them in one post, their own debt behind."""

from __future__ import annotations

from ledger_case import LedgerCase, ledger_case


@ledger_case
def test_children_draw_their_own_then_the_nearest_ancestors_then_their_overage(
    case: LedgerCase,
) -> None:
    """
    # Rules D1, D4: one waterfall, one entry; each child pays its own overage.
    account acme
    account eu      parent=acme
    account sales   parent=eu   overage=self
    grant   acme    10  as=all   shared
    grant   acme    10  as=mine
    grant   eu      5   as=eu    shared
    grant   sales   2   as=own
    usage   sales   20  -> drawn 2 from own, drawn 5 from eu, drawn 10 from all, overage 3 on sales
    expect  left mine 10
    expect  overage sales 3
    expect  overage acme 0
    expect  available sales 0
    expect  available acme 10
    """


@ledger_case
def test_siblings_share_what_is_left(case: LedgerCase) -> None:
    """
    account acme
    account a  parent=acme
    account b  parent=acme
    grant   acme  10  shared
    usage   a  6  -> drawn 6 from acme
    hold    b  3  as=h  -> held 3 from acme
    expect  available a 1
    hold    a  2  as=no -> denied INSUFFICIENT_CREDITS
    usage   a  2  -> drawn 1 from acme, owed 1; 1 over the limit
    capture h  3  -> drawn 3 from acme
    expect  left acme 0
    """


@ledger_case
def test_a_grant_that_is_not_shared_is_its_accounts_alone(case: LedgerCase) -> None:
    """
    account acme
    account a  parent=acme
    grant   acme  10
    usage   a  1  -> owed 1; 1 over the limit
    expect  available a 0
    """


@ledger_case
def test_the_distance_of_the_pot_is_a_key_of_our_comparator_only(case: LedgerCase) -> None:
    """
    # Rule D2: drawdown takes the own grant first; metronome ranks a shared one like any other.
    account acme
    account ours    parent=acme
    account theirs  parent=acme  order=metronome_1
    grant   acme    10  shared priority=1
    grant   ours    10  priority=5
    grant   theirs  10  priority=5
    usage   ours    1  -> drawn 1 from ours
    usage   theirs  1  -> drawn 1 from acme
    usage   theirs  10 -> drawn 9 from acme, drawn 1 from theirs
    """


@ledger_case
def test_a_childs_comparator_orders_what_it_draws_of_an_ancestor(case: LedgerCase) -> None:
    """
    account acme
    account child   parent=acme  order=drawdown_1
    policy  acme    order=orb_1
    grant   acme    5  as=soon  shared priority=9 expires=+10d
    grant   acme    5  as=late  shared priority=1 expires=+20d
    usage   acme    1  -> drawn 1 from soon
    usage   child   1  -> drawn 1 from late
    """


@ledger_case
def test_what_is_due_above_is_posted_before_a_child_draws(case: LedgerCase) -> None:
    """
    # Rules H2, T3: no decision sees an overdue pot, wherever it stands.
    account acme
    account a  parent=acme
    account b  parent=acme
    grant   acme  10  shared expires=+1d
    hold    a  4  as=h lifetime=1h
    clock   +2h
    hold    b  10 as=i      -> hold expired; held 10 from acme
    release i
    clock   +2d
    usage   b  1  at=-30h   -> acme expired 10; owed 1; 1 over the limit
    """


@ledger_case
def test_shared_money_is_the_owners(case: LedgerCase) -> None:
    """
    # Rule B4: what a child draws of a paid grant is recognised from the grant's own deferred.
    account acme
    account a  parent=acme
    grant   acme  4  paid=10 shared
    usage   a  3  -> drawn 3 from acme
    expect  revenue chat 7
    expect  deferred acme 3
    """


@ledger_case
def test_a_closed_child_leaves_the_shared_grant_alone(case: LedgerCase) -> None:
    """
    account acme
    account a  parent=acme
    grant   acme  4  shared
    usage   a  1  -> drawn 1 from acme
    close   a
    expect  left acme 3
    usage   acme  3 -> drawn 3 from acme
    """
