"""Which failures are sent again, and when: pure, with time and chance handed in (rule I6).

Owns the kinds of failure and the backoff. Must not know gRPC, a clock or a source of chance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Final, TypeAlias

RandRange: TypeAlias = Callable[[int], int]
"""randrange(n): any integer in [0, n)."""

_EXPONENT_MAX: Final = 30  # keeps 2^attempt small


class FailureKind(IntEnum):
    """What a failure leaves."""

    REFUSED = 1
    """Nothing was recorded; the same call will be refused again."""
    RETRY = 2
    """Nothing was recorded; the same call may be sent again."""
    UNKNOWN = 3
    """Recorded or not; the same call may be sent again, because ids make it safe."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that ended with a status."""

    kind: FailureKind
    code: str
    """Name of the gRPC code."""
    reason: str = ""
    """ErrorInfo.reason; "" where the failure came from the transport."""
    message: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    violations: tuple[tuple[str, str], ...] = ()
    retry_after_us: int = 0
    """What the server asked to wait, in microseconds; 0 = it did not say."""
    again: bool = True
    """Whether sending the same again may help. Always False where refused."""

    def kept_unknown(self) -> Failure:
        """The same where an earlier attempt may have been recorded."""
        return replace(self, kind=FailureKind.UNKNOWN)


_FROM_TRANSPORT: Final[Mapping[str, FailureKind]] = {
    "CANCELLED": FailureKind.UNKNOWN,
    "UNKNOWN": FailureKind.UNKNOWN,
    "DEADLINE_EXCEEDED": FailureKind.UNKNOWN,
    "INTERNAL": FailureKind.UNKNOWN,
    "UNAVAILABLE": FailureKind.UNKNOWN,
    "DATA_LOSS": FailureKind.UNKNOWN,
}


def classify(
    code: str,
    message: str,
    *,
    reason: str = "",
    metadata: Mapping[str, str] | None = None,
    violations: tuple[tuple[str, str], ...] = (),
    retry_after_us: int = 0,
) -> Failure:
    """The failure that a status means.

    With an ErrorInfo of ours its "retryable" decides; UNKNOWN and INTERNAL may have been recorded.
    Without one the status was made by the transport: after the call may have left, so its outcome
    is unknown, except for codes that say that no server took it.
    """
    values = dict(metadata or {})
    if reason:
        again = values.get("retryable") == "true"
        if code in ("UNKNOWN", "INTERNAL"):
            kind = FailureKind.UNKNOWN
        else:
            kind = FailureKind.RETRY if again else FailureKind.REFUSED
    else:
        kind = _FROM_TRANSPORT.get(code, FailureKind.REFUSED)
        again = kind is not FailureKind.REFUSED
    return Failure(kind, code, reason, message, values, violations, retry_after_us, again)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to go on, and how long to wait in between. Times in microseconds."""

    first_us: int = 50_000
    longest_us: int = 5_000_000
    give_up_us: int = 120_000_000
    """A call or event is given up so long after it began; 0 = never."""
    attempt_us: int = 30_000_000
    """The deadline of one attempt."""

    def delay_us(self, attempt: int, failure_after_us: int, randrange: RandRange) -> int:
        """How long to wait after `attempt` failures in a row, from 1.

        Doubles from `first_us` to `longest_us`, the upper half of it by chance; never less than the
        server asked for.
        """
        assert attempt >= 1
        ceiling = min(self.first_us << min(attempt - 1, _EXPONENT_MAX), self.longest_us)
        half = ceiling // 2
        return max(failure_after_us, ceiling - half + randrange(half + 1))


class Attempts:
    """The attempts of one call that carries its own identity."""

    __slots__ = ("_began_us", "_failures", "_policy", "_randrange", "_unknown")

    def __init__(self, policy: RetryPolicy, randrange: RandRange, now_us: int) -> None:
        self._policy = policy
        self._randrange = randrange
        self._began_us = now_us
        self._failures = 0
        self._unknown = False

    @property
    def unknown(self) -> bool:
        """Whether one of them may have been recorded."""
        return self._unknown

    def failed(self, failure: Failure, now_us: int) -> int | Failure:
        """Microseconds to wait before the same is sent again, or the failure to report.

        Once an attempt may have been recorded, a later "not recorded" of another attempt proves
        nothing, and the whole stays unknown. A refusal by the server is an answer of its own, for
        it looks for the identity first; one that was made on the way there proves nothing either.
        """
        self._failures += 1
        self._unknown |= failure.kind is FailureKind.UNKNOWN
        if not failure.again:
            return failure if failure.reason or not self._unknown else failure.kept_unknown()
        delay = self._policy.delay_us(self._failures, failure.retry_after_us, self._randrange)
        limit = self._policy.give_up_us
        if limit and now_us + delay - self._began_us >= limit:
            return failure.kept_unknown() if self._unknown else failure
        return delay
