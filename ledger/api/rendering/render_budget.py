"""Budgets as messages: terms from what was recorded, what is counted from the state."""

from __future__ import annotations

from typing import NamedTuple

from ledger.api.assets import Assets
from ledger.core.budgets.budget_values import OTHERS
from ledger.core.budgets.budgets import Budget
from ledger.core.budgets.operation_terms import OperationPolicy, PackageOperationPolicy
from ledger.core.events import (
    BudgetSet,
    BudgetTerms,
    BudgetValues,
    GroupedBudgetSet,
    ValueLimit,
    Window,
    WindowKind,
)
from ledger.core.limits import BUDGET_VALUES_USUAL
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
    said: BudgetValues | None
    values: int
    number: int
    value: tuple[str, ...]


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
        budget.said_values(),
        len(budget.values.counters()) if budget.values is not None else 0,
        budget.number,
        budget.value,
    )


class OperationView(NamedTuple):
    """The same of the budget of an operation."""

    budget: BudgetView
    operation: bytes
    below: int
    idle: int
    ends_at: int
    policy: int


def operation_view(budget: Budget, now: int) -> OperationView:
    """The budget of an operation as it stands."""
    operation = budget.operation
    assert operation is not None
    return OperationView(
        budget_view(budget, now)._replace(name=""),
        operation.root,
        len(operation.below),
        operation.idle,
        operation.seen_at + operation.idle,
        operation.policy,
    )


def render_operation(
    assets: Assets, view: OperationView, account: str
) -> pb.GetOperationBudgetResponse:
    """All but the position."""
    return pb.GetOperationBudgetResponse(
        budget=render_standing(assets, view.budget, account),
        operation_key=view.operation.hex(),
        operations_below=view.below,
        idle_us=view.idle,
        ends_at_us=view.ends_at,
        policy_version=view.policy,
    )


def render_operation_policy(
    assets: Assets, policy: OperationPolicy, account: str
) -> pb.OperationPolicy:
    """What each operation of an account may use."""
    terms = policy.terms
    return pb.OperationPolicy(
        budget=render_budget(assets, "", terms, 0, None) if terms is not None else None,
        idle_us=policy.idle,
        version=policy.version,
        account=account,
        package=policy.package if isinstance(policy, PackageOperationPolicy) else "",
    )


def render_standing(assets: Assets, view: BudgetView, account: str) -> pb.BudgetStanding:
    """A budget with what it has counted."""
    return pb.BudgetStanding(
        budget=render_budget(assets, view.name, view.terms, view.version, view.said),
        account=account,
        used=str(view.used),
        pending=str(view.pending),
        left=str(view.terms.limit - view.used - view.pending),
        window_start_us=view.start_us,
        resets_at_us=view.resets_at_us,
        used_in_all=str(view.used_in_all),
        late=str(view.late),
        crossed=view.crossed,
        values=view.values,
    )


def render_value(view: BudgetView) -> pb.BudgetValueStanding:
    """What a budget has counted of one of its values."""
    return pb.BudgetValueStanding(
        value=view.value,
        shared=view.value == OTHERS,
        limit=view.terms.limit,
        used=str(view.used),
        pending=str(view.pending),
        left=str(view.terms.limit - view.used - view.pending),
        window_start_us=view.start_us,
        resets_at_us=view.resets_at_us,
        used_in_all=str(view.used_in_all),
        crossed=view.crossed,
    )


def render_set(assets: Assets, event: BudgetSet) -> pb.Budget:
    """A budget as it was set."""
    values = event.values if isinstance(event, GroupedBudgetSet) else None
    return render_budget(assets, event.name, event.terms, event.version, values)


def render_budget(
    assets: Assets, name: str, terms: BudgetTerms, version: int, values: BudgetValues | None
) -> pb.Budget:
    """What a budget is for."""
    said = values if values is not None else BudgetValues()
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
        group_by=said.group_by,
        values_max=said.values_max,
        value_limits=[
            pb.BudgetValueLimit(value=each.value, limit=each.limit) for each in said.limits
        ],
    )


def values_of(budget: pb.Budget) -> BudgetValues | None:
    """Of what it is to count each value by itself; None = it counts all together."""
    if not budget.group_by and not budget.values_max and not budget.value_limits:
        return None
    limits = [ValueLimit(tuple(each.value), each.limit) for each in budget.value_limits]
    return BudgetValues(
        tuple(budget.group_by),
        budget.values_max or BUDGET_VALUES_USUAL,
        tuple(sorted(limits, key=lambda limit: limit.value)),
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
