"""Credit leases: a slice in escrow with a holder, settled once (rules H1, H4, H7, D8, N3)."""

from __future__ import annotations

from lease_case import LeaseCase, lease_case
from ledger_case import LedgerCase

from ledger.core.leases.leases import Want, fair_shares, margin_of
from ledger.core.limits import LEASES_AN_ACCOUNT_MAX, MINUTE_US, SECOND_US


@lease_case
def test_a_slice_is_in_escrow_used_and_given_back(case: LedgerCase) -> None:
    """
    account  acme
    grant    acme 100 paid=50
    lease    acme 60 as=l         -> leased 60 from acme
    expect   held acme 60
    expect   available acme 40
    spend    l 25                 -> drawn 25 from acme
    expect   slice l 35
    expect   held acme 35
    expect   recognised acme 12   # 50 x 25 / 100, rounded down
    giveback l                    -> returned
    expect   held acme 0
    expect   left acme 75
    giveback l                    -> refused LEASE_ENDED lease_id
    spend    l 1                  -> refused LEASE_ENDED lease_id
    renew    l 10                 -> refused LEASE_ENDED lease_id
    recall   l 10                 -> refused LEASE_ENDED lease_id
    """


@lease_case
def test_escrow_is_never_more_than_the_balance(case: LedgerCase) -> None:
    """
    account  acme
    grant    acme 100
    usage    acme 30
    lease    acme 1000 as=a       -> leased 70 from acme
    lease    acme 50 as=b         -> leased nothing
    hold     acme 1 as=h          -> denied INSUFFICIENT_CREDITS
    expect   escrow acme 70
    usage    acme 5               -> owed 5; 5 over the limit  # it has happened; the slice stays
    expect   slice a 70
    """


@lease_case
def test_scarce_balance_is_shared_max_min_fair(case: LedgerCase) -> None:
    """
    # Rule H7: 120 over wants of 1000, 50, 10 gives 60, 50, 10.
    account  acme
    grant    acme 120
    lease    acme 1000 as=a by=one        -> leased 120 from acme
    lease    acme 50 as=b by=two          -> leased nothing
    lease    acme 10 as=c by=three        -> leased nothing
    expect   share b 50
    expect   share c 10
    renew    a 1000                       -> leased 120 from acme, down to 60
    expect   down a 60
    renew    a 1000 keep=60               -> leased 60 from acme
    renew    b 50                         -> leased 50 from acme
    renew    c 10                         -> leased 10 from acme
    expect   escrow acme 120
    expect   down a 60
    giveback b                            -> returned
    renew    a 1000                       -> leased 110 from acme
    """


@lease_case
def test_a_holder_that_may_have_spent_it_is_never_cut_below_what_it_keeps(
    case: LedgerCase,
) -> None:
    """
    account  acme
    grant    acme 100
    lease    acme 100 as=a by=one
    lease    acme 100 as=b by=two         -> leased nothing
    renew    a 100 keep=80                -> leased 80 from acme, down to 50
    renew    b 100                        -> leased 20 from acme
    spend    a 80                         -> drawn 80 from acme
    expect   slice a 0
    """
    # b has 20 of a share of 50: it is asked for nothing.
    assert isinstance(case, LeaseCase)
    assert case.hold("b").lease.down_to(20) == 20  # type: ignore[union-attr]


@lease_case
def test_a_smallest_useful_slice(case: LedgerCase) -> None:
    """
    account  acme
    grant    acme 30
    lease    acme 50 as=a min=40          -> leased nothing
    expect   available acme 30
    grant    acme 20 as=more
    renew    a 50                         -> leased 30 from acme, 20 from more
    lease    acme 10 as=b min=11          -> refused LEASE_INVALID minimum
    lease    acme 0 as=b                  -> refused LEASE_INVALID wanted
    lease    acme 10 as=b by=             -> refused LEASE_INVALID holder
    lease    acme 10 as=b term=1s         -> refused LEASE_TERM_INVALID term_us
    renew    a 0                          -> refused LEASE_INVALID wanted
    renew    a 1 keep=-1                  -> refused LEASE_INVALID keep
    renew    a 1 term=2d                  -> refused LEASE_TERM_INVALID term_us
    """


