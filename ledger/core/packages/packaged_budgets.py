"""Budgets as a package says them: published data, their faults, and the terms they are (P1, H4).

Assets go by their codes, measures and windows by their words, as all that is published. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Final

import msgspec

from ledger.core.budgets.budget_faults import OF_AN_ASSET, terms_fault, values_fault
from ledger.core.events import (
    BudgetMeasure,
    BudgetTerms,
    BudgetValues,
    ValueLimit,
    Window,
    WindowKind,
    WindowUnit,
)
from ledger.core.limits import ATTRIBUTE_NAME_BYTES_MAX, ATTRIBUTE_VALUE_BYTES_MAX
from rating.faults import CardFault, check_name


class PackagedMeasure(StrEnum):
    """What a budget counts (rule H4)."""

    CHARGE = "charge"
    NET_CHARGE = "net_charge"
    COST = "cost"
    QUANTITY = "quantity"
    REQUESTS = "requests"


class PackagedWindowKind(StrEnum):
    """How time is cut for it (rule H5)."""

    LIFETIME = "lifetime"
    CALENDAR = "calendar"
    BILLING = "billing"
    FIXED = "fixed"
    SLIDING = "sliding"


class PackagedWindowUnit(StrEnum):
    """The units of the calendar."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


MEASURES: Final = {each: BudgetMeasure[each.name] for each in PackagedMeasure}
WINDOWS: Final = {each: WindowKind[each.name] for each in PackagedWindowKind}
WINDOW_UNITS: Final = {each: WindowUnit[each.name] for each in PackagedWindowUnit}


class PackagedWindow(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The windows of a budget; `unit` and `zone` of a calendar one, else None and ""."""

    kind: PackagedWindowKind = PackagedWindowKind.LIFETIME
    unit: PackagedWindowUnit | None = None
    zone: str = ""
    length_us: int = 0


class PackagedValueLimit(
    msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A limit of its own for one of the values that a budget counts each by itself."""

    value: tuple[str, ...]
    limit: int


class PackagedBudget(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A budget that whoever subscribes has, by its name (rule H4): what it counts, and how much of
    it may be used in each window."""

    name: str
    measure: PackagedMeasure
    limit: int
    asset: str = ""
    quantity: str = ""
    hard: bool = True
    window: PackagedWindow = PackagedWindow()
    products: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()
    thresholds: tuple[int, ...] = ()
    group_by: tuple[str, ...] = ()
    values_max: int = 0  # with `group_by`, else 0
    value_limits: tuple[PackagedValueLimit, ...] = ()


def budget_values(budget: PackagedBudget) -> BudgetValues | None:
    """Of what it counts each value by itself; None = it counts all together."""
    if not budget.group_by and not budget.values_max and not budget.value_limits:
        return None
    limits = tuple([ValueLimit(each.value, each.limit) for each in budget.value_limits])
    return BudgetValues(budget.group_by, budget.values_max, limits)


def budget_terms(budget: PackagedBudget, asset: int) -> BudgetTerms:
    """It as the terms of an account's budget; `asset`: the number of its own, 0 = it has none."""
    window = budget.window
    return BudgetTerms(
        MEASURES[budget.measure],
        budget.limit,
        asset,
        budget.quantity,
        budget.hard,
        Window(
            WINDOWS[window.kind],
            WINDOW_UNITS[window.unit] if window.unit is not None else 0,
            window.zone,
            window.length_us,
        ),
        budget.products,
        budget.tags,
        budget.attributes,
        budget.thresholds,
    )


def budget_faults(path: str, budget: PackagedBudget) -> Iterator[CardFault]:
    """What is wrong with it by itself, each with its place."""
    yield from check_name(f"{path}.name", budget.name)
    yield from counting_faults(path, budget)


def counting_faults(path: str, budget: PackagedBudget) -> Iterator[CardFault]:
    """The same of all but its name."""
    counts_asset = MEASURES[budget.measure] in OF_AN_ASSET
    yield from check_name(f"{path}.asset", budget.asset, empty=not counts_asset)
    yield from check_name(f"{path}.quantity", budget.quantity, empty=True)
    for field, names in (("products", budget.products), ("tags", budget.tags)):
        for at, name in enumerate(names):
            yield from check_name(f"{path}.{field}[{at}]", name)
    for name, value in budget.attributes:
        yield from check_name(f"{path}.attributes", name, ATTRIBUTE_NAME_BYTES_MAX)
        where = f"{path}.attributes[{name}]"
        yield from check_name(where, value, ATTRIBUTE_VALUE_BYTES_MAX, empty=True)
    for at, name in enumerate(budget.group_by):
        yield from check_name(f"{path}.group_by[{at}]", name, ATTRIBUTE_NAME_BYTES_MAX)
    for at, each in enumerate(budget.value_limits):
        where = f"{path}.value_limits[{at}].value"
        for value in each.value:
            yield from check_name(where, value, ATTRIBUTE_VALUE_BYTES_MAX, empty=True)
    fault = terms_fault(budget_terms(budget, 1 if budget.asset else 0))
    values = budget_values(budget)
    if fault is None and values is not None:
        fault = values_fault(values)
    if fault is not None:
        value = budget.asset if fault.field == "asset" else fault.value
        yield CardFault(f"{path}.{fault.field}", "BUDGET_INVALID", value, fault.message)
