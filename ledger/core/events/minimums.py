"""Minimums: what a period asks for at least, where less was charged (rules R2, S1)."""

from __future__ import annotations

from typing import ClassVar

from ledger.core.events.base import Fact, Slice


class MinimumsAwaited(Fact, frozen=True, tag=87):
    """A card of the tenant has minimums, for the first time: periods that end after `since`, which
    is the time by the tenant's clock, are looked at. Follows the configuration that says so."""

    account: ClassVar[int] = 0  # of none
    tenant: int
    since: int


class MinimumCharged(Fact, frozen=True, tag=86):
    """What one minimum of a card asks for at the end of an account's billing period (rule R2).

    Nobody asked for it, so it has no key; there is one for each minimum and period, met or not.
    `scope` is 1 for a line (product and quantity), 2 for a product, 3 for the account. `parts` are
    (minimum in force, microseconds) of the period from `start` to `end`; `minimum` is their share
    of `full`, a whole period, rounded once (rule S1). `charged` is what usage was charged in the
    period for that scope, with what minimums within it have added. The slices are the shortfall,
    none where there is none: drawn like usage of `product` ("minimum" for the account) at
    `effective_at`, the last instant of the period, overage in the month `period`; or with
    `cash_only` = 1 billed as overage in money. `last` = 1: the period is settled.
    """

    account: int
    card: str
    card_version: int
    scope: int
    product: str
    quantity: str
    asset: int
    start: int
    end: int
    full: int
    parts: tuple[tuple[int, int], ...]
    minimum: int
    charged: int
    used_book: int
    slices: tuple[Slice, ...]
    effective_at: int
    period: int
    over_limit: int = 0
    cash_only: int = 0
    last: int = 0
