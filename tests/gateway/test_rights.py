"""What gateways ask is asked in the gateway's name: its token says for which accounts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from prometheus_client import CollectorRegistry

from ledger.client.guarded import OpenBounds
from ledger.gateway.envoy import authorization_pb2_grpc, rate_limit_pb2, rate_limit_pb2_grpc
from ledger.gateway.http import HttpGateway
from ledger.gateway.open_spool import OpenSpool
from ledger.journal.storage import MemoryStorage
from ledger.telemetry.side_port import Heart, SidePort
from ledger.v1 import decision_pb2, fail_mode_pb2, fail_mode_pb2_grpc
from rating.v1 import meter_pb2
from tests.api.proven import Proven, proven
from tests.api.served import SystemClock, refusal_of
from tests.api.test_decide_stream import Stream
from tests.api.test_mandates import COST, agent_of, operator_of, revoke
from tests.gateway.test_asking import ROUTE, Asking, descriptor
from tests.gateway.test_http import METERS, NOW
from tests.gateway.test_http import event as http_event


@pytest.fixture
async def family(tmp_path: Path) -> AsyncIterator[Proven]:
    storage = MemoryStorage(SystemClock().now_us, 4)
    spool = OpenSpool(tmp_path / "spool", OpenBounds())
    async with proven(storage, tmp_path / "keys.json", let_in=spool) as found:
        operator = found.caller(tenant="*")
        await operator.priced()
        await operator.account("acme")
        for name in ("acme/a", "acme/b"):
            await operator.account(name, parent="acme")
            await operator.grant(name, 1_000_000)
        yield found


def asking(family: Proven, secret: str) -> Asking:
    return Asking(family.bearing(secret), asyncio.Event(), [])


async def test_envoy_holds_and_settles_for_what_its_token_covers(family: Proven) -> None:
    envoy = asking(family, family.token(accounts=["acme/a"], scope="decide"))
    held = await envoy.hold(x_account="acme/a")
    reply = await envoy.check(envoy.request(x_account="acme/b"))
    assert reply.denied_response.status.code == 403
    assert "NOT_PERMITTED" in reply.denied_response.body
    foreign = asking(family, family.token(accounts=["acme/b"], scope="decide"))
    assert (await foreign.settled(held, 10))[1:] == ("REFUSED", "NOT_PERMITTED")
    assert (await envoy.settled(held, 10))[1] == "CAPTURED"


async def let_in(family: Proven, envoy: Asking, account: str) -> str:
    """What stands for the hold of a request that ran while the shard was away."""
    quiet = family.server.answers._quiet
    quiet.update(dict.fromkeys(range(4), float("inf")))  # nobody is asked
    token = await envoy.hold(x_account=account)
    quiet.clear()
    assert token.startswith("open_")
    return token


async def test_what_ran_without_a_hold_is_settled_by_whoever_covers_its_account(
    family: Proven,
) -> None:
    """By Envoy, by an upstream's Capture or Release, and on a stream."""
    operator = family.caller(tenant="*")
    await fail_mode_pb2_grpc.FailModeServiceStub(operator.channel).SetFailMode(
        fail_mode_pb2.SetFailModeRequest(
            tenant="default",
            request_id="mode",
            product="chat",
            mode=fail_mode_pb2.FailMode.FAIL_MODE_OPEN,
        )
    )
    envoy = asking(family, family.token(accounts=["acme/a"], scope="decide"))
    foreign = asking(family, family.token(accounts=["acme/b"], scope="decide"))
    names = ("limited", "captured", "released", "streamed")
    tokens = {name: await let_in(family, envoy, "acme/a") for name in names}

    def capture(name: str) -> decision_pb2.CaptureRequest:
        return decision_pb2.CaptureRequest(
            tenant="default",
            request_id=name,
            hold_id=tokens[name],
            quantities={"input_tokens": 10},
        )

    release = decision_pb2.ReleaseRequest(
        tenant="default", request_id="r", hold_id=tokens["released"]
    )
    item = decision_pb2.DecideItem(number=1, capture=capture("streamed"))

    async def streamed(by: Asking) -> decision_pb2.DecideReply:
        stream = Stream(by.served)
        await stream.send(item)
        replies = await stream.until(1)
        await stream.end()
        return replies[1]

    assert (await foreign.settled(tokens["limited"], 10))[1:] == ("REFUSED", "NOT_PERMITTED")
    for call in (
        foreign.served.decisions.Capture(capture("captured")),
        foreign.served.decisions.Release(release),
    ):
        assert (await refusal_of(call)).reason == "NOT_PERMITTED"
    assert (await streamed(foreign)).error.reason == "NOT_PERMITTED"

    assert (await envoy.settled(tokens["limited"], 10))[1] == "KEPT"
    assert (await envoy.served.decisions.Capture(capture("captured"))).reason == "KEPT"
    assert not (await envoy.served.decisions.Release(release)).replayed
    assert (await streamed(envoy)).capture.reason == "KEPT"
    reads = asking(family, family.token(accounts=["acme/a"], scope="read"))
    refused = await refusal_of(reads.served.decisions.Capture(capture("captured")))
    assert refused.reason == "SCOPE_MISSING"


async def test_an_envoy_without_a_token_or_scope_is_turned_away(family: Proven) -> None:
    for secret, code in (
        ("", grpc.StatusCode.UNAUTHENTICATED),
        (family.token(scope="read"), grpc.StatusCode.PERMISSION_DENIED),
    ):
        envoy = asking(family, secret)
        channel: Any = envoy.served.channel
        stub = authorization_pb2_grpc.AuthorizationStub(channel)
        assert (await refusal_of(stub.Check(envoy.request()))).code == code
        limits = rate_limit_pb2_grpc.RateLimitServiceStub(channel)
        request = rate_limit_pb2.RateLimitRequest(
            domain="drawdown", descriptors=[descriptor(1, hold_id="x")]
        )
        assert (await refusal_of(limits.ShouldRateLimit(request))).code == code


