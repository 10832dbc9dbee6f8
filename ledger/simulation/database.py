"""The simulated database: rows, its clock, and a way to it on which everything takes time.

Owns what survives crashes, and the fate of each commit: landed and answered, landed and never
answered, never landed, landed after its writer gave up. `SimulatedJournal` has the promises of
`journal.protocol.Journal`; `Remote` puts any other store a round trip away.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final, Protocol

from ledger.core.limits import SECOND_US
from ledger.journal.checkpoint import CheckpointStore, CheckpointWrite, WriteOutcome
from ledger.journal.checkpoint_memory import (
    MemoryCheckpointData,
    MemoryCheckpoints,
    WriteFault,
)
from ledger.journal.configuration import MemoryConfigurationStore
from ledger.journal.directory_memory import MemoryDirectory
from ledger.journal.errors import (
    CommitUnknown,
    JournalConflict,
    JournalCorrupt,
    JournalUnavailable,
)
from ledger.journal.leases import MemoryLeaseStore
from ledger.journal.memory import MemoryStore, stripped
from ledger.journal.parked import MemoryParkedStore
from ledger.journal.protocol import (
    BATCH_SEQ_FIRST,
    GENESIS_HASH,
    Journal,
    JournalHead,
    JournalRow,
    check_row,
)
from ledger.simulation.loop import NOBODY, context_of
from ledger.simulation.processes import Process
from ledger.simulation.spoilt import OlderFamilies, Spoilt

PAGE_ROWS: Final = 8  # rows a read brings at once: small, so that a replay is interrupted often


@dataclass
class DiskFaults:
    """Chances in a thousand, and times in microseconds. All zero: a database that never fails."""

    unknown_landed: int = 0  # the row lands, the answer is lost
    unknown_lost: int = 0  # the row never arrives, and nobody says so
    unknown_late: int = 0  # the writer gives up, the row lands afterwards
    refused: int = 0  # a definite error
    slow: int = 0  # a commit takes `slow_us` more
    slow_us: int = 500_000
    late_us: int = 3_000_000  # so long after the writer gave up, at most
    late_answer: int = 0  # what is written lands at once, its answer comes `late_answer_us` later
    late_answer_us: int = 400_000
    trip_us: int = 300  # one way, about


class Clock(Protocol):
    """The database's clock."""

    def now_us(self) -> int:
        """Microseconds since the epoch, UTC."""
        ...


