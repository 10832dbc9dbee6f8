"""Gateways of a ledger that asks who calls: each proves itself, and reaches its accounts only.

The gateway's token decides what it may do, whatever its clients are.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import grpc
import httpx
import pytest
from prometheus_client import CollectorRegistry

from ledger.client.guarded import OpenBounds
from ledger.gateway.authorization import key_of
from ledger.gateway.envoy import rate_limit_pb2
from ledger.gateway.http import PROOF, HttpGateway
from ledger.gateway.let_in import LetIn
from ledger.gateway.open_spool import OpenSpool
from ledger.journal.storage import MemoryStorage
from ledger.telemetry.side_port import Heart, SidePort
from rating.v1 import meter_pb2
from tests.api.proven import Proven, proven
from tests.api.served import SystemClock
from tests.gateway.test_asking import ROUTE, Asking, body_of, descriptor
from tests.gateway.test_http import METERS, event
from tests.gateway.test_http import ROUTE as QUERY
from tests.patience import HANGS_S

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Sends = Callable[..., Awaitable[Connection]]
GRANTED = 1_000_000
ALLOWED, UNKNOWN, OK = 0, 0, 1


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Proven]:
    """Two tenants with a priced `acme` each, and an account `other` in the first."""
    storage = MemoryStorage(SystemClock().now_us, 4)
    async with proven(storage, tmp_path / "jwks.json") as asks:
        for tenant in ("default", "sandbox"):
            operator = asks.caller(tenant="*")
            operator.tenant = tenant
            await operator.priced()
            for account in ("acme", "other"):
                await operator.account(account)
                await operator.grant(account, GRANTED)
            await operator.meters.PublishMeters(
                meter_pb2.PublishMetersRequest(
                    tenant=tenant, request_id="m", meters=meter_pb2.MeterSet(rules=METERS)
                )
            )
        yield asks


def envoy(ledger: Proven, **claims: object) -> Asking:
    """An Envoy whose `initial_metadata` bears such a token; none = it bears nothing."""
    bearer = ledger.caller(**claims) if claims else ledger.bearing("")
    return Asking(bearer, asyncio.Event(), [])


async def test_an_envoy_that_proves_nothing_is_not_answered(ledger: Proven) -> None:
    """It is a failure of the call: closed, unless Envoy is told otherwise."""
    asking = envoy(ledger)
    for call in (
        asking.authorization.Check(asking.request()),
        asking.limits.ShouldRateLimit(rate_limit_pb2.RateLimitRequest()),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await call
        assert failed.value.code() == grpc.StatusCode.UNAUTHENTICATED


async def test_an_envoy_holds_and_settles_for_the_accounts_of_its_token(ledger: Proven) -> None:
    asking = envoy(ledger, scope="decide", tenant="default", accounts=["acme"])
    hold = await asking.hold()
    code, outcome, _ = await asking.settled(hold, 10)
    assert (code, outcome) == (OK, "CAPTURED")
    other = await asking.check(asking.request(x_account="other"))
    assert body_of(other)[0] == 403
    foreign = await asking.check(asking.request(route=ROUTE | {"tenant": "sandbox"}))
    assert body_of(foreign)[0] == 403


async def test_an_envoy_settles_no_hold_of_others(ledger: Proven) -> None:
    whole = envoy(ledger, scope="decide", tenant="default")
    hold = await whole.hold(x_account="other")
    narrow = envoy(ledger, scope="decide", tenant="default", accounts=["acme"])
    reply = await narrow.settle(descriptor(10, hold_id=hold))
    assert [status.code for status in reply.statuses] == [UNKNOWN]
    code, outcome, _ = await whole.settled(hold, 10)
    assert (code, outcome) == (OK, "CAPTURED")


async def test_an_envoy_without_the_scope_lets_nothing_through(ledger: Proven) -> None:
    asking = envoy(ledger, scope="read ingest", tenant="default")
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await asking.check(asking.request())
    assert failed.value.code() == grpc.StatusCode.PERMISSION_DENIED


async def test_what_was_let_in_is_told_again_to_those_whom_it_concerns(tmp_path: Path) -> None:
    """A key is no proof: gateways share one server, and ids of requests are no secrets."""
    spool = OpenSpool(tmp_path / "spool", OpenBounds())
    storage = MemoryStorage(SystemClock().now_us, 4)
    async with proven(storage, tmp_path / "jwks.json", let_in=spool) as asks:
        operator = asks.caller(tenant="*")
        await operator.priced()
        for account in ("acme", "other"):
            await operator.account(account)
            await operator.grant(account, GRANTED)
        whole = envoy(asks, scope="decide", tenant="default")
        request = whole.request(x_account="other")
        work = LetIn("default", "other", "chat", {}, "", "", key_of(request.attributes), 1, 2**62)
        assert await spool.keep(work, {"input_tokens": 100}) is not None
        assert (await whole.check(request)).status.code == ALLOWED
        narrow = envoy(asks, scope="decide", tenant="default", accounts=["acme"])
        assert body_of(await narrow.check(request))[0] == 403
        foreign = envoy(asks, scope="decide", tenant="sandbox")
        assert body_of(await foreign.check(request))[0] == 403
        request.attributes.request.http.headers["x-account"] = "acme"
        assert body_of(await narrow.check(request)) == (409, "CONFLICT")


@pytest.fixture
async def side(ledger: Proven) -> AsyncIterator[httpx.AsyncClient]:
    gateway = HttpGateway()
    port = SidePort("127.0.0.1", 0, CollectorRegistry(), Heart(), dict, gateway.routes)
    try:
        server = ledger.server
        gateway.attach(server.answers, server.inside, server.routes, SystemClock(), server.gate)
        async with httpx.AsyncClient(base_url=f"http://{port.address}") as client:
            yield client
        gateway.detach()
    finally:
        await asyncio.to_thread(port.close)


async def test_usage_over_http_goes_to_the_tenant_of_its_token(
    ledger: Proven, side: httpx.AsyncClient
) -> None:
    """As LiteLLM sends it: the key is OPENMETER_API_KEY, and no tenant is named."""
    assert (await side.post("/api/v1/events", json=event(1))).status_code == 401
    for tenant, spent in (("sandbox", 60), ("default", 0)):
        bearer = {"authorization": f"Bearer {ledger.token(scope='ingest', tenant='sandbox')}"}
        reply = await side.post("/api/v1/events", json=event(1), headers=bearer)
        assert reply.status_code == 204
        caller = ledger.caller(tenant="*")
        caller.tenant = tenant
        assert int((await caller.balance("acme")).available) == GRANTED - spent


async def test_usage_over_http_reaches_the_accounts_of_its_token_only(
    ledger: Proven, side: httpx.AsyncClient
) -> None:
    token = ledger.token(scope="ingest", tenant="default", accounts=["acme"])
    bearer = {"authorization": f"Bearer {token}"}
    reply = await side.post(
        "/api/v1/events", json=[event(1), event(2, subject="other")], headers=bearer
    )
    assert reply.status_code == 207
    mine, _ = reply.json()["results"]
    assert mine["outcome"] == "APPLIED"
    caller = ledger.caller(tenant="default")
    assert int((await caller.balance("other")).available) == GRANTED
    wrong = {"authorization": f"Bearer {ledger.token(scope='decide', tenant='default')}"}
    assert (await side.post("/api/v1/events", json=event(3), headers=wrong)).status_code == 403


@pytest.fixture
async def sends(side: httpx.AsyncClient) -> AsyncIterator[Sends]:
    """Opens a connection and sends the head of a request for usage, of `length` bytes of events."""
    writers: list[asyncio.StreamWriter] = []

    async def send(length: int, **headers: str) -> Connection:
        place = side.base_url
        reader, writer = await asyncio.open_connection(place.host, place.port)
        writers.append(writer)
        writer.write(head(length, **headers))
        return reader, writer

    yield send
    for writer in writers:
        writer.close()


def head(length: int, **headers: str) -> bytes:
    lines = ["POST /api/v1/events HTTP/1.1", "host: x", "content-type: application/json"]
    lines += [f"content-length: {length}", *[f"{key}: {text}" for key, text in headers.items()]]
    return "\r\n".join([*lines, "", ""]).encode()


async def status_of(reader: asyncio.StreamReader) -> int:
    """Of the next answer, which is read whole."""
    async with asyncio.timeout(HANGS_S):
        found = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        _, _, length = found.partition("content-length: ")
        await reader.readexactly(int(length.split()[0]) if length else 0)
    return int(found.split()[1])


@pytest.mark.parametrize("credential", [None, "Bearer of-nobody", "Basic YTpi"])
async def test_a_body_is_not_read_whose_sender_nobody_knows(
    ledger: Proven, sends: Sends, credential: str | None
) -> None:
    """The answer is there before a byte of it; the same connection serves who proves itself."""
    headers = {} if credential is None else {"authorization": credential}
    body = json.dumps([event(1)]).encode()
    reader, writer = await sends(len(body), **headers)
    assert await status_of(reader) == 401
    proof = f"Bearer {ledger.token(scope='ingest', tenant='default')}"
    writer.write(body + head(len(body), authorization=proof) + body)
    assert await status_of(reader) == 204
    reader, writer = await sends(len(body), expect="100-continue", **headers)
    assert await status_of(reader) == 401
    reader, writer = await sends(len(body), expect="100-continue", authorization=proof)
    assert await status_of(reader) == 100
    writer.write(body)
    assert await status_of(reader) == 204


async def test_no_body_is_read_before_the_ledger_serves() -> None:
    """Nobody can be asked yet who they are."""
    port = SidePort("127.0.0.1", 0, CollectorRegistry(), Heart(), dict, HttpGateway().routes)
    try:
        host, _, number = port.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(number))
        writer.write(head(1_000))
        assert await status_of(reader) == 503
        writer.close()
    finally:
        await asyncio.to_thread(port.close)


async def test_forward_auth_is_proven_by_a_header_of_the_gateway(
    ledger: Proven, side: httpx.AsyncClient
) -> None:
    """What the client itself bears is for the upstream."""
    client = {"x-account": "acme", "authorization": "Bearer of-the-client"}
    assert (await side.get("/v1/check", params=QUERY, headers=client)).status_code == 401
    token = ledger.token(scope="decide", tenant="default", accounts=["acme"])
    proof = client | {PROOF: f"Bearer {token}"}
    assert (await side.get("/v1/check", params=QUERY, headers=proof)).status_code == 200
    other = proof | {"x-account": "other"}
    assert (await side.get("/v1/check", params=QUERY, headers=other)).status_code == 403


async def test_a_clients_own_token_for_one_account_says_whose_request_it_is(
    ledger: Proven, side: httpx.AsyncClient
) -> None:
    """It is verified here; whatever else the client says of itself does not count."""
    query = QUERY | {"account": "principal"}
    mine = ledger.token(scope="decide", tenant="default", accounts=["acme"])
    bearer = {"authorization": f"Bearer {mine}", "x-account": "other"}
    reply = await side.get("/v1/check", params=query, headers=bearer)
    assert (reply.status_code, reply.headers["x-drawdown-account"]) == (200, "acme")
    for accounts in (None, ["acme", "other"]):
        vague = ledger.token(scope="decide", tenant="default", accounts=accounts)
        bearer = {"authorization": f"Bearer {vague}"}
        reply = await side.get("/v1/check", params=query, headers=bearer)
        assert (reply.status_code, reply.json()["error"]["code"]) == (401, "IDENTITY_MISSING")
    reader = ledger.token(scope="ingest", tenant="default", accounts=["acme"])
    bearer = {"authorization": f"Bearer {reader}"}
    assert (await side.get("/v1/check", params=query, headers=bearer)).status_code == 403
