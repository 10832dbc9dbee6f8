"""Key segments: immutable sets of identities beside the journal, and the filters that ask them.

A segment holds the keys of one generation and one range of batches, in buckets by the key's first
bits, each one small row. In memory there is only its filter, which says "certainly not" or "maybe".
Filters come in a few sizes, and those of one size are united, so that a new identity asks one
filter, and segments are merged without a look at their keys. Must not do I/O.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import starmap
from operator import index
from struct import Struct
from typing import Final

import zstandard
from rbloom import Bloom

from ledger.core.commands import Command
from ledger.core.keys import is_forgotten
from ledger.journal.checkpoint import (
    KEY_BYTES,
    RECORD_BYTES,
    NewSegment,
    StoredSegment,
    records_of,
)

FORMAT: Final = 1  # of a filter, and of the records of a bucket
BUCKET_KEYS_BITS: Final = 10  # at most 1,024 keys on average; x 24 B = 24 kB, read by one "maybe"
BUCKET_BITS_MIN: Final = 6  # the smallest filter is for 65,536 keys: 160 kB
BUCKET_BITS_MAX: Final = 12  # the largest for 4,194,304: 10 MB, united with another in 3 ms
BUCKET_BITS_STEP: Final = 2  # sizes grow fourfold
FALSE_POSITIVE_ONE_IN: Final = 10_000  # of a full filter; x 19 bits = 2.4 bytes of memory a key

SEGMENTS_A_GENERATION: Final = 6  # each key is rewritten 2 times in 20 checkpoints, 4 in 200
SEGMENT_KEYS_MAX: Final = 1 << BUCKET_BITS_MAX + BUCKET_KEYS_BITS  # x 24 B = 100 MB while merged
CHECKSUM_BYTES: Final = 16  # BLAKE2b of a saved filter, before it
FILTER_BYTES_MAX: Final = 64 << 20  # unpacked
FILTER_CHUNK: Final = 256 << 10  # bytes packed at once; x ~2 ns

_pack_record: Final = Struct(f">{KEY_BYTES}sQ").pack  # (key, locator): the path of every new key


def key_number(key: bytes) -> int:
    """The first half of a key, which is a digest, as the integer that filters take for a hash."""
    return int.from_bytes(key[:8], "little", signed=True)


def key_numbers(keys: bytes) -> array[int]:
    """The same for many keys, one after another."""
    halves = array("q", keys)
    if sys.byteorder == "big":
        halves.byteswap()
    return halves[::2]


def bucket_of(number: int, bits: int) -> int:
    """The bucket of a key."""
    return number & ((1 << bits) - 1)


def bits_for(keys: int) -> int:
    """Bucket bits of the smallest size that holds so many keys; the largest if none does."""
    bits = BUCKET_BITS_MIN
    while bits < BUCKET_BITS_MAX and keys > capacity_of(bits):
        bits += BUCKET_BITS_STEP
    return bits


def capacity_of(bits: int) -> int:
    """Keys for which a filter of that size is made."""
    return 1 << bits + BUCKET_KEYS_BITS


def empty_filter(bits: int) -> Bloom:
    """A filter of that size."""
    return Bloom(capacity_of(bits), 1 / FALSE_POSITIVE_ONE_IN, index)


class KeySegment:
    """A stored segment as it stands in memory: where it is, and its filter."""

    __slots__ = ("bucket_bits", "filter", "first_batch", "generation", "keys", "number")

    def __init__(self, stored: StoredSegment, filter: Bloom) -> None:
        self.number = stored.number
        self.generation = stored.generation_us
        self.first_batch = stored.first_batch
        self.keys = stored.keys
        self.bucket_bits = stored.bucket_bits
        self.filter = filter

    @classmethod
    def load(cls, stored: StoredSegment) -> KeySegment:
        """From what is stored. Raises ValueError: a filter with one bit less forgets keys."""
        checksum, packed = stored.filter[:CHECKSUM_BYTES], stored.filter[CHECKSUM_BYTES:]
        try:
            unpacker = zstandard.ZstdDecompressor()
            saved = unpacker.decompress(packed, max_output_size=FILTER_BYTES_MAX)
        except zstandard.ZstdError as error:
            raise ValueError(f"the filter of key segment {stored.number}: {error}") from error
        if checksum != blake2b(saved, digest_size=CHECKSUM_BYTES).digest():
            raise ValueError(f"the filter of key segment {stored.number} is damaged")
        return cls(stored, Bloom.load_bytes(saved, index))

    def place(self, number: int) -> tuple[int, int]:
        """(segment, bucket) in which the key would stand."""
        return self.number, bucket_of(number, self.bucket_bits)


class KeyGroup:
    """The united filter of segments of one size: together no more keys than it is made for."""

    __slots__ = ("bits", "filter", "keys", "owned")

    def __init__(self, segment: KeySegment) -> None:
        self.bits = segment.bucket_bits
        self.keys = segment.keys
        self.filter = segment.filter
        self.owned = False  # whether the filter is its own, not the segment's

    def takes(self, segment: KeySegment) -> bool:
        """Whether the segment may join."""
        fits = self.keys + segment.keys <= capacity_of(self.bits)
        return segment.bucket_bits == self.bits and fits

    def join(self, segment: KeySegment) -> None:
        """Unite: a copy of 10 MB once, 3 ms each."""
        if not self.owned:
            self.filter, self.owned = self.filter.copy(), True
        self.filter.update(segment.filter)
        self.keys += segment.keys


def unite(segments: Iterable[KeySegment]) -> Iterator[list[KeyGroup]]:
    """The groups of these segments, as they grow; the last yielded is all of them."""
    groups: list[KeyGroup] = []
    yield groups
    for segment in segments:
        group = next((group for group in groups if group.takes(segment)), None)
        if group is None:
            groups.append(KeyGroup(segment))
        else:
            group.join(segment)
        yield groups


class KeySegments:
    """The segments of a shard, newest first. `version` changes whenever they do."""

    __slots__ = ("_oldest", "expired", "groups", "segments", "version")

    def __init__(self, segments: Iterable[KeySegment] = ()) -> None:
        self._set(segments)
        self.groups: list[KeyGroup] = []  # may hold keys of segments that are gone
        for groups in unite(self.segments):
            self.groups = groups
        self.expired: list[int] = []  # asked no more, and still stored
        self.version = 0

    def __len__(self) -> int:
        return len(self.segments)

    @property
    def keys(self) -> int:
        """Keys in all of them."""
        return sum([segment.keys for segment in self.segments])

    def any_maybe(self, commands: Sequence[Command]) -> bool:
        """Whether any key of these commands may stand in a segment; the path of `ingest`."""
        numbers = key_numbers(b"".join([command.key for command in commands]))
        return any(any(map(group.filter.__contains__, numbers)) for group in self.groups)

    def places(self, key: bytes) -> list[tuple[int, int]]:
        """Where a key may stand, newest segment first; [] = certainly nowhere."""
        number = key_number(key)
        return [segment.place(number) for segment in self.segments if number in segment.filter]

    def without(self, dropped: Iterable[int]) -> list[KeySegment]:
        """Those that are not dropped."""
        gone = dict.fromkeys(dropped)
        return [segment for segment in self.segments if segment.number not in gone]

    def replace(
        self, made: Iterable[KeySegment], dropped: Sequence[int], groups: list[KeyGroup]
    ) -> None:
        """Take new segments in and drop others; `groups` unites what is left."""
        kept = [*self.without(dropped), *made]
        self._set(kept)
        self.groups = groups
        self.expired = [number for number in self.expired if number not in dropped]
        self.version += 1

    def forget(self, recorded_at: int) -> None:
        """Ask no more those whose generation has left the window (rule I4)."""
        if not self.segments or not is_forgotten(self._oldest, recorded_at):
            return
        kept = [each for each in self.segments if not is_forgotten(each.generation, recorded_at)]
        known = {each.number: None for each in kept}
        self.expired += [each.number for each in self.segments if each.number not in known]
        self._set(kept)
        self.version += 1

    def _set(self, segments: Iterable[KeySegment]) -> None:
        self.segments = sorted(segments, key=lambda segment: -segment.number)
        self._oldest = min([each.generation for each in self.segments], default=0)

    def to_merge(self, generation: int, keys: int) -> list[KeySegment]:
        """Segments that a new one of that generation and size shall take in: the fewest that keep
        a generation at SEGMENTS_A_GENERATION, each at least as large as all after it."""
        older = [each for each in self.segments if each.generation == generation]
        if len(older) < SEGMENTS_A_GENERATION:
            return []
        taken: list[KeySegment] = []
        total = keys
        for place, segment in enumerate(older):  # newest first
            if total + segment.keys > SEGMENT_KEYS_MAX:
                break
            total += segment.keys
            taken = older[: place + 1]
            rest = older[place + 1 :]
            if len(rest) < SEGMENTS_A_GENERATION and (not rest or rest[0].keys > total):
                break
        return taken

    def scattered(self, before_generation: int) -> list[KeySegment]:
        """The segments of one finished generation that has several, and that may become one."""
        by_generation: dict[int, list[KeySegment]] = {}
        for segment in self.segments:
            if segment.generation < before_generation:
                by_generation.setdefault(segment.generation, []).append(segment)
        for segments in by_generation.values():
            if len(segments) > 1 and sum([each.keys for each in segments]) <= SEGMENT_KEYS_MAX:
                return segments
        return []


class SegmentBuilder:
    """Gathers keys and whole segments; `bodies`, then `finish` make the new segment.

    A bucket is one array of bytes, not a list of records: the garbage collector walks lists, and a
    walk over a million records stops the loop for 100 ms.
    """

    __slots__ = ("_bits", "_buckets", "_extends", "_generation", "filter", "keys")

    def __init__(self, generation: int, bits: int) -> None:
        self.filter = empty_filter(bits)
        self.keys = 0
        self._generation = generation
        self._bits = bits
        self._buckets = [bytearray() for _ in range(1 << bits)]
        self._extends = [bucket.extend for bucket in self._buckets]

    def add(self, records: Sequence[tuple[bytes, int]]) -> None:
        """Add (key, locator); a key comes once."""
        numbers = key_numbers(b"".join([key for key, _ in records]))
        places = map(((1 << self._bits) - 1).__and__, numbers)
        extends = map(self._extends.__getitem__, places)
        for extend, packed in zip(extends, starmap(_pack_record, records), strict=True):
            extend(packed)
        self.filter.update(numbers)
        self.keys += len(records)

    def unite(self, segment: KeySegment) -> None:
        """Begin to take a segment in: its filter, if it is of this size; then its buckets."""
        if segment.bucket_bits == self._bits:
            self.filter.update(segment.filter)

    def take(self, segment: KeySegment, bucket: int, body: bytes) -> None:
        """One of its buckets: as it is, or key by key where the sizes differ."""
        if segment.bucket_bits == self._bits:
            self._buckets[bucket] += body
            self.keys += len(body) // RECORD_BYTES
        else:
            self.add(records_of(body))

    def bodies(self) -> Iterator[tuple[int, bytes]]:
        """(bucket, body) of those that hold anything; each is let go of as it is made."""
        for bucket, records in enumerate(self._buckets):
            if records:
                yield bucket, bytes(records)
                records.clear()

    def finish(
        self,
        number: int,
        first_batch: int,
        last_batch: int,
        bodies: Sequence[tuple[int, bytes]],
        packed_filter: bytes,
    ) -> tuple[NewSegment, KeySegment]:
        """What is to be written, and what stays in memory."""
        stored = StoredSegment(
            number,
            self._generation,
            first_batch,
            last_batch,
            self.keys,
            self._bits,
            FORMAT,
            packed_filter,
        )
        return NewSegment(stored, bodies), KeySegment(stored, self.filter)


def pack_filter(filter: Bloom) -> Iterator[bytes]:
    """The bytes that KeySegment.load reads, in parts, each made in about a millisecond.

    The checksum comes last but stands first: put the last part before the others.
    """
    saved = filter.save_bytes()
    checksum = blake2b(digest_size=CHECKSUM_BYTES)
    compressor = zstandard.ZstdCompressor(level=1).compressobj(size=len(saved))
    for start in range(0, len(saved), FILTER_CHUNK):
        chunk = saved[start : start + FILTER_CHUNK]
        checksum.update(chunk)
        yield compressor.compress(chunk)
    yield compressor.flush()
    yield checksum.digest()


assert KEY_BYTES == 16, "a key is two halves of 8 bytes"
