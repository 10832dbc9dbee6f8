"""Usage: recorded, or put aside (rules I1 to I4, D3)."""

from __future__ import annotations

from enum import IntEnum

from ledger.core.events.base import Fact, Slice
from ledger.core.events.policy import Excess


class Suspense(IntEnum):
    """Why a quantity could not be rated (rule B8)."""

    NONE = 0
    UNPRICED = 1


class UsageRecorded(Fact, frozen=True, tag=31):
    """One usage event: rated, drawn down, and where it landed (rules B3, D3, D4, R1).

    `charges` stand parallel to the plan's quantities (-1 = in suspense). `advances` move rounding
    positions: (price row, quantity), within the period that begins at `period`. `over_limit` is
    the part that landed by the policy's `excess`. `hold` was settled by this event, if not 0.
    """

    key: bytes
    account: int
    effective_at: int
    plan: int
    quantities: tuple[int, ...]
    charges: tuple[int, ...]
    used_book: int
    slices: tuple[Slice, ...]
    period: int
    advances: tuple[tuple[int, int], ...] = ()
    over_limit: int = 0
    suspense: int = 0
    effective_given: int = 1
    hold: int = 0
    late: int = 0
    operation: bytes = b""
    personal: bytes = b""
    trace: bytes = b""


class SuspenseRated(UsageRecorded, frozen=True, tag=48):
    """What waited of a usage event for a price, rated now that it has one (rules B8, D5).

    Nobody asked for it, so it has no key. `original` is the usage event, as batch << 20 | index and
    as its number in the shard; `effective_at` is its time and `quantities` are all of it that were
    not reversed by now. `rated` are the places of those that this entry charges; in `charges` the
    others are 0, or -1 where they still wait. `settled` = 1: nothing of the event waits any more.
    """

    original: int = 0
    original_entry: int = 0
    rated: tuple[int, ...] = ()
    settled: int = 1


class UsageQuarantined(Fact, frozen=True, tag=32):
    """Older than the dedupe window: recorded and listed, never charged (rule I4)."""

    key: bytes
    account: int
    effective_at: int
    plan: int
    quantities: tuple[int, ...]
    reason: str
    operation: bytes = b""
    personal: bytes = b""
    trace: bytes = b""


class LimitExceeded(Fact, frozen=True, tag=33):
    """Recorded usage went over every limit by `amount` (rule D4); follows its usage event."""

    account: int
    asset: int
    amount: int
    excess: Excess
