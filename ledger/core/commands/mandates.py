"""Mandates: granted, also by an agent to its own sub-agents, and revoked; what an agent buys."""

from __future__ import annotations

import msgspec

from ledger.core.commands.base import NO_NAMES, Names
from ledger.core.events import MandateTerms, PurchaseTerms


class GrantMandate(msgspec.Struct, gc=False):
    """Bind an account to what its agent may do; below another mandate, to no more than that."""

    key: bytes
    account: int
    terms: MandateTerms
    names: Names = NO_NAMES
    trace: bytes = b""
    purchase: PurchaseTerms | None = None  # None: it buys nothing


class RevokeMandate(msgspec.Struct, gc=False):
    """Allow the account, and those below it, nothing new from the next decision on."""

    key: bytes
    account: int
    note: str = ""
    names: Names = NO_NAMES
    trace: bytes = b""


class RequestTopUp(msgspec.Struct, gc=False):
    """Ask, as the agent of the account, that its payer buys units of the mandate's asset."""

    key: bytes
    account: int
    asset: int
    amount: int
    names: Names = NO_NAMES
    trace: bytes = b""
