"""gRPC statuses as failures: the code, and the google.rpc details that came with it."""

from __future__ import annotations

from typing import Final

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from ledger.client.retry import Failure, FailureKind, classify

MOVED: Final = Failure(
    FailureKind.UNKNOWN, "CANCELLED", "", "the server did not answer, and another serves by now"
)


def failure_of(error: grpc.aio.AioRpcError) -> Failure:
    """The failure that a call's status means."""
    reason, retry_after_us = "", 0
    metadata: dict[str, str] = {}
    violations: tuple[tuple[str, str], ...] = ()
    for detail in _details(error):
        info = error_details_pb2.ErrorInfo()
        retry = error_details_pb2.RetryInfo()
        bad = error_details_pb2.BadRequest()
        if detail.Unpack(info):
            reason, metadata = info.reason, dict(info.metadata)
        elif detail.Unpack(retry):
            retry_after_us = retry.retry_delay.ToMicroseconds()
        elif detail.Unpack(bad):
            violations = tuple(
                (violation.field, violation.description) for violation in bad.field_violations
            )
    return classify(
        error.code().name,
        error.details() or "",
        reason=reason,
        metadata=metadata,
        violations=violations,
        retry_after_us=retry_after_us,
    )


def _details(error: grpc.aio.AioRpcError) -> list[any_pb2.Any]:
    trailers = error.trailing_metadata() or ()
    for key, value in trailers:
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            try:
                return list(status_pb2.Status.FromString(value).details)
            except DecodeError:
                return []
    return []
