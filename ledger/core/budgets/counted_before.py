"""What is given back of usage that has counted in budgets: where, and how much (rules H4, H5).

Draws of one hold may count in several windows: in that of its authorisation, or in the present one
where that was kept no more. Which it was of each budget stands in the journal alone, so whoever
corrects such usage hands it in, and what is given back lowers just that window. Reads entries
and state, changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from ledger.core.budgets.budgeting import is_promotional, net_of, quantity_of
from ledger.core.budgets.budgets import Budget
from ledger.core.events import (
    BudgetMeasure,
    BudgetMove,
    BudgetsCounted,
    Event,
    GivenBack,
    PlanDeclared,
    UsageLeased,
    UsageRecorded,
    UsageRerated,
    UsageReversed,
)
from ledger.core.state import State
from ledger.core.windows import Span


def counted_behind(
    events: Sequence[Event], index: int, entry: int | None = None
) -> tuple[BudgetMove, ...]:
    """What usage of a hold at `index` counts by entries behind it; () for whatever else, and where
    no budget applied. `entry`: its place in its batch, where `events` are only a part of that."""
    event = events[index]
    if not isinstance(event, UsageRecorded) or not counts_by_hold(event):
        return ()
    entry = index if entry is None else entry
    for behind in events[index + 1 :]:
        if isinstance(behind, UsageRecorded):  # another's counts follow
            break
        if isinstance(behind, BudgetsCounted) and behind.entry == entry:
            return behind.moves
    return ()


def counts_by_hold(event: UsageRecorded) -> bool:
    """Whether usage counts with its hold: not what came late, nor what a lease's holder reports,
    whose entry says when it counts."""
    return bool(event.hold) and not event.late and not isinstance(event, UsageLeased)


def span_of(moves: Sequence[BudgetMove], counter: int) -> Span | None:
    """Where usage that moved budgets so has counted in one; None = nowhere."""
    for move in moves:
        if move.budget == counter and move.posted > 0:
            return move.since, move.end
    return None


def given_back_of(state: State, budget: Budget, event: UsageReversed, plan: PlanDeclared) -> int:
    """How much of what counted in a budget a reversal takes back."""
    terms = budget.terms
    measure = terms.measure
    if measure == BudgetMeasure.COST:
        cost = event.cost
        if cost is None or state.declared[cost.plan].asset != terms.asset:
            return 0
        return cost.total
    if measure == BudgetMeasure.REQUESTS:
        return event.whole if event.key else 0
    if measure == BudgetMeasure.QUANTITY:
        if not event.key:  # of a part that was rated later: the whole is said by the one with a key
            return 0
        return quantity_of(terms.quantity, plan.quantity_names, event.quantities)
    if plan.asset != terms.asset:
        return 0
    return -units_of(state, budget, event.given_back, None)


def units_of(
    state: State, budget: Budget, given_back: Sequence[GivenBack], drawn: UsageRerated | None
) -> int:
    """Units drawn less those given back, by the measure of a charge."""
    measure = budget.terms.measure
    if measure == BudgetMeasure.NET_CHARGE:
        units = net_of(state, drawn.slices) if drawn is not None else 0
        return units - sum(
            [each.amount for each in given_back if not is_promotional(state, each.drawn)]
        )
    if measure == BudgetMeasure.CHARGE:
        units = sum([piece.amount for piece in drawn.slices]) if drawn is not None else 0
        return units - sum([each.amount for each in given_back])
    return 0
