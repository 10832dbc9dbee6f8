"""A kept event or capture as bytes: length, CRC-32, JSON; and found again among damage. Pure.

JSON in ASCII has no zero byte and a length below RECORD_BYTES_MAX begins with one, so no record is
ever found within the payload of another.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from ledger.client.errors import InvalidEvent
from ledger.client.events import UsageEvent, event_bytes, shape_bytes, shape_key

RECORD_BYTES_MAX: Final = 1 << 20
HEAD: Final = 8  # bytes of length and CRC-32, big-endian
_BEGIN: Final = b'{"'


@dataclass(frozen=True, slots=True)
class SpooledCapture:
    """What a hold's work used, at an instant in microseconds: the capture to be made of it."""

    hold_id: str
    quantities: Mapping[str, int]
    request_id: str
    effective_at_us: int = 0


Kept: TypeAlias = UsageEvent | SpooledCapture


def id_of(kept: Kept) -> str:
    """What it counts once by."""
    return kept.request_id if isinstance(kept, SpooledCapture) else kept.id


def record_of(kept: Kept) -> bytes:
    """What is kept of an event or a capture. Raises InvalidEvent."""
    if isinstance(kept, UsageEvent):
        event_bytes(kept)
        shape_bytes(shape_key(kept))
    payload = json.dumps(fields_of(kept), separators=(",", ":")).encode()
    if len(payload) > RECORD_BYTES_MAX:
        message = f"{len(payload)} bytes; at most {RECORD_BYTES_MAX} are kept on a disk"
        raise InvalidEvent("EVENT_TOO_LARGE", "id", id_of(kept), message)
    return framed(payload)


def framed(payload: bytes) -> bytes:
    """A JSON object in ASCII, of at most RECORD_BYTES_MAX bytes, as a record."""
    head = len(payload).to_bytes(4, "big") + zlib.crc32(payload).to_bytes(4, "big")
    return head + payload


def fields_of(kept: Kept) -> dict[str, Any]:
    """Its fields, but for those that are empty."""
    fields: dict[str, Any] = {}
    for name in kept.__slots__:
        value = getattr(kept, name)
        if value:
            fields[name] = value if isinstance(value, str | int) else dict(value)
    return fields


def kept_of(fields: Any) -> Kept:
    """What had these fields. Raises TypeError, as of a later version's."""
    if "hold_id" in fields:
        return SpooledCapture(**fields)
    return UsageEvent(**{"quantities": {}, **fields})


def next_record(data: bytes, offset: int) -> tuple[int, int] | None:
    """Where the first whole record at `offset` or behind it begins and ends; None = there is none.
    It begins at `offset` unless that is damaged."""
    end = _end_of(data, offset)
    if end:
        return offset, end
    at = data.find(_BEGIN, offset + HEAD + 1)
    while at >= 0:
        end = _end_of(data, at - HEAD)
        if end:
            return at - HEAD, end
        at = data.find(_BEGIN, at + 1)
    return None


def kept_at(data: bytes, start: int, end: int) -> Kept:
    """The record that `next_record` found. Raises TypeError, as of a later version's."""
    return kept_of(json.loads(data[start + HEAD : end]))


def _end_of(data: bytes, start: int) -> int:
    """Where the whole record at `start` ends; 0 = there is none."""
    length = int.from_bytes(data[start : start + 4], "big")
    at, end = start + HEAD, start + HEAD + length
    if not 0 < length <= RECORD_BYTES_MAX or end > len(data):
        return 0
    crc = int.from_bytes(data[start + 4 : at], "big")
    return end if zlib.crc32(data[at:end]) == crc else 0
