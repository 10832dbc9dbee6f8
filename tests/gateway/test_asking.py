"""What the two services of Envoy answer, question by question, over real gRPC and without Envoy.

An input token costs 3 minor units: the route's 100 of them hold 300.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from ledger.core.limits import INT64_MAX
from ledger.gateway.descriptors import HITS_MAX
from ledger.gateway.envoy import (
    authorization_pb2,
    authorization_pb2_grpc,
    descriptor_pb2,
    rate_limit_pb2,
    rate_limit_pb2_grpc,
)
from ledger.gateway.routes import Defaults
from ledger.journal.memory import AppendFault
from ledger.journal.storage import MemoryStorage
from ledger.v1 import (
    account_pb2,
    balance_pb2,
    budget_pb2,
    clock_pb2,
    decision_pb2,
    decision_policy_pb2,
    types_pb2,
)
from tests.api import served as api
from tests.patience import HANGS_S

GRANTED = 1_000_000
HELD = 300
CAPTURED, LATE, RELEASED = "CAPTURED", "LATE", "RELEASED"
UNKNOWN, OK, OVER = 0, 1, 2
ROUTE = {"account": "header:x-account", "product": "chat", "quantity.input_tokens": "100"}


class Asking:
    """Envoy's side of both services."""

    def __init__(self, served: api.Served, disk: asyncio.Event, faults: list[AppendFault]) -> None:
        self.served = served
        self.disk = disk  # cleared: nothing is written
        self.faults = faults  # of the next writes
        self.authorization = authorization_pb2_grpc.AuthorizationStub(served.channel)
        self.limits = rate_limit_pb2_grpc.RateLimitServiceStub(served.channel)
        self._streams = 0

    def request(self, *, route: dict[str, str] = ROUTE, **headers: str) -> Any:
        """A request with a stream id of its own; `x_account="a"` is the header x-account."""
        self._streams += 1
        request = authorization_pb2.CheckRequest()
        attributes = request.attributes
        attributes.context_extensions.update(route)
        attributes.request.http.id = str(self._streams)
        attributes.request.time.seconds = 1_800_000_000
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        attributes.request.http.headers.update({"x-account": "acme"} | sent)
        return request

    async def check(self, request: Any) -> Any:
        return await self.authorization.Check(request)

    async def hold(self, **changes: Any) -> str:
        reply = await self.check(self.request(**changes))
        assert reply.status.code == 0, reply
        return reply.dynamic_metadata["hold_id"]

    async def settle(self, *descriptors: Any, hits: int = 0) -> Any:
        return await self.limits.ShouldRateLimit(
            rate_limit_pb2.RateLimitRequest(
                domain="drawdown", descriptors=descriptors, hits_addend=hits
            )
        )

    async def settled(self, hold_id: str, hits: int, **entries: str) -> tuple[int, str, str]:
        """(code, outcome, reason) of one descriptor."""
        reply = await self.settle(descriptor(hits, hold_id=hold_id, **entries))
        assert reply.overall_code == OK
        [status] = reply.statuses
        shown = reply.dynamic_metadata[hold_id]
        return status.code, shown["outcome"], dict(shown).get("reason", "")

    async def available(self, account: str = "acme", tenant: str = "default") -> int:
        reply = await self.served.balances.Get(
            balance_pb2.BalanceServiceGetRequest(tenant=tenant, account=account)
        )
        [balance] = reply.balances
        return int(balance.available)


def descriptor(hits: int | None, **entries: str) -> descriptor_pb2.RateLimitDescriptor:
    made = descriptor_pb2.RateLimitDescriptor()
    named = {"quantity": "input_tokens", **entries}
    for key, value in named.items():
        if value:
            made.entries.add(key=key, value=value)
    if hits is not None:
        made.hits_addend.value = hits
    return made


@pytest.fixture
async def asking() -> AsyncIterator[Asking]:
    disk, faults = asyncio.Event(), list[AppendFault]()
    disk.set()

    async def pause() -> None:
        await disk.wait()
        await asyncio.sleep(0)

    storage = MemoryStorage(
        api.SystemClock().now_us,
        4,
        pause=pause,
        on_append=lambda row: faults.pop() if faults else None,
    )
    async with api.served(storage, gateway=Defaults(account="header:x-account")) as served:
        for served.tenant in ("sandbox", "default"):
            await served.priced()
            await served.account("acme")
            await served.grant("acme", GRANTED)
        yield Asking(served, disk, faults)


