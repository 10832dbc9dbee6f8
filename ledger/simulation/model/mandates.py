"""Mandates of agents: granted below others, asked before work goes ahead, revoked (rule H4).

What a mandate may spend in all is a budget as those of `operations` are, of all usage of the
account and of those below it.
"""

from __future__ import annotations

from typing import Final

from ledger.core import events as e
from ledger.core.events import MANDATE_BUDGET, BudgetMeasure, BudgetTerms, MandateTerms
from ledger.simulation import naive
from ledger.simulation.model.shard import Shard
from ledger.simulation.naive_holdings import (
    FOREVER,
    NaiveAccount,
    NaiveBudget,
    NaiveMandate,
    Use,
)
from ledger.simulation.rules import Rule

RULE: Final = Rule.MANDATED


def budget_set(m: Shard, event: e.BudgetSet) -> None:
    """Worlds set none by hand: it belongs to the mandate right behind it."""
    m.expect(RULE, "key and name of a budget", (b"", MANDATE_BUDGET), (event.key, event.name))
    m.budgets_made += 1
    m.expect(RULE, "number of its budget", m.budgets_made, event.budget)
    m.ahead.append(event)


def granted(m: Shard, event: e.MandateGranted) -> None:
    """Once an account, within every mandate above it; its budget is told right before."""
    account = m.deciding(event.account)
    m.expect(Rule.CLOSED_TAKES_NOTHING, "mandate of a closed account", 0, account.closed_at)
    terms = event.terms
    complaint = why_not(m, account, terms)
    if complaint or account.mandate is not None:
        m.fail(RULE, f"{event}: {complaint or account.mandate}")
    budget = next((each for each in m.ahead if isinstance(each, e.BudgetSet)), None)
    if budget is None:
        m.fail(RULE, f"no budget stands before {event}")
    m.ahead.remove(budget)
    said = (budget.account, budget.terms, budget.version)
    expected = BudgetTerms(BudgetMeasure.CHARGE, terms.budget, terms.asset)
    m.expect(RULE, "its budget", (account.number, expected, 1), said)
    counter = NaiveBudget(budget.budget, account.number, b"", budget.terms, 1)
    account.mandate = NaiveMandate(terms, counter)


def revoked(m: Shard, event: e.MandateRevoked) -> None:
    """Once; a closed account's, too."""
    account = m.deciding(event.account)
    if account.mandate is None or account.mandate.revoked_at:
        m.fail(RULE, f"{event} of {account.mandate}")
    account.mandate.revoked_at = m.recorded_at


def why_not(m: Shard, account: NaiveAccount, terms: MandateTerms) -> str:
    """Why the account may not be given a mandate; "" where it may."""
    if terms.budget <= 0 or 0 < terms.expires_at <= m.recorded_at:
        return "MANDATE_INVALID"
    for each in m.above(account):
        above = each.mandate
        if above is None:
            continue
        if _over(m, above):
            return _over(m, above)
        if _exceeds(terms, above.terms):
            return "MANDATE_EXCEEDS_PARENT"
    return ""


def _exceeds(terms: MandateTerms, above: MandateTerms) -> bool:
    """Whether it would allow anything that the one above does not."""
    products = set(terms.products)
    return (
        terms.asset != above.asset
        or terms.budget > above.budget
        or (bool(above.products) and (not products or bool(products - set(above.products))))
        or bool(set(above.attributes) - set(terms.attributes))
        or (terms.price_max or FOREVER) > (above.price_max or FOREVER)
        or (terms.expires_at or FOREVER) > (above.expires_at or FOREVER)
    )


def _over(m: Shard, mandate: NaiveMandate) -> str:
    """Why it allows nothing any more; "" while it does."""
    if mandate.revoked_at:
        return "MANDATE_REVOKED"
    expired = (mandate.terms.expires_at or FOREVER) <= m.recorded_at
    return "MANDATE_EXPIRED" if expired else ""


def denying(
    m: Shard, account: NaiveAccount, price: naive.Priced, use: Use
) -> tuple[str, int, int] | None:
    """(reason, its account, what one request may cost) of the nearest mandate that does not allow
    work of that price; None = all do, but for what is left of their budgets."""
    for each in m.line(account):
        mandate = each.mandate
        if mandate is None:
            continue
        terms = mandate.terms
        reasons = {
            _over(m, mandate): True,
            "MANDATE_PRODUCT": bool(terms.products) and use.product not in terms.products,
            "MANDATE_ATTRIBUTES": not set(terms.attributes) <= set(use.attributes),
            "MANDATE_ASSET": terms.asset != price.asset,
            "MANDATE_PRICE": 0 < terms.price_max < price.total,
        }
        for reason, holds in reasons.items():
            if reason and holds:
                left = terms.price_max if reason == "MANDATE_PRICE" else 0
                return reason, each.number, left
    return None
