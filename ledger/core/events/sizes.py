"""Holds whose estimate was learned from usage: what was asked, and where the size is from."""

from __future__ import annotations

from enum import IntEnum

import msgspec

from ledger.core.events.decision_policies import PolicyDenied, PolicyHeld


class SizedBy(IntEnum):
    """Whose usage a quantity was learned of. Never reused or renamed."""

    NONE = 0  # too little was seen: the quantity is the caller's
    ACCOUNT = 1  # the account's, with these attributes
    ATTRIBUTES = 2  # the tenant's, with these attributes
    PRODUCT = 3  # the tenant's, of the product


class Sized(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What was learned of a quantity when it was asked for.

    `value`: that which `permille` of `observations` did not exceed, 0 where `by` is NONE; before
    floor and ceiling of the rule, and the caller's own quantity.
    """

    quantity: str
    by: SizedBy
    permille: int
    observations: int
    value: int


class HoldSized(PolicyHeld, frozen=True, tag=169):
    """A hold whose estimate comes from actual usage: `asked` is what the caller said, the most.

    `sizing_version`: of the tenant's configuration that chose it, 0 = there was none. `learned`:
    the call asked for it itself. `ruling`: what a decision policy made of it, None = it had no say;
    where it had other work run, `asked` and `sizes` are of that in whose stead it runs.
    """

    asked: tuple[int, ...] = ()
    sizes: tuple[Sized, ...] = ()
    sizing_version: int = 0
    learned: int = 0


class SizedDenied(PolicyDenied, frozen=True, tag=170):
    """The same, denied: `quantities` are what would have been held, or the most of it."""

    asked: tuple[int, ...] = ()
    sizes: tuple[Sized, ...] = ()
    sizing_version: int = 0
    learned: int = 0
