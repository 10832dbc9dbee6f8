"""The load generator against a real server: every event has an outcome, a rerun is a replay."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ledger.api.rendering.render_card import render_card
from ledger.api.server import LedgerServer
from ledger.client import DrawdownClient
from ledger.demo.load import LoadOptions, LoadRefused, LoadReport, describe_report, load
from ledger.demo.tally import percentile
from ledger.demo.workload import TRACES, load_requests, trace_event, uniform_events
from ledger.engine.ledger import Ledger
from ledger.journal.storage import MemoryStorage
from rating.data import price_map
from rating.llm_prices import import_price_map
from rating.v1 import pricing_pb2
from tests.api.served import SystemClock


@pytest.fixture
async def address() -> AsyncIterator[str]:
    storage = MemoryStorage(SystemClock().now_us, 4)
    ledger = Ledger(storage, SystemClock())
    ledger.start()
    await ledger.opened()
    server = LedgerServer(ledger)
    try:
        yield await server.start("127.0.0.1:0")
    finally:
        await server.stop(0)
        await ledger.stop()


@pytest.fixture
async def priced(address: str) -> str:
    card, _ = import_price_map(price_map(), "default", "USD", 9)
    async with DrawdownClient(address) as client:
        await client.create_asset("USD", 9, pricing_pb2.ASSET_KIND_MONEY)
        await client.publish_rate_card(render_card(card))
    return address


async def run(address: str, **options: Any) -> LoadReport:
    return await load(LoadOptions(address=address, **{"own_accounts": 7, **options}))


@pytest.mark.parametrize("how", [{}, {"plain": True}, {"stream": True}])
async def test_every_event_is_charged_and_a_rerun_charges_nothing_more(
    priced: str, how: dict[str, bool]
) -> None:
    options = {"workload": "mooncake", "events": 500, "batch": 60, "in_flight": 3, **how}
    first = await run(priced, **options)
    assert (first.events, first.batches, first.replayed) == (500, 9, 0)
    assert first.outcomes == {"APPLIED": 500}
    second = await run(priced, **options)
    assert (second.outcomes, second.replayed) == ({"APPLIED": 500}, 500)
    assert second.charges == first.charges
    other = await run(priced, run="other", **options)
    assert (other.replayed, other.charges) == (0, first.charges)


async def test_repeats_of_a_trace_are_new_events(priced: str) -> None:
    report = await run(priced, workload="azure-code", events=9_000)
    assert report.outcomes == {"APPLIED": 9_000}
    assert report.replayed == 0


async def test_the_uniform_load_and_its_progress(priced: str) -> None:
    seen: list[tuple[str, int, int]] = []
    options = LoadOptions(priced, workload="uniform", events=300, batch=100, own_accounts=3)
    report = await load(options, lambda *told: seen.append(told))
    assert report.outcomes == {"APPLIED": 300}
    assert seen[-1] == ("loading uniform", 300, 300)
    assert ("opening accounts", 3, 3) in seen
    assert "300 events" in describe_report(report)
    assert "APPLIED 300" in describe_report(report)


async def test_accounts_that_do_not_exist_are_told_of(priced: str) -> None:
    report = await run(priced, events=5, accounts=("nobody",))
    assert report.outcomes == {"ACCOUNT_UNKNOWN": 5}
    assert report.example in describe_report(report) != ""


async def test_paced_events_take_their_time(priced: str) -> None:
    started = asyncio.get_running_loop().time()
    report = await run(priced, workload="azure-conversation", events=40, seconds=1, batch=5)
    took_s = asyncio.get_running_loop().time() - started
    assert report.outcomes == {"APPLIED": 40}
    assert took_s > 0.7


async def test_without_prices_it_says_what_to_do(address: str) -> None:
    with pytest.raises(LoadRefused, match="import-prices"):
        await run(address)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"workload": "nothing"}, "nothing"),
        ({"batch": 0}, "batch"),
        ({"batch": 8_193}, "batch"),
        ({"in_flight": 0}, "in_flight"),
        ({"events": -1}, "events"),
        ({"seconds": -1}, "seconds"),
        ({"run": ""}, "run"),
        ({"run": "x" * 65}, "run"),
    ],
)
def test_options_that_cannot_work_are_named(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        LoadOptions(**options)


def test_ids_follow_from_run_trace_repeat_and_row() -> None:
    trace = TRACES["mooncake"]
    [request, *_] = load_requests(trace, 1)
    made = [
        trace_event(trace, request, "a", run, row, repeat=repeat).id
        for run in ("r", "s")
        for row in (0, 1)
        for repeat in (0, 1)
    ]
    assert len(set(made)) == 8
    assert trace_event(trace, request, "a", "r", 0) == trace_event(trace, request, "a", "r", 0)
    assert list(uniform_events(("a",), "r", 9)) == list(uniform_events(("a",), "r", 9))


def test_every_request_of_the_traces_has_a_model_of_its_rule() -> None:
    for trace in TRACES.values():
        models = {trace.model(request) for request in load_requests(trace)}
        assert models == set(trace.models)


def test_percentiles_are_of_the_nearest_rank() -> None:
    assert [percentile(range(1, 101), p) for p in (50, 99, 100)] == [50, 99, 100]
    assert percentile([7], 50) == percentile([7], 99) == 7
    assert percentile([], 50) == 0
