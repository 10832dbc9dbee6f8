"""Holds, from authorisation to their one settlement (rules H1 to H3)."""

from __future__ import annotations

from enum import IntEnum

from ledger.core.events.base import Fact, Slice
from ledger.core.events.usage import UsageCosted


class HoldExpiry(IntEnum):
    """What becomes of a hold that nobody settles in time (rule H2)."""

    RELEASE = 1
    CHARGE = 2  # its estimate, as far as it was not captured


class UsageCaptured(UsageCosted, frozen=True, tag=44):
    """A capture that leaves its hold open (rule H1); the last one is a UsageRecorded.

    `taken` is what it drew of each of the hold's slices, in the order in which they were held;
    () where it came late.
    """

    taken: tuple[int, ...] = ()


class HoldCharged(UsageCosted, frozen=True, tag=46):
    """An expiry that charges what was estimated and not captured, and settles the hold (rule H2).

    Nobody asked for it, so it has no key; it is effective at the hold's expiry.
    """


class HoldAuthorized(Fact, frozen=True, tag=45):
    """Exact slices reserved as pending debits until `expires_at` (rule H1).

    `expiry` and `lifetime_max`, the longest that extending may make it live from here, are those
    of the product then. Its overage counts in the period that begins at `period`. `quote` prices
    its capture, if not 0; a hold that was made with its quote follows that entry, without a key.
    """

    key: bytes
    account: int
    hold: int
    plan: int
    quantities: tuple[int, ...]
    charges: tuple[int, ...]
    used_book: int
    slices: tuple[Slice, ...]
    effective_at: int
    expires_at: int
    lifetime: int
    lifetime_max: int
    expiry: HoldExpiry
    period: int
    policy_version: int
    trace: bytes = b""
    quote: int = 0


class HoldExtended(Fact, frozen=True, tag=47):
    """An open hold's expiry moved: `lifetime` from now, as it was asked for (rule H1)."""

    key: bytes
    account: int
    hold: int
    lifetime: int
    expires_at: int
    trace: bytes = b""


class AuthorizeDenied(Fact, frozen=True, tag=41):
    """A denial is an entry: a retry gets the same answer (rule I2)."""

    key: bytes
    account: int
    plan: int
    quantities: tuple[int, ...]
    charge: int
    available: int
    reason: str
    lifetime: int
    policy_version: int
    trace: bytes = b""


class QuotedDenied(AuthorizeDenied, frozen=True, tag=96):
    """A denial of what a quote prices (rule H9): `charge` is by the quote."""

    quote: int = 0


class HoldReleased(Fact, frozen=True, tag=42):
    """Every slice of the hold given back."""

    key: bytes
    account: int
    hold: int
    trace: bytes = b""


class HoldExpired(Fact, frozen=True, tag=43):
    """The same, by the writer's clock, as an entry of its own (rule H2)."""

    account: int
    hold: int
