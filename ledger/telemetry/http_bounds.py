"""How long connections of the side port may take, and how many there are. Imports no server."""

from __future__ import annotations

from typing import NamedTuple


class Bounds(NamedTuple):
    """Seconds, from when a part begins to when it is whole; and connections at once."""

    head_s: float = 10
    body_s: float = 30
    answer_s: float = 30
    """From a whole request until its answer has left, read by whoever asked."""

    idle_s: float = 60
    connections: int = 1_000
