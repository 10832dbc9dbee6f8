"""Operations: given a budget, joined by others, ended (rule H4)."""

from __future__ import annotations

from ledger.core.budgets.budgets import Budget
from ledger.core.budgets.operations import Operation
from ledger.core.events import OperationBudgetEnded, OperationBudgetSet, OperationJoined
from ledger.core.family import Family
from ledger.core.outcomes import locator_of
from ledger.core.state import State


def operation_budget_set(state: State, event: OperationBudgetSet) -> None:
    """A new budget, or another limit of one that goes on counting as it did."""
    account = state.accounts[event.account]
    family = state.families[account.root]
    budget = family.budgets.get(event.budget)
    if budget is None:
        root = event.operation
        budget = Budget(
            event.budget,
            account,
            root.hex(),
            event.terms,
            event.version,
            state.now,
            state.locator,
        )
        operation = budget.operation = Operation(root, event.idle, state.now)
        operation.above = family.operations.get(root)
        family.budgets[event.budget] = budget
        state.next_budget = event.budget + 1
        family.operations[root] = budget
        account.capped += 1
        account.find_watched()
    else:
        budget.change(event.terms, event.version)
        assert budget.operation is not None
        budget.operation.idle = event.idle
    touch(family, budget, state.now)
    state.keys.add(event.key, state.locator)


def touch(family: Family, budget: Budget, now: int) -> None:
    """Something counts in the budget of an operation, or is said of it: it does not stand idle."""
    assert budget.operation is not None
    budget.operation.seen_at = now
    family.operation_budgets.pop(budget.number, None)
    family.operation_budgets[budget.number] = budget


def operation_joined(state: State, event: OperationJoined) -> None:
    """One more operation that a budget covers; one that has a budget keeps that, too. What
    covered it before has ended."""
    family = state.families[state.accounts[event.account].root]
    budget = family.budgets[event.budget]
    assert budget.operation is not None
    budget.operation.below[event.operation] = locator_of(state.batch_seq, event.entry)
    before = family.operations.get(event.operation)
    of = before.operation if before is not None else None
    if of is not None and of.root == event.operation:
        before, of.above = of.above, budget
    else:
        family.operations[event.operation] = budget
    if before is not None:
        assert before.operation is not None
        del before.operation.below[event.operation]
    touch(family, budget, state.now)


def operation_budget_ended(state: State, event: OperationBudgetEnded) -> None:
    """It goes with its counter; what it covered is covered by the budget above it, if one does."""
    account = state.accounts[event.account]
    family = state.families[account.root]
    budget = family.budgets.pop(event.budget)
    del family.operation_budgets[event.budget]
    assert not budget.held, f"a hold pends in {event}"
    operation = budget.operation
    assert operation is not None
    above = operation.above
    known = family.operations
    for digest in (operation.root, *operation.below):
        covered = known[digest]
        if covered is not budget:  # it has one of its own
            assert covered.operation is not None
            covered.operation.above = above
        elif above is None:
            del known[digest]
        else:
            known[digest] = above
        if above is not None:  # it has counted what was below since both were
            assert above.operation is not None
            covers = above.operation.below
            since = max(operation.below.get(digest, 0), covers[operation.root])
            covers.setdefault(digest, since)
    operation.above = None
    account.capped -= 1
    account.find_watched()
