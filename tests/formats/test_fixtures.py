"""What was written once is read for ever: every fixture, by the code of today."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from ledger.client.positions import Positions
from ledger.client.routing import family_shard
from ledger.core.events import Event
from ledger.core.upcast import UPCASTS
from ledger.journal.codec import BatchCodec
from rating.card import content_hash
from tests.formats.formats import FIXTURES, check, encoded, filled, plain, write_missing
from tests.formats.registered import EVENTS, FORMATS

FORMS = {form.file: form for form in FORMATS}
JOURNAL = {"journal.v1.json", "journal.v1.msgpack"}  # see test_journal


def fixture(file: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FIXTURES / file).read_text())["cases"]
    return found


@pytest.mark.parametrize("file", sorted(path.name for path in FIXTURES.glob("*.v*.json")))
def test_what_was_written_once_is_read_for_ever(file: str) -> None:
    if file in JOURNAL:
        return
    assert file in FORMS, f"{file}: nothing reads this format any more"
    for name, recorded in fixture(file).items():
        assert check(FORMS[file], recorded) == [], f"{file}, {name}"


def test_every_format_has_its_fixture() -> None:
    """Run `python -m tests.formats.generate` and commit what it adds."""
    missing = [
        f"{form.file}: {name}"
        for form in FORMATS
        for name in form.cases
        if not (FIXTURES / form.file).exists() or name not in fixture(form.file)
    ]
    assert missing == []
    assert {path.name for path in FIXTURES.iterdir()} == set(FORMS) | JOURNAL


@pytest.mark.parametrize("event_class", EVENTS, ids=lambda each: each.__name__)
def test_a_full_event_leaves_nothing_at_its_default(event_class: Any) -> None:
    recorded = fixture(f"event-{event_class.__struct_config__.tag:03d}.v1.json")
    full, minimal = recorded["full"]["value"], recorded["minimal"]["value"]
    for field in msgspec.structs.fields(event_class):
        if not field.required:
            assert full[field.name] != plain(field.default), field.name
            assert minimal[field.name] == plain(field.default), field.name
    assert len(filled(event_class).__struct_fields__) == len(full)


def test_every_recorded_event_comes_out_of_the_journal_as_a_current_one() -> None:
    """Retired classes too: each upcaster is run on all that was recorded of its class."""
    codec: BatchCodec[Event] = BatchCodec(Event, UPCASTS)
    as_written: BatchCodec[Any] = BatchCodec(Event)
    for event_class in EVENTS:
        for recorded in fixture(f"event-{event_class.__struct_config__.tag:03d}.v1.json").values():
            event = msgspec.msgpack.decode(encoded(recorded["encoded"]), type=event_class)
            (told,) = codec.decode(as_written.encode([event]))
            assert type(told) in get_args(Event)


def test_the_client_reads_what_the_server_hands_out() -> None:
    """Two codes of one format: positions, and where a family lives."""
    for recorded in fixture("position.v1.json").values():
        positions = Positions()
        positions.observe(recorded["encoded"])
        positions._text = None  # say it anew, from its parts
        assert str(positions) == recorded["encoded"]
    for recorded in fixture("placement.v1.json").values():
        assert family_shard(*recorded["value"]) == recorded["encoded"]
    for recorded in fixture("content-hash.v1.json").values():
        assert content_hash(encoded(recorded["value"])) == encoded(recorded["encoded"])


def test_the_generator_adds_what_is_missing_and_changes_nothing(tmp_path: Path) -> None:
    copy = tmp_path / "fixtures"
    shutil.copytree(FIXTURES, copy)
    (copy / "position.v1.json").unlink()
    changed = (copy / "locator.v1.json").read_text().replace('"first"', '"second"')
    (copy / "locator.v1.json").write_text(changed)
    before = {path.name: path.read_bytes() for path in copy.iterdir()}
    formats = tuple(form for form in FORMATS if form.name in ("position", "locator"))
    added = write_missing(formats, copy)
    assert sorted(added) == [
        "locator.v1.json: first",
        "position.v1.json: one shard",
        "position.v1.json: several",
    ]
    kept = json.loads((copy / "locator.v1.json").read_text())["cases"]
    assert kept["second"] == json.loads(changed)["cases"]["second"]
    same = {name: (copy / name).read_bytes() == found for name, found in before.items()}
    assert [name for name, is_same in same.items() if not is_same] == ["locator.v1.json"]
    assert (copy / "position.v1.json").read_bytes() == (FIXTURES / "position.v1.json").read_bytes()
    assert write_missing(formats, copy) == []
