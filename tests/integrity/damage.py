"""Changes single bytes of stored rows, one at a time, and asks `verify` each time.

    python -m tests.integrity.damage [bytes]

fills a ledger, seals it, flips so many bytes (default 600) over every column of journal, seal and
seal_key, and writes `bytes_flipped` and `bytes_detected` into bench/results/reliability.json.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import asyncpg

from ledger.journal.embedded import EmbeddedPostgres
from ledger.journal.embedded_host import throwaway_root
from ledger.journal.migrate import migrate
from ledger.verify import Report, verify
from tests.integrity.sealing import KEY, SHARDS, fill, harming

FLIPS_DEFAULT = 600
INT_BYTES = {"smallint": 2, "integer": 4, "bigint": 8}
COLUMNS = """
SELECT column_name, data_type FROM information_schema.columns
WHERE table_schema = 'ledger' AND table_name = $1 ORDER BY ordinal_position
"""
KEY_COLUMNS = {
    "journal": ("shard", "batch_seq"),
    "seal": ("shard", "seal_seq"),
    "seal_key": ("key_seq",),
}


@dataclass
class Place:
    """One column of one row."""

    table: str
    column: str
    data_type: str
    row: asyncpg.Record

    @property
    def value(self) -> Any:
        return self.row[self.column]

    @property
    def size(self) -> int:
        return INT_BYTES.get(self.data_type) or len(self.value)

    def flipped(self, byte: int, mask: int) -> Any:
        """The value with that byte changed."""
        if self.data_type == "bytea":
            return self.value[:byte] + bytes([self.value[byte] ^ mask]) + self.value[byte + 1 :]
        data = bytearray(self.value.to_bytes(self.size, "big", signed=True))
        data[byte] ^= mask
        return int.from_bytes(data, "big", signed=True)

    async def write(self, connection: asyncpg.Connection, now: Any, value: Any) -> bool:
        """Put `value` where `now` stands; False where the database refuses it outright."""
        keys = [name for name in KEY_COLUMNS[self.table] if name != self.column]
        where = " AND ".join(f"{name} = ${at}" for at, name in enumerate(keys, 3))
        statement = f"UPDATE ledger.{self.table} SET {self.column} = $1 WHERE {self.column} = $2"
        if where:
            statement += f" AND {where}"
        try:
            done = await connection.execute(
                statement, value, now, *[self.row[name] for name in keys]
            )
        except (
            asyncpg.IntegrityConstraintViolationError,
            asyncpg.ObjectNotInPrerequisiteStateError,
        ):
            return False
        assert done == "UPDATE 1", (done, self)
        return True

    def is_located_by(self, report: Report, changed: Any) -> bool:
        """Whether a finding names the place: its row, a row beside it, or the seal itself."""
        if self.table == "seal_key":
            number = changed if self.column == "key_seq" else self.row["key_seq"]
            named = f"seal key {number}:"
            return any(each.found.startswith(named) for each in report.findings)
        if self.table == "seal":
            numbers = [self.row["seal_seq"], self.row["seal_seq"] + 1]
            numbers += [changed] if self.column == "seal_seq" else []
            names = {f"seal {number}" for number in numbers}
            return any(
                each.shard == self.row["shard"] and each.what.split(",")[0] in names
                for each in report.findings
            ) or any(each.what == "shard" or self.column == "shard" for each in report.findings)
        near = {self.row["batch_seq"], self.row["batch_seq"] + 1}
        return any(
            each.shard == self.row["shard"] and each.batch in near for each in report.findings
        ) or (self.column == "shard" and bool(report.findings))


async def places(connection: asyncpg.Connection, table: str) -> list[Place]:
    """Every column of every row of a table."""
    columns = await connection.fetch(COLUMNS, table)
    return [
        Place(table, name, data_type, row)
        for row in await connection.fetch(f"SELECT * FROM ledger.{table} ORDER BY 1, 2")
        for name, data_type in columns
    ]


@dataclass
class Flips:
    """What a run did."""

    flipped: int = 0
    detected: int = 0
    refused: int = 0  # by a constraint of the database: nothing was changed
    missed: list[str] | None = None


async def flip(
    dsn: str,
    chosen: list[Place],
    chance: random.Random,
    flips: Flips,
    told: Callable[[Flips], None] = lambda _: None,
) -> None:
    """Flip a byte at each place, verify, and put it back."""
    async with harming(dsn) as connection:
        for place in chosen:
            byte, mask = chance.randrange(place.size), 1 << chance.randrange(8)
            changed = place.flipped(byte, mask)
            if not await place.write(connection, place.value, changed):
                flips.refused += 1
                continue
            report = await verify(dsn, anchors=[KEY.public_key], sources=())
            flips.flipped += 1
            if not report.ok and place.is_located_by(report, changed):
                flips.detected += 1
            else:
                flips.missed = [
                    *(flips.missed or ()),
                    f"{place.table}.{place.column} byte {byte} of {dict(place.row)}: "
                    f"{[each.what for each in report.findings][:5]}",
                ]
            assert await place.write(connection, changed, place.value)
            told(flips)


def choose(every: list[Place], count: int, chance: random.Random) -> list[Place]:
    """So many places: each column of its table in turn, and payloads as often as all the rest."""
    columns: dict[tuple[str, str], list[Place]] = {}
    for place in every:
        if place.size:
            columns.setdefault((place.table, place.column), []).append(place)
    turns = list(columns.values())
    chosen = [chance.choice(turns[at % len(turns)]) for at in range(count // 2)]
    payloads = columns[("journal", "payload")]
    return chosen + [chance.choice(payloads) for _ in range(count - len(chosen))]


async def run(dsn: str, count: int, chance: random.Random, told: Callable[[Flips], None]) -> Flips:
    """Flip `count` bytes of a sealed database that is made here."""
    await migrate(dsn, SHARDS)
    await fill(dsn)
    flips = Flips()
    async with harming(dsn) as connection:
        every = [each for table in KEY_COLUMNS for each in await places(connection, table)]
    await flip(dsn, choose(every, count, chance), chance, flips, told)
    return flips


def main() -> int:
    """See the module."""
    from bench.reliability import record

    count = int(sys.argv[1]) if len(sys.argv) > 1 else FLIPS_DEFAULT

    def told(flips: Flips) -> None:
        if flips.flipped % 100 == 0:
            print(f"{flips.flipped} of about {count} bytes flipped, {flips.detected} found")

    folder = throwaway_root() / f"drawdown-damage-{random.randrange(1 << 32):08x}"
    try:
        with EmbeddedPostgres(folder, sync_initdb=False) as server:
            flips = asyncio.run(run(server.dsn, count, random.Random(1), told))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    record("damage", bytes_flipped=flips.flipped, bytes_detected=flips.detected)
    print(f"bytes_flipped {flips.flipped}, bytes_detected {flips.detected}")
    for missed in flips.missed or ():
        print("missed:", missed)
    return 0 if flips.detected == flips.flipped else 1


if __name__ == "__main__":
    sys.exit(main())
