"""Whether a refusal of contracts follows from the state (rules P5, D7).

One line a reason, written from the rules, over the naive model. See `refusals`.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, Final

from ledger.core.events import Segment
from ledger.simulation.messages import Record
from ledger.simulation.model import ShardModel
from ledger.simulation.model.commitments import not_movable, over
from ledger.simulation.model.contracts import (
    end_invalid,
    named,
    not_within,
    overlapping,
    time_invalid,
    version_asked,
)
from ledger.simulation.naive_contracts import ENDED, NaiveContract
from ledger.simulation.naive_holdings import NaiveAccount

_Check = Callable[[ShardModel, Record, NaiveAccount | None], bool]

OF_CONTRACTS: Final = ("sign", "amend_contract", "end_contract")
SAID: Final = ("version", "ends_at", "auto_renew", "committed")
"""What an amendment may say; with it overrides, and what rolls over."""


def contract_of(
    model: ShardModel, record: Record, account: NaiveAccount | None
) -> NaiveContract | None:
    """The contract that is named."""
    return None if account is None else named(model, account, record.body["contract"])


def _starts_at(model: ShardModel, record: Record, contract: NaiveContract | None) -> int:
    """From when on what is signed, or amended, counts."""
    if record.kind == "sign":
        return int(record.body["starts_at"] or model.recorded_at)
    since = contract.starts_at if contract is not None else 0
    return int(record.body["effective_at"] or max(model.recorded_at, since))


def _invalid(model: ShardModel, record: Record, account: NaiveAccount | None) -> bool:
    body: dict[str, Any] = record.body
    contract = contract_of(model, record, account)
    at = _starts_at(model, record, contract)
    if record.kind == "sign":
        return time_invalid(model, at, body["ends_at"])
    if contract is None or account is None:
        return False
    if not any(body[name] for name in SAID) and body["overrides"] is body["rollover"] is None:
        return True
    ends_at = body["ends_at"] or contract.ends_at
    early = 0 < body["ends_at"] <= max(contract.starts_at, model.recorded_at)
    return not_within(model, contract, at, ends_at) or early


def _overlaps(model: ShardModel, record: Record, account: NaiveAccount | None) -> bool:
    assert account is not None
    contract = contract_of(model, record, account)
    if record.kind == "sign":
        at = _starts_at(model, record, None)
        return overlapping(model, account, at, record.body["ends_at"])
    return contract is not None and end_invalid(model, account, contract, record.body["ends_at"])


def _ended(model: ShardModel, record: Record, account: NaiveAccount | None) -> bool:
    contract = contract_of(model, record, account)
    return contract is not None and contract.state == ENDED


def _runs(model: ShardModel, record: Record, account: NaiveAccount | None) -> bool:
    found = model.subscriptions.get(account.number) if account is not None else None
    return found is not None and not found.over and bool(found.contract)


CONTRACT_REASONS: Final[dict[str, _Check]] = {
    "CONTRACT_NAME_TAKEN": lambda model, record, account: (
        contract_of(model, record, account) is not None
    ),
    "CONTRACT_UNKNOWN": lambda model, record, account: contract_of(model, record, account) is None,
    "CONTRACT_ENDED": _ended,
    "CONTRACT_INVALID": _invalid,
    "CONTRACTS_OVERLAP": _overlaps,
    "CONTRACT_RUNS": _runs,
}
"""Reason -> whether the model's state gives it."""


def _segments(record: Record, at: int) -> list[tuple[Segment, ...]]:
    found = []
    for each in record.body["committed"]:
        first = each.segments[0]
        begun = Segment(first.starts_at or at, first.ends_at, first.amount, first.price)
        found.append((begun, *each.segments[1:]))
    return found


def _segment_invalid(model: ShardModel, record: Record, account: NaiveAccount | None) -> bool:
    at = _starts_at(model, record, contract_of(model, record, account))
    now = model.recorded_at
    return any(x.ends_at <= max(now, x.starts_at) for of in _segments(record, at) for x in of)


def _segments_overlap(model: ShardModel, record: Record, account: NaiveAccount | None) -> bool:
    at = _starts_at(model, record, contract_of(model, record, account))
    return any(
        after.starts_at < before.ends_at
        for of in _segments(record, at)
        for before, after in pairwise(of)
    )


def _no_version(model: ShardModel, record: Record, account: NaiveAccount | None) -> bool:
    contract = contract_of(model, record, account)
    if account is None:
        return False
    if record.kind == "sign":
        asked = (record.body["package"], record.body["version"])
        return version_asked(model, account, *asked, _starts_at(model, record, None)) is None
    return contract is not None and (
        version_asked(model, account, contract.package, record.body["version"], 0) is None
    )


def _not_movable(model: ShardModel, record: Record, account: NaiveAccount | None) -> bool:
    contract = contract_of(model, record, account)
    there = model.numbers.get((record.tenant, record.body["target_account"]), 0)
    other = model.accounts.get(there)
    if account is None or contract is None or other is None or other.root != account.root:
        return contract is not None
    target = model.commitments.get(record.body["target"])
    going = [model.commitments[x] for x in contract.commitments]
    return target is not None and any(
        not over(model, each)
        and (not_movable(model, each, target) or target.number in contract.commitments)
        for each in going
    )


SHARED_REASONS: Final[dict[str, _Check]] = {
    "SEGMENT_INVALID": _segment_invalid,
    "SEGMENTS_OVERLAP": _segments_overlap,
    "PACKAGE_VERSION_UNKNOWN": _no_version,
    "TRANSFER_INVALID": _not_movable,
}
"""The same of reasons that other commands have as well."""
