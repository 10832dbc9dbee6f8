"""Corrections: recorded usage given back (rules D3, R1, B8, T2)."""

from __future__ import annotations

from core_world import FAMILY, TENANT, card
from ledger_case import LedgerCase, ledger_case
from test_correction_properties import look_at

from ledger.core.drawing.unwinding import share_of
from ledger.core.events import GrantKind, UsageRecorded, UsageReversed
from ledger.core.limits import DAY_US
from rating.card import PriceRow
from rating.compile import CompiledCard
from rating.versions import CardVersion


@ledger_case
def test_a_reversal_gives_back_last_in_first_out(case: LedgerCase) -> None:
    """
    # rule D3: take 4 from G10 then 6 from G15; give back 8: 6 to G15, then 2 to G10
    account acme
    grant   acme 4  as=G10 priority=10
    grant   acme 9  as=G15 priority=15
    usage   acme 10 id=u            -> drawn 4 from G10, drawn 6 from G15
    policy  acme order=stripe_1     # today's order rewrites nothing
    reverse u 8                     -> 6 to G15, 2 to G10
    expect  left G15 9
    expect  left G10 2
    expect  available acme 11
    reverse u                       -> 2 to G10
    expect  left G10 4
    expect  used chat 10            # posted counters only grow: 10 went out again
    reverse u                       -> refused CORRECTION_TOO_LARGE quantities
    """


@ledger_case
def test_what_is_given_back_is_drawn_again(case: LedgerCase) -> None:
    """
    account acme
    grant   acme 10 as=G paid=7
    usage   acme 10 id=u      -> drawn 10 from G
    expect  recognised G 7
    reverse u 10              -> 10 to G worth 7
    expect  recognised G 0
    usage   acme 10           -> drawn 10 from G
    expect  recognised G 7
    """


@ledger_case
def test_money_follows_what_is_drawn(case: LedgerCase) -> None:
    """
    # rule B4: recognised is floor(P x drawn / A) whatever comes back in which order
    account acme
    grant   acme 3 as=G paid=10
    usage   acme 1 id=a
    usage   acme 1 id=b
    usage   acme 1 id=c
    expect  recognised G 10
    reverse a                 -> 1 to G worth 4
    expect  recognised G 6
    reverse c                 -> 1 to G worth 3
    reverse b                 -> 1 to G worth 3
    expect  recognised G 0
    """


@ledger_case
def test_parts_add_up(case: LedgerCase) -> None:
    """
    account acme
    grant   acme 100 as=G paid=33
    usage   acme 10 id=u
    reverse u 3 -> 3 to G worth 1
    reverse u 3 -> 3 to G worth 1
    reverse u 5 -> refused CORRECTION_TOO_LARGE quantities
    reverse u 4 -> 4 to G worth 1
    expect  recognised G 0
    expect  left G 100
    """


@ledger_case
def test_quantities_of_several_lines(case: LedgerCase) -> None:
    """
    # rule R8: cached is part of input, and what stays must fit together
    account acme
    grant   acme 1000 as=G
    usage   acme of=gpt cached=40 input=100 output=10 id=u -> drawn 190 from G
    reverse u input=80                      -> refused SUBSET_EXCEEDS_PARENT quantities
    reverse u cached=40                     -> refused SUBSET_EXCEEDS_PARENT quantities
    reverse u input=10 output=10            -> 50 to G
    reverse u input=40 cached=40            -> 40 to G
    reverse u                               -> 100 to G
    expect  left G 1000
    """


@ledger_case
def test_a_large_prompt_is_refunded_at_its_price(case: LedgerCase) -> None:
    """
    account acme
    grant   acme 10000 as=G
    usage   acme of=gpt cached=0 input=1001 output=0 id=u -> drawn 4004 from G
    reverse u input=1                       -> 4 to G
    reverse u                               -> 4000 to G
    """


