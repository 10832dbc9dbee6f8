"""Every command of the core in any order, over a family of three: what must hold after each step.

Debits equal credits; no grant goes below zero; what was issued is drawn, gone or left, and what was
paid is earned, gone or deferred; holds are accounted for; a refusal changes nothing; the journal
replays to the same state, and packed families come back as they were.
"""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
from core_world import CREDITS
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from ledger_case import LedgerCase

from ledger.core.catalog import Catalog
from ledger.core.digest import digest
from ledger.core.drawdown import in_turn, may_pay, overdraft_headroom
from ledger.core.events import BookKind, Pot
from ledger.core.evolve import evolve
from ledger.core.holds import available_to
from ledger.core.packing import whole
from ledger.core.shapes import Use
from ledger.core.state import Account, State
from ledger.verify.report import Findings, ShardReport
from ledger.verify.rules import Rules

names = st.sampled_from(("acme", "eu", "sales"))
amounts = st.integers(1, 40)
products = st.sampled_from(("chat", "image", "half", "third", "priceless"))
kinds = st.sampled_from(
    ("paid=90", "free", "postpaid paid=70", "allowance paid=50", "paid=7 gated")
)
terms = st.sampled_from(
    (
        "",
        "expires=+1d",
        "expires=+2d rolls=1/2 most=9 lasts=1d again",
        "expires=+1d rolls=2/3",
        "effective=+6h",
        "shared",
        "shared expires=+1d",
        "for=chat priority=-1",
        "tags=media",
        "where=region:eu",
    )
)
policies = st.sampled_from(
    (
        "",
        "overdraft=20",
        "overdraft=20 holds_overdraft=no",
        "overage=self cap=30",
        "overage=parent",
        "excess=bill",
        "excess=absorb",
        "card=usd overage=self",
        "order=metronome_1",
        "order=orb_1",
        "backfills=promotional",
    )
)
steps = st.sampled_from(("1s", "20m", "7h", "1d", "3d", "8d", "20d"))