def body_of(reply: Any) -> tuple[int, str]:
    """(HTTP status, reason) of a denial."""
    assert reply.status.code == grpc.StatusCode.PERMISSION_DENIED.value[0]
    headers = {each.header.key: each.header.value for each in reply.denied_response.headers}
    return reply.denied_response.status.code, headers["x-drawdown-reason"]


# -- one hold for one request ---------------------------------------------------------------------


async def test_envoy_asks_twice_for_one_request_and_holds_once(asking: Asking) -> None:
    request = asking.request()
    first, second = await asyncio.gather(asking.check(request), asking.check(request))
    assert first == second
    assert await asking.available() == GRANTED - HELD


async def test_a_request_that_comes_again_after_its_hold_was_settled_is_denied(
    asking: Asking,
) -> None:
    """Nobody works twice for one payment."""
    request = asking.request()
    hold = (await asking.check(request)).dynamic_metadata["hold_id"]
    await asking.settled(hold, 10)
    assert body_of(await asking.check(request)) == (409, "HOLD_SETTLED")


async def test_a_denial_is_the_same_when_asked_again(asking: Asking) -> None:
    route = ROUTE | {"quantity.input_tokens": str(GRANTED)}
    request = asking.request(route=route)
    first = await asking.check(request)
    assert body_of(first) == (402, "INSUFFICIENT_CREDITS")
    assert await asking.check(request) == first


async def test_no_header_has_a_part_in_the_key(asking: Asking) -> None:
    pinned = [asking.request(x_request_id="pinned") for _ in range(10)]
    replies = [await asking.check(request) for request in pinned]
    assert len({reply.dynamic_metadata["hold_id"] for reply in replies}) == 10
    other = asking.request()
    await asking.check(other)
    other.attributes.request.http.headers["x-request-id"] = "changed"
    assert (await asking.check(other)).status.code == 0
    assert await asking.available() == GRANTED - 11 * HELD


async def test_a_number_of_a_stream_that_comes_again_later_is_another_request(
    asking: Asking,
) -> None:
    """Envoy draws them at random, and may be started anew."""
    first, later, elsewhere = asking.request(), asking.request(), asking.request()
    for other in (later, elsewhere):
        other.attributes.request.http.id = first.attributes.request.http.id
    later.attributes.request.time.nanos = 1
    elsewhere.attributes.source.address.socket_address.address = "10.0.0.9"
    replies = [await asking.check(each) for each in (first, later, elsewhere)]
    assert len({reply.dynamic_metadata["hold_id"] for reply in replies}) == 3


async def test_a_gateway_without_ids_of_its_own_gets_no_hold(asking: Asking) -> None:
    request = asking.request()
    request.attributes.request.http.id = ""
    assert body_of(await asking.check(request)) == (500, "ROUTE_INVALID")


def headers_of(reply: Any) -> dict[str, str]:
    return {each.header.key: each.header.value for each in reply.ok_response.headers}


async def test_as_much_as_is_affordable_reaches_the_upstream_as_a_header(asking: Asking) -> None:
    """1,000,000 pay 100 in (300) and 66,646 out (999,690); one more would be 1,000,005."""
    route = ROUTE | {
        "quantity.output_tokens": "header:x-max-tokens|100000",
        "up_to": "output_tokens",
        "up_to_minimum": "header:x-min-tokens|1",
    }
    reply = await asking.check(asking.request(route=route))
    headers = headers_of(reply)
    assert headers["x-drawdown-decision"] == "ALLOW_UP_TO"
    assert headers["x-drawdown-allowed-quantity"] == "66646"
    shown = {each.header.key for each in reply.ok_response.response_headers_to_add}
    assert "x-drawdown-allowed-quantity" in shown
    assert await asking.available() == 10
    too_few = asking.request(route=route, x_min_tokens="10")
    assert body_of(await asking.check(too_few)) == (402, "INSUFFICIENT_CREDITS")
    assert await asking.settled(reply.dynamic_metadata["hold_id"], 0, quantity="output_tokens") == (
        OK,
        RELEASED,
        "",
    )
    less = headers_of(await asking.check(asking.request(route=route, x_max_tokens="50")))
    assert (less["x-drawdown-decision"], less["x-drawdown-allowed-quantity"]) == ("ALLOW", "50")
    looks = route | {"mode": "check", "quantity.output_tokens": "1000000"}
    advised = headers_of(await asking.check(asking.request(route=looks)))
    assert advised["x-drawdown-decision"] == "ALLOW_UP_TO"
    assert "x-drawdown-hold-id" not in advised


