"""Prices, grants and limits tried on what happened, over gRPC (row C8): a real server, real books,
real processes beside it."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import grpc
import pytest

from ledger.backtest.simulator import Simulator
from ledger.client import DrawdownClient, Refused
from ledger.journal.storage import PostgresStorage
from ledger.projections.as_of import History
from ledger.v1 import decision_pb2
from rating.v1 import card_pb2
from rating.v1 import simulation_pb2 as pb
from tests.api import served as api
from tests.api.served import TENANT, Served, card, event, refusal_of, refused
from tests.patience import HANGS_S

SHARDS = 4
DEAR = [
    card_pb2.PriceRow(product="chat", quantity="input_tokens", price="0.000006"),
    card_pb2.PriceRow(product="chat", quantity="output_tokens", price="0.00003"),
    card_pb2.PriceRow(product="chat", quantity="cached_tokens", price="0.000002"),
]


@pytest.fixture
async def books(database: str) -> AsyncIterator[Served]:
    """acme has 1,000 and worked for 600 in a hold; beta 5,000, of which usage took 600."""
    storage = await PostgresStorage.open(database, SHARDS)
    try:
        async with api.served(
            storage, history=History(storage.pool), simulator=Simulator(database, SHARDS)
        ) as caller:
            await caller.priced()
            await caller.account("acme")
            await caller.account("beta")
            await caller.grant("acme", 1_000)
            await caller.grant("beta", 5_000)
            held = await caller.authorize("acme")
            await caller.decisions.Capture(
                decision_pb2.CaptureRequest(
                    tenant=TENANT,
                    request_id="capture",
                    hold_id=held.hold_id,
                    quantities={"input_tokens": 100, "output_tokens": 20},
                )
            )
            await caller.ingest(event("e1", "beta"))
            yield caller
    finally:
        await storage.close()


def asking(**changes: object) -> pb.SimulateRequest:
    return pb.SimulateRequest(tenant=TENANT, **changes)  # type: ignore[arg-type]


async def told(caller: Served, **changes: object) -> tuple[list[int], pb.SimulationReport]:
    """The shards of which something was said, and what was found."""
    shards: list[int] = []
    async with asyncio.timeout(HANGS_S):
        messages = [each async for each in caller.pricing.Simulate(asking(**changes))]
    *progress, last = messages
    for each in progress:
        assert each.HasField("progress")
        assert each.progress.entries_done <= each.progress.entries
        shards.append(each.progress.shard)
    assert last.HasField("report")
    return shards, last.report


async def ended(caller: Served, request: pb.SimulateRequest) -> api.Refused:
    """The status that a simulation ends with, of which nothing was found."""

    async def messages() -> list[pb.SimulateResponse]:
        found = [each async for each in caller.pricing.Simulate(request)]
        assert not any(each.HasField("report") for each in found)
        return found

    return await refusal_of(messages())


async def test_the_cards_as_they_were_published_give_the_ledger(books: Served) -> None:
    """Progress of shards first, the report last; nothing differs."""
    shards, report = await told(books)
    assert shards
    assert set(shards) <= set(range(SHARDS))
    assert report.reproduces_the_ledger
    assert (report.usage_events, report.rate_card, report.version) == (2, "", 0)
    (burn,) = report.burn
    assert (burn.product, burn.asset, burn.scale, burn.old) == ("chat", "credit", 6, "1200")
    _, again = await told(books, name="default", version=2)
    assert again.reproduces_the_ledger
    assert (again.rate_card, again.version, len(again.content_hash)) == ("default", 2, 32)


async def test_a_candidate_and_terms_say_who_is_denied_and_whose_bill_rises(books: Served) -> None:
    """By hand: twice the price, so that acme's 1,200 are more than its 1,000 and beta pays 600
    more; 200 credits for acme let it in again."""
    _, report = await told(books, card=card(rows=DEAR))
    assert not report.reproduces_the_ledger
    assert [(each.account, each.old, each.new) for each in report.bills] == [
        ("beta", "600", "1200"),
        ("acme", "600", "0"),
    ]
    (denials,) = report.denials
    assert (denials.account, denials.now_denied) == ("acme", 1)
    assert (denials.charge, denials.captured) == ("1200", "600")
    assert denials.first_denied_at_us > 0
    assert (report.now_denied, report.captures_not_run) == (1, 1)
    terms = {"grants": [{"account": "acme", "asset": "credit", "amount": 200}]}
    _, report = await told(books, card=card(rows=DEAR), terms=json.dumps(terms))
    assert (report.now_denied, report.grants_issued) == (0, 1)
    assert sorted((each.account, each.new) for each in report.bills) == [
        ("acme", "1200"),
        ("beta", "1200"),
    ]


async def test_a_client_is_told_and_given_the_report(books: Served) -> None:
    seen: list[pb.SimulationProgress] = []
    async with DrawdownClient(books.address) as client:
        report = await client.simulate(
            terms={"scale": [{"asset": "credit", "by": "1/2"}]}, progress=seen.append
        )
        assert (report.now_denied, report.grants_scaled) == (1, 2)
        assert seen
        with pytest.raises(Refused, match="TERMS_INVALID") as error:
            await client.simulate(terms={"grants": [{}], "scales": []})
        assert error.value.field == "terms.scales"
        assert [field for field, _ in error.value.violations] == [
            "terms.scales",
            "terms.grants[0].asset",
            "terms.grants[0].amount",
        ]


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"card": card(), "version": 2}, "FIELD_NOT_ALLOWED", "card"),
        ({"name": "default"}, "FIELD_REQUIRED", "version"),
        ({"version": 2}, "FIELD_REQUIRED", "name"),
        ({"name": "default", "version": 9}, "RATE_CARD_UNKNOWN", "version"),
        ({"card": card(name="other")}, "RATE_CARD_UNKNOWN", "card.name"),
        ({"card": card(asset_scale=5)}, "RATE_CARD_INVALID", "card.asset_scale"),
        ({"card": card(cost_card="nowhere")}, "RATE_CARD_INVALID", "card.cost_card"),
        ({"from_us": 5, "to_us": 5}, "RANGE_INVALID", "to_us"),
        ({"from_us": -1}, "NUMBER_OUT_OF_RANGE", "from_us"),
        ({"accounts_max": 10_001}, "NUMBER_OUT_OF_RANGE", "accounts_max"),
        ({"terms": "[3"}, "TERMS_INVALID", "terms"),
        ({"terms": '{"policies": [{"account": "gamma", "excess": "owe"}]}'}, "TERMS_INVALID",
         "terms.policies[0].account"),
        ({"terms": " " * ((1 << 20) + 1)}, "TEXT_TOO_LONG", "terms"),
        ({"tenant": "nobody"}, "TENANT_UNKNOWN", "tenant"),
    ],
    ids=str,
)  # fmt: skip
async def test_what_cannot_be_tried_is_refused(
    books: Served, changes: dict[str, object], reason: str, field: str
) -> None:
    """Each with its field, before anything is started."""
    request = pb.SimulateRequest(**{"tenant": TENANT, **changes})  # type: ignore[arg-type]
    found = await ended(books, request)
    assert (found.reason, found.metadata["field"]) == (reason, field)


async def test_a_server_in_memory_has_nothing_to_replay(priced: Served) -> None:
    found = await ended(priced, asking())
    assert found.reason == "SIMULATION_ABSENT"


@asynccontextmanager
async def journal_locked(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """Nobody reads the journal meanwhile: what is to read it waits."""
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE ledger.journal IN ACCESS EXCLUSIVE MODE")
            yield connection
    finally:
        await connection.close()


def workers() -> list[int]:
    """Processes of ours that replay, by their ids."""
    found = []
    for each in Path("/proc").iterdir():
        if each.name.isdecimal():
            try:
                parent = int((each / "stat").read_text().rpartition(")")[2].split()[1])
                command = (each / "cmdline").read_bytes()
            except OSError:
                continue  # it has ended
            if parent == os.getpid() and b"ledger.backtest.worker" in command:
                found.append(int(each.name))
    return found


async def until(condition: Callable[[], object]) -> None:
    """Processes come and go without telling us."""
    async with asyncio.timeout(HANGS_S):
        while not condition():
            await asyncio.sleep(0.01)


async def test_one_at_a_time_and_it_ends_with_its_caller(books: Served, database: str) -> None:
    """The second is told to wait; when the first goes away its processes do, and another may."""
    async with journal_locked(database):
        first = books.pricing.Simulate(asking())
        reading = asyncio.create_task(first.read())
        await until(workers)
        niced = [os.getpriority(os.PRIO_PROCESS, each) for each in workers()]
        found = await ended(books, asking())
        assert (found.code, found.reason) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "SIMULATION_RUNNING",
        )
        assert found.metadata["retryable"] == "true"
        first.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await until(lambda: not workers())
    own = os.nice(0)
    assert set(niced) <= {own, min(own + 10, 19)}  # as we are: it has not begun
    _, report = await told(books)
    assert report.reproduces_the_ledger


async def test_a_server_that_stops_ends_it(books: Served, database: str) -> None:
    """At once: it has no end of its own."""
    async with journal_locked(database):
        call = books.pricing.Simulate(asking())
        reading = asyncio.create_task(call.read())
        await until(workers)
        async with asyncio.timeout(HANGS_S):
            await books.server.stop(HANGS_S)
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await reading
        assert refused(error.value).reason == "SHUTTING_DOWN"
        assert not workers()


async def test_a_damaged_journal_is_said(books: Served, database: str) -> None:
    """Half of an answer is none."""
    connection = await asyncpg.connect(database)
    try:
        await connection.execute("ALTER TABLE ledger.journal DISABLE TRIGGER USER")
        await connection.execute("UPDATE ledger.journal SET payload = 'x' WHERE batch_seq > 1")
    finally:
        await connection.close()
    found = await ended(books, asking())
    assert found.reason == "SIMULATION_FAILED"
    assert "damaged" in found.message
