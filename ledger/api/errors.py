"""One table: what went wrong -> gRPC code -> ErrorInfo.reason -> retryable or not (rule I6).

Every reason that any part can answer stands here once; a test asserts it. Insufficient credits is
an answer, never a status. Must not know any service.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc import StatusCode

from ledger.auth.refusals import AuthRefused
from ledger.core.outcomes import Refusal
from ledger.engine.ticket import NotApplied, OutcomeUnknown, PositionAhead
from ledger.journal.directory import Refused
from ledger.journal.errors import JournalError
from ledger.v1 import usage_pb2 as usage

DOMAIN: Final = "drawdown"
VALUE_CHARS_MAX: Final = 256  # of an offending value or its field in an answer
MESSAGE_CHARS_MAX: Final = 320
VIOLATIONS_BYTES_MAX: Final = 2_048
"""Clients refuse trailers above 8 kB: the message twice, once escaped; base64 of the details."""


class Handling(NamedTuple):
    """How a reason leaves: as a status, and as the outcome of one event of a batch."""

    code: StatusCode
    retryable: bool
    outcome: usage.IngestOutcome.ValueType


_INVALID: Final = Handling(StatusCode.INVALID_ARGUMENT, False, usage.INGEST_OUTCOME_INVALID)
_WAITS: Final = Handling(StatusCode.FAILED_PRECONDITION, False, usage.INGEST_OUTCOME_SUSPENSE)
_MISSING: Final = Handling(StatusCode.NOT_FOUND, False, usage.INGEST_OUTCOME_INVALID)
_TAKEN: Final = Handling(StatusCode.ALREADY_EXISTS, False, usage.INGEST_OUTCOME_INVALID)
_STATE: Final = Handling(StatusCode.FAILED_PRECONDITION, False, usage.INGEST_OUTCOME_INVALID)
_STALE: Final = Handling(StatusCode.ABORTED, False, usage.INGEST_OUTCOME_INVALID)
_RETRY: Final = Handling(StatusCode.UNAVAILABLE, True, usage.INGEST_OUTCOME_RETRY)
_UNPROVEN: Final = Handling(StatusCode.UNAUTHENTICATED, False, usage.INGEST_OUTCOME_INVALID)
_DENIED: Final = Handling(StatusCode.PERMISSION_DENIED, False, usage.INGEST_OUTCOME_INVALID)

TABLE: Final[Mapping[str, Handling]] = {
    # What the core refuses (ledger.core.outcomes.Reason).
    "CONFLICT": Handling(StatusCode.ALREADY_EXISTS, False, usage.INGEST_OUTCOME_CONFLICT),
    "ABANDONED": Handling(StatusCode.FAILED_PRECONDITION, False, usage.INGEST_OUTCOME_CONFLICT),
    "KEYS_EXHAUSTED": Handling(StatusCode.RESOURCE_EXHAUSTED, True, usage.INGEST_OUTCOME_RETRY),
    "BATCH_FULL": _RETRY,
    "ACCOUNT_UNKNOWN": Handling(StatusCode.NOT_FOUND, False, usage.INGEST_OUTCOME_ACCOUNT_UNKNOWN),
    "ACCOUNT_EXISTS": _TAKEN,
    "ACCOUNT_CLOSED": Handling(
        StatusCode.FAILED_PRECONDITION, False, usage.INGEST_OUTCOME_ACCOUNT_CLOSED
    ),
    "ACCOUNT_FROZEN": Handling(
        StatusCode.FAILED_PRECONDITION, False, usage.INGEST_OUTCOME_ACCOUNT_FROZEN
    ),
    "ACCOUNT_NOT_FROZEN": _STATE,
    "ACCOUNT_NOT_CLOSED": _STATE,
    "REOPENINGS_LIMIT": Handling(
        StatusCode.RESOURCE_EXHAUSTED, False, usage.INGEST_OUTCOME_INVALID
    ),
    "ACCOUNT_NOT_EMPTY": _STATE,
    "PARENT_UNKNOWN": _MISSING,
    "DEPTH_EXCEEDED": _STATE,
    "ACCOUNT_IS_ROOT": _STATE,
    "PARENT_BELOW": _STATE,
    "PARENT_ELSEWHERE": _STATE,
    "PARENT_SAME": _STATE,
    "MINIMUMS_OPEN": _STATE,
    "MOVES_LIMIT": Handling(StatusCode.RESOURCE_EXHAUSTED, False, usage.INGEST_OUTCOME_INVALID),
    "VERSION_MISMATCH": _STALE,
    "IN_FUTURE": Handling(StatusCode.INVALID_ARGUMENT, False, usage.INGEST_OUTCOME_IN_FUTURE),
    "TOO_OLD": Handling(StatusCode.INVALID_ARGUMENT, False, usage.INGEST_OUTCOME_QUARANTINED),
    "CORRECTION_TOO_OLD": _STATE,
    "CORRECTION_TOO_LARGE": _STATE,
    "CORRECTIONS_LIMIT": Handling(
        StatusCode.RESOURCE_EXHAUSTED, False, usage.INGEST_OUTCOME_INVALID
    ),
    "NOT_REVERSIBLE": _STATE,
    "QUANTITY_INVALID": _INVALID,
    "QUANTITIES_ALL_ZERO": _INVALID,
    "SUBSET_EXCEEDS_PARENT": _INVALID,
    "ASSET_UNKNOWN": _MISSING,
    "UNPRICED": _WAITS,
    "NOT_ENTITLED": _WAITS,
    "NO_CONTRACT": _WAITS,
    "ATTRIBUTE_MISSING": _WAITS,
    "ATTRIBUTE_NOT_NUMERIC": _WAITS,
    "FORMULA_DIVISION_BY_ZERO": _WAITS,
    "FORMULA_OVERFLOW": _WAITS,
    "FORMULA_NEGATIVE": _WAITS,
    "COST_MISSING": _WAITS,
    "SUSPENSE_FULL": Handling(StatusCode.RESOURCE_EXHAUSTED, True, usage.INGEST_OUTCOME_RETRY),
    "RATED_MEANWHILE": Handling(StatusCode.ABORTED, True, usage.INGEST_OUTCOME_RETRY),
    "OVERFLOW": Handling(StatusCode.OUT_OF_RANGE, False, usage.INGEST_OUTCOME_OVERFLOW),
    "AMOUNT_INVALID": _INVALID,
    "EXPIRY_INVALID": _INVALID,
    "GATE_INVALID": _INVALID,
    "ROLLOVER_INVALID": _INVALID,
    "ZONE_UNKNOWN": _INVALID,
    "OVERRIDES_INVALID": _INVALID,
    "OVERRIDES_LIMIT": Handling(StatusCode.RESOURCE_EXHAUSTED, False, usage.INGEST_OUTCOME_INVALID),
    "GRANT_UNKNOWN": _MISSING,
    "GRANT_KEY_TAKEN": _TAKEN,
    "GRANT_SETTLED": _STATE,
    "PAYMENT_LATE": _STATE,
    "PAYMENT_NOT_AWAITED": _STATE,
    "NOT_PAID": _STATE,
    "CHARGED_BACK": _STATE,
    "CURRENCY_DIFFERS": _STATE,
    "REFUND_TOO_LARGE": _STATE,
    "AMOUNT_EXCEEDS_OWED": _STATE,
    "NOTHING_OWED": _STATE,
    "RECURRING_UNKNOWN": _MISSING,
    "RECURRING_ENDED": _STATE,
    "RECURRING_PAUSED": _STATE,
    "RECURRING_NOT_PAUSED": _STATE,
    "RECURRING_KEY_TAKEN": _TAKEN,
    "PACKAGE_UNKNOWN": _MISSING,
    "PACKAGE_VERSION_UNKNOWN": _MISSING,
    "PACKAGE_PERIOD_DIFFERS": _STATE,
    "LOCK_INVALID": _INVALID,
    "SUBSCRIBED_ALREADY": _STATE,
    "NOT_SUBSCRIBED": _STATE,
    "PACKAGE_INVALID": _INVALID,
    "SUBSCRIPTION_UNKNOWN": _MISSING,
    "SEAT_PLAN_UNKNOWN": _MISSING,
    "SEAT_PLAN_ENDED": _STATE,
    "SEAT_PLAN_EXISTS": _STATE,
    "SEAT_UNKNOWN": _MISSING,
    "SEAT_TAKEN": _STATE,
    "SEAT_LEAVING": _STATE,
    "SEAT_HELD": _STATE,
    "SEAT_SUSPENDED": _STATE,
    "SEAT_NOT_SUSPENDED": _STATE,
    "SEAT_EXHAUSTED": _STATE,
    "SEATS_TOO_FEW": _STATE,
    "SEATS_INVALID": _INVALID,
    "SEATS_LIMIT": Handling(StatusCode.RESOURCE_EXHAUSTED, False, usage.INGEST_OUTCOME_INVALID),
    "RECURRING_LIMIT": Handling(StatusCode.RESOURCE_EXHAUSTED, False, usage.INGEST_OUTCOME_INVALID),
    "CHARGE_UNKNOWN": _MISSING,
    "CHARGE_ENDED": _STATE,
    "CHARGE_NAME_TAKEN": _TAKEN,
    "CHARGES_LIMIT": Handling(StatusCode.RESOURCE_EXHAUSTED, False, usage.INGEST_OUTCOME_INVALID),
    "CHARGE_INVALID": _INVALID,
    "CONTRACT_UNKNOWN": _MISSING,
    "CONTRACT_NAME_TAKEN": _TAKEN,
    "CONTRACTS_OVERLAP": _STATE,
    "CONTRACT_INVALID": _INVALID,
    "CONTRACT_ENDED": _STATE,
    "CONTRACT_RUNS": _STATE,
    "CONTRACTS_LIMIT": Handling(StatusCode.RESOURCE_EXHAUSTED, False, usage.INGEST_OUTCOME_INVALID),
    "COMMITMENT_UNKNOWN": _MISSING,
    "COMMITMENT_ENDED": _STATE,
    "COMMITMENT_KEY_TAKEN": _TAKEN,
    "COMMITMENTS_LIMIT": Handling(
        StatusCode.RESOURCE_EXHAUSTED, False, usage.INGEST_OUTCOME_INVALID
    ),
    "COMMITMENT_INVALID": _INVALID,
    "SEGMENT_INVALID": _INVALID,
    "SEGMENTS_OVERLAP": _INVALID,
    "TRANSFER_INVALID": _INVALID,
    "INVOICES_INVALID": _INVALID,
    "TERMS_FIXED": _STATE,
    "SHARING_INVALID": _INVALID,
    "NOT_BELOW": _INVALID,
    "CAP_UNKNOWN": _MISSING,
    "CAP_INVALID": _INVALID,
    "CAPS_LIMIT": Handling(StatusCode.RESOURCE_EXHAUSTED, False, usage.INGEST_OUTCOME_INVALID),
    "CAPS_STAND": _STATE,
    "RESERVE_EXCEEDS": _STATE,
    "BUDGET_UNKNOWN": _MISSING,
    "BUDGET_INVALID": _INVALID,
    "BUDGET_FIXED": _STATE,
    "OPERATION_DIFFERS": _STATE,
    "MANDATE_UNKNOWN": _MISSING,
    "MANDATE_EXISTS": _TAKEN,
    "MANDATE_INVALID": _INVALID,
    "MANDATE_EXCEEDS_PARENT": _INVALID,
    "MANDATES_LIMIT": Handling(StatusCode.RESOURCE_EXHAUSTED, False, usage.INGEST_OUTCOME_INVALID),
    "MANDATE_REVOKED": _STATE,
    "MANDATE_EXPIRED": _STATE,
    "MANDATE_PRODUCT": _STATE,
    "MANDATE_ATTRIBUTES": _STATE,
    "MANDATE_ASSET": _STATE,
    "MANDATE_PRICE": _STATE,
    "MANDATE_BUYS_NOTHING": _STATE,
    "MANDATE_PURCHASE_EXCEEDED": _STATE,
    "MANDATE_PURCHASES_LIMIT": Handling(
        StatusCode.RESOURCE_EXHAUSTED, False, usage.INGEST_OUTCOME_INVALID
    ),
    "MANDATE_EXCEEDED": _STATE,
    "MANDATE_UNSIGNED": _STATE,
    "OPERATIONS_LIMIT": Handling(
        StatusCode.RESOURCE_EXHAUSTED, False, usage.INGEST_OUTCOME_INVALID
    ),
    "BUDGETS_LIMIT": Handling(StatusCode.RESOURCE_EXHAUSTED, False, usage.INGEST_OUTCOME_INVALID),
    "STATEMENT_UNKNOWN": _MISSING,
    "STATEMENT_PERIOD_INVALID": _INVALID,
    "STATEMENT_PERIOD_OPEN": _STATE,
    "STATEMENT_IN_GRACE": _STATE,
    "STATEMENT_NOT_NEXT": _STATE,
    "STATEMENT_CLOSED": _STATE,
    "TOP_UP_RULE_UNKNOWN": _MISSING,
    "TOP_UP_RULE_INVALID": _INVALID,
    "TOP_UP_UNKNOWN": _MISSING,
    "TOP_UP_SETTLED": _STATE,
    "RUNWAY_ALERT_UNKNOWN": _MISSING,
    "RUNWAY_ALERT_INVALID": _INVALID,
    "RUNWAY_REPORT_OLD": _STATE,
    "RUNWAY_NOT_CROSSED": _STATE,
    "START_INVALID": _INVALID,
    "END_INVALID": _INVALID,
    "PERIOD_INVALID": _INVALID,
    "ANCHOR_INVALID": _INVALID,
    "HOLD_UNKNOWN": _MISSING,
    "HOLD_SETTLED": _STATE,
    "HOLD_LIFETIME_INVALID": _INVALID,
    "HOLD_OTHER_WORK": _INVALID,
    "UP_TO_INVALID": _INVALID,
    "POLICY_RULE_INVALID": _INVALID,
    "ALTERNATIVES_INVALID": _INVALID,
    "HOLD_EXPIRED": _STATE,  # says why a capture was late; never a status
    "LINKED_RECORDED": Handling(StatusCode.ALREADY_EXISTS, False, usage.INGEST_OUTCOME_CONFLICT),
    "LINKED_FAMILIES": _INVALID,
    "LINKED_TOO_OLD": _INVALID,
    "LINKED_FAILED": Handling(
        StatusCode.FAILED_PRECONDITION, False, usage.INGEST_OUTCOME_LINKED_FAILED
    ),
    "NO_SUCH_OUTCOME": _MISSING,
    "OUTCOME_CONFIRMED": _STATE,
    "OUTCOME_REJECTED": _STATE,
    "LEASE_UNKNOWN": _MISSING,
    "LEASE_ENDED": _STATE,
    "LEASE_OVERDUE": _STATE,
    "LEASE_RUNS": _STATE,
    "LEASE_OTHER_WORK": _INVALID,
    "LEASE_UNBOUNDED": _STATE,
    "LEASE_INVALID": _INVALID,
    "LEASE_TERM_INVALID": _INVALID,
    "LEASES_LIMIT": Handling(StatusCode.RESOURCE_EXHAUSTED, False, usage.INGEST_OUTCOME_INVALID),
    "GAUGE_CHARGED": _STATE,
    "GAUGES_LIMIT": Handling(StatusCode.RESOURCE_EXHAUSTED, False, usage.INGEST_OUTCOME_INVALID),
    "OUTCOMES_LIMIT": Handling(StatusCode.RESOURCE_EXHAUSTED, False, usage.INGEST_OUTCOME_INVALID),
    "NOT_AN_OUTCOME": _STATE,
    "OUTCOME_EXPECTED": _STATE,
    "HOLDS_LIMIT": Handling(StatusCode.RESOURCE_EXHAUSTED, False, usage.INGEST_OUTCOME_INVALID),
    "QUOTE_UNKNOWN": _MISSING,
    "QUOTE_OTHER_WORK": _STATE,
    "QUOTE_EXPIRED": _STATE,
    "QUOTE_USED": _STATE,
    "QUOTE_HELD": _STATE,
    "QUOTE_SINGLE_USE": _STATE,
    "QUOTE_LIFETIME_INVALID": _INVALID,
    "QUOTE_TOLERANCE_INVALID": _INVALID,
    "QUOTE_MODELED": _STATE,
    "QUOTES_LIMIT": Handling(StatusCode.RESOURCE_EXHAUSTED, False, usage.INGEST_OUTCOME_INVALID),
    "MARGIN_BELOW_FLOOR": _STATE,
    "GRACE_ENDED": _STATE,
    "BUDGET_EXCEEDED": _STATE,
    "OPERATION_BUDGET_EXCEEDED": _STATE,
    "INSUFFICIENT_CREDITS": _STATE,
    # What the writer could not take (ledger.engine.ticket.NotAppliedReason): safe to retry.
    "QUEUE_FULL": _RETRY,
    "WRITER_REOPENING": _RETRY,
    "SHUTTING_DOWN": _RETRY,
    "WRITER_HALTED": _RETRY,  # another server may serve the shard; this one never will
    "NOT_OWNER": _RETRY,  # another server serves the shard, or will in a moment
    "LEASE_LAPSED": _RETRY,
    "DEADLINE": Handling(StatusCode.DEADLINE_EXCEEDED, True, usage.INGEST_OUTCOME_RETRY),
    # Recorded or not: the same ids may be sent again, GetOutcome tells.
    "OUTCOME_UNKNOWN": Handling(StatusCode.UNKNOWN, True, usage.INGEST_OUTCOME_UNKNOWN),
    # What the directory refuses (ledger.journal.directory.Reason).
    "TENANT_UNKNOWN": _MISSING,
    "TENANT_NOT_SANDBOX": _STATE,
    "CLOCK_BACKWARDS": _INVALID,
    "CLOCK_TOO_FAR": _INVALID,
    "TENANT_EXISTS": _TAKEN,
    "ID_INVALID": _INVALID,
    "PARENT_DIFFERS": _TAKEN,
    "NAME_IS_ALIAS": _TAKEN,
    "NAME_IS_ACCOUNT": _TAKEN,
    "ALIAS_OVERLAPS": _TAKEN,
    "ALIAS_UNKNOWN": _MISSING,
    "RANGE_INVALID": _INVALID,
    "PAGE_INVALID": _INVALID,
    "WATCH_FAMILIES": _INVALID,
    "WATCH_LIMIT": Handling(StatusCode.RESOURCE_EXHAUSTED, False, usage.INGEST_OUTCOME_INVALID),
    # What the configuration refuses (ledger.journal.configuration.ConfigurationReason).
    "NAME_INVALID": _INVALID,
    "BODY_TOO_LARGE": _INVALID,
    "VERSION_DIFFERS": _STALE,
    "CARD_NAME_TAKEN": _TAKEN,
    # What the edge refuses before anybody sees it.
    "MALFORMED_REQUEST": _INVALID,
    "FIELD_REQUIRED": _INVALID,
    "TEXT_TOO_LONG": _INVALID,
    "TEXT_INVALID": _INVALID,
    "NUMBER_OUT_OF_RANGE": _INVALID,
    "NUMBER_MALFORMED": _INVALID,
    "TOO_MANY": _INVALID,
    "NAME_REPEATED": _INVALID,
    "BATCH_EMPTY": _INVALID,
    "BATCH_TOO_LARGE": _INVALID,
    "BATCH_FORM": _INVALID,
    "BATCH_LINKED": _INVALID,
    "COLUMN_LENGTH": _INVALID,
    "INDEX_INVALID": _INVALID,
    "POSITION_INVALID": _INVALID,
    "POSITION_AHEAD": Handling(StatusCode.OUT_OF_RANGE, False, usage.INGEST_OUTCOME_INVALID),
    "QUANTITY_UNKNOWN": _INVALID,
    "FIELD_NOT_ALLOWED": _INVALID,
    "USAGE_UNKNOWN": _MISSING,
    "OPERATION_UNKNOWN": _MISSING,
    "ENTRY_UNKNOWN": _MISSING,
    "NOT_SEALED": Handling(StatusCode.FAILED_PRECONDITION, True, usage.INGEST_OUTCOME_INVALID),
    "RATE_CARD_UNKNOWN": _MISSING,
    "RATE_CARD_INVALID": _INVALID,
    "FACTOR_INVALID": _INVALID,
    "SHEET_TOO_LARGE": _STATE,
    "RATE_INVALID": _INVALID,
    "NOT_COMPARABLE": _STATE,
    "CONVERSION_CYCLIC": _INVALID,
    "METERS_INVALID": _INVALID,
    "SIZING_INVALID": _INVALID,
    "METERS_LINKED": _INVALID,
    "NO_METER": _INVALID,
    "PROPERTY_MISSING": _INVALID,
    "PROPERTY_NOT_NUMERIC": _INVALID,
    "PROPERTY_NOT_WHOLE": _INVALID,
    "PROPERTY_TOO_LARGE": _INVALID,
    "SETTLEMENT_ASSET_OPEN": _STATE,
    "ASSET_EXISTS": _TAKEN,
    "ASSET_KIND_INVALID": _INVALID,
    "JOURNAL_UNAVAILABLE": _RETRY,
    "OWNER_UNREACHABLE": _RETRY,
    "READ_MODELS_BEHIND": _RETRY,
    "READ_MODELS_ABSENT": _STATE,
    "READ_MODELS_STALLED": _STATE,
    # What a simulation of prices answers.
    "TERMS_INVALID": _INVALID,
    "SIMULATION_ABSENT": _STATE,
    "SIMULATION_RUNNING": Handling(StatusCode.RESOURCE_EXHAUSTED, True, usage.INGEST_OUTCOME_RETRY),
    "SIMULATION_FAILED": _STATE,
    # What the explanation of a recorded decision answers.
    "DECISION_UNKNOWN": _MISSING,
    "NOT_A_DECISION": _STATE,
    "PAST_ABSENT": _STATE,
    "PAST_TOO_LONG": _STATE,
    "EXPLAINING_OTHERS": Handling(StatusCode.RESOURCE_EXHAUSTED, True, usage.INGEST_OUTCOME_RETRY),
    "EXPLANATION_FAILED": _STATE,
    # Who calls is not proven, or may not (ledger.auth.refusals).
    "TOKEN_REQUIRED": _UNPROVEN,
    "TOKEN_MALFORMED": _UNPROVEN,
    "TOKEN_ALGORITHM_REFUSED": _UNPROVEN,
    "TOKEN_KEY_UNKNOWN": _UNPROVEN,
    "TOKEN_FORGED": _UNPROVEN,
    "TOKEN_EXPIRED": _UNPROVEN,
    "TOKEN_NOT_YET_VALID": _UNPROVEN,
    "TOKEN_ISSUER_WRONG": _UNPROVEN,
    "TOKEN_AUDIENCE_WRONG": _UNPROVEN,
    "TOKEN_CLAIMS_INVALID": _UNPROVEN,
    "TOKENS_NOT_TAKEN": _UNPROVEN,
    "API_KEY_UNKNOWN": _UNPROVEN,
    "API_KEY_REVOKED": _UNPROVEN,
    "API_KEY_EXPIRED": _UNPROVEN,
    "CERTIFICATE_UNKNOWN": _UNPROVEN,
    "SERVER_UNPROVEN": _UNPROVEN,
    "SCOPE_MISSING": _DENIED,
    "TENANT_NOT_PERMITTED": _DENIED,
    "NOT_PERMITTED": _DENIED,
    "WHOLE_TENANT_NEEDED": _DENIED,
    "SERVERS_ONLY": _DENIED,
    "AUTHENTICATION_UNAVAILABLE": _RETRY,
    "INTERNAL": Handling(StatusCode.INTERNAL, False, usage.INGEST_OUTCOME_UNKNOWN),
}


class Fault(NamedTuple):
    """One thing that is wrong with a request, or with one event of a batch."""

    reason: str
    field: str
    value: str
    message: str


class CallFailed(Exception):
    """A call that ends with a status. Raised by servicers, turned into trailers by `calls`."""

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        field: str = "",
        value: str = "",
        faults: Iterable[Fault] = (),
        retry_after_us: int = 0,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = shown(message, MESSAGE_CHARS_MAX)
        self.field = shown(field)
        self.value = value
        self.faults = tuple(faults)
        self.retry_after_us = retry_after_us
        self.metadata = dict(metadata or {})

    @property
    def code(self) -> StatusCode:
        """The gRPC code of the reason."""
        return TABLE[self.reason].code

    def status(self) -> status_pb2.Status:
        """The google.rpc.Status: always with ErrorInfo, with more detail where it helps."""
        metadata = dict(self.metadata)
        if self.field:
            metadata["field"] = self.field
        if self.value:
            metadata["value"] = shown(self.value)
        if len(self.faults) > 1:
            metadata.setdefault("faults", str(len(self.faults)))
        metadata["retryable"] = "true" if TABLE[self.reason].retryable else "false"
        info = error_details_pb2.ErrorInfo(reason=self.reason, domain=DOMAIN, metadata=metadata)
        status = status_pb2.Status(
            code=code_pb2.Code.Value(self.code.name), message=self.message, details=[_packed(info)]
        )
        if self.code == StatusCode.INVALID_ARGUMENT:
            status.details.append(_packed(self._bad_request()))
        if self.retry_after_us:
            delay = duration_pb2.Duration()
            delay.FromMicroseconds(self.retry_after_us)
            status.details.append(_packed(error_details_pb2.RetryInfo(retry_delay=delay)))
        if self.code == StatusCode.RESOURCE_EXHAUSTED:
            violation = error_details_pb2.QuotaFailure.Violation(
                subject=self.metadata.get("account", self.field), description=self.message
            )
            failure = error_details_pb2.QuotaFailure(violations=[violation])
            status.details.append(_packed(failure))
        return status

    def _bad_request(self) -> error_details_pb2.BadRequest:
        """The faults, as many as trailers have room for."""
        request = error_details_pb2.BadRequest()
        for fault in self.faults or (Fault(self.reason, self.field, self.value, self.message),):
            violation = error_details_pb2.BadRequest.FieldViolation(
                field=shown(fault.field),
                description=described(fault),
                reason=fault.reason,
            )
            room = VIOLATIONS_BYTES_MAX - request.ByteSize()
            if request.field_violations and violation.ByteSize() > room:
                break
            request.field_violations.append(violation)
        return request


def invalid(faults: Iterable[Fault]) -> CallFailed:
    """The failure of a request with these faults; at least one."""
    found = tuple(faults)
    first = found[0]
    return CallFailed(
        first.reason,
        f"{first.field}: {described(first)}",
        field=first.field,
        value=first.value,
        faults=found,
    )


def refused(refusal: Refusal, given: Mapping[str, str] | None = None) -> CallFailed:
    """What the core refused. `given`: values of fields as the caller wrote them.

    The core knows accounts, holds, grants and assets by its own numbers, which mean nothing to a
    caller.
    """
    value = (given or {}).get(refusal.field, refusal.value)
    return CallFailed(
        refusal.reason.value,
        refusal.message,
        field=refusal.field,
        value=value,
        faults=[Fault(each.reason, each.path, each.value, each.message) for each in refusal.faults],
        metadata=_named(given),
    )


def directory_refused(refusal: Refused, field: str) -> CallFailed:
    """What the directory refused."""
    return CallFailed(refusal.reason.value, refusal.message, field=field, value=refusal.value)


def failure_of(error: Exception) -> CallFailed | None:
    """The failure that an exception of the engine or the journal means; None for a bug."""
    match error:
        case CallFailed():
            return error
        case NotApplied():
            return CallFailed(error.reason.value, str(error), retry_after_us=error.retry_after_us)
        case OutcomeUnknown():
            return CallFailed("OUTCOME_UNKNOWN", str(error))
        case PositionAhead():
            return CallFailed("POSITION_AHEAD", str(error), field="min_position")
        case AuthRefused():
            retry_after_us = 100_000 if TABLE[error.reason.value].retryable else 0
            return CallFailed(
                error.reason.value,
                error.message,
                field=error.field,
                value=error.value,
                retry_after_us=retry_after_us,
            )
        case JournalError():
            return CallFailed("JOURNAL_UNAVAILABLE", str(error), retry_after_us=100_000)
    return None


def shown(text: str, chars_max: int = VALUE_CHARS_MAX) -> str:
    """A text, shortened."""
    return text if len(text) <= chars_max else text[: chars_max - 1] + "…"


def described(fault: Fault) -> str:
    """What is wrong, with the value."""
    return f"{fault.message} (value {shown(fault.value)!r})" if fault.value else fault.message


def _named(given: Mapping[str, str] | None) -> dict[str, str]:
    return {name: shown(value) for name, value in (given or {}).items() if name == "account"}


def _packed(detail: error_details_pb2.ErrorInfo | object) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(detail)  # type: ignore[arg-type]
    return packed
