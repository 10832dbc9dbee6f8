"""The last batches in memory, and how a recorded outcome is found again.

Retries come soon: most are answered from here. Older ones are read from the journal, which is the
exact answer (rule I1). Nothing here is state; it may be dropped at any time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from ledger.core.budgets.counted_before import counted_behind
from ledger.core.commands import Command
from ledger.core.drawing.conversion import conversion_behind
from ledger.core.events import Event, PlanDeclared, TimeShifted
from ledger.core.metering.levels import metered_before
from ledger.core.outcomes import Reason, Refusal, locator_of, split_locator
from ledger.core.pricing.costs import cost_plan_of
from ledger.core.repeats import first_difference, is_abandoned
from ledger.engine.ticket import Replay, TicketOutcome
from ledger.journal.codec import BatchCodec
from ledger.journal.protocol import Journal

RECENT_EVENTS_MAX: Final = 65_536  # a shard; x ~800 B = 52 MB

# Events that name their plan by its index in the batch.
_PLANNED = (
    "UsageRecorded",
    "UsageModeled",
    "UsageCosted",
    "UsageCaptured",
    "UsageDebited",
    "HoldCharged",
    "SuspenseRated",
    "UsageQuoted",
    "UsageRepriced",
    "QuoteMade",
    "UsageQuarantined",
    "GaugeReported",
    "GaugeCharged",
    "UsageReversed",
    "UsageRerated",
    "SharedRerated",
    "HoldAuthorized",
    "LeaseGranted",
    "LeaseRenewed",
    "UsageLeased",
    "OutcomeReported",
    "OutcomeConfirmed",
    "AuthorizeDenied",
    "QuotedDenied",
    "SizedDenied",
    "WorkDenied",
    "HoldSized",
    "OperationHeld",
    "OperationLeaseGranted",
    "OperationReserved",
    "OperationPartHeld",
    "SizedOperationHeld",
    "HoldUpTo",
    "PolicyHeld",
    "PolicyDebited",
    "HoldDebited",
    "PolicyDenied",
    "HoldDebitDenied",
    "BudgetDenied",
)


class RecordedBatch(msgspec.Struct, frozen=True, gc=False):
    """A decided batch: its events, and where they stand."""

    batch_seq: int
    first_event: int
    recorded_at: int
    events: list[Event]
    shifts: Sequence[tuple[int, int]] = ()  # (index, offset of the entries from there on): rule T4

    def recorded_at_of(self, index: int) -> int:
        """When an entry was recorded, by the clock of its tenant."""
        offset = 0
        for start, shift in self.shifts:
            if start > index:
                break
            offset = shift
        return self.recorded_at + offset


class RecentBatches:
    """Decided batches, oldest dropped first; reads through to the journal."""

    __slots__ = ("_batches", "_codec", "_count", "_journal")

    def __init__(self, journal: Journal, codec: BatchCodec[Event]) -> None:
        self._journal = journal
        self._codec = codec
        self._batches: OrderedDict[int, RecordedBatch] = OrderedDict()
        self._count = 0

    def add(self, batch: RecordedBatch) -> None:
        """Remember a batch as it is decided; forget the oldest beyond RECENT_EVENTS_MAX."""
        self._batches[batch.batch_seq] = batch
        self._count += len(batch.events)
        while self._count > RECENT_EVENTS_MAX and len(self._batches) > 1:
            _, oldest = self._batches.popitem(last=False)
            self._count -= len(oldest.events)

    def find(self, locator: int) -> Replay | None:
        """The entry at a locator if its batch is in memory."""
        batch_seq, index = split_locator(locator)
        batch = self._batches.get(batch_seq)
        return None if batch is None else replay_of(batch, index)

    async def fetch(self, locators: Iterable[int]) -> dict[int, Replay]:
        """The entries at these locators, read from the journal in one query."""
        wanted: dict[int, list[int]] = {}
        for locator in locators:
            batch_seq, index = split_locator(locator)
            wanted.setdefault(batch_seq, []).append(index)
        found: dict[int, Replay] = {}
        for row in await self._journal.fetch(sorted(wanted), with_private=False):
            events = self._codec.decode(row.payload)
            batch = RecordedBatch(
                row.batch_seq, row.first_event, row.recorded_at_us, events, shifts_in(events)
            )
            for index in wanted[row.batch_seq]:
                found[locator_of(row.batch_seq, index)] = replay_of(batch, index)
        return found


def shifts_in(events: Sequence[Event], start: int = 0) -> list[tuple[int, int]]:
    """Where the entries of a batch, from `start` on, begin to be of another offset."""
    return [
        (index, event.offset)
        for index, event in enumerate(events[start:], start)
        if type(event) is TimeShifted
    ]


def replay_of(batch: RecordedBatch, index: int) -> Replay:
    """The entry at `index` of a batch, with the plan that it names."""
    event = batch.events[index]
    plan = None
    if type(event).__name__ in _PLANNED:
        declared = batch.events[event.plan]  # type: ignore[union-attr]
        assert isinstance(declared, PlanDeclared)
        plan = declared
    return Replay(
        event,
        plan,
        batch.batch_seq,
        batch.first_event + index,
        batch.recorded_at_of(index),
        locator_of(batch.batch_seq, index),
        conversion_behind(batch.events, index),
        cost_plan_of(batch.events, index),
        metered_before(batch.events, index),
        counted_behind(batch.events, index),
    )


def answer_again(command: Command, recorded: Replay) -> TicketOutcome:
    """The recorded outcome, or the conflict that the second body is (rule I1)."""
    if is_abandoned(recorded.event):
        return Refusal(
            Reason.ABANDONED,
            "request_id",
            "",
            "the id was abandoned through GetOutcome and will never be applied; use a new one",
        )
    field = first_difference(command, recorded.event, recorded.plan, recorded.metered)
    if field:
        return Refusal(
            Reason.CONFLICT,
            field,
            "",
            f"the id was recorded at entry {recorded.entry_seq}, where {field} differs; "
            "send what was sent first, or use a new id",
        )
    return recorded
