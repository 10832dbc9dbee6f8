"""Totals that several accounts share: what each is charged, re-rated and given back (R1, D8, N3).

The prices are those of `shared_world`. What others bear of a re-rate is posted by the sweep, or
before anything else of the account.
"""

from __future__ import annotations

from core_world import TENANT, make_catalog
from ledger_case import LedgerCase
from msgspec.structs import replace
from replaying import replayed
from shared_world import ROWS, SandboxCase, SharedCase, shared_case, together

from rating.compile import CompiledCard
from rating.models import Tier, Volume
from rating.versions import CardVersion

# -- incremental prices ----------------------------------------------------------------------------


@shared_case
def test_three_children_rise_through_the_tiers_together(case: LedgerCase) -> None:
    """
    # F(90) = 270, F(180) = 300 + 160, F(1200) = 300 + 1800 + 200: each pays what its usage adds.
    account acme card=together
    account a parent=acme
    account b parent=acme
    account c parent=acme
    grant   acme 10000 shared
    usage   a 90 of=graduated          -> drawn 270 from acme
    usage   b 90 of=graduated id=b     -> drawn 190 from acme
    usage   c 1020 of=graduated id=c   -> drawn 1840 from acme
    usage   acme 10 of=graduated       -> drawn 10 from acme
    expect  spent graduated 2310
    # Last in, first out over the total: 90 of 1,210 cost 1 each, whoever used them. F(1120) = 2220
    # and F(100) = 300: of the 1,920 between them c was charged 1,840, and b still pays for nothing.
    reverse b                          -> 90 to acme
    reverse c                          -> 1840 to acme
    sweep                              -> b re-rated 80 to acme
    expect  spent graduated 300
    """


@shared_case
def test_a_package_a_stair_and_what_is_included_are_of_all(case: LedgerCase) -> None:
    """
    account acme card=together
    account a parent=acme
    account b parent=acme
    grant   acme 10000 shared
    usage   a 60 of=package      -> drawn 5 from acme
    usage   b 40 of=package      -> free
    usage   b 1 of=package       -> drawn 5 from acme
    usage   a 5 of=stairstep     -> drawn 50 from acme
    usage   b 1 of=stairstep     -> drawn 30 from acme
    usage   a 60 of=included     -> free
    usage   b 60 of=included     -> drawn 20 from acme
    usage   a 1000 of=included   -> drawn 480 from acme
    usage   b 1000 of=included   -> free
    usage   a 60 of=share        -> free
    usage   b 60 of=share        -> drawn 2 from acme
    """


@shared_case
def test_families_and_accounts_with_prices_of_their_own_count_apart(case: LedgerCase) -> None:
    """
    # `b` names a card itself and `c` is of another family; `d` is below `b`.
    account acme card=together
    account a parent=acme
    account b parent=acme card=together
    account d parent=b
    account other card=together
    account c parent=other
    grant   acme 10000 shared
    grant   other 10000 shared
    usage   a 100 of=graduated   -> drawn 300 from acme
    usage   b 90 of=graduated    -> drawn 270 from acme
    usage   c 10 of=graduated    -> drawn 30 from other
    usage   d 20 of=graduated    -> drawn 50 from acme
    usage   a 10 of=graduated    -> drawn 20 from acme
    usage   a 100 of=alone       -> drawn 1000 from acme
    usage   acme 10 of=alone     -> drawn 100 from acme
    """


@shared_case
def test_overrides_of_an_account_begin_a_subtree(case: LedgerCase) -> None:
    """
    account acme card=together
    account a parent=acme
    account b parent=acme
    grant   acme 10000 shared
    usage   a 100 of=graduated        -> drawn 300 from acme
    override b graduated:x1/2
    usage   b 100 of=graduated id=b   -> drawn 150 from acme
    usage   a 10 of=graduated         -> drawn 20 from acme
    # Taken back, it counts with the others from then on; what it has used stays where it was.
    override b
    usage   b 10 of=graduated         -> drawn 20 from acme
    reverse b                         -> 150 to acme
    """


@shared_case
def test_a_reversal_of_what_was_free_gives_back_to_those_who_paid(case: LedgerCase) -> None:
    """
    # The first hundred were a's: without it b's and c's are, and they paid 60 and 30 for theirs.
    account acme card=together
    account a parent=acme
    account b parent=acme
    account c parent=acme
    grant   a 1000 as=ga
    grant   b 1000 as=gb
    grant   c 1000 as=gc
    usage   a 100 of=included id=a   -> free
    usage   b 60 of=included         -> drawn 60 from gb
    usage   c 30 of=included         -> drawn 30 from gc
    reverse a                        -> nothing
    sweep                            -> b re-rated 60 to gb; c re-rated 30 to gc
    expect  spent included 0
    usage   a 20 of=included         -> drawn 10 from ga
    """


