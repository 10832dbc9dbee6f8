"""A rate card as people write it: a JSON or TOML document with the fields of ``card.RateCard``.

Owns the form of the file: what is no such document, with the place of every part that is wrong.
A price sheet (see ``sheet``) is such a document too; price overrides and meters are others. What
a card or a list of good form says wrong is for ``card.validate`` and ``override_faults``. Pure; no
floats: prices are texts, and a number in the place of one is a fault.
"""

import json
import re
import tomllib
from collections.abc import Sequence
from decimal import Decimal
from enum import Enum
from typing import Any, Final, TypeVar, cast

import msgspec

from rating.card import Meter, PriceRow, Product, RateCard
from rating.faults import CardError, CardFault
from rating.meters import MeterRule, MeterSet
from rating.models import Minimum
from rating.overrides import Override

Part = TypeVar("Part", bound=msgspec.Struct)

_LISTS: Final[dict[str, type[msgspec.Struct]]] = {
    "meters": Meter,
    "products": Product,
    "rows": PriceRow,
    "minimums": Minimum,
}
_OF_A_SHEET: Final = ("format", "version", "content_hash")
_PLACED: Final = re.compile(r"(.*) - at `\$(.*)`", re.DOTALL)
_CARD: Final = "a rate card: an object with name, asset, meters, rows"
_WRITTEN: Final = " (texts: prices and amounts; whole numbers: quantities, scales, priorities)"


class Form(Enum):
    """How a file is written."""

    JSON = "json"
    TOML = "toml"


def read_card(data: bytes, form: Form = Form.JSON) -> RateCard:
    """The card of a file. Raises CardError (reason CARD_MALFORMED) with one fault a part.

    A row with a model may leave its own price out. What only a price sheet says (its format,
    version and hash) is passed over.
    """
    document = document_of(data, form, _CARD)
    for name in _OF_A_SHEET:
        document.pop(name, None)
    lists = {name: document[name] for name in _LISTS if isinstance(document.get(name), list)}
    faults: list[CardFault] = []
    head: RateCard | None = _part("", document | dict.fromkeys(lists, ()), RateCard, faults)
    parts = {
        name: [
            _part(f"{name}[{place}]", each, _LISTS[name], faults)
            for place, each in enumerate(found)
        ]
        for name, found in lists.items()
    }
    if head is None or faults:
        raise CardError(faults)
    return msgspec.structs.replace(head, **{name: tuple(found) for name, found in parts.items()})


def read_overrides(data: bytes, form: Form = Form.JSON) -> tuple[Override, ...]:
    """The price overrides of a file, a document with the list ``overrides``. Raises CardError
    (reason CARD_MALFORMED) with one fault a part."""
    document = document_of(data, form, _CARD)
    found = document.pop("overrides", None)
    if document or not isinstance(found, list):
        raise _malformed("the file is not a list of overrides: an object with overrides alone")
    faults: list[CardFault] = []
    parts = [
        _part(f"overrides[{place}]", each, Override, faults) for place, each in enumerate(found)
    ]
    if faults:
        raise CardError(faults)
    return tuple(parts)


def read_meters(data: bytes, form: Form = Form.JSON) -> MeterSet:
    """The meters of a file, a document with the list ``rules``. Raises CardError (reason
    CARD_MALFORMED) with one fault a part."""
    document = document_of(data, form, "a set of meters: an object with rules")
    found = document.pop("rules", None)
    if document or not isinstance(found, list):
        raise _malformed("the file is not a set of meters: an object with rules alone")
    faults: list[CardFault] = []
    parts = [_part(f"rules[{place}]", each, MeterRule, faults) for place, each in enumerate(found)]
    if faults:
        raise CardError(faults)
    return MeterSet(tuple(parts))


def converted(document: dict[str, Any], kind: type[Part]) -> Part:
    """A document as a struct. Raises CardError (reason CARD_MALFORMED) with its first fault."""
    faults: list[CardFault] = []
    found = _part("", document, kind, faults)
    if faults:
        raise CardError(faults)
    return cast(Part, found)


def document_of(data: bytes, form: Form, what: str) -> dict[str, Any]:
    """The object that a file is, without floats; `what` says what was to be in it. Raises CardError
    (reason CARD_MALFORMED)."""
    try:
        text = data.decode()
        document = (
            tomllib.loads(text, parse_float=Decimal)
            if form is Form.TOML
            else json.loads(
                text, parse_float=Decimal, parse_constant=Decimal, object_pairs_hook=_once
            )
        )
        json.dumps(document, ensure_ascii=False, default=str).encode()  # half of a surrogate pair
    except (ValueError, RecursionError) as error:
        raise _malformed(f"the file is not {form.name}: {error}") from error
    if not isinstance(document, dict):
        raise _malformed(f"the file is not {what}")
    return document


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; of a key that stands twice nobody knows which is meant."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} stands twice in one object")
        found[key] = value
    return found


def _part(path: str, part: Any, kind: Any, faults: list[CardFault]) -> Any:
    """A part of the card; None and a fault where it is none."""
    if kind is PriceRow and isinstance(part, dict) and "model" in part:
        part = {"price": "", **part}
    try:
        return msgspec.convert(part, kind)
    except msgspec.ValidationError as error:
        placed = _PLACED.fullmatch(str(error))
        message, place = placed.groups() if placed is not None else (str(error), "")
        if message.startswith(("Expected `str`", "Expected `int`")):
            message += _WRITTEN
        faults.append(CardFault((path + place).lstrip("."), "CARD_MALFORMED", "", message))
        return None


def _malformed(message: str) -> CardError:
    return CardError([CardFault("", "CARD_MALFORMED", "", message)])
