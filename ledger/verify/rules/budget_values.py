"""Budgets that count each value by itself: the right counter, none too many, none too soon (H5).

Which counter an entry counts in is said here once more: the value's own; else that of the others,
while anything is counted or pends in a window of it that is not over; else a new one.
"""

from __future__ import annotations

from ledger.core.budgets.budgets import Budget
from ledger.core.events import (
    BudgetValueOpened,
    HoldAuthorized,
    LeaseRenewed,
    PlanDeclared,
    UsageRecorded,
    UsageRerated,
    UsageReversed,
    WindowKind,
)
from ledger.core.state import Account, State
from ledger.core.windows import bounds_at, bucket_width
from ledger.verify.rules.judge import Judge

Value = tuple[str, ...]


def budget_value_opened(judge: Judge, state: State, event: BudgetValueOpened) -> None:
    """A counter that is needed, for the entry that stands before it; what it closes is over, and
    the others have one only where there are too many values."""
    account = state.accounts[event.account]
    budgets = state.families[account.root].budgets
    budget = budgets[event.budget]
    values = budget.values
    judge.equal(state, "account of the budget", budget.account.number, event.account)
    judge.equal(state, "number of the counter", state.next_budget, event.number)
    if values is None:
        judge.wrong(state, "budget", "one that counts values by themselves", event.budget)
        return
    for number in event.closed:
        counter = budgets.get(number)
        if counter is None or counter.of is not budget or not _over(counter, state.now):
            judge.wrong(state, "closed counter", "one whose window is over", number)
    of, _ = judge.to_count.get(event.entry, (None, {}))
    kinds = UsageRecorded | UsageReversed | UsageRerated | HoldAuthorized | LeaseRenewed
    if not isinstance(of, kinds):
        judge.wrong(state, "entry that opens a counter", "one that counts", event.entry)
        return
    value = value_of(state.declared[of.plan], budget)
    if counter_at(budget, value, state.now) is not None:
        judge.wrong(state, "counter", "the one that there is", event.number)
    kept = [each for each, one in values.kept.items() if one.number not in event.closed]
    named = {each.value for each in values.said.limits}
    room = len([each for each in kept if each not in named]) < values.said.values_max
    if event.value:
        judge.equal(state, "value of the counter", value, event.value)
        if not room and value not in named:
            judge.wrong(state, "counter", f"one of {values.said.values_max}", event.value)
    else:
        judge.equal(state, "others have a counter", False, room or value in named)
        before = values.others
        if before is not None and before.number not in event.closed:
            judge.wrong(state, "counter of the others", before.number, event.number)


def value_of(plan: PlanDeclared, budget: Budget) -> Value:
    """The value that such usage is of."""
    assert budget.values is not None
    borne = dict(plan.attributes)
    return tuple([borne.get(each, "") for each in budget.values.said.group_by])


def counter_at(budget: Budget, value: Value, now: int) -> Budget | None:
    """Where it counts by now, unless a counter is opened."""
    values = budget.values
    assert values is not None
    others = values.others
    if value in values.kept:
        return values.kept[value]
    if others is not None and value not in values.apart and not _over(others, now):
        return others
    return None


def counter_now(state: State, event: object, budget: Budget) -> int:
    """Number of the counter of the value that an entry is of, where it has one by now: that in
    which its hold pends, or that which counted what is given back."""
    if budget.values is None or not isinstance(
        event, UsageRecorded | UsageReversed | UsageRerated | HoldAuthorized | LeaseRenewed
    ):
        return budget.number
    value = value_of(state.declared[event.plan], budget)
    if isinstance(event, UsageReversed):
        counted = _counted(budget, value, event.original)
        return counted.number if counted is not None else budget.number
    if isinstance(event, UsageRecorded) and event.hold and not event.late:
        family = state.families[budget.account.root]
        for number in family.budgeted_holds.get(event.hold, ()):
            counter = family.budgets[number]
            if counter.of is budget and counter.value in ((), value):
                return number
    found = counter_at(budget, value, state.now)
    return found.number if found is not None else budget.number


def counts_nowhere(
    state: State,
    account: Account,
    budget: Budget,
    event: UsageRecorded | UsageReversed | UsageRerated,
    amount: int,
) -> bool:
    """Whether nobody counts it: what gives back where nothing of it is counted any more, or of all
    values; what is of a window that is over, of a value that has no counter."""
    value = value_of(state.declared[event.plan], budget)
    if isinstance(event, UsageReversed):
        return _counted(budget, value, event.original) is None
    if isinstance(event, UsageRerated) and amount <= 0:
        return True
    if counter_now(state, event, budget) != budget.number:
        return False
    at = event.effective_at
    hold = event.hold if isinstance(event, UsageRecorded) and not event.late else 0
    if hold:
        found = state.holds.get(hold) or state.settled_hold(account, hold)
        # Of a hold of an operation each call counts by itself, when it was made.
        of_work = found is not None and found.drawn is None
        if found is not None and of_work and found.authorized_at >= budget.created_at:
            at = found.authorized_at
    window, owner = budget.terms.window, budget.account
    if window.kind == WindowKind.LIFETIME:
        return False
    if window.kind == WindowKind.FIXED:
        return at + window.length <= state.now
    if window.kind == WindowKind.SLIDING:
        width = bucket_width(window.length)
        return (at // width + 1) * width <= state.now - window.length
    return bounds_at(window, at, owner.anchors, owner.calendar)[1] <= state.now


def looked_at_limit(budget: Budget, value: Value, shared: bool) -> int:
    """What the value may use: its own limit; together with others, no more than they."""
    assert budget.values is not None
    limit = budget.terms.limit
    own = {each.value: each.limit for each in budget.values.said.limits}.get(value, limit)
    return min(own, limit) if shared else own


def shared_by(counter: Budget | None) -> bool:
    """Whether it is the counter of the others."""
    return counter is not None and counter.of is not None and not counter.value


def _counted(budget: Budget, value: Value, original: int) -> Budget | None:
    """The counter that had counted usage which is given back."""
    values = budget.values
    assert values is not None
    kept, others = values.kept.get(value), values.others
    if kept is not None and original >= kept.created_by:
        return kept
    if others is not None and original >= others.created_by:
        return others if budget.terms.window.kind != WindowKind.FIXED else None
    return None


def _over(counter: Budget, now: int) -> bool:
    window = counter.terms.window
    after = window.length if window.kind == WindowKind.SLIDING else 0
    cells = counter.counter.cells
    if not cells and counter.created_at == now:
        return False  # it was opened for the entry that is about to count in it
    return not counter.held and all(each.end + after <= now for each in cells)
