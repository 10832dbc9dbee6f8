"""Price models through the whole core: what is drawn, from whom, and what goes back (rules R1, B8).

The prices are those of `model_world`.
"""

from __future__ import annotations

from core_world import FAMILY, TENANT
from ledger_case import LedgerCase
from model_world import ModelCore, model_case

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.decisions.assessing import assess
from ledger.core.outcomes import Reason, Refusal


@model_case
def test_each_unit_is_priced_by_the_tier_that_it_falls_into(case: LedgerCase) -> None:
    """
    account acme card=models
    grant   acme 10000
    usage   acme 90 of=graduated    -> drawn 270 from acme
    usage   acme 20 of=graduated    -> drawn 50 from acme
    usage   acme 890 of=graduated   -> drawn 1780 from acme
    usage   acme 100 of=graduated   -> drawn 100 from acme
    expect  spent graduated 2200
    """


@model_case
def test_a_new_month_begins_a_new_total(case: LedgerCase) -> None:
    """
    account acme card=models
    grant   acme 10000
    usage   acme 100 of=graduated   -> drawn 300 from acme
    clock   2026-02-01
    usage   acme 10 of=graduated    -> drawn 30 from acme
    """


@model_case
def test_a_package_is_paid_as_it_is_begun(case: LedgerCase) -> None:
    """
    account acme card=models
    grant   acme 1000
    usage   acme 1 of=package     -> drawn 5 from acme
    usage   acme 99 of=package    -> free
    usage   acme 1 of=package     -> drawn 5 from acme
    usage   acme 250 of=package   -> drawn 10 from acme
    """


@model_case
def test_a_stair_costs_once_for_all_that_it_holds(case: LedgerCase) -> None:
    """
    account acme card=models
    grant   acme 1000
    usage   acme 1 of=stairstep      -> drawn 50 from acme
    usage   acme 4 of=stairstep      -> free
    usage   acme 1 of=stairstep      -> drawn 30 from acme
    usage   acme 1000 of=stairstep   -> free
    """


@model_case
def test_a_share_has_its_free_part_its_fixed_part_and_its_most(case: LedgerCase) -> None:
    """
    account acme card=models
    grant   acme 1000
    usage   acme 1000 of=share   -> free
    usage   acme 20 of=share     -> drawn 3 from acme
    usage   acme 900 of=share    -> drawn 5 from acme
    """


@model_case
def test_what_is_included_comes_first_and_the_maximum_last(case: LedgerCase) -> None:
    """
    account acme card=models
    grant   acme 1000
    usage   acme 60 of=included     -> free
    usage   acme 60 of=included     -> drawn 20 from acme
    usage   acme 1000 of=included   -> drawn 480 from acme
    usage   acme 1000 of=included   -> free
    """


@model_case
def test_an_hour_of_the_night_has_its_own_price(case: LedgerCase) -> None:
    """
    # Replay and reversal find the rows by which it was priced, whatever the time is by then.
    account acme card=models
    grant   acme 1000
    clock   2026-01-01T12:00
    usage   acme 10 of=power at=2026-01-01T11:00 id=day     -> drawn 30 from acme
    clock   2026-01-02T12:00
    usage   acme 10 of=power at=2026-01-01T23:00 id=night   -> drawn 20 from acme
    reverse night   -> 20 to acme
    reverse day     -> 30 to acme
    """


@model_case
def test_a_day_has_a_total_of_its_own(case: LedgerCase) -> None:
    """
    # A day is one by the clocks of the account: midnight in Berlin is 23:00 in UTC.
    account acme card=models zone=Europe/Berlin
    grant   acme 10000
    clock   2026-01-05T22:30
    usage   acme 100 of=daily id=a    -> drawn 300 from acme
    usage   acme 10 of=daily          -> drawn 20 from acme
    clock   2026-01-05T23:30
    usage   acme 10 of=daily          -> drawn 30 from acme
    usage   acme 10 of=daily at=2026-01-05T22:00   -> drawn 20 from acme
    reverse a 10                      -> 20 to acme
    """


# -- volume --------------------------------------------------------------------------------------


