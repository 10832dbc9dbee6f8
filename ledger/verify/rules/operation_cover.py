"""Which budgets of operations cover a call, found once more from what stands (rule H4).

By name, for there may be thousands: that each name leads where it should is looked at as a shard
ends (`verify.operations`).
"""

from __future__ import annotations

from typing import Final

from ledger.core.budgets.budgets import Budget
from ledger.core.budgets.operation_terms import OperationPolicy
from ledger.core.events import (
    LeaseRenewed,
    OperationHeld,
    OperationLeaseGranted,
    SizedOperationHeld,
    UsageRecorded,
    UsageReversed,
    WorkDenied,
)
from ledger.core.identity import KEY_BYTES
from ledger.core.limits import OPERATION_BUDGETS_MAX, OPERATIONS_KNOWN_MAX
from ledger.core.state import Account, Family, State
from ledger.verify.rules.judge import Judge

_NAMING: Final = (
    UsageRecorded,
    OperationHeld,
    SizedOperationHeld,
    OperationLeaseGranted,
    WorkDenied,
)


def note_named(judge: Judge, state: State, event: object) -> None:
    """An entry that names an operation: it may join a budget by that, within the batch."""
    if judge.named_in != state.batch_seq:
        judge.named_in, judge.named = state.batch_seq, {}
    if isinstance(event, _NAMING):
        judge.named[state.batch_length] = (event.account, event.operation)
    elif isinstance(event, LeaseRenewed) and event.hold in state.holds:
        named = state.holds[event.hold].operation
        judge.named[state.batch_length] = (event.account, named)


def covering_now(state: State, account: Account, event: object) -> list[Budget]:
    """The budgets of operations that should count an entry of the account."""
    if isinstance(event, UsageReversed):
        # What is given back is told by its own entry alone: of which operation, its original says.
        return []
    named: bytes = getattr(event, "operation", b"")
    if not named:
        return []
    return standing(state, account, named)


def standing(state: State, account: Account, named: bytes) -> list[Budget]:
    """Those of an operation, of which a call of the account is, that stand already."""
    family, operation = state.families[account.root], named[:KEY_BYTES]
    first = joined_by(state, account, named) or joined(family, operation)
    found = [own_budget(family, operation), *up_from(first)]
    line = _line(account)
    return [
        each
        for each in found
        if each is not None and each.account in line and not ended(each, state.now)
    ]


def giving(account: Account) -> Account | None:
    """The nearest account whose policy gives operations a budget."""
    for each in _line(account):
        if policy_of(each) is not None:
            return each
    return None


def policy_of(account: Account) -> OperationPolicy | None:
    """The policy by which it does: its own, or that of its package where it has none."""
    own = account.operation_policy
    if own is not None and own.terms is not None:
        return own
    return account.packaged_operations


def to_begin(state: State, account: Account, named: bytes) -> bytes:
    """The operation that should get a budget by a policy, by a call that names it, or names it as
    the parent of its own; b"" = none. That there was room is not looked at."""
    family = state.families[account.root]
    if giving(account) is None or not named:
        return b""
    operation, parent = named[:KEY_BYTES], named[KEY_BYTES:]
    if parent not in (b"", operation) and not _goes_on(state, joined(family, operation)):
        if joined_by(state, account, named) is not None:
            return b""
        if not _goes_on(state, joined(family, parent)) and not _owns(state, family, parent):
            return parent
    if standing(state, account, named) or _owns(state, family, operation):
        return b""
    return operation


def has_room(state: State, family: Family) -> bool:
    """Whether an operation more may have a budget, or be known: what has ended makes room."""
    ends = family.operation_ends  # the first of them first
    if ends and ended(family.operation_budgets[ends[0][1]], state.now):
        return True
    most = len(family.operations) >= OPERATIONS_KNOWN_MAX
    return not most and len(family.operation_budgets) < OPERATION_BUDGETS_MAX


def _goes_on(state: State, budget: Budget | None) -> bool:
    return any(not ended(each, state.now) for each in up_from(budget))


def _owns(state: State, family: Family, operation: bytes) -> bool:
    own = own_budget(family, operation)
    return own is not None and not ended(own, state.now)


def joined_by(state: State, account: Account, named: bytes) -> Budget | None:
    """The budget that an operation joins by a call of the account that names it and its parent."""
    family = state.families[account.root]
    operation, parent = named[:KEY_BYTES], named[KEY_BYTES:]
    if not parent or any(not ended(each, state.now) for each in up_from(joined(family, operation))):
        return None
    line = _line(account)
    for budget in up_from(own_budget(family, parent) or joined(family, parent)):
        if budget.account in line and not ended(budget, state.now):
            own = own_budget(family, operation)
            goes_on = own is not None and not ended(own, state.now)
            return None if goes_on and own in up_from(budget) else budget
    return None


def joined(family: Family, operation: bytes) -> Budget | None:
    """The budget that an operation stands below."""
    budget = family.operations.get(operation)
    if budget is None or budget.operation is None:
        return None
    found = budget.operation.above if budget.operation.root == operation else budget
    covers = found.operation.below if found is not None and found.operation is not None else ()
    return found if operation in covers else None


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
    budget = family.operations.get(operation)
    if budget is None or budget.operation is None or budget.operation.root != operation:
        return None
    return budget


def ended(budget: Budget, now: int) -> bool:
    """Whether a budget of an operation stands idle for longer than it may."""
    operation = budget.operation
    return operation is not None and not budget.held and now - operation.seen_at >= operation.idle


def above(budget: Budget) -> Budget | None:
    return budget.operation.above if budget.operation is not None else None
