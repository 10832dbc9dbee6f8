"""Policies of decisions: the rules of an account."""

from __future__ import annotations

import msgspec

from ledger.core.commands.base import NO_NAMES, Names
from ledger.core.events import PolicyRule


class SetDecisionPolicy(msgspec.Struct, gc=False):
    """Give an account these rules in the stead of those that it has; none = it goes by those above
    it again. `expected_version` 0 = whatever it is."""

    key: bytes
    account: int
    rules: tuple[PolicyRule, ...]
    expected_version: int = 0
    names: Names = NO_NAMES
    trace: bytes = b""
