"""Fixed charges: what a period costs, who pays it, what is earned when (S1, R2, B3, B4, T1)."""

from __future__ import annotations

from core_world import TENANT
from ledger_case import LedgerCase, ledger_case
from msgspec.structs import replace

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.catalog import Asset, asset_number
from ledger.core.limits import CHARGES_AN_ACCOUNT_MAX
from ledger.core.outcomes import Refusal

# -- in advance ------------------------------------------------------------------------------------


@ledger_case
def test_a_month_in_advance_is_billed_as_it_begins_and_earned_by_its_end(case: LedgerCase) -> None:
    """
    account  acme overage=self
    charge   acme 3100 as=plan cash
    -> started; plan 1: 2026-01-01 to 2026-02-01; plan fee 3100 of 3100: overage 3100 on acme
    expect   unbilled acme 3100
    expect   unearned plan 3100
    expect   revenue plan 0
    clock    2026-02-01
    sweep    -> plan earned 3100; plan 2: 2026-02-01 to 2026-03-01;
             -> plan fee 3100 of 3100: overage 3100 on acme
    expect   revenue plan 3100
    expect   unearned plan 3100
    """


@ledger_case
def test_a_quantity_that_changes_in_mid_month_both_ways(case: LedgerCase) -> None:
    """
    # Of 31 days 10 cost 10 x 310, 10 cost 13 x 310, 11 cost 5 x 310: 1000 + 1300 + 550 = 2850.
    account  acme overage=self
    charge   acme 310 as=seats x=10 of=seats cash
    -> started; seats 1: 2026-01-01 to 2026-02-01; seats fee 3100 of 3100: overage 3100 on acme
    clock    2026-01-11
    quantity seats 13 now    -> seats fee 630 of 3730: overage 630 on acme; version 2
    expect   revenue seats 1000
    expect   unearned seats 2730
    clock    2026-01-21
    quantity seats 5 now     -> seats fee -880 of 2850: 630 to overage worth 630,
             -> 250 to overage worth 250; version 3
    expect   revenue seats 2300
    expect   unearned seats 550
    expect   unbilled acme 2850
    clock    2026-02-01
    sweep    -> seats earned 550; seats 2: 2026-02-01 to 2026-03-01;
             -> seats fee 1550 of 1550: overage 1550 on acme
    expect   revenue seats 2850
    """


@ledger_case
def test_a_third_of_a_month_is_rounded_once(case: LedgerCase) -> None:
    """
    # 100 for 31 days, two of them from the 11th on: 100 + 100 x 21/31 = 167.74, so 168; back to
    # one on the 21st: 100 + 100 x 10/31 = 132.26, so 132.
    account  acme overage=self
    charge   acme 100 as=plan cash
    clock    2026-01-11
    quantity plan 2 now      -> plan fee 68 of 168: overage 68 on acme; version 2
    clock    2026-01-21
    quantity plan 1 now      -> plan fee -36 of 132: 36 to overage worth 36; version 3
    quantity plan 2 now      -> plan fee 36 of 168: overage 36 on acme; version 4
    quantity plan 1 now      -> plan fee -36 of 132: 36 to overage worth 36; version 5
    expect   unbilled acme 132
    """


@ledger_case
def test_a_month_that_begins_late_is_prorated(case: LedgerCase) -> None:
    """
    # From the 17th by the calendar's months: 15 of 31 days of 3100.
    account  acme overage=self
    clock    2026-01-17
    charge   acme 3100 as=plan cash anchor=2026-01-01
    -> started; plan 1: 2026-01-17 to 2026-02-01; plan fee 1500 of 1500: overage 1500 on acme
    charge   acme 3100 as=full cash anchor=2026-01-01 prorate=last
    -> started; full 1: 2026-01-17 to 2026-02-01; full fee 3100 of 3100: overage 3100 on acme
    expect   unearned plan 4600
    """


@ledger_case
def test_years_are_earned_month_by_month(case: LedgerCase) -> None:
    """
    # 36500 a year of 365 days: 3100 in January, 2800 in February, 3100 in March.
    account  acme overage=self
    charge   acme 36500 as=plan every=1year cash
    -> started; plan 1: 2026-01-01 to 2027-01-01; plan fee 36500 of 36500: overage 36500 on acme
    clock    2026-04-15
    sweep    -> plan earned 3100; plan earned 2800; plan earned 3100
    expect   revenue plan 9000
    clock    2026-07-02
    stop     plan now
    -> plan earned 3000; plan earned 3100; plan earned 3000;
             -> plan fee -18300 of 18200: 18300 to overage worth 18300; ends 2026-07-02
    expect   revenue plan 18200
    expect   unearned plan 0
    expect   unbilled acme 18200
    """


