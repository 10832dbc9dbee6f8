"""Which of the project's files the wheel of the client is made of.

The sources stand where the server's do, one folder up; the sources' archive brings them along. The
two wheels share the package `ledger` and no file: the server's leaves out PARTS and asks for this
one (see hatch_build.py there).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PARTS = ("ledger/__init__.py", "ledger/py.typed", "ledger/client", "ledger/v1", "rating")
NOT = ("rating/data",)  # the public price map, which the server brings
COMPILED = (".so", ".pyc", ".pyd")


class ClientFiles(BuildHookInterface[Any]):
    """Puts PARTS into what is built."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before each build. Raises ValueError where the sources are to be edited."""
        if version == "editable":
            raise ValueError(
                "the client cannot be installed for editing on its own: install the project that "
                "it is part of, with `pip install -e .` one folder up"
            )
        here = Path(self.root)
        sources = here if (here / "ledger").is_dir() else here.parent
        for part in PARTS:
            for path in files_of(sources / part):
                name = path.relative_to(sources).as_posix()
                if not name.startswith(NOT):
                    build_data["force_include"][str(path)] = name


def files_of(path: Path) -> Iterator[Path]:
    """The files at or beneath a path, without what Python or a compiler has made of them."""
    if path.is_dir():
        for inner in sorted(path.iterdir()):
            if inner.name != "__pycache__":
                yield from files_of(inner)
    elif path.suffix not in COMPILED:
        yield path
