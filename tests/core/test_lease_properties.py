"""Credit leases in any order, beside all else that draws: never more in escrow than there is, every
unit reported once, all back in the end (rules H1, H4, H7).

Known apart from the core: what each lease was told to have, what was reported of it, and when its
clock runs out. The judge of `verify` reads every entry, and the families survive being packed.
"""

from __future__ import annotations

from typing import Any

from family_case import FamilyCase
from hypothesis import given
from hypothesis import strategies as st
from lease_case import LeaseCase
from minimum_world import packed_and_back
from test_verify_rules import judged

from ledger.core.drawing.drawdown import in_all
from ledger.core.funding.caps import Rooms


class Shared(FamilyCase, LeaseCase):
    """A family that shares, with budgets and leases."""


NAMES = ("acme", "app")
START = """
account  acme
account  app parent=acme
grant    acme 60 as=g1 paid=33 shared
grant    app  40 as=g2
grant    acme 30 as=g3 shared expires=+9h
cap      acme app 50 window=day as=k
budget   acme/all 150 each=day
budget   app/own 60
budget   acme/net 90 of=net
"""

which = st.integers(0, 11)
amounts = st.integers(1, 70)
steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("lease"), which, amounts, st.sampled_from(["", "charge", "min=20", "term=1h"])
        ),
        st.tuples(st.just("renew"), which, amounts, st.sampled_from([0, 25, 50, 100])),
        st.tuples(st.just("spend"), which, amounts),
        st.tuples(st.just("spend"), which, amounts),
        st.tuples(st.just("giveback"), which, st.sampled_from(["", "off"])),
        st.tuples(st.just("recall"), which, amounts),
        st.tuples(st.just("clock"), st.sampled_from(["20s", "50s", "2h", "7h", "1d"])),
        st.tuples(st.just("usage"), which, amounts),
        st.tuples(st.just("hold"), which, amounts),
        st.tuples(st.just("grant"), which, amounts, st.sampled_from(["", "expires=+3h", "free"])),
        st.tuples(st.just("void"), which),
        st.tuples(st.just("policy"), which, st.sampled_from(["", "overdraft=30", "overage=self"])),
        st.tuples(st.just("cap"), amounts),
    ),
    max_size=40,
)


