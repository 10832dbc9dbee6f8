"""How callers of a writer are told: who may hear what, and when.

What is in the journal is told at once. What rests on the state alone, and on no commit, is told
only while the read lease holds, or once it is known to have held. Recorded outcomes come from the
batch at hand, from the last ones in memory, or from the journal. Must not decide anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

from ledger.core.commands import Command
from ledger.core.events import Event
from ledger.core.outcomes import locator_of, split_locator
from ledger.engine.batch import Batch
from ledger.engine.lease import ReadLease
from ledger.engine.recent import RecentBatches, RecordedBatch, answer_again, replay_of
from ledger.engine.ticket import PENDING, OutcomeUnknown, Replay, Ticket
from ledger.journal.codec import BatchCodec
from ledger.journal.errors import JournalError
from ledger.journal.protocol import BATCH_SEQ_FIRST, Journal


class Answers:
    """Belongs to one writer, which gives answers in the order of its batches."""

    __slots__ = ("_codec", "_fetches", "_journal", "_lease", "_recent", "_unconfirmed")

    def __init__(self, journal: Journal, codec: BatchCodec[Event], lease: ReadLease) -> None:
        self._journal = journal
        self._codec = codec
        self._lease = lease
        self._recent = RecentBatches(journal, codec)
        self._unconfirmed: list[Ticket | tuple[asyncio.Future[Any], object]] = []
        self._fetches: set[asyncio.Task[None]] = set()

    def open(self) -> None:
        """A state was opened: what another one decided is forgotten."""
        self._recent = RecentBatches(self._journal, self._codec)

    async def ended(self) -> None:
        """Return when nothing is being read from the journal any more."""
        if self._fetches:
            await asyncio.gather(*self._fetches, return_exceptions=True)

    # -- tickets and reads -------------------------------------------------------------------------

    def give(self, batch: Batch) -> None:
        """The batch is durable: answer all that waited for it."""
        for ticket in batch.tickets:
            if ticket.batch_seq == batch.batch_seq:
                self._answer(ticket)  # that the row is there proves that nobody came between
            else:
                self.answer_while_ours(ticket)
        for future, answer in batch.reads:
            self.settle_while_ours(future, answer)

    def answer_while_ours(self, ticket: Ticket) -> None:
        """Answer what rests on the state alone: now, or when the lease is confirmed."""
        if self._lease.holds():
            self._answer(ticket)
        else:
            self._unconfirmed.append(ticket)

    def settle_while_ours(self, future: asyncio.Future[Any], answer: object) -> None:
        """The same for a read; an exception is an answer too."""
        if self._lease.holds():
            settle(future, answer)
        else:
            self._unconfirmed.append((future, answer))

    def confirm(self) -> None:
        """The lease was renewed, so nobody opened the shard meanwhile: answer what waited."""
        waiting, self._unconfirmed = self._unconfirmed, []
        for each in waiting:
            if isinstance(each, Ticket):
                self._answer(each)
            else:
                settle(*each)

    def refuse_unconfirmed(self, error: Exception) -> None:
        """The lease cannot be renewed now, or the state is gone: what waited is told so."""
        waiting, self._unconfirmed = self._unconfirmed, []
        for each in waiting:
            refuse(each.future if isinstance(each, Ticket) else each[0], error)

    def _answer(self, ticket: Ticket) -> None:
        if ticket.pending:
            self.spawn(self._answer_from_journal(ticket))
        elif not ticket.future.done():
            ticket.future.set_result(None)

    # -- what was recorded before ------------------------------------------------------------------

    def remember(self, batch: RecordedBatch) -> None:
        """A batch was decided whole."""
        self._recent.add(batch)

    def recall(self, ticket: Ticket, command: Command, locator: int, batch: Batch) -> None:
        """Answer from what was recorded: from this batch, recent ones, or (later) the journal."""
        batch_seq, index = split_locator(locator)
        if batch_seq == batch.batch_seq:
            found: Replay | None = replay_of(batch.recorded(), index)
        else:
            found = self._recent.find(locator)
        if found is None:
            ticket.pending.append((len(ticket.outcomes), locator))
            ticket.outcomes.append(PENDING)
            return
        ticket.outcomes.append(answer_again(command, found))

    async def recorded(self, locators: Sequence[int]) -> dict[int, Replay]:
        """The entries at these locators. Raises JournalError."""
        found = {place: replay for place in locators if (replay := self._recent.find(place))}
        left = [place for place in locators if place not in found]
        return found | await self._recent.fetch(left) if left else found

    async def entry(self, batch_seq: int, entry_seq: int, last_batch: int) -> Replay | None:
        """The entry of that number, in this batch, or searched for up to `last_batch` (if 0).

        Raises JournalError.
        """
        low, high = (batch_seq, batch_seq) if batch_seq else (BATCH_SEQ_FIRST, last_batch)
        while low <= high:
            middle = (low + high) // 2
            rows = await self._journal.fetch([middle], with_private=False)
            if not rows or entry_seq < rows[0].first_event:
                high = middle - 1
            elif entry_seq >= rows[0].next_event:
                low = middle + 1
            else:
                locator = locator_of(middle, entry_seq - rows[0].first_event)
                return (await self.recorded([locator]))[locator]
        return None

    async def _answer_from_journal(self, ticket: Ticket) -> None:
        """Read the rows that retries of older ids ask for, then answer."""
        try:
            found = await self._recent.fetch([locator for _, locator in ticket.pending])
        except JournalError as error:
            refuse(ticket.future, unknown(error))
            return
        for place, locator in ticket.pending:
            ticket.outcomes[place] = answer_again(ticket.commands[place], found[locator])
        if not ticket.future.done():
            ticket.future.set_result(None)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Have something read beside the writer's task."""
        task = asyncio.create_task(work)
        self._fetches.add(task)
        task.add_done_callback(self._fetches.discard)


def fail(batch: Batch, error: Exception, of_reads: Exception) -> None:
    """The batch is gone: tell its tickets, and those that read what it would have made."""
    for ticket in batch.tickets:
        refuse(ticket.future, error)
    for future, _ in batch.reads:
        refuse(future, of_reads)


def refuse(future: asyncio.Future[Any], error: Exception) -> None:
    """Tell whoever still waits that it failed."""
    if not future.done():
        future.set_exception(error)


def settle(future: asyncio.Future[Any], answer: object) -> None:
    """Tell whoever still waits; an exception is raised there."""
    if future.done():
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)


def unknown(error: BaseException) -> OutcomeUnknown:
    """What is said of a commit that nobody knows about."""
    return OutcomeUnknown(
        f"the commit's outcome is unknown ({error}): ask GetOutcome, or send the same ids again"
    )
