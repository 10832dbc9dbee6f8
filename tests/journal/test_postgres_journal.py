"""What PostgreSQL adds to the journal's promises: unknown outcomes, append-only, partitions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from ledger.journal.connection import APPLICATION_ROLE, Connection, borrow, connect, open_pool
from ledger.journal.postgres import PostgresJournal
from ledger.journal.protocol import (
    CommitUnknown,
    JournalConflict,
    JournalRow,
    JournalUnavailable,
    make_row,
)

from .chain import chain
from .proxy import Cut, CuttingProxy


@pytest.fixture
async def admin(database: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


@pytest.fixture
async def proxy(database: str) -> AsyncIterator[CuttingProxy]:
    query = parse_qs(urlsplit(database).query)
    async with CuttingProxy(f"{query['host'][0]}/.s.PGSQL.{query['port'][0]}") as proxy:
        yield proxy


@pytest.fixture
async def journal(database: str) -> AsyncIterator[PostgresJournal]:
    journal = PostgresJournal(database, 0)
    yield journal
    await journal.close()


@pytest.fixture
async def proxied(database: str, proxy: CuttingProxy) -> AsyncIterator[PostgresJournal]:
    name = urlsplit(database).path
    # The socket trusts, TCP would not: the proxy turns one into the other.
    journal = PostgresJournal(f"postgresql://drawdown@127.0.0.1:{proxy.port}{name}", 0)
    yield journal
    await journal.close()


async def rows_of(journal: PostgresJournal) -> list[JournalRow]:
    return [row async for row in journal.read(0)]


async def test_a_journal_that_cannot_be_prepared_is_unavailable_and_connects_later(
    proxied: PostgresJournal, proxy: CuttingProxy
) -> None:
    [first] = chain(1)
    proxy.arm(Cut.BEFORE_SERVER, b"journal_capacity")
    with pytest.raises(JournalUnavailable, match="shard 0"):
        await proxied.prepare()
    await proxied.prepare()
    await proxied.append(first)
    assert await rows_of(proxied) == [first]


@pytest.mark.parametrize("cut", list(Cut))
async def test_a_connection_lost_during_a_commit_leaves_its_outcome_unknown(
    proxied: PostgresJournal, journal: PostgresJournal, proxy: CuttingProxy, cut: Cut
) -> None:
    """Written or not, the writer says unknown; the tail tells, and it goes on from there."""
    first, second, third = chain(3)
    await proxied.append(first)
    proxy.arm(cut, second.payload)
    with pytest.raises(CommitUnknown, match="shard 0, batch 2"):
        await proxied.append(second)
    if cut is not Cut.BEFORE_SERVER:
        await proxy.answered.wait()
        assert await rows_of(journal) == [first, second]
        with pytest.raises(JournalConflict):
            await proxied.append(second)
    else:
        assert await rows_of(journal) == [first]
        await proxied.append(second)
    await proxied.append(third)
    assert await rows_of(proxied) == [first, second, third]


async def test_a_warning_on_commit_is_an_unknown_outcome(
    journal: PostgresJournal, admin: asyncpg.Connection[asyncpg.Record]
) -> None:
    """A commit whose wait for a standby was cancelled reports success, with a warning."""
    await admin.execute(
        "CREATE FUNCTION warn() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN RAISE WARNING 'canceling wait for synchronous replication'; RETURN NULL; END$$;"
        "CREATE CONSTRAINT TRIGGER warns AFTER INSERT ON ledger.journal "
        "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION warn()"
    )
    first, second = chain(2)
    with pytest.raises(CommitUnknown, match="canceling wait"):
        await journal.append(first)
    await admin.execute("DROP TRIGGER warns ON ledger.journal")
    assert await rows_of(journal) == [first]
    await journal.append(second)


async def test_a_cancelled_append_cuts_the_connection_and_sends_no_cancel(
    journal: PostgresJournal, admin: asyncpg.Connection[asyncpg.Record]
) -> None:
    first, second = chain(2)
    await journal.append(first)
    async with admin.transaction():
        # Another writer holds the same key, uncommitted: our append waits for its fate.
        await admin.execute(
            "INSERT INTO ledger.journal SELECT shard, 2, recorded_at, 3, 3, format, codec, hash, "
            "hash, payload FROM ledger.journal"
        )
        attempt = asyncio.create_task(journal.append(second))
        await _until_blocked(admin)
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
    with pytest.raises(JournalConflict):
        await journal.append(second)


async def test_a_server_that_stops_a_statement_before_commit_is_a_definite_failure(
    journal: PostgresJournal, admin: asyncpg.Connection[asyncpg.Record]
) -> None:
    first, second = chain(2)
    await journal.append(first)
    await admin.execute("ALTER TABLE ledger.journal ADD CONSTRAINT small CHECK (batch_seq < 2)")
    with pytest.raises(JournalUnavailable, match="23514"):
        await journal.append(second)
    await admin.execute("ALTER TABLE ledger.journal DROP CONSTRAINT small")
    await journal.append(second)


async def test_a_session_ended_by_the_administrator_is_opened_again(
    journal: PostgresJournal, admin: asyncpg.Connection[asyncpg.Record]
) -> None:
    first, second = chain(2)
    await journal.append(first)
    await admin.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE application_name LIKE 'drawdown shard%' AND datname = current_database()"
    )
    try:
        await journal.append(second)
    except CommitUnknown:  # the end of the session was not read yet
        await journal.append(second)
    assert await rows_of(journal) == [first, second]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger.journal SET payload = ''",
        "DELETE FROM ledger.journal",
        "TRUNCATE ledger.journal",
        "UPDATE ledger.journal_p000000 SET payload = ''",
        "DELETE FROM ledger.journal_p000000",
        "TRUNCATE ledger.journal_p000000",
        "INSERT INTO ledger.journal SELECT * FROM ledger.journal "
        "ON CONFLICT (shard, batch_seq) DO UPDATE SET payload = ''",
        "UPDATE ledger.settings SET shards = 8",
        "DELETE FROM ledger.configuration",
        "UPDATE ledger.configuration_blob SET body = ''",
    ],
)
async def test_what_is_append_only_can_be_changed_by_nobody(
    database: str,
    journal: PostgresJournal,
    admin: asyncpg.Connection[asyncpg.Record],
    statement: str,
) -> None:
    """The application lacks the right; the owner and even a replication session meet a trigger."""
    [row] = chain(1)
    await journal.append(row)
    application = await connect(database, application_name="test")
    try:
        assert await application.fetchval("SELECT current_user") == APPLICATION_ROLE
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
            await application.execute(statement)
    finally:
        await application.close()
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
        await admin.execute(statement)
    await admin.execute("SET session_replication_role = replica")
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
        await admin.execute(statement)
    assert await rows_of(journal) == [row]


async def store_unchained(admin: asyncpg.Connection[asyncpg.Record], batch_seq: int) -> JournalRow:
    """A batch far on in shard 0, with none before it."""
    row = make_row(
        shard=0,
        batch_seq=batch_seq,
        recorded_at_us=1,
        first_event=9,
        event_count=1,
        format=1,
        codec=1,
        prev_hash=bytes(32),
        payload=b"x",
    )
    columns = (
        "shard, batch_seq, recorded_at, first_event, event_count, format, codec, prev_hash, hash, "
        "payload"
    )
    values = [getattr(row, name) for name in row.__struct_fields__][:10]
    await admin.execute(
        f"INSERT INTO ledger.journal ({columns}) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10)", *values
    )
    return row


async def test_partitions_are_made_ahead_of_need_by_the_application(
    database: str, admin: asyncpg.Connection[asyncpg.Record]
) -> None:
    """At batch 1,800,001 the third million gets its place; the new partition is protected too."""
    last = await store_unchained(admin, 1_800_000)
    assert await admin.fetchval("SELECT ledger.journal_capacity()") == 1_999_999
    journal = PostgresJournal(database, 0)
    try:
        await journal.append(chain(1, after=last, private=b"who")[0])
        assert await admin.fetchval("SELECT ledger.journal_capacity()") == 2_999_999
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await admin.execute("TRUNCATE ledger.journal_p000002")
        storage = await admin.fetchval(
            "SELECT attstorage FROM pg_attribute WHERE attname = 'payload' "
            "AND attrelid = 'ledger.journal_p000002'::regclass"
        )
        assert storage == b"e"
    finally:
        await journal.close()


async def test_who_prepares_has_the_next_partition_before_the_first_batch(
    database: str, admin: asyncpg.Connection[asyncpg.Record]
) -> None:
    await store_unchained(admin, 1_800_000)
    journal = PostgresJournal(database, 0)
    await journal.prepare()
    assert await admin.fetchval("SELECT ledger.journal_capacity()") == 2_999_999
    assert await admin.fetchval("SELECT count(*) FROM ledger.journal") == 1
    await journal.close()


async def test_without_a_partition_the_error_says_what_to_do(
    database: str, admin: asyncpg.Connection[asyncpg.Record]
) -> None:
    await admin.execute(
        "DROP FUNCTION ledger.ensure_partitions; DROP TABLE ledger.journal_p000000, "
        "ledger.journal_p000001"
    )
    journal = PostgresJournal(database, 0)
    with pytest.raises(JournalUnavailable, match="run `drawdown migrate`"):
        await journal.append(chain(1)[0])
    await journal.close()


async def test_replay_walks_the_primary_key_and_sorts_nothing(
    admin: asyncpg.Connection[asyncpg.Record],
) -> None:
    plan = json.loads(
        await admin.fetchval(
            "EXPLAIN (FORMAT JSON) SELECT payload FROM ledger.journal "
            "WHERE shard = 0 AND batch_seq > 5 ORDER BY batch_seq LIMIT 32"
        )
    )
    assert "Sort" not in {node["Node Type"] for node in _nodes(plan[0]["Plan"])}


async def test_every_session_waits_for_the_disk_whatever_the_database_says(
    database: str, admin: asyncpg.Connection[asyncpg.Record]
) -> None:
    """On a connection of a pool too, each time that it is borrowed."""
    name = await admin.fetchval("SELECT current_database()")
    await admin.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    await admin.execute(f"ALTER DATABASE {name} SET statement_timeout = 1000")
    single = await connect(database, application_name="test")
    pool = await open_pool(database, application_name="test", size_max=1)
    try:
        await _assert_session(single)
        for _ in range(2):
            async with borrow(pool) as borrowed:
                await _assert_session(borrowed)
    finally:
        await single.close()
        await pool.close()


async def _assert_session(connection: Connection) -> None:
    assert await connection.fetchval("SELECT current_user") == APPLICATION_ROLE
    for setting, value in {
        "synchronous_commit": "on",
        "statement_timeout": "0",
        "lock_timeout": "5s",
        "idle_in_transaction_session_timeout": "10s",
    }.items():
        assert await connection.fetchval(f"SHOW {setting}") == value


async def test_a_vanished_server_is_noticed_on_tcp(proxied: PostgresJournal) -> None:
    """TCP keepalives are on at our end: no driver timeout would end the wait for a commit."""
    import socket

    await proxied.append(chain(1)[0])
    writer = proxied._writer
    assert writer is not None
    sock = writer._transport.get_extra_info("socket")
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 25_000


def _nodes(plan: dict[str, object]) -> list[dict[str, object]]:
    children = plan.get("Plans", [])
    assert isinstance(children, list)
    return [plan, *(node for child in children for node in _nodes(child))]


async def _until_blocked(admin: asyncpg.Connection[asyncpg.Record]) -> None:
    """PostgreSQL has no event for it: asked until one of our sessions waits for a lock."""
    while not await admin.fetchval(
        "SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
        "AND datname = current_database())"
    ):
        await admin.execute("SELECT pg_stat_clear_snapshot()")
