"""What an account has: grants, what issues them, and what it owes.

Plain slotted objects that only `evolve` changes. What is reserved of them stands in `holds`.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias

from ledger.core.books import Book
from ledger.core.events import (
    CommitmentTerms,
    GrantKind,
    Invoice,
    RecurringTerms,
    Rollover,
    Sharing,
)
from ledger.core.limits import INT64_MAX, PAYMENT_WAIT_US

if TYPE_CHECKING:
    from ledger.core.seats.seats import Seat
    from ledger.core.state import Account

NEVER = INT64_MAX
"""An instant that does not come: the expiry of a grant without one."""


GrantOrder: TypeAlias = tuple[int | Fraction, ...]
"""What a comparator (rule D2) makes of a grant, once: lower draws first."""

GRANT_OPEN = 0
GRANT_VOIDED = 1
GRANT_EXPIRED = 2
GRANT_CANCELLED = 3  # its payment never came (rule F1)


class Grant:
    """Units that an account may draw, at a price paid (rules B3, B4)."""

    __slots__ = (
        "account",
        "after",
        "amount",
        "aside",
        "asset",
        "attributes",
        "book",
        "bought_by",
        "cancelled",
        "cash",
        "chained",
        "commitment",
        "effective_at",
        "expires_at",
        "external_key",
        "forfeit",
        "funding",
        "given_back",
        "issued_at",
        "kind",
        "limited",
        "metadata",
        "number",
        "order",
        "ordinal",
        "origin",
        "paid",
        "part_of",
        "price_asset",
        "price_paid",
        "priority",
        "products",
        "recognised",
        "recurring",
        "repaid",
        "returned",
        "rolled",
        "rolled_over",
        "rollover",
        "rolls_into",
        "scheduled",
        "seat",
        "settled",
        "shared",
        "shared_with",
        "sharing_version",
        "tags",
        "unpaid",
        "unused",
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
        tags: frozenset[str],
        attributes: frozenset[tuple[str, str]],
        shared: bool,
        rollover: Rollover | None,
        metadata: tuple[tuple[str, str], ...],
        cash: Book | None,
        origin: int,
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
        self.products = products  # with tags: what it may pay for; both empty = every product
        self.tags = tags
        self.attributes = attributes  # that usage must bear
        self.limited = bool(products or tags or attributes)
        self.shared = shared  # with accounts below its own: all, or those that `shared_with` says
        self.shared_with: Sharing | None = None
        self.sharing_version = 1
        self.aside = 0  # units that caps reserve for accounts below, and those have not drawn
        self.rollover = rollover
        self.metadata = metadata
        self.cash = cash  # the money book that its price came from; None = it has no money side
        self.origin = origin  # the grant that it was part of; 0 = none
        self.external_key = external_key
        self.book = book
        self.funding = funding
        self.issued_at = issued_at
        self.unused = 0  # units that left undrawn: voided, refunded, expired, rolled over
        self.given_back = 0  # units that were drawn and are here again (rule D3)
        # Part of the account's debt (run, product) -> units of it that this paid.
        self.repaid: dict[tuple[int, str], int] = {}
        self.cancelled = 0  # units that were never paid for (rule F1)
        self.returned = 0  # money that left with both
        self.recognised = 0  # money that draws have recognised
        self.paid = 0  # money in cash for it and for what it became (rules F1 to F3)
        self.unpaid = 0  # of its price: what is yet to be confirmed (rule F1)
        self.bought_by: tuple[int, ...] = ()  # accounts whose mandates count what is paid (rule F1)
        self.part_of: Grant | None = None  # what was paid for, where it is a part of that
        self.rolled = 0  # units of `unused` that rolled over
        self.rolled_over = False  # that has happened, with or without units
        self.rolls_into = 0  # the commitment that it rolls into, of its contract's next term
        self.scheduled = False  # it has yet to take effect, by an entry of its own
        self.settled = GRANT_OPEN
        self.recurring = 0  # the recurring grant that issued it
        self.seat: Seat | None = None  # that alone draws it (rule D1)
        self.commitment: Commitment | None = None  # whose segment it is (rule D7)
        self.forfeit = False  # it was voided without a refund
        self.chained = False  # whether it is among those of its account with units left
        self.order: GrantOrder | None = None  # where the account's comparator puts it
        self.after: Grant | None = None  # the next one of the account with units left

    @property
    def drawn(self) -> int:
        """Units that usage and backfill have taken, and not given back since."""
        return self.book.debits_posted - self.unused - self.given_back

    @property
    def whole(self) -> int:
        """Units that the rest of the price is for."""
        return self.amount - self.unused - self.cancelled

    @property
    def pending(self) -> int:
        """Units that wait for their payment (rule F1)."""
        return self.book.credits_pending

    def value_of(self, amount: int) -> int:
        """Money that drawing `amount` more units recognises (rule B4): exact over the grant.

        What left undrawn took its share of the price along: the rest is spread over the rest.
        """
        if self.price_paid == 0:
            return 0
        drawn = self.book.debits_posted - self.unused - self.given_back + amount
        return (self.price_paid - self.returned) * drawn // self.whole - self.recognised

    def share_of(self, amount: int) -> int:
        """Money that `amount` units take along that leave undrawn: at most P x left / A, rounded
        down (rules T3, F2); of all that is left, that and the rest is what `rest_of` says."""
        if self.price_paid == 0 or amount == 0:
            return 0
        return (self.price_paid - self.returned) * amount // self.whole

    def rest_of(self, amount: int, drawn: int = 0, value: int = 0) -> int:
        """Money that leaves with `amount` units: their share, or, where they are all that is left,
        the exact rest. `drawn` units of that `value` are drawn in the same decision."""
        if self.drawn + drawn + amount < self.whole - self.pending:
            return self.share_of(amount)
        return self.price_paid - self.unpaid - self.returned - self.recognised - value

    def dues(self) -> list[int]:
        """When time does something to it: it takes effect, its payment has not come, it rolls over,
        its grace ends (rules F1, T3)."""
        dues: list[int] = []
        if self.scheduled:
            dues.append(self.effective_at)
        if self.book.credits_pending:
            dues.append(self.issued_at + PAYMENT_WAIT_US)
        if self.expires_at != NEVER and not self.settled:
            if self.rollover is not None and not self.rolled_over:
                dues.append(self.expires_at)
            dues.append(self.breaks_at)
        return dues

    @property
    def breaks_at(self) -> int:
        """When what is left of it is posted as breakage: after its expiry and the grace that its
        account's policy gives late events (rules T2, T3)."""
        return self.expires_at + self.account.policy.period_grace


