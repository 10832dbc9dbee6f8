"""Commitments pay at commit rate and first; what they leave is charged at list price (rule R9)."""

from __future__ import annotations

import msgspec
import pytest
from core_world import FAMILY
from ledger_case import LedgerCase
from listed_world import ListedCase, listed_case
from test_verify_rules import judged

from ledger.core import commands as c
from ledger.core import events as e


@listed_case
def test_what_commitments_cover_is_charged_at_commit_rate(case: LedgerCase) -> None:
    """
    account acme card=listed
    commit  acme now..+30d:1000/1000 as=c
    usage   acme 10 of=api   -> drawn 50 from c.1
    """


@listed_case
def test_without_a_commitment_all_is_at_list_price(case: LedgerCase) -> None:
    """
    account acme card=listed
    grant   acme 1000
    usage   acme 10 of=api   -> drawn 80 from acme
    """


@listed_case
def test_the_rest_of_what_a_commitment_pays_is_at_list_price(case: LedgerCase) -> None:
    """
    # Ten at 5 are 50, at list 80; of 50 the commitment pays 20, so 60 % of 80 are left: 48.
    account acme card=listed
    commit  acme now..+30d:20/20 as=c
    grant   acme 1000
    usage   acme 10 of=api   -> drawn 20 from c.1, drawn 48 from acme
    usage   acme 10 of=api   -> drawn 80 from acme
    """


@listed_case
def test_commitments_pay_first_whatever_stands_before_them(case: LedgerCase) -> None:
    """
    # Prepaid stands before postpaid in the order, and the grant has priority; not here.
    account acme card=listed
    grant   acme 1000 priority=1
    commit  acme now..+30d:30/30 as=c priority=9
    usage   acme 10 of=api   -> drawn 30 from c.1, drawn 32 from acme
    """


@listed_case
def test_a_prepaid_commitment_is_one_too(case: LedgerCase) -> None:
    """
    account acme card=listed
    commit  acme now..+30d:30/30 as=c prepaid
    grant   acme 1000
    usage   acme 10 of=api   -> drawn 30 from c.1, drawn 32 from acme
    """


@listed_case
def test_a_commitment_for_other_products_pays_nothing_of_it(case: LedgerCase) -> None:
    """
    account acme card=listed
    commit  acme now..+30d:30/30 as=c for=gpt
    grant   acme 1000
    usage   acme 10 of=api   -> drawn 80 from acme
    """


@listed_case
def test_lines_are_paid_in_order_and_those_without_a_list_price_stay(case: LedgerCase) -> None:
    """
    # cached 4 x 1 = 4 (16), input 10 x 2 = 20 (30), output 5 x 3 = 15, in the order of names. Of 24
    # the commitment pays 14: cached whole, 10 of the input, of which half is left at list: 15. With
    # the output 30, which no commitment pays.
    account acme card=listed
    commit  acme now..+30d:14/14 as=c
    grant   acme 1000
    usage   acme 0 of=gpt input=10 output=5 cached=4   -> drawn 14 from c.1, drawn 30 from acme
    """


@listed_case
def test_lines_without_a_list_price_may_be_paid_by_what_commitments_have_left(
    case: LedgerCase,
) -> None:
    """
    # The grant stands first in the order of what is not listed.
    account acme card=listed
    commit  acme now..+30d:100/100 as=c
    grant   acme 10
    usage   acme 0 of=gpt input=10 output=5   -> drawn 25 from c.1, drawn 10 from acme
    """


@listed_case
def test_what_is_free_at_commit_rate_leaves_no_rest(case: LedgerCase) -> None:
    """
    account acme card=listed
    grant   acme 10
    usage   acme 10 of=free   -> free
    """


@listed_case
def test_a_reversal_of_the_whole_gives_back_each_part_to_its_payer(case: LedgerCase) -> None:
    """
    account acme card=listed
    commit  acme now..+30d:20/20 as=c
    grant   acme 1000
    usage   acme 10 of=api id=a   -> drawn 20 from c.1, drawn 48 from acme
    reverse a                     -> 48 to acme, 20 to c.1 worth 20
    expect  left c.1 20
    usage   acme 10 of=api        -> drawn 20 from c.1, drawn 48 from acme
    """


