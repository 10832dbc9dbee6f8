"""What holds whatever is asked, in any order (rules B1 to B7, D1 to D6, H1, I1, N1)."""

from __future__ import annotations

from typing import Any

from core_world import CREDITS, FAMILY, TENANT, USD, Core, replay
from hypothesis import given
from hypothesis import strategies as st
from waterfall_model import FOREVER, PARENT, Model, ModelGrant, ModelHold, Slices
from waterfall_model import SELF as ACME

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.decide import Outcome
from ledger.core.digest import digest
from ledger.core.limits import DAY_US, HOUR_US, INT64_MAX, MINUTE_US
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.state import Account, State

PRODUCTS = ("chat", "image")
NAMED = (e.Pot.GRANT, e.Pot.OVERAGE, e.Pot.EXCESS_BILLED)  # pots of which there are several
small = st.integers(1, 30)
times = st.sampled_from([0, 0, 0, 0, -MINUTE_US, -HOUR_US, -25 * HOUR_US, 4 * MINUTE_US])
products = st.sampled_from(PRODUCTS)
held_for = st.sampled_from([*PRODUCTS, "agent"])  # holds for agent are charged when they expire

grants = st.fixed_dictionaries(
    {
        "amount": st.integers(1, 60),
        "paid": st.sampled_from([0, 0, 1, 7, 100]),
        "free": st.booleans(),
        "priority": st.integers(0, 2),
        "effective": st.sampled_from([None, None, -HOUR_US, 2 * HOUR_US]),
        "expires": st.sampled_from([None, HOUR_US + 1, 3 * HOUR_US, 2 * DAY_US]),
        "products": st.sampled_from([(), (), ("chat",), ("image",), ("chat", "image")]),
    }
)
policies = st.builds(
    e.AccountPolicy,
    overdraft_asset=st.just(CREDITS),
    overdraft_limit=st.sampled_from([0, 0, 10, 25]),
    overage=st.sampled_from(e.Overage),
    overage_cap=st.sampled_from([-1, 0, 20]),
    excess=st.sampled_from(e.Excess),
    comparator=st.sampled_from(e.Comparator),
    holds_overdraft=st.booleans(),
    holds_overage=st.booleans(),
    overdraft_grace=st.sampled_from([-1, 0, HOUR_US]),
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("grant"), grants),
        st.tuples(st.just("usage"), products, small, times),
        st.tuples(st.just("hold"), held_for, small, st.sampled_from([0, 0, HOUR_US, DAY_US])),
        st.tuples(st.just("capture"), st.integers(0, 9), small, times, st.booleans()),
        st.tuples(st.just("extend"), st.integers(0, 9), st.sampled_from([0, HOUR_US, DAY_US])),
        st.tuples(st.just("release"), st.integers(0, 9)),
        st.tuples(st.just("void"), st.integers(0, 9)),
        st.tuples(st.just("policy"), policies),
        st.tuples(
            st.just("clock"),
            st.sampled_from([1, MINUTE_US, 10 * MINUTE_US, HOUR_US, 13 * HOUR_US, 5 * DAY_US]),
            st.booleans(),
        ),
    ),
    max_size=40,
)


