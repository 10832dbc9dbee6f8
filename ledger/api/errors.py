"""One table: what went wrong -> gRPC code -> ErrorInfo.reason -> retryable or not (rule I6).

Which reasons there are, how each leaves and what to do about it stands in `ledger.reasons`; here it
becomes statuses. Insufficient credits is an answer, never a status. Must not know any service.
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
from ledger.reasons import REASONS
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


TABLE: Final[Mapping[str, Handling]] = {
    reason: Handling(
        StatusCode[row.kind.code],
        row.kind.retryable,
        usage.IngestOutcome.Value(f"INGEST_OUTCOME_{row.kind.outcome}"),
    )
    for reason, row in REASONS.items()
    if row.kind.code
}
"""What `ledger.reasons` says of each reason that can be a status, in the words of the wire."""


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
