"""What was let in and is not recorded yet: on this server's disk, and how much of it there is.

    spool = OpenSpool(folder, bounds)      # takes the directory over, with what a predecessor left
    await spool.keep(let_in, estimate)     # synced when it returns
    await spool.say_used(let_in, used)     # synced, too
    await spool.done(let_in)               # the ledger has it

A segment's file goes when all that stands in it is done. Must not ask the ledger anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from ledger.client.errors import SpoolFailed, SpoolFull
from ledger.client.guarded import OpenBounds
from ledger.client.spool_files import Segment, SpoolFiles
from ledger.gateway.let_in import Kept, LetIn, kept_of
from ledger.gateway.unread import kept_aside, set_aside

BYTES_MAX: Final = 64 << 20  # x 1/500 B a request = 130,000 of them
RECORDS_MAX: Final = 1_000_000
NS_A_US: Final = 1_000
RECORDS_PROMISED: Final = 2  # x its first record: what it used may be of more quantities

_log: Final = logging.getLogger(__name__)


def monotonic_us() -> int:
    """By the clock of spans."""
    return time.monotonic_ns() // NS_A_US


class Entry:
    """One request that is not recorded yet."""

    __slots__ = ("estimate", "let_in", "promised", "segments", "since_us", "used", "written")

    def __init__(self, let_in: LetIn, estimate: Mapping[str, int]) -> None:
        self.let_in = let_in
        self.estimate = estimate
        self.used: Mapping[str, int] | None = None
        self.promised = 0
        self.segments: list[Segment] = []
        self.written: asyncio.Future[None] | None = None  # its last record
        self.since_us: Final = monotonic_us()

    @property
    def age_us(self) -> int:
        """How long it is here: since it was let in, or taken up from a predecessor."""
        return monotonic_us() - self.since_us

    @property
    def runs(self) -> bool:
        """Whether it is on the disk, and nobody has said what it used."""
        return self.used is None and bool(self.segments)

    @property
    def counted(self) -> Mapping[str, int]:
        """What it counts for within the bounds."""
        return self.estimate if self.used is None else self.used


class OpenSpool:
    """For one server process; on its loop."""

    def __init__(self, folder: Path, bounds: OpenBounds, bytes_max: int = BYTES_MAX) -> None:
        """Raises SpoolBusy, SpoolFailed."""
        self.bounds: Final = bounds
        self.wake: Final = asyncio.Event()
        """Set when something may be recorded."""

        self._files = SpoolFiles(folder, bytes_max, RECORDS_MAX)
        self._entries: dict[tuple[str, str], Entry] = {}  # by tenant and key
        self._accounts: dict[tuple[str, str], list[Entry]] = {}
        self._left: dict[Segment, int] = {}  # records in it that are not done
        self._promised_bytes = 0
        self._running = 0
        self._disk = asyncio.Lock()
        self._waiting: list[_Write] = []
        self._writing: asyncio.Task[None] | None = None
        self._withdrawing: set[asyncio.Task[None]] = set()
        self._unread = 0
        try:
            self._take_up(folder)
        except BaseException:
            self._files.close()
            raise

    @property
    def kept(self) -> int:
        """How many requests there are."""
        return len(self._entries)

    @property
    def running(self) -> int:
        """Those of them of which nobody has said what they used."""
        return self._running

    @property
    def unread(self) -> int:
        """Records that this version cannot read, which wait for one that does."""
        return self._unread

    @property
    def bytes(self) -> int:
        """On the disk."""
        return self._files.bytes

    @property
    def oldest_us(self) -> int:
        """How long the oldest of them is here; 0 = there is none."""
        return next((entry.age_us for entry in self._entries.values()), 0)

    def entry(self, tenant: str, key: str) -> Entry | None:
        """One of them."""
        return self._entries.get((tenant, key))

    def holds(self, entry: Entry) -> bool:
        """Whether it is still one of them."""
        return self._entries.get((entry.let_in.tenant, entry.let_in.key)) is entry

    def due(self, now_us: int) -> Iterator[Entry]:
        """Those that are to be recorded now."""
        for entry in list(self._entries.values()):
            if entry.used is not None or entry.let_in.until_us <= now_us:
                yield entry

    async def keep(self, let_in: LetIn, estimate: Mapping[str, int]) -> Entry | None:
        """Let one in; None = it is above the bounds of its account, or there is no room on the
        disk. One of the same key that runs already is it. Raises SpoolFailed."""
        before = self.entry(let_in.tenant, let_in.key)
        if before is not None:
            return before if before.runs else None
        kept = Kept(let_in, estimate, None)
        size = len(kept.record)
        promised = RECORDS_PROMISED * size
        if not self._files.has_room(2, size + promised + self._promised_bytes):
            return None
        if not self._within(let_in, estimate):
            return None
        entry = Entry(let_in, estimate)
        entry.promised = promised
        self._add(entry)  # counts while it is being written
        try:
            await self._written(entry, kept)
        except asyncio.CancelledError:  # whoever asked has gone: it does not run
            task = asyncio.create_task(self._withdrawn(entry))
            self._withdrawing.add(task)
            task.add_done_callback(self._withdrawing.discard)
            raise
        except BaseException as error:
            self._forget(entry)
            if isinstance(error, SpoolFull):
                return None
            raise
        return entry

    async def say_used(self, let_in: LetIn, used: Mapping[str, int]) -> Entry:
        """Keep what one used, also of one that another server let in. What was said first stays,
        and whoever says it again waits for the disk, too.

        Raises SpoolFull, SpoolFailed.
        """
        place = (let_in.tenant, let_in.key)
        entry = self._entries.get(place)
        if entry is None:
            entry = Entry(let_in, {})
            self._add(entry)
        if entry.used is None:
            entry.used = dict(used)
            self._running -= 1
            try:
                await self._written(entry, Kept(let_in, None, used))
            except (SpoolFull, SpoolFailed):
                entry.used = None
                self._running += 1
                if not entry.segments:
                    self._forget(entry)
                raise
        elif entry.written is not None:
            if entry.written.done() and entry.written.exception() is not None:
                await self._written(entry, Kept(let_in, None, entry.used))  # nobody saw it fail
            else:
                await asyncio.shield(entry.written)
        self.wake.set()
        return entry

    async def done(self, entry: Entry) -> None:
        """The ledger has it, or never will. Raises SpoolFailed."""
        self._forget(entry)
        for segment in entry.segments:
            self._left[segment] -= 1
        async with self._disk:
            for segment in {*entry.segments}:
                if self._left.get(segment) == 0:
                    del self._left[segment]
                    await asyncio.to_thread(self._files.let_go, segment)

    async def close(self) -> None:
        """Let go of the directory; what is kept stays on the disk."""
        await asyncio.gather(*self._withdrawing, return_exceptions=True)
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)
        async with self._disk:
            self._files.close()

    # -- parts -------------------------------------------------------------------------------------

    def _within(self, let_in: LetIn, estimate: Mapping[str, int]) -> bool:
        running = self._accounts.get((let_in.tenant, let_in.account), ())
        if len(running) >= self.bounds.calls:
            return False
        return all(
            sum(each.counted.get(name, 0) for each in running) + estimate.get(name, 0) <= bound
            for name, bound in self.bounds.quantities.items()
        )

    def _take_up(self, folder: Path) -> None:
        """What a predecessor left. Of what only another version can read nothing is recorded, and
        nothing lost."""
        for segment in self._files.segments:
            unread: list[bytes] = []
            for payload in self._files.payloads(segment):
                try:
                    self._found(kept_of(payload), segment)
                except ValueError:
                    unread.append(payload)
            if unread:
                set_aside(segment.path, unread)
                if segment not in self._left:
                    self._files.let_go(segment)
        for path, payloads, whole in list(kept_aside(folder)):
            try:
                found = [kept_of(payload) for payload in payloads]
            except ValueError as error:
                self._unread += len(payloads)
                message = "%s keeps %d records that this version cannot read: %s. Nothing of them"
                message += " is recorded: start the version that wrote them on this folder"
                _log.error(message, path, len(payloads), error)
                continue
            if found:
                segment = self._files.put_behind([kept.record for kept in found])
                for kept in found:
                    self._found(kept, segment)
            if whole:
                path.unlink()
            else:
                beside = path.rename(path.with_name(f"{path.name}.damaged"))
                _log.error("%s was damaged: what is whole in it is taken up, it stays", beside)

    def _found(self, kept: Kept, segment: Segment) -> None:
        let_in = kept.let_in
        entry = self._entries.get((let_in.tenant, let_in.key))
        if entry is None:
            entry = Entry(let_in, {})
            self._add(entry)
        if kept.estimate is not None:
            entry.estimate = kept.estimate
        if kept.used is not None and entry.used is None:
            entry.used = kept.used
            self._running -= 1
        self._stands_in(entry, segment)

    def _add(self, entry: Entry) -> None:
        let_in = entry.let_in
        self._entries[let_in.tenant, let_in.key] = entry
        self._accounts.setdefault((let_in.tenant, let_in.account), []).append(entry)
        self._promised_bytes += entry.promised
        self._running += 1

    def _forget(self, entry: Entry) -> None:
        let_in = entry.let_in
        del self._entries[let_in.tenant, let_in.key]
        account = self._accounts[let_in.tenant, let_in.account]
        account.remove(entry)
        if not account:
            del self._accounts[let_in.tenant, let_in.account]
        self._promised_bytes -= entry.promised
        if entry.used is None:
            self._running -= 1

    def _stands_in(self, entry: Entry, segment: Segment) -> None:
        entry.segments.append(segment)
        self._left[segment] = self._left.get(segment, 0) + 1
        if entry.used is not None:
            self._promised_bytes -= entry.promised
            entry.promised = 0

    async def _written(self, entry: Entry, kept: Kept) -> None:
        entry.written = written = asyncio.get_running_loop().create_future()
        self._waiting.append(_Write(entry, kept.record, written))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        await asyncio.shield(written)

    async def _write(self) -> None:
        """Sync what waits, together what came meanwhile; of too much as much as there is room."""
        while self._waiting:
            taken, self._waiting = self._waiting, []
            async with self._disk:
                try:
                    await self._append(taken)
                except SpoolFull:
                    for each in taken:
                        try:
                            await self._append([each])
                        except Exception as failure:
                            _fail([each], failure)
                except Exception as failure:
                    _fail(taken, failure)

    async def _append(self, taken: Sequence[_Write]) -> None:
        records = [each.record for each in taken]
        segment = await asyncio.to_thread(self._files.append, records)
        for each in taken:
            self._stands_in(each.entry, segment)
            if not each.written.done():
                each.written.set_result(None)

    async def _withdrawn(self, entry: Entry) -> None:
        """Nobody was told that it may run."""
        with contextlib.suppress(SpoolFull, SpoolFailed):
            await self.say_used(entry.let_in, {})


class _Write(NamedTuple):
    """One record on its way to the disk."""

    entry: Entry
    record: bytes
    written: asyncio.Future[None]


def _fail(taken: Iterable[_Write], failure: Exception) -> None:
    for each in taken:
        if not each.written.done():
            each.written.set_exception(failure)
            each.written.exception()  # whoever waited may be gone
