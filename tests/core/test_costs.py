"""What the provider takes: beside the charge, in its own books, by a card of its own (B4, N3)."""

from __future__ import annotations

from core_world import FAMILY, METERS, ROWS, TENANT, USD, Core, card, replay
from hypothesis import given
from hypothesis import strategies as st
from ledger_case import LedgerCase, ledger_case
from msgspec.structs import replace
from test_verify_rules import judged

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.digest import digest
from ledger.core.limits import INT64_MAX
from rating.card import PriceRow
from rating.compile import CompiledCard
from rating.versions import CardVersion


@ledger_case
def test_cost_is_booked_with_the_charge(case: LedgerCase) -> None:
    """
    account acme card=resold
    grant   acme 100 paid=1000
    usage   acme 10            -> drawn 10 from acme, cost 30
    usage   acme 4 of=free     -> free, cost 8
    expect  cost acme-ai 30
    expect  payable acme-ai 30
    expect  cost supplier 8
    expect  payable supplier 8
    expect  revenue chat 100
    """


@ledger_case
def test_a_card_that_names_no_costs_has_none(case: LedgerCase) -> None:
    """
    account acme
    grant   acme 100
    usage   acme 10 -> drawn 10 from acme
    expect  cost acme-ai 0
    """


@ledger_case
def test_the_price_of_what_the_supplier_has_no_price_for_is_charged_all_the_same(
    case: LedgerCase,
) -> None:
    """
    account acme card=resold
    grant   acme 100
    usage   acme 10 of=image   -> drawn 10 from acme, cost 0, cost unknown
    usage   acme 1 of=nothing  -> suspense, cost 0, cost unknown
    expect  cost supplier 0
    """


@ledger_case
def test_costs_round_over_the_month_as_prices_do(case: LedgerCase) -> None:
    """
    # A third a token: three tokens in three events cost 1 together (rule R1).
    account acme card=resold
    grant   acme 100
    usage   acme 1 of=half  -> free, cost 0
    usage   acme 1 of=half  -> drawn 1 from acme, cost 1
    usage   acme 1 of=half  -> drawn 1 from acme, cost 0
    usage   acme 3 of=half  -> drawn 1 from acme, cost 1
    expect  cost supplier 2
    """
    assert judged(case.core) == []  # nothing asks where totals of plain rows stood


@ledger_case
def test_subsets_and_large_prompts_are_the_supplier_s_own(case: LedgerCase) -> None:
    """
    # Of 10 input 4 are cached: 6 + 2 + 2 x 5 = 18. Above 1,000 the input costs twice (rule R8).
    account acme card=resold
    grant   acme 100000
    usage   acme 0 of=gpt input=10 cached=4 output=5 -> drawn 31 from acme, cost 18
    usage   acme 0 of=gpt input=2000 cached=0 output=1 -> drawn 8006 from acme, cost 4002
    expect  cost supplier 4020
    """


@ledger_case
def test_a_hold_costs_what_is_captured(case: LedgerCase) -> None:
    """
    account acme card=resold
    grant   acme 100
    hold    acme 20 as=h
    expect  cost acme-ai 0
    capture h 5 open -> drawn 5 from acme, cost 15
    capture h 4      -> drawn 4 from acme, cost 12
    expect  payable acme-ai 27
    hold    acme 6 as=late of=third
    clock   +2h
    sweep            -> hold expired, charged, drawn 2 from acme, cost 0, cost unknown
    """


@ledger_case
def test_the_provider_s_cost_stays_when_usage_is_given_back(case: LedgerCase) -> None:
    """
    # The work was done. A request that says so takes the cost back too (rule B4).
    account acme card=resold
    grant   acme 100
    usage   acme 10 id=a     -> drawn 10 from acme, cost 30
    reverse a 4              -> 4 to acme
    expect  cost acme-ai 30
    reverse a 4 cost=back    -> 4 to acme, cost -12
    expect  cost acme-ai 18
    expect  payable acme-ai 18
    reverse a cost=back      -> 2 to acme, cost -6
    expect  cost acme-ai 12
    """


def test_a_reversal_that_is_refused_says_nothing_of_costs_either() -> None:
    """What is refused leaves no entry, not even the plan of the cost."""
    case = LedgerCase()
    case.run("account acme card=resold\ngrant acme 100\nusage acme 1 of=half id=a")
    case.core.advance(1)
    case.run("reverse a 2 cost=back -> refused CORRECTION_TOO_LARGE quantities")
    assert case.core.batches[-1][1] == []


