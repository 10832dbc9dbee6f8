"""Read leases on PostgreSQL, over one connection of their own: nothing waits in a pool behind them.

Each change is one autocommit statement by the database's clock. Whoever loses patience cancels the
call: the connection is cut, not the statement, which may still take effect. That is harmless: a
renewal or a taking that nobody knows of only makes others wait for its term. A connection that is
being opened is left to the next call: a busy machine may take longer for it than one has patience.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeVar

import asyncpg

from ledger.failpoints import reached
from ledger.journal.connection import CONNECT_ERRORS, Connection, connect, describe
from ledger.journal.errors import JournalUnavailable
from ledger.journal.leases import Identity, Lease, LeaseView, Member
from ledger.journal.sql import load

T = TypeVar("T")

OPENING_MAX_S: Final = 2  # of one connection, whoever waits for it; then another is opened

_SQL: Final = load("leases")


class PostgresLeaseStore:
    """See `leases.LeaseStore`. Connects at first use; after any failure again at the next."""

    def __init__(self, dsn: str) -> None:
        """`dsn` must reach PostgreSQL itself, not a transaction pooler."""
        self._dsn = dsn
        self._connection: Connection | None = None
        self._opening: asyncio.Task[Connection] | None = None
        self._turn = asyncio.Lock()

    async def beat(
        self, identity: Identity, held: Mapping[int, int], term_us: int, *, leaving: bool = False
    ) -> LeaseView:
        """See `LeaseStore.beat`."""

        async def work(connection: Connection) -> LeaseView:
            reached("lease.beat")
            await connection.execute(
                _SQL["announce"], identity.process, identity.address, leaving, term_us
            )
            if held:
                await connection.execute(
                    _SQL["renew"], identity.process, list(held), list(held.values()), term_us
                )
            leases = await connection.fetch(_SQL["leases"])
            members = await connection.fetch(_SQL["members"])
            return LeaseView(
                tuple(Lease(*record) for record in leases),
                tuple(Member(*record) for record in members),
            )

        return await self._do(work)

    async def acquire(
        self, identity: Identity, shards: Sequence[int], term_us: int
    ) -> dict[int, int]:
        """See `LeaseStore.acquire`."""

        async def work(connection: Connection) -> dict[int, int]:
            wanted = sorted(set(shards))
            records = await connection.fetch(
                _SQL["acquire"], identity.process, identity.address, wanted, term_us
            )
            if records:
                reached("lease.taken")
            return {record["shard"]: record["epoch"] for record in records}

        return await self._do(work)

    async def release(self, identity: Identity, shard: int, epoch: int) -> None:
        """See `LeaseStore.release`."""

        async def work(connection: Connection) -> None:
            await connection.execute(_SQL["release"], shard, identity.process, epoch)

        await self._do(work)

    async def leave(self, identity: Identity) -> None:
        """See `LeaseStore.leave`."""

        async def work(connection: Connection) -> None:
            await connection.execute(_SQL["leave"], identity.process)
            await connection.execute(_SQL["sweep"])

        await self._do(work)

    async def close(self) -> None:
        """See `LeaseStore.close`."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait([self._opening])
        self._cut()

    async def _do(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        async with self._turn:
            try:
                return await self._uncancelled(work(await self._connected()))
            except (*CONNECT_ERRORS, asyncpg.PostgresError) as error:
                self._cut()
                raise JournalUnavailable(f"leases: {describe(error)}") from error

    async def _connected(self) -> Connection:
        if self._connection is not None and not self._connection.is_closed():
            return self._connection
        if self._opening is None:
            self._opening = asyncio.create_task(self._open(), name="leases connect")
            self._opening.add_done_callback(self._opened)
        return await asyncio.shield(self._opening)

    async def _open(self) -> Connection:
        async with asyncio.timeout(OPENING_MAX_S):
            return await connect(self._dsn, application_name="drawdown leases")

    def _opened(self, ended: asyncio.Task[Connection]) -> None:
        self._opening = None
        if not ended.cancelled() and ended.exception() is None:
            self._connection = ended.result()

    async def _uncancelled(self, work: Awaitable[T]) -> T:
        """Cancelling cuts the connection: a driver that is cancelled would cancel the statement."""
        running = asyncio.ensure_future(work)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            running.add_done_callback(_swallow)
            self._cut()
            raise

    def _cut(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
        self._connection = None


def _swallow(ended: asyncio.Future[T]) -> None:
    if not ended.cancelled():
        ended.exception()