class Debt:
    """What an account's advance of one asset owes: by product, in runs that the grants that repaid
    it part.

    A run is named by the locator of the entry that repaid last before it (0 = none had). The oldest
    run is repaid first; within a run and a product it is all one (rules B3, D3, H6).
    """

    __slots__ = ("owed", "run", "since")

    def __init__(self) -> None:
        self.run = 0  # that new debt adds to
        self.since = 0  # when the balance fell below zero (rule H6); 0 = nothing is owed
        self.owed: dict[tuple[int, str], int] = {}  # (run, product) -> units, oldest first

    def add(self, product: str, amount: int, now: int) -> None:
        """More is owed."""
        if not self.owed:
            self.since = now
        part = (self.run, product)
        self.owed[part] = self.owed.get(part, 0) + amount

    def parts(self) -> list[tuple[str, int]]:
        """(product, units), oldest first; a product may come again in a later run."""
        return [(product, units) for (_, product), units in self.owed.items()]

    def repay(self, product: str, amount: int, locator: int) -> dict[tuple[int, str], int]:
        """The entry at `locator` repays the oldest of a product ("" = of any): how much of each."""
        repaid: dict[tuple[int, str], int] = {}
        for part in list(self.owed):
            if amount and product in ("", part[1]):
                taken = min(amount, self.owed[part])
                amount -= taken
                repaid[part] = taken
                self.take(part, taken)
        assert amount == 0, f"{amount} more is repaid than is owed for {product!r}"
        self.run = locator
        return repaid

    def take(self, part: tuple[int, str], amount: int) -> None:
        """So much less is owed of a part."""
        left = self.owed[part] - amount
        if left:
            self.owed[part] = left
        else:
            del self.owed[part]
            if not self.owed:
                self.since = 0


class Corrected:
    """How much of one usage event was given back: kept as long as it may be corrected (rule D3)."""

    __slots__ = ("amount", "as_charged", "effective_at", "quantities", "refunds")

    def __init__(
        self,
        effective_at: int,
        quantities: tuple[int, ...],
        amount: int,
        as_charged: int,
        refunds: tuple[int, ...] = (),
    ) -> None:
        self.effective_at = effective_at  # of the event
        self.quantities = quantities  # in all, parallel to its plan
        self.amount = amount  # of what its slices drew, from the last one on
        self.as_charged = as_charged  # the part of it for which no quantity was given back
        self.refunds = refunds  # of each line, parallel to the quantities


