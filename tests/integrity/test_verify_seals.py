"""Whatever is done to a sealed journal is found and located: bytes, rows, tails, forgeries."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import asyncpg
import msgspec
import pytest
from msgspec.structs import replace

from ledger.integrity.keys import introduce
from ledger.integrity.sealer import Sealer, seal_all, wall_us
from ledger.journal.codec import PrivateRecords, encode_private
from ledger.journal.directory import TENANT_DEFAULT
from ledger.journal.protocol import JournalRow, make_row
from ledger.verify import verify, verify_from
from ledger.verify.marks import MarkUnusable, read_marks, write_marks
from tests.integrity.damage import Flips, choose, flip, places
from tests.integrity.sealing import (
    KEY,
    NEXT_KEY,
    OTHER_KEY,
    SHARDS,
    harming,
    key_of,
    seal,
    seal_store,
    whats,
)
from tests.projections.books import open_books

ANCHORS = [KEY.public_key]
ROW = ("shard, batch_seq, recorded_at, first_event, event_count, format, codec, prev_hash, hash, "
       "payload")  # fmt: skip


async def rows_of(connection: asyncpg.Connection, shard: int, after: int = 0) -> list[JournalRow]:
    sql = f"SELECT {ROW} FROM ledger.journal WHERE shard = $1 AND batch_seq > $2 ORDER BY 2"
    return [JournalRow(*row) for row in await connection.fetch(sql, shard, after)]


async def sealed_through(connection: asyncpg.Connection, shard: int) -> int:
    found: int = await connection.fetchval(
        "SELECT max(last_batch) FROM ledger.seal WHERE shard = $1", shard
    )
    return found


async def rewrite(connection: asyncpg.Connection, rows: list[JournalRow]) -> None:
    """Put these rows where rows of the same number stand, with hashes made anew behind them."""
    before = rows[0].prev_hash
    for row in rows:
        made = make_row(**{
            name: getattr(row, name) for name in JournalRow.__struct_fields__
            if name not in ("prev_hash", "hash", "private")
        }, prev_hash=before)  # fmt: skip
        before = made.hash
        await connection.execute(
            "UPDATE ledger.journal SET prev_hash = $3, hash = $4, payload = $5, recorded_at = $6, "
            "event_count = $7, first_event = $8 WHERE shard = $1 AND batch_seq = $2",
            *(made.shard, made.batch_seq, made.prev_hash, made.hash, made.payload),
            *(made.recorded_at_us, made.event_count, made.first_event),
        )


async def test_what_was_not_touched_is_ok(dsn: str) -> None:
    report = await verify(dsn, anchors=ANCHORS)
    assert report.ok, report.findings
    assert report.mode == "full"
    for shard in report.shards:
        assert shard.seals >= 1
        assert 0 < shard.sealed_batches <= shard.batches
        assert shard.holds_open > 0
    unsealed = sum(shard.unsealed_entries for shard in report.shards)
    assert unsealed > 0
    assert report.notes == [f"{unsealed} entries are under no seal yet: they are chained only"]


async def test_without_a_key_that_one_holds_the_report_says_so(dsn: str) -> None:
    report = await verify(dsn)
    assert report.ok
    assert "seal keys are taken as this database names them" in report.notes[-1]


async def test_a_ledger_without_seals_says_so(database: str) -> None:
    async with open_books(database) as books:
        await books.account("acme")
    report = await verify(database)
    assert report.ok
    assert report.notes[0].startswith("no seals: ")


async def test_single_bytes_of_every_column(dsn: str) -> None:
    """`python -m tests.integrity.damage` does many more."""
    chance = random.Random(7)
    async with harming(dsn) as connection:
        every = [
            place
            for table in ("journal", "seal", "seal_key")
            for place in await places(connection, table)
        ]
    flips = Flips()
    await flip(dsn, choose(every, 50, chance), chance, flips)
    assert flips.missed is None
    assert flips.detected == flips.flipped > 35
    assert (await verify(dsn, anchors=ANCHORS)).ok


async def test_private_records_that_cannot_be_read(dsn: str) -> None:
    """They are erasable and under no hash; what can be known is that they are legible."""
    stray = encode_private(PrivateRecords([9_999], [1], ["s"], ["i"], ["o"], ["p"]))
    async with harming(dsn) as connection:
        for bad in (b"\x02nothing", b"\x01nothing", stray):
            await connection.execute(
                "UPDATE ledger.journal_private SET records = $1 WHERE shard = 1 AND batch_seq = "
                "(SELECT min(batch_seq) FROM ledger.journal_private WHERE shard = 1)", bad,
            )  # fmt: skip
            report = await verify(dsn, sources=())
            assert whats(report) == ["private records"]
            assert report.findings[0].shard == 1


async def test_it_agrees_with_a_ledger_that_goes_on_meanwhile(database: str) -> None:
    """Entries, configuration, seals and a new key come while it reads."""
    parts = 3
    async with open_books(database) as books:
        await seal(database)

        async def go_on() -> None:
            for part in range(parts):
                await books.a_bit_of_everything(f"{part} ")
                await books.ledger.publish_asset(TENANT_DEFAULT, f"NEW{part}", 2, "credit")
                await seal(database)

        going = asyncio.create_task(go_on())
        runs = 0
        while not going.done() or not runs:
            report = await verify(database, anchors=ANCHORS)
            assert report.ok, report.findings
            runs += 1
        await going
    assert runs > 1


# -- rows ------------------------------------------------------------------------------------------


async def test_a_tail_that_is_gone_is_missed_by_the_last_seal(dsn: str) -> None:
    """The chain is whole, there are no read models and no checkpoint: only the seal knows."""
    async with harming(dsn) as connection:
        through = await sealed_through(connection, 2)
        await connection.execute(
            "DELETE FROM ledger.journal WHERE shard = 2 AND batch_seq >= $1", through
        )
        await connection.execute("DROP SCHEMA projection CASCADE")
        await connection.execute("DELETE FROM ledger.checkpoint")
    report = await verify(dsn, anchors=ANCHORS)
    (found,) = report.findings
    assert found.what.endswith("last batch sealed")
    assert (found.shard, found.batch, found.expected) == (2, through, str(through))
    assert found.found == f"the journal ends at {through - 1}"


async def test_what_no_seal_covers_can_vanish_unseen(dsn: str) -> None:
    """The limit of seals, said in the report and in the documentation: seal often."""
    async with harming(dsn) as connection:
        for shard in range(SHARDS):
            through = await sealed_through(connection, shard)
            await connection.execute(
                "DELETE FROM ledger.journal WHERE shard = $1 AND batch_seq > $2", shard, through
            )
        await connection.execute("DROP SCHEMA projection CASCADE")
        await connection.execute("DELETE FROM ledger.checkpoint")
    report = await verify(dsn, anchors=ANCHORS)
    assert report.ok
    assert "rows behind the last seal against truncation" in report.not_checked[0]


async def test_a_row_in_the_middle_that_is_gone(dsn: str) -> None:
    async with harming(dsn) as connection:
        await connection.execute("DELETE FROM ledger.journal WHERE shard = 0 AND batch_seq = 4")
    report = await verify(dsn, anchors=ANCHORS)
    assert {(each.shard, each.batch) for each in report.findings if each.what == "batch_seq"} == {
        (0, 5)
    }
    assert any(each.startswith("seal ") for each in whats(report))


async def test_rows_that_changed_places(dsn: str) -> None:
    async with harming(dsn) as connection:
        for now, then in ((4, 900_000), (5, 4), (900_000, 5)):
            await connection.execute(
                "UPDATE ledger.journal SET batch_seq = $1 WHERE shard = 0 AND batch_seq = $2",
                *(then, now),
            )
    report = await verify(dsn, anchors=ANCHORS)
    assert {4, 5} <= {each.batch for each in report.findings if each.what == "hash"}


async def test_rows_of_a_shard_that_is_not_there(dsn: str) -> None:
    async with harming(dsn) as connection:
        await connection.execute(
            f"INSERT INTO ledger.journal ({ROW}) SELECT 77, {ROW[6:]} FROM ledger.journal "
            "WHERE shard = 0 AND batch_seq = 1"
        )
    (found,) = (await verify(dsn, anchors=ANCHORS)).findings
    assert (found.what, found.expected, found.found) == ("shard", "0 to 3", "77")


# -- forgeries -------------------------------------------------------------------------------------


async def test_a_rewritten_journal_with_every_hash_made_anew(dsn: str) -> None:
    """The chain says nothing: each hash is right. The seals were signed over another history."""
    async with harming(dsn) as connection:
        rows = await rows_of(connection, 1, 2)
        rows[0] = replace(rows[0], recorded_at_us=rows[0].recorded_at_us - 1)
        await rewrite(connection, rows)
    report = await verify(dsn, anchors=ANCHORS, sources=())
    assert not report.ok
    by_chain = [each for each in report.findings if not each.what.startswith("seal ")]
    assert {each.what for each in by_chain} <= {"opened on"}
    assert {each.shard for each in report.findings} == {1}
    told = " ".join(whats(report))
    assert "head hash" in told
    assert "Merkle root" in told


async def test_a_forger_who_seals_again_with_a_key_of_his_own(dsn: str) -> None:
    """He replaces rows, seals and keys: everything agrees with itself, but not with our key."""
    async with harming(dsn) as connection:
        await rewrite(connection, await rows_of(connection, 1))
        await connection.execute("DELETE FROM ledger.seal")
        await connection.execute("DELETE FROM ledger.seal_key")
    await seal(dsn, OTHER_KEY)
    assert (await verify(dsn)).ok  # nobody who trusts what he finds sees it
    report = await verify(dsn, anchors=ANCHORS)
    assert {each.what for each in report.findings} == {"seal 1, key"}
    assert {each.shard for each in report.findings} == set(range(SHARDS))


async def test_a_forger_who_adds_a_key_that_nobody_vouched_for(dsn: str) -> None:
    async with seal_store(dsn) as store:
        records = await store.keys()
        await store.add_key(introduce(OTHER_KEY, None, records[-1], store.instance, wall_us()))
        assert await seal_all(dsn, store, Sealer(store, OTHER_KEY), SHARDS)
    report = await verify(dsn, anchors=ANCHORS)
    assert report.findings
    assert all(each.what.endswith(", key") for each in report.findings)
    assert all(each.found == OTHER_KEY.key_id.hex() for each in report.findings)


async def test_seals_that_are_gone(dsn: str) -> None:
    async with harming(dsn) as connection:
        await connection.execute(
            "DELETE FROM ledger.seal WHERE seal_seq = 1 AND shard = "
            "(SELECT min(shard) FROM ledger.seal WHERE seal_seq = 2)"
        )
    report = await verify(dsn, anchors=ANCHORS)
    assert {"seal 2, seal_seq", "seal 2, prev_seal", "seal 2, first batch"} <= set(whats(report))


# -- keys ------------------------------------------------------------------------------------------


async def test_rotation_keeps_old_and_new_seals_good(dsn: str) -> None:
    """Whoever holds either public key can check the whole."""
    async with seal_store(dsn) as store:
        records = await store.keys()
        await store.add_key(introduce(NEXT_KEY, KEY, records[-1], store.instance, wall_us()))
    assert await seal(dsn, NEXT_KEY)
    for key in (KEY, NEXT_KEY):
        report = await verify(dsn, anchors=[key.public_key])
        assert report.ok, report.findings
    report = await verify(dsn, anchors=[key_of(9).public_key])
    assert {each.what.split(", ")[1] for each in report.findings} == {"key"}


async def test_an_old_key_that_seals_after_its_successor(dsn: str) -> None:
    """A retired key that was stolen makes no more seals unseen."""
    async with seal_store(dsn) as store:
        records = await store.keys()
        await store.add_key(introduce(NEXT_KEY, KEY, records[-1], store.instance, wall_us()))
        await seal(dsn, NEXT_KEY)
        async with open_books(dsn) as books:
            await books.a_bit_of_everything("fourth ")
        sealer = Sealer(store, KEY)
        sealer._check_newer = lambda _: _nothing()  # he does not ask
        assert await seal_all(dsn, store, sealer, SHARDS)
    report = await verify(dsn, anchors=ANCHORS)
    assert {each.expected for each in report.findings} == {"none older than the last"}


async def _nothing() -> None:
    pass


# -- from a mark -----------------------------------------------------------------------------------


async def test_only_what_is_new_is_read_from_a_mark(dsn: str, tmp_path: Path) -> None:
    first = await verify_from(dsn, None, anchors=ANCHORS)
    assert first.marks is not None
    file = tmp_path / "mark.json"
    write_marks(file, first.marks)
    async with open_books(dsn) as books:
        await books.a_bit_of_everything("fourth ")
    assert await seal(dsn)
    again = await verify_from(dsn, read_marks(file), anchors=ANCHORS)
    report = again.report
    assert report.ok, report.findings
    assert report.mode == "incremental"
    assert "rows before the mark" in report.not_checked
    for mark, before, now in zip(
        first.marks.shards, first.report.shards, report.shards, strict=True
    ):
        assert now.started_at_batch == mark.batch_seq == before.sealed_batches
        assert now.head_hash != before.head_hash
    assert again.marks is not None
    third = await verify_from(dsn, again.marks, anchors=ANCHORS)
    assert third.report.ok
    assert sum(shard.batches for shard in third.report.shards) == 0


@pytest.mark.parametrize("goes_on", [False, True])
async def test_a_mark_from_before_the_first_seal(database: str, goes_on: bool) -> None:
    """Seals that were made since cover rows before the mark: they are checked all the same."""
    async with open_books(database) as books:
        await books.a_bit_of_everything("first ")
        marks = (await verify_from(database, None)).marks
        assert marks is not None
        if goes_on:
            await books.a_bit_of_everything("second ")
    assert await seal(database)
    again = await verify_from(database, marks, anchors=ANCHORS)
    assert again.report.ok, again.report.findings
    assert again.report.mode == "incremental"
    assert all(shard.seals == 1 for shard in again.report.shards)
    assert again.marks is not None
    assert all(mark.seal_seq == 1 for mark in again.marks.shards)
    async with harming(database) as connection:
        await connection.execute(
            "UPDATE ledger.journal SET recorded_at = recorded_at + 1 "
            "WHERE shard = 1 AND batch_seq = 2"
        )
        report = (await verify_from(database, marks, anchors=ANCHORS)).report
        assert "hash" in whats(report)
        await rewrite(connection, await rows_of(connection, 1, 1))
        report = (await verify_from(database, marks, anchors=ANCHORS)).report
        assert "hash at the mark" in whats(report)


async def test_claims_may_take_their_time(dsn: str) -> None:
    """A snapshot is open while they are read; rows without number are made into objects between
    two statements, longer than a session may usually idle."""
    found = []

    async def source(connection: asyncpg.Connection, shard: int) -> None:
        found.append(await connection.fetchval("SHOW idle_in_transaction_session_timeout"))

    assert (await verify(dsn, sources=(source,))).ok
    assert found == ["0"] * SHARDS


async def test_harm_after_the_mark_is_found_and_before_it_only_if_hashes_moved(dsn: str) -> None:
    marks = (await verify_from(dsn, None, anchors=ANCHORS)).marks
    assert marks is not None
    async with open_books(dsn) as books:
        await books.a_bit_of_everything("fourth ")
    async with harming(dsn) as connection:
        newest = (await rows_of(connection, 1))[-1]
        change = "UPDATE ledger.journal SET recorded_at = recorded_at + $3 WHERE shard = $1 AND "
        await connection.execute(f"{change} batch_seq = $2", 1, newest.batch_seq, 1)
        report = (await verify_from(dsn, marks, anchors=ANCHORS)).report
        assert whats(report) == ["hash"]
        await connection.execute(f"{change} batch_seq = $2", 1, newest.batch_seq, -1)
        await connection.execute(f"{change} batch_seq = $2", 1, 2, 1)
        assert (await verify_from(dsn, marks, anchors=ANCHORS)).report.ok  # as it says
        await connection.execute(f"{change} batch_seq = $2", 1, 2, -1)
        await rewrite(connection, [
            replace(row, recorded_at_us=row.recorded_at_us - 1)
            for row in await rows_of(connection, 1, 1)
        ])  # fmt: skip
        report = (await verify_from(dsn, marks, anchors=ANCHORS)).report
        assert "hash at the mark" in whats(report)


async def test_a_mark_whose_seal_or_row_is_gone(dsn: str) -> None:
    marks = (await verify_from(dsn, None, anchors=ANCHORS)).marks
    assert marks is not None
    async with harming(dsn) as connection:
        await connection.execute("DELETE FROM ledger.seal")
        report = (await verify_from(dsn, marks, anchors=ANCHORS)).report
        assert whats(report) == ["seal at the mark"] * SHARDS
        await connection.execute("DELETE FROM ledger.journal")
        report = (await verify_from(dsn, marks, anchors=ANCHORS)).report
        assert whats(report).count("batch at the mark") == SHARDS


async def test_a_mark_of_another_ledger(dsn: str, tmp_path: Path) -> None:
    marks = (await verify_from(dsn, None)).marks
    assert marks is not None
    with pytest.raises(MarkUnusable, match="another ledger"):
        await verify_from(dsn, replace(marks, instance=bytes(16)))
    file = tmp_path / "mark.json"
    file.write_bytes(msgspec.json.encode(replace(marks, format="drawdown.mark.9")))
    with pytest.raises(MarkUnusable, match="format"):
        read_marks(file)
    file.write_text("{")
    with pytest.raises(MarkUnusable, match="no mark"):
        read_marks(file)
    with pytest.raises(MarkUnusable, match="cannot be read"):
        read_marks(tmp_path / "none")
