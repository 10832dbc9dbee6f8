"""Operations that have a budget, and those below them, as state (rule H4).

A call says which operation it is part of and which one caused that; so what is below an operation
is learnt from calls, each of which names the direct parent. A call of an operation that nobody has
named before counts where its parent does. What nobody has said to be below an operation is outside
of its budget. Numbers of operations are limited, and a budget that stands idle is forgotten.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from heapq import nsmallest
from itertools import islice
from typing import TYPE_CHECKING

from ledger.core.identity import KEY_BYTES
from ledger.core.limits import (
    OPERATION_BUDGETS_ENDED_MAX,
    OPERATION_BUDGETS_MAX,
    OPERATIONS_KNOWN_MAX,
)

if TYPE_CHECKING:
    from ledger.core.account import Account
    from ledger.core.budgets.budgets import Budget
    from ledger.core.budgets.operation_terms import OperationPolicy, PackageOperationPolicy
    from ledger.core.family import Family


def giving(
    own: OperationPolicy | None, packaged: PackageOperationPolicy | None
) -> OperationPolicy | None:
    """What an account gives: its own counts, else that of its package; None = it goes by that of
    the account above it."""
    return own if own is not None and own.terms is not None else packaged


class Operation:
    """What the budget of an operation covers, and since when it stands idle."""

    __slots__ = ("above", "below", "ends_at", "idle", "policy", "root", "seen_at")

    def __init__(self, root: bytes, idle: int, seen_at: int) -> None:
        self.root = root
        self.idle = idle
        self.seen_at = seen_at
        self.ends_at = 0  # by which its family orders it; 0 = not, for a hold pends
        # Operations that have joined -> the locator from which on it covers them.
        self.below: dict[bytes, int] = {}
        self.above: Budget | None = None  # the budget that covers it, too
        self.policy = 0  # version of the policy that gave it; 0 = it was set by hand


def is_idle(budget: Budget, now: int) -> bool:
    """Whether the budget of an operation has ended by then."""
    operation = budget.operation
    assert operation is not None
    return not budget.held and operation.seen_at + operation.idle <= now


def order_end(family: Family, budget: Budget) -> None:
    """Keep the order in which the budgets of operations end, after something changed when one
    does."""
    forget_end(family, budget)
    operation = budget.operation
    assert operation is not None
    if not budget.held:
        operation.ends_at = operation.seen_at + operation.idle
        insort(family.operation_ends, (operation.ends_at, budget.number))


def forget_end(family: Family, budget: Budget) -> None:
    """Take one out of that order."""
    operation = budget.operation
    assert operation is not None
    if operation.ends_at:
        ends, place = family.operation_ends, (operation.ends_at, budget.number)
        at = bisect_left(ends, place)
        assert ends[at] == place, f"budget {budget.number} is not where it ends"
        del ends[at]
        operation.ends_at = 0


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


def to_join(family: Family, account: Account, operation: bytes, now: int) -> Budget | None:
    """The nearest budget of its parent that goes on and is for the account, where the operation
    stands below none that goes on, nor would be below itself by one of its own that does."""
    known = family.operations
    if len(operation) <= KEY_BYTES or not known:
        return None
    digest = operation[:KEY_BYTES]
    above = above_of(family, digest)
    if above is not None and not all(is_idle(each, now) for each in line_of(above)):
        return None
    named = known.get(operation[KEY_BYTES:])
    if named is None:
        return None
    own, line = own_budget(family, digest), account.line()
    for budget in line_of(named):
        if budget.account in line and not is_idle(budget, now):
            goes_on = own is not None and not is_idle(own, now)
            return None if goes_on and own in line_of(budget) else budget
    return None


def own_budget(family: Family, digest: bytes) -> Budget | None:
    """The budget that an operation has itself."""
    budget = family.operations.get(digest)
    if budget is None or budget.operation is None or budget.operation.root != digest:
        return None
    return budget


def above_of(family: Family, digest: bytes) -> Budget | None:
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


def knows_no_more(family: Family, digest: bytes) -> bool:
    """Whether an operation is not known, and may not be."""
    return is_full(family) and digest not in family.operations


def is_full(family: Family) -> bool:
    """Whether as many operations of the family are known as may be."""
    return len(family.operations) >= OPERATIONS_KNOWN_MAX


def idle_ones(family: Family, operation: bytes, now: int) -> list[Budget]:
    """Budgets that stand idle, to be ended: some of the longest idle ones, all where there is no
    room, and that of the operation itself."""
    if len(family.operation_budgets) >= OPERATION_BUDGETS_MAX or is_full(family):
        found = _longest_idle(family, now)
    else:
        first = islice(family.operation_budgets.values(), OPERATION_BUDGETS_ENDED_MAX)
        found = [budget for budget in first if is_idle(budget, now)]
    own = own_budget(family, operation)
    if own is not None and is_idle(own, now) and own not in found:
        found.append(own)
    return found


def _longest_idle(family: Family, now: int) -> list[Budget]:
    """The first of all that stand idle, by when each was last seen. No others are looked at: each
    call of an operation without a budget asks it, also where the idle time is long."""
    ends = family.operation_ends
    over = ends[: bisect_left(ends, (now + 1, 0))]
    idle = [family.operation_budgets[number] for _, number in over]
    return nsmallest(OPERATION_BUDGETS_ENDED_MAX, idle, key=_seen)


def _seen(budget: Budget) -> tuple[int, int]:
    assert budget.operation is not None
    return budget.operation.seen_at, budget.number


def no_room(family: Family, ended: int, known: bool) -> int:
    """How many may be, where no operation more may have a budget once so many have ended; 0 = one
    may."""
    if len(family.operation_budgets) - ended >= OPERATION_BUDGETS_MAX:
        return OPERATION_BUDGETS_MAX
    return OPERATIONS_KNOWN_MAX if is_full(family) and not ended and not known else 0
