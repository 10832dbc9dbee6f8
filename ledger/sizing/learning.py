"""Learns what work really uses: follows the read models of usage, shard after shard.

Sketches and how far they were learned go into one transaction, which holds a row of the work: of
two learners one has it, and a killed one leaves nothing half learned. What is new to learn begins
with the last HISTORY_ENTRIES of each shard. Owns the tables `sizing_progress` and
`sizing_sketches`; they may be emptied at any time, and are learned again.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

import asyncpg

from ledger.journal.configuration import ConfigurationKind
from ledger.journal.connection import (
    AWAY_ERRORS,
    CONNECT_ERRORS,
    Connection,
    connect,
    describe,
)
from ledger.journal.errors import JournalUnavailable
from ledger.projections.sql import load
from ledger.sizing.rules import SizingSet, decode_sizing, fortnight_of, values_of

if TYPE_CHECKING:
    from ledger.sizing.sketches import Sketch

HISTORY_ENTRIES: Final = 200_000  # of a shard, from which what is new to learn begins
STRETCH_ENTRIES: Final = 20_000  # a transaction; x ~2 us an observation and circle = 0.1 s
SKETCHES_MAX: Final = 10_000  # of a tenant and shard; x 10 kB = 100 MB; the idlest are dropped
MEMORY_MAX: Final = 2_000  # x ~50 kB = 100 MB
POLL_S: Final = 1.0
AWAY_S: Final = 2.0

logger = logging.getLogger(__name__)

_SQL: Final = load("sizing")


class Basis(NamedTuple):
    """Usage that is learned from together: of a product, told apart by attributes."""

    tenant: int
    product: str
    attributes: tuple[str, ...]


class Place(NamedTuple):
    """Where one sketch stands: of an account (0 = all) with these values (none = any), recorded in
    one fortnight. In the order of the columns."""

    tenant: int
    shard: int
    product: str
    attributes: tuple[str, ...]
    values: tuple[str, ...]
    account: int
    quantity: str
    fortnight: int


def circles(
    basis: Basis, values: tuple[str, ...], account: int
) -> list[tuple[tuple[str, ...], int]]:
    """(values, account) of the streams that usage belongs to, the narrowest first."""
    found: list[tuple[tuple[str, ...], int]] = [(values, account), (values, 0)]
    return [*found, ((), 0)] if basis.attributes else found


def bases(rules: Iterable[tuple[int, SizingSet]]) -> dict[Basis, frozenset[str]]:
    """What is to be learned, and of which quantities."""
    found: dict[Basis, frozenset[str]] = {}
    for tenant, sizing in rules:
        for rule in sizing.rules:
            basis = Basis(tenant, rule.product, rule.attributes)
            found[basis] = found.get(basis, frozenset()) | set(rule.quantities)
    return found


class Learner:
    """After any exception everything in memory is forgotten; `step` connects again."""

    def __init__(self, dsn: str, shards: int) -> None:
        self._dsn = dsn
        self._shards = shards
        self._connection: Connection | None = None
        self._memory: OrderedDict[Place, Sketch] = OrderedDict()
        self._reached: dict[tuple[int, Basis], int] = {}

    async def step(self) -> int:
        """Learn the next stretch of every basis and shard; returns how many observations, -1 =
        nothing is left to look at. Raises JournalUnavailable."""
        try:
            return await self._step()
        except (*CONNECT_ERRORS, *AWAY_ERRORS, asyncpg.UndefinedTableError) as error:
            # A rebuild puts other tables in the place of those that were there.
            self.close()
            raise JournalUnavailable(describe(error)) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go; what was not committed is gone."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()
        self._memory.clear()
        self._reached.clear()

    async def _step(self) -> int:
        if self._connection is None:
            self._connection = await connect(self._dsn, application_name="drawdown sizing")
        connection = self._connection
        rows = await connection.fetch(_SQL["rules"], int(ConfigurationKind.SIZING))
        wanted = bases([(row["tenant"], decode_sizing(row["body"])) for row in rows])
        found = -1
        if wanted:
            for row in await connection.fetch(_SQL["positions"]):
                if row["entries"] and row["shard"] < self._shards:
                    seen = await self._learn_shard(row["shard"], row["entries"], wanted)
                    if seen >= 0:
                        found = max(found, 0) + seen
        return found

    async def _learn_shard(
        self, shard: int, head: int, wanted: Mapping[Basis, frozenset[str]]
    ) -> int:
        connection = self._connection
        assert connection is not None
        rows = await connection.fetch(_SQL["begun"], shard)
        begun = {Basis(row[0], row[1], tuple(row[2])) for row in rows}
        for basis in wanted.keys() - begun:  # it is new, or the read models are
            start = max(head - HISTORY_ENTRIES, 0)
            place = (basis.tenant, shard, basis.product, list(basis.attributes))
            await connection.execute(_SQL["begin"], *place, start)
            if self._reached.pop((shard, basis), None) is not None:
                self._memory.clear()
        seen, looked = 0, False
        async with connection.transaction():
            for row in await connection.fetch(_SQL["lock"], shard, head):
                basis = Basis(row["tenant"], row["product"], tuple(row["attributes"]))
                if basis in wanted:
                    looked = True
                    end = min(row["entries"] + STRETCH_ENTRIES, head)
                    seen += await self._learn(shard, basis, wanted[basis], row["entries"], end)
        return seen if looked else -1

    async def _learn(
        self, shard: int, basis: Basis, quantities: frozenset[str], start: int, end: int
    ) -> int:
        connection = self._connection
        assert connection is not None
        if self._reached.get((shard, basis), start) != start:  # another learner had it meanwhile
            self._memory.clear()
        touched: dict[Place, int] = {}
        seen, newest = 0, 0
        for row in await connection.fetch(
            _SQL["usage"], basis.tenant, shard, start, end, basis.product
        ):
            used = dict(zip(row["quantity_names"], row["quantities"], strict=True))
            if row["parts"] is not None:
                used = await self._parts(basis.tenant, shard, row)
            seen += 1
            values = values_of(json.loads(row["attributes"]), basis.attributes)
            fortnight = fortnight_of(row["recorded_at"])
            newest = max(newest, fortnight)
            for quantity in quantities & used.keys():
                for of_values, account in circles(basis, values, row["account"]):
                    place = Place(
                        basis.tenant, shard, basis.product, basis.attributes, of_values, account,
                        quantity, fortnight,
                    )  # fmt: skip
                    (await self._sketch(place)).take(used[quantity])
                    touched[place] = row["entry_seq"]
        await self._keep(touched)
        await connection.execute(
            _SQL["advance"], basis.tenant, shard, basis.product, list(basis.attributes), end
        )
        if touched:
            await connection.execute(_SQL["forget_old"], basis.tenant, shard, newest - 1)
            await connection.execute(_SQL["forget_idle"], basis.tenant, shard, SKETCHES_MAX)
        self._reached[(shard, basis)] = end
        while len(self._memory) > MEMORY_MAX:
            self._memory.popitem(last=False)
        return seen

    async def _parts(self, tenant: int, shard: int, row: asyncpg.Record) -> dict[str, int]:
        """What all captures of a hold used together."""
        assert self._connection is not None
        used: dict[str, int] = {}
        for part in await self._connection.fetch(
            _SQL["parts"], tenant, shard, row["holder"], row["parts"], row["held_by"],
            row["entry_seq"],
        ):  # fmt: skip
            for name, quantity in zip(part["quantity_names"], part["quantities"], strict=True):
                used[name] = used.get(name, 0) + quantity
        return used

    async def _sketch(self, place: Place) -> Sketch:
        found = self._memory.get(place)
        if found is None:
            from ledger.sizing.sketches import Sketch  # 18 MB, which only those with rules pay

            assert self._connection is not None
            found = Sketch(await self._connection.fetchval(_SQL["sketch"], *place))
            self._memory[place] = found
        self._memory.move_to_end(place)
        return found

    async def _keep(self, touched: Mapping[Place, int]) -> None:
        assert self._connection is not None
        rows = []
        for place, entry in touched.items():
            sketch = self._memory[place]
            rows.append((*place, sketch.observations, entry, sketch.to_bytes()))
        if rows:
            await self._connection.executemany(_SQL["keep"], rows)


async def learn(learner: Learner) -> None:
    """Until cancelled. Waits for a database that goes away."""
    while True:
        try:
            found = await learner.step()
        except JournalUnavailable as error:
            logger.warning("sizes are not learned for now: %s", error)
            await asyncio.sleep(AWAY_S)
        else:
            await asyncio.sleep(POLL_S if found < 0 else 0)
