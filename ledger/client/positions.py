"""The furthest position that replies have shown: reads that name it see one's own writes.

A position names how far some shards have come. For callers it is opaque; this client belongs to the
server, so it may put two together: shard by shard the further one. Of a position whose version it
does not know it keeps the latest as it is.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

_VERSION: Final = 1
_HEADS_KEPT: Final = 8_192  # of positions; x ~200 B
_TAILS_KEPT: Final = 1_024


class Positions:
    """The furthest of all positions that were observed."""

    __slots__ = ("_entries", "_last", "_shard", "_text")

    def __init__(self) -> None:
        self._entries: dict[int, int] = {}  # shard -> entries; as many as there are shards
        self._text: str | None = ""
        self._last = ""
        self._shard = -1  # of the last one

    def observe(self, position: str) -> int:
        """Take the position of a reply; "" says nothing. The shard, where it names just one; else
        -1."""
        if not position:
            return -1
        if position == self._last:
            return self._shard
        self._last, self._shard = position, -1
        pair = _pair(position)
        pairs = [pair] if pair is not None else _pairs(position)
        if pairs is None:
            self._text = position
            return -1
        for shard, entries in pairs:
            if entries > self._entries.get(shard, -1):
                self._entries[shard] = entries
                self._text = None
        if len(pairs) == 1:
            self._shard = pairs[0][0]
        return self._shard

    def __str__(self) -> str:
        """What to hand to a read as `min_position`."""
        if self._text is None:
            self._text = _text(self._entries)
        return self._text


def _pair(position: str) -> tuple[int, int] | None:
    """What a position of one shard says, as fast as every reply needs it; None: see `_pairs`.

    Its first four characters are the version, the shard and the lowest bits, of which there are
    few; the rest is shared by many positions in a row.
    """
    shard, low, more = _head(position[:4])
    if more == (len(position) > 4):
        high = _tail(position[4:])
        if shard >= 0 and high >= 0:
            return shard, high << 7 | low
    return None


@lru_cache(_HEADS_KEPT)
def _head(text: str) -> tuple[int, int, bool]:
    """(shard, lowest seven bits, whether more follow); shard -1: no such position."""
    try:
        data = urlsafe_b64decode(text)
    except ValueError:
        data = b""
    if len(data) != 3 or data[0] != _VERSION or data[1] > 127:
        return -1, 0, False
    return data[1], data[2] & 127, data[2] > 127


@lru_cache(_TAILS_KEPT)
def _tail(text: str) -> int:
    """The higher bits; -1: they are not all."""
    if not text:
        return 0
    try:
        numbers = list(_numbers(_bytes(text)))
    except ValueError:
        return -1
    return numbers[0] if len(numbers) == 1 else -1


def _pairs(position: str) -> list[tuple[int, int]] | None:
    try:
        data = _bytes(position)
        if not data or data[0] != _VERSION:
            return None
        numbers = list(_numbers(data[1:]))
        return list(zip(numbers[::2], numbers[1::2], strict=True))
    except ValueError:
        return None


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))


def _numbers(data: bytes) -> Iterator[int]:
    """Little-endian groups of seven bits; the high bit says that more follow."""
    value = shift = 0
    for byte in data:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            yield value
            value = shift = 0
    if shift:
        raise ValueError("cut short")


def _text(entries: dict[int, int]) -> str:
    data = bytearray([_VERSION])
    for shard in sorted(entries):
        for number in (shard, entries[shard]):
            value = number
            while value > 127:
                data.append(value & 127 | 128)
                value >>= 7
            data.append(value)
    return urlsafe_b64encode(data).rstrip(b"=").decode()
