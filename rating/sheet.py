"""The price sheet: one version of a rate card as canonical JSON, for programs that choose and buy.

Owns the form: the same version gives the same bytes for ever, and it bears the content hash that
the version is stored by (of the card's canonical bytes, see ``card.content_hash``), so that whoever
holds both can tell that they belong together.
docs/price-sheet.schema.json says the form as a JSON Schema. All that is left out when a card is
stored (defaults) stands here, so that a reader needs no defaults of ours; but what only rows with a
price model say, minimums, products that are not sold to all or sold by result, and the card of
costs stand where they are said. Pure.
"""

import json
from typing import Any, Final

import msgspec
from msgspec import Struct

from rating.card import RateCard

FORMAT: Final = 1
_WHERE_SAID: Final = frozenset(
    {
        "contract_required",
        "cost_card",
        "entitled",
        "hours",
        "included",
        "list_price",
        "maximum",
        "minimums",
        "model",
        "outcome",
        "provider",
        "scope",
    }
)


def price_sheet(card: RateCard, version: int, content_hash: bytes) -> dict[str, Any]:
    """The sheet as JSON values; rows and products in the order of the card."""
    sheet: dict[str, Any] = {
        "format": FORMAT,
        "version": version,
        "content_hash": content_hash.hex(),
    }
    return sheet | _fields(card)


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
    return _fields(value) if isinstance(value, Struct) else msgspec.to_builtins(value)


def _fields(value: Struct) -> dict[str, Any]:
    config = value.__struct_config__
    said: dict[str, Any] = {}
    if config.tag_field is not None:  # which model it is
        said[config.tag_field] = config.tag
    for field in msgspec.structs.fields(value):
        given = getattr(value, field.name)
        if field.name not in _WHERE_SAID or given != field.default:
            said[field.name] = _value(given)
    return said
