"""Budgets with their counters (rules H4, H5)."""

from __future__ import annotations

import msgspec

from ledger.core.budgets.budget_values import Values
from ledger.core.budgets.budgets import Budget
from ledger.core.budgets.operations import Operation, order_end
from ledger.core.events import BudgetTerms, BudgetValues
from ledger.core.state import Family, State
from ledger.core.windows import PackedCounter, unpack_counter


class PackedValue(msgspec.Struct, array_like=True, gc=False):
    """The counter of a value, or of the others (an empty one)."""

    number: int
    value: tuple[str, ...]
    created_at: int
    created_by: int
    counter: PackedCounter
    held: list[tuple[int, int, int, int]]
    crossed: list[tuple[int, int]]


class PackedValues(msgspec.Struct, array_like=True, gc=False):
    """Of what a budget counts each value by itself, and its counters by their numbers."""

    said: BudgetValues
    counters: list[PackedValue]
    apart: list[tuple[str, ...]]


class PackedOperation(msgspec.Struct, array_like=True, gc=False):
    """The operation that a budget covers: `above` is the number of the budget that covers it, too,
    0 = none does; `below` are operations that have joined, with locators, by their digests."""

    root: bytes
    idle: int
    seen_at: int
    above: int
    below: list[tuple[bytes, int]]
    policy: int = 0  # version of the policy that gave it


class PackedBudget(msgspec.Struct, array_like=True, gc=False):
    """A budget: its counter, what pends by hold, and which thresholds were told until when."""

    number: int
    account: int
    name: str
    version: int
    created_at: int
    created_by: int
    terms: BudgetTerms
    counter: PackedCounter
    held: list[tuple[int, int, int, int]]  # hold, since, end, amount
    crossed: list[tuple[int, int]]
    packaged: bool = False
    values: PackedValues | None = None
    operation: PackedOperation | None = None


def pack_budget(budget: Budget) -> PackedBudget:
    return PackedBudget(
        budget.number,
        budget.account.number,
        budget.name,
        budget.version,
        budget.created_at,
        budget.created_by,
        budget.terms,
        budget.counter.pack(),
        _held(budget) if budget.held else [],
        sorted(budget.crossed.items()) if budget.crossed else [],
        budget.packaged,
        _pack_values(budget.values) if budget.values is not None else None,
        _pack_operation(budget.operation) if budget.operation is not None else None,
    )


def _held(budget: Budget) -> list[tuple[int, int, int, int]]:
    return [(hold, *span, amount) for hold, (span, amount) in sorted(budget.held.items())]


def _pack_operation(operation: Operation) -> PackedOperation:
    above = operation.above
    return PackedOperation(
        operation.root,
        operation.idle,
        operation.seen_at,
        above.number if above is not None else 0,
        sorted(operation.below.items()),
        operation.policy,
    )


def _pack_values(values: Values) -> PackedValues:
    return PackedValues(
        values.said,
        [
            PackedValue(
                each.number,
                each.value,
                each.created_at,
                each.created_by,
                each.counter.pack(),
                _held(each),
                sorted(each.crossed.items()),
            )
            for each in sorted(values.counters(), key=lambda counter: counter.number)
        ],
        sorted(values.apart),
    )


def unpack_budget(state: State, family: Family, packed: PackedBudget) -> None:
    account = state.accounts[packed.account]
    budget = Budget(
        packed.number,
        account,
        packed.name,
        packed.terms,
        packed.version,
        packed.created_at,
        packed.created_by,
    )
    _counted(family, budget, packed)
    budget.packaged = packed.packaged
    if packed.operation is not None:
        covers = packed.operation
        operation = budget.operation = Operation(covers.root, covers.idle, covers.seen_at)
        operation.below = dict(covers.below)
        operation.policy = covers.policy
        account.capped += 1
        account.find_watched()
        return
    account.budgets.append(budget)
    account.find_watched()
    if packed.values is None:
        return
    values = budget.values = Values(budget, packed.values.said)
    for each in packed.values.counters:
        counter = Budget(
            each.number,
            account,
            packed.name,
            values.terms_of(each.value),
            packed.version,
            each.created_at,
            each.created_by,
        )
        counter.of, counter.value = budget, each.value
        _counted(family, counter, each)
        values.place(counter)
    values.apart = frozenset(packed.values.apart)
    values.await_all()


def unpack_operations(family: Family, packed: list[PackedBudget]) -> None:
    """Which budget covers which operation, once all budgets of the family are there."""
    covers = [(each.number, each.operation) for each in packed if each.operation is not None]
    for number, of in sorted(covers, key=lambda pair: (pair[1].seen_at, pair[0])):
        budget = family.budgets[number]
        assert budget.operation is not None
        family.operation_budgets[number] = budget
        order_end(family, budget)
        family.operations[of.root] = budget
        if of.above:
            budget.operation.above = family.budgets[of.above]
    for number, of in covers:
        for digest, _ in of.below:
            family.operations.setdefault(digest, family.budgets[number])


def _counted(family: Family, budget: Budget, packed: PackedBudget | PackedValue) -> None:
    budget.begin_at(unpack_counter(packed.counter))
    for hold, since, end, amount in packed.held:
        budget.held[hold] = ((since, end), amount)
        family.pend(hold, packed.number)
    budget.crossed = dict(packed.crossed)
    family.budgets[packed.number] = budget
