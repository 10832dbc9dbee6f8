"""Usage: recorded, or put aside (rules I1 to I4, D3)."""

from __future__ import annotations

from enum import IntEnum

from ledger.core.events.base import (
    Fact,
    ListedLine,
    ProviderCost,
    RowDraw,
    ScopedAdvance,
    Slice,
)
from ledger.core.events.policy import Excess


class Suspense(IntEnum):
    """Why a quantity could not be rated (rule B8). Never reused or renamed."""

    NONE = 0
    UNPRICED = 1
    NOT_ENTITLED = 2
    NO_CONTRACT = 3
    ATTRIBUTE_MISSING = 4
    ATTRIBUTE_NOT_NUMERIC = 5
    FORMULA_DIVISION_BY_ZERO = 6
    FORMULA_OVERFLOW = 7
    FORMULA_NEGATIVE = 8
    COST_MISSING = 9


class UsageRecorded(Fact, frozen=True, tag=31):
    """One usage event: rated, drawn down, and where it landed (rules B3, D3, D4, R1).

    `charges` stand parallel to the plan's quantities (-1 = in suspense). `advances` move running
    totals: (price row, quantity), within the period that begins at `period`. `over_limit` is
    the part that landed by the policy's `excess`. `hold` was settled by this event, if not 0.
    `suspense` says why the first quantity waits that does.
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

    @property
    def reasons(self) -> tuple[int, ...]:
        """Why each quantity waits, 0 = it does not; empty where all wait for the same reason."""
        return ()

    @property
    def scoped(self) -> tuple[ScopedAdvance, ...]:
        """How far running totals of days and billing periods move."""
        return ()

    @property
    def draws(self) -> tuple[RowDraw, ...]:
        """What rows with a running total drew: the parts of the slices that pay for their lines."""
        return ()

    @property
    def totals_before(self) -> tuple[int, ...]:
        """Where the totals stood that it moves; empty where that is not said."""
        return ()

    @property
    def listed(self) -> tuple[ListedLine, ...]:
        """Lines of rows with a list price."""
        return ()

    @property
    def cost(self) -> ProviderCost | None:
        """What the provider takes for it; None where its rate card names no card of costs."""
        return None


class UsageModeled(UsageRecorded, frozen=True, tag=39):
    """Usage with what only price models say of it (rules R1, B8), in the stead of a UsageRecorded.

    `reasons` stand parallel to the quantities: why each waits (0 = it does not), empty where all
    wait for the same reason. `scoped` moves running totals of days and billing periods. `draws` are
    the parts of the slices, in order, that pay for lines of rows with a running total.
    `totals_before` is where each of them stood, those of `advances` first, then those of `scoped`.
    `listed` are the lines with a list price: commitments pay for them first (rule R9).
    """

    reasons: tuple[int, ...] = ()
    scoped: tuple[ScopedAdvance, ...] = ()
    draws: tuple[RowDraw, ...] = ()
    totals_before: tuple[int, ...] = ()
    listed: tuple[ListedLine, ...] = ()


class SuspenseRated(UsageModeled, frozen=True, tag=48):
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


class UsageCosted(UsageModeled, frozen=True, tag=66):
    """Usage with what the provider takes for it, in the stead of the other two (rules B4, N3).

    The slices bear its known lines in proportion to their amounts. A charge of zero has no slices:
    its cost stands here alone.
    """

    cost: ProviderCost | None = None


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
