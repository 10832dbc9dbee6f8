"""One shard as far as its journal was read: books, accounts and what stands under its entries.

What every topic of the model needs: expectations that fail loudly, transfers, what must come next,
and what nobody may see overdue. Judges no entry by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from ledger.core import events as e
from ledger.core.events import BookKind, Pot
from ledger.core.limits import DAY_US
from ledger.journal.configuration import ConfigurationEntry
from ledger.simulation import naive
from ledger.simulation.naive import Version
from ledger.simulation.naive_charges import NaiveCharge
from ledger.simulation.naive_contracts import RUNNING, SIGNED, NaiveContract
from ledger.simulation.naive_holdings import (
    FOREVER,
    NaiveAccount,
    NaiveCommitment,
    NaiveGrant,
    NaiveHold,
    NaiveQuote,
    NaiveRecurring,
    NaiveTopUp,
    NaiveUsage,
    Operations,
    Piece,
    Place,
    Use,
)
from ledger.simulation.naive_packages import NaivePackage, NaiveSubscription
from ledger.simulation.rules import Rule, Violation

WINDOW_US: Final = 35 * DAY_US
PAYMENT_WAIT_US: Final = 7 * DAY_US
_PLACES: Final = {
    BookKind.GRANT: "grant",
    BookKind.ADVANCE: "advance",
    BookKind.OVERAGE: "overage",
    BookKind.PROMOTION: "promotion",
}


@dataclass
class NaiveBook:
    """A book with its four counters."""

    kind: int
    tenant: int
    asset: int
    owner: int
    name: str = ""
    debits: int = 0
    credits: int = 0
    debits_pending: int = 0
    credits_pending: int = 0

    @property
    def owed(self) -> int:
        """Of a book that is debited with what is owed."""
        return self.debits - self.credits


Next = Callable[[Any], None]
"""Judges the entry that must come next."""


class Shard:
    """What the model knows. Topics read and change it; see `model.HANDLERS`."""

    def __init__(
        self,
        shard: int,
        published: Callable[[int, int], ConfigurationEntry | None],
        numbers: Mapping[tuple[int, str], int],
    ) -> None:
        """`published(tenant, version)` is what stands in the configuration tables; `numbers` are
        those of accounts, by tenant and id."""
        self.shard = shard
        self.position = 0
        self.batch_seq = 0
        self.batch_at = 0
        self.recorded_at = 0  # of the next entry, by the clock of its tenant
        self.offsets: dict[int, int] = {}
        self.epoch = 0
        self.index = 0  # of the next entry in its batch
        self.accounts: dict[int, NaiveAccount] = {}
        self.grants: dict[int, NaiveGrant] = {}
        self.holds: dict[int, NaiveHold] = {}
        self.quotes: dict[int, NaiveQuote] = {}
        self.recurring: dict[int, NaiveRecurring] = {}
        self.commitments: dict[int, NaiveCommitment] = {}
        self.top_ups: dict[int, NaiveTopUp] = {}
        self.charges: dict[int, NaiveCharge] = {}
        self.subscriptions: dict[int, NaiveSubscription] = {}  # by account
        self.contracts: dict[int, list[NaiveContract]] = {}  # by account
        self.packages: dict[tuple[int, str], list[NaivePackage]] = {}  # by tenant and name
        self.by_fees: dict[int, int] = {}  # grant -> units that fees of a package gave back to it
        self.before_package: e.AccountPolicy | None = None  # which the package changes
        self.fees: list[tuple[int, int, int, int]] = []  # (charge, period, amount, total)
        self.operations: dict[int, Operations] = {}  # by root
        self.budgets_made = 0
        self.usage: dict[int, NaiveUsage] = {}  # by locator
        self.originals: dict[tuple[int, str, str], NaiveUsage] = {}
        """The latest by tenant, source and id."""
        self.books: dict[int, NaiveBook] = {}
        self.versions: dict[int, list[Version]] = {}
        self.applied: dict[int, int] = {}
        self.external: dict[tuple[str, int, bytes], int] = {}
        self.published = published
        self.numbers = numbers
        self.plans: dict[int, e.PlanDeclared] = {}
        self.next_override: dict[int, int] = {}  # by root
        self.money: set[int] = set()  # assets that are money
        self.due: list[tuple[str, Next]] = []  # what must come next, in order
        self.behind: list[Callable[[], list[e.Event]]] = []  # works out what follows all of that
        self.following: list[e.Event] = []  # and what it came to
        self.last: list[tuple[str, Next]] = []  # what must come behind that
        self.coming: Any = None  # the entry that stands there
        self.uncounted: list[tuple[int, int, list[e.BudgetMove]]] = []
        """(root, entry, moves) of usage that is counted behind a run of it."""
        self.requests: set[bytes] = set()  # keys of this batch under which somebody asked
        self.ahead: list[Any] = []  # entries that one after them must explain
        self.unrepaid: set[int] = set()  # grants of those that repay nothing of what is owed
        self.parts: list[e.UsageReversed] = []  # of usage whose reversal is to follow
        self.asked: dict[int, None] = {}  # accounts that entries of this batch touched
        self._numbers: dict[tuple[int, int, int, int, str], int] = {}

    @property
    def locator(self) -> int:
        """Where the present entry stands."""
        return self.batch_seq << 20 | self.index

    # -- expectations ------------------------------------------------------------------------------

    def fail(self, rule: Rule, what: str) -> NoReturn:
        """The present entry breaks a rule."""
        raise Violation(
            rule, f"shard {self.shard}, batch {self.batch_seq}, entry {self.position}: {what}"
        )

    def expect(self, rule: Rule, what: str, expected: object, found: object) -> None:
        """A figure of the present entry."""
        if expected != found:
            self.fail(rule, f"{what}: expected {expected}, found {found}")

    def then(self, what: str, judge: Next) -> None:
        """This must be the next entry, but for openings and what was announced before."""
        self.due.append((what, judge))

    def at_once(self, what: str, judge: Next) -> None:
        """The same, before what was announced before: it belongs to the present entry."""
        self.due.insert(0, (what, judge))

    def explained(self, kind: Any, number: int, *, repays: bool = True) -> Any:
        """The entry of that kind about that grant which the present one explains; whether that
        repays what is owed, as what nobody but a seat draws does not."""
        if repays and number in self.unrepaid:
            self.fail(Rule.GRANT_FIGURES, f"grant {number} repays nothing of what is owed")
        self.unrepaid.discard(number)
        found = [each for each in self.ahead if isinstance(each, kind) and each.grant == number]
        if not found:
            self.fail(Rule.GRANT_FIGURES, f"no {kind.__name__} of grant {number} before it")
        if not repays:
            self.expect(Rule.SEATED, "repaid by what is a seat's own", (), found[0].backfills)
        self.ahead.remove(found[0])
        return found[0]

    def expect_of_kind(self, event: Any, kind: type) -> None:
        """What follows from an entry is of that kind, and nobody asked for it."""
        if type(event) is not kind or getattr(event, "key", None):
            self.fail(Rule.GRANT_FIGURES, f"{kind.__name__} must follow, and {event} does")

    @contextmanager
    def at(self, now: int) -> Iterator[None]:
        """Look at what stands here as of another time, by the clock of whoever asks."""
        kept = self.recorded_at
        self.recorded_at = now
        yield
        self.recorded_at = kept

    # -- accounts ----------------------------------------------------------------------------------

    def deciding(self, number: int) -> NaiveAccount:
        """The account that an entry decides on; nothing of it may be overdue (rules H2, T3)."""
        account = self.accounts.get(number)
        if account is None:
            self.fail(Rule.POLICY_VERSIONS, f"account {number} was never created")
        for each in self.line(account):
            overdue = self.overdue(each)
            if overdue:
                self.fail(Rule.NOTHING_OVERDUE, f"{overdue} of account {each.number} is overdue")
        self.touch(account)
        return account

    def touch(self, account: NaiveAccount) -> None:
        """Its rules for top-ups, and those above it, look at it once the batch is over."""
        for each in self.line(account):
            self.asked[each.number] = None

    def line(self, account: NaiveAccount) -> Iterator[NaiveAccount]:
        """The account and its ancestors, the nearest first."""
        found: NaiveAccount | None = account
        while found is not None:
            yield found
            found = self.accounts.get(found.parent)

    def ever_line(self, account: NaiveAccount) -> list[NaiveAccount]:
        """The same, then those that were above it before a move."""
        found = list(self.line(account))
        for each in found:
            for number in each.before:
                found += [more for more in self.line(self.accounts[number]) if more not in found]
        return found

    def above(self, account: NaiveAccount) -> list[NaiveAccount]:
        """Its ancestors, the nearest first."""
        return list(self.line(account))[1:]

    def overdue(self, account: NaiveAccount) -> str:
        """What time has made due on an account and nobody has posted; "" where nothing is."""
        now = self.recorded_at
        for hold in account.holds.values():
            if hold.expires_at <= now:
                return f"hold {hold.number}"
        for quote in self.quotes.values():
            if quote.account == account.number and not quote.ended and quote.expires_at <= now:
                return f"quote {quote.number}"
        for grant in account.grants:
            if grant.scheduled and grant.effective_at <= now:
                return f"the start of grant {grant.number}"
            if grant.pending and grant.issued_at + PAYMENT_WAIT_US <= now:
                return f"the payment of grant {grant.number}"
            if grant.settled:
                continue
            if grant.rollover is not None and not grant.rolled_over and grant.over <= now:
                return f"the rollover of grant {grant.number}"
            if self.breaks_at(grant) <= now:
                return f"the expiry of grant {grant.number}"
        for recurring in account.recurring:
            if recurring.due <= now:
                return f"recurring grant {recurring.number}"
        for plan in account.seat_plans.values():
            if plan.due <= now:
                return f"the next period of the seats {plan.name}"
        for contract in self.contracts.get(account.number, []):
            if contract.due <= now:
                return f"the contract {contract.name}"
        made = {each.commitment for each in self.ahead if isinstance(each, e.CommitmentCreated)}
        for commitment in account.commitments:
            if commitment.number not in made and commitment.due <= now:
                return f"an invoice of commitment {commitment.number}"
        subscription = self.subscriptions.get(account.number)
        if subscription is not None and subscription.due <= now:
            return "the next period of its package"
        fresh = {each.charge for each in self.ahead if isinstance(each, e.ChargeStarted)}
        for charge in self.charges.values():
            of = charge.account == account.number and charge.number not in fresh
            if of and charge.due <= now:
                return f"charge {charge.number}"
        for top_up in account.top_ups:
            if top_up.state == "pending" and top_up.expires_at <= now:
                return f"top-up {top_up.number}"
        return ""

    def beginning(self, account: int) -> NaiveContract | None:
        """The contract of an account that is to begin by now."""
        now = self.recorded_at
        found = [x for x in self.contracts.get(account, []) if x.state == SIGNED and x.due <= now]
        return min(found, key=lambda each: each.due, default=None)

    def running(self, account: int) -> NaiveContract | None:
        """The contract of an account that has begun and is not over."""
        found = [x for x in self.contracts.get(account, []) if x.state == RUNNING]
        return found[0] if found else None

    def leaving(self, account: int) -> e.ContractEnded | None:
        """The end of a contract of which the package has to go yet."""
        found = [x for x in self.ahead if isinstance(x, e.ContractEnded) and x.account == account]
        return found[0] if found else None

    def breaks_at(self, grant: NaiveGrant) -> int:
        """When what is left of it is breakage (rule T3)."""
        return grant.over + self.accounts[grant.account].policy.period_grace

    def frozen(self, account: NaiveAccount | None) -> bool:
        """Whether it or one above it is frozen."""
        return account is not None and any(each.frozen_at for each in self.line(account))

    def unpaid(self, account: NaiveAccount, asset: int) -> int:
        """Money that it owes: not billed yet, or billed and not paid."""
        return sum(
            self.owed(kind, account, asset) for kind in (BookKind.UNBILLED, BookKind.RECEIVABLE)
        )

    def owed(self, kind: BookKind, account: NaiveAccount, asset: int) -> int:
        """What stands in a book of the account; 0 where it has none."""
        number = self.find_book(kind, account.tenant, asset, account.number)
        return self.books[number].owed if number else 0

    # -- prices and payers -------------------------------------------------------------------------

    def card_of(self, account: NaiveAccount) -> str:
        """A child is priced by its own card, else its nearest ancestor's (rule D8)."""
        named = [each.policy.rate_card for each in self.line(account) if each.policy.rate_card]
        return named[0] if named else "default"

    def versions_of(self, account: NaiveAccount) -> list[Version]:
        """The versions of its card that the shard has applied."""
        card = self.card_of(account)
        return [each for each in self.versions.get(account.tenant, ()) if each.name == card]

    def version(self, tenant: int, number: int) -> Version | None:
        """A version by its number."""
        for each in self.versions.get(tenant, ()):
            if each.number == number:
                return each
        return None

    def use(
        self,
        tenant: int,
        version: int,
        product: str,
        attributes: tuple[tuple[str, str], ...] = (),
    ) -> Use:
        """What usage is for, by the tags of the version that prices it."""
        found = self.version(tenant, version)
        tags = found.prices.tags.get(product, ()) if found is not None else ()
        return Use(product, attributes, tags)

    def use_now(self, account: NaiveAccount, product: str) -> Use:
        """The same for usage of which only the product is known."""
        found = naive.candidates(self.versions_of(account), self.recorded_at)
        return self.use(account.tenant, found[0].number if found else 0, product)

    def payers(self, account: NaiveAccount) -> naive.Payers:
        """Who may pay for its usage; the order is its own, else its nearest ancestor's (D2)."""
        named = [each.policy.comparator for each in self.line(account) if each.policy.comparator]
        order = named[0] if named else e.Comparator.DRAWDOWN_1
        return naive.Payers(account, self.above(account), order, self.unpaid, self.recorded_at)

    def period(self, account: NaiveAccount, at: int) -> int:
        """The month in which usage of that time counts (rule T2)."""
        return naive.period_of(account, at, self.recorded_at)

    def month(self, account: NaiveAccount) -> int:
        """The month of the account that runs."""
        return account.months.month_of(self.recorded_at)[0]

    # -- books -------------------------------------------------------------------------------------

    def open_book(self, number: int, book: NaiveBook) -> None:
        """One book more, of which there was none."""
        place = (book.kind, book.tenant, book.asset, book.owner, book.name)
        if place in self._numbers:
            self.fail(Rule.BALANCED, f"book {number} is book {self._numbers[place]} again")
        self.books[number] = book
        self._numbers[place] = number

    def find_book(
        self, kind: BookKind, tenant: int, asset: int, owner: int = 0, name: str = ""
    ) -> int:
        """The number of a book; 0 where there is none."""
        return self._numbers.get((kind, tenant, asset, owner, name), 0)

    def expect_book(
        self, number: int, kind: BookKind, asset: int, owner: int = 0, name: str | None = None
    ) -> None:
        """A book that an entry names is of that kind, asset and owner."""
        book = self.books[number]
        found = (book.kind, book.asset, book.owner)
        self.expect(Rule.BALANCED, f"book {number}", (kind, asset, owner), found)
        if name is not None:
            self.expect(Rule.BALANCED, f"name of book {number}", name, book.name)

    def transfer(self, debit: int, credit: int, amount: int) -> None:
        """Rule B1."""
        if amount <= 0 or self.books[debit].asset != self.books[credit].asset:
            self.fail(Rule.BALANCED, f"no transfer: {amount} from {debit} to {credit}")
        self.books[debit].debits += amount
        self.books[credit].credits += amount

    def pay(
        self, account: NaiveAccount, debit: int, credit: int, money: int, grant: NaiveGrant | None
    ) -> None:
        """Money in from a customer, or back out: cash is what counts in lifetime value (H6)."""
        self.transfer(debit, credit, money)
        paid = (self.books[debit].kind == BookKind.CASH) - (
            self.books[credit].kind == BookKind.CASH
        )
        if paid:
            asset = self.books[debit].asset
            account.lifetime[asset] = account.lifetime.get(asset, 0) + paid * money
            if grant is not None:
                bought = self.grants[grant.part_of] if grant.part_of else grant
                bought.cash_in += paid * money

    def earn(self, grant: NaiveGrant, product: str, value: int) -> None:
        """Money recognised by a draw: debit deferred, credit revenue (rule B4)."""
        grant.recognised += value
        if value and grant.deferred:
            self.transfer(grant.deferred, self.revenue(grant.deferred, product), value)

    def revenue(self, debit: int, product: str) -> int:
        """The revenue book that money of a book goes to."""
        book = self.books[debit]
        number = self.find_book(BookKind.REVENUE, book.tenant, book.asset, 0, product)
        if not number:
            self.fail(Rule.BALANCED, f"no revenue book of {product!r} for book {debit}")
        return number

    def pieces(self, slices: Iterable[e.Slice]) -> list[Piece]:
        """Slices of an entry, by who pays."""
        return [
            Piece(Pot(piece.pot), self.place(piece.book), piece.amount, piece.value)
            for piece in slices
        ]

    def place(self, number: int) -> Place:
        """Whose book it is that pays for usage."""
        book = self.books[number]
        kind = _PLACES.get(BookKind(book.kind))
        if kind is None:
            self.fail(Rule.WATERFALL, f"book {number} of kind {book.kind} pays for usage")
        return kind, book.owner

    def check_balance(self) -> None:
        """Rule B7."""
        sums: dict[int, list[int]] = {}
        for book in self.books.values():
            total = sums.setdefault(book.asset, [0, 0])
            total[0] += book.debits - book.credits
            total[1] += book.debits_pending - book.credits_pending
        for asset, total in sums.items():
            self.expect(Rule.BALANCED, f"asset {asset}, debits - credits", [0, 0], total)

    def _package_of(self, number: int) -> Any:
        found = self.subscriptions.get(number)
        if found is None:
            return None
        said = (found.version.name, found.version.number, found.revision, found.anchor)
        return (*said, found.end, min(found.ends_at, FOREVER), found.over, tuple(found.grants))

    # -- what is to be seen ------------------------------------------------------------------------

    def view(self, number: int) -> dict[str, Any] | None:
        """An account as `views.view_of` shows it; None where it is not open."""
        account = self.accounts.get(number)
        if account is None:
            return None
        money: dict[BookKind, dict[int, int]] = {}
        for kind in (BookKind.UNBILLED, BookKind.RECEIVABLE):
            owed = money[kind] = {}
            for asset in self.money:
                book = self.find_book(kind, account.tenant, asset, number)
                if book:
                    owed[asset] = self.books[book].owed
        return {
            "version": account.version,
            "closed": bool(account.closed_at),
            "frozen": self.frozen(account),
            "profile": account.profile_version,
            "rules": account.ruled,
            "grants": {
                g.number: (g.available, g.held, g.settled, g.pending, g.recognised, g.returned)
                for g in account.grants
            },
            "holds": {hold.number: hold.reserved for hold in account.holds.values()},
            "drawn": {h.number: dict(h.drawn) for h in account.holds.values() if h.reserves},
            "recurring": {
                r.number: (r.version, r.next_at, min(r.ends_at, FOREVER), r.paused)
                for r in account.recurring
            },
            "commitments": {c.number: (c.invoiced, bool(c.ended_at)) for c in account.commitments},
            "top_ups": [t.number for t in account.top_ups if t.state == "pending"],
            "advance": {asset: tuple(pair) for asset, pair in account.advance.items()},
            "overage": {asset: tuple(pair) for asset, pair in account.overage.items()},
            "unbilled": money[BookKind.UNBILLED],
            "receivable": money[BookKind.RECEIVABLE],
            "lifetime": {asset: paid for asset, paid in account.lifetime.items() if paid},
            "suspended": account.suspended,
            "seats": {plan.name: plan.shown() for plan in account.seat_plans.values()},
            "contracts": {each.name: each.shown() for each in self.contracts.get(number, [])},
            "package": self._package_of(number),
            "charges": {
                each.number: (
                    each.version, each.quantity, each.begun, each.next_at,
                    min(each.ends_at, FOREVER), each.charged, each.settled,
                    tuple(sorted(each.unearned.items())),
                )
                for each in self.charges.values()
                if each.account == number
            },
            "budgets": {
                each.number: (each.name, each.version, each.posted, sum(each.held.values()))
                for each in account.budgets
            },
            "mandate": account.mandate
            and (
                bool(account.mandate.revoked_at),
                account.mandate.budget.posted,
                sum(account.mandate.budget.held.values()),
                account.mandate.purchased,
            ),
            "operations": {
                each.number: (each.version, each.posted, sum(each.held.values()))
                for family in [self.operations.get(account.root)]
                if family is not None
                for each in family.own.values()
                if each.account == number
            },
        }  # fmt: skip
