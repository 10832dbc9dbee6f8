"""The batch that a writer fills: entries, the names beside them, the tickets that wait for it."""

from __future__ import annotations

from asyncio import Future
from typing import Any, Final

from ledger.core.commands import Names
from ledger.core.events import Event
from ledger.engine.recent import RecordedBatch, shifts_in
from ledger.engine.ticket import Ticket
from ledger.journal.codec import AttributedRecords, BatchCodec, PrivateRecords, encode_private
from ledger.journal.protocol import JournalRow, make_row

BATCH_COMMANDS_MAX: Final = 8_192  # x ~120 B = 1 MB a commit
BATCH_ENTRIES_MAX: Final = 65_536  # stop taking tickets here; a batch may hold 16 times as many


class Batch:
    """Everything decided between two commits of one shard."""

    __slots__ = (
        "_looked_at",
        "actors",
        "batch_seq",
        "command_count",
        "courtesies",
        "events",
        "first_event",
        "indexes",
        "names",
        "reads",
        "recorded_at",
        "runs",
        "shifted",
        "shifts",
        "tickets",
    )

    def __init__(self, batch_seq: int, first_event: int, recorded_at: int) -> None:
        self.batch_seq = batch_seq
        self.first_event = first_event
        self.recorded_at = recorded_at
        self.shifted = False  # whether entries may be of another time than the batch (rule T4)
        self.shifts: list[tuple[int, int]] = []  # of those looked at: see RecordedBatch
        self._looked_at = 0
        self.events: list[Event] = []
        self.runs: list[tuple[int, int]] = []  # [first, end) of entries recorded many at a time
        self.command_count = 0
        self.courtesies = 0  # turns of the loop that it has waited for more
        self.indexes: list[int] = []  # entries that have names beside them
        self.names: list[Names] = []  # ... and those names
        self.actors: dict[int, str] = {}  # who caused the entry at an index, where it was said
        self.tickets: list[Ticket] = []
        self.reads: list[tuple[Future[object], object]] = []  # answers that wait for durability

    @property
    def full(self) -> bool:
        """Whether the next ticket has to wait for the next batch."""
        return self.command_count >= BATCH_COMMANDS_MAX or len(self.events) >= BATCH_ENTRIES_MAX

    def takes(self, command_count: int) -> bool:
        """Whether a ticket of this size fits; a batch takes any ticket as its first.

        Commands that recorded nothing fill no batch: an empty one is never sealed to make room.
        """
        if self.command_count == 0 or not self.events:
            return True
        return not self.full and self.command_count + command_count <= BATCH_COMMANDS_MAX

    def recorded(self) -> RecordedBatch:
        """The batch as retries of its ids will find it."""
        if self.shifted:
            self.shifts += shifts_in(self.events, self._looked_at)
            self._looked_at = len(self.events)
        return RecordedBatch(
            self.batch_seq, self.first_event, self.recorded_at, self.events, self.shifts
        )

    def row(self, shard: int, prev_hash: bytes, codec: BatchCodec[Event]) -> JournalRow:
        """The journal row that this batch becomes."""
        return make_row(
            shard=shard,
            batch_seq=self.batch_seq,
            recorded_at_us=self.recorded_at,
            first_event=self.first_event,
            event_count=len(self.events),
            format=codec.format,
            codec=codec.codec,
            prev_hash=prev_hash,
            payload=codec.encode(self.events),
            private=encode_private(self._private_records(), codec.compress),
        )

    def _private_records(self) -> PrivateRecords:
        names, events = self.names, self.events
        columns: tuple[Any, ...] = (
            self.indexes,
            [events[index].account for index in self.indexes],
            [name.source for name in names],
            [name.event_id for name in names],
            [name.operation for name in names],
            [name.operation_parent for name in names],
            {
                index: dict(name.personal)
                for index, name in zip(self.indexes, names, strict=True)
                if name.personal
            },
        )
        if self.actors:
            records = AttributedRecords(*columns)
            records.actors = self.actors
            return records
        return PrivateRecords(*columns)
