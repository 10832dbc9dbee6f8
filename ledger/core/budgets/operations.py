"""Operations that have a budget, and those below them, as state (rule H4).

A call says which operation it is part of and which one caused that; so what is below an operation
is learnt from calls, each of which names the direct parent. A call of an operation that nobody has
named before counts where its parent does. What nobody has said to be below an operation is outside
of its budget. Numbers of operations are limited, and a budget that stands idle is forgotten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.core.events.operations import OperationJoined
from ledger.core.identity import KEY_BYTES
from ledger.core.limits import OPERATIONS_KNOWN_MAX

if TYPE_CHECKING:
    from ledger.core.account import Account
    from ledger.core.budgets.budgets import Budget
    from ledger.core.family import Family


class Operation:
    """What the budget of an operation covers, and since when it stands idle."""

    __slots__ = ("above", "below", "idle", "root", "seen_at")

    def __init__(self, root: bytes, idle: int, seen_at: int) -> None:
        self.root = root
        self.idle = idle
        self.seen_at = seen_at
        # Operations that have joined -> the locator from which on it covers them.
        self.below: dict[bytes, int] = {}
        self.above: Budget | None = None  # the budget that covers it, too


def is_idle(budget: Budget, now: int) -> bool:
    """Whether the budget of an operation has ended by then."""
    operation = budget.operation
    assert operation is not None
    return not budget.held and operation.seen_at + operation.idle <= now


def covering(family: Family, account: Account, operation: bytes, now: int) -> list[Budget]:
    """The budgets that cover a call of an operation: its own, then those above it, once it has
    joined what it says is its parent's. `operation`: its digest, and behind it that of its parent,
    as an entry has it."""
    if not operation or not family.operations:
        return []
    own = _own(family, operation[:KEY_BYTES])
    above = _to_join(family, account, operation, now) or _above(family, operation[:KEY_BYTES])
    found = [] if own is None else [own]
    if above is not None:
        found.extend(line_of(above))
    line = account.line()
    return [each for each in found if each.account in line and not is_idle(each, now)]


def counted_in(family: Family, operation: bytes, original: int) -> list[Budget]:
    """The budgets in which usage of an operation has counted that was recorded at the locator
    `original`: not those that covered the operation later."""
    digest = operation[:KEY_BYTES]
    budget = family.operations.get(digest) if digest else None
    found: list[Budget] = []
    while budget is not None:
        of = budget.operation
        assert of is not None
        own = of.root == digest
        if original >= (budget.created_by if own else of.below[digest]):
            found.append(budget)
        elif not own:
            break
        digest, budget = of.root, of.above
    return found


def joining(
    family: Family, account: Account, operation: bytes, entry: int, now: int
) -> OperationJoined | None:
    """What a call says of an operation that its parent's budget is to cover from the entry at
    `entry` on; None = it says nothing new, or no more may be known."""
    budget = _to_join(family, account, operation, now)
    if budget is None or is_full(family):
        return None
    return OperationJoined(account.number, budget.number, operation[:KEY_BYTES], entry)


def joins_no_more(family: Family, account: Account, operation: bytes, now: int) -> bool:
    """Whether the operation of a call would have to be known to be covered, and may not be."""
    return is_full(family) and _to_join(family, account, operation, now) is not None


def _to_join(family: Family, account: Account, operation: bytes, now: int) -> Budget | None:
    """The nearest budget of its parent that goes on and is for the account, where the operation
    stands below none that goes on, nor would be below itself."""
    known = family.operations
    if len(operation) <= KEY_BYTES or not known:
        return None
    digest = operation[:KEY_BYTES]
    above = _above(family, digest)
    if above is not None and not all(is_idle(each, now) for each in line_of(above)):
        return None
    named = known.get(operation[KEY_BYTES:])
    if named is None:
        return None
    own, line = _own(family, digest), account.line()
    for budget in line_of(named):
        if budget.account in line and not is_idle(budget, now):
            return None if own is not None and own in line_of(budget) else budget
    return None


def _own(family: Family, digest: bytes) -> Budget | None:
    """The budget that an operation has itself."""
    budget = family.operations.get(digest)
    if budget is None or budget.operation is None or budget.operation.root != digest:
        return None
    return budget


def _above(family: Family, digest: bytes) -> Budget | None:
    """The budget that an operation has joined."""
    budget = family.operations.get(digest)
    if budget is None or budget.operation is None:
        return None
    return budget if budget.operation.root != digest else budget.operation.above


def line_of(budget: Budget) -> list[Budget]:
    """The budget of an operation, then those that cover that, too."""
    line = [budget]
    while True:
        operation = line[-1].operation
        assert operation is not None
        if operation.above is None:
            return line
        line.append(operation.above)


def is_full(family: Family) -> bool:
    """Whether as many operations of the family are known as may be."""
    return len(family.operations) >= OPERATIONS_KNOWN_MAX