class RecurringGrant:
    """What an account is granted every period (rules T1, S1, B5), and how far it was issued."""

    __slots__ = (
        "account",
        "amount",
        "created_at",
        "ends_at",
        "external_key",
        "fresh",
        "full",
        "grants",
        "next_at",
        "next_terms",
        "number",
        "paused",
        "period_end",
        "period_start",
        "price_asset",
        "price_paid",
        "sharing",
        "starts_at",
        "terms",
        "version",
    )

    def __init__(
        self,
        number: int,
        account: Account,
        external_key: bytes,
        terms: RecurringTerms,
        starts_at: int,
        ends_at: int,
        created_at: int,
    ) -> None:
        self.number = number
        self.account = account
        self.external_key = external_key
        self.terms = terms
        self.next_terms: RecurringTerms | None = None  # from the next period on
        self.version = 1  # of the newest terms
        self.starts_at = starts_at
        self.ends_at = ends_at  # NEVER where it goes on
        self.created_at = created_at
        self.paused = False
        self.fresh = True  # nothing issued yet since it started or was resumed
        self.next_at = starts_at  # where the next period, or what is left of it, starts
        # The last period that was issued: its bounds, its full length, its grants, and what the
        # most generous terms of it give for a whole period.
        self.period_start = 0
        self.period_end = 0
        self.full = 0
        self.grants: tuple[int, ...] = ()
        self.amount = 0
        self.price_paid = 0
        self.price_asset = 0
        self.sharing: Sharing | None = None  # of its grants; None = as its terms say

    @property
    def due(self) -> int:
        """When it next issues; NEVER = not as things stand."""
        return NEVER if self.paused or self.next_at >= self.ends_at else self.next_at


class Commitment:
    """What an account is committed to (rule D7). Its segments are grants, in the order added."""

    __slots__ = (
        "account",
        "created_at",
        "ended_at",
        "ending",
        "external_key",
        "grants",
        "invoiced",
        "invoices",
        "moved_to",
        "number",
        "sharing",
        "terms",
    )

    def __init__(
        self,
        number: int,
        account: Account,
        external_key: bytes,
        terms: CommitmentTerms,
        invoices: tuple[Invoice, ...],
        created_at: int,
    ) -> None:
        self.number = number
        self.account = account
        self.external_key = external_key
        self.terms = terms
        self.invoices = invoices  # those that are due stand first, then by their time
        self.created_at = created_at
        self.grants: tuple[Grant, ...] = ()
        self.invoiced = 0  # how many invoices were posted
        self.ended_at = 0  # early; 0 = it was not
        self.ending = 0
        self.moved_to = 0  # the commitment that took its rest, where it was ended by transfer
        self.sharing: Sharing | None = None  # of its segments; None = as its terms say

    @property
    def due(self) -> int:
        """When its next invoice is posted; NEVER = none is to come."""
        if self.ended_at or self.invoiced == len(self.invoices):
            return NEVER
        return self.invoices[self.invoiced].at

    @property
    def ends_at(self) -> int:
        """When its last segment ends."""
        return max(grant.expires_at for grant in self.grants)

    def take(self, grant: Grant) -> None:
        """One more segment."""
        self.grants = (*self.grants, grant)
        grant.commitment = self

    def plan(self, invoices: tuple[Invoice, ...]) -> None:
        """More invoices, in their place among those that are to come."""
        to_come = sorted([*self.invoices[self.invoiced :], *invoices], key=_at)
        self.invoices = (*self.invoices[: self.invoiced], *to_come)

    def is_over(self, now: int) -> bool:
        """Whether nothing may be asked of it any more."""
        return self.ended_at > 0 or (self.ends_at <= now and self.due == NEVER)


def _at(invoice: Invoice) -> int:
    return invoice.at


TOP_UP_PENDING = 1
TOP_UP_CONFIRMED = 2
TOP_UP_DECLINED = 3
TOP_UP_EXPIRED = 4


class TopUp:
    """A charge that was asked for (rule H6), and what became of it."""

    __slots__ = (
        "account",
        "amount",
        "asset",
        "available",
        "expires_at",
        "grant",
        "number",
        "price_asset",
        "price_paid",
        "requested_at",
        "settled_at",
        "source",
        "state",
        "version",
    )

    def __init__(
        self,
        number: int,
        account: Account,
        asset: int,
        amount: int,
        price_paid: int,
        price_asset: int,
        source: str,
        version: int,
        available: int,
        requested_at: int,
        expires_at: int,
    ) -> None:
        self.number = number
        self.account = account
        self.asset = asset
        self.amount = amount
        self.price_paid = price_paid
        self.price_asset = price_asset
        self.source = source
        self.version = version  # of the rule
        self.available = available  # as it was asked for
        self.requested_at = requested_at
        self.expires_at = expires_at
        self.state = TOP_UP_PENDING
        self.settled_at = 0
        self.grant = 0  # that it was confirmed by

    def remembered(self, settled_before: int) -> bool:
        """Whether it may still be asked for."""
        return self.state == TOP_UP_PENDING or self.requested_at > settled_before
