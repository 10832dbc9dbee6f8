"""Two servers of one ledger, and accounts that either owns."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from ledger.client.routing import family_shard
from ledger.engine.ledger import Storage
from tests.api.cluster import cluster
from tests.api.served import (
    TENANT,
    Served,
)


@dataclass
class Pair:
    """Two servers; `name(side)` is a fresh account id whose family that side owns."""

    sides: list[Served]
    counted: list[tuple[str, str]] = field(default_factory=list)

    def name(self, side: int, stem: str = "team") -> str:
        owned = self.sides[side].ledger.owned
        number = next(
            n
            for n in range(10_000)
            if family_shard(TENANT, f"{stem}-{n}", 4) in owned and f"{stem}-{n}" not in self._given
        )
        self._given.add(f"{stem}-{number}")
        return f"{stem}-{number}"

    _given: set[str] = field(default_factory=set)


@asynccontextmanager
async def paired(storages: list[Storage]) -> AsyncIterator[Pair]:
    """Two that share these storages, with prices."""
    made = Pair([])
    async with cluster(storages, count_forward=lambda *each: made.counted.append(each)) as sides:
        made.sides = sides
        await sides[0].priced()
        yield made
