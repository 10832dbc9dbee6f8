"""Money from payment to breakage: B3, B4, B5, D4, F1 to F4, H6, with the books after each step."""

from __future__ import annotations

from ledger_case import LedgerCase, ledger_case

from ledger.core import events as e
from ledger.core.packing import drop_family, pack_family, unpack_family, whole

# -- one grant from payment to breakage (rules B4, F1) ---------------------------------------------


@ledger_case
def test_one_grant_from_payment_to_breakage(case: LedgerCase) -> None:
    """
    # 1,000 units for 97: paid in two parts, half used, a tenth refunded, the rest expires.
    account    acme
    grant      acme 1000 paid=97 gated source=stripe expires=+40d
    expect     pending acme 1000
    expect     lifetime acme 0
    confirm    acme 50      -> acme released 515
    expect     cash stripe 50
    expect     deferred acme 50
    expect     available acme 515
    confirm    acme         -> acme released 485
    expect     cash stripe 97
    expect     deferred acme 97
    usage      acme 500     -> drawn 500 from acme
    expect     revenue chat 48
    expect     deferred acme 49
    refund     acme 100     -> 100 units back, refunded 9
    expect     cash stripe 88
    expect     lifetime acme 88
    expect     deferred acme 40
    usage      acme 1       -> drawn 1 from acme
    expect     revenue chat 48
    usage      acme 1       -> drawn 1 from acme
    expect     revenue chat 49
    clock      +41d
    sweep                   -> acme expired 398
    expect     deferred acme 0
    expect     money breakage 39
    expect     revenue chat 49
    """


# -- gated grants (rule F1) ------------------------------------------------------------------------


@ledger_case
def test_a_payment_in_parts_releases_its_share(case: LedgerCase) -> None:
    """
    # floor(A x paid / P) in all, the last payment the exact rest; no payment above P.
    account    acme
    grant      acme 10 paid=7 gated
    usage      acme 1       -> owed 1; 1 over the limit
    confirm    acme 8       -> refused AMOUNT_EXCEEDS_OWED amount
    confirm    acme -1      -> refused AMOUNT_INVALID amount
    confirm    acme 1 asset=credits -> refused CURRENCY_DIFFERS asset
    confirm    acme 1 id=p1 -> acme released 1, repaid 1
    expect     owed acme 0
    expect     revenue chat 0
    confirm    acme 1 id=p1 -> replayed: acme released 1, repaid 1
    confirm    acme 2 id=p1 -> refused CONFLICT amount
    confirm    acme id=p1   -> refused CONFLICT amount
    confirm    acme 1       -> acme released 1
    confirm    acme 5 id=p5 -> acme released 8
    confirm    acme id=p5   -> refused CONFLICT amount
    confirm    acme         -> refused PAYMENT_NOT_AWAITED grant_id
    fail       acme         -> refused PAYMENT_NOT_AWAITED grant_id
    usage      acme 9       -> drawn 9 from acme
    expect     revenue chat 7
    expect     deferred acme 0
    confirm    nobody       -> refused GRANT_UNKNOWN grant_id
    """


@ledger_case
def test_a_payment_too_small_for_a_unit_waits_for_the_next(case: LedgerCase) -> None:
    """
    account    acme
    grant      acme 2 paid=10 gated
    confirm    acme 4   -> acme released 0
    expect     deferred acme 4
    confirm    acme 1   -> acme released 1
    grant      acme 1 paid=10 gated as=one
    confirm    one 4    -> one released 0
    fail       one      -> one cancelled 1
    expect     deferred one 4
    chargeback one      -> 4 taken back, void 0 of one, owed 0
    """


@ledger_case
def test_a_failed_payment_cancels_what_pends(case: LedgerCase) -> None:
    """
    account    acme
    grant      acme 10 paid=10 gated as=never
    fail       never id=f  -> never cancelled 10
    fail       never id=f  -> replayed: never cancelled 10
    confirm    never       -> refused PAYMENT_LATE grant_id
    expect     paid never 0
    grant      acme 10 paid=10 gated as=half
    confirm    half 5      -> half released 5
    fail       half        -> half cancelled 5
    confirm    half 5      -> refused PAYMENT_LATE grant_id
    usage      acme 5      -> drawn 5 from half
    expect     revenue chat 5
    expect     deferred half 0
    """


@ledger_case
def test_a_confirmation_after_seven_days_is_late(case: LedgerCase) -> None:
    """
    account    acme
    grant      acme 10 paid=10 gated
    clock      +6d
    confirm    acme 1 -> acme released 1
    clock      +2d
    confirm    acme 1 -> refused PAYMENT_LATE grant_id
    expect     left acme 1
    expect     pending acme 0
    refund     acme   -> 1 units back, refunded 1
    expect     money cash 0
    """


