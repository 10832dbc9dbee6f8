"""The side port's routes of the ledger, over real HTTP: a question and usage.

An input token costs 3 minor units, an output token 15; 100 in are 300.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from ledger.client.raw_events import RawEvent
from ledger.gateway import cloud_events
from ledger.gateway import http as gateway_http
from ledger.gateway.http import HttpGateway
from ledger.gateway.routes import Defaults
from ledger.journal.storage import MemoryStorage
from ledger.telemetry.side_port import Heart, SidePort
from ledger.v1 import balance_pb2, decision_pb2, usage_pb2
from rating.v1 import meter_pb2
from tests.api import served as api

GRANTED = 1_000_000
NOW = datetime.now(UTC).isoformat()
ROUTE = {"account": "header:x-account", "product": "chat", "quantity.input_tokens": "100"}
METERS = [
    meter_pb2.MeterRule(
        name="calls of models",
        event_type="litellm_tokens",
        product="chat",
        attributes=[meter_pb2.MeteredAttribute(attribute="model")],
        quantities=[
            meter_pb2.MeteredQuantity(
                quantity=quantity, aggregation=meter_pb2.AGGREGATION_SUM, property=of
            )
            for quantity, of in (
                ("input_tokens", "prompt_tokens"),
                ("output_tokens", "completion_tokens"),
            )
        ],
    )
]


class Http:
    """A ledger in memory, its side port, and a client of that."""

    def __init__(self, served: api.Served, client: httpx.AsyncClient) -> None:
        self.served = served
        self.client = client

    async def check(self, headers: dict[str, str] | None = None, **query: str) -> httpx.Response:
        sent = {"x-account": "acme"} | (headers or {})
        return await self.client.get("/v1/check", params=ROUTE | query, headers=sent)

    async def events(
        self, body: Any, content_type: str = cloud_events.PLAIN, **query: str
    ) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"content-type": content_type}
        return await self.client.post(
            "/api/v1/events", content=content, headers=headers, params=query
        )

    async def available(self, account: str = "acme") -> int:
        reply = await self.served.balances.Get(
            balance_pb2.BalanceServiceGetRequest(tenant="default", account=account)
        )
        [balance] = reply.balances
        return int(balance.available)


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    storage = MemoryStorage(api.SystemClock().now_us, 4)
    gateway = HttpGateway()
    port = SidePort("127.0.0.1", 0, CollectorRegistry(), Heart(), dict, gateway.routes)
    try:
        defaults = Defaults(pay_url="https://pay.example")
        async with (
            api.served(storage, gateway=defaults) as served,
            httpx.AsyncClient(base_url=f"http://{port.address}") as client,
        ):
            await served.priced()
            await served.account("acme")
            await served.grant("acme", GRANTED)
            await served.meters.PublishMeters(
                meter_pb2.PublishMetersRequest(
                    tenant="default", request_id="m", meters=meter_pb2.MeterSet(rules=METERS)
                )
            )
            gateway.attach(
                served.server.answers, served.server.inside, served.server.routes, api.SystemClock()
            )
            yield Http(served, client)
            gateway.detach()
    finally:
        await asyncio.to_thread(port.close)


def event(number: int, **changes: Any) -> dict[str, Any]:
    """As LiteLLM's callback `openmeter` builds it."""
    return {
        "specversion": "1.0",
        "type": "litellm_tokens",
        "id": f"call-{number}",
        "time": NOW,
        "subject": "acme",
        "source": "litellm-proxy",
        "data": {
            "model": "gpt-4o",
            "cost": 1.35e-05,
            "prompt_tokens": 10,
            "completion_tokens": 2,
            "total_tokens": 12,
        },
        **changes,
    }


EVENT_CHARGE = 10 * 3 + 2 * 15


# -- may it run? -----------------------------------------------------------------------------------


