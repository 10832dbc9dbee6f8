"""Whatever becomes of grants and bills, in any order: each unit of money is in one place (B3 to B5,
D4, F1 to F4), nothing is below zero, and a replay gives the same state."""

from __future__ import annotations

from typing import Any

from core_world import CREDITS, FAMILY, TENANT, USD, Core, replay
from hypothesis import given
from hypothesis import strategies as st
from test_verify_rules import judged

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.decide import Outcome
from ledger.core.digest import digest
from ledger.core.limits import DAY_US, HOUR_US
from ledger.core.outcomes import Refusal
from ledger.core.packing import pack_family, whole
from ledger.core.state import GRANT_OPEN, Account, Grant

ACME = 1
MONEY = frozenset(
    {
        e.BookKind.CASH,
        e.BookKind.DEFERRED,
        e.BookKind.UNBILLED,
        e.BookKind.RECEIVABLE,
        e.BookKind.REVENUE,
        e.BookKind.BREAKAGE,
        e.BookKind.CREDIT_NOTE,
        e.BookKind.BAD_DEBT,
    }
)
small = st.integers(1, 12)
any_one = st.integers(0, 9)
grants = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["prepaid", "gated", "gated", "postpaid", "allowance", "free"]),
        "amount": st.integers(1, 12),
        "paid": st.integers(1, 40),
        "expires": st.sampled_from([0, 0, DAY_US, 9 * DAY_US]),
        "rolls": st.sampled_from([None, None, (1, 1), (1, 2)]),
        "effective": st.sampled_from([0, 0, 0, HOUR_US]),
        "source": st.sampled_from(["", "stripe"]),
    }
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("grant"), grants),
        st.tuples(st.just("usage"), small),
        st.tuples(st.just("usage"), small),
        st.tuples(st.just("hold"), small),
        st.tuples(st.just("capture"), any_one, st.integers(1, 12), st.booleans()),
        st.tuples(st.just("release"), any_one),
        st.tuples(st.just("confirm"), any_one, st.integers(0, 15)),
        st.tuples(st.just("confirm"), any_one, st.just(0)),
        st.tuples(st.just("fail"), any_one),
        st.tuples(st.just("void"), any_one, st.booleans()),
        st.tuples(st.just("refund"), any_one, st.integers(0, 6)),
        st.tuples(st.just("chargeback"), any_one),
        st.tuples(st.just("bill"), st.integers(0, 20)),
        st.tuples(st.just("settle"), st.sampled_from(["pay", "note", "off"]), st.integers(1, 30)),
        st.tuples(st.just("clock"), st.sampled_from([HOUR_US, DAY_US, 3 * DAY_US]), st.booleans()),
    ),
    max_size=40,
)


