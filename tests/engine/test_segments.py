"""Key segments by themselves: what is put in is found, through merges and changes of size."""

from __future__ import annotations

import gc
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from ledger.core.commands import ApplyConfiguration
from ledger.core.limits import DEDUPE_GENERATION_US
from ledger.engine.segments import (
    BUCKET_BITS_MAX,
    BUCKET_BITS_MIN,
    SEGMENT_KEYS_MAX,
    SEGMENTS_A_GENERATION,
    KeySegment,
    KeySegments,
    SegmentBuilder,
    bits_for,
    bucket_of,
    capacity_of,
    key_number,
    key_numbers,
    pack_filter,
    unite,
)
from ledger.journal.checkpoint import RECORD_BYTES, NewSegment, StoredSegment, find_in_bucket


def key(number: int) -> bytes:
    """Spread like a digest."""
    return (number * 0x9E3779B97F4A7C15F39CC0605CEDC835 & (1 << 128) - 1).to_bytes(16, "little")


def built(
    number: int,
    bits: int,
    keys: Sequence[int],
    merged: Sequence[tuple[NewSegment, KeySegment]] = (),
) -> tuple[NewSegment, KeySegment]:
    builder = SegmentBuilder(0, bits)
    for new, segment in merged:
        builder.unite(segment)
        for bucket, body in new.buckets:
            builder.take(segment, bucket, body)
    builder.add([(key(each), each << 20) for each in keys])
    *parts, checksum = pack_filter(builder.filter)
    return builder.finish(number, 1, number, list(builder.bodies()), b"".join([checksum, *parts]))


def test_what_is_gathered_is_nothing_that_the_garbage_collector_walks() -> None:
    """A list of a million records would stop the loop for 100 ms at every pass."""
    builder = SegmentBuilder(0, BUCKET_BITS_MIN)
    builder.add([(key(each), each << 20) for each in range(20_000)])
    referred = gc.get_referents(*gc.get_referents(builder))
    assert not [each for each in referred if gc.is_tracked(each) and type(each) is list]
    assert sum(len(body) for _, body in builder.bodies()) == 20_000 * RECORD_BYTES


def find(segments: KeySegments, stored: Sequence[NewSegment], number: int) -> int | None:
    buckets = {(new.segment.number, bucket): body for new in stored for bucket, body in new.buckets}
    for place in segments.places(key(number)):
        found = find_in_bucket(buckets.get(place, b""), key(number))
        if found is not None:
            return found
    return None


@given(st.lists(st.lists(st.integers(0, 5_000), max_size=40), min_size=1, max_size=6), st.data())
def test_every_key_is_found_through_merges_and_sizes(
    rounds: list[list[int]], data: st.DataObject
) -> None:
    seen: dict[int, None] = {}
    kept: list[tuple[NewSegment, KeySegment]] = []
    for number, keys in enumerate(rounds, start=1):
        fresh = [each for each in dict.fromkeys(keys) if each not in seen]
        seen.update(dict.fromkeys(fresh))
        if not fresh:
            continue
        bits = data.draw(st.sampled_from([BUCKET_BITS_MIN, BUCKET_BITS_MIN + 2]))
        merges = data.draw(st.integers(0, len(kept)))
        merged, kept = kept[len(kept) - merges :], kept[: len(kept) - merges]
        kept.append(built(number, bits, fresh, merged))
    loaded = KeySegments([KeySegment.load(new.segment) for new, _ in kept])
    stored = [new for new, _ in kept]
    for each in seen:
        assert find(loaded, stored, each) == each << 20
        assert any(key_number(key(each)) in group.filter for group in loaded.groups)
    for each in range(6_000, 6_100):
        assert find(loaded, stored, each) is None
    assert loaded.keys == len(seen)


def test_a_groups_filter_is_never_fuller_than_it_is_made_for() -> None:
    capacity = capacity_of(BUCKET_BITS_MIN)
    _, one = built(1, BUCKET_BITS_MIN, [1, 2, 3])
    _, other = built(2, BUCKET_BITS_MIN, [4])
    _, larger = built(3, BUCKET_BITS_MIN + 2, [5])
    [*_, groups] = unite([one, other, larger])
    assert [group.keys for group in groups] == [4, 1]
    assert 4 not in one.filter or key_number(key(4)) not in one.filter, "its own stays its own"
    one.keys = capacity
    [*_, groups] = unite([one, other])
    assert [group.keys for group in groups] == [capacity, 1]


def test_sizes() -> None:
    assert bits_for(0) == bits_for(65_536) == BUCKET_BITS_MIN
    assert bits_for(65_537) == BUCKET_BITS_MIN + 2
    assert bits_for(10**12) == BUCKET_BITS_MAX
    assert capacity_of(BUCKET_BITS_MAX) == SEGMENT_KEYS_MAX == 4_194_304


def test_the_number_of_a_key_is_the_same_alone_and_among_others() -> None:
    keys = [key(each) for each in range(50)]
    assert list(key_numbers(b"".join(keys))) == [key_number(each) for each in keys]
    assert {bucket_of(key_number(each), 6) for each in keys} <= set(range(64))
    assert len({bucket_of(key_number(each), 6) for each in keys}) > 20


def stub(number: int, generation: int, keys: int) -> KeySegment:
    _, made = built(number, BUCKET_BITS_MIN, [number])
    stored = StoredSegment(number, generation, 1, number, keys, BUCKET_BITS_MIN, 1, b"")
    return KeySegment(stored, made.filter)


def test_merging_keeps_segments_few_and_rewrites_little() -> None:
    """Of 200 equal runs, a generation holds a handful, and each key is written a few times."""
    segments = KeySegments()
    written = 0
    for number in range(1, 201):
        merged = segments.to_merge(0, 1_000)
        total = 1_000 + sum(segment.keys for segment in merged)
        written += total
        dropped = [segment.number for segment in merged]
        segments.replace([stub(number, 0, total)], dropped, [])
        assert len(segments) <= SEGMENTS_A_GENERATION
    assert segments.keys == 200_000
    assert written <= 5 * 200_000


def test_large_segments_are_left_alone() -> None:
    segments = KeySegments([stub(number, 0, SEGMENT_KEYS_MAX) for number in range(1, 8)])
    assert segments.to_merge(0, 1_000) == []
    assert segments.scattered(1) == []


def test_only_finished_generations_are_gathered() -> None:
    segments = KeySegments([stub(1, 0, 5), stub(2, 0, 5), stub(3, DEDUPE_GENERATION_US, 5)])
    assert [segment.number for segment in segments.scattered(DEDUPE_GENERATION_US)] == [2, 1]
    assert segments.scattered(0) == []


def test_what_has_no_key_is_not_asked_for() -> None:
    _, segment = built(1, BUCKET_BITS_MIN, [1])
    segments = KeySegments([segment])
    assert not segments.any_maybe([ApplyConfiguration(1, 1, b"")])
