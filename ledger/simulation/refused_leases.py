"""Whether a refusal of credit leases follows from the state (rule H7).

One line a reason, written from the rules, over the naive model. See `refusals`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ledger.simulation.messages import Record
from ledger.simulation.model import WINDOW_US, ShardModel
from ledger.simulation.naive_holdings import NaiveAccount


def _lease(model: ShardModel, record: Record) -> Any:
    return model.holds[record.body["hold"]]


def _lease_unknown(model: ShardModel, record: Record, account: NaiveAccount | None) -> bool:
    hold = model.holds.get(record.body["hold"])
    if hold is None or hold.lease is None or account is None or hold.account != account.number:
        return True
    return bool(hold.ended) and model.recorded_at - hold.ended_at > WINDOW_US


def _other_work(model: ShardModel, record: Record, account: NaiveAccount | None) -> bool:
    use, body = _lease(model, record).use, record.body
    return use.product != body["product"] or not set(use.attributes) <= set(body["attributes"])


LEASE_REASONS: Final[dict[str, Callable[[ShardModel, Record, NaiveAccount | None], bool]]] = {
    "LEASE_UNKNOWN": _lease_unknown,
    "LEASE_ENDED": lambda model, record, account: _lease(model, record).ended != "",
    "LEASE_OVERDUE": lambda model, record, account: _lease(model, record).lease.lapsed,
    "LEASE_RUNS": lambda model, record, account: not _lease(model, record).lease.lapsed,
    "LEASE_OTHER_WORK": _other_work,
    "LEASE_TERM_INVALID": lambda model, record, account: 0 < record.body["lifetime"] < 5_000_000,
}
"""Reason -> whether the model's state gives it."""
