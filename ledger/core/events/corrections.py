"""Corrections of usage and balances (rules D3, T2)."""

from __future__ import annotations

from enum import IntEnum

import msgspec

from ledger.core.events.base import Fact, ProviderCost, RowDraw, ScopedAdvance, Slice


class GivenBack(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One transfer of a reversal: debit the product's used book, credit `book` (rule D3).

    `drawn` is the book that the units had been drawn from, and `book` where they go: the same one,
    or a restored grant's, or where the rest of an ended grant went. `value` and `cost` are given
    back with them, the value by a debit of the product's revenue and a credit of `money_book` (0 =
    there is no money side). `debt` >= 0 is the run of an advance's debt that the units had been
    part of. Units that other usage had drawn, of another product or month than the entry's, say so:
    `used_book` is credited less, `revenue_book` has earned less, `period` is the month of overage
    (0 = those of the entry).
    """

    drawn: int
    book: int
    amount: int
    value: int = 0
    cost: int = 0
    debt: int = -1
    money_book: int = 0
    used_book: int = 0
    revenue_book: int = 0
    period: int = 0


class EndedGrants(IntEnum):
    """Where units go that had been drawn from a grant which has ended since (rule D3)."""

    RESTORE = 1  # to a new grant on its terms
    ONWARD = 2  # to where its rest went


class UsageReversed(Fact, frozen=True, tag=34):
    """Recorded usage given back, wholly or in part, last slice first (rules D3, R1).

    `original` is the entry that is corrected, as batch << 20 | index and as its number in the
    shard; `plan` its plan, said again. `quantities` are taken off it and `refunds` are what each
    line costs less, both parallel to the plan; with `as_charged` > 0 so much of the charge is given
    back and the quantities stay. `beyond` is the part that its own slices did not draw: what
    rounding had put on other events; `kept` is what its slices drew and was given back by hand
    before, so that it is not given twice. `moves` take rounding positions back, within the period
    that begins at `period`, where overage falls too. `suspended` = 1: it waits for a price no more.
    `whole` = 1: all that was left was asked for. `note` is the digest of reason and actor.
    `replaced_by` is the key of the usage event that stands in its place, `replacement` the digest
    of that event's body. Of usage that was rated after it had waited, the entries that rated it are
    given back first, each by an entry without a key before this one (rule B8); `apart` is what
    those give back in all. `scoped` takes back running totals of days and billing periods, and
    `draws` is what the rows with a running total have drawn less (below 0). `cost` is what the
    provider takes less by it, which `refund_cost` = 1 asks for; otherwise the work was done and its
    cost stays.
    """

    key: bytes
    account: int
    original: int
    original_entry: int
    effective_at: int
    plan: int
    quantities: tuple[int, ...]
    refunds: tuple[int, ...]
    used_book: int
    given_back: tuple[GivenBack, ...]
    period: int
    moves: tuple[tuple[int, int], ...] = ()
    as_charged: int = 0
    beyond: int = 0
    kept: int = 0
    suspended: int = 0
    whole: int = 0
    ended: EndedGrants = EndedGrants.RESTORE
    note: bytes = b""
    replaced_by: bytes = b""
    replacement: bytes = b""
    trace: bytes = b""
    apart: int = 0
    scoped: tuple[ScopedAdvance, ...] = ()
    draws: tuple[RowDraw, ...] = ()
    cost: ProviderCost | None = None
    refund_cost: int = 0
    counted_at: int = 0  # when the hold was authorised that it captured; 0 = at `effective_at`


class GrantRestored(Fact, frozen=True, tag=35):
    """A grant that takes what is given back to `of`, which has ended: on its terms (rule D3).

    `amount` is credited by the entry that follows; `price_paid` is the money that it takes back
    from what `of` had recognised.
    """

    account: int
    grant: int
    ordinal: int
    of: int
    amount: int
    price_paid: int
    expires_at: int  # 0 = never
    book: int
    deferred_book: int = 0  # 0 = it has no money side


class BalanceAdjusted(Fact, frozen=True, tag=37):
    """Units credited or debited by hand; `note` is the digest of why and by whom.

    A credit to a new free grant names the grant that was issued before it, by an entry of its own
    (`grant`, no transfer here). One to a grant that units had been drawn from is in `given_back`:
    debit the product's used book, credit the grant. A debit is in `slices`, drawn as by the product
    `adjustment`, overage in the `period` that begins there.
    """

    key: bytes
    account: int
    asset: int
    amount: int  # below 0 = debited
    grant: int = 0
    grant_given: int = 0  # 1 = the caller named it
    used_book: int = 0
    slices: tuple[Slice, ...] = ()
    given_back: tuple[GivenBack, ...] = ()
    period: int = 0
    expires_at: int = 0
    note: bytes = b""
    trace: bytes = b""


class AdjustmentNoted(Fact, frozen=True, tag=36):
    """An entry before it belongs to a closed period and counts in an open one (rule T2).

    `entry` is its index in the batch. Periods are named by their first instant.
    """

    account: int
    entry: int
    closed: int
    period: int
