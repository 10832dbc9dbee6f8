"""Waiting until the read models stand where the journal ended when the export was asked for.

A running projector is left alone. Where none moves, because no server runs, this process does its
work: of two projectors one has a shard, so neither can do harm.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from ledger.journal.migrate import read_settings
from ledger.projections.projector import ShardBusy, ShardProjector
from ledger.projections.store import ProjectionStore

LOOK_EVERY_S: Final = 0.1
STANDS_STILL_S: Final = 1.0  # a projector that lives moves within this

Watch = Callable[[str, int, int], None]
"""(what, done, total)"""


async def catch_up(dsn: str, wait_s: int, watch: Watch) -> None:
    """Wait for every shard, `wait_s` in all. Raises JournalUnavailable, MigrationRefused."""
    settings = await read_settings(dsn)
    store = await ProjectionStore.open(dsn, 0)
    try:
        await store.make_checkpoints(settings.shards)
    finally:
        store.close()
    deadline = time.monotonic() + wait_s
    for shard in range(settings.shards):
        await _catch_up(dsn, shard, deadline, watch)


async def _catch_up(dsn: str, shard: int, deadline: float, watch: Watch) -> None:
    store = await ProjectionStore.open(dsn, shard)
    projector: ShardProjector | None = None
    try:
        reached, _, head = await store.glance()
        moved_at = time.monotonic()
        while reached.entries < head and time.monotonic() < deadline:
            watch(f"shard {shard} catches up", reached.entries, head)
            if time.monotonic() - moved_at < STANDS_STILL_S:
                await asyncio.sleep(LOOK_EVERY_S)
            else:
                projector = projector or ShardProjector(dsn, shard, by="export")
                try:
                    await projector.step()
                except ShardBusy:
                    moved_at = time.monotonic()
            before = reached
            reached, _, _ = await store.glance()
            if projector is None and reached != before:
                moved_at = time.monotonic()
    finally:
        store.close()
        if projector is not None:
            await projector.close()
