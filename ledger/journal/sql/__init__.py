"""SQL in files, named blocks: `-- name: block` opens one, the lines below it are its text.

Statements stand in one file a store; each block says its purpose in one comment line.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import Final

_NAME: Final = re.compile(r"^-- name: ([a-z_]+)$", re.MULTILINE)


@cache
def load(file: str) -> dict[str, str]:
    """The blocks of `{file}.sql` in this package by name. A name stands once."""
    return blocks_of(__name__, file)


def blocks_of(package: str, file: str) -> dict[str, str]:
    """The same of a file in any package."""
    text = resources.files(package).joinpath(f"{file}.sql").read_text("utf-8")
    parts = _NAME.split(text)
    blocks = {name: body.strip() for name, body in zip(parts[1::2], parts[2::2], strict=True)}
    assert len(blocks) == len(parts) // 2, f"{file}.sql names a block twice"
    return blocks
