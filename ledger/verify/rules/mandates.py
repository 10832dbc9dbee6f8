"""Mandates: granted once, within the one above; what a denial by one says (rule H4)."""

from __future__ import annotations

from ledger.core.events import (
    MANDATE_BUDGET,
    BudgetMeasure,
    Limit,
    MandateGranted,
    MandateRevoked,
    MandateTerms,
    WindowKind,
    WorkDenied,
)
from ledger.core.limits import INT64_MAX
from ledger.core.state import Account, State
from ledger.verify.rules.judge import Judge


def mandate_granted(judge: Judge, state: State, event: MandateGranted) -> None:
    """An account's one mandate, with its budget right before, and no more than the one above."""
    account, terms = state.accounts[event.account], event.terms
    judge.equal(state, "closed", 0, account.closed_at)
    if account.mandate is not None:
        judge.wrong(state, "mandates of an account", "one", "another")
    budgets = [each.terms for each in account.budgets if each.name == MANDATE_BUDGET]
    said = [
        (each.measure, each.limit, each.asset, each.window.kind, each.hard)
        for each in budgets
        if not (each.products or each.tags or each.attributes)
    ]
    counted = (BudgetMeasure.CHARGE, terms.budget, terms.asset, WindowKind.LIFETIME, True)
    judge.equal(state, "budget of the mandate", [counted], said)
    if not 0 < terms.budget <= INT64_MAX or not 0 <= terms.price_max <= INT64_MAX:
        judge.wrong(state, "budget and price of a mandate", "units that fit 64 bits", terms)
    if 0 < terms.expires_at <= state.now:
        judge.wrong(state, "end of a mandate", f"after {state.now}", terms.expires_at)
    for above in account.line()[1:]:
        if above.mandate is None:
            continue
        if not _within(terms, above.mandate.terms):
            judge.wrong(state, "mandate", f"within {above.mandate.terms}", terms)
        if _ended(above, state.now):
            judge.wrong(state, "mandate above", "one that has not ended", above.number)


def mandate_revoked(judge: Judge, state: State, event: MandateRevoked) -> None:
    """One that stands, once."""
    mandate = state.accounts[event.account].mandate
    if mandate is None:
        judge.wrong(state, "mandate that is revoked", "one that there is", event.account)
    else:
        judge.equal(state, "revoked before", 0, mandate.revoked_at)


def look_at_mandate(judge: Judge, state: State, event: WorkDenied, limit: Limit) -> None:
    """A mandate of the account's line does not allow the work, for that reason."""
    account, plan = state.accounts[event.account], state.declared[event.plan]
    bearers = [each for each in account.line() if each.number == limit.account]
    mandate = bearers[0].mandate if bearers else None
    if mandate is None:
        judge.wrong(state, "mandate that denies", "one that applies", limit.account)
        return
    terms, reason = mandate.terms, event.reason
    denies = {
        "MANDATE_REVOKED": bool(mandate.revoked_at),
        "MANDATE_EXPIRED": _ended(bearers[0], state.now) and not mandate.revoked_at,
        "MANDATE_PRODUCT": bool(terms.products) and plan.product not in terms.products,
        "MANDATE_ATTRIBUTES": not set(terms.attributes) <= set(plan.attributes),
        "MANDATE_ASSET": plan.asset != terms.asset,
        "MANDATE_PRICE": 0 < terms.price_max < event.charge,
    }
    judge.equal(state, f"whether the mandate denies for {reason}", True, denies.get(reason))
    judge.equal(state, "left", terms.price_max if reason == "MANDATE_PRICE" else 0, limit.left)


def _within(terms: MandateTerms, above: MandateTerms) -> bool:
    products = not above.products or (
        bool(terms.products) and set(terms.products) <= set(above.products)
    )
    price = not above.price_max or 0 < terms.price_max <= above.price_max
    end = not above.expires_at or 0 < terms.expires_at <= above.expires_at
    attributes = set(above.attributes) <= set(terms.attributes)
    spent = terms.asset == above.asset and terms.budget <= above.budget
    return products and price and end and attributes and spent


def _ended(account: Account, now: int) -> bool:
    mandate = account.mandate
    assert mandate is not None
    return bool(mandate.revoked_at) or 0 < mandate.terms.expires_at <= now
