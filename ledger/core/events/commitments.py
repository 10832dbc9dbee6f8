"""Commitments: segments, early ends, invoices (rule D7)."""

from __future__ import annotations

from enum import IntEnum

import msgspec

from ledger.core.events.base import Fact
from ledger.core.events.grants import GrantKind


class CommitmentEnding(IntEnum):
    """What becomes of the rest of a commitment that ends early (rule D7)."""

    TRUE_UP = 1  # of the segments that run: trued up now; of later ones: voided
    WAIVE = 2  # voided, without money
    TRANSFER = 3  # moved to another commitment, as segments of it


class CommitmentTerms(msgspec.Struct, frozen=True, array_like=True):
    """What every segment of a commitment has in common (rule D7): it never changes."""

    kind: GrantKind  # POSTPAID or PREPAID
    asset: int
    price_asset: int
    priority: int
    products: tuple[str, ...]
    tags: tuple[str, ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()
    shared: bool = False
    metadata: tuple[tuple[str, str], ...] = ()


class Segment(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A part of a commitment as it was asked for: a grant of its own (rule D7)."""

    starts_at: int  # 0 = the writer's clock
    ends_at: int
    amount: int
    price: int  # what the whole amount is billed at


class Invoice(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Money of a commitment that is to be billed at an instant (rule D7)."""

    at: int
    amount: int


class CommitmentCreated(Fact, frozen=True, tag=51):
    """A commitment; the grants of its segments stand just before, in the segments' order."""

    key: bytes
    account: int
    commitment: int
    terms: CommitmentTerms
    segments: tuple[Segment, ...]
    invoices: tuple[Invoice, ...]
    external_key: bytes
    grants: tuple[int, ...]
    trace: bytes = b""


class SegmentAdded(Fact, frozen=True, tag=52):
    """An upsize: one more segment, whose grant stands just before, and what is billed for it.

    With `of` it is what was left of the segment of that grant, of a commitment that was ended by
    transfer: voided just before, with the same money; or what of it rolled into the next term of
    its contract, just before. It follows that, or the hold that gave it back, and has no key.
    """

    key: bytes
    account: int
    commitment: int
    segment: Segment
    invoices: tuple[Invoice, ...]
    grant: int
    of: int = 0
    trace: bytes = b""


class CommitmentEnded(Fact, frozen=True, tag=53):
    """Nothing is drawn or invoiced from here on; what ends its grants follows, each by itself.

    `units` of the segments that run are trued up for `value` of money, or so much of all that have
    not ended moves to the commitment `target`, with the `invoices` that were to come; what a hold
    still reserves follows when it is settled (rule D6).
    """

    key: bytes
    account: int
    commitment: int
    ending: CommitmentEnding
    units: int = 0
    value: int = 0
    target: int = 0
    invoices: tuple[Invoice, ...] = ()
    trace: bytes = b""


class TrueUpCounted(Fact, frozen=True, tag=115):
    """What was trued up of the grant `of`, a segment of an account below, by an entry just before,
    counts toward this segment: so much of it is taken back, debit grant, credit what had funded it,
    and its share of the price, `refunded`, is not owed (rule D7). Of a prepaid one that goes back
    from deferred to `cash_book`, what is to be billed.
    """

    account: int
    grant: int
    amount: int
    refunded: int
    cash_book: int
    of: int


class InvoiceDue(Fact, frozen=True, tag=54):
    """An invoice of a commitment, by the writer's clock, once: debit receivable, credit unbilled
    (rules B4, D7)."""

    account: int
    commitment: int
    at: int
    asset: int
    amount: int
    receivable_book: int
    unbilled_book: int