@ledger_case
def test_goodwill_leaves_the_cost(case: LedgerCase) -> None:
    """
    account acme card=resold
    grant   acme 100
    usage   acme 10 id=a             -> drawn 10 from acme, cost 30
    reverse a charged=10 cost=back   -> 10 to acme
    expect  cost acme-ai 30
    """


@ledger_case
def test_an_amendment_takes_the_cost_of_what_it_replaces(case: LedgerCase) -> None:
    """
    # It was recorded wrongly, so neither its charge nor its cost was ever so.
    account acme card=resold
    grant   acme 100
    usage   acme 10 id=a     -> drawn 10 from acme, cost 30
    amend   a 7 as=b         -> 10 to acme, cost -30; drawn 7 from acme, cost 21
    expect  cost acme-ai 21
    """


def test_parts_that_the_supplier_alone_counts_as_such_go_back_by_their_shares() -> None:
    """Cached input is part of the input for the supplier only, so that it may go back without: what
    the provider takes less is never more than it took (rules R8, B4)."""
    case = LedgerCase()
    meters = tuple([replace(each, subset_of="") for each in METERS])
    made = replace(card("apart", "credits", ROWS, "supplier"), meters=meters)
    version = CardVersion(9, 0, 0, CompiledCard(made, 9))
    case.core.catalog.add_card(TENANT, "apart", version)
    case.run(
        """
        account acme card=apart
        grant   acme 100
        usage   acme of=gpt input=2 cached=2 output=1 id=a  -> drawn 9 from acme, cost 3
        reverse a cached=2                                  -> 2 to acme
        reverse a cost=back                                 -> 7 to acme, cost -2
        expect  cost supplier 1
        """
    )
    assert judged(case.core) == []
    case.finish()


@ledger_case
def test_running_costs_move_back_with_what_is_given_back(case: LedgerCase) -> None:
    """
    # Two of the four thirds are taken back: what is left costs what two cost from the start.
    account acme card=resold
    grant   acme 100
    usage   acme 2 of=half id=a -> drawn 1 from acme, cost 1
    usage   acme 2 of=half id=b -> drawn 1 from acme, cost 0
    reverse a cost=back         -> 1 to acme, cost -0
    usage   acme 1 of=half      -> drawn 1 from acme, cost 0
    expect  cost supplier 1
    """


@ledger_case
def test_a_request_that_asks_otherwise_is_another_request(case: LedgerCase) -> None:
    """
    account acme card=resold
    grant   acme 100
    usage   acme 10 id=a
    reverse a 4 id=r            -> 4 to acme
    reverse a 4 id=r cost=back  -> refused CONFLICT refund_cost
    """


@ledger_case
def test_cost_plus_is_priced_by_the_cost(case: LedgerCase) -> None:
    """
    # One and a half times 3 a token, rounded over the month: 4.5 is 4, then 9 (rule R1). Where the
    # cost is not known, the price is not either (rule B8).
    account acme card=marked_up
    grant   acme 100 asset=usd paid=100
    usage   acme 1          -> drawn 4 from acme, cost 3
    usage   acme 1          -> drawn 5 from acme, cost 3
    usage   acme 1 of=image -> suspense, cost 0, cost unknown
    expect  revenue chat 9
    expect  cost acme-ai 6
    """


@ledger_case
def test_what_is_priced_by_the_cost_is_given_back_by_it(case: LedgerCase) -> None:
    """
    account acme card=marked_up
    grant   acme 100 asset=usd paid=100
    usage   acme 3 id=a         -> drawn 14 from acme, cost 9
    reverse a 1                 -> 5 to acme worth 5
    reverse a cost=back         -> 9 to acme worth 9, cost -6
    expect  left acme 100
    expect  cost acme-ai 3
    expect  revenue chat 0
    """


@ledger_case
def test_a_hold_is_priced_on_top_of_the_cost(case: LedgerCase) -> None:
    """
    account acme card=marked_up
    grant   acme 100 asset=usd paid=100
    hold    acme 2 as=h            -> held 9 from acme
    capture h 2                    -> drawn 9 from acme, cost 6
    hold    acme 1 as=i of=image   -> denied COST_MISSING
    """


@ledger_case
def test_the_parts_of_several_grants_bear_the_cost_by_their_amounts(case: LedgerCase) -> None:
    """
    # 30 over 1, 2 and 7 of 10: 3, 6 and 21.
    account acme card=resold
    grant   acme 1 as=a priority=1
    grant   acme 2 as=b priority=2
    grant   acme 50 as=c priority=3
    usage   acme 10 id=u -> drawn 1 from a, drawn 2 from b, drawn 7 from c, cost 30
    """
    recorded = case.entries["u"].event
    assert isinstance(recorded, e.UsageCosted)
    assert [piece.cost for piece in recorded.slices] == [3, 6, 21]