@ledger_case
def test_months_from_the_31st_return_to_it(case: LedgerCase) -> None:
    """
    # Rule T1. What is earned of a period is earned by the end of each calendar month too.
    account  acme overage=self
    clock    2026-01-31
    charge   acme 2800 as=plan cash
    -> started; plan 1: 2026-01-31 to 2026-02-28; plan fee 2800 of 2800: overage 2800 on acme
    clock    2026-03-31
    sweep    -> plan earned 100; plan earned 2700;
             -> plan 2: 2026-02-28 to 2026-03-31; plan fee 2800 of 2800: overage 2800 on acme;
             -> plan earned 90; plan earned 2710;
             -> plan 3: 2026-03-31 to 2026-04-30; plan fee 2800 of 2800: overage 2800 on acme
    """


@ledger_case
def test_a_change_with_the_next_period_costs_nothing_now(case: LedgerCase) -> None:
    """
    account  acme overage=self
    charge   acme 100 as=plan x=3 cash
    quantity plan 5                  -> version 2
    quantity plan 4                  -> version 3
    clock    2026-02-01
    sweep    -> plan earned 300; plan 2: 2026-02-01 to 2026-03-01;
             -> plan fee 400 of 400: overage 400 on acme
    quantity plan 9                  -> version 4
    quantity plan 4 now version=4    -> version 5
    clock    2026-03-01
    sweep    -> plan earned 400; plan 3: 2026-03-01 to 2026-04-01;
             -> plan fee 400 of 400: overage 400 on acme
    """


@ledger_case
def test_where_changes_are_not_prorated_the_next_period_counts_them(case: LedgerCase) -> None:
    """
    # In advance the period stays charged for what it began with; in arrears for its last quantity.
    account  acme overage=self
    charge   acme 100 as=plan x=3 cash whole
    charge   acme 100 as=late x=3 cash whole arrears
    clock    2026-01-16
    quantity plan 5 now              -> version 2
    quantity late 5 now              -> version 2
    quantity late 4 now              -> version 3
    clock    2026-02-01
    sweep    -> plan earned 300; plan 2: 2026-02-01 to 2026-03-01;
             -> plan fee 500 of 500: overage 500 on acme;
             -> late fee 400 of 400: overage 400 on acme; late 2: 2026-02-01 to 2026-03-01
    """


# -- in arrears ------------------------------------------------------------------------------------


@ledger_case
def test_in_arrears_a_month_is_charged_by_the_time_that_each_quantity_stood(
    case: LedgerCase,
) -> None:
    """
    # The same 2850, charged and earned at the end.
    account  acme overage=self
    charge   acme 310 as=seats x=10 arrears cash   -> started; seats 1: 2026-01-01 to 2026-02-01
    clock    2026-01-11
    quantity seats 13 now                          -> version 2
    clock    2026-01-21
    quantity seats 5 now                           -> version 3
    expect   revenue plan 0
    clock    2026-02-01
    sweep    -> seats fee 2850 of 2850: overage 2850 on acme; seats 2: 2026-02-01 to 2026-03-01
    expect   revenue plan 2850
    expect   unearned plan 0
    clock    2026-02-15
    stop     seats now               -> seats fee 775 of 775: overage 775 on acme; ends 2026-02-15
    """


@ledger_case
def test_an_end_that_is_not_prorated_charges_the_whole_period(case: LedgerCase) -> None:
    """
    account  acme overage=self
    charge   acme 310 as=late arrears cash prorate=first
    charge   acme 310 as=plan of=other cash prorate=first
    clock    2026-01-11
    stop     late now       -> late fee 310 of 310: overage 310 on acme; ends 2026-01-11
    stop     plan now       -> plan earned 310; ends 2026-01-11
    clock    2026-02-01
    sweep
    expect   unbilled acme 620
    expect   revenue other 310
    """


# -- discounts, trials, ramps ----------------------------------------------------------------------


