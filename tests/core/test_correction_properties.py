"""What holds of corrections, whatever is reversed in any order and parts (rules D3, B4, R1)."""

from __future__ import annotations

from typing import Any

from core_world import CREDITS, FAMILY, TENANT, USD, Core, replay
from hypothesis import given
from hypothesis import strategies as st

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.digest import digest
from ledger.core.evolve import evolve
from ledger.core.limits import DAY_US, HOUR_US
from ledger.core.outcomes import Reason, Refusal
from ledger.core.packing import drop_family, pack_family, unpack_family
from ledger.core.state import State
from ledger.verify.report import Findings, ShardReport
from ledger.verify.reversals import ReversalWatch
from ledger.verify.rules import Rules

ACME, CHILD = 1, 2
small = st.integers(1, 40)
policies = st.builds(
    e.AccountPolicy,
    overdraft_asset=st.just(CREDITS),
    overdraft_limit=st.sampled_from([0, 10, 100]),
    overage=st.sampled_from(e.Overage),
    overage_cap=st.sampled_from([-1, 0, 20]),
    excess=st.sampled_from(e.Excess),
    comparator=st.sampled_from(e.Comparator),
)
grants = st.tuples(
    st.just("grant"),
    small,
    st.sampled_from([0, 1, 7, 100]),
    st.integers(0, 2),
    st.sampled_from([(), (), ("chat",), ("image",)]),
    st.sampled_from([0, 0, 2 * HOUR_US, 3 * DAY_US]),
)
usages = st.tuples(st.just("usage"), st.sampled_from(["chat", "image"]), small)
reversals = st.tuples(
    st.just("reverse"),
    st.integers(0, 9),
    st.sampled_from([0, 0, 1, 5, 17]),
    st.booleans(),
    st.sampled_from(e.EndedGrants),
)
lasting = st.one_of(grants.map(lambda step: (*step[:5], 0)), usages, usages, reversals)
anything = st.one_of(
    grants,
    usages,
    usages,
    reversals,
    reversals,
    st.tuples(st.just("clock"), st.sampled_from([HOUR_US, DAY_US, 33 * DAY_US])),
    st.tuples(st.just("void"), st.integers(0, 9)),
    st.tuples(st.just("policy"), policies),
    st.tuples(st.just("amend"), st.integers(0, 9), small),
    st.tuples(st.just("adjust"), st.sampled_from([-30, -3, 3, 30]), st.integers(0, 9)),
    st.tuples(st.just("page")),
)


class Run:
    """An account below another, and what was used."""

    def __init__(self, policy: e.AccountPolicy) -> None:
        self.core = Core()
        self.used: list[c.Original] = []
        self.issued: list[int] = []
        self._ids = 0
        self.ask(c.CreateAccount, ACME, account_only=True)
        command = c.CreateAccount(self.key(), TENANT, CHILD, ACME, ACME, policy)
        assert not isinstance(self.core.run(command), Refusal)

    def key(self) -> bytes:
        self._ids += 1
        return FAMILY.request(f"#{self._ids}")

    def ask(self, kind: Any, *arguments: Any, account_only: bool = False) -> Any:
        if account_only:
            return self.core.run(
                c.CreateAccount(self.key(), TENANT, ACME, 0, ACME, e.AccountPolicy())
            )
        return self.core.run(kind(self.key(), CHILD, *arguments))

    def step(self, step: tuple[Any, ...]) -> None:
        getattr(self, f"_{step[0]}")(*step[1:])

    def _grant(
        self, amount: int, paid: int, priority: int, products: tuple[str, ...], lasts: int
    ) -> None:
        expires = self.core.now + lasts if lasts else 0
        issued = self.ask(
            c.IssueGrant, e.GrantKind.PREPAID, CREDITS, amount, paid, USD, priority, 0, expires,
            products, b"",
        )  # fmt: skip
        self.issued.append(issued.grant)

    def _usage(self, product: str, tokens: int) -> None:
        shape = self.core.shape(product, "tokens")
        self.keep(self.ask(c.RecordUsage, shape, (tokens,), 0, c.NO_NAMES))

    def keep(self, recorded: e.Event) -> None:
        locator = self.core.state.keys.find(recorded.key)  # type: ignore[union-attr]
        assert locator is not None
        self.used.append(self.core.original(locator))

    def _reverse(self, which: int, part: int, charged: bool, ended: e.EndedGrants) -> Any:
        if not self.used:
            return None
        original = self.used[which % len(self.used)]
        quantities = (part,) if part and not charged else ()
        return self.ask(c.ReverseUsage, original, quantities, part if charged else 0, ended)

    def _amend(self, which: int, tokens: int) -> None:
        if not self.used:
            return
        original = self.used[which % len(self.used)]
        usage = c.RecordUsage(
            self.key(),
            CHILD,
            self.core.shape("chat", "tokens"),
            (tokens,),
            original.event.effective_at,  # type: ignore[union-attr]
            c.NO_NAMES,
        )
        before = len(self.core.batches[-1][1])
        outcome = self.ask(c.AmendUsage, original, usage, b"body")
        made = self.core.batches[-1][1][before:]
        if isinstance(outcome, Refusal):
            assert not any(isinstance(each, e.UsageRecorded | e.UsageReversed) for each in made)
        else:
            [recorded] = [each for each in made if isinstance(each, e.UsageRecorded)]
            assert recorded.key == outcome.replaced_by
            self.keep(recorded)

    def _adjust(self, amount: int, which: int) -> None:
        grant = self.issued[which % len(self.issued)] if self.issued and which % 2 else 0
        self.ask(c.AdjustBalance, CREDITS, amount, grant)

    def _void(self, which: int) -> None:
        if self.issued:
            self.ask(c.VoidGrant, self.issued[which % len(self.issued)])

    def _policy(self, policy: e.AccountPolicy) -> None:
        self.ask(c.UpdatePolicy, policy)

    def _clock(self, by: int) -> None:
        self.core.advance(by)

    def _page(self) -> None:
        """The family leaves memory and comes back."""
        state = self.core.state
        body = pack_family(state, ACME, state.settled_before)
        drop_family(state, ACME)
        unpack_family(state, body)
        assert pack_family(state, ACME, state.settled_before) == body

    def reverse_everything(self) -> None:
        for original in self.used:
            outcome = self.ask(c.ReverseUsage, original)
            if isinstance(outcome, Refusal):
                assert outcome.reason == Reason.CORRECTION_TOO_LARGE, "all is given back already"


