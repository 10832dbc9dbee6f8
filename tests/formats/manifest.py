"""What the code says of each released class: tag, fields in order, types, defaults; enum members.

`manifest.json` holds what it said when the class was first released. Nothing that stands there may
change. A class that is stored as an array (events, private records) may not even gain a trailing
field: an older version, still running or gone back to, would leave the new field unread and go on
with another state, where a new tag stops it. Classes that are stored by name, leave defaults out
and refuse what they do not know (rate cards) may gain fields with defaults. Enums may gain members.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import msgspec

from tests.formats.formats import plain

Description = dict[str, Any]
Manifest = dict[str, Description]


def describe(roots: Iterable[type]) -> Manifest:
    """Every root, and every Struct and enum that their fields name."""
    found: Manifest = {}
    waiting = list(roots)
    while waiting:
        each = waiting.pop(0)
        name, described = _described(each)
        if found.setdefault(name, described) != described:
            raise ValueError(f"two classes are called {name}")
        if issubclass(each, msgspec.Struct):
            for field in msgspec.structs.fields(each):
                waiting += [named for named in _named(field.type) if _name(named) not in found]
    return found


def differences(released: Manifest, current: Manifest) -> list[str]:
    """How the code of today departs from what was released; what was added is no difference."""
    found = []
    for name, before in released.items():
        now = current.get(name)
        if now is None:
            found.append(f"{name} ({before['class']}) is gone: retire it in ledger.core.upcast")
        elif before["kind"] == "enum":
            found += _changed(name, "member", before["members"], now["members"])
        else:
            found += _changed(name, "option", before["options"], now["options"])
            found += _field_differences(name, before, now)
    return found


def _field_differences(name: str, before: Description, now: Description) -> list[str]:
    released, kept = before["fields"], now["fields"]
    if grows(before["options"]):  # by name: their order is held by the fixtures
        known = {field["name"] for field in released}
        needed = [
            field["name"] for field in kept if field["name"] not in known | {*_optional(kept)}
        ]
        if needed:
            return [f"{name}: old ones have no {', '.join(needed)}: give it a default"]
        released = sorted(released, key=_field_name)
        kept = sorted((field for field in kept if field["name"] in known), key=_field_name)
    if kept == released:
        return []
    return [
        f"{name}: its fields were {released} and are {kept}: a released class is never edited; "
        "write a class with a new tag (ledger.core.upcast says how)"
    ]


def grows(options: Description) -> bool:
    """Whether a class with these options may gain fields with defaults."""
    return bool(
        not options["array_like"] and options["omit_defaults"] and options["forbid_unknown_fields"]
    )


def _optional(fields: list[Description]) -> list[str]:
    return [field["name"] for field in fields if "default" in field]


def _field_name(field: Description) -> str:
    name: str = field["name"]
    return name


def _changed(name: str, what: str, before: Description, now: Description) -> list[str]:
    return [
        f"{name}: {what} {key} was {value!r} and is {now.get(key)!r}"
        for key, value in before.items()
        if now.get(key) != value
    ]


def _described(each: type) -> tuple[str, Description]:
    name = _name(each)
    if issubclass(each, Enum):
        members = {member.name: member.value for member in each}
        return name, {"kind": "enum", "class": each.__name__, "members": members}
    config = each.__struct_config__  # type: ignore[attr-defined]
    options = {
        "tag": config.tag,
        "tag_field": config.tag_field,
        "array_like": config.array_like,
        "omit_defaults": config.omit_defaults,
        "forbid_unknown_fields": config.forbid_unknown_fields,
    }
    fields = [_field(field) for field in msgspec.structs.fields(each)]
    return name, {"kind": "struct", "class": each.__name__, "options": options, "fields": fields}


def _field(field: msgspec.structs.FieldInfo) -> Description:
    described = {"name": field.encode_name, "type": _spelled(field.type)}
    if field.default is not msgspec.NODEFAULT:
        described["default"] = plain(field.default)
    elif field.default_factory is not msgspec.NODEFAULT:
        described["default"] = plain(field.default_factory())
    return described


def _name(each: type) -> str:
    tag = each.__struct_config__.tag if issubclass(each, msgspec.Struct) else None
    return f"event-{tag:03d}" if isinstance(tag, int) else each.__name__


def _named(kind: Any) -> list[type]:
    """Structs and enums that a type names."""
    if get_origin(kind) is not None:
        return [found for each in get_args(kind) for found in _named(each)]
    named = isinstance(kind, type) and issubclass(kind, msgspec.Struct | Enum)
    return [kind] if named else []


def _spelled(kind: Any) -> str:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return " | ".join(_spelled(each) for each in arguments)
    if origin is not None:
        inner = ", ".join(_spelled(each) for each in arguments)
        return f"{origin.__name__}[{inner}]"
    if kind is Ellipsis:
        return "..."
    return "None" if kind is NoneType else str(kind.__name__)