@ledger_case
def test_a_refund_is_the_end_of_the_total(case: LedgerCase) -> None:
    """
    # rule R1: F(Q) - F(Q - q) with F(Q) = Q / 2, half to even: 0 0 1 2 2 2 3
    account acme
    grant   acme 100 as=G
    usage   acme 1 of=half id=a -> free
    usage   acme 2 of=half id=b -> drawn 2 from G
    usage   acme 3 of=half id=c -> drawn 1 from G
    reverse b                   -> 1 to G
    reverse c                   -> 1 to G, 1 to G  # the second is what b was not refunded
    expect  left G 100
    reverse a                   -> nothing
    usage   acme 3 of=half      -> drawn 2 from G
    """


@ledger_case
def test_what_rounding_put_on_another_event_comes_back_too(case: LedgerCase) -> None:
    """
    # F(2) - F(1) = 1, though the event that is reversed was charged nothing
    account acme
    grant   acme 100 as=G paid=100
    usage   acme 1 of=half id=a -> free
    usage   acme 1 of=half id=b -> drawn 1 from G
    reverse a                   -> 1 to G worth 1
    reverse b                   -> nothing
    expect  left G 100
    expect  recognised G 0
    """


@ledger_case
def test_what_rounding_put_elsewhere_never_comes_back_to_a_grant_that_could_not_have_paid(
    case: LedgerCase,
) -> None:
    """
    # rule D1: neither what the parent keeps for itself nor what is for another tag pays for acme/a
    account acme
    grant   acme 100 as=P
    usage   acme 10             -> drawn 10 from P
    account acme/a parent=acme excess=absorb
    grant   acme/a 10 as=T tags=text
    adjust  acme/a -5 grant=T
    usage   acme/a 1 of=half id=a -> free
    usage   acme/a 1 of=half id=b -> absorbed 1; 1 over the limit
    reverse a                   -> nothing
    expect  left P 90
    expect  left T 5
    """


@ledger_case
def test_a_total_that_runs_on_under_another_price_gives_all_back_in_the_reverse_order(
    case: LedgerCase,
) -> None:
    """
    # rule R1: F(Q) = Q / 2 up to Q = 2, then 2Q / 3 over the same total
    account acme
    grant   acme 100 as=G
    usage   acme 2 of=half id=a  -> drawn 1 from G
    override acme half:2/3
    usage   acme 5 of=half id=b  -> drawn 4 from G
    usage   acme 9 of=half id=c  -> drawn 6 from G
    reverse c                    -> 6 to G
    reverse b                    -> 4 to G
    reverse a                    -> 1 to G
    expect  left G 100
    """


@ledger_case
def test_a_total_that_ran_on_under_another_price_keeps_its_remainder_in_another_order(
    case: LedgerCase,
) -> None:
    """
    # the 14 at 2/3 are 28/3: 10 where the total went from 2 to 16, 9 where it goes from 14 to 0.
    # Less than a unit for each change of the price stays drawn (rules N2, R1)
    account acme
    grant   acme 100 as=G
    usage   acme 2 of=half id=a  -> drawn 1 from G
    override acme half:2/3
    usage   acme 5 of=half id=b  -> drawn 4 from G
    usage   acme 9 of=half id=c  -> drawn 6 from G
    reverse a                    -> 1 to G
    reverse b                    -> 3 to G
    reverse c                    -> 6 to G
    expect  left G 99
    """


@ledger_case
def test_what_rounding_put_on_overage_or_overdraft_comes_back_from_there(case: LedgerCase) -> None:
    """
    # no grant paid for it: the month's overage takes it back, else what is owed in advance
    account acme overage=self
    usage   acme 1 of=half id=a -> free
    usage   acme 1 of=half id=b -> overage 1 on acme
    reverse a                   -> 1 to overage
    reverse b                   -> nothing
    account bolt overdraft=20
    usage   bolt 1 of=half id=c -> free
    usage   bolt 1 of=half id=d -> overdraft 1
    reverse c                   -> 1 to advance
    reverse d                   -> nothing
    publish card=usd half=1/2
    account cent overage=self card=usd
    usage   cent 1 of=half id=e -> free
    usage   cent 1 of=half id=f -> overage 1 on cent
    reverse e                   -> 1 to overage worth 1
    reverse f                   -> nothing
    """


