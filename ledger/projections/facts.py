"""What the fold must know from earlier entries: looked up once, kept while the projector stands.

Owns the caches of one shard and the question which facts a batch needs. They follow from the
journal alone; after any failure they are forgotten and read again. Must not do I/O: `store` fills
them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from ledger.core.events import (
    AccountClosedOut,
    AccountCreated,
    BalanceAdjusted,
    BookKind,
    BookOpened,
    ConversionReversed,
    FeeCharged,
    GrantCancelled,
    GrantChargedBack,
    GrantExpired,
    GrantIssued,
    GrantReduced,
    GrantRefunded,
    GrantReleased,
    GrantRestored,
    GrantRolledOver,
    GrantStarted,
    GrantVoided,
    HoldAuthorized,
    HoldExpired,
    HoldExtended,
    HoldRefilled,
    HoldReleased,
    HoldSized,
    HoldUpTo,
    LeaseGranted,
    LeaseLapsed,
    LeaseOverdue,
    LeaseRenewed,
    LeaseReturned,
    MinimumCharged,
    OperationHeld,
    OperationLeaseGranted,
    OperationPartHeld,
    OperationReserved,
    OutcomeRejected,
    OutcomeReported,
    PolicyHeld,
    RecurringChanged,
    RecurringEnded,
    RecurringIssued,
    RecurringPaused,
    RecurringResumed,
    RecurringStarted,
    SharedRerated,
    SizedOperationHeld,
    TrueUpCounted,
    UsageConverted,
    UsageRecorded,
    UsageRerated,
    UsageReversed,
)
from ledger.projections.changes import RecurringRow
from ledger.projections.lifetimes import BookFact

ACCOUNTS_MAX: Final = 1_000_000  # x ~110 B = 110 MB a shard
GRANTS_MAX: Final = 100_000
_OF_A_GRANT: Final = frozenset(
    {
        GrantStarted,
        GrantRolledOver,
        GrantReleased,
        GrantCancelled,
        GrantReduced,
        GrantRefunded,
        GrantVoided,
        GrantExpired,
        TrueUpCounted,
    }
)
HOLDS_MAX: Final = 200_000  # open ones that were looked up or seen; x ~500 B = 100 MB
PLANS_MAX: Final = 50_000
RECURRING_MAX: Final = 50_000  # x ~1 kB = 50 MB
_OF_RECURRING: Final = frozenset(
    {RecurringIssued, RecurringChanged, RecurringPaused, RecurringResumed, RecurringEnded}
)


_GIVES_BACK: Final = frozenset(
    {UsageReversed, UsageRerated, SharedRerated, BalanceAdjusted, ConversionReversed, FeeCharged}
)
_DRAWS_TOO: Final = frozenset({UsageRerated, SharedRerated, BalanceAdjusted, FeeCharged})
_OF_HOLDS: Final = frozenset(
    {
        HoldExtended,
        HoldReleased,
        HoldExpired,
        OutcomeRejected,
        LeaseRenewed,
        LeaseReturned,
        LeaseLapsed,
        LeaseOverdue,
    }
)


_OPENS_HOLDS: Final = frozenset(
    {
        OperationHeld,
        OperationReserved,
        OperationPartHeld,
        SizedOperationHeld,
        HoldAuthorized,
        HoldSized,
        HoldUpTo,
        PolicyHeld,
        OutcomeReported,
        LeaseGranted,
        OperationLeaseGranted,
    }
)


class GrantFact(NamedTuple):
    """Where a grant's units are and whence they came."""

    tenant: int
    asset: int
    book: int
    funding_book: int
    cash_book: int
    deferred_book: int
    price_asset: int


class HoldLine(NamedTuple):
    """One reserved slice."""

    pot: int
    debit_book: int
    credit_book: int
    amount: int
    value: int
    cost: int


class HoldFact(NamedTuple):
    """An open hold: what ends with it. Lines stand as authorised, with what is left of each."""

    tenant: int
    asset: int
    authorized_at: int
    period: int
    lines: tuple[HoldLine, ...]


class Needed:
    """Numbers that a batch mentions and nobody knows yet."""

    __slots__ = (
        "accounts",
        "books",
        "drawn",
        "grants",
        "holds",
        "payers",
        "recurring",
        "revenues",
    )

    def __init__(self) -> None:
        self.recurring: set[int] = set()
        self.accounts: set[int] = set()
        self.books: set[int] = set()  # whose grants, if they are grants', are to be known
        self.drawn: set[int] = set()  # books that were drawn from with a value
        self.grants: set[int] = set()
        self.holds: set[int] = set()
        self.payers: set[int] = set()  # accounts that are to have overage
        self.revenues = False

    def __bool__(self) -> bool:
        return bool(
            self.accounts
            or self.books
            or self.drawn
            or self.grants
            or self.holds
            or self.payers
            or self.recurring
            or self.revenues
        )


