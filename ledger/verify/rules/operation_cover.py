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
    operation = named[:KEY_BYTES]
    first = joined_by(state, account, named) or joined(family, operation)
    found = [own_budget(family, operation), *up_from(first)]
    line = _line(account)
    return [
        each
        for each in found
        if each is not None and each.account in line and not ended(each, state.now)
    ]


def joined_by(state: State, account: Account, named: bytes) -> Budget | None:
    """The budget that an operation joins by a call of the account that names it and its parent."""
    family = state.families[account.root]
    operation, parent = named[:KEY_BYTES], named[KEY_BYTES:]
    if not parent or any(not ended(each, state.now) for each in up_from(joined(family, operation))):
        return None
    line = _line(account)
    for budget in up_from(own_budget(family, parent) or joined(family, parent)):
        if budget.account in line and not ended(budget, state.now):
            roots = [each.operation.root for each in up_from(budget) if each.operation is not None]
            return None if operation in roots else budget
    return None


def joined(family: Family, operation: bytes) -> Budget | None:
    """The budget that an operation stands below."""
    for budget in family.operation_budgets.values():
        if budget.operation is not None and operation in budget.operation.below:
            return budget
    return None


def up_from(budget: Budget | None) -> list[Budget]:
    """A budget, then those that cover it, too."""
    found: list[Budget] = []
    while budget is not None:
        found.append(budget)
        budget = above(budget)
    return found


def _line(account: Account) -> list[Account]:
    line = [account]
    while line[-1].parent is not None:
        line.append(line[-1].parent)
    return line


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
