"""A stock Envoy asks before a request runs, and tells what it used when its stream is done.

Every test runs deploy/envoy.yaml. A token in costs 1 minor unit, one out 10; the route estimates
500 and 1,000 of them, so a hold is 10,500 where the client says nothing else.
"""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from ledger.v1 import types_pb2
from tests.gateway.front import Caller
from tests.patience import HANGS_S

ESTIMATE = 500 * 1 + 1_000 * 10
GRANTED = 1_000_000


async def test_a_request_is_held_for_runs_and_is_charged_what_it_used(caller: Caller) -> None:
    """100 tokens in and 20 out: 100 + 200 = 300 minor units."""
    await caller.account("acme", GRANTED)
    reply = await caller.ask("acme", x_say_input=100, x_say_output=20)
    assert reply.status_code == 200, reply.text
    [hold] = await caller.settled("acme")
    assert (hold.amount, hold.captured) == (ESTIMATE, 300)
    assert hold.state == types_pb2.HOLD_STATE_CAPTURED
    assert await caller.available("acme") == GRANTED - 300
    seen = reply.json()["seen"]
    assert seen["x-drawdown-hold-id"] == hold.hold_id
    assert seen["x-drawdown-account"] == "acme"
    assert seen["x-drawdown-decision"] == "ALLOW"
    assert (seen["x-drawdown-charge"], seen["x-drawdown-asset"]) == (str(ESTIMATE), "credit")
    assert reply.headers["x-drawdown-charge"] == str(ESTIMATE)
    assert "x-drawdown-hold-id" not in reply.headers


async def test_a_request_that_cannot_be_paid_is_answered_402_and_never_runs(caller: Caller) -> None:
    await caller.account("poor", 10_000)
    runs = len(caller.front.upstream.asked)
    reply = await caller.ask("poor")
    assert reply.status_code == 402
    assert reply.headers["x-drawdown-reason"] == "INSUFFICIENT_CREDITS"
    assert reply.headers["x-drawdown-pay-url"] == "https://pay.example"
    assert reply.headers["content-type"].startswith("application/json")
    body = reply.json()
    limit = body["error"].pop("limit")
    assert (limit["kind"], limit["left"]) == ("GRANTS", "10000")
    assert body == {
        "error": {
            "code": "INSUFFICIENT_CREDITS",
            "account": "poor",
            "product": "chat",
            "message": "chat for poor takes 0.010500 credit and 0.010000 credit is available "
            "(INSUFFICIENT_CREDITS)",
        },
        "pay": {
            "asset": "credit",
            "scale": 6,
            "needed": "10500",
            "available": "10000",
            "short_by": "500",
            "url": "https://pay.example",
        },
    }
    assert len(caller.front.upstream.asked) == runs
    assert (await caller.ask("poor", x_max_tokens=950)).status_code == 200  # 500 + 9,500: all of it
    await caller.settled("poor")


@pytest.mark.parametrize(
    ("headers", "status", "reason"),
    [
        ({"x-account": ""}, 401, "IDENTITY_MISSING"),
        ({"x-account": "nobody"}, 403, "ACCOUNT_UNKNOWN"),
        ({"x-max-tokens": "-5"}, 400, "QUANTITY_INVALID"),
        ({"x-max-tokens": "1e3"}, 400, "QUANTITY_INVALID"),
        ({"x-max-tokens": "9223372036854775808"}, 400, "QUANTITY_INVALID"),
        ({"x-max-tokens": "9223372036854775807"}, 400, "OVERFLOW"),
        ({"x-max-tokens": "0", "x-input-tokens": "0"}, 400, "QUANTITIES_ALL_ZERO"),
    ],
)
async def test_what_cannot_be_asked_is_refused_in_words(
    caller: Caller, headers: dict[str, str], status: int, reason: str
) -> None:
    reply = await caller.client.post("/v1/chat", headers={"x-account": "acme"} | headers)
    assert (reply.status_code, reply.headers["x-drawdown-reason"]) == (status, reason), reply.text
    assert reply.json()["error"]["code"] == reason
    assert reply.json()["error"]["message"]


async def test_what_a_client_says_in_our_headers_never_reaches_the_upstream(caller: Caller) -> None:
    await caller.account("forger", GRANTED)
    forged = {"x_drawdown_hold_id": "mine", "x_drawdown_account": "rich", "x_drawdown_reason": "!"}
    seen = (await caller.ask("forger", **forged)).json()["seen"]
    [hold] = await caller.settled("forger")
    assert seen["x-drawdown-hold-id"] == hold.hold_id
    assert seen["x-drawdown-account"] == "forger"
    assert "x-drawdown-reason" not in seen
    seen = (await caller.ask("forger", "/look/x", **forged)).json()["seen"]
    assert "x-drawdown-hold-id" not in seen
    assert seen["x-drawdown-account"] == "forger"


async def test_a_streamed_answer_is_metered_by_the_usage_in_its_last_event(caller: Caller) -> None:
    """OpenAI's form; nothing but configuration reads it."""
    await caller.account("streamer", GRANTED)
    reply = await caller.ask("streamer", x_answer="stream", x_say_input=1_000, x_say_output=7)
    assert reply.text.count("data: ") == 7
    [hold] = await caller.settled("streamer")
    assert hold.captured == 1_000 + 70


async def test_more_used_than_held_is_charged_all_the_same(caller: Caller) -> None:
    """Rule H1: above the hold a capture draws as new usage."""
    await caller.account("longwinded", 1_000_000)
    await caller.ask("longwinded", x_say_input=100, x_say_output=50_000)
    [hold] = await caller.settled("longwinded")
    assert hold.captured == hold.amount
    assert await caller.available("longwinded") == 1_000_000 - 100 - 500_000


