"""Operations: a budget over one user action with all its calls, and one for each by a policy."""

from __future__ import annotations

import msgspec

from ledger.core.commands.base import NO_NAMES, Names
from ledger.core.events import BudgetTerms


class SetOperationBudget(msgspec.Struct, gc=False):
    """Give an operation a budget, or the one that it has another limit, hardness or thresholds
    (rule H4); `expected_version` 0 = whatever it is."""

    key: bytes
    account: int
    operation: bytes
    terms: BudgetTerms
    idle: int = 0  # microseconds; 0 = the default
    expected_version: int = 0
    names: Names = NO_NAMES
    trace: bytes = b""


class SetOperationPolicy(msgspec.Struct, gc=False):
    """Say what each operation of the account, and of those below it, may use that has no budget of
    its own; None = nothing any more. `expected_version` 0 = whatever it is."""

    key: bytes
    account: int
    terms: BudgetTerms | None
    idle: int = 0  # microseconds; 0 = the default
    expected_version: int = 0
    names: Names = NO_NAMES
    trace: bytes = b""
