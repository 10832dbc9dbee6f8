"""Sources of the project, read by tests that hold them to rules of their own."""

from __future__ import annotations

import ast
import gc
from pathlib import Path


def tree_of(path: Path) -> ast.Module:
    """The syntax tree of a source, made while nothing is collected.

    A finalizer that parses, too (the traceback that it logs does), makes CPython 3.11 fail the tree
    that is under way with a SystemError.
    """
    gc.disable()
    try:
        return ast.parse(path.read_text())
    finally:
        gc.enable()
