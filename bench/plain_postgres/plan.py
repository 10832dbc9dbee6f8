"""What the driver of the usual alternative is told."""

from __future__ import annotations

from msgspec import Struct


class PostgresPlan(Struct, frozen=True, kw_only=True):
    """Which PostgreSQL, which sizes, which ids, for how long."""

    dsn: str
    sizes: str
    now_us: int
    hot: bool
    tag: str
    connections: int
    warmup_ms: int
    duration_ms: int
