"""A family as it stood right before an entry of its shard, read apart from the shard's writer.

From the checkpoint, where that is of before, else from the first batch on. What is other families'
is passed over: no entry changes two of them, or none could leave memory (`paging`). So it takes the
memory of one family, whatever the shard holds. Decides nothing, and writes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from ledger.core.catalog import Catalog
from ledger.core.events import (
    OF_A_GRANT,
    OF_AN_ACCOUNT,
    AccountCreated,
    BookOpened,
    ConfigurationApplied,
    Event,
)
from ledger.core.evolve import evolve
from ledger.core.packing import FORMAT, unpack_family, unpack_shard
from ledger.core.state import State
from ledger.engine.configuration import Configurations
from ledger.journal.checkpoint import CheckpointStore, Expected
from ledger.journal.codec import BatchCodec
from ledger.journal.errors import JournalConflict, JournalCorrupt
from ledger.journal.protocol import GENESIS_HASH, Journal, JournalRow

ENTRIES_MAX: Final = 50_000_000  # read for one look; x ~2 us = 100 s
CHECKPOINTS_TRIED: Final = 3  # each is overtaken by the next only if a shard is very busy


class PastTooLong(Exception):
    """More entries would have to be read than ENTRIES_MAX."""

    def __init__(self, entries: int, most: int) -> None:
        super().__init__(f"{entries} entries would have to be read, {most} are at most")
        self.entries = entries


class Place(NamedTuple):
    """An entry of a family, by its batch and its index in that."""

    tenant: int
    root: int
    batch_seq: int
    in_batch: int


class Past(NamedTuple):
    """The state right before an entry, in the midst of its batch; all entries of that batch; and
    how many were read for it."""

    state: State
    events: list[Event]
    entries_read: int


class PastFamily:
    """Folds batches in their order, and keeps of them what is one family's or the shard's own."""

    def __init__(self, state: State, tenant: int, root: int) -> None:
        """`state` stands at the end of a batch and has the family, if there was one by then."""
        self.state = state
        self._tenant = tenant
        self._root = root
        self._members = set(state.accounts)

    def take(
        self, batch_seq: int, recorded_at: int, events: Sequence[Event], end: int | None = None
    ) -> None:
        """Fold a batch, or its first `end` entries. What it applies is in the catalog already."""
        state, members = self.state, self._members
        state.keys.newest.clear()  # an identity comes once in a journal
        state.begin_batch(batch_seq, recorded_at)
        opened: list[BookOpened] = []
        for event in events[:end]:
            account = event.account
            if account and account not in members:
                if type(event) is not AccountCreated or event.root != self._root:
                    state.locator += 1
                    continue
                members.add(account)
            elif type(event) is BookOpened:
                if not self._is_kept(event):
                    state.books.pass_over(event.book)
                    state.locator += 1
                    continue
                if event.kind in OF_A_GRANT:
                    opened.append(event)
            elif type(event) is ConfigurationApplied and event.tenant != self._tenant:
                state.locator += 1
                continue
            evolve(state, event)
        for event in opened:  # whose the grant is came after its books
            if event.owner not in state.grants:
                state.books.drop(event.book)

    def _is_kept(self, event: BookOpened) -> bool:
        """Whether a book may be the family's: of its accounts, of a grant, or of the house."""
        if event.tenant != self._tenant:
            return False
        return event.kind not in OF_AN_ACCOUNT or event.owner in self._members


async def read_past(
    journal: Journal,
    store: CheckpointStore,
    configurations: Configurations,
    codec: BatchCodec[Event],
    place: Place,
    entries_max: int = ENTRIES_MAX,
) -> Past:
    """The family before the entry at `place`.

    Raises PastTooLong, JournalCorrupt, JournalUnavailable, ConfigurationMissing, and LookupError
    where the journal has no such entry.
    """
    rows = await journal.fetch([place.batch_seq], with_private=False)
    if not rows or not 0 <= place.in_batch < rows[0].event_count:
        raise LookupError(
            f"shard {journal.shard} has no entry {place.in_batch} of {place.batch_seq}"
        )
    state, before = await _begin(journal, store, configurations, place)
    entries = rows[0].first_event - state.entry_seq
    if entries > entries_max:
        raise PastTooLong(entries, entries_max)
    past = PastFamily(state, place.tenant, place.root)
    async for row in journal.read(state.batch_seq, place.batch_seq, with_private=False):
        expected = (state.batch_seq + 1, state.entry_seq, before)
        if (row.batch_seq, row.first_event, row.prev_hash) != expected:
            raise JournalCorrupt(
                f"shard {row.shard}, batch {row.batch_seq} does not continue batch "
                f"{state.batch_seq}: the chain is broken"
            )
        events = codec.decode(row.payload)
        end = place.in_batch if row.batch_seq == place.batch_seq else None
        for event in events[:end]:
            if type(event) is ConfigurationApplied and event.tenant == place.tenant:
                await _install(configurations, state, place.tenant, event.version)
        past.take(row.batch_seq, row.recorded_at_us, events, end)
        if end is not None:
            return Past(state, events, entries + end)
        before = row.hash
        await asyncio.sleep(0)
    raise JournalCorrupt(f"shard {journal.shard} ends before batch {place.batch_seq}")


async def _begin(
    journal: Journal, store: CheckpointStore, configurations: Configurations, place: Place
) -> tuple[State, bytes]:
    """Where to begin, with the hash of its batch: the checkpoint if one of before can be read."""
    for _ in range(CHECKPOINTS_TRIED):
        try:
            found = await _checkpoint(journal, store, configurations, place)
        except JournalConflict:  # it was moved on meanwhile
            continue
        except (msgspec.MsgspecError, ValueError):  # its writer says so, and replays everything
            break
        if found is None:
            break
        return found
    return State(journal.shard, Catalog()), GENESIS_HASH


async def _checkpoint(
    journal: Journal, store: CheckpointStore, configurations: Configurations, place: Place
) -> tuple[State, bytes] | None:
    stored = await store.load()
    if stored is None or not 0 < stored.batch_seq < place.batch_seq or stored.format != FORMAT:
        return None
    rows = await journal.fetch([stored.batch_seq], with_private=False)
    if not rows or rows[0].hash != stored.hash:
        return None
    state = unpack_shard(stored.body, Catalog())
    if not _stands_at(state, rows[0]):
        return None
    for version in range(1, state.configuration.get(place.tenant, 0) + 1):
        await _install(configurations, state, place.tenant, version)
    state.suspended = {root: n for root, n in state.suspended.items() if root == place.root}
    expected = Expected(stored.epoch, stored.batch_seq)
    for family in await store.families([place.root], expected):
        if family.place.format != FORMAT:
            return None
        unpack_family(state, family.body)
    return state, stored.hash


def _stands_at(state: State, row: JournalRow) -> bool:
    reached = (state.shard, state.batch_seq, state.entry_seq, state.recorded_at)
    return reached == (row.shard, row.batch_seq, row.next_event, row.recorded_at_us)


async def _install(configurations: Configurations, state: State, tenant: int, version: int) -> None:
    await configurations.load(tenant, version)
    configurations.install(state.catalog, tenant, version)
