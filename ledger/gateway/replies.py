"""What a gateway is told: go on with these headers, or answer with this status, and why.

Owns the names of our headers, the table of statuses and the body of a denial. Amounts are whole
minor units as text; the asset and its scale stand beside them (rule N1).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from grpc import StatusCode

from ledger.api.errors import TABLE, CallFailed
from ledger.core.limits import SECOND_US
from ledger.exports.amounts import decimal_text
from ledger.reasons import REASONS
from ledger.v1 import decision_pb2 as pb

DECISION: Final = "x-drawdown-decision"
REASON: Final = "x-drawdown-reason"
ACCOUNT: Final = "x-drawdown-account"
HOLD: Final = "x-drawdown-hold-id"
CHARGE: Final = "x-drawdown-charge"
AVAILABLE: Final = "x-drawdown-available"
ASSET: Final = "x-drawdown-asset"
SCALE: Final = "x-drawdown-asset-scale"
PAY: Final = "x-drawdown-pay-url"
EXPIRES: Final = "x-drawdown-hold-expires-at-us"
ALLOWED: Final = "x-drawdown-allowed-quantity"
LIMIT: Final = "x-drawdown-limit"
PRODUCT: Final = "x-drawdown-product"
ATTRIBUTES: Final = "x-drawdown-attributes"
QUANTITIES: Final = "x-drawdown-quantities"
MISSING: Final = "x-drawdown-missing"
FAIL_MODE: Final = "x-drawdown-fail-mode"
DECIDED_BY: Final = "x-drawdown-decided-by"
RETRY_AFTER: Final = "retry-after"
OURS: Final = (
    DECISION,
    REASON,
    ACCOUNT,
    HOLD,
    CHARGE,
    AVAILABLE,
    ASSET,
    SCALE,
    PAY,
    EXPIRES,
    ALLOWED,
    LIMIT,
    PRODUCT,
    ATTRIBUTES,
    QUANTITIES,
    MISSING,
    FAIL_MODE,
    DECIDED_BY,
)
"""Every header of ours: what a client sends under these names never reaches the upstream."""

PAYABLE: Final = frozenset(
    {
        "INSUFFICIENT_CREDITS",
        "BUDGET_EXCEEDED",
        "OPERATION_BUDGET_EXCEEDED",
        "MANDATE_EXCEEDED",
        "GRACE_ENDED",
        "SEAT_EXHAUSTED",
    }
)
"""Denials that money or a higher limit would lift: 402. Any other denial is 403."""

OK: Final = 200
BAD_REQUEST: Final = 400
UNAUTHORIZED: Final = 401
PAYMENT_REQUIRED: Final = 402
FORBIDDEN: Final = 403
CONFLICT: Final = 409
TOO_MANY: Final = 429
MISCONFIGURED: Final = 500
UNAVAILABLE: Final = 503

_BY_REASON: Final = {
    "HOLD_SETTLED": CONFLICT,
    "CONFLICT": CONFLICT,
    "TENANT_UNKNOWN": MISCONFIGURED,  # a route or the server names it, never a caller
}
_BY_CODE: Final = {
    StatusCode.INVALID_ARGUMENT: BAD_REQUEST,
    StatusCode.OUT_OF_RANGE: BAD_REQUEST,
    StatusCode.RESOURCE_EXHAUSTED: TOO_MANY,
    StatusCode.NOT_FOUND: FORBIDDEN,
    StatusCode.ALREADY_EXISTS: CONFLICT,
    StatusCode.FAILED_PRECONDITION: FORBIDDEN,
    StatusCode.PERMISSION_DENIED: FORBIDDEN,  # the gateway itself may not, for this account
    StatusCode.UNAUTHENTICATED: UNAUTHORIZED,
}


class Reply(NamedTuple):
    """The answer to one request of a gateway's client."""

    status: int
    headers: Mapping[str, str]
    """For the upstream where it goes on, for the client where it does not."""

    body: str = ""
    metadata: Mapping[str, str] = {}
    """What the settlement needs later (see `settling`)."""

    @property
    def allows(self) -> bool:
        """Whether the request goes on."""
        return self.status == OK