@ledger_case
def test_a_discount_of_two_months_then_none(case: LedgerCase) -> None:
    """
    # A third off 100 is 66.67.
    account  acme overage=self
    charge   acme 100 as=plan cash off=1/3 discounts=1+2
    -> started; plan 1: 2026-01-01 to 2026-02-01; plan fee 67 of 67: overage 67 on acme
    charge   acme 100 as=other of=other cash off=30 discounts=2+1 x=2
    -> started; other 1: 2026-01-01 to 2026-02-01; other fee 200 of 200: overage 200 on acme
    clock    2026-02-01
    sweep    -> plan earned 67; plan 2: 2026-02-01 to 2026-03-01;
             -> plan fee 67 of 67: overage 67 on acme;
             -> other earned 200; other 2: 2026-02-01 to 2026-03-01;
             -> other fee 170 of 170: overage 170 on acme
    clock    2026-03-01
    sweep    -> plan earned 67; plan 3: 2026-03-01 to 2026-04-01;
             -> plan fee 100 of 100: overage 100 on acme;
             -> other earned 170; other 3: 2026-03-01 to 2026-04-01;
             -> other fee 200 of 200: overage 200 on acme
    """


@ledger_case
def test_an_amount_off_is_prorated_and_never_more_than_the_fee(case: LedgerCase) -> None:
    """
    # 15 of 31 days of 310 less 31: 150 - 15; of 20 less 31 nothing is left.
    account  acme overage=self
    clock    2026-01-17
    charge   acme 310 as=plan cash off=31 anchor=2026-01-01
    -> started; plan 1: 2026-01-17 to 2026-02-01; plan fee 135 of 135: overage 135 on acme
    charge   acme 20 as=small cash off=31 anchor=2026-01-01
    -> started; small 1: 2026-01-17 to 2026-02-01; small fee 0 of 0: nothing
    """


@ledger_case
def test_a_trial_month_then_a_ramp(case: LedgerCase) -> None:
    """
    account  acme overage=self
    charge   acme 100 as=plan cash trial=1 ramp=3:150,4:200
    -> started; plan 1: 2026-01-01 to 2026-02-01; plan fee 0 of 0: nothing
    clock    2026-05-01
    sweep    -> plan 2: 2026-02-01 to 2026-03-01; plan fee 100 of 100: overage 100 on acme;
             -> plan earned 100; plan 3: 2026-03-01 to 2026-04-01;
             -> plan fee 150 of 150: overage 150 on acme;
             -> plan earned 150; plan 4: 2026-04-01 to 2026-05-01;
             -> plan fee 200 of 200: overage 200 on acme;
             -> plan earned 200; plan 5: 2026-05-01 to 2026-06-01;
             -> plan fee 200 of 200: overage 200 on acme
    """


@ledger_case
def test_a_trial_until_an_instant_and_steps_at_others_are_counted_by_their_time(
    case: LedgerCase,
) -> None:
    """
    # Nothing for 10 days, 10 days at 310, 11 at 620: 100 + 220. Earned as it costs: of 320 by the
    # 21st 100. Two from the 21st on: 220 more.
    account  acme overage=self
    charge   acme 310 as=plan cash until=2026-01-11 ramp=2026-01-21:620
    -> started; plan 1: 2026-01-01 to 2026-02-01; plan fee 320 of 320: overage 320 on acme
    clock    2026-01-21
    quantity plan 2 now      -> plan fee 220 of 540: overage 220 on acme; version 2
    expect   revenue plan 100
    stop     plan now        -> plan fee -440 of 100: 220 to overage worth 220,
             -> 220 to overage worth 220; ends 2026-01-21
    expect   revenue plan 100
    expect   unearned plan 0
    """


# -- once ------------------------------------------------------------------------------------------


@ledger_case
def test_what_is_charged_once_is_earned_at_once_or_over_its_length(case: LedgerCase) -> None:
    """
    # 900 over 90 days: 310 in January, 280 in February, 310 to 31 March.
    account  acme overage=self
    charge   acme 50 as=setup every=once x=2 of=setup cash
    -> started; setup 1: 2026-01-01 to 2026-01-01; setup fee 100 of 100: overage 100 on acme
    expect   revenue setup 100
    charge   acme 900 as=training every=once of=training cash earned=90d
    -> started; training 1: 2026-01-01 to 2026-04-01;
    -> training fee 900 of 900: overage 900 on acme
    clock    2026-05-01
    sweep    -> training earned 310; training earned 280; training earned 310
    expect   revenue training 900
    quantity training 2 now  -> refused CHARGE_ENDED charge_id
    charge   acme 50 as=setup every=once of=setup cash starts=+1d
    stop     setup now       -> ends 2026-05-01
    close    acme write-off
    """


