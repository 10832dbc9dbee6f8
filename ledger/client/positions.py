"""The furthest position that replies have shown: reads that name it see one's own writes.

A position names how far some shards have come. For callers it is opaque; this client belongs to the
server, so it may put two together: shard by shard the further one. Of a position whose version it
does not know it keeps the latest as it is.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from typing import Final

_VERSION: Final = 1


class Positions:
    """The furthest of all positions that were observed."""

    __slots__ = ("_entries", "_last", "_text")

    def __init__(self) -> None:
        self._entries: dict[int, int] = {}  # shard -> entries; as many as there are shards
        self._text: str | None = ""
        self._last = ""

    def observe(self, position: str) -> None:
        """Take the position of a reply; "" says nothing."""
        if not position or position == self._last:
            return
        self._last = position
        pairs = _pairs(position)
        if pairs is None:
            self._text = position
            return
        for shard, entries in pairs:
            if entries > self._entries.get(shard, -1):
                self._entries[shard] = entries
                self._text = None

    def __str__(self) -> str:
        """What to hand to a read as `min_position`."""
        if self._text is None:
            self._text = _text(self._entries)
        return self._text


def _pairs(position: str) -> list[tuple[int, int]] | None:
    try:
        data = urlsafe_b64decode(position.encode("ascii") + b"=" * (-len(position) % 4))
        if not data or data[0] != _VERSION:
            return None
        numbers = list(_numbers(data[1:]))
        return list(zip(numbers[::2], numbers[1::2], strict=True))
    except ValueError:
        return None


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
