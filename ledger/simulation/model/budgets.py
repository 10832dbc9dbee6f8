"""Budgets of accounts: set, changed amid usage, removed (rules H4, H5).

What counts in them, and what they deny, is in `operations`, with the budgets of those.
"""

from __future__ import annotations

from ledger.core import events as e
from ledger.core.events import MANDATE_BUDGET
from ledger.simulation.model import mandates
from ledger.simulation.model.operations import CHANGEABLE
from ledger.simulation.model.shard import Shard
from ledger.simulation.naive_holdings import NaiveAccount, NaiveBudget
from ledger.simulation.rules import Rule

RULE = Rule.BUDGETED


def named(account: NaiveAccount, name: str) -> NaiveBudget | None:
    """The account's own budget of that name."""
    return next((each for each in account.budgets if each.name == name), None)


def budget_set(m: Shard, event: e.BudgetSet) -> None:
    """A new one, or another limit of one that goes on counting as it did."""
    if not event.key:
        mandates.budget_set(m, event)
        return
    account = m.deciding(event.account)
    m.expect(Rule.CLOSED_TAKES_NOTHING, "budget of a closed account", 0, account.closed_at)
    budget = named(account, event.name)
    version = budget.version if budget is not None else 0
    if event.expected_version:
        m.expect(Rule.POLICY_VERSIONS, "as expected", version, event.expected_version)
    m.expect(Rule.POLICY_VERSIONS, "version of the budget", version + 1, event.version)
    if budget is None:
        m.budgets_made += 1
        budget = NaiveBudget(
            m.budgets_made, account.number, b"", event.terms, name=event.name,
            created_at=m.recorded_at,
        )  # fmt: skip
        account.budgets.append(budget)
    elif is_fixed(budget, event.terms):
        m.fail(RULE, f"{event} changes what {budget} counts")
    m.expect(RULE, "number", budget.number, event.budget)
    budget.version, budget.terms = event.version, event.terms
    told = budget.crossed
    budget.crossed = {each: told[each] for each in told if each in event.terms.thresholds}


def budget_removed(m: Shard, event: e.BudgetRemoved) -> None:
    """It counts and refuses no more, what pends there either."""
    account = m.deciding(event.account)
    budget = named(account, event.name)
    if budget is None:
        m.fail(RULE, f"{event} of none of {account.budgets}")
    m.expect(RULE, "number", budget.number, event.budget)
    account.budgets.remove(budget)
    budget.removed = True
    budget.held.clear()


def is_fixed(budget: NaiveBudget, terms: e.BudgetTerms) -> bool:
    """Whether such terms would change what it counts."""
    return any(
        getattr(terms, field) != getattr(budget.terms, field)
        for field in e.BudgetTerms.__struct_fields__
        if field not in CHANGEABLE
    )


def of_mandate(account: NaiveAccount, name: str) -> bool:
    """Whether it is what a mandate says, which never changes."""
    return account.mandate is not None and name == MANDATE_BUDGET
