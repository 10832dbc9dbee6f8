"""Holds of operations over gRPC: reserved once, drawn by calls of any product (rules H1, H4)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ledger.client import Denied, DrawdownClient
from ledger.client.sync import DrawdownClient as SyncClient
from ledger.v1 import decision_pb2 as pb
from ledger.v1 import journal_pb2, types_pb2
from tests.api.served import PRODUCT, TENANT, Served, refusal_of

TOKENS = {"input_tokens": 100, "output_tokens": 20}  # costs 600


@pytest.fixture
async def funded(priced: Served) -> Served:
    await priced.account("acme")
    await priced.grant("acme", 2_000)
    return priced


def reserving(served: Served, **changes: Any) -> pb.AuthorizeRequest:
    fields = {"account": "acme", "operation": "run", "operation_amount": 1_500, **changes}
    fields.setdefault("request_id", served.new_id())
    return pb.AuthorizeRequest(tenant=TENANT, **fields)


def debiting(served: Served, hold_id: str, **changes: Any) -> pb.DebitRequest:
    fields = {"account": "acme", "product": PRODUCT, "quantities": TOKENS, **changes}
    fields.setdefault("request_id", served.new_id())
    return pb.DebitRequest(tenant=TENANT, hold_id=hold_id, **fields)


async def shown(served: Served, hold_id: str) -> pb.Hold:
    return (await served.decisions.GetHold(pb.GetHoldRequest(tenant=TENANT, hold_id=hold_id))).hold


async def test_debits_and_captures_draw_from_it_and_outcomes_are_told(funded: Served):
    held = await funded.decisions.Authorize(reserving(funded, request_id="r"))
    assert (held.decision, held.amount) == (pb.DECISION_ALLOW, 1_500)
    debited = await funded.decisions.Debit(debiting(funded, held.hold_id, request_id="d"))
    assert (debited.decision, debited.charge) == (pb.DECISION_ALLOW, 600)
    capture = pb.CaptureRequest(
        tenant=TENANT, request_id="c", hold_id=held.hold_id, product=PRODUCT, quantities=TOKENS,
        keep_open=True,
    )  # fmt: skip
    captured = await funded.decisions.Capture(capture)
    assert (captured.charge, captured.hold_left) == (600, 300)
    hold = await shown(funded, held.hold_id)
    assert (hold.covers_operation, hold.product, hold.left, hold.captured) == (True, "", 300, 1_200)
    assert dict(hold.drawn) == {PRODUCT: 1_200} and len(hold.operation_key) == 32
    denied = await funded.decisions.Debit(
        debiting(funded, held.hold_id, request_id="n", quantities={"input_tokens": 300})
    )
    assert (denied.reason, denied.charge, denied.available) == ("INSUFFICIENT_CREDITS", 900, "800")
    again = await funded.decisions.Debit(debiting(funded, held.hold_id, request_id="d"))
    assert again.replayed and again.charge == 600
    for request_id, kind in (
        ("r", journal_pb2.MUTATION_KIND_AUTHORIZE),
        ("d", journal_pb2.MUTATION_KIND_DEBIT),
        ("n", journal_pb2.MUTATION_KIND_DEBIT),
        ("c", journal_pb2.MUTATION_KIND_CAPTURE),
    ):
        outcome = await funded.journal.GetOutcome(
            journal_pb2.GetOutcomeRequest(tenant=TENANT, account="acme", request_id=request_id)
        )
        assert outcome.kind == kind
    released = await funded.decisions.Release(
        pb.ReleaseRequest(tenant=TENANT, request_id="x", hold_id=held.hold_id)
    )
    assert released.released == 300
    settled = await shown(funded, held.hold_id)
    assert (settled.state, dict(settled.drawn)) == (
        types_pb2.HOLD_STATE_RELEASED, {PRODUCT: 1_200},
    )  # fmt: skip


async def test_what_a_request_may_not_say(funded: Served):
    for request, reason, field in (
        (reserving(funded, operation=""), "FIELD_REQUIRED", "operation"),
        (reserving(funded, product=PRODUCT), "FIELD_NOT_ALLOWED", "product"),
        (reserving(funded, quantities=TOKENS), "FIELD_NOT_ALLOWED", "quantities"),
        (reserving(funded, operation_amount=-1), "NUMBER_OUT_OF_RANGE", "operation_amount"),
    ):
        refused = await refusal_of(funded.decisions.Authorize(request))
        assert (refused.reason, refused.metadata["field"]) == (reason, field)
    await funded.account("other")
    held = await funded.decisions.Authorize(reserving(funded))
    refused = await refusal_of(
        funded.decisions.Debit(debiting(funded, held.hold_id, account="other"))
    )
    assert refused.reason == "HOLD_UNKNOWN"
    work = await funded.decisions.Authorize(
        pb.AuthorizeRequest(
            tenant=TENANT,
            request_id="w",
            account="acme",
            product=PRODUCT,
            quantities={"input_tokens": 10},
        )
    )
    refused = await refusal_of(funded.decisions.Debit(debiting(funded, work.hold_id)))
    assert refused.reason == "HOLD_OTHER_WORK"


async def test_a_client_holds_for_a_block_and_many_callers_draw_what_there_is(funded: Served):
    """200 callers at once: as many as the hold and the account afford, and no more."""
    async with DrawdownClient(funded.address, tenant=TENANT) as client:
        async with client.operation("acme", "run", hold=1_500) as run:
            answers = await asyncio.gather(
                *[run.debit(PRODUCT, {"input_tokens": 5}) for _ in range(200)]
            )
            allowed = [each for each in answers if each.decision == pb.DECISION_ALLOW]
            charge = allowed[0].charge
            assert len(allowed) == 2_000 // charge
            assert {each.reason for each in answers} == {"", "INSUFFICIENT_CREDITS"}
        assert (await shown(funded, run.hold_id)).state == types_pb2.HOLD_STATE_RELEASED
        with pytest.raises(Denied, match="operation more"):
            async with client.operation("acme", "more", hold=2_000):
                pass


async def test_the_same_without_await(funded: Served):
    def act() -> str:
        with SyncClient(funded.address, tenant=TENANT) as client:
            with client.operation("acme", "run", hold=1_500) as run:
                assert run.decision is not None and run.decision.amount == 1_500
                assert run.debit(PRODUCT, TOKENS).charge == 600
                assert run.meter(PRODUCT, TOKENS, operation="tool").hold_left == 300
            return run.hold_id

    hold_id = await asyncio.to_thread(act)
    assert (await shown(funded, hold_id)).captured == 1_200