class Walk:
    def __init__(self) -> None:
        self.case = Shared()
        self.case.run(START)
        self.leases: list[str] = []
        self.told: dict[str, int] = {}  # lease -> units it may report without being over
        self.called = 0

    def fresh(self) -> str:
        self.called += 1
        return f"n{self.called}"

    def do(self, statement: str) -> str:
        verb, *words = statement.split()
        options = dict(word.split("=", 1) for word in words if "=" in word)
        told: str = getattr(self.case, f"_{verb}")(
            options, *[word for word in words if "=" not in word]
        )
        return told

    def lease(self, place: int, wanted: int, how: str) -> None:
        called = self.fresh()
        name = NAMES[place % 2]
        free = self.free(name)
        if self.do(f"lease {name} {wanted} as={called} {how}").startswith("refused"):
            return
        self.leases.append(called)
        self.told[called] = self.left(called)
        assert self.told[called] <= min(wanted, free), "no more than there was"

    def renew(self, place: int, wanted: int, share: int) -> None:
        called = self.one(place)
        if called:
            keep = self.told[called] * share // 100
            told = self.do(f"renew {called} {wanted} keep={keep}")
            if not told.startswith("refused"):
                left = self.left(called)
                assert keep <= left <= max(keep, wanted)
                self.told[called] = left

    def spend(self, place: int, amount: int) -> None:
        called = self.one(place)
        if called:
            told = self.do(f"spend {called} {amount}")
            if told.startswith("refused"):
                return
            over = max(0, amount - self.told[called])
            assert (f", over {over}" in told) == (over > 0), (told, over)
            self.told[called] -= amount - over
            if "late" not in told:
                assert self.left(called) == self.told[called]

    def giveback(self, place: int, how: str) -> None:
        called = self.one(place)
        if called:
            self.do(f"giveback {called} {how}")

    def recall(self, place: int, keep: int) -> None:
        called = self.one(place)
        if called:
            self.do(f"recall {called} {keep}")

    def clock(self, by: str) -> None:
        self.do(f"clock +{by}")
        self.case.core.sweep(10_000)

    def usage(self, place: int, amount: int) -> None:
        self.do(f"usage {NAMES[place % 2]} {amount}")

    def hold(self, place: int, amount: int) -> None:
        self.do(f"hold {NAMES[place % 2]} {amount} as={self.fresh()}")

    def grant(self, place: int, amount: int, how: str) -> None:
        self.do(f"grant {NAMES[place % 2]} {amount} as={self.fresh()} {how}")

    def void(self, place: int) -> None:
        grants = sorted(self.case.grants)
        self.do(f"void {grants[place % len(grants)]}")

    def policy(self, place: int, how: str) -> None:
        self.do(f"policy {NAMES[place % 2]} {how}")

    def cap(self, limit: int) -> None:
        self.do(f"recap k {limit}")

    # -- what is known -----------------------------------------------------------------------------

    def one(self, place: int) -> str:
        return self.leases[place % len(self.leases)] if self.leases else ""

    def left(self, called: str) -> int:
        return self.case.hold(called).left

    def free(self, name: str) -> int:
        """Units of grants that the account may draw, and of debt that its policy lets it."""
        account, now = self.case.account(name), self.case.core.now
        policy = account.policy
        if policy.overage:
            return 1 << 60
        grants = [each for each in in_all(account) if each.effective_at <= now < each.expires_at]
        return Rooms(account, now).of_all(grants) + policy.overdraft_limit

    def check(self) -> None:
        """In escrow is what the leases hold; no grant is drawn and held beyond its units."""
        state = self.case.core.state
        for name in NAMES:
            account = self.case.account(name)
            assert account.leases == tuple([h for h in account.holds.values() if h.lease])
        for grant in state.grants.values():
            held = sum(
                [
                    piece.amount
                    for hold in state.holds.values()
                    for piece in hold.slices
                    if piece.book == grant.book.number
                ]
            )
            assert grant.book.debits_pending == held
            assert grant.book.available >= 0

    def end(self) -> None:
        """Everything lapses or is written off: nothing is left in escrow, or in budgets."""
        for _ in range(3):
            self.clock("1d")
        for called in self.leases:
            self.do(f"giveback {called} off")
        for name in list(self.case.holds):
            self.do(f"release {name}")
        state = self.case.core.state
        assert not state.holds
        assert all(book.debits_pending == 0 for book in state.books.accounts.values())
        for budget in state.families[1].budgets.values():
            assert not budget.held and budget.counter.pending == 0
        for cap in self.case.account("acme").caps_given.values():
            assert cap.counter.pending == 0


@given(steps)
def test_leases_in_any_order(taken: list[tuple[Any, ...]]) -> None:
    walk = Walk()
    for verb, *given_ in taken:
        getattr(walk, verb)(*given_)
        walk.check()
    walk.end()
    walk.case.finish()
    packed_and_back(walk.case.core)
    assert judged(walk.case.core) == []


def test_a_renewal_stays_within_the_caps_of_the_new_window() -> None:
    """Rule D8: what a lease has counts in the present window too, once it is renewed."""
    case = Shared()
    case.run(
        """
        account  acme
        account  app parent=acme
        grant    acme 500 as=g shared
        cap      acme app 50 window=day as=k
        clock    +20h
        lease    app 40 as=l term=20h         -> leased 40 from g
        spend    l 5                          -> drawn 5 from g
        clock    +6h
        expect   counted k 0
        renew    l 80                         -> leased 50 from g
        expect   counted k 50
        expect   total k 55
        giveback l                            -> returned
        expect   counted k 0
        expect   total k 5
        """
    )
    case.finish()