def look_at(core: Core) -> list[str]:
    """What `verify` finds in the journal, judged entry by entry and beside what was corrected."""
    findings = Findings(ShardReport(0))
    rules, watch = Rules(findings), ReversalWatch(findings)
    state = State(0, core.catalog)
    for batch_seq, (recorded_at, events) in enumerate(core.batches, start=1):
        state.begin_batch(batch_seq, recorded_at)
        for event in events:
            rules.before(state, event)
            if isinstance(event, e.UsageReversed):
                watch.reversed(state.entry_seq, event)
            evolve(state, event)
            rules.after(state, event)
    first = 0
    for batch_seq, (_, events) in enumerate(core.batches, start=1):
        if batch_seq in watch.batches:
            watch.judge(batch_seq, first, events)
        first += len(events)
    watch.end()
    return [each.what for each in findings.found]


@given(policies, st.lists(lasting, max_size=30), st.randoms())
def test_reversing_everything_leaves_every_balance_as_before(
    policy: e.AccountPolicy, steps: list[tuple[Any, ...]], random: Any
) -> None:
    run = Run(policy)
    for step in steps:
        run.step(step)
    random.shuffle(run.used)
    run.reverse_everything()
    state = run.core.state
    account = state.accounts[CHILD]
    for grant in state.grants.values():
        assert (grant.drawn, grant.recognised, grant.book.available) == (0, 0, grant.amount)
    assert [book.owed for book in account.advance.values()] == [0] * len(account.advance)
    for owner in state.accounts.values():
        assert all(book.owed == 0 for book in owner.overage.values())
    assert not account.overage_posted and not account.totals
    assert all(not debt.owed for debt in account.debt.values())
    for book in state.house.values():
        if book.kind == e.BookKind.USED:
            assert book.credits_posted == book.debits_posted
    assert digest(replay(run.core.journal())) == digest(state)


@given(policies, st.lists(anything, max_size=40))
def test_the_books_and_the_rules_hold_whatever_is_corrected(
    policy: e.AccountPolicy, steps: list[tuple[Any, ...]]
) -> None:
    run = Run(policy)
    for step in steps:
        run.step(step)
    state = run.core.state
    state.books.check()
    for grant in state.grants.values():
        paid = grant.price_paid - grant.returned
        assert grant.recognised == (paid * grant.drawn // grant.whole if grant.whole else 0)
        in_chain = grant in grant.account.with_units()
        assert in_chain == (not grant.settled and grant.book.owed < 0), "it pays while it has units"
    for account in state.accounts.values():
        for asset, book in account.advance.items():
            owed = account.debt[asset].owed if asset in account.debt else {}
            assert sum(owed.values()) == book.owed
    assert digest(replay(run.core.journal())) == digest(state)
    assert look_at(run.core) == []


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.randoms(), st.booleans())
def test_the_total_of_a_period_stays_exact(tokens: list[int], random: Any, in_parts: bool) -> None:
    """F(Q) = Q / 2, half to even: what is charged, net of what is given back, is always F(Q)."""
    run = Run(e.AccountPolicy())
    run.step(("grant", 1_000, 500, 0, (), 0))
    for each in tokens:
        run.step(("usage", "half", each))
    left = [(original, each) for original, each in zip(run.used, tokens, strict=True)]
    total = sum(tokens)
    grant = run.core.state.grants[1]
    while left:
        original, quantity = left.pop(random.randrange(len(left)))
        part = random.randint(1, quantity) if in_parts else quantity
        outcome = run.ask(c.ReverseUsage, original, (part,))
        assert isinstance(outcome, e.UsageReversed), outcome
        total -= part
        if quantity > part:
            left.append((original, quantity - part))
        assert grant.drawn == round(total / 2) == (total // 2 + (total % 4 == 3))
        assert grant.recognised == grant.drawn * 500 // 1_000
    assert grant.book.available == 1_000
    assert look_at(run.core) == []
