"""Overrides of rows with price models, and by them, through the whole core (rules R1, R4)."""

from __future__ import annotations

from ledger_case import LedgerCase
from model_world import model_case


@model_case
def test_multiplied_tiers_go_on_where_the_row_stood(case: LedgerCase) -> None:
    """
    account  acme card=models
    grant    acme 10000
    usage    acme 90 of=graduated id=a    -> drawn 270 from acme
    override acme graduated:x1/2
    usage    acme 20 of=graduated id=b    -> drawn 25 from acme
    reverse  b                            -> 25 to acme
    override acme
    clock    +1s
    usage    acme 20 of=graduated         -> drawn 50 from acme
    """


@model_case
def test_other_tiers_go_on_with_what_the_row_has_counted(case: LedgerCase) -> None:
    """
    account  acme card=models
    grant    acme 10000
    usage    acme 90 of=graduated         -> drawn 270 from acme
    override acme graduated:t100/7,1
    usage    acme 20 of=graduated         -> drawn 80 from acme
    override acme
    clock    +1s
    usage    acme 890 of=graduated        -> drawn 1780 from acme
    """


@model_case
def test_tiers_of_another_scope_begin_with_the_override(case: LedgerCase) -> None:
    """
    account  acme card=models
    grant    acme 10000
    usage    acme 90 of=daily             -> drawn 270 from acme
    override acme daily:t10/7,1
    usage    acme 20 of=daily             -> drawn 80 from acme
    usage    acme 20 of=daily             -> drawn 20 from acme
    """


@model_case
def test_tiers_may_price_what_no_row_does(case: LedgerCase) -> None:
    """
    account  acme card=models
    grant    acme 10000
    override acme other:t10/7,1
    usage    acme 8 of=other id=a         -> drawn 56 from acme
    usage    acme 8 of=other id=b         -> drawn 20 from acme
    reverse  a                            -> 20 to acme
    """


@model_case
def test_a_volume_re_rates_at_the_multiplied_price(case: LedgerCase) -> None:
    """
    account  acme card=models
    grant    acme 10000
    override acme volume:x1/2
    usage    acme 100 of=volume id=a      -> drawn 500 from acme
    usage    acme 50 of=volume id=b       -> drawn 125 from acme; re-rated 250 to acme
    reverse  b                            -> 125 to acme; re-rated drawn 250 from acme
    """


@model_case
def test_fixed_parts_and_the_most_of_a_transaction_are_multiplied(case: LedgerCase) -> None:
    """
    account  acme card=models
    grant    acme 1000
    override acme share:x2
    usage    acme 1000 of=share           -> free
    usage    acme 20 of=share             -> drawn 6 from acme
    usage    acme 900 of=share            -> drawn 10 from acme
    """


@model_case
def test_a_formula_is_multiplied(case: LedgerCase) -> None:
    """
    account  acme card=models
    grant    acme 1000
    override acme divided:x3
    usage    acme 7 of=divided            -> drawn 43 from acme
    """


@model_case
def test_hours_choose_the_row_that_is_multiplied(case: LedgerCase) -> None:
    """
    account  acme card=models
    grant    acme 1000
    clock    2026-01-05T12:00
    override acme power:x2
    usage    acme 1 of=power              -> drawn 6 from acme
    clock    2026-01-05T23:00
    usage    acme 1 of=power              -> drawn 4 from acme
    """


@model_case
def test_a_hold_expires_at_the_price_of_its_authorisation(case: LedgerCase) -> None:
    """
    account  acme card=models
    grant    acme 10000
    override acme volume:x1/2
    hold     acme 50 as=h of=volume       -> held 250 from acme
    override acme
    clock    +1h
    sweep                                 -> hold expired, charged, drawn 250 from acme
    """


@model_case
def test_what_was_rated_later_gives_back_its_own_quantities_alone(case: LedgerCase) -> None:
    """
    # The first card prices what is cached, the second one, later, the rest: at prices of which
    # each runs on a total of its own. What is cached never moved one there.
    account  acme card=models
    grant    acme 10000
    override acme *:x3/2
    usage    acme of=gpt id=u input=283 cached=20 output=192 -> drawn 300 from acme, suspense
    policy   acme
    sweep    -> rated, drawn 1653 from acme
    reverse  u -> 1653 to acme; 300 to acme
    expect   left acme 10000
    """