class Facts:
    """The caches of one shard."""

    __slots__ = (
        "books",
        "grants",
        "holds",
        "kinds",
        "plans",
        "recurring",
        "revenues",
        "tenants",
        "unbilled",
        "value_books",
    )

    def __init__(self) -> None:
        self.tenants: dict[int, int] = {}  # account -> tenant
        self.books: dict[int, int] = {}  # book -> grant that owns it, 0 = none
        self.grants: dict[int, GrantFact] = {}
        self.kinds: dict[int, BookFact] = {}  # of books that money or a repaid advance moved on
        self.holds: dict[int, HoldFact | None] = {}  # None = looked up, not open
        self.recurring: dict[int, RecurringRow] = {}
        self.plans: set[tuple[int, Any]] = set()  # (tenant, digest) that the table holds
        # What pays in money for what is drawn from a book, 0 = nothing; and in which money.
        self.value_books: dict[int, tuple[int, int]] = {}
        self.unbilled: dict[tuple[int, int], int] = {}  # (account, money asset) -> book
        # (tenant, money asset, product) -> book; None = not looked up yet.
        self.revenues: dict[tuple[int, int, str], int] | None = None

    def trim(self) -> None:
        """Forget what grew too large; between transactions only."""
        if len(self.tenants) > ACCOUNTS_MAX:
            self.tenants.clear()
        if len(self.grants) > GRANTS_MAX:
            self.grants.clear()
        if len(self.books) > GRANTS_MAX:
            self.books.clear()
        if len(self.kinds) > GRANTS_MAX:
            self.kinds.clear()
        if len(self.holds) > HOLDS_MAX:
            self.holds.clear()
        if len(self.plans) > PLANS_MAX:
            self.plans.clear()
        if len(self.recurring) > RECURRING_MAX:
            self.recurring.clear()
        if len(self.value_books) > GRANTS_MAX:
            self.value_books.clear()

    def needed(self, events: Sequence[Any]) -> Needed:
        """What these events mention that is neither known nor made by them."""
        needed = Needed()
        tenants = self.tenants
        accounts = needed.accounts
        made_accounts: set[int] = set()
        made_books: set[int] = set()
        made_grants: set[int] = set()
        made_holds: set[int] = set()
        made_recurring: set[int] = set()
        value_books = self.value_books
        needed.revenues = self.revenues is None
        for event in events:
            kind = type(event)
            if kind is AccountClosedOut:
                needed.holds.update([hold for hold in event.holds if hold not in self.holds])
            if issubclass(kind, UsageRecorded):
                if event.account not in tenants:
                    accounts.add(event.account)
                if event.hold and not event.late and event.hold not in self.holds:
                    needed.holds.add(event.hold)
                for piece in event.slices:
                    if piece.value and piece.book not in value_books:
                        needed.drawn.add(piece.book)
            elif kind is BookOpened:
                made_books.add(event.book)
                overage = event.kind == BookKind.OVERAGE
                if overage and (event.owner, event.asset) not in self.unbilled:
                    needed.payers.add(event.owner)
            elif kind is AccountCreated:
                made_accounts.add(event.account)
            else:
                account = getattr(event, "account", 0)
                if account and account not in tenants:
                    accounts.add(account)
                if kind is GrantIssued:
                    made_grants.add(event.grant)
                    if event.origin and event.origin not in self.grants:
                        needed.grants.add(event.origin)
                elif kind is GrantChargedBack:
                    charged = {part.grant for part in event.parts}
                    needed.grants.update(charged - self.grants.keys())
                elif kind is GrantRestored:
                    made_grants.add(event.grant)
                    if event.of not in self.grants:
                        needed.grants.add(event.of)
                elif kind is UsageConverted or kind is MinimumCharged:
                    drawn = {piece.book for piece in event.slices if piece.value}
                    needed.drawn.update(drawn - value_books.keys())
                elif kind in _GIVES_BACK:
                    drawn = {piece.drawn for piece in event.given_back}
                    needed.books.update(drawn - self.books.keys())
                    if kind in _DRAWS_TOO:
                        drawn |= {piece.book for piece in event.slices if piece.value}
                    needed.drawn.update(drawn - value_books.keys())
                elif kind in _OPENS_HOLDS:
                    made_holds.add(event.hold)
                    if kind is OperationPartHeld and event.of not in self.holds:
                        needed.holds.add(event.of)
                elif kind is HoldRefilled:
                    needed.holds.update({event.hold, event.part} - self.holds.keys())
                elif kind in _OF_RECURRING:
                    if event.recurring not in self.recurring:
                        needed.recurring.add(event.recurring)
                elif kind is RecurringStarted:
                    made_recurring.add(event.recurring)
                elif kind in _OF_A_GRANT:
                    if event.grant not in self.grants:
                        needed.grants.add(event.grant)
                elif kind in _OF_HOLDS and event.hold not in self.holds:
                    needed.holds.add(event.hold)
        accounts -= made_accounts
        needed.books -= made_books
        needed.grants -= made_grants
        needed.holds -= made_holds
        needed.recurring -= made_recurring
        needed.drawn -= made_books
        return needed
