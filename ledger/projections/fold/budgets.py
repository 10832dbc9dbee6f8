"""Budgets: what was set, what counts in which window, and what was reached (rules H4, H5)."""

from __future__ import annotations

from ledger.core.events import (
    BudgetCrossed,
    BudgetRemoved,
    BudgetsCounted,
    BudgetSet,
    BudgetsTallied,
    BudgetValueOpened,
    GroupedBudgetSet,
    OperationBudgetBegun,
    OperationBudgetEnded,
    OperationBudgetSet,
)
from ledger.projections.described import budget_json
from ledger.projections.fold.folding import Folding


def budget_set(fold: Folding, _: int, event: BudgetSet) -> None:
    terms = budget_json(event.terms, event.values if isinstance(event, GroupedBudgetSet) else None)
    _row(fold, event.account, event.budget, event.name, event.version, terms)


def operation_budget_set(fold: Folding, _: int, event: OperationBudgetSet) -> None:
    """That of an operation, by its digest for a name."""
    terms = budget_json(event.terms, None)
    _row(fold, event.account, event.budget, event.operation.hex(), event.version, terms)


def operation_budget_begun(fold: Folding, _: int, event: OperationBudgetBegun) -> None:
    """The same that a policy gave."""
    terms = budget_json(event.terms, None)
    _row(fold, event.account, event.budget, event.operation.hex(), 1, terms)


def operation_budget_ended(fold: Folding, _: int, event: OperationBudgetEnded) -> None:
    _row(fold, event.account, event.budget, event.operation.hex(), None, None)


def budget_removed(fold: Folding, _: int, event: BudgetRemoved) -> None:
    _row(fold, event.account, event.budget, event.name, None, None)
    tenant = fold.facts.tenants[event.account]
    fold.changes.closed_budget_values.append((tenant, event.budget, 0, fold.recorded_at))


def budget_value_opened(fold: Folding, _: int, event: BudgetValueOpened) -> None:
    tenant, changes = fold.facts.tenants[event.account], fold.changes
    for number in event.closed:
        changes.closed_budget_values.append((tenant, event.budget, number, fold.recorded_at))
    changes.budget_values.append(
        (
            tenant, fold.shard, event.number, event.account, event.budget, event.value,
            fold.recorded_at,
        )
    )  # fmt: skip


def _row(
    fold: Folding, account: int, number: int, name: str, version: int | None, terms: str | None
) -> None:
    fold.changes.budgets.append(
        (
            fold.facts.tenants[account], fold.shard, fold.entry_seq, account, number, name,
            version, terms, fold.recorded_at,
        )
    )  # fmt: skip


def budgets_counted(fold: Folding, _: int, event: BudgetsCounted) -> None:
    """Summed up by window, so that a hot budget costs one row a transaction."""
    tenant, windows = fold.facts.tenants[event.account], fold.changes.budget_windows
    for move in event.moves:
        place = (tenant, move.budget, move.since, move.end)
        posted, pending = windows.get(place, (0, 0))
        windows[place] = (posted + move.posted, pending + move.pending)


def budgets_tallied(fold: Folding, _: int, event: BudgetsTallied) -> None:
    """The same of a run of usage."""
    tenant, windows = fold.facts.tenants[event.account], fold.changes.budget_windows
    spans = event.windows
    for budget, place, by in zip(event.budgets, event.counted_in, event.posted, strict=True):
        window = (tenant, budget, *spans[place])
        posted, pending = windows.get(window, (0, 0))
        windows[window] = (posted + by, pending)


def budget_crossed(fold: Folding, _: int, event: BudgetCrossed) -> None:
    fold.changes.budget_crossings.append(
        (
            fold.facts.tenants[event.account], fold.shard, fold.entry_seq, event.account,
            event.budget, event.threshold, int(event.used), event.limit, fold.recorded_at,
        )
    )  # fmt: skip
