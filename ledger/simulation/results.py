"""Figures of reliability that several tools write into one file, at the same time.

Owns the file's shape: figures by name; below `by_tool` what each tool found itself. What several
tools count (SUMMED) stands at the top as the sum over them. The file is replaced whole under a
lock. Must not know how a figure came about.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any, Final

SUMMED: Final = frozenset({"lost", "double_counted"})
BY_TOOL: Final = "by_tool"


def record_results(path: Path, tool: str, figures: dict[str, int | str]) -> dict[str, Any]:
    """Put a tool's figures in the place of its last ones; returns all that the file holds then."""
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)  # the lock of the folder: no file is left behind
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        document: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        tools = document.setdefault(BY_TOOL, {})
        tools.setdefault(tool, {}).update(figures)
        document |= {name: figure for name, figure in figures.items() if name not in SUMMED}
        for name in SUMMED:
            found = [each[name] for each in tools.values() if name in each]
            if found:
                document[name] = sum(found)
        made = path.with_suffix(".new")
        with made.open("w") as file:
            json.dump(document, file, indent=2, sort_keys=True)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        made.replace(path)
    finally:
        os.close(folder)
    return document
