"""Ids that the ledger mints, of holds, grants and what issues them, bills and top-ups: opaque, and
checked at once.

An id embeds shard, account number and number, so any server finds its family without a table. Two
check bytes catch what was cut or mistyped; they are no secret, and tenancy is checked apart.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from struct import Struct
from typing import Final, NamedTuple
from zlib import crc32

from ledger.api.errors import CallFailed, Fault
from ledger.core.limits import INT64_MAX

_PACKED: Final = Struct(">HQQ")
_CHECK: Final = Struct(">H")
_CHARS: Final = 27  # (18 + 2 bytes) in base64 without padding

HOLD: Final = "hold"
GRANT: Final = "grant"
RECURRING: Final = "recurring_grant"
BILL: Final = "bill"
COMMITMENT: Final = "commitment"
CHARGE: Final = "charge"
TOP_UP: Final = "top_up"
QUOTE: Final = "quote"
OUTCOME: Final = "outcome"
CAP: Final = "cap"
LEASE: Final = "lease"
LET_IN: Final = "open_"
"""Begins what stands for the hold of work that a gateway was told to let in without one."""
UNKNOWN: Final = {
    HOLD: "HOLD_UNKNOWN",
    GRANT: "GRANT_UNKNOWN",
    RECURRING: "RECURRING_UNKNOWN",
    COMMITMENT: "COMMITMENT_UNKNOWN",
    CHARGE: "CHARGE_UNKNOWN",
    TOP_UP: "TOP_UP_UNKNOWN",
    QUOTE: "QUOTE_UNKNOWN",
    OUTCOME: "NO_SUCH_OUTCOME",
    CAP: "CAP_UNKNOWN",
    LEASE: "LEASE_UNKNOWN",
}

"""Reason of an id of which there is nothing."""


class MintedId(NamedTuple):
    """Where what has the id lives."""

    shard: int
    account: int
    number: int


def is_unheld(hold_id: str) -> bool:
    """Whether this stands for work without a hold."""
    return hold_id.startswith(LET_IN)


def mint(kind: str, shard: int, account: int, number: int) -> str:
    """The id of something that the ledger numbers."""
    body = _PACKED.pack(shard, account, number)
    check = _CHECK.pack(crc32(body, crc32(kind.encode())) & 0xFFFF)
    return f"{kind}_{urlsafe_b64encode(body + check).rstrip(b'=').decode()}"


def unmint(kind: str, text: str, shards: int, field: str = "") -> MintedId:
    """What an id embeds. Raises CallFailed: the kind's in UNKNOWN, or FIELD_REQUIRED."""
    field = field or f"{kind}_id"
    if not text:
        raise CallFailed("FIELD_REQUIRED", f"{field} is required", field=field)
    tail = text[len(kind) + 1 :]
    if text.startswith(f"{kind}_") and len(tail) == _CHARS and tail.isascii():
        try:
            data = urlsafe_b64decode(tail + "=")
        except ValueError:
            data = b""
        if len(data) == _PACKED.size + _CHECK.size:
            found = MintedId(*_PACKED.unpack_from(data))
            fits = max(found.account, found.number) <= INT64_MAX
            if fits and found.shard < shards and mint(kind, *found) == text:
                return found
    raise CallFailed(
        UNKNOWN[kind],
        f"this is no id of a {kind.replace('_', ' ')}; hand it back unchanged",
        field=field,
        value=text,
    )


def hold_number(text: str, account: int, shards: int) -> int:
    """The number of a hold that is to pay for work of this account. Raises CallFailed."""
    minted = unmint(HOLD, text, shards)
    if minted.account != account:
        message = "the account has no such hold; name one of its own"
        raise CallFailed("HOLD_UNKNOWN", message, field="hold_id", value=text)
    return minted.number


def quote_number(text: str, account: int, shards: int) -> int | Fault:
    """The number of a quote that usage of this account names, or why it can be none of it."""
    try:
        minted = unmint(QUOTE, text, shards)
    except CallFailed as failed:
        return Fault(failed.reason, failed.field, failed.value, failed.message)
    if minted.account != account:
        message = "the quote is another account's; name one of the account that uses"
        return Fault("QUOTE_UNKNOWN", "quote_id", text, message)
    return minted.number