class CoreMachine(RuleBasedStateMachine):
    """One family: `acme` over `eu` over `sales`."""

    def __init__(self) -> None:
        super().__init__()
        self.case = LedgerCase()
        self.case.run("account acme\naccount eu parent=acme\naccount sales parent=eu")
        self.called = 0

    # -- steps -------------------------------------------------------------------------------------

    def do(self, statement: str) -> str:
        """Run a statement, whatever comes of it; a refusal must change nothing but what was due."""
        case = self.case
        state = case.core.state
        case.core.sweep(10_000)
        for account in state.accounts.values():
            account.find_next_due()
        before, entries = digest(state), len(case.core.batches[-1][1])
        verb, *words = statement.split()
        options = dict(word.split("=", 1) for word in words if "=" in word)
        rest = [word for word in words if "=" not in word]
        told: str = getattr(case, f"_{verb}")(options, *rest)
        if told.startswith("refused"):
            assert len(case.core.batches[-1][1]) == entries, told
            assert digest(state) == before, told
        return told

    def fresh(self) -> str:
        self.called += 1
        return f"n{self.called}"

    @staticmethod
    def one_of(data: st.DataObject, found: dict[str, Any]) -> str:
        return data.draw(st.sampled_from(sorted(found)))

    @rule(name=names, amount=amounts, kind=kinds, more=terms)
    def grant(self, name: str, amount: int, kind: str, more: str) -> None:
        self.do(f"grant {name} {amount} as={self.fresh()} {kind} {more}")

    @rule(
        name=names,
        amount=amounts,
        product=products,
        ago=st.sampled_from(("", "at=-1h", "at=-26h", "at=-3d")),
        bears=st.sampled_from(("", "with=region:eu")),
    )
    def usage(self, name: str, amount: int, product: str, ago: str, bears: str) -> None:
        self.do(f"usage {name} {amount} of={product} id={self.fresh()} {ago} {bears}")

    @rule(name=names, amount=amounts, product=st.sampled_from(("chat", "third", "agent")))
    def hold(self, name: str, amount: int, product: str) -> None:
        self.do(f"hold {name} {amount} as={self.fresh()} of={product}")

    @precondition(lambda self: self.case.holds)
    @rule(data=st.data(), amount=amounts, how=st.sampled_from(("", "open")))
    def capture(self, data: st.DataObject, amount: int, how: str) -> None:
        self.do(f"capture {self.one_of(data, self.case.holds)} {amount} {how}")

    @precondition(lambda self: self.case.holds)
    @rule(data=st.data(), verb=st.sampled_from(("release", "extend")))
    def settle(self, data: st.DataObject, verb: str) -> None:
        self.do(f"{verb} {self.one_of(data, self.case.holds)}")

    @precondition(lambda self: self.case.grants)
    @rule(data=st.data())
    def void(self, data: st.DataObject) -> None:
        self.do(f"void {self.one_of(data, self.case.grants)}")

    @precondition(lambda self: self.case.entries)
    @rule(
        data=st.data(),
        amount=st.sampled_from(("", "1", "7")),
        how=st.sampled_from(("", "ended=onward", "charged=3")),
    )
    def reverse(self, data: st.DataObject, amount: str, how: str) -> None:
        amount = "" if how.startswith("charged") else amount
        self.do(f"reverse {self.one_of(data, self.case.entries)} {amount} {how}")

    @rule(name=names, amount=st.integers(-30, 30).filter(bool))
    def adjust(self, name: str, amount: int) -> None:
        self.do(f"adjust {name} {amount} as={self.fresh()}")

    @rule(name=names, policy=policies)
    def policy(self, name: str, policy: str) -> None:
        self.do(f"policy {name} {policy}")

    @rule(name=names, amount=amounts, more=st.sampled_from(("paid=30", "free", "prorate=both")))
    def recurring(self, name: str, amount: int, more: str) -> None:
        self.do(f"recurring {name} {amount} as={self.fresh()} every=1week {more}")

    @precondition(lambda self: self.case.recurring)
    @rule(data=st.data(), verb=st.sampled_from(("pause {}", "resume {}", "end {}", "end {} now")))
    def recur(self, data: st.DataObject, verb: str) -> None:
        self.do(verb.format(self.one_of(data, self.case.recurring)))

    @rule(
        name=names,
        verb=st.sampled_from(
            ("freeze {}", "unfreeze {}", "close {}", "close {} release write-off", "reopen {}")
        ),
    )
    def standing(self, name: str, verb: str) -> None:
        self.do(verb.format(name))

    @rule(by=steps)
    def clock(self, by: str) -> None:
        self.case.core.begin_batch()
        self.do(f"clock +{by}")

    # -- what must hold ----------------------------------------------------------------------------

    @invariant()
    def debits_equal_credits(self) -> None:
        self.case.core.state.books.check()

    @invariant()
    def what_was_issued_is_drawn_gone_or_left(self) -> None:
        for grant in self.case.core.state.grants.values():
            book = grant.book
            left = book.credits_posted - book.debits_posted
            assert left >= book.debits_pending >= 0
            assert (
                grant.amount == grant.drawn + grant.unused + grant.cancelled + left + grant.pending
            )

    @invariant()
    def what_was_paid_is_earned_gone_or_deferred(self) -> None:
        for grant in self.case.core.state.grants.values():
            value_book = grant.book.value_book
            if value_book is None or value_book.kind != BookKind.DEFERRED:
                continue
            deferred = value_book.credits_posted - value_book.debits_posted
            paid = grant.price_paid
            if grant.pending:
                paid = value_book.credits_posted
            assert deferred == paid - grant.recognised - grant.returned >= 0
            if not grant.pending and grant.book.debits_posted == grant.book.credits_posted:
                assert deferred == 0

    @invariant()
    def holds_are_accounted_for(self) -> None:
        state = self.case.core.state
        pending: dict[int, int] = {}
        overage: dict[int, int] = {}
        for hold in state.holds.values():
            for piece in hold.slices:
                pending[piece.book] = pending.get(piece.book, 0) + piece.amount
                if piece.pot == Pot.OVERAGE:
                    number = hold.account.number
                    overage[number] = overage.get(number, 0) + piece.amount
        for book in state.books.accounts.values():
            if book.kind not in (BookKind.USED, BookKind.FUNDING):
                assert book.debits_pending == pending.get(book.number, 0), book.number
        for account in state.accounts.values():
            assert sum(account.overage_pending.values()) == overage.get(account.number, 0)

    @invariant()
    def available_is_what_may_pay(self) -> None:
        state = self.case.core.state
        now, use = state.recorded_at, Use("chat")
        for account in state.accounts.values():
            grants = {grant.number: grant for grant in self.reach(account)}
            pays = [grant for grant in grants.values() if may_pay(grant, CREDITS, use, now)]
            units = sum(grant.book.available for grant in pays if not grant.settled)
            expected = units + overdraft_headroom(account, CREDITS)
            assert available_to(account, CREDITS, use, now) == expected
            assert len(list(in_turn(account))) == len({g.number for g in in_turn(account)})

    @staticmethod
    def reach(account: Account) -> list[Any]:
        found = list(account.grants)
        above = account.parent
        while above is not None:
            found += [grant for grant in above.grants if grant.shared]
            above = above.parent
        return found

    def teardown(self) -> None:
        self.case.finish()
        state = self.case.core.state
        assert digest(whole(state, {})) == digest(state)
        findings = Findings(ShardReport(0))
        self.judge(findings)
        assert findings.found == []

    def judge(self, findings: Findings) -> None:
        """What `verify` says of the journal, apart from the core."""
        state, rules = State(0, Catalog()), Rules(findings)
        for batch_seq, (recorded_at, events) in enumerate(self.case.core.batches, start=1):
            state.begin_batch(batch_seq, recorded_at)
            for event in events:
                rules.before(state, event)
                evolve(state, event)
                rules.after(state, event)


CoreMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
test_whatever_is_asked_in_whatever_order = CoreMachine.TestCase
