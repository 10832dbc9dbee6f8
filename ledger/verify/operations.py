"""That what is found of operations by their names is what their budgets say (rule H4).

The rules look up by name which budget covers an operation, as deciding does: a look at all budgets
of a family with each entry would take the longer the more there are. Here is the other half: at the
end each name leads where the budgets themselves say, and those that are over would be found.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TypeVar

from ledger.core.budgets.budgets import Budget
from ledger.core.state import Family, State
from ledger.verify.report import Findings

Key = TypeVar("Key", bytes, int)


def look_at_operations(findings: Findings, state: State) -> None:
    """Compare what is kept by name, and by end, with what the budgets of each family say."""
    for root, family in state.families.items():
        if family.operations or family.operation_budgets:
            _look_at(findings, f"operations of family {root}", family)


def _look_at(findings: Findings, what: str, family: Family) -> None:
    covering: dict[bytes, int] = {}
    above: dict[int, int] = {}
    ends: list[tuple[int, int]] = []
    budgets = [each for each in family.budgets.values() if each.operation is not None]
    owned: dict[bytes, Budget] = {}
    for budget in budgets:
        assert budget.operation is not None
        owned[budget.operation.root] = budget
        if not budget.held:
            ends.append((budget.operation.seen_at + budget.operation.idle, budget.number))
    for budget in budgets:
        assert budget.operation is not None
        covering[budget.operation.root] = budget.number
        for digest in budget.operation.below:
            if digest in owned:
                above[owned[digest].number] = budget.number
            else:
                covering[digest] = budget.number
    found = {digest: each.number for digest, each in family.operations.items()}
    tops = {
        each.number: each.operation.above.number
        for each in budgets
        if each.operation is not None and each.operation.above is not None
    }
    known = {number: number for number in family.operation_budgets}
    _compare(findings, f"{what}, budget of operation", covering, found)
    _compare(findings, f"{what}, budget", {each.number: each.number for each in budgets}, known)
    _compare(findings, f"{what}, budget above", above, tops)
    when = {number: ends_at for ends_at, number in family.operation_ends}
    _compare(findings, f"{what}, end of budget", {place[1]: place[0] for place in ends}, when)
    in_order = all(first < then for first, then in pairwise(family.operation_ends))
    findings.compare(f"{what}, ends in order", True, in_order)


def _compare(findings: Findings, what: str, right: dict[Key, int], found: dict[Key, int]) -> None:
    """Each key that leads elsewhere, or should or should not be there."""
    for key in right.keys() | found.keys():
        if right.get(key) != found.get(key):
            name = key.hex() if isinstance(key, bytes) else key
            findings.add(f"{what} {name}", right.get(key), found.get(key))
