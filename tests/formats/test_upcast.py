"""A released class is replaced by one with a new tag: journals that hold the old one stay readable.

The retired classes here are of this test alone: `Drained` of the first version named no asset, that
of the second no excess; both are told as `LimitExceeded`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard

import ledger.projections.shard
import ledger.verify.shard
from ledger.core.digest import digest
from ledger.core.events import Event, Excess, HoldExpired, LimitExceeded, WriterOpened
from ledger.core.outcomes import locator_of
from ledger.core.upcast import UPCASTS
from ledger.engine.recent import RecentBatches
from ledger.engine.recovery import Replayer
from ledger.journal.codec import BatchCodec
from ledger.journal.errors import JournalCorrupt
from ledger.journal.memory import MemoryJournal, MemoryStore
from ledger.journal.protocol import GENESIS_HASH, JournalRow, check_row, make_row
from ledger.verify import verify
from tests.formats import journal
from tests.formats.formats import FIXTURES
from tests.sources import tree_of


class Drained1(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=9_001):
    account: int
    amount: int


class Drained2(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=9_002):
    account: int
    amount: int
    asset: int


CHAIN = {
    Drained1: lambda old: Drained2(old.account, old.amount, 7),
    Drained2: lambda old: LimitExceeded(old.account, old.asset, old.amount, Excess.OWE),
}
OLD: list[Any] = [
    WriterOpened(1, 0, GENESIS_HASH),
    Drained1(1, 20),
    LimitExceeded(1, 7, 30, Excess.BILL),
    Drained2(2, 40, 8),
]
TOLD: list[Event] = [
    WriterOpened(1, 0, GENESIS_HASH),
    LimitExceeded(1, 7, 20, Excess.OWE),
    LimitExceeded(1, 7, 30, Excess.BILL),
    LimitExceeded(2, 8, 40, Excess.OWE),
]


def codec() -> BatchCodec[Event]:
    return BatchCodec(Event, CHAIN)


def row(events: list[Any], **changed: int) -> JournalRow:
    columns: dict[str, Any] = {
        "shard": 0,
        "batch_seq": 1,
        "recorded_at_us": 1_790_000_000_000_000,
        "first_event": 0,
        "event_count": len(events),
        "format": 1,
        "codec": 1,
        "prev_hash": GENESIS_HASH,
        "payload": codec().encode(events),
    }
    return make_row(**columns | changed)


def test_old_events_are_told_as_current_ones_in_their_places() -> None:
    payload = codec().encode(OLD)
    assert codec().decode(payload) == TOLD


class Lapsed(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=9_003):
    """What HoldExpired might have been."""

    hold: int
    account: int


def as_once_written(rows: list[JournalRow]) -> Iterator[JournalRow]:
    """The same journal with `Lapsed` where it says HoldExpired, chained anew."""
    last = GENESIS_HASH
    for each in rows:
        events: list[Any] = [
            Lapsed(event.hold, event.account) if isinstance(event, HoldExpired) else event
            for event in BatchCodec[Event](Event, UPCASTS).decode(each.payload)
        ]
        changed = msgspec.structs.asdict(each) | {
            "prev_hash": last,
            "payload": codec().encode(events),
        }
        del changed["hash"]
        made = make_row(**changed)
        last = made.hash
        yield made


LAPSED = {Lapsed: lambda lapsed: HoldExpired(lapsed.account, lapsed.hold)}


async def test_an_old_journal_is_replayed_and_its_entries_found_again() -> None:
    """The engine's replay, and its look at the entry behind an id; hashes are as written."""
    recorded, _ = journal.read(FIXTURES)
    reader: BatchCodec[Event] = BatchCodec(Event, UPCASTS | LAPSED)
    found = 0
    for shard in range(journal.SHARDS):
        rows = list(as_once_written(recorded.journal(shard)))
        replayer = Replayer(shard, reader, recorded.configurations())
        store: MemoryStore = {(shard, row.batch_seq): row for row in rows}
        recent = RecentBatches(MemoryJournal(store, shard), reader)
        for row in rows:
            for index, event in enumerate(await replayer.take(check_row(row))):
                if isinstance(event, HoldExpired):
                    at = locator_of(row.batch_seq, index)
                    assert (await recent.fetch([at]))[at].event == event
                    found += 1
        assert replayer.head_hash == rows[-1].hash
        now = await journal.replay(recorded, shard)
        assert digest(replayer.state) == digest(now)
    assert found


