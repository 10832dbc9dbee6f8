"""Usage that happened while no server answers: kept on this machine's disk, sent when one does.

    client = DrawdownClient(address)             # not entered: there may be no server yet
    async with Spool(client, "/var/spool/drawdown") as spool:
        outcome = await spool.record(event)      # None: it is on the disk, and will be sent

An event goes to the server first. Where no server has judged it within the patience, it is synced
to the disk, and so is every later one until the disk is empty again: they are sent in the order
kept. An event may be sent twice and counts once, by its id. The time of an event that names none is
set here, so that it is priced as of when it happened, and is the same event whenever it is sent.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from ledger.client.errors import (
    CallError,
    ClientClosed,
    NotApplied,
    OutcomeUnknown,
    Refused,
    SpoolFull,
)
from ledger.client.events import EventOutcome, UsageEvent
from ledger.client.spool_files import Kept, Segment, SpooledCapture, SpoolFiles, record_of
from ledger.v1.decision_pb2 import CaptureResponse

if TYPE_CHECKING:
    from ledger.client.aio import DrawdownClient

BYTES_MAX: Final = 256 << 20  # x 1/250 B an event = a million events
EVENTS_MAX: Final = 1_000_000
PATIENCE_US: Final = 2_000_000
SYNC_EVENTS: Final = 1_024  # share one sync of the disk, at most
SEND_EVENTS: Final = 1_024  # are sent before more are read from the disk
AGAIN_S: Final = 1  # after the client has given events up
_UNLET: Final = ("UNAUTHENTICATED", "PERMISSION_DENIED")  # another token may let it in
Settled = Callable[[UsageEvent, EventOutcome], None]
_log: Final = logging.getLogger("ledger.client")


class Spool:
    """One directory of one client; `record` from any number of tasks.

    The client need not be entered: with no server in reach it asks for the shard map later.
    `bytes_max` and `events_max`: of what is kept, then `record` raises SpoolFull. `patience_us`:
    how long an event waits for a server. `settled` is told of each event that was kept what became
    of it, maybe twice over a crash; without it, those that were refused are logged.
    """

    def __init__(
        self,
        client: DrawdownClient,
        folder: str | Path,
        *,
        bytes_max: int = BYTES_MAX,
        events_max: int = EVENTS_MAX,
        patience_us: int = PATIENCE_US,
        settled: Settled | None = None,
    ) -> None:
        if min(bytes_max, events_max, patience_us) < 1:
            raise ValueError("bytes_max, events_max and patience_us are 1 or more")
        self._client = client
        self._folder = Path(folder)
        self._bytes_max = bytes_max
        self._events_max = events_max
        self._patience_s = patience_us / 1_000_000
        self._settled: Settled = settled or _logged
        self._opened: SpoolFiles | None = None
        self._disk = asyncio.Lock()  # one write, or one removal, at a time
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._keeping: asyncio.Task[None] | None = None
        self._sending: asyncio.Task[None] | None = None
        self._kept = asyncio.Event()  # set while there is something to send
        self._empty = asyncio.Event()

    @property
    def folder(self) -> Path:
        """The directory."""
        return self._folder

    @property
    def kept_events(self) -> int:
        """Events on the disk, those of the oldest segment included that are settled already."""
        return self._files.events

    def has_room(self, events: int, more_bytes: int) -> bool:
        """Whether so many more events, of so many bytes, would be kept."""
        return self._files.has_room(events, more_bytes)

    @property
    def kept_bytes(self) -> int:
        """Bytes on the disk."""
        return self._files.bytes

    async def __aenter__(self) -> Self:
        """Take the directory over and begin to send what stands there.

        Raises SpoolBusy, SpoolDamaged, SpoolFailed.
        """
        self._opened = await asyncio.to_thread(
            SpoolFiles, self._folder, self._bytes_max, self._events_max
        )
        self._look()
        self._sending = asyncio.create_task(self._send_all())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Send no more; what is not settled stays on the disk."""
        assert self._sending is not None
        self._sending.cancel()
        await asyncio.gather(self._sending, return_exceptions=True)
        if self._keeping is not None:
            await asyncio.gather(self._keeping, return_exceptions=True)
        async with self._disk:
            self._files.close()
            self._opened = None

    async def record(self, event: UsageEvent) -> EventOutcome | None:
        """The outcome of an event; None = it is on the disk and will be sent.

        Raises SpoolFull (it is nowhere), SpoolFailed, InvalidEvent, ClientClosed.
        """
        files = self._files
        if not event.effective_at_us:
            event = replace(event, effective_at_us=time.time_ns() // 1_000)
        record = record_of(event)
        if not files.events and not self._waiting:
            outcome = await self._direct(event)
            if outcome is not None:
                return outcome
        await self._keep(record)
        return None

    async def capture(self, capture: SpooledCapture) -> CaptureResponse | None:
        """What became of a capture; None = it is on the disk and will be sent, under its id.

        Raises Refused, SpoolFull (it is nowhere), SpoolFailed, ClientClosed.
        """
        files, record = self._files, record_of(capture)
        if not files.events and not self._waiting:
            asked = asyncio.ensure_future(self._capture(capture))
            try:
                await asyncio.wait({asked}, timeout=self._patience_s)
            finally:
                asked.cancel()
            if asked.done() and not asked.cancelled():
                try:
                    return asked.result()
                except (NotApplied, OutcomeUnknown):
                    pass
        await self._keep(record)
        return None

    async def drained(self) -> None:
        """Return when nothing is on the disk."""
        await self._empty.wait()

    # -- parts -------------------------------------------------------------------------------------

    @property
    def _files(self) -> SpoolFiles:
        if self._opened is None:
            raise ClientClosed(f"the spool {self._folder} is not open")
        return self._opened

    async def _direct(self, event: UsageEvent) -> EventOutcome | None:
        """What a server says of it; None = none has judged it in time."""
        asked = asyncio.ensure_future(self._client.record(event))
        try:
            await asyncio.wait({asked}, timeout=self._patience_s)
        finally:
            asked.cancel()
        if not asked.done() or asked.cancelled():
            return None
        outcome = asked.result()
        return outcome if outcome.judged else None

    async def _keep(self, record: bytes) -> None:
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((record, kept))
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.create_task(self._keep_waiting())
        await kept

    async def _keep_waiting(self) -> None:
        """Sync what waits, together what came meanwhile."""
        while self._waiting:
            taken = self._waiting[:SYNC_EVENTS]
            del self._waiting[:SYNC_EVENTS]
            try:
                await self._append([record for record, _ in taken])
            except SpoolFull as error:
                if len(taken) == 1:
                    _tell(taken[0][1], error)
                    continue
                for record, kept in taken:  # as many of them as fit
                    try:
                        await self._append([record])
                        _tell(kept)
                    except Exception as failure:
                        _tell(kept, failure)
            except Exception as failure:
                for _, kept in taken:
                    _tell(kept, failure)
            else:
                for _, kept in taken:
                    _tell(kept)

    async def _append(self, records: Sequence[bytes]) -> None:
        async with self._disk:
            await asyncio.to_thread(self._files.append, records)
            self._look()

    def _look(self) -> None:
        if self._files.events:
            self._kept.set()
            self._empty.clear()
        else:
            self._kept.clear()
            self._empty.set()

    async def _send_all(self) -> None:
        try:
            while True:
                await self._kept.wait()
                segment = self._files.oldest()
                assert segment is not None
                await self._send_segment(segment)
        except ClientClosed:
            return
        except Exception:
            _log.exception("the spool %s sends no more", self._folder)
            raise

    async def _send_segment(self, segment: Segment) -> None:
        offset = 0
        while True:
            kept, offset = await asyncio.to_thread(self._files.read, segment, offset, SEND_EVENTS)
            await self._send(kept)
            async with self._disk:
                if offset == segment.bytes:
                    self._files.let_go(segment)
                    self._look()
                    return

    async def _capture(self, capture: SpooledCapture) -> CaptureResponse:
        return await self._client.capture(
            capture.hold_id,
            capture.quantities,
            effective_at_us=capture.effective_at_us,
            request_id=capture.request_id,
        )

    async def _send(self, kept: list[Kept]) -> None:
        """Until a server has judged all of them: captures one by one, events between together."""
        events: list[UsageEvent] = []
        for each in kept:
            if isinstance(each, UsageEvent):
                events.append(each)
                continue
            await self._send_events(events)
            events = []
            await self._send_capture(each)
        await self._send_events(events)

    async def _send_capture(self, capture: SpooledCapture) -> None:
        while True:
            why: CallError
            try:
                await self._capture(capture)
            except Refused as error:
                if error.code not in _UNLET:
                    _log.warning("what hold %s used was not captured: %s", capture.hold_id, error)
                    return
                why = error
            except (NotApplied, OutcomeUnknown) as error:
                why = error
            else:
                return
            _log.warning("the capture of hold %s stays on the disk: %s", capture.hold_id, why)
            await asyncio.sleep(AGAIN_S)

    async def _send_events(self, events: list[UsageEvent]) -> None:
        while events:
            outcomes = await self._client.ingest(events)
            again: list[UsageEvent] = []
            for event, outcome in zip(events, outcomes, strict=True):
                if outcome.judged:
                    self._settled(event, outcome)
                else:
                    again.append(event)
            if again:
                first = next(each for each in outcomes if not each.judged)
                _log.warning("%d events stay on the disk: %s", len(again), first)
                await asyncio.sleep(AGAIN_S)
            events = again


def _logged(event: UsageEvent, outcome: EventOutcome) -> None:
    if not outcome.outcome.recorded:
        _log.warning("event %r of %r was not recorded: %s", event.id, event.account, outcome)


def _tell(kept: asyncio.Future[None], failure: Exception | None = None) -> None:
    if kept.done():  # whoever waited is gone
        return
    if failure is None:
        kept.set_result(None)
    else:
        kept.set_exception(failure)
