"""The shipped traces read as their publishers describe them; a broken line is named."""

from collections.abc import Callable, Iterator

import pytest

from ledger.demo.traces import (
    TraceError,
    TraceRequest,
    azure_code,
    azure_conversation,
    mooncake_conversation,
    read_azure,
    read_mooncake,
)

HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens\n"


@pytest.mark.parametrize(
    ("trace", "count", "last_offset_us", "input_tokens", "output_tokens", "cached_tokens"),
    [
        (azure_code, 8_819, 3_435_948_056, 18_059_974, 245_896, 0),
        (azure_conversation, 19_366, 3_501_721_937, 22_361_870, 4_088_665, 0),
        (mooncake_conversation, 12_031, 3_536_999_000, 144_793_823, 4_122_048, 54_098_411),
    ],
)
def test_the_shipped_traces_are_whole(
    trace: Callable[[], Iterator[TraceRequest]],
    count: int,
    last_offset_us: int,
    input_tokens: int,
    output_tokens: int,
    cached_tokens: int,
) -> None:
    requests = list(trace())
    offsets = [request.offset_us for request in requests]
    assert len(requests) == count
    assert offsets == sorted(offsets)
    assert (offsets[0], offsets[-1]) == (0, last_offset_us)
    assert sum(request.input_tokens for request in requests) == input_tokens
    assert sum(request.output_tokens for request in requests) == output_tokens
    assert sum(request.cached_tokens for request in requests) == cached_tokens
    assert all(request.cached_tokens <= request.input_tokens for request in requests)
    assert all(request.input_tokens > 0 and request.output_tokens > 0 for request in requests)


def test_azure_times_are_counted_from_the_first_request_in_whole_microseconds():
    lines = [HEADER, "2023-11-16 23:59:59.9799609,10,1\n", "2023-11-17 00:00:00.5,20,2"]
    assert list(read_azure(lines)) == [TraceRequest(0, 10, 1, 0), TraceRequest(520_040, 20, 2, 0)]


def test_mooncake_cached_tokens_are_the_leading_blocks_seen_before():
    lines = [
        '{"timestamp": 5, "input_length": 1100, "output_length": 7, "hash_ids": [1, 2, 3]}',
        '{"timestamp": 8, "input_length": 1600, "output_length": 8, "hash_ids": [1, 2, 9, 3]}',
        '{"timestamp": 9, "input_length": 1100, "output_length": 9, "hash_ids": [1, 2, 3]}',
        '{"timestamp": 9, "input_length": 600, "output_length": 9, "hash_ids": [7, 7]}',
    ]
    assert list(read_mooncake(lines)) == [
        TraceRequest(0, 1100, 7, 0),
        TraceRequest(3_000, 1600, 8, 1_024),
        TraceRequest(4_000, 1100, 9, 1_100),
        TraceRequest(4_000, 600, 9, 0),
    ]


@pytest.mark.parametrize(
    ("lines", "place"),
    [([], "line 1"), (["a,b\n"], "line 1"), ([HEADER, "\n", "yesterday,1,2\n"], "line 3")],
)
def test_a_broken_azure_line_is_named(lines: list[str], place: str) -> None:
    with pytest.raises(TraceError, match=place):
        list(read_azure(lines))


def test_a_broken_mooncake_line_is_named():
    with pytest.raises(TraceError, match="line 2"):
        list(read_mooncake(["\n", '{"timestamp": 1.5}']))
