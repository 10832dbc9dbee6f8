"""What every lease store promises, run against memory and PostgreSQL.

`stores.open()` is the store of another process. Time passes by `stores.wait`: the clock in memory
goes on; in the database what was stored moves into the past.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import asyncpg
import pytest

from ledger.journal import leases_postgres
from ledger.journal.connection import Connection, connect
from ledger.journal.errors import JournalUnavailable
from ledger.journal.leases import Identity, LeaseStore, LeaseView, MemoryLeases, MemoryLeaseStore
from ledger.journal.leases_postgres import PostgresLeaseStore

A, B = Identity("host/1/a", "127.0.0.1:1"), Identity("host/2/b", "127.0.0.1:2")
LONG_US = 600_000_000
SHORT_US = 60_000_000


@dataclass
class Stores:
    make: Callable[[], LeaseStore]
    wait: Callable[[int], Awaitable[None]]
    opened: list[LeaseStore] = field(default_factory=list)

    def open(self) -> LeaseStore:
        self.opened.append(self.make())
        return self.opened[-1]


@pytest.fixture(params=["memory", "postgres"])
async def stores(request: pytest.FixtureRequest) -> AsyncIterator[Stores]:
    if request.param == "memory":
        shared, now = MemoryLeases(), [1_700_000_000_000_000]

        async def pass_by_hand(us: int) -> None:
            now[0] += us

        made = Stores(lambda: MemoryLeaseStore(lambda: now[0], shared), pass_by_hand)
    else:
        dsn = request.getfixturevalue("database")

        async def move_what_is_stored(us: int) -> None:
            connection = await asyncpg.connect(dsn)
            for table in ("server", "shard_lease"):
                await connection.execute(
                    f"UPDATE ledger.{table} SET "
                    "expires_at = expires_at - $1::bigint * interval '1 microsecond'",
                    us,
                )
            await connection.close()

        made = Stores(lambda: PostgresLeaseStore(dsn), move_what_is_stored)
    yield made
    for store in made.opened:
        await store.close()


def owners(view: LeaseView) -> dict[int, str]:
    return {lease.shard: lease.owner for lease in view.leases if lease.left_us > 0}


async def test_nobody_has_anything_at_first(stores: Stores) -> None:
    view = await stores.open().beat(A, {}, LONG_US)
    assert view.leases == ()
    assert [(member.process, member.address) for member in view.members] == [(A.process, A.address)]
    assert 0 < view.members[0].left_us <= LONG_US


async def test_of_two_processes_one_gets_a_shard(stores: Stores) -> None:
    one, other = stores.open(), stores.open()
    first, second = await asyncio.gather(
        one.acquire(A, [0, 1, 2], LONG_US), other.acquire(B, [2, 1, 0, 3], LONG_US)
    )
    assert sorted([*first, *second]) == [0, 1, 2, 3]
    assert set(first.values()) | set(second.values()) == {1}
    view = await one.beat(A, first, LONG_US)
    assert owners(view) == {**dict.fromkeys(first, A.process), **dict.fromkeys(second, B.process)}
    assert {lease.address for lease in view.leases} <= {A.address, B.address}


async def test_a_lease_that_runs_is_not_taken_and_one_that_ran_out_is(stores: Stores) -> None:
    one, other = stores.open(), stores.open()
    assert await one.acquire(A, [0], SHORT_US) == {0: 1}
    assert await other.acquire(B, [0], LONG_US) == {}
    await stores.wait(SHORT_US)
    assert await other.acquire(B, [0], LONG_US) == {0: 2}, "a new epoch"
    assert owners(await one.beat(A, {0: 1}, LONG_US)) == {0: B.process}, "nothing to renew"


async def test_a_renewal_keeps_others_out(stores: Stores) -> None:
    one, other = stores.open(), stores.open()
    held = await one.acquire(A, [0], SHORT_US)
    await one.beat(A, held, LONG_US)
    await stores.wait(SHORT_US)
    assert await other.acquire(B, [0], LONG_US) == {}


async def test_a_lease_that_ran_out_and_that_nobody_took_is_renewed(stores: Stores) -> None:
    store = stores.open()
    held = await store.acquire(A, [0], SHORT_US)
    await stores.wait(SHORT_US)
    view = await store.beat(A, held, LONG_US)
    assert [(lease.owner, lease.epoch) for lease in view.leases] == [(A.process, 1)]
    assert view.leases[0].left_us > 0


async def test_a_renewal_of_an_older_epoch_changes_nothing(stores: Stores) -> None:
    store = stores.open()
    await store.acquire(A, [0], LONG_US)
    assert await store.acquire(A, [0], SHORT_US) == {0: 2}, "its own, taken anew"
    await store.beat(A, {0: 1}, LONG_US)
    await stores.wait(SHORT_US)
    assert await stores.open().acquire(B, [0], LONG_US) == {0: 3}


async def test_a_released_shard_is_free_at_once(stores: Stores) -> None:
    one, other = stores.open(), stores.open()
    await one.acquire(A, [0, 1], LONG_US)
    await one.release(A, 0, 7)  # not this epoch
    await other.release(B, 0, 1)  # not its own
    assert await other.acquire(B, [0], LONG_US) == {}
    await one.release(A, 0, 1)
    view = await other.beat(B, {}, LONG_US)
    assert owners(view) == {1: A.process}
    assert await other.acquire(B, [0, 1], LONG_US) == {0: 2}


async def test_members_come_leave_and_are_missed(stores: Stores) -> None:
    one, other = stores.open(), stores.open()
    await one.beat(A, {}, SHORT_US)
    view = await other.beat(B, {}, LONG_US, leaving=True)
    assert [(each.process, each.leaving) for each in view.members] == [
        (A.process, False),
        (B.process, True),
    ]
    await stores.wait(SHORT_US)
    view = await other.beat(B, {}, LONG_US)
    assert [each.left_us > 0 for each in view.members] == [False, True]
    await one.leave(A)
    view = await other.beat(B, {}, LONG_US)
    assert [(each.process, each.leaving) for each in view.members] == [(B.process, False)]


async def test_nothing_is_said_while_the_database_is_away(database: str) -> None:
    store = PostgresLeaseStore(database.replace("/test_", "/gone_"))
    with pytest.raises(JournalUnavailable):
        await store.beat(A, {}, LONG_US)
    memory = MemoryLeaseStore(lambda: 0)
    memory.available = False
    with pytest.raises(JournalUnavailable):
        await memory.acquire(A, [0], LONG_US)


async def test_a_call_given_up_cuts_its_connection_and_the_next_one_opens_another(
    database: str,
) -> None:
    store = PostgresLeaseStore(database)
    held = await store.acquire(A, [0], LONG_US)
    blocker = await asyncpg.connect(database)
    async with blocker.transaction():
        await blocker.execute("LOCK TABLE ledger.shard_lease")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await store.beat(A, held, LONG_US)
    await blocker.close()
    assert owners(await store.beat(A, held, LONG_US)) == {0: A.process}
    await store.close()


async def test_a_connection_that_opens_slowly_serves_who_has_patience_by_then(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else one that takes longer than each call's patience is opened again and again, for ever."""
    opened, may_open = 0, asyncio.Event()

    async def slowly(dsn: str, *, application_name: str) -> Connection:
        nonlocal opened
        opened += 1
        await may_open.wait()
        return await connect(dsn, application_name=application_name)

    monkeypatch.setattr(leases_postgres, "connect", slowly)
    store = PostgresLeaseStore(database)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await store.beat(A, {}, LONG_US)
    may_open.set()
    assert owners(await store.beat(A, {}, LONG_US)) == {}
    assert opened == 1
    await store.close()


async def test_a_connection_that_never_opens_is_given_up(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its bound, or with the store; the next call opens another."""
    hanging = True

    async def perhaps(dsn: str, *, application_name: str) -> Connection:
        if hanging:
            await asyncio.Event().wait()
        return await connect(dsn, application_name=application_name)

    monkeypatch.setattr(leases_postgres, "connect", perhaps)
    store = PostgresLeaseStore(database)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await store.beat(A, {}, LONG_US)
    await store.close()
    with monkeypatch.context() as soon:
        soon.setattr(leases_postgres, "OPENING_MAX_S", 0.01)
        with pytest.raises(JournalUnavailable, match="leases: TimeoutError"):
            await store.beat(A, {}, LONG_US)
    hanging = False
    assert owners(await store.beat(A, {}, LONG_US)) == {}
    await store.close()