class Money:
    """A core, and what came in from outside, by brute force from the entries."""

    def __init__(self, policy: e.AccountPolicy) -> None:
        self.core = Core()
        self.requests = 0
        self.grants: list[int] = []
        self.holds: list[int] = []
        self.ask(c.CreateAccount, TENANT, ACME, 0, ACME, policy)

    @property
    def account(self) -> Account:
        return self.core.state.accounts[ACME]

    def ask(self, command: Any, *fields: Any, **more: Any) -> Outcome:
        self.requests += 1
        made = command(FAMILY.request(str(self.requests)), *fields, **more)
        before, entries = digest(self.core.state), len(self.core.batches[-1][1])
        outcome = self.core.run(made)
        if isinstance(outcome, Refusal) and len(self.core.batches[-1][1]) == entries:
            assert digest(self.core.state) == before
        return outcome

    # -- steps -------------------------------------------------------------------------------------

    def grant(self, terms: dict[str, Any]) -> None:
        kind = {
            "gated": e.GrantKind.PREPAID,
            "free": e.GrantKind.PROMOTIONAL,
        }.get(terms["kind"]) or e.GrantKind[terms["kind"].upper()]
        now = self.core.now
        effective = now + terms["effective"] if terms["effective"] else 0
        expires = max(now, effective) + terms["expires"] if terms["expires"] else 0
        rolls = e.Rollover(*terms["rolls"], -1, 30 * DAY_US) if terms["rolls"] else None
        self.ask(
            c.IssueGrant,
            ACME,
            kind,
            CREDITS,
            terms["amount"],
            0 if terms["kind"] == "free" else terms["paid"],
            USD,
            0,
            effective,
            expires,
            (),
            b"",
            source=terms["source"],
            pending=terms["kind"] == "gated",
            rollover=rolls if expires else None,
        )

    def usage(self, tokens: int) -> None:
        shape = self.core.shape("chat", "tokens")
        self.ask(c.RecordUsage, ACME, shape, (tokens,), 0, c.NO_NAMES)

    def hold(self, tokens: int) -> None:
        held = self.ask(c.AuthorizeHold, ACME, self.core.shape("chat", "tokens"), (tokens,), DAY_US)
        if isinstance(held, e.HoldAuthorized):
            self.holds.append(held.hold)

    def capture(self, which: int, tokens: int, keep_open: bool) -> None:
        if self.holds:
            number = self.holds[which % len(self.holds)]
            self.ask(c.CaptureHold, ACME, number, ("tokens",), (tokens,), 0, keep_open=keep_open)

    def release(self, which: int) -> None:
        if self.holds:
            self.ask(c.ReleaseHold, ACME, self.holds.pop(which % len(self.holds)))

    def of_grant(self, command: Any, which: int, *fields: Any, **more: Any) -> None:
        if self.account.grants:
            grant = self.account.grants[which % len(self.account.grants)]
            self.ask(command, ACME, grant.number, *fields, **more)

    def confirm(self, which: int, amount: int) -> None:
        self.of_grant(c.ConfirmPayment, which, amount)

    def fail(self, which: int) -> None:
        self.of_grant(c.FailPayment, which)

    def void(self, which: int, forfeit: bool) -> None:
        self.of_grant(c.VoidGrant, which, forfeit=forfeit)

    def refund(self, which: int, units: int) -> None:
        self.of_grant(c.RefundGrant, which, units)

    def chargeback(self, which: int) -> None:
        self.of_grant(c.ChargeBack, which)

    def bill(self, most: int) -> None:
        self.ask(c.BillAccount, ACME, USD if most else 0, most)

    def settle(self, how: str, amount: int) -> None:
        command = {
            "pay": c.RecordPayment,
            "note": c.IssueCreditNote,
            "off": c.WriteOffReceivable,
        }[how]
        self.ask(command, ACME, USD, amount)

    def clock(self, by_us: int, sweep: bool) -> None:
        self.core.advance(by_us)
        if sweep:
            while self.core.sweep():
                pass

    # -- what must hold ----------------------------------------------------------------------------

    def check(self) -> None:
        state = self.core.state
        state.books.check()
        assert state.books.totals.get(USD) is None or state.books.totals[USD].balanced
        for grant in self.account.grants:
            self.check_grant(grant)
        cash = sum([book.owed for key, book in state.house.items() if key[1] == e.BookKind.CASH])
        assert cash >= 0
        assert cash == self.account.lifetime.get(USD, 0)
        direct = sum(
            [event.amount for event in self.events() if isinstance(event, e.PaymentRecorded)]
        )
        assert cash == direct + sum([grant.paid for grant in self.account.grants])
        for kind, sign in ((e.BookKind.REVENUE, -1), (e.BookKind.BREAKAGE, -1)):
            for key, book in state.house.items():
                assert key[1] != kind or book.owed * sign >= 0
        recognised = sum([grant.recognised for grant in self.account.grants])
        revenue = sum(
            [-book.owed for key, book in state.house.items() if key[1] == e.BookKind.REVENUE]
        )
        assert recognised == revenue
        self.check_debts()

    def check_grant(self, grant: Grant) -> None:
        """deferred + recognised + what left = what was paid, to the unit."""
        assert 0 <= grant.recognised <= grant.price_paid
        assert 0 <= grant.returned <= grant.price_paid
        assert grant.paid >= 0
        assert 0 <= grant.unpaid <= grant.price_paid
        assert grant.book.available >= 0
        pays = grant.book.value_book
        if pays is None or pays.kind != e.BookKind.DEFERRED:
            return
        deferred = -pays.owed
        assert deferred >= 0
        paid = grant.price_paid - grant.unpaid
        assert deferred + grant.recognised + grant.returned == paid
        left = grant.book.credits_posted - grant.book.debits_posted
        if grant.settled and left == 0 and not grant.pending:
            assert deferred == 0, f"grant {grant.number} has ended"

    def check_debts(self) -> None:
        """What is owed is what was neither billed nor paid; below zero only as a credit of a fee
        that was taken back, or of what a hold gave back after a chargeback was paid."""
        credits = 0
        for event in self.events():
            if isinstance(event, e.GrantVoided):
                credits += event.refunded
        for books in (self.account.unbilled, self.account.receivable):
            for book in books.values():
                assert book.owed >= -credits
        billed = [event for event in self.events() if isinstance(event, e.AccountBilled)]
        for bill in billed:
            assert all(line.amount > 0 for line in bill.lines)
        for book in self.account.overage.values():
            assert book.owed >= 0
        for grant in self.account.grants:
            if grant.kind == e.GrantKind.POSTPAID:
                assert grant.funding.owed >= 0

    def events(self) -> list[e.Event]:
        return [event for _, events in self.core.batches for event in events]