@lease_case
def test_what_is_reported_above_the_slice_is_plain_usage_marked_over(case: LedgerCase) -> None:
    """
    account  acme
    grant    acme 100
    lease    acme 10 as=l
    spend    l 8                  -> drawn 8 from acme
    spend    l 8                  -> drawn 8 from acme, over 6
    expect   slice l 0
    expect   left acme 84
    spend    l 90                 -> drawn 84 from acme, owed 6, over 90; 6 over the limit
    """


@lease_case
def test_every_event_counts_once(case: LedgerCase) -> None:
    """
    account  acme
    grant    acme 100
    lease    acme 50 as=l id=q            -> leased 50 from acme
    lease    acme 50 as=l id=q            -> replayed: leased 50 from acme
    lease    acme 51 as=l id=q            -> refused CONFLICT wanted
    lease    acme 50 as=l id=q by=other   -> refused CONFLICT holder
    lease    acme 50 as=l id=q charge     -> refused CONFLICT on_lapse
    lease    acme 50 as=l id=q of=image   -> refused CONFLICT product
    lease    acme 50 as=l id=q term=9s    -> refused CONFLICT term_us
    spend    l 20 id=u                    -> drawn 20 from acme
    spend    l 20 id=u                    -> replayed: drawn 20 from acme
    spend    l 21 id=u                    -> refused CONFLICT quantities
    usage    acme 20 id=u                 -> refused CONFLICT request
    usage    acme 5 id=v
    spend    l 5 id=v                     -> refused CONFLICT request
    lease    acme 1 as=m
    spend    m 20 id=u                    -> refused CONFLICT lease_id
    renew    l 40 id=r                    -> leased 40 from acme
    renew    l 40 keep=9 id=r             -> refused CONFLICT keep
    renew    m 40 keep=30 id=r            -> refused CONFLICT lease_id
    giveback l id=g                       -> returned
    giveback l id=g                       -> replayed: returned
    giveback l off id=g                   -> refused CONFLICT write_off
    expect   left acme 75
    """


@lease_case
def test_a_lapse_returns_what_is_unspent(case: LedgerCase) -> None:
    """
    # The term is a minute, the margin a tenth of it: 6 s.
    account  acme
    grant    acme 100
    lease    acme 60 as=l term=60s
    spend    l 20
    clock    +65s
    sweep                         -> nothing
    expect   slice l 40
    clock    +1s
    sweep                         -> lapsed 40
    expect   held acme 0
    expect   left acme 80
    spend    l 30                 -> late, drawn 30 from acme
    spend    l 30                 -> late, drawn 30 from acme, over 20   # 10 of 40 were left
    renew    l 10                 -> refused LEASE_ENDED lease_id
    """


@lease_case
def test_a_late_report_overdraws_by_at_most_the_unreported_slice(case: LedgerCase) -> None:
    """
    account  acme
    grant    acme 100
    lease    acme 60 as=l term=60s
    clock    +66s
    usage    acme 100             -> lapsed 60; drawn 100 from acme
    spend    l 60                 -> late, owed 60; 60 over the limit
    expect   owed acme 60
    """


@lease_case
def test_under_charge_nothing_is_overdrawn(case: LedgerCase) -> None:
    """
    account  acme
    grant    acme 100
    lease    acme 60 as=l term=60s charge
    clock    +66s
    sweep                         -> overdue 60
    lease    acme 100 as=m        -> leased 40 from acme
    hold     acme 1 as=h          -> denied INSUFFICIENT_CREDITS
    spend    l 50                 -> drawn 50 from acme
    renew    l 10                 -> refused LEASE_OVERDUE lease_id
    recall   l 0                  -> refused LEASE_OVERDUE lease_id
    giveback l                    -> refused LEASE_OVERDUE lease_id
    giveback m off                -> refused LEASE_RUNS write_off
    giveback l off                -> written off
    expect   held acme 40
    expect   left acme 50
    spend    l 10                 -> refused LEASE_ENDED lease_id
    """


