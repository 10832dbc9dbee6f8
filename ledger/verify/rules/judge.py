"""What every rule says its findings to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ledger.core.events import BookKind, HoldRefilled, UsageMetered, UsageRecorded
from ledger.core.state import State
from ledger.verify.packages import PublishedPackages
from ledger.verify.report import Findings

if TYPE_CHECKING:
    from ledger.verify.rules.period_bound import Seated


class SharedTally:
    """What runs on for several accounts by the entries so far, and what they were charged by it.

    `seen`: what that came to where the total stood. `follows`: all of it is known, and of one price
    row. `rerated`: a volume price, whose charges rest on the total alone.
    """

    __slots__ = ("charged", "follows", "rerated", "row", "seen", "total")

    def __init__(self, total: int) -> None:
        self.total = total
        self.charged = 0
        self.row = 0
        self.follows = True
        self.rerated = False
        self.seen: dict[int, int] = {}


class Judge:
    """Writes down what is wrong with an entry, and what one says of the next."""

    def __init__(self, findings: Findings, packages: PublishedPackages | None = None) -> None:
        self.findings = findings
        self.packages = packages or PublishedPackages()  # without them no bound is judged
        self.seated: Seated | None = None  # plans of an account before its package starts others
        self.replacement = b""  # key of the usage that is to follow an amendment's reversal
        self.converting: UsageRecorded | None = None  # usage of which a part is paid in money
        self.metering: UsageMetered | None = None  # of the usage that is to follow
        # Index in batch `counted_in` of entries that budgets count -> the entry, what each posts.
        self.counted_in = 0
        self.to_count: dict[int, tuple[Any, dict[int, int]]] = {}
        # What a transfer has voided and is to add to another commitment: grant, units, money.
        self.moving: tuple[int, int, int] | None = None
        # What a true-up counts for above, each by an entry of its own: account, grant, units,
        # money, its book, the grant that was trued up.
        self.counting: list[tuple[int, int, int, int, int, int]] = []

        self.reversal = -1  # locator of the last reversal that moved a total of several accounts
        # Totals that several accounts share, by place.
        self.shared: dict[tuple[int, int, int], SharedTally] = {}

        # What a denial has a top-up bring that is to follow it: account, asset, units.
        self.missing: tuple[int, int, int] | None = None

        # Index in batch `named_in` of entries that name an operation -> account, operation.
        self.named_in = 0
        self.named: dict[int, tuple[int, bytes]] = {}
        # Account of which a package has set or removed budgets: its own entry is to follow.
        self.budgeting = 0
        # What a call's hold gave back to its operation's: it is settled by the next entry.
        self.refilling: HoldRefilled | None = None
        # What pended by it: budget, window, units; it is to pend by the other.
        self.passed: list[tuple[int, int, int, int]] = []
        # Account of which a package has started, changed or ended charges: its entry is to follow.
        self.charging = 0

    def wrong(self, state: State, what: str, expected: object, found: object) -> None:
        """Write down a finding about the entry."""
        self.findings.add(f"entry {state.entry_seq}, {what}", expected, found)

    def equal(self, state: State, what: str, expected: object, found: object) -> None:
        """Two figures that have to be the same."""
        if expected != found:
            self.wrong(state, what, expected, found)


def look_at_taken(judge: Judge, state: State, number: int, amount: int) -> None:
    available = state.grants[number].book.available
    if not 0 <= amount <= available:
        judge.wrong(state, f"units taken from grant {number}", f"0 to {available}", amount)


def look_at_kind(judge: Judge, state: State, number: int, kind: BookKind, asset: int) -> None:
    book = state.books.accounts[number]
    judge.equal(state, f"book {number}", (kind, asset), (book.kind, book.asset))