@model_case
def test_a_boundary_makes_earlier_units_cheaper(case: LedgerCase) -> None:
    """
    # What they cost less goes back, the last drawn first: F(150) = 750 is left of 1,250.
    account acme card=models
    grant   acme 900 as=first priority=1
    grant   acme 900 as=second priority=2
    usage   acme 100 of=volume   -> drawn 900 from first, drawn 100 from second
    usage   acme 50 of=volume    -> drawn 250 from second; re-rated 350 to second, 150 to first
    usage   acme 10 of=volume    -> drawn 50 from first
    expect  spent volume 800
    """


@model_case
def test_a_boundary_makes_earlier_units_dearer(case: LedgerCase) -> None:
    """
    # The difference is drawn like usage.
    account acme card=models
    grant   acme 200
    usage   acme 100 of=dearer          -> drawn 100 from acme
    usage   acme 20 of=dearer
    -> drawn 40 from acme; re-rated drawn 60 from acme, owed 40; 40 over the limit
    expect  spent dearer 240
    """


@model_case
def test_a_reversal_moves_the_re_rate_back(case: LedgerCase) -> None:
    """
    # F stays F whatever is reversed, of whichever event.
    account acme card=models
    grant   acme 5000
    usage   acme 100 of=volume id=a   -> drawn 1000 from acme
    usage   acme 50 of=volume id=b    -> drawn 250 from acme; re-rated 500 to acme
    expect  spent volume 750
    reverse b                         -> 250 to acme; re-rated drawn 500 from acme
    expect  spent volume 1000
    usage   acme 60 of=volume id=c    -> drawn 300 from acme; re-rated 500 to acme
    reverse a                         -> 500 to acme; re-rated drawn 300 from acme
    expect  spent volume 600
    reverse c                         -> 300 to acme, 300 to acme
    expect  spent volume 0
    """


@model_case
def test_money_goes_back_with_what_a_re_rate_gives_back(case: LedgerCase) -> None:
    """
    # Recognised so far = floor(P x drawn / A), at any moment (rule B4).
    account acme card=models
    grant   acme 10000 paid=3333
    usage   acme 100 of=volume   -> drawn 1000 from acme
    expect  revenue volume 333
    usage   acme 50 of=volume    -> drawn 250 from acme; re-rated 500 to acme worth 167
    expect  revenue volume 249
    """


@model_case
def test_overage_is_billed_less_after_a_re_rate(case: LedgerCase) -> None:
    """
    account acme card=models-usd overage=self
    usage   acme 100 of=volume   -> overage 1000 on acme
    usage   acme 50 of=volume    -> overage 250 on acme; re-rated 500 to overage worth 500
    expect  overage acme 750
    expect  unbilled acme 750
    """


@model_case
def test_debt_falls_with_a_re_rate(case: LedgerCase) -> None:
    """
    account acme card=models overdraft=5000
    usage   acme 100 of=volume   -> overdraft 1000
    usage   acme 50 of=volume    -> overdraft 250; re-rated 500 to advance
    expect  owed acme 750
    """


@model_case
def test_repaid_debt_goes_back_to_who_repaid_it(case: LedgerCase) -> None:
    """
    account acme card=models overdraft=5000
    usage   acme 100 of=volume   -> overdraft 1000
    grant   acme 1200            -> issued, repaid 1000
    usage   acme 50 of=volume
    -> drawn 200 from acme, overdraft 50; re-rated 50 to advance, 450 to acme
    expect  owed acme 0
    expect  available acme 5450
    """


@model_case
def test_debt_of_other_usage_is_found_whenever_it_was_drawn(case: LedgerCase) -> None:
    """
    # The first was free, the second was not: what is reversed of the first is owed no more.
    account acme card=models overdraft=700
    usage   acme 1 of=graduated          -> overdraft 3
    usage   acme 51 of=included id=free  -> free
    grant   acme 1                       -> issued, repaid 1
    usage   acme 50 of=included          -> overdraft 1
    reverse free 1                       -> 1 to advance
    expect  spent included 0
    """


@model_case
def test_goodwill_is_not_given_back_again(case: LedgerCase) -> None:
    """
    account acme card=models
    grant   acme 5000
    usage   acme 100 of=volume id=a   -> drawn 1000 from acme
    reverse a charged=900             -> 900 to acme
    usage   acme 50 of=volume         -> drawn 250 from acme; re-rated 350 to acme
    expect  spent volume 0
    """


