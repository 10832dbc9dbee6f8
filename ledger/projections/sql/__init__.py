"""SQL of the read models in files of named blocks, as `ledger.journal.sql` reads them.

What writes them names no schema: the connection's search_path says which copy of them is meant.
"""

from __future__ import annotations

from functools import cache

from ledger.journal.sql import blocks_of


@cache
def load(file: str) -> dict[str, str]:
    """The blocks of `{file}.sql` in this package by name."""
    return blocks_of(__name__, file)