policies = st.builds(
    e.AccountPolicy,
    overdraft_asset=st.just(CREDITS),
    overdraft_limit=st.sampled_from([0, 20]),
    overage=st.sampled_from([e.Overage.OFF, e.Overage.SELF]),
    promotional_backfills=st.booleans(),
)


@given(policies, steps)
def test_every_unit_of_money_is_in_one_place(
    policy: e.AccountPolicy, taken: list[tuple[Any, ...]]
) -> None:
    money = Money(policy)
    for verb, *given_ in taken:
        getattr(money, verb)(*given_)
        money.check()
    state = money.core.state
    assert digest(replay(money.core.journal())) == digest(state)
    copy = whole(state, {})
    assert digest(copy) == digest(state)
    assert pack_family(copy, ACME, 0) == pack_family(state, ACME, 0)
    assert judged(money.core) == []


def test_the_property_sees_every_kind_of_step() -> None:
    """The steps of the property do reach what it is about."""
    money = Money(e.AccountPolicy(overage=e.Overage.SELF))
    paid = {"amount": 10, "paid": 33, "expires": 0, "rolls": None, "effective": 0, "source": ""}
    for kind in ("gated", "prepaid", "postpaid"):
        money.grant({**paid, "kind": kind})
    for verb, *given_ in (
        ("confirm", 0, 15),
        ("usage", 3),
        ("refund", 0, 1),
        ("chargeback", 0),
        ("refund", 1, 2),
        ("usage", 12),
        ("bill", 0),
        ("settle", "pay", 1),
        ("settle", "note", 1),
        ("settle", "off", 1),
    ):
        getattr(money, verb)(*given_)
        money.check()
    kinds = {type(event) for event in money.events()}
    assert kinds >= {
        e.GrantReleased,
        e.GrantRefunded,
        e.GrantChargedBack,
        e.AccountBilled,
        e.PaymentRecorded,
        e.CreditNoteIssued,
        e.ReceivableWrittenOff,
    }
    assert money.account.grants[0].settled != GRANT_OPEN
    assert {book.kind for book in money.core.state.books.accounts.values()} >= MONEY - {
        e.BookKind.BREAKAGE
    }