async def test_a_denial_names_the_limit_that_decided(asking: Asking) -> None:
    route = ROUTE | {"quantity.input_tokens": str(GRANTED)}
    reply = await asking.check(asking.request(route=route))
    headers = {each.header.key: each.header.value for each in reply.denied_response.headers}
    assert headers["x-drawdown-limit"] == "GRANTS"
    limit = json.loads(reply.denied_response.body)["error"]["limit"]
    assert (limit["kind"], limit["account"], limit["left"]) == ("GRANTS", "acme", str(GRANTED))
    assert limit["id"].startswith("grant_")


async def test_requests_of_one_operation_stay_within_its_budget(asking: Asking) -> None:
    """What a filter that is trusted says of the operation is passed on (rule H4)."""
    served = asking.served
    cap = budget_pb2.Budget(
        measure=budget_pb2.BUDGET_MEASURE_CHARGE, asset="credit", limit=HELD + 1
    )
    await served.budgets.SetOperationBudget(
        budget_pb2.SetOperationBudgetRequest(
            tenant="default", request_id="cap", account="acme", operation="run", budget=cap
        )
    )
    route = ROUTE | {"operation": "header:x-step", "operation_parent": "header:x-run"}
    first = await asking.check(asking.request(route=route, x_step="one", x_run="run"))
    assert first.dynamic_metadata["hold_id"]
    more = asking.request(route=route, x_step="one")
    reply = await asking.check(more)
    assert body_of(reply) == (402, "OPERATION_BUDGET_EXCEEDED")
    headers = {each.header.key: each.header.value for each in reply.denied_response.headers}
    assert headers["x-drawdown-limit"] == "OPERATION"
    advised = await asking.check(asking.request(route=route | {"mode": "check"}, x_step="one"))
    assert body_of(advised) == (402, "OPERATION_BUDGET_EXCEEDED")
    assert (await asking.check(asking.request(route=route))).dynamic_metadata["hold_id"]


async def reserved(
    asking: Asking, units: int, account: str = "acme", operation: str = "run"
) -> str:
    made = await asking.served.decisions.Authorize(
        decision_pb2.AuthorizeRequest(
            tenant="default",
            request_id=f"{account}/{operation}",
            account=account,
            operation=operation,
            operation_amount=units,
        )
    )
    assert made.hold_id
    return made.hold_id


async def left_of(asking: Asking, hold_id: str) -> tuple[int, dict[str, int]]:
    request = decision_pb2.GetHoldRequest(tenant="default", hold_id=hold_id)
    hold = (await asking.served.decisions.GetHold(request)).hold
    return hold.left, dict(hold.drawn)


async def test_a_request_holds_of_its_operations_hold_and_leaves_it_the_rest(
    asking: Asking,
) -> None:
    """The hold's id is what a filter says that the operator trusts (rules H1, H4)."""
    whole = await reserved(asking, 1_000)
    route = ROUTE | {"operation_hold": "metadata:agents:hold"}
    request = asking.request(route=route)
    request.attributes.metadata_context.filter_metadata["agents"].update({"hold": whole})
    reply = await asking.check(request)
    assert reply.status.code == 0
    assert await left_of(asking, whole) == (1_000 - HELD, {})
    assert await asking.available() == GRANTED - 1_000
    again = await asking.check(request)  # Envoy asks twice of one request
    assert again.dynamic_metadata["hold_id"] == reply.dynamic_metadata["hold_id"]
    assert await left_of(asking, whole) == (1_000 - HELD, {})
    settled = await asking.settled(reply.dynamic_metadata["hold_id"], 40)
    assert settled == (OK, CAPTURED, "")
    assert await left_of(asking, whole) == (1_000 - 120, {"chat": 120})
    assert await asking.available() == GRANTED - 1_000


