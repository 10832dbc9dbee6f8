"""Usage rated again by a job: reversed and recorded anew by a version that it names (rule R7)."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import hypothesis.strategies as st
import pytest
from core_world import CREDITS, FAMILY, TENANT, USD, Core
from hypothesis import given
from ledger_case import LedgerCase
from msgspec.structs import replace
from test_verify_rules import judged

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.catalog import Catalog
from ledger.core.evolve import evolve
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.pricing.repricing import Job, Trial
from ledger.core.pricing.touched import LeftAlone, Touched, consider, whole_scopes
from ledger.core.state import Account, State
from ledger.verify.report import Findings, ShardReport
from ledger.verify.rules import Rules
from rating.card import Meter, PriceRow, Product, RateCard
from rating.compile import CompiledCard
from rating.models import Graduated, Model, Scope, Tier, Volume
from rating.versions import CardVersion, CardVersions

PRODUCTS = ("chat", "half", "graduated", "volume", "image")
NAME = "default"


def of_version(version: int, prices: dict[str, str], models: dict[str, Model]) -> RateCard:
    rows = [PriceRow(product, "tokens", price) for product, price in prices.items()]
    for product, model in models.items():
        rows.append(PriceRow(product, "tokens", "", model=model, scope=Scope.MONTH))
    return RateCard(
        name=NAME,
        asset="credits",
        asset_scale=0,
        meters=(Meter("tokens"),),
        products=tuple(Product(each) for each in PRODUCTS),
        rows=tuple(rows),
    )


OLD = of_version(
    21,
    {"chat": "1", "half": "1/2", "image": "4"},
    {
        "graduated": Graduated((Tier(100, "3"), Tier(None, "2"))),
        "volume": Volume((Tier(100, "5"), Tier(None, "4"))),
    },
)
NEW = of_version(
    22,
    {"chat": "3", "half": "1/3", "image": "4"},
    {
        "graduated": Graduated((Tier(50, "4"), Tier(None, "1"))),
        "volume": Volume((Tier(30, "7"), Tier(None, "2"))),
    },
)
JOB = Job("contract", NAME, 22)


class Rerating(LedgerCase):
    """A case with two versions of a card: 21 in force, 22 published with `contract`."""

    def __init__(self) -> None:
        core = Core()
        priced = core.state.catalog.card((TENANT, NAME))
        priced.versions = CardVersions()
        priced.assets.clear()
        core.state.catalog.add_card(TENANT, NAME, CardVersion(21, 0, 0, CompiledCard(OLD, 21)))
        super().__init__(core)

    def contract(self, card: RateCard = NEW, since: int = 0) -> None:
        """Publish version 22, to be in force from now on."""
        version = CardVersion(22, self.core.now, since, CompiledCard(card, 22))
        self.core.state.catalog.add_card(TENANT, NAME, version)

    def usage_entries(self) -> list[c.Original]:
        """Every usage event, in the order recorded."""
        return [
            self.core.original((number << 20) | index)
            for number, (_, events) in enumerate(self.core.batches, 1)
            for index, event in enumerate(events)
            if isinstance(event, e.UsageRecorded)
        ]

    def considered(self, job: Job = JOB) -> tuple[list[Touched], list[str]]:
        touched: list[Touched] = []
        same: list[Touched] = []
        left: list[str] = []
        replaced = {
            event.replaced_by
            for _, events in self.core.batches
            for event in events
            if isinstance(event, e.UsageReversed) and event.replaced_by
        }
        for original in self.usage_entries():
            amended = original.event.key in replaced
            found = consider(
                self.core.state, original, job.rate_card, job.card_version, amended=amended
            )
            if isinstance(found, Touched):
                (same if found.same else touched).append(found)
            elif found is not None:
                left.append(found)
        return whole_scopes(touched, same), left

    def tried(self, touched: Sequence[Touched]) -> tuple[int, int]:
        """A dry run: what goes back, and what is charged anew."""
        trial, back, anew = Trial(), 0, 0
        left: dict[int, tuple[int, ...]] = {}
        for each in reversed(touched):
            refund = trial.take(self.core.state, each)
            assert not isinstance(refund, str), refund
            back += refund.amount
            left[each.original.locator] = refund.quantities
        for each in touched:
            charge = trial.put(self.core.state, each, left[each.original.locator])
            assert not isinstance(charge, str), charge
            anew += charge
        return back, anew

    def commands(
        self, touched: Sequence[Touched], job: Job = JOB
    ) -> tuple[list[c.ReverseUsage], list[c.RepriceUsage]]:
        takes: list[c.ReverseUsage] = []
        puts: list[c.RepriceUsage] = []
        for each in touched:
            refund = Trial().take(self.core.state, each)
            assert not isinstance(refund, str)
            take, put = job.commands_of(FAMILY, each.original, each.shape, refund.quantities)
            takes.insert(0, take)
            puts.append(put)
        return takes, puts

    def rerate(self, job: Job = JOB) -> tuple[int, int]:
        """The whole job; what the dry run said beforehand is what happens."""
        touched, _ = self.considered(job)
        said = self.tried(touched)
        before = self.spent()
        takes, puts = self.commands(touched, job)
        for command in (*takes, *puts):
            outcome = self.core.run(command)
            assert not isinstance(outcome, Refusal | Known), outcome
        assert self.spent() - before == said[1] - said[0]
        return said

    def go_on(self, puts: Sequence[c.RepriceUsage]) -> None:
        """A job that was stopped looks again at what there is: at usage that came meanwhile too."""
        find = self.core.state.keys.find
        touched, _ = self.considered()
        takes, more = self.commands(touched)
        taken = [put for put in puts if find(put.taken) and not find(put.key)]
        for command in (*takes, *sorted([*taken, *more], key=lambda put: put.original_entry)):
            assert not isinstance(self.core.run(command), Refusal | Known)

    def account(self, name: str = "acme") -> Account:
        return self.core.state.accounts[self.accounts[name]]

    def spent(self) -> int:
        """What all accounts have used and not been given back, in credits."""
        return sum(
            book.credits_posted - book.debits_posted
            for book in self.core.state.books.accounts.values()
            if book.kind == e.BookKind.USED and book.asset == CREDITS
        )

    def finish(self) -> None:
        super().finish()
        assert judged(self.core) == []


@pytest.fixture
def case() -> Rerating:
    made = Rerating()
    made.run("account acme\n grant acme 100000 as=G paid=50000\n account beta\n grant beta 100000")
    return made


def test_what_was_charged_is_reversed_and_recorded_by_the_new_version(case: Rerating) -> None:
    """Each has its link, its job, the original's time and what it is priced by (rule R7)."""
    case.run("usage acme 10 id=a\n usage acme 5 of=image id=i\n usage acme 7 id=b")
    case.contract()
    assert case.rerate() == (17, 51)
    again = [x for x in case.usage_entries() if isinstance(x.event, e.UsageRepriced)]
    assert [each.event.charges for each in again] == [(30,), (21,)], "image costs the same"
    for made, called in zip(again, ("a", "b"), strict=True):
        event, original = made.event, case.entries[called]
        assert isinstance(event, e.UsageRepriced) and made.plan is not None
        assert (event.job, event.original) == ("contract", original.locator)
        assert event.original_entry == original.entry_seq
        assert event.effective_at == original.event.effective_at
        assert made.plan.card_version == 22
    case.run("expect recognised G 35\n expect left G 99929")
    case.finish()