class Run:
    """The core and the model side by side; each step compares what they say."""

    core_class: type[Core] = Core

    def __init__(self) -> None:
        self.core = self.core_class()
        self.model = Model(self.core.now)
        self.requests = 0
        for number, parent in ((PARENT, 0), (ACME, PARENT)):
            self.ask(c.CreateAccount, TENANT, number, parent, PARENT, e.AccountPolicy())

    @property
    def state(self) -> State:
        return self.core.state

    @property
    def account(self) -> Account:
        return self.state.accounts[ACME]

    def ask(self, command: Any, *fields: Any) -> Outcome:
        """Run a command under a new key; a refusal must change nothing but post what is due."""
        self.requests += 1
        made = command(FAMILY.request(str(self.requests)), *fields)
        batch = self.core.batches[-1][1]
        before = digest(self.state) if self.account_is_settled() else b""
        entries = len(batch)
        outcome = self.core.run(made)
        if isinstance(outcome, Refusal) and before:
            assert digest(self.state) == before
            assert len(batch) == entries
        return outcome

    def account_is_settled(self) -> bool:
        account = self.state.accounts.get(ACME)
        return account is not None and account.next_due > self.core.now

    def step(self, verb: str, *given: Any) -> None:
        of_a_hold = verb in ("capture", "extend", "release")
        if (of_a_hold and not self.model.holds) or (verb == "void" and not self.model.grants):
            return  # there is none
        if verb != "clock":
            self.model.settle_due()
        getattr(self, verb)(*given)
        self.check()

    # -- steps -------------------------------------------------------------------------------------

    def grant(self, terms: dict[str, Any]) -> None:
        now = self.core.now
        given = now + terms["effective"] if terms["effective"] is not None else 0
        effective_at = given or now
        after = max(now, effective_at)
        expires_at = after + terms["expires"] if terms["expires"] is not None else 0
        paid = 0 if terms["free"] else terms["paid"]
        kind = e.GrantKind.PROMOTIONAL if terms["free"] else e.GrantKind.PREPAID
        issued = self.ask(
            c.IssueGrant,
            ACME,
            kind,
            CREDITS,
            terms["amount"],
            paid,
            USD,
            terms["priority"],
            given,
            expires_at,
            terms["products"],
            b"",
        )
        assert isinstance(issued, e.GrantIssued), issued
        repaid = self.model.issue(
            ModelGrant(
                issued.grant,
                terms["amount"],
                paid,
                terms["free"],
                terms["priority"],
                effective_at,
                expires_at or FOREVER,
                frozenset(terms["products"]),
            )
        )
        assert sum(part.amount for part in issued.backfills) == repaid

    def usage(self, product: str, amount: int, ago: int) -> None:
        at = self.core.now + ago
        shape = self.core.shape(product, "tokens")
        recorded = self.ask(c.RecordUsage, ACME, shape, (amount,), at, c.NO_NAMES)
        assert isinstance(recorded, e.UsageRecorded), recorded
        slices, left = self.model.find(product, amount, at, recorded=True)
        assert left == 0
        self.model.post(slices, at, product)
        assert self.told(recorded.slices) == slices

    def hold(self, product: str, amount: int, lifetime: int) -> None:
        shape = self.core.shape(product, "tokens")
        outcome = self.ask(c.AuthorizeHold, ACME, shape, (amount,), lifetime)
        slices, left = self.model.find(product, amount, self.core.now, recorded=False)
        if self.model.grace_ended:
            assert isinstance(outcome, e.AuthorizeDenied), outcome
            assert outcome.reason == Reason.GRACE_ENDED
            return
        if left:
            assert isinstance(outcome, e.AuthorizeDenied), outcome
            return
        assert isinstance(outcome, e.HoldAuthorized), outcome
        assert self.told(outcome.slices) == slices
        expires_at = self.core.now + (lifetime or 15 * MINUTE_US)
        estimate = amount if product == "agent" else 0
        self.model.hold(ModelHold(product, slices, expires_at, self.core.now, estimate=estimate))
        assert outcome.hold == len(self.model.holds)

    def extend(self, place: int, lifetime: int) -> None:
        if not self.model.holds:
            return
        number = place % len(self.model.holds) + 1
        hold = self.model.holds[number - 1]
        expires_at = self.core.now + (lifetime or 15 * MINUTE_US)
        longest = 35 * DAY_US if hold.product == "agent" else DAY_US
        outcome = self.ask(c.ExtendHold, ACME, number, lifetime)
        if not hold.open or expires_at > hold.authorized_at + longest:
            assert isinstance(outcome, Refusal), outcome
            return
        assert isinstance(outcome, e.HoldExtended), outcome
        hold.expires_at = expires_at

    def capture(self, place: int, amount: int, ago: int, keep_open: bool) -> None:
        if not self.model.holds:
            return
        number = place % len(self.model.holds) + 1
        hold = self.model.holds[number - 1]
        at = self.core.now + ago
        outcome = self.ask(
            c.CaptureHold,
            ACME,
            number,
            ("tokens",),
            (amount,),
            at,
            c.NO_NAMES,
            b"",
            keep_open,
        )
        if not hold.open and not hold.takes_late:
            assert isinstance(outcome, Refusal), outcome
            return
        assert isinstance(outcome, e.UsageRecorded), outcome
        assert isinstance(outcome, e.UsageCaptured) == keep_open
        assert outcome.late == (not hold.open)
        assert self.told(outcome.slices) == self.model.capture(hold, amount, at, keep_open)

    def release(self, place: int) -> None:
        if not self.model.holds:
            return
        number = place % len(self.model.holds) + 1
        hold = self.model.holds[number - 1]
        outcome = self.ask(c.ReleaseHold, ACME, number)
        assert isinstance(outcome, e.HoldReleased if hold.open else Refusal), outcome
        if hold.open:
            self.model.release(hold)

    def void(self, place: int) -> None:
        if not self.model.grants:
            return
        grant = self.model.grants[place % len(self.model.grants)]
        outcome = self.ask(c.VoidGrant, ACME, grant.number)
        assert isinstance(outcome, Refusal if grant.over else e.GrantVoided), outcome
        if isinstance(outcome, e.GrantVoided):
            assert outcome.amount == self.model.void(grant)

    def policy(self, policy: e.AccountPolicy) -> None:
        assert isinstance(self.ask(c.UpdatePolicy, ACME, policy), e.AccountPolicyUpdated)
        self.model.overdraft = policy.overdraft_limit
        self.model.overage, self.model.cap = policy.overage, policy.overage_cap
        self.model.grace = policy.overdraft_grace
        self.model.excess, self.model.order = policy.excess, policy.comparator
        self.model.holds_draw = (policy.holds_overdraft, policy.holds_overage)

    def clock(self, by_us: int, sweeps: bool) -> None:
        self.core.advance(by_us)
        self.model.now = self.core.now
        if sweeps:
            self.core.sweep(10_000)
            self.model.settle_due()

    # -- what must hold ----------------------------------------------------------------------------

    def told(self, slices: tuple[e.Slice, ...]) -> Slices:
        books = self.state.books.accounts
        return [
            (
                e.Pot(piece.pot),
                books[piece.book].owner if piece.pot in NAMED else 0,
                piece.amount,
            )
            for piece in slices
        ]

    def check(self) -> None:
        state = self.state
        state.books.check()
        pending: dict[int, int] = {}
        for hold in state.holds.values():
            for piece in hold.slices:
                pending[piece.book] = pending.get(piece.book, 0) + piece.amount
        for book in state.books.accounts.values():
            if book.kind != e.BookKind.USED:
                assert book.debits_pending == pending.get(book.number, 0)
        for grant in state.grants.values():
            book = grant.book
            left = book.credits_posted - book.debits_posted
            assert grant.amount == grant.drawn + grant.unused + left
            assert left >= book.debits_pending
            if book.value_book is not None:
                rest = grant.price_paid - grant.recognised - grant.returned
                assert book.value_book.credits_posted - book.value_book.debits_posted == rest
                assert rest >= 0 if left else rest == 0

    def check_holds(self) -> None:
        """Each hold settled once, or is open, and pends what the model says is left of it."""
        settled = self.state.families[PARENT].settled
        ends = [
            event.hold
            for _, batch in self.core.batches
            for event in batch
            if isinstance(event, e.HoldReleased | e.HoldExpired | e.HoldCharged)
            or (type(event) is e.UsageRecorded and event.hold and not event.late)
        ]
        assert len(ends) == len(set(ends))
        for number, hold in enumerate(self.model.holds, start=1):
            assert hold.open == (number in self.state.holds) == (number not in ends)
            if hold.open:
                found = self.state.holds[number]
                assert self.told(found.slices) == hold.slices
                assert found.expires_at == hold.expires_at
                assert found.amount == hold.amount
            elif number in settled:
                assert 0 <= settled[number].captured <= settled[number].amount

    def check_against_model(self) -> None:
        self.check_holds()
        self.core.begin_batch()
        self.core.sweep(10_000)
        self.model.now = self.core.now
        self.model.settle_due()
        for expected in self.model.grants:
            grant = self.state.grants[expected.number]
            book = grant.book
            assert book.credits_posted - book.debits_posted == expected.left
            assert book.debits_pending == expected.held
            assert grant.drawn == expected.drawn
            assert bool(grant.settled) == expected.over
        advance = self.account.advance.get(CREDITS)
        assert (advance.owed if advance is not None else 0) == self.model.owed
        assert {
            month: posted for (_, month), posted in self.account.overage_posted.items()
        } == self.model.overage_by_month


