"""Seals are made of what is durable, in one chain a shard, whoever makes them and however late."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
from msgspec.structs import replace

from ledger.integrity.keys import KeyNotIntroduced, introduce
from ledger.integrity.ranges import StoredSeal
from ledger.integrity.seal import NO_SEAL, Seal
from ledger.integrity.sealer import Sealer, run_sealer, seal_all
from ledger.integrity.store import MemorySealStore, SealStore
from ledger.journal.errors import JournalCorrupt
from ledger.journal.postgres import PostgresJournal
from ledger.journal.protocol import Journal, make_row
from ledger.verify import verify
from tests.integrity.journals import NOON_US, SHARD, Written, batch, small
from tests.integrity.sealing import KEY, NEXT_KEY, OTHER_KEY, SHARDS, seal, seal_store
from tests.patience import HANGS_S
from tests.projections.books import open_books
from tests.projections.projecting import looking, until


async def all_seals(store: SealStore, shard: int) -> list[Seal]:
    return [stored.seal for stored in await store.page(shard, 0, 1_000)]


def check_chain(seals: list[Seal]) -> None:
    """One after the other without a gap, each naming the one before."""
    before = None
    for number, each in enumerate(seals, 1):
        assert each.seal_seq == number
        assert each.prev_seal == (before.hash() if before else NO_SEAL)
        assert each.first_batch == (before.last_batch + 1 if before else 1)
        assert each.first_entry == (before.next_entry if before else 0)
        assert before is None or each.sealed_at_us > before.sealed_at_us
        before = each


async def test_seals_are_a_chain_and_made_only_of_what_is_new() -> None:
    written = await small()
    seals = await all_seals(written.seals, SHARD)
    check_chain(seals)
    assert [(each.first_batch, each.last_batch) for each in seals] == [(1, 3), (4, 5)]
    sealer = written.sealer()
    assert await sealer.seal(written.journal) is not None
    assert await sealer.seal(written.journal) is None
    check_chain(await all_seals(written.seals, SHARD))


async def test_a_sealer_that_was_away_takes_it_in_parts() -> None:
    written = Written()
    await written.write(*[batch(number, 10) for number in range(20)])
    sealer = written.sealer(entries_max=30)
    await sealer.introduce()
    while await sealer.seal(written.journal):
        pass
    seals = await all_seals(written.seals, SHARD)
    check_chain(seals)
    assert [each.entries for each in seals] == [39] * 6 + [26]


class Late:
    """A store in which another sealer is always a little faster."""

    def __init__(self, store: MemorySealStore, faster: Sealer, journal: object) -> None:
        self.store, self.faster, self.journal = store, faster, journal
        self.instance = store.instance
        self.keys, self.last = store.keys, store.last

    async def append(self, stored: StoredSeal) -> bool:
        await self.faster.seal(self.journal)
        return await self.store.append(stored)


async def test_a_round_ends_though_writers_never_rest(database: str) -> None:
    """One seal a shard and round, of what was there: no shard waits for the end of another."""
    async with open_books(database) as books, seal_store(database) as store:
        account = await books.account("acme")
        busy = books.ledger.writers[account.shard]

        class Chased(Sealer):
            async def seal(self, journal: Journal) -> Seal | None:
                made = await super().seal(journal)
                if journal.shard == busy.shard:
                    await books.use(account, f"after batch {busy.state.batch_seq}")
                return made

        sealer = Chased(store, KEY)
        await sealer.introduce()
        for round_ in (1, 2):
            async with asyncio.timeout(HANGS_S):
                made = await seal_all(database, store, sealer, SHARDS)
            assert made == (SHARDS if round_ == 1 else 1)
        check_chain(await all_seals(store, busy.shard))


async def test_two_sealers_never_fork() -> None:
    written = await small()
    late = Late(written.seals, written.sealer(), written.journal)
    sealer = Sealer(late, KEY)
    assert await sealer.seal(written.journal) is None
    check_chain(await all_seals(written.seals, SHARD))


async def test_nothing_that_contradicts_itself_is_sealed() -> None:
    written = await small()
    store = written.journal._store
    last = max(store)
    sound = store[last]
    fields = {name: getattr(sound, name) for name in sound.__struct_fields__ if name != "hash"}
    for change in ({"prev_hash": bytes(32)}, {"first_event": 1}, {"event_count": 2}):
        store[last] = make_row(**fields | change)  # whole by itself
        with pytest.raises(JournalCorrupt):
            await written.sealer().seal(written.journal)
    assert len(await all_seals(written.seals, SHARD)) == 2


async def test_a_new_key_goes_on_and_the_old_one_does_not_come_back() -> None:
    written = await small()
    with pytest.raises(KeyNotIntroduced, match="rotate"):
        await Sealer(written.seals, NEXT_KEY).introduce()
    records = await written.seals.keys()
    await written.seals.add_key(
        introduce(NEXT_KEY, KEY, records[-1], written.seals.instance, NOON_US)
    )
    newer = Sealer(written.seals, NEXT_KEY)
    await newer.introduce()
    assert await newer.seal(written.journal)
    await written.write(batch(6, 1))
    with pytest.raises(KeyNotIntroduced, match="newer"):
        await written.sealer().seal(written.journal)
    check_chain(await all_seals(written.seals, SHARD))


# -- on PostgreSQL ---------------------------------------------------------------------------------


async def test_many_sealers_of_one_database_make_one_chain(database: str) -> None:
    async with open_books(database) as books:
        for part in range(3):
            await books.a_bit_of_everything(f"{part} ")
            await asyncio.gather(*[seal(database) for _ in range(4)])
    async with seal_store(database) as store:
        assert len(await store.keys()) == 1
        for shard in range(SHARDS):
            check_chain(await all_seals(store, shard))
    report = await verify(database, anchors=[KEY.public_key])
    assert report.ok, report.findings
    assert sum(shard.seals for shard in report.shards) > 2 * SHARDS


async def test_a_seal_that_continues_nothing_is_not_written(database: str) -> None:
    async with open_books(database) as books:
        await books.account("acme")
    await seal(database)
    async with seal_store(database) as store:
        stored = await store.last(0)
        assert stored is not None
        for change in (
            {"seal_seq": 1},
            {"seal_seq": 3},
            {"seal_seq": 2, "first_batch": 7, "last_batch": 9},
            {"seal_seq": 2, "first_batch": stored.seal.last_batch + 1, "last_batch": 99},
        ):
            assert not await store.append(replace(stored, seal=replace(stored.seal, **change)))


async def test_seals_and_keys_cannot_be_changed(database: str) -> None:
    async with open_books(database) as books:
        await books.account("acme")
    await seal(database)
    async with looking(database) as connection:
        for table in ("seal", "seal_key"):
            for harm in (f"UPDATE ledger.{table} SET format = 2", f"DELETE FROM ledger.{table}",
                         f"TRUNCATE ledger.{table} CASCADE"):  # fmt: skip
                with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
                    await connection.execute(harm)
        await connection.execute("SET ROLE drawdown_app")
        for table in ("seal", "seal_key"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
                await connection.execute(f"DELETE FROM ledger.{table}")


async def test_it_seals_again_and_again_and_once_more_at_the_end(database: str) -> None:
    stop = asyncio.Event()
    sealing = asyncio.create_task(run_sealer(database, KEY, every_s=1, stop=stop))
    async with looking(database) as connection:
        async with open_books(database) as books:
            await books.account("acme")
            await until(connection, "SELECT count(*) = 4 FROM ledger.seal")
            await books.a_bit_of_everything()
        stop.set()
        await sealing
        head = "SELECT max(batch_seq) FROM ledger.journal WHERE shard = 1"
        sealed = "SELECT max(last_batch) FROM ledger.seal WHERE shard = 1"
        assert await connection.fetchval(sealed) == await connection.fetchval(head)


async def test_a_key_that_nobody_introduced_seals_nothing(database: str) -> None:
    async with open_books(database) as books:
        await books.account("acme")
    await seal(database)
    with pytest.raises(KeyNotIntroduced):
        await run_sealer(database, OTHER_KEY, every_s=1)
    journal = PostgresJournal(database, 0)
    async with seal_store(database) as store:
        assert await Sealer(store, KEY).seal(journal) is None
    await journal.close()
