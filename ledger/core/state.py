"""The fold of the journal, in memory: plain slotted objects that only `evolve` changes.

What can be derived (active grants, timers, inherited rate cards) is kept beside what is recorded,
maintained by `evolve`, and left out of the digest. `catalog` and `vocabulary` are not state: the
first is the compiled configuration that the engine installs, the second lasts for one batch.
"""

from __future__ import annotations

from fractions import Fraction

from ledger.core.books import Book, Books
from ledger.core.catalog import Catalog
from ledger.core.events import BookKind, GrantKind, PlanDeclared, Policy, Slice
from ledger.core.keys import KeyMap
from ledger.core.limits import DEDUPE_WINDOW_US, INT64_MAX, PERIOD_GRACE_US
from ledger.core.outcomes import LOCATOR_INDEX_BITS
from ledger.core.periods import Months

NEVER = INT64_MAX
"""An instant that does not come: the expiry of a grant without one."""


GRANT_OPEN = 0
GRANT_VOIDED = 1
GRANT_EXPIRED = 2


class Grant:
    """Units that an account may draw, at a price paid (rules B3, B4)."""

    __slots__ = (
        "account",
        "amount",
        "asset",
        "book",
        "drawn",
        "effective_at",
        "expires_at",
        "external_key",
        "funding",
        "issued_at",
        "kind",
        "number",
        "order",
        "ordinal",
        "price_asset",
        "price_paid",
        "priority",
        "products",
        "recognised",
        "settled",
    )

    def __init__(
        self,
        number: int,
        ordinal: int,
        account: Account,
        kind: GrantKind,
        asset: int,
        amount: int,
        price_paid: int,
        price_asset: int,
        priority: int,
        effective_at: int,
        expires_at: int,
        products: frozenset[str],
        external_key: bytes,
        book: Book,
        funding: Book,
        issued_at: int,
    ) -> None:
        self.number = number
        self.ordinal = ordinal
        self.account = account
        self.kind = kind
        self.asset = asset
        self.amount = amount
        self.price_paid = price_paid
        self.price_asset = price_asset
        self.priority = priority
        self.effective_at = effective_at
        self.expires_at = expires_at  # NEVER where it has none
        self.products = products  # empty = every product
        self.external_key = external_key
        self.book = book
        self.funding = funding
        self.issued_at = issued_at
        self.drawn = 0  # units, net
        self.recognised = 0  # money, net: floor(P x drawn / A)
        self.settled = GRANT_OPEN
        self.order = default_order(self)

    def value_of(self, amount: int, drawn_before: int) -> int:
        """Money that drawing `amount` units recognises (rule B4): exact over the whole grant."""
        if self.price_paid == 0:
            return 0
        paid, units = self.price_paid, self.amount
        return paid * (drawn_before + amount) // units - paid * drawn_before // units


def default_order(grant: Grant) -> tuple[int, int, int, Fraction, int, int, int]:
    """The comparator `drawdown`, version 1 (rule D2), for the grants of one account.

    Prepaid before postpaid; low priority first; soonest expiry; lower cost per unit; narrower
    applicability; earlier effective; ordinal.
    """
    return (
        0,  # every kind of grant that exists so far is prepaid
        grant.priority,
        grant.expires_at,
        Fraction(grant.price_paid, grant.amount),
        len(grant.products) or INT64_MAX,
        grant.effective_at,
        grant.ordinal,
    )


class Hold:
    """Exact slices reserved until `expires_at` (rule H1)."""

    __slots__ = (
        "account",
        "amount",
        "asset",
        "attributes",
        "authorized_at",
        "expires_at",
        "number",
        "product",
        "slices",
        "used",
    )

    def __init__(
        self,
        number: int,
        account: Account,
        product: str,
        attributes: tuple[tuple[str, str], ...],
        asset: int,
        used: Book | None,
        slices: tuple[Slice, ...],
        authorized_at: int,
        expires_at: int,
    ) -> None:
        self.number = number
        self.account = account
        self.product = product
        self.attributes = attributes
        self.asset = asset
        self.used = used  # None where the estimate cost nothing
        self.slices = slices
        self.amount = sum([piece.amount for piece in slices])
        self.authorized_at = authorized_at
        self.expires_at = expires_at


class SettledHold:
    """What remains of a hold for the dedupe window: how it ended, what it reserved, and what a late
    capture needs."""

    __slots__ = (
        "account",
        "amount",
        "asset",
        "attributes",
        "ended",
        "number",
        "product",
        "settled_at",
    )

    def __init__(self, hold: Hold, ended: int, settled_at: int) -> None:
        self.number = hold.number
        self.account = hold.account
        self.product = hold.product
        self.attributes = hold.attributes
        self.asset = hold.asset
        self.amount = hold.amount
        self.ended = ended
        self.settled_at = settled_at


TIMER_HOLD = 1
TIMER_GRANT = 2

HOLD_CAPTURED = 1
HOLD_RELEASED = 2
HOLD_EXPIRED = 3


