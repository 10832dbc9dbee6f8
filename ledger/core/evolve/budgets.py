"""Budgets: set, counted, crossed, removed (rules H4, H5)."""

from __future__ import annotations

from ledger.core.budgets.budget_values import OTHERS, Values
from ledger.core.budgets.budgets import Budget
from ledger.core.events import (
    BudgetCrossed,
    BudgetRemoved,
    BudgetsCounted,
    BudgetSet,
    BudgetsTallied,
    BudgetValueOpened,
    GroupedBudgetSet,
)
from ledger.core.evolve.operations import touch
from ledger.core.outcomes import locator_of
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
    if isinstance(event, GroupedBudgetSet):
        if budget.values is None:
            budget.values = Values(budget, event.values)
        else:
            budget.values.change(event.values)
    budget.packaged = not event.key
    if event.key:
        state.keys.add(event.key, state.locator)


def budget_removed(state: State, event: BudgetRemoved) -> None:
    """It goes with its counter; holds that pended in it go on."""
    account = state.accounts[event.account]
    family = state.families[account.root]
    budget = family.budgets[event.budget]
    account.budgets.remove(budget)
    counters = [budget]
    if budget.values is not None:
        counters.extend(budget.values.counters())
        budget.values = None  # no cycle is left for the collector
    for counter in counters:
        for hold in counter.held:
            family.unpend(hold, counter.number)
        family.budgets.pop(counter.number, None)
        counter.of = None
    account.find_watched()
    if event.key:
        state.keys.add(event.key, state.locator)


def budget_value_opened(state: State, event: BudgetValueOpened) -> None:
    """A counter for one value, or for those beyond; others whose windows are over go."""
    account = state.accounts[event.account]
    family = state.families[account.root]
    budget = family.budgets[event.budget]
    values = budget.values
    assert values is not None
    for number in event.closed:
        closed = family.budgets.pop(number)
        assert not closed.held, f"a hold pends in counter {number}"
        values.drop(closed)
        closed.of = None
    counter = Budget(
        event.number,
        account,
        budget.name,
        values.terms_of(event.value or OTHERS),
        budget.version,
        state.now,
        locator_of(state.batch_seq, event.entry),
    )
    counter.of, counter.value = budget, event.value
    family.budgets[event.number] = counter
    state.next_budget = event.number + 1
    values.place(counter)


def budgets_counted(state: State, event: BudgetsCounted) -> None:
    """Each move where the entry says; what pends is kept by its hold."""
    family = state.families[state.accounts[event.account].root]
    for move in event.moves:
        budget = family.budgets[move.budget]
        span = (move.since, move.end)
        window = budget.terms.window
        budget.take_counter().count(window, *span, move.posted, move.pending, state.now)
        if event.hold and move.pending:
            budget.pend(event.hold, span, move.pending)
            if event.hold in budget.held:
                family.pend(event.hold, move.budget)
            else:
                family.unpend(event.hold, move.budget)
                if budget.of is not None and budget.of.values is not None and not budget.held:
                    budget.of.values.await_end(budget)
        if budget.operation is not None:
            touch(family, budget, state.now)


def budgets_tallied(state: State, event: BudgetsTallied) -> None:
    """The same of a run of usage, of which nothing pends; `record_usual` has counted it itself."""
    budgets = state.families[state.accounts[event.account].root].budgets
    windows = event.windows
    for number, place, posted in zip(event.budgets, event.counted_in, event.posted, strict=True):
        budget = budgets[number]
        budget.take_counter().add(budget.terms.window, *windows[place], posted, state.now)


def budget_crossed(state: State, event: BudgetCrossed) -> None:
    family = state.families[state.accounts[event.account].root]
    budget = family.budgets[event.budget]
    budget.crossed[event.threshold] = event.until
    budget.take_counter()