@ledger_case
def test_an_end_earns_what_is_left_of_a_single_fee(case: LedgerCase) -> None:
    """
    account  acme overage=self
    charge   acme 900 as=training every=once cash earned=90d
    clock    2026-01-11
    close    acme write-off  -> refused ACCOUNT_NOT_EMPTY account
    quantity training 2 now  -> refused TERMS_FIXED quantity
    stop     training now    -> training earned 900; ends 2026-01-11
    expect   revenue plan 900
    expect   unbilled acme 900
    close    acme write-off  -> overage 900 written off, unbilled 900 written off
    """


# -- who pays --------------------------------------------------------------------------------------


@ledger_case
def test_a_fee_in_credits_is_drawn_like_usage_and_its_money_deferred_again(
    case: LedgerCase,
) -> None:
    """
    # 100 credits paid with 50: of a fee of 62 they pay 62 at 31; the rest goes as it is used.
    account  acme overage=self
    grant    acme 100 paid=50
    charge   acme 62 as=plan asset=credits
    -> started; plan 1: 2026-01-01 to 2026-02-01; plan fee 62 of 62: drawn 62 from acme
    expect   deferred acme 19
    expect   unearned plan 31
    clock    2026-01-11
    quantity plan 2 now      -> plan fee 42 of 104: drawn 38 from acme, overage 4 on acme; version 2
    expect   revenue plan 10
    expect   unearned plan 40
    quantity plan 0 now      -> plan fee -84 of 20: 4 to overage, 38 to acme worth 19,
             -> 42 to acme worth 21; version 3
    expect   deferred acme 40
    expect   revenue plan 10
    expect   unearned plan 0
    """


@ledger_case
def test_what_goes_back_to_a_grant_that_ended_restores_it(case: LedgerCase) -> None:
    """
    # Rule D3.
    account  acme overage=self
    grant    acme 100 paid=50 expires=2026-01-05
    charge   acme 62 as=plan asset=credits
    clock    2026-01-11
    stop     plan now        -> acme expired 38; plan fee -42 of 20: 42 to acme+ worth 21;
             -> ends 2026-01-11
    expect   deferred acme+ 21
    expect   revenue plan 10
    expect   unearned plan 0
    """


@ledger_case
def test_a_charge_names_who_is_billed(case: LedgerCase) -> None:
    """
    # By the account's policy, or the account itself; an overdraft and the excess as for usage.
    account  acme
    account  acme/search parent=acme overage=parent
    charge   acme/search 10 as=a cash           -> started; a 1: 2026-01-01 to 2026-02-01;
             -> a fee 10 of 10: overage 10 on acme
    charge   acme/search 10 as=b cash self      -> started; b 1: 2026-01-01 to 2026-02-01;
             -> b fee 10 of 10: overage 10 on acme/search
    charge   acme/search 10 as=c self           -> started; c 1: 2026-01-01 to 2026-02-01;
             -> c fee 10 of 10: overage 10 on acme/search
    charge   acme 10 as=d                       -> started; d 1: 2026-01-01 to 2026-02-01;
             -> d fee 10 of 10: owed 10; 10 over the limit
    expect   unbilled acme 10
    expect   unbilled acme/search 20
    clock    2026-01-17
    move     acme/search acme                   -> refused PARENT_SAME parent
    stop     a now                              -> a fee -5 of 5: 5 to overage worth 5;
             -> ends 2026-01-17
    stop     d now                              -> d fee -5 of 5: 5 to advance; ends 2026-01-17
    expect   unbilled acme 5
    expect   owed acme 5
    """


@ledger_case
def test_a_fee_given_back_after_its_bill_is_owed_to_the_customer(case: LedgerCase) -> None:
    """
    account  acme overage=self
    charge   acme 310 as=plan cash
    bill     acme
    expect   receivable acme 310
    clock    2026-01-11
    stop     plan now        -> plan fee -210 of 100: 210 to overage worth 210; ends 2026-01-11
    expect   unbilled acme -210
    expect   revenue plan 100
    """


