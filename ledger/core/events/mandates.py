"""Mandates: what an agent may spend of whose account, on what, until when (rule H4)."""

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


class MandateGranted(Fact, frozen=True, tag=178):
    """The account is an agent's, within these terms and those of every mandate above it.

    What it may spend in all is a budget of its own, whose entry stands right before.
    """

    key: bytes
    account: int
    terms: MandateTerms
    trace: bytes = b""


class MandateRevoked(Fact, frozen=True, tag=179):
    """Nothing new is allowed to the account, nor to those below it; holds that are open settle."""

    key: bytes
    account: int
    note: str = ""
    trace: bytes = b""
