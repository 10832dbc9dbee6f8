"""Top-ups: rules, and what became of a request."""

from __future__ import annotations

import msgspec

from ledger.core.commands.base import NO_NAMES, Names
from ledger.core.events import TopUpRule


class SetTopUpRule(msgspec.Struct, gc=False):
    """Give an account a rule for its asset, or another; `expected_version` 0 = whatever it is."""

    key: bytes
    account: int
    rule: TopUpRule
    expected_version: int = 0
    names: Names = NO_NAMES
    trace: bytes = b""


class RemoveTopUpRule(msgspec.Struct, gc=False):
    """Buy no more units of the asset; what was requested stays."""

    key: bytes
    account: int
    asset: int
    names: Names = NO_NAMES
    trace: bytes = b""


class ConfirmTopUp(msgspec.Struct, gc=False):
    """The charge of a requested top-up was made."""

    key: bytes
    account: int
    top_up: int
    names: Names = NO_NAMES
    trace: bytes = b""


class DeclineTopUp(msgspec.Struct, gc=False):
    """The charge of a requested top-up was refused."""

    key: bytes
    account: int
    top_up: int
    names: Names = NO_NAMES
    trace: bytes = b""