# -- time ------------------------------------------------------------------------------------------


@ledger_case
def test_what_is_missed_is_charged_in_order_when_the_account_is_next_touched(
    case: LedgerCase,
) -> None:
    """
    account  acme overage=self
    charge   acme 100 as=plan cash ends=2026-02-15
    clock    2026-03-05
    grant    acme 1 free as=g
    -> plan earned 100; plan 2: 2026-02-01 to 2026-02-15; plan fee 50 of 50: overage 50 on acme;
             -> plan earned 50; issued
    quantity plan 2 now      -> refused CHARGE_ENDED charge_id
    charge   acme 100 as=plan cash
    """


@ledger_case
def test_a_frozen_account_goes_on_paying(case: LedgerCase) -> None:
    """
    # A freeze stops new usage, not what is agreed.
    account  acme overage=self
    charge   acme 100 as=plan cash
    freeze   acme
    clock    2026-02-01
    sweep    -> plan earned 100; plan 2: 2026-02-01 to 2026-03-01;
             -> plan fee 100 of 100: overage 100 on acme
    """


@ledger_case
def test_terms_change_with_the_next_period(case: LedgerCase) -> None:
    """
    # The period's number goes on, so the discount of the first three months has one month left.
    account  acme overage=self
    charge   acme 100 as=plan cash off=1/2 discounts=1+3
    terms    plan 200 cash off=1/2 discounts=1+3     -> version 2
    clock    2026-02-01
    sweep    -> plan earned 50; plan 2: 2026-02-01 to 2026-03-01;
             -> plan fee 100 of 100: overage 100 on acme
    terms    plan 200 every=1year arrears anchor=2026-01-01 of=other
    clock    2026-03-01
    sweep    -> plan earned 100; plan 3: 2026-03-01 to 2027-01-01
    terms    plan 200 every=1year asset=credits      -> refused TERMS_FIXED terms.asset
    terms    plan 200 every=once                     -> refused TERMS_FIXED terms.once
    """


@ledger_case
def test_the_same_request_again_is_answered_once(case: LedgerCase) -> None:
    """
    account  acme overage=self
    charge   acme 100 as=plan cash id=r1
    charge   acme 100 as=plan cash id=r1         -> replayed: started
    charge   acme 101 as=plan cash id=r1         -> refused CONFLICT terms
    charge   acme 100 as=other cash id=r1        -> refused CONFLICT name
    clock    2026-01-11
    quantity plan 2 now id=r2
    quantity plan 2 now id=r2                    -> replayed: version 2
    quantity plan 3 now id=r2                    -> refused CONFLICT quantity
    quantity plan 2 id=r2                        -> refused CONFLICT timing
    terms    plan 100 cash id=r2                 -> refused CONFLICT request
    terms    plan 100 cash id=r3                 -> version 3
    terms    plan 100 cash id=r3                 -> replayed: version 3
    quantity plan 2 id=r3                        -> refused CONFLICT request
    stop     plan id=r4                          -> ends 2026-02-01
    stop     plan id=r4                          -> replayed: ends 2026-02-01
    stop     plan now id=r4                      -> refused CONFLICT timing
    """


# -- what is refused -------------------------------------------------------------------------------