@model_case
def test_one_row_of_every_product_has_one_total(case: LedgerCase) -> None:
    """
    # What one product drew goes back from what that product used, whoever crosses the boundary.
    account acme card=models
    grant   acme 5000 paid=5000
    usage   acme cached=100 of=alpha   -> drawn 1000 from acme
    expect  revenue alpha 1000
    usage   acme cached=50 of=beta
    -> drawn 250 from acme; re-rated 250 to acme worth 250, 250 to acme worth 250
    expect  revenue alpha 750
    expect  revenue beta 0
    """


@model_case
def test_a_volume_of_a_day_is_re_rated_within_it(case: LedgerCase) -> None:
    """
    account acme card=models
    grant   acme 5000
    usage   acme 100 of=day-volume   -> drawn 1000 from acme
    clock   +1d
    usage   acme 50 of=day-volume    -> drawn 500 from acme
    usage   acme 60 of=day-volume    -> drawn 300 from acme; re-rated 250 to acme
    """


# -- periods -------------------------------------------------------------------------------------


def _anchored(case: LedgerCase, at: int) -> str:
    policy = e.AccountPolicy(rate_card="models", billing_anchor=at)
    return case.execute(c.UpdatePolicy(FAMILY.request(f"anchor-{at}"), 1, policy))[1]


@model_case
def test_a_billing_period_runs_from_its_anchor(case: LedgerCase) -> None:
    """
    # The 10th at noon; a changed anchor starts with the next period (rule T1).
    account acme card=models
    grant   acme 90000
    """
    _anchored(case, 1_768_046_400_000_000)  # 10 January 2026, 12:00
    case.run(
        """
        usage   acme 100 of=billed-volume   -> drawn 1000 from acme
        clock   2026-01-31T23:00
        usage   acme 10 of=billed-volume    -> drawn 50 from acme; re-rated 500 to acme
        clock   2026-02-01                   # the calendar month ends, then the anchor counts
        usage   acme 10 of=billed-volume    -> drawn 100 from acme
        clock   2026-02-10T11:59
        usage   acme 100 of=billed-volume   -> drawn 500 from acme; re-rated 50 to acme
        clock   2026-02-10T12:00
        usage   acme 10 of=billed-volume    -> drawn 100 from acme
        clock   2026-03-01
        usage   acme 100 of=billed-volume   -> drawn 500 from acme; re-rated 50 to acme
        """
    )


@model_case
def test_late_usage_of_a_closed_month_counts_in_the_scopes_of_now(case: LedgerCase) -> None:
    """
    account acme card=models
    grant   acme 9000
    usage   acme 100 of=daily                  -> drawn 300 from acme
    clock   2026-02-03
    usage   acme 100 of=daily                  -> drawn 300 from acme
    usage   acme 10 of=daily at=2026-01-01     -> drawn 20 from acme; adjustment
    """


@model_case
def test_usage_of_a_day_that_is_forgotten_gives_back_its_share(case: LedgerCase) -> None:
    """
    # All that is left of the charge goes with the last of the quantity, never more.
    account acme card=models
    grant   acme 9000
    usage   acme 90 of=daily            -> drawn 270 from acme
    usage   acme 30 of=daily id=a       -> drawn 70 from acme
    clock   +100d
    usage   acme 1 of=daily             -> drawn 3 from acme
    reverse a 10                        -> 23 to acme; adjustment
    reverse a                           -> 47 to acme; adjustment
    """


# -- suspense ------------------------------------------------------------------------------------


@model_case
def test_what_a_formula_lacks_waits_and_the_rest_is_charged(case: LedgerCase) -> None:
    """
    account acme card=models
    grant   acme 9000
    usage   acme 3 of=area with=width:7     -> drawn 21 from acme
    usage   acme 3 of=area                  -> suspense
    usage   acme 3 of=area with=width:wide  -> suspense
    usage   acme 3 of=area with=width:-1    -> suspense
    usage   acme 10 of=cost                 -> suspense
    usage   acme input=10 output=7 cached=2 of=many id=m   -> drawn 107 from acme, suspense
    usage   acme input=10 output=7 cached=2 of=many with=width:3   -> drawn 113 from acme
    expect  suspended acme 5
    reverse m     -> 107 to acme
    expect  suspended acme 4
    """
    waiting = [
        e.Suspense(event.suspense).name
        for _, events in case.core.batches
        for event in events
        if isinstance(event, e.UsageRecorded) and event.suspense
    ]
    assert waiting == [
        "ATTRIBUTE_MISSING",
        "ATTRIBUTE_NOT_NUMERIC",
        "FORMULA_NEGATIVE",
        "COST_MISSING",
        "ATTRIBUTE_MISSING",
    ]


