"""Each message to PostgreSQL lost in turn: the first, the second, the third … until none is left.

Owns a proxy that counts what is sent over all connections and cuts one of them at the n-th message,
and a small fixed piece of work that is done anew for each n. The real ledger and its gRPC front run
in this process, so that a round takes a fraction of a second. Where opening fails it is done again,
as whoever supervises a server does.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from multiprocessing import get_context
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import grpc
from google.protobuf.message import Message

from ledger.api.server import LedgerServer
from ledger.engine.lease import Terms
from ledger.engine.ledger import Ledger
from ledger.engine.upkeep import Upkeep
from ledger.journal.embedded import EmbeddedPostgres
from ledger.journal.embedded_host import throwaway_root
from ledger.journal.errors import JournalUnavailable
from ledger.journal.leases import Identity
from ledger.journal.migrate import migrate
from ledger.journal.storage import PostgresStorage
from ledger.v1 import account_pb2, balance_pb2, grant_pb2, types_pb2, usage_pb2
from ledger.verify import verify
from rating.v1 import pricing_pb2
from tests.api.served import TENANT, Served, SystemClock, card, event, plain, refused
from tests.crash.workload import AGAIN, RECORDED
from tests.faults.migrating import new_database, schema_of
from tests.journal.proxy import Cut, CuttingProxy
from tests.patience import HANGS_S

CUTS: Final = (Cut.BEFORE_SERVER, Cut.AFTER_SERVER)
SHARDS: Final = 4
TERM_US: Final = 600_000
UPKEEP: Final = Upkeep(checkpoint_entries=4)  # a checkpoint is a part of each round
BATCHES: Final = 3
GRANTED: Final = 1_000_000_000
PRICE: Final = 100 * 3 + 20 * 15  # of one event of `served.event`
PAUSE_S: Final = 0.01
AGAIN_CODES: Final = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNKNOWN}
ASSET: Final = pricing_pb2.CreateAssetRequest(
    tenant=TENANT,
    request_id="asset",
    asset=pricing_pb2.Asset(asset="credit", scale=6, kind=pricing_pb2.ASSET_KIND_CREDIT),
)

CARD: Final = pricing_pb2.PublishRateCardRequest(tenant=TENANT, request_id="card", card=card())


class CountingProxy(CuttingProxy):
    """Which message from now on is the last of its connection, on whichever that comes."""

    def __init__(self, upstream: str) -> None:
        super().__init__(upstream)
        self._left = 0

    def lose(self, cut: Cut, number: int) -> None:
        self.arm(cut, marker=b"")
        self._left = number

    def disarm(self) -> bool:
        """Whether the message was reached; no later one is lost."""
        reached, self._armed = self._armed is None, None
        return reached

    def _strikes(self, data: bytes, opening: bytes) -> bool:
        if not super()._strikes(data, opening):
            return False
        self._left -= 1
        return self._left == 0


def lose_all(say: Callable[[str], None], every: int = 1) -> int:
    """Each message of a ledger's work and of a migration, before and after PostgreSQL has it.

    Or every n-th. In a process and on a PostgreSQL for each cut. How many were lost; raises where
    something does not hold.
    """
    total = 0
    with ProcessPoolExecutor(len(CUTS), get_context("spawn")) as pool:
        for cut, (served, migrating) in zip(
            CUTS, pool.map(_lose_all, CUTS, [every] * len(CUTS)), strict=True
        ):
            say(f"{cut.value}: {served} messages of a server, {migrating} of a migration")
            total += served + migrating
    return total


def _lose_all(cut: Cut, every: int) -> tuple[int, int]:
    root = throwaway_root() / f"drawdown-every-io-{secrets.token_hex(4)}"
    logging.getLogger("ledger").setLevel(logging.CRITICAL)  # it warns of each loss
    try:
        with EmbeddedPostgres(root, sync_initdb=False) as postgres:
            return asyncio.run(_lose_all_on(postgres.dsn, cut, every))
    finally:
        shutil.rmtree(root, ignore_errors=True)


async def _lose_all_on(dsn: str, cut: Cut, every: int) -> tuple[int, int]:
    await migrate(dsn, SHARDS)
    served = await lose_each(dsn, cut, every=every)
    report = await verify(dsn)
    assert report.ok, report.findings
    return served, await lose_each_of_migrate(dsn, cut, every=every)


async def lose_each_of_migrate(dsn: str, cut: Cut, first: int = 1, every: int = 1) -> int:
    """The same of the making of a database: each time what comes of it is as that of `dsn`."""
    whole = await schema_of(dsn)
    lost = 0
    async with _proxied(dsn) as (proxy, through):
        while True:
            async with new_database(dsn) as made:
                proxy.lose(cut, first + every * lost)
                await _migrated(urlsplit(through)._replace(path=urlsplit(made).path).geturl())
                reached = proxy.disarm()
                assert await schema_of(made) == whole, first + every * lost
            if not reached:
                return lost
            lost += 1


async def _migrated(dsn: str) -> None:
    async with asyncio.timeout(HANGS_S):
        while True:
            with contextlib.suppress(JournalUnavailable):
                await migrate(dsn, SHARDS)
                return
            await asyncio.sleep(PAUSE_S)


@asynccontextmanager
async def _proxied(dsn: str) -> AsyncIterator[tuple[CountingProxy, str]]:
    """A proxy before that PostgreSQL, and the DSN by it."""
    parts = urlsplit(dsn)
    query = parse_qs(parts.query)
    async with CountingProxy(f"{query['host'][0]}/.s.PGSQL.{query['port'][0]}") as proxy:
        # The socket trusts, TCP would not: the proxy turns one into the other.
        yield proxy, f"postgresql://{parts.username}@127.0.0.1:{proxy.port}{parts.path}"


async def lose_each(dsn: str, cut: Cut, first: int = 1, every: int = 1) -> int:
    """Lose message `first`, `first + every` … until there is none; how many were lost."""
    lost = 0
    async with _proxied(dsn) as (proxy, through):
        while True:
            family = f"{cut.name.lower()}-{first + every * lost}"
            proxy.lose(cut, first + every * lost)
            await _round(through, family)
            if not proxy.disarm():
                return lost
            lost += 1


async def _round(dsn: str, family: str) -> None:
    """Open, do the work of a family of its own, and close."""
    async with asyncio.timeout(HANGS_S):
        while True:
            async with contextlib.AsyncExitStack() as stack:
                try:
                    served = await stack.enter_async_context(_serving(dsn))
                except JournalUnavailable:
                    continue  # it ended cleanly, and is started again
                await _work(served, family)
                return


async def _work(served: Served, family: str) -> None:
    """Every call is repeated, as it is, until it is answered; then each event counts once."""
    await _patiently(served.pricing.CreateAsset, ASSET)
    await _patiently(served.pricing.PublishRateCard, CARD)
    account = account_pb2.AccountServiceCreateRequest(
        tenant=TENANT, request_id=f"open {family}", account=family
    )
    await _patiently(served.accounts.Create, account)
    grant = grant_pb2.GrantServiceIssueRequest(
        tenant=TENANT,
        request_id=f"grant {family}",
        account=family,
        asset="credit",
        amount=GRANTED,
        kind=types_pb2.GRANT_KIND_PREPAID,
    )
    await _patiently(served.grants.Issue, grant)
    for number in range(BATCHES):
        await _ingest(served, plain(event(f"{number}", family), source=family))
    balance = balance_pb2.BalanceServiceGetRequest(tenant=TENANT, account=family)
    found = await _patiently(served.balances.Get, balance)
    used = GRANTED - int(found.balances[0].available)
    assert used == BATCHES * PRICE, f"{family}: {BATCHES} events came to {used}"


async def _ingest(served: Served, batch: usage_pb2.IngestRequest) -> None:
    while True:
        reply = await _patiently(served.usage.Ingest, batch)
        outcomes = {result.outcome for result in reply.results}
        assert outcomes <= RECORDED | AGAIN, reply
        if outcomes <= RECORDED:
            return
        await asyncio.sleep(PAUSE_S)


async def _patiently(call: Callable[[Any], Awaitable[Any]], request: Message) -> Any:
    """The answer, however often it takes; a status that says anything else is raised."""
    while True:
        try:
            return await call(request)
        except grpc.aio.AioRpcError as error:
            if refused(error).code not in AGAIN_CODES:
                raise
        await asyncio.sleep(PAUSE_S)


@asynccontextmanager
async def _serving(dsn: str) -> AsyncIterator[Served]:
    """A ledger that shares its shards by leases, as `drawdown serve` does. JournalUnavailable."""
    storage = await PostgresStorage.open(dsn, SHARDS)
    try:
        ledger = Ledger(
            storage,
            SystemClock(),
            identity=Identity(secrets.token_hex(8), ""),
            terms=Terms(TERM_US),
            upkeep=UPKEEP,
        )
        front = LedgerServer(ledger)
        address = await front.listen("127.0.0.1:0")
        try:
            ledger.start(address)
            await ledger.opened()
            await front.serve()
            async with grpc.aio.insecure_channel(address) as channel:
                yield Served(front, ledger, channel)
        finally:
            await front.stop(0)
            await ledger.stop()
    finally:
        await storage.close()