@ledger_case
def test_what_no_charge_may_be_is_refused_by_name(case: LedgerCase) -> None:
    """
    account  acme
    account  euro settles=usd
    charge   acme -1 as=p                        -> refused AMOUNT_INVALID terms.unit_amount
    charge   acme 1 as=p x=-1                    -> refused QUANTITY_INVALID quantity
    charge   acme 9223372036854775807 as=p x=2   -> refused OVERFLOW quantity
    charge   acme 1 as=p every=121month          -> refused PERIOD_INVALID terms.every
    charge   acme 1 as=p zone=Mars/Olympus       -> refused ZONE_UNKNOWN terms.zone
    charge   acme 1 as=p starts=-40d             -> refused START_INVALID starts_at_us
    charge   acme 1 as=p ends=-1d                -> refused END_INVALID ends_at_us
    charge   acme 1 as=p every=once ends=+9d     -> refused END_INVALID ends_at_us
    charge   acme 1 as=p trial=1 until=+9d       -> refused CHARGE_INVALID terms.trial_until_us
    charge   acme 1 as=p trial=-1                -> refused CHARGE_INVALID terms.trial_periods
    charge   acme 1 as=p ramp=3:1,2:1            -> refused CHARGE_INVALID terms.ramp
    charge   acme 1 as=p ramp=0:1                -> refused CHARGE_INVALID terms.ramp
    charge   acme 1 as=p ramp=2:1,2027-01-01:1   -> refused CHARGE_INVALID terms.ramp
    charge   acme 1 as=p ramp=2:-1               -> refused AMOUNT_INVALID terms.ramp
    charge   acme 1 as=p off=3/2                 -> refused CHARGE_INVALID terms.discount.fraction
    charge   acme 1 as=p off=-3                  -> refused CHARGE_INVALID terms.discount.amount
    charge   acme 1 as=p off=3 discounts=1+-1    -> refused CHARGE_INVALID terms.discount.periods
    charge   acme 1 as=p earned=9d               -> refused CHARGE_INVALID terms.earned_over_us
    charge   acme 1 as=p every=once arrears      -> refused CHARGE_INVALID terms.billing
    charge   acme 1 as=p every=once trial=1      -> refused CHARGE_INVALID terms.ramp
    charge   acme 1 as=p of=                     -> refused CHARGE_INVALID terms.product
    charge   acme 1 as=                          -> refused CHARGE_INVALID name
    charge   ghost 1 as=p                        -> refused ACCOUNT_UNKNOWN account
    charge   euro 1 as=q asset=credits
    charge   acme 1 as=p
    charge   acme 1 as=p                         -> refused CHARGE_NAME_TAKEN name
    quantity p -1 now                            -> refused QUANTITY_INVALID quantity
    quantity p 2 version=7                       -> refused VERSION_MISMATCH expected_version
    terms    p 1 zone=Mars/Olympus               -> refused ZONE_UNKNOWN terms.zone
    close    acme write-off                      -> refused ACCOUNT_NOT_EMPTY account
    stop     p now
    stop     p                                   -> refused CHARGE_ENDED charge_id
    charge   acme 1 as=p
    """


def test_an_account_has_so_many_charges_and_knows_no_other() -> None:
    case = LedgerCase()
    case.run(
        """
        account  acme
        account  other
        charge   acme 1 as=plan
        """
    )
    account = case.account("acme")
    of_another = c.EndCharge(b"k" * 16, case.accounts["other"], 1, e.Timing.NOW)
    outcome = case.core.run(of_another)
    assert isinstance(outcome, Refusal) and outcome.reason == "CHARGE_UNKNOWN"
    account.charges = account.charges * CHARGES_AN_ACCOUNT_MAX
    terms = account.charges[0].terms
    outcome = case.core.run(c.StartCharge(b"k" * 16, account.number, "new", terms, 1))
    assert isinstance(outcome, Refusal) and outcome.reason == "CHARGES_LIMIT"


def test_a_charge_is_in_the_currency_that_the_account_settles_in() -> None:
    """Rule N6: and that one stays while it goes on."""
    case = LedgerCase()
    euro = asset_number(TENANT, 9)
    case.core.state.catalog.add_asset(Asset(euro, TENANT, "EUR", 2, "money"))
    case.run(
        """
        account  acme settles=usd
        account  acme/a parent=acme
        account  free
        charge   acme/a 1 as=plan
        charge   free 1 as=free
        """
    )
    terms = case.account("acme").children[0].charges[0].terms

    def asked(command: c.Command) -> tuple[str, str]:
        outcome = case.core.run(command)
        assert isinstance(outcome, Refusal), outcome
        return outcome.reason, outcome.field

    for asset, reason in ((euro, "CURRENCY_DIFFERS"), (404, "ASSET_UNKNOWN")):
        command = c.StartCharge(b"k" * 16, 2, "new", replace(terms, asset=asset), 1)
        assert asked(command) == (reason, "terms.asset")
    settled = e.AccountPolicy(settlement_asset=euro)
    for account in (1, 3):
        refused = asked(c.UpdatePolicy(b"k" * 16, account, settled))
        assert refused == ("SETTLEMENT_ASSET_OPEN", "policy.settlement_asset")
    case.run("stop plan now\nstop free now")
    assert not isinstance(case.core.run(c.UpdatePolicy(b"k" * 16, 3, settled)), Refusal)


