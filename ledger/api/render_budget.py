"""Budgets as messages: terms from what was recorded, what is counted from the state."""

from __future__ import annotations

from typing import NamedTuple

from ledger.api.assets import Assets
from ledger.core.budgets import Budget
from ledger.core.events import BudgetTerms, Window, WindowKind
from ledger.core.windows import showing
from ledger.v1 import budget_pb2 as pb
from ledger.v1 import types_pb2


class BudgetView(NamedTuple):
    """What a budget's message needs of the state, taken at one position."""

    account: int
    name: str
    version: int
    terms: BudgetTerms
    used: int
    pending: int
    start_us: int
    resets_at_us: int
    used_in_all: int
    late: int
    crossed: tuple[int, ...]


def budget_view(budget: Budget, now: int) -> BudgetView:
    """A budget with the window that holds `now`, by its tenant's clock."""
    window, counter, account = budget.terms.window, budget.counter, budget.account
    used, pending = counter.within(window, now)
    start, resets_at = showing(window, counter, now, account.anchors, account.calendar)
    return BudgetView(
        account.number,
        budget.name,
        budget.version,
        budget.terms,
        used,
        pending,
        start,
        resets_at,
        counter.posted,
        counter.late,
        tuple([each for each in sorted(budget.crossed) if budget.crossed[each] > now]),
    )


def render_standing(assets: Assets, view: BudgetView, account: str) -> pb.BudgetStanding:
    """A budget with what it has counted."""
    return pb.BudgetStanding(
        budget=render_budget(assets, view.name, view.terms, view.version),
        account=account,
        used=str(view.used),
        pending=str(view.pending),
        left=str(view.terms.limit - view.used - view.pending),
        window_start_us=view.start_us,
        resets_at_us=view.resets_at_us,
        used_in_all=str(view.used_in_all),
        late=str(view.late),
        crossed=view.crossed,
    )


def render_budget(assets: Assets, name: str, terms: BudgetTerms, version: int) -> pb.Budget:
    """What a budget is for."""
    asset = assets.of(terms.asset) if terms.asset else None
    return pb.Budget(
        name=name,
        measure=pb.BudgetMeasure.ValueType(terms.measure),
        limit=terms.limit,
        asset=asset.code if asset is not None else "",
        quantity=terms.quantity,
        soft=not terms.hard,
        window=render_window(terms.window),
        products=terms.products,
        tags=terms.tags,
        attributes=dict(terms.attributes),
        thresholds=terms.thresholds,
        version=version,
        scale=asset.scale if asset is not None else 0,
    )


def render_window(window: Window) -> types_pb2.Window:
    """A window as it was set."""
    return types_pb2.Window(
        kind=types_pb2.WindowKind.ValueType(window.kind),
        unit=types_pb2.WindowUnit.ValueType(window.unit),
        zone=window.zone,
        length_us=window.length,
    )


def window_of(window: types_pb2.Window) -> Window:
    """A window as it was asked for; the zone of a calendar one is UTC unless it is said."""
    kind = WindowKind(window.kind or WindowKind.LIFETIME)
    zone = window.zone or ("UTC" if kind == WindowKind.CALENDAR else "")
    return Window(kind, window.unit, zone, window.length_us)
