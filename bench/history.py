"""A process that fills shards with usage as fast as the engine decides it: only gRPC is left out.

`python -m bench.history` reads one Fill as JSON from standard input, opens a real writer for each
of its shards on the real PostgreSQL, submits usage of the workload's accounts in the largest
batches that a writer takes, and prints one Filled as JSON. So decisions, entries, private records,
hash chain, group commits, checkpoints and key segments are those of a server. Every outcome is
checked: recorded, and charged exactly what is due. Nobody else may serve the shards meanwhile.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import Callable, Sequence
from random import Random
from typing import Final, NamedTuple

import msgspec
import uvloop
from msgspec import Struct

from bench.sizes import BY_NAME, Sizes
from bench.workload import MINOR, QUANTITIES, SHAPES, SOURCE, account_ids
from ledger.core.commands import Names, RecordUsage
from ledger.core.events import UsageRecorded
from ledger.core.identity import FamilyDigest, source_prefix
from ledger.core.limits import DAY_US
from ledger.core.shapes import Shape
from ledger.engine.batch import BATCH_COMMANDS_MAX
from ledger.engine.configuration import Configurations
from ledger.engine.observer import CheckpointFigures, NoObserver
from ledger.engine.upkeep import Upkeep
from ledger.engine.writer import Writer
from ledger.journal.directory import TENANT_DEFAULT
from ledger.journal.storage import PostgresStorage
from ledger.server import GC_THRESHOLDS, SystemClock

HISTORY_US: Final = 30 * DAY_US  # events happened in the days before; the dedupe window is of 35
IN_FLIGHT: Final = 3  # tickets a shard: one commits, one is decided, one waits
NAMES_A_QUERY: Final = 1_000


class Fill(Struct, frozen=True, kw_only=True):
    """`events` are of all shards; each gets as many as it has of the accounts."""

    dsn: str
    sizes: str
    events: int
    checkpoint_entries: int
    now_us: int
    shards: int
    own: list[int]


class Filled(Struct, frozen=True):
    """What one process recorded. Times in milliseconds."""

    events: int
    took_ms: int
    last_checkpoints_ms: int  # of it, from the last event until all is in checkpoints
    cpu_ms: int
    checkpoints: int


class Seat(NamedTuple):
    """Where an account stands, and how its events' keys are made."""

    number: int
    usage_key: Callable[[bytes, str], bytes]


class Part:
    """The events of one shard."""

    def __init__(self, shard: int, seats: Sequence[Seat], events: int, now_us: int) -> None:
        self.shard = shard
        self.events = events
        self._seats = seats
        self._taken = 0
        self._random = Random(shard)
        self._began_us = now_us - HISTORY_US
        self._shapes = [
            (Shape(product, (("mode", mode), ("region", region)), QUANTITIES), MINOR[product, mode])
            for product, mode, region in SHAPES
        ]

    def take(self) -> tuple[list[RecordUsage], int]:
        """The next commands, in order of their time, and the sum that they must be charged."""
        first, self._taken = self._taken, min(self._taken + BATCH_COMMANDS_MAX, self.events)
        bits, seats, shapes = self._random.getrandbits, self._seats, self._shapes
        prefix, mark = source_prefix(SOURCE), f"past-{self.shard:04d}-"
        commands = []
        due = 0
        for serial in range(first, self._taken):
            drawn = bits(64)
            number, usage_key = seats[(drawn & 0xFFFFFF) % len(seats)]
            shape, prices = shapes[(drawn >> 24) % len(shapes)]
            quantities = (200 + (drawn >> 28) % 7_800, 1 + (drawn >> 44) % 1_000)
            due += quantities[0] * prices[0] + quantities[1] * prices[1]
            name = f"{mark}{serial:016d}"
            at = self._began_us + HISTORY_US * serial // self.events
            key = usage_key(prefix, name)
            commands.append(RecordUsage(key, number, shape, quantities, at, Names(SOURCE, name)))
        return commands, due