@ledger_case
def test_a_confirmed_grant_repays_once_it_takes_effect(case: LedgerCase) -> None:
    """
    # Rule H6: a scheduled grant repays by the entry that starts it, not before.
    account    acme
    usage      acme 3       -> owed 3; 3 over the limit
    grant      acme 10 paid=10 gated effective=+1d
    confirm    acme         -> acme released 10
    expect     owed acme 3
    clock      +1d
    sweep                   -> acme repaid 3
    expect     revenue chat 3
    """


@ledger_case
def test_what_rounding_leaves_of_a_part_closes_with_the_account(case: LedgerCase) -> None:
    """
    # 4 of 10 pay for one unit of three, at 3 and a third: a part of a unit stays paid ahead.
    account    acme
    grant      acme 3 paid=10 gated
    confirm    acme 4    -> acme released 1
    usage      acme 1    -> drawn 1 from acme
    fail       acme      -> acme cancelled 2
    expect     deferred acme 1
    close      acme      -> refused ACCOUNT_NOT_EMPTY account
    void       acme      -> acme voided 0
    expect     deferred acme 0
    expect     money breakage 1
    close      acme
    """


@ledger_case
def test_what_is_paid_ahead_is_written_off(case: LedgerCase) -> None:
    """
    account    acme
    grant      acme 3 paid=10 gated
    confirm    acme 4    -> acme released 1
    usage      acme 1    -> drawn 1 from acme
    fail       acme      -> acme cancelled 2
    close      acme write-off -> breakage 1 of acme
    expect     money breakage 1
    """


# -- refunds (rule F2) -----------------------------------------------------------------------------


@ledger_case
def test_a_refund_is_at_most_its_share_rounded_down(case: LedgerCase) -> None:
    """
    account    acme
    grant      acme 3 paid=10
    refund     acme 4     -> refused REFUND_TOO_LARGE units
    refund     acme -1    -> refused AMOUNT_INVALID units
    refund     acme 1     -> 1 units back, refunded 3
    hold       acme 1 as=h
    refund     acme 2     -> refused REFUND_TOO_LARGE units
    refund     acme id=r  -> 1 units back, refunded 3
    refund     acme id=r  -> replayed: 1 units back, refunded 3
    refund     acme 1 id=r -> refused CONFLICT units
    refund     acme       -> refused REFUND_TOO_LARGE units
    capture    h 1        -> drawn 1 from acme
    expect     revenue chat 4
    expect     deferred acme 0
    expect     lifetime acme 4
    """


@ledger_case
def test_what_rounding_leaves_of_the_last_refund_is_breakage(case: LedgerCase) -> None:
    """
    account    acme
    grant      acme 2 paid=1
    usage      acme 1   -> drawn 1 from acme
    refund     acme     -> 1 units back, refunded 0, breakage 1
    expect     deferred acme 0
    expect     money cash 1
    """


@ledger_case
def test_only_what_was_paid_for_is_refunded(case: LedgerCase) -> None:
    """
    account    acme
    grant      acme 5 free as=gift
    grant      acme 5 postpaid paid=5 as=commitment
    grant      acme 5 allowance paid=5 as=allowance
    grant      acme 5 paid=5 gated as=gated
    grant      acme 5 paid=5 as=gone
    refund     gift        -> refused NOT_PAID grant_id
    refund     commitment  -> refused NOT_PAID grant_id
    refund     allowance   -> refused NOT_PAID grant_id
    refund     gated       -> refused NOT_PAID grant_id
    chargeback gift        -> refused NOT_PAID grant_id
    chargeback gated       -> refused NOT_PAID grant_id
    void       gone
    refund     gone        -> refused GRANT_SETTLED grant_id
    chargeback gone        -> refused NOT_PAID grant_id
    refund     nobody      -> refused GRANT_UNKNOWN grant_id
    chargeback nobody      -> refused GRANT_UNKNOWN grant_id
    """


@ledger_case
def test_what_rolled_over_is_refunded_from_the_same_payment(case: LedgerCase) -> None:
    """
    account    acme
    grant      acme 10 paid=10 source=stripe expires=+1d rolls=1/1 lasts=30d
    clock      +1d
    sweep              -> acme rolled over 10
    refund     acme+ 4 -> 4 units back, refunded 4
    expect     cash stripe 6
    expect     paid acme 6
    void       acme+   -> acme+ voided 6
    expect     cash stripe 0
    clock      +1d
    sweep              -> acme expired 0
    expect     left acme 0
    """


