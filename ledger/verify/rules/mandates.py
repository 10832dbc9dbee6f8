"""Mandates: granted once, within the one above; what a denial by one says; what agents buy, within
every limit and at the price that was granted (rules H4, F1)."""

from __future__ import annotations

from fractions import Fraction

from ledger.core.events import (
    MANDATE_BUDGET,
    BudgetMeasure,
    BuyingMandateGranted,
    GrantKind,
    Limit,
    MandateGranted,
    MandateRevoked,
    MandateTerms,
    PurchaseRequested,
    PurchaseTerms,
    Sharing,
    SharingMode,
    WindowKind,
    WorkDenied,
)
from ledger.core.limits import INT64_MAX, MANDATE_PURCHASES_MAX
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
    purchase = event.purchase if isinstance(event, BuyingMandateGranted) else None
    if purchase is not None:
        figures = (purchase.limit, purchase.price_numerator, purchase.price_denominator)
        if min(figures) <= 0 or max(figures) > INT64_MAX:
            judge.wrong(state, "what a mandate buys", "above 0, and fits 64 bits", purchase)
    for above in account.line()[1:]:
        if above.mandate is None:
            continue
        if not _within(terms, above.mandate.terms):
            judge.wrong(state, "mandate", f"within {above.mandate.terms}", terms)
        if purchase is not None and not _buys_within(purchase, above.mandate.purchase):
            judge.wrong(state, "what a mandate buys", above.mandate.purchase, purchase)
        if _ended(above, state.now):
            judge.wrong(state, "mandate above", "one that has not ended", above.number)


def mandate_revoked(judge: Judge, state: State, event: MandateRevoked) -> None:
    """One that stands, once."""
    mandate = state.accounts[event.account].mandate
    if mandate is None:
        judge.wrong(state, "mandate that is revoked", "one that there is", event.account)
    else:
        judge.equal(state, "revoked before", 0, mandate.revoked_at)


def purchase_requested(judge: Judge, state: State, event: PurchaseRequested) -> None:
    """Within the limit of every mandate of the line, at their price; for a grant of whoever pays
    that waits for just that, and is shared with the agent alone (rules F1, H4)."""
    account, what = state.accounts[event.account], f"purchase of account {event.account}"
    bearers = [each for each in account.line() if each.mandate is not None]
    numbers = tuple([each.number for each in bearers])
    judge.equal(state, f"counted of the {what}", numbers, event.counted)
    if account.mandate is None or account.closed_at or account.frozen:
        judge.wrong(state, what, "of an agent whose account is open", "another")
        return
    above = bearers[-1].parent or bearers[-1]
    judge.equal(state, f"payer of the {what}", above.number, event.payer)
    judge.equal(state, f"asset of the {what}", account.mandate.terms.asset, event.asset)
    for each in bearers:
        mandate = each.mandate
        assert mandate is not None
        terms = mandate.purchase
        if terms is None or _ended(each, state.now):
            judge.wrong(state, f"mandate of the {what}", "one that buys", each.number)
            continue
        price = Fraction(event.amount * terms.price_numerator, terms.price_denominator)
        asked = (max(1, round(price)), terms.price_asset)
        judge.equal(state, f"price of the {what}", asked, (event.price_paid, event.price_asset))
        if mandate.purchased + event.price_paid > terms.limit:
            judge.wrong(state, f"limit of the {what}", terms.limit, mandate.purchased)
        if mandate.pending >= MANDATE_PURCHASES_MAX:
            judge.wrong(state, f"purchases that wait with the {what}", "fewer", mandate.pending)
    grant = state.grants.get(event.grant)
    if grant is None or grant.number != state.next_grant - 1:
        judge.wrong(state, f"grant of the {what}", state.next_grant - 1, event.grant)
        return
    issued = (grant.account.number, grant.kind, grant.asset, grant.pending, grant.unpaid)
    waits = (event.payer, GrantKind.PREPAID, event.asset, event.amount, event.price_paid)
    judge.equal(state, f"grant of the {what}", waits, issued)
    judge.equal(state, f"currency of the {what}", event.price_asset, grant.price_asset)
    alone = Sharing(SharingMode.LISTED, (event.account,))
    judge.equal(state, f"sharing of the {what}", (True, alone), (grant.shared, grant.shared_with))


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


def _buys_within(purchase: PurchaseTerms, above: PurchaseTerms | None) -> bool:
    if above is None:
        return False
    mine = Fraction(purchase.price_numerator, purchase.price_denominator)
    same = mine == Fraction(above.price_numerator, above.price_denominator)
    paid = (purchase.price_asset, purchase.source) == (above.price_asset, above.source)
    return same and paid and purchase.limit <= above.limit


def _ended(account: Account, now: int) -> bool:
    mandate = account.mandate
    assert mandate is not None
    return bool(mandate.revoked_at) or 0 < mandate.terms.expires_at <= now