@given(steps)
def test_the_core_agrees_with_a_naive_waterfall(taken: list[tuple[Any, ...]]) -> None:
    """Slices, balances and books after every step; then the journal replays byte for byte."""
    run = Run()
    for verb, *given_ in taken:
        run.step(verb, *given_)
    run.check_against_model()
    replayed = replay(run.core.journal())
    replayed.books.check()
    assert digest(replayed) == digest(run.state)


usage_of = st.tuples(st.integers(0, 15), products, st.integers(1, 9))


@given(
    st.lists(st.lists(usage_of, max_size=6), max_size=6),
    st.lists(st.integers(0, 5), max_size=12),
    st.randoms(use_true_random=False),
)
def test_each_event_counts_once_however_batches_come(
    batches: list[list[tuple[int, str, int]]], resent: list[int], random: Any
) -> None:
    """Batches in any order, doubled and resent at will: the first body of an id counts, once."""
    core = Core()
    core.run(c.CreateAccount(FAMILY.request("a"), TENANT, 1, 0, 1, e.AccountPolicy()))
    sent = list(batches) + [batches[place % len(batches)] for place in resent if batches]
    random.shuffle(sent)
    first: dict[int, tuple[str, int]] = {}
    for batch in sent:
        core.begin_batch()
        for number, product, amount in batch:
            shape = core.shape(product, "tokens")
            key = FAMILY.usage("s", str(number))
            before = digest(core.state)
            command = c.RecordUsage(key, 1, shape, (amount,), 0, c.NO_NAMES)
            outcome = core.run(command)
            if number not in first:
                assert isinstance(outcome, e.UsageRecorded)
                first[number] = (product, amount)
                continue
            assert isinstance(outcome, Known)
            assert digest(core.state) == before
            body = (product, amount)
            assert (core.difference(command, outcome) == "") == (first[number] == body)
    for product in PRODUCTS:
        book = core.state.house_book(TENANT, e.BookKind.USED, CREDITS, product)
        used = book.credits_posted if book is not None else 0
        assert used == sum(amount for name, amount in first.values() if name == product)
    assert digest(replay(core.journal())) == digest(core.state)