@lease_case
def test_a_recall_is_told_until_it_is_met(case: LedgerCase) -> None:
    """
    account  acme
    grant    acme 100
    lease    acme 80 as=l
    recall   l 30                 -> recalled to 30
    expect   down l 30
    renew    l 80 keep=50         -> leased 50 from acme, down to 30
    expect   down l 30
    renew    l 80 keep=30         -> leased 30 from acme
    renew    l 80                 -> leased 80 from acme
    recall   l -1                 -> refused LEASE_INVALID keep
    """


@lease_case
def test_a_renewal_moves_on_to_grants_that_still_pay(case: LedgerCase) -> None:
    """
    account  acme
    grant    acme 50 as=old expires=+10m
    grant    acme 100 as=new
    lease    acme 60 as=l term=1h         -> leased 50 from old, 10 from new
    clock    +20m
    expect   held old 50
    renew    l 60                         -> leased 60 from new
    expect   held old 0
    expect   held new 60
    clock    +2d
    expect   left new 100
    """


@lease_case
def test_what_ended_stays_where_nothing_stands_in_its_stead(case: LedgerCase) -> None:
    """
    account  acme
    grant    acme 50 as=old expires=+10m
    lease    acme 60 as=l term=1h         -> leased 50 from old
    clock    +20m
    renew    l 60 keep=30                 -> leased 30 from old
    spend    l 30                         -> drawn 30 from old
    expect   slice l 0
    """


@lease_case
def test_a_lease_counts_in_full_in_budgets(case: LedgerCase) -> None:
    """
    # Rule H4: nested limits; the narrowest is met.
    account  acme
    account  app parent=acme
    budget   acme/all 70
    budget   app/own 1000
    grant    app 500
    lease    app 100 as=a                 -> leased 70 from app
    expect   pends acme/all 70
    expect   pends app/own 70
    lease    app 100 as=b                 -> leased nothing
    expect   share b 35
    spend    a 10                         -> drawn 10 from app
    expect   spent acme/all 10
    expect   pends acme/all 60
    hold     app 1 as=h                   -> denied by acme/all, 0 left
    giveback a
    expect   pends acme/all 0
    renew    b 100                        -> leased 60 from app
    expect   pends acme/all 60
    clock    +2m
    sweep                                 -> lapsed 60
    expect   pends acme/all 0
    """


@lease_case
def test_it_counts_in_the_window_of_its_last_renewal(case: LedgerCase) -> None:
    """
    # Rule H5. 23:30 of the first day; then the next.
    account  acme
    grant    acme 500
    budget   acme/daily 100 each=day
    clock    +1410m
    lease    acme 80 as=l term=2h         -> leased 80 from acme
    spend    l 10 id=u
    clock    +1h
    expect   pends acme/daily 0
    spend    l 10                         # counts in the day of the lease
    expect   spent acme/daily 0
    renew    l 80                         -> leased 80 from acme
    expect   pends acme/daily 80
    spend    l 30 id=v
    expect   spent acme/daily 30
    expect   pends acme/daily 50
    renew    l 200                        -> leased 70 from acme
    expect   pends acme/daily 70
    reverse  v
    expect   spent acme/daily 0
    reverse  u
    expect   spent acme/daily 0
    expect   life acme/daily 10
    """


@lease_case
def test_a_budget_that_is_younger_than_the_lease_bounds_its_renewal(case: LedgerCase) -> None:
    """
    # Rule H7: it counts in full, also what was in escrow before the budget was.
    account  acme
    grant    acme 1000
    lease    acme 50 as=l with=model:big
    budget   acme/all 140
    renew    l 200                        -> leased 140 from acme
    expect   pends acme/all 140
    budget   acme/each 150 by=model
    budget   acme/all 400
    renew    l 200                        -> leased 150 from acme
    expect   pends acme/each:big 150
    """


