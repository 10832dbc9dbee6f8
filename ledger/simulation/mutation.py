"""One deliberate fault in a copy of a module, in a process of its own.

`install` is an import hook, set before anything of the product is imported. `swap` exchanges the
code of one function that has been imported, in a fork that is thrown away: most faults allow that,
and it saves the imports. A fault whose text does not stand exactly once in the function that it
names fails loudly: a mutant that no longer applies proves nothing.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Final

PLAIN_DECORATORS: Final = frozenset({"property", "staticmethod", "classmethod"})
"""Behind these stands the function itself."""


@dataclass(frozen=True)
class Mutant:
    """`before` becomes `after` in one function ("Class.method" or "function") of a module."""

    name: str
    module: str
    function: str
    before: str
    after: str
    promise: str
    """What the product would break."""


class MutantStale(Exception):
    """The code has moved on: adapt the mutant's text."""


def mutated(mutant: Mutant, source: str) -> str:
    """The module's source with the fault. Raises MutantStale."""
    node, body = _faulty(mutant, source)
    lines = source.splitlines(keepends=True)
    return "".join(lines[: node.lineno - 1]) + body + "".join(lines[node.end_lineno :])


def _faulty(mutant: Mutant, source: str) -> tuple[ast.stmt, str]:
    """The function as it stands in the source, and its text with the fault."""
    node = _find(_parsed(source), mutant.function.split("."))
    if node is None:
        raise MutantStale(f"{mutant.name}: {mutant.module} has no {mutant.function}")
    body = "".join(source.splitlines(keepends=True)[node.lineno - 1 : node.end_lineno])
    if body.count(mutant.before) != 1:
        raise MutantStale(
            f"{mutant.name}: {mutant.before!r} stands {body.count(mutant.before)} times in "
            f"{mutant.module}.{mutant.function}, not once"
        )
    return node, body.replace(mutant.before, mutant.after)


@cache
def _parsed(source: str) -> ast.Module:
    return ast.parse(source)


def install(mutant: Mutant) -> None:
    """From now on the module is imported with the fault."""
    if mutant.module in sys.modules:
        raise MutantStale(f"{mutant.name}: {mutant.module} has been imported already")
    sys.meta_path.insert(0, _Finder(mutant))


def swappable(mutant: Mutant) -> bool:
    """Whether the fault lies in the code of one function alone, not in its signature or class."""
    before, body = _faulty(mutant, source_of(mutant.module).read_text())
    [after] = ast.parse(textwrap.dedent(body)).body
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    if not isinstance(before, kinds) or not isinstance(after, kinds):
        return False
    decorators = {ast.unparse(each) for each in before.decorator_list}
    return ast.dump(before.args) == ast.dump(after.args) and decorators <= PLAIN_DECORATORS


def swap(mutant: Mutant) -> None:
    """From now on the function runs with the fault, wherever it is known. For what is `swappable`,
    of a module that is Python source."""
    target: Any = importlib.import_module(mutant.module)
    file = source_of(mutant.module)
    code = compile(mutated(mutant, file.read_text()), str(file), "exec", dont_inherit=True)
    for name in mutant.function.split("."):
        [code] = [
            each for each in code.co_consts if isinstance(each, CodeType) and each.co_name == name
        ]
        target = vars(target)[name]
    if isinstance(target, property):
        target = target.fget
    getattr(target, "__func__", target).__code__ = code


def source_of(module: str) -> Path:
    """Where a module's Python source is, compiled or not."""
    parent, _, name = module.rpartition(".")
    spec = importlib.util.find_spec(parent)
    assert spec is not None and spec.submodule_search_locations
    return Path(next(iter(spec.submodule_search_locations))) / f"{name}.py"


def _find(node: ast.AST, names: list[str]) -> ast.stmt | None:
    for child in ast.iter_child_nodes(node):
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        if isinstance(child, kinds) and child.name == names[0]:
            return child if len(names) == 1 else _find(child, names[1:])
    return None


class _Finder(MetaPathFinder):
    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._mutant.module:
            return None
        found = PathFinder.find_spec(fullname, path)
        if found is None or path is None:
            return None
        file = Path(next(iter(path))) / f"{fullname.rpartition('.')[2]}.py"
        return importlib.util.spec_from_file_location(
            fullname, file, loader=_Loader(self._mutant, file)
        )


class _Loader(Loader):
    def __init__(self, mutant: Mutant, file: Path) -> None:
        self._mutant = mutant
        self._file = file

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        source = mutated(self._mutant, self._file.read_text())
        exec(compile(source, str(self._file), "exec"), module.__dict__)
