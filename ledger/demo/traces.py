"""Real LLM inference traces as requests with token counts (sources and licences: data/NOTICE).

Owns the formats of the traces. Must not invent anything: no models (the traces have none), no
accounts, no clock; offsets count from the first request of each trace.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from importlib.resources import files
from io import TextIOWrapper

import msgspec
import zstandard
from msgspec import Struct

AZURE_CODE = "AzureLLMInferenceTrace_code.csv"
AZURE_CONVERSATION = "AzureLLMInferenceTrace_conv.csv"
MOONCAKE_CONVERSATION = "mooncake_conversation_trace.jsonl"
MOONCAKE_BLOCK_TOKENS = 512

_AZURE_HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens"
_MICROSECOND = timedelta(microseconds=1)


class TraceRequest(Struct, frozen=True, gc=False):
    """One request: microseconds since the trace began, and tokens.

    ``input_tokens`` is the whole prompt; ``cached_tokens`` is the part of it that had been seen.
    """

    offset_us: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int


class TraceError(ValueError):
    """A line of a trace is not what the format says; the message names the line."""


class _MooncakeLine(Struct, gc=False):
    timestamp: int  # ms
    input_length: int
    output_length: int
    hash_ids: list[int]


def azure_code() -> Iterator[TraceRequest]:
    """The shipped trace of a coding service: long prompts, short answers; 8,819 requests."""
    return read_azure(_shipped_lines(AZURE_CODE))


def azure_conversation() -> Iterator[TraceRequest]:
    """The shipped trace of a conversation service; 19,366 requests."""
    return read_azure(_shipped_lines(AZURE_CONVERSATION))


def mooncake_conversation() -> Iterator[TraceRequest]:
    """The shipped trace with cached prompts; 12,031 requests."""
    return read_mooncake(_shipped_lines(MOONCAKE_CONVERSATION))


def read_azure(lines: Iterable[str]) -> Iterator[TraceRequest]:
    """Requests of an Azure LLM inference trace (CSV with a header). Raises TraceError."""
    numbered = enumerate(lines, start=1)
    header = next(numbered, (1, ""))[1].strip()
    if header != _AZURE_HEADER:
        raise TraceError(f"line 1: expected the header {_AZURE_HEADER!r}, found {header!r}")
    began: datetime | None = None
    for number, line in numbered:
        if not line.strip():
            continue
        try:
            time, context, generated = line.strip().split(",")
            seconds, _, fraction = time.partition(".")
            at = datetime.fromisoformat(f"{seconds}.{fraction[:6]:0<6}")
            input_tokens, output_tokens = int(context), int(generated)
        except ValueError as error:
            raise TraceError(f"line {number}: {line.strip()!r} is not a request") from error
        began = began or at
        yield TraceRequest((at - began) // _MICROSECOND, input_tokens, output_tokens, 0)


def read_mooncake(lines: Iterable[str]) -> Iterator[TraceRequest]:
    """Requests of a Mooncake trace (JSON lines). Raises TraceError.

    Cached tokens = min(512 x leading blocks seen before, input tokens): blocks are prefixes, so
    only those before the first new one can be served from the cache.
    """
    decoder = msgspec.json.Decoder(_MooncakeLine)
    seen: set[int] = set()
    began_ms: int | None = None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            request = decoder.decode(line)
        except msgspec.MsgspecError as error:
            raise TraceError(f"line {number}: not a request: {error}") from error
        if began_ms is None:
            began_ms = request.timestamp
        leading = 0
        while leading < len(request.hash_ids) and request.hash_ids[leading] in seen:
            leading += 1
        seen.update(request.hash_ids)
        yield TraceRequest(
            (request.timestamp - began_ms) * 1_000,
            request.input_length,
            request.output_length,
            min(MOONCAKE_BLOCK_TOKENS * leading, request.input_length),
        )


def _shipped_lines(name: str) -> Iterator[str]:
    with (
        (files("ledger.demo") / "data" / f"{name}.zst").open("rb") as compressed,
        zstandard.ZstdDecompressor().stream_reader(compressed) as reader,
        TextIOWrapper(reader, encoding="utf-8") as lines,
    ):
        yield from lines
