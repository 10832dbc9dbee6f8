"""May it run? Advice, holds, and settling them: each once, and a retry says the same."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from ledger.v1 import decision_pb2, grant_pb2, types_pb2, usage_pb2
from tests.api.served import TENANT, Served, event, refusal_of

ALLOW = decision_pb2.DECISION_ALLOW
DENY = decision_pb2.DECISION_DENY
OVERDRAFT = decision_pb2.DECISION_ALLOW_OVERDRAFT
COST = 600  # of 100 input and 20 output tokens


def capturing(hold_id: str, **changes: Any) -> decision_pb2.CaptureRequest:
    fields = {
        "tenant": TENANT,
        "request_id": "capture",
        "hold_id": hold_id,
        "quantities": {"input_tokens": 50, "output_tokens": 10},
        **changes,
    }
    return decision_pb2.CaptureRequest(**fields)


def releasing(hold_id: str, request_id: str = "release") -> decision_pb2.ReleaseRequest:
    return decision_pb2.ReleaseRequest(tenant=TENANT, request_id=request_id, hold_id=hold_id)


async def test_advice_is_allow_until_the_credits_run_out(priced: Served):
    await priced.account("acme")
    await priced.grant("acme", COST + 100)
    found = await priced.check("acme")
    assert (found.decision, found.reason, found.charge) == (ALLOW, "", COST)
    assert (found.available, found.asset, found.scale) == (str(COST + 100), "credit", 6)
    assert (found.rate_card, found.rate_card_version, found.policy_version) == ("default", 2, 1)
    assert found.position
    await priced.ingest(event("a", "acme"))
    denied = await priced.check("acme")
    assert (denied.decision, denied.reason) == (DENY, "INSUFFICIENT_CREDITS")
    assert denied.available == "100"


async def test_advice_on_work_without_a_price_is_a_denial(priced: Served):
    await priced.account("acme")
    await priced.grant("acme", 1_000)
    found = await priced.check("acme", product="video")
    assert (found.decision, found.reason, found.asset) == (DENY, "UNPRICED", "credit")


async def test_the_overdraft_allows_and_says_so(priced: Served):
    await priced.account("acme", overdraft_asset="credit", overdraft_limit=1_000)
    assert (await priced.check("acme")).decision == OVERDRAFT
    authorized = await priced.authorize("acme")
    assert authorized.decision == OVERDRAFT
    assert (await priced.balance("acme")).available == "400"
    denied = await priced.authorize("acme")
    assert (denied.decision, denied.hold_id, denied.available) == (DENY, "", "400")


async def test_a_hold_is_captured_for_less_and_the_rest_goes_back(priced: Served):
    await priced.account("acme")
    await priced.grant("acme", 1_000)
    held = await priced.authorize("acme", request_id="auth", attributes={"region": "eu"})
    assert (held.decision, held.amount, held.asset, held.scale) == (ALLOW, COST, "credit", 6)
    assert held.hold_state == types_pb2.HOLD_STATE_OPEN
    assert held.expires_at_us > priced.ledger.clock.now_us()
    balance = await priced.balance("acme", "chat", held.position)
    assert (balance.available, balance.applicable) == ("400", "400")
    assert (balance.granted, balance.pending) == ("1000", str(COST))
    captured = await priced.decisions.Capture(capturing(held.hold_id))
    assert captured.outcome == usage_pb2.INGEST_OUTCOME_APPLIED
    assert (captured.charge, captured.released, captured.late) == (300, 300, False)
    assert captured.hold_state == types_pb2.HOLD_STATE_CAPTURED
    assert (await priced.balance("acme")).available == "700"
    entry = (
        await priced.usage.Get(
            usage_pb2.UsageServiceGetRequest(
                tenant=TENANT, account="acme", id="capture", min_position=captured.position
            )
        )
    ).entry
    assert (entry.hold_id, entry.charge) == (held.hold_id, 300)
    assert dict(entry.attributes) == {"region": "eu"}


async def test_a_capture_above_the_hold_draws_new_usage(priced: Served):
    await priced.account("acme")
    await priced.grant("acme", 1_000)
    held = await priced.authorize("acme")
    more = capturing(held.hold_id, quantities={"input_tokens": 300, "output_tokens": 0})
    captured = await priced.decisions.Capture(more)
    assert (captured.charge, captured.released) == (900, 0)
    assert (await priced.balance("acme")).available == "100"


async def test_retries_say_what_was_said_and_show_the_present_hold(priced: Served):
    await priced.account("acme")
    await priced.grant("acme", 1_000)
    held = await priced.authorize("acme", request_id="auth")
    await priced.decisions.Capture(capturing(held.hold_id))
    again = await priced.authorize("acme", request_id="auth")
    assert again.replayed
    assert (again.hold_id, again.amount, again.expires_at_us) == (
        held.hold_id,
        held.amount,
        held.expires_at_us,
    )
    assert again.hold_state == types_pb2.HOLD_STATE_CAPTURED
    assert again.position == held.position
    captured = await priced.decisions.Capture(capturing(held.hold_id))
    assert captured.replayed
    assert (captured.charge, captured.released) == (300, 300)
    assert (await priced.balance("acme")).available == "700"


async def test_a_denial_replays_after_a_top_up(priced: Served):
    await priced.account("acme")
    denied = await priced.authorize("acme", request_id="auth")
    assert (denied.decision, denied.reason, denied.amount) == (DENY, "INSUFFICIENT_CREDITS", COST)
    await priced.grant("acme", 1_000)
    again = await priced.authorize("acme", request_id="auth")
    assert (again.decision, again.replayed) == (DENY, True)
    assert (await priced.authorize("acme")).decision == ALLOW


async def test_a_request_id_with_another_body_is_a_conflict(priced: Served):
    await priced.account("acme")
    await priced.grant("acme", 1_000)
    await priced.authorize("acme", request_id="auth")
    found = await refusal_of(
        priced.authorize("acme", request_id="auth", quantities={"input_tokens": 1})
    )
    assert (found.code, found.reason) == (grpc.StatusCode.ALREADY_EXISTS, "CONFLICT")
    assert found.metadata["field"] == "quantities"


async def test_a_release_gives_everything_back_once(priced: Served):
    await priced.account("acme")
    await priced.grant("acme", 1_000)
    held = await priced.authorize("acme")
    released = await priced.decisions.Release(releasing(held.hold_id))
    assert (released.released, released.asset) == (COST, "credit")
    assert released.hold_state == types_pb2.HOLD_STATE_RELEASED
    again = await priced.decisions.Release(releasing(held.hold_id))
    assert (again.released, again.replayed) == (COST, True)
    assert (await priced.balance("acme")).available == "1000"
    for settle in (
        priced.decisions.Release(releasing(held.hold_id, "another")),
        priced.decisions.Capture(capturing(held.hold_id)),
    ):
        found = await refusal_of(settle)
        assert (found.code, found.reason) == (
            grpc.StatusCode.FAILED_PRECONDITION,
            "HOLD_SETTLED",
        )
        assert found.metadata["value"] == held.hold_id


async def test_usage_after_the_hold_ended_is_recorded_late(priced: Served):
    await priced.account("acme")
    await priced.grant("acme", 1_000)
    held = await priced.authorize("acme", lifetime_us=1)
    captured = await priced.decisions.Capture(capturing(held.hold_id))
    assert (captured.late, captured.reason) == (True, "HOLD_EXPIRED")
    assert (captured.charge, captured.released) == (300, 0)
    assert captured.hold_state == types_pb2.HOLD_STATE_EXPIRED
    assert (await priced.balance("acme")).available == "700"


async def test_holds_never_overspend_however_many_ask_at_once(priced: Served):
    await priced.account("acme")
    await priced.grant("acme", 10 * COST)
    answers = await asyncio.gather(*[priced.authorize("acme") for _ in range(40)])
    assert sorted(answer.decision for answer in answers) == [ALLOW] * 10 + [DENY] * 30
    assert (await priced.balance("acme")).available == "0"


async def test_the_limit_of_open_holds(priced: Served):
    await priced.account("acme", max_open_holds=1)
    await priced.grant("acme", 10 * COST)
    await priced.authorize("acme")
    for call in (priced.authorize("acme"), priced.check("acme")):
        found = await refusal_of(call)
        assert (found.code, found.reason) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "HOLDS_LIMIT",
        )
        assert found.quota == ["acme"]


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"request_id": ""}, "FIELD_REQUIRED", "request_id"),
        ({"lifetime_us": -1}, "NUMBER_OUT_OF_RANGE", "lifetime_us"),
        ({"lifetime_us": 86_400_000_001}, "HOLD_LIFETIME_INVALID", "lifetime_us"),
        ({"lifetime_us": 35 * 86_400_000_000 + 1}, "NUMBER_OUT_OF_RANGE", "lifetime_us"),
        ({"product": ""}, "FIELD_REQUIRED", "product"),
        ({"quantities": {"input_tokens": 0}}, "QUANTITIES_ALL_ZERO", "quantities"),
        ({"quantities": {"input_tokens": -5}}, "QUANTITY_INVALID", "quantities['input_tokens']"),
        ({"quantities": {}}, "FIELD_REQUIRED", "quantities"),
        ({"attributes": {"": "x"}}, "FIELD_REQUIRED", "attributes['']"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_bad_requests_hold_nothing(priced: Served, changes, reason, field):
    await priced.account("acme")
    await priced.grant("acme", 1_000)
    found = await refusal_of(priced.authorize("acme", **changes))
    assert (found.reason, found.metadata["field"]) == (reason, field)
    assert (await priced.balance("acme")).pending == "0"


@pytest.mark.parametrize("hold_id", ["hold_nonsense", "grant_" + "A" * 27, "x", "hold_" + "A" * 27])
async def test_ids_that_are_none_of_ours(priced: Served, hold_id):
    await priced.account("acme")
    found = await refusal_of(priced.decisions.Release(releasing(hold_id)))
    assert (found.code, found.reason) == (grpc.StatusCode.NOT_FOUND, "HOLD_UNKNOWN")
    assert found.metadata["value"] == hold_id


async def test_an_unknown_account_is_an_error_not_a_denial(priced: Served):
    for call in (priced.check("nobody"), priced.authorize("nobody")):
        found = await refusal_of(call)
        assert (found.code, found.reason) == (grpc.StatusCode.NOT_FOUND, "ACCOUNT_UNKNOWN")
        assert found.metadata["value"] == "nobody"


async def test_a_hold_belongs_to_its_tenant(priced: Served):
    await priced.account("acme")
    await priced.grant("acme", 1_000)
    held = await priced.authorize("acme")
    stranger = releasing(held.hold_id)
    stranger.tenant = "sandbox"
    assert (await refusal_of(priced.decisions.Release(stranger))).reason == "HOLD_UNKNOWN"
    nobody = grant_pb2.GrantServiceListRequest(tenant="sandbox", account="acme")
    assert (await refusal_of(priced.grants.List(nobody))).reason == "ACCOUNT_UNKNOWN"
