"""Budgets: limits in windows."""

from __future__ import annotations

import msgspec

from ledger.core.commands.base import NO_NAMES, Names
from ledger.core.events import BudgetTerms, BudgetValues


class SetBudget(msgspec.Struct, gc=False):
    """Give an account a budget of that name, or one that has it another limit, hardness or other
    thresholds; `expected_version` 0 = whatever it is (rule H4). `values`: it counts each value of
    some attributes by itself."""

    key: bytes
    account: int
    name: str
    terms: BudgetTerms
    expected_version: int = 0
    names: Names = NO_NAMES
    trace: bytes = b""
    values: BudgetValues | None = None


class RemoveBudget(msgspec.Struct, gc=False):
    """Count and refuse by the budget no more; holds that pend in it go on."""

    key: bytes
    account: int
    name: str
    names: Names = NO_NAMES
    trace: bytes = b""