async def test_no_header_of_a_client_names_a_hold_unless_the_route_says_so(asking: Asking) -> None:
    whole = await reserved(asking, 1_000)
    sent = {"x_drawdown_hold_id": whole, "x_operation_hold": whole, "hold_id": whole}
    await asking.hold(**sent)
    await asking.hold(route=ROUTE | {"operation_hold": "metadata:agents:hold"}, **sent)
    assert await left_of(asking, whole) == (1_000, {})
    await asking.hold(route=ROUTE | {"operation_hold": "header:x-operation-hold"}, **sent)
    assert await left_of(asking, whole) == (1_000 - HELD, {})


async def test_a_hold_that_is_not_for_the_request_is_a_denial(asking: Asking) -> None:
    await asking.served.account("other")
    await asking.served.grant("other", GRANTED)
    others = await reserved(asking, 1_000, "other")
    route = ROUTE | {"operation_hold": "header:x-run-hold", "operation": "header:x-step"}
    reply = await asking.check(asking.request(route=route, x_run_hold=others))
    assert body_of(reply) == (403, "HOLD_UNKNOWN")
    reply = await asking.check(asking.request(route=route, x_run_hold="no id"))
    assert body_of(reply)[0] in (400, 403)
    own = await reserved(asking, 1_000)
    advised = route | {"mode": "check"}
    for each in (route, advised):
        asked = asking.request(route=each, x_run_hold=own, x_step="elsewhere")
        assert body_of(await asking.check(asked)) == (403, "OPERATION_DIFFERS")
    reply = await asking.check(asking.request(route=advised, x_run_hold=own))
    assert reply.status.code == 0
    assert await left_of(asking, own) == (1_000, {})
    work = await asking.hold()
    reply = await asking.check(asking.request(route=route, x_run_hold=work))
    assert body_of(reply) == (400, "HOLD_OTHER_WORK")
    released = decision_pb2.ReleaseRequest(tenant="default", request_id="r", hold_id=own)
    await asking.served.decisions.Release(released)
    reply = await asking.check(asking.request(route=route, x_run_hold=own))
    assert body_of(reply) == (409, "HOLD_SETTLED")


# -- whose request it is ---------------------------------------------------------------------------


async def test_the_account_is_the_one_of_a_verified_claim(asking: Asking) -> None:
    await asking.served.account("claimed")
    await asking.served.grant("claimed", GRANTED)
    request = asking.request(route=ROUTE | {"account": "jwt:org.id"}, x_account="acme")
    said = request.attributes.metadata_context.filter_metadata["envoy.filters.http.jwt_authn"]
    said.update({"jwt_payload": {"org": {"id": "claimed"}, "sub": "me"}})
    await asking.check(request)
    assert await asking.available("claimed") == GRANTED - HELD
    assert await asking.available("acme") == GRANTED


async def test_the_account_is_the_one_of_the_certificate(asking: Asking) -> None:
    await asking.served.account("spiffe://mesh/acme")
    await asking.served.grant("spiffe://mesh/acme", GRANTED)
    request = asking.request(route=ROUTE | {"account": "principal"})
    assert body_of(await asking.check(request)) == (401, "IDENTITY_MISSING")
    request.attributes.source.principal = "spiffe://mesh/acme"
    assert (await asking.check(request)).status.code == 0
    assert await asking.available("spiffe://mesh/acme") == GRANTED - HELD


async def test_the_account_is_what_another_filter_says(asking: Asking) -> None:
    request = asking.request(route=ROUTE | {"account": "metadata:my.filter:who"}, x_account="x")
    request.attributes.metadata_context.filter_metadata["my.filter"].update({"who": "acme"})
    assert (await asking.check(request)).status.code == 0


@pytest.mark.parametrize("number", [2**53, 1.5, True])
async def test_a_number_that_may_have_been_rounded_names_nobody(
    asking: Asking, number: object
) -> None:
    request = asking.request(route=ROUTE | {"account": "jwt:sub"})
    said = request.attributes.metadata_context.filter_metadata["envoy.filters.http.jwt_authn"]
    said.update({"jwt_payload": {"sub": number}})
    assert body_of(await asking.check(request)) == (401, "IDENTITY_MISSING")