@ledger_case
def test_what_rounding_put_on_a_conversion_never_comes_back_from_overage(case: LedgerCase) -> None:
    """
    # b alone drew the overage: it would fall below zero, had the reversal of a taken of it
    account acme overage=self settles=usd
    usage   acme 1 of=half id=a -> free
    usage   acme 1 of=half id=b -> overage 1 on acme
    rate    credits usd 3/1
    usage   acme 1 of=half id=c
    reverse a                   -> nothing
    reverse b                   -> 1 to overage
    """


@ledger_case
def test_goodwill_gives_back_what_was_charged(case: LedgerCase) -> None:
    """
    account acme
    grant   acme 100 as=G
    usage   acme 10 id=u
    reverse u charged=4   -> 4 to G
    reverse u charged=7   -> refused CORRECTION_TOO_LARGE as_charged
    reverse u             -> 6 to G
    expect  left G 100
    reverse u charged=1   -> refused CORRECTION_TOO_LARGE as_charged
    """


@ledger_case
def test_an_expired_grant_is_restored(case: LedgerCase) -> None:
    """
    account acme
    grant   acme 10 as=G paid=25 expires=+2d for=chat
    usage   acme 4 id=u
    clock   +2d
    reverse u 1           -> 1 to G+ worth 3
    expect  recognised G 7
    clock   +1d
    sweep                 -> G expired 6
    expect  available acme 1
    usage   acme 1        -> drawn 1 from G+
    expect  recognised G+ 3
    usage   acme 1 of=image -> owed 1; 1 over the limit
    """
    assert case.grant("G+").products == {"chat"}
    assert case.grant("G+").expires_at == case.grant("G").expires_at + 30 * 86_400_000_000


@ledger_case
def test_a_restored_grant_expires_in_its_turn(case: LedgerCase) -> None:
    """
    account acme
    grant   acme 10 as=G paid=25 expires=+2d
    usage   acme 4 id=u
    clock   +4d
    sweep                 -> G expired 6
    reverse u             -> 4 to G+ worth 10
    clock   +32d
    sweep                 -> G+ expired 4
    expect  available acme 0
    """


@ledger_case
def test_what_had_gone_onward_goes_onward(case: LedgerCase) -> None:
    """
    account acme
    grant   acme 10 as=E expires=+2d priority=1
    grant   acme 10 as=V priority=2
    usage   acme 13 id=u            -> drawn 10 from E, drawn 3 from V
    void    V
    clock   +4d
    sweep                           -> E expired 0
    reverse u 5 ended=onward        -> 3 to funding, 2 to forfeited
    reverse u                       -> 8 to E+
    expect  available acme 8
    """


@ledger_case
def test_a_voided_grant_without_an_end_is_restored_without_one(case: LedgerCase) -> None:
    """
    account acme
    grant   acme 10 as=V paid=10
    usage   acme 3 id=u
    void    V
    reverse u  -> 3 to V+ worth 3
    void    V+ -> V+ voided 3
    reverse u  -> refused CORRECTION_TOO_LARGE quantities
    """
    assert case.grant("V+").expires_at == case.grant("V").expires_at


@ledger_case
def test_a_debt_that_is_still_owed_is_owed_no_more(case: LedgerCase) -> None:
    """
    account acme overdraft=100
    usage   acme 30 id=a -> overdraft 30
    usage   acme 20 id=b -> overdraft 20
    reverse a 10         -> 10 to advance
    expect  owed acme 40
    grant   acme 15 as=G -> issued, repaid 15
    reverse b            -> 20 to advance
    expect  owed acme 5
    reverse a            -> 5 to advance, 15 to G
    expect  owed acme 0
    expect  available acme 115
    """


