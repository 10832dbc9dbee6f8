"""Which budgets of operations cover a call, found once more from what stands (rule H4)."""

from __future__ import annotations

from ledger.core.budgets.budgets import Budget
from ledger.core.events import (
    OperationHeld,
    SizedOperationHeld,
    UsageRecorded,
    UsageReversed,
    WorkDenied,
)
from ledger.core.identity import KEY_BYTES
from ledger.core.state import Account, Family, State
from ledger.verify.rules.judge import Judge


def note_named(judge: Judge, state: State, event: object) -> None:
    """An entry that names an operation: it may join a budget by that, within the batch."""
    if judge.named_in != state.batch_seq:
        judge.named_in, judge.named = state.batch_seq, {}
    if isinstance(event, UsageRecorded | OperationHeld | SizedOperationHeld | WorkDenied):
        judge.named[state.batch_length] = (event.account, event.operation)


def covering_now(state: State, account: Account, event: object) -> list[Budget]:
    """The budgets of operations that should count an entry of the account."""
    family = state.families[account.root]
    if isinstance(event, UsageReversed):
        # What is given back is told by its own entry alone: of which operation, its original says.
        return []
    named: bytes = getattr(event, "operation", b"")
    if not named:
        return []
    own, parent = named[:KEY_BYTES], named[KEY_BYTES:]
    line = [account]
    while line[-1].parent is not None:
        line.append(line[-1].parent)
    budget = covered_by(family, own, state.now) or family.operations.get(parent)
    found: list[Budget] = []
    while budget is not None and budget not in found:
        found.append(budget)
        over = in_force(above(budget), state.now)
        assert budget.operation is not None
        if over is None and budget.operation.root == own:
            over = family.operations.get(parent)
        budget = over
    return [each for each in found if each.account in line and not ended(each, state.now)]


def covered_by(family: Family, operation: bytes, now: int) -> Budget | None:
    """The budget of the operation itself, or the one in force that it has joined."""
    return own_budget(family, operation) or in_force(family.operations.get(operation), now)


def in_force(budget: Budget | None, now: int) -> Budget | None:
    """The budget, or the first above it that has not ended."""
    while budget is not None and ended(budget, now):
        budget = above(budget)
    return budget


def own_budget(family: Family, operation: bytes) -> Budget | None:
    """The budget that is the operation's own."""
    for budget in family.operation_budgets.values():
        if budget.operation is not None and budget.operation.root == operation:
            return budget
    return None


def ended(budget: Budget, now: int) -> bool:
    """Whether a budget of an operation stands idle for longer than it may."""
    operation = budget.operation
    return operation is not None and not budget.held and now - operation.seen_at >= operation.idle


def above(budget: Budget) -> Budget | None:
    return budget.operation.above if budget.operation is not None else None
