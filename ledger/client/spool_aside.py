"""What a server refused of what a spool kept: set aside in a file, to be looked at and sent again.

One JSON document a line: what was kept, why it was refused, and when. A line that a crash cut short
is of an entry that is still kept, so it is set aside again; whoever reads passes it over.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from ledger.client.errors import SpoolFailed
from ledger.client.events import INT64_MAX, UsageEvent
from ledger.client.spool_records import Kept, SpooledCapture, fields_of, id_of, kept_of

FILE: Final = "set-aside.jsonl"
TOO_OLD: Final = "TOO_OLD"


class SetAside(NamedTuple):
    """A usage event or the capture of a hold that a server refused."""

    kept: Kept
    reason: str
    """The server's stable code, as IN_FUTURE or ACCOUNT_UNKNOWN."""

    message: str
    set_aside_at_us: int

    @property
    def id(self) -> str:
        """The event's id, or the capture's request id."""
        return id_of(self.kept)

    def moved(self, shift_us: int) -> Kept:
        """What is to be sent again, its time moved by so much. Raises ValueError for a time that
        is none. What was TOO_OLD stands in the journal under its id, uncharged, so it gets another:
        `again/` before it, the same each time."""
        if not shift_us:
            return self.kept
        at_us = self.kept.effective_at_us + shift_us
        if not 0 < at_us <= INT64_MAX:
            raise ValueError(f"{self.id} would be at {at_us}: times are above 0, within 64 bits")
        moved = replace(self.kept, effective_at_us=at_us)
        if self.reason == TOO_OLD and isinstance(moved, UsageEvent):
            return replace(moved, id=f"again/{moved.id}")
        return moved


class AsideFile:
    """The file of one spool's folder; not for several threads at a time."""

    def __init__(self, folder: Path) -> None:
        self.path: Final = folder / FILE
        self.bytes = self.path.stat().st_size if self.path.exists() else 0

    def add(self, refused: Iterable[SetAside]) -> None:
        """On the disk when this returns. Raises SpoolFailed."""
        lines = b"".join(_line(each) for each in refused)
        try:
            with os.fdopen(_opened(self.path, os.O_APPEND), "a+b") as file:
                if file.seek(0, os.SEEK_END):
                    file.seek(-1, os.SEEK_END)
                    if file.read() != b"\n":  # a line that was cut short ends here
                        lines = b"\n" + lines
                file.write(lines)
                file.flush()
                os.fsync(file.fileno())
                self.bytes = file.tell()
            _sync_folder(self.path.parent)
        except OSError as error:
            raise SpoolFailed(f"{self.path} could not be written: {error}") from error

    def remove(self, chosen: Callable[[SetAside], bool]) -> None:
        """Those go; lines that cannot be read stay. Raises SpoolFailed."""
        beside = self.path.with_suffix(".new")
        try:
            lines = self.path.read_bytes().splitlines(keepends=True)
            left = [line for line in lines if (each := _read(line)) is None or not chosen(each)]
            if left:
                with os.fdopen(_opened(beside, os.O_TRUNC), "wb") as file:
                    file.write(b"".join(left))
                    file.flush()
                    os.fsync(file.fileno())
                beside.replace(self.path)
            else:
                self.path.unlink()
            _sync_folder(self.path.parent)
        except OSError as error:
            raise SpoolFailed(f"{self.path} could not be written: {error}") from error
        self.bytes = sum(map(len, left))


def listed(folder: Path | str) -> list[SetAside]:
    """What is set aside in a spool's folder, in the order it was; each once, with what was said
    last. Raises SpoolFailed."""
    path = Path(folder) / FILE
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise SpoolFailed(f"{path} could not be read: {error}") from error
    found: dict[str, SetAside] = {}
    for line in lines:
        each = _read(line)
        if each is not None:
            found[key_of(each)] = each
    return list(found.values())


def refused(kept: Kept, reason: str, message: str) -> SetAside:
    """It was refused just now."""
    return SetAside(kept, reason, message, time.time_ns() // 1_000)


def key_of(each: SetAside) -> str:
    """The same for the same event or capture."""
    return json.dumps(fields_of(each.kept), sort_keys=True)


def _line(each: SetAside) -> bytes:
    what = "capture" if isinstance(each.kept, SpooledCapture) else "event"
    document = {
        "reason": each.reason,
        "message": each.message,
        "set_aside_at_us": each.set_aside_at_us,
        what: fields_of(each.kept),
    }
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def _read(line: bytes) -> SetAside | None:
    """None = the line was cut short, or is not ours."""
    try:
        document = json.loads(line)
        kept = kept_of(document.get("capture") or document["event"])
        return SetAside(
            kept, document["reason"], document["message"], int(document["set_aside_at_us"])
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _opened(path: Path, flags: int) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | flags, 0o600)


def _sync_folder(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
