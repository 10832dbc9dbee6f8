"""Budgets of packages as messages, and what a change of package would do to those of an account."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from ledger.api.assets import Assets
from ledger.api.rendering.render_budget import (
    render_budget,
    render_set,
    render_window,
    values_of,
)
from ledger.core.events import (
    BudgetRemoved,
    BudgetSet,
    BudgetValues,
    Event,
    PackageOperationsSet,
)
from ledger.core.packages.packaged_budgets import (
    MEASURES,
    WINDOW_UNITS,
    WINDOWS,
    PackagedBudget,
    PackagedMeasure,
    PackagedValueLimit,
    PackagedWindow,
    PackagedWindowKind,
    budget_terms,
)
from ledger.core.packages.packaged_operations import PackagedOperations
from ledger.v1 import budget_pb2 as pb
from ledger.v1 import package_pb2
from rating.faults import CardFault

_MEASURES: Final = {int(number): each for each, number in MEASURES.items()}
_KINDS: Final = {0: PackagedWindowKind.LIFETIME} | {int(n): each for each, n in WINDOWS.items()}
_UNITS: Final = {0: None} | {int(number): each for each, number in WINDOW_UNITS.items()}


def packaged_budget_of(path: str, given: pb.Budget, faults: list[CardFault]) -> PackagedBudget:
    """A budget of a package as it was asked for; what is not known of it is added to the faults."""
    window = given.window
    for field, number, known in (
        ("measure", given.measure, _MEASURES),
        ("window.kind", window.kind, _KINDS),
        ("window.unit", window.unit, _UNITS),
    ):
        if number not in known:
            message = "there is no such value"
            faults.append(CardFault(f"{path}.{field}", "VALUE_UNKNOWN", str(number), message))
    kind = _KINDS.get(window.kind, PackagedWindowKind.LIFETIME)
    utc = "UTC" if kind is PackagedWindowKind.CALENDAR else ""
    values = values_of(given) or BudgetValues()
    return PackagedBudget(
        given.name,
        _MEASURES.get(given.measure, PackagedMeasure.REQUESTS),
        given.limit,
        given.asset,
        given.quantity,
        not given.soft,
        PackagedWindow(kind, _UNITS.get(window.unit), window.zone or utc, window.length_us),
        tuple(sorted(given.products)),
        tuple(sorted(given.tags)),
        tuple(sorted(given.attributes.items())),
        tuple(given.thresholds),
        values.group_by,
        values.values_max,
        tuple([PackagedValueLimit(each.value, each.limit) for each in values.limits]),
    )


def render_packaged_budget(budget: PackagedBudget, scales: Mapping[str, int]) -> pb.Budget:
    """It as it was published; `scales` of assets by their codes."""
    terms = budget_terms(budget, 0)
    return pb.Budget(
        name=budget.name,
        measure=pb.BudgetMeasure.ValueType(terms.measure),
        limit=budget.limit,
        asset=budget.asset,
        quantity=budget.quantity,
        soft=not budget.hard,
        window=render_window(terms.window),
        products=budget.products,
        tags=budget.tags,
        attributes=dict(budget.attributes),
        thresholds=budget.thresholds,
        scale=scales.get(budget.asset, 0),
        group_by=budget.group_by,
        values_max=budget.values_max,
        value_limits=[
            pb.BudgetValueLimit(value=each.value, limit=each.limit) for each in budget.value_limits
        ],
    )


def packaged_operations_of(
    path: str, given: package_pb2.PackageOperations, faults: list[CardFault]
) -> PackagedOperations:
    """What each operation may use as it was asked for; what is not known is added to the faults."""
    return PackagedOperations(
        packaged_budget_of(f"{path}.budget", given.budget, faults), given.idle_us
    )


def render_packaged_operations(
    operations: PackagedOperations | None, scales: Mapping[str, int]
) -> package_pb2.PackageOperations | None:
    """It as it was published."""
    if operations is None:
        return None
    return package_pb2.PackageOperations(
        budget=render_packaged_budget(operations.budget, scales), idle_us=operations.idle_us
    )


def render_operations_set(
    assets: Assets, events: Iterable[Event]
) -> package_pb2.PackageOperations | None:
    """What a decision has each operation get by the package; None = it leaves that as it is."""
    for each in events:
        if isinstance(each, PackageOperationsSet):
            terms = each.terms
            budget = render_budget(assets, "", terms, 0, None) if terms is not None else None
            return package_pb2.PackageOperations(budget=budget, idle_us=each.idle)
    return None


def render_budgets_set(assets: Assets, events: Iterable[Event]) -> list[pb.Budget]:
    """The budgets that a decision sets."""
    return [render_set(assets, each) for each in events if isinstance(each, BudgetSet)]


def budgets_removed(events: Iterable[Event]) -> list[str]:
    """The names of those that it removes."""
    return [each.name for each in events if isinstance(each, BudgetRemoved)]
