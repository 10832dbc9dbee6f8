"""Budgets: set, counted, crossed, removed (rules H4, H5)."""

from __future__ import annotations

from ledger.core.budgets import Budget
from ledger.core.events import (
    BudgetCrossed,
    BudgetRemoved,
    BudgetsCounted,
    BudgetSet,
    BudgetsTallied,
)
from ledger.core.state import State


def budget_set(state: State, event: BudgetSet) -> None:
    """A new budget, or another limit of one that goes on counting as it did."""
    account = state.accounts[event.account]
    family = state.families[account.root]
    budget = family.budgets.get(event.budget)
    if budget is None:
        budget = Budget(
            event.budget,
            account,
            event.name,
            event.terms,
            event.version,
            state.now,
            state.locator,
        )
        family.budgets[event.budget] = budget
        state.next_budget = event.budget + 1
        account.budgets.append(budget)
        account.find_watched()
    else:
        budget.change(event.terms, event.version)
    budget.packaged = not event.key
    if event.key:
        state.keys.add(event.key, state.locator)


def budget_removed(state: State, event: BudgetRemoved) -> None:
    """It goes with its counter; holds that pended in it go on."""
    account = state.accounts[event.account]
    family = state.families[account.root]
    budget = family.budgets.pop(event.budget)
    account.budgets.remove(budget)
    for hold in budget.held:
        family.unpend(hold, event.budget)
    account.find_watched()
    if event.key:
        state.keys.add(event.key, state.locator)


def budgets_counted(state: State, event: BudgetsCounted) -> None:
    """Each move where the entry says; what pends is kept by its hold."""
    family = state.families[state.accounts[event.account].root]
    for move in event.moves:
        budget = family.budgets[move.budget]
        span = (move.since, move.end)
        window = budget.terms.window
        budget.counter.count(window, *span, move.posted, move.pending, state.now)
        if event.hold and move.pending:
            budget.pend(event.hold, span, move.pending)
            if event.hold in budget.held:
                family.pend(event.hold, move.budget)
            else:
                family.unpend(event.hold, move.budget)


def budgets_tallied(state: State, event: BudgetsTallied) -> None:
    """The same of a run of usage, of which nothing pends: mostly in the last window."""
    budgets = state.families[state.accounts[event.account].root].budgets
    for move in event.moves:
        budget = budgets[move.budget]
        counter = budget.counter
        met = counter.met
        if met is not None and met.since == move.since and move.end:
            met.posted += move.posted
        else:
            counter.count(budget.terms.window, move.since, move.end, move.posted, 0, state.now)


def budget_crossed(state: State, event: BudgetCrossed) -> None:
    family = state.families[state.accounts[event.account].root]
    budget = family.budgets[event.budget]
    budget.crossed[event.threshold] = event.until
    budget.alarm_cell = None