@listed_case
def test_a_reversal_of_a_part_leaves_the_commitment_what_it_paid(case: LedgerCase) -> None:
    """
    # Of 10 stay 6: 30 at commit rate, 20 of them paid, a third of 48 at list: 16 stay of 48. Of 6
    # stay 3: 15, which the commitment pays; 16 and 5 go back. Then the rest.
    account acme card=listed
    commit  acme now..+30d:20/20 as=c
    grant   acme 1000
    usage   acme 10 of=api id=a   -> drawn 20 from c.1, drawn 48 from acme
    reverse a 4                   -> 32 to acme
    reverse a 3                   -> 16 to acme, 5 to c.1 worth 5
    reverse a                     -> 15 to c.1 worth 15
    expect  spent api 0
    """


@listed_case
def test_goodwill_comes_off_the_rest_first(case: LedgerCase) -> None:
    """
    account acme card=listed
    commit  acme now..+30d:20/20 as=c
    grant   acme 1000
    usage   acme 10 of=api id=a
    reverse a charged=40          -> 40 to acme
    reverse a                     -> 8 to acme, 20 to c.1 worth 20
    """


@listed_case
def test_overage_and_excess_are_at_list_price(case: LedgerCase) -> None:
    """
    account acme card=listed-usd overage=self
    usage   acme 10 of=api   -> overage 80 on acme
    expect  unbilled acme 80
    expect  revenue api 80
    """


@listed_case
def test_a_hold_reserves_as_it_would_be_charged(case: LedgerCase) -> None:
    """
    account acme card=listed
    commit  acme now..+30d:20/20 as=c
    grant   acme 100
    hold    acme 10 of=api as=h    -> held 20 from c.1, held 48 from acme
    capture h 10                   -> drawn 20 from c.1, drawn 48 from acme
    hold    acme 10 of=api as=g    -> denied INSUFFICIENT_CREDITS
    """


@listed_case
def test_a_capture_of_less_takes_from_the_commitment_first(case: LedgerCase) -> None:
    """
    # 6 at 5 are 30: 20 by the commitment, a third of 48 at list.
    account acme card=listed
    commit  acme now..+30d:20/20 as=c
    grant   acme 100
    hold    acme 10 of=api as=h    -> held 20 from c.1, held 48 from acme
    capture h 6                    -> drawn 20 from c.1, drawn 16 from acme
    """


@listed_case
def test_a_capture_of_more_asks_what_commitments_have_by_then(case: LedgerCase) -> None:
    """
    # An upsize brings 50 more: 100 at commit rate, 70 by commitments, 30 % of 160 are 48, held.
    account acme card=listed
    commit  acme now..+30d:20/20 as=c
    grant   acme 100
    hold    acme 10 of=api as=h    -> held 20 from c.1, held 48 from acme
    upsize  c now..+30d:50/50
    capture h 20                   -> drawn 20 from c.1, drawn 48 from acme, drawn 50 from c.2
    """


@listed_case
def test_an_expiry_that_charges_does_it_the_same_way(case: LedgerCase) -> None:
    """
    account acme card=listed
    commit  acme now..+30d:10/10 as=c
    grant   acme 100
    hold    acme 0 of=gpt input=10 as=h   -> held 10 from c.1, held 15 from acme
    clock   +1h
    sweep   -> hold expired, charged, drawn 10 from c.1, drawn 15 from acme
    """


@listed_case
def test_an_amendment_is_charged_anew(case: LedgerCase) -> None:
    """
    account acme card=listed
    commit  acme now..+30d:20/20 as=c
    grant   acme 1000
    usage   acme 10 of=api id=a
    amend   a 4 as=b of=api
    expect  spent api 20
    expect  left c.1 0
    expect  left acme 1000
    """


