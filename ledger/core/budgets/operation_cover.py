"""Which budgets of operations cover a call, and what a call makes known of its operation (rule H4).

A call joins its operation to the budget of the parent that it names. Where no budget goes on that
would cover a call, and an account of its line has a policy of operations, the operation that it
names at the top, its parent or itself, gets a budget by that policy. Until its entry stands, that
budget is worked out here by whoever asks; `joining` says the entries that make it known.
"""

from __future__ import annotations

from ledger.core.account import Account
from ledger.core.budgets.budgets import Budget
from ledger.core.budgets.operations import (
    Operation,
    above_of,
    idle_ones,
    is_idle,
    knows_no_more,
    line_of,
    no_room,
    own_budget,
    to_join,
)
from ledger.core.events import OperationBudgetBegun, OperationBudgetEnded, OperationJoined
from ledger.core.family import Family
from ledger.core.identity import KEY_BYTES
from ledger.core.state import State

Said = OperationBudgetBegun | OperationBudgetEnded | OperationJoined


def covering(state: State, account: Account, operation: bytes, now: int) -> list[Budget]:
    """The budgets that cover a call of an operation: its own, then those above it, once it has
    joined what it says is its parent's; last that which a policy gives by the call. `operation`:
    its digest, and behind it that of its parent, as an entry has it."""
    family = state.families[account.root]
    if not operation or not (family.operations or family.operation_policies):
        return []
    found = _standing(family, account, operation, now)
    if family.operation_policies:
        root = _to_begin(family, account, operation, now)
        if root:
            begun = _begun(state, account, root, now)
            if begun is not None:
                found.append(begun)
    return found


def joining(state: State, account: Account, operation: bytes, entry: int, now: int) -> list[Said]:
    """What a call makes known of its operation, from the entry at `entry` on: the budget that a
    policy gives, and that its parent's budget covers it. Nothing where it says nothing new, or no
    more may be known. A budget of its own that has ended and covered its parent's goes first: none
    covers itself."""
    family = state.families[account.root]
    digest = operation[:KEY_BYTES]
    said: list[Said] = []
    if family.operation_policies:
        root = _to_begin(family, account, operation, now)
        begun = _begun(state, account, root, now) if root else None
        if begun is not None:
            return _beginning(family, account, digest, begun, entry, now)
    budget = to_join(family, account, operation, now)
    if budget is None or knows_no_more(family, digest):
        return said
    own = own_budget(family, digest)
    if own is not None and own in line_of(budget):
        said.append(OperationBudgetEnded(own.account.number, own.number, digest))
    said.append(OperationJoined(account.number, budget.number, digest, entry))
    return said


def joins_no_more(state: State, account: Account, operation: bytes, now: int) -> bool:
    """Whether the operation of a call would have to be known to be covered, and may not be."""
    family = state.families[account.root]
    if knows_no_more(family, operation[:KEY_BYTES]) and to_join(family, account, operation, now):
        return True
    if not family.operation_policies:
        return False
    root = _to_begin(family, account, operation, now)
    owner = policy_owner(account) if root else None
    policy = owner.gives if owner is not None else None
    if policy is None or policy.terms is None or not policy.terms.hard:
        return False
    return _begun(state, account, root, now) is None


def _standing(family: Family, account: Account, operation: bytes, now: int) -> list[Budget]:
    """Those that were set or begun before."""
    digest = operation[:KEY_BYTES]
    own = own_budget(family, digest)
    above = to_join(family, account, operation, now) or above_of(family, digest)
    found = [] if own is None else [own]
    if above is not None:
        found.extend(line_of(above))
    line = account.line()
    return [each for each in found if each.account in line and not is_idle(each, now)]


def _to_begin(family: Family, account: Account, operation: bytes, now: int) -> bytes:
    """The operation that gets a budget by a policy, by such a call: the parent that it names, where
    nothing goes on that covers that, and it may join it; else itself, where nothing goes on that
    covers the call. b"" = none does."""
    if not operation:
        return b""
    digest, parent = operation[:KEY_BYTES], operation[KEY_BYTES:]
    if parent and parent != digest and not _goes_on(above_of(family, digest), now):
        if to_join(family, account, operation, now) is not None:
            return b""
        own = own_budget(family, parent)
        covered = own is not None and not is_idle(own, now)
        if not covered and not _goes_on(above_of(family, parent), now):
            return parent
    if _standing(family, account, operation, now):
        return b""
    own = own_budget(family, digest)
    return digest if own is None or is_idle(own, now) else b""


def _goes_on(budget: Budget | None, now: int) -> bool:
    """Whether it or one above it goes on."""
    return budget is not None and not all(is_idle(each, now) for each in line_of(budget))


def policy_owner(account: Account) -> Account | None:
    """The account whose policy of operations counts: the nearest that has one, or whose package
    does."""
    node: Account | None = account
    while node is not None:
        if node.gives is not None:
            return node
        node = node.parent
    return None


def _begun(state: State, account: Account, root: bytes, now: int) -> Budget | None:
    """The budget that a policy gives an operation, as it begins; None = no policy counts, or there
    is no room."""
    owner = policy_owner(account)
    if owner is None:
        return None
    policy, family = owner.gives, state.families[account.root]
    assert policy is not None and policy.terms is not None
    if no_room(family, len(idle_ones(family, root, now)), root in family.operations):
        return None
    budget = Budget(state.next_budget, owner, root.hex(), policy.terms, 1, now, state.locator)
    budget.operation = Operation(root, policy.idle, now)
    budget.operation.policy = policy.version
    return budget


def _beginning(
    family: Family, account: Account, digest: bytes, begun: Budget, entry: int, now: int
) -> list[Said]:
    """The entries: what stands idle ends, the budget begins, and the operation of the call joins
    it where that is another."""
    of = begun.operation
    assert of is not None
    ended = idle_ones(family, of.root, now)
    own = own_budget(family, digest)
    if own is not None and is_idle(own, now) and own not in ended:
        ended.append(own)
    said: list[Said] = [
        OperationBudgetEnded(each.account.number, each.number, each.operation.root)
        for each in ended
        if each.operation is not None
    ]
    said.append(
        OperationBudgetBegun(
            begun.account.number, begun.number, of.root, begun.terms, of.idle, of.policy, entry
        )
    )
    if of.root != digest:
        said.append(OperationJoined(account.number, begun.number, digest, entry))
    return said