@model_case
def test_what_a_formula_lacks_waits_for_a_version_without_it(case: LedgerCase) -> None:
    """
    # rule B8: the version in force has a row for it and cannot rate it; the next may
    account acme card=models
    grant   acme 100 effective=-1d
    usage   acme 3 of=area    -> suspense
    publish area.tokens=2 card=models from=-1d
    sweep                     -> rated, drawn 6 from acme
    expect  suspended acme 0
    """


@model_case
def test_each_quantity_says_why_it_waits(case: LedgerCase) -> None:
    """
    # Where they wait for different reasons; where all wait for one, the event says it (rule B8).
    account acme card=models
    grant   acme 9000
    """
    account, core = 1, case.core
    shape = core.shape("many", "cached", "input", "tokens")
    command = c.RecordUsage(FAMILY.usage("case", "x"), account, shape, (2, 10, 5), 0, c.NO_NAMES)
    recorded = core.run(command)
    assert isinstance(recorded, e.UsageModeled)
    assert recorded.charges == (-1, 100, -1)
    assert recorded.suspense == e.Suspense.ATTRIBUTE_MISSING
    assert recorded.reasons == (e.Suspense.ATTRIBUTE_MISSING, 0, e.Suspense.UNPRICED)


@model_case
def test_what_cannot_be_priced_is_not_authorised(case: LedgerCase) -> None:
    """
    account acme card=models
    grant   acme 9000
    hold    acme 10 of=area as=h      -> denied ATTRIBUTE_MISSING
    hold    acme 10 of=cost as=h      -> denied COST_MISSING
    """


@model_case
def test_what_would_be_left_without_a_price_is_not_reversed(case: LedgerCase) -> None:
    """
    # A part of the formula's event, where the rest has a price; else all of it at once.
    account acme card=models
    grant   acme 9000
    usage   acme 4 of=divided id=d    -> drawn 25 from acme
    reverse d 2                       -> nothing
    reverse d                         -> 25 to acme
    """


# -- holds ---------------------------------------------------------------------------------------


@model_case
def test_a_capture_is_priced_by_the_totals_of_its_time(case: LedgerCase) -> None:
    """
    # The estimate goes by the totals of now, the capture by those of its own (rule H1).
    account acme card=models
    grant   acme 1000
    hold    acme 90 of=graduated as=h      -> held 270 from acme
    usage   acme 80 of=graduated           -> drawn 240 from acme
    capture h 90                           -> drawn 200 from acme
    """


@model_case
def test_an_estimate_holds_what_earlier_usage_would_cost_more(case: LedgerCase) -> None:
    """
    account acme card=models
    grant   acme 250
    usage   acme 100 of=dearer          -> drawn 100 from acme
    hold    acme 30 of=dearer as=more   -> denied INSUFFICIENT_CREDITS
    hold    acme 20 of=dearer as=h      -> held 140 from acme
    capture h 10                        -> drawn 20 from acme; re-rated drawn 100 from acme
    expect  available acme 30
    """


@model_case
def test_an_expiry_that_charges_goes_by_the_rows_of_the_authorisation(case: LedgerCase) -> None:
    """
    # By day it was authorised, by night it expires (rule H2); and the totals are those of then.
    account acme card=models
    grant   acme 5000
    clock   2026-01-01T20:50             # 21:50 in Berlin
    hold    acme 10 of=power as=p        -> held 30 from acme
    hold    acme 50 of=volume as=v       -> held 500 from acme
    usage   acme 100 of=volume           -> drawn 1000 from acme
    clock   2026-01-01T21:06
    sweep
    usage   acme 10 of=power             -> drawn 20 from acme
    expect  spent volume 750
    """


