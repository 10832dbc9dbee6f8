"""verify finds what was changed behind the ledger's back, and names it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from ledger.verify import Finding, Report, verify
from tests.projections.books import Books, open_books
from tests.projections.projecting import looking, project


@pytest.fixture
async def books(database: str) -> AsyncIterator[Books]:
    """A ledger with a bit of everything, stopped and projected."""
    async with open_books(database) as opened:
        await opened.a_bit_of_everything()
    await project(database)
    return opened


async def change(dsn: str, *statements: str) -> None:
    """As a superuser who means harm: triggers and rights do not stop him."""
    async with looking(dsn) as connection, connection.transaction():
        await connection.execute("ALTER TABLE ledger.journal DISABLE TRIGGER append_only")
        for statement in statements:
            done = await connection.execute(statement)
            assert not done.endswith(" 0"), f"{statement}: {done}"


def only(report: Report, what: str) -> Finding:
    """The one finding that begins so; it makes the report not ok."""
    assert not report.ok
    found = [each for each in report.findings if each.what.startswith(what)]
    assert len(found) == 1, report.findings
    return found[0]


SOME_BATCH = "shard = 1 AND batch_seq = 5"


async def test_what_was_not_touched_is_ok(books: Books) -> None:
    told: list[tuple[int, int, int]] = []
    report = await verify(books.dsn, lambda *at: told.append(at))
    assert report.ok, report.findings
    assert report.document()["ok"] is True
    for shard in report.shards:
        assert shard.batches == books.ledger.writers[shard.shard].state.batch_seq
        assert (shard.shard, shard.entries, shard.entries) in told


async def test_a_flipped_byte_of_a_payload(books: Books) -> None:
    await change(
        books.dsn,
        "UPDATE ledger.journal SET payload = set_byte(payload, octet_length(payload) - 3, "
        f"get_byte(payload, octet_length(payload) - 3) # 1) WHERE {SOME_BATCH}",
    )
    report = await verify(books.dsn)
    found = only(report, "hash")
    assert (found.shard, found.batch) == (1, 5)
    assert len(found.expected) == len(found.found) == 64
    assert only(report, "read models").found == "the journal is damaged before it"


async def test_a_changed_column_of_a_row(books: Books) -> None:
    await change(
        books.dsn, f"UPDATE ledger.journal SET recorded_at = recorded_at + 1 WHERE {SOME_BATCH}"
    )
    assert only(await verify(books.dsn), "hash").batch == 5


async def test_a_row_that_is_gone(books: Books) -> None:
    await change(books.dsn, f"DELETE FROM ledger.journal WHERE {SOME_BATCH}")
    found = only(await verify(books.dsn), "batch_seq")
    assert (found.shard, found.batch, found.expected, found.found) == (1, 6, "5", "6")


async def test_a_tail_that_is_gone(books: Books) -> None:
    """The chain is whole, but the read models know better."""
    await change(
        books.dsn,
        "DELETE FROM ledger.journal WHERE shard = 1 AND batch_seq = "
        "(SELECT max(batch_seq) FROM ledger.journal WHERE shard = 1)",
    )
    found = only(await verify(books.dsn), "read models at a batch")
    assert found.shard == 1


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        (
            "UPDATE projection.books SET debits_posted = debits_posted + 1 WHERE book = "
            "(SELECT min(book) FROM projection.books WHERE shard = 2) AND shard = 2",
            "book 1, debits_posted",
        ),
        (
            "DELETE FROM projection.usage_events WHERE ctid = "
            "(SELECT min(ctid) FROM projection.usage_events WHERE shard = 2 AND outcome = 1)",
            "number of usage events",
        ),
        (
            "DELETE FROM projection.denials WHERE ctid = "
            "(SELECT min(ctid) FROM projection.denials WHERE shard = 2)",
            "number of denials",
        ),
        (
            "UPDATE projection.usage_events SET charge = charge + 1 WHERE ctid = "
            "(SELECT min(ctid) FROM projection.usage_events WHERE shard = 2 AND outcome = 1)",
            "sum of charges",
        ),
        (
            "UPDATE projection.accounts SET policy = policy || '{\"overdraft_limit\": 5}' "
            "WHERE account = (SELECT min(account) FROM projection.accounts WHERE shard = 2)",
            "account ",
        ),
        (
            "UPDATE projection.grants SET voided = voided + 1 WHERE shard = 2 AND number = 1",
            "grant 1, drawn",
        ),
        (
            "UPDATE projection.holds SET state = 2 WHERE shard = 2 AND number = "
            "(SELECT min(number) FROM projection.holds WHERE shard = 2 AND state = 0)",
            "hold ",
        ),
        (
            "UPDATE projection.checkpoint SET hash = decode(repeat('01', 32), 'hex') "
            "WHERE shard = 2",
            "checkpoint hash",
        ),
    ],
)
async def test_read_models_that_were_changed(books: Books, statement: str, what: str) -> None:
    await change(books.dsn, statement)
    assert only(await verify(books.dsn), what).shard == 2


async def test_a_transfer_that_is_missing(books: Books) -> None:
    """Both of its books say so."""
    await change(
        books.dsn,
        "DELETE FROM projection.transfers WHERE ctid = (SELECT min(ctid) FROM "
        "projection.transfers WHERE shard = 2 AND phase = 2)",
    )
    report = await verify(books.dsn)
    assert [finding.what.split()[0] for finding in report.findings] == ["transfers"] * 2


async def test_a_rate_card_that_was_changed(books: Books) -> None:
    async with looking(books.dsn) as connection, connection.transaction():
        await _replace_blob(connection)
    report = await verify(books.dsn)
    assert {each.what for each in report.findings} == {"configuration 3 of tenant 1"}
    assert {each.found for each in report.findings} == {"no such body"}


async def _replace_blob(connection: asyncpg.Connection) -> None:
    await connection.execute("ALTER TABLE ledger.configuration_blob DISABLE TRIGGER append_only")
    await connection.execute(
        "UPDATE ledger.configuration_blob SET body = body || '\\x00' WHERE hash = "
        "(SELECT content_hash FROM ledger.configuration WHERE tenant = 1 AND version = 3)"
    )


async def test_it_compares_where_the_read_models_stand(database: str) -> None:
    """A projector that is behind is no difference."""
    async with open_books(database) as opened:
        await opened.a_bit_of_everything("first ")
        await project(database)
        await opened.a_bit_of_everything("second ")
    report = await verify(database)
    assert report.ok, report.findings
    assert any(shard.projected != shard.entries for shard in report.shards)