async def test_a_request_holds_of_a_hold_that_a_header_of_the_gateway_names(http: Http) -> None:
    decisions = http.served.decisions
    request = decision_pb2.AuthorizeRequest(
        tenant="default", request_id="r", account="acme", operation="run", operation_amount=1_000
    )
    whole = (await decisions.Authorize(request)).hold_id
    query = {"mode": "hold", "key": "header:x-request-id", "operation_hold": "header:x-run-hold"}
    for sent, left in (({}, 1_000), ({"x-run-hold": whole}, 700)):
        reply = await http.check({"x-request-id": f"id-{left}"} | sent, **query)
        assert reply.status_code == 200
        named = decision_pb2.GetHoldRequest(tenant="default", hold_id=whole)
        assert (await decisions.GetHold(named)).hold.left == left
    assert await http.available() == GRANTED - 1_000 - 300
    changed = query | {"operation_hold": "jwt:hold"}
    reply = await http.check({"x-request-id": "id", "x-run-hold": whole}, **changed)
    assert (reply.status_code, reply.headers["x-drawdown-reason"]) == (500, "ROUTE_INVALID")


async def test_advice_with_a_hold_is_what_a_hold_of_it_would_be_told(http: Http) -> None:
    """All but 100 units are the run's: only who names its hold is told that 300 may be used."""
    decisions = http.served.decisions
    request = decision_pb2.AuthorizeRequest(
        tenant="default", request_id="r", account="acme", operation="run",
        operation_amount=GRANTED - 100,
    )  # fmt: skip
    whole = (await decisions.Authorize(request)).hold_id
    query = {"operation_hold": "header:x-run-hold"}
    reply = await http.check(**query)
    assert (reply.status_code, reply.headers["x-drawdown-reason"]) == (402, "INSUFFICIENT_CREDITS")
    reply = await http.check({"x-run-hold": whole}, **query)
    assert (reply.status_code, reply.headers["x-drawdown-available"]) == (200, str(GRANTED))
    named = decision_pb2.GetHoldRequest(tenant="default", hold_id=whole)
    assert (await decisions.GetHold(named)).hold.left == GRANTED - 100
    reply = await http.check({"x-run-hold": "no id"}, **query)
    assert reply.headers["x-drawdown-reason"] == "HOLD_UNKNOWN"


async def test_advice_is_200_with_headers_and_holds_nothing(http: Http) -> None:
    reply = await http.check()
    assert reply.status_code == 200
    assert reply.headers["x-drawdown-decision"] == "ALLOW"
    assert reply.headers["x-drawdown-charge"] == "300"
    assert reply.headers["x-drawdown-available"] == str(GRANTED)
    assert "x-drawdown-hold-id" not in reply.headers
    assert await http.available() == GRANTED
    assert (
        await http.client.head("/v1/check", params=ROUTE, headers={"x-account": "acme"})
    ).is_success


@pytest.mark.parametrize(("asked", "status"), [("", 402), ("401", 401), ("403", 403)])
async def test_what_cannot_be_paid_is_denied_as_the_gateway_can_take_it(
    http: Http, asked: str, status: int
) -> None:
    more = {"deny_status": asked} if asked else {}
    reply = await http.check(**{"quantity.input_tokens": str(GRANTED)}, **more)
    assert reply.status_code == status
    assert reply.headers["x-drawdown-reason"] == "INSUFFICIENT_CREDITS"
    assert reply.json()["pay"] == {
        "asset": "credit",
        "scale": 6,
        "needed": "3000000",
        "available": "1000000",
        "short_by": "2000000",
        "url": "https://pay.example",
    }


async def test_a_gateway_that_knows_two_denials_is_told_no_other(http: Http) -> None:
    """NGINX takes any status but 401 and 403 for its own failure."""
    said = {"deny_status": "403"}
    no_number = await http.check(**{"quantity.input_tokens": "header:x-tokens"}, **said)
    assert (no_number.status_code, no_number.headers["x-drawdown-decision"]) == (403, "DENY")
    query = {"mode": "hold", "key": "header:x-request-id", **said}
    held = await http.check({"x-request-id": "r1"}, **query)
    await http.served.decisions.Release(
        decision_pb2.ReleaseRequest(
            tenant="default", request_id="r", hold_id=held.headers["x-drawdown-hold-id"]
        )
    )
    settled = await http.check({"x-request-id": "r1"}, **query)
    assert (settled.status_code, settled.headers["x-drawdown-reason"]) == (403, "HOLD_SETTLED")
    assert (await http.check({"x-account": ""}, **said)).status_code == 401
    assert (await http.check(colour="red", **said)).status_code == 500


