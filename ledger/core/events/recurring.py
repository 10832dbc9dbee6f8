"""Recurring grants and their periods (rules T1, S1)."""

from __future__ import annotations

from enum import IntEnum

import msgspec

from ledger.core.events.base import Fact, PeriodUnit
from ledger.core.events.grants import GrantKind, Rollover


class Proration(IntEnum):
    """Which part of a recurring grant's periods is issued by its share of the time (rule S1)."""

    NONE = 1
    FIRST = 2  # where it starts or is resumed within a period
    LAST = 3  # where it ends within a period
    BOTH = 4


class Timing(IntEnum):
    """When a change or the end of a recurring grant takes effect (rule T1)."""

    NEXT_PERIOD = 1
    NOW = 2


class RecurringTerms(msgspec.Struct, frozen=True, array_like=True):
    """What a recurring grant issues for a whole period, and what its periods are (rules T1, B5).

    Recorded whole, versioned. Period 0 holds the anchor; a zone of "" is the account's.
    """

    kind: GrantKind
    asset: int
    amount: int
    price_paid: int
    price_asset: int
    priority: int
    products: tuple[str, ...]
    unit: PeriodUnit
    every: int
    anchor: int  # 0 = where it starts
    zone: str
    proration: Proration
    expires_after: int  # microseconds from the period's end to the expiry of its grant
    tags: tuple[str, ...] = ()  # with `products`: what its grants may pay for
    attributes: tuple[tuple[str, str], ...] = ()  # that the usage must bear, all of them
    shared: bool = False  # with the account's whole subtree (rule D1)
    rollover: Rollover | None = None  # of what is left when a grant expires (rule T3)
    metadata: tuple[tuple[str, str], ...] = ()  # of every grant
    source: str = ""  # whence the money of a paid grant comes


class RecurringStarted(Fact, frozen=True, tag=70):
    """An account is to be granted the same again every period, from `starts_at` on."""

    key: bytes
    account: int
    recurring: int
    terms: RecurringTerms
    external_key: bytes
    starts_at: int
    ends_at: int  # 0 = it goes on
    start_given: int = 0  # what the caller gave; 0 = the writer's clock
    trace: bytes = b""


class RecurringIssued(Fact, frozen=True, tag=71):
    """A period's grant, issued by the writer's clock, once; it follows the grant's own entry.

    [start, end) is the period, or the part of it in which the recurring grant runs. Of the terms of
    `version` it issued the share remaining / full (rule S1). `grant` 0 = that rounds to nothing.
    """

    account: int
    recurring: int
    version: int
    start: int
    end: int
    remaining: int
    full: int
    grant: int
    amount: int
    price_paid: int


class RecurringChanged(Fact, frozen=True, tag=72):
    """New terms. Now: more for the rest of the period is a grant of its own, just before this."""

    key: bytes
    account: int
    recurring: int
    terms: RecurringTerms
    timing: Timing
    version: int
    expected_version: int = 0
    remaining: int = 0
    full: int = 0
    grant: int = 0
    amount: int = 0
    price_paid: int = 0
    trace: bytes = b""


class RecurringPaused(Fact, frozen=True, tag=73):
    """Nothing is issued until it is resumed; what was issued stays."""

    key: bytes
    account: int
    recurring: int
    trace: bytes = b""


class RecurringResumed(Fact, frozen=True, tag=74):
    """The next period starts at `next_at`; those that passed meanwhile are left out."""

    key: bytes
    account: int
    recurring: int
    next_at: int
    trace: bytes = b""


class RecurringEnded(Fact, frozen=True, tag=75):
    """Nothing is issued from `ends_at` on."""

    key: bytes
    account: int
    recurring: int
    timing: Timing
    ends_at: int
    trace: bytes = b""