@listed_case
def test_totals_run_on_at_both_prices(case: LedgerCase) -> None:
    """
    # A third or a half a token: 1, 1, 1 at list are 0, 1, 1 (halves to even: 0.5, 1, 1.5), and as
    # parts of a commit charge of 0, 1, 0.
    account acme card=listed
    commit  acme now..+30d:1000/1000 as=c
    usage   acme 1 of=third   -> free
    usage   acme 1 of=third   -> drawn 1 from c.1
    usage   acme 1 of=third   -> free
    """


@listed_case
def test_an_override_of_the_price_stands_beside_the_list_price(case: LedgerCase) -> None:
    """
    # Half of 5 is 2.5: 25 at commit rate, 80 at list. A price of its own goes without a list price.
    account acme card=listed
    commit  acme now..+30d:10/10 as=c
    grant   acme 1000
    override acme api:x1/2
    usage   acme 10 of=api   -> drawn 10 from c.1, drawn 48 from acme
    override acme api:3
    usage   acme 10 of=api   -> drawn 30 from acme
    """


def test_verify_knows_that_a_commitment_pays_beside_what_is_held() -> None:
    """Rules R9, H1: signed after the hold, it pays its part of a capture first; what is beyond that
    the hold pays before anything else does."""
    case = ListedCase()
    case.run(
        """
        account acme card=listed
        grant   acme 100 as=g
        hold    acme 10 of=api as=h             -> held 80 from g
        commit  acme now..+9d:20/90 as=C
        capture h 2 open                        -> drawn 10 from C.1
        grant   acme 100 as=later priority=-1
        capture h 5 open                        -> drawn 24 from g, drawn 10 from C.1
        """
    )
    case.finish()
    batch = case.core.batches[-1][1]
    place = next(at for at in reversed(range(len(batch))) if isinstance(batch[at], e.UsageCaptured))
    captured = batch[place]
    assert isinstance(captured, e.UsageCaptured) and captured.taken == (24,)
    batch[place] = msgspec.structs.replace(captured, taken=(20,))
    found = judged(case.core, replays=False)
    assert any("beside new usage" in each for each in map(str, found)), found


def test_verify_knows_that_a_commitment_holds_beside_a_hold_of_an_operation() -> None:
    """The same of a hold that is made of one for an operation (rules R9, H4)."""
    case = ListedCase()
    case.run("account acme card=listed\ngrant acme 100 as=g")
    reserve = c.ReserveOperation(FAMILY.request("h"), 1, 60, 0, FAMILY.operation("op"))
    whole = case.core.run(reserve)
    assert isinstance(whole, e.OperationReserved)
    case.run("commit acme now..+9d:20/90 as=C")
    shape = case.core.shape("api", "tokens")
    work = c.AuthorizeHold(
        FAMILY.request("k"), 1, shape, (2,), 0, operation=FAMILY.operation("op"), hold=whole.hold
    )
    part = case.core.run(work)
    assert isinstance(part, e.OperationPartHeld) and part.taken == (0,)
    case.finish()


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (e.ListedLine(0, 50, 80, 51), "paid of line 0"),
        (e.ListedLine(0, 50, 80, 30), "rest at list price of line 0"),
        (e.ListedLine(0, 50, 90, 20), "rest at list price of line 0"),
        (e.ListedLine(0, 68, 68, 21), "drawn from commitments"),
    ],
)
def test_verify_says_what_a_listed_line_may_not_say(line: e.ListedLine, what: str) -> None:
    """Ten at 5 or 8, of which a commitment paid 20: no other figures stand (rule R9)."""
    case = ListedCase()
    case.run(
        "account acme card=listed\ncommit acme now..+30d:20/20 as=c\ngrant acme 1000\n"
        "usage acme 10 of=api"
    )
    batch = case.core.batches[-1][1]
    event = batch[-1]
    assert isinstance(event, e.UsageModeled)
    assert event.listed == (e.ListedLine(0, 50, 80, 20),)
    batch[-1] = msgspec.structs.replace(event, listed=(line,))
    found = judged(case.core)
    assert any(f", {what}" in each for each in map(str, found)), found
