"""Holds that are extended, captured in parts and charged when they expire (rules H1 to H3, D6)."""

from __future__ import annotations

from ledger_case import LedgerCase, ledger_case
from test_verify_rules import judged

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.digest import digest
from ledger.core.packing import drop_family, pack_family, unpack_family
from ledger.core.state import HOLD_CAPTURED, HOLD_CHARGED, HOLD_EXPIRED, HOLD_RELEASED

# -- captures that leave the hold open -------------------------------------------------------------


@ledger_case
def test_several_captures_draw_from_the_hold_and_the_last_gives_the_rest_back(
    case: LedgerCase,
) -> None:
    """
    account acme
    grant   acme  10
    hold    acme  8  as=h
    capture h  3  open      -> drawn 3 from acme
    expect  reserved h  5
    expect  available acme  2
    capture h  1  open      -> drawn 1 from acme
    expect  reserved h  4
    capture h  2            -> drawn 2 from acme
    expect  holds acme  0
    expect  available acme  4
    capture h  1            -> refused HOLD_SETTLED hold_id
    capture h  1  open      -> refused HOLD_SETTLED hold_id
    """


@ledger_case
def test_captures_walk_through_the_slices_in_their_order(case: LedgerCase) -> None:
    """
    account acme  overdraft=5 overage=self
    grant   acme  3  as=a  priority=1
    grant   acme  4  as=b  priority=2
    hold    acme  15  as=h    -> held 3 from a, held 4 from b, overdraft 5, overage 3 on acme
    capture h  5  open        -> drawn 3 from a, drawn 2 from b
    expect  held a  0
    expect  held b  2
    grant   acme  9  as=c  priority=0  free
    capture h  4  open        -> drawn 2 from b, overdraft 2
    expect  available acme  9
    capture h  5  open        -> overdraft 3, overage 2 on acme
    expect  reserved h  1
    release h                 -> released
    expect  owed acme  5
    expect  overage acme  2
    expect  left c  9
    """


