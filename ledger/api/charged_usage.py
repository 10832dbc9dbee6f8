"""What the journal says of usage that a job may rate again, a part at a time (rule R7)."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from ledger.api.edge import Edge
from ledger.core.commands import NO_NAMES, Names, Original
from ledger.core.events import UsageReversed
from ledger.core.identity import FamilyDigest
from ledger.core.outcomes import locator_of
from ledger.core.pricing.repricing import Job
from ledger.engine.ticket import Replay
from ledger.engine.writer import Writer
from ledger.journal.codec import PrivateRecords
from ledger.projections.charged import Charged

BATCHES_AT_ONCE: Final = 4  # read and decoded between two yields; x 12 ms


class ChargedUsage:
    """Reads usage of one family."""

    def __init__(self, edge: Edge, writer: Writer, family: FamilyDigest) -> None:
        self._edge = edge
        self._writer = writer
        self._family = family
        self._private = (0, PrivateRecords())  # names beside the entries of one batch
        self._private_of = 0

    async def usage(self, usage: Sequence[Charged]) -> list[Replay]:
        """What the journal says of the usage, a few batches at a time."""
        found: list[Replay] = []
        locators: list[int] = []
        batches: dict[int, None] = {}
        for each in usage:
            batches[each.batch_seq] = None
            if len(batches) > BATCHES_AT_ONCE:
                found += await self._writer.recorded.at(locators)
                await asyncio.sleep(0)
                locators, batches = [], {each.batch_seq: None}
            locators.append(locator_of(each.batch_seq, each.entry_seq - each.first_event))
        return found + await self._writer.recorded.at(locators)

    async def given_back(
        self, job: Job, originals: Sequence[Original]
    ) -> dict[int, tuple[int, ...]]:
        """Which of them the job has given back before, by entry: (entry that did, quantities); and
        () where it has recorded them again, too."""
        keys = [job.keys_of(self._family, each.entry_seq) for each in originals]
        taken = await self._writer.recorded.under_all([each[0] for each in keys])
        again: dict[int, tuple[int, ...]] = {}
        places = [place for place, replay in enumerate(taken) if replay is not None]
        put = await self._writer.recorded.under_all([keys[place][1] for place in places])
        for place, recorded in zip(places, put, strict=True):
            replay = taken[place]
            assert replay is not None
            event = replay.event
            if isinstance(event, UsageReversed):
                done = recorded is not None
                entry = originals[place].entry_seq
                again[entry] = () if done else (replay.entry_seq, *event.quantities)
        return again

    async def names_of(self, replay: Replay) -> Names:
        """Operation and personal attributes, as they stand beside the entry."""
        if replay.batch_seq != self._private_of:  # its neighbours come next
            self._private = await self._edge.private(self._writer.shard, replay.batch_seq)
            self._private_of = replay.batch_seq
        first, private = self._private
        index = replay.entry_seq - first
        place = bisect_left(private.indexes, index)
        if place == len(private.indexes) or private.indexes[place] != index:
            return NO_NAMES
        personal = private.personal.get(index, {})
        return Names(
            "",
            "",
            private.operations[place],
            private.operation_parents[place],
            tuple(sorted(personal.items())),
        )
