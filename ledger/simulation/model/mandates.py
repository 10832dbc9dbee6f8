"""Mandates of agents: granted below others, asked before work goes ahead, what they buy, revoked
(rules H4, F1).

What a mandate may spend in all is a budget as those of `operations` are, of all usage of the
account and of those below it.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from ledger.core import events as e
from ledger.core.events import (
    MANDATE_BUDGET,
    BudgetMeasure,
    BudgetTerms,
    GrantKind,
    MandateTerms,
    PurchaseTerms,
)
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
    """That of a mandate stands right before it."""
    m.expect(RULE, "key and name of a budget", (b"", MANDATE_BUDGET), (event.key, event.name))
    m.budgets_made += 1
    m.expect(RULE, "number of its budget", m.budgets_made, event.budget)
    m.ahead.append(event)


def granted(m: Shard, event: e.MandateGranted) -> None:
    """Once an account, within every mandate above it; its budget is told right before."""
    account = m.deciding(event.account)
    m.expect(Rule.CLOSED_TAKES_NOTHING, "mandate of a closed account", 0, account.closed_at)
    terms = event.terms
    purchase = event.purchase if isinstance(event, e.BuyingMandateGranted) else None
    complaint = why_not(m, account, terms, purchase)
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
    counter.name, counter.created_at = MANDATE_BUDGET, m.recorded_at
    account.budgets.append(counter)
    account.mandate = NaiveMandate(terms, counter, purchase=purchase)


def revoked(m: Shard, event: e.MandateRevoked) -> None:
    """Once; a closed account's, too."""
    account = m.deciding(event.account)
    if account.mandate is None or account.mandate.revoked_at:
        m.fail(RULE, f"{event} of {account.mandate}")
    account.mandate.revoked_at = m.recorded_at


def why_not(
    m: Shard, account: NaiveAccount, terms: MandateTerms, purchase: PurchaseTerms | None = None
) -> str:
    """Why the account may not be given a mandate; "" where it may."""
    if terms.budget <= 0 or 0 < terms.expires_at <= m.recorded_at:
        return "MANDATE_INVALID"
    for each in m.above(account):
        above = each.mandate
        if above is None:
            continue
        if _over(m, above):
            return _over(m, above)
        if _exceeds(terms, above.terms) or _buys_more(purchase, above.purchase):
            return "MANDATE_EXCEEDS_PARENT"
    return "MANDATE_INVALID" if purchase is not None and purchase.limit <= 0 else ""


def _buys_more(purchase: PurchaseTerms | None, above: PurchaseTerms | None) -> bool:
    """Whether it would buy what the one above it does not, or at another price."""
    if purchase is None:
        return False
    return above is None or purchase.limit > above.limit or _price(purchase) != _price(above)


def _price(terms: PurchaseTerms) -> tuple[int, Fraction, str]:
    each = Fraction(terms.price_numerator, terms.price_denominator)
    return terms.price_asset, each, terms.source


# -- what agents buy -------------------------------------------------------------------------------


def bought(m: Shard, event: e.PurchaseRequested) -> None:
    """A grant of whoever pays, for the agent and those below it: its entry stands right before."""
    account = m.deciding(event.account)
    standing = (account.closed_at, m.frozen(account))
    m.expect(Rule.CLOSED_TAKES_NOTHING, "closed, frozen", (0, False), standing)
    m.expect(RULE, "why it buys nothing", "", why_not_buy(m, account, event.asset, event.amount))
    bearers = [each for each in m.line(account) if each.mandate is not None]
    counted = tuple(each.number for each in bearers)
    payer = m.accounts.get(bearers[-1].parent, bearers[-1])
    price, terms = _cost(account, event.amount)
    expected = (payer.number, price, terms.price_asset, counted)
    said = (event.payer, event.price_paid, event.price_asset, event.counted)
    m.expect(RULE, "payer, price and who counts it", expected, said)
    grant = m.explained(e.GrantIssued, event.grant)
    asked = (
        payer.number, GrantKind.PREPAID, event.asset, event.amount, price, terms.price_asset, True,
        True, e.Sharing(e.SharingMode.LISTED, (account.number,)), 0, terms.source,
    )  # fmt: skip
    issued = (
        grant.account, grant.kind, grant.asset, grant.amount, grant.price_paid, grant.price_asset,
        grant.pending, grant.shared, grant.sharing, grant.expires_at, grant.source,
    )  # fmt: skip
    m.expect(RULE, "grant that is bought", asked, issued)
    m.grants[event.grant].bought_by = counted
    for each in bearers:
        assert each.mandate is not None
        each.mandate.purchased += price


def why_not_buy(m: Shard, account: NaiveAccount, asset: int, amount: int) -> str:
    """Why its agent may not have so many units bought; "" where it may."""
    own, line = account.mandate, [each.mandate for each in m.line(account)]
    mandates = [each for each in line if each is not None]
    if own is None:
        return "MANDATE_UNKNOWN"
    over = next((_over(m, each) for each in mandates if _over(m, each)), "")
    if over:
        return over
    if asset != own.terms.asset:
        return "MANDATE_ASSET"
    if amount <= 0:
        return "AMOUNT_INVALID"
    buys = [each.purchase for each in mandates]
    if None in buys or any(_price(each) != _price(buys[0]) for each in buys if each and buys[0]):
        return "MANDATE_BUYS_NOTHING"
    price, _ = _cost(account, amount)
    left = [each.purchase.limit - each.purchased for each in mandates if each.purchase is not None]
    return "MANDATE_PURCHASE_EXCEEDED" if price > min(left) else ""


def _cost(account: NaiveAccount, amount: int) -> tuple[int, PurchaseTerms]:
    assert account.mandate is not None and account.mandate.purchase is not None
    terms = account.mandate.purchase
    exact = Fraction(amount * terms.price_numerator, terms.price_denominator)
    return max(1, round(exact)), terms


# -- what they allow -------------------------------------------------------------------------------


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
    m: Shard, account: NaiveAccount, price: naive.Priced, use: Use | None
) -> tuple[str, int, int] | None:
    """(reason, its account, what one request may cost) of the nearest mandate that does not allow
    work of that price; None = all do, but for what is left of their budgets. `use`: None = it is
    units for whatever work, of which each is asked about by itself."""
    for each in m.line(account):
        mandate = each.mandate
        if mandate is None:
            continue
        terms = mandate.terms
        reasons = {
            _over(m, mandate): True,
            "MANDATE_PRODUCT": use is not None
            and bool(terms.products)
            and use.product not in terms.products,
            "MANDATE_ATTRIBUTES": use is not None
            and not set(terms.attributes) <= set(use.attributes),
            "MANDATE_ASSET": terms.asset != price.asset,
            "MANDATE_PRICE": use is not None and 0 < terms.price_max < price.total,
        }
        for reason, holds in reasons.items():
            if reason and holds:
                left = terms.price_max if reason == "MANDATE_PRICE" else 0
                return reason, each.number, left
    return None