def test_it_is_recognised_by_what_is_recorded(case: Rerating) -> None:
    """Stopped in the middle and begun again it records nothing twice; done, it finds nothing."""
    case.run("usage acme 10\n usage acme 20\n usage acme 30")
    case.contract()
    touched, _ = case.considered()
    takes, puts = case.commands(touched)
    for command in (*takes, puts[0]):
        case.core.run(command)
    for take in takes:
        assert isinstance(case.core.run(take), Known)
    assert isinstance(case.core.run(puts[0]), Known)
    for put in puts[1:]:
        assert isinstance(case.core.run(put), e.UsageRepriced)
    assert case.spent() == 180
    assert case.considered() == ([], ["REVERSED"] * 3)
    case.finish()


def test_nothing_is_recorded_again_that_was_not_given_back(case: Rerating) -> None:
    case.run("usage acme 10 id=a\n reverse a 10")
    case.contract()
    original = case.entries["a"]
    shape = case.core.shape("chat", "tokens")
    _, put = JOB.commands_of(FAMILY, original, shape, (10,))
    refused = case.core.run(put)
    assert isinstance(refused, Refusal) and refused.reason == Reason.NOT_REVERSIBLE
    assert case.spent() == 0


def test_another_body_under_a_key_of_the_job_is_a_conflict(case: Rerating) -> None:
    """The same job by another version is refused: what it has done stays as it is (rule I1)."""
    case.run("usage acme 10")
    case.contract()
    touched, _ = case.considered()
    takes, puts = case.commands(touched)
    for command in (*takes, *puts):
        case.core.run(command)
    other, again = Job("contract", NAME, 21).commands_of(
        FAMILY, touched[0].original, touched[0].shape, (10,)
    )
    known = case.core.run(other)
    assert isinstance(known, Known) and case.core.difference(other, known) == "version"
    again.quantities = (9,)
    known = case.core.run(again)
    assert isinstance(known, Known) and case.core.difference(again, known) == "quantities"


