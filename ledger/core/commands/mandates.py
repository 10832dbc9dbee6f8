"""Mandates: granted, also by an agent to its own sub-agents, and revoked."""

from __future__ import annotations

import msgspec

from ledger.core.commands.base import NO_NAMES, Names
from ledger.core.events import MandateTerms


class GrantMandate(msgspec.Struct, gc=False):
    """Bind an account to what its agent may do; below another mandate, to no more than that."""

    key: bytes
    account: int
    terms: MandateTerms
    names: Names = NO_NAMES
    trace: bytes = b""


class RevokeMandate(msgspec.Struct, gc=False):
    """Allow the account, and those below it, nothing new from the next decision on."""

    key: bytes
    account: int
    note: str = ""
    names: Names = NO_NAMES
    trace: bytes = b""
