"""The examples in docs/examples run as they stand, against a ledger over real gRPC.

A token in costs 3 minor units, one out 15. Each ends with no hold open, whatever became of it.
"""

from __future__ import annotations

import asyncio
import importlib.util
import socket
from collections.abc import AsyncIterator, Iterator
from types import ModuleType
from typing import Any

import httpx
import pytest
import uvicorn

from ledger.journal.storage import MemoryStorage
from ledger.v1 import decision_pb2
from tests.api import served as api
from tests.docs.examples import ROOT
from tests.gateway.upstream import Upstream
from tests.patience import HANGS_S

GRANTED = 1_000_000


def example(name: str) -> ModuleType:
    """The module of a file in docs/examples."""
    path = ROOT / "docs" / "examples" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Running:
    """An example that serves, and the ledger behind it."""

    def __init__(self, served: api.Served, client: httpx.AsyncClient) -> None:
        self.served = served
        self.client = client

    async def settled(self, account: str = "acme") -> list[decision_pb2.Hold]:
        """The holds, once none is open."""

        async def holds(which: int) -> list[decision_pb2.Hold]:
            request = decision_pb2.ListHoldsRequest(tenant="default", account=account, filter=which)
            return list((await self.served.decisions.ListHolds(request)).holds)

        async with asyncio.timeout(HANGS_S):
            while await holds(decision_pb2.HOLD_FILTER_OPEN):
                await asyncio.sleep(0.01)
        return await holds(decision_pb2.HOLD_FILTER_SETTLED)

    async def spent(self) -> int:
        return GRANTED - int((await self.served.balance("acme")).available)


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    made = Upstream()
    yield made
    made.close()


@pytest.fixture
async def running(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, upstream: Upstream
) -> AsyncIterator[Running]:
    storage = MemoryStorage(api.SystemClock().now_us, 4)
    async with api.served(storage) as served:
        await served.priced()
        await served.account("acme")
        await served.grant("acme", GRANTED)
        monkeypatch.setenv("LEDGER", served.address)
        monkeypatch.setenv("UPSTREAM", f"http://127.0.0.1:{upstream.port}")
        listening = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(example(request.param).app, loop="none", log_config=None)
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve([listening]))
        port = listening.getsockname()[1]
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", timeout=HANGS_S
        ) as client:
            while not server.started:
                await asyncio.sleep(0.01)
            yield Running(served, client)
        server.should_exit = True
        await task


fastapi = pytest.mark.parametrize("running", ["fastapi_middleware"], indirect=True)
proxy = pytest.mark.parametrize("running", ["streaming_proxy"], indirect=True)
ACME = {"x-account": "acme"}


@fastapi
async def test_fastapi_is_charged_what_a_handler_says(running: Running) -> None:
    reply = await running.client.get("/v1/answer", headers=ACME)
    assert reply.json() == {"answer": "42"}
    await running.settled()
    assert await running.spent() == 100 * 3 + 20 * 15


@fastapi
async def test_fastapi_denies_before_a_handler_runs(running: Running) -> None:
    await running.served.account("poor")
    reply = await running.client.get("/v1/answer", headers={"x-account": "poor"})
    assert reply.status_code == 402
    assert reply.json()["error"]["code"] == "INSUFFICIENT_CREDITS"
    assert (await running.client.get("/v1/answer")).status_code == 401


@fastapi
async def test_fastapi_gives_back_what_a_failing_handler_did_not_use(running: Running) -> None:
    assert (await running.client.get("/v1/failing", headers=ACME)).status_code == 500
    [hold] = await running.settled()
    assert hold.captured == 0
    assert await running.spent() == 0


@fastapi
async def test_fastapi_charges_a_client_that_leaves_for_what_it_got(running: Running) -> None:
    async with running.client.stream("GET", "/v1/stream", headers=ACME) as reply:
        async for _ in reply.aiter_lines():
            break
    await running.settled()
    tokens, rest = divmod(await running.spent() - 100 * 3, 15)
    assert rest == 0
    assert 1 <= tokens < 50


def asked(**more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": "hello"}], **more}


async def ask(running: Running, body: dict[str, Any], **headers: str) -> httpx.Response:
    return await running.client.post("/v1/chat/completions", json=body, headers=ACME | headers)


@pytest.fixture
def told(upstream: Upstream) -> dict[str, str]:
    """What the upstream does, whatever it is asked."""
    return upstream.told


@proxy
@pytest.mark.parametrize("answer", ["json", "stream"])
async def test_the_proxy_settles_by_the_usage_of_the_answer(
    running: Running, told: dict[str, str], answer: str
) -> None:
    told.update({"x-answer": answer, "x-say-input": "100", "x-say-output": "20"})
    reply = await ask(running, asked(stream=answer == "stream"))
    assert reply.status_code == 200
    [hold] = await running.settled()
    assert hold.attributes == {"model": "m"}
    assert await running.spent() == 100 * 3 + 20 * 15


@proxy
async def test_the_proxy_denies_what_cannot_be_paid(
    running: Running, told: dict[str, str], upstream: Upstream
) -> None:
    await running.served.account("poor")
    await running.served.grant("poor", 16 * 15)
    reply = await ask(running, asked(), **{"x-account": "poor"})
    assert reply.status_code == 402
    assert upstream.asked == []


@proxy
async def test_the_proxy_asks_for_as_many_tokens_as_can_be_paid(
    running: Running, told: dict[str, str], upstream: Upstream
) -> None:
    """About ten tokens in are 3 each; what is left of 1,000,000 pays some 66,660 out at 15."""
    await ask(running, asked(max_tokens=GRANTED))
    [body] = upstream.bodies
    assert 66_000 < body["max_tokens"] < GRANTED // 15
    await running.settled()


@proxy
async def test_the_proxy_gives_back_what_a_failing_upstream_did_not_use(
    running: Running, told: dict[str, str]
) -> None:
    told["x-answer"] = "error"
    assert (await ask(running, asked())).status_code == 503
    await running.settled()
    assert await running.spent() == 0


@proxy
async def test_the_proxy_gives_back_all_where_there_is_no_upstream(
    running: Running, told: dict[str, str], upstream: Upstream
) -> None:
    await asyncio.to_thread(upstream.close)
    assert (await ask(running, asked())).status_code == 500
    await running.settled()
    assert await running.spent() == 0


@proxy
async def test_the_proxy_charges_a_client_that_leaves_for_what_it_got(
    running: Running, told: dict[str, str]
) -> None:
    told["x-answer"] = "endless"
    body = asked(stream=True)
    path = "/v1/chat/completions"
    async with running.client.stream("POST", path, json=body, headers=ACME) as reply:
        async for line in reply.aiter_lines():
            if line:
                break
    [hold] = await running.settled()
    assert hold.captured > 0
