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
from ledger.core.limits import INT64_MAX
from ledger.journal.migrate import SHARDS_MAX

HEADS_KEPT: Final = 8_192  # of positions; 256 a shard; x ~200 B
TAILS_KEPT: Final = 1_024
_VERSION: Final = 1
_BITS: Final = 127  # of a byte that say the number
_MORE: Final = 128  # ... and the one that says that more follow
_CHARS_MAX: Final = 24_576  # 1,024 shards x 2 + 9 bytes, in base64, with room


def position_of(shard: int, entries: int) -> str:
    """The position of one shard: `encode_position`, as fast as every reply needs it.

    Three bytes make four characters: the version, the shard and the lowest bits make a head, of
    which there are few, and the other bits a tail that many answers in a row share.
    """
    if shard > _BITS:
        return encode_position({shard: entries})
    if entries <= _BITS:
        return _head(shard, entries)
    return _head(shard, entries & _BITS | _MORE) + _tail(entries >> 7)


@lru_cache(HEADS_KEPT)
def _head(shard: int, low: int) -> str:
    return _text(bytes([_VERSION, shard, low]))


@lru_cache(TAILS_KEPT)
def _tail(high: int) -> str:
    data = bytearray()
    _put(data, high)
    return _text(data)


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
        if shard >= SHARDS_MAX or count > INT64_MAX:
            raise ValueError("no ledger has come there")
        entries[shard] = count
    if not entries:
        raise ValueError("names no shard")
    return entries


def _text(data: bytes | bytearray) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _put(data: bytearray, value: int) -> None:
    while value > _BITS:
        data.append(value & _BITS | _MORE)
        value >>= 7
    data.append(value)


def _take(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & _BITS) << shift
        shift += 7
        if byte < _MORE:
            return value, place
        if shift > 63:
            raise ValueError("too large")
