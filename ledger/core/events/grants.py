"""Grants and how they end (rules B2 to B5, T3)."""

from __future__ import annotations

from enum import IntEnum

import msgspec

from ledger.core.events.base import Backfill, Fact
from ledger.core.events.caps import Sharing


class GrantKind(IntEnum):
    """Where a grant's units come from (rule B3): funding when paid for, promotion when free, a
    commitment when they are to be billed."""

    PREPAID = 1
    PROMOTIONAL = 2
    POSTPAID = 3  # a commitment: its draws are billed, and its rest by a true-up
    ALLOWANCE = 4  # comes with a fee, of which its price is a share (rule B5)


class Rollover(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What becomes of a grant's unheld rest at its expiry: a new grant (rule T3)."""

    numerator: int  # of the fraction that moves, from 0 to the denominator
    denominator: int
    cap: int = -1  # units that move at most; -1 = no cap
    lifetime: int = 0  # of the new grant, from the old one's expiry; 0 = it never expires
    again: bool = False  # whether the new grant rolls over in its turn


class GrantIssued(Fact, frozen=True, tag=23):
    """Units credited to a grant: debit `funding_book`, credit `book` (rule B3).

    The funding is a book of what was paid for, given away or committed; or the grant that it was
    part of (`origin`), with its share of the price. `price_paid` P in minor units of `price_asset`;
    P = 0 is free (rule B4). With a `deferred_book`, P moved there from `cash_book`. `pending`: not
    available before its payment is confirmed (rule F1).
    """

    key: bytes
    account: int
    grant: int
    ordinal: int
    kind: GrantKind
    asset: int
    amount: int
    price_paid: int
    price_asset: int
    priority: int
    effective_at: int
    expires_at: int  # 0 = never
    products: tuple[str, ...]  # with `tags`: what it may pay for; () and () = every product
    external_key: bytes
    book: int
    funding_book: int
    effective_given: int = 0
    backfills: tuple[Backfill, ...] = ()
    tags: tuple[str, ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()  # that the usage must bear, all of them
    shared: bool = False  # with the account's whole subtree (rule D1)
    pending: bool = False
    scheduled: bool = False  # it takes effect later, by an entry of its own
    rollover: Rollover | None = None
    metadata: tuple[tuple[str, str], ...] = ()
    cash_book: int = 0
    deferred_book: int = 0  # for a commitment: the payer's unbilled
    origin: int = 0
    source: str = ""  # as the caller named it
    trace: bytes = b""
    sharing: Sharing | None = None  # where it is shared with some only; None = as `shared` says


class GrantStarted(Fact, frozen=True, tag=29):
    """A grant that was issued ahead takes effect, and repays what is owed by then (rule H6)."""

    account: int
    grant: int
    backfills: tuple[Backfill, ...] = ()


class GrantRolledOver(Fact, frozen=True, tag=24):
    """A grant has expired and its unheld rest, as far as its terms say, is issued anew by the next
    entry: `amount` units with `value` of its price (rule T3). Again for what a hold gives back.
    """

    account: int
    grant: int
    amount: int
    value: int = 0


class GrantRolloverSet(Fact, frozen=True, tag=160):
    """A segment that ends as its contract is renewed rolls over, into a commitment of the new term:
    that rollover follows, as one of terms that it always had (rules P5, T3). It stands before the
    renewal."""

    account: int
    grant: int
    rollover: Rollover
    commitment: int


class GrantReleased(Fact, frozen=True, tag=25):
    """A payment for a pending grant is confirmed: its share is posted (rule F1).

    Money: debit `cash_book`, credit the grant's deferred. `rest` = 1: all that was left of the
    price was asked for.
    """

    key: bytes
    account: int
    grant: int
    amount: int
    payment: int
    cash_book: int
    backfills: tuple[Backfill, ...] = ()
    rest: int = 0
    trace: bytes = b""


class GrantCancelled(Fact, frozen=True, tag=28):
    """The payment of a pending grant failed, or did not come in time: what pends is taken back
    (rule F1). `unpaid` is its share of the price. Without a `key` it is time that did it."""

    key: bytes
    account: int
    grant: int
    amount: int
    unpaid: int
    whole: bool  # nothing of it was ever paid: the grant ends
    trace: bytes = b""


class GrantVoided(Fact, frozen=True, tag=26):
    """The issue reversed for what is left and not held: debit grant, credit funding (rule B3).

    Money, of the grant's deferred: `refunded` to cash, `breakage` to breakage (rules B4, F2).
    Without a `key` it is the part that a hold gave back after the void (rule D6).
    """

    key: bytes
    account: int
    grant: int
    amount: int
    refunded: int = 0
    cash_book: int = 0
    breakage: int = 0
    breakage_book: int = 0
    forfeit: bool = False  # nothing is refunded
    trace: bytes = b""


class GrantExpired(Fact, frozen=True, tag=27):
    """Breakage at expiry + grace: debit grant, credit forfeited (rules B3, T3); of a commitment,
    its true-up: debit grant, credit true_up (rule D7).

    Money: debit the grant's deferred or the payer's unbilled, credit breakage. Again for what a
    hold gives back later (rule D6).
    """

    account: int
    grant: int
    amount: int
    forfeited_book: int
    value: int = 0
    breakage_book: int = 0


class GrantReduced(Fact, frozen=True, tag=76):
    """A part of a grant taken back: debit grant, credit funding (rules B3, S1).

    What a recurring grant had issued for the time after its end; never what is drawn or held. Its
    share of the price goes back from deferred to `cash_book`.
    """

    account: int
    grant: int
    amount: int
    refunded: int = 0
    cash_book: int = 0