async def test_the_side_port_asks_as_every_other_way_in(family: Proven) -> None:
    gateway = HttpGateway()
    side_port = SidePort("127.0.0.1", 0, CollectorRegistry(), Heart(), dict, gateway.routes)
    server = family.server
    gateway.attach(server.answers, server.inside, server.routes, family.ledger.clock, server.gate)
    side_port.guard(server.gate, asyncio.get_running_loop())
    token = family.token(accounts=["acme/a"], scope="decide ingest")
    bearer = {"authorization": f"Bearer {token}"}
    try:
        async with httpx.AsyncClient(base_url=f"http://{side_port.address}") as client:

            async def check(account: str, **headers: str) -> int:
                named = {name.replace("_", "-"): value for name, value in headers.items()}
                reply = await client.get(
                    "/v1/check", params=ROUTE, headers={"x-account": account, **named}
                )
                assert token not in reply.text
                return reply.status_code

            assert await check("acme/a") == 401
            assert await check("acme/a", **bearer) == 200
            assert await check("acme/b", **bearer) == 403
            assert await check("acme/a", authorization="Bearer of-the-client") == 401
            mine = {"drawdown_authorization": f"Bearer {token}"}
            assert await check("acme/a", authorization="Bearer of-the-client", **mine) == 200

            event = {"specversion": "1.0", "id": "1", "source": "x", "type": "t", "subject": "s"}
            kind = {"content-type": "application/cloudevents+json"}
            sent = {"time": NOW, **event}
            reply = await client.post("/api/v1/events", json=sent, headers=kind)
            assert reply.status_code == 401
            reads = {"authorization": f"Bearer {family.token(scope='read')}"}
            reply = await client.post("/api/v1/events", json=sent, headers={**kind, **reads})
            assert reply.status_code == 403

            assert (await client.get("/healthz")).status_code == 200
            assert (await client.get("/metrics")).status_code == 401
            assert (await client.get("/metrics", headers=reads)).status_code == 403
            operator = {"authorization": f"Bearer {family.token(tenant='*', scope='read')}"}
            assert (await client.get("/metrics", headers=operator)).status_code == 200

            metered = meter_pb2.MeterSet(rules=METERS)
            await family.caller(tenant="*").meters.PublishMeters(
                meter_pb2.PublishMetersRequest(tenant="default", request_id="m", meters=metered)
            )
            answered = {"acme/a": 204, "acme/b": 403, "nobody": 403}
            for number, (account, status) in enumerate(answered.items()):
                sent = http_event(number, subject=account, time=NOW)
                reply = await client.post("/api/v1/events", json=sent, headers={**kind, **bearer})
                assert reply.status_code == status
                if reply.content:
                    assert reply.json()["results"][0]["reason"] == "NOT_PERMITTED"
    finally:
        await asyncio.to_thread(side_port.close)


async def test_an_agents_token_is_an_identity_at_the_side_port(family: Proven) -> None:
    """Its mandate's node is all that it may ask about: 402 once it is used up, 403 once revoked."""
    operator = operator_of(family)
    await operator.grant("acme", 1_000_000, shared=True)
    agent, token = await agent_of(family, 2 * COST)
    gateway = HttpGateway()
    side_port = SidePort("127.0.0.1", 0, CollectorRegistry(), Heart(), dict, gateway.routes)
    server = family.server
    gateway.attach(server.answers, server.inside, server.routes, family.ledger.clock, server.gate)
    side_port.guard(server.gate, asyncio.get_running_loop())
    try:
        async with httpx.AsyncClient(base_url=f"http://{side_port.address}") as client:

            async def asked(account: str) -> tuple[int, str]:
                reply = await client.get(
                    "/v1/check",
                    params=ROUTE,
                    headers={"authorization": f"Bearer {token}", "x-account": account},
                )
                return reply.status_code, reply.text

            assert (await asked("acme/bot"))[0] == 200
            assert (await asked("acme/a"))[0] == 403
            for _ in range(2):
                await agent.debit("acme/bot")
            status, body = await asked("acme/bot")
            assert (status, "MANDATE_EXCEEDED" in body) == (402, True)
            await revoke(operator, "acme/bot")
            status, body = await asked("acme/bot")
            assert (status, "MANDATE_REVOKED" in body) == (403, True)
    finally:
        await asyncio.to_thread(side_port.close)


async def test_an_agents_token_is_an_identity_at_an_envoy(family: Proven) -> None:
    """The same where Envoy bears it."""
    operator = operator_of(family)
    await operator.grant("acme", 1_000_000, shared=True)
    agent, token = await agent_of(family, 2 * COST)
    envoy = asking(family, token)
    assert (await envoy.settled(await envoy.hold(x_account="acme/bot"), 0))[1] == "RELEASED"
    for _ in range(2):
        await agent.debit("acme/bot")
    used_up = await envoy.check(envoy.request(x_account="acme/bot"))
    assert used_up.denied_response.status.code == 402
    await revoke(operator, "acme/bot")
    revoked = await envoy.check(envoy.request(x_account="acme/bot"))
    assert (
        revoked.denied_response.status.code,
        "MANDATE_REVOKED" in revoked.denied_response.body,
    ) == (403, True)
