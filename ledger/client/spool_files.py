"""Events on the disk of a caller, in order: appended, synced, read again, let go of. No network.

A directory has one writer, which holds a lock. Events stand in segments that are written one after
the other, a record each: length, CRC-32, JSON. A segment goes when all of its events are settled,
so after a crash those of one segment may be sent again, under their ids. Where writing was cut
short the end of the last segment is not a whole record: nobody was told that it is kept, and it is
set aside. Anything else that does not read is damage, and raises.
"""

from __future__ import annotations

import fcntl
import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from ledger.client.errors import InvalidEvent, SpoolBusy, SpoolDamaged, SpoolFailed, SpoolFull
from ledger.client.events import UsageEvent, event_bytes, shape_bytes, shape_key

SEGMENT_BYTES: Final = 4 << 20  # x ~250 B an event = 16,000 that may be sent again
RECORD_BYTES_MAX: Final = 1 << 20
DISK_SPARE_BYTES: Final = 1 << 20  # for the file system's own blocks, and a last segment
_HEAD: Final = 8  # bytes of length and CRC-32, big-endian
_SUFFIX: Final = ".spool"


@dataclass(frozen=True, slots=True)
class SpooledCapture:
    """What a hold's work used, at an instant in microseconds: the capture to be made of it."""

    hold_id: str
    quantities: Mapping[str, int]
    request_id: str
    effective_at_us: int = 0


Kept: TypeAlias = UsageEvent | SpooledCapture


class Segment:
    """One file: how far it is written, and how many events are in it."""

    __slots__ = ("bytes", "events", "number", "path")

    def __init__(self, folder: Path, number: int) -> None:
        self.number = number
        self.path = folder / f"{number:012d}{_SUFFIX}"
        self.bytes = 0
        self.events = 0


class SpoolFiles:
    """The events that are kept; not for several threads at a time, but from any."""

    def __init__(self, folder: Path, bytes_max: int, events_max: int) -> None:
        """Take the directory over, made where it is not there.

        Raises SpoolBusy where another has it, SpoolDamaged, SpoolFailed.
        """
        self.events = 0
        """Events that are kept: those of segments that are not let go of."""
        self.bytes = 0
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

    def append(self, records: Sequence[bytes]) -> None:
        """Keep what `record_of` made: on the disk when this returns. All or none.

        Raises SpoolFull, SpoolFailed.
        """
        more = b"".join(records)
        full = self.events + len(records) > self._events_max
        if full or self.bytes + len(more) > self._bytes_max:
            raise SpoolFull(
                f"{self._folder} keeps {self.events} events in {self.bytes} bytes, of at most "
                f"{self._events_max} in {self._bytes_max}: no more was kept"
            )
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

    def has_room(self, events: int, more_bytes: int) -> bool:
        """Whether so much more is within the bounds, and on the disk itself."""
        if self.events + events > self._events_max or self.bytes + more_bytes > self._bytes_max:
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

    def read(self, segment: Segment, offset: int, events_max: int) -> tuple[list[Kept], int]:
        """Events from `offset` on, and the offset behind them. Raises SpoolDamaged."""
        found: list[Kept] = []
        with segment.path.open("rb") as file:
            file.seek(offset)
            while len(found) < events_max and offset < segment.bytes:
                payload = _payload(file.read(_HEAD), file.read)
                if payload is None:
                    raise SpoolDamaged(f"{segment.path} cannot be read at byte {offset}")
                found.append(_kept(payload))
                offset += _HEAD + len(payload)
        return found, offset

    def let_go(self, segment: Segment) -> None:
        """All of its events are settled: its file goes. Raises SpoolFailed."""
        if segment is self._segments[-1]:
            self._close_file()
        self._segments.remove(segment)
        self.bytes -= segment.bytes
        self.events -= segment.events
        try:
            segment.path.unlink(missing_ok=True)
        except OSError as error:
            raise SpoolFailed(f"{segment.path} could not be removed: {error}") from error

    def close(self) -> None:
        """Let go of the directory; what is kept stays on the disk."""
        self._close_file()
        os.close(self._lock)

    # -- parts -------------------------------------------------------------------------------------

    def _open(self) -> None:
        paths = sorted(self._folder.glob(f"*{_SUFFIX}"))
        for path in paths:
            segment = Segment(self._folder, int(path.stem))
            whole = path.read_bytes()
            for offset, _ in _scanned(whole):
                segment.bytes = offset
                segment.events += 1
            if segment.bytes < len(whole):
                if path != paths[-1]:
                    raise SpoolDamaged(f"{path} cannot be read at byte {segment.bytes}")
                self._set_aside(segment, whole[segment.bytes :])
            self._next_number = segment.number + 1
            if not segment.events:
                path.unlink()
                continue
            self._segments.append(segment)
            self.bytes += segment.bytes
            self.events += segment.events

    def _set_aside(self, segment: Segment, torn: bytes) -> None:
        """The end of a write that was cut short is kept beside, for whoever wants to look, where
        the disk has room for it: on a full one what is kept can be sent all the same."""
        beside = segment.path.with_suffix(".torn")
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


def record_of(kept: Kept) -> bytes:
    """What is kept of an event or a capture. Raises InvalidEvent."""
    event_id = kept.request_id if isinstance(kept, SpooledCapture) else kept.id
    if isinstance(kept, UsageEvent):
        event_bytes(kept)
        shape_bytes(shape_key(kept))
    fields: dict[str, Any] = {}
    for name in kept.__slots__:
        value = getattr(kept, name)
        if value:
            fields[name] = value if isinstance(value, str | int) else dict(value)
    payload = json.dumps(fields, separators=(",", ":")).encode()
    if len(payload) > RECORD_BYTES_MAX:
        message = f"{len(payload)} bytes; at most {RECORD_BYTES_MAX} are kept on a disk"
        raise InvalidEvent("EVENT_TOO_LARGE", "id", event_id, message)
    head = len(payload).to_bytes(4, "big") + zlib.crc32(payload).to_bytes(4, "big")
    return head + payload


def _kept(payload: bytes) -> Kept:
    fields = json.loads(payload)
    if "hold_id" in fields:
        return SpooledCapture(**fields)
    return UsageEvent(**{"quantities": {}, **fields})


def _payload(head: bytes, read: Any) -> bytes | None:
    """What stands behind a head; None = no whole record does."""
    if len(head) < _HEAD:
        return None
    length = int.from_bytes(head[:4], "big")
    if not 0 < length <= RECORD_BYTES_MAX:
        return None
    payload: bytes = read(length)
    if len(payload) < length or zlib.crc32(payload) != int.from_bytes(head[4:], "big"):
        return None
    return payload


def _scanned(whole: bytes) -> Iterator[tuple[int, bytes]]:
    """The whole records from the start on: (offset behind, payload)."""
    offset = 0
    while True:
        at = offset + _HEAD
        payload = _payload(whole[offset:at], lambda length, at=at: whole[at : at + length])
        if payload is None:
            return
        offset = at + len(payload)
        yield offset, payload
