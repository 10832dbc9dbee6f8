"""An encoded event in words, for people who look at a proof. Proves nothing; pure."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ledger.core.events import Event

_decode: Final = msgspec.msgpack.Decoder(Event).decode


def described(event: bytes) -> dict[str, Any]:
    """The event's kind and fields, bytes in hex; of one that this version does not know, its
    array as it is."""
    try:
        known = _decode(event)
    except msgspec.MsgspecError:
        return {"kind": "unknown", "fields": _plain(msgspec.msgpack.decode(event))}
    fields = {name: _plain(getattr(known, name)) for name in known.__struct_fields__}
    return {"kind": type(known).__name__, **fields}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, msgspec.Struct):
        return {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value
