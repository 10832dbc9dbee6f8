"""Whether a refusal of budgets, holds of operations or mandates follows from the state.

One line a reason, written from the rules, over the naive model. See `refusals`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ledger.simulation.messages import Record
from ledger.simulation.model import ShardModel
from ledger.simulation.model.budgets import is_fixed, named, of_mandate
from ledger.simulation.model.mandates import why_not, why_not_buy
from ledger.simulation.model.operations import DIGEST, fixed_field, is_wrong, standing
from ledger.simulation.model.priced import price_of as work_price
from ledger.simulation.model.reserves import refused_draw
from ledger.simulation.naive_holdings import NaiveAccount, Use


def _budget_invalid(model: ShardModel, record: Record, account: NaiveAccount | None) -> bool:
    if record.kind == "operation":
        return is_wrong(record.body["idle"])
    thresholds: tuple[int, ...] = record.body["terms"].thresholds
    return sorted(set(thresholds)) != list(thresholds)


def _budget_fixed(model: ShardModel, record: Record, account: NaiveAccount | None) -> bool:
    if record.kind in ("budget", "unbudget") and account is not None:
        if of_mandate(account, record.body["name"]):
            return True
        own = named(account, record.body["name"])
        return record.kind == "budget" and own is not None and is_fixed(own, record.body["terms"])
    budget = standing(model, account, record.said) if account is not None else None
    return (
        budget is not None
        and account is not None
        and bool(fixed_field(budget, account, record.body["terms"]))
    )


def _hold_other_work(model: ShardModel, record: Record, account: NaiveAccount | None) -> bool:
    """A debit of a hold of one piece of work; a capture of that of another one, or of a hold of an
    operation without what was used."""
    hold, body = model.holds[record.body["hold"]], record.body
    if record.kind == "debit":
        return not hold.reserves
    if hold.reserves:
        return not body.get("product")
    said = body.get("product", "") in ("", hold.use.product)
    return not said or body.get("attributes", ()) not in ((), hold.use.attributes)


def _operation_differs(model: ShardModel, record: Record, account: NaiveAccount | None) -> bool:
    return model.holds[record.body["hold"]].operation[:DIGEST] != record.said


def _mandate_refused(reason: str) -> Callable[[ShardModel, Record, NaiveAccount | None], bool]:
    def check(model: ShardModel, record: Record, account: NaiveAccount | None) -> bool:
        if account is None:
            return False
        if record.kind == "buy":
            asked = record.body["asset"], record.body["amount"]
            return why_not_buy(model, account, *asked) == reason
        if "terms" not in record.body:
            return False
        body = record.body
        return why_not(model, account, body["terms"], body.get("purchase")) == reason

    return check


def _draw_refused(reason: str) -> Callable[[ShardModel, Record, NaiveAccount | None], bool]:
    def check(model: ShardModel, record: Record, account: NaiveAccount | None) -> bool:
        if account is None or not model.holds[record.body["hold"]].reserves:
            return False
        body, at = record.body, record.body["effective_at"] or model.recorded_at
        use = Use(body["product"], body.get("attributes", ()))
        names, quantities = body["quantity_names"], body["quantities"]
        price, _ = work_price(model, account, use, names, quantities, at)
        return refused_draw(model, account, price.asset, use) == reason

    return check


def _mandate_revoked(model: ShardModel, record: Record, account: NaiveAccount | None) -> bool:
    if record.kind in ("mandate", "buy"):
        return _mandate_refused("MANDATE_REVOKED")(model, record, account)
    return account is not None and account.mandate is not None and account.mandate.revoked_at > 0


BUDGET_REASONS: Final[dict[str, Callable[[ShardModel, Record, NaiveAccount | None], bool]]] = {
    "BUDGET_INVALID": _budget_invalid,
    "BUDGET_UNKNOWN": lambda model, record, account: (
        account is not None and named(account, record.body["name"]) is None
    ),
    "BUDGET_FIXED": _budget_fixed,
    "OPERATION_DIFFERS": _operation_differs,
    "HOLD_OTHER_WORK": _hold_other_work,
    "MANDATE_UNKNOWN": lambda model, record, account: (
        account is not None and account.mandate is None
    ),
    "MANDATE_EXISTS": lambda model, record, account: (
        account is not None and account.mandate is not None
    ),
    "MANDATE_INVALID": _mandate_refused("MANDATE_INVALID"),
    "MANDATE_EXCEEDS_PARENT": _mandate_refused("MANDATE_EXCEEDS_PARENT"),
    "MANDATE_EXPIRED": _mandate_refused("MANDATE_EXPIRED"),
    "MANDATE_ASSET": _mandate_refused("MANDATE_ASSET"),
    "AMOUNT_INVALID": _mandate_refused("AMOUNT_INVALID"),
    "MANDATE_BUYS_NOTHING": _mandate_refused("MANDATE_BUYS_NOTHING"),
    "MANDATE_PURCHASE_EXCEEDED": _mandate_refused("MANDATE_PURCHASE_EXCEEDED"),
    "MANDATE_PRODUCT": _draw_refused("MANDATE_PRODUCT"),
    "MANDATE_ATTRIBUTES": _draw_refused("MANDATE_ATTRIBUTES"),
    "MANDATE_REVOKED": _mandate_revoked,
}
"""Reason -> whether the model's state gives it."""