@given(
    st.integers(0, 50),
    st.integers(0, 20),
    st.integers(0, 20),
    st.lists(
        st.tuples(st.sampled_from(["hold", "capture", "release", "clock"]), small), max_size=40
    ),
)
def test_authorised_work_never_overspends(
    granted: int, overdraft: int, cap: int, taken: list[tuple[str, int]]
) -> None:
    """Holds and captures within them, in any order: what is spent and held stays affordable."""
    run = Run()
    policy = e.AccountPolicy("", CREDITS, overdraft, e.Overage.SELF, cap)
    run.ask(c.UpdatePolicy, ACME, policy)
    if granted:
        prepaid = e.GrantKind.PREPAID
        run.ask(c.IssueGrant, ACME, prepaid, CREDITS, granted, 0, USD, 0, 0, 0, (), b"")
    shape = run.core.shape("chat", "tokens")
    open_holds: list[tuple[int, int]] = []
    for verb, amount in taken:
        if verb == "clock":
            run.core.advance(amount * MINUTE_US)
            run.core.sweep()
            open_holds = [pair for pair in open_holds if pair[0] in run.state.holds]
        elif verb == "hold":
            outcome = run.ask(c.AuthorizeHold, ACME, shape, (amount,), 0)
            if isinstance(outcome, e.HoldAuthorized):
                open_holds.append((outcome.hold, amount))
        elif open_holds:
            number, held = open_holds.pop(amount % len(open_holds))
            if verb == "release":
                assert isinstance(run.ask(c.ReleaseHold, ACME, number), e.HoldReleased)
            else:
                captured = run.ask(
                    c.CaptureHold, ACME, number, ("tokens",), (min(amount, held),), 0
                )
                assert isinstance(captured, e.UsageRecorded)
                assert captured.over_limit == 0
        used = run.state.house_book(TENANT, e.BookKind.USED, CREDITS, "chat")
        if used is not None:
            assert used.credits_posted + used.credits_pending <= granted + overdraft + cap
        run.check()


@given(
    st.integers(1, INT64_MAX),
    st.integers(0, INT64_MAX),
    st.lists(st.integers(1, INT64_MAX), min_size=1, max_size=20),
)
def test_money_is_recognised_to_the_last_unit(amount: int, paid: int, draws: list[int]) -> None:
    """However a grant is drawn, its slices recognise exactly the price paid (rules B4, N1)."""
    run = Run()
    prepaid = e.GrantKind.PREPAID
    run.ask(c.IssueGrant, ACME, prepaid, CREDITS, amount, paid, USD, 0, 0, 0, (), b"")
    shape = run.core.shape("chat", "tokens")
    recognised = 0
    for drawn in [*draws, INT64_MAX]:
        recorded = run.ask(c.RecordUsage, ACME, shape, (drawn,), 0, c.NO_NAMES)
        assert isinstance(recorded, e.UsageRecorded)
        recognised += sum(piece.value for piece in recorded.slices if piece.pot == e.Pot.GRANT)
        assert recognised == run.state.grants[1].recognised
    assert recognised == paid
    run.state.books.check()
    assert digest(replay(run.core.journal())) == digest(run.state)
