"""Leases of operations over gRPC: one hard budget caps all callers of one (rules H4, H7).

A call of 100 input and 20 output tokens costs 600 micro credits at the prices of `served.card`.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ledger.client import Denied, DrawdownClient, LeaseTerms, UsageEvent
from ledger.client.sync import DrawdownClient as SyncClient
from ledger.v1 import budget_pb2, decision_pb2
from ledger.v1 import lease_pb2 as pb
from tests.api.served import PRODUCT, TENANT, Served, refusal_of

TOKENS = {"input_tokens": 100, "output_tokens": 20}
COST = 600
SOON = LeaseTerms(wanted=3_000, report_every_us=20_000, ask_every_us=20_000)


@pytest.fixture
async def capped(served: Served) -> Served:
    """In memory, with an account of 100,000 micro credits, whose operation `run` may use 9,000."""
    await served.priced()
    await served.account("acme")
    await served.grant("acme", 100_000)
    async with DrawdownClient(served.address, tenant=TENANT) as client:
        await client.set_operation_budget("acme", "run", cap(9_000))
    return served


def cap(limit: int, **changes: Any) -> budget_pb2.Budget:
    measure = budget_pb2.BUDGET_MEASURE_CHARGE
    return budget_pb2.Budget(measure=measure, asset="credit", limit=limit, **changes)


def acquiring(served: Served, **changes: Any) -> pb.LeaseServiceAcquireRequest:
    fields = {
        "tenant": TENANT,
        "request_id": served.new_id(),
        "account": "acme",
        "product": PRODUCT,
        "holder": "edge-1",
        "wanted": 6_000,
        "operation": "run",
        **changes,
    }
    return pb.LeaseServiceAcquireRequest(**fields)


async def counted(client: DrawdownClient, operation: str = "run") -> tuple[int, int]:
    budget = (await client.get_operation_budget("acme", operation)).budget
    return int(budget.used), int(budget.pending)


async def test_a_lease_and_its_reports_count_in_the_operation(capped: Served):
    made = await capped.leases.Acquire(acquiring(capped, request_id="first"))
    assert made.amount == 6_000
    other = await refusal_of(
        capped.leases.Acquire(acquiring(capped, request_id="first", operation="walk"))
    )
    assert (other.reason, other.metadata["field"]) == ("CONFLICT", "operation")
    async with DrawdownClient(capped.address, tenant=TENANT) as client:
        assert await counted(client) == (0, 6_000)
        shown = await client.show_lease(made.lease_id)
        key = (await client.set_operation_budget("acme", "run", cap(9_000))).operation_key
        assert shown.operation_key == key
        denied = await client.debit("acme", PRODUCT, {"input_tokens": 1_001}, operation="run")
        assert (denied.reason, denied.limit.left) == ("OPERATION_BUDGET_EXCEEDED", 3_000)
        outcomes, reply = await client.report_leased_usage(
            made.lease_id,
            [
                UsageEvent("plain", "", TOKENS),
                UsageEvent("below", "", TOKENS, operation="tool", operation_parent="run"),
                UsageEvent("other", "", TOKENS, operation="walk"),
            ],
        )
        assert [each.reason for each in outcomes] == ["", "", "OPERATION_DIFFERS"]
        assert reply.lease.left == 6_000 - 2 * COST
        again, _ = await client.report_leased_usage(
            made.lease_id, [UsageEvent("plain", "", TOKENS)]
        )
        assert again[0].replayed
        assert await counted(client) == (2 * COST, 6_000 - 2 * COST)
        await client.give_back_lease(made.lease_id)
        assert await counted(client) == (2 * COST, 0)
        assert (await client.show_lease(made.lease_id)).operation_key == key


async def test_a_policy_asks_for_the_operation_and_gives_it_its_budget(capped: Served):
    async with DrawdownClient(capped.address, tenant=TENANT) as client:
        await client.set_operation_policy("acme", cap(2_000))
        bare = await refusal_of(capped.leases.Acquire(acquiring(capped, operation="")))
        assert bare.reason == "LEASE_UNBOUNDED"
        made = await client.acquire_lease(
            "acme", PRODUCT, 6_000, "edge-1", operation="fetch", operation_parent="walk"
        )
        assert made.amount == 2_000
        assert await counted(client, "walk") == (0, 2_000)


async def test_an_operation_that_no_name_holds_is_refused(capped: Served):
    for changes, reason, field in (
        ({"operation": "x" * 129}, "TEXT_TOO_LONG", "operation"),
        ({"operation": "", "operation_parent": "run"}, "FIELD_REQUIRED", "operation"),
        ({"operation_parent": "x" * 129}, "TEXT_TOO_LONG", "operation_parent"),
    ):
        refused = await refusal_of(capped.leases.Acquire(acquiring(capped, **changes)))
        assert (refused.reason, refused.metadata["field"]) == (reason, field)


async def test_200_mixed_callers_never_pass_the_budget_of_their_operation(capped: Served):
    """Leases, debits, holds and draws of the operation's own hold: 15 calls of 600 are affordable,
    whoever makes them."""
    allowed: list[int] = []
    over: list[int] = []
    async with DrawdownClient(capped.address, tenant=TENANT) as client:

        async def caller(number: int) -> None:
            operation, parent = ("run", "") if number % 3 else (f"tool-{number}", "run")
            named = {"operation": operation, "operation_parent": parent}
            match number % 4:
                case 0:
                    made = await client.debit("acme", PRODUCT, TOKENS, **named)
                    allowed.append(int(made.charge) if not made.reason else 0)
                case 1:
                    held = await client.authorize("acme", PRODUCT, TOKENS, **named)
                    if held.decision == decision_pb2.DECISION_ALLOW:
                        got = await client.capture(held.hold_id, TOKENS)
                        allowed.append(int(got.charge))
                case 2:
                    made_lease = await client.acquire_lease(
                        "acme", PRODUCT, 2 * COST, f"edge-{number}", minimum=COST, **named
                    )
                    for each in range(made_lease.amount // COST):
                        event = UsageEvent(f"e-{number}-{each}", "", TOKENS)
                        outcomes, reply = await client.report_leased_usage(
                            made_lease.lease_id, [event]
                        )
                        allowed.extend(int(outcome.charge) for outcome in outcomes)
                        over.extend(each.amount for each in reply.over)
                    await client.give_back_lease(made_lease.lease_id)
                case _:
                    try:
                        async with client.operation("acme", "run", hold=COST) as run:
                            made = await run.debit(PRODUCT, TOKENS)
                            allowed.append(int(made.charge) if not made.reason else 0)
                    except Denied:
                        pass

        await asyncio.gather(*[caller(number) for number in range(200)])
        used, pending = await counted(client)
        assert (used, pending, over) == (sum(allowed), 0, [])
        assert 0 < used <= 9_000
        more = await client.debit("acme", PRODUCT, {"input_tokens": 9_000}, operation="run")
        assert more.reason == "OPERATION_BUDGET_EXCEEDED"


async def test_a_held_lease_decides_for_its_operation(capped: Served):
    async with DrawdownClient(capped.address, tenant=TENANT) as client:
        async with client.hold_lease("acme", PRODUCT, SOON, operation="run") as lease:
            assert await counted(client) == (0, 3_000)
            assert lease.spend(COST, UsageEvent("one", "", TOKENS))
        assert await counted(client) == (COST, 0)
        assert not lease.unrecorded


async def test_the_same_without_await(capped: Served):
    def act() -> None:
        with (
            SyncClient(capped.address, tenant=TENANT) as client,
            client.hold_lease("acme", PRODUCT, SOON, operation="run") as lease,
        ):
            assert lease.spend(COST, UsageEvent("one", "", TOKENS))

    await asyncio.to_thread(act)
    async with DrawdownClient(capped.address, tenant=TENANT) as client:
        assert await counted(client) == (COST, 0)
