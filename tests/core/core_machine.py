"""The machine of test_machine: a step for every command of the core, and what holds after each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import hypothesis.strategies as st
from core_world import CREDITS, USD
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from test_verify_rules import judged
from watched_case import WatchedCase
from witness import OWED

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.decisions.assessing import available_to
from ledger.core.digest import digest
from ledger.core.drawing.drawdown import in_turn
from ledger.core.events import BookKind, Pot
from ledger.core.metering.linked import refuse_linked
from ledger.core.outcomes import Known, Refusal
from ledger.core.packing import whole
from ledger.core.shapes import Use
from ledger.core.state import Account, Grant

T = TypeVar("T", bound=Callable[..., None])
DRAWN: set[type] = set()
"""The commands that rules say they draw; a step that runs another one fails."""
STEPS: dict[str, dict[str, Sequence[Any]]] = {}
"""Each rule by name, and what its arguments are drawn from."""

which = range(60)  # of those that there are
amounts = range(1, 41)
products = ("chat", "image", "half", "third", "priceless")
kinds = (
    "paid=90",
    "free",
    "postpaid paid=70",
    "allowance paid=50",
    "paid=7 gated",
    "asset=usd paid=9",
)
terms = (
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
policies = (
    "",
    "overdraft=20",
    "overdraft=20 holds_overdraft=no",
    "overdraft=20 bears=6h",
    "overdraft=25 in=usd percent=40 card=usd",
    "overage=self cap=30",
    "overage=self cap=30 holds_overage=no",
    "overage=parent",
    "excess=bill",
    "excess=absorb",
    "card=usd overage=self",
    "card=usd overage=self cap=50",
    "order=metronome_1",
    "order=orb_1",
    "order=stripe_1",
    "order=openmeter_1",
    "backfills=promotional",
    "freeze=chargeback grace=2d",
    "holds=1",
)
steps = ("1s", "20m", "7h", "1d", "3d", "8d", "20d")

WORLDS = (
    "",
    """
    grant     acme 60 as=g1 paid=90 shared
    grant     eu   20 as=g2 paid=33 gated
    grant     eu   30 as=g3 postpaid paid=70 expires=+9d
    policy    eu   card=usd overage=self
    usage     eu   12 id=u1
    """,
    """
    policy    acme overdraft=20 card=resold
    commit    acme now..+9d:40/80 +9d..+20d:60/90 as=C invoices=50@+1d,60@+12d
    commit    eu   now..+9d:40/80 as=D prepaid shared
    rule      sales below=10 target=30 price=3/2
    recurring eu   20 as=R every=1week paid=30 prorate=both
    hold      acme 10 as=h1
    """,
)
"""What a run starts from, so that what takes many steps to come about is met early too."""


def step(*commands: type, **domains: Sequence[Any]) -> Callable[[T], Any]:
    """A rule of the machine, the commands that it draws, and what its arguments are drawn from."""

    def say(rule_of: T) -> Any:
        DRAWN.update(commands)
        STEPS[rule_of.__name__] = domains
        return rule(**{name: st.sampled_from(domain) for name, domain in domains.items()})(rule_of)

    return say


class CoreMachine(RuleBasedStateMachine):
    """One family: `acme` over `eu` over `sales`, and what is opened below them."""

    def __init__(self) -> None:
        super().__init__()
        self.case = WatchedCase()
        self.case.run("account acme\naccount eu parent=acme\naccount sales parent=eu")
        self.called = 0
        self.promised: dict[str, tuple[str, str]] = {}  # quote -> its account, its product
        self.counters: dict[int, tuple[int, int]] = {}

    @initialize(world=st.sampled_from(WORLDS))
    def begin(self, world: str) -> None:
        self.case.run(world)

    # -- steps -------------------------------------------------------------------------------------

    def do(self, statement: str) -> str:
        """Run a statement, whatever comes of it; a refusal must change nothing but what was due."""
        case = self.case
        state = case.core.state
        case.core.sweep(10_000)
        for account in state.accounts.values():
            account.find_next_due()
        case.read()
        before, entries, asked = digest(state), len(case.core.batches[-1][1]), len(case.asked)
        verb, *words = statement.split()
        options = dict(word.split("=", 1) for word in words if "=" in word)
        rest = [word for word in words if "=" not in word]
        told: str = getattr(case, f"_{verb}")(options, *rest)
        case.read()
        if told.startswith("refused"):
            assert len(case.core.batches[-1][1]) == entries, told
            assert digest(state) == before, told
        assert {type(command) for command, _ in case.asked[asked:]} <= DRAWN, verb
        return told

    def fresh(self) -> str:
        self.called += 1
        return f"n{self.called}"

    @staticmethod
    def one(found: Iterable[str], place: int, liked: Callable[[str], object] = bool) -> str:
        """One of these names, mostly one that is liked, where there is one; "none" where there is
        none at all."""
        names = sorted(found)
        best = [name for name in names if liked(name)]
        if best and place % 5:
            names = best
        return names[place % len(names)] if names else "none"

    def name(self, place: int, liked: Callable[[Account], object] = bool) -> str:
        """One of the accounts."""
        case = self.case
        return self.one(case.accounts, place, lambda name: liked(case.account(name)))

    def grant_like(self, place: int, liked: Callable[[Grant], object]) -> str:
        """One of the grants."""
        case = self.case
        return self.one(case.grants, place, lambda name: liked(case.grant(name)))

    @step(c.CreateAccount, above=which, policy=policies)
    def account(self, above: int, policy: str) -> None:
        if len(self.case.accounts) < 5:
            name = self.fresh()
            if self.do(f"account {name} parent={self.name(above)} {policy}").startswith("refused"):
                del self.case.accounts[name]

    @step(c.IssueGrant, name=which, amount=amounts, kind=kinds, more=terms)
    def grant(self, name: int, amount: int, kind: str, more: str) -> None:
        self.do(f"grant {self.name(name)} {amount} as={self.fresh()} {kind} {more}")

    @step(
        c.RecordUsage,
        name=which,
        amount=amounts,
        product=products,
        ago=("", "at=-1h", "at=-26h", "at=-3d", "at=-40d"),
        bears=("", "with=region:eu"),
    )
    def usage(self, name: int, amount: int, product: str, ago: str, bears: str) -> None:
        self.do(f"usage {self.name(name)} {amount} of={product} id={self.fresh()} {ago} {bears}")

    @step(c.LinkedUsage, first=which, second=which, amount=amounts, ago=("", "", "at=-40d"))
    def linked(self, first: int, second: int, amount: int, ago: str) -> None:
        one, other = self.name(first), self.name(second)
        self.do(f"linked {one} {amount} {other} {amount} {one} 1 id={self.fresh()} {ago}")

    @step(
        c.AuthorizeHold,
        name=which,
        amount=amounts,
        product=("chat", "third", "agent"),
        least=("", "", "least=1"),
        asked=("", "", "asked=5000000"),
    )
    def hold(self, name: int, amount: int, product: str, least: str, asked: str) -> None:
        self.do(f"hold {self.name(name)} {amount} as={self.fresh()} of={product} {least} {asked}")

    @step(c.DebitWork, name=which, amount=amounts, product=products, least=("", "least=1"))
    def debit(self, name: int, amount: int, product: str, least: str) -> None:
        self.do(f"debit {self.name(name)} {amount} id={self.fresh()} of={product} {least}")

    @step(
        c.CreateQuote,
        name=which,
        amount=amounts,
        product=("chat", "third", "agent"),
        how=("", "hold", "lifetime=8d", "lifetime=5h tolerance=10000"),
    )
    def quote(self, name: int, amount: int, product: str, how: str) -> None:
        called, account = self.fresh(), self.name(name)
        how = f"hold={self.fresh()}" if how == "hold" else how
        self.promised[called] = (account, product)
        self.do(f"quote {account} {amount} as={called} of={product} {how}")

    @step(
        c.QuotedUsage,
        c.AuthorizeHold,
        quote=which,
        amount=amounts,
        how=("usage", "usage", "at=-1h", "image", "hold"),
    )
    def quoted(self, quote: int, amount: int, how: str) -> None:
        case = self.case
        if not case.quotes:
            return
        called = self.one(
            case.quotes, quote, lambda name: case.quotes[name] in case.core.state.quotes
        )
        account, product = self.promised[called]
        product = "image" if how == "image" else product
        at = how if how.startswith("at=") else ""
        if how == "hold":
            self.do(f"hold {account} {amount} as={self.fresh()} of={product} quote={called}")
        else:
            self.do(f"usage {account} {amount} of={product} id={self.fresh()} quote={called} {at}")

    @step(c.CaptureHold, hold=which, amount=amounts, how=("", "open", "at=-2h"))
    def capture(self, hold: int, amount: int, how: str) -> None:
        if self.case.holds:
            self.do(f"capture {self.open_hold(hold)} {amount} {how}")

    @step(c.ReleaseHold, c.ExtendHold, hold=which, verb=("release", "extend"))
    def settle(self, hold: int, verb: str) -> None:
        if self.case.holds:
            self.do(f"{verb} {self.open_hold(hold)}")

    @step(
        c.ReportOutcome,
        name=which,
        amount=amounts,
        product=("case", "case", "lead", "deal", "sixth", "chat"),
        how=("", "", "at=-1h", "at=-3d"),
    )
    def report(self, name: int, amount: int, product: str, how: str) -> None:
        called = self.fresh()
        self.do(f"report {self.name(name)} {amount} as={called} of={product} {how}")

    @step(c.ConfirmOutcome, c.RejectOutcome, hold=which, verb=("accept", "accept", "reject"))
    def outcome(self, hold: int, verb: str) -> None:
        if self.case.holds:
            self.do(f"{verb} {self.pending_outcome(hold)}")

    def pending_outcome(self, place: int) -> str:
        """One of the holds, mostly one that is an outcome."""
        holds, still = self.case.holds, self.case.core.state.holds
        pending = {number for number, hold in still.items() if hold.outcome is not None}
        return self.one(holds, place, lambda name: holds[name][1] in pending)

    def open_hold(self, place: int) -> str:
        """One of the holds."""
        holds, still = self.case.holds, self.case.core.state.holds
        return self.one(holds, place, lambda name: holds[name][1] in still)

    @step(c.VoidGrant, grant=which, how=("", "forfeit"))
    def void(self, grant: int, how: str) -> None:
        if self.case.grants:
            self.do(f"void {self.grant_like(grant, lambda each: not each.settled)} {how}")

    @step(
        c.ConfirmPayment,
        c.FailPayment,
        c.RefundGrant,
        c.ChargeBack,
        grant=which,
        verb=("confirm", "confirm", "confirm {} 3", "fail", "refund", "refund {} 4", "chargeback"),
    )
    def payment(self, grant: int, verb: str) -> None:
        verb = verb if "{}" in verb else f"{verb} {{}}"
        awaits = verb.startswith(("confirm", "fail"))
        name = self.grant_like(grant, lambda each: each.pending if awaits else each.paid > 0)
        self.do(verb.format(name))

    @step(c.BillAccount, name=which, most=("", "asset=credits", "asset=usd", "7 asset=usd"))
    def bill(self, name: int, most: str) -> None:
        self.do(f"bill {self.name(name, lambda each: each.unbilled or each.overage)} {most}")

    @step(
        c.RecordPayment,
        c.IssueCreditNote,
        c.WriteOffReceivable,
        name=which,
        amount=amounts,
        verb=("pay", "pay", "creditnote", "writeoff"),
    )
    def receivable(self, name: int, amount: int, verb: str) -> None:
        billed = self.name(name, lambda each: each.receivable)
        self.do(f"{verb} {billed} {min(amount, self.case.owes(billed)) or amount}")

    @step(
        c.ReverseUsage,
        entry=which,
        amount=("", "1", "7"),
        how=("", "ended=onward", "charged=3"),
    )
    def reverse(self, entry: int, amount: str, how: str) -> None:
        if self.case.entries:
            amount = "" if how.startswith("charged") else amount
            self.do(f"reverse {self.one(self.case.entries, entry)} {amount} {how}")

    @step(
        c.AmendUsage,
        entry=which,
        amount=amounts,
        product=products,
        how=("", "ended=onward"),
    )
    def amend(self, entry: int, amount: int, product: str, how: str) -> None:
        usage = {
            name: each
            for name, each in self.case.entries.items()
            if isinstance(each.event, e.UsageRecorded)
        }
        if usage:
            name = self.one(usage, entry)
            self.do(f"amend {name} {amount} as={self.fresh()} of={product} {how}")

    @step(c.RepriceUsage, entry=which, card=("default", "usd", "resold"))
    def rerate(self, entry: int, card: str) -> None:
        usage = {
            name: each
            for name, each in self.case.entries.items()
            if isinstance(each.event, e.UsageRecorded)
        }
        if usage:
            name = self.one(usage, entry)
            self.do(f"rerate {name} by={card} job={card} as={self.fresh()}")

    @step(c.AdjustBalance, name=which, amount=(*range(-30, 0), *range(1, 31)), grant=range(-1, 10))
    def adjust(self, name: int, amount: int, grant: int) -> None:
        named = ""
        if grant >= 0 and self.case.grants:
            called = self.one(self.case.grants, grant)
            named = f"grant={called}"
            owner = self.case.grant(called).account.number
            name = sorted(self.case.accounts).index(
                next(each for each, number in self.case.accounts.items() if number == owner)
            )
        self.do(f"adjust {self.name(name)} {amount} as={self.fresh()} {named}")

    @step(c.UpdatePolicy, name=which, policy=policies, version=("", "version=1"))
    def policy(self, name: int, policy: str, version: str) -> None:
        self.do(f"policy {self.name(name)} {policy} {version}")

    @step(c.UpdateProfile, name=which, version=("", "version=1"))
    def profile(self, name: int, version: str) -> None:
        self.do(f"profile {self.name(name)} Acme {version}")

    @step(
        c.StartRecurring,
        name=which,
        amount=amounts,
        more=(
            "paid=30",
            "free",
            "prorate=both",
            "allowance paid=9 shared",
            "paid=8 rollover=1/2 rolls=2d",
        ),
    )
    def recurring(self, name: int, amount: int, more: str) -> None:
        called = self.fresh()
        told = self.do(f"recurring {self.name(name)} {amount} as={called} every=1week {more}")
        if told.startswith("refused"):
            del self.case.recurring[called]

    @step(c.ChangeRecurring, recurring=which, amount=amounts, now=("", "now"))
    def change(self, recurring: int, amount: int, now: str) -> None:
        if self.case.recurring:
            name = self.one(self.case.recurring, recurring)
            self.do(f"change {name} {amount} {now} every=1week paid=40")

    @step(
        c.PauseRecurring,
        c.ResumeRecurring,
        c.EndRecurring,
        recurring=which,
        verb=("pause {}", "resume {}", "end {}", "end {} now"),
    )
    def recur(self, recurring: int, verb: str) -> None:
        if self.case.recurring:
            paused = verb.startswith("resume")
            name = self.one(
                self.case.recurring,
                recurring,
                lambda name: self.case.recurrence(name).paused == paused,
            )
            self.do(verb.format(name))

    @step(
        c.StartCharge,
        name=which,
        amount=amounts,
        more=(
            "cash x=2",
            "asset=credits",
            "asset=credits arrears off=1/3 discounts=1+1",
            "arrears self trial=1",
            "whole prorate=first of=chat asset=credits",
            "every=once earned=9d cash",
        ),
    )
    def charge(self, name: int, amount: int, more: str) -> None:
        called = self.fresh()
        every = "" if "every" in more else "every=1week"
        told = self.do(f"charge {self.name(name)} {amount} as={called} {every} {more}")
        if told.startswith("refused"):
            del self.case.charges[called]

    @step(
        c.ChangeQuantity,
        c.ChangeTerms,
        c.EndCharge,
        charge=which,
        verb=(
            "quantity {} 3 now",
            "quantity {} 0 now",
            "quantity {} 2",
            "terms {} 7 every=1week cash",
            "terms {} 7 every=2week asset=credits arrears",
            "stop {}",
            "stop {} now",
        ),
    )
    def charged(self, charge: int, verb: str) -> None:
        if self.case.charges:
            self.do(verb.format(self.one(self.case.charges, charge)))

    @step(
        c.CreateCommitment,
        name=which,
        amount=amounts,
        more=(
            "now..+3d:{}/50",
            "now..+3d:{}/50 +3d..+9d:30/20 invoices=30@+1d,40@+4d",
            "now..+2d:{}/31 prepaid invoices=31@+0s",
            "+1d..+3d:{}/50 shared for=chat",
            "-9d..-3d:{}/50",
        ),
    )
    def commit(self, name: int, amount: int, more: str) -> None:
        called = self.fresh()
        told = self.do(f"commit {self.name(name)} as={called} {more.format(amount)}")
        if told.startswith("refused"):
            del self.case.commitments[called]

    @step(
        c.AddSegment,
        c.EndCommitment,
        commitment=which,
        verb=(
            "upsize {} now..+3d:20/30 invoices=9@+1d",
            "upsize {} +1d..+2d:20/30",
            "terminate {}",
            "terminate {} waive",
        ),
    )
    def committed(self, commitment: int, verb: str) -> None:
        if self.case.commitments:
            self.do(verb.format(self.one(self.case.commitments, commitment)))

    @step(
        c.SetTopUpRule,
        c.RemoveTopUpRule,
        name=which,
        verb=(
            "rule {} below=10 target=30 price=3/2",
            "rule {} below=20 amount=25 cap=1/1d",
            "rule {} below=5 amount=8 off",
            "unrule {}",
        ),
    )
    def top_up_rule(self, name: int, verb: str) -> None:
        self.do(verb.format(self.name(name)))

    @step(
        c.SetPriceOverrides,
        name=which,
        prices=("chat:2", "chat:x1/2 half:1/3!1", "*:x3/2@..+1d", "priceless:2@-2d..", ""),
        version=("", "", "version=1"),
    )
    def override(self, name: int, prices: str, version: str) -> None:
        self.do(f"override {self.name(name)} {prices} {version}")

    @step(c.ConfirmTopUp, c.DeclineTopUp, top_up=which, verb=("collect", "decline"))
    def top_up(self, top_up: int, verb: str) -> None:
        found = sorted(self.case.core.state.top_ups)
        self.do(f"{verb} {found[-1 - top_up % len(found)] if found else 1}")

    @step(
        c.FreezeAccount,
        c.UnfreezeAccount,
        c.CloseAccount,
        c.ReopenAccount,
        name=which,
        verb=(
            "freeze {}",
            "unfreeze {}",
            "close {}",
            "close {} release write-off for=gone",
            "reopen {}",
        ),
    )
    def standing(self, name: int, verb: str) -> None:
        liked: dict[str, Callable[[Account], object]] = {
            "unfreeze": lambda each: each.frozen_at and not each.closed_at,
            "reopen": lambda each: each.closed_at,
            "close": lambda each: not each.closed_at and not each.grants and not each.children,
        }
        like = liked.get(verb.removesuffix(" {}"), bool)
        self.do(verb.format(self.name(name, like)))

    @step(c.MoveAccount, name=which, parent=which, version=("", "", "version=1"))
    def move(self, name: int, parent: int, version: str) -> None:
        below = self.name(name, lambda each: each.parent is not None)
        self.do(f"move {below} {self.name(parent)} {version}")

    @step(c.AbandonRequest, name=which)
    def abandon(self, name: int) -> None:
        self.do(f"abandon {self.name(name)} id={self.fresh()}")

    @step(c.ApplyConfiguration, ahead=(1, 1, 2))
    def configure(self, ahead: int) -> None:
        self.do(f"configure {len(self.applied(c.ApplyConfiguration)) + ahead}")

    @step(place=range(100))
    def again(self, place: int) -> None:
        """What was applied, asked again: the first outcome; nothing changes (rules I1, I5)."""
        state = self.case.core.state
        known = [
            command
            for command, outcome in self.case.asked
            if not isinstance(outcome, Refusal) and state.keys.find(command.key) is not None
        ]
        if known:
            self.do("sweep")
            before, command = digest(state), known[place % len(known)]
            if isinstance(command, c.LinkedUsage):
                assert refuse_linked(state, [command], []) is None
            outcome = self.case.core.run(command)
            assert isinstance(outcome, Known)
            assert self.case.core.difference(command, outcome) == ""
            assert digest(state) == before

    @step(by=steps)
    def clock(self, by: str) -> None:
        self.do(f"clock +{by}")
        self.do("sweep")

    def applied(self, *of: type) -> list[c.Command]:
        """Commands that were asked and not refused."""
        return [
            command
            for command, outcome in self.case.asked
            if not_refused(outcome) and isinstance(command, of)
        ]

    # -- what must hold ----------------------------------------------------------------------------

    @invariant()
    def debits_equal_credits(self) -> None:
        """Posted and pending, for each asset (rule B7)."""
        self.case.core.state.books.check()

    @invariant()
    def units_and_money_never_mix(self) -> None:
        """Each set of books balances by itself, whatever the asset (rule B2)."""
        sums: dict[tuple[int, bool], int] = {}
        for book in self.case.core.state.books.accounts.values():
            place = (book.asset, book.kind >= BookKind.CASH)
            sums[place] = sums.get(place, 0) + book.owed
        assert not any(sums.values()), sums

    @invariant()
    def posted_counters_only_grow(self) -> None:
        """Pending ones rise and fall, never below zero (rule B1)."""
        for book in self.case.core.state.books.accounts.values():
            now = (book.debits_posted, book.credits_posted)
            before = self.counters.get(book.number, (0, 0))
            assert now[0] >= before[0] and now[1] >= before[1], book.number
            assert book.debits_pending >= 0 and book.credits_pending >= 0, book.number
            self.counters[book.number] = now

    @invariant()
    def no_grant_is_below_zero(self) -> None:
        for grant in self.case.core.state.grants.values():
            assert grant.book.available >= 0
            assert grant.drawn >= 0 and grant.unused >= 0 and grant.pending >= 0

    @invariant()
    def what_was_granted_is_drawn_gone_or_left(self) -> None:
        """expired + drawn + voided + rolled + what else took units + left = granted (rule B3)."""
        for number, seen in self.case.witness.grants.items():
            grant = self.case.core.state.grants[number]
            assert grant.book.credits_posted - grant.book.debits_posted == seen.left
            assert grant.drawn == seen.units["drawn"]
            assert grant.pending == seen.units["pending"]
            assert min(seen.units.values(), default=0) >= 0, seen
            assert grant.amount == seen.amount

    @invariant()
    def what_was_paid_is_earned_gone_or_deferred(self) -> None:
        """deferred + recognised + breakage + refunded = paid (rules B4, F1 to F3)."""
        for number, seen in self.case.witness.grants.items():
            grant = self.case.core.state.grants[number]
            assert grant.paid == seen.cash >= 0
            value_book = grant.book.value_book
            if value_book is None or value_book.kind != BookKind.DEFERRED:
                continue
            assert -value_book.owed == seen.deferred >= 0
            assert grant.recognised == seen.money["recognised"] >= 0
            if grant.settled and seen.left == 0:
                assert seen.deferred == 0

    @invariant()
    def what_was_billed_is_paid_waived_or_owed(self) -> None:
        """For each payer and asset: what was earned, committed or advanced less what was billed,
        and what was billed less what was paid, credited and written off (rules B3, B4, F3, F4)."""
        witness = self.case.witness
        books = [book for book in self.case.core.state.books.accounts.values() if book.kind in OWED]
        for book in books:
            place = (BookKind(book.kind), book.owner, book.asset)
            assert book.owed == witness.owed(*place), witness.owing.get(place)
        known = {(BookKind(book.kind), book.owner, book.asset) for book in books}
        assert witness.owing.keys() <= known

    @invariant()
    def lifetime_value_is_what_came_less_what_went_back(self) -> None:
        """Confirmed payments - refunds - chargebacks (rule H6)."""
        for account in self.case.core.state.accounts.values():
            came = {
                asset: money
                for (number, asset), money in self.case.witness.lifetime.items()
                if number == account.number and money
            }
            assert {asset: money for asset, money in account.lifetime.items() if money} == came

    @invariant()
    def a_commitment_is_drawn_trued_up_or_left(self) -> None:
        """Its segments' amounts, to the unit (rule D7)."""
        witness, state = self.case.witness, self.case.core.state
        for number, segments in witness.segments.items():
            commitment = state.commitments[number]
            assert [(each.number, each.amount) for each in commitment.grants] == segments
            gone = 0
            for grant, _ in segments:
                units = witness.grants[grant].units
                kept = {"drawn", "expired", "voided", "counted"}
                kept |= {"refunded", "moved", "written off"}
                assert {why for why, amount in units.items() if amount} <= kept
                gone += sum(units.values())
            left = sum(-each.book.owed for each in commitment.grants)
            assert gone + left == sum(amount for _, amount in segments)
            posted = sum(invoice.amount for invoice in commitment.invoices[: commitment.invoiced])
            assert posted == witness.invoiced[number]

    @invariant()
    def overage_counts_for_who_drew_it(self) -> None:
        """By asset and period, and what its holds reserve of it (rules D4, H8)."""
        for account in self.case.core.state.accounts.values():
            posted = {
                (asset, period): amount
                for (number, asset, period), amount in self.case.witness.overage.items()
                if number == account.number and amount
            }
            assert account.overage_posted == posted

    @invariant()
    def holds_are_accounted_for(self) -> None:
        """What pends is what open holds reserve, of each book (rules B1, H1)."""
        state = self.case.core.state
        pending: dict[int, int] = {}
        overage: dict[tuple[int, int], int] = {}
        for hold in state.holds.values():
            assert state.recorded_at < hold.expires_at
            for piece in hold.slices:
                pending[piece.book] = pending.get(piece.book, 0) + piece.amount
                if piece.pot == Pot.OVERAGE:
                    place = (hold.account.number, hold.asset)
                    overage[place] = overage.get(place, 0) + piece.amount
        for book in state.books.accounts.values():
            if book.kind not in (BookKind.USED, BookKind.FUNDING):
                assert book.debits_pending == pending.get(book.number, 0), book.number
        for account in state.accounts.values():
            for asset, amount in account.overage_pending.items():
                assert amount == overage.get((account.number, asset), 0)

    @invariant()
    def available_is_what_may_pay(self) -> None:
        """Units here less units held, of what applies, and what the overdraft affords (rule B6)."""
        case = self.case
        now = case.core.state.recorded_at
        for account in case.core.state.accounts.values():
            for asset, product in ((CREDITS, "chat"), (USD, "image")):
                model = case.model_of(account, asset)
                bears = (frozenset({"media"} if product == "image" else ()), frozenset())
                units = sum(
                    grant.left - grant.held
                    for grant in model.grants
                    if grant.may_pay(product, now, bears)
                )
                held = [piece for hold in model.holds for piece in hold.slices]
                owed = model.owed + sum(each[2] for each in held if each[0] == Pot.OVERDRAFT)
                headroom = 0 if model.grace_ended else max(0, model.overdraft - owed)
                use = Use(product, (), tuple(bears[0]))
                assert available_to(account, asset, use, now) == units + headroom
            assert len(list(in_turn(account))) == len({g.number for g in in_turn(account)})

    @invariant()
    def the_journal_replays_to_the_same_state(self) -> None:
        """Entry by entry as bytes, byte for byte the same digest."""
        assert self.case.replays()

    def teardown(self) -> None:
        self.case.finish()
        state = self.case.core.state
        assert digest(whole(state, {})) == digest(state)
        found = judged(self.case.core)
        assert found == [], found


def not_refused(outcome: object) -> bool:
    return not isinstance(outcome, Refusal | Known)
