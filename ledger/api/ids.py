"""Ids that the ledger mints: holds and grants. Opaque, and checked before anything is looked up.

An id embeds shard, account number and number, so any server finds its family without a table. Two
check bytes catch what was cut or mistyped; they are no secret, and tenancy is checked apart.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from struct import Struct
from typing import Final, NamedTuple
from zlib import crc32

from ledger.api.errors import CallFailed

_PACKED: Final = Struct(">HQQ")
_CHECK: Final = Struct(">H")
_CHARS: Final = 27  # (18 + 2 bytes) in base64 without padding

HOLD: Final = "hold"
GRANT: Final = "grant"
_UNKNOWN: Final = {HOLD: "HOLD_UNKNOWN", GRANT: "GRANT_UNKNOWN"}


class MintedId(NamedTuple):
    """Where a hold or grant lives."""

    shard: int
    account: int
    number: int


def mint(kind: str, shard: int, account: int, number: int) -> str:
    """The id of a hold or grant."""
    body = _PACKED.pack(shard, account, number)
    check = _CHECK.pack(crc32(body, crc32(kind.encode())) & 0xFFFF)
    return f"{kind}_{urlsafe_b64encode(body + check).rstrip(b'=').decode()}"


def unmint(kind: str, text: str, shards: int) -> MintedId:
    """What an id embeds. Raises CallFailed HOLD_UNKNOWN or GRANT_UNKNOWN, FIELD_REQUIRED."""
    field = f"{kind}_id"
    if not text:
        raise CallFailed("FIELD_REQUIRED", f"{field} is required", field=field)
    head, _, tail = text.partition("_")
    if head == kind and len(tail) == _CHARS and tail.isascii():
        try:
            data = urlsafe_b64decode(tail + "=")
        except ValueError:
            data = b""
        if len(data) == _PACKED.size + _CHECK.size:
            found = MintedId(*_PACKED.unpack_from(data))
            if found.shard < shards and mint(kind, *found) == text:
                return found
    raise CallFailed(
        _UNKNOWN[kind],
        f"this is no id of a {kind}; hand it back unchanged",
        field=field,
        value=text,
    )