class Database:
    """What is durable. Everything that happens here happens at once, in the world's own context."""

    def __init__(self, time: Clock, random: Random, faults: DiskFaults, shards: int) -> None:
        self.time = time
        self.shards = shards
        self.faults = faults
        self.away = False
        self.rows: MemoryStore = {}
        self.entries = [0] * shards  # durable entries of each shard
        self.on_row: Callable[[JournalRow], None] = lambda row: None
        self.directory = MemoryDirectory(shards, clock=time.now_us)
        self.configuration = MemoryConfigurationStore(clock=time.now_us)
        self.parked = MemoryParkedStore(clock=time.now_us)
        self.leases = MemoryLeaseStore(time.now_us)
        self.on_lease_call: Callable[[Process, str], int] = lambda process, name: 0
        """Told of each call of the leases when it is done, and again when its answer is there; how
        many microseconds more that takes."""
        self.on_checkpoint: Callable[[int, CheckpointWrite, WriteOutcome], None] = _nobody_looks
        self._checkpoints = [MemoryCheckpointData() for _ in range(shards)]
        self._older = [OlderFamilies() for _ in range(shards)]
        self._random = random
        self._going: dict[asyncio.Task[None], None] = {}

    def chance(self, per_mille: int) -> bool:
        """True so often in a thousand."""
        return per_mille > 0 and self._random.randrange(1_000) < per_mille

    def trip_us(self) -> int:
        """How long one way takes."""
        return 1 + self._random.randrange(2 * self.faults.trip_us)

    async def trip(self) -> None:
        """One way. Raises JournalUnavailable where it ends nowhere."""
        await asyncio.sleep(self.trip_us() / SECOND_US)
        if self.away:
            raise JournalUnavailable("the database is away")

    async def linger(self) -> None:
        """At times what is done is answered a while later."""
        if self.chance(self.faults.late_answer):
            delay_us = self._random.randrange(self.faults.late_answer_us)
            await asyncio.sleep(delay_us / SECOND_US)

    async def trip_back(self, row: JournalRow) -> None:
        """The way of an answer that says "durable". Raises CommitUnknown where it is lost."""
        await asyncio.sleep(self.trip_us() / SECOND_US)
        await self.linger()
        if self.away:
            raise CommitUnknown(f"batch {row.batch_seq}: landed, and the connection broke")

    def write(self, row: JournalRow) -> None:
        """One autocommit INSERT. Raises JournalConflict, JournalCorrupt."""
        place = (row.shard, row.batch_seq)
        if place in self.rows:
            raise JournalConflict(f"batch {place} is taken")
        before = self.rows.get((row.shard, row.batch_seq - 1))
        stored = GENESIS_HASH if row.batch_seq == BATCH_SEQ_FIRST else before and before.hash
        if stored != row.prev_hash:
            raise JournalCorrupt(f"batch {place} does not continue the batch before it")
        self.rows[place] = row
        self.entries[row.shard] = row.next_event
        self.on_row(row)

    def later(self, delay_us: int, work: Callable[[], None]) -> None:
        """Do something after a while, whatever becomes of the process that asked for it."""
        loop, context = asyncio.get_running_loop(), context_of(NOBODY)
        task = asyncio.Task(_after(delay_us, work), loop=loop, context=context)
        self._going[task] = None
        task.add_done_callback(lambda done: self._going.pop(done))

    def checkpoints(self, shard: int) -> MemoryCheckpoints:
        """One connection to a shard's checkpoint. A write may be done and never answered."""

        def fault(change: CheckpointWrite) -> WriteFault | None:
            self._older[shard].before(self._checkpoints[shard], change)
            if self.chance(self.faults.unknown_landed):
                return WriteFault.WRITTEN
            return WriteFault.NOT_WRITTEN if self.chance(self.faults.unknown_lost) else None

        return SimulatedCheckpoints(
            self.rows,
            self._checkpoints[shard],
            shard,
            on_write=fault,
            pause=self.trip,
            on_outcome=lambda change, outcome: self.on_checkpoint(shard, change, outcome),
            answer=self.linger,
        )

    def spoil(self, shard: int, how: Spoilt) -> bool:
        """Spoil a shard's checkpoint, which nobody uses; whether it has one."""
        return self._older[shard].spoil(self._checkpoints[shard], how)

    def rows_of(self, shard: int, after: int, count: int) -> list[JournalRow]:
        """The next rows of a shard."""
        found = (self.rows.get((shard, seq)) for seq in range(after + 1, after + 1 + count))
        return [row for row in found if row is not None]


class SimulatedCheckpoints(MemoryCheckpoints):
    """See MemoryCheckpoints. `on_outcome` is told what became of each write."""

    def __init__(
        self,
        journal: MemoryStore,
        data: MemoryCheckpointData,
        shard: int,
        *,
        on_write: Callable[[CheckpointWrite], WriteFault | None],
        pause: Callable[[], Awaitable[None]],
        on_outcome: Callable[[CheckpointWrite, WriteOutcome], None],
        answer: Callable[[], Awaitable[None]],
    ) -> None:
        """`answer` runs before the outcome of a write is told."""
        super().__init__(journal, data, shard, on_write=on_write, pause=pause)
        self._on_outcome = on_outcome
        self._answer = answer

    async def write(self, change: CheckpointWrite) -> WriteOutcome:
        """See `CheckpointStore.write`."""
        outcome = await super().write(change)
        await self._answer()
        return outcome

    def _write(self, change: CheckpointWrite) -> WriteOutcome:
        outcome = super()._write(change)
        self._on_outcome(change, outcome)
        return outcome


def _nobody_looks(shard: int, change: CheckpointWrite, outcome: WriteOutcome) -> None:
    """Nobody is told what becomes of checkpoints."""


async def _after(delay_us: int, work: Callable[[], None]) -> None:
    await asyncio.sleep(delay_us / SECOND_US)
    work()


