"""Sends what a spool keeps, oldest first, until a server has judged it.

What is refused is set aside, what is not answered waits at its place. Where a server answers other
calls but some of these again and again not, those go behind the others, so that one capture that is
never answered holds nothing up. Nothing is let go of that is not judged, set aside or put behind.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from ledger.client.errors import (
    CallError,
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

SEND_EVENTS: Final = 1_024  # are sent before more are read from the disk
CAPTURES_MAX: Final = 128  # at a time
CAPTURE_S: Final = 10  # that one try of a capture may take; the calls beside it wait so long
AGAIN_S: Final = 1  # after something was given up
ANSWER_S: Final = 5  # that a server has to answer something else
TRIES: Final = 3  # while a server answers others, then what is not answered goes behind them
TRIES_ROUND: Final = 60  # once all have gone behind and none was judged: the disk is to rest
_UNLET: Final = ("UNAUTHENTICATED", "PERMISSION_DENIED")  # another token may let it in
Settled = Callable[[UsageEvent, EventOutcome], None]
Aside = Callable[[SetAside], None]
_log: Final = logging.getLogger("ledger.client")


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
        self._behind = 0  # were put behind since one was judged

    async def run(self) -> None:
        """Until it is cancelled. Raises ClientClosed."""
        while True:
            await self._kept.wait()
            segment = self._files.oldest()
            assert segment is not None
            await self._send_segment(segment)

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

    async def _send_segment(self, segment: Segment) -> None:
        offset = 0
        while True:
            try:
                kept, offset = await asyncio.to_thread(
                    self._files.read, segment, offset, SEND_EVENTS
                )
            except SpoolFailed as error:
                _log.error("nothing is sent until it reads: %s", error)
                await asyncio.sleep(AGAIN_S)
                continue
            await self._send(kept)
            async with self._disk:
                if offset == segment.bytes:
                    try:
                        self._files.let_go(segment)
                    except SpoolFailed as error:
                        _log.error("what is settled stays on the disk: %s", error)
                    self._changed()
                    return

    async def _send(self, kept: Sequence[Kept]) -> None:
        """Return when each is judged, set aside, or behind the others."""
        left, tries = kept, 0
        while left := await self._send_once(left):
            _log.warning("%d events and captures stay on the disk", len(left))
            await asyncio.sleep(AGAIN_S)
            if self._files.events == len(left):  # nothing is behind them
                continue
            tries = tries + 1 if await self._answers() else 0
            enough = TRIES if self._behind < self._files.events else TRIES_ROUND
            if tries >= enough and await self._put_off(left):
                return

    async def _send_once(self, kept: Sequence[Kept]) -> list[Kept]:
        """What of it is left."""
        events = [each for each in kept if isinstance(each, UsageEvent)]
        captures = [each for each in kept if isinstance(each, SpooledCapture)]
        judged: list[tuple[UsageEvent, EventOutcome]] = []
        aside: list[SetAside] = []
        unanswered = await asyncio.gather(
            self._send_events(events, judged, aside), self._send_captures(captures, aside)
        )
        left = {id(each) for some in unanswered for each in some}
        if len(left) < len(kept):
            self._behind = 0
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
            outcomes = await self._client.ingest(events)
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
        """Some at a time; those that no server has answered."""
        left: list[SpooledCapture] = []
        for at in range(0, len(captures), CAPTURES_MAX):
            some = captures[at : at + CAPTURES_MAX]
            answered = await asyncio.gather(*[self._send_capture(each, aside) for each in some])
            left += [
                each for each, is_answered in zip(some, answered, strict=True) if not is_answered
            ]
        return left

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

    async def _answers(self) -> bool:
        """Whether a server answers another call."""
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._client.refresh_routing()
        except (CallError, TimeoutError):
            return False
        return True

    async def _put_off(self, left: Sequence[Kept]) -> bool:
        """Put them behind the others; False = the disk does not take them there."""
        async with self._disk:
            try:
                records = [record_of(each) for each in left]
                await whole(lambda: self._files.put_behind(records))
            except SpoolFailed as error:
                _log.error("what is not answered stays where it is: %s", error)
                return False
        self._behind += len(left)
        return True


async def whole(write: Callable[[], None]) -> None:
    """Write in a thread; whoever is cancelled waits for it, and holds the files until then."""
    writing = asyncio.ensure_future(asyncio.to_thread(write))
    try:
        await asyncio.shield(writing)
    except asyncio.CancelledError:
        await asyncio.wait({writing})
        raise


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
