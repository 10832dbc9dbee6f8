"""verify finds what was changed behind the ledger's back, and names it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator

import asyncpg
import pytest

from ledger.journal.embedded import EmbeddedPostgres
from ledger.verify import Finding, Report, verify
from tests.conftest import database_dsn, run_apart
from tests.projections.books import open_books
from tests.projections.projecting import looking, project


@pytest.fixture(scope="module")
def filled(module_database: str) -> str:
    """A database with a bit of everything, projected, that nobody is connected to."""

    async def fill() -> None:
        async with open_books(module_database) as books:
            await books.a_bit_of_everything()
        await project(module_database)

    run_apart(fill)
    return module_database


@pytest.fixture
async def dsn(filled: str, postgres_server: EmbeddedPostgres) -> AsyncIterator[str]:
    """A copy of it for one test."""
    name = f"test_{secrets.token_hex(6)}"
    template = await _name(filled)
    async with looking(postgres_server.dsn) as connection:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        yield database_dsn(postgres_server, name)
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


async def _name(dsn: str) -> str:
    async with looking(dsn) as connection:
        name: str = await connection.fetchval("SELECT current_database()")
        return name


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


async def test_what_was_not_touched_is_ok(dsn: str) -> None:
    told: list[tuple[int, int, int]] = []
    report = await verify(dsn, lambda *at: told.append(at))
    assert report.ok, report.findings
    assert report.document()["ok"] is True
    for shard in report.shards:
        assert shard.batches > 10
        assert shard.projected == shard.entries > shard.usage_events > 10
        assert shard.checkpointed == shard.entries, "a stop leaves a checkpoint of everything"
        assert (shard.shard, shard.entries, shard.entries) in told


async def test_a_flipped_byte_of_a_payload(dsn: str) -> None:
    await change(
        dsn,
        "UPDATE ledger.journal SET payload = set_byte(payload, octet_length(payload) - 3, "
        f"get_byte(payload, octet_length(payload) - 3) # 1) WHERE {SOME_BATCH}",
    )
    report = await verify(dsn)
    found = only(report, "hash")
    assert (found.shard, found.batch) == (1, 5)
    assert len(found.expected) == len(found.found) == 64
    assert only(report, "read models").found == "the journal is damaged before it"


async def test_a_changed_column_of_a_row(dsn: str) -> None:
    await change(dsn, f"UPDATE ledger.journal SET recorded_at = recorded_at + 1 WHERE {SOME_BATCH}")
    assert only(await verify(dsn), "hash").batch == 5


async def test_a_row_that_is_gone(dsn: str) -> None:
    await change(dsn, f"DELETE FROM ledger.journal WHERE {SOME_BATCH}")
    found = only(await verify(dsn), "batch_seq")
    assert (found.shard, found.batch, found.expected, found.found) == (1, 6, "5", "6")


async def test_a_tail_that_is_gone(dsn: str) -> None:
    """The chain is whole, but the read models know better."""
    await change(
        dsn,
        "DELETE FROM ledger.journal WHERE shard = 1 AND batch_seq = "
        "(SELECT max(batch_seq) FROM ledger.journal WHERE shard = 1)",
    )
    found = only(await verify(dsn), "read models at a batch")
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
            "UPDATE projection.usage_hours SET amount = amount + 1 WHERE ctid = "
            "(SELECT min(ctid) FROM projection.usage_hours WHERE shard = 2)",
            "what usage of account ",
        ),
        (
            "UPDATE projection.usage_hours SET hour = hour - 36000000000000 WHERE ctid = "
            "(SELECT min(ctid) FROM projection.usage_hours WHERE shard = 2)",
            "what usage of account ",
        ),
        (
            "UPDATE projection.usage_hours SET book = book + 1000000 WHERE ctid = "
            "(SELECT min(ctid) FROM projection.usage_hours WHERE shard = 2)",
            "what usage of account ",
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
async def test_read_models_that_were_changed(dsn: str, statement: str, what: str) -> None:
    await change(dsn, statement)
    assert only(await verify(dsn), what).shard == 2


FAMILY = "ctid = (SELECT min(ctid) FROM ledger.checkpoint_family WHERE shard = 2)"
BUCKET = "ctid = (SELECT min(ctid) FROM ledger.key_bucket WHERE shard = 2)"


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        (f"DELETE FROM ledger.checkpoint_family WHERE {FAMILY}", "checkpoint of family"),
        (f"UPDATE ledger.checkpoint_family SET due = due - 1 WHERE {FAMILY}", "place in the"),
        (
            f"UPDATE ledger.checkpoint_family SET body = substr(body, 2) WHERE {FAMILY}",
            "checkpoint of family",
        ),
        (
            # the last figure of the family
            "UPDATE ledger.checkpoint_family SET body = set_byte(body, octet_length(body) - 1, "
            f"get_byte(body, octet_length(body) - 1) # 1) WHERE {FAMILY}",
            "",
        ),
        (
            "UPDATE ledger.checkpoint SET body = set_byte(body, octet_length(body) - 2, "
            "get_byte(body, octet_length(body) - 2) # 9) WHERE shard = 2",
            "",
        ),
        ("UPDATE ledger.checkpoint SET entry_seq = entry_seq + 1 WHERE shard = 2", "checkpoint's"),
        (f"DELETE FROM ledger.key_bucket WHERE {BUCKET}", "identities in key segment"),
        (
            "UPDATE ledger.key_bucket SET body = set_byte(body, 3, get_byte(body, 3) # 1) "
            f"WHERE {BUCKET}",
            "identity ",
        ),
        (
            # its checksum: of what is behind it, a bit in thirty means the same either way
            "UPDATE ledger.key_segment SET filter = set_byte(filter, 3, get_byte(filter, 3) # 1) "
            "WHERE shard = 2",
            "key segment",
        ),
    ],
)
async def test_a_checkpoint_that_was_changed(dsn: str, statement: str, what: str) -> None:
    await change(dsn, statement)
    report = await verify(dsn)
    assert not report.ok
    assert {each.shard for each in report.findings} == {2}
    assert all("checkpoint" in each.what or "segment" in each.what for each in report.findings), (
        report.findings
    )
    assert any(each.what.startswith(what) for each in report.findings), report.findings


async def test_a_transfer_that_is_missing(dsn: str) -> None:
    """Both of its books say so."""
    await change(
        dsn,
        "DELETE FROM projection.transfers WHERE ctid = (SELECT min(ctid) FROM "
        "projection.transfers WHERE shard = 2 AND phase = 2)",
    )
    report = await verify(dsn)
    assert [finding.what.split()[0] for finding in report.findings] == ["transfers"] * 2


async def test_a_rate_card_that_was_changed(dsn: str) -> None:
    async with looking(dsn) as connection, connection.transaction():
        await _replace_blob(connection)
    report = await verify(dsn)
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