async def test_nothing_used_gives_all_back(caller: Caller) -> None:
    await caller.account("idle", GRANTED)
    await caller.ask("idle", x_say_input=0, x_say_output=0)
    [hold] = await caller.settled("idle")
    assert hold.state == types_pb2.HOLD_STATE_RELEASED
    assert await caller.available("idle") == GRANTED


async def test_a_unit_of_the_route_multiplies_what_is_added(caller: Caller) -> None:
    """A hit is a second: 90 of them are 90,000 ms, 90,000 minor units."""
    await caller.account("worker", GRANTED)
    await caller.ask("worker", "/jobs/run", x_answer="header", x_say_usage=90)
    [hold] = await caller.settled("worker")
    assert (hold.amount, hold.captured) == (60_000, 60_000)
    assert await caller.available("worker") == GRANTED - 90_000


async def test_a_client_that_leaves_amid_the_stream_pays_what_the_header_said(
    caller: Caller,
) -> None:
    await caller.account("leaver", GRANTED)
    headers = {"x-account": "leaver", "x-answer": "endless", "x-say-usage": "3"}
    async with caller.client.stream("POST", "/jobs/run", headers=headers) as reply:
        async for line in reply.aiter_lines():
            if line:
                break
    [hold] = await caller.settled("leaver")
    assert hold.captured == 3_000
    assert await caller.available("leaver") == GRANTED - 3_000


async def test_without_a_figure_nothing_is_settled_and_the_hold_stays(caller: Caller) -> None:
    """An upstream that fails, a job that says nothing, figures that are none: the hold expires in
    its time, and nothing else has happened."""
    await caller.account("waiting", GRANTED)
    assert (await caller.ask("waiting", x_answer="error")).status_code == 503
    await caller.ask("waiting", "/jobs/run", x_answer="header")
    for figure in ("-1", "some", "1000000001"):
        await caller.ask("waiting", "/jobs/run", x_answer="header", x_say_usage=figure)
    await caller.ask("waiting", "/jobs/run", x_answer="header", x_say_usage="1.9")  # Envoy cuts it
    async with asyncio.timeout(HANGS_S):
        while not (settled := await caller.holds("waiting", settled=True)):
            await asyncio.sleep(0.02)
    assert [hold.captured for hold in settled] == [1_000]
    assert len(await caller.holds("waiting")) == 5
    assert await caller.available("waiting") == GRANTED - 1_000 - ESTIMATE - 4 * 60_000


async def test_a_hundred_requests_with_one_request_id_each_pay(caller: Caller) -> None:
    """A client pins its x-request-id; the key is Envoy's, so each is a hold of its own."""
    await caller.account("pinned", 2 * GRANTED)
    pinned = {"x_request_id": "11111111-1111-4111-8111-111111111111", "x_say_output": 10}
    for _ in range(10):  # so many at once as a busy machine decides in Envoy's time
        replies = await asyncio.gather(*[caller.ask("pinned", **pinned) for _ in range(10)])
        assert {reply.status_code for reply in replies} == {200}
    holds = await caller.settled("pinned", 100)
    assert len({hold.hold_id for hold in holds}) == 100
    assert await caller.available("pinned") == 2 * GRANTED - 100 * 100


async def test_concurrent_requests_never_overspend(caller: Caller) -> None:
    """Credits for five holds: of thirty requests at once five run, and the others are 402."""
    await caller.account("crowd", 5 * ESTIMATE)
    asked = [caller.ask("crowd", x_answer="slow", x_say_output=1_050) for _ in range(30)]
    replies: list[httpx.Response] = await asyncio.gather(*asked)
    codes = [reply.status_code for reply in replies]
    assert codes.count(200) == 5
    assert codes.count(402) == 25
    await caller.settled("crowd", 5)
    assert await caller.available("crowd") == 0


async def test_a_route_that_only_looks_holds_nothing(caller: Caller) -> None:
    """500 tokens must be payable (402), and by the rate limit 2,000 (429)."""
    await caller.account("looker", 2_000)
    assert (await caller.ask("looker", "/look/x")).status_code == 200
    await caller.account("glancer", 1_999)
    assert (await caller.ask("glancer", "/look/x")).status_code == 429
    await caller.account("blind", 499)
    reply = await caller.ask("blind", "/look/x")
    assert reply.status_code == 402
    assert json.loads(reply.text)["pay"]["short_by"] == "1"
    assert await caller.holds("looker") == []


async def test_the_rate_limit_alone_holds_and_settles(caller: Caller) -> None:
    """1,000 tokens out are held, 10,000 minor units; without ext_authz before it. A client that
    pins its x-request-id pays for each."""
    await caller.account("limited", 25_000)
    pinned = {"x_request_id": "11111111-1111-4111-8111-111111111111"}
    for _ in range(2):
        reply = await caller.ask("limited", "/limit/x", x_say_output=30, **pinned)
        assert (reply.status_code, reply.headers["x-drawdown-decision"]) == (200, "ALLOW")
    assert [hold.captured for hold in await caller.settled("limited", 2)] == [300, 300]
    await caller.account("slight", 9_999)
    runs = len(caller.front.upstream.asked)
    reply = await caller.ask("slight", "/limit/x", x_say_output=30)
    assert (reply.status_code, len(caller.front.upstream.asked)) == (429, runs)
    assert reply.headers["x-drawdown-reason"] == "INSUFFICIENT_CREDITS"
    assert reply.headers["content-type"].startswith("application/json")
    assert reply.json()["pay"]["short_by"] == "1"
    assert await caller.holds("slight") == []
