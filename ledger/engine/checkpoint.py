"""Takes checkpoints of one shard beside its decisions: capture, pack, wait until durable, write.

At a batch boundary it fixes which families have changed and packs what is shard-wide; the families
are packed in slices between decisions, and one that is about to change is packed first, so that
every checkpoint shows one moment. It is written only once its batch is durable. What goes wrong is
harmless: the journal has everything, and the families stay to be written.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from itertools import islice
from typing import Final

import msgspec

from ledger.core.commands import Command
from ledger.core.keys import generation_of, is_forgotten
from ledger.core.limits import DEDUPE_WINDOW_US, KEYS_OUTLIVE_US, SECOND_US
from ledger.core.packing import FORMAT, family_due, pack_family, pack_shard
from ledger.core.state import State
from ledger.engine.clock import Clock
from ledger.engine.observer import CheckpointFigures, Observer
from ledger.engine.paging import root_of
from ledger.engine.segments import (
    KeyGroup,
    KeySegment,
    KeySegments,
    SegmentBuilder,
    bits_for,
    pack_filter,
    unite,
)
from ledger.engine.upkeep import Slices, Upkeep
from ledger.journal.checkpoint import (
    CheckpointStore,
    CheckpointWrite,
    FamilyPlace,
    NewSegment,
    StoredCheckpoint,
    StoredFamily,
    WriteOutcome,
)
from ledger.journal.errors import JournalUnavailable

RETRY_DELAY_US: Final = 1_000_000  # between attempts while the store is away
KEYS_A_SLICE: Final = 512  # x ~1 us
KEYS_BURIED_A_SLICE: Final = 8_192  # x ~0.1 us
SEGMENTS_A_CHECKPOINT_BITS: Final = 8  # a segment's number: its last batch and an ordinal

logger = logging.getLogger(__name__)


class Head(msgspec.Struct, frozen=True):
    """The end of a batch: what a checkpoint stands after. Times in microseconds."""

    batch_seq: int
    hash: bytes
    entry_seq: int
    recorded_at: int


class Capture:
    """One checkpoint on its way."""

    __slots__ = (
        "body", "bytes", "dropped", "durable", "families", "groups", "head", "made", "pending",
        "previous", "roots", "runs", "segments", "slices", "started_us", "waiters",
    )  # fmt: skip

    def __init__(self, head: Head, previous: int, clock: Clock) -> None:
        self.head = head
        self.previous = previous  # batch_seq of the checkpoint before
        self.started_us = clock.monotonic_us()
        self.slices = Slices(clock)
        self.body = b""
        self.roots: dict[int, None] = {}
        self.pending: dict[int, None] = {}  # of them, those that are not packed yet
        self.families: list[StoredFamily] = []
        self.runs: list[tuple[int, dict[bytes, int]]] = []
        self.segments: list[NewSegment] = []
        self.made: list[KeySegment] = []
        self.dropped: list[int] = []
        self.groups: list[KeyGroup] = []
        self.bytes = 0
        self.durable = asyncio.Event()
        self.waiters: list[asyncio.Future[int]] = []


class Checkpointer:
    """Belongs to one writer, which calls it between decisions; `open` and `drop` with the state."""

    def __init__(
        self,
        store: CheckpointStore,
        clock: Clock,
        observer: Observer,
        limits: Upkeep,
        wake: Callable[[], None],
    ) -> None:
        """`wake` makes the writer call `turn` soon."""
        self.segments = KeySegments()
        self._store = store
        self._clock = clock
        self._observer = observer
        self._limits = limits
        self._wake = wake
        self._state: State | None = None
        self._epoch = 0
        self._stored = 0  # batch_seq of the durable checkpoint
        self._stored_entries = 0
        self._head = Head(0, b"", 0, 0)
        self._durable_batch = 0
        self._dirty: dict[int, None] = {}  # changed since the last capture
        self._capture: Capture | None = None
        self._outcome: WriteOutcome | None = None
        self._ended = False  # the capture's task is done
        self._task: asyncio.Task[None] | None = None
        self._burials: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._interval_over = False
        self._waiters: list[asyncio.Future[int]] = []
        self._off = ""  # why no checkpoints are taken until the shard is opened again
        self._draining = False

    # -- life ------------------------------------------------------------------------------------

    def open(
        self,
        state: State,
        segments: KeySegments,
        stored: tuple[int, int],
        head: Head,
        dirty: dict[int, None],
    ) -> None:
        """Serve a state that was just opened; `stored`: (batch_seq, entry_seq) of what is durable,
        `dirty` the families that have changed since."""
        self._state = state
        self.segments = segments
        self._epoch = state.epoch
        self._stored, self._stored_entries = stored
        self._head = head
        self._durable_batch = head.batch_seq
        self._dirty = dirty
        self._off = ""
        self._interval_over = False
        self._set_timer()

    def drop(self) -> None:
        """The state is gone: so is what was captured of it."""
        self._state = None
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
        capture = self._capture
        waiting = [*self._waiters, *(capture.waiters if capture is not None else ())]
        self._capture = self._task = self._timer = self._outcome = None
        self._ended = False
        self._waiters = []
        self._dirty = {}
        for waiter in waiting:
            if not waiter.done():
                waiter.set_exception(JournalUnavailable("the shard is opened again; ask again"))

    # -- between decisions -------------------------------------------------------------------------

    def sealed(self, roots: dict[int, None], head: Head) -> None:
        """A batch ends here; `roots` are the families that it changed. May begin a capture."""
        self._dirty.update(roots)
        self._head = head
        if self._is_due():
            self._begin()

    def durable(self, batch_seq: int) -> None:
        """So much of the journal is durable."""
        self._durable_batch = batch_seq
        capture = self._capture
        if capture is not None and batch_seq >= capture.head.batch_seq:
            capture.durable.set()

    def turn(self, at_rest: bool, now: int) -> None:
        """Take in what has ended; `at_rest`: nothing was decided since the last batch ended.

        `now` is the recorded time of what is decided next, or a little before: what has left the
        window by then is asked no more.
        """
        if self._ended:
            self._end()
        self.segments.forget(now)
        if at_rest and self._is_due():
            self._begin()

    @property
    def copying(self) -> bool:
        """Whether families are still to be packed as they were: ask `protect` before changes."""
        return self._capture is not None and bool(self._capture.pending)

    def protect(self, commands: Sequence[Command]) -> None:
        """Pack the families that these commands may change, if they are still to be packed."""
        capture, state = self._capture, self._state
        assert capture is not None and state is not None
        capture.slices.begin()
        for command in commands:
            root = root_of(state, command)
            if root in capture.pending:
                self._pack(capture, state, root)
        capture.slices.end()

    def protect_family(self, root: int) -> None:
        """The same for one family."""
        capture, state = self._capture, self._state
        if capture is not None and state is not None and root in capture.pending:
            self._pack(capture, state, root)

    def is_clean(self, root: int) -> bool:
        """Whether the durable checkpoint holds the family as it is."""
        if root in self._dirty or self._off:
            return False
        return self._capture is None or root not in self._capture.roots

    async def request(self) -> int:
        """Take a checkpoint now; returns the batch that it stands after.

        Raises JournalUnavailable where the shard was reopened or lost meanwhile.
        """
        waiter: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        if self._state is None or self._off:
            raise JournalUnavailable(self._off or "the shard is not open")
        self._waiters.append(waiter)
        self._wake()
        return await waiter

    def drained(self) -> bool:
        """Before the writer stops: whether all that is durable is in a checkpoint, or cannot be.

        Begins one if need be; the writer is woken when it has ended.
        """
        self._draining = True
        if self._state is None or self._off:
            return True
        if self._capture is None and not self._ended:
            if self._stored == self._head.batch_seq:
                return True
            self._begin()
        return False

    # -- the capture -------------------------------------------------------------------------------

    def _is_due(self) -> bool:
        if self._capture is not None or self._off or self._state is None:
            return False
        if self._waiters:
            if self._stored < self._head.batch_seq:
                return True
            self._answer(self._waiters)
            self._waiters = []
        entries = self._head.entry_seq - self._stored_entries
        return entries >= self._limits.checkpoint_entries or (self._interval_over and entries > 0)

    def _begin(self) -> None:
        """Fix what the checkpoint is of: the state stands at the end of `head`'s batch."""
        state = self._state
        assert state is not None
        capture = self._capture = Capture(self._head, self._stored, self._clock)
        capture.slices.begin()
        capture.waiters, self._waiters = self._waiters, []
        capture.roots, self._dirty = self._dirty, {}
        capture.pending = dict(capture.roots)
        head = self._head
        capture.body = pack_shard(state, head.batch_seq, head.entry_seq, head.recorded_at)
        capture.runs = state.keys.freeze()
        capture.slices.end()
        if self._durable_batch >= head.batch_seq:
            capture.durable.set()
        self._task = asyncio.create_task(
            self._make(capture, state), name=f"checkpoint-{state.shard}"
        )
        self._task.add_done_callback(self._made)

    def _pack(self, capture: Capture, state: State, root: int) -> None:
        del capture.pending[root]
        before = capture.head.recorded_at - DEDUPE_WINDOW_US - KEYS_OUTLIVE_US
        body = pack_family(state, root, before)
        accounts = tuple([account.number for account in state.family_accounts(root)])
        tenant = state.accounts[root].tenant
        place = FamilyPlace(root, accounts, family_due(state, root), FORMAT, tenant)
        capture.families.append(StoredFamily(place, body))
        capture.bytes += len(body)

    async def _make(self, capture: Capture, state: State) -> None:
        slices = capture.slices
        slices.begin()
        while capture.pending:
            self._pack(capture, state, next(iter(capture.pending)))
            if slices.over():
                await slices.rest()
        await self._build_segments(capture)
        slices.end()
        await capture.durable.wait()
        self._outcome = await self._write(capture)

    def _made(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task is not self._task:
            return
        error = task.exception()
        if error is not None:
            logger.error("a checkpoint failed and will be taken again: %r", error)
        self._ended = True
        self._wake()

    async def _write(self, capture: Capture) -> WriteOutcome | None:
        """Until it is known what became of it; None if the writer stops and the store is away."""
        head = capture.head
        change = CheckpointWrite(
            StoredCheckpoint(
                self._epoch,
                head.batch_seq,
                head.hash,
                head.entry_seq,
                head.recorded_at,
                FORMAT,
                capture.body,
            ),
            capture.previous,
            sorted(capture.families, key=lambda family: family.place.root),
            capture.segments,
            capture.dropped,
        )
        while True:
            try:
                return await self._store.write(change)
            except JournalUnavailable as error:
                problem = str(error)
            except Exception as error:  # no more is known of what became of it: ask the same way
                problem = repr(error)
                logger.error("a checkpoint is written again, for this befell it: %s", problem)
            if self._draining:
                logger.warning("no checkpoint at the end: %s", problem)
                return None
            await asyncio.sleep(RETRY_DELAY_US / SECOND_US)

    def _end(self) -> None:
        """What has become of the capture. In the writer's task, between two decisions."""
        capture, state, outcome = self._capture, self._state, self._outcome
        assert capture is not None and state is not None
        self._capture = self._task = self._outcome = None
        self._ended = False
        self._interval_over = False
        self._set_timer()
        if outcome is WriteOutcome.WRITTEN:
            self._take_over(capture, state)
            return
        self._dirty = capture.roots | self._dirty
        if outcome is not None:
            self._off = (
                f"the checkpoint after batch {capture.head.batch_seq} was refused: {outcome.name}"
            )
            logger.error(
                "shard %d takes no checkpoints until it is opened again: %s", state.shard, self._off
            )
        elif self._draining:
            self._off = "the checkpoint at the end could not be written"
        for waiter in capture.waiters:
            if not waiter.done():
                waiter.set_exception(JournalUnavailable(self._off or "the checkpoint failed"))

    def _take_over(self, capture: Capture, state: State) -> None:
        started = self._clock.monotonic_us()
        self._stored, self._stored_entries = capture.head.batch_seq, capture.head.entry_seq
        self.segments.replace(capture.made, capture.dropped, capture.groups)
        for _, run in capture.runs:
            state.keys.release(run)
        self._bury([run for _, run in capture.runs])
        self._answer(capture.waiters)
        now = self._clock.monotonic_us()
        capture.slices.longest_us = max(capture.slices.longest_us, now - started)
        self._observer.checkpoint_written(
            state.shard,
            CheckpointFigures(
                capture.head.entry_seq,
                now - capture.started_us,
                capture.slices.longest_us,
                len(capture.families),
                sum([len(run) for _, run in capture.runs]),
                capture.bytes,
                self.segments.keys,
                len(self.segments),
            ),
        )

    def _answer(self, waiters: Collection[asyncio.Future[int]]) -> None:
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(self._stored)

    def _bury(self, runs: Sequence[dict[bytes, int]]) -> None:
        """Let large maps go in slices: freeing half a million keys at once takes 30 ms."""
        task = asyncio.create_task(_empty(runs))
        self._burials.add(task)
        task.add_done_callback(self._burials.discard)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(
            self._limits.checkpoint_interval_us / SECOND_US, self._interval
        )

    def _interval(self) -> None:
        self._interval_over = True
        self._wake()

    # -- key segments ------------------------------------------------------------------------------

    async def _build_segments(self, capture: Capture) -> None:
        """One segment a generation of new keys; small ones are merged, forgotten ones dropped."""
        recorded_at = capture.head.recorded_at
        self.segments.forget(recorded_at)
        capture.dropped = list(self.segments.expired)
        runs: dict[int, list[dict[bytes, int]]] = {}
        for generation, run in capture.runs:
            if not is_forgotten(generation, recorded_at):
                runs.setdefault(generation, []).append(run)
        for generation, fresh in runs.items():
            merged = self.segments.to_merge(generation, sum([len(run) for run in fresh]))
            await self._build(capture, generation, fresh, merged)
        current = generation_of(recorded_at)
        scattered = self.segments.scattered(current)
        if scattered and scattered[0].generation not in runs:
            await self._build(capture, scattered[0].generation, [], scattered)
        for groups in unite([*self.segments.without(capture.dropped), *capture.made]):
            capture.groups = groups
            if capture.slices.over():
                await capture.slices.rest()

    async def _build(
        self,
        capture: Capture,
        generation: int,
        runs: Sequence[dict[bytes, int]],
        merged: Sequence[KeySegment],
    ) -> None:
        slices = capture.slices
        total = self.segments.keys + sum([len(run) for _, run in capture.runs])
        builder = SegmentBuilder(generation, bits_for(total))
        for segment in reversed(merged):  # oldest first
            builder.unite(segment)
            async for page in slices.pages(self._store.all_buckets(segment.number)):
                for bucket, body in page:
                    builder.take(segment, bucket, body)
                    if slices.over():
                        await slices.rest()
        for run in runs:
            records = iter(run.items())
            while part := list(islice(records, KEYS_A_SLICE)):
                builder.add(part)
                if slices.over():
                    await slices.rest()
        head = capture.head
        number = head.batch_seq << SEGMENTS_A_CHECKPOINT_BITS | len(capture.made)
        first = min([capture.previous + 1, *[segment.first_batch for segment in merged]])
        bodies: list[tuple[int, bytes]] = []
        for bucket, body in builder.bodies():
            bodies.append((bucket, body))
            capture.bytes += len(body)
            if slices.over():
                await slices.rest()
        *parts, checksum = [part async for part in _rested(pack_filter(builder.filter), slices)]
        packed = b"".join([checksum, *parts])
        new, kept = builder.finish(number, first, head.batch_seq, bodies, packed)
        capture.segments.append(new)
        capture.made.append(kept)
        capture.dropped += [segment.number for segment in merged]
        capture.bytes += len(new.segment.filter)


async def _rested(parts: Iterator[bytes], slices: Slices) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
        if slices.over():
            await slices.rest()


async def _empty(runs: Sequence[dict[bytes, int]]) -> None:
    for run in runs:
        while run:
            for _ in range(min(len(run), KEYS_BURIED_A_SLICE)):
                run.popitem()
            await asyncio.sleep(0)
