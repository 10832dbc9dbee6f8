"""Who pays, in which order, and where usage lands that nothing pays (rules D1 to D5, B3, B4)."""

from __future__ import annotations

from ledger_case import LedgerCase, ledger_case


@ledger_case
def test_a_grant_pays(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  100
    usage   acme  70    -> drawn 70 from acme
    expect  left acme  30
    expect  available acme  30
    expect  used chat  70
    """


@ledger_case
def test_grants_pay_in_order_and_the_slices_are_exact(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  10  as=low   priority=2
    grant   acme  4   as=first priority=1
    usage   acme  11  -> drawn 4 from first, drawn 7 from low
    usage   acme  3   -> drawn 3 from low
    """


@ledger_case
def test_priority_before_expiry(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  5  as=soon   priority=2  expires=+1d
    grant   acme  5  as=urgent priority=1
    usage   acme  6  -> drawn 5 from urgent, drawn 1 from soon
    """


@ledger_case
def test_soonest_expiry_first_and_none_last(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  5  as=never
    grant   acme  5  as=later   expires=+30d
    grant   acme  5  as=sooner  expires=+3d
    usage   acme  15 -> drawn 5 from sooner, drawn 5 from later, drawn 5 from never
    """


@ledger_case
def test_lower_cost_per_unit_before_narrower_applicability(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  10  as=dear   paid=20  for=chat
    grant   acme  20  as=cheap  paid=20
    grant   acme  5   as=free   free
    usage   acme  30  -> drawn 5 from free, drawn 20 from cheap, drawn 5 from dear
    """


@ledger_case
def test_narrower_applicability_first(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  5  as=any
    grant   acme  5  as=two  for=chat,image
    grant   acme  5  as=one  for=chat
    usage   acme  15 -> drawn 5 from one, drawn 5 from two, drawn 5 from any
    """


@ledger_case
def test_earlier_effective_then_ordinal(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  5  as=second
    grant   acme  5  as=third
    grant   acme  5  as=first  effective=-1h
    usage   acme  15 -> drawn 5 from first, drawn 5 from second, drawn 5 from third
    """


@ledger_case
def test_a_grant_issued_later_takes_its_place_in_the_order(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  5  as=second  priority=5
    usage   acme  1  -> drawn 1 from second
    grant   acme  5  as=third   priority=6
    grant   acme  5  as=first   priority=4
    usage   acme  14 -> drawn 5 from first, drawn 4 from second, drawn 5 from third
    """


@ledger_case
def test_only_applicable_grants_pay(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  5  as=images  for=image
    usage   acme  3             -> owed 3; 3 over the limit
    usage   acme  2  of=image   -> drawn 2 from images
    expect  available acme  0
    expect  available acme  3  of=image
    """


@ledger_case
def test_only_grants_of_the_charged_asset_pay(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  5  as=money  asset=usd  paid=5
    grant   acme  5  as=units
    usage   acme  6  -> drawn 5 from units, owed 1; 1 over the limit
    expect  left money  5
    """


@ledger_case
def test_a_grant_pays_for_what_was_effective_while_it_was(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  9  expires=+2h
    clock   +3h
    usage   acme  1         -> owed 1; 1 over the limit
    usage   acme  2  at=-2h -> drawn 2 from acme
    usage   acme  2  at=-1h -> owed 2; 2 over the limit
    usage   acme  2  at=-4h -> owed 2; 2 over the limit
    """


@ledger_case
def test_a_grant_of_tomorrow_does_not_pay_today(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  9  effective=+1d
    expect  available acme  0
    usage   acme  1  -> owed 1; 1 over the limit
    clock   +1d
    expect  available acme  9
    usage   acme  1  -> acme repaid 1; drawn 1 from acme
    """


@ledger_case
def test_grants_then_overdraft_then_overage_then_excess(case: LedgerCase) -> None:
    """
    account acme  overdraft=10 overage=self cap=20
    grant   acme  5
    usage acme 39 -> drawn 5 from acme, overdraft 10, overage 20 on acme, owed 4; 4 over the limit
    usage   acme  1   -> owed 1; 1 over the limit
    expect  owed acme  15
    expect  overage acme  20
    """


@ledger_case
def test_excess_is_owed_unless_the_policy_says_otherwise(case: LedgerCase) -> None:
    """
    account a
    account b  excess=bill
    account c  excess=absorb
    usage   a  5  -> owed 5; 5 over the limit
    usage   b  5  -> billed 5 on b; 5 over the limit
    usage   c  5  -> absorbed 5; 5 over the limit
    expect  owed a  5
    expect  overage b  5
    expect  owed c  0
    """


@ledger_case
def test_overage_is_billed_to_the_parent_and_capped_for_the_child(case: LedgerCase) -> None:
    """
    account acme
    account acme/search  parent=acme  overage=parent cap=30
    usage   acme/search  20  -> overage 20 on acme
    usage   acme/search  20  -> overage 10 on acme, owed 10; 10 over the limit
    expect  overage acme  30
    expect  owed acme/search  10
    """


@ledger_case
def test_a_root_without_a_parent_pays_its_overage_itself(case: LedgerCase) -> None:
    """
    account acme  overage=parent
    usage   acme  7  -> overage 7 on acme
    """


@ledger_case
def test_the_cap_counts_calendar_months_of_the_effective_time(case: LedgerCase) -> None:
    """
    account acme  overage=self cap=10
    usage   acme  10          -> overage 10 on acme
    clock   +31d
    usage   acme  4           -> overage 4 on acme
    usage   acme  3  at=-2d   -> owed 3; 3 over the limit
    usage   acme  8           -> overage 6 on acme, owed 2; 2 over the limit
    """


@ledger_case
def test_an_account_draws_its_own_grants_only(case: LedgerCase) -> None:
    """
    account acme
    account acme/search  parent=acme
    grant   acme  100
    usage   acme/search  5  -> owed 5; 5 over the limit
    expect  left acme  100
    """


@ledger_case
def test_the_next_grant_repays_the_advance(case: LedgerCase) -> None:
    """
    account acme  overdraft=50
    usage   acme  30  -> overdraft 30
    grant   acme  100  paid=200  -> issued, repaid 30
    expect  owed acme  0
    expect  left acme  70
    expect  recognised acme  60
    expect  available acme  120
    """


@ledger_case
def test_what_a_grant_cannot_repay_stays_owed(case: LedgerCase) -> None:
    """
    account acme
    usage   acme  30  -> owed 30; 30 over the limit
    grant   acme  20  -> issued, repaid 20
    expect  owed acme  10
    expect  left acme  0
    usage   acme  1   -> owed 1; 1 over the limit
    """


@ledger_case
def test_only_paid_grants_in_force_for_the_product_repay(case: LedgerCase) -> None:
    """
    # Rule H6; one that was issued ahead repays as it takes effect.
    account acme
    usage   acme  30                        -> owed 30; 30 over the limit
    grant   acme  10  as=a  free            -> issued
    grant   acme  10  as=b  for=image       -> issued
    grant   acme  10  as=c  effective=+1d   -> issued
    grant   acme  10  as=d  asset=usd       -> issued
    grant   acme  10  as=e                  -> issued, repaid 10
    expect  owed acme  20
    clock   +1d
    sweep                                   -> c repaid 10
    expect  owed acme  10
    grant   acme  10  as=f  for=chat        -> issued, repaid 10
    """


@ledger_case
def test_money_is_recognised_to_the_last_unit(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  3  paid=100
    usage   acme  1  -> drawn 1 from acme
    expect  recognised acme  33
    usage   acme  1  -> drawn 1 from acme
    expect  recognised acme  66
    usage   acme  1  -> drawn 1 from acme
    expect  recognised acme  100
    """


@ledger_case
def test_a_change_of_policy_binds_what_comes_after_it(case: LedgerCase) -> None:
    """
    account acme
    policy  acme  overdraft=5
    usage   acme  7  -> overdraft 5, owed 2; 2 over the limit
    policy  acme  overdraft=9
    usage   acme  7  -> overdraft 2, owed 5; 5 over the limit
    """


@ledger_case
def test_amounts_beyond_64_bits_in_total(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  9223372036854775807  as=a
    grant   acme  9223372036854775807  as=b
    usage   acme  3  of=huge  -> drawn 6917529027641081856 from a
    usage   acme  3  of=huge  -> drawn 2305843009213693951 from a, drawn 4611686018427387905 from b
    expect  used huge  13835058055282163712
    """