class Account:
    """One account of a family, with what its decisions need."""

    __slots__ = (
        "active",
        "advance",
        "card_key",
        "children",
        "closed_at",
        "created_at",
        "depth",
        "grants",
        "holds",
        "next_due",
        "number",
        "overage",
        "overage_pending",
        "overage_posted",
        "parent",
        "policy",
        "root",
        "suspended",
        "tenant",
        "totals",
        "version",
    )

    def __init__(
        self,
        tenant: int,
        number: int,
        root: int,
        parent: Account | None,
        policy: Policy,
        created_at: int,
    ) -> None:
        self.tenant = tenant
        self.number = number
        self.root = root
        self.parent = parent
        self.depth: int = parent.depth + 1 if parent is not None else 1
        self.policy = policy
        self.version = 1
        self.created_at = created_at
        self.closed_at = 0
        self.children: list[Account] = []
        self.grants: list[Grant] = []
        self.active: dict[int, list[Grant]] = {}  # asset -> grants with units left, in order
        self.holds: dict[int, Hold] = {}
        self.totals: dict[tuple[int, int], int] = {}  # (price row, period) -> quantity, rule R1
        self.advance: dict[int, Book] = {}  # asset -> book
        self.overage: dict[int, Book] = {}  # asset -> book billed to this account
        self.overage_posted: dict[int, int] = {}  # period -> what this account's usage put there
        self.overage_pending = 0
        self.suspended = 0  # usage events with an unrated quantity
        self.next_due: int = NEVER
        self.card_key: tuple[int, str] = (tenant, "default")


class Family:
    """What the accounts under one root share."""

    __slots__ = ("grant_keys", "next_ordinal", "root")

    def __init__(self, root: int) -> None:
        self.root = root
        self.next_ordinal = 1
        self.grant_keys: dict[bytes, int] = {}  # permanent external keys -> grant (rule I5)


class State:
    """All that one shard knows."""

    __slots__ = (
        "accounts",
        "batch_length",
        "batch_seq",
        "books",
        "catalog",
        "configuration",
        "declared",
        "entry_seq",
        "epoch",
        "families",
        "grants",
        "holds",
        "house",
        "keys",
        "months",
        "next_book",
        "next_grant",
        "next_hold",
        "recorded_at",
        "settled_holds",
        "shard",
        "timers",
        "vocabulary",
    )

    def __init__(self, shard: int, catalog: Catalog) -> None:
        self.shard = shard
        self.catalog = catalog
        self.epoch = 0
        self.batch_seq = 0
        self.batch_length = 0  # entries in the batch so far
        self.entry_seq = 0  # entries in all batches so far: the next entry's number
        self.recorded_at = 0
        self.books = Books()
        self.accounts: dict[int, Account] = {}
        self.families: dict[int, Family] = {}
        self.grants: dict[int, Grant] = {}
        self.holds: dict[int, Hold] = {}
        self.settled_holds: dict[int, SettledHold] = {}
        self.house: dict[tuple[int, int, int, str], Book] = {}  # tenant, kind, asset, name
        self.configuration: dict[int, int] = {}  # tenant -> version
        self.keys = KeyMap()
        self.timers: list[tuple[int, int, int]] = []  # heap of (due, 1 hold | 2 grant, number)
        self.next_book = 1
        self.next_grant = 1
        self.next_hold = 1
        self.vocabulary: dict[PlanDeclared, int] = {}  # this batch's plans -> their index
        self.declared: dict[int, PlanDeclared] = {}  # and back
        self.months = Months()

    def begin_batch(self, batch_seq: int, recorded_at: int) -> None:
        """Move to the next batch: its entries share one recorded time (rule T5)."""
        assert batch_seq == self.batch_seq + 1, (batch_seq, self.batch_seq)
        assert recorded_at > self.recorded_at, (recorded_at, self.recorded_at)
        self.batch_seq = batch_seq
        self.recorded_at = recorded_at
        self.batch_length = 0
        self.vocabulary = {}
        self.declared = {}
        self.keys.rotate(recorded_at)
        while self.settled_holds:
            oldest = next(iter(self.settled_holds))
            if self.settled_holds[oldest].settled_at > recorded_at - DEDUPE_WINDOW_US:
                break
            del self.settled_holds[oldest]

    def postpone_batch(self, recorded_at: int) -> None:
        """Move a batch that is still empty on to the present time."""
        assert self.batch_length == 0, self.batch_length
        assert recorded_at > self.recorded_at, (recorded_at, self.recorded_at)
        self.recorded_at = recorded_at

    def rebuild_timers(self) -> None:
        """Forget the timers of what is settled: after a replay, before the first sweep."""
        live = [(hold.expires_at, TIMER_HOLD, hold.number) for hold in self.holds.values()]
        live += [
            (grant.expires_at + PERIOD_GRACE_US, TIMER_GRANT, grant.number)
            for grant in self.grants.values()
            if grant.expires_at != NEVER and not grant.settled
        ]
        self.timers = sorted(live)

    @property
    def locator(self) -> int:
        """Locator of the entry that comes next."""
        return self.batch_seq << LOCATOR_INDEX_BITS | self.batch_length

    def house_book(self, tenant: int, kind: BookKind, asset: int, name: str) -> Book | None:
        """A tenant's house account on this shard, if it is open (rule B7)."""
        return self.house.get((tenant, kind, asset, name))
