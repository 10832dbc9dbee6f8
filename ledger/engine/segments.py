"""Key segments: immutable sets of identities beside the journal, and the filters that ask them.

A segment holds the keys of one generation and one range of batches, in buckets by the key's first
bits, each one small row. In memory there is only its filter, which says "certainly not" or "maybe".
False positives are so few that hardly a batch of events has one. Must not do I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from operator import index
from typing import Final

from rbloom import Bloom

from ledger.core.commands import ApplyConfiguration, Command
from ledger.core.keys import is_forgotten
from ledger.journal.checkpoint import NewSegment, StoredSegment

FORMAT: Final = 1  # of a filter, and of the records of a bucket
BUCKET_KEYS: Final = 1_024  # at most on average; x 24 B = 24 kB, one row, read by one "maybe"
BUCKET_BITS_MAX: Final = 24
FALSE_POSITIVE_ONE_IN: Final = 100_000
"""Five filters make 1 of 20,000 new events ask a bucket. x 24 bits = 3 bytes of memory a key."""

SEGMENTS_A_GENERATION: Final = 4
SEGMENT_KEYS_MAX: Final = 4_000_000  # x 24 B = 96 MB while it is merged, 12 MB of filter
KEY_BITS: Final = 128
CHECKSUM_BYTES: Final = 16  # BLAKE2b of a saved filter, before it

_from_bytes: Final = int.from_bytes


def key_number(key: bytes) -> int:
    """A key, which is a digest, as the signed 128-bit integer that filters take for a hash."""
    return _from_bytes(key, "big", signed=True)


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
        checksum, saved = stored.filter[:CHECKSUM_BYTES], stored.filter[CHECKSUM_BYTES:]
        if checksum != _checksum(saved):
            raise ValueError(f"the filter of key segment {stored.number} is damaged")
        return cls(stored, Bloom.load_bytes(saved, index))

    def place(self, number: int) -> tuple[int, int]:
        """(segment, bucket) in which the key would stand."""
        return self.number, bucket_of(number, self.bucket_bits)


class KeySegments:
    """The segments of a shard, newest first. `version` changes whenever they do."""

    __slots__ = ("expired", "segments", "version")

    def __init__(self, segments: Iterable[KeySegment] = ()) -> None:
        self.segments = sorted(segments, key=lambda segment: -segment.number)
        self.expired: list[int] = []  # asked no more, and still stored
        self.version = 0

    def __len__(self) -> int:
        return len(self.segments)

    @property
    def keys(self) -> int:
        """Keys in all of them."""
        return sum([segment.keys for segment in self.segments])

    def any_maybe(self, commands: Sequence[Command]) -> bool:
        """Whether any filter says "maybe" to any key of these commands; the path of `ingest`."""
        numbers = [
            _from_bytes(command.key, "big", signed=True)
            for command in commands
            if not isinstance(command, ApplyConfiguration)
        ]
        return any(any(map(segment.filter.__contains__, numbers)) for segment in self.segments)

    def places(self, key: bytes) -> list[tuple[int, int]]:
        """Where a key may stand, newest segment first; [] = certainly nowhere."""
        number = key_number(key)
        return [segment.place(number) for segment in self.segments if number in segment.filter]

    def replace(self, made: Iterable[KeySegment], dropped: Iterable[int]) -> None:
        """Take new segments in and drop others."""
        gone = dict.fromkeys(dropped)
        kept = [segment for segment in self.segments if segment.number not in gone]
        self.segments = sorted([*kept, *made], key=lambda segment: -segment.number)
        self.expired = [number for number in self.expired if number not in gone]
        self.version += 1

    def forget(self, recorded_at: int) -> None:
        """Ask no more those whose generation has left the window (rule I4)."""
        kept = [each for each in self.segments if not is_forgotten(each.generation, recorded_at)]
        if len(kept) < len(self.segments):
            known = {each.number: None for each in kept}
            self.expired += [each.number for each in self.segments if each.number not in known]
            self.segments = kept
            self.version += 1

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
    """Gathers records in any number of calls; `bodies`, then `finish` make the segment."""

    __slots__ = ("_bits", "_buckets", "_filter", "_generation", "_keys")

    def __init__(self, generation: int, keys_expected: int) -> None:
        self._generation = generation
        self._bits = min((keys_expected // BUCKET_KEYS).bit_length(), BUCKET_BITS_MAX)
        self._buckets: list[list[bytes]] = [[] for _ in range(1 << self._bits)]
        self._filter = Bloom(max(1, keys_expected), 1 / FALSE_POSITIVE_ONE_IN, index)
        self._keys = 0

    def add(self, records: Iterable[tuple[bytes, int]]) -> None:
        """Add (key, locator); a key comes once."""
        shift, mask = KEY_BITS - self._bits, (1 << self._bits) - 1
        buckets = self._buckets
        numbers = []
        for key, locator in records:
            number = _from_bytes(key, "big", signed=True)
            numbers.append(number)
            buckets[number >> shift & mask].append(key + locator.to_bytes(8, "big"))
        self._filter.update(numbers)
        self._keys += len(numbers)

    def bodies(self) -> Iterator[tuple[int, bytes]]:
        """(bucket, body) of those that hold anything; each is let go of as it is made."""
        for bucket, records in enumerate(self._buckets):
            if records:
                yield bucket, b"".join(records)
                self._buckets[bucket] = []

    def finish(
        self,
        number: int,
        first_batch: int,
        last_batch: int,
        bodies: Sequence[tuple[int, bytes]],
    ) -> tuple[NewSegment, KeySegment]:
        """What is to be written, and what stays in memory."""
        saved = self._filter.save_bytes()
        stored = StoredSegment(
            number,
            self._generation,
            first_batch,
            last_batch,
            self._keys,
            self._bits,
            FORMAT,
            _checksum(saved) + saved,
        )
        return NewSegment(stored, bodies), KeySegment(stored, self._filter)


def _checksum(saved: bytes) -> bytes:
    return blake2b(saved, digest_size=CHECKSUM_BYTES).digest()


def bucket_of(number: int, bits: int) -> int:
    """The bucket of a key: its first bits."""
    return number >> (KEY_BITS - bits) & ((1 << bits) - 1)