def dearer(core: Core, since: int, price: str, number: int = 9) -> None:
    """The supplier's next version."""
    made = card("supplier", "USD", (PriceRow(product="chat", quantity="tokens", price=price),))
    version = CardVersion(number, since, since, CompiledCard(made, number))
    core.catalog.add_card(TENANT, "supplier", version)


def test_the_version_in_force_at_the_effective_time_says_the_cost() -> None:
    """The card of costs has versions of its own, and late usage costs what it did then."""
    case = LedgerCase()
    case.run(
        """
        account acme card=resold
        grant   acme 100
        usage   acme 1 -> drawn 1 from acme, cost 3
        clock   +1h
        """
    )
    dearer(case.core, case.core.now, "5")
    case.run(
        """
        clock   +1h
        usage   acme 1          -> drawn 1 from acme, cost 5
        usage   acme 1 at=-90m  -> drawn 1 from acme, cost 3
        """
    )


def test_a_cost_that_fits_no_transfer_is_refused_and_changes_nothing() -> None:
    """It names the asset that it is in (rule N1)."""
    case = LedgerCase()
    case.run("account acme card=resold\ngrant acme 100")
    dearer(case.core, case.core.now, str(2**62))
    case.core.advance(1)
    before = digest(case.core.state)
    case.run("usage acme 2 -> refused OVERFLOW quantities")
    assert digest(case.core.state) == before
    case.run("usage acme 1")
    book = case.core.state.house_book(TENANT, e.BookKind.COST, USD, "supplier")
    assert book is not None and book.debits_posted == 2**62 <= INT64_MAX


_usage = st.tuples(
    st.sampled_from(["chat", "half", "gpt", "free", "image", "third"]),
    st.integers(1, 5),
    st.integers(0, 5),
    st.sampled_from([0, 2, 1_500]),
)
_back = st.tuples(st.just("back"), st.integers(0, 30), st.integers(0, 5), st.integers(0, 1))


@given(st.lists(st.one_of(_usage, _usage, _back), min_size=1, max_size=25), st.integers(1, 4))
def test_whatever_is_recorded_the_books_agree(
    steps: list[tuple[str, int, int, int]], grants: int
) -> None:
    """The parts add up to the lines, the lines to the books, and a replay is the same (N3, B7)."""
    case = LedgerCase()
    case.run("account acme card=resold")
    for number in range(grants):
        case.run(f"grant acme {7 * (number + 1)} as=g{number}")
    for place, (what, first, second, third) in enumerate(steps):
        if what == "back":
            _give_back(case, first, second, bool(third))
        elif what == "gpt":
            parts = f"input={first + third} cached={min(first, second)} output={second}"
            case.run(f"usage acme of=gpt {parts} id=u{place}")
        else:
            case.run(f"usage acme {first} of={what} id=u{place}")
    taken = {"acme-ai": 0, "supplier": 0}
    for _, events in case.core.batches:
        for event in events:
            cost = getattr(event, "cost", None)
            if cost is None:
                continue
            declared = events[cost.plan]
            assert isinstance(declared, e.PlanDeclared) and declared.rate_card == "supplier"
            provider = "acme-ai" if declared.product == "chat" else "supplier"
            taken[provider] += -cost.total if isinstance(event, e.UsageReversed) else cost.total
            if isinstance(event, e.UsageCosted) and event.slices:
                assert sum(piece.cost for piece in event.slices) == cost.total
    state = case.core.state
    for provider, total in taken.items():
        for kind, sign in ((e.BookKind.COST, 1), (e.BookKind.PAYABLE, -1)):
            book = state.house_book(TENANT, kind, USD, provider)
            assert (book.owed * sign if book is not None else 0) == total >= 0
    state.books.check()
    assert digest(replay(case.core.journal())) == digest(state)


def _give_back(case: LedgerCase, which: int, tokens: int, cost: bool) -> None:
    """Some of one of the events, or what is left of it, if anything is."""
    ids = sorted(case.entries)
    if not ids:
        return
    original = case.entries[ids[which % len(ids)]]
    recorded = original.event
    if not isinstance(recorded, e.UsageRecorded):
        return
    asked = () if len(recorded.quantities) > 1 else (tokens,)
    case.execute(
        c.ReverseUsage(
            FAMILY.request(f"back-{len(case.core.batches[-1][1])}"),
            recorded.account,
            original,
            asked,
            refund_cost=cost,
        )
    )
