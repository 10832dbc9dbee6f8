"""Records of a gateway's spool that this version cannot read, as a later one's: kept beside, whole.

They are written to a file of their own before their segment goes, and taken up by the first server
on the folder that can read them. Nothing of them is recorded meanwhile. Must not judge a record.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from ledger.client.errors import SpoolFailed
from ledger.client.spool_records import HEAD, framed, next_record

SUFFIX: Final = ".unread"


def set_aside(segment: Path, payloads: Sequence[bytes]) -> Path:
    """Keep what stands in a segment beside it: on the disk when it returns; again changes nothing.
    Raises SpoolFailed."""
    path, beside = segment.with_suffix(SUFFIX), segment.with_suffix(".new")
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(b"".join(map(framed, payloads)))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise SpoolFailed(f"{path} could not be written: {error}") from error
    return path


def kept_aside(folder: Path) -> Iterator[tuple[Path, list[bytes], bool]]:
    """Files of what was set aside, the payloads in each, and whether that is all there is: what is
    damaged is passed over. Raises SpoolFailed."""
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            data = path.read_bytes()
        except OSError as error:
            raise SpoolFailed(f"{path} could not be read: {error}") from error
        payloads, offset, whole = [], 0, True
        while (record := next_record(data, offset)) is not None:
            start, end = record
            whole = whole and start == offset
            payloads.append(data[start + HEAD : end])
            offset = end
        yield path, payloads, whole and offset == len(data)
