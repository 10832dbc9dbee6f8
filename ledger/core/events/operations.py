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


class OperationPolicySet(Fact, frozen=True, tag=192):
    """What each operation of the account, and of those below it, may use that has no budget set by
    hand: it gets one of these terms by the first call that names it; None = the account has no such
    policy any more, and goes by that above it. `version` counts from 1 and goes on after a removal.
    """

    key: bytes
    account: int
    terms: BudgetTerms | None
    idle: int
    version: int
    expected_version: int = 0
    trace: bytes = b""


class PackageOperationsSet(Fact, frozen=True, tag=199):
    """What the account's package gives each operation for a budget from now on; None = it carries
    no such policy any more. It counts where the account has no policy of its own, before those
    above it (rule P1); `version` is that of the package, and of its budgets' policy."""

    account: int
    package: str
    version: int
    terms: BudgetTerms | None
    idle: int


class OperationBudgetBegun(Fact, frozen=True, tag=193):
    """The policy of an account, at version `policy`, has given an operation a budget, by the entry
    at `entry` of this batch, which counts there as any that follows: a call that names the
    operation, or names it as the parent of its own."""

    account: int  # whose policy it is
    budget: int
    operation: bytes
    terms: BudgetTerms
    idle: int
    policy: int
    entry: int


class OperationHeld(PolicyHeld, frozen=True, tag=167):
    """A hold of work that is part of an operation: its digest, and behind it its parent's."""

    operation: bytes = b""


class OperationReserved(OperationHeld, frozen=True, tag=182):
    """A hold for the operation with all its calls: of no product, and of units that were asked for.
    What calls use is drawn from it, each at its own price."""


class OperationPartHeld(OperationHeld, frozen=True, tag=188):
    """A hold of one call of an operation, of which the operation's own hold `of` gives first:
    `taken` of each of its slices, in the order in which they were held; () where the call is priced
    in another asset. What it gave counts as it was held there, and so does the rest of this one."""

    of: int = 0
    taken: tuple[int, ...] = ()


class HoldRefilled(Fact, frozen=True, tag=189):
    """The hold `part` of a call is about to be settled: what it has left of the units that it took
    from the operation's `hold` is held there again, `units` of each of that one's slices."""

    account: int
    hold: int
    part: int
    units: tuple[int, ...]


class HoldDebited(PolicyDebited, frozen=True, tag=183):
    """Work that was charged at once, of a hold of an operation first: `taken` is what it drew of
    each of the hold's slices, in the order in which they were held; () where it is priced in
    another asset. The hold stays open."""

    taken: tuple[int, ...] = ()


class HoldDebitDenied(PolicyDenied, frozen=True, tag=184):
    """Such work that was denied, or a hold of a call, where `debit` is 0: neither the hold nor what
    else pays affords it, or a limit."""

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
