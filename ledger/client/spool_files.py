"""Events on the disk of a caller, in order: appended, synced, read again, let go of. No network.

A directory has one writer, which holds a lock. Events stand in segments that are written one after
the other. A segment goes when all of its events are settled, so after a crash those of one segment
may be sent again, under their ids. Where writing was cut short the end of a segment is not a whole
record: nobody was told that it is kept, and it is set aside as `.torn`. What does not read before
the end is damage: what is whole around it is sent, and the file stays as `.damaged` when it is.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from ledger.client.errors import SpoolBusy, SpoolFailed, SpoolFull
from ledger.client.spool_aside import AsideFile
from ledger.client.spool_records import HEAD, Kept, kept_at, next_record

SEGMENT_BYTES: Final = 4 << 20  # x ~250 B an event = 16,000 that may be sent again
DISK_SPARE_BYTES: Final = 1 << 20  # for the file system's own blocks, and a last segment
_SUFFIX: Final = ".spool"
_log: Final = logging.getLogger("ledger.client")


class Damage(NamedTuple):
    """A place of a file that could not be read: what stood there was not sent, unless it was never
    said to be kept. The file stays for whoever wants to look."""

    path: Path
    """Where the file is once what is whole was sent."""

    offset: int


class Segment:
    """One file: how far it is written, and how many events are in it."""

    __slots__ = ("bytes", "damaged", "events", "number", "path")

    def __init__(self, folder: Path, number: int) -> None:
        self.number = number
        self.path = folder / f"{number:012d}{_SUFFIX}"
        self.bytes = 0
        self.events = 0
        self.damaged = False


class SpoolFiles:
    """The events that are kept; not for several threads at a time, but from any."""

    def __init__(self, folder: Path, bytes_max: int, events_max: int) -> None:
        """Take the directory over, made where it is not there.

        Raises SpoolBusy where another has it, SpoolFailed.
        """
        self.events = 0
        """Events that are kept: those of segments that are not let go of."""
        self.bytes = 0
        self.damage: list[Damage] = []
        """What could not be read."""
        self._folder: Final = folder
        self._bytes_max: Final = bytes_max
        self._events_max: Final = events_max
        self._segments: list[Segment] = []
        self._file = -1
        self._next_number = 1
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SpoolFailed(f"{folder} cannot be used: {error}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise SpoolBusy(f"{folder} is another process's or client's spool") from error
        try:
            self._open()
        except OSError as error:
            os.close(self._lock)
            raise SpoolFailed(f"{folder} cannot be read: {error}") from error
        except BaseException:
            os.close(self._lock)
            raise

    # -- writing -----------------------------------------------------------------------------------

    def append(self, records: Sequence[bytes]) -> Segment:
        """Keep what `record_of` or `framed` made, all in the segment that is returned: on the disk
        then. All or none.

        Raises SpoolFull, SpoolFailed.
        """
        if not self._is_within(len(records), sum(map(len, records))):
            aside = f" and {self.aside.bytes} set aside" if self.aside.bytes else ""
            raise SpoolFull(
                f"{self._folder} keeps {self.events} events in {self.bytes} bytes{aside}, of at "
                f"most {self._events_max} in {self._bytes_max}: no more was kept"
            )
        return self._append(records)

    def put_behind(self, records: Sequence[bytes]) -> Segment:
        """Keep again what is kept, or set aside, behind everything: in a new segment. The bounds
        are not asked, since it goes elsewhere. Raises SpoolFailed."""
        self._close_file()
        return self._append(records)

    def _append(self, records: Sequence[bytes]) -> Segment:
        more = b"".join(records)
        segment = self._writable(len(more))
        try:
            if self._file < 0:
                self._begin(segment)
            written = 0
            while written < len(more):
                written += os.pwrite(self._file, more[written:], segment.bytes + written)
            os.fsync(self._file)
        except OSError as error:
            self._give_up_segment(segment)
            raise SpoolFailed(f"{segment.path} could not be written: {error}") from error
        segment.bytes += len(more)
        segment.events += len(records)
        self.bytes += len(more)
        self.events += len(records)
        return segment

    def has_room(self, events: int, more_bytes: int) -> bool:
        """Whether so much more is within the bounds, and on the disk itself."""
        if not self._is_within(events, more_bytes):
            return False
        try:
            disk = os.statvfs(self._folder)
        except OSError:
            return False
        return more_bytes + DISK_SPARE_BYTES <= disk.f_bavail * disk.f_frsize

    # -- reading -----------------------------------------------------------------------------------

    def oldest(self) -> Segment | None:
        """The segment whose events come first; None = nothing is kept."""
        return next((segment for segment in self._segments if segment.events), None)

    @property
    def segments(self) -> Sequence[Segment]:
        """Those that are kept, in the order written."""
        return tuple(self._segments)

    def read(self, segment: Segment, offset: int, events_max: int) -> tuple[list[Kept], int]:
        """Events from `offset` on, and the offset behind them; what is damaged is passed over.
        Raises SpoolFailed."""
        found: list[Kept] = []
        data, places, behind = self._records(segment, offset, events_max)
        for start, end in places:
            try:
                found.append(kept_at(data, start, end))
            except (ValueError, TypeError):  # whole, but of a version that keeps more
                self._damaged(segment, start)
        return found, behind

    def payloads(self, segment: Segment) -> list[bytes]:
        """All that stands in a segment, as it was given to `framed`; what is damaged is passed
        over. Raises SpoolFailed."""
        data, places, _ = self._records(segment, 0, segment.events)
        return [data[start + HEAD : end] for start, end in places]

    def _records(
        self, segment: Segment, offset: int, events_max: int
    ) -> tuple[bytes, list[tuple[int, int]], int]:
        """The bytes of a segment, where records from `offset` on begin and end, and the offset
        behind them."""
        places: list[tuple[int, int]] = []
        known = segment.bytes  # more may be written meanwhile
        try:
            data = segment.path.read_bytes()[:known]
        except OSError as error:
            raise SpoolFailed(f"{segment.path} cannot be read: {error}") from error
        while len(places) < events_max and offset < known:
            record = next_record(data, offset)
            start, end = record or (known, known)
            if start > offset:
                self._damaged(segment, offset)
            if record is not None:
                places.append(record)
            offset = end
        return data, places, offset

    def let_go(self, segment: Segment) -> None:
        """All of its events are settled: its file goes, or is named `.damaged`. Raises SpoolFailed
        where it stays: then it is sent again by whoever opens the folder next."""
        if segment is self._segments[-1]:
            self._close_file()
        self._segments.remove(segment)
        self.bytes -= segment.bytes
        self.events -= segment.events
        try:
            if segment.damaged:
                segment.path.replace(segment.path.with_suffix(".damaged"))
            else:
                segment.path.unlink(missing_ok=True)
        except OSError as error:
            raise SpoolFailed(f"{segment.path} could not be removed: {error}") from error

    def close(self) -> None:
        """Let go of the directory; what is kept stays on the disk."""
        self._close_file()
        os.close(self._lock)

    # -- parts -------------------------------------------------------------------------------------

    def _is_within(self, events: int, more_bytes: int) -> bool:
        """Whether so much more is within the bounds, which what is set aside fills too."""
        kept = self.bytes + self.aside.bytes
        return self.events + events <= self._events_max and kept + more_bytes <= self._bytes_max

    def _open(self) -> None:
        self.aside = AsideFile(self._folder)
        paths = sorted(self._folder.glob(f"*{_SUFFIX}"))
        numbers = [int(path.stem) for path in self._folder.iterdir() if path.stem.isdigit()]
        self._next_number = max(numbers, default=0) + 1  # never that of what was set aside
        for path in paths:
            segment = Segment(self._folder, int(path.stem))
            data = path.read_bytes()
            while (record := next_record(data, segment.bytes)) is not None:
                start, end = record
                if start > segment.bytes:
                    self._damaged(segment, segment.bytes)
                segment.bytes = end
                segment.events += 1
            if segment.bytes < len(data):
                self._set_aside(segment, data[segment.bytes :], path is paths[-1])
            if not segment.events:
                path.unlink(missing_ok=True)
                continue
            self._segments.append(segment)
            self.bytes += segment.bytes
            self.events += segment.events

    def _damaged(self, segment: Segment, offset: int) -> None:
        segment.damaged = True
        found = Damage(segment.path.with_suffix(".damaged"), offset)
        if found not in self.damage:
            self.damage.append(found)
            _log.error("%s cannot be read at byte %d; the rest is sent", segment.path, offset)

    def _set_aside(self, segment: Segment, torn: bytes, last: bool) -> None:
        """The end of a write that was cut short is kept beside, for whoever wants to look, where
        the disk has room for it: on a full one what is kept can be sent all the same. In a segment
        before the last it may be damage, and is told."""
        beside = segment.path.with_suffix(".torn")
        if not last:
            self.damage.append(Damage(beside, 0))
            _log.error("%s ends torn at byte %d; the rest is sent", segment.path, segment.bytes)
        if not segment.events:
            segment.path.replace(beside)
            return
        try:
            beside.write_bytes(torn)
        except OSError:
            beside.unlink(missing_ok=True)
        with segment.path.open("r+b") as file:
            file.truncate(segment.bytes)
            os.fsync(file.fileno())

    def _writable(self, more: int) -> Segment:
        """The segment to write to: a new one after the start, a failure, or SEGMENT_BYTES."""
        if self._file >= 0:
            segment = self._segments[-1]
            if not segment.bytes or segment.bytes + more <= SEGMENT_BYTES:
                return segment
            self._close_file()
        segment = Segment(self._folder, self._next_number)
        self._next_number += 1
        return segment

    def _begin(self, segment: Segment) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._file = os.open(segment.path, flags, 0o600)
        self._segments.append(segment)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _give_up_segment(self, segment: Segment) -> None:
        """After a failed write nobody knows what the file holds behind what was synced."""
        if self._file >= 0:
            try:
                os.ftruncate(self._file, segment.bytes)
                os.fdatasync(self._file)
            except OSError:
                pass  # what stands there is sent, which its ids make harmless, or is set aside
        self._close_file()
        if segment in self._segments and not segment.events:
            self._segments.remove(segment)
            segment.path.unlink(missing_ok=True)

    def _close_file(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
