"""Operations: given a budget, joined by others, ended (rule H4)."""

from __future__ import annotations

from ledger.core.budgets.budgets import Budget
from ledger.core.budgets.operation_terms import OperationPolicy, PackageOperationPolicy
from ledger.core.budgets.operations import Operation, forget_end, giving, line_of, order_end
from ledger.core.events import (
    OperationBudgetBegun,
    OperationBudgetEnded,
    OperationBudgetSet,
    OperationJoined,
    OperationPolicySet,
    PackageOperationsSet,
)
from ledger.core.family import Family
from ledger.core.outcomes import locator_of
from ledger.core.state import Account, State


def operation_budget_set(state: State, event: OperationBudgetSet) -> None:
    """A new budget, or another limit of one that goes on counting as it did."""
    account = state.accounts[event.account]
    family = state.families[account.root]
    budget = family.budgets.get(event.budget)
    if budget is None:
        budget = _begin(state, account, event, event.version, state.locator)
    else:
        budget.change(event.terms, event.version)
        assert budget.operation is not None
        budget.operation.idle = event.idle
        budget.operation.policy = 0
    touch(family, budget, state.now)
    state.keys.add(event.key, state.locator)


def operation_budget_begun(state: State, event: OperationBudgetBegun) -> None:
    """A budget by a policy: it counts from the entry on that made the operation known."""
    account = state.accounts[event.account]
    since = locator_of(state.batch_seq, event.entry)
    budget = _begin(state, account, event, 1, since)
    assert budget.operation is not None
    budget.operation.policy = event.policy
    touch(state.families[account.root], budget, state.now)


def _begin(
    state: State,
    account: Account,
    event: OperationBudgetSet | OperationBudgetBegun,
    version: int,
    since: int,
) -> Budget:
    family, root = state.families[account.root], event.operation
    budget = Budget(event.budget, account, root.hex(), event.terms, version, state.now, since)
    operation = budget.operation = Operation(root, event.idle, state.now)
    operation.above = family.operations.get(root)
    family.budgets[event.budget] = budget
    state.next_budget = event.budget + 1
    family.operations[root] = budget
    account.capped += 1
    if not account.watched:
        account.find_watched()
    return budget


def operation_policy_set(state: State, event: OperationPolicySet) -> None:
    account = state.accounts[event.account]
    policy = OperationPolicy(event.version, event.terms, event.idle)
    give_operations(state, account, policy, account.packaged_operations)
    state.keys.add(event.key, state.locator)


def package_operations_set(state: State, event: PackageOperationsSet) -> None:
    """The package of the account carries a policy, or none any more."""
    account, packaged = state.accounts[event.account], None
    if event.terms is not None:
        packaged = PackageOperationPolicy(event.version, event.terms, event.idle, event.package)
    give_operations(state, account, account.operation_policy, packaged)


def give_operations(
    state: State,
    account: Account,
    own: OperationPolicy | None,
    packaged: PackageOperationPolicy | None,
) -> None:
    """Let the account have these policies; its family knows how many give operations a budget."""
    family = state.families[account.root]
    family.operation_policies -= account.gives is not None
    account.operation_policy, account.packaged_operations = own, packaged
    account.gives = giving(own, packaged)
    family.operation_policies += account.gives is not None
    account.find_watched()


def touch(family: Family, budget: Budget, now: int) -> None:
    """Something counts in the budget of an operation, or is said of it: it does not stand idle."""
    assert budget.operation is not None
    budget.operation.seen_at = now
    family.operation_budgets.pop(budget.number, None)
    family.operation_budgets[budget.number] = budget
    order_end(family, budget)


def operation_joined(state: State, event: OperationJoined) -> None:
    """One more operation that a budget covers; one that has a budget keeps that, too. What
    covered it before has ended."""
    family = state.families[state.accounts[event.account].root]
    budget = family.budgets[event.budget]
    assert budget.operation is not None
    roots = [each.operation.root for each in line_of(budget) if each.operation is not None]
    assert event.operation not in roots, f"below itself: {event}"
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
    forget_end(family, budget)
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
    if not account.capped:
        account.find_watched()
