"""The form of a reason's row, and the few ways in which a reason leaves (rule I6).

Must know neither gRPC nor a message: who answers makes statuses of the names here.
"""

from __future__ import annotations

from enum import Flag
from typing import Final, NamedTuple


class Kind(NamedTuple):
    """How a reason leaves."""

    code: str
    """Name of the gRPC code; "" = it is never a status of a call."""

    retryable: bool = False
    """Whether the same may be sent again as it is, because nothing was recorded or ids make it
    safe."""

    outcome: str = "INVALID"
    """Name of the outcome of one event of a batch, without its prefix."""

    http: int = 0
    """Status of what only gateways answer; 0 = it follows from the others."""


class Over(Flag):
    """What is answered with a reason over HTTP: a gateway's question, usage as CloudEvents."""

    NOTHING = 0
    QUESTION = 1
    EVENT = 2


class Row(NamedTuple):
    """A reason: what happened, and what to do about it. One sentence or two, for people."""

    reason: str
    kind: Kind
    happened: str
    advice: str
    over: Over = Over.NOTHING


class Area(NamedTuple):
    """Reasons that belong together, the page that explains them, and what they have in common."""

    title: str
    page: str
    about: str
    rows: tuple[Row, ...]


INVALID: Final = Kind("INVALID_ARGUMENT")
MISSING: Final = Kind("NOT_FOUND")
TAKEN: Final = Kind("ALREADY_EXISTS")
STATE: Final = Kind("FAILED_PRECONDITION")
WAITS: Final = Kind("FAILED_PRECONDITION", outcome="SUSPENSE")
STALE: Final = Kind("ABORTED")
LIMIT: Final = Kind("RESOURCE_EXHAUSTED")
FULL: Final = Kind("RESOURCE_EXHAUSTED", True, "RETRY")
AGAIN: Final = Kind("UNAVAILABLE", True, "RETRY")
UNPROVEN: Final = Kind("UNAUTHENTICATED")
DENIED: Final = Kind("PERMISSION_DENIED")
HERE: Final = Kind("")
"""Raised here, or said of a part of what a status is about."""

QUESTION, EVENT = Over.QUESTION, Over.EVENT
BOTH: Final = QUESTION | EVENT
