"""Builds the read models anew: fills a shadow from the journal, then swaps it in.

The copy in use serves readers and its projector goes on until the swap, which waits for the
projector's transaction, brings the shadow at least as far, and renames both in one transaction.
Readers never see a gap or a step back; the projector finds a checkpoint that it did not leave and
continues from there. Needs the rights of the user that migrated.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

import asyncpg
from msgspec import Struct

from ledger.journal.connection import AWAY_ERRORS, CONNECT_ERRORS, Connection, connect, describe
from ledger.journal.errors import JournalError, JournalUnavailable
from ledger.journal.migrate import read_settings
from ledger.projections.projector import ShardBusy, ShardProjector, rare_collections
from ledger.projections.sql import load
from ledger.projections.store import ProjectionStore

SHADOW: Final = "projection_shadow"
SWAP_TRIES: Final = 10  # each waits for locks as long as the session's lock_timeout
BUSY_S: Final = 0.05

_SQL: Final = load("rebuild")

Progress = Callable[[int, int, int], None]
"""Called with (shard, entries projected, entries in its journal) as the rebuild goes on."""


class RebuildRunning(JournalError):
    """Another rebuild holds the lock."""


class Rebuilt(Struct, frozen=True):
    """What a rebuild did: the entries of every shard at the swap."""

    entries: tuple[int, ...]


def _silent(_shard: int, _done: int, _total: int) -> None:
    """Nobody watches."""


async def rebuild(dsn: str, progress: Progress = _silent) -> Rebuilt:
    """Build the read models anew beside those in use, and swap.

    Raises RebuildRunning, MigrationRefused, JournalUnavailable (the copy in use is untouched: run
    it again), JournalCorrupt.
    """
    settings = await read_settings(dsn)
    owner = await connect(dsn, application_name="drawdown rebuild", role=False)
    try:
        if not await owner.fetchval(_SQL["try_lock"]):
            raise RebuildRunning("another rebuild is running: wait for it, or end it")
        await owner.execute(_SQL["create_shadow"])
        projectors = [ShardProjector(dsn, shard, SHADOW) for shard in range(settings.shards)]
        try:
            await _make_checkpoints(dsn, settings.shards)
            await _fill(projectors, progress)
            await _swap(owner, projectors, progress)
        except BaseException as error:
            with contextlib.suppress(Exception):
                await owner.execute(_SQL["drop_shadow"])
            if isinstance(error, ExceptionGroup):
                raise error.exceptions[0] from None
            raise
        finally:
            for each in projectors:
                await each.close()
        await _drop_old(owner)
        return Rebuilt(tuple(each.entries for each in projectors))
    except (*CONNECT_ERRORS, *AWAY_ERRORS) as error:
        raise JournalUnavailable(f"the rebuild was cut off: {describe(error)}") from error
    finally:
        owner.terminate()


async def _make_checkpoints(dsn: str, shards: int) -> None:
    store = await ProjectionStore.open(dsn, 0, SHADOW)
    try:
        await store.make_checkpoints(shards)
    finally:
        store.close()


async def _fill(projectors: list[ShardProjector], progress: Progress) -> None:
    with rare_collections():
        async with asyncio.TaskGroup() as group:
            for each in projectors:
                group.create_task(_catch_up(each, progress))


async def _catch_up(projector: ShardProjector, progress: Progress, through: int = -1) -> None:
    """Project through a batch; by default to the tail as it was seen last, for it may move on."""
    while True:
        try:
            await projector.step()
        except ShardBusy:  # an erasure announces itself
            await asyncio.sleep(BUSY_S)
            continue
        progress(projector.shard, projector.entries, projector.head_entries)
        if through < 0 and projector.entries >= projector.head_entries:
            return
        if 0 <= through <= projector.batch_seq:
            return


async def _swap(owner: Connection, projectors: list[ShardProjector], progress: Progress) -> None:
    for last_try in (*[False] * (SWAP_TRIES - 1), True):
        await _fill(projectors, progress)  # what came while the largest shard was filled
        try:
            async with owner.transaction():
                if await owner.fetchval(_SQL["exists"]):
                    await owner.execute(_SQL["hold_still"])
                    reached = dict(await owner.fetch(_SQL["positions"]))
                    for each in projectors:
                        await _catch_up(each, progress, reached.get(each.shard, 0))
                        await each.close()
                    await owner.execute(_SQL["set_aside"])
                await owner.execute(_SQL["take_place"])
            return
        except asyncpg.LockNotAvailableError as error:
            if last_try:
                raise JournalUnavailable(
                    f"somebody reads the checkpoint without end: {describe(error)}"
                ) from error


async def _drop_old(owner: Connection) -> None:
    """What still reads the old copy finishes first; a later rebuild drops what stays."""
    for _ in range(SWAP_TRIES):
        with contextlib.suppress(asyncpg.LockNotAvailableError):
            await owner.execute(_SQL["drop_old"])
            return
