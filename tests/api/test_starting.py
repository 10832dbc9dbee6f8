"""What a server answers before a shard of its own is open, or without one: the same as the others.

Nothing applies to it what is published: what it says of that it has to read itself.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from ledger.api.server import LedgerServer
from ledger.core.limits import DAY_US
from ledger.engine.ledger import Ledger, Storage
from ledger.journal.leases import Identity
from ledger.journal.storage import MemoryStorage, PostgresStorage
from ledger.projections.as_of import History
from ledger.v1 import account_pb2, balance_pb2, charge_pb2, clock_pb2, report_pb2, statement_pb2
from ledger.v1.statement_pb2_grpc import StatementServiceStub
from rating.v1 import pricing_pb2
from tests.api.served import Served, SystemClock, event, served
from tests.api.test_charges import start
from tests.api.test_clock import SANDBOX, advance
from tests.patience import HANGS_S
from tests.projections.projecting import project


@asynccontextmanager
async def starting(
    storage: Storage, *, alone: bool = False, **options: Any
) -> AsyncIterator[Served]:
    """A server that listens, and has opened nothing; `alone`: its shards are its own already."""
    identity = None if alone else Identity("next", "")
    ledger = Ledger(storage, SystemClock(), identity=identity)
    server = LedgerServer(ledger, **options)
    address = await server.listen("127.0.0.1:0")
    try:
        async with grpc.aio.insecure_channel(address) as channel:
            yield Served(server, ledger, channel, address=address)
    finally:
        await server.stop(0)


@pytest.mark.parametrize("alone", [True, False])
async def test_its_clock_of_a_sandbox_is_where_it_was_moved_to(alone: bool) -> None:
    """A server whose shards are being opened has them, and knows nothing by that (rule T4)."""
    storage = MemoryStorage(SystemClock().now_us, 1)

    async def move(caller: Served) -> None:
        await caller.clock.Advance(
            clock_pb2.AdvanceRequest(tenant=SANDBOX, request_id=caller.new_id(), by_us=DAY_US)
        )

    async def offset(caller: Served) -> int:
        asked = clock_pb2.ClockServiceGetRequest(tenant=SANDBOX)
        return (await caller.clock.Get(asked)).offset_us

    async with served(storage) as first, starting(storage, alone=alone) as second:
        await move(first)
        assert await offset(second) == await offset(first) >= DAY_US
        await move(first)
        assert await offset(second) == await offset(first) >= 2 * DAY_US


# -- read models -----------------------------------------------------------------------------------


Read = Callable[[Served], Awaitable[Any]]


def reads(then: int) -> dict[str, Read]:
    """What read models are asked; `then`: an instant that they know all of."""
    of = {"tenant": SANDBOX, "account": "acme"}
    after = balance_pb2.BalanceInstant(effective_at_us=then, known_at_us=then)
    past = balance_pb2.BalanceServiceGetRequest(**of, effective_at_us=then)
    rolled = statement_pb2.RollUpRequest(**of, effective_at_us=then)
    operation = report_pb2.GetOperationRequest(**of, operation="answer")
    return {
        "margin": lambda caller: caller.reports.GetMargin(
            report_pb2.GetMarginRequest(tenant=SANDBOX)
        ),
        "overage": lambda caller: caller.reports.GetOverage(report_pb2.GetOverageRequest(**of)),
        "operation": lambda caller: caller.reports.GetOperation(operation),
        "balance": lambda caller: caller.balances.Get(past),
        "changes": lambda caller: caller.balances.ListChanges(
            balance_pb2.ListChangesRequest(**of, after=after)
        ),
        "fees": lambda caller: caller.charges.ListFees(charge_pb2.ListFeesRequest(**of)),
        "roll_up": lambda caller: StatementServiceStub(caller.channel).RollUp(rolled),
        "statement": lambda caller: StatementServiceStub(caller.channel).Get(
            statement_pb2.StatementServiceGetRequest(**of)
        ),
    }


def assets_of(message: Any) -> set[str]:
    """The codes that an answer names."""
    return set(re.findall(r'asset: "(.*)"', str(message)))


async def test_it_shows_what_read_models_say_in_every_asset(database: str) -> None:
    """An asset that is defined later is known, too."""
    storage = await PostgresStorage.open(database, 4)
    try:
        history = History(storage.pool)
        async with (
            served(storage, history=history) as first,
            starting(storage, history=history) as second,
        ):
            first.tenant = SANDBOX
            await first.priced()
            assert not (
                await second.reports.GetMargin(report_pb2.GetMarginRequest(tenant=SANDBOX))
            ).rows
            await first.asset("USD", 2, pricing_pb2.ASSET_KIND_MONEY)
            await first.account("acme", overage=account_pb2.OVERAGE_SELF)
            await first.grant("acme", 1_000)
            settings = statement_pb2.StatementSettings(
                form=statement_pb2.STATEMENT_FORM_CONSOLIDATED
            )
            await StatementServiceStub(first.channel).Set(
                statement_pb2.StatementServiceSetRequest(
                    tenant=SANDBOX, request_id="s", account="acme", settings=settings
                )
            )
            await first.ingest(event("a", "acme", operation="answer"))
            await first.ingest(event("b", "acme", operation="answer"))
            await start(first)
            await advance(first, by_us=60 * DAY_US)
            async with asyncio.timeout(HANGS_S):
                while True:
                    await project(database)
                    shown = await StatementServiceStub(first.channel).List(
                        statement_pb2.StatementServiceListRequest(tenant=SANDBOX, account="acme")
                    )
                    states = {each.state for each in shown.statements}
                    if states == {statement_pb2.STATEMENT_STATE_CLOSED}:
                        break
            await project(database)
            named = set[str]()
            for name, read in reads(first.ledger.sandboxes.now_us(2) - DAY_US).items():
                expected = await read(first)
                assert assets_of(expected), name
                named |= assets_of(expected)
                assert await read(second) == expected, name
            assert named == {"credit", "USD"}
    finally:
        await storage.close()