async def test_whose_request_it_is_must_be_said_and_known(http: Http) -> None:
    assert (await http.check({"x-account": ""})).status_code == 401
    assert (await http.check({"x-account": "nobody"})).status_code == 403
    other = await http.check({"x-org": "acme"}, account="header:X-Org")
    assert other.status_code == 200


async def test_a_hold_is_made_once_for_an_id_of_the_gateways(http: Http) -> None:
    query = {"mode": "hold", "key": "header:x-request-id", "lifetime_s": "60"}
    first = await http.check({"x-request-id": "r1"}, **query)
    again = await http.check({"x-request-id": "r1"}, **query)
    assert first.headers["x-drawdown-hold-id"] == again.headers["x-drawdown-hold-id"]
    assert await http.available() == GRANTED - 300
    await http.served.decisions.Release(
        decision_pb2.ReleaseRequest(
            tenant="default", request_id="r", hold_id=first.headers["x-drawdown-hold-id"]
        )
    )
    settled = await http.check({"x-request-id": "r1"}, **query)
    assert (settled.status_code, settled.headers["x-drawdown-reason"]) == (409, "HOLD_SETTLED")
    assert (await http.check(**query)).status_code == 500  # the gateway sent no id


@pytest.mark.parametrize(
    "query",
    [
        {"mode": "hold"},
        {"key": "header:x-request-id"},
        {"mode": "hold", "key": "fixed"},
        {"account": "jwt:sub"},
        {"quantity.input_tokens": "metadata:a:b"},
        {"operation": "jwt:run"},
        {"operation": "run", "operation_parent": "metadata:agents:run"},
        {"up_to": "input_tokens", "up_to_minimum": "jwt:least|1"},
        {"deny_status": "200"},
        {"colour": "red"},
    ],
)
async def test_a_url_that_makes_no_sense_lets_nothing_through(
    http: Http, query: dict[str, str]
) -> None:
    reply = await http.check({"x-request-id": "r"}, **query)
    assert (reply.status_code, reply.headers["x-drawdown-reason"]) == (500, "ROUTE_INVALID")
    assert reply.json()["error"]["message"]


async def test_a_name_that_stands_twice_is_refused(http: Http) -> None:
    query = [*ROUTE.items(), ("product", "other")]
    reply = await http.client.get("/v1/check", params=query, headers={"x-account": "acme"})
    assert reply.status_code == 500


@pytest.mark.parametrize("order", [1, -1])
async def test_a_header_that_a_client_adds_to_the_gateways_own_is_not_taken_for_it(
    http: Http, order: int
) -> None:
    await http.served.account("other")
    for name, ours, theirs, status in (
        ("x-account", "acme", "other", 403),
        ("x-tokens", "100", "1", 400),
    ):
        query = ROUTE | {"quantity.input_tokens": "header:x-tokens"}
        said = {"x-account": "acme", "x-tokens": "100", name: ours}
        headers = [*said.items(), (name.title(), theirs)][::order]
        reply = await http.client.get("/v1/check", params=query, headers=headers)
        assert reply.status_code == status, name


async def test_names_come_in_utf_8_as_every_other_gateway_sends_them(http: Http) -> None:
    await http.served.account("acmé")
    for sent in ("acmé".encode(), "acmé".encode("latin-1")):
        reply = await http.client.get("/v1/check", params=ROUTE, headers={b"x-account": sent})
        assert (reply.status_code, reply.json()["error"]["code"]) == (402, "INSUFFICIENT_CREDITS")
        assert reply.headers["x-drawdown-account"] == "acm%C3%A9"


