"""Holds: reserved exactly, settled exactly once by every way out (rules H1 to H3, I2)."""

from __future__ import annotations

from ledger_case import LedgerCase, ledger_case


@ledger_case
def test_a_hold_counts_until_it_is_released(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  10
    hold    acme  6  as=h   -> held 6 from acme
    expect  available acme  4
    hold    acme  5  as=i   -> denied INSUFFICIENT_CREDITS
    release h               -> released
    expect  available acme  10
    """


@ledger_case
def test_capturing_less_gives_the_rest_back(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  10
    hold    acme  6  as=h
    capture h  2            -> drawn 2 from acme
    expect  available acme  8
    expect  held acme  0
    """


@ledger_case
def test_capturing_more_draws_the_excess_as_new_usage(case: LedgerCase) -> None:
    """
    account acme  overdraft=5
    grant   acme  10  as=a  priority=1
    grant   acme  10  as=b  priority=2
    hold    acme  8   as=h   -> held 8 from a
    capture h  12            -> drawn 10 from a, drawn 2 from b
    hold    acme  8   as=i   -> held 8 from b
    capture i  20            -> drawn 8 from b, overdraft 5, owed 7; 7 over the limit
    """


@ledger_case
def test_a_capture_takes_the_slices_of_the_hold_first(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  5  as=late   priority=9
    hold    acme  4  as=h      -> held 4 from late
    grant   acme  5  as=early  priority=1
    capture h  3               -> drawn 3 from late
    usage   acme  1            -> drawn 1 from early
    """


@ledger_case
def test_money_of_a_captured_hold_is_recognised_exactly(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  3  paid=100
    hold    acme  2  as=h
    usage   acme  1   -> drawn 1 from acme
    expect  recognised acme  33
    capture h  2      -> drawn 2 from acme
    expect  recognised acme  100
    """


@ledger_case
def test_holds_use_debt_only_where_the_policy_gives_it(case: LedgerCase) -> None:
    """
    account acme  overdraft=5 overage=self cap=4
    grant   acme  3
    hold    acme  13  as=h  -> denied INSUFFICIENT_CREDITS
    hold    acme  10  as=h  -> held 3 from acme, overdraft 5, overage 2 on acme
    hold    acme  3   as=i  -> denied INSUFFICIENT_CREDITS
    hold    acme  2   as=i  -> overage 2 on acme
    capture h  9            -> drawn 3 from acme, overdraft 5, overage 1 on acme
    release i
    hold    acme  4   as=j  -> denied INSUFFICIENT_CREDITS
    hold    acme  3   as=j  -> overage 3 on acme
    expect  owed acme  5
    expect  overage acme  1
    """


@ledger_case
def test_an_overdue_hold_is_expired_before_the_next_decision(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  10
    hold    acme  10  as=h
    clock   +15m
    hold    acme  10  as=i   -> hold expired; held 10 from acme
    """


@ledger_case
def test_the_sweep_expires_holds(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  10
    hold    acme  4  as=h  lifetime=60s
    hold    acme  4  as=i  lifetime=2m
    clock   +60s
    sweep                 -> hold expired
    expect  available acme  6
    clock   +1m
    sweep                 -> hold expired
    expect  holds acme  0
    """


@ledger_case
def test_a_capture_after_expiry_is_late_usage_once(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  10
    hold    acme  6  as=h
    clock   +15m
    capture h  4  id=c      -> hold expired; late, drawn 4 from acme
    capture h  4  id=c      -> replayed: late, drawn 4 from acme
    capture h  4            -> refused HOLD_SETTLED hold_id
    expect  left acme  6
    """


@ledger_case
def test_every_way_out_settles_once(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  20
    hold    acme  5  as=a
    capture a  5
    capture a  5    -> refused HOLD_SETTLED hold_id
    release a       -> refused HOLD_SETTLED hold_id
    hold    acme  5  as=b
    release b
    release b       -> refused HOLD_SETTLED hold_id
    capture b  5    -> refused HOLD_SETTLED hold_id
    hold    acme  5  as=c
    clock   +1d
    sweep           -> hold expired
    release c       -> refused HOLD_SETTLED hold_id
    """


@ledger_case
def test_a_settled_hold_is_remembered_as_long_as_its_keys(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  20
    hold    acme  5  as=a
    release a
    clock   +36d
    release a       -> refused HOLD_SETTLED hold_id
    clock   +7d
    release a       -> refused HOLD_UNKNOWN hold_id
    capture a  1    -> refused HOLD_UNKNOWN hold_id
    """


@ledger_case
def test_denials_and_holds_replay(case: LedgerCase) -> None:
    """
    account acme
    hold    acme  5  as=h  id=a  -> denied INSUFFICIENT_CREDITS
    grant   acme  20
    hold    acme  5  as=h  id=a  -> replayed: denied INSUFFICIENT_CREDITS
    hold    acme  6  as=h  id=a  -> refused CONFLICT quantities
    hold    acme  5  as=h  id=a  lifetime=5m  -> refused CONFLICT lifetime_us
    hold    acme  5  as=h  id=b  -> held 5 from acme
    hold    acme  5  as=h  id=b  -> replayed: held 5 from acme
    capture h  5  id=c           -> drawn 5 from acme
    capture h  5  id=c           -> replayed: drawn 5 from acme
    capture h  6  id=c           -> refused CONFLICT quantities
    capture h  5  id=c  at=+0s   -> refused CONFLICT effective_at_us
    release h  id=c              -> refused CONFLICT request
    """


@ledger_case
def test_a_hold_of_nothing(case: LedgerCase) -> None:
    """
    account acme
    hold    acme  5  as=h  of=free  -> free
    capture h  5                    -> free
    """


@ledger_case
def test_work_without_a_price_is_denied(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  20
    hold    acme  5  as=h  of=mystery  -> denied UNPRICED
    """


@ledger_case
def test_a_denial_is_recorded_with_more_available_than_fits_64_bits(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  9223372036854775807  as=a
    grant   acme  9223372036854775807  as=b
    hold    acme  5  as=h  of=mystery  -> denied UNPRICED
    """


@ledger_case
def test_the_number_of_open_holds_is_limited(case: LedgerCase) -> None:
    """
    account acme  holds=2
    grant   acme  20
    hold    acme  1  as=a
    hold    acme  1  as=b
    hold    acme  1  as=c  -> refused HOLDS_LIMIT account
    release a
    hold    acme  1  as=c  -> held 1 from acme
    """


@ledger_case
def test_a_capture_counts_at_the_time_that_it_gives(case: LedgerCase) -> None:
    """
    account acme  overage=self cap=10
    clock   +30d
    hold    acme  8  as=h  lifetime=24h  -> overage 8 on acme
    clock   +23h
    clock   +59m
    capture h  8            -> overage 8 on acme
    hold    acme  10 as=i  lifetime=24h  -> denied INSUFFICIENT_CREDITS
    clock   +1m
    hold    acme  10 as=i   -> overage 10 on acme
    capture i  10  at=+6m   -> refused IN_FUTURE effective_at_us
    capture i  10  at=-36d  -> refused TOO_OLD effective_at_us
    capture i  0            -> refused QUANTITIES_ALL_ZERO quantities
    capture i  1   at=+5m   -> overage 1 on acme
    """


@ledger_case
def test_a_closed_account_has_no_holds_to_settle(case: LedgerCase) -> None:
    """
    account acme  overdraft=5
    hold    acme  5  as=h
    close   acme            -> refused ACCOUNT_NOT_EMPTY account
    clock   +15m
    close   acme            -> hold expired; done
    capture h  5            -> refused ACCOUNT_CLOSED account
    capture h  5  at=-1m    -> late, overdraft 5
    """
