"""`Spool` for callers that do not await; any number of threads share one.

    client = DrawdownClient(address)             # not entered: there may be no server yet
    with Spool(client, "/var/spool/drawdown") as spool:
        outcome = spool.record(event)            # None: it is on the disk, and will be sent

A shell around `spool.Spool`, on the loop of its client. What threads record at the same time shares
a sync of the disk.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from ledger.client import spool as on_loop
from ledger.client.errors import ClientClosed
from ledger.client.events import EventOutcome, UsageEvent
from ledger.client.looping import LoopThread
from ledger.client.spool_aside import SetAside
from ledger.client.spool_files import Damage
from ledger.client.spool_records import SpooledCapture
from ledger.client.spool_sending import Aside, Settled, logged
from ledger.v1.decision_pb2 import CaptureResponse

if TYPE_CHECKING:
    from ledger.client.sync import DrawdownClient


class Spool:
    """One directory of one client; see spool.Spool. Leave it before the client is closed.

    `settled` and `aside` are called on the client's own thread, so they must not call the client:
    put what they are told of into a queue.
    """

    def __init__(
        self,
        client: DrawdownClient,
        folder: str | Path,
        *,
        bytes_max: int = on_loop.BYTES_MAX,
        events_max: int = on_loop.EVENTS_MAX,
        patience_us: int = on_loop.PATIENCE_US,
        settled: Settled | None = None,
        aside: Aside = logged,
    ) -> None:
        self._loop: Final = client._loop
        self._spool: Final = on_loop.Spool(
            client._client,
            folder,
            bytes_max=bytes_max,
            events_max=events_max,
            patience_us=patience_us,
            settled=settled,
            aside=aside,
        )

    @property
    def folder(self) -> Path:
        """The directory."""
        return self._spool.folder

    @property
    def kept_events(self) -> int:
        """Events on the disk, those of the oldest segment included that are settled already."""
        return self._spool.kept_events

    @property
    def kept_bytes(self) -> int:
        """Bytes on the disk, without those that are set aside."""
        return self._spool.kept_bytes

    @property
    def damage(self) -> Sequence[Damage]:
        """Where a file of the directory could not be read since it was opened."""
        return self._spool.damage

    def has_room(self, events: int, more_bytes: int) -> bool:
        """Whether so many more events, of so many bytes, would be kept."""
        return self._spool.has_room(events, more_bytes)

    def __enter__(self) -> Self:
        """Take the directory over and begin to send what stands there.

        Raises SpoolBusy, SpoolFailed, ClientClosed.
        """
        self._loop.run(self._spool.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        """Send no more; what is not settled stays on the disk."""
        if not self._loop.gone:
            try:
                self._loop.run(self._spool.__aexit__())
            except ClientClosed:
                pass  # by another thread
            else:
                return
        self._spool.let_go()

    def record(self, event: UsageEvent) -> EventOutcome | None:
        """The outcome of an event; None = it is on the disk and will be sent.

        Raises SpoolFull (it is nowhere), SpoolFailed, InvalidEvent, ClientClosed.
        """
        return self._loop.run(self._spool.record(event))

    def capture(self, capture: SpooledCapture) -> CaptureResponse | None:
        """What became of a capture; None = it is on the disk and will be sent, under its id. What
        a server refuses at once is set aside too, since its work is done.

        Raises Refused, SpoolFull (it is nowhere), SpoolFailed, ClientClosed.
        """
        return self._loop.run(self._spool.capture(capture))

    def charge(self, event: UsageEvent) -> EventOutcome | None:
        """The same for usage of work that is done: what a server refuses at once is set aside too.
        Raises as `record` does."""
        return self._loop.run(self._spool.charge(event))

    def drained(self) -> None:
        """Return when nothing is on the disk but what is set aside. Raises ClientClosed."""
        self._loop.run(self._spool.drained())

    def set_aside(self) -> list[SetAside]:
        """What servers refused of what was kept, oldest first. Raises SpoolFailed."""
        return self._loop.run(self._spool.set_aside())

    def resend(self, ids: Collection[str] = (), *, shift_us: int = 0) -> int:
        """Have what is set aside sent again; see spool.Spool.resend."""
        return self._loop.run(self._spool.resend(ids, shift_us=shift_us))

    def on_loop(self, loop: LoopThread) -> on_loop.Spool:
        """For the client of that loop. Raises ValueError where it is another one's."""
        if loop is not self._loop:
            raise ValueError(f"the spool {self.folder} is of another client: open one for this one")
        return self._spool
