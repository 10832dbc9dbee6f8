"""The bytes of a batch: one event at a time, damage noticed, private records in columns."""

from __future__ import annotations

import msgspec
import pytest
import zstandard

from ledger.journal.codec import (
    PAYLOAD_BYTES_MAX,
    BatchCodec,
    PrivateRecords,
    decode_private,
    encode_private,
)
from ledger.journal.errors import JournalCorrupt
from ledger.journal.memory import AppendFault, MemoryJournal
from ledger.journal.protocol import (
    CommitUnknown,
    JournalConflict,
    JournalRow,
    JournalUnavailable,
)

from .chain import chain


class Opened(msgspec.Struct, frozen=True, array_like=True, tag=1):
    epoch: int


class Recorded(msgspec.Struct, frozen=True, array_like=True, tag=2):
    key: bytes
    amount: int
    note: str = ""


codec: BatchCodec[Opened | Recorded] = BatchCodec(Opened | Recorded)
EVENTS: list[Opened | Recorded] = [Opened(3), *(Recorded(bytes([n]), n) for n in range(50))]


def test_a_batch_comes_back_whole() -> None:
    assert codec.decode(codec.encode(EVENTS)) == EVENTS
    assert codec.decode(codec.encode([])) == []


def test_the_event_that_this_version_cannot_read_is_named() -> None:
    pack = msgspec.msgpack.encode([[1, 3], [99, "from the future"]])
    payload = zstandard.ZstdCompressor().compress(pack)
    with pytest.raises(JournalCorrupt, match=r"entry 1 of a batch has tag 99, .*upgrade"):
        codec.decode(payload)


def huge() -> bytes:
    """A frame whose header claims more than is allowed."""
    compressor = zstandard.ZstdCompressor().compressobj(size=PAYLOAD_BYTES_MAX + 1)
    return compressor.compress(b"x") + compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)


@pytest.mark.parametrize(
    "damage", [b"", b"no frame", codec.encode(EVENTS)[:-9], huge()], ids=range(4)
)
def test_damage_is_noticed(damage: bytes) -> None:
    with pytest.raises(JournalCorrupt):
        codec.decode(damage)


def test_private_records_come_back_and_can_be_blanked() -> None:
    records = PrivateRecords()
    records.add(0, 7, "api", "e1")
    records.add(2, 8, "api", "e2", "task-9", "task-1", {"email": "a@b.test"})
    records.add(5, 7, "api", "e3", "task-9", "", {"email": "c@d.test"})
    packed = encode_private(records)
    assert decode_private(packed) == records
    blank = records.blank([8])
    assert (blank.indexes, blank.accounts) == ([0, 2, 5], [7, 8, 7])
    assert (blank.ids, blank.operations) == (["e1", "", "e3"], ["", "", "task-9"])
    assert blank.personal == {5: {"email": "c@d.test"}}
    assert records.ids[1] == "e2"
    assert records.blank([]) == records


def test_no_private_records_take_no_bytes() -> None:
    assert encode_private(PrivateRecords()) == b""
    assert decode_private(b"") == PrivateRecords()


@pytest.mark.parametrize("data", [b"\x02xxxx", b"\x01xxxx"])
def test_damaged_private_records_are_noticed(data: bytes) -> None:
    with pytest.raises(JournalCorrupt):
        decode_private(data)


@pytest.mark.parametrize(
    ("fault", "error", "written"),
    [
        (AppendFault.CONFLICT, JournalConflict, False),
        (AppendFault.UNAVAILABLE, JournalUnavailable, False),
        (AppendFault.UNKNOWN_NOT_WRITTEN, CommitUnknown, False),
        (AppendFault.UNKNOWN_WRITTEN, CommitUnknown, True),
    ],
)
async def test_the_memory_journal_fails_as_told(
    fault: AppendFault, error: type[Exception], written: bool
) -> None:
    store: dict[tuple[int, int], JournalRow] = {}
    faults = iter([None, fault, None])
    journal = MemoryJournal(store, 0, on_append=lambda _: next(faults))
    first, second = chain(2)
    await journal.append(first)
    with pytest.raises(error, match="shard 0, batch 2"):
        await journal.append(second)
    head = await journal.head()
    assert head is not None
    assert head.batch_seq == (2 if written else 1)
    if not written:
        await journal.append(second)