# -- volume ----------------------------------------------------------------------------------------


@shared_case
def test_two_departments_cross_a_boundary_together(case: LedgerCase) -> None:
    """
    # 60 + 30 at 10; 30 more reach the second tier. a's 60 and b's 30 cost 5 each now: 300 go back
    # to a and 150 to b. F(120) = 600 = 300 + 300.
    account acme card=together
    account a parent=acme
    account b parent=acme
    grant   a 1000 as=ga
    grant   b 1000 as=gb
    usage   a 60 of=volume   -> drawn 600 from ga
    usage   b 30 of=volume   -> drawn 300 from gb
    usage   b 30 of=volume   -> drawn 150 from gb; re-rated 150 to gb
    expect  left ga 400
    sweep                    -> a re-rated 300 to ga
    expect  left ga 700
    expect  left gb 700
    expect  spent volume 600
    """


@shared_case
def test_what_is_due_is_posted_before_anything_else_of_the_account(case: LedgerCase) -> None:
    """
    # Without the 500 that go back, the hold would not be granted.
    account acme card=together
    account a parent=acme
    account b parent=acme
    grant   a 1000 as=ga
    grant   b 1000 as=gb
    usage   a 100 of=volume        -> drawn 1000 from ga
    usage   b 10 of=volume         -> drawn 50 from gb
    hold    a 100 of=volume as=h   -> a re-rated 500 to ga; held 500 from ga
    sweep                          -> nothing
    capture h 100                  -> drawn 500 from ga
    """


@shared_case
def test_a_boundary_may_make_it_dearer(case: LedgerCase) -> None:
    """
    account acme card=together
    account a parent=acme
    account b parent=acme overdraft=1000
    grant   a 1000 as=ga
    usage   a 60 of=dearer    -> drawn 60 from ga
    usage   b 40 of=dearer    -> overdraft 40
    usage   a 10 of=dearer    -> drawn 20 from ga; re-rated drawn 60 from ga
    sweep                     -> b re-rated overdraft 40
    expect  spent dearer 220
    expect  owed b 80
    """


@shared_case
def test_a_reversal_moves_the_re_rate_back_for_all(case: LedgerCase) -> None:
    """
    account acme card=together
    account a parent=acme
    account b parent=acme
    grant   a 1000 as=ga
    grant   b 1000 as=gb
    usage   a 60 of=volume          -> drawn 600 from ga
    usage   b 40 of=volume          -> drawn 400 from gb
    usage   b 20 of=volume id=b     -> drawn 100 from gb; re-rated 200 to gb
    sweep                           -> a re-rated 300 to ga
    expect  spent volume 600
    reverse b                       -> 100 to gb; re-rated drawn 200 from gb
    expect  spent volume 700
    sweep                           -> a re-rated drawn 300 from ga
    expect  spent volume 1000
    """


@shared_case
def test_two_crossings_before_the_first_is_posted(case: LedgerCase) -> None:
    """
    # Each is an entry of its own, in order.
    account acme card=together
    account a parent=acme
    account b parent=acme
    grant   a 1000 as=ga
    grant   b 1000 as=gb
    usage   a 60 of=volume          -> drawn 600 from ga
    usage   b 60 of=volume id=b     -> drawn 300 from gb
    reverse b                       -> 300 to gb
    usage   b 50 of=volume          -> drawn 250 from gb
    sweep
    -> a re-rated 300 to ga; a re-rated drawn 300 from ga; a re-rated 300 to ga
    expect  spent volume 550
    """


@shared_case
def test_rounding_is_shared_to_the_unit(case: LedgerCase) -> None:
    """
    # F(1), F(2) ... by 1/3, half to even: 0 1 1 1 2 2. a has 0 + 1 + 0, b 0 + 1 + 0 of F(6) = 2.
    # F(11) = 2.75 -> 3 at 1/4: the five of c are 3 - F'(6) = 3 - 2 = 1; those before cost the same.
    account acme card=together excess=owe
    account a parent=acme
    account b parent=acme
    account c parent=acme
    usage   a 1 of=thirds   -> free
    usage   a 1 of=thirds   -> owed 1; 1 over the limit
    usage   b 1 of=thirds   -> free
    usage   b 1 of=thirds   -> free
    usage   b 1 of=thirds   -> owed 1; 1 over the limit
    usage   a 1 of=thirds   -> free
    usage   c 5 of=thirds   -> owed 1; 1 over the limit
    sweep                   -> nothing
    expect  spent thirds 3
    """


