"""Events of a type, as other systems make them: what they are usage of is for meters to say.

Owns the way from JSON-like values to the texts that the ledger takes. Floats are refused: what was
0.1 somewhere is not 0.1 any more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from ledger.client.errors import InvalidEvent
from ledger.client.events import text_bytes

Value: TypeAlias = "str | int | bool | Decimal | Mapping[str, Value] | None"
NAME_BYTES_MAX: Final = 128  # of a property, with the objects that it is in
_NONE: Final[Mapping[str, str]] = MappingProxyType({})
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class RawEvent:
    """One event of a type. (family of `account`, `source`, `id`) is its identity (rule I1).

    `properties`: texts, whole numbers, Decimals, truth values, and objects of them: a property of
    an object is named "object.property", what is None is not there. Name the time: so an event that
    is sent again is metered as it was at first, whatever meters were published in between.
    """

    id: str
    account: str
    type: str
    properties: Mapping[str, Value] = field(default_factory=lambda: _NONE)
    effective_at_us: int = 0
    source: str = ""
    operation: str = ""
    operation_parent: str = ""
    personal_attributes: Mapping[str, str] = field(default_factory=lambda: _NONE)
    quote_id: str = ""

    @classmethod
    def of_cloud_event(cls, event: Mapping[str, Any], account: str = "") -> RawEvent:
        """A CloudEvent in its JSON form; its subject is the account, unless that is given.

        Read it with `json.loads(text, parse_float=Decimal)`. Raises InvalidEvent.
        """
        found: dict[str, str] = {}
        for name in ("id", "source", "type", "subject", "time"):
            value = event.get(name, "")
            if not isinstance(value, str):
                raise InvalidEvent("TEXT_INVALID", name, value, "not a text")
            text_bytes(name, value)
            found[name] = value
        data = event.get("data")
        if data is None:
            data = {}
        if not isinstance(data, Mapping):
            raise InvalidEvent("TEXT_INVALID", "data", data, "not an object")
        return cls(
            found["id"],
            account or found["subject"],
            found["type"],
            data,
            _instant(found["time"]),
            found["source"],
        )


def flattened(properties: Mapping[str, Value]) -> dict[str, str]:
    """The properties as texts by name. Raises InvalidEvent TEXT_INVALID, NUMBER_INEXACT."""
    found: dict[str, str] = {}
    for name, text in _flat("", properties):
        text_bytes("properties", name)
        text_bytes(f"properties[{name!r}]", text)
        if found.setdefault(name, text) != text:
            raise InvalidEvent("TEXT_INVALID", "properties", name, "the name stands twice")
    return found


def _flat(prefix: str, properties: Mapping[Any, Any]) -> Iterator[tuple[str, str]]:
    for name, value in properties.items():
        if not isinstance(name, str):
            raise InvalidEvent("TEXT_INVALID", "properties", name, "not a text")
        path = f"{prefix}{name}"
        if isinstance(value, str):
            yield path, value
        elif isinstance(value, bool):
            yield path, "true" if value else "false"
        elif isinstance(value, int | Decimal):
            yield path, str(value)
        elif isinstance(value, Mapping):
            if len(path) >= NAME_BYTES_MAX:  # each level has the names of all above it
                message = f"the names of objects in one another have {NAME_BYTES_MAX} bytes at most"
                raise InvalidEvent("TEXT_INVALID", "properties", path, message)
            yield from _flat(f"{path}.", value)
        elif isinstance(value, float):
            message = "a float is not exact: a Decimal, as of json.loads(text, parse_float=Decimal)"
            raise InvalidEvent("NUMBER_INEXACT", f"properties[{path!r}]", value, message)
        elif value is not None:
            message = "neither a text, a number nor an object"
            raise InvalidEvent("TEXT_INVALID", f"properties[{path!r}]", value, message)


def _instant(text: str) -> int:
    """Microseconds since the epoch of an RFC 3339 time; 0 = none is given."""
    if not text:
        return 0
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidEvent("TEXT_INVALID", "time", text, "not an RFC 3339 time") from None
    if at.tzinfo is None:
        raise InvalidEvent("TEXT_INVALID", "time", text, "the time has no offset from UTC")
    if at == _EPOCH:
        message = "the beginning of 1970 is what a clock says that was never set"
        raise InvalidEvent("TEXT_INVALID", "time", text, message)
    return (at - _EPOCH) // _MICROSECOND
