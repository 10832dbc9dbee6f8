"""How long an answer about the past takes, and what keeping it costs the projector.

`python -m bench.time_machine [--events N]` records N usage events over 60 simulated days on an
embedded PostgreSQL of its own, half of them on one grant of one account, most of them seconds late,
some minutes, hours or days. The real projector fills the read models, and balances of that account
are asked for through `ledger.projections.as_of`, in this process: gRPC is left out. Prints one line
a figure. Some answers of each kind are compared with a sum over all transfers of the account.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Callable
from random import Random
from typing import Final

from ledger.core.catalog import asset_number
from ledger.core.commands import IssueGrant, Names, RecordUsage
from ledger.core.events import AccountPolicy, GrantIssued, GrantKind, UsageRecorded
from ledger.core.limits import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from ledger.core.shapes import Shape
from ledger.engine.ledger import Ledger
from ledger.journal.connection import Pool, open_pool
from ledger.journal.directory import TENANT_DEFAULT, Entry
from ledger.journal.embedded import EmbeddedPostgres
from ledger.journal.embedded_host import throwaway_root
from ledger.journal.migrate import migrate
from ledger.journal.storage import PostgresStorage
from ledger.projections.as_of import History
from ledger.projections.past import Point
from ledger.projections.projector import ShardProjector, rare_collections
from ledger.projections.store import ProjectionStore
from rating.card import Meter, PriceRow, RateCard

EVENTS: Final = 400_000
ACCOUNTS: Final = 200  # beside the hot one
SHARDS: Final = 4
SPAN_US: Final = 60 * DAY_US
TICKET: Final = 4_000
ASKED: Final = 400
COMPARED: Final = 20
LATENESS_US: Final = (
    *[5 * SECOND_US] * 940,
    *[10 * MINUTE_US] * 50,
    *[6 * HOUR_US] * 9,
    20 * DAY_US,
)
"""At most so late comes each of a thousand events."""

CARD: Final = RateCard(
    name="default",
    asset="CREDIT",
    asset_scale=6,
    meters=(Meter(quantity="tokens"),),
    rows=(PriceRow(product="chat", quantity="tokens", price="0.000003"),),
)
CREDIT: Final = asset_number(TENANT_DEFAULT, 1)  # the first that is published
CHAT: Final = Shape("chat", (), ("tokens",))
SUM: Final = """
SELECT coalesce(sum(CASE WHEN phase = 2 AND credit_book = g.book THEN t.amount
                         WHEN phase = 2 THEN -t.amount END), 0)
FROM projection.grants g JOIN projection.transfers t
    ON t.shard = g.shard AND g.book IN (t.debit_book, t.credit_book)
WHERE g.account = $1 AND t.recorded_at <= $3 AND least(t.effective_at, t.recorded_at) <= $2
"""


class Clock:
    """This machine's clocks, moved ahead together."""

    def __init__(self) -> None:
        self.ahead_us = 0

    def now_us(self) -> int:
        """Since the epoch, UTC."""
        return time.time_ns() // 1_000 + self.ahead_us

    def monotonic_us(self) -> int:
        """Since some moment; never goes back."""
        return time.monotonic_ns() // 1_000 + self.ahead_us


async def record(dsn: str, events: int) -> tuple[Entry, int, int]:
    """Record the events; the hot account, and the recorded times between which they came."""
    clock, random = Clock(), Random(1)
    storage = await PostgresStorage.open(dsn, SHARDS)
    ledger = Ledger(storage, clock)
    try:
        ledger.start()
        await ledger.opened()
        await ledger.publish_asset(TENANT_DEFAULT, "CREDIT", 6, "credit")
        await ledger.publish_card(TENANT_DEFAULT, CARD)
        accounts = [await _account(ledger, f"account-{n}") for n in range(ACCOUNTS + 1)]
        began = clock.now_us()
        for first in range(0, events, TICKET):
            commands: dict[int, list[RecordUsage]] = {}
            for number in range(first, min(first + TICKET, events)):
                entry = accounts[0] if number % 2 else random.choice(accounts[1:])
                at = clock.now_us() - random.randrange(random.choice(LATENESS_US))
                key = ledger.family(entry).usage("bench", f"{number}")
                names = Names("bench", f"{number}")
                quantities = (1 + number % 500,)
                commands.setdefault(entry.shard, []).append(
                    RecordUsage(key, entry.number, CHAT, quantities, at, names)
                )
            for shard, batch in commands.items():
                ticket = await ledger.writers[shard].submit(batch)
                if not all(type(each) is UsageRecorded for each in ticket.outcomes):
                    raise RuntimeError("an event was not recorded")
            clock.ahead_us += SPAN_US * TICKET // events
        return accounts[0], began, clock.now_us()
    finally:
        await ledger.stop()
        await storage.close()


