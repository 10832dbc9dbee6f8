"""Everything durable of one installation behind one door.

PostgreSQL for real use, memory for tests and simulations; both satisfy `engine.ledger.Storage`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from ledger.journal.checkpoint import CheckpointStore, CheckpointWrite
from ledger.journal.checkpoint_memory import (
    MemoryCheckpointData,
    MemoryCheckpoints,
    WriteFault,
    no_write_fault,
)
from ledger.journal.checkpoint_postgres import PostgresCheckpoints
from ledger.journal.configuration import ConfigurationStore, MemoryConfigurationStore
from ledger.journal.configuration_postgres import PostgresConfigurationStore
from ledger.journal.connection import Pool, open_pool
from ledger.journal.directory import Directory
from ledger.journal.directory_memory import MemoryDirectory
from ledger.journal.directory_postgres import PostgresDirectory
from ledger.journal.grouping import CommitGroup
from ledger.journal.leases import LeaseStore, MemoryLeaseStore
from ledger.journal.leases_postgres import PostgresLeaseStore
from ledger.journal.memory import (
    AppendFault,
    MemoryJournal,
    MemoryStore,
    no_fault,
    yield_once,
)
from ledger.journal.parked import MemoryParkedStore, ParkedStore, PostgresParkedStore
from ledger.journal.postgres import PostgresJournal
from ledger.journal.protocol import Journal, JournalRow

CLOSE_TIMEOUT_S: Final = 5


class PostgresStorage:
    """A migrated database. Open with `await PostgresStorage.open(dsn, shards)`."""

    def __init__(self, dsn: str, shards: int, pool: Pool) -> None:
        """`shards` is the number that the first migration fixed."""
        self.dsn = dsn
        self.shards = shards
        self.pool = pool
        self.directory: Directory = PostgresDirectory(pool, shards)
        self.configuration: ConfigurationStore = PostgresConfigurationStore(pool)
        self.parked: ParkedStore = PostgresParkedStore(pool)
        self.leases: LeaseStore = PostgresLeaseStore(dsn)
        self._journals: list[PostgresJournal] = []
        self._group = CommitGroup()

    @classmethod
    async def open(cls, dsn: str, shards: int) -> PostgresStorage:
        """Connect. Raises JournalUnavailable."""
        return cls(dsn, shards, await open_pool(dsn, application_name="drawdown"))

    def journal(self, shard: int) -> Journal:
        """The journal of one shard, on a connection of its own; those of one storage share commits
        where their batches are small."""
        journal = PostgresJournal(self.dsn, shard, self._group)
        self._journals.append(journal)
        return journal

    def checkpoints(self, shard: int) -> CheckpointStore:
        """The checkpoint of one shard."""
        return PostgresCheckpoints(self.pool, shard)

    async def close(self) -> None:
        """Let go of every connection."""
        for journal in self._journals:
            await journal.close()
        await self.leases.close()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self.pool.close()
        except TimeoutError:  # a database that went away answers no goodbye
            self.pool.terminate()


class MemoryStorage:
    """The same in memory: lasts as long as the object, also over a simulated crash."""

    def __init__(
        self,
        clock: Callable[[], int],
        shards: int = 4,
        *,
        on_append: Callable[[JournalRow], AppendFault | None] = no_fault,
        on_checkpoint: Callable[[CheckpointWrite], WriteFault | None] = no_write_fault,
        pause: Callable[[], Awaitable[None]] = yield_once,
    ) -> None:
        """`clock` gives microseconds UTC; the other hooks are for faults and delays."""
        self.shards = shards
        self.store: MemoryStore = {}
        self.checkpoint_data: dict[int, MemoryCheckpointData] = {}
        self._on_checkpoint = on_checkpoint
        self.directory: Directory = MemoryDirectory(shards, clock=clock)
        self.configuration: ConfigurationStore = MemoryConfigurationStore(clock=clock)
        self.parked: ParkedStore = MemoryParkedStore(clock=clock)
        self.leases = MemoryLeaseStore(clock, pause=pause)
        self._clock = clock
        self._on_append = on_append
        self._pause = pause

    def journal(self, shard: int) -> Journal:
        """The journal of one shard; several writers may contend for it."""
        return MemoryJournal(
            self.store, shard, on_append=self._on_append, pause=self._pause, clock=self._clock
        )

    def checkpoints(self, shard: int) -> CheckpointStore:
        """The checkpoint of one shard; several writers may contend for it."""
        data = self.checkpoint_data.setdefault(shard, MemoryCheckpointData())
        return MemoryCheckpoints(
            self.store, data, shard, on_write=self._on_checkpoint, pause=self._pause
        )

    def seen_by_another(
        self,
        *,
        on_append: Callable[[JournalRow], AppendFault | None] = no_fault,
        pause: Callable[[], Awaitable[None]] = yield_once,
    ) -> MemoryStorage:
        """The same storage as another process sees it: with faults and delays of its own."""
        other = MemoryStorage(self._clock, self.shards, on_append=on_append, pause=pause)
        other.store = self.store
        other.checkpoint_data = self.checkpoint_data
        other.directory = self.directory
        other.configuration = self.configuration
        other.parked = self.parked
        other.leases = MemoryLeaseStore(self._clock, self.leases.shared, pause)
        return other

    async def close(self) -> None:
        """Nothing to let go of."""