async def test_the_server_says_what_a_route_does_not(asking: Asking) -> None:
    route = {name: value for name, value in ROUTE.items() if name != "account"}
    assert (await asking.check(asking.request(route=route))).status.code == 0


async def test_an_account_that_no_header_can_carry_is_encoded_in_it(asking: Asking) -> None:
    await asking.served.account("büro 1")
    await asking.served.grant("büro 1", GRANTED)
    reply = await asking.check(asking.request(route=ROUTE | {"account": "büro 1"}))
    headers = {each.header.key: each.header.value for each in reply.ok_response.headers}
    assert headers["x-drawdown-account"] == "b%C3%BCro%201"
    assert reply.dynamic_metadata["account"] == "büro 1"


@pytest.mark.parametrize(
    "change",
    [
        {"acount": "header:x"},
        {"account": "header:"},
        {"account": "metadata:only"},
        {"product": ""},
        {"mode": "free"},
        {"unit": "0"},
        {"unit": "1000000001"},
        {"lifetime_s": "-1"},
        {"lifetime_s": "0"},
        {"tenant": "nowhere"},
        {"up_to": "output_tokens"},
        {"up_to_minimum": "5"},
        {"operation_parent": "header:x-run"},
        {"operation_hold": "header:"},
    ],
)
async def test_a_route_that_makes_no_sense_lets_nothing_through(
    asking: Asking, change: dict[str, str]
) -> None:
    """Whatever `failure_mode_allow` says: this is an answer, not a failure."""
    status, reason = body_of(await asking.check(asking.request(route=ROUTE | change)))
    assert (status, reason) in ((500, "ROUTE_INVALID"), (500, "TENANT_UNKNOWN"))


async def test_an_account_that_is_frozen_is_forbidden(asking: Asking) -> None:
    await asking.served.accounts.Freeze(
        account_pb2.FreezeRequest(
            tenant="default", request_id="freeze-1", account="acme", reason="unpaid"
        )
    )
    assert body_of(await asking.check(asking.request())) == (403, "ACCOUNT_FROZEN")


async def test_where_no_writer_answers_the_products_fail_mode_decides(asking: Asking) -> None:
    """Never an allow of a product that nobody has opened, whatever `failure_mode_allow` says."""
    for writer in asking.served.ledger.writers:
        await writer.stop()
    assert body_of(await asking.check(asking.request())) == (503, "LEDGER_UNAVAILABLE")


async def test_where_we_stop_the_gateways_own_rule_decides(asking: Asking) -> None:
    """Another server may answer."""
    for writer in asking.served.ledger.writers:
        await writer.stop()
    asking.served.server.edge.closing.set()
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await asking.check(asking.request())
    assert failed.value.code() == grpc.StatusCode.UNAVAILABLE


# -- what was used ---------------------------------------------------------------------------------


async def test_a_hold_is_settled_once(asking: Asking) -> None:
    hold = await asking.hold()
    assert await asking.settled(hold, 40, account="acme") == (OK, CAPTURED, "")
    assert await asking.settled(hold, 40) == (OK, CAPTURED, "")  # told again: the same outcome
    assert await asking.settled(hold, 41) == (UNKNOWN, "REFUSED", "CONFLICT")
    assert await asking.settled(hold, 0) == (UNKNOWN, "REFUSED", "CONFLICT")
    assert await asking.available() == GRANTED - 120


async def test_a_hold_that_somebody_else_settled_stays_as_it_is(asking: Asking) -> None:
    hold = await asking.hold()
    await asking.served.decisions.Release(
        decision_pb2.ReleaseRequest(tenant="default", request_id="r", hold_id=hold)
    )
    assert await asking.settled(hold, 40) == (UNKNOWN, "REFUSED", "HOLD_SETTLED")
    assert await asking.available() == GRANTED


