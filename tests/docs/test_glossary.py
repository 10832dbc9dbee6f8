"""docs/glossary.md is true: what it names exists, and nothing of the product is without a term."""

from __future__ import annotations

import importlib
import pkgutil
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from google.protobuf.descriptor import FileDescriptor

import ledger.v1
import rating.v1
from ledger.core.events import BookKind, Event
from tests.projections.projecting import looking

GLOSSARY = Path(__file__).parents[2] / "docs" / "glossary.md"
PROTOS: list[FileDescriptor] = [
    importlib.import_module(f"{package.__name__}.{each.name}").DESCRIPTOR
    for package in (ledger.v1, rating.v1)
    for each in pkgutil.iter_modules(package.__path__)
    if each.name.endswith("_pb2")
]
EVENTS = {each.__name__ for each in Event.__args__}


@dataclass(frozen=True)
class Term:
    name: str
    says: str
    page: str
    named: dict[str, list[str]]  # kind of place -> what it is called there


def read() -> list[Term]:
    terms = []
    for section in re.split(r"^## ", GLOSSARY.read_text(), flags=re.MULTILINE)[1:]:
        name, says, where = (part.strip() for part in section.split("\n\n", 2))
        lines = re.sub(r"\n  ", " ", where).splitlines()
        page, *places = [line.removeprefix("- ") for line in lines]
        named = {}
        for place in places:
            kind, _, names = place.partition(": ")
            named[kind] = re.findall(r"`([^`]+)`", names)
        terms.append(Term(name, says, page, named))
    return terms


TERMS = read()


def all_named(kind: str) -> set[str]:
    return {name for term in TERMS for name in term.named.get(kind, ())}


def test_terms_are_sorted_and_said_once() -> None:
    names = [term.name for term in TERMS]
    assert names == sorted(set(names))


@pytest.mark.parametrize("term", TERMS, ids=lambda term: term.name)
def test_a_term_is_said_in_a_few_sentences_and_explained_on_a_page(term: Term) -> None:
    assert 40 <= len(term.says) <= 320 and term.says.endswith(".")
    assert re.fullmatch(
        r"explained in \[[^]]+\]\([\w\-.#]+\)(; rules? [A-Z]\d(, [A-Z]\d)*)?", term.page
    ), term.page
    assert set(term.named) <= {"proto", "SQL", "events", "book", "code"}


def services() -> set[str]:
    return {name for file in PROTOS for name in file.services_by_name}


def test_every_message_enum_and_service_that_is_named_exists_and_every_service_is_named() -> None:
    known = services()
    for file in PROTOS:
        known |= {*file.message_types_by_name, *file.enum_types_by_name}
    assert all_named("proto") <= known
    assert services() <= all_named("proto")


def test_every_event_has_exactly_one_term() -> None:
    named = [name for term in TERMS for name in term.named.get("events", ())]
    assert sorted(named) == sorted(EVENTS)


def test_every_book_has_a_term_of_its_name() -> None:
    named = [name for term in TERMS for name in term.named.get("book", ())]
    assert sorted(named) == sorted(kind.name.lower() for kind in BookKind)


async def test_every_table_that_is_named_exists_and_every_read_model_is_named(
    module_database: str,
) -> None:
    async with looking(module_database) as connection:
        rows = await connection.fetch(
            "SELECT table_schema || '.' || table_name AS name FROM information_schema.tables"
            " WHERE table_schema IN ('ledger', 'projection')"
        )
    known = {row["name"] for row in rows}
    assert all_named("SQL") <= known
    assert {name for name in known if name.startswith("projection.")} <= all_named("SQL")


def resolve(path: str) -> Any:
    """A module, or what a module names."""
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError:
        module, _, name = path.rpartition(".")
        return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("path", sorted(all_named("code")))
def test_every_place_in_the_code_exists(path: str) -> None:
    assert resolve(path) is not None


def test_every_record_that_events_hold_is_a_term_of_the_same_name() -> None:
    """Slices, segments, rollovers ...: a structure within an event is a word of the field."""
    words = {term.name.title().replace("-", "").replace(" ", "") for term in TERMS}
    named = words | {path.rpartition(".")[2] for path in all_named("code")} | all_named("proto")
    held = {
        kind.__name__
        for name, kind in vars(importlib.import_module("ledger.core.events")).items()
        if isinstance(kind, type)
        and issubclass(kind, msgspec.Struct)
        and not name.startswith("_")
        and name not in EVENTS
    }
    assert held <= named
