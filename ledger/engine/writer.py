"""One shard's writer: queue -> resolve -> decide -> evolve -> group commit -> reply.

One task owns the state; there are no locks. While one batch commits, the next one fills on top of
it: group commit by back-pressure, not by timer. Every reply waits until the highest batch decided
at that moment is durable. When a commit fails, or its outcome is unknown, everything speculative is
dropped and the shard is opened again from its journal. What rests on the state alone, and on no
commit, is answered only while the read lease holds, or once it is known to have held.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from ledger.core.commands import Command
from ledger.core.due import sweep
from ledger.core.events import Event, SuspenseRated
from ledger.core.limits import MILLISECOND_US, SECOND_US, SWEEP_ENTRIES_MAX
from ledger.core.state import State
from ledger.core.upcast import UPCASTS
from ledger.engine.alarm import Alarm
from ledger.engine.answers import Answers, fail, refuse, unknown
from ledger.engine.batch import BATCH_COMMANDS_MAX, Batch
from ledger.engine.checkpoint import Checkpointer, Head
from ledger.engine.clock import Clock, ClockSkewed, WriterTime
from ledger.engine.configuration import Configurations
from ledger.engine.deciding import Decider, part_of
from ledger.engine.lease import ALWAYS, NEVER_OURS, ReadLease
from ledger.engine.observer import NoObserver, Observer
from ledger.engine.paging import Pager, touched_accounts, touched_roots
from ledger.engine.recorded import Recorded
from ledger.engine.recovery import LeaseLapsed, Progress, Replayer, open_shard
from ledger.engine.resolve import Resolver, Waiting, arrival
from ledger.engine.restore import CheckpointDamaged
from ledger.engine.ticket import (
    NotApplied,
    NotAppliedReason,
    NotOwner,
    PositionAhead,
    Read,
    Ticket,
)
from ledger.engine.upkeep import Upkeep
from ledger.engine.watching import Watchers
from ledger.engine.whole import whole_state
from ledger.journal.checkpoint import CheckpointStore
from ledger.journal.codec import BatchCodec
from ledger.journal.errors import CommitUnknown, JournalConflict, JournalError, JournalUnavailable
from ledger.journal.protocol import Journal, JournalRow

T = TypeVar("T")

QUEUE_COMMANDS_MAX: Final = 65_536  # waiting in one shard; x ~400 B = 26 MB
COURTESIES_MAX: Final = 2
"""Turns of the loop that a batch waits for more before it commits: nothing when idle, a larger
batch when busy."""
RETRY_AFTER_US: Final = 50_000
REOPEN_DELAY_MIN_US: Final = 50_000
REOPEN_DELAY_MAX_US: Final = 2_000_000
TIMER_WAIT_MAX_US: Final = 1_000_000  # a jump of the wall clock is noticed within a second


class Writer:
    """Owns one shard's state. `start` it, then `submit`, `read` and `peek`."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        configurations: Configurations,
        recorded_by: str = "",
        observer: Observer | None = None,
        progress: Progress | None = None,
        lease: ReadLease = ALWAYS,
        *,
        checkpoints: CheckpointStore,
        upkeep: Upkeep | None = None,
    ) -> None:
        self.shard = journal.shard
        self.lease = lease
        self.durable_position = 0  # entries of the shard that are durable and replayed
        self.watchers = Watchers()
        self.opened = asyncio.Event()
        self.has_served = False
        self.failures = 0  # to open, in a row
        self.problem: str = "opening"  # why the shard is not open; "" while it is
        self._journal = journal
        self._clock = clock
        self._configurations = configurations
        self._recorded_by = recorded_by
        self._observer: Observer = observer if observer is not None else NoObserver()
        self._progress: Progress = progress if progress is not None else _no_progress
        self._codec: BatchCodec[Event] = BatchCodec(Event, UPCASTS)
        self._answers = Answers(journal, self._codec, lease)
        self._queue: deque[Ticket | Read] = deque()
        self._queued_commands = 0
        self._wake = asyncio.Event()
        self._alarm = Alarm(self._wake.set)
        self._stopping = False
        self._halted = False  # something that no reopening repairs
        self._lost = lease is NEVER_OURS  # the shard is another process's
        self._handing_over = False  # ... or about to be
        self._task: asyncio.Task[None] | None = None
        self._state: State | None = None
        self._time: WriterTime
        self._asking_time = False  # whether the journal is being asked about a jump
        self._head_hash = b""
        self._batch: Batch | None = None  # being filled
        self._suspended = -1  # usage events that waited for a price when the observer was last told
        self._committing: Batch | None = None  # in flight
        self._commit: asyncio.Task[None] | None = None
        self._checkpoints = checkpoints
        self._trusts_checkpoint = True
        self._failure: BaseException | None = None  # of what runs beside: drops the state
        limits = upkeep if upkeep is not None else Upkeep()
        self._pager = Pager(limits)
        self._checkpointer = Checkpointer(
            checkpoints, clock, self._observer, limits, self._wake.set
        )
        self._resolver = Resolver(
            checkpoints, self._checkpointer, self._pager, clock, self._take_back, self._fail_with
        )
        self._decider = Decider(self._answers, configurations, self._checkpointer)
        self.recorded = Recorded(self.read, self._answers, self._resolver)

    # -- callers ---------------------------------------------------------------------------------

    @property
    def stopping(self) -> bool:
        """Whether it was asked to end."""
        return self._stopping

    @property
    def state(self) -> State:
        """The speculative state. Raises NotApplied while the shard is not open, or not ours."""
        if self._lost:
            raise self._not_open()
        state = self._speculative
        if not self.lease.holds():
            raise self._lapsed()
        return state

    @property
    def _speculative(self) -> State:
        if self._state is None:
            raise self._not_open()
        return self._state

    async def submit(
        self,
        commands: Sequence[Command],
        deadline_us: int = 0,
        span: object = None,
        actor: str = "",
    ) -> Ticket:
        """Decide commands in order and return when the answer is durable.

        See `accept`. Raises NotApplied, OutcomeUnknown.
        """
        ticket = self.accept(commands, deadline_us, span, actor)
        await ticket.future
        return ticket

    def accept(
        self,
        commands: Sequence[Command],
        deadline_us: int = 0,
        span: object = None,
        actor: str = "",
    ) -> Ticket:
        """Queue commands, behind what was accepted before; the ticket's future says when they are
        answered.

        At most BATCH_COMMANDS_MAX commands; never split over batches. `deadline_us` is by the
        monotonic clock. Raises NotApplied.
        """
        assert 0 < len(commands) <= BATCH_COMMANDS_MAX, len(commands)
        if self._state is None or self._stopping or self._lost:
            raise self._not_open()
        if self._queued_commands + len(commands) > QUEUE_COMMANDS_MAX:
            raise NotApplied(
                NotAppliedReason.QUEUE_FULL,
                f"{self._queued_commands} commands wait in shard {self.shard}, "
                f"{QUEUE_COMMANDS_MAX} are allowed: send the same ids again later",
                RETRY_AFTER_US,
            )
        future = asyncio.get_running_loop().create_future()
        ticket = Ticket(self.shard, commands, future, deadline_us, span, actor)
        self._enqueue(ticket, len(commands))
        return ticket

    async def read(
        self,
        function: Callable[[State], T],
        min_position: int = 0,
        accounts: Sequence[int] = (),
    ) -> tuple[T, int]:
        """(function(state), position): in order with the commands, and durable when it returns.

        `accounts` are those that it looks at: their families are in memory by then.
        Raises PositionAhead where the shard has not reached `min_position`, and NotApplied.
        """
        if self._state is None or self._stopping or self._lost:
            raise self._not_open()
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._enqueue(Read(function, min_position, accounts, future), 0)
        return await future  # type: ignore[return-value]

    def peek(self, function: Callable[[State], T]) -> T:
        """function(speculative state), at once: advisory. Raises NotApplied.

        Only for what is shard-wide: families may not be in memory.
        """
        return function(self.state)

    async def look(self, function: Callable[[State], T], accounts: Sequence[int]) -> T:
        """The same at what these accounts have: at once where their families are in memory."""
        await self.bring_in(accounts)
        state = self.state
        _act_for(state, accounts)
        return function(state)

    async def bring_in(self, accounts: Sequence[int]) -> None:
        """Return when the families of these accounts are in memory. Raises NotApplied."""
        while any(account in self.state.paged for account in accounts):
            await self.read(_nothing, accounts=accounts)

    async def checkpoint(self) -> int:
        """Take a checkpoint now and return when it is durable: the batch that it stands after.

        Raises JournalUnavailable, and NotApplied while the shard is not open.
        """
        if self._state is None or self._stopping:
            raise self._not_open()
        return await self._checkpointer.request()

    async def whole(self) -> State:
        """A copy of the state with all that has left memory: for digests. Nothing may go on."""
        return await whole_state(self._speculative, self._checkpointer.segments, self._checkpoints)

    # -- life ------------------------------------------------------------------------------------

    def start(self) -> asyncio.Task[None]:
        """Begin to open the shard; `opened` is set when it serves. The task ends with its life."""
        assert self._task is None
        self._task = asyncio.create_task(self._run(), name=f"writer-{self.shard}")
        self._task.add_done_callback(self._alarm.end)
        return self._task

    async def stop(self, *, handing_over: bool = False) -> None:
        """Take nothing more, finish what is queued, and return when it is durable.

        `handing_over`: callers are told that another process will serve the shard.
        """
        self._handing_over = handing_over
        self._stopping = True
        self._wake.set()
        if self._task is not None:
            await self._task
        await self._answers.ended()

    def abandon(self) -> None:
        """Another process has the shard: answer nothing more from this state, and end.

        A batch on its way to the journal ends as the journal says.
        """
        self._lost = True
        self._wake.set()

    def confirm(self) -> None:
        """The lease was renewed, so nobody opened the shard meanwhile: answer what waited."""
        self._answers.confirm()

    def lapsed(self) -> None:
        """The lease cannot be renewed now: what waits for it is told to ask again."""
        self._answers.refuse_unconfirmed(self._lapsed())

    async def _run(self) -> None:
        delay_us = REOPEN_DELAY_MIN_US
        while True:
            try:
                await self._open()
                delay_us, self.failures = REOPEN_DELAY_MIN_US, 0
                await self._serve()
                return
            except (
                JournalUnavailable,
                JournalConflict,
                CommitUnknown,
                ClockSkewed,
                LeaseLapsed,
            ) as error:
                self._lost |= isinstance(error, JournalConflict) and not self.lease.holds()
                self._drop(error)
            except CheckpointDamaged as error:
                self._trusts_checkpoint = False
                self._drop(error)
            except BaseException as error:
                # The books do not balance or the journal is corrupt: never go on (rule B7).
                self._halted = True
                self._drop(error)
                self._stopping = True
                raise
            self.failures += 1
            if self._stopping or self._lost:
                return
            await self._pause(delay_us)
            delay_us = min(delay_us * 2, REOPEN_DELAY_MAX_US)

    async def _open(self) -> None:
        started = self._clock.monotonic_us()
        replayer, self._time = await open_shard(
            self._journal,
            self._checkpoints,
            self._trusts_checkpoint,
            self._clock,
            self._codec,
            self._configurations,
            self._recorded_by,
            self._progress,
            self.lease,
        )
        unapplied = await self._configurations.unapplied(replayer.state.configuration)
        self._head_hash = replayer.head_hash
        self._answers.open()
        self.durable_position = replayer.state.entry_seq
        self._state = replayer.state
        self._open_upkeep(replayer)
        self._apply_first(unapplied)
        self._tell_suspense()
        self.problem = ""
        self.opened.set()
        self.has_served = True
        self.watchers.tell_all()  # what was not durable is gone
        self._observer.shard_opened(
            self.shard, self.durable_position, self._clock.monotonic_us() - started
        )

    def _open_upkeep(self, replayer: Replayer) -> None:
        """Checkpoints, paging and resolving begin with the state that was opened."""
        state, restored = replayer.state, replayer.restored
        head = Head(state.batch_seq, self._head_hash, state.entry_seq, state.recorded_at)
        stored = (restored.batch_seq, restored.entry_seq)
        self._trusts_checkpoint = True
        self._failure = None
        self._checkpointer.open(state, restored.segments, stored, head, replayer.dirty())
        self._pager.restart(state.families, self._clock.monotonic_us())
        self._resolver.open(state)

    def _apply_first(self, commands: Sequence[Command]) -> None:
        """Nothing is decided by this state before it has applied what is published."""
        for start in range(0, len(commands), BATCH_COMMANDS_MAX):
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            future.add_done_callback(_watched_by_nobody)
            part = commands[start : start + BATCH_COMMANDS_MAX]
            self._enqueue(Ticket(self.shard, part, future), len(part))

    def _drop(self, error: BaseException) -> None:
        """Forget everything speculative and say to each caller how sure we are (rule I6)."""
        self._drop_undecided(f"{type(error).__name__}: {error}")
        if self._committing is not None:
            is_unknown = not isinstance(error, JournalUnavailable | JournalConflict)
            fail(
                self._committing,
                unknown(error) if is_unknown else self._not_open(),
                self._not_open(),
            )
        self._committing = self._commit = None

    def _drop_undecided(self, problem: str) -> None:
        """Forget the state and everything that is not on its way to the journal."""
        self.opened.clear()
        self.problem = problem
        self._state = None
        self._checkpointer.drop()
        for item in self._resolver.drop():
            refuse(item.future, self._not_open())
        if self._batch is not None:
            fail(self._batch, self._not_open(), self._not_open())
        self._batch = None
        while self._queue:
            refuse(self._queue.popleft().future, self._not_open())
        self._queued_commands = 0
        self._answers.refuse_unconfirmed(self._not_open())

    async def _let_go(self) -> None:
        """The shard is another's: only what may be in the journal by now is still waited for."""
        self._drop_undecided("another process has the shard")
        if self._commit is not None:
            await asyncio.wait({self._commit})
            error = self._commit.exception()
            if error is not None:
                self._drop(error)
        self._answers.refuse_unconfirmed(self._not_open())

    def _not_open(self) -> NotApplied:
        if self._halted:
            return NotApplied(
                NotAppliedReason.WRITER_HALTED,
                f"shard {self.shard} has stopped for good ({self.problem}) and recorded nothing; "
                "an operator must look at its log and run `drawdown verify`",
                REOPEN_DELAY_MAX_US,
            )
        if self._lost or self._handing_over:
            return NotOwner(self.shard, RETRY_AFTER_US)
        if self._stopping:
            return NotApplied(
                NotAppliedReason.SHUTTING_DOWN,
                "the server is shutting down and recorded nothing; send the same ids again",
                RETRY_AFTER_US,
            )
        return NotApplied(
            NotAppliedReason.WRITER_REOPENING,
            f"shard {self.shard} is being opened ({self.problem}) and recorded nothing; "
            "send the same ids again",
            RETRY_AFTER_US,
        )

    def _lapsed(self) -> NotApplied:
        return NotApplied(
            NotAppliedReason.LEASE_LAPSED,
            f"whether shard {self.shard} is still this process's is not known now; ask again",
            RETRY_AFTER_US,
        )

    async def _pause(self, delay_us: int) -> None:
        self._wake.clear()
        try:
            async with asyncio.timeout(delay_us / SECOND_US):
                while not self._stopping and not self._lost:
                    await self._wake.wait()
                    self._wake.clear()
        except TimeoutError:
            pass

    # -- queue -> decide -> evolve -----------------------------------------------------------------

    def _enqueue(self, item: Ticket | Read, command_count: int) -> None:
        self._queue.append(item)
        self._queued_commands += command_count
        self._wake.set()

    async def _serve(self) -> None:
        while True:
            if self._commit is not None and self._commit.done():
                self._commit.result()  # raises what made the commit fail
                self._commit = None
            if self._lost:
                await self._let_go()
                return
            if self._failure is not None:
                if self._commit is None:
                    raise self._failure
                await asyncio.wait({self._commit})  # ends as the journal says, not as this failed
                continue
            self._turn()
            if self._decider.left <= 0:
                await self._give_way()
                continue
            if self._sweep_due():
                self._sweep()
            if self._queue and self._room_for(self._queue[0]):
                item = self._queue.popleft()
                if self._resolver.holds_back(self._speculative, item):
                    pass  # it comes back when what it needs is in memory
                elif isinstance(item, Read):
                    self._look(item)
                else:
                    await self._decide(item)
            elif self._commit is None and self._batch is not None and self._batch.events:
                if self._batch.courtesies < COURTESIES_MAX:
                    self._batch.courtesies += 1
                    await self._give_way()  # requests that are being parsed may still join
                else:
                    self._seal(self._batch)
            elif self._is_finished() and self._checkpointer.drained():
                self._checkpointer.drop()
                return
            elif not self._page_out():
                self._decider.spent = 0
                await self._until_woken()

    def _is_finished(self) -> bool:
        """Whether everything that was accepted before the stop is durable."""
        waits = self._commit is not None or self._queue or self._resolver.waiting
        return self._stopping and not waits

    def _room_for(self, item: Ticket | Read) -> bool:
        if self._batch is None or isinstance(item, Read):
            return True
        return self._batch.takes(len(item.commands))

    def _open_batch(self) -> Batch:
        """The batch being filled; an empty one moves on to the present time."""
        state = self._speculative
        batch = self._batch
        if batch is None or not batch.events:
            recorded_at = self._time.next()
            self._ask_about_jump()
            if batch is None:
                state.begin_batch(state.batch_seq + 1, recorded_at)
                batch = self._batch = Batch(state.batch_seq, state.entry_seq, recorded_at)
            else:
                state.postpone_batch(recorded_at)
                batch.recorded_at = recorded_at
                batch.command_count = 0
        batch.shifted = batch.shifted or bool(state.offsets)
        return batch

    async def _decide(self, ticket: Ticket) -> None:
        """Decide a ticket whole, yielding to the loop between slices."""
        commands = ticket.commands
        self._queued_commands -= len(commands)
        self._observer.queue_changed(self.shard, self._queued_commands)
        if ticket.future.done():  # the caller went away before anything was decided
            return
        if ticket.deadline_us and self._clock.monotonic_us() > ticket.deadline_us:
            refuse(
                ticket.future,
                NotApplied(
                    NotAppliedReason.DEADLINE,
                    "the deadline passed in the queue; nothing was recorded",
                    0,
                ),
            )
            return
        batch = self._open_batch()
        batch.command_count += len(commands)
        self._speculative.keys.found = (
            ticket.resolution.found if ticket.resolution is not None else {}
        )
        decided, decider = 0, self._decider
        while decided < len(commands):
            if decided and decider.left <= 0:
                await self._give_way()
            part = part_of(commands, decided, decider.left)
            try:
                decided += decider.decide(self._speculative, ticket, batch, part)
            except BaseException:
                batch.tickets.append(ticket)  # is told with the others, when the batch is dropped
                raise
        self._speculative.keys.found = {}
        ticket.events = batch.events
        ticket.first_event = batch.first_event
        ticket.batch_seq = batch.batch_seq
        ticket.recorded_at = self._speculative.now  # of its tenant, who was decided for last
        ticket.position = batch.first_event + len(batch.events)
        waits_for = batch if batch.events else self._committing
        if waits_for is None:
            self._answers.answer_while_ours(ticket)
        else:
            waits_for.tickets.append(ticket)

    async def _give_way(self) -> None:
        """Others of the loop have their turn."""
        await asyncio.sleep(0)
        self._decider.spent = 0

    def _look(self, read: Read) -> None:
        if read.future.done():
            return
        state = self._speculative
        if read.min_position > state.entry_seq:
            ahead = PositionAhead(self.shard, read.min_position, state.entry_seq)
            self._answers.settle_while_ours(read.future, ahead)
            return
        _act_for(state, read.accounts)
        try:
            value = read.function(state)
        except Exception as error:
            self._answers.settle_while_ours(read.future, error)
            return
        answer = (value, state.entry_seq)
        waits_for = self._batch if self._batch is not None and self._batch.events else None
        if waits_for is None:
            waits_for = self._committing
        if waits_for is None:
            self._answers.settle_while_ours(read.future, answer)
        else:
            waits_for.reads.append((read.future, answer))

    # -- group commit -> reply -------------------------------------------------------------------

    def _seal(self, batch: Batch) -> None:
        """Hand the batch to the journal; the next one fills on top of it meanwhile."""
        row = batch.row(self.shard, self._head_hash, self._codec)
        self._head_hash = row.hash
        self._answers.remember(batch.recorded())
        self._batch = None
        self._committing = batch
        roots = self._tend(batch, row)
        if self._suspended != self._speculative.suspended_events:
            self._tell_suspense()
        started = self._observer.batch_sealed(
            self.shard, batch.batch_seq, batch.tickets, len(batch.events), len(row.payload)
        )
        self._commit = asyncio.create_task(
            self._append(batch, row, started, roots), name=f"commit-{self.shard}"
        )

    async def _append(
        self, batch: Batch, row: JournalRow, started: object, roots: dict[int, None]
    ) -> None:
        sent_us = self._clock.monotonic_us()
        try:
            await self._journal.append(row)
        except BaseException as error:
            self._observer.batch_ended(started, self._clock.monotonic_us() - sent_us, error)
            self._wake.set()
            raise
        self._observer.batch_ended(started, self._clock.monotonic_us() - sent_us, None)
        self.durable_position = row.next_event
        self._committing = None
        self._checkpointer.durable(row.batch_seq)
        self._answers.give(batch)
        if self.watchers:
            self._tell_watchers(batch, roots)
        self._wake.set()

    def _tell_watchers(self, batch: Batch, roots: dict[int, None]) -> None:
        if 0 in touched_accounts(batch.events):  # of the whole shard: prices, a clock
            self.watchers.tell_all()
        else:
            self.watchers.tell(roots)

    # -- time --------------------------------------------------------------------------------------

    def _sweep_due(self) -> bool:
        timers = self._speculative.timers
        if not timers:
            return False
        now = self._time.peek()
        self._ask_about_jump()
        return timers[0][0] <= now

    def _sweep(self) -> None:
        """Post what is overdue; a due entry without an effect any more costs nothing."""
        batch = self._open_batch()
        state = self._speculative
        entries_max = self._decider.most(SWEEP_ENTRIES_MAX)
        before = len(batch.events)
        sweep(state, entries_max, batch.events, self._checkpointer.protect_family)
        self._decider.spent += len(batch.events) - before
        rated = sum([type(event) is SuspenseRated for event in batch.events[before:]])
        if rated:
            self._tell_suspense(rated)
        if state.overdue:
            self._resolver.want(state.overdue)
            state.overdue = []

    def _tell_suspense(self, rated: int = 0) -> None:
        self._suspended = self._speculative.suspended_events
        self._observer.suspense_changed(self.shard, self._suspended, rated)

    # -- upkeep ------------------------------------------------------------------------------------

    def _tend(self, batch: Batch, row: JournalRow) -> dict[int, None]:
        """A batch ends: the moment to capture, and to let idle families go. Returns the families
        that it has changed."""
        state = self._speculative
        roots = touched_roots(state, batch.events, batch.runs)
        self._pager.touch(roots, self._clock.monotonic_us())
        head = Head(batch.batch_seq, row.hash, row.next_event, batch.recorded_at)
        self._checkpointer.sealed(roots, head)
        self._page_out()
        return roots

    def _turn(self) -> None:
        """Let the checkpointer take in what has ended, or begin."""
        batch = self._batch
        if batch is None or not batch.events:
            self._checkpointer.turn(True, self._time.peek())
        else:
            self._checkpointer.turn(False, batch.recorded_at)

    def _page_out(self) -> bool:
        """Let a few idle families leave memory, if nothing is undecided; whether any did."""
        if self._batch is not None and self._batch.events:
            return False
        state = self._speculative
        now = self._clock.monotonic_us()
        dropped = self._pager.page_out(state, self._may_leave, now)
        if dropped:
            self._observer.families_changed(
                self.shard, len(state.families), len(state.paged_families)
            )
        return dropped > 0

    def _may_leave(self, root: int) -> bool:
        return self._checkpointer.is_clean(root) and not self._resolver.needs(root)

    def _take_back(self, items: Sequence[Waiting]) -> None:
        """What was parked goes first, in order of arrival, and is looked at again."""
        first: list[Any] = list(items)
        while self._queue and self._queue[0].resolution is not None:
            first.append(self._queue.popleft())  # came back before, and found no room since
        self._queue.extendleft(sorted(first, key=arrival, reverse=True))
        self._wake.set()

    def _fail_with(self, error: BaseException) -> None:
        self._failure = error
        self._wake.set()

    async def _until_woken(self) -> None:
        """Wait for a command, the end of the commit, or the next timer."""
        self._wake.clear()
        timers = self._speculative.timers
        if timers:
            wait_us = timers[0][0] - self._time.peek()
            self._alarm.ring_in(max(MILLISECOND_US, min(wait_us, TIMER_WAIT_MAX_US)))
        await self._wake.wait()

    def _ask_about_jump(self) -> None:
        """A wall clock that jumped is believed when the journal's agrees; one question at a time.

        Also while nothing comes: expiries are due by the wall clock after a machine was suspended.
        """
        if self._time.jumped and not self._asking_time:
            self._asking_time = True
            self._answers.spawn(self._confirm_time())

    async def _confirm_time(self) -> None:
        try:
            if self._time.confirm(await self._journal.now_us()):
                self._wake.set()
        except JournalError:
            return  # asked again with the next batch
        finally:
            self._asking_time = False


def _act_for(state: State, accounts: Sequence[int]) -> None:
    """What is looked at is looked at in the time of its tenant (rule T4)."""
    if state.offsets:
        account = state.accounts.get(accounts[0]) if accounts else None
        state.act_for(account.tenant if account is not None else 0)


def _nothing(_: State) -> None:
    """Only that it is there is asked for."""


def _watched_by_nobody(ended: asyncio.Future[None]) -> None:
    if not ended.cancelled():
        ended.exception()


def _no_progress(done: int, total: int) -> None:
    """Nobody watches the replay."""
