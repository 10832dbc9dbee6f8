"""What runs under the simulator uses no time, chance, thread or order of its own.

Read from the syntax tree, so that it costs nothing and misses no import.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import ledger
import rating
from tests.sources import tree_of

LEDGER = Path(ledger.__path__[0])
SIMULATED = [
    *sorted((LEDGER / "core").rglob("*.py")),
    *sorted((LEDGER / "engine").rglob("*.py")),
    *[
        LEDGER / "projections" / f"{name}.py"
        for name in ("changes", "described", "facts", "lag", "shard", "tables")
    ],
    *sorted((LEDGER / "projections" / "fold").rglob("*.py")),
    *[
        LEDGER / "client" / f"{name}.py"
        for name in ("core", "events", "limits", "parcels", "retry", "routing", "sender")
    ],
    *sorted(Path(rating.__path__[0]).glob("*.py")),
]
MODULES = frozenset({"time", "random", "uuid", "threading", "multiprocessing", "concurrent"})
SECRETS = frozenset({"secrets", "subprocess", "socket", "datetime"})
CALLS = frozenset({"hash", "id"})
ATTRIBUTES = frozenset({"urandom", "run_in_executor", "to_thread", "call_soon_threadsafe"})
MADE_OF_SETS = frozenset({"set", "frozenset"})
ORDERLESS = frozenset({"list", "tuple", "iter", "enumerate", "zip", "map", "next"})
ALLOWED = {
    ("projections/described.py", "uuid"),  # the class, made of bytes that are given
    ("core/periods.py", "datetime"),  # arithmetic of the calendar; it asks no clock
    ("core/windows.py", "datetime"),  # the same
    ("rating/hours.py", "datetime"),  # the same
    ("rating/zones.py", "datetime"),  # the same
    ("rating/llm_prices.py", "datetime"),  # reads a price list's date; not on any path of a shard
}


def faults(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        match node:
            case ast.Import(names=names):
                for name in names:
                    if name.name.split(".")[0] in MODULES | SECRETS:
                        yield line, name.name
            case ast.ImportFrom(module=str(module)):
                if module.split(".")[0] in MODULES | SECRETS:
                    yield line, module
            case ast.Call(func=ast.Name(id=called), args=arguments):
                if called in CALLS:
                    yield line, f"{called}()"
                if called in ORDERLESS and any(map(is_set, arguments)):
                    yield line, "iteration over a set"
            case ast.Attribute(attr=attribute) if attribute in ATTRIBUTES:
                yield line, attribute
            case ast.For(iter=looped) | ast.comprehension(iter=looped) if is_set(looped):
                yield getattr(looped, "lineno", 0), "iteration over a set"


def is_set(node: ast.AST) -> bool:
    match node:
        case ast.Set() | ast.SetComp():
            return True
        case ast.Call(func=ast.Name(id=name)):
            return name in MADE_OF_SETS
        case ast.BinOp(left=left, right=right, op=ast.BitOr() | ast.BitAnd() | ast.Sub()):
            return is_set(left) or is_set(right)
    return False


@pytest.mark.parametrize("path", SIMULATED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_simulated_module_brings_no_chance_of_its_own(path: Path) -> None:
    place = f"{path.parent.name}/{path.name}"
    found = [(line, what) for line, what in faults(tree_of(path)) if (place, what) not in ALLOWED]
    assert found == [], "hand it in, or keep an order"


@pytest.mark.parametrize(
    "text",
    [
        "import time",
        "from random import randrange",
        "import concurrent.futures",
        "os.urandom(8)",
        "hash(key)",
        "for each in {1, 2}: pass",
        "[each for each in set(found)]",
        "list(set(found) | known)",
        "loop.run_in_executor(None, work)",
    ],
)
def test_the_lint_sees(text: str) -> None:
    assert list(faults(ast.parse(text)))
