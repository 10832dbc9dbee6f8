"""docs/errors.md is what the code answers: every reason that is said has a row, no row is dead."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from ledger.gateway.away import AWAY
from ledger.gateway.replies import PAYABLE
from ledger.reasons import AREAS, REASONS
from ledger.reasons.form import Over
from tests.docs.reasons_page import PAGE, page

ROOT = Path(__file__).parents[2]
SOURCES = [
    path
    for top in ("ledger", "rating")
    for path in sorted((ROOT / top).rglob("*.py"))
    if not path.name.endswith(("_pb2.py", "_pb2_grpc.py"))
    and not path.is_relative_to(ROOT / "ledger" / "reasons")
    and not path.is_relative_to(ROOT / "ledger" / "simulation")
]
REASON = re.compile(r"(?=.{4})[A-Z]+(_[A-Z0-9]+)*")
ENUMS = re.compile(r"\w*Reason|Unproven|Denied|Undecided|QuoteUnused")
"""Classes whose members are reasons."""

SAYS = re.compile(
    r"_?(denied|error|not_now|refuse|fault)|deny|\w*(Failed|Fault|Error|InvalidEvent)"
)
SAYS_TOO = {"Unreadable", "Settled", "Failure"}
"""What is called with a reason: it refuses, or says what is wrong."""

HERE = ("client", "gateway")  # parts that also return reasons by themselves
CODES = {code.name for code in grpc.StatusCode}
NO_REASONS = {*CODES, "NONE"} - {"INTERNAL"}


def constants(node: ast.AST) -> Iterator[str]:
    """What a node says by itself, or by one of several."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp():
            yield from constants(node.body)
            yield from constants(node.orelse)


def said(path: Path) -> Iterator[tuple[str, str]]:
    """(reason, place) of all that a module answers with."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        match node:
            case ast.Attribute(value=ast.Name(id=name), attr=attr) if ENUMS.fullmatch(name):
                found = [attr]
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if (
                SAYS.fullmatch(name) or name in SAYS_TOO
            ):
                words = [*node.args, *[each.value for each in node.keywords]]
                found = [text for each in words for text in constants(each)]
            case ast.Return(value=ast.AST() as value) if path.parent.name in HERE:
                found = [text for text in constants(value) if "_" in text]
            case ast.Assign(targets=[ast.Name(id="reason")], value=value):
                found = list(constants(value))
            case _:
                continue
        for text in found:
            if REASON.fullmatch(text) and text not in NO_REASONS:
                yield text, f"{path.relative_to(ROOT)}:{node.lineno}"


@functools.cache
def all_said() -> list[tuple[str, str]]:
    """Of all modules; it takes a while."""
    return [(reason, place) for path in SOURCES for reason, place in said(path)]


def test_the_page_is_what_the_rows_say() -> None:
    """Run `python -m tests.docs.reasons_page` and commit what it writes."""
    assert PAGE.read_text("utf-8") == page()


def test_every_reason_that_is_said_anywhere_has_a_row() -> None:
    assert len(all_said()) > 500
    assert [(reason, place) for reason, place in all_said() if reason not in REASONS] == []


def test_every_row_is_of_a_reason_that_something_says() -> None:
    assert sorted(REASONS.keys() - {reason for reason, _ in all_said()}) == []


@pytest.mark.parametrize("row", REASONS.values(), ids=lambda row: row.reason)
def test_a_row_says_in_sentences_what_happened_and_what_to_do(row) -> None:
    for text in (row.happened, row.advice):
        assert 8 <= len(text) <= 200
        assert text[0].isupper() or text[0] == "`"
        assert text.endswith(".")
        assert "|" not in text
    assert row.happened != row.advice
    assert row.kind.code in CODES | {""}
    assert not (row.kind.http and row.kind.code)


def test_an_area_is_said_in_sentences() -> None:
    assert len({area.title for area in AREAS}) == len(AREAS)
    assert all(area.about.endswith(".") for area in AREAS)


def test_what_gateways_go_by_is_shown_with_a_status_of_theirs() -> None:
    questions = {name for name, row in REASONS.items() if Over.QUESTION in row.over}
    assert not PAYABLE - questions
    assert not AWAY - questions
