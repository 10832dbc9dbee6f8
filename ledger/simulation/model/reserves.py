"""Holds of operations: units for whatever calls come (rules H1, H4).

Such a hold is of no product, and of whatever pays for any; it pends in the budgets that count the
charge of all usage in its asset, and in no other.
"""

from __future__ import annotations

from ledger.core import events as e
from ledger.core.events import RESERVED_QUANTITY, BudgetMeasure
from ledger.simulation import naive
from ledger.simulation.model.decisions import Case, limit_of, reason_of
from ledger.simulation.model.mandates import denying
from ledger.simulation.model.operations import after_denial, after_reserve, counting, net, reserves
from ledger.simulation.model.shard import Shard
from ledger.simulation.model.windows import left_in
from ledger.simulation.naive_holdings import NaiveAccount, Piece, Use
from ledger.simulation.rules import Rule

ANYTHING = Use("")


def is_reserve(plan: e.PlanDeclared) -> bool:
    """Whether a plan is that of a hold of an operation, and of no work."""
    return plan.quantity_names == (RESERVED_QUANTITY,)


def price_of(m: Shard, account: NaiveAccount, amount: int) -> naive.Priced:
    """The units themselves, in the asset that the account is charged in; 0 = in none."""
    version = naive.version_for(m.versions_of(account), "", (), m.recorded_at)
    if version is None:
        return naive.Priced()
    return naive.Priced(version.number, version.asset, (amount,))


def case_of(m: Shard, account: NaiveAccount, amount: int, operation: bytes) -> Case:
    """What the limits say of a hold of so many units."""
    price = price_of(m, account, amount)
    payers = m.payers(account)
    available = payers.available(price.asset, ANYTHING, m.recorded_at)
    pieces, missing = _pieces(m, account, price)
    denied = "INSUFFICIENT_CREDITS" if missing else ""
    denied = "GRACE_ENDED" if payers.grace_ended(price.asset) else denied
    mandate = denying(m, account, price, None)
    if mandate is not None:
        return Case(price, ANYTHING, "", mandate[0], available, mandate=mandate)
    if denied:
        return Case(price, ANYTHING, "", denied, available)
    for budget in counting(m, account, operation):
        units = amount if budget.terms.measure == BudgetMeasure.CHARGE else net(m, pieces)
        left = left_in(m, budget)
        if budget.terms.hard and reserves(budget.terms, price.asset) and 0 < units > left:
            denied = reason_of(m, budget)
            return Case(price, ANYTHING, "", denied, available, (budget, max(0, left)))
    return Case(price, ANYTHING, "", "", available)


def _pieces(m: Shard, account: NaiveAccount, price: naive.Priced) -> tuple[list[Piece], int]:
    pieces, missing, _ = m.payers(account).waterfall(
        price.asset, ANYTHING, price.total, m.recorded_at, m.month(account),
        price.asset in m.money, False,
    )  # fmt: skip
    return pieces, missing


def reserved(
    m: Shard, account: NaiveAccount, event: e.OperationReserved, plan: e.PlanDeclared
) -> naive.Priced:
    """What it costs; nothing may deny it."""
    [amount] = event.quantities
    case = case_of(m, account, amount, event.operation)
    _expect_plan(m, account, plan, case.price)
    m.expect(Rule.NO_OVERSPEND, "why units may not be held", "", case.denied)
    if amount <= 0:
        m.fail(Rule.NO_OVERSPEND, f"{event} holds nothing")
    after_reserve(m, account, event)
    return case.price


def denied_reserve(
    m: Shard, account: NaiveAccount, event: e.AuthorizeDenied, plan: e.PlanDeclared
) -> None:
    """The denial of such a hold names what allows no more."""
    if not isinstance(event, e.WorkDenied):
        m.fail(Rule.DENIAL_JUSTIFIED, f"{event} of a hold of an operation")
    [amount] = event.quantities
    case = case_of(m, account, amount, event.operation)
    _expect_plan(m, account, plan, case.price)
    if not case.denied:
        m.fail(Rule.DENIAL_JUSTIFIED, f"{event} of what may be held")
    said = (event.charge, event.available, event.reason, event.limit)
    expected = (amount, case.available, case.denied, limit_of(m, account, case))
    m.expect(Rule.DENIAL_JUSTIFIED, "charge, available, reason, limit", expected, said)
    after_denial(m, account, event.operation)


def refused_draw(m: Shard, account: NaiveAccount, asset: int, use: Use) -> str:
    """Why a capture of work is refused that nobody has authorised, though units are held; "" = it
    is not."""
    mandate = denying(m, account, naive.Priced(0, asset), use)
    reason = mandate[0] if mandate is not None else ""
    return reason if reason in ("MANDATE_PRODUCT", "MANDATE_ATTRIBUTES") else ""


def _expect_plan(
    m: Shard, account: NaiveAccount, plan: e.PlanDeclared, price: naive.Priced
) -> None:
    said = (type(plan), plan.product, plan.attributes, plan.quantity_names)
    m.expect(Rule.CHARGE, "plan", (e.PlanDeclared, "", (), (RESERVED_QUANTITY,)), said)
    found = (plan.rate_card, plan.card_version, plan.asset)
    expected = (m.card_of(account), price.version, price.asset)
    m.expect(Rule.CHARGE, "card, version and asset", expected, found)