@shared_case
def test_days_and_billing_periods_are_those_of_the_top(case: LedgerCase) -> None:
    """
    # Midnight in Berlin is 23:00 in UTC: a day begins there for both.
    account acme card=together zone=Europe/Berlin
    account a parent=acme
    account b parent=acme
    grant   acme 10000 shared
    clock   2026-01-05T22:30
    usage   a 100 of=day-volume      -> drawn 1000 from acme
    clock   2026-01-05T23:30
    usage   b 10 of=day-volume       -> drawn 100 from acme
    usage   b 10 of=day-volume at=2026-01-05T22:00
    -> drawn 50 from acme
    sweep                            -> a re-rated 500 to acme
    usage   a 60 of=billed-volume    -> drawn 600 from acme
    usage   b 60 of=billed-volume    -> drawn 300 from acme
    sweep                            -> a re-rated 300 to acme
    """


@shared_case
def test_late_usage_counts_in_its_own_month_while_that_is_open(case: LedgerCase) -> None:
    """
    # January is open for another day; the boundary that is crossed is January's.
    account acme card=together
    account a parent=acme
    account b parent=acme
    grant   acme 10000 shared
    usage   a 100 of=volume                   -> drawn 1000 from acme
    clock   2026-02-01T06:00
    usage   a 10 of=volume                    -> drawn 100 from acme
    usage   b 10 of=volume at=2026-01-31      -> drawn 50 from acme
    sweep                                     -> a re-rated 500 to acme
    clock   2026-02-03
    # January is closed: this counts in February, with a's 10.
    usage   b 100 of=volume at=2026-01-31T12:00
    -> drawn 500 from acme; adjustment
    sweep                                     -> a re-rated 50 to acme
    expect  spent volume 1100
    """


@shared_case
def test_nobody_is_given_a_unit_that_rounding_put_on_another(case: LedgerCase) -> None:
    """
    # Units 2, 5 and 8 cost 1 each, and are b's. Ten at 1/4 cost 2 in place of 3: by parts a would
    # be given the unit, as it has 7 of the 10, but has paid nothing.
    account acme card=together excess=owe
    account a parent=acme
    account b parent=acme
    account c parent=acme
    usage   a 1 of=thirds   -> free
    usage   b 1 of=thirds   -> owed 1; 1 over the limit
    usage   a 2 of=thirds   -> free
    usage   b 1 of=thirds   -> owed 1; 1 over the limit
    usage   a 2 of=thirds   -> free
    usage   b 1 of=thirds   -> owed 1; 1 over the limit
    usage   a 2 of=thirds   -> free
    usage   c 1 of=thirds   -> owed 1; 1 over the limit
    sweep                   -> b re-rated 1 to advance
    expect  spent thirds 3
    """


# -- moves, closing --------------------------------------------------------------------------------


@shared_case
def test_what_was_used_before_a_move_stays_where_it_was(case: LedgerCase) -> None:
    """
    # Two subtrees; a moves from one to the other. Its 90 stay with the first: the second begins
    # with the 10 of its own. What crosses the first one's boundary later re-rates a all the same.
    account acme
    account east parent=acme card=together
    account west parent=acme card=together
    account a parent=east
    account b parent=east
    account c parent=west
    grant   a 2000 as=ga
    grant   b 2000 as=gb
    grant   c 2000 as=gc
    usage   a 90 of=volume id=a   -> drawn 900 from ga
    move    a west                -> done
    usage   c 10 of=volume        -> drawn 100 from gc
    usage   a 10 of=volume        -> drawn 100 from ga
    usage   b 20 of=volume        -> drawn 100 from gb
    sweep                         -> a re-rated 450 to ga
    # The reversal finds the total that it moved, in the east.
    reverse a                     -> 450 to ga
    sweep                         -> b re-rated drawn 100 from gb
    expect  spent volume 400
    """


@shared_case
def test_a_closed_account_is_re_rated_as_others_are(case: LedgerCase) -> None:
    """
    account acme card=together
    account a parent=acme
    account b parent=acme
    grant   acme 2000 shared
    usage   a 60 of=volume   -> drawn 600 from acme
    close   a                -> done
    usage   b 60 of=volume   -> drawn 300 from acme
    sweep                    -> a re-rated 300 to acme
    expect  spent volume 600
    """


# -- contracts -------------------------------------------------------------------------------------


