"""Operations: a budget over a whole user action, and holds that are part of one (rule H4, C12)."""

from __future__ import annotations

from ledger.core.events.base import Fact
from ledger.core.events.budgets import BudgetTerms
from ledger.core.events.decision_policies import PolicyHeld
from ledger.core.events.sizes import HoldSized


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