def test_what_is_left_alone_is_named(case: Rerating) -> None:
    """Promised, amended or given back by hand, waiting, or without a price there (rule R7)."""
    case.run(
        """
        quote   acme 10 as=q
        usage   acme 10 quote=q
        usage   acme 5 id=a
        amend   a 6 as=a2
        usage   acme 7 id=goodwill
        reverse goodwill charged=3
        usage   acme 8 of=nothing
        usage   acme 9 id=back
        reverse back
        """
    )
    case.contract()
    touched, left = case.considered()
    assert touched == []
    assert left == ["QUOTED", "REVERSED", "AMENDED", "AMENDED", "SUSPENSE", "REVERSED"]
    without = of_version(22, {"image": "4"}, {})
    other = Rerating()
    other.run("account acme\n grant acme 100\n usage acme 5")
    other.contract(without)
    assert other.considered() == ([], [LeftAlone.UNPRICED])


def test_a_part_that_was_given_back_stays_given_back(case: Rerating) -> None:
    case.run("usage acme 10 id=a\n reverse a 4")
    case.contract()
    assert case.rerate() == (6, 18)
    case.finish()


def test_usage_that_was_rated_again_may_be_so_once_more(case: Rerating) -> None:
    """By another job; and by hand it is corrected as any usage."""
    case.run("usage acme 10")
    case.contract()
    case.rerate()
    assert case.rerate(Job("undone", NAME, 21)) == (30, 10)
    last = case.usage_entries()[-1]
    case.entries["last"] = last
    case.run("reverse last 10 -> 10 to G worth 5")
    case.finish()


def test_late_overrides_count_from_when_they_are_meant(case: Rerating) -> None:
    """A discount signed on the 15th as of the 1st: usage keeps its price until a job (R4, R7)."""
    case.run("usage acme 100\n clock +14d\n override acme chat:x1/2@2026-01-01")
    assert case.spent() == 100
    assert case.rerate(Job("signed", NAME, 21)) == (100, 50)
    assert case.considered(Job("signed", NAME, 21)) == ([], ["REVERSED"])
    case.finish()


def test_usage_that_came_since_is_given_back_too_where_totals_are_shared(case: Rerating) -> None:
    """The new version is in force and has charged over totals that go on: what it charged stood on
    the usage before, which falls away and comes again (rule R1)."""
    case.run("usage acme 38 of=graduated")
    case.contract()
    case.run("usage acme 13 of=graduated\n usage acme 5 of=half")
    assert case.spent() == 114 + 49 + 2
    assert case.rerate() == (114 + 49, 201)
    assert case.considered()[0] == []
    case.finish()


def test_money_that_was_earned_is_earned_anew(case: Rerating) -> None:
    """A dearer price takes more of what was paid, a cheaper one gives it back (rule B4)."""
    case.run("grant beta 10 as=H paid=70 priority=-1\n usage beta 4\n expect recognised H 28")
    case.contract()
    case.rerate()
    case.run("expect recognised H 70")
    case.finish()


events = st.lists(
    st.tuples(
        st.sampled_from(("chat", "half", "graduated", "volume", "image")),
        st.integers(1, 80),
        st.integers(0, 5),
    ),
    min_size=1,
    max_size=14,
)


POLICIES = ("", "overdraft=300", "overage=self", "overage=self excess=bill", "excess=absorb")


