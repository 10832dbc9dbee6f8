"""What a package says of itself, `Read in this order`, names every module that is in it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.docs.examples import ROOT

PACKAGES = sorted(
    path.parent
    for top in ("ledger", "rating")
    for path in (ROOT / top).rglob("__init__.py")
    if "n this order:" in path.read_text()
)
COMMANDS = ROOT / "ledger" / "cli"  # one file a command, as it says
NO_MODULES_OF_OURS = {"v1", "sql"}  # generated; statements


def said_by(package: Path) -> str:
    said = ast.get_docstring(ast.parse((package / "__init__.py").read_text()))
    assert said is not None
    return said


def modules_of(package: Path) -> set[str]:
    files = {path.stem for path in package.glob("*.py")} - {"__init__", "__main__"}
    folders = {path.parent.name for path in package.glob("*/__init__.py")}
    return (files | folders) - NO_MODULES_OF_OURS


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_the_reading_order_names_every_module(package: Path) -> None:
    said = set(re.findall(r"\w+", said_by(package)))
    there = modules_of(package)
    if package == COMMANDS:
        there &= {"app", "output", "remote", "database"}
    assert there, package
    assert not there - said


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_what_the_reading_order_begins_a_line_with_is_there(package: Path) -> None:
    lines = re.findall(r"^    ([a-z_]+(?:, [a-z_]+)*,?)(?: {2,}|$)", said_by(package), re.MULTILINE)
    named = {name for line in lines for name in line.split(", ")}
    assert named, package
    assert not {name.rstrip(",") for name in named} - modules_of(package)