@model_case
def test_parts_of_a_hold_are_priced_as_they_are_captured(case: LedgerCase) -> None:
    """
    account acme card=models
    grant   acme 2000
    hold    acme 150 of=volume as=h   -> held 750 from acme
    capture h 100 open                -> drawn 1000 from acme
    capture h 50                      -> drawn 250 from acme; re-rated 500 to acme
    expect  spent volume 750
    expect  available acme 1250
    """


@model_case
def test_a_quote_says_what_the_whole_would_cost(case: LedgerCase) -> None:
    """
    account acme card=models
    grant   acme 1000
    usage   acme 100 of=dearer   -> drawn 100 from acme
    """
    core = case.core
    found = assess(
        core.state, case.account("acme"), core.shape("dearer", "tokens"), (20,), core.now
    )
    assert not isinstance(found, Refusal)
    assert (found.charge, found.charges) == (140, (140,))


# -- amounts that do not fit ---------------------------------------------------------------------


@model_case
def test_a_re_rate_that_fits_no_transfer_is_refused_with_its_usage(case: LedgerCase) -> None:
    """
    account acme card=models excess=absorb
    usage   acme 1 of=dearer      -> absorbed 1; 1 over the limit
    usage   acme 4611686018427387904 of=dearer   -> refused OVERFLOW quantities
    """


@model_case
def test_linked_usage_is_priced_over_what_its_group_moves(case: LedgerCase) -> None:
    """
    # Each alone is free; the second would fit no transfer after the first: none is recorded.
    account acme card=models
    grant   acme 2000
    linked  acme 100 acme 100 of=steep   -> refused LINKED_FAILED, OVERFLOW
    linked  acme 60 acme 90 of=volume
    -> drawn 600 from acme; drawn 450 from acme; re-rated 300 to acme
    """


@model_case
def test_an_amendment_is_priced_over_what_its_reversal_leaves(case: LedgerCase) -> None:
    """
    # All that was reversed before took the cheap end; upon the last reversal it would be dear.
    account acme card=models excess=absorb
    usage   acme 7 of=falling id=a
    usage   acme 7 of=falling id=b
    usage   acme 86 of=falling id=c    -> free
    reverse a                          -> nothing
    reverse b                          -> nothing
    amend   c 86 as=d of=falling       -> refused OVERFLOW quantities
    usage   acme 100 of=volume id=v    -> absorbed 1000; 1000 over the limit
    amend   v 150 as=w of=volume       -> 1000 to promotion; absorbed 750; 750 over the limit
    expect  spent volume 750
    """


def test_a_card_of_models_is_found_by_the_rows_of_a_declaration() -> None:
    """Whatever time and prompt chose them, and the same object each time."""
    core = ModelCore()
    card = core.catalog.card((TENANT, "models"))
    shape = core.shape("power", "tokens")
    day, night = 1_767_268_800_000_000, 1_767_308_400_000_000  # 12:00 and 23:00
    bounds = [card.bind(shape, at) for at in (day, night)]
    assert bounds[0].declaration.rows != bounds[1].declaration.rows
    for bound in bounds:
        again = card.declared(shape, bound.declaration)
        assert again.plan.rows == bound.plan.rows
        assert again.plan.numerators == bound.plan.numerators
        assert core.catalog.plan_of(TENANT, bound.declaration) is again.plan
    assert Reason("COST_MISSING") is Reason.COST_MISSING


@model_case
def test_a_reversal_takes_of_its_own_slices_what_its_row_has_drawn_still(case: LedgerCase) -> None:
    """
    # Of a, 695 stand after the re-rate: of b's price 200 more is drawn as a goes, from y. What b
    # drew itself was repaid by y, but for 7 that the re-rate of a gave back.
    account acme card=models
    grant   acme 7 as=x
    usage   acme 99 of=volume id=a   -> drawn 7 from x, owed 983; 983 over the limit
    usage   acme 40 of=volume id=b   -> owed 200; 200 over the limit; re-rated 495 to advance
    grant   acme 5000 as=y           -> issued, repaid 688
    reverse a                        -> 495 to y; re-rated drawn 200 from y
    reverse b                        -> 193 to y, 200 to y, 7 to x
    expect  spent volume 0
    expect  left x 7
    expect  left y 5000
    """