@ledger_case
def test_a_debt_that_was_repaid_goes_to_the_grant_that_repaid_it(case: LedgerCase) -> None:
    """
    account acme overdraft=100
    usage   acme 10 id=a -> overdraft 10
    grant   acme 4 as=G paid=4 -> issued, repaid 4
    usage   acme 5 id=b  -> overdraft 5
    grant   acme 20 as=H paid=40 -> issued, repaid 11
    usage   acme 9 id=c  -> drawn 9 from H
    usage   acme 7 id=d  -> overdraft 7
    reverse a            -> 6 to H worth 12, 4 to G worth 4
    expect  recognised G 0
    reverse b            -> 5 to H worth 10
    expect  owed acme 7
    reverse d            -> 7 to advance
    reverse c            -> 9 to H worth 18
    expect  left H 20
    expect  recognised H 0
    """


@ledger_case
def test_overdraft_and_what_lies_beyond_it_are_one_debt(case: LedgerCase) -> None:
    """
    account acme overdraft=3
    usage   acme 10 id=a -> overdraft 3, owed 7; 7 over the limit
    grant   acme 4 as=G  -> issued, repaid 4
    reverse a 8          -> 6 to advance, 1 to G, 1 to G
    reverse a            -> 2 to G
    expect  owed acme 0
    """


@ledger_case
def test_overage_falls_with_its_counter(case: LedgerCase) -> None:
    """
    account acme
    account acme/a parent=acme overage=parent cap=10
    usage   acme/a 10 id=u -> overage 10 on acme
    usage   acme/a 1       -> owed 1; 1 over the limit
    policy  acme/a overage=self cap=10   # the payer is the one that was recorded
    reverse u 4            -> 4 to overage
    expect  overage acme 6
    usage   acme/a 4       -> overage 4 on acme/a
    """


@ledger_case
def test_what_was_absorbed_goes_back(case: LedgerCase) -> None:
    """
    account acme excess=absorb
    usage   acme 5 id=u -> absorbed 5; 5 over the limit
    reverse u           -> 5 to promotion
    """


@ledger_case
def test_suspense_is_settled_by_a_whole_reversal(case: LedgerCase) -> None:
    """
    # rule B8: nothing was charged, and nothing waits any more
    account acme
    usage   acme 5 of=unknown id=u -> suspense
    expect  suspended acme 1
    reverse u 2                    -> nothing
    expect  suspended acme 1
    reverse u                      -> nothing
    expect  suspended acme 0
    """


@ledger_case
def test_what_cannot_be_reversed(case: LedgerCase) -> None:
    """
    account acme
    account acme/a parent=acme
    grant   acme 100 as=G
    usage   acme 5 id=u
    usage   acme 5 at=-36d id=old -> quarantined TOO_OLD
    reverse u id=r                -> 5 to G
    reverse r                     -> refused NOT_REVERSIBLE entry
    reverse old                   -> refused NOT_REVERSIBLE entry
    reverse u id=r                -> replayed: 5 to G
    reverse u 1 id=r              -> refused CONFLICT quantities
    reverse u charged=1 id=r      -> refused CONFLICT as_charged
    reverse u ended=onward id=r   -> refused CONFLICT ended_grants
    usage   acme 5 id=v
    reverse v id=r                -> refused CONFLICT original
    """


@ledger_case
def test_400_days_and_no_more(case: LedgerCase) -> None:
    """
    account acme
    grant   acme 100 as=G
    usage   acme 5 id=u
    reverse u 1          -> 1 to G
    clock   +400d
    reverse u 1          -> 1 to G; adjustment
    reverse u charged=4  -> refused CORRECTION_TOO_LARGE as_charged
    clock   +1s
    reverse u 1          -> refused CORRECTION_TOO_OLD entry
    """