@lease_case
def test_it_names_product_and_attributes_where_a_narrower_budget_applies(case: LedgerCase) -> None:
    """
    account  acme
    grant    acme 500
    budget   acme/images 30 for=image
    budget   acme/big 40 where=model:big
    lease    acme 90 as=a                   -> refused LEASE_UNBOUNDED attributes
    lease    acme 90 as=a with=model:small  -> leased 90 from acme
    lease    acme 90 as=b with=model:big    -> leased 40 from acme
    lease    acme 90 as=c of=image with=model:small  -> leased 30 from acme
    spend    b 10                           -> refused LEASE_OTHER_WORK attributes
    spend    b 10 of=image with=model:big   -> refused LEASE_OTHER_WORK product
    spend    b 10 with=model:big,user:ann   -> drawn 10 from acme
    expect   spent acme/big 10
    expect   pends acme/big 30
    budget   acme/calls 10 of=requests
    lease    acme 9 as=d with=model:big     -> refused LEASE_UNBOUNDED product
    renew    a 90                           -> leased 90 from acme, down to 0
    renew    a 90 keep=0                    -> leased nothing
    budget   acme/calls 10 of=requests soft
    renew    a 90                           -> leased 90 from acme
    """


@lease_case
def test_a_lease_counts_for_its_value_where_a_budget_counts_each_by_itself(
    case: LedgerCase,
) -> None:
    """
    # Rules H4, H5: it names what the budget goes by; each value has its own limit.
    account  acme
    grant    acme 500
    budget   acme/per 40 by=user values=2
    lease    acme 90 as=a                   -> refused LEASE_UNBOUNDED attributes
    lease    acme 90 as=a with=user:ann     -> leased 40 from acme
    lease    acme 90 as=b with=user:bob     -> leased 40 from acme
    expect   pends acme/per:ann 40
    hold     acme 1 with=user:ann as=h      -> denied by acme/per:ann, 0 left
    spend    a 10 with=user:ann             -> drawn 10 from acme
    expect   spent acme/per:ann 10
    expect   pends acme/per:ann 30
    lease    acme 90 as=c with=user:ann     -> leased nothing
    expect   share c 15
    renew    b 25 keep=0                    -> leased 25 from acme
    expect   pends acme/per:bob 25
    lease    acme 30 as=d with=user:cy      -> leased 30 from acme
    lease    acme 30 as=e with=user:dan     -> leased 10 from acme
    expect   pends acme/per:* 40
    giveback a
    expect   pends acme/per:ann 0
    renew    c 90                           -> leased 30 from acme
    expect   pends acme/per:ann 30
    """


@lease_case
def test_what_bears_more_attributes_than_its_lease_counts_for_its_own_value(
    case: LedgerCase,
) -> None:
    """
    # A soft one does not bound it: what is reported counts where it belongs.
    account  acme
    grant    acme 500
    budget   acme/per 40 by=user soft
    lease    acme 90 as=a                   -> leased 90 from acme
    expect   pends acme/per: 90
    spend    a 30 with=user:ann id=u        -> drawn 30 from acme
    expect   spent acme/per:ann 30
    expect   pends acme/per: 60
    spend    a 10                           -> drawn 10 from acme
    expect   spent acme/per: 10
    reverse  u
    expect   spent acme/per:ann 0
    """


@lease_case
def test_it_draws_debt_only_where_the_policy_says_so(case: LedgerCase) -> None:
    """
    account  acme overdraft=30
    grant    acme 20
    lease    acme 100 as=a          -> leased 20 from acme, overdraft 30
    spend    a 40                   -> drawn 20 from acme, overdraft 20
    giveback a
    expect   owed acme 20
    """


