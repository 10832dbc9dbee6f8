"""An encoded event in words, for people who look at a proof. Proves nothing; pure."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any, Final

import msgspec

from ledger.core.events import Event
from ledger.core.upcast import UPCASTS

_RELEASED: Any = reduce(or_, UPCASTS, Event)  # as it was recorded: nothing is told anew
_decode: Final = msgspec.msgpack.Decoder(_RELEASED).decode


def event_of(event: bytes) -> Any:
    """The event as the class that it was recorded as; None where this version knows none."""
    try:
        return _decode(event)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def described(event: bytes) -> dict[str, Any]:
    """The event's kind and fields, bytes in hex; of one that this version does not know, its
    array as it is."""
    known = event_of(event)
    if known is None:
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