@ledger_case
def test_a_captured_hold_is_reversed_like_any_usage(case: LedgerCase) -> None:
    """
    account acme
    grant   acme 10 as=G
    hold    acme 8 as=h
    capture h 5 id=cap -> drawn 5 from G
    """
    case._keep("cap", case_request("cap"))
    case.run("reverse cap -> 5 to G")
    assert case.grant("G").book.available == 10


@ledger_case
def test_each_part_of_a_hold_is_reversed_by_itself(case: LedgerCase) -> None:
    """
    account acme
    grant   acme 4 as=A priority=1 paid=40
    grant   acme 6 as=B priority=2
    hold    acme 8 as=h
    capture h 3 open id=one
    capture h 4 id=two
    """
    for called in ("one", "two"):
        case._keep(called, case_request(called))
    case.run("reverse one -> 3 to A worth 30")
    case.run("reverse two -> 3 to B, 1 to A worth 10")
    assert case.account("acme").first is not None
    assert look_at(case.core) == []


@ledger_case
def test_the_corrections_of_a_closed_account(case: LedgerCase) -> None:
    """
    account acme overage=self
    grant   acme 5 as=G
    usage   acme 5 id=u
    clock   +1s
    close   acme
    reverse u 1    -> 1 to G
    clock   +24h
    reverse u 1    -> refused ACCOUNT_CLOSED account
    """


# -- periods (rule T2) ---------------------------------------------------------------------------


@ledger_case
def test_a_late_event_belongs_to_its_period_until_grace_ends(case: LedgerCase) -> None:
    """
    # January begins at the start; F(Q) = Q / 2 tells whose total an event counts in
    account acme overage=self cap=10
    grant   acme 1 as=G
    clock   +31d
    usage   acme 1 of=half at=-1h  -> free
    clock   +23h
    usage   acme 2 of=half at=-24h -> drawn 1 from G, overage 1 on acme
    clock   +1h
    usage   acme 8 at=-25h         -> overage 8 on acme; adjustment
    usage   acme 2                 -> overage 2 on acme
    usage   acme 1                 -> owed 1; 1 over the limit
    """


@ledger_case
def test_a_reversal_of_a_closed_period_is_an_adjustment_in_the_open_one(case: LedgerCase) -> None:
    """
    account acme overage=self cap=10
    usage   acme 10 id=u  -> overage 10 on acme
    clock   +32d
    reverse u 4           -> 4 to overage; adjustment
    usage   acme 11       -> overage 10 on acme, owed 1; 1 over the limit
    """


# -- amendments ----------------------------------------------------------------------------------


@ledger_case
def test_an_amendment_gives_back_and_records_anew_at_once(case: LedgerCase) -> None:
    """
    account acme
    grant   acme 10 as=G paid=100
    usage   acme 10 id=u
    amend   u 4 as=v id=r           -> 10 to G worth 100; drawn 4 from G
    expect  left G 6
    expect  recognised G 40
    amend   u 4 as=v id=r           -> replayed: 10 to G worth 100
    amend   u 5 as=v id=r           -> refused CONFLICT replacement
    amend   u 4 as=w id=r           -> refused CONFLICT replacement.id
    reverse u id=r                  -> refused CONFLICT request
    amend   u 4 as=x                -> refused CORRECTION_TOO_LARGE quantities
    amend   v 7 as=u                -> refused CONFLICT replacement.id
    amend   v 7 as=w of=image       -> 4 to G worth 40; drawn 7 from G
    usage   acme 4 id=v at=+0s      -> replayed: drawn 4 from G
    """
    entries = [event for _, batch in case.core.batches for event in batch]
    reversals = [event for event in entries if isinstance(event, UsageReversed)]
    recorded = {event.key for event in entries if isinstance(event, UsageRecorded)}
    assert len(reversals) == 2
    assert {event.replaced_by for event in reversals} < recorded


