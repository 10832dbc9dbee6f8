"""Conversions: what grants of a charge's own asset do not pay, paid in another (rules R5, B2)."""

from __future__ import annotations

from ledger.core.events.base import Fact, Slice
from ledger.core.events.corrections import GivenBack


class UsageConverted(Fact, frozen=True, tag=68):
    """The part of a usage event's charge that is paid in the settlement currency (rule R5).

    It stands right behind the usage, whose index in the batch is `entry`. The slice there of the
    pot CONVERTED, `units` of `source`, is worth `amount` of `target`: × numerator / denominator,
    by the rate of that version, half to even, each in minor units. Each slice here: debit its book,
    credit `book`, the product's conversion book of the target. `over_limit` landed by the excess.
    """

    account: int
    entry: int
    product: str
    source: int
    target: int
    version: int
    numerator: int
    denominator: int
    units: int
    amount: int
    book: int
    slices: tuple[Slice, ...]
    effective_at: int
    period: int
    over_limit: int = 0


class ConversionReversed(Fact, frozen=True, tag=69):
    """What a reversal gives back in the settlement currency, last slice first (rules D3, R5).

    `entry` is the index of the reversal in the batch, `original` the locator of the usage. `units`
    of the charge's asset went back to the conversion book. `kept` was given back by hand before.
    """

    account: int
    entry: int
    original: int
    product: str
    units: int
    target: int
    book: int
    given_back: tuple[GivenBack, ...]
    effective_at: int
    period: int
    kept: int = 0