# -- chargebacks (rule F3) -------------------------------------------------------------------------


@ledger_case
def test_a_chargeback_voids_the_rest_and_bills_what_was_used(case: LedgerCase) -> None:
    """
    account    acme freeze=chargeback
    grant      acme 10 paid=97 source=stripe
    usage      acme 3        -> drawn 3 from acme
    expect     revenue chat 29
    chargeback acme id=cb    -> 97 taken back, void 7 of acme, owed 29; frozen
    chargeback acme id=cb    -> replayed: 97 taken back, void 7 of acme, owed 29
    chargeback acme          -> refused CHARGED_BACK grant_id
    refund     acme          -> refused GRANT_SETTLED grant_id
    expect     cash stripe 0
    expect     lifetime acme 0
    expect     deferred acme 0
    expect     receivable acme 29
    expect     left acme 0
    expect     frozen acme 1
    usage      acme 1        -> refused ACCOUNT_FROZEN account
    pay        acme 29
    expect     lifetime acme 29
    """


@ledger_case
def test_a_chargeback_takes_what_was_not_refunded(case: LedgerCase) -> None:
    """
    account    acme
    grant      acme 10 paid=100
    refund     acme 5     -> 5 units back, refunded 50
    chargeback acme       -> 50 taken back, void 5 of acme, owed 0
    expect     money cash 0
    expect     frozen acme 0
    """


@ledger_case
def test_a_chargeback_reaches_what_rolled_over_and_what_is_forfeited(case: LedgerCase) -> None:
    """
    account    acme
    grant      acme 10 paid=10 expires=+1d rolls=1/2 lasts=30d
    clock      +3d
    sweep                 -> acme rolled over 5; acme expired 5
    usage      acme 2     -> drawn 2 from acme+
    expect     money breakage 5
    chargeback acme+      -> refused NOT_PAID grant_id
    chargeback acme       -> 10 taken back, void 0 of acme, 3 of acme+, owed 7
    expect     deferred acme+ 0
    expect     receivable acme 7
    refund     acme+      -> refused GRANT_SETTLED grant_id
    """


@ledger_case
def test_what_a_hold_gives_back_after_a_chargeback_is_owed_no_more(case: LedgerCase) -> None:
    """
    account    acme
    grant      acme 10 paid=100
    hold       acme 6 as=h
    chargeback acme       -> 100 taken back, void 4 of acme, owed 60
    expect     receivable acme 60
    expect     deferred acme 60
    capture    h 2        -> drawn 2 from acme; acme voided 4
    expect     receivable acme 20
    expect     revenue chat 20
    expect     deferred acme 0
    expect     money cash 0
    """


@ledger_case
def test_a_chargeback_of_a_part_cancels_what_pends(case: LedgerCase) -> None:
    """
    account    acme
    grant      acme 10 paid=10 gated
    confirm    acme 5   -> acme released 5
    usage      acme 2   -> drawn 2 from acme
    chargeback acme     -> acme cancelled 5; 5 taken back, void 3 of acme, owed 2
    confirm    acme     -> refused PAYMENT_LATE grant_id
    """


# -- bills (rules B3, B4, B5) ----------------------------------------------------------------------


@ledger_case
def test_overage_in_money_is_billed_and_paid(case: LedgerCase) -> None:
    """
    account    acme overage=self card=usd
    bill       acme           -> refused NOTHING_OWED account
    usage      acme 100       -> overage 100 on acme
    expect     unbilled acme 100
    bill       acme 30 asset=usd id=b -> 30 overage, 30 unbilled
    bill       acme 30 asset=usd id=b -> replayed: 30 overage, 30 unbilled
    bill       acme 31 asset=usd id=b -> refused CONFLICT amount
    bill       acme 5         -> refused AMOUNT_INVALID amount
    expect     overage acme 70
    bill       acme           -> 70 overage, 70 unbilled
    bill       acme           -> refused NOTHING_OWED account
    expect     unbilled acme 0
    expect     receivable acme 100
    pay        acme 101       -> refused AMOUNT_EXCEEDS_OWED amount
    pay        acme 0         -> refused AMOUNT_INVALID amount
    pay        acme 60 source=bank id=p
    pay        acme 60 source=card id=p -> refused CONFLICT source
    expect     cash bank 60
    expect     lifetime acme 60
    creditnote acme 10
    writeoff   acme 31        -> refused AMOUNT_EXCEEDS_OWED amount
    writeoff   acme 30
    expect     receivable acme 0
    expect     money credit_note 10
    expect     money bad_debt 30
    expect     revenue chat 100
    pay        acme 1         -> refused AMOUNT_EXCEEDS_OWED amount
    close      acme
    """


