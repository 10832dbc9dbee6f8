"""Fixed charges of an account."""

from __future__ import annotations

import msgspec

from ledger.core.commands.base import NO_NAMES, Names
from ledger.core.events import ChargeTerms, Timing


class StartCharge(msgspec.Struct, gc=False):
    """Charge the same every period, or once. `name` is new among the account's charges."""

    key: bytes
    account: int
    name: str
    terms: ChargeTerms
    quantity: int
    starts_at: int = 0  # 0 = the writer's clock
    ends_at: int = 0  # 0 = it goes on
    names: Names = NO_NAMES
    trace: bytes = b""


class ChangeQuantity(msgspec.Struct, gc=False):
    """Charge for so many from now or from the next period on; `expected_version` 0 = whatever it
    is."""

    key: bytes
    account: int
    charge: int
    quantity: int
    timing: Timing
    expected_version: int = 0
    names: Names = NO_NAMES
    trace: bytes = b""


class ChangeTerms(msgspec.Struct, gc=False):
    """Replace the terms from the next period on; `expected_version` 0 = whatever it is."""

    key: bytes
    account: int
    charge: int
    terms: ChargeTerms
    expected_version: int = 0
    names: Names = NO_NAMES
    trace: bytes = b""


class EndCharge(msgspec.Struct, gc=False):
    """Charge nothing after the present period, or from now on."""

    key: bytes
    account: int
    charge: int
    timing: Timing
    names: Names = NO_NAMES
    trace: bytes = b""
