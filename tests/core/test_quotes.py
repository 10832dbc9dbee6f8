"""Quotes that bind: rows, attributes and rate, not quantity; used once; they expire (rule H9)."""

from __future__ import annotations

from fractions import Fraction

import pytest
from core_world import FAMILY, Core, replay
from hypothesis import given
from hypothesis import strategies as st
from ledger_case import LedgerCase, ledger_case
from model_world import model_case
from msgspec.structs import replace
from test_verify_rules import judged

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.catalog import Catalog
from ledger.core.digest import digest
from ledger.core.evolve import evolve
from ledger.core.limits import DAY_US, QUOTES_OPEN_MAX
from ledger.core.outcomes import Refusal
from ledger.core.packing import drop_family, pack_family, unpack_family
from ledger.core.state import State
from ledger.verify.report import Findings, ShardReport
from ledger.verify.rules import Rules


@ledger_case
def test_the_quoted_price_holds_though_the_price_has_changed(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  1000
    quote   acme  100  as=q       -> quoted 100
    reprice chat  3
    usage   acme  100  quote=q    -> drawn 100 from acme, 100 quoted
    usage   acme  100             -> drawn 300 from acme
    """


@ledger_case
def test_it_prices_up_to_its_tolerance_and_what_is_beyond_costs_the_live_price(
    case: LedgerCase,
) -> None:
    """
    account acme
    grant   acme  1000
    quote   acme  100  as=q
    quote   acme  100  as=r
    quote   acme  100  as=s
    reprice chat  3
    usage   acme  120  quote=q    -> drawn 120 from acme, 120 quoted
    usage   acme  121  quote=r    -> drawn 123 from acme, 120 quoted
    usage   acme  1    quote=s    -> drawn 1 from acme, 1 quoted
    """


@ledger_case
def test_the_tolerance_is_chosen_within_its_bounds_and_rounds_down(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  1000
    quote   acme  10  as=x  tolerance=9999
            -> refused QUOTE_TOLERANCE_INVALID tolerance_basis_points
    quote   acme  10  as=x  tolerance=20001
            -> refused QUOTE_TOLERANCE_INVALID tolerance_basis_points
    quote   acme  10  as=exact  tolerance=10000
    quote   acme  10  as=double tolerance=20000
    quote   acme  4   as=small
    reprice chat  3
    usage   acme  11  quote=exact    -> drawn 13 from acme, 10 quoted
    usage   acme  21  quote=double   -> drawn 23 from acme, 20 quoted
    usage   acme  5   quote=small    -> drawn 7 from acme, 4 quoted
    """


@ledger_case
def test_its_usage_costs_what_the_provider_takes(case: LedgerCase) -> None:
    """
    # In the books as any usage's (rule B4): by the quote, beyond it, without it, and of a capture.
    account acme card=resold
    grant   acme  1000
    quote   acme  10  as=q
    quote   acme  1   as=r  of=half  hold=h
    usage   acme  13  quote=q  id=a   -> drawn 13 from acme, cost 39, 12 quoted
    usage   acme  1   quote=q         -> drawn 1 from acme, cost 3, QUOTE_USED
    capture h     5                   -> drawn 2 from acme, cost 2, 0 quoted
    expect  cost acme-ai 42
    expect  payable acme-ai 42
    expect  cost supplier 2
    reverse a cost=back               -> 13 to acme, cost -39
    expect  cost acme-ai 3
    """
    assert judged(case.core) == []


@ledger_case
def test_a_cheaper_live_price_does_not_change_a_promise(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  1000
    reprice chat  3
    quote   acme  10  as=q        -> quoted 30
    reprice chat  1
    usage   acme  13  quote=q     -> drawn 37 from acme, 36 quoted
    """


@ledger_case
def test_it_is_used_once(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  1000
    quote   acme  10  as=q
    reprice chat  3
    usage   acme  10  quote=q  id=one   -> drawn 10 from acme, 10 quoted
    usage   acme  10  quote=q  id=two   -> drawn 30 from acme, QUOTE_USED
    usage   acme  10  quote=q  id=one   -> replayed: drawn 10 from acme, 10 quoted
    usage   acme  10  id=one            -> refused CONFLICT quote_id
    hold    acme  10  as=h  quote=q     -> refused QUOTE_USED quote_id
    """


@ledger_case
def test_it_expires_by_the_writers_clock_as_an_entry_of_its_own(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  1000
    quote   acme  10  as=q  lifetime=10m
    quote   acme  10  as=r                # 15 minutes
    reprice chat  3
    clock   +9m
    hold    acme  10  as=h  quote=q       -> held 10 from acme
    release h
    clock   +1m
    hold    acme  10  as=h  quote=q       -> refused QUOTE_EXPIRED quote_id
    usage   acme  10  quote=q             -> drawn 30 from acme, QUOTE_EXPIRED
    clock   +5m
    sweep                                 -> quote expired
    sweep                                 -> nothing
    usage   acme  10  quote=r  at=-10m    -> drawn 30 from acme, QUOTE_EXPIRED
    """


@ledger_case
def test_usage_of_an_overdue_quote_is_decided_after_its_expiry(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  1000
    quote   acme  10  as=q
    clock   +15m
    usage   acme  10  quote=q   -> quote expired; drawn 10 from acme, QUOTE_EXPIRED
    """


@ledger_case
def test_it_is_for_its_own_product_attributes_and_quantities(case: LedgerCase) -> None:
    """
    # Recorded usage is never refused: it is priced live, says why, and leaves the quote open.
    account acme
    account beta
    grant   acme  1000
    quote   acme  10  as=q  with=region:eu
    usage   acme  10  of=image quote=q                -> drawn 10 from acme, QUOTE_OTHER_WORK
    usage   acme  10  quote=q                         -> drawn 10 from acme, QUOTE_OTHER_WORK
    usage   acme  10  quote=q  with=region:us         -> drawn 10 from acme, QUOTE_OTHER_WORK
    usage   acme  input=5  quote=q  with=region:eu    -> suspense, QUOTE_OTHER_WORK
    usage   acme  10  quote=nowhere                   -> drawn 10 from acme, QUOTE_UNKNOWN
    usage   beta  10  quote=q  with=region:eu         -> owed 10, QUOTE_UNKNOWN; 10 over the limit
    hold    acme  10  as=h  of=image quote=q          -> refused QUOTE_OTHER_WORK quote_id
    hold    acme  10  as=h  quote=nowhere             -> refused QUOTE_UNKNOWN quote_id
    usage   acme  10  quote=q  with=region:eu         -> drawn 10 from acme, 10 quoted
    """


@ledger_case
def test_without_a_hold_it_promises_the_price_not_the_funds(case: LedgerCase) -> None:
    """
    account acme
    quote   acme  10  as=q               -> quoted 10
    quote   acme  10  as=r  hold=h       -> refused INSUFFICIENT_CREDITS quantities
    expect  holds acme 0
    hold    acme  10  as=h  quote=q      -> denied INSUFFICIENT_CREDITS
    grant   acme  10
    reprice chat  3
    usage   acme  10  quote=q            -> drawn 10 from acme, 10 quoted
    """
    assert len(case.core.state.accounts[1].quotes) == 0
    assert case.core.state.next_quote == 2


@ledger_case
def test_with_a_hold_it_is_reserved_in_the_same_decision(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  200
    quote   acme  100  as=q  hold=h      -> quoted 100; held 100 from acme
    expect  available acme 100
    reprice chat  3
    usage   acme  10  quote=q            -> drawn 30 from acme, QUOTE_HELD
    capture h  100  open                 -> refused QUOTE_SINGLE_USE keep_open
    capture h  121                       -> drawn 123 from acme, 120 quoted
    usage   acme  10  quote=q            -> drawn 30 from acme, QUOTE_USED
    expect  left acme 17
    expect  held acme 0
    """


@ledger_case
def test_a_hold_that_names_it_is_captured_at_its_price(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  200
    quote   acme  100  as=q
    reprice chat  3
    hold    acme  110  as=h  quote=q     -> held 110 from acme
    hold    acme  10   as=i  quote=q     -> refused QUOTE_HELD quote_id
    capture h  100                       -> drawn 100 from acme, 100 quoted
    """


@ledger_case
def test_a_hold_that_ends_without_a_capture_lets_it_go(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  200
    quote   acme  10  as=q  hold=h  lifetime=1h
    reprice chat  3
    release h                            -> released
    hold    acme  10  as=i  quote=q  lifetime=1m
    clock   +1m
    sweep                                -> hold expired
    usage   acme  10  quote=q            -> drawn 10 from acme, 10 quoted
    """


@ledger_case
def test_a_capture_after_the_quote_expired_costs_the_live_price_and_says_so(
    case: LedgerCase,
) -> None:
    """
    account acme
    grant   acme  200
    quote   acme  10  as=q  hold=h
    reprice chat  3
    extend  h  lifetime=1h
    clock   +15m
    sweep                                -> quote expired
    capture h  10                        -> drawn 30 from acme, QUOTE_EXPIRED
    """


@ledger_case
def test_parts_of_a_hold_may_be_captured_once_its_quote_is_gone(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  200
    quote   acme  10  as=q  hold=h
    extend  h  lifetime=1h
    clock   +15m
    capture h  4  open                   -> quote expired; drawn 4 from acme
    capture h  6                         -> drawn 6 from acme, QUOTE_EXPIRED
    """


@ledger_case
def test_hold_and_quote_expire_together(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  200
    quote   acme  10  as=q  hold=h
    clock   +15m
    sweep                                -> hold expired; quote expired
    capture h  10                        -> late, drawn 10 from acme
    expect  available acme 190
    """


@ledger_case
def test_an_expiry_that_charges_uses_it(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  200
    quote   acme  10  as=q  hold=h  of=agent
    reprice agent 3
    clock   +15m
    sweep                                -> hold expired, charged, drawn 10 from acme
    usage   acme  10  of=agent quote=q   -> drawn 30 from acme, QUOTE_USED
    """


@ledger_case
def test_it_goes_on_from_where_totals_stood_and_moves_them(case: LedgerCase) -> None:
    """
    # A token of `third` costs 1/3: by hand, F(Q) is Q/3 rounded (rule R1).
    account acme
    grant   acme  200
    quote   acme  2  as=q  of=third      -> quoted 1
    usage   acme  1  of=third            -> free
    usage   acme  2  of=third quote=q    -> drawn 1 from acme, 1 quoted
    usage   acme  2  of=third            -> drawn 1 from acme
    usage   acme  1  of=third            -> free
    """
    (position,) = case.core.state.accounts[1].totals.values()
    assert position == 6


@ledger_case
def test_the_rest_goes_on_from_what_was_quoted(case: LedgerCase) -> None:
    """
    # F(4) - F(0) = 1, then F(6) - F(4) = 1 of the same row.
    account acme
    grant   acme  200
    quote   acme  4  as=q  of=third  tolerance=10000   -> quoted 1
    usage   acme  6  of=third quote=q                  -> drawn 2 from acme, 1 quoted
    """


@ledger_case
def test_parts_of_a_quantity_are_quoted_without_each_other(case: LedgerCase) -> None:
    """
    # Of 100 input 40 were cached: 60 at 2, 40 at 1 (rule R8), each with its tolerance.
    account acme
    grant   acme  9000
    quote   acme  as=q  of=gpt input=100 cached=40 output=10   -> quoted 190
    quote   acme  as=r  of=gpt input=100 cached=40 output=10
    reprice gpt 20 of=input
    usage   acme  of=gpt quote=q input=120 cached=48 output=12   -> drawn 228 from acme, 228 quoted
    usage   acme  of=gpt quote=r input=100 cached=0 output=10    -> drawn 734 from acme, 174 quoted
    """


@ledger_case
def test_its_rows_hold_whatever_the_prompt_turns_out_to_be(case: LedgerCase) -> None:
    """
    # Above a prompt of 1,000 input costs 4: not what was quoted at 2.
    account acme
    grant   acme  9000
    quote   acme  as=q  of=gpt input=1000    -> quoted 2000
    quote   acme  as=r  of=gpt input=1000
    usage   acme  of=gpt quote=q input=1200  -> drawn 2400 from acme, 2400 quoted
    usage   acme  of=gpt quote=r input=1300  -> drawn 2800 from acme, 2400 quoted
    """


@ledger_case
def test_a_quantity_that_was_not_quoted_costs_the_live_price(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  9000
    quote   acme  as=q  of=gpt input=100      -> quoted 200
    reprice gpt 20 of=input
    usage   acme  of=gpt quote=q input=100 output=10   -> drawn 230 from acme, 200 quoted
    """


@ledger_case
def test_what_is_not_priced_any_more_is_priced_by_the_quote(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  9000
    quote   acme  100  as=q
    reprice chat -
    usage   acme  150  quote=q   -> drawn 150 from acme, 150 quoted
    usage   acme  1              -> suspense
    """


@ledger_case
def test_an_account_that_moved_to_another_currency_pays_as_it_was_quoted(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  9000
    grant   acme  9000  asset=usd as=money
    quote   acme  100  as=q
    policy  acme  card=usd
    usage   acme  130  quote=q   -> drawn 130 from acme, 130 quoted
    usage   acme  10             -> drawn 10 from money
    """


@ledger_case
def test_a_price_override_is_promised_with_its_row(case: LedgerCase) -> None:
    """
    # As it counted when it was quoted (rule R4), whatever the list says later.
    account  acme
    grant    acme  9000
    override acme  chat:3 third:x2
    quote    acme  100  as=q                 -> quoted 300
    quote    acme  5    as=r  of=third       -> quoted 3
    override acme
    usage    acme  130  quote=q  id=u        -> drawn 370 from acme, 360 quoted
    usage    acme  7    of=third             -> drawn 2 from acme
    usage    acme  5    of=third quote=r     -> drawn 3 from acme, 3 quoted
    override acme  chat:7
    usage    acme  1                         -> drawn 7 from acme
    reverse  u  10                           -> 10 to acme
    reverse  u                               -> 360 to acme
    """
    state = case.core.state
    packed = pack_family(state, 1, state.settled_before)
    before = digest(state)
    drop_family(state, 1)
    unpack_family(state, packed)
    assert digest(state) == before


@ledger_case
def test_an_override_of_the_quote_prices_usage_of_before_it_too(case: LedgerCase) -> None:
    """
    # The account has another currency by now, so that the quote prices all of it.
    account  acme
    grant    acme  9000
    clock    +2h
    override acme  chat:x1/2
    quote    acme  10  as=q              -> quoted 5
    policy   acme  card=usd
    usage    acme  10  quote=q  at=-1h   -> drawn 5 from acme, 5 quoted
    """
    assert judged(case.core) == []


@model_case
def test_what_depends_on_other_usage_is_not_promised(case: LedgerCase) -> None:
    """
    account acme card=models
    grant   acme 10000
    quote   acme 10 as=x of=graduated   -> refused QUOTE_MODELED product
    quote   acme 10 as=x of=volume      -> refused QUOTE_MODELED product
    quote   acme 10 as=x of=cost        -> refused QUOTE_MODELED product
    """


@model_case
def test_the_hours_of_the_quote_hold(case: LedgerCase) -> None:
    """
    # At night in Berlin power costs 2, by day 3.
    account acme card=models
    grant   acme 10000
    quote   acme 10 as=q of=power lifetime=12h   -> quoted 20
    clock   +8h
    usage   acme 13 of=power quote=q             -> drawn 27 from acme, 24 quoted
    """


@model_case
def test_where_a_model_prices_the_product_now_the_quote_prices_all_that_it_names(
    case: LedgerCase,
) -> None:
    """
    # The card `models` has a volume price for any product's cached quantity.
    account acme
    grant   acme 10000
    quote   acme as=q of=gpt input=10 cached=4                    -> quoted 16
    policy  acme card=models
    usage   acme of=gpt quote=q input=100 cached=40 output=1
            -> drawn 400 from acme, suspense, QUOTE_OTHER_WORK
    usage   acme of=gpt quote=q input=100 cached=40               -> drawn 160 from acme, 160 quoted
    """


@ledger_case
def test_what_cannot_be_promised_is_not_made(case: LedgerCase) -> None:
    """
    account acme
    quote   acme  10  as=x  of=nothing           -> refused UNPRICED quantities
    quote   acme  10  as=x  lifetime=25h         -> refused QUOTE_LIFETIME_INVALID lifetime_us
    quote   acme  10  as=x  lifetime=36d         -> refused QUOTE_LIFETIME_INVALID lifetime_us
    quote   acme  0   as=x                       -> refused QUANTITIES_ALL_ZERO quantities
    quote   acme  as=x of=gpt input=1 cached=2   -> refused SUBSET_EXCEEDS_PARENT quantities
    quote   acme  4   as=x  of=huge              -> refused OVERFLOW quantities
    quote   nobody 1  as=x                       -> refused ACCOUNT_UNKNOWN account
    quote   acme  10  as=b  lifetime=35d of=batch
    freeze  acme
    quote   acme  10  as=x                       -> refused ACCOUNT_FROZEN account
    unfreeze acme
    close   acme
    quote   acme  10  as=x                       -> refused ACCOUNT_CLOSED account
    """
    assert case.core.state.next_quote == 2


@ledger_case
def test_a_retry_gets_the_same_quote_and_another_body_is_a_conflict(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  100
    quote   acme  10  as=q  id=one                 -> quoted 10
    reprice chat  3
    quote   acme  10  as=q  id=one                 -> replayed: quoted 10
    quote   acme  11  as=x  id=one                 -> refused CONFLICT quantities
    quote   acme  10  as=x  id=one of=image        -> refused CONFLICT product
    quote   acme  10  as=x  id=one lifetime=1m     -> refused CONFLICT lifetime_us
    quote   acme  10  as=x  id=one tolerance=12000 -> refused CONFLICT tolerance_basis_points
    quote   acme  10  as=x  id=one hold=h          -> refused CONFLICT hold
    hold    acme  10  as=h  id=two quote=q         -> held 10 from acme
    hold    acme  10  as=h  id=two                 -> refused CONFLICT quote_id
    """


@ledger_case
def test_a_reversal_gives_back_what_was_charged_first_what_was_beyond(case: LedgerCase) -> None:
    """
    # 10 beyond at 3, then 120 quoted at 1, whatever is the price now (rules D3, R1).
    account acme
    grant   acme  150
    quote   acme  100  as=q
    reprice chat  3
    usage   acme  130  quote=q  id=u   -> drawn 150 from acme, 120 quoted
    reprice chat  7
    reverse u  5                       -> 15 to acme
    reverse u  25                      -> 35 to acme
    reverse u  1                       -> 1 to acme
    reverse u                          -> 99 to acme
    expect  available acme 150
    usage   acme  1    quote=q         -> drawn 7 from acme, QUOTE_USED
    """


@ledger_case
def test_a_reversal_of_rounded_rows_gives_back_the_quoted_charge(case: LedgerCase) -> None:
    """
    # Quoted at position 0: F(2) = 1. Two others of 1 ran on before and after (rule R1).
    account acme
    grant   acme  10
    quote   acme  2  as=q  of=third
    usage   acme  1  of=third              -> free
    usage   acme  2  of=third quote=q id=u -> drawn 1 from acme, 1 quoted
    usage   acme  2  of=third              -> drawn 1 from acme
    reverse u                              -> 1 to acme
    expect  available acme 9
    """
    (position,) = case.core.state.accounts[1].totals.values()
    assert position == 3


@ledger_case
def test_linked_usage_goes_by_it_once(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  100
    quote   acme  10  as=q
    reprice chat  3
    """
    group = [
        c.LinkedUsage(
            FAMILY.usage("case", f"linked-{place}"),
            1,
            case.core.shape("chat", "tokens"),
            (10,),
            0,
            c.NO_NAMES,
            quote=1,
            follow=1 - place,
        )
        for place in range(2)
    ]
    assert [case.execute(command)[1] for command in group] == [
        "drawn 10 from acme, 10 quoted",
        "drawn 30 from acme, QUOTE_USED",
    ]


def test_an_account_has_so_many_open_quotes_and_no_more() -> None:
    case = LedgerCase()
    case.run("account acme")
    for number in range(QUOTES_OPEN_MAX):
        case.run(f"quote acme 1 as={number}")
    case.run("quote acme 1 as=more -> refused QUOTES_LIMIT account")
    case.run("usage acme 1 quote=7 -> owed 1, 1 quoted; 1 over the limit")
    case.run("quote acme 1 as=more")
    case.finish()


def test_settled_quotes_are_forgotten_with_the_window() -> None:
    case = LedgerCase()
    case.run(
        """
        account acme
        grant   acme 100
        quote   acme 1 as=q
        usage   acme 1 quote=q
        clock   +41d
        usage   acme 1 quote=q -> drawn 1 from acme, QUOTE_USED
        clock   +2d
        usage   acme 1 quote=q -> drawn 1 from acme, QUOTE_UNKNOWN
        """
    )
    case.finish()


def test_a_family_with_quotes_is_packed_and_comes_back_the_same() -> None:
    """Open, held, used and expired ones; then all goes on as if nothing had happened."""
    case = LedgerCase()
    case.run(
        """
        account acme
        grant   acme 1000
        quote   acme 5 as=expired lifetime=1m
        clock   +1m
        sweep
        usage   acme 1 of=third
        quote   acme 10 as=open of=third
        quote   acme 10 as=held hold=h
        quote   acme 10 as=used
        usage   acme 10 quote=used
        """
    )
    state = case.core.state
    before = digest(state)
    packed = pack_family(state, 1, state.settled_before)
    drop_family(state, 1)
    assert not state.quotes
    unpack_family(state, packed)
    assert digest(state) == before
    assert pack_family(state, 1, state.settled_before) == packed
    case.run(
        """
        reprice third 1
        usage   acme 10 of=third quote=open -> drawn 4 from acme, 4 quoted
        capture h 10 -> drawn 10 from acme, 10 quoted
        usage   acme 1 quote=used -> drawn 1 from acme, QUOTE_USED
        usage   acme 1 quote=expired -> drawn 1 from acme, QUOTE_EXPIRED
        quote   acme 10 as=late
        clock   +15m
        sweep -> quote expired
        """
    )


# -- what verify says of it ------------------------------------------------------------------------


def of_every_kind() -> LedgerCase:
    """Quotes that are used by usage, by a capture, in part, and one that expires."""
    case = LedgerCase()
    case.run(
        """
        account acme
        grant   acme 1000
        quote   acme 10 as=q
        quote   acme 10 as=held hold=h
        quote   acme 10 as=late
        reprice chat 3
        usage   acme 13 quote=q
        capture h 10
        usage   acme 1 quote=q
        clock   +15m
        sweep
        """
    )
    return case


def test_what_was_decided_breaks_no_rule_of_verify() -> None:
    assert judged(of_every_kind().core) == []


@pytest.mark.parametrize(
    ("kind", "changes", "what"),
    [
        (e.QuoteMade, {"quote": 7}, "number of the quote"),
        (e.QuoteMade, {"made_at": 1}, "time of the quote"),
        (e.QuoteMade, {"expires_at": 1}, "expiry of the quote"),
        (e.QuoteMade, {"lifetime": 40 * DAY_US}, "lifetime of the quote"),
        (e.QuoteMade, {"tolerance": 13_000}, "tolerance of the quote"),
        (e.QuoteMade, {"tolerance": 9_000, "tolerance_given": 9_000}, "tolerance of the quote"),
        (e.QuoteMade, {"own": (11,)}, "quantities without their parts"),
        (e.QuoteMade, {"charges": (-1,)}, "quoted charges"),
        (e.QuoteMade, {"hold": 9}, "hold of the quote"),
        (e.UsageQuoted, {"quote": 2}, "hold of the quote"),
        (e.UsageQuoted, {"quote": 9}, "quote 9"),
        (e.UsageQuoted, {"part": None}, "why the quote is unused"),
        (e.UsageQuoted, {"unused": e.QuoteUnused.QUOTE_USED}, "why the quote is unused"),
        (e.UsageQuoted, {"part": {"rows": (-1,)}}, "rows of the quote"),
        (e.UsageQuoted, {"part": {"card_version": 9}}, "version of the quote"),
        (e.UsageQuoted, {"part": {"quantities": (13,)}}, "quoted of tokens"),
        (e.UsageQuoted, {"part": {"quantities": ()}}, "number of quoted quantities"),
        (e.UsageQuoted, {"part": {"charges": (99,)}}, "quoted charge of tokens"),
        (e.UsageQuoted, {"part": {"positions": ((5, 5),)}}, "positions of the quote"),
        (e.HoldAuthorized, {"quote": 1}, "other hold of the quote"),
        (e.HoldAuthorized, {"quote": 9}, "quote 9"),
        (e.QuoteExpired, {"quote": 1}, "quote 1"),
        (e.QuoteExpired, {"account": 2}, "account of the quote"),
    ],
    ids=str,
)
def test_an_entry_that_breaks_a_rule_is_named(kind, changes, what) -> None:
    """The first of its kind, changed: `verify` says which rule it breaks."""
    core = of_every_kind().core
    findings = Findings(ShardReport(0))
    rules, state, done = Rules(findings), State(0, Catalog()), False
    for batch_seq, (recorded_at, events) in enumerate(core.batches, start=1):
        state.begin_batch(batch_seq, recorded_at)
        for event in events:
            if type(event) is kind and not done:
                done = True
                if kind is e.HoldAuthorized:  # the first quote with a hold of its own already
                    state.quotes[1].hold = 5
                given_ = dict(changes)
                if isinstance(given_.get("part"), dict):
                    given_["part"] = replace(event.part, **given_["part"])
                rules.before(state, replace(event, **given_))
                if kind is e.HoldAuthorized:
                    state.quotes[1].hold = 0
            evolve(state, event)
    assert any(what in finding.what for finding in findings.found), findings.found


# -- any numbers -----------------------------------------------------------------------------------


steps = st.one_of(
    st.tuples(st.just("usage"), st.integers(1, 40)),
    st.tuples(st.just("reprice"), st.sampled_from(["1/3", "1/2", "2", "5/7", "0"])),
)


@given(
    before=st.lists(st.integers(1, 40), max_size=3),
    quoted=st.integers(1, 50),
    tolerance=st.integers(10_000, 20_000),
    between=st.lists(steps, max_size=5),
    actual=st.integers(1, 120),
    back=st.lists(st.integers(1, 60), max_size=3),
)
def test_any_use_costs_the_promise_and_the_live_rest_and_gives_all_of_it_back(
    before, quoted, tolerance, between, actual, back
) -> None:
    """By fractions: c = min(actual, quoted x tolerance) at the quoted price from the quoted
    position; the rest by the price of now from the position after it. Reversed in any parts, all
    that was charged comes back, and replay gives the same state."""
    case = LedgerCase()
    case.run("account acme\n grant acme 100000")
    core, price = case.core, Fraction(1, 3)

    def position() -> int:
        rows = core.catalog.bind(core.state.accounts[1].card_key, shape, core.state.now)
        [row] = rows.declaration.rows
        period = core.state.accounts[1].calendar.start_of(core.state.now)
        return core.state.accounts[1].totals.get((row, period), 0)

    shape = core.shape("third", "tokens")
    for tokens in before:
        case.run(f"usage acme {tokens} of=third")
    promised_at, promised_price = position(), price
    case.run(f"quote acme {quoted} as=q of=third tolerance={tolerance}")
    for what, value in between:
        if what == "usage":
            case.run(f"usage acme {value} of=third")
        elif what == "reprice":
            case.run(f"clock +1s\n reprice third {value}")
            price = Fraction(value)
    live_at = position()
    same_row = core.versions == 4
    case.run(f"usage acme {actual} of=third quote=q id=u")
    covered = min(actual, quoted * tolerance // 10_000)
    first = round(promised_price * (promised_at + covered)) - round(promised_price * promised_at)
    start = live_at + (covered if same_row else 0)
    rest = round(price * (start + actual - covered)) - round(price * start)
    event = case.entries["u"].event
    assert isinstance(event, e.UsageQuoted) and event.part is not None
    assert sum(event.part.charges) == first
    assert sum(event.charges) == first + rest
    left = actual
    for tokens in back:
        part = min(tokens, left)
        if part:
            case.run(f"reverse u {part}")
            left -= part
    if left:
        case.run("reverse u")
    given_back = sum(
        piece.amount
        for _, events in core.batches
        for each in events
        if isinstance(each, e.UsageReversed) and each.original == case.entries["u"].locator
        for piece in each.given_back
    )
    assert given_back == first + rest
    assert judged(core) == []
    case.finish()
    state = replay(core.journal(), Catalog())
    assert pack_family(state, 1, state.settled_before) == pack_family(
        core.state, 1, core.state.settled_before
    )


def test_a_refused_quote_changes_nothing() -> None:
    core = Core()
    case = LedgerCase(core)
    case.run("account acme")
    before = digest(core.state)
    shape = core.shape("chat", "tokens")
    command = c.CreateQuote(FAMILY.request("r"), 1, shape, (10,), 0, 0, True)
    assert isinstance(core.run(command), Refusal)
    assert digest(core.state) == before


@ledger_case
def test_a_denial_says_which_quote_priced_it(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  100
    reprice chat  3
    quote   acme  50  as=q
    clock   +1m
    reprice chat  1
    hold    acme  50  as=h  id=one  quote=q  -> denied INSUFFICIENT_CREDITS
    hold    acme  50  as=h  id=one  quote=q  -> replayed: denied INSUFFICIENT_CREDITS
    hold    acme  50  as=h  id=one           -> refused CONFLICT quote_id
    hold    acme  150 as=h  id=two           -> denied INSUFFICIENT_CREDITS
    hold    acme  150 as=h  id=two  quote=q  -> refused CONFLICT quote_id
    """
    denied = [
        event
        for _, batch in case.core.batches
        for event in batch
        if isinstance(event, e.AuthorizeDenied)
    ]
    assert [(type(each), each.charge) for each in denied] == [
        (e.WorkDenied, 150),
        (e.WorkDenied, 150),
    ]