@ledger_case
def test_an_amendment_that_is_invalid_in_part_changes_nothing(case: LedgerCase) -> None:
    """
    account acme
    grant   acme 10 as=G
    usage   acme 10 id=u
    amend   u 0 as=v                -> refused QUANTITIES_ALL_ZERO quantities
    amend   u 4 as=v at=+1h         -> refused IN_FUTURE effective_at_us
    amend   u 4 as=v of=huge        -> refused OVERFLOW quantities
    amend   u 4 as=v at=-401d       -> refused CORRECTION_TOO_OLD effective_at_us
    expect  left G 0
    """


@ledger_case
def test_what_is_older_than_the_window_is_amended_at_its_time(case: LedgerCase) -> None:
    """
    account acme
    grant   acme 10 as=G
    usage   acme 10 id=u
    clock   +100d
    amend   u 3 as=v -> 10 to G; adjustment; drawn 3 from G; adjustment
    reverse v        -> 3 to G; adjustment
    expect  left G 10
    """


# -- manual adjustments --------------------------------------------------------------------------


@ledger_case
def test_a_credit_by_hand_is_a_free_grant(case: LedgerCase) -> None:
    """
    # rule B3: debit promotion, credit grant
    account acme
    adjust  acme 7 id=r expires=+2d as=M -> issued; credited
    adjust  acme 7 id=r expires=+2d      -> replayed: credited
    adjust  acme 8 id=r expires=+2d      -> refused CONFLICT amount
    expect  available acme 7
    usage   acme 5                       -> drawn 5 from M
    clock   +4d
    sweep                                -> M expired 2
    """
    assert case.grant("M").kind == GrantKind.PROMOTIONAL


@ledger_case
def test_a_credit_by_hand_goes_back_to_a_grant(case: LedgerCase) -> None:
    """
    account acme
    grant   acme 10 as=G paid=25
    usage   acme 6
    adjust  acme 7 grant=G         -> refused CORRECTION_TOO_LARGE amount
    adjust  acme 4 grant=G id=r    -> 4 to G worth 10
    adjust  acme 4 id=r            -> refused CONFLICT grant_id
    expect  left G 8
    expect  recognised G 5
    void    G
    adjust  acme 1 grant=G         -> refused GRANT_SETTLED grant_id
    """


@ledger_case
def test_a_grant_that_recognised_less_than_it_keeps_gives_no_money_back(case: LedgerCase) -> None:
    """
    # Rules B4, F2: refunds round down, so what is left is dearer: 9 for 12 units, of which 3 stay
    # drawn, is 2, and 1 was recognised. The next draw makes up for it.
    account acme
    grant   acme 20 as=G paid=9
    usage   acme 4 id=u
    expect  recognised G 1
    refund  G 4  -> 4 units back, refunded 1
    refund  G 1  -> 1 units back, refunded 0
    refund  G 1  -> 1 units back, refunded 0
    refund  G 1  -> 1 units back, refunded 0
    refund  G 1  -> 1 units back, refunded 0
    reverse u 1
    expect  recognised G 1
    adjust  acme 1 grant=G
    expect  recognised G 1
    usage   acme 1
    expect  recognised G 2
    usage   acme 9
    expect  recognised G 8
    """
    assert look_at(case.core) == []


@ledger_case
def test_what_was_credited_by_hand_is_not_given_twice(case: LedgerCase) -> None:
    """
    account acme
    grant   acme 10 as=G paid=10
    usage   acme 6 id=u
    adjust  acme 4 grant=G   -> 4 to G worth 4
    reverse u 1              -> 1 to G worth 1
    reverse u                -> 1 to G worth 1
    expect  left G 10
    reverse u                -> refused CORRECTION_TOO_LARGE quantities
    """
    assert look_at(case.core) == []


