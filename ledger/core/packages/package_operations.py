"""What each operation of an account may use, as it comes and goes with a package (rules P1, H4).

It counts where the account has no policy of operations of its own, by the version of each period.
An operation keeps the budget that it began with. Reads state, changes nothing.
"""

from __future__ import annotations

from ledger.core.budgets.operation_budgets import terms_invalid
from ledger.core.budgets.operation_terms import PackageOperationPolicy
from ledger.core.events import BudgetTerms, Event, PackageOperationsSet
from ledger.core.limits import OPERATION_IDLE_DEFAULT_US
from ledger.core.outcomes import Refusal
from ledger.core.packages.packaged import Package
from ledger.core.packages.packaged_budgets import budget_terms
from ledger.core.packages.packaged_operations import PackagedOperations
from ledger.core.state import Account, State


def unfit_operations(state: State, account: Account, package: Package) -> Refusal | None:
    """Why no operation of the account may have the budget of a package, if none may."""
    said = package.operations
    if said is None:
        return None
    refusal = terms_invalid(state, account, _terms_of(state, account, said), said.idle_us)
    if refusal is None:
        return None
    value = said.budget.asset if refusal.field == "budget.asset" else refusal.value
    return Refusal(refusal.reason, f"operations.{refusal.field}", value, refusal.message)


def set_operations(
    state: State, account: Account, package: Package, name: str, version: int, out: list[Event]
) -> None:
    """Have the account give what the package says, and nothing of another; nothing where it
    does."""
    said, stands = package.operations, account.packaged_operations
    if said is None:
        end_operations(account, out)
        return
    terms, idle = _terms_of(state, account, said), said.idle_us or OPERATION_IDLE_DEFAULT_US
    if PackageOperationPolicy(version, terms, idle, name) != stands:
        out.append(PackageOperationsSet(account.number, name, version, terms, idle))


def end_operations(account: Account, out: list[Event]) -> None:
    """The account has no package any more that carries a policy: it goes."""
    stands = account.packaged_operations
    if stands is not None:
        out.append(PackageOperationsSet(account.number, stands.package, stands.version, None, 0))


def _terms_of(state: State, account: Account, said: PackagedOperations) -> BudgetTerms:
    asset = state.catalog.asset_number(account.tenant, said.budget.asset)
    return budget_terms(said.budget, asset)
