"""Quotes that bind: made, used by usage, expired (rule H9)."""

from __future__ import annotations

from enum import IntEnum

import msgspec

from ledger.core.events.base import Fact
from ledger.core.events.usage import UsageCosted
from rating.overrides import NumberedOverride


class QuoteUnused(IntEnum):
    """Why usage that names a quote is not priced by it. Never reused or renamed."""

    NONE = 0  # it is
    QUOTE_UNKNOWN = 1
    QUOTE_OTHER_WORK = 2  # another product or other attributes
    QUOTE_EXPIRED = 3
    QUOTE_USED = 4
    QUOTE_HELD = 5  # a hold reserves it: only that hold's capture uses it


class QuotedPart(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What of a usage event a quote prices, parallel to the event's quantities.

    `quantities` are without their subsets (rule R8), priced by `rows` of that version of the card,
    from `positions` (price row, quantity) on: where the running totals stood as it was quoted. So
    it is given back for what it was charged, whatever ran on since (rule R1).
    """

    rate_card: str
    card_version: int
    rows: tuple[int, ...]
    quantities: tuple[int, ...]
    charges: tuple[int, ...]
    positions: tuple[tuple[int, int], ...] = ()
    overrides: tuple[NumberedOverride | None, ...] = ()  # as of a PlanOverridden


class UsageQuoted(UsageCosted, frozen=True, tag=59):
    """Usage that names a quote, also where it captures a hold (rule H9).

    The entry's charges and advances are of the whole; `part` is what the quote prices, the rest is
    priced by `plan`. Without a part it is priced as any usage, and `unused` says why.
    """

    quote: int = 0
    part: QuotedPart | None = None
    unused: QuoteUnused = QuoteUnused.NONE


class QuoteMade(Fact, frozen=True, tag=57):
    """A price is promised for one use until `expires_at`: rows, attributes and rate, not quantity
    (rule H9). `own` are the quantities without their subsets; `positions` (price row, quantity) is
    where running totals stood. `lifetime` and `held` are as asked for; `hold` follows, if any.
    """

    key: bytes
    account: int
    quote: int
    plan: int
    quantities: tuple[int, ...]
    own: tuple[int, ...]
    charges: tuple[int, ...]
    positions: tuple[tuple[int, int], ...]
    tolerance: int  # basis points of each quantity that it prices
    tolerance_given: int  # as asked for; 0 = the default
    lifetime: int
    made_at: int
    expires_at: int
    hold: int = 0
    trace: bytes = b""


class QuoteExpired(Fact, frozen=True, tag=58):
    """Nobody used it in time, by the writer's clock (rule H9)."""

    account: int
    quote: int