async def test_before_the_ledger_serves_everything_is_503(http: Http) -> None:
    gateway = HttpGateway()
    port = SidePort("127.0.0.1", 0, CollectorRegistry(), Heart(), dict, gateway.routes)
    try:
        async with httpx.AsyncClient(base_url=f"http://{port.address}") as client:
            reply = await client.get("/v1/check", params=ROUTE)
            assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
            assert (await client.post("/api/v1/events", json=event(1))).status_code == 503
            assert (await client.get("/healthz")).status_code == 200
    finally:
        await asyncio.to_thread(port.close)


# -- usage -----------------------------------------------------------------------------------------


async def test_what_litellm_sends_is_charged_once(http: Http) -> None:
    for _ in range(3):
        reply = await http.events(event(1), cloud_events.SINGLE)
        assert (reply.status_code, reply.content) == (204, b"")
    assert await http.available() == GRANTED - EVENT_CHARGE


async def test_it_is_the_same_event_as_over_grpc(http: Http) -> None:
    """One identity (rule I1): the gRPC client sends it again, and it is replayed."""
    sent = event(1)
    assert (await http.events(sent)).status_code == 204
    properties = {
        "model": "gpt-4o",
        "cost": "0.0000135",
        "prompt_tokens": "10",
        "completion_tokens": "2",
        "total_tokens": "12",
    }
    shown = (await http.events(sent, results="all")).json()
    assert shown["results"][0]["replayed"] is True
    again = usage_pb2.UsageEvent(
        id=sent["id"],
        account="acme",
        source="litellm-proxy",
        type="litellm_tokens",
        properties=properties,
        effective_at_us=RawEvent.of_cloud_event({**sent, "data": {}}).effective_at_us,
    )
    reply = await http.served.usage.Ingest(
        usage_pb2.IngestRequest(tenant="default", events=[again])
    )
    assert reply.results[0].replayed
    assert await http.available() == GRANTED - EVENT_CHARGE


@pytest.mark.parametrize("content_type", [cloud_events.BATCH, cloud_events.PLAIN])
async def test_many_at_once_are_each_answered(http: Http, content_type: str) -> None:
    reply = await http.events(
        [event(number) for number in range(5)], content_type + "; charset=utf-8", results="all"
    )
    assert reply.status_code == 200
    results = reply.json()["results"]
    assert [each["id"] for each in results] == [f"call-{number}" for number in range(5)]
    assert {each["outcome"] for each in results} == {"APPLIED"}
    assert {(each["charge"], each["asset"], each["scale"]) for each in results} == {
        (str(EVENT_CHARGE), "credit", 6)
    }
    assert await http.available() == GRANTED - 5 * EVENT_CHARGE


async def test_some_that_cannot_be_recorded_keep_the_others_from_nothing(http: Http) -> None:
    await http.events(event(1))
    batch = [
        event(1, data=event(1)["data"] | {"prompt_tokens": 11}),
        event(2),
        event(3, subject="nobody"),
        event(4, type="unheard of"),
        event(5, data={"prompt_tokens": [1]}),
        event(6, time="yesterday"),
        "no event",
        event(7, data_base64="AAAA"),
        event(8, specversion="0.3"),
        event(9, id=7),
    ]
    reply = await http.events(batch, cloud_events.BATCH)
    assert reply.status_code == 207
    results = reply.json()["results"]
    assert [each["outcome"] for each in results[:4]] == [
        "CONFLICT",
        "APPLIED",
        "ACCOUNT_UNKNOWN",
        "INVALID",
    ]
    assert {each["outcome"] for each in results[4:]} == {"INVALID"}
    assert results[3]["reason"] == "NO_METER"
    assert results[0]["field"]
    assert all(each["message"] for each in results if each["outcome"] != "APPLIED")
    assert await http.available() == GRANTED - 2 * EVENT_CHARGE