@ledger_case
def test_a_commitment_is_billed_for_what_it_has_drawn(case: LedgerCase) -> None:
    """
    # Rules B3, D7: what is not used is trued up, and billed with the rest; to the last unit.
    account    acme
    grant      acme 10 postpaid paid=97 expires=+1d
    usage      acme 3         -> drawn 3 from acme
    expect     unbilled acme 29
    bill       acme           -> 3 commitment of acme, 29 unbilled
    expect     commitment acme 7
    usage      acme 4         -> drawn 4 from acme
    bill       acme 19 asset=usd -> 2 commitment of acme, 19 unbilled
    clock      +3d
    sweep                     -> acme expired 3
    bill       acme           -> 5 commitment of acme, 49 unbilled
    expect     commitment acme 0
    expect     receivable acme 97
    expect     money breakage 30
    pay        acme 97
    close      acme
    """


@ledger_case
def test_units_without_a_price_in_money_are_settled_alone(case: LedgerCase) -> None:
    """
    account    acme overage=self
    usage      acme 5         -> overage 5 on acme
    bill       acme 2 asset=credits -> 2 overage
    bill       acme           -> 3 overage
    pay        acme 5         -> refused AMOUNT_EXCEEDS_OWED amount
    """


@ledger_case
def test_the_fee_of_an_allowance_is_billed(case: LedgerCase) -> None:
    """
    # Rule B5: what is taken back before it is billed is billed no more, and later it is a credit.
    account    acme
    grant      acme 10 allowance paid=30 as=may
    void       may
    bill       acme           -> refused NOTHING_OWED account
    grant      acme 10 allowance paid=30 as=june
    bill       acme           -> 30 unbilled
    void       june
    expect     unbilled acme -30
    grant      acme 10 allowance paid=50 as=july
    bill       acme           -> 20 unbilled
    """


@ledger_case
def test_the_parent_is_billed_for_its_child(case: LedgerCase) -> None:
    """
    account    acme
    account    team parent=acme overage=parent card=usd
    usage      team 7         -> overage 7 on acme
    bill       team           -> refused NOTHING_OWED account
    bill       acme           -> 7 overage, 7 unbilled
    """


@ledger_case
def test_a_payment_in_another_currency_is_refused(case: LedgerCase) -> None:
    """
    account    acme overage=self card=usd
    usage      acme 7
    bill       acme
    pay        acme 7 asset=credits -> refused CURRENCY_DIFFERS asset
    """


# -- the credit limit (rule D4) --------------------------------------------------------------------


@ledger_case
def test_what_is_not_paid_counts_in_the_credit_limit(case: LedgerCase) -> None:
    """
    # A cap of 100 in money: what earlier months left unpaid counts, billed or not.
    account    acme overage=self cap=100 card=usd
    usage      acme 80        -> overage 80 on acme
    bill       acme 50 asset=usd -> 50 overage, 50 unbilled
    clock      2026-02-01
    hold       acme 21        -> denied INSUFFICIENT_CREDITS
    hold       acme 20 as=h   -> overage 20 on acme
    release    h
    pay        acme 50
    hold       acme 71        -> denied INSUFFICIENT_CREDITS
    usage      acme 70        -> overage 70 on acme
    bill       acme
    pay        acme 100
    hold       acme 31        -> denied INSUFFICIENT_CREDITS
    hold       acme 30 as=i
    """


# -- packing ---------------------------------------------------------------------------------------


@ledger_case
def test_families_with_money_leave_memory_and_come_back(case: LedgerCase) -> None:
    """
    account    acme
    grant      acme 10 paid=10 gated as=half
    confirm    half 5
    grant      acme 10 postpaid paid=97 expires=+1d rolls=1/1 lasts=9d as=commitment
    clock      +1d
    sweep                     -> commitment rolled over 10
    usage      acme 8
    bill       acme
    """
    state = case.core.state
    packed = pack_family(state, 1, state.settled_before)
    copy = whole(state, {})
    assert pack_family(copy, 1, state.settled_before) == packed
    half = copy.grants[case.grants["half"]]
    assert (half.paid, half.unpaid) == (5, 5)
    rolled = copy.grants[case.grants["commitment+"]]
    assert rolled.part_of is copy.grants[case.grants["commitment"]]
    assert rolled.funding.kind == e.BookKind.COMMITMENT
    drop_family(copy, 1)
    assert unpack_family(copy, packed) == 1
