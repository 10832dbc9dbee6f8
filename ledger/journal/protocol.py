"""The journal of one shard, as the engine and the simulator see it: rows, hash chain, protocol.

Owns the row's format and its hash. Must not do I/O, read a clock or know what a payload means.
`ledger.journal.memory` and `ledger.journal.postgres` implement it and pass one conformance suite.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from hashlib import blake2b
from typing import Final, Protocol

from msgspec import Struct

from ledger.journal.codec import CODEC_MSGPACK_ZSTD, FORMAT_EVENTS
from ledger.journal.errors import (
    CommitUnknown,
    JournalConflict,
    JournalCorrupt,
    JournalError,
    JournalUnavailable,
)

__all__ = [
    "BATCH_SEQ_FIRST",
    "GENESIS_HASH",
    "HASH_BYTES",
    "CommitUnknown",
    "Journal",
    "JournalConflict",
    "JournalCorrupt",
    "JournalError",
    "JournalHead",
    "JournalRow",
    "JournalUnavailable",
    "check_format",
    "check_row",
    "make_row",
    "row_hash",
]

HASH_BYTES: Final = 32
GENESIS_HASH: Final = bytes(HASH_BYTES)  # prev_hash of a shard's first batch
BATCH_SEQ_FIRST: Final = 1  # gapless from here

_HASH_DOMAIN: Final = b"drawdown.jrnl.1"  # BLAKE2b personalisation, at most 16 bytes


class JournalRow(Struct, frozen=True, gc=False):
    """One committed batch of one shard. `batch_seq` is gapless from 1; times are microseconds UTC.

    `private` holds the batch's erasable records (external ids, personal attributes). It is written
    in the same statement but is NOT part of the hash, so that it can be erased; b"" = none.
    """

    shard: int
    batch_seq: int
    recorded_at_us: int
    first_event: int
    event_count: int
    format: int
    codec: int
    prev_hash: bytes
    hash: bytes
    payload: bytes
    private: bytes = b""

    @property
    def next_event(self) -> int:
        """The `first_event` of the batch that follows."""
        return self.first_event + self.event_count


class JournalHead(Struct, frozen=True, gc=False):
    """The last row of a shard, without its payload."""

    batch_seq: int
    recorded_at_us: int
    first_event: int
    event_count: int
    hash: bytes

    @property
    def next_event(self) -> int:
        """The `first_event` of the batch that follows."""
        return self.first_event + self.event_count


def row_hash(
    shard: int,
    batch_seq: int,
    recorded_at_us: int,
    first_event: int,
    event_count: int,
    format: int,
    codec: int,
    prev_hash: bytes,
    payload: bytes,
) -> bytes:
    """BLAKE2b-256, unkeyed, over format, codec, every column and the payload.

    Seven integers of 8 bytes, big-endian and signed (format, codec, shard, batch_seq, recorded_at,
    first_event, event_count), then prev_hash and payload, each after its length in 8 bytes: no two
    rows share an encoding.
    """
    digest = blake2b(digest_size=HASH_BYTES, person=_HASH_DOMAIN)
    for number in (format, codec, shard, batch_seq, recorded_at_us, first_event, event_count):
        digest.update(number.to_bytes(8, "big", signed=True))
    digest.update(len(prev_hash).to_bytes(8, "big"))
    digest.update(prev_hash)
    digest.update(len(payload).to_bytes(8, "big"))
    digest.update(payload)
    return digest.digest()


def make_row(
    *,
    shard: int,
    batch_seq: int,
    recorded_at_us: int,
    first_event: int,
    event_count: int,
    format: int,
    codec: int,
    prev_hash: bytes,
    payload: bytes,
    private: bytes = b"",
) -> JournalRow:
    """Build a row and its hash."""
    hashed = row_hash(
        shard,
        batch_seq,
        recorded_at_us,
        first_event,
        event_count,
        format,
        codec,
        prev_hash,
        payload,
    )
    return JournalRow(
        shard,
        batch_seq,
        recorded_at_us,
        first_event,
        event_count,
        format,
        codec,
        prev_hash,
        hashed,
        payload,
        private,
    )


def check_row(row: JournalRow) -> JournalRow:
    """Return the row if it matches its own hash and can be read; raise `JournalCorrupt` otherwise.

    The chain (prev_hash of the next row) is checked by whoever reads in order: engine, verify.
    """
    expected = row_hash(
        row.shard,
        row.batch_seq,
        row.recorded_at_us,
        row.first_event,
        row.event_count,
        row.format,
        row.codec,
        row.prev_hash,
        row.payload,
    )
    if expected != row.hash:
        raise JournalCorrupt(
            f"shard {row.shard}, batch {row.batch_seq}: the stored hash {row.hash.hex()} is not "
            f"the hash of the stored row, {expected.hex()}"
        )
    return check_format(row)


def check_format(row: JournalRow) -> JournalRow:
    """Return the row if this version reads payloads of its format; raise `JournalCorrupt`."""
    if row.format != FORMAT_EVENTS or row.codec != CODEC_MSGPACK_ZSTD:
        raise JournalCorrupt(
            f"shard {row.shard}, batch {row.batch_seq} has format {row.format} and codec "
            f"{row.codec}, which this version does not know: a newer version wrote it; upgrade "
            "this program"
        )
    return row


class Journal(Protocol):
    """The append-only journal of one shard, used by one writer at a time.

    `append` may run while `read`, `fetch`, `head` or `now_us` run; one append at a time.
    """

    shard: int

    def read(
        self, after_batch_seq: int, through: int | None = None, *, with_private: bool = True
    ) -> AsyncIterator[JournalRow]:
        """Rows with after_batch_seq < batch_seq <= through, in order, each checked by its hash.

        Memory is bounded by a page. Without `through` it ends at the tail that it finds. Replay
        needs no private records: pass `with_private=False` to leave them unread.
        Raises JournalUnavailable (start again after the last row seen), JournalCorrupt.
        """
        ...

    async def prepare(self) -> None:
        """Have at hand what appends need, so that the first takes no longer than others. Writes
        nothing; what is lost later is made again by the append that needs it. Raises
        JournalUnavailable.
        """
        ...

    async def append(self, row: JournalRow) -> None:
        """Make the row durable. Returns only when it is.

        Raises JournalConflict, JournalUnavailable (both definite: not written), CommitUnknown,
        JournalCorrupt (the stored tail is not the one that the row continues; not written).
        """
        ...

    async def head(self) -> JournalHead | None:
        """The last row's key and hash, None for an empty shard. Raises JournalUnavailable."""
        ...

    async def fetch(
        self, batch_seqs: Sequence[int], *, with_private: bool = True
    ) -> list[JournalRow]:
        """The rows of these batches that exist, in ascending order, each once."""
        ...

    async def now_us(self) -> int:
        """The journal's clock (the database's), microseconds UTC. Raises JournalUnavailable."""
        ...

    async def close(self) -> None:
        """Let go of connections. Idempotent; a later call reopens them."""
        ...
