"""What was verified before: a file that whoever verifies keeps, apart from the database.

A mark says of each shard up to which batch (and seal) everything was checked, with their hashes. It
is trusted as the file is: whoever can write it can hide what came before. It stands where the last
seal ends, or at the tail where there are none: seals that are made later are then read from the
beginning, once.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

MARK_FORMAT: Final = "drawdown.mark.1"


class MarkUnusable(ValueError):
    """The file holds no mark of this ledger; the message says why."""


class ShardMark(Struct, frozen=True):
    """Where one shard was checked up to; `seal_seq` 0 = no seal was."""

    shard: int
    batch_seq: int
    entries: int
    hash: bytes
    seal_seq: int = 0
    seal_hash: bytes = b""


class Marks(Struct, frozen=True):
    """The whole file; `instance` is the installation's 16-byte id."""

    format: str
    instance: bytes
    shards: list[ShardMark]

    def of(self, shard: int) -> ShardMark | None:
        """The mark of one shard; None where it was empty."""
        found = [mark for mark in self.shards if mark.shard == shard and mark.batch_seq]
        return found[0] if found else None


def read_marks(path: Path) -> Marks:
    """Raises MarkUnusable."""
    try:
        marks = msgspec.json.decode(path.read_bytes(), type=Marks)
    except OSError as error:
        raise MarkUnusable(f"the mark {path} cannot be read: {error.strerror or error}") from error
    except msgspec.MsgspecError as error:
        raise MarkUnusable(f"{path} holds no mark: {error}") from error
    if marks.format != MARK_FORMAT:
        raise MarkUnusable(f"{path}: format {marks.format!r}; this version knows {MARK_FORMAT}")
    return marks


def write_marks(path: Path, marks: Marks) -> None:
    """Replace the file whole, or leave it as it was."""
    made = path.with_name(f"{path.name}.new")
    with made.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(marks), indent=2) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    made.replace(path)