@ledger_case
def test_a_hold_that_stays_open_may_have_nothing_left(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  10  as=a  priority=1
    grant   acme  10  as=b  priority=2
    hold    acme  8  as=h     -> held 8 from a
    capture h  11  open       -> drawn 10 from a, drawn 1 from b
    expect  reserved h  0
    capture h  2  open        -> drawn 2 from b
    clock   +15m
    sweep                     -> hold expired
    expect  left b  7
    """


@ledger_case
def test_every_way_out_settles_what_captures_left(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  20
    hold    acme  5  as=a
    capture a  2  open
    release a       -> released
    release a       -> refused HOLD_SETTLED hold_id
    capture a  1    -> refused HOLD_SETTLED hold_id
    extend  a       -> refused HOLD_SETTLED hold_id
    hold    acme  5  as=b
    capture b  2  open
    clock   +15m
    sweep           -> hold expired
    release b       -> refused HOLD_SETTLED hold_id
    extend  b       -> refused HOLD_SETTLED hold_id
    expect  held acme  0
    expect  left acme  16
    """
    settled = case.core.state.families[1].settled
    assert [(hold.ended, hold.captured, hold.captures) for hold in settled.values()] == [
        (HOLD_RELEASED, 2, 1),
        (HOLD_EXPIRED, 2, 1),
    ]


@ledger_case
def test_late_captures_are_plain_usage_until_the_last(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  20
    hold    acme  6  as=h
    capture h  1  open
    clock   +15m
    capture h  4  open  id=a  -> hold expired; late, drawn 4 from acme
    capture h  4  open  id=a  -> replayed: late, drawn 4 from acme
    capture h  4  id=a        -> refused CONFLICT keep_open
    capture h  2  open        -> late, drawn 2 from acme
    capture h  1              -> late, drawn 1 from acme
    capture h  1              -> refused HOLD_SETTLED hold_id
    capture h  1  open        -> refused HOLD_SETTLED hold_id
    expect  left acme  12
    """


@ledger_case
def test_a_retried_capture_says_the_same_and_another_one_conflicts(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  20
    hold    acme  6  as=h
    capture h  2  open  id=a  -> drawn 2 from acme
    capture h  2  open  id=a  -> replayed: drawn 2 from acme
    capture h  2  id=a        -> refused CONFLICT keep_open
    capture h  3  open  id=a  -> refused CONFLICT quantities
    capture h  2  id=b        -> drawn 2 from acme
    capture h  2  open  id=b  -> refused CONFLICT keep_open
    extend  h  id=a           -> refused CONFLICT request
    expect  left acme  16
    """


@ledger_case
def test_invalid_captures_leave_the_hold_as_it_is(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  20
    hold    acme  6  as=h
    capture h  0  open            -> refused QUANTITIES_ALL_ZERO quantities
    capture h  -1  open           -> refused QUANTITY_INVALID quantities
    capture h  1  open  at=+6m    -> refused IN_FUTURE effective_at_us
    capture h  1  open  at=-36d   -> refused TOO_OLD effective_at_us
    expect  reserved h  6
    """


@ledger_case
def test_a_part_of_another_month_leaves_the_overage_held(case: LedgerCase) -> None:
    """
    # Overage was held against the cap of the authorisation's month (rule D4).
    account acme  overage=self cap=10
    clock   +30d
    clock   +23h
    hold    acme  6  as=h  lifetime=24h  -> overage 6 on acme
    clock   +2h
    capture h  3  open        -> overage 3 on acme
    expect  reserved h  6
    capture h  2  open  at=-3h  -> overage 2 on acme
    expect  reserved h  4
    expect  overage acme  5
    """


@ledger_case
def test_captures_in_parts_recognise_money_exactly(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  3  paid=100
    hold    acme  3  as=h
    capture h  1  open  -> drawn 1 from acme
    expect  recognised acme  33
    capture h  1  open  -> drawn 1 from acme
    expect  recognised acme  66
    capture h  1        -> drawn 1 from acme
    expect  recognised acme  100
    """


@ledger_case
def test_grants_that_end_meanwhile_keep_what_is_held(case: LedgerCase) -> None:
    """
    # Rule D6: void and expiry take the unheld part; what comes back later follows in its entry.
    account acme
    grant   acme  5  as=a  priority=1
    grant   acme  5  as=b  priority=2  expires=+1h
    hold    acme  8  as=h  lifetime=24h   -> held 5 from a, held 3 from b
    void    a                             -> a voided 0
    capture h  3  open                    -> drawn 3 from a
    expect  held a  2
    clock   +23h
    extend  h  lifetime=1h
    clock   +59m
    capture h  3  open                    -> drawn 2 from a, drawn 1 from b
    grant   acme  1  as=c
    void    b                             -> b voided 2
    release h                             -> released; b voided 2
    expect  left a  0
    expect  left b  0
    """


@ledger_case
def test_what_the_last_capture_leaves_of_ended_grants_follows(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  5  as=a  priority=1
    grant   acme  5  as=b  priority=2
    hold    acme  9  as=h     -> held 5 from a, held 4 from b
    void    a                 -> a voided 0
    void    b                 -> b voided 1
    capture h  2  open        -> drawn 2 from a
    capture h  1              -> drawn 1 from a; a voided 2; b voided 4
    expect  left a  0
    expect  left b  0
    """


@ledger_case
def test_a_free_hold_takes_several_captures(case: LedgerCase) -> None:
    """
    account acme
    hold    acme  5  as=h  of=free  -> free
    capture h  2  open              -> free
    capture h  2  open              -> free
    capture h  2                    -> free
    capture h  2                    -> refused HOLD_SETTLED hold_id
    """


# -- extending -------------------------------------------------------------------------------------


@ledger_case
def test_an_extended_hold_outlives_its_first_expiry(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  10
    hold    acme  6  as=h
    clock   +14m
    extend  h  id=a        -> extended
    extend  h  id=a        -> replayed: extended
    extend  h  id=a  lifetime=10m  -> refused CONFLICT lifetime_us
    clock   +14m
    sweep                  -> nothing
    expect  available acme  4
    capture h  1  open     -> drawn 1 from acme
    clock   +1m
    sweep                  -> hold expired
    expect  available acme  9
    """


@ledger_case
def test_extending_may_bring_the_expiry_forward(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  10
    hold    acme  6  as=h  lifetime=24h
    extend  h  lifetime=60s
    clock   +60s
    sweep                  -> hold expired
    """


@ledger_case
def test_a_hold_lives_a_day_from_its_authorisation_at_most(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  10
    hold    acme  1  as=h  lifetime=25h  -> refused HOLD_LIFETIME_INVALID lifetime_us
    hold    acme  1  as=h  lifetime=-1s  -> refused HOLD_LIFETIME_INVALID lifetime_us
    hold    acme  1  as=h  lifetime=24h
    clock   +23h
    extend  h  lifetime=2h               -> refused HOLD_LIFETIME_INVALID lifetime_us
    extend  h  lifetime=-1s              -> refused HOLD_LIFETIME_INVALID lifetime_us
    extend  h  lifetime=1h               -> extended
    clock   +50m
    extend  h                            -> refused HOLD_LIFETIME_INVALID lifetime_us
    clock   +10m
    extend  h  lifetime=1s               -> refused HOLD_SETTLED hold_id
    """


@ledger_case
def test_holds_of_batch_products_live_35_days(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  10
    hold    acme  1  as=h  of=batch  lifetime=36d  -> refused HOLD_LIFETIME_INVALID lifetime_us
    hold    acme  1  as=h  of=batch  lifetime=20d
    clock   +19d
    extend  h  lifetime=17d                        -> refused HOLD_LIFETIME_INVALID lifetime_us
    extend  h  lifetime=16d
    clock   +15d
    capture h  1                                   -> drawn 1 from acme
    """


@ledger_case
def test_an_unknown_hold_is_not_extended(case: LedgerCase) -> None:
    """
    account acme
    account beta
    grant   acme  10
    hold    acme  1  as=h
    """
    command = c.ExtendHold(b"k" * 16, case.accounts["beta"], 1, 0)
    assert case.execute(command)[1] == "refused HOLD_UNKNOWN hold_id"
    command = c.ExtendHold(b"k" * 16, 404, 1, 0)
    assert case.execute(command)[1] == "refused ACCOUNT_UNKNOWN account"


# -- expiry by the product's policy ----------------------------------------------------------------


@ledger_case
def test_the_estimate_is_charged_at_expiry_where_the_product_says_so(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  10  paid=100
    hold    acme  6  as=h  of=agent  -> held 6 from acme
    clock   +15m
    sweep                            -> hold expired, charged, drawn 6 from acme
    expect  available acme  4
    expect  recognised acme  60
    expect  used agent  6
    capture h  6                     -> refused HOLD_SETTLED hold_id
    release h                        -> refused HOLD_SETTLED hold_id
    """
    [settled] = case.core.state.families[1].settled.values()
    assert (settled.ended, settled.captured, settled.captures) == (HOLD_CHARGED, 6, 0)
    [charged] = [
        event
        for _, batch in case.core.batches
        for event in batch
        if isinstance(event, e.HoldCharged)
    ]
    assert (charged.quantities, charged.charges, charged.key) == ((6,), (6,), b"")
    assert charged.effective_at == settled.expires_at


@ledger_case
def test_only_what_was_not_captured_is_charged(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  10
    hold    acme  6  as=h  of=agent
    capture h  4  open     -> drawn 4 from acme
    clock   +15m
    sweep                  -> hold expired, charged, drawn 2 from acme
    hold    acme  4  as=i  of=agent
    capture i  4  open     -> drawn 4 from acme
    clock   +15m
    sweep                  -> hold expired
    expect  left acme  0
    """


@ledger_case
def test_a_capture_or_release_in_time_charges_no_estimate(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  10
    hold    acme  4  as=h  of=agent
    hold    acme  4  as=i  of=agent
    capture h  1           -> drawn 1 from acme
    release i              -> released
    clock   +1d
    sweep                  -> nothing
    expect  left acme  9
    """
    ended = [hold.ended for hold in case.core.state.families[1].settled.values()]
    assert ended == [HOLD_CAPTURED, HOLD_RELEASED]


@ledger_case
def test_each_quantity_is_charged_by_what_is_left_of_it(case: LedgerCase) -> None:
    """
    # input 2, cached (part of input) 1, output 3; 4 and 6 above a prompt of 1,000
    account acme
    grant   acme  20000
    hold    acme  as=h  of=agent  input=1100 cached=100 output=10  -> held 4160 from acme
    capture h  open  input=600 cached=50 output=10                 -> drawn 1180 from acme
    clock   +15m
    sweep                           -> hold expired, charged, drawn 1850 from acme
    """


@ledger_case
def test_parts_are_charged_as_far_as_their_whole_is_left(case: LedgerCase) -> None:
    """
    # Of 10 input tokens 9 were captured, none of their 5 cached ones: one is left, cached (R8).
    account acme
    grant   acme  100
    hold    acme  as=h  of=agent  input=10 cached=5  -> held 15 from acme
    capture h  open  input=9 cached=0                -> drawn 18 from acme
    clock   +15m
    sweep                           -> hold expired, charged, drawn 1 from acme
    """


@ledger_case
def test_what_is_charged_at_expiry_goes_on_from_the_running_totals(case: LedgerCase) -> None:
    """
    # 1/3 a token, half-even over the month (rule R1): each hold alone rounds to nothing.
    account acme
    grant   acme  100
    hold    acme  1  as=a  of=third  -> free
    hold    acme  1  as=b  of=third  -> free
    hold    acme  1  as=c  of=third  -> free
    clock   +15m
    sweep    -> hold expired, charged; hold expired, charged, drawn 1 from acme; hold expired, charged
    usage   acme  3  of=third  -> drawn 1 from acme
    hold    acme  4  as=d  of=third  -> held 1 from acme
    capture d  2  open               -> drawn 1 from acme
    """  # noqa: E501
    assert judged(case.core) == []


@ledger_case
def test_a_charge_at_expiry_may_exceed_the_limits_and_says_so(case: LedgerCase) -> None:
    """
    # Held as overage of January, charged in February, whose cap is used up.
    account acme  overage=self cap=6
    clock   +30d
    clock   +23h
    hold    acme  6  as=h  of=agent  lifetime=2h  -> overage 6 on acme
    clock   +2h
    policy  acme  overage=self cap=4
    """
    told = [
        case.tell(event)
        for _, batch in case.core.batches
        for event in batch
        if isinstance(event, e.HoldCharged | e.LimitExceeded)
    ]
    assert told == ["hold expired, charged, owed 6", "6 over the limit"]


@ledger_case
def test_an_overdue_hold_is_charged_before_the_next_decision(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  10
    hold    acme  6  as=h  of=agent
    clock   +15m
    hold    acme  5  as=i   -> hold expired, charged, drawn 6 from acme; denied INSUFFICIENT_CREDITS
    """


@ledger_case
def test_a_charged_hold_draws_from_grants_that_ended_meanwhile(case: LedgerCase) -> None:
    """
    # What is held stays payable; what comes back of it follows the rest (rule D6).
    account acme
    grant   acme  5  as=a  priority=1
    grant   acme  5  as=b  priority=2
    hold    acme  9  as=h  of=agent   -> held 5 from a, held 4 from b
    void    a                         -> a voided 0
    void    b                         -> b voided 1
    capture h  7  open                -> drawn 5 from a, drawn 2 from b
    clock   +15m
    sweep                             -> hold expired, charged, drawn 2 from b
    expect  left b  0
    """


@ledger_case
def test_what_was_agreed_at_the_authorisation_stands(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  20
    hold    acme  6  as=h  of=agent
    hold    acme  6  as=i
    """
    state = case.core.state
    before = digest(state)
    body = pack_family(state, 1, state.settled_before)
    drop_family(state, 1)
    unpack_family(state, body)
    assert pack_family(state, 1, state.settled_before) == body
    assert digest(state) == before
    first, second = state.holds.values()
    assert first.estimate is not None and first.estimate.quantities == (6,)
    assert second.estimate is None
    case.run(
        """
        capture h  2  open      -> drawn 2 from acme
        clock   +15m
        sweep                   -> hold expired, charged, drawn 4 from acme; hold expired
        """
    )


# -- debt only where the policy says so ------------------------------------------------------------


@ledger_case
def test_holds_draw_no_overdraft_where_the_policy_keeps_it_for_usage(case: LedgerCase) -> None:
    """
    # Rule H3.
    account acme  overdraft=5 holds_overdraft=no
    grant   acme  3
    hold    acme  4  as=h   -> denied INSUFFICIENT_CREDITS
    hold    acme  3  as=h   -> held 3 from acme
    capture h  5            -> drawn 3 from acme, overdraft 2
    usage   acme  3         -> overdraft 3
    """
    [denied] = [e_ for _, b in case.core.batches for e_ in b if isinstance(e_, e.AuthorizeDenied)]
    assert denied.available == 3


@ledger_case
def test_holds_draw_no_overage_where_the_policy_keeps_it_for_usage(case: LedgerCase) -> None:
    """
    account acme  overdraft=2 overage=self holds_overage=no
    grant   acme  3
    hold    acme  6  as=h   -> denied INSUFFICIENT_CREDITS
    hold    acme  5  as=h   -> held 3 from acme, overdraft 2
    capture h  7            -> drawn 3 from acme, overdraft 2, overage 2 on acme
    policy  acme  overage=self holds_overdraft=no
    hold    acme  1  as=i   -> overage 1 on acme
    """
