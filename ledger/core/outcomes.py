"""Outcomes are values: what `decide` answers instead of events when it refuses or remembers.

A refusal is data with a stable reason; it changes nothing. An exception in this package means a
bug or a broken journal, never bad input.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec


class Reason(StrEnum):
    """Stable reason codes, in the order in which `decide` checks them. Never reused or renamed."""

    CONFLICT = "CONFLICT"
    ABANDONED = "ABANDONED"
    KEYS_EXHAUSTED = "KEYS_EXHAUSTED"
    BATCH_FULL = "BATCH_FULL"
    ACCOUNT_UNKNOWN = "ACCOUNT_UNKNOWN"
    ACCOUNT_EXISTS = "ACCOUNT_EXISTS"
    PARENT_UNKNOWN = "PARENT_UNKNOWN"
    ACCOUNT_CLOSED = "ACCOUNT_CLOSED"
    ACCOUNT_FROZEN = "ACCOUNT_FROZEN"
    ACCOUNT_NOT_FROZEN = "ACCOUNT_NOT_FROZEN"
    ACCOUNT_NOT_CLOSED = "ACCOUNT_NOT_CLOSED"
    REOPENINGS_LIMIT = "REOPENINGS_LIMIT"
    DEPTH_EXCEEDED = "DEPTH_EXCEEDED"
    VERSION_MISMATCH = "VERSION_MISMATCH"
    ACCOUNT_NOT_EMPTY = "ACCOUNT_NOT_EMPTY"
    GRANT_UNKNOWN = "GRANT_UNKNOWN"
    GRANT_SETTLED = "GRANT_SETTLED"
    GRANT_KEY_TAKEN = "GRANT_KEY_TAKEN"
    PAYMENT_LATE = "PAYMENT_LATE"
    PAYMENT_NOT_AWAITED = "PAYMENT_NOT_AWAITED"
    NOT_PAID = "NOT_PAID"
    CHARGED_BACK = "CHARGED_BACK"
    CURRENCY_DIFFERS = "CURRENCY_DIFFERS"
    REFUND_TOO_LARGE = "REFUND_TOO_LARGE"
    AMOUNT_EXCEEDS_OWED = "AMOUNT_EXCEEDS_OWED"
    NOTHING_OWED = "NOTHING_OWED"
    RECURRING_UNKNOWN = "RECURRING_UNKNOWN"
    RECURRING_ENDED = "RECURRING_ENDED"
    RECURRING_PAUSED = "RECURRING_PAUSED"
    RECURRING_NOT_PAUSED = "RECURRING_NOT_PAUSED"
    RECURRING_KEY_TAKEN = "RECURRING_KEY_TAKEN"
    RECURRING_LIMIT = "RECURRING_LIMIT"
    COMMITMENT_UNKNOWN = "COMMITMENT_UNKNOWN"
    COMMITMENT_ENDED = "COMMITMENT_ENDED"
    COMMITMENT_KEY_TAKEN = "COMMITMENT_KEY_TAKEN"
    COMMITMENTS_LIMIT = "COMMITMENTS_LIMIT"
    COMMITMENT_INVALID = "COMMITMENT_INVALID"
    SEGMENT_INVALID = "SEGMENT_INVALID"
    SEGMENTS_OVERLAP = "SEGMENTS_OVERLAP"
    INVOICES_INVALID = "INVOICES_INVALID"
    TERMS_FIXED = "TERMS_FIXED"
    HOLD_UNKNOWN = "HOLD_UNKNOWN"
    HOLD_SETTLED = "HOLD_SETTLED"
    HOLD_LIFETIME_INVALID = "HOLD_LIFETIME_INVALID"
    HOLDS_LIMIT = "HOLDS_LIMIT"
    ASSET_UNKNOWN = "ASSET_UNKNOWN"
    GATE_INVALID = "GATE_INVALID"
    ROLLOVER_INVALID = "ROLLOVER_INVALID"
    AMOUNT_INVALID = "AMOUNT_INVALID"
    EXPIRY_INVALID = "EXPIRY_INVALID"
    START_INVALID = "START_INVALID"
    END_INVALID = "END_INVALID"
    PERIOD_INVALID = "PERIOD_INVALID"
    ANCHOR_INVALID = "ANCHOR_INVALID"
    ZONE_UNKNOWN = "ZONE_UNKNOWN"
    QUANTITY_INVALID = "QUANTITY_INVALID"
    QUANTITIES_ALL_ZERO = "QUANTITIES_ALL_ZERO"
    IN_FUTURE = "IN_FUTURE"
    TOO_OLD = "TOO_OLD"
    CORRECTION_TOO_OLD = "CORRECTION_TOO_OLD"
    CORRECTION_TOO_LARGE = "CORRECTION_TOO_LARGE"
    CORRECTIONS_LIMIT = "CORRECTIONS_LIMIT"
    NOT_REVERSIBLE = "NOT_REVERSIBLE"
    SUBSET_EXCEEDS_PARENT = "SUBSET_EXCEEDS_PARENT"
    OVERFLOW = "OVERFLOW"
    UNPRICED = "UNPRICED"
    INSUFFICIENT_CREDITS = "INSUFFICIENT_CREDITS"
    LINKED_RECORDED = "LINKED_RECORDED"
    LINKED_FAMILIES = "LINKED_FAMILIES"
    LINKED_TOO_OLD = "LINKED_TOO_OLD"
    LINKED_FAILED = "LINKED_FAILED"


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """Nothing was recorded and nothing changed; `field` and `value` say what was wrong."""

    reason: Reason
    field: str = ""
    value: str = ""
    message: str = ""


class Known(msgspec.Struct, frozen=True, gc=False):
    """The identity was recorded before: the entry at `locator` is the answer (rule I1)."""

    locator: int


LOCATOR_INDEX_BITS: Final = 20  # a batch holds fewer than 1,048,576 entries
LOCATOR_INDEX_MASK: Final = (1 << LOCATOR_INDEX_BITS) - 1


def locator_of(batch_seq: int, index: int) -> int:
    """Where an entry stands: its batch and its index there, in one integer."""
    return batch_seq << LOCATOR_INDEX_BITS | index


def split_locator(locator: int) -> tuple[int, int]:
    """(batch_seq, index) of a locator."""
    return locator >> LOCATOR_INDEX_BITS, locator & LOCATOR_INDEX_MASK
