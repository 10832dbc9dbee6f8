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
    """The budgets that cover a call of an operation: its own, then those above it. `operation`: its
    digest, and behind it that of its parent, as an entry has it."""
    if not operation or not family.operations:
        return []
    known, digest = family.operations, operation[:KEY_BYTES]
    budget = _known_by(family, digest, now)
    named = standing(known.get(operation[KEY_BYTES:]), now)
    if budget is None:
        budget, named = named, None
    found: list[Budget] = []
    line = account.line()
    seen: list[Budget] = []
    while budget is not None and budget not in seen:
        seen.append(budget)
        of = budget.operation
        assert of is not None
        if budget.account in line and not is_idle(budget, now):
            found.append(budget)
        above = standing(of.above, now)
        if above is None and of.root == digest:
            above = named
        budget = above
    return found


def standing(budget: Budget | None, now: int) -> Budget | None:
    """The budget, or the nearest one that covers it, that has not ended by then."""
    while budget is not None and is_idle(budget, now):
        assert budget.operation is not None
        budget = budget.operation.above
    return budget


def _known_by(family: Family, digest: bytes, now: int) -> Budget | None:
    """The budget by which an operation is known: its own, ended or not, or one that it has joined
    and that still stands. One that has ended leaves it free to join another."""
    budget = family.operations.get(digest)
    if budget is None or (budget.operation is not None and budget.operation.root == digest):
        return budget
    return standing(budget, now)


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
    if len(operation) <= KEY_BYTES or not family.operations:
        return None
    digest = operation[:KEY_BYTES]
    budget = standing(family.operations.get(operation[KEY_BYTES:]), now)
    if budget is None or budget.account not in account.line():
        return None
    own = _known_by(family, digest, now)
    if own is None:
        return budget
    of = own.operation
    assert of is not None
    if of.root != digest or standing(of.above, now) is not None or own in line_of(budget):
        return None  # it is known, or would be below itself
    return budget


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