def test_what_goes_with_the_units_of_a_slice_goes_back_exactly() -> None:
    """The provider's cost, and the price of overage (rule B4): over all parts it is the whole."""
    for whole, amount in ((7, 10), (10, 7), (0, 3), (1, 9)):
        parts = [share_of(whole, earlier, 1, amount) for earlier in range(amount)]
        assert sum(parts) == whole and min(parts) >= 0
        assert share_of(whole, 0, amount, amount) == whole


@ledger_case
def test_a_debit_by_hand_is_drawn(case: LedgerCase) -> None:
    """
    account acme overdraft=5
    grant   acme 4 as=A paid=8 priority=1
    grant   acme 6 as=B priority=2
    adjust  acme -7         -> drawn 4 from A, drawn 3 from B
    expect  recognised A 8
    expect  used adjustment 7
    adjust  acme -2 grant=B -> drawn 2 from B
    adjust  acme -2 grant=B -> refused INSUFFICIENT_CREDITS amount
    adjust  acme -3         -> drawn 1 from B, overdraft 2
    adjust  acme -4         -> refused INSUFFICIENT_CREDITS amount
    grant   acme 10 as=C    -> issued, repaid 2
    """


@ledger_case
def test_nothing_is_debited_from_a_grant_that_was_refunded_whole(case: LedgerCase) -> None:
    """
    # Rules D4, F2: it is open still, but no unit of it is left that its price could be spread over.
    account acme
    grant   acme 10 paid=5
    refund  acme      -> 10 units back, refunded 5
    adjust  acme -3 grant=acme  -> refused INSUFFICIENT_CREDITS amount
    adjust  acme -3             -> refused INSUFFICIENT_CREDITS amount
    """


@ledger_case
def test_adjustments_that_make_no_sense_are_refused(case: LedgerCase) -> None:
    """
    account acme
    account other
    grant   other 5 as=O
    adjust  acme 0                  -> refused AMOUNT_INVALID amount
    adjust  acme -1 expires=+1d     -> refused EXPIRY_INVALID expires_at_us
    adjust  acme 1 expires=-1d      -> refused EXPIRY_INVALID expires_at_us
    adjust  acme 1 grant=O          -> refused GRANT_UNKNOWN grant_id
    adjust  acme -1 grant=O asset=usd -> refused GRANT_UNKNOWN grant_id
    adjust  nobody 1                -> refused ACCOUNT_UNKNOWN account
    close   acme
    adjust  acme 1                  -> refused ACCOUNT_CLOSED account
    """


# -- late events (rule D5) -----------------------------------------------------------------------


@ledger_case
def test_a_late_event_draws_from_what_is_there_now_among_grants_of_its_time(
    case: LedgerCase,
) -> None:
    """
    account acme
    grant   acme 5 as=OLD expires=+2d priority=2
    clock   +1d
    grant   acme 5 as=NEW priority=1
    clock   +47h
    usage   acme 1 at=-1h          -> drawn 1 from NEW
    usage   acme 1 at=-24h         -> drawn 1 from NEW  # both are effective then: priority decides
    usage   acme 1 at=-48h         -> drawn 1 from OLD  # before NEW, and OLD is in its grace (T3)
    clock   +1h
    sweep                          -> OLD expired 4
    usage   acme 1 at=-49h         -> owed 1; 1 over the limit
    """


@ledger_case
def test_a_late_event_is_priced_by_the_rate_then_in_force(case: LedgerCase) -> None:
    """
    account acme
    grant   acme 100 as=G
    clock   +2d
    """
    catalog = case.core.catalog
    dearer = (PriceRow(product="chat", quantity="tokens", price="3"),)
    compiled = CompiledCard(card("default", "credits", dearer), 9)
    effective = case.core.now - DAY_US
    catalog.add_card(TENANT, "default", CardVersion(9, case.core.now, effective, compiled))
    case.core.begin_batch()
    case.run("usage acme 10 at=-25h id=u -> drawn 10 from G")
    case.run("reverse u 5 -> 5 to G")


def case_request(request_id: str) -> bytes:
    return FAMILY.request(request_id)
