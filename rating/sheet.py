"""The price sheet: one version of a rate card as canonical JSON, for programs that choose and buy.

Owns the form: the same version gives the same bytes for ever, and the content hash in it is that of
the card's canonical bytes, so that whoever holds both can tell that they belong together.
docs/price-sheet.schema.json says the form as a JSON Schema. All that is left out when a card is
stored (defaults) stands here, so that a reader needs no defaults of ours. Pure.
"""

import json
from typing import Any, Final

import msgspec

from rating.card import RateCard, canonical_bytes, content_hash

FORMAT: Final = 1


def price_sheet(card: RateCard, version: int) -> dict[str, Any]:
    """The sheet as JSON values; rows and products in the order of the card."""
    sheet: dict[str, Any] = {
        "format": FORMAT,
        "version": version,
        "content_hash": content_hash(canonical_bytes(card)).hex(),
    }
    for name in card.__struct_fields__:
        value = getattr(card, name)
        sheet[name] = (
            [_whole(part) for part in value]
            if isinstance(value, tuple)
            else msgspec.to_builtins(value)
        )
    return sheet


def sheet_bytes(card: RateCard, version: int) -> bytes:
    """The sheet as canonical JSON: UTF-8, sorted keys, no spaces, one line."""
    text = json.dumps(
        price_sheet(card, version), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    return text.encode() + b"\n"


def _whole(part: Any) -> dict[str, Any]:
    """A part of a card with its defaults."""
    return {name: msgspec.to_builtins(getattr(part, name)) for name in part.__struct_fields__}