class SimulatedJournal:
    """One shard's journal as one process sees it. See `journal.protocol.Journal`."""

    def __init__(self, database: Database, shard: int) -> None:
        self.shard = shard
        self._database = database

    async def prepare(self) -> None:
        """See Journal."""

    async def append(self, row: JournalRow) -> None:
        """See Journal. A statement that was sent goes on when its sender is gone."""
        assert row.shard == self.shard, f"row of shard {row.shard} given to shard {self.shard}"
        database, faults = self._database, self._database.faults
        if database.away or database.chance(faults.refused):
            await database.trip()
            raise JournalUnavailable(f"batch {row.batch_seq}: refused")
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        delay_us = database.trip_us()
        if database.chance(faults.slow):
            delay_us += database.trip_us() + faults.slow_us
        if database.chance(faults.unknown_lost):
            return await _unknown(delay_us, row)
        answered = not database.chance(faults.unknown_landed)
        if database.chance(faults.unknown_late):
            answered = False
            database.later(
                delay_us + database.trip_us() * faults.late_us // faults.trip_us // 2,
                lambda: _execute(database, row, answer),
            )
        else:
            database.later(delay_us, lambda: _execute(database, row, answer))
        if not answered:
            return await _unknown(delay_us * 2, row)
        await answer
        await database.trip_back(row)
        return None

    async def read(
        self, after_batch_seq: int, through: int | None = None, *, with_private: bool = True
    ) -> AsyncIterator[JournalRow]:
        """See Journal."""
        after = max(after_batch_seq, BATCH_SEQ_FIRST - 1)
        while through is None or after < through:
            await self._database.trip()
            page = self._database.rows_of(self.shard, after, PAGE_ROWS)
            await self._database.trip()
            for row in page:
                if through is not None and row.batch_seq > through:
                    return
                yield check_row(stripped(row, with_private))
                after = row.batch_seq
            if len(page) < PAGE_ROWS:
                return

    async def head(self) -> JournalHead | None:
        """See Journal."""
        await self._database.trip()
        last = max((seq for shard, seq in self._database.rows if shard == self.shard), default=0)
        await self._database.trip()
        if not last:
            return None
        row = self._database.rows[self.shard, last]
        return JournalHead(
            row.batch_seq, row.recorded_at_us, row.first_event, row.event_count, row.hash
        )

    async def fetch(
        self, batch_seqs: Sequence[int], *, with_private: bool = True
    ) -> list[JournalRow]:
        """See Journal."""
        await self._database.trip()
        found = (self._database.rows.get((self.shard, seq)) for seq in sorted(set(batch_seqs)))
        rows = [check_row(stripped(row, with_private)) for row in found if row is not None]
        await self._database.trip()
        return rows

    async def now_us(self) -> int:
        """See Journal."""
        await self._database.trip()
        return self._database.time.now_us()

    async def close(self) -> None:
        """See Journal."""


def _execute(database: Database, row: JournalRow, answer: asyncio.Future[None]) -> None:
    """Where the statement runs; whoever still waits is told."""
    try:
        if database.away:
            raise CommitUnknown(f"batch {row.batch_seq}: the connection broke")
        database.write(row)
    except (JournalConflict, JournalCorrupt, CommitUnknown) as error:
        if not answer.done():
            answer.set_exception(error)
            answer.exception()  # nobody may be left to ask
        return
    if not answer.done():
        answer.set_result(None)


async def _unknown(delay_us: int, row: JournalRow) -> None:
    await asyncio.sleep(delay_us / SECOND_US)
    raise CommitUnknown(f"batch {row.batch_seq}: sent, no answer")


class Remote:
    """A store in memory, a round trip away: what it is asked may be done and never answered."""

    def __init__(
        self, database: Database, store: Any, done: Callable[[str], int] | None = None
    ) -> None:
        """`done` is told "name" of each call when it is done, "name heard" as its answer comes; it
        returns how many microseconds more that takes."""
        self._database = database
        self._store = store
        self._done = done

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if not asyncio.iscoroutinefunction(found):
            return found

        async def call(*args: Any, **kwargs: Any) -> Any:
            await self._database.trip()
            result = await found(*args, **kwargs)
            delay_us = self._done(name) if self._done is not None else 0
            await self._database.trip()
            if self._done is not None:
                await asyncio.sleep(delay_us / SECOND_US)
                self._done(f"{name} heard")
                await asyncio.sleep(0)
            return result

        return call


class SimulatedStorage:
    """`engine.ledger.Storage` as one process sees it."""

    def __init__(self, database: Database, process: Process) -> None:
        self.shards = database.shards
        self.directory: Any = Remote(database, database.directory)
        self.configuration: Any = Remote(database, database.configuration)
        self.parked: Any = Remote(database, database.parked)
        self.leases: Any = Remote(
            database, database.leases, lambda name: database.on_lease_call(process, name)
        )
        self._database = database

    def journal(self, shard: int) -> Journal:
        """The journal of one shard."""
        return SimulatedJournal(self._database, shard)

    def checkpoints(self, shard: int) -> CheckpointStore:
        """The checkpoint of one shard."""
        return self._database.checkpoints(shard)

    async def close(self) -> None:
        """Nothing to let go of."""
