"""One shard, read in order: folded as it is up to the range, decided again within it.

A first look over the range finds what is corrected there. Changes nothing, and locks nothing that
a server needs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

from ledger.backtest.candidate import Candidate, Cards
from ledger.backtest.figures import Figures
from ledger.backtest.originals import Corrected
from ledger.backtest.replay import Replay
from ledger.backtest.terms import Terms
from ledger.core.budgets.counted_before import counted_behind
from ledger.core.catalog import Catalog
from ledger.core.commands import Original
from ledger.core.drawing.conversion import conversion_behind
from ledger.core.events import Event, PlanDeclared
from ledger.core.evolve import evolve_all
from ledger.core.outcomes import locator_of
from ledger.core.pricing.costs import cost_plan_of
from ledger.core.state import State
from ledger.core.upcast import UPCASTS
from ledger.engine.configuration import Configurations
from ledger.journal.codec import BatchCodec
from ledger.journal.connection import Connection
from ledger.journal.protocol import JournalRow, check_format
from ledger.journal.sql import load

PAGE_ROWS: Final = 32  # x ~400 kB = 13 MB
_SQL: Final = load("journal") | load("backtest")

Progress = Callable[[int, int, int], None]
"""Called with (shard, entries done, entries to do) as it goes on."""


async def replay_shard(
    connection: Connection,
    shard: int,
    from_us: int | None,
    to_us: int | None,
    candidate: Candidate,
    terms: Terms,
    configurations: Configurations,
    accounts_max: int,
    progress: Progress,
) -> Figures:
    """Decide what the shard recorded in [from, to) again. Raises JournalCorrupt."""
    head = await connection.fetchrow(_SQL["head"], shard)
    if head is None:
        return Figures()
    first = 0 if from_us is None else await connection.fetchval(_SQL["last_before"], shard, from_us)
    last: int = head["batch_seq"]
    if to_us is not None:
        last = await connection.fetchval(_SQL["last_before"], shard, to_us)
    total = await _entries_by(connection, shard, last)
    corrected = Corrected()
    async for row in read_rows(connection, shard, first, last):
        corrected.look(check_format(row).payload)
    catalog = Catalog()
    state = State(shard, catalog)
    past = _Past(state, corrected.places)
    async for row in read_rows(connection, shard, 0, first):
        past.take(row)
        progress(shard, row.next_event, total)
    replay = Replay(
        state,
        Cards(catalog, configurations, candidate),
        past.originals,
        corrected.places,
        candidate.tenant,
        terms=terms,
        began_us=from_us,
    )
    codec: BatchCodec[Event] = BatchCodec(Event, UPCASTS)
    async for row in read_rows(connection, shard, first, last):
        replay.batch(row.batch_seq, row.recorded_at_us, codec.decode(check_format(row).payload))
        progress(shard, row.next_event, total)
    replay.figures.folded = past.entries
    return replay.close(accounts_max)


class _Past:
    """What was recorded before the range, as it is."""

    def __init__(self, state: State, corrected: dict[int, frozenset[int]]) -> None:
        self.entries = 0
        self.originals: dict[int, Original] = {}  # that the range corrects
        self._state = state
        self._corrected = corrected
        self._codec: BatchCodec[Event] = BatchCodec(Event, UPCASTS)

    def take(self, row: JournalRow) -> None:
        """Fold a batch."""
        state = self._state
        events = self._codec.decode(check_format(row).payload)
        state.keys.newest.clear()
        state.begin_batch(row.batch_seq, row.recorded_at_us)
        evolve_all(state, events)
        self.entries += len(events)
        for index in self._corrected.get(row.batch_seq, ()):
            locator = locator_of(row.batch_seq, index)
            event = events[index]
            plan = events[getattr(event, "plan", index)]
            declared = plan if isinstance(plan, PlanDeclared) else None
            self.originals[locator] = Original(
                locator,
                row.first_event + index,
                event,
                declared,
                conversion_behind(events, index),
                cost_plan_of(events, index),
                counted=counted_behind(events, index),
            )


async def _entries_by(connection: Connection, shard: int, batch_seq: int) -> int:
    """Entries in all batches up to that one."""
    rows = await connection.fetch(_SQL["fetch"], shard, [batch_seq])
    return JournalRow(*rows[0]).next_event if rows else 0


async def read_rows(
    connection: Connection, shard: int, after: int, through: int
) -> AsyncIterator[JournalRow]:
    """The shard's rows with after < batch_seq <= through, in order; the next page is on its way
    while one is worked on."""
    if after >= through:
        return
    sql = _SQL["page"]
    coming = asyncio.ensure_future(connection.fetch(sql, shard, after, through, PAGE_ROWS))
    while True:
        page = await coming
        if len(page) == PAGE_ROWS:
            after = page[-1]["batch_seq"]
            coming = asyncio.ensure_future(connection.fetch(sql, shard, after, through, PAGE_ROWS))
        for record in page:
            yield JournalRow(*record)
            await asyncio.sleep(0)
        if len(page) < PAGE_ROWS:
            return
