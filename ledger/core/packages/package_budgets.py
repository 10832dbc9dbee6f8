"""Budgets that come and go with a package (rules P1, P3, H4).

A budget that a version says is set with the period that has the version. Another limit is the same
budget, whose counter goes on; where it counts something else, or in other windows, it is removed
and set anew. One that somebody has set by hand under the name holds: no version touches it. Reads
state, changes nothing.
"""

from __future__ import annotations

from ledger.core.budgets.budgeting import (
    budget_of,
    budget_set,
    fixed_field,
    invalid_budget,
    is_mandates,
    most_applying,
)
from ledger.core.budgets.budgets import Budget
from ledger.core.events import BudgetRemoved, BudgetTerms, BudgetValues, Event
from ledger.core.limits import BUDGETS_A_LINE_MAX
from ledger.core.outcomes import Reason, Refusal
from ledger.core.packages.packaged import Package
from ledger.core.packages.packaged_budgets import PackagedBudget, budget_terms, budget_values
from ledger.core.state import Account, State


def unfit_budgets(state: State, account: Account, package: Package) -> Refusal | None:
    """Why the account cannot have the budgets of a package: the first of them, by its place."""
    if not package.budgets:
        return None
    room = _room(state, account, package)
    for place, said in enumerate(package.budgets):
        budget = budget_of(account, said.name)
        if budget is not None and not _of_package(budget):
            continue
        refusal = invalid_budget(state, account, *_terms_of(state, account, said))
        if refusal is not None:
            field = refusal.field.removeprefix("budget.")
            value = said.asset if field == "asset" else refusal.value
            return Refusal(refusal.reason, f"budgets[{place}].{field}", value, refusal.message)
        room -= budget is None
        if room < 0:
            return Refusal(
                Reason.BUDGETS_LIMIT,
                f"budgets[{place}].name",
                said.name,
                f"at most {BUDGETS_A_LINE_MAX} budgets apply to an account: its own, with those of "
                "its package, and those of the accounts above it; remove some",
            )
    return None


def set_budgets(state: State, account: Account, package: Package, out: list[Event]) -> None:
    """Have the account have the package's budgets, and no others of one. Where there is room for
    no more, as at the beginning of a period, the last ones are left out."""
    said = {each.name: _terms_of(state, account, each) for each in package.budgets}
    room = _room(state, account, package)
    kept: dict[str, Budget] = {}
    for budget in account.budgets:
        found = said.get(budget.name)
        if not _of_package(budget) or (found is not None and not fixed_field(budget, *found)):
            kept[budget.name] = budget
        else:
            room += found is not None
            out.append(_removed(budget))
    following = state.next_budget
    for name, (terms, values) in said.items():
        before = kept.get(name)
        if before is None and room > 0:
            room -= 1
            out.append(budget_set(b"", account.number, following, name, terms, 1, values=values))
            following += 1
        elif (
            before is not None
            and _of_package(before)
            and (before.terms != terms or before.said_values() != values)
        ):
            number, version = before.number, before.version + 1
            out.append(budget_set(b"", account.number, number, name, terms, version, values=values))


def end_budgets(account: Account, out: list[Event]) -> None:
    """The account has no package any more: its budgets go with it."""
    out.extend([_removed(budget) for budget in account.budgets if _of_package(budget)])


def _of_package(budget: Budget) -> bool:
    return budget.packaged and not is_mandates(budget)


def _room(state: State, account: Account, package: Package) -> int:
    """How many more budgets may be set once those have gone that the package does not say."""
    if not package.budgets:
        return 0
    named = {each.name for each in package.budgets}
    gone = sum([_of_package(each) and each.name not in named for each in account.budgets])
    return BUDGETS_A_LINE_MAX - most_applying(state, account) + gone


def _terms_of(
    state: State, account: Account, said: PackagedBudget
) -> tuple[BudgetTerms, BudgetValues | None]:
    asset = state.catalog.asset_number(account.tenant, said.asset)
    return budget_terms(said, asset), budget_values(said)


def _removed(budget: Budget) -> BudgetRemoved:
    return BudgetRemoved(b"", budget.account.number, budget.number, budget.name)
