"""What a leaf says of one entry, and the salt that makes it tell nothing about others.

An audit path holds hashes of other entries, and some entries are easy to guess (a hold that
expired). So each leaf carries a salt of 16 bytes. The salts of a seal come from one secret that
stands beside the seal and in no proof: who holds one leaf's salt learns no other's. Pure.
"""

from __future__ import annotations

from hashlib import blake2b
from struct import Struct
from typing import Final

SALT_BYTES: Final = 16
SECRET_BYTES: Final = 32
SALT_PERSON: Final = b"drawdown.salt.1"

_PLACE: Final = Struct(">qqqqqq")
_BLOCK: Final = Struct(">q")


def batch_prefix(
    format: int, shard: int, batch_seq: int, first_event: int, recorded_at_us: int
) -> bytes:
    """What the leaves of a batch begin with: five integers of 8 bytes, big-endian, signed."""
    return _PLACE.pack(format, shard, batch_seq, first_event, recorded_at_us, 0)[:-8]


def leaf(prefix: bytes, entry_seq: int, salt: bytes, event: bytes) -> bytes:
    """The leaf of one entry: its batch, its number (8 bytes), its salt (16), its encoded event."""
    return b"%b%b%b%b" % (prefix, _BLOCK.pack(entry_seq), salt, event)


class Salts:
    """The salts of one seal: entry e has 16 bytes of BLAKE2b-512(e // 4) keyed by the secret."""

    __slots__ = ("_base", "_block", "_salts")

    def __init__(self, secret: bytes) -> None:
        assert len(secret) == SECRET_BYTES, len(secret)
        self._base = blake2b(digest_size=64, key=secret, person=SALT_PERSON)
        self._block = -1
        self._salts = b""

    def of(self, entry_seq: int) -> bytes:
        """The salt of one entry; neighbours in order cost a fourth of a hash each."""
        block, place = entry_seq >> 2, entry_seq & 3
        if block != self._block:
            digest = self._base.copy()
            digest.update(_BLOCK.pack(block))
            self._salts = digest.digest()
            self._block = block
        return self._salts[place * SALT_BYTES : (place + 1) * SALT_BYTES]
