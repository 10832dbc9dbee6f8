"""Positions on the wire: an opaque string of (shard, entries) pairs, one a shard that it names.

A position of n entries covers the entries 0 to n - 1 of its shard. As `min_position` it asks each
named shard to have come at least that far.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from ledger.api.errors import CallFailed

POSITIONS_KEPT: Final = 1_024  # texts; x ~200 B
_VERSION: Final = 1
_CHARS_MAX: Final = 24_576  # 1,024 shards x 2 + 9 bytes, in base64, with room


@lru_cache(POSITIONS_KEPT)
def position_of(shard: int, entries: int) -> str:
    """The position of one shard; many answers in a row stand at the same one."""
    return encode_position({shard: entries})


def encode_position(entries: Mapping[int, int]) -> str:
    """The position that names these shards; "" names none."""
    if not entries:
        return ""
    data = bytearray([_VERSION])
    for shard in sorted(entries):
        _put(data, shard)
        _put(data, entries[shard])
    return _text(data)


def decode_position(position: str) -> dict[int, int]:
    """Shard -> entries; "" gives {}. Raises CallFailed POSITION_INVALID."""
    if not position:
        return {}
    try:
        return _decoded(position)
    except (ValueError, IndexError) as error:
        raise CallFailed(
            "POSITION_INVALID",
            "this is no position of a reply; hand back what you were given, unchanged",
            field="min_position",
            value=position,
        ) from error


def minimum(position: str, shard: int) -> int:
    """How many entries of `shard` a reader of `position` has to see."""
    return decode_position(position).get(shard, 0)


def _decoded(position: str) -> dict[int, int]:
    if len(position) > _CHARS_MAX:
        raise ValueError("too long")
    data = urlsafe_b64decode(position.encode("ascii") + b"=" * (-len(position) % 4))
    if data[0] != _VERSION or _text(data) != position:
        raise ValueError("not canonical")
    entries: dict[int, int] = {}
    place = 1
    while place < len(data):
        shard, place = _take(data, place)
        count, place = _take(data, place)
        if shard in entries:
            raise ValueError("a shard twice")
        entries[shard] = count
    if not entries:
        raise ValueError("names no shard")
    return entries


def _text(data: bytes | bytearray) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _put(data: bytearray, value: int) -> None:
    while value > 127:
        data.append(value & 127 | 128)
        value >>= 7
    data.append(value)


def _take(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, place
        if shift > 63:
            raise ValueError("too large")