@lease_case
def test_frozen_and_closed_accounts(case: LedgerCase) -> None:
    """
    account  acme
    grant    acme 100
    lease    acme 50 as=l
    freeze   acme
    lease    acme 50 as=m           -> refused ACCOUNT_FROZEN account
    renew    l 60                   -> refused ACCOUNT_FROZEN account
    spend    l 10                   -> drawn 10 from acme
    unfreeze acme
    close    acme                   -> refused ACCOUNT_NOT_EMPTY account
    release  l                      -> refused HOLD_UNKNOWN hold_id
    capture  l 10                   -> refused HOLD_UNKNOWN hold_id
    extend   l lifetime=1h          -> refused HOLD_UNKNOWN hold_id
    lease    nobody 5 as=x          -> refused ACCOUNT_UNKNOWN account
    """


@lease_case
def test_what_is_not_there_or_too_much(case: LedgerCase) -> None:
    """
    account  acme
    account  other
    grant    acme 100
    renew    x 10                   -> refused LEASE_UNKNOWN lease_id
    spend    x 10                   -> refused LEASE_UNKNOWN lease_id
    giveback x                      -> refused LEASE_UNKNOWN lease_id
    recall   x 1                    -> refused LEASE_UNKNOWN lease_id
    lease    acme 5 of=case as=c    -> refused OUTCOME_EXPECTED product
    policy   other card=nothing
    lease    other 5 as=c           -> refused UNPRICED product
    hold     acme 5 as=h
    renew    h 10                   -> refused LEASE_UNKNOWN lease_id
    spend    h 10                   -> refused LEASE_UNKNOWN lease_id
    lease    acme 10 as=l
    spend    l 0                    -> refused QUANTITIES_ALL_ZERO quantities
    spend    l 1 at=+1d             -> refused IN_FUTURE effective_at_us
    spend    l 1 at=-40d            -> quarantined TOO_OLD
    expect   slice l 10
    """
    assert isinstance(case, LeaseCase)
    for place in range(LEASES_AN_ACCOUNT_MAX - 1):
        case.run(f"lease acme 1 as=l{place}")
    case.run("lease acme 1 as=more -> refused LEASES_LIMIT account")


def test_max_min_fair_shares() -> None:
    def shares(total: int, *wants: tuple[int, int, int]) -> dict[int, int]:
        return fair_shares(total, [Want(*each) for each in wants])

    assert shares(120, (1, 1000, 0), (2, 50, 0), (3, 10, 0)) == {1: 60, 2: 50, 3: 10}
    assert shares(100, (3, 90, 0), (1, 90, 0), (2, 90, 0)) == {1: 34, 2: 33, 3: 33}
    assert shares(2, (7, 9, 0), (8, 9, 0), (9, 9, 0)) == {7: 1, 8: 1, 9: 0}
    assert shares(1000, (1, 5, 5), (2, 6, 0)) == {1: 5, 2: 6}
    assert shares(-4, (1, 5, 0)) == {1: 0}
    assert shares(7) == {}


def test_a_share_that_is_of_no_use_is_for_those_who_came_first() -> None:
    """100 over four who want 90 each and need 40: two have 50, and nobody has 25."""
    wants = [Want(number, 90, 40) for number in (1, 2, 3, 4)]
    assert fair_shares(100, wants) == {1: 50, 2: 50, 3: 0, 4: 0}
    assert fair_shares(39, wants) == {1: 0, 2: 0, 3: 0, 4: 0}
    assert fair_shares(100, [*wants, Want(5, 90)]) == {1: 50, 2: 0, 3: 0, 4: 0, 5: 50}
    assert fair_shares(130, [*wants, Want(5, 90)]) == {1: 44, 2: 43, 3: 0, 4: 0, 5: 43}


def test_the_margin_is_a_tenth_of_the_term_within_bounds() -> None:
    assert margin_of(5 * SECOND_US) == SECOND_US
    assert margin_of(MINUTE_US) == 6 * SECOND_US
    assert margin_of(60 * MINUTE_US) == 30 * SECOND_US


@lease_case
def test_a_lease_below_another_account_grows_into_the_first_debt_of_its_own(
    case: LeaseCase,
) -> None:
    """
    account  acme
    account  app parent=acme overdraft=30
    grant    app 20
    lease    app 20 as=l                  -> leased 20 from app
    renew    l 50                         -> leased 20 from app, overdraft 30
    """