def denied(status: int, reason: str, message: str, **details: Any) -> Reply:
    """A denial in words, for people and for programs."""
    error = {"code": reason, "message": message, **details}
    headers = {DECISION: "DENY", REASON: reason}
    return Reply(status, headers, json.dumps({"error": error}) + "\n")


def status_of(reason: str) -> int:
    """The status of a question that is answered with a reason."""
    kind = REASONS[reason].kind
    if kind.http:
        return kind.http
    if reason in PAYABLE:
        return PAYMENT_REQUIRED
    if kind.retryable:
        return UNAVAILABLE
    return _BY_REASON.get(reason) or _BY_CODE.get(TABLE[reason].code, UNAVAILABLE)


def refused(failed: CallFailed) -> Reply:
    """A call that our services refused for good. Raises what may be sent again as it is: then the
    gateway's own rule for a service that is away decides."""
    status = status_of(failed.reason)
    if status in (UNAVAILABLE, UNAUTHORIZED):
        raise failed
    details = {"field": failed.field} if failed.field else {}
    return denied(status, failed.reason, failed.message, **details)


def not_covered(
    account: str,
    product: str,
    amount: int,
    found: pb.AuthorizeResponse | pb.CheckResponse,
    pay: str,
) -> Reply:
    """A DENY or TOP_UP as a reply: why, what it takes, what is missing, and where to pay."""
    reason, asset = found.reason, found.asset
    available = int(found.available or 0)
    status = PAYMENT_REQUIRED if reason in PAYABLE else FORBIDDEN
    tops_up = found.decision == pb.DECISION_TOP_UP
    headers = {
        DECISION: "TOP_UP" if tops_up else "DENY",
        REASON: reason,
        ACCOUNT: account,
        CHARGE: str(amount),
        AVAILABLE: str(available),
        ASSET: asset,
        SCALE: str(found.scale),
    }
    error: dict[str, Any] = {"code": reason, "account": account, "product": product}
    if found.HasField("limit"):
        limit = found.limit
        kind = pb.LimitKind.Name(limit.kind).removeprefix("LIMIT_KIND_")
        headers[LIMIT] = kind
        error["limit"] = {"kind": kind, "account": limit.account, "left": str(limit.left)}
        error["limit"] |= {
            name: said for name, said in (("id", limit.id), ("name", limit.name)) if said
        }
    if found.retry_after_us:
        headers[RETRY_AFTER] = str(-(-found.retry_after_us // SECOND_US))
        error["retry_after_us"] = str(found.retry_after_us)
    needed = f"{decimal_text(amount, found.scale)} {asset}".strip()
    has = f"{decimal_text(available, found.scale)} {asset}".strip()
    error["message"] = f"{product} for {account} takes {needed} and {has} is available ({reason})"
    if found.HasField("budget_exceeded"):
        budget = found.budget_exceeded
        error["budget"] = {
            "account": budget.account,
            "name": budget.name,
            "left": str(budget.left),
            "resets_at_us": str(budget.resets_at_us),
        }
        of = ""
        if budget.value:
            error["budget"]["value"] = list(budget.value)
            of = f" of {', '.join(budget.value)!r}"
        error["message"] = (
            f"the budget {budget.name} of {budget.account} does not allow {product} for {account}"
            f"{of}: {budget.left} left ({reason})"
        )
    body: dict[str, Any] = {"error": error}
    if status == PAYMENT_REQUIRED:
        body["pay"] = {
            "asset": asset,
            "scale": found.scale,
            "needed": str(amount),
            "available": str(available),
            "short_by": str(max(amount - available, 0)),
        }
        if tops_up:
            missing = headers[MISSING] = body["pay"]["short_by"] = str(found.ruling.missing)
            error["message"] = (
                f"{product} for {account} takes {needed} and {has} is available: top up "
                f"{decimal_text(int(missing), found.scale)} {asset} ({reason})"
            )
            if found.ruling.top_up_id:
                body["pay"]["top_up_id"] = found.ruling.top_up_id
        if pay:
            body["pay"]["url"] = headers[PAY] = pay
    return Reply(status, headers, json.dumps(body) + "\n")


def header_value(value: str) -> str:
    """A text as a header can carry it: as it is, or percent-encoded where it is not plain ASCII."""
    return value if value.isascii() and value.isprintable() else quote(value)
