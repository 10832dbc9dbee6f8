"""Sends what a spool keeps, until a server has judged it: an account's events in the order kept.

Each account has a lane: one delivery at a time, what comes later waits behind it. A lane that is
not answered soon, as its shard's owner is away, holds up no other: more is read from the disk
meanwhile, up to a bound. What is refused is set aside. A segment goes when all that stood in it is
settled; where half of one is and the rest waits, that is written anew behind everything, once
nothing is unread, so that an account keeps its order. Nothing is let go of before.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from ledger.client.errors import (
    DrawdownError,
    InvalidEvent,
    NotApplied,
    OutcomeUnknown,
    Refused,
    SpoolFailed,
)
from ledger.client.events import EventOutcome, Outcome, UsageEvent
from ledger.client.spool_aside import TOO_OLD, SetAside, refused
from ledger.client.spool_files import Segment, SpoolFiles
from ledger.client.spool_records import Kept, SpooledCapture, record_of
from ledger.v1.decision_pb2 import CaptureResponse

if TYPE_CHECKING:
    from ledger.client.aio import DrawdownClient

T = TypeVar("T")
SEND_EVENTS: Final = 1_024  # are sent before more are read from the disk
AHEAD_EVENTS: Final = 32_768  # read and not settled; x ~1 kB = 32 MB
STALLED_PART: Final = 8  # of the client's room for pending events is for those not answered soon
PROBES_MAX: Final = 256
PROBE_S: Final = 1  # that one of those waits for others that are being answered
STALL_S: Final = 0.5  # without an answer, then others are read and sent
CAPTURES_MAX: Final = 128  # at a time
CAPTURE_S: Final = 10  # that one try of a capture may take; the calls beside it wait so long
AGAIN_S: Final = 1  # after something was given up
_UNLET: Final = ("UNAUTHENTICATED", "PERMISSION_DENIED")  # another token may let it in
Settled = Callable[[UsageEvent, EventOutcome], None]
Aside = Callable[[SetAside], None]
_log: Final = logging.getLogger("ledger.client")


class Lane:
    """What is kept for one account, or of one hold, and not settled; in the order kept."""

    __slots__ = ("in_flight", "is_probe", "key", "since", "stalled", "waiting")

    def __init__(self, key: str) -> None:
        self.key = key
        self.waiting: deque[tuple[Kept, Segment]] = deque()
        self.in_flight = 0
        self.since = 0.0  # when that was sent
        self.stalled = False  # not answered soon, or given up
        self.is_probe = False  # sent again after it was given up

    @property
    def count(self) -> int:
        """Of how much it is."""
        return len(self.waiting) + self.in_flight


class Sending:
    """One task of a spool; `disk` is held by whoever writes to the files or removes from them."""

    def __init__(
        self,
        client: DrawdownClient,
        files: SpoolFiles,
        disk: asyncio.Lock,
        kept: asyncio.Event,
        changed: Callable[[], None],
        settled: Settled | None,
        aside: Aside,
    ) -> None:
        """`kept` is set while there is something to send; `changed` is called when something was
        let go of."""
        self._client = client
        self._files = files
        self._disk = disk
        self._kept = kept
        self._changed = changed
        self._settled = settled
        self._aside = aside
        self._lanes: dict[str, Lane] = {}
        self._ready: deque[Lane] = deque()
        self._again: deque[tuple[float, Lane]] = deque()  # when to be sent again
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._failed: BaseException | None = None
        self._left: dict[Segment, int] = {}  # read of it, and not settled
        self._reading: Segment | None = None
        self._offset = 0
        self._held = 0  # read and not settled
        self._moving = 0  # of that in lanes that are not stalled
        self._stalled = 0  # in flight in those that are
        self._probing = 0  # lanes in flight that were given up before
        self._probes = 1  # how many may be: more with each that is answered
        self._looked = 0.0
        self._compact_from = 0.0
        self._captures = asyncio.Semaphore(CAPTURES_MAX)

    def more(self) -> None:
        """Something is kept that was not."""
        self._wake.set()

    async def run(self) -> None:
        """Until it is cancelled. Raises ClientClosed."""
        try:
            while True:
                if not self._held:
                    await self._kept.wait()
                self._wake.clear()
                if self._failed is not None:
                    raise self._failed
                self._look_for_stalls()
                await self._compact()
                self._start()
                if not (self._has_room and await self._read_on()):
                    await self._rest()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def capture(self, capture: SpooledCapture) -> CaptureResponse:
        """Ask for it. Raises CallError, ClientClosed."""
        return await self._client.capture(
            capture.hold_id,
            capture.quantities,
            effective_at_us=capture.effective_at_us,
            request_id=capture.request_id,
        )

    async def set_aside(self, entries: Sequence[SetAside]) -> None:
        """On the disk when this returns, and told. Raises SpoolFailed."""
        async with self._disk:
            await whole(lambda: self._files.aside.add(entries))
        for each in entries:
            _told(self._aside, each)

    # -- parts -------------------------------------------------------------------------------------

    # -- from the disk

    @property
    def _has_room(self) -> bool:
        """Whether more is to be read."""
        return (
            self._moving < 2 * SEND_EVENTS  # the next are at hand when those are answered
            and self._held < AHEAD_EVENTS
            and self._stalled < self._stalled_max
        )

    @property
    def _stalled_max(self) -> int:
        return max(1, self._client._limits.pending_events // STALLED_PART)

    def _unread(self) -> tuple[Segment, int] | None:
        """Where to read on; None = all that is kept was read."""
        reading = self._reading
        if reading is not None and self._offset < reading.bytes:
            return reading, self._offset
        after = 0 if reading is None else reading.number
        for segment in self._files.segments:
            if segment.number > after and segment.events:
                return segment, 0
        return None

    async def _read_on(self) -> bool:
        """Put the next into their lanes; False: there are none."""
        place = self._unread()
        if place is None:
            return False
        segment, offset = place
        try:
            kept, behind = await asyncio.to_thread(self._files.read, segment, offset, SEND_EVENTS)
        except SpoolFailed as error:
            _log.error("nothing more is sent until it reads: %s", error)
            await asyncio.sleep(AGAIN_S)
            return True
        self._reading, self._offset = segment, behind
        self._left[segment] = self._left.get(segment, 0) + len(kept)
        self._held += len(kept)
        for each in kept:
            key = each.account if isinstance(each, UsageEvent) else f"hold {each.hold_id}"
            lane = self._lanes.get(key)
            if lane is None:
                lane = self._lanes[key] = Lane(key)
            if not lane.count:
                self._ready.append(lane)
            lane.waiting.append((each, segment))
            if not lane.stalled:
                self._moving += 1
        if not kept:  # damage alone
            await self._let_go()
        return True

    async def _let_go(self) -> None:
        """Of segments that are read, and settled."""
        async with self._disk:
            for segment in [each for each, left in self._left.items() if not left]:
                if segment is self._reading and self._offset < segment.bytes:
                    continue
                del self._left[segment]
                try:
                    self._files.let_go(segment)
                except SpoolFailed as error:
                    _log.error("what is settled stays on the disk: %s", error)
            self._changed()

    async def _compact(self) -> None:
        """Where half of a segment is settled, what waits is written anew behind everything."""
        now = time.monotonic()
        if now < self._compact_from or not self._again:
            return
        sparse = {each for each, left in self._left.items() if 2 * left <= each.events}
        if not sparse:
            return
        async with self._disk:
            lanes = [lane for _, lane in self._again if lane.waiting[0][1] in sparse]
            if not lanes or self._unread() is not None:  # an account keeps its order
                return
            self._compact_from = now + AGAIN_S
            records = [record_of(each) for lane in lanes for each, _ in lane.waiting]
            try:
                await whole(lambda: self._files.put_behind(records))
            except SpoolFailed as error:
                _log.error("what is not answered stays where it is: %s", error)
                return
            behind = self._files.segments[-1]
            for lane in lanes:
                for _, segment in lane.waiting:
                    self._left[segment] -= 1
                lane.waiting = deque((each, behind) for each, _ in lane.waiting)
            self._left[behind] = len(records)
            self._reading, self._offset = behind, behind.bytes
        await self._let_go()

    # -- to the servers

    def _look_for_stalls(self) -> None:
        """Lanes that are not answered soon hold up nobody from now on."""
        now = time.monotonic()
        if now - self._looked < STALL_S:
            return
        self._looked = now
        for lane in self._lanes.values():
            if lane.in_flight and not lane.stalled and now - lane.since >= STALL_S:
                lane.stalled = True
                self._moving -= lane.count
                self._stalled += lane.in_flight

    def _start(self) -> None:
        """Send what may be sent: of a lane that was given up one, few of those at a time, and not
        beside others if they end soon, since what is sent together may be unanswered together."""
        while self._probing < self._probes and self._due_s() <= 0:
            _, lane = self._again.popleft()
            lane.is_probe = True
            self._probing += 1
            self._begin(lane, 1)
        while self._ready:
            self._begin(self._ready.popleft(), SEND_EVENTS)

    def _due_s(self) -> float:
        """Until a lane that was given up is to be sent again."""
        if not self._again:
            return math.inf
        return self._again[0][0] + (PROBE_S if self._moving else 0) - time.monotonic()

    def _begin(self, lane: Lane, most: int) -> None:
        some = [lane.waiting.popleft() for _ in range(min(most, len(lane.waiting)))]
        lane.in_flight, lane.since = len(some), time.monotonic()
        if lane.stalled:
            self._stalled += len(some)
        task = asyncio.create_task(self._run_lane(lane, some))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run_lane(self, lane: Lane, some: list[tuple[Kept, Segment]]) -> None:
        try:
            left = {id(each) for each in await self._send_once([each for each, _ in some])}
        except Exception as error:
            self._failed = error
            self._wake.set()
            return
        if lane.stalled:
            self._stalled -= lane.in_flight
        else:
            self._moving -= lane.count
        lane.in_flight = 0
        if lane.is_probe:
            lane.is_probe = False
            self._probing -= 1
            self._probes = max(1, self._probes // 2) if left else min(2 * self._probes, PROBES_MAX)
        again = [each for each in some if id(each[0]) in left]
        lane.waiting.extendleft(reversed(again))
        settled = [segment for each, segment in some if id(each) not in left]
        self._held -= len(settled)
        for segment in settled:
            self._left[segment] -= 1
        if again:
            if not lane.stalled:
                _log.warning("%d events and captures stay on the disk", lane.count)
            lane.stalled = True
            self._again.append((time.monotonic() + AGAIN_S, lane))
        else:
            lane.stalled = False
            self._moving += lane.count
            if lane.waiting:
                self._ready.append(lane)
            else:
                del self._lanes[lane.key]
        if not all(self._left[segment] for segment in {*settled}):
            await self._let_go()
        self._wake.set()

    async def _rest(self) -> None:
        """Until something changes, or is due."""
        until_s = STALL_S if self._moving else None
        if self._again and self._probing < self._probes:
            due_s = max(0.0, self._due_s())
            until_s = due_s if until_s is None else min(until_s, due_s)
        if not self._held and not self._files.events:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(until_s):
                await self._wake.wait()

    async def _send_once(self, kept: Sequence[Kept]) -> list[Kept]:
        """What of it is left."""
        events = [each for each in kept if isinstance(each, UsageEvent)]
        captures = [each for each in kept if isinstance(each, SpooledCapture)]
        judged: list[tuple[UsageEvent, EventOutcome]] = []
        aside: list[SetAside] = []
        left = {id(each) for each in await self._send_events(events, judged, aside)}
        if captures:
            left |= {id(each) for each in await self._send_captures(captures, aside)}
        if aside:
            try:
                await self.set_aside(aside)
            except SpoolFailed as error:
                _log.error("what was refused stays with what is to be sent: %s", error)
                left |= {id(each.kept) for each in aside}
        if self._settled is not None:
            for event, outcome in judged:
                if id(event) not in left:
                    _told(self._settled, event, outcome)
        return [each for each in kept if id(each) in left]

    async def _send_events(
        self,
        events: list[UsageEvent],
        judged: list[tuple[UsageEvent, EventOutcome]],
        aside: list[SetAside],
    ) -> list[UsageEvent]:
        """Together; those that no server has judged."""
        if not events:
            return []
        try:
            outcomes = await (await self._client.submit(events))
        except InvalidEvent as error:
            if len(events) == 1:  # as one that is too large for this client's batches
                aside.append(refused(events[0], error.reason, str(error)))
                return []
            half = len(events) // 2
            first = await self._send_events(events[:half], judged, aside)
            return first + await self._send_events(events[half:], judged, aside)
        left: list[UsageEvent] = []
        for event, outcome in zip(events, outcomes, strict=True):
            if not outcome.judged:
                if not left:
                    _log.warning("event %r was not judged: %s", event.id, outcome)
                left.append(event)
                continue
            judged.append((event, outcome))
            if not is_charged(outcome):
                reason = outcome.reason or outcome.outcome.name
                aside.append(refused(event, reason, outcome.message))
        return left

    async def _send_captures(
        self, captures: list[SpooledCapture], aside: list[SetAside]
    ) -> list[SpooledCapture]:
        """Those that no server has answered."""
        async with self._captures:
            answered = [await self._send_capture(each, aside) for each in captures]
        return [each for each, was in zip(captures, answered, strict=True) if not was]

    async def _send_capture(self, capture: SpooledCapture, aside: list[SetAside]) -> bool:
        why: DrawdownError | TimeoutError
        try:
            async with asyncio.timeout(CAPTURE_S):
                await self.capture(capture)
            return True
        except Refused as error:
            if error.code not in _UNLET:
                aside.append(refused(capture, error.reason or error.code, error.message))
                return True
            why = error
        except (NotApplied, OutcomeUnknown, TimeoutError) as error:
            why = error
        _log.warning("the capture of hold %s was not answered: %r", capture.hold_id, why)
        return False


async def whole(write: Callable[[], object]) -> None:
    """Write in a thread; whoever is cancelled waits for it, and holds the files until then."""
    await to_its_end(asyncio.ensure_future(asyncio.to_thread(write)))


async def to_its_end(task: asyncio.Task[T]) -> T:
    """What a task that ends soon comes to; whoever is cancelled, even twice, waits for it."""
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        return task.result()
    if not task.cancelled():
        task.exception()  # nobody asks for it any more
    raise cancelled


def is_charged(outcome: EventOutcome) -> bool:
    """Whether a judged event is taken account of: recorded, and not older than what is charged."""
    return outcome.outcome.recorded and not (
        outcome.outcome is Outcome.QUARANTINED and outcome.reason == TOO_OLD
    )


def logged(aside: SetAside) -> None:
    """What is done where no caller wants to be told."""
    _log.warning(
        "%s %r was refused and is set aside: %s %s",
        *("capture" if isinstance(aside.kept, SpooledCapture) else "event", aside.id),
        *(aside.reason, aside.message),
    )


def _told(callback: Callable[..., None], *what: object) -> None:
    """A caller's callback that raises is logged: what it is told of is settled all the same."""
    try:
        callback(*what)
    except Exception:
        _log.exception("a callback of the spool has raised; it is told of the next ones")
