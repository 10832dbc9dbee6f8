"""The projector: tails the journal of every shard and keeps the read models up, exactly once.

Rows and checkpoint go into one transaction, which holds the shard's checkpoint row: of two
projectors one has a shard, and a killed one leaves nothing behind. Idle shards are polled, less and
less often; there are no notifications. Any number of these processes may run.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Iterator
from typing import Final

from ledger.journal.connection import AWAY_ERRORS, CONNECT_ERRORS, describe
from ledger.journal.errors import JournalUnavailable
from ledger.journal.migrate import read_settings
from ledger.journal.postgres import PostgresJournal
from ledger.projections.lag import LAG_MAX_US, Lag
from ledger.projections.shard import OnLag, ShardBusy, TableProjector, follow
from ledger.projections.store import SCHEMA, ProjectionStore
from ledger.sizing.learning import Learner, learn

__all__ = ["ShardBusy", "ShardProjector", "rare_collections", "run_projector"]

GC_THRESHOLDS: Final = (400_000, 20, 50)


def _nobody(_: Lag) -> None:
    """Nobody watches."""


class ShardProjector(TableProjector):
    """See TableProjector: on PostgreSQL, each on connections of its own."""

    def __init__(self, dsn: str, shard: int, schema: str = SCHEMA, by: str = "") -> None:
        super().__init__(
            PostgresJournal(dsn, shard), lambda: ProjectionStore.open(dsn, shard, schema), by
        )

    async def step(self) -> int:
        """See TableProjector; the driver's errors mean that the database is away."""
        try:
            return await super().step()
        except (*CONNECT_ERRORS, *AWAY_ERRORS) as error:
            raise JournalUnavailable(f"shard {self.shard}: {describe(error)}") from error


@contextlib.contextmanager
def rare_collections() -> Iterator[None]:
    """Rows are tuples without cycles and live for one step: collections find nothing and cost a
    third of the projector's time."""
    thresholds = gc.get_threshold()
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)


async def run_projector(
    dsn: str,
    *,
    by: str = "",
    on_lag: OnLag = _nobody,
    stop: asyncio.Event | None = None,
    lag_max_us: int = LAG_MAX_US,
) -> None:
    """Keep the read models of every shard up until `stop` is set (default: until cancelled), and
    learn from them what holds are sized by.

    `by` names this process in `projection.status`; `on_lag` is told after each step and must not
    wait. `lag_max_us` behind busy writers it rests no more. Waits for a database that goes away; a
    shard whose journal or tables are damaged is logged and the others go on. Raises
    MigrationRefused and JournalUnavailable at the start only.
    """
    settings = await read_settings(dsn)
    store = await ProjectionStore.open(dsn, 0)
    try:
        await store.make_checkpoints(settings.shards)
    finally:
        store.close()
    projectors = [ShardProjector(dsn, shard, by=by) for shard in range(settings.shards)]
    learner = Learner(dsn, settings.shards)
    try:
        with rare_collections():
            await _follow_all(projectors, learner, on_lag, stop, lag_max_us)
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    finally:
        learner.close()
        for each in projectors:
            await each.close()


async def _follow_all(
    projectors: list[ShardProjector],
    learner: Learner,
    on_lag: OnLag,
    stop: asyncio.Event | None,
    lag_max_us: int,
) -> None:
    turn = asyncio.Lock()
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(follow(each, on_lag, turn, lag_max_us)) for each in projectors]
        running.append(group.create_task(learn(learner)))
        if stop is not None:
            await stop.wait()
            for task in running:
                task.cancel()