@pytest.mark.parametrize("hits", [HITS_MAX + 1, 2**63, 2**64 - 5])
async def test_hits_above_the_limit_settle_nothing(asking: Asking, hits: int) -> None:
    """2^64 - 5 is what a negative number becomes on its way."""
    hold = await asking.hold()
    assert await asking.settled(hold, hits) == (UNKNOWN, "REFUSED", "NUMBER_OUT_OF_RANGE")
    assert await asking.available() == GRANTED - HELD


async def test_a_unit_counts_up_to_the_largest_quantity_and_no_further(asking: Asking) -> None:
    hold = await asking.hold()
    reply = await asking.settle(
        *[descriptor(HITS_MAX, hold_id=hold, unit="1000000000") for _ in range(10)]
    )
    assert reply.dynamic_metadata[hold]["reason"] == "OVERFLOW"
    assert 10 * HITS_MAX * 1_000_000_000 > INT64_MAX
    assert await asking.settled(hold, 2, unit="10") == (OK, CAPTURED, "")
    assert await asking.available() == GRANTED - 20 * 3


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ({"quantity": ""}, "FIELD_REQUIRED"),
        ({"unit": "0"}, "FIELD_REQUIRED"),
        ({"unit": "ten"}, "NUMBER_MALFORMED"),
        ({"who": "me"}, "FIELD_NOT_ALLOWED"),
        ({"account": "somebody"}, "HOLD_UNKNOWN"),
        ({"tenant": "sandbox"}, "HOLD_UNKNOWN"),
        ({"tenant": "nowhere"}, "TENANT_UNKNOWN"),
    ],
)
async def test_a_descriptor_that_cannot_be_counted_settles_nothing(
    asking: Asking, entries: dict[str, str], reason: str
) -> None:
    hold = await asking.hold()
    assert await asking.settled(hold, 5, **entries) == (UNKNOWN, "REFUSED", reason)
    assert await asking.settled(hold, 5) == (OK, CAPTURED, "")


async def test_an_id_of_no_hold_is_answered_and_nothing_else(asking: Asking) -> None:
    assert await asking.settled("hold_AAAA", 5) == (UNKNOWN, "REFUSED", "HOLD_UNKNOWN")


async def test_what_is_told_after_the_expiry_is_recorded_late(asking: Asking) -> None:
    """Rule H1: refused for the hold, recorded as plain usage."""
    hold = await asking.hold(route=ROUTE | {"tenant": "sandbox", "lifetime_s": "60"})
    assert await asking.available(tenant="sandbox") == GRANTED - HELD
    await asking.served.clock.Advance(
        clock_pb2.AdvanceRequest(tenant="sandbox", request_id="a", by_us=61_000_000)
    )
    assert await asking.settled(hold, 10, tenant="sandbox") == (OK, LATE, "HOLD_EXPIRED")
    assert await asking.available(tenant="sandbox") == GRANTED - 30


async def test_all_that_a_request_used_settles_its_hold_together(asking: Asking) -> None:
    """One status each, in order, whatever the descriptors ask for."""
    one = await asking.hold(route=ROUTE | {"quantity.output_tokens": "10"})
    other = await asking.hold()
    reply = await asking.settle(
        descriptor(20, hold_id=one),
        descriptor(HITS_MAX + 1, hold_id=other),
        descriptor(10, account="acme", product="chat"),
        descriptor(GRANTED, account="acme", product="chat"),
        descriptor(4, hold_id=one, quantity="output_tokens"),
        descriptor(1, hold_id="hold_no"),
        descriptor(1),
    )
    assert [each.code for each in reply.statuses] == [OK, UNKNOWN, OK, OVER, OK, UNKNOWN, UNKNOWN]
    assert reply.overall_code == OVER
    assert reply.dynamic_metadata[one]["charge"] == str(20 * 3 + 4 * 15)
    assert await asking.available() == GRANTED - 120 - HELD


def limited(
    hits: int, request_id: str = "r-1", **entries: str
) -> descriptor_pb2.RateLimitDescriptor:
    """One that asks for a hold."""
    named = {"account": "acme", "product": "chat", "request_id": request_id} | entries
    return descriptor(hits, **named)


