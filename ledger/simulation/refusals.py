"""Whether a refusal follows from the state that it rests on, and whether two bodies are the same.

One line a reason, written from the rules, over the naive model.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ledger.core.events import (
    AccountClosed,
    AccountClosedOut,
    AccountCreated,
    AccountFrozen,
    AccountPolicyUpdated,
    AccountProfileUpdated,
    AccountReopened,
    AccountUnfrozen,
    AuthorizeDenied,
    GrantIssued,
    GrantVoided,
    HoldAuthorized,
    HoldExtended,
    HoldReleased,
    RequestAbandoned,
    UsageQuarantined,
    UsageRecorded,
)
from ledger.simulation.messages import Record
from ledger.simulation.model import WINDOW_US, ShardModel
from ledger.simulation.naive import MINUTE_US, NaiveAccount
from ledger.simulation.prices import PRODUCTS

KINDS: Final[dict[str, tuple[type, ...]]] = {
    "usage": (UsageRecorded, UsageQuarantined),
    "authorize": (HoldAuthorized, AuthorizeDenied),
    "capture": (UsageRecorded,),
    "extend": (HoldExtended,),
    "release": (HoldReleased,),
    "create": (AccountCreated,),
    "policy": (AccountPolicyUpdated,),
    "profile": (AccountProfileUpdated,),
    "close": (AccountClosed, AccountClosedOut),
    "freeze": (AccountFrozen,),
    "unfreeze": (AccountUnfrozen,),
    "reopen": (AccountReopened,),
    "issue": (GrantIssued,),
    "void": (GrantVoided,),
}
"""Operation -> the events that may answer it."""

NOT_IN_EVENT: Final = frozenset({"parent", "external_key", "product", "quantity_names", "account"})


def same_body(record: Record, event: Any, number: int) -> str:
    """The first field in which an operation differs from an entry; "" = the same body."""
    if type(event) not in KINDS[record.kind]:
        return "request"
    hold: int | None = getattr(event, "hold", None)
    if record.kind == "usage" and hold:
        return "request"
    if event.account != number:
        return "account"
    for name, value in record.body.items():
        if name in NOT_IN_EVENT:
            continue
        found: Any = getattr(event, name, value)
        if name == "effective_at" and getattr(event, "effective_given", True) == 0:
            found = 0
        if found != value:
            return name
    return ""


def is_justified(model: ShardModel, record: Record, number: int, standing: Any) -> str:
    """Why a refusal is wrong; "" where it is right. `standing`: what its identity stands for."""
    if record.reason.startswith(("NAME_", "DIRECTORY_", "CONFIGURATION_")):
        return ""
    check = REASONS.get(record.reason)
    if check is None:
        return f"nobody expects the reason {record.reason}"
    if record.reason == "CONFLICT":
        return _conflict(record, number, standing)
    if record.reason == "ABANDONED":
        gone = isinstance(standing, RequestAbandoned)
        return "" if gone else f"it was never abandoned: {standing}"
    return "" if check(model, record, model.accounts.get(number)) else "the model disagrees"


def _conflict(record: Record, number: int, standing: Any) -> str:
    if standing is None:
        return "nothing stands under this identity"
    if isinstance(standing, RequestAbandoned):
        return "it was abandoned, and the answer should say so"
    if same_body(record, standing, number):
        return ""
    # The product stands in the plan, which the event only names.
    in_plan = record.kind in ("usage", "authorize") and record.at_field in ("product", "quantities")
    return "" if in_plan else "no field differs"


def _closed(model: ShardModel, record: Record, account: NaiveAccount | None) -> bool:
    if account is not None and account.gaps:
        return True
    if record.kind == "create":
        parents = [each for each in model.accounts.values() if each.closed_at]
        return bool(parents)
    return account is not None and account.closed_at > 0


def _at(record: Record) -> int:
    assert record.mark is not None
    return record.body.get("effective_at", 0) or record.mark.recorded_at


def _now(record: Record) -> int:
    assert record.mark is not None
    return record.mark.recorded_at


def _hold_ended(model: ShardModel, record: Record, account: NaiveAccount | None) -> bool:
    hold = model.holds.get(record.body["hold"])
    if hold is None or not hold.ended:
        return False
    return bool(record.kind == "release" or hold.ended != "expired" or hold.late)


def _contradicts(record: Record) -> bool:
    names = record.body.get("quantity_names") or PRODUCTS[record.body["product"]]
    found = dict(zip(names, record.body["quantities"], strict=False))
    return bool(found.get("cached", 0) > found.get("input", 0))


def _asset_unknown(model: ShardModel, record: Record, account: NaiveAccount | None) -> bool:
    tenant = record.tenant
    applied = model.applied.get(tenant, 0)
    return applied < 2


REASONS: Final[dict[str, Callable[[ShardModel, Record, NaiveAccount | None], bool]]] = {
    "CONFLICT": lambda model, record, account: True,
    "ABANDONED": lambda model, record, account: True,
    "ACCOUNT_UNKNOWN": lambda model, record, account: account is None,
    "ACCOUNT_EXISTS": lambda model, record, account: account is not None,
    "PARENT_UNKNOWN": lambda model, record, account: account is None,
    "ACCOUNT_CLOSED": _closed,
    "ACCOUNT_FROZEN": lambda model, record, account: model.frozen(account),
    "ACCOUNT_NOT_FROZEN": lambda model, record, account: (
        account is not None and not account.frozen_at
    ),
    "ACCOUNT_NOT_CLOSED": lambda model, record, account: (
        account is not None and not account.closed_at
    ),
    "VERSION_MISMATCH": lambda model, record, account: (
        account is not None and account.version != record.body["expected_version"]
    ),
    "ACCOUNT_NOT_EMPTY": lambda model, record, account: (
        account is not None and bool(model.still_open(account))
    ),
    "GRANT_UNKNOWN": lambda model, record, account: record.body["grant"] not in model.grants,
    "GRANT_SETTLED": lambda model, record, account: bool(
        model.grants[record.body["grant"]].settled
    ),
    "GRANT_KEY_TAKEN": lambda model, record, account: (
        account is not None and any(root == account.root for root, _ in model.external)
    ),
    "HOLD_UNKNOWN": lambda model, record, account: (
        record.body["hold"] not in model.holds
        or _now(record) - model.holds[record.body["hold"]].ended_at > WINDOW_US
    ),
    "HOLD_SETTLED": _hold_ended,
    "HOLDS_LIMIT": lambda model, record, account: (
        account is not None and len(account.holds) >= account.policy.holds_open_max
    ),
    "ASSET_UNKNOWN": _asset_unknown,
    "EXPIRY_INVALID": lambda model, record, account: (
        record.body["expires_at"] <= max(_now(record), _at(record))
    ),
    "QUANTITIES_ALL_ZERO": lambda model, record, account: not any(record.body["quantities"]),
    "SUBSET_EXCEEDS_PARENT": lambda model, record, account: _contradicts(record),
    "IN_FUTURE": lambda model, record, account: _at(record) > _now(record) + 5 * MINUTE_US,
    "TOO_OLD": lambda model, record, account: _at(record) < _now(record) - WINDOW_US,
}
"""Reason -> whether the model's state gives it."""