@ledger_case
def test_a_charge_moves_with_its_account_and_gives_back_where_it_was_billed(
    case: LedgerCase,
) -> None:
    """
    account  acme
    account  acme/a parent=acme
    account  acme/b parent=acme
    account  acme/a/x parent=acme/a overage=parent
    charge   acme/a/x 31 as=plan cash
    clock    2026-01-11
    move     acme/a/x acme/b
    quantity plan 2 now      -> plan fee 21 of 52: overage 21 on acme/b; version 2
    stop     plan now        -> plan fee -42 of 10: 21 to overage worth 21,
                             -> 21 to overage worth 21; ends 2026-01-11
    expect   unbilled acme/a 10
    expect   unbilled acme/b 0
    """


# -- what goes back, and to when -------------------------------------------------------------------


@ledger_case
def test_less_and_less_goes_back_by_its_exact_money(case: LedgerCase) -> None:
    """
    account  acme overage=self
    charge   acme 31 as=plan x=10 cash
    clock    2026-01-11
    quantity plan 5 now      -> plan fee -105 of 205: 105 to overage worth 105; version 2
    clock    2026-01-21
    quantity plan 2 now      -> plan fee -33 of 172: 33 to overage worth 33; version 3
    stop     plan now        -> plan fee -22 of 150: 22 to overage worth 22; ends 2026-01-21
    expect   unbilled acme 150
    expect   revenue plan 150
    """


@ledger_case
def test_more_may_go_back_than_is_unearned(case: LedgerCase) -> None:
    """
    # 31 of 62 are free, the rest was paid with 31; by the 11th a third of that is earned. The last
    # drawn goes back first: 21 of the 31, for 21; then nothing is unearned and all that stays is.
    account  acme
    grant    acme 31 free as=gift priority=-1
    grant    acme 31 paid=31
    charge   acme 62 as=plan asset=credits
    -> started; plan 1: 2026-01-01 to 2026-02-01;
    -> plan fee 62 of 62: drawn 31 from gift, drawn 31 from acme
    clock    2026-01-21
    quantity plan 0 now      -> plan fee -22 of 40: 22 to acme worth 22; version 2
    expect   revenue plan 9
    expect   unearned plan 0
    clock    2026-02-02
    sweep    -> plan 2: 2026-02-01 to 2026-03-01; plan fee 0 of 0: nothing
    """


@ledger_case
def test_a_new_anchor_leaves_a_part_that_is_never_charged_whole(case: LedgerCase) -> None:
    """
    account  acme overage=self
    charge   acme 280 as=plan cash prorate=none
    terms    plan 280 cash prorate=none anchor=2026-01-15
    clock    2026-02-15
    sweep    -> plan earned 280; plan 2: 2026-02-01 to 2026-02-15;
             -> plan fee 126 of 126: overage 126 on acme; plan earned 126;
             -> plan 3: 2026-02-15 to 2026-03-15; plan fee 280 of 280: overage 280 on acme
    """


@ledger_case
def test_in_arrears_a_grant_of_the_period_pays(case: LedgerCase) -> None:
    """
    account  acme
    grant    acme 100 free expires=2026-02-01 as=january
    charge   acme 31 as=plan asset=credits arrears
    clock    2026-02-01
    sweep    -> plan fee 31 of 31: drawn 31 from january; plan 2: 2026-02-01 to 2026-03-01
    """


def test_what_goes_back_of_overage_lowers_the_month_that_it_counted_in() -> None:
    """The cap of overage is one a month: rules D4, T1."""
    case = LedgerCase()
    case.run(
        """
        account  acme overage=self cap=5000
        charge   acme 365 as=plan every=1year
        -> started; plan 1: 2026-01-01 to 2027-01-01; plan fee 365 of 365: overage 365 on acme
        clock    2026-02-01
        sweep
        quantity plan 2 now      -> plan fee 334 of 699: overage 334 on acme; version 2
        quantity plan 0 now      -> plan fee -668 of 31: 334 to overage worth 334,
                                 -> 334 to overage worth 334; version 3
        """
    )
    counted = {month: amount for (_, month), amount in case.account("acme").overage_posted.items()}
    assert list(counted.values()) == [31]
    assert min(counted) == case.core.batches[0][0]
    case.finish()
