"""Budgets: what was set, what counts in which window, and what was reached (rules H4, H5)."""

from __future__ import annotations

from ledger.core.events import (
    BudgetCrossed,
    BudgetRemoved,
    BudgetsCounted,
    BudgetSet,
    BudgetsTallied,
)
from ledger.projections.described import budget_json
from ledger.projections.fold.folding import Folding


def budget_set(fold: Folding, _: int, event: BudgetSet) -> None:
    _row(fold, event.account, event.budget, event.name, event.version, budget_json(event.terms))


def budget_removed(fold: Folding, _: int, event: BudgetRemoved) -> None:
    _row(fold, event.account, event.budget, event.name, None, None)


def _row(
    fold: Folding, account: int, number: int, name: str, version: int | None, terms: str | None
) -> None:
    fold.changes.budgets.append(
        (
            fold.facts.tenants[account], fold.shard, fold.entry_seq, account, number, name,
            version, terms, fold.recorded_at,
        )
    )  # fmt: skip


def budgets_counted(fold: Folding, _: int, event: BudgetsCounted | BudgetsTallied) -> None:
    """Summed up by window, so that a hot budget costs one row a transaction."""
    tenant, windows = fold.facts.tenants[event.account], fold.changes.budget_windows
    for move in event.moves:
        place = (tenant, move.budget, move.since, move.end)
        posted, pending = windows.get(place, (0, 0))
        windows[place] = (posted + move.posted, pending + move.pending)


def budget_crossed(fold: Folding, _: int, event: BudgetCrossed) -> None:
    fold.changes.budget_crossings.append(
        (
            fold.facts.tenants[event.account], fold.shard, fold.entry_seq, event.account,
            event.budget, event.threshold, int(event.used), event.limit, fold.recorded_at,
        )
    )  # fmt: skip