async def test_a_rate_limit_that_names_its_request_holds_all_of_it_once(asking: Asking) -> None:
    """100 x 3 + 10 x 15 = 450; the same again is the same hold, another request another one."""
    parts = limited(100), limited(10, quantity="output_tokens")
    first, again = await asking.settle(*parts), await asking.settle(*parts)
    assert first == again
    assert [each.code for each in first.statuses] == [OK, OK]
    hold = first.dynamic_metadata["hold_id"]
    assert dict(first.dynamic_metadata) == {"tenant": "default", "account": "acme", "hold_id": hold}
    shown = {each.key: each.value for each in first.response_headers_to_add}
    assert shown["x-drawdown-charge"] == "450"
    assert "x-drawdown-hold-id" not in shown
    assert await asking.available() == GRANTED - 450
    assert await asking.settled(hold, 20) == (OK, CAPTURED, "")
    assert await asking.available() == GRANTED - 60
    ended = await asking.settle(*parts)  # nobody works twice for one payment
    assert ended.overall_code == OVER
    assert json.loads(ended.raw_body)["error"]["code"] == "HOLD_SETTLED"
    other = await asking.settle(limited(100, "r-2"))
    assert other.dynamic_metadata["hold_id"] != hold


async def test_a_rate_limit_that_is_over_says_why_and_gives_back_what_it_held(
    asking: Asking,
) -> None:
    reply = await asking.settle(limited(100), limited(GRANTED, "r-2"))
    assert [each.code for each in reply.statuses] == [OK, OVER]
    headers = {each.key: each.value for each in reply.response_headers_to_add}
    assert headers["x-drawdown-reason"] == "INSUFFICIENT_CREDITS"
    assert headers["content-type"] == "application/json; charset=utf-8"
    short = 3 * GRANTED - (GRANTED - HELD)  # beside what the first holds
    assert json.loads(reply.raw_body)["pay"]["short_by"] == str(short)
    assert not reply.dynamic_metadata
    assert await asking.available() == GRANTED


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ((limited(1), limited(1, product="jobs")), "FIELD_NOT_ALLOWED"),
        ((limited(1), limited(1, **{"attribute.model": "m"})), "FIELD_NOT_ALLOWED"),
        ((limited(1), limited(1, product="")), "FIELD_REQUIRED"),
        ((limited(1), limited(HITS_MAX + 1)), "NUMBER_OUT_OF_RANGE"),
        ((limited(HITS_MAX, unit=str(HITS_MAX)),) * 10, "OVERFLOW"),
    ],
)
async def test_a_request_that_cannot_be_read_whole_does_not_run(
    asking: Asking, parts: tuple[Any, ...], reason: str
) -> None:
    reply = await asking.settle(*parts)
    assert {each.code for each in reply.statuses} == {OVER}
    assert json.loads(reply.raw_body)["error"]["code"] == reason
    assert await asking.available() == GRANTED


async def test_a_descriptor_settles_or_asks_and_not_both(asking: Asking) -> None:
    hold = await asking.hold()
    refused = (UNKNOWN, "REFUSED", "FIELD_NOT_ALLOWED")
    assert await asking.settled(hold, 5, request_id="r-1") == refused
    assert await asking.settled(hold, 5) == (OK, CAPTURED, "")


async def test_hits_that_a_descriptor_does_not_say_are_those_of_the_call_or_one(
    asking: Asking,
) -> None:
    first, second = await asking.hold(), await asking.hold()
    await asking.settle(descriptor(None, hold_id=first), hits=7)
    await asking.settle(descriptor(None, hold_id=second))
    assert await asking.available() == GRANTED - 3 * 7 - 3 * 1


async def test_a_settlement_goes_on_when_its_caller_has_gone(asking: Asking) -> None:
    """A gateway waits milliseconds; the hold is settled all the same."""
    hold = await asking.hold()
    asking.disk.clear()
    call = asyncio.ensure_future(asking.settle(descriptor(5, hold_id=hold)))
    while not asking.served.server.settlements.under_way:
        await asyncio.sleep(0.001)
    call.cancel()
    await asyncio.wait([call])
    await asyncio.sleep(0.1)  # the server hears of it
    assert asking.served.server.settlements.under_way == 1
    asking.disk.set()
    while asking.served.server.settlements.under_way:
        await asyncio.sleep(0.001)
    assert await asking.available() == GRANTED - 3 * 5


