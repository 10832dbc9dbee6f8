"""A released class is never edited: each way to do so is noticed, and says what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ledger.core import events as e
from rating.card import PriceRow
from tests.formats.formats import FIXTURES, MANIFEST, Format, check
from tests.formats.generate import write_missing_entries
from tests.formats.manifest import describe, differences
from tests.formats.registered import EVENTS, ROOTS

RELEASED = json.loads(MANIFEST.read_text())
Fields = list[tuple[Any, ...]]


def test_nothing_that_was_released_was_edited() -> None:
    """If this fails: leave the class as it was; write one with a new tag (ledger.core.upcast)."""
    assert differences(RELEASED, describe(ROOTS)) == []


def test_everything_is_in_the_manifest() -> None:
    """Run `python -m tests.formats.generate` and commit what it adds."""
    for name, now in describe(ROOTS).items():
        assert name in RELEASED, name
        for part in ("members", "fields"):
            assert len(now.get(part, ())) == len(RELEASED[name].get(part, ())), name


def _fields(event_class: Any) -> Fields:
    return [
        (field.name, field.type) if field.required else (field.name, field.type, field.default)
        for field in msgspec.structs.fields(event_class)
    ]


def _edited(event_class: Any, fields: Fields, tag: int | None = None) -> Any:
    config = event_class.__struct_config__
    return msgspec.defstruct(
        event_class.__name__,
        fields,
        frozen=True,
        array_like=True,
        gc=False,
        tag=config.tag if tag is None else tag,
    )


def _renamed(event_class: Any) -> Any:
    (_, *rest), *others = _fields(event_class)
    return _edited(event_class, [("renamed", *rest), *others])


def _reordered(event_class: Any) -> Any:
    first, second, *others = _fields(event_class)
    return _edited(event_class, [second, first, *others])


def _retyped(event_class: Any) -> Any:
    (name, kind, *rest), *others = _fields(event_class)
    return _edited(event_class, [(name, str if kind is int else int, *rest), *others])


def _retagged(event_class: Any) -> Any:
    return _edited(event_class, _fields(event_class), tag=200)


def _shortened(event_class: Any) -> Any:
    return _edited(event_class, _fields(event_class)[:-1])


def _lengthened(event_class: Any) -> Any:
    return _edited(event_class, [*_fields(event_class), ("added", int, 0)])


def _made_optional(event_class: Any) -> Any:
    *others, last = _fields(event_class)
    name, kind, *default = last
    other: Any = {int: 77, bytes: b"77", str: "77"}.get(kind)
    if default == [None]:
        other = 77
    assert [other] != default
    return _edited(event_class, [*others, (name, kind, other)])


EDITS: list[Callable[[Any], Any]] = [
    _renamed,
    _reordered,
    _retyped,
    _retagged,
    _shortened,
    _lengthened,
    _made_optional,
]


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__)
def test_every_edit_of_every_event_is_noticed(edit: Callable[[Any], Any]) -> None:
    """Renamed, reordered, retyped, retagged, shortened, lengthened, another default."""
    now = describe(ROOTS)
    for event_class in EVENTS:
        if edit is _reordered and len(_fields(event_class)) == 1:
            continue  # nothing to reorder
        name = f"event-{event_class.__struct_config__.tag:03d}"
        others = {each: said for each, said in now.items() if each != name}
        found = differences(RELEASED, others | describe([edit(event_class)]))
        assert [each for each in found if each.startswith(name)], event_class


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__)
def test_the_fixtures_notice_by_themselves_what_changes_bytes_or_values(
    edit: Callable[[Any], Any],
) -> None:
    """Without the manifest: an edited class does not read and write what was recorded."""
    edited = edit(e.UsageRecorded)
    form = Format("edited", {}, msgspec.msgpack.encode, msgspec.msgpack.Decoder(edited).decode)
    cases = json.loads((FIXTURES / "event-031.v1.json").read_text())["cases"]
    found: list[str] = []
    for recorded in cases.values():
        try:
            found += check(form, recorded)
        except msgspec.ValidationError as error:
            found.append(str(error))
    if edit is not _made_optional:  # a default shows only where a field is left out
        assert found


def test_an_enum_may_gain_a_member_and_never_lose_or_renumber_one() -> None:
    def found(*members: tuple[str, int]) -> list[str]:
        changed: type[Enum] = IntEnum("Excess", list(members))  # type: ignore[misc]
        return differences({"Excess": RELEASED["Excess"]}, describe([changed]))

    assert found(("OWE", 1), ("BILL", 2), ("ABSORB", 3), ("FORGIVE", 4)) == []
    assert found(("OWE", 1), ("BILL", 2)) == ["Excess: member ABSORB was 3 and is None"]
    assert len(found(("OWE", 2), ("BILL", 1), ("ABSORB", 3))) == 2


def test_what_is_stored_by_name_may_gain_fields_with_defaults() -> None:
    """Rate cards leave defaults out and refuse what they do not know: nothing is lost unseen."""

    def found(*added: tuple[Any, ...], drop: str = "") -> list[str]:
        fields = [field for field in _with_factories(PriceRow) if field[0] != drop]
        needed = [field for field in added if len(field) == 2]
        made = msgspec.defstruct(
            "PriceRow",
            [*needed, *fields, *[field for field in added if len(field) > 2]],
            omit_defaults=True,
            forbid_unknown_fields=True,
        )
        return differences({"PriceRow": RELEASED["PriceRow"]}, describe([made]))

    assert found() == []
    assert found(("minimum", str, "")) == []
    assert found(("minimum", str)) == ["PriceRow: old ones have no minimum: give it a default"]
    assert len(found(drop="priority")) == 1


def _with_factories(struct: Any) -> Fields:
    return [
        (field.name, field.type)
        if field.required
        else (field.name, field.type, msgspec.field(default_factory=dict))
        if field.default is msgspec.NODEFAULT
        else (field.name, field.type, field.default)
        for field in msgspec.structs.fields(struct)
    ]


def test_the_generator_adds_to_the_manifest_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    edited = json.loads(MANIFEST.read_text())
    del edited["event-050"], edited["Excess"]["members"]["ABSORB"]
    edited["event-043"]["fields"].pop()
    edited["PriceRow"]["fields"].pop()
    path.write_text(json.dumps(edited))
    added = write_missing_entries(path)
    assert sorted(added) == [
        "manifest.json: Excess.ABSORB",
        "manifest.json: PriceRow.hours",
        "manifest.json: event-050",
    ]
    now = json.loads(path.read_text())
    assert now["event-043"] == edited["event-043"], "what differs is for a person to look at"
    assert {**now, "event-043": RELEASED["event-043"]} == RELEASED
