"""Formats that last: what is stored or handed out for ever, held to what its first code wrote.

To register a format, add one `Format` to `registered.FORMATS`: a name, cases (values that show
every part of it), and how its own code encodes and decodes them. Its Structs and enums, if it has
any, go into `registered.ROOTS`. Events need nothing: every class of `Event` and `UPCASTS` is
registered by itself, once with every field filled and once minimal. Then

    python -m tests.formats.generate

writes `fixtures/<name>.v<version>.json` and the entries of `manifest.json` that are missing; it
never changes one that is there. Commit both. To change a format, register the new version beside
the old one, whose fixture stays: whatever decodes it has to go on. Until a format is first released
its fixture may be deleted and made anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import msgspec
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

DIRECTORY = Path(__file__).parent
FIXTURES = DIRECTORY / "fixtures"
MANIFEST = DIRECTORY / "manifest.json"
BYTES = "hex:"


@dataclass(frozen=True)
class Format:
    """One version of a format.

    `encode` gives bytes, text or a number. `decode` turns that into the value again; None for what
    goes one way, like a hash. Not `exact`: the same value may give other bytes (a compressor's).
    """

    name: str
    cases: Mapping[str, Any]
    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any] | None = None
    version: int = 1
    exact: bool = True

    @property
    def file(self) -> str:
        return f"{self.name}.v{self.version}.json"


def plain(value: Any) -> Any:
    """A value as JSON: bytes as hex, Structs by field name, enums by value, the rest as lists."""
    if isinstance(value, bytes):
        return BYTES + value.hex()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, msgspec.Struct):
        return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, Message):
        return plain(MessageToDict(value))
    if isinstance(value, Mapping):
        if all(isinstance(key, str) for key in value):
            return {key: plain(each) for key, each in value.items()}
        return [[plain(key), plain(each)] for key, each in value.items()]
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    assert value is None or isinstance(value, str | int), value
    return value


def encoded(recorded: Any) -> Any:
    """What `encode` gave, back from a fixture."""
    if isinstance(recorded, str) and recorded.startswith(BYTES):
        return bytes.fromhex(recorded.removeprefix(BYTES))
    return recorded


def write_missing(formats: Iterator[Format] | tuple[Format, ...], directory: Path) -> list[str]:
    """Add the fixtures and cases that are not there; returns what was added."""
    added = []
    for each in formats:
        path = directory / each.file
        fixture = json.loads(path.read_text()) if path.exists() else {"cases": {}}
        missing = [name for name in each.cases if name not in fixture["cases"]]
        for name in missing:
            value = each.cases[name]
            made = {"value": plain(value), "encoded": plain(each.encode(value))}
            fixture["cases"][name] = made
            added.append(f"{each.file}: {name}")
        if missing:
            path.write_text(json.dumps(fixture, indent=1) + "\n")
    return added


def check(form: Format, recorded: dict[str, Any]) -> list[str]:
    """What the code of today does otherwise than the code that wrote this case."""
    found = []
    if form.decode is None:
        given = {str(plain(value)): value for value in form.cases.values()}
        value = given.get(str(recorded["value"]))
        if value is None:
            return ["no case has the recorded input any more"]
        if plain(form.encode(value)) != recorded["encoded"]:
            found.append(f"gives {plain(form.encode(value))}, not {recorded['encoded']}")
        return found
    value = form.decode(encoded(recorded["encoded"]))
    decoded = _as_it_was(value, recorded["value"])
    if decoded != recorded["value"]:
        found.append(f"decodes to {decoded}, not {recorded['value']}")
    if form.exact and plain(form.encode(value)) != recorded["encoded"]:
        found.append(f"encodes to {plain(form.encode(value))}, not {recorded['encoded']}")
    return found


def _as_it_was(value: Any, recorded: Any) -> Any:
    """A value as JSON, without the fields that its class gained since, if they have their default:
    only a class that is stored by name may gain any (see `manifest`)."""
    if isinstance(value, msgspec.Struct) and isinstance(recorded, dict):
        return {
            field.name: _as_it_was(getattr(value, field.name), recorded.get(field.name))
            for field in msgspec.structs.fields(type(value))
            if field.name in recorded or getattr(value, field.name) != _default(field)
        }
    if isinstance(value, list | tuple) and len(value) == len(recorded):
        return [_as_it_was(each, was) for each, was in zip(value, recorded, strict=True)]
    return plain(value)


def _default(field: msgspec.structs.FieldInfo) -> Any:
    made = field.default_factory is not msgspec.NODEFAULT
    return field.default_factory() if made else field.default


def filled(event_class: type, *, minimal: bool = False) -> Any:
    """An instance with every field given, no two alike and none its default; or none but needed."""
    numbers = iter(range(1, 1_000_000))
    fields = {
        field.name: _any_value(field.type, numbers, field.default, minimal)
        for field in msgspec.structs.fields(event_class)
        if field.required or not minimal
    }
    return event_class(**fields)


def _any_value(kind: Any, numbers: Iterator[int], default: Any, minimal: bool) -> Any:
    """A value of a type, other than the default; `minimal`: the emptiest."""
    if kind is bool and not minimal:
        return default is not True
    made = _empty(kind) if minimal else _value(kind, numbers)
    while not minimal and made == default:
        made = _value(kind, numbers)
    return made


def _value(kind: Any, numbers: Iterator[int]) -> Any:
    number = next(numbers)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _value(next(each for each in arguments if each is not NoneType), numbers)
    if origin is tuple:
        kinds = arguments[:1] * 2 if arguments[-1] is Ellipsis else arguments
        return tuple(_value(each, numbers) for each in kinds)
    if origin is list:
        return [_value(arguments[0], numbers) for _ in range(2)]
    if origin is dict:
        return {_value(arguments[0], numbers): _value(arguments[1], numbers) for _ in range(2)}
    if issubclass(kind, Enum):
        members = list(kind)
        return members[number % len(members)]
    if issubclass(kind, msgspec.Struct):
        return filled(kind)
    if kind is bytes:
        return number.to_bytes(16, "big")
    if kind is str:
        return f"text-{number}"
    assert kind is int or kind is bool, kind
    return kind(number)


def _empty(kind: Any) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return None if NoneType in arguments else _empty(arguments[0])
    if origin is tuple:
        return () if arguments[-1] is Ellipsis else tuple(_empty(each) for each in arguments)
    if origin in (list, dict):
        return origin()
    if issubclass(kind, Enum):
        return next(iter(kind))
    return filled(kind, minimal=True) if issubclass(kind, msgspec.Struct) else kind()
