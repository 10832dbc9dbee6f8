"""Mandates: what an agent may spend of whose account, on what, until when, and what it may buy
(rules H4, F1)."""

from __future__ import annotations

from typing import Final

import msgspec

from ledger.core.events.base import Fact

MANDATE_BUDGET: Final = "mandate"
"""The name of the budget that an account with a mandate has: what it may spend in all."""


class MandateTerms(msgspec.Struct, frozen=True, array_like=True):
    """What a mandate allows: usage that is charged in `asset`, `budget` units of it in all.

    Of one of `products`, () = any, with all of `attributes`; no request costs more than
    `price_max`, 0 = no limit of its own. Nothing is allowed from `expires_at` on, 0 = it never
    ends by itself.
    """

    asset: int
    budget: int
    products: tuple[str, ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()
    price_max: int = 0
    expires_at: int = 0


class PurchaseTerms(msgspec.Struct, frozen=True, array_like=True):
    """What an agent may have its payer buy: units of the mandate's asset, for `limit` minor units
    of `price_asset` in all.

    A unit costs numerator / denominator minor units of that money, which whoever grants the mandate
    says, never the agent. `source`: where the payment comes from, as for a top-up rule.
    """

    limit: int = 0
    price_asset: int = 0
    price_numerator: int = 0
    price_denominator: int = 1
    source: str = ""


class MandateGranted(Fact, frozen=True, tag=178):
    """The account is an agent's, within these terms and those of every mandate above it.

    What it may spend in all is a budget of its own, whose entry stands right before.
    """

    key: bytes
    account: int
    terms: MandateTerms
    trace: bytes = b""


class BuyingMandateGranted(MandateGranted, frozen=True, tag=180):
    """The same of an agent that may request top-ups, within `purchase` of its own and of every
    mandate above it."""

    purchase: PurchaseTerms = PurchaseTerms()


class PurchaseRequested(Fact, frozen=True, tag=181):
    """An agent asked for `amount` units: the entry before issued them as `grant` of `payer`, which
    waits for `price_paid` (rule F1).

    `counted` are the accounts whose mandates count it, the agent's own first: what is never paid of
    it, they count no more.
    """

    key: bytes
    account: int
    payer: int
    grant: int
    asset: int
    amount: int
    price_paid: int
    price_asset: int
    counted: tuple[int, ...]
    trace: bytes = b""


class MandateRevoked(Fact, frozen=True, tag=179):
    """Nothing new is allowed to the account, nor to those below it; holds that are open settle."""

    key: bytes
    account: int
    note: str = ""
    trace: bytes = b""