async def test_what_no_text_and_no_number_can_hold_keeps_the_others_from_nothing(
    http: Http,
) -> None:
    odd = [event(number, **{name: "\ud800"}) for number, name in enumerate(("id", "subject"))]
    numbers = ("1e9999999999999999999", "9" * 5_000)
    texts = [
        *[json.dumps(each) for each in odd],
        *[json.dumps(event(4)).replace(": 10,", f": {number},") for number in numbers],
        json.dumps(event(5)),
    ]
    reply = await http.events(f"[{','.join(texts)}]".encode())
    assert reply.status_code == 207
    outcomes = [each["outcome"] for each in reply.json()["results"]]
    assert outcomes == ["INVALID"] * 4 + ["APPLIED"]
    assert await http.available() == GRANTED - EVENT_CHARGE


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"subject": "nobody"}, 404),
        ({"type": "unheard of"}, 400),
        ({"time": "yesterday"}, 400),
        ({"time": "1970-01-01T00:00:00Z"}, 400),
        ({"data": []}, 400),
        ({"data": {"prompt_tokens": "many"}}, 400),
        ({"id": ""}, 400),
    ],
)
async def test_one_that_cannot_be_recorded_is_answered_by_its_own_status(
    http: Http, changes: dict[str, Any], status: int
) -> None:
    reply = await http.events(event(1, **changes))
    assert reply.status_code == status
    assert len(reply.json()["results"]) == 1


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{", cloud_events.PLAIN, 400),
        (b"[" * 100_000, cloud_events.PLAIN, 400),
        (b"[]", cloud_events.PLAIN, 400),
        (b"[]", cloud_events.SINGLE, 400),
        (b"{}", cloud_events.BATCH, 400),
        (b"9" * 5_000, cloud_events.PLAIN, 400),
        (b"\xff", cloud_events.PLAIN, 400),
        (b"{}", "text/plain", 415),
        (b" " * (cloud_events.BODY_BYTES_MAX + 1), cloud_events.PLAIN, 413),
        (json.dumps([{}] * (cloud_events.EVENTS_MAX + 1)).encode(), cloud_events.BATCH, 400),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_what_is_no_event_is_refused_whole(
    http: Http, body: bytes, content_type: str, status: int
) -> None:
    reply = await http.events(body, content_type)
    assert reply.status_code == status
    assert reply.json()["error"]["message"]
    assert await http.available() == GRANTED


async def test_another_tenant_is_named_in_the_url(http: Http) -> None:
    reply = await http.events(event(1), tenant="nowhere")
    assert reply.status_code == 400
    assert reply.json()["error"]["code"] == "TENANT_UNKNOWN"
    [result] = (await http.events(event(1), tenant="sandbox")).json()["results"]
    assert result["reason"] == "NO_METER"  # of that tenant


async def test_where_nothing_can_be_recorded_all_of_it_may_be_sent_again(http: Http) -> None:
    for writer in http.served.ledger.writers:
        await writer.stop()
    reply = await http.events([event(1), event(2)])
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")


async def test_bodies_under_way_are_bounded_together(
    http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory has a bound, whoever sends and before anybody is asked who it is."""
    body = json.dumps([event(1)]).encode()
    monkeypatch.setattr(gateway_http, "BODIES_BYTES_MAX", len(body) - 1)
    for _ in range(2):
        reply = await http.events(body)
        assert reply.status_code == 503
        assert reply.json()["error"]["code"] == "QUEUE_FULL"
        assert reply.headers["retry-after"] == "1"
    monkeypatch.setattr(gateway_http, "BODIES_BYTES_MAX", len(body))
    for _ in range(2):
        assert (await http.events(body)).status_code == 204
    assert (await http.events(body + b" ")).status_code == 503


async def test_who_leaves_amid_a_body_leaves_no_trace(
    http: Http, caplog: pytest.LogCaptureFixture
) -> None:
    place = http.client.base_url
    _, writer = await asyncio.open_connection(place.host, place.port)
    writer.write(
        b"POST /api/v1/events HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        b"content-length: 1000\r\n\r\n[{"
    )
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await http.events([event(1)])).status_code == 204
    assert [each for each in caplog.records if each.levelno >= logging.WARNING] == []
