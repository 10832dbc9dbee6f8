"""Usage events as callers make them, and what became of them.

Owns the check that an event fits into a message at all; whether it is *right* is the server's
business, and an outcome.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias

from ledger.client.errors import InvalidEvent

INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1
_NONE: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class UsageEvent:
    """One usage event. (family of `account`, `source`, `id`) is its identity (rule I1).

    `quantities`: name to quantity in minor units of its meter. `effective_at_us`: microseconds
    since 1970-01-01T00:00Z; 0 = the writer's clock. `source` and `product`: "" = the client's.
    `personal_attributes` are kept erasable and are never priced. `quote_id`: a quote of the account
    that is to price it; where it does not, the outcome's reason says why.
    """

    id: str
    account: str
    quantities: Mapping[str, int]
    product: str = ""
    attributes: Mapping[str, str] = field(default_factory=lambda: _NONE)
    effective_at_us: int = 0
    source: str = ""
    operation: str = ""
    operation_parent: str = ""
    personal_attributes: Mapping[str, str] = field(default_factory=lambda: _NONE)
    quote_id: str = ""


class Outcome(IntEnum):
    """What became of one event: the names and numbers of ledger.v1.IngestOutcome."""

    APPLIED = 1
    SUSPENSE = 2
    QUARANTINED = 3
    INVALID = 4
    """Refused: the event itself, or, where it is not `judged`, the whole call that carried it."""
    ACCOUNT_UNKNOWN = 5
    ACCOUNT_CLOSED = 6
    IN_FUTURE = 7
    OVERFLOW = 8
    CONFLICT = 9
    RETRY = 10
    """Certainly not recorded, and given up: the same event may be sent again."""
    UNKNOWN = 11
    """Recorded or not, and given up: send the same again, or ask get_outcome."""
    ACCOUNT_FROZEN = 12
    LINKED_FAILED = 13
    """Not recorded: an event that it is linked with was refused."""

    @property
    def recorded(self) -> bool:
        """Whether the event certainly stands in the journal."""
        return self <= Outcome.QUARANTINED


class GaugeLevel(NamedTuple):
    """What a gauge showed in the scope [start, end) before a report, and shows since, by quantity;
    {} = no report had come."""

    before: dict[str, int]
    after: dict[str, int]
    scope_start_us: int
    scope_end_us: int


class EventOutcome(NamedTuple):
    """What became of one event. `charge` is in minor units (10^-scale) of `asset`; 0 = none.
    `gauge`: of a report of one, which charges nothing. `judged`: False where no server has said
    this of the event itself, because its call was refused as a whole (INVALID, as for a token that
    has expired) or given up (RETRY, UNKNOWN): nothing is wrong with the event, so keep it, repair
    what `reason` and `message` say, and send the same again."""

    outcome: Outcome
    charge: int = 0
    asset: str = ""
    scale: int = 0
    replayed: bool = False
    over_limit: bool = False
    reason: str = ""
    field: str = ""
    message: str = ""
    position: str = ""
    gauge: GaugeLevel | None = None
    judged: bool = True


def unlooked_at(reason: str, message: str, field: str = "") -> EventOutcome:
    """Of an event whose whole call was refused."""
    message = f"the whole call was refused, not this event: {message}"
    return EventOutcome(Outcome.INVALID, reason=reason, field=field, message=message, judged=False)


ShapeKey: TypeAlias = tuple[str, str, tuple[tuple[str, str], ...], tuple[str, ...]]
"""What events of a compact batch have in common: product, source, attributes, quantity names."""


def shape_key(event: UsageEvent) -> ShapeKey:
    """The shape of an event."""
    return (
        event.product,
        event.source,
        tuple(event.attributes.items()),
        tuple(event.quantities),
    )


def shape_bytes(shape: ShapeKey) -> int:
    """Bytes of a shape in a message, at most. Raises InvalidEvent TEXT_INVALID."""
    product, source, attributes, names = shape
    size = text_bytes("product", product) + text_bytes("source", source)
    for name, value in attributes:
        size += text_bytes("attributes", name) + text_bytes("attributes", value) + 12
    for name in names:
        size += text_bytes("quantities", name) + 6
    return size


def event_bytes(event: UsageEvent) -> int:
    """Bytes of an event beside its shape, at most. Raises InvalidEvent."""
    size = 64 + text_bytes("id", event.id) + text_bytes("account", event.account)
    for name, quantity in event.quantities.items():
        if type(quantity) is not int or not INT64_MIN <= quantity <= INT64_MAX:
            raise InvalidEvent(
                "NUMBER_OUT_OF_RANGE", f"quantities[{name!r}]", quantity, "not an int64"
            )
    at_us = event.effective_at_us
    if type(at_us) is not int or not INT64_MIN <= at_us <= INT64_MAX:
        raise InvalidEvent("NUMBER_OUT_OF_RANGE", "effective_at_us", at_us, "not an int64")
    size += 12 * len(event.quantities)
    if event.operation or event.operation_parent:
        size += 24 + text_bytes("operation", event.operation)
        size += text_bytes("operation_parent", event.operation_parent)
    if event.quote_id:
        size += 12 + text_bytes("quote_id", event.quote_id)
    for name, value in event.personal_attributes.items():
        size += 12 + text_bytes("personal_attributes", name)
        size += text_bytes("personal_attributes", value)
    return size


def text_bytes(name: str, text: object) -> int:
    """Bytes of a text in UTF-8. Raises InvalidEvent TEXT_INVALID."""
    if not isinstance(text, str):
        raise InvalidEvent("TEXT_INVALID", name, text, "not a text")
    if text.isascii():
        return len(text)
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        raise InvalidEvent("TEXT_INVALID", name, text, "not valid Unicode") from None