async def _account(ledger: Ledger, name: str) -> Entry:
    made = await ledger.create_account(TENANT_DEFAULT, name, None, f"make {name}", AccountPolicy())
    assert isinstance(made, tuple), made
    entry = made[0]
    grant = IssueGrant(
        ledger.family(entry).request(f"grant {name}"), entry.number, GrantKind.PROMOTIONAL,
        CREDIT, 10**15, 0, 0, 0,
        ledger.clock.now_us() - 30 * DAY_US, 0, (), b"",
    )  # fmt: skip
    ticket = await ledger.writers[entry.shard].submit([grant])
    assert type(ticket.outcomes[0]) is GrantIssued, ticket.outcomes
    return entry


async def project(dsn: str) -> tuple[int, int]:
    """Bring the read models to the tail; entries, and microseconds that it took."""
    store = await ProjectionStore.open(dsn, 0)
    await store.make_checkpoints(SHARDS)
    store.close()
    began_ns, entries = time.monotonic_ns(), 0
    with rare_collections():
        for shard in range(SHARDS):
            projector = ShardProjector(dsn, shard)
            while step := await projector.step():
                entries += step
            await projector.close()
    return entries, (time.monotonic_ns() - began_ns) // 1_000


async def ask(
    pool: Pool, entry: Entry, draw: Callable[[], Point]
) -> AsyncIterator[tuple[int, Point, int]]:
    """Microseconds, point and available units of each answer."""
    history = History(pool)
    for _ in range(ASKED):
        point = draw()
        began_ns = time.monotonic_ns()
        async with history.look(TENANT_DEFAULT, entry.shard, entry.number) as look:
            (past,) = await look.past([point])
        took_us = (time.monotonic_ns() - began_ns) // 1_000
        yield took_us, point, sum(grant.counters.available for grant in past.grants)


async def measure(dsn: str, events: int) -> None:
    """Record, project, ask, compare, print."""
    entry, began, ended = await record(dsn, events)
    entries, took_us = await project(dsn)
    print(f"projector.entries_per_s {entries * 1_000_000 // took_us}")
    pool = await open_pool(dsn, application_name="bench")
    random = Random(2)

    def any_time() -> int:
        return random.randrange(began, ended)

    def recent() -> Point:
        at = ended - random.randrange(MINUTE_US)
        return Point(at, at)

    def old() -> Point:
        at = any_time()
        return Point(at, at)

    kinds = {"recent": recent, "old": old, "old_as_known_now": lambda: Point(any_time(), ended)}
    try:
        for kind, draw in kinds.items():
            answers = [each async for each in ask(pool, entry, draw)]
            for _, point, available in answers[:COMPARED]:
                summed = await pool.fetchval(SUM, entry.number, *point)
                if summed != available:
                    raise RuntimeError(f"{point}: {available} where {summed} is due")
            took = sorted(each[0] for each in answers)
            print(f"time_machine.{kind}.p50_ms {took[len(took) // 2] / 1_000}")
            print(f"time_machine.{kind}.p99_ms {took[len(took) * 99 // 100] / 1_000}")
    finally:
        await pool.close()


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=EVENTS)
    events = parser.parse_args().events
    path = throwaway_root() / f"drawdown-bench-{secrets.token_hex(4)}"
    try:
        with EmbeddedPostgres(path, sync_initdb=False) as postgres:

            async def run() -> None:
                await migrate(postgres.dsn, shards=SHARDS)
                await measure(postgres.dsn, events)

            asyncio.run(run())
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(path)


if __name__ == "__main__":
    main()