async def test_a_server_that_stops_leaves_what_it_cannot_settle_to_expire(asking: Asking) -> None:
    hold = await asking.hold()
    asking.disk.clear()
    settlements = asking.served.server.settlements
    call = asyncio.ensure_future(asking.settle(descriptor(5, hold_id=hold)))
    while not settlements.under_way:
        await asyncio.sleep(0.001)
    async with asyncio.timeout(HANGS_S):
        await settlements.stop(None)  # although a writer has it, and the disk does not answer
    asking.disk.set()
    await asyncio.wait([call])
    assert settlements.under_way == 0


@pytest.mark.parametrize("fault", [AppendFault.UNKNOWN_WRITTEN, AppendFault.UNKNOWN_NOT_WRITTEN])
async def test_a_settlement_is_tried_again_until_we_can_answer(
    asking: Asking, fault: AppendFault
) -> None:
    """Its commit is lost: whether it was applied is not known, and the same id is sent again."""
    hold = await asking.hold()
    asking.faults.append(fault)
    assert await asking.settled(hold, 5) == (OK, CAPTURED, "")
    assert asking.faults == []
    assert await asking.available() == GRANTED - 3 * 5


async def test_too_many_descriptors_are_refused_whole(asking: Asking) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await asking.settle(*[descriptor(1, hold_id="hold_x") for _ in range(65)])
    assert failed.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_hold_that_nothing_was_used_of_is_given_back(asking: Asking) -> None:
    hold = await asking.hold()
    assert await asking.settled(hold, 0) == (OK, RELEASED, "")
    view = await asking.served.decisions.GetHold(
        decision_pb2.GetHoldRequest(tenant="default", hold_id=hold)
    )
    assert view.hold.state == types_pb2.HOLD_STATE_RELEASED


async def test_work_that_runs_instead_is_named_to_the_upstream(asking: Asking) -> None:
    """A fifth of the tokens in brief mode costs 60,000 of 300,000, of which 100,000 are there."""
    served = asking.served
    await served.account("small")
    await served.grant("small", 100_000)
    brief = decision_pb2.Alternative(
        attributes={"mode": "brief", "tier": "a b"},
        quantities=[
            decision_pb2.QuantityMap(quantity="input_tokens", becomes="input_tokens", permille=200)
        ],
    )
    await served.policies.Set(
        decision_policy_pb2.DecisionPolicyServiceSetRequest(
            tenant="default",
            request_id="policy",
            account="small",
            rules=[
                decision_policy_pb2.PolicyRule(
                    action=decision_pb2.POLICY_ACTION_DOWNGRADE, alternatives=[brief]
                ),
                decision_policy_pb2.PolicyRule(action=decision_pb2.POLICY_ACTION_TOP_UP),
            ],
        )
    )
    route = ROUTE | {"quantity.input_tokens": "100000"}
    for mode in ("check", "hold"):
        reply = await asking.check(asking.request(route=route | {"mode": mode}, x_account="small"))
        assert reply.status.code == 0, reply
        said = {each.header.key: each.header.value for each in reply.ok_response.headers}
        assert said["x-drawdown-decision"] == "DOWNGRADE"
        assert said["x-drawdown-charge"] == "60000"
        assert said["x-drawdown-product"] == "chat"
        assert said["x-drawdown-attributes"] == "mode=brief&tier=a+b"
        assert said["x-drawdown-quantities"] == "input_tokens=20000"
        removed = set(reply.ok_response.headers_to_remove)
        assert {"x-drawdown-missing", "x-drawdown-allowed-quantity"} <= removed
    plain = await asking.check(asking.request(x_account="small"))
    assert "x-drawdown-product" in plain.ok_response.headers_to_remove
    denied = await asking.check(asking.request(route=route, x_account="small"))
    assert body_of(denied) == (402, "INSUFFICIENT_CREDITS")
    answer = denied.denied_response
    headers = {each.header.key: each.header.value for each in answer.headers}
    assert (headers["x-drawdown-decision"], headers["x-drawdown-missing"]) == ("TOP_UP", "260300")
    assert json.loads(answer.body)["pay"]["short_by"] == "260300"
