"""What each operation may use, as a package says it: published data, its faults (P1, H4). Pure."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from ledger.core.limits import OPERATION_IDLE_MAX_US
from ledger.core.packages.packaged_budgets import (
    PackagedBudget,
    PackagedWindowKind,
    budget_values,
    counting_faults,
)
from rating.faults import CardFault, check_between


class PackagedOperations(
    msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True
):
    """The budget of each operation of whoever subscribes, which has no name, no windows and counts
    all values together; it ends once nothing has counted in it for `idle_us`, 0 = a day."""

    budget: PackagedBudget
    idle_us: int = 0


def operations_faults(path: str, operations: PackagedOperations) -> Iterator[CardFault]:
    """What is wrong with it by itself, each with its place."""
    budget = operations.budget
    if budget.name:
        message = "each operation has one by its own key; leave the name out"
        yield CardFault(f"{path}.budget.name", "BUDGET_INVALID", budget.name, message)
    if budget_values(budget) is not None:
        message = "the budget of an operation counts all values together; leave group_by out"
        named = ", ".join(budget.group_by)
        yield CardFault(f"{path}.budget.group_by", "BUDGET_INVALID", named, message)
    if budget.window.kind is not PackagedWindowKind.LIFETIME:
        message = "the budget of an operation has one window, its lifetime; leave the window out"
        where = f"{path}.budget.window"
        yield CardFault(where, "BUDGET_INVALID", budget.window.kind.value, message)
    yield from counting_faults(f"{path}.budget", budget)
    yield from check_between(f"{path}.idle_us", operations.idle_us, 0, OPERATION_IDLE_MAX_US)
