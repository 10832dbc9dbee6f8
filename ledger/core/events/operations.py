"""Operations: a budget over a whole user action, and holds that are part of one (rule H4, C12)."""

from __future__ import annotations

from typing import Final

from ledger.core.events.base import Fact
from ledger.core.events.budgets import BudgetTerms
from ledger.core.events.decision_policies import PolicyDebited, PolicyDenied, PolicyHeld
from ledger.core.events.sizes import HoldSized

RESERVED_QUANTITY: Final = "reserved"
"""The one quantity of the plan that a hold of an operation declares, which is of no product: units
of its asset, which no row prices."""


class OperationBudgetSet(Fact, frozen=True, tag=166):
    """An operation has a budget (`version` 1), or its limit, hardness or thresholds are others.

    `operation` is its digest, as of usage; `budget` the number of the budget in the shard, which is
    of `account` and binds the calls of that account and of those below it. It ends `idle`
    microseconds after the last call that counted in it, unless holds pend there.
    """

    key: bytes
    account: int
    budget: int
    operation: bytes
    terms: BudgetTerms
    idle: int
    version: int
    expected_version: int = 0
    trace: bytes = b""


class OperationHeld(PolicyHeld, frozen=True, tag=167):
    """A hold of work that is part of an operation: its digest, and behind it its parent's."""

    operation: bytes = b""


class OperationReserved(OperationHeld, frozen=True, tag=182):
    """A hold for the operation with all its calls: of no product, and of units that were asked for.
    What calls use is drawn from it, each at its own price."""


class HoldDebited(PolicyDebited, frozen=True, tag=183):
    """Work that was charged at once, of a hold of an operation first: `taken` is what it drew of
    each of the hold's slices, in the order in which they were held; () where it is priced in
    another asset. The hold stays open."""

    taken: tuple[int, ...] = ()


class HoldDebitDenied(PolicyDenied, frozen=True, tag=184):
    """Such work that was denied: neither the hold nor what else pays affords it, or a limit."""

    hold: int = 0


class SizedOperationHeld(HoldSized, frozen=True, tag=168):
    """The same, whose estimate comes from actual usage."""

    operation: bytes = b""


class OperationJoined(Fact, frozen=True, tag=190):
    """A call of the account has said that `operation` is below one that the budget covers: from now
    on the budget covers it, and what names it as a parent."""

    account: int
    budget: int
    operation: bytes
    entry: int  # of this batch, from which on it is covered


class OperationBudgetEnded(Fact, frozen=True, tag=191):
    """Nothing has counted in the budget of an operation for as long as it stands idle: it is kept
    no more, nor are the operations below it."""

    account: int
    budget: int
    operation: bytes
