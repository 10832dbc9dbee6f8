"""Configuration and parked usage, run against memory and PostgreSQL; erasure of private records."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from ledger.journal.codec import PrivateRecords, decode_private, encode_private
from ledger.journal.configuration import (
    BODY_BYTES_MAX,
    ConfigurationEntry,
    ConfigurationKind,
    ConfigurationReason,
    ConfigurationRefused,
    ConfigurationStore,
    MemoryConfigurationStore,
    content_hash,
)
from ledger.journal.configuration_postgres import PostgresConfigurationStore
from ledger.journal.connection import open_pool
from ledger.journal.directory import Entry, Erasure
from ledger.journal.directory_postgres import PostgresDirectory
from ledger.journal.erasure import Blanked, blank_pending
from ledger.journal.errors import JournalCorrupt, JournalUnavailable
from ledger.journal.parked import (
    MemoryParkedStore,
    ParkedStore,
    ParkOutcome,
    PostgresParkedStore,
)
from ledger.journal.postgres import PostgresJournal

from .chain import chain

NOW = 1_700_000_000_000_000
MARGIN = 1_000_000
ASSET, CARD = ConfigurationKind.ASSET, ConfigurationKind.RATE_CARD


@pytest.fixture(params=["memory", "postgres"])
async def configuration(request: pytest.FixtureRequest) -> AsyncIterator[ConfigurationStore]:
    made: ConfigurationStore
    if request.param == "memory":
        made = MemoryConfigurationStore(clock=lambda: NOW)
    else:
        made = await PostgresConfigurationStore.open(request.getfixturevalue("database"))
    yield made
    await made.close()


@pytest.fixture(params=["memory", "postgres"])
async def parked(request: pytest.FixtureRequest) -> AsyncIterator[ParkedStore]:
    made: ParkedStore
    if request.param == "memory":
        made = MemoryParkedStore(clock=lambda: NOW)
    else:
        made = await PostgresParkedStore.open(request.getfixturevalue("database"))
    yield made
    await made.close()


def published(answer: ConfigurationEntry | ConfigurationRefused) -> ConfigurationEntry:
    assert isinstance(answer, ConfigurationEntry), answer
    return answer


def refusal(answer: ConfigurationEntry | ConfigurationRefused) -> ConfigurationReason:
    assert isinstance(answer, ConfigurationRefused), answer
    return answer.reason


async def test_versions_are_gapless_per_tenant_over_all_kinds(
    configuration: ConfigurationStore,
) -> None:
    usd = published(await configuration.publish(1, ASSET, "usd", b"usd"))
    card = published(await configuration.publish(1, CARD, "default", b"v1", usd.published_at_us))
    other = published(await configuration.publish(2, CARD, "default", b"v1"))
    assert [usd.version, card.version, other.version] == [1, 2, 1]
    assert usd.effective_from_us == usd.published_at_us + MARGIN
    assert card.effective_from_us == usd.published_at_us <= card.published_at_us
    assert card.content_hash == other.content_hash == content_hash(b"v1")
    assert await configuration.read(1) == (usd, card)
    assert await configuration.read(1, 1) == (card,)
    assert await configuration.read(None) == (usd, card, other)
    assert await configuration.read(None, 1) == (card,)
    assert await configuration.read(3) == ()
    assert await configuration.body(content_hash(b"v1")) == b"v1"
    assert await configuration.body(content_hash(b"v2")) is None


async def test_a_retried_publication_adds_nothing(configuration: ConfigurationStore) -> None:
    first = published(await configuration.publish(1, CARD, "default", b"v1", 5))
    assert await configuration.publish(1, CARD, "default", b"v1", 5, 0) == first
    assert await configuration.publish(1, CARD, "default", b"v1") == first
    later = published(await configuration.publish(1, CARD, "default", b"v1", 6))
    assert later.version == 2


async def test_a_publication_names_the_version_it_replaces(
    configuration: ConfigurationStore,
) -> None:
    first = await configuration.publish(1, CARD, "default", b"v1", None, 0)
    assert published(first).version == 1
    published(await configuration.publish(1, ASSET, "usd", b"usd"))
    answer = await configuration.publish(1, CARD, "default", b"v2", None, 0)
    assert refusal(answer) is ConfigurationReason.VERSION_DIFFERS
    answer = await configuration.publish(1, CARD, "default", b"v2", None, 2)
    assert refusal(answer) is ConfigurationReason.VERSION_DIFFERS
    assert published(await configuration.publish(1, CARD, "default", b"v2", None, 1)).version == 3


async def test_a_name_is_a_rate_card_or_an_alias_of_one(configuration: ConfigurationStore) -> None:
    """Never both, whoever comes first; an asset or another tenant may use the name."""
    alias = ConfigurationKind.RATE_CARD_ALIAS
    published(await configuration.publish(1, CARD, "default", b"v1"))
    published(await configuration.publish(1, alias, "pro", b"default"))
    for kind, name in ((alias, "default"), (CARD, "pro")):
        answer = await configuration.publish(1, kind, name, b"v2")
        assert refusal(answer) is ConfigurationReason.CARD_NAME_TAKEN
    assert len(await configuration.read(1)) == 2
    published(await configuration.publish(1, ASSET, "pro", b"pro"))
    published(await configuration.publish(2, CARD, "pro", b"v1"))


async def test_what_cannot_be_published_is_refused(configuration: ConfigurationStore) -> None:
    reasons = ConfigurationReason
    for tenant, name, body, expected in (
        (9, "x", b"", reasons.TENANT_UNKNOWN),
        (1, "", b"", reasons.NAME_INVALID),
        (1, "x" * 129, b"", reasons.NAME_INVALID),
        (1, "x", bytes(BODY_BYTES_MAX + 1), reasons.BODY_TOO_LARGE),
    ):
        assert refusal(await configuration.publish(tenant, CARD, name, body)) is expected
    assert await configuration.read(1) == ()


async def test_publications_at_once_leave_no_gap(configuration: ConfigurationStore) -> None:
    await asyncio.gather(
        *(configuration.publish(1, CARD, f"card {n}", bytes([n])) for n in range(12))
    )
    entries = await configuration.read(1)
    assert [entry.version for entry in entries] == list(range(1, 13))
    times = [entry.published_at_us for entry in entries]
    assert times == sorted(times)


async def test_parked_usage_waits_until_it_is_deleted(parked: ParkedStore) -> None:
    assert await parked.park(1, "new", "api", "e1", b"one") is ParkOutcome.PARKED
    assert await parked.park(1, "new", "api", "e1", b"one") is ParkOutcome.REPLAYED
    assert await parked.park(1, "new", "api", "e1", b"two") is ParkOutcome.CONFLICT
    assert await parked.park(1, "new", "", "e2", b"") is ParkOutcome.PARKED
    assert await parked.park(2, "new", "api", "e1", b"two") is ParkOutcome.PARKED
    assert await parked.park(1, "other", "api", "e1", b"x") is ParkOutcome.PARKED
    waiting = await parked.waiting(1, "new")
    assert {(one.source, one.event_id, one.body) for one in waiting} == {
        ("api", "e1", b"one"),
        ("", "e2", b""),
    }
    assert all(one.parked_at_us >= NOW for one in waiting)
    assert len(await parked.waiting(1, "new", 1)) == 1
    assert await parked.names(1) == {"new": 2, "other": 1}
    assert await parked.names(1, 1) == {"new": 2}
    assert await parked.names(1, after="new") == {"other": 1}
    await parked.delete(1, "new", [("api", "e1"), ("", "e2"), ("api", "never")])
    assert await parked.waiting(1, "new") == ()
    assert len(await parked.waiting(2, "new")) == 1
    assert await parked.waiting(1, "no\0body") == ()


async def test_what_cannot_be_parked_is_refused(parked: ParkedStore) -> None:
    for account_id, source, event_id in (
        ("", "s", "e"),
        ("a", "s", ""),
        ("a", "s" * 129, "e"),
        ("a", "s", "e\0"),
    ):
        assert await parked.park(1, account_id, source, event_id, b"") is ParkOutcome.ID_INVALID
    assert await parked.park(9, "a", "s", "e", b"") is ParkOutcome.TENANT_UNKNOWN


async def test_stores_whose_server_is_away_say_so() -> None:
    configuration, parked = MemoryConfigurationStore(), MemoryParkedStore()
    configuration.available = parked.available = False
    away = "postgresql://drawdown@127.0.0.1:1/drawdown"
    for attempt in (
        configuration.read(1),
        parked.names(1),
        PostgresConfigurationStore.open(away),
        PostgresParkedStore.open(away),
    ):
        with pytest.raises(JournalUnavailable):
            await attempt


async def test_a_damaged_blob_is_not_returned(database: str) -> None:
    connection = await asyncpg.connect(database)
    await connection.execute(
        "INSERT INTO ledger.configuration_blob VALUES ($1, $2)", content_hash(b"v1"), b"v2"
    )
    await connection.close()
    store = await PostgresConfigurationStore.open(database)
    with pytest.raises(JournalCorrupt, match="another hash"):
        await store.body(content_hash(b"v1"))
    await store.close()


async def test_an_erasure_blanks_private_records_and_leaves_the_chain_whole(
    database: str,
) -> None:
    """
    account acme, account acme/jane below it
    70 batches, in each an event of acme and one of acme/jane
    erase acme/jane -> her ids are gone, acme's are there, every hash still holds
    """
    directory = await PostgresDirectory.open(database, 4)
    acme = await directory.claim(1, "acme", None)
    jane = await directory.claim(1, "acme/jane", "acme")
    assert isinstance(acme, Entry)
    assert isinstance(jane, Entry)
    private = PrivateRecords()
    private.add(0, acme.number, "api", "call-1", "task")
    private.add(1, jane.number, "api", "janes-call", "task", "parent", {"email": "jane"})
    rows = chain(70, shard=acme.shard, private=encode_private(private))
    journal = PostgresJournal(database, acme.shard)
    for row in rows:
        await journal.append(row)
    assert isinstance(await directory.erase(1, "acme/jane"), Erasure)
    pool = await open_pool(database, application_name="test", size_max=2)
    seen: list[tuple[int, int]] = []
    done = await blank_pending(pool, directory, lambda shard, seq: seen.append((shard, seq)))
    assert done == Blanked(1, 70, 70)
    assert seen == [(acme.shard, 64), (acme.shard, 70)]
    assert await blank_pending(pool, directory) == Blanked(0, 0, 0)
    stored = [row async for row in journal.read(0)]
    assert [row.hash for row in stored] == [row.hash for row in rows]
    records = decode_private(stored[-1].private)
    assert (records.ids, records.accounts) == (["call-1", ""], [acme.number, jane.number])
    assert (records.sources, records.operations) == (["api", ""], ["task", ""])
    assert (records.operation_parents, records.personal) == (["", ""], {})
    await pool.close()
    await journal.close()
    await directory.close()