async def test_projector_and_verify_read_an_old_journal_to_the_same_rows(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recorded journal with a retired event in it, through the real projector and `verify`."""
    recorded, replayed = journal.read(FIXTURES)
    rows = [
        each for shard in range(journal.SHARDS) for each in as_once_written(recorded.journal(shard))
    ]
    old = journal.Recorded(
        [list(msgspec.structs.astuple(each)) for each in rows],
        recorded.configuration,
        recorded.bodies,
    )
    assert [each.hash.hex() for each in rows] != replayed["hashes"]
    for module in (ledger.projections.shard, ledger.verify.shard):
        monkeypatch.setattr(module, "UPCASTS", UPCASTS | LAPSED)
    await journal.store(old, database)
    then = replayed["read_models"]
    columns = {table: found["columns"] for table, found in then.items()}
    assert await journal.read_models(database, columns) == then
    report = await verify(database)
    assert report.ok, report.findings


def test_a_batch_of_current_events_never_comes_near_an_upcaster(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def reached(*_: Any) -> Any:
        raise AssertionError("the slow path")

    for slow in ("_decode_older", "_current", "_find_fault"):
        monkeypatch.setattr(BatchCodec, slow, reached)
    assert codec().decode(codec().encode(TOLD)) == TOLD
    with pytest.raises(AssertionError, match="slow path"):
        codec().decode(codec().encode(OLD))


def test_an_unknown_tag_is_named_with_what_to_do() -> None:
    payload = codec().encode(OLD)
    unaware: BatchCodec[Event] = BatchCodec(Event, UPCASTS)
    with pytest.raises(JournalCorrupt, match=r"entry 1 .* tag 9001, .*newer version.*upgrade"):
        unaware.decode(payload)
    damaged = codec().encode([[33, "no account", 7, 1, 1]])  # type: ignore[list-item]
    with pytest.raises(JournalCorrupt, match=r"entry 0 .* tag 33, is damaged: .*int"):
        unaware.decode(damaged)
    for nonsense in ("text", [], [None], {"a": 1}):
        with pytest.raises(JournalCorrupt, match="tag None, is damaged"):
            unaware.decode(codec().encode([nonsense]))  # type: ignore[list-item]
    for damage in (b"\x91\x92\xa1\xff\x01", b"\x91" * 5_000):  # no UTF-8; deeper than Python goes
        with pytest.raises(JournalCorrupt):
            unaware.decode(zstandard.ZstdCompressor().compress(damage))
    with pytest.raises(JournalCorrupt, match="no batch"):
        unaware.decode(codec().encode(7))  # type: ignore[arg-type]


@pytest.mark.parametrize("changed", [{"format": 2}, {"codec": 2}], ids=str)
def test_an_unknown_payload_format_is_named_with_what_to_do(changed: dict[str, int]) -> None:
    with pytest.raises(JournalCorrupt, match=r"shard 0, batch 1 .*2.*newer version.*upgrade"):
        check_row(row(TOLD, **changed))


def test_a_tag_is_used_once() -> None:
    class Again(msgspec.Struct, frozen=True, array_like=True, tag=33):
        account: int

    with pytest.raises(TypeError, match="unique `tag`"):
        BatchCodec(Event, {Again: lambda old: old})


def test_whoever_reads_events_from_a_journal_knows_what_was_retired() -> None:
    """Every BatchCodec of the product is made as BatchCodec(Event, UPCASTS)."""
    made = []
    for path in sorted(Path(ledger.__path__[0]).rglob("*.py")):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "BatchCodec":
                made.append((path.name, ast.unparse(node)))
    assert made
    assert [each for each in made if each[1] != "BatchCodec(Event, UPCASTS)"] == []