@shared_case
def test_a_contract_counts_its_own_term_and_its_renewal_starts_anew(case: LedgerCase) -> None:
    """
    # The term runs over months: 90 in January and 20 in March are in one total.
    account acme card=together
    account a parent=acme
    account b parent=acme
    grant   acme 5000 shared
    plan    base 0
    sign    acme C base until=2026-04-01 renews   -> signed; base 0 to 2026-02-01; begun
    usage   a 90 of=termed                        -> drawn 270 from acme
    usage   a 60 of=term-volume                   -> drawn 600 from acme
    clock   2026-03-15
    sweep
    usage   b 20 of=termed                        -> drawn 50 from acme
    usage   b 60 of=term-volume                   -> drawn 300 from acme
    sweep                                         -> a re-rated 300 to acme
    clock   2026-04-01T12:00
    sweep
    usage   b 20 of=termed                        -> drawn 60 from acme
    usage   b 60 of=term-volume                   -> drawn 600 from acme
    # Late usage of the first term counts there, while March is open.
    usage   b 10 of=termed at=2026-03-31          -> drawn 20 from acme
    """


@shared_case
def test_without_a_contract_it_waits_for_one(case: LedgerCase) -> None:
    """
    # The other quantity is charged at once; a hold is denied.
    account acme card=together
    account a parent=acme
    grant   acme 5000 shared
    usage   a of=termed tokens=60 output=3 id=w   -> drawn 3 from acme, suspense
    hold    a 10 of=termed as=h            -> denied NO_CONTRACT
    plan    base 0
    sign    acme C base until=2026-04-01 from=2026-01-01
    sweep                                  -> rated, drawn 180 from acme
    usage   a 60 of=termed                 -> drawn 160 from acme
    expect  suspended a 0
    """


# -- what is in between ----------------------------------------------------------------------------


@shared_case
def test_a_family_that_leaves_memory_keeps_totals_and_what_is_due(case: LedgerCase) -> None:
    """
    account acme card=together
    account a parent=acme
    account b parent=acme
    grant   a 1000 as=ga
    grant   b 1000 as=gb
    usage   a 60 of=volume   -> drawn 600 from ga
    usage   b 60 of=volume   -> drawn 300 from gb
    """
    case.finish()  # packs it, and brings it back
    case.run(
        """
        usage   b 60 of=volume   -> drawn 300 from gb
        sweep                    -> a re-rated 300 to ga
        expect  spent volume 900
        """
    )


@shared_case
def test_linked_usage_of_two_accounts_is_priced_one_after_the_other(case: LedgerCase) -> None:
    """
    account acme card=together
    account a parent=acme
    account b parent=acme
    grant   acme 1000 shared
    linked  a 60 b 60 of=volume   -> drawn 600 from acme; drawn 300 from acme
    sweep                         -> a re-rated 300 to acme
    """


def test_what_linked_usage_would_move_passes_from_one_account_to_the_other() -> None:
    """2^60 each after 100: b's 9 do not fit 64 bits with a's 100 before them; alone they are
    free."""
    case = SharedCase()
    case.run(
        """
        account acme card=together
        account a parent=acme
        account b parent=acme
        linked  a 100 b 9 of=steep   -> refused LINKED_FAILED, OVERFLOW
        usage   b 9 of=steep         -> free
        """
    )


@shared_case
def test_a_hold_bears_its_own_part_of_what_earlier_usage_costs_more(case: LedgerCase) -> None:
    """
    # a's 20 cost 1 more each beyond 100, and b's 60 are not its own: 41 x 2 + 20.
    account acme card=together
    account a parent=acme
    account b parent=acme
    grant   a 1000 as=ga
    grant   b 1000 as=gb
    usage   a 20 of=dearer            -> drawn 20 from ga
    usage   b 60 of=dearer            -> drawn 60 from gb
    hold    a 41 of=dearer as=h       -> held 102 from ga
    capture h 41                      -> drawn 82 from ga; re-rated drawn 20 from ga
    sweep                             -> b re-rated drawn 60 from gb
    """


@shared_case
def test_a_contract_that_begins_rates_what_waited_for_it(case: LedgerCase) -> None:
    """
    # Signed ahead, it begins by the clock alone; usage of after that had come too early.
    account acme card=together
    grant   acme 5000
    plan    base 0
    sign    acme C base until=2026-04-01 from=2026-01-02
    usage   acme 60 of=termed at=2026-01-01    -> suspense
    clock   2026-01-01T23:58
    usage   acme 60 of=termed at=2026-01-02    -> suspense
    clock   2026-01-02
    sweep     -> base 0 to 2026-02-02; begun; rated, drawn 180 from acme
    expect  suspended acme 1
    """


