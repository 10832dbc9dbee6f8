"""Usage that happened while no server answers: kept on this machine's disk, sent when one does.

    client = DrawdownClient(address)             # not entered: there may be no server yet
    async with Spool(client, "/var/spool/drawdown") as spool:
        outcome = await spool.record(event)      # None: it is on the disk, and will be sent

An event goes to the server first. Where no server has judged it within the patience, it is synced
to the disk, and so is every later one until the disk is empty again: an account's are sent in the
order kept, and hold up no other account's. An event may be sent twice and counts once, by its id.
The time of an event that names none is set here, so that it is priced as of when it happened, and
so are the client's source and product: it is the same event whenever and by whomever it is sent.
What a server refuses is set aside in the folder: `set_aside` lists it, `resend` sends it again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from ledger.client.durations import SECOND_US
from ledger.client.errors import ClientClosed, NotApplied, OutcomeUnknown, Refused, SpoolFull
from ledger.client.events import EventOutcome, UsageEvent
from ledger.client.spool_aside import SetAside, key_of, listed, refused
from ledger.client.spool_files import Damage, SpoolFiles
from ledger.client.spool_records import SpooledCapture, record_of
from ledger.client.spool_sending import (
    Aside,
    Sending,
    Settled,
    is_charged,
    logged,
    to_its_end,
    whole,
)
from ledger.v1.decision_pb2 import CaptureResponse

if TYPE_CHECKING:
    from ledger.client.aio import DrawdownClient

BYTES_MAX: Final = 256 << 20  # x 1/250 B an event = a million events
EVENTS_MAX: Final = 1_000_000
PATIENCE_US: Final = 2_000_000
SYNC_EVENTS: Final = 1_024  # share one sync of the disk, at most


class Spool:
    """One directory of one client; `record` from any number of tasks.

    The client need not be entered: with no server in reach it asks for the shard map later.
    `bytes_max` and `events_max`: of what is kept, then `record` raises SpoolFull. `patience_us`:
    how long an event waits for a server. `settled` is told of each event that was kept what became
    of it, maybe twice over a crash. `aside` is told of what was refused and is set aside; without
    it that is logged. What these two raise is logged.
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
        aside: Aside = logged,
    ) -> None:
        if min(bytes_max, events_max, patience_us) < 1:
            raise ValueError("bytes_max, events_max and patience_us are 1 or more")
        self._client = client
        self._folder = Path(folder)
        self._bytes_max = bytes_max
        self._events_max = events_max
        self._patience_s = patience_us / SECOND_US
        self._settled = settled
        self._aside = aside
        self._opened: tuple[SpoolFiles, Sending] | None = None
        self._disk = asyncio.Lock()  # one write, or one removal, at a time
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._keeping: asyncio.Task[None] | None = None
        self._running: asyncio.Task[None] | None = None
        self._kept = asyncio.Event()  # set while there is something to send
        self._empty = asyncio.Event()

    @property
    def folder(self) -> Path:
        """The directory."""
        return self._folder

    @property
    def kept_events(self) -> int:
        """Events on the disk, those included that are settled already and stand beside others."""
        return self._files.events

    def has_room(self, events: int, more_bytes: int) -> bool:
        """Whether so many more events, of so many bytes, would be kept."""
        return self._files.has_room(events, more_bytes)

    @property
    def kept_bytes(self) -> int:
        """Bytes on the disk, without those that are set aside."""
        return self._files.bytes

    @property
    def damage(self) -> Sequence[Damage]:
        """Where a file of the directory could not be read since it was opened."""
        return tuple(self._files.damage)

    async def __aenter__(self) -> Self:
        """Take the directory over and begin to send what stands there.

        Raises SpoolBusy, SpoolFailed.
        """
        opened = asyncio.to_thread(SpoolFiles, self._folder, self._bytes_max, self._events_max)
        opening = asyncio.ensure_future(opened)
        try:
            files = await to_its_end(opening)
        except asyncio.CancelledError:
            if not opening.cancelled() and opening.exception() is None:
                opening.result().close()
            raise
        sending = Sending(
            self._client,
            files,
            self._disk,
            self._kept,
            self._look,
            self._settled,
            self._aside,
        )
        self._opened = files, sending
        self._look()
        self._running = asyncio.create_task(sending.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Send no more; what is not settled stays on the disk, and the directory is free."""
        await to_its_end(asyncio.ensure_future(self._close()))

    async def _close(self) -> None:
        assert self._running is not None
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
        if self._keeping is not None:
            await asyncio.gather(self._keeping, return_exceptions=True)
        async with self._disk:
            self._files.close()
            self._opened = None

    def let_go(self) -> None:
        """Let go of the directory where the loop has ended, or was forked: its tasks with it."""
        if self._opened is not None:
            self._opened[0].close()
            self._opened = None

    async def record(self, event: UsageEvent) -> EventOutcome | None:
        """The outcome of an event; None = it is on the disk and will be sent.

        Raises SpoolFull (it is nowhere), SpoolFailed, InvalidEvent, ClientClosed.
        """
        files = self._files
        event = self._client.named(event)
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
        """What became of a capture; None = it is on the disk and will be sent, under its id. What
        a server refuses at once is set aside too, since its work is done.

        Raises Refused, SpoolFull (it is nowhere), SpoolFailed, ClientClosed.
        """
        files, record = self._files, record_of(capture)
        if not files.events and not self._waiting:
            asked = asyncio.ensure_future(self._sending.capture(capture))
            try:
                await asyncio.wait({asked}, timeout=self._patience_s)
            finally:
                asked.cancel()
            if asked.done() and not asked.cancelled():
                try:
                    return asked.result()
                except Refused as error:
                    entry = refused(capture, error.reason or error.code, error.message)
                    await self._sending.set_aside([entry])
                    raise
                except (NotApplied, OutcomeUnknown):
                    pass
        await self._keep(record)
        return None

    async def charge(self, event: UsageEvent) -> EventOutcome | None:
        """The same for usage of work that is done: what a server refuses at once is set aside too.
        Raises as `record` does."""
        outcome = await self.record(event)
        if outcome is not None and not is_charged(outcome):
            reason = outcome.reason or outcome.outcome.name
            await self._sending.set_aside([refused(event, reason, outcome.message)])
        return outcome

    async def drained(self) -> None:
        """Return when nothing is on the disk but what is set aside. Raises ClientClosed."""
        running = self._running
        if self._opened is None or running is None:
            raise ClientClosed(f"the spool {self._folder} is not open")
        empty = asyncio.ensure_future(self._empty.wait())
        try:
            await asyncio.wait({empty, running}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            empty.cancel()
        if not self._empty.is_set():
            if running.cancelled():
                raise ClientClosed(f"the spool {self._folder} was closed")
            running.result()

    async def set_aside(self) -> list[SetAside]:
        """What servers refused of what was kept, oldest first. Raises SpoolFailed."""
        return await asyncio.to_thread(listed, self._folder)

    async def resend(self, ids: Collection[str] = (), *, shift_us: int = 0) -> int:
        """Have what is set aside sent again, all of it or what has these ids; returns how many are.

        `shift_us` is added to their times, for those that a wrong clock has set: IN_FUTURE, or
        TOO_OLD, which stands in the journal without a charge and so is sent as `again/` and its id.
        Raises SpoolFailed, ValueError.
        """
        files = self._files
        async with self._disk:
            found = await asyncio.to_thread(listed, self._folder)
            chosen = [each for each in found if not ids or each.id in ids]
            if not chosen:
                return 0
            records = [record_of(each.moved(shift_us)) for each in chosen]
            keys = {key_of(each) for each in chosen}
            try:
                await whole(lambda: files.put_behind(records))
            finally:
                self._look()
            await whole(lambda: files.aside.remove(lambda each: key_of(each) in keys))
        return len(chosen)

    # -- parts -------------------------------------------------------------------------------------

    @property
    def _files(self) -> SpoolFiles:
        if self._opened is None:
            raise ClientClosed(f"the spool {self._folder} is not open")
        return self._opened[0]

    @property
    def _sending(self) -> Sending:
        if self._opened is None:
            raise ClientClosed(f"the spool {self._folder} is not open")
        return self._opened[1]

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
            self._sending.more()
        else:
            self._kept.clear()
            self._empty.set()


def _tell(kept: asyncio.Future[None], failure: Exception | None = None) -> None:
    if kept.done():  # whoever waited is gone
        return
    if failure is None:
        kept.set_result(None)
    else:
        kept.set_exception(failure)
