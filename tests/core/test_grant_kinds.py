"""Grants by kind, terms and money: B2 to B5, D1, D2, F1, T3, H6, with the books after each step."""

from __future__ import annotations

from ledger_case import LedgerCase, ledger_case

# -- which usage a grant pays for (rule D1) --------------------------------------------------------


@ledger_case
def test_a_grant_applies_by_product_tag_and_attribute(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  10  as=eu     where=region:eu,tier:gold
    grant   acme  10  as=media  tags=media
    grant   acme  10  as=both   for=chat tags=media priority=9
    usage   acme  1                                          -> drawn 1 from both
    usage   acme  1  with=region:eu                          -> drawn 1 from both
    usage   acme  1  with=region:eu,tier:gold,user:ann       -> drawn 1 from eu
    usage   acme  1  of=image                                -> drawn 1 from media
    usage   acme  9  of=image                                -> drawn 9 from media
    usage   acme  1  of=image                                -> drawn 1 from both
    usage   acme  1  of=half                                 -> free
    """


@ledger_case
def test_narrower_applicability_pays_first(case: LedgerCase) -> None:
    """
    # Rule D2: more attribute conditions, then fewer products, then tag, then all.
    account acme
    grant   acme  1  as=all
    grant   acme  1  as=tag    tags=media
    grant   acme  1  as=two    for=chat,image
    grant   acme  1  as=one    for=image
    grant   acme  1  as=eu     where=region:eu
    usage   acme  2  of=image  with=region:eu  -> drawn 1 from eu, drawn 1 from one
    usage   acme  1  of=image  -> drawn 1 from two
    usage   acme  2  of=image  -> drawn 1 from tag, drawn 1 from all
    """


@ledger_case
def test_a_commitment_pays_last(case: LedgerCase) -> None:
    """
    # Rule D2: prepaid before postpaid, whatever their priorities.
    account acme
    grant   acme  10  as=later  postpaid paid=20 priority=-5
    grant   acme  10  as=first  priority=5
    usage   acme  12  -> drawn 10 from first, drawn 2 from later
    """


# -- money: deferred, unbilled, recognised (rules B2 to B5) ----------------------------------------


@ledger_case
def test_the_price_is_recognised_slice_by_slice_to_the_last_unit(case: LedgerCase) -> None:
    """
    # Rule B4: floor(P x drawn / A) so far; the last slice takes the exact rest.
    account acme
    grant   acme  3  paid=10
    expect  money cash 10
    expect  deferred acme 10
    usage   acme  1           -> drawn 1 from acme
    expect  revenue chat 3
    usage   acme  1  of=image -> drawn 1 from acme
    expect  revenue image 3
    usage   acme  1           -> drawn 1 from acme
    expect  revenue chat 7
    expect  deferred acme 0
    expect  lifetime acme 10
    """


@ledger_case
def test_a_free_grant_has_no_money_side(case: LedgerCase) -> None:
    """
    # Rule B5.
    account acme
    grant   acme  10  free
    usage   acme  4   -> drawn 4 from acme
    expect  revenue chat 0
    expect  money cash 0
    expect  recognised acme 0
    """


@ledger_case
def test_breakage_takes_the_money_of_what_nobody_drew(case: LedgerCase) -> None:
    """
    # Rules B4, T3: debit deferred, credit breakage.
    account acme
    grant   acme  3  paid=10  expires=+1d
    usage   acme  1  -> drawn 1 from acme
    clock   +2d
    sweep            -> acme expired 2
    expect  deferred acme 0
    expect  money breakage 7
    expect  revenue chat 3
    """


@ledger_case
def test_a_void_refunds_and_what_rounding_leaves_is_breakage(case: LedgerCase) -> None:
    """
    # Rules B4, F2: at most P x left / A, rounded down: 10 x 1 / 3 = 3 of the 4 that are left.
    account acme
    grant   acme  3  paid=10
    usage   acme  2  -> drawn 2 from acme
    void    acme     -> acme voided 1
    expect  money cash 7
    expect  money breakage 1
    expect  deferred acme 0
    expect  lifetime acme 7
    """


@ledger_case
def test_what_a_hold_gives_back_after_a_void_takes_its_money_along(case: LedgerCase) -> None:
    """
    # Rules D6, F2: the last part that leaves closes the grant to the last unit.
    account acme
    grant   acme  3  paid=10
    hold    acme  2  as=h
    void    acme     -> acme voided 1
    expect  deferred acme 7
    capture h  1     -> drawn 1 from acme; acme voided 1
    expect  deferred acme 0
    expect  money cash 4
    expect  revenue chat 3
    expect  money breakage 1
    """


@ledger_case
def test_a_commitment_is_billed_as_it_is_drawn_and_trued_up_at_its_end(case: LedgerCase) -> None:
    """
    # Rules B3, B4, D7: debit unbilled, credit revenue; unused at the end: grant to true_up.
    account acme
    grant   acme  10  postpaid paid=100 expires=+1d
    expect  unbilled acme 0
    usage   acme  4  -> drawn 4 from acme
    expect  unbilled acme 40
    expect  revenue chat 40
    clock   +2d
    sweep            -> acme expired 6
    expect  unbilled acme 100
    expect  money breakage 60
    """


@ledger_case
def test_an_allowance_defers_its_share_of_the_fee(case: LedgerCase) -> None:
    """
    # Rule B5: the fee is billed apart, and its share waits to be earned.
    account acme
    grant   acme  10  allowance paid=50
    expect  unbilled acme 50
    expect  deferred acme 50
    usage   acme  10  -> drawn 10 from acme
    expect  revenue chat 50
    expect  deferred acme 0
    expect  lifetime acme 0
    """


@ledger_case
def test_overage_in_money_is_unbilled_revenue(case: LedgerCase) -> None:
    """
    # Rule B4: debit unbilled, credit revenue, at its price in money.
    account acme  card=usd overage=self
    usage   acme  7  -> overage 7 on acme
    expect  unbilled acme 7
    expect  revenue chat 7
    """


@ledger_case
def test_the_next_grant_recognises_what_it_repays_by_product(case: LedgerCase) -> None:
    """
    # Rules B3, B4, H6: the oldest advance first, of the products that the grant is for.
    account acme
    usage   acme  4             -> owed 4; 4 over the limit
    usage   acme  4  of=image   -> owed 4; 4 over the limit
    grant   acme  6  as=b for=image paid=60 -> issued, repaid 4
    expect  revenue image 40
    expect  owed acme 4
    grant   acme  6  as=c paid=60 -> issued, repaid 4
    expect  revenue chat 40
    expect  owed acme 0
    """


@ledger_case
def test_a_free_grant_repays_only_by_policy(case: LedgerCase) -> None:
    """
    # Rule H6: promotional only by policy.
    account acme
    usage   acme  4  -> owed 4; 4 over the limit
    grant   acme  9  as=no free  -> issued
    policy  acme  backfills=promotional
    grant   acme  9  as=yes free -> issued, repaid 4
    """


# -- rollover (rule T3) ----------------------------------------------------------------------------


@ledger_case
def test_a_rollover_moves_a_fraction_up_to_its_cap_with_its_money(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  9  as=g paid=90 expires=+1d rolls=1/2 most=3 lasts=10d
    usage   acme  1        -> drawn 1 from g
    clock   +1d
    sweep                  -> g rolled over 3
    expect  left g 5
    expect  left g+ 3
    expect  deferred g+ 30
    expect  available acme 3
    usage   acme  1        -> drawn 1 from g+
    clock   +1d
    sweep                  -> g expired 5
    expect  money breakage 50
    expect  deferred g 0
    clock   +10d
    sweep                  -> g+ expired 2
    expect  money breakage 70
    """


@ledger_case
def test_a_rollover_never_rolls_again_unless_said(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  8  as=g expires=+1d rolls=1/1 lasts=1d
    clock   +1d
    sweep            -> g rolled over 8
    clock   +2d
    sweep            -> g expired 0; g+ expired 8
    grant   acme  8  as=h expires=+1d rolls=1/2 lasts=1d again
    clock   +1d
    sweep            -> h rolled over 4
    clock   +1d
    sweep            -> h expired 4; h+ rolled over 2
    clock   +1d
    sweep            -> h+ expired 2; h++ rolled over 1
    """


@ledger_case
def test_what_a_hold_gives_back_after_the_rollover_rolls_in_its_own_entry(case: LedgerCase) -> None:
    """
    # Rules T3, D6: the held part stays until it is given back, and follows by the same terms.
    account acme
    grant   acme  8  as=g expires=+1d rolls=1/2 most=4 lasts=9d
    clock   +23h
    hold    acme  4  as=h lifetime=10h
    clock   +1h
    sweep            -> g rolled over 2
    release h        -> released; g rolled over 2
    clock   +1d
    sweep            -> g expired 4
    expect  available acme 4
    """


# -- the funding gate (rule F1) --------------------------------------------------------------------


@ledger_case
def test_a_gated_grant_is_pending_and_is_cancelled_after_seven_days(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  10  gated paid=50
    expect  pending acme 10
    expect  available acme 0
    usage   acme  1   -> owed 1; 1 over the limit
    clock   +6d
    sweep             -> nothing
    clock   +1d
    sweep             -> acme cancelled 10
    expect  pending acme 0
    expect  money cash 0
    void    acme      -> refused GRANT_SETTLED grant_id
    """


@ledger_case
def test_a_void_cancels_what_is_pending(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  10  gated paid=50
    void    acme      -> acme cancelled 10; acme voided 0
    expect  pending acme 0
    expect  deferred acme 0
    """
