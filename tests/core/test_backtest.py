"""Prices tried on what happened (row C8): the ledger to the unit where nothing is changed, and what
it would have decided where something is."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import product as product_of
from random import Random

import pytest
from core_world import CREDITS, FAMILY, ROWS, SUPPLIER, TENANT, USD, Core, SandboxCore, card
from ledger_case import LedgerCase
from model_world import ModelCase, ModelCore
from msgspec.structs import replace
from replaying import catalog_at, counters, replayed, totals, walked

from ledger.backtest.asked import _ASKED
from ledger.backtest.entries import ENTRIES
from ledger.backtest.figures import Figures, Pair, Tally
from ledger.backtest.replay import Replay
from ledger.backtest.terms import NO_TERMS, GrantTerms, Terms
from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.evolve import EVOLVERS
from ledger.core.limits import DAY_US, MINUTE_US
from ledger.core.pricing.repricing import Job
from rating.compile import CompiledCard
from rating.versions import CardVersion

TWICE, HALF, TENFOLD = Fraction(2), Fraction(1, 2), Fraction(10)
MODELS = (
    "graduated",
    "volume",
    "dearer",
    "package",
    "stairstep",
    "share",
    "included",
    "daily",
    "day-volume",
    "billed-volume",
    "power",
)


def core_of(text: str) -> Core:
    case = LedgerCase()
    case.run(text)
    return case.core


def assert_is_the_ledger(replay: Replay, core: Core) -> None:
    """Every counter of every book, everything that accounts count, and every figure of both."""
    assert counters(replay.state) == counters(core.state)
    assert totals(replay.state) == totals(core.state)
    found = replay.close(10)
    assert found.shocks == found.denials == found.over_limit == found.not_repeated == []
    for line in (*found.burn, *found.revenue, *found.cost, *found.margin):
        assert line.old == line.new, line
    for each in found.margins:
        assert each.revenue.old == each.revenue.new
        assert each.cost.old == each.cost.new
    for pair in (found.authorized, found.denied, found.suspense, found.top_ups, found.costed,
                 found.cost_unknown, found.losing):  # fmt: skip
        assert pair.old == pair.new, found
    assert (found.denied_now, found.allowed_now, found.unrun_captures) == (0, 0, 0)


def book(replay: Replay, kind: e.BookKind, name: str = "") -> int:
    """Credits less debits of a house book."""
    return sum(
        each.credits_posted - each.debits_posted
        for each in replay.state.books.accounts.values()
        if each.kind == kind and each.name == name
    )


def charge(found: Figures) -> tuple[int, int]:
    """All that was charged in credits, and would be."""
    lines = [line for line in found.burn if line.asset == CREDITS]
    return sum(line.old for line in lines), sum(line.new for line in lines)


@pytest.mark.parametrize("seed", range(6))
def test_unchanged_prices_make_the_journals_own_entries(seed: int) -> None:
    """Whatever is asked, in whatever order: entry by entry what the ledger recorded, and so every
    counter of every book and every total of every account; with the fast loop and without."""
    core = walked(seed, 150)
    assert_is_the_ledger(replayed(core, plainly=True, faithfully=True), core)
    assert_is_the_ledger(replayed(core), core)


@pytest.mark.parametrize("seed", range(3))
def test_a_range_goes_on_from_where_the_ledger_stood(seed: int) -> None:
    """What was before the range is as it was, and is corrected, captured and settled from within it
    like anything else."""
    core = walked(seed + 20, 150)
    for first in range(1, len(core.batches), 3):
        replay = replayed(core, first=first)
        assert counters(replay.state) == counters(core.state)
        assert totals(replay.state) == totals(core.state)


@pytest.mark.parametrize("rate_card", ["", "resold"])
@pytest.mark.parametrize("product", ["chat", "half", "gpt"])
def test_the_fast_loop_takes_most_usage_and_changes_nothing(product: str, rate_card: str) -> None:
    """Whole prices, prices that round over the month (rule R1), prices that step with the prompt,
    with what the provider takes and without: a thousand events of paid and free grants that run
    out, and of a family; late ones too."""
    core, random = Core(), Random(7)
    for number, parent in ((1, 0), (2, 1), (3, 0)):
        root = 1 if number < 3 else 3
        core.run(c.CreateAccount(FAMILY.request(f"a{number}"), TENANT, number, parent, root,
                                 e.AccountPolicy(rate_card, excess=e.Excess.BILL)))  # fmt: skip
    names = ("input", "cached", "output") if product == "gpt" else ("tokens",)
    shape = core.shape(product, *names)
    most = 2_000_000 if product == "gpt" else 60_000
    for serial in range(1_000):
        account = random.randint(1, 3)
        if serial % 40 == 0:
            paid = random.choice([0, 7, 3_001])
            kind = e.GrantKind.PREPAID if paid else e.GrantKind.PROMOTIONAL
            core.run(c.IssueGrant(FAMILY.request(f"g{serial}"), account, kind, CREDITS,
                                  random.randint(50, most), paid, USD if paid else 0, 0, 0, 0, (),
                                  b""))  # fmt: skip
        quantities = (
            (random.randint(1, 1_500), 0, 3) if len(names) > 1 else (random.randint(1, 50),)
        )
        at = core.now - random.choice([0, 1, MINUTE_US])
        key = FAMILY.usage("s", str(serial))
        core.run(c.RecordUsage(key, account, shape, quantities, at, c.NO_NAMES))
        if serial % 200 == 0:
            core.advance(random.choice([MINUTE_US, 9 * DAY_US]))  # a month ends without an entry
    plainly, quickly = replayed(core, plainly=True, faithfully=True), replayed(core)
    assert_is_the_ledger(plainly, core)
    assert_is_the_ledger(quickly, core)
    assert plainly.figures.usual == 0
    assert quickly.figures.usual > 600
    extra = GrantTerms(place="grants[0]", kind=e.GrantKind.PREPAID, asset=CREDITS, amount=most * 99,
                       price_paid=70_001, price_asset=USD, expires_after_us=DAY_US)  # fmt: skip
    for factor, terms in product_of((TWICE, HALF, Fraction(1, 3)), (NO_TERMS, Terms((extra,)))):
        # What expires of a grant that was never issued stands in no entry of the journal.
        plainly = replayed(core, factor, plainly=True, terms=terms)
        quickly = replayed(core, factor, terms=terms)
        assert counters(plainly.state) == counters(quickly.state)
        assert totals(plainly.state) == totals(quickly.state)
        slow, fast = plainly.close(10), quickly.close(10)
        assert (slow.burn, slow.revenue, slow.shocks) == (fast.burn, fast.revenue, fast.shocks)
        assert (slow.cost, slow.margins, slow.losing) == (fast.cost, fast.margins, fast.losing)
        assert (slow.costed, slow.cost_unknown) == (fast.costed, fast.cost_unknown)
        assert bool(fast.cost) == bool(rate_card)
    other = catalog_at()  # the candidate names a card of costs where there was none, or no more
    rows = tuple(replace(row) for row in ROWS)
    named = card(rate_card or "default", "credits", rows, "" if rate_card else "supplier")
    other.add_card(TENANT, named.name, CardVersion(9, 0, 0, CompiledCard(named, 9)))
    plainly = replayed(core, catalog=other, plainly=True)
    quickly = replayed(core, catalog=other)
    assert counters(plainly.state) == counters(quickly.state)
    slow, fast = plainly.close(10), quickly.close(10)
    assert (slow.cost, slow.margins, slow.costed) == (fast.cost, fast.margins, fast.costed)
    assert fast.usual > 600
    assert any(line.new for line in fast.cost) != bool(rate_card)


def test_doubled_prices_double_what_is_earned_where_nothing_is_denied() -> None:
    """Units and money alike, account by account."""
    core = core_of("""
        account acme
        account beta
        grant   acme 10000 paid=5000
        grant   beta 10000 paid=10000
        usage   acme 100 id=u1
        usage   acme 40 of=image
        usage   beta 70
        reverse u1 30
    """)
    replay = replayed(core, TWICE)
    found = replay.close(10)
    revenue = {line.product: (line.old, line.new) for line in found.revenue}
    assert revenue == {"chat": (35 + 70, 70 + 140), "image": (20, 40)}
    assert charge(found) == (180, 360)
    assert [(each.account, each.old, each.new) for each in found.shocks] == [
        (1, 110, 220),
        (2, 70, 140),
    ]
    assert not found.denials and not found.over_limit
    assert (found.accounts, found.dearer, found.cheaper) == (2, 2, 0)


def test_work_that_would_have_been_denied_charges_nothing() -> None:
    """By hand: 60 at twice the price are 120, above 100; then 40 are 80, which there is."""
    core = core_of("""
        account acme
        grant   acme 100 paid=50
        hold    acme 60 as=h1
        extend  h1
        capture h1 60
        hold    acme 40 as=h2
        capture h2 40
    """)
    replay = replayed(core, TWICE)
    found = replay.close(10)
    (denials,) = found.denials
    assert (denials.account, denials.denied, denials.charge, denials.unrun) == (1, 1, 120, 60)
    assert denials.first_at_us == core.now
    assert (found.denied_now, found.unrun_captures, found.authorized.new) == (1, 1, 1)
    assert charge(found) == (100, 80)
    assert [(line.old, line.new) for line in found.revenue] == [(50, 40)]
    assert found.not_repeated == []


def test_usage_that_happened_goes_over_the_limits() -> None:
    """100 at twice the price: 100 of the grant, 20 of overdraft, 80 that no limit affords (D4)."""
    core = core_of("""
        account acme overdraft=20
        grant   acme 100
        usage   acme 100
    """)
    assert replayed(core).close(10).over_limit == []
    assert replayed(core, TWICE).close(10).over_limit == [Tally(1, CREDITS, 100, 200, 0, 80)]


def test_what_was_denied_and_would_be_allowed_is_counted_and_holds_nothing() -> None:
    core = core_of("""
        account acme
        grant   acme 100
        hold    acme 150 as=h1 -> denied INSUFFICIENT_CREDITS
        hold    acme 90 as=h2
        capture h2 90
    """)
    replay = replayed(core, HALF)
    found = replay.close(10)
    assert (found.allowed_now, found.denied_now) == (1, 0)
    assert charge(found) == (90, 45)
    assert not replay.state.holds


def test_a_hold_is_for_what_was_learned_then_at_any_price() -> None:
    """Of 90 that were asked for 30 are held, and 60 used: held for 60 at twice the price, charged
    120; as it was, the same entries."""
    core = core_of("""
        account acme
        grant   acme 130
        hold    acme 30 asked=90 as=h1
        capture h1 60
        hold    acme 80 asked=90 as=h2 -> denied INSUFFICIENT_CREDITS
    """)
    assert charge(replayed(core).close(10)) == (60, 60)
    replay = replayed(core, TWICE)
    found = replay.close(10)
    assert charge(found) == (60, 120)
    assert (found.allowed_now, found.denied_now) == (0, 0)
    replay = replayed(core, HALF)
    found = replay.close(10)
    assert (charge(found), found.allowed_now) == ((60, 30), 1)


def test_time_decides_again_what_is_left() -> None:
    """Breakage and rollover are of what is left under the other prices, not of what was left."""
    core = core_of("""
        account acme
        grant   acme 100 paid=100 expires=+1d rolls=1/2 as=g
        usage   acme 30
        clock   +1d
        sweep
        clock   +2d
        sweep
    """)
    assert book(replayed(core), e.BookKind.FORFEITED) == 35
    replay = replayed(core, TWICE)
    assert book(replay, e.BookKind.FORFEITED) == 20
    assert book(replay, e.BookKind.BREAKAGE) == 20
    rolled = [grant for grant in replay.state.grants.values() if grant.origin]
    assert [grant.book.available for grant in rolled] == [20]


def test_outcomes_are_settled_again_at_the_other_prices() -> None:
    """As they were: confirmed by somebody or by time, rejected, or pending still."""
    core = core_of("""
        account acme
        grant   acme 100
        report  acme 10 as=o
        report  acme 5 as=p
        report  acme 7 as=q of=lead
        report  acme 9 as=r of=deal
        accept  o
        clock   +2d
        sweep
    """)
    replay = replayed(core, TWICE)
    assert book(replay, e.BookKind.USED, "case") == 30
    assert book(replay, e.BookKind.USED, "lead") == 0
    assert charge(replay.close(10)) == (15, 30)
    assert [hold.left for hold in replay.state.holds.values()] == [18]


def test_a_debt_that_was_not_is_repaid_by_the_next_grant() -> None:
    core = core_of("""
        account acme overdraft=100
        grant   acme 100 paid=50
        usage   acme 80
        grant   acme 200 paid=100 as=g2
    """)
    replay = replayed(core, TWICE)
    found = replay.close(10)
    second = replay.state.grants[2]
    assert (second.drawn, second.recognised) == (60, 30)
    assert [(line.old, line.new) for line in found.revenue] == [(40, 80)]


def test_top_ups_that_were_paid_come_whether_or_not_they_are_asked_for() -> None:
    """At half the price the rule never asks; the money that came is a fact."""
    core = core_of("""
        account acme
        rule    acme below=50 target=100 price=1/1
        collect 1
        usage   acme 60
        collect 2
    """)
    found = replayed(core, TWICE).close(10)
    assert found.top_ups.old == found.top_ups.new == 2
    replay = replayed(core, HALF)
    found = replay.close(10)
    assert (found.top_ups.old, found.top_ups.new) == (2, 1)
    assert sum(grant.book.available for grant in replay.state.grants.values()) == 130


def test_usage_without_a_price_is_counted_and_charges_nothing() -> None:
    core = core_of("""
        account acme
        grant   acme 100
        usage   acme 10 of=priceless
        usage   acme 10
    """)
    found = replayed(core, TWICE).close(10)
    assert (found.suspense.old, found.suspense.new) == (1, 1)
    assert charge(found) == (10, 20)


@pytest.mark.parametrize("seed", range(4))
def test_whatever_prices_are_tried_the_books_balance(seed: int) -> None:
    """Debits equal credits, and the money of the figures is that of the books."""
    core = walked(seed + 40, 150)
    for factor in (TWICE, HALF, TENFOLD, Fraction(1, 3), Fraction(0)):
        replay = replayed(core, factor)
        earned: Counter[tuple[str, int]] = Counter()
        for each in replay.state.books.accounts.values():
            if each.kind == e.BookKind.REVENUE:
                earned[each.name, each.asset] += each.credits_posted - each.debits_posted
        figures = {(line.product, line.asset): line.new for line in replay.close(10).revenue}
        assert Counter(figures) == earned


def test_margins_are_of_what_is_earned_and_what_providers_take() -> None:
    """By hand: a token is sold for one credit, half a USD, and costs three. At twice the price 100
    tokens earn 100 for the same 300; a hold that is denied costs nothing; the unknown cost of
    images is counted, and what is given back with its cost is taken off."""
    core = core_of("""
        account acme card=resold
        account beta card=resold
        grant   acme 1000 paid=500
        grant   beta 100 paid=50
        usage   acme 100 id=u1
        usage   acme 10 of=image
        usage   acme 20 id=u2
        reverse u2 cost=yes
        hold    beta 60 as=h1
        capture h1 60
    """)
    found = replayed(core).close(10)
    assert [(each.product, each.old, each.new) for each in found.cost] == [("chat", 480, 480)]
    found = replayed(core, TWICE).close(10)
    assert [(each.product, each.old, each.new) for each in found.cost] == [("chat", 480, 300)]
    assert {each.product: (each.old, each.new) for each in found.margin} == {
        "chat": (50 + 30 - 480, 100 - 300),
        "image": (5, 10),
    }
    assert [(each.product, each.asset, each.old) for each in found.unrun_cost] == [
        ("chat", USD, 180)
    ]
    assert [(each.account, each.margin) for each in found.margins] == [
        (1, Pair(55 - 300, 110 - 300)),
        (2, Pair(30 - 180, 0)),
    ]
    assert (found.costed, found.cost_unknown) == (Pair(4, 3), Pair(1, 1))
    assert found.losing == Pair(2, 1)


def test_another_card_of_costs_is_tried_as_any_card() -> None:
    """The supplier takes half: what is charged stays, the margin rises by what it takes less."""
    core = core_of("""
        account acme card=resold
        grant   acme 1000 paid=1000
        usage   acme 100
        usage   acme 50 of=half
    """)
    catalog = catalog_at()
    halved = tuple(replace(row, price=str(Fraction(row.price) / 2)) for row in SUPPLIER)
    cheaper = CompiledCard(card("supplier", "USD", halved), 9)
    catalog.add_card(TENANT, "supplier", CardVersion(9, 0, 0, cheaper))
    found = replayed(core, catalog=catalog).close(10)
    assert found.shocks == []
    assert {each.product: (each.old, each.new) for each in found.cost} == {
        "chat": (300, 150),
        "half": (17, 8),
    }


@pytest.mark.parametrize("seed", range(2))
def test_margins_are_those_of_the_books(seed: int) -> None:
    """Whatever prices are tried: what the figures say of costs is in the books, and accounts and
    products add up to the same."""
    core = walked(seed + 60, 150)
    for factor in (Fraction(1), TWICE, HALF):
        replay = replayed(core, factor)
        taken: Counter[int] = Counter()
        for each in replay.state.books.accounts.values():
            if each.kind == e.BookKind.COST:
                taken[each.asset] += each.debits_posted - each.credits_posted
        by_account = [*replay.figured.earnings.values()]
        earned, cost = Counter[int](), Counter[int]()
        found = replay.close(10_000)
        for line in found.cost:
            cost[line.asset] += line.new
        for line in found.revenue:
            earned[line.asset] += line.new
        assert +cost == +taken
        for asset in {each.asset for each in by_account}:
            of_asset = [each for each in by_account if each.asset == asset]
            assert sum(each.cost.new for each in of_asset) == cost[asset]
            assert sum(each.revenue.new for each in of_asset) == earned[asset]


def test_a_hold_that_its_quote_denied_is_denied_again() -> None:
    """The quote was dearer than the price has become: by that there would have been enough."""
    case = LedgerCase()
    case.run("""
        account acme
        grant   acme 100
        quote   acme 120 as=q
        hold    acme 120 as=h1 quote=q -> denied INSUFFICIENT_CREDITS
        hold    acme 120 as=h2 -> denied INSUFFICIENT_CREDITS
    """)
    found = replayed(case.core, HALF).close(10)
    assert found.allowed_now == 2  # the candidate promises half as well
    case = LedgerCase()
    case.run("""
        account acme
        grant   acme 100
        reprice chat 3
        quote   acme 50 as=q
        clock   +1m
        reprice chat 1
        hold    acme 50 as=h1 quote=q -> denied INSUFFICIENT_CREDITS
    """)
    assert_is_the_ledger(replayed(case.core, catalog=case.core.state.catalog), case.core)


def test_figures_of_shards_add_up() -> None:
    first, second = Figures(), Figures()
    first.shocks = [Tally(1, CREDITS, 10, 20), Tally(2, CREDITS, 10, 11)]
    second.shocks = [Tally(3, CREDITS, 10, 50), Tally(4, USD, 1, 2)]
    first.usage_events, second.usage_events = 5, 7
    first.denied.old, second.denied.old = 1, 2
    first.merge(second, 2)
    assert [each.account for each in first.shocks] == [3, 1, 4]
    assert (first.usage_events, first.denied.old) == (12, 3)


def tried(case: LedgerCase, verb: str, *words: str, **options: str) -> None:
    """A statement, whatever comes of it."""
    getattr(case, f"_{verb}")(options, *words)


@pytest.mark.parametrize("seed", range(3))
def test_every_price_model_gives_what_the_ledger_has(seed: int) -> None:
    """Running totals by day, month and billing period, re-rates over the boundaries of volume
    prices, holds, corrections: entry by entry, and with the fast loop (rule R1)."""
    case, random = ModelCase(), Random(seed)
    case.run("account acme card=models overdraft=500\naccount eu parent=acme card=models")
    recorded: list[int] = []
    for step in range(250):
        name, product = random.choice(["acme", "eu"]), random.choice(MODELS)
        tokens = str(random.randint(1, 70))
        match random.randrange(10):
            case 0:
                tried(case, "grant", name, tokens + "0", "shared", paid="77", **{"as": f"g{step}"})
            case 1:
                tried(case, "hold", name, tokens, of=product, **{"as": f"h{step}"})
            case 2 if recorded:
                tried(case, "reverse", f"u{random.choice(recorded)}")
            case 3:
                case.run(f"clock +{random.choice(['1h', '20h', '3d'])}\nsweep")
            case _:
                case.run(f"usage {name} {tokens} of={product} id=u{step}")
                recorded.append(step)
    case.core.sweep(10_000)
    core = case.core
    assert any(isinstance(each, e.UsageRerated) for _, batch in core.batches for each in batch)
    catalog = ModelCore().catalog
    assert_is_the_ledger(replayed(core, catalog=catalog, plainly=True, faithfully=True), core)
    assert_is_the_ledger(replayed(core, catalog=ModelCore().catalog), core)


def test_every_entry_is_read_as_something() -> None:
    """An entry that nothing here knows would be left out in silence."""
    assert set(EVOLVERS) == set(ENTRIES) | set(_ASKED)


def test_a_sandbox_asks_for_its_top_ups_by_its_own_clock() -> None:
    """What a rule asks for anew once nobody has answered waits a day of the tenant's time, not of
    the writer's: it has not expired when the account is next asked for something (rules H6, T4)."""
    case = LedgerCase(SandboxCore())
    case.run(
        """
        account acme
        rule    acme below=10 target=30   -> rule 1; tops up 1: 30 for 30
        clock   +3d
        sweep                             -> expired; tops up 2: 30 for 30
        clock   +1h
        rule    acme below=10 target=40   -> rule 2
        """
    )
    assert_is_the_ledger(replayed(case.core), case.core)


def test_a_range_may_begin_within_a_job_that_rates_again() -> None:
    """What was given back before it is recorded again in it: the original is of no use for that,
    and its work was done (rule R7)."""
    case = LedgerCase()
    case.run("account acme overage=self\n usage acme 40 id=a\n clock +1h")
    core = case.core
    core.reprice("chat", "tokens", "1/2")
    job = Job("contract", "default", core.versions)
    shape = core.shape("chat", "tokens")
    take, put = job.commands_of(FAMILY, case.entries["a"], shape, (40,))
    core.run(take)
    core.advance(1)
    put.reversal_entry = case.core.original(core.state.keys.find(take.key) or 0).entry_seq
    core.run(put)
    for first in range(3):
        replay = replayed(core, catalog=core.catalog, first=first)
        assert counters(replay.state) == counters(core.state)
        assert replay.close(10).not_repeated == []