async def fill(plan: Fill) -> Filled:
    """See the module. Raises RuntimeError where an outcome is not what it must be."""
    began_ns, cpu_ns = time.monotonic_ns(), time.process_time_ns()
    storage = await PostgresStorage.open(plan.dsn, plan.shards)
    try:
        parts = await _parts(storage, plan, BY_NAME[plan.sizes])
        configurations = Configurations(storage.configuration)
        upkeep = Upkeep(plan.checkpoint_entries)
        async with asyncio.TaskGroup() as group:
            runs = [
                group.create_task(_fill_shard(storage, configurations, upkeep, part))
                for part in parts
            ]
        ended_ns = time.monotonic_ns()
        return Filled(
            sum(part.events for part in parts),
            (ended_ns - began_ns) // 1_000_000,
            max(run.result()[0] for run in runs) // 1_000,
            (time.process_time_ns() - cpu_ns) // 1_000_000,
            sum(run.result()[1] for run in runs),
        )
    finally:
        await storage.close()


async def _parts(storage: PostgresStorage, plan: Fill, sizes: Sizes) -> list[Part]:
    seats: list[list[Seat]] = [[] for _ in range(plan.shards)]
    names = account_ids(sizes)
    for start in range(0, len(names), NAMES_A_QUERY):
        asked = [(name, plan.now_us) for name in names[start : start + NAMES_A_QUERY]]
        for entry in (await storage.directory.resolve(TENANT_DEFAULT, asked)).values():
            usage_key = FamilyDigest(entry.family_key).usage_after
            seats[entry.shard].append(Seat(entry.number, usage_key))
    assert sum(map(len, seats)) == len(names), "the workload's accounts are not all open"
    ends = [
        plan.events * sum(map(len, seats[: shard + 1])) // len(names)
        for shard in range(plan.shards)
    ]
    return [
        Part(shard, seats[shard], ends[shard] - (ends[shard - 1] if shard else 0), plan.now_us)
        for shard in plan.own
        if seats[shard]
    ]


async def _fill_shard(
    storage: PostgresStorage, configurations: Configurations, upkeep: Upkeep, part: Part
) -> tuple[int, int]:
    """Fill one shard; microseconds that its last checkpoint took, and how many were taken."""
    clock, watch = SystemClock(), _Watch()
    writer = Writer(
        storage.journal(part.shard),
        clock,
        configurations,
        "bench-fill",
        watch,
        checkpoints=storage.checkpoints(part.shard),
        upkeep=upkeep,
    )
    life = writer.start()
    opened = asyncio.create_task(writer.opened.wait())
    await asyncio.wait([life, opened], return_when=asyncio.FIRST_COMPLETED)
    opened.cancel()
    if life.done():
        life.result()
        raise RuntimeError(f"shard {part.shard} could not be opened: {writer.problem}")
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    await asyncio.gather(*[_submit(writer, part) for _ in range(IN_FLIGHT)])
    sent_us = clock.monotonic_us()
    await writer.stop()  # all is in a checkpoint when it returns
    return clock.monotonic_us() - sent_us, watch.checkpoints


async def _submit(writer: Writer, part: Part) -> None:
    while True:
        commands, due = part.take()
        if not commands:
            return
        ticket = await writer.submit(commands)
        charged = 0
        for outcome in ticket.outcomes:
            if type(outcome) is not UsageRecorded:
                raise RuntimeError(f"shard {part.shard} answers {outcome!r}")
            charged += sum(outcome.charges)
        if charged != due:
            raise RuntimeError(f"shard {part.shard} charged {charged} where {due} is due")


class _Watch(NoObserver):
    """Counts checkpoints."""

    def __init__(self) -> None:
        self.checkpoints = 0

    def checkpoint_written(self, shard: int, figures: CheckpointFigures) -> None:
        self.checkpoints += 1


def main() -> None:
    """See the module."""
    plan = msgspec.json.decode(sys.stdin.readline(), type=Fill)
    filled = uvloop.run(fill(plan))
    sys.stdout.buffer.write(msgspec.json.encode(filled) + b"\n")


if __name__ == "__main__":
    main()
