"""Whether a refusal of fixed charges follows from the state (rules T1, S1).

One line a reason, written from the rules, over the naive model. See `refusals`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ledger.core.events import ChargeBilling
from ledger.simulation.messages import Record
from ledger.simulation.model import ShardModel
from ledger.simulation.model.charges import charges_of
from ledger.simulation.naive_charges import NaiveCharge
from ledger.simulation.naive_holdings import NaiveAccount

_Check = Callable[[ShardModel, Record, NaiveAccount | None], bool]


def charge_of(
    model: ShardModel, record: Record, account: NaiveAccount | None
) -> NaiveCharge | None:
    """The account's charge that is named."""
    found = model.charges.get(record.body["charge"])
    if found is None or account is None or found.account != account.number:
        return None
    return found


def _taken(model: ShardModel, record: Record, account: NaiveAccount | None) -> bool:
    now, name = model.recorded_at, record.body["name"]
    of = charges_of(model, account) if account is not None else []
    return any(each.name == name and not each.over(now) for each in of)


def _ended(model: ShardModel, record: Record, account: NaiveAccount | None) -> bool:
    found = charge_of(model, record, account)
    return found is not None and found.ends_at <= model.recorded_at


def terms_fixed(model: ShardModel, record: Record, account: NaiveAccount | None) -> bool:
    """Whether it was charged once, or would be in another asset, or once from now on."""
    found = charge_of(model, record, account)
    if found is None:
        return False
    once = not found.terms.every and found.begun > 0
    if record.kind == "charge_quantity":
        return once
    terms = record.body["terms"]
    return once or (terms.asset, terms.every > 0) != (found.terms.asset, found.terms.every > 0)


def _invalid(model: ShardModel, record: Record, account: NaiveAccount | None) -> bool:
    """Without a name; or once, and yet with periods' billing, trial or ramp; or the other way."""
    terms = record.body["terms"]
    if terms.every:
        return not record.body.get("name", "-") or terms.earned_over > 0
    of_periods = terms.trial_periods or terms.trial_until or terms.ramp
    return bool(
        not record.body.get("name", "-") or of_periods or terms.billing == ChargeBilling.ARREARS
    )


def no_end(record: Record) -> bool:
    """Whether an end is named of what is charged once."""
    return record.kind == "charge" and not record.body["terms"].every


CHARGE_REASONS: Final[dict[str, _Check]] = {
    "CHARGE_UNKNOWN": lambda model, record, account: charge_of(model, record, account) is None,
    "CHARGE_ENDED": _ended,
    "CHARGE_NAME_TAKEN": _taken,
    "CHARGE_INVALID": _invalid,
    "QUANTITY_INVALID": lambda model, record, account: record.body["quantity"] < 0,
}
"""Reason -> whether the model's state gives it."""
