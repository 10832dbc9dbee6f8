"""What usage costs, when it counts, and what comes of it again (rules I1 to I4, R1, R8, B8, T2)."""

from __future__ import annotations

from ledger_case import LedgerCase, ledger_case


@ledger_case
def test_several_quantities_with_a_subset_and_a_threshold(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  100000
    usage   acme  of=gpt input=100 output=10             -> drawn 230 from acme
    usage   acme  of=gpt input=100 cached=40 output=10   -> drawn 190 from acme
    usage   acme  of=gpt input=1000 output=10            -> drawn 2030 from acme
    usage   acme  of=gpt input=1001 cached=1 output=10   -> drawn 4061 from acme
    """


@ledger_case
def test_rounding_is_cumulative_within_the_period(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  100
    usage   acme  1  of=half  -> free
    usage   acme  1  of=half  -> drawn 1 from acme
    usage   acme  1  of=half  -> drawn 1 from acme
    usage   acme  1  of=half  -> free
    usage   acme  4  of=half  -> drawn 2 from acme
    clock   +40d
    usage   acme  1  of=half  -> free
    """


@ledger_case
def test_a_late_event_rounds_in_its_own_period(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  100
    usage   acme  1  of=half           -> free
    clock   +31d
    usage   acme  1  of=half           -> free
    usage   acme  1  of=half  at=-30d  -> drawn 1 from acme
    usage   acme  1  of=half           -> drawn 1 from acme
    """


@ledger_case
def test_what_has_no_price_waits_and_the_rest_is_charged(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  100
    usage   acme  5  of=mystery          -> suspense
    usage   acme  of=chat input=5        -> suspense
    usage   acme  of=gpt input=5 output=0 -> drawn 10 from acme
    expect  suspended acme  2
    """


@ledger_case
def test_a_zero_price_is_free_and_not_unpriced(case: LedgerCase) -> None:
    """
    account acme
    usage   acme  5  of=free  -> free
    expect  suspended acme  0
    """


@ledger_case
def test_the_same_id_gives_the_first_outcome(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  100
    usage   acme  7  id=a  at=-1h   -> owed 7; 7 over the limit
    usage   acme  7  id=b           -> drawn 7 from acme
    usage   acme  7  id=b           -> replayed: drawn 7 from acme
    clock   +34d
    usage   acme  7  id=b           -> replayed: drawn 7 from acme
    expect  left acme  93
    """


@ledger_case
def test_another_body_under_the_same_id_is_a_conflict(case: LedgerCase) -> None:
    """
    account acme
    account other  parent=acme
    usage   acme  7  id=a  at=-1h  -> owed 7; 7 over the limit
    usage   acme  8  id=a  at=-1h  -> refused CONFLICT quantities
    usage   acme  7  id=a  at=-2h  -> refused CONFLICT effective_at_us
    usage   acme  7  id=a          -> refused CONFLICT effective_at_us
    usage   acme  7  id=a  at=-1h  of=image  -> refused CONFLICT product
    usage   other 7  id=a  at=-1h  -> refused CONFLICT account
    usage   acme  id=a  at=-1h  input=7 -> refused CONFLICT quantities
    usage   acme  7  id=b          -> owed 7; 7 over the limit
    usage   acme  7  id=b  at=+0s  -> refused CONFLICT effective_at_us
    """


@ledger_case
def test_a_key_is_known_for_as_long_as_its_event_may_come_again(case: LedgerCase) -> None:
    """
    account acme
    usage   acme  1  id=a  at=+5m   -> owed 1; 1 over the limit
    clock   +35d
    usage   acme  1  id=a  at=-34d  -> refused CONFLICT effective_at_us
    usage   acme  1  id=b  at=-35d  -> owed 1; 1 over the limit; adjustment
    clock   +5m
    usage   acme  1  id=a  at=-35d  -> replayed: owed 1
    clock   +8d
    usage   acme  1  id=a  at=-43d  -> quarantined TOO_OLD
    """


@ledger_case
def test_older_than_the_window_is_quarantined_and_replays(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  100
    usage   acme  7  id=a  at=-36d  -> quarantined TOO_OLD
    usage   acme  7  id=a  at=-36d  -> replayed: quarantined TOO_OLD
    usage   acme  8  id=a  at=-36d  -> refused CONFLICT quantities
    expect  left acme  100
    """


@ledger_case
def test_the_future_is_five_minutes_long(case: LedgerCase) -> None:
    """
    account acme
    usage   acme  1  id=a  at=+6m   -> refused IN_FUTURE effective_at_us
    usage   acme  1  id=a  at=+5m   -> owed 1; 1 over the limit
    """


@ledger_case
def test_what_was_refused_may_be_sent_again(case: LedgerCase) -> None:
    """
    account acme
    usage   acme  -1  id=a                         -> refused QUANTITY_INVALID quantities
    usage   acme  0   id=a                         -> refused QUANTITIES_ALL_ZERO quantities
    usage   acme  id=a  of=gpt input=1 cached=2    -> refused SUBSET_EXCEEDS_PARENT quantities
    usage   acme  4   id=a  of=huge                -> refused OVERFLOW quantities
    usage   acme  1   id=a                         -> owed 1; 1 over the limit
    """


@ledger_case
def test_an_abandoned_id_is_never_applied(case: LedgerCase) -> None:
    """
    account acme
    abandon acme  id=later
    grant   acme  5  id=later  -> refused CONFLICT request
    abandon acme  id=later     -> replayed: done
    expect  available acme  0
    """


@ledger_case
def test_a_closed_account_takes_earlier_usage_until_its_grace_ends(case: LedgerCase) -> None:
    """
    account acme
    close   acme
    clock   +2h
    usage   acme  1         -> refused ACCOUNT_CLOSED account
    usage   acme  1  at=-2h -> refused ACCOUNT_CLOSED account
    usage   acme  1  at=-3h -> owed 1; 1 over the limit
    clock   +23h
    usage   acme  1  at=-26h -> refused ACCOUNT_CLOSED account
    """


@ledger_case
def test_a_child_is_priced_by_the_nearest_card(case: LedgerCase) -> None:
    """
    account acme          card=usd  excess=absorb
    account acme/a        parent=acme
    account acme/a/b      parent=acme/a
    account acme/c        parent=acme card=default
    grant   acme/a/b  10  asset=usd
    grant   acme/c    10
    usage   acme/a/b  4  -> drawn 4 from acme/a/b
    usage   acme/c    4  -> drawn 4 from acme/c
    policy  acme
    usage   acme/a/b  4  -> owed 4; 4 over the limit
    policy  acme/a  card=usd
    usage   acme/a/b  4  -> drawn 4 from acme/a/b
    """


@ledger_case
def test_one_charge_fits_64_bits_and_totals_need_not(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  9223372036854775807
    usage   acme  9223372036854775808  -> refused OVERFLOW quantities
    usage   acme  9223372036854775806  -> drawn 9223372036854775806 from acme
    expect  left acme  1
    usage   acme  9223372036854775807  id=last -> drawn 1 from acme, owed 9223372036854775806; \
9223372036854775806 over the limit
    hold    acme  9223372036854775808  as=h -> refused OVERFLOW quantities
    expect  used chat  18446744073709551613
    """
