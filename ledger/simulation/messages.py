"""What clients and servers say to each other, and what is written down of it.

The place of protos and gRPC in the simulated world: plain frozen values, so that a message that is
delivered twice is the same message.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

from ledger.client.events import EventOutcome
from ledger.client.retry import Failure

Attributes: TypeAlias = tuple[tuple[str, str], ...]
Item: TypeAlias = tuple[str, str, str, tuple[str, ...], tuple[int, ...], int, Attributes, str, str]
"""(id, account, product, quantity names, quantities, effective_at, attributes, operation, its
parent)."""


@dataclass(frozen=True, slots=True)
class UsageCall:
    """A batch of usage events. Those that are `linked` are recorded together or not at all."""

    tenant: int
    items: tuple[Item, ...]
    linked: bool = False


@dataclass(frozen=True, slots=True)
class UsageAnswer:
    """One outcome an event, in order; `marks` say where each stands."""

    outcomes: tuple[EventOutcome, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """Anything else. `fields` are those of the command; `min_position`: entries by shard."""

    kind: str
    tenant: int
    account: str
    request_id: str
    fields: dict[str, Any]
    min_position: dict[int, int] = field(default_factory=dict)


class Status(StrEnum):
    """How an operation ended."""

    PENDING = "no answer yet"
    RECORDED = "recorded"
    REFUSED = "refused"
    READ = "read"
    ABSENT = "not recorded so far"
    ADVICE = "advice"
    GAVE_UP = "given up, certainly not recorded by the last attempt"
    UNKNOWN = "given up, outcome unknown"


@dataclass(frozen=True, slots=True)
class Mark:
    """Where an answer stands: entries of the shard that it rests on, its own entry and its bytes.

    `recorded_at` is the time of the batch in which it was decided, by the clock of the tenant.
    """

    shard: int
    position: int
    entry_seq: int = -1
    body: bytes = b""
    recorded_at: int = 0

    def text(self) -> str:
        """As the position of an EventOutcome."""
        return f"{self.shard}/{self.position}/{self.entry_seq}/{self.body.hex()}/{self.recorded_at}"


def mark_of(text: str) -> Mark:
    """The mark that `Mark.text` wrote."""
    shard, position, entry_seq, body, recorded_at = text.split("/")
    return Mark(int(shard), int(position), int(entry_seq), bytes.fromhex(body), int(recorded_at))


@dataclass(frozen=True, slots=True)
class Answer:
    """The reply to a Call."""

    status: Status
    mark: Mark | None = None
    replayed: bool = False
    reason: str = ""
    at_field: str = ""
    number: int = 0  # of the hold, grant, recurring grant or commitment
    view: Any = None


Reply: TypeAlias = UsageAnswer | Answer | Failure


@dataclass(slots=True)
class Record:
    """One operation, or one event of a batch, as its client saw it.

    Steps are the loop's: what was answered in an earlier step than another was sent precedes it.
    """

    operation: int
    place: int
    client: int
    kind: str
    tenant: int
    account: str
    identity: str
    body: dict[str, Any]
    sent_step: int = -1
    answered_step: int = -1
    answered_us: int = 0  # by the client's wall clock
    status: Status = Status.PENDING
    mark: Mark | None = None
    replayed: bool = False
    reason: str = ""
    at_field: str = ""
    view: Any = None
    min_position: dict[int, int] = field(default_factory=dict)
    said: bytes = b""  # digests of its operation and the parent of that; for the judge

    def __str__(self) -> str:
        where = f" at {self.mark.shard}/{self.mark.entry_seq}" if self.mark is not None else ""
        if self.mark is not None:
            where += f" seeing {self.mark.position}"
        reason = f" {self.reason} {self.at_field}".rstrip() if self.reason else ""
        again = " replayed" if self.replayed else ""
        return (
            f"#{self.operation}.{max(self.place, 0)} client {self.client} {self.kind} "
            f"{self.tenant}:{self.account} [{self.identity}] steps "
            f"{self.sent_step}..{self.answered_step}: {self.status.value}{reason}{again}{where}"
        )