@given(
    events,
    st.booleans(),
    st.sampled_from(POLICIES),
    st.sampled_from((7, 400, 1_000_000)),
    st.integers(0, 2**32),
)
def test_charges_are_what_the_price_would_have_charged_from_the_start(
    used: list[tuple[str, int, int]], stopped: bool, policy: str, granted: int, seed: int
) -> None:
    """Whatever was given back before, whoever pays, and wherever the job was stopped, with usage
    that came meanwhile: the sum of each product is what version 22 charges for the same usage had
    it been in force (rules R1, R7)."""
    case, drawn = Rerating(), Random(seed)
    if granted < 1_000_000:  # a reversal gives what rounding put on others to grants that are full
        used = [(product, tokens, 0) for product, tokens, _ in used]
    case.run(f"account acme {policy}\n grant acme {granted} as=G paid=77777")
    never = Rerating()
    never.run("account acme\n grant acme 1000000")
    never.core.state.catalog.card((TENANT, NAME)).versions = CardVersions(
        [CardVersion(22, 0, 0, CompiledCard(NEW, 22))]
    )
    never.core.state.catalog.card((TENANT, NAME)).assets[22] = CREDITS
    never.core.state.catalog.card((TENANT, NAME)).settle()
    kept: list[tuple[str, int]] = []
    for place, (product, tokens, back) in enumerate(used):
        case.run(f"usage acme {tokens} of={product} id=u{place}")
        kept.append((product, tokens - min(back, tokens)))
    for place, (_, tokens, back) in enumerate(used):
        if back:
            case.run(f"reverse u{place} {min(back, tokens)}")
    for product, tokens in kept:
        if tokens:
            never.run(f"usage acme {tokens} of={product}")
    case.contract()
    if stopped:
        touched, _ = case.considered()
        takes, puts = case.commands(touched)
        both = [*takes, *puts]
        for command in both[: drawn.randint(0, len(both))]:
            assert not isinstance(case.core.run(command), Refusal)
        for each in (case, never):
            each.run("usage acme 13 of=graduated\n usage acme 7 of=half\n usage acme 31 of=volume")
        case.go_on(puts)
    else:
        case.rerate()
    assert spent_by_product(case) == spent_by_product(never)
    assert totals(case) == totals(never)
    case.finish()


def spent_by_product(case: Rerating) -> dict[str, int]:
    found = {
        book.name: book.credits_posted - book.debits_posted
        for book in case.core.state.books.accounts.values()
        if book.kind == e.BookKind.USED and book.asset == CREDITS
    }
    return {name: units for name, units in found.items() if units}


def totals(case: Rerating) -> dict[int, int]:
    """Totals of models by their key; of plain rows of the two versions together."""
    found: dict[int, int] = {}
    for (key, _), quantity in case.account().totals.items():
        found[key & 0xFFFFF] = found.get(key & 0xFFFFF, 0) + quantity
    return {key: quantity for key, quantity in found.items() if quantity}


def test_a_closed_period_is_worked_out_as_one_figure(case: Rerating) -> None:
    """What was charged there, and what the price would have charged from its totals on (R7)."""
    case.run("usage acme 40 of=graduated\n usage acme 40 of=graduated\n usage acme 9\n clock +40d")
    case.contract()
    touched, left = case.considered()
    assert left == [] and all(each.closed for each in touched)
    trial = Trial()
    found = [trial.put_closed(case.core.state, each) for each in touched]
    assert found == [(120, 160), (120, 40 + 30), (9, 27)]
    assert USD and case.spent() == 249, "nothing was done"


def test_what_the_provider_takes_goes_by_the_card_that_prices() -> None:
    """Rule B4: a card names its card of costs; the cost goes back with the charge, and is taken
    anew where the version names one."""
    case = LedgerCase()
    case.run(
        """
        account acme card=resold overage=self
        grant   acme 4
        usage   acme 10 id=u                -> drawn 4 from acme, overage 6 on acme, cost 30
        rerate  u by=usd as=v job=one       -> 6 to overage, 4 to acme, cost -30; overage 10 on acme
        rerate  v by=resold as=w job=two
            -> 10 to overage worth 10; drawn 4 from acme, overage 6 on acme, cost 30
        reverse w                           -> 6 to overage, 4 to acme
        """
    )
    case.finish()
    assert judged(case.core) == []


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"job": ""}, "job"),
        ({"original_entry": 10_000}, "entry that gave it back"),
        ({"reversal_entry": 10_000}, "entry that gave it back"),
        ({"original": 5}, "given back of entry"),
        ({"quantities": (11,)}, "given back of entry"),
        ({"effective_at": 1}, "effective time"),
    ],
    ids=str,
)
def test_an_entry_that_breaks_a_rule_is_named(
    case: Rerating, changes: dict[str, Any], what: str
) -> None:
    """`verify` says once more what usage that was rated again may say (rule R7)."""
    case.run("usage acme 10")
    case.contract()
    case.rerate()
    findings = Findings(ShardReport(0))
    rules, state = Rules(findings), State(0, Catalog())
    for batch_seq, (recorded_at, entries) in enumerate(case.core.batches, start=1):
        state.begin_batch(batch_seq, recorded_at)
        for event in entries:
            if isinstance(event, e.UsageRepriced):
                rules.before(state, replace(event, **changes))
            evolve(state, event)
    assert any(what in finding.what for finding in findings.found), findings.found
