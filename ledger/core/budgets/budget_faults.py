"""What is wrong with the terms of a budget by themselves (rules H4, H5).

Whether the account's tenant has their asset is for whoever sets them. Pure.
"""

from __future__ import annotations

from typing import Final

from ledger.core.events import BudgetMeasure, BudgetTerms, BudgetValues
from ledger.core.limits import (
    ATTRIBUTES_MAX,
    BUDGET_GROUP_BY_MAX,
    BUDGET_THRESHOLD_MAX,
    BUDGET_THRESHOLDS_MAX,
    BUDGET_VALUE_LIMITS_MAX,
    BUDGET_VALUES_MAX,
    INT64_MAX,
    PRODUCTS_A_GRANT_MAX,
    TAGS_A_GRANT_MAX,
)
from ledger.core.windows import Fault, window_fault

OF_AN_ASSET: Final = (BudgetMeasure.CHARGE, BudgetMeasure.NET_CHARGE, BudgetMeasure.COST)


def terms_fault(terms: BudgetTerms) -> Fault | None:
    """The first field that says what no budget may, if one does."""
    fault = window_fault(terms.window)
    if fault is not None:
        return fault
    if terms.asset and terms.measure not in OF_AN_ASSET:
        return Fault("asset", str(terms.asset), "a budget of this measure counts no asset")
    if (terms.measure == BudgetMeasure.QUANTITY) != bool(terms.quantity):
        message = "a budget of a quantity names it, and no other does"
        return Fault("quantity", terms.quantity, message)
    if not 0 <= terms.limit <= INT64_MAX:
        return Fault("limit", str(terms.limit), f"it is from 0 to {INT64_MAX}")
    for field, length, most in (
        ("products", len(terms.products), PRODUCTS_A_GRANT_MAX),
        ("tags", len(terms.tags), TAGS_A_GRANT_MAX),
        ("attributes", len(terms.attributes), ATTRIBUTES_MAX),
        ("thresholds", len(terms.thresholds), BUDGET_THRESHOLDS_MAX),
    ):
        if length > most:
            return Fault(field, str(length), f"a budget has at most {most} of them")
    before = 0
    for threshold in terms.thresholds:
        if not before < threshold <= BUDGET_THRESHOLD_MAX:
            message = f"thresholds rise, each from 1 to {BUDGET_THRESHOLD_MAX} percent"
            return Fault("thresholds", str(threshold), message)
        before = threshold
    return None


def values_fault(values: BudgetValues) -> Fault | None:
    """The same of what says that each value counts by itself."""
    names = values.group_by
    if not 0 < len(names) <= BUDGET_GROUP_BY_MAX or len(set(names)) < len(names):
        message = f"a budget groups by 1 to {BUDGET_GROUP_BY_MAX} different attributes, or by none"
        return Fault("group_by", ", ".join(names) or "none", message)
    if not 0 < values.values_max <= BUDGET_VALUES_MAX:
        message = f"from 1 to {BUDGET_VALUES_MAX} values have a counter of their own"
        return Fault("values_max", str(values.values_max), message)
    if len(values.limits) > BUDGET_VALUE_LIMITS_MAX:
        message = f"at most {BUDGET_VALUE_LIMITS_MAX} values have a limit of their own"
        return Fault("value_limits", str(len(values.limits)), message)
    named: set[tuple[str, ...]] = set()
    for each in values.limits:
        told = ", ".join(each.value)
        if len(each.value) != len(names):
            message = "name one value of each attribute that it groups by, in their order"
            return Fault("value_limits", told, message)
        if each.value in named:
            return Fault("value_limits", told, "a value has one limit")
        if not 0 <= each.limit <= INT64_MAX:
            message = f"the limit of a value is from 0 to {INT64_MAX}"
            return Fault("value_limits", str(each.limit), message)
        named.add(each.value)
    return None
