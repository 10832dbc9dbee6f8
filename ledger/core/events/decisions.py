"""Decisions with what decided them: denials, debits, and holds for as much as is affordable."""

from __future__ import annotations

from enum import IntEnum

import msgspec

from ledger.core.events.holds import HoldAuthorized, QuotedDenied
from ledger.core.events.usage import UsageCosted


class LimitKind(IntEnum):
    """What decides that no more may run. Never reused or renamed."""

    GRANTS = 1  # what may pay for it is used up, and no debt follows
    OVERDRAFT = 2
    OVERAGE = 3  # its cap in the period
    CAP = 4  # on what the account may draw of grants above it
    BUDGET = 5
    GRACE = 6  # for a balance below zero
    PRICE = 7  # there is none
    SEAT = 8
    MARGIN = 9  # what its price is above its cost, where a policy asks for more
    OPERATION = 10  # the budget of one, or of one above it
    MANDATE = 12  # of an agent, or of one above it


class Limit(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The limit that decided, as it stood then.

    `account` is whose it is; `number` that of the grant that pays last, the cap or the budget, 0
    where it has none; `name` a budget's; of an operation's, the digest of
    the operation in hexadecimal digits. `left` is what was left of it, in what it counts.
    `retry_at`: the first instant at which more may be allowed, as far as it was known; 0 = unknown.
    `value`: that of a budget which counts each by itself; of an operation's, the version of the
    policy that gave it, () where it was set by hand. `shared` with others beyond its number.
    """

    kind: LimitKind
    account: int
    number: int = 0
    name: str = ""
    left: int = 0
    retry_at: int = 0
    value: tuple[str, ...] = ()
    shared: bool = False


class UpTo(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """As much of one quantity as is affordable was asked for: `minimum` to `maximum`."""

    quantity: str
    minimum: int
    maximum: int


class UsageDebited(UsageCosted, frozen=True, tag=163):
    """Work that was allowed and charged in one step: within every limit, unlike recorded usage.

    `up_to`: what was asked for, where `quantities` are as much of it as was affordable; then
    `limit` allowed no more, None where it is all.
    """

    policy_version: int = 0
    up_to: UpTo | None = None
    limit: Limit | None = None


class WorkDenied(QuotedDenied, frozen=True, tag=164):
    """A denial with the limit that decided it (rules D4, H4, I2). `debit`: it was to be charged at
    once, as part of `operation`; `quantities` are the most that was asked for."""

    limit: Limit | None = None
    up_to: UpTo | None = None
    debit: int = 0
    operation: bytes = b""


class HoldUpTo(HoldAuthorized, frozen=True, tag=165):
    """A hold for as much of one quantity as was affordable; `limit` allowed no more, None where it
    is all that was asked for."""

    up_to: UpTo | None = None
    limit: Limit | None = None