@shared_case
def test_a_long_term_keeps_its_total(case: LedgerCase) -> None:
    """
    # Three years: other totals are forgotten after some 430 days.
    account acme card=together
    account a parent=acme
    grant   acme 5000 shared
    plan    base 0
    sign    acme C base until=2029-01-01
    usage   a 90 of=termed          -> drawn 270 from acme
    clock   2028-06-01
    sweep
    usage   acme 20 of=graduated    -> drawn 60 from acme
    usage   a 20 of=termed          -> drawn 50 from acme
    """


@shared_case
def test_overrides_of_a_contract_may_count_the_subtree(case: LedgerCase) -> None:
    """
    # What is not of the card's own scope runs on a total of the override's own.
    account acme card=together
    account a parent=acme
    account b parent=acme
    grant   acme 5000 shared
    override acme graduated:x1/2
    usage   a 100 of=graduated   -> drawn 150 from acme
    usage   b 100 of=graduated   -> drawn 100 from acme
    """


@shared_case
def test_debt_that_was_written_off_is_not_given_back(case: LedgerCase) -> None:
    """
    account acme card=together
    account a parent=acme overdraft=1000
    account b parent=acme
    grant   b 1000 as=gb
    usage   a 60 of=volume      -> overdraft 600
    close   a write-off         -> advance 600 written off
    usage   b 60 of=volume      -> drawn 300 from gb
    sweep                       -> a re-rated nothing
    """


@shared_case
def test_what_one_does_not_owe_any_more_is_not_given_to_another(case: LedgerCase) -> None:
    """
    # Of 90 that a's reversal takes off, 60 were b's, which are written off; c is given its own 30.
    account acme card=together
    account a parent=acme
    account b parent=acme overdraft=100
    account c parent=acme
    grant   c 1000 as=gc
    usage   a 100 of=included id=a   -> free
    usage   b 60 of=included         -> overdraft 60
    close   b write-off              -> advance 60 written off
    usage   c 30 of=included         -> drawn 30 from gc
    reverse a                        -> nothing
    sweep                            -> c re-rated 30 to gc
    """


@shared_case
def test_converted_charges_are_re_rated_in_what_they_were_priced_in(case: LedgerCase) -> None:
    """
    # The other half of a's 600 credits was converted.
    account acme card=together settles=usd overage=self
    account a parent=acme overage=self
    account b parent=acme
    rate    credits usd 2/1
    grant   a 300 as=ga
    grant   b 1000 as=gb
    usage   a 60 of=volume
    usage   b 60 of=volume      -> drawn 300 from gb
    sweep
    expect  spent volume 600
    """


@shared_case
def test_a_frozen_account_is_re_rated_as_others_are(case: LedgerCase) -> None:
    """
    # a is frozen when its share comes: its usage was there.
    account acme card=together
    account a parent=acme
    account b parent=acme
    grant   acme 5000 shared
    usage   a 60 of=volume     -> drawn 600 from acme
    freeze  a                  -> done
    usage   b 60 of=volume     -> drawn 300 from acme
    sweep                      -> a re-rated 300 to acme
    expect  left acme 4400
    """


def test_another_boundary_is_tried_on_what_happened() -> None:
    """F(120) is 600 with a boundary below 120, wherever it is, and 1,200 above."""
    case = SharedCase()
    case.run(
        """
        account acme card=together
        account a parent=acme
        account b parent=acme
        grant   a 2000 as=ga
        grant   b 2000 as=gb
        usage   a 60 of=volume
        usage   b 20 of=volume
        usage   b 40 of=volume
        sweep
        usage   a 1 of=alone
        usage   b 1 of=alone
        """
    )
    for bound, price in ((50, 5), (70, 5), (110, 5), (200, 10)):
        tried = Volume((Tier(bound, "10"), Tier(None, "5")))
        rows = tuple(
            [replace(row, model=tried) if row.product == "volume" else row for row in ROWS]
        )
        catalog = make_catalog()
        version = CardVersion(20, 0, 0, CompiledCard(together(rows), 20))
        catalog.add_card(TENANT, "together", version)
        accounts = replayed(case.core, catalog=catalog).state.accounts
        for name in "ab":
            drawn = accounts[case.accounts[name]].row_draws
            shared = [sum(parts.values()) for place, parts in drawn.items() if place[1] > 15]
            assert shared == [60 * price], (bound, name)


def test_what_time_makes_due_is_the_same_in_a_sandbox() -> None:
    """Each story above, told to a tenant whose clock is moved."""
    for told in [each for name, each in globals().items() if name.startswith("test_")]:
        story = getattr(told, "__wrapped__", None)
        if story is not None and story.__doc__:
            case = SandboxCase()
            case.run(story.__doc__)
            case.finish()
