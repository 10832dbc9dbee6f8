"""Stored checkpoints that do not fit their journal any more: of restored tables, or a bad disk.

Whoever opens the shard next has to notice and to replay everything. Spoils one shard at a time, and
only what no running server has read.
"""

from __future__ import annotations

from enum import IntEnum
from hashlib import sha256
from typing import Final

import zstandard
from msgspec.structs import replace

from ledger.engine.segments import CHECKSUM_BYTES, empty_filter
from ledger.journal.checkpoint import CheckpointWrite, StoredFamily, StoredSegment
from ledger.journal.checkpoint_memory import MemoryCheckpointData

UNKNOWN_FORMAT: Final = 99


class Spoilt(IntEnum):
    """How."""

    ANOTHER_HISTORY = 0  # an older one, of a journal with other hashes, without its keys
    EMPTY_FILTERS = 1
    TORN_FAMILY = 2
    NEWER_FORMAT = 3


class OlderFamilies:
    """What families were like one checkpoint before."""

    def __init__(self) -> None:
        self._older: dict[int, StoredFamily] = {}

    def before(self, data: MemoryCheckpointData, change: CheckpointWrite) -> None:
        """A checkpoint is about to be written."""
        for family in change.families:
            root = family.place.root
            if root in data.families:
                self._older[root] = data.families[root]

    def spoil(self, data: MemoryCheckpointData, how: Spoilt) -> bool:
        """Spoil what is stored; whether there was anything."""
        stored = data.checkpoint
        if stored is None or not stored.batch_seq:
            return False
        match how:
            case Spoilt.ANOTHER_HISTORY:
                # Spoilt twice, it is not the first one's again.
                data.checkpoint = replace(stored, hash=sha256(stored.hash).digest())
                data.families.update(self._older)
                data.segments.clear()
                data.buckets.clear()
            case Spoilt.EMPTY_FILTERS:
                data.segments = {each.number: _emptied(each) for each in data.segments.values()}
            case Spoilt.TORN_FAMILY:
                for root, family in data.families.items():
                    data.families[root] = replace(family, body=family.body[:-1])
            case Spoilt.NEWER_FORMAT:
                data.checkpoint = replace(stored, format=UNKNOWN_FORMAT)
        return True


def _emptied(segment: StoredSegment) -> StoredSegment:
    """With a filter that says "certainly not" of every key, under the old one's checksum."""
    saved = empty_filter(segment.bucket_bits).save_bytes()
    packed = zstandard.ZstdCompressor(level=1).compress(saved)
    return replace(segment, filter=segment.filter[:CHECKSUM_BYTES] + packed)
