"""SQL of the read models in a file, named blocks: `-- name: block` opens one.

Names are unqualified: the connection's search_path says which copy of the read models is meant.
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
    text = resources.files(__name__).joinpath(f"{file}.sql").read_text("utf-8")
    parts = _NAME.split(text)
    blocks = {name: body.strip() for name, body in zip(parts[1::2], parts[2::2], strict=True)}
    assert len(blocks) == len(parts) // 2, f"{file}.sql names a block twice"
    return blocks
