"""The price sheet: one version of a rate card as canonical JSON, for programs that choose and buy.

Owns the form: the same version gives the same bytes for ever, and it bears the content hash that
the version is stored by (of the card's canonical bytes, see ``card.content_hash``), so that whoever
holds both can tell that they belong together.
docs/price-sheet.schema.json says the form as a JSON Schema. All that is left out when a card is
stored (defaults) stands here, so that a reader needs no defaults of ours. Pure.
"""

import json
from typing import Any, Final

import msgspec
from msgspec import Struct

from rating.card import RateCard

FORMAT: Final = 1


def price_sheet(card: RateCard, version: int, content_hash: bytes) -> dict[str, Any]:
    """The sheet as JSON values; rows and products in the order of the card."""
    sheet: dict[str, Any] = {
        "format": FORMAT,
        "version": version,
        "content_hash": content_hash.hex(),
    }
    return sheet | {name: _value(getattr(card, name)) for name in card.__struct_fields__}


def sheet_bytes(card: RateCard, version: int, content_hash: bytes) -> bytes:
    """The sheet as canonical JSON: UTF-8, sorted keys, no spaces, one line."""
    text = json.dumps(
        price_sheet(card, version, content_hash),
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
    )
    return text.encode() + b"\n"


def _value(value: Any) -> Any:
    """A field of a card, its parts with their defaults."""
    if isinstance(value, tuple):
        return [_value(each) for each in value]
    if isinstance(value, Struct):
        return {name: _value(getattr(value, name)) for name in value.__struct_fields__}
    return msgspec.to_builtins(value)