@model_case
def test_no_pot_gets_back_more_than_was_drawn_from_it(case: LedgerCase) -> None:
    """
    account acme card=models overage=self
    grant   acme 18 as=x
    usage   acme 99 of=volume id=a   -> drawn 18 from x, overage 972 on acme
    usage   acme 40 of=volume id=b   -> overage 200 on acme; re-rated 495 to overage
    policy  acme card=models
    reverse a                        -> 495 to overage; re-rated owed 200; 200 over the limit
    reverse b                        -> 182 to overage, 200 to advance, 18 to x
    expect  overage acme 0
    expect  owed acme 0
    expect  left x 18
    """


@model_case
def test_goodwill_is_no_more_than_what_stands_of_a_row(case: LedgerCase) -> None:
    """
    # A re-rate has given back of the charge too; of what is reversed nothing stands.
    account acme card=models overage=self
    usage   acme 99 of=volume id=a
    usage   acme 40 of=volume id=b   -> overage 200 on acme; re-rated 495 to overage
    reverse a charged=696            -> refused CORRECTION_TOO_LARGE as_charged
    reverse a                        -> 495 to overage; re-rated overage 200 on acme
    reverse a charged=1              -> refused CORRECTION_TOO_LARGE as_charged
    reverse b                        -> 200 to overage, 200 to overage
    expect  overage acme 0
    """


@model_case
def test_what_tiers_give_back_beyond_64_bits_is_refused(case: LedgerCase) -> None:
    """
    # 14 tokens cost 2^60 each and the others nothing: all of b would cost 14 of them less.
    account acme card=models overage=self
    usage   acme 7 of=falling id=a
    usage   acme 40 of=falling id=b
    reverse a                        -> nothing
    reverse b                        -> refused OVERFLOW quantities
    reverse b 33                     -> 8070450532247928832 to overage
    reverse b                        -> 8070450532247928832 to overage
    expect  overage acme 0
    """


@model_case
def test_a_row_has_drawn_less_of_the_pots_that_were_given_back_to(case: LedgerCase) -> None:
    """
    account acme card=models overdraft=700
    grant   acme 1
    usage   acme 102 of=included id=a -> drawn 1 from acme, overdraft 1
    usage   acme 1 of=included        -> overdraft 1
    reverse a 7                       -> 1 to advance, 1 to acme, 1 to advance
    expect  spent included 0
    """


@model_case
def test_a_debt_that_was_written_off_elsewhere_is_not_given_back(case: LedgerCase) -> None:
    """
    # Rules R1, F4: eu is owed nothing any more for what sales used while it was below it.
    account acme  card=models
    account eu    parent=acme overage=self card=models
    account sales parent=eu overage=parent
    usage   sales 90 of=volume   -> overage 900 on eu
    move    sales acme
    close   eu write-off         -> overage 900 written off
    usage   sales 60 of=volume   -> overage 300 on acme; re-rated 300 to overage
    expect  overage eu 0
    expect  overage acme 0
    """


@model_case
def test_nor_is_it_once_the_account_is_open_again(case: LedgerCase) -> None:
    """
    account acme  card=models
    account eu    parent=acme overage=self card=models
    account sales parent=eu overage=parent
    usage   sales 90 of=volume   -> overage 900 on eu
    move    sales acme
    close   eu write-off         -> overage 900 written off
    reopen  eu
    usage   sales 60 of=volume   -> overage 300 on acme; re-rated 300 to overage
    expect  overage eu 0
    expect  overage acme 0
    """


@model_case
def test_a_debt_that_is_newer_than_what_was_written_off_is_given_back(case: LedgerCase) -> None:
    """
    # sales was below eu as that wrote off what was owed: what it draws there since is owed.
    account acme  card=models
    account eu    parent=acme overage=self card=models
    account sales parent=eu overage=parent
    usage   sales 10 of=volume   -> overage 100 on eu
    close   sales
    close   eu write-off         -> overage 100 written off
    reopen  eu
    reopen  sales
    usage   sales 80 of=volume   -> overage 800 on eu
    move    sales acme
    usage   sales 60 of=volume   -> overage 300 on acme; re-rated 300 to overage, 150 to overage
    expect  overage eu 650
    """
