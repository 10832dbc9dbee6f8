"""What can go wrong in a call, as a small tree of exceptions.

    DrawdownError
    ├── InvalidEvent       the event cannot be put in a message; nothing was sent
    ├── ClientClosed       the client was closed before the call
    ├── Denied             a metered call may not run: why, and what is left
    ├── SpoolError         events could not be kept on the disk:
    │   ├── SpoolFull          the spool keeps as much as it may; nothing was kept
    │   ├── SpoolFailed        the disk did not take it; nothing is promised to be kept
    │   └── SpoolBusy          another process or client has the directory
    └── CallError          a call ended with a status; code, reason and metadata say which
        ├── Refused            nothing was recorded, and the same call will be refused again
        ├── NotApplied         nothing was recorded; safe to send again (retries ran out)
        └── OutcomeUnknown     it may have been recorded: send the same again, or ask get_outcome

A denied Authorize and an outcome of one usage event are answers, never exceptions (rules I3, I6);
only the block of `metered`, which must not run, is left by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ledger.client.retry import Failure, FailureKind


class DrawdownError(Exception):
    """Anything that this client raises."""


class InvalidEvent(DrawdownError, ValueError):
    """The event cannot be put in a message: `field` holds `value`, and `reason` says why not.

    Reasons: TEXT_INVALID, NUMBER_OUT_OF_RANGE, NUMBER_INEXACT, EVENT_TOO_LARGE.
    """

    def __init__(self, reason: str, field: str, value: object, message: str) -> None:
        shown = repr(value)
        if len(shown) > 200:
            shown = f"{shown[:199]}…"
        super().__init__(f"{field}: {message} ({shown})")
        self.reason = reason
        self.field = field
        self.value = value


class ClientClosed(DrawdownError):
    """The client is closed."""


class Denied(DrawdownError):
    """A metered call may not run; nothing is held.

    `reason` is the stable code of the denial. `asked` and `available` are in minor units
    (10^-scale) of `asset`, which is "" where no rate card applied. `limit` is the kind of limit
    that decided, a name of ledger.v1.LimitKind, of the account `limit_account`; `limit_left` is
    left of it, in what it counts. `retry_after_us`: when more may be allowed, as
    far as that is known; 0 = not known. `decided_by`: "server", or what has decided in its stead.
    """

    def __init__(
        self,
        reason: str,
        *,
        account: str,
        product: str,
        asked: int,
        available: int,
        asset: str,
        scale: int,
        retry_after_us: int,
        limit: str,
        limit_account: str,
        limit_name: str,
        limit_left: int,
        decided_by: str = "server",
    ) -> None:
        what = f"{asked} asked for, {available} available"
        if decided_by != "server":
            what = f"no server answers, so it is decided by {decided_by}"
        unit = f", in 10^-{scale} {asset}" if asset else ""
        super().__init__(f"{reason}: {product} for {account}: {what}{unit}")
        self.reason: Final = reason
        self.account: Final = account
        self.product: Final = product
        self.asked: Final = asked
        self.available: Final = available
        self.asset: Final = asset
        self.scale: Final = scale
        self.retry_after_us: Final = retry_after_us
        self.limit: Final = limit
        self.limit_account: Final = limit_account
        self.limit_name: Final = limit_name
        self.limit_left: Final = limit_left
        self.decided_by: Final = decided_by


class SpoolError(DrawdownError):
    """Events could not be kept on the disk of this machine."""


class SpoolFull(SpoolError):
    """The spool keeps as much as it may; nothing was kept. Let the work wait, or fail it."""


class SpoolFailed(SpoolError):
    """The disk did not take it; the event may or may not be sent later, under its id."""


class SpoolBusy(SpoolError):
    """Another process or client has the directory."""


class CallError(DrawdownError):
    """A call that ended with a status.

    `code` is the gRPC code's name, `reason` the stable UPPER_SNAKE_CASE code of the ErrorInfo (""
    where the failure came from the transport), `metadata` its values, among them often "field" and
    "value"; `violations` are (field, description) of every fault of the request.
    """

    def __init__(self, failure: Failure) -> None:
        reason = f"{failure.reason}: " if failure.reason else f"{failure.code}: "
        field, value = (failure.metadata.get(name, "") for name in ("field", "value"))
        named = f" ({field}: {value})" if value and value not in failure.message else ""
        super().__init__(f"{reason}{failure.message}{named}")
        self.code: Final = failure.code
        self.reason: Final = failure.reason
        self.message: Final = failure.message
        self.metadata: Final[Mapping[str, str]] = failure.metadata
        self.violations: Final = failure.violations

    @property
    def field(self) -> str:
        """The field at fault; "" where there is none."""
        return self.metadata.get("field", "")

    @property
    def value(self) -> str:
        """The value at fault; "" where there is none."""
        return self.metadata.get("value", "")


class Refused(CallError):
    """Nothing was recorded, and the same call will be refused again."""


class NotApplied(CallError):
    """Nothing was recorded; the same call may be sent again. Retries within the client ran out."""


class OutcomeUnknown(CallError):
    """It may have been recorded: send the same call again, or ask `get_outcome`."""


_KINDS: Final[Mapping[FailureKind, type[CallError]]] = {
    FailureKind.REFUSED: Refused,
    FailureKind.RETRY: NotApplied,
    FailureKind.UNKNOWN: OutcomeUnknown,
}


def error_of(failure: Failure) -> CallError:
    """The exception of a failure."""
    return _KINDS[failure.kind](failure)
