"""Reading a stored checkpoint back: the shard, where its families are, the filters of its keys.

A checkpoint is used only where the journal has its batch with its hash; one that does not fit, or
is of a format that this version does not know, is ignored loudly and everything is replayed. It is
never trusted against the journal. Families stay where they are until they are needed.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

import msgspec

from ledger.core.catalog import Catalog
from ledger.core.packing import FORMAT, unpack_shard
from ledger.core.state import State
from ledger.engine.configuration import Configurations
from ledger.engine.segments import FORMAT as SEGMENT_FORMAT
from ledger.engine.segments import KeySegment, KeySegments
from ledger.journal.checkpoint import (
    CheckpointPosition,
    CheckpointStore,
    Expected,
    StoredCheckpoint,
)
from ledger.journal.protocol import GENESIS_HASH, Journal

FORMATS: Final = (FORMAT,)  # of bodies
SEGMENT_FORMATS: Final = (SEGMENT_FORMAT,)

logger = logging.getLogger(__name__)


class CheckpointDamaged(Exception):
    """What a checkpoint holds cannot be read: the shard is opened without it."""


class Restored:
    """A state to replay the tail on, and what was seen in the store. Empty without a checkpoint."""

    __slots__ = ("batch_seq", "entry_seq", "expected", "hash", "reset", "seen", "segments", "state")

    def __init__(self, state: State) -> None:
        self.state = state
        self.batch_seq = state.batch_seq
        self.entry_seq = state.entry_seq
        self.hash = GENESIS_HASH
        self.segments = KeySegments()
        self.seen: CheckpointPosition | None = None
        self.expected: Expected | None = None  # of the store, while the tail is replayed
        self.reset = False  # what is stored is to be dropped


async def restore(
    store: CheckpointStore, journal: Journal, configurations: Configurations, trusted: bool
) -> Restored:
    """Load the shard's checkpoint, if there is one that fits. Raises JournalUnavailable."""
    stored = await store.load()
    if stored is None or stored.batch_seq == 0:
        restored = Restored(State(store.shard, Catalog()))
        restored.seen = stored.position if stored is not None else None
        return restored
    try:
        if not trusted:
            raise CheckpointDamaged("a part of it could not be read")
        restored = await _load(store, journal, configurations, stored)
    except (CheckpointDamaged, msgspec.MsgspecError, ValueError) as error:
        logger.error(
            "shard %d: the checkpoint after batch %d is ignored and everything is replayed: %s; "
            "unless this program was just upgraded, run `drawdown verify`",
            store.shard,
            stored.batch_seq,
            error,
        )
        restored = Restored(State(store.shard, Catalog()))
        restored.reset = True
    restored.seen = stored.position
    restored.expected = Expected(stored.epoch, stored.batch_seq)
    return restored


async def _load(
    store: CheckpointStore,
    journal: Journal,
    configurations: Configurations,
    stored: StoredCheckpoint,
) -> Restored:
    _check_format("the checkpoint", stored.format, FORMATS)
    rows = await journal.fetch([stored.batch_seq], with_private=False)
    if not rows or rows[0].hash != stored.hash:
        raise CheckpointDamaged("the journal has no such batch with its hash")
    state = unpack_shard(stored.body, Catalog())
    reached = (state.shard, state.batch_seq, state.entry_seq, state.recorded_at)
    row = rows[0]
    if reached != (row.shard, row.batch_seq, row.next_event, row.recorded_at_us):
        raise CheckpointDamaged(f"its body stands at {reached}, the journal's row does not")
    for tenant, version in state.configuration.items():
        for each in range(1, version + 1):
            await configurations.load(tenant, each)
            configurations.install(state.catalog, tenant, each)
    restored = Restored(state)
    restored.hash = stored.hash
    async for page in store.places():
        for place in page:
            _check_format(f"family {place.root}", place.format, FORMATS)
            state.paged_families[place.root] = state.timer_at(place.tenant, place.due_us)
            state.paged_tenants[place.root] = place.tenant
            for account in place.accounts:
                state.paged[account] = place.root
        await asyncio.sleep(0)
    segments: list[KeySegment] = []
    for each_stored in await store.segments():
        _check_format(f"key segment {each_stored.number}", each_stored.format, SEGMENT_FORMATS)
        segments.append(KeySegment.load(each_stored))
        await asyncio.sleep(0)
    restored.segments = KeySegments(segments)
    return restored


def _check_format(what: str, format: int, known: tuple[int, ...]) -> None:
    if format not in known:
        raise CheckpointDamaged(f"{what} is of format {format}, this version knows {known}")
