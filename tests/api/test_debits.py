"""Charged in one step, or as much as is affordable; what decided, and when to ask again."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from ledger.core.limits import DAY_US, MINUTE_US
from ledger.v1 import (
    budget_pb2,
    correction_pb2,
    decision_pb2,
    family_pb2,
    journal_pb2,
    types_pb2,
    usage_pb2,
)
from tests.api.served import TENANT, Served, refusal_of

ALLOW = decision_pb2.DECISION_ALLOW
DENY = decision_pb2.DECISION_DENY
UP_TO = decision_pb2.DECISION_ALLOW_UP_TO
COST = 600  # of 100 input and 20 output tokens


def ranged(minimum: int, maximum: int) -> dict[str, Any]:
    """Output tokens at 15 each, and nothing else."""
    return {
        "quantities": {"output_tokens": maximum},
        "up_to": decision_pb2.UpTo(quantity="output_tokens", minimum=minimum),
    }


async def budget(served: Served, account: str, name: str, limit: int, **window: Any) -> None:
    window = window or {"kind": types_pb2.WINDOW_KIND_LIFETIME}
    await served.budgets.Set(
        budget_pb2.BudgetServiceSetRequest(
            tenant=TENANT,
            request_id=served.new_id(),
            account=account,
            budget=budget_pb2.Budget(
                name=name,
                measure=budget_pb2.BUDGET_MEASURE_CHARGE,
                asset="credit",
                limit=limit,
                window=types_pb2.Window(**window),
            ),
        )
    )


async def test_work_is_charged_in_full_or_denied_and_a_retry_is_told_the_same(priced: Served):
    await priced.account("acme")
    granted = await priced.grant("acme", 1_000)
    charged = await priced.debit("acme", request_id="d", attributes={"region": "eu"})
    assert (charged.decision, charged.reason, charged.charge) == (ALLOW, "", COST)
    assert (charged.asset, charged.scale, charged.rate_card) == ("credit", 6, "default")
    assert (charged.policy_version, charged.replayed) == (1, False)
    assert not charged.HasField("limit")
    assert (await priced.balance("acme", "", charged.position)).available == "400"
    denied = await priced.debit("acme", request_id="e")
    assert (denied.decision, denied.reason) == (DENY, "INSUFFICIENT_CREDITS")
    assert (denied.charge, denied.available) == (COST, "400")
    limit = denied.limit
    assert (limit.kind, limit.account) == (decision_pb2.LIMIT_KIND_GRANTS, "acme")
    assert (limit.id, limit.left) == (granted.grant.grant_id, 400)
    await priced.grant("acme", 1_000)
    for first, request_id in ((charged, "d"), (denied, "e")):
        attributes = {"region": "eu"} if request_id == "d" else {}
        again = await priced.debit("acme", request_id=request_id, attributes=attributes)
        assert again.replayed
        again.replayed = False
        assert again == first
    assert (await priced.balance("acme")).available == "1400"


async def test_another_body_is_a_conflict_that_names_the_field(priced: Served):
    await priced.account("acme")
    await priced.grant("acme", 1_000)
    await priced.debit("acme", request_id="d", operation="run", **ranged(1, 9))
    for changes, field in (
        ({"operation": "walk"}, "operation"),
        ({"operation": "run", "operation_parent": "day"}, "operation_parent"),
        ({"quantities": {"output_tokens": 8}}, "quantities"),
        ({"product": "video"}, "product"),
        ({"up_to": decision_pb2.UpTo(quantity="output_tokens", minimum=2)}, "up_to.minimum"),
        ({"up_to": None}, "up_to.quantity"),
    ):
        body = {"operation": "run", **ranged(1, 9), **changes}
        found = await refusal_of(priced.debit("acme", request_id="d", **body))
        assert (found.code, found.reason) == (grpc.StatusCode.ALREADY_EXISTS, "CONFLICT")
        assert found.metadata["field"] == field, changes
    found = await refusal_of(priced.authorize("acme", request_id="d"))
    assert found.metadata["field"] == "request"


async def test_it_is_usage_that_is_shown_and_given_back_by_its_id(priced: Served):
    await priced.account("acme")
    await priced.grant("acme", 1_000)
    charged = await priced.debit("acme", request_id="d", operation="run")
    entry = (
        await priced.usage.Get(
            usage_pb2.UsageServiceGetRequest(
                tenant=TENANT, account="acme", id="d", min_position=charged.position
            )
        )
    ).entry
    assert (entry.charge, entry.hold_id, entry.operation) == (COST, "", "run")
    await priced.corrections.ReverseUsage(
        correction_pb2.ReverseUsageRequest(
            tenant=TENANT,
            reversals=[
                correction_pb2.Reversal(
                    request_id="back", account="acme", event=correction_pb2.SourceAndId(id="d")
                )
            ],
        )
    )
    assert (await priced.balance("acme")).available == "1000"


async def test_get_outcome_tells_what_became_of_it(priced: Served):
    await priced.account("acme")
    await priced.grant("acme", 1_000)
    charged = await priced.debit("acme", request_id="d")
    denied = await priced.debit("acme", request_id="e")
    for first, request_id in ((charged, "d"), (denied, "e")):
        found = await priced.journal.GetOutcome(
            journal_pb2.GetOutcomeRequest(tenant=TENANT, account="acme", request_id=request_id)
        )
        assert found.kind == journal_pb2.MUTATION_KIND_DEBIT
        assert found.debit.replayed
        found.debit.replayed = False
        assert found.debit == first


async def test_as_much_as_is_affordable(priced: Served):
    """15 a token: of 1,000 credits 66 tokens, by advice, hold, and debit alike."""
    await priced.account("acme")
    await priced.grant("acme", 1_000)
    advice = await priced.check("acme", **ranged(10, 4_000))
    held = await priced.authorize("acme", request_id="h", **ranged(10, 4_000))
    assert (advice.decision, advice.allowed_quantity, advice.charge) == (UP_TO, 66, 990)
    assert (held.decision, held.allowed_quantity, held.amount) == (UP_TO, 66, 990)
    for answer in (advice, held):
        assert (answer.limit.kind, answer.limit.left) == (decision_pb2.LIMIT_KIND_GRANTS, 1_000)
    again = await priced.authorize("acme", request_id="h", **ranged(10, 4_000))
    assert (again.decision, again.allowed_quantity, again.replayed) == (UP_TO, 66, True)
    denied = await priced.debit("acme", **ranged(1, 4_000))
    assert (denied.decision, denied.allowed_quantity) == (DENY, 0)
    assert 0 < denied.retry_after_us <= 15 * MINUTE_US  # then the hold expires
    release = decision_pb2.ReleaseRequest(tenant=TENANT, request_id="r", hold_id=held.hold_id)
    await priced.decisions.Release(release)
    whole = await priced.debit("acme", **ranged(10, 20))
    assert (whole.decision, whole.allowed_quantity, whole.charge) == (ALLOW, 20, 300)
    cut = await priced.debit("acme", **ranged(10, 4_000))
    assert (cut.decision, cut.allowed_quantity, cut.charge) == (UP_TO, 46, 690)
    found = await priced.decisions.CheckMany(
        decision_pb2.CheckManyRequest(
            tenant=TENANT,
            accounts=["acme", "acme"],
            work=[
                decision_pb2.WorkToCheck(
                    product="chat",
                    quantities={"output_tokens": 50},
                    up_to=decision_pb2.UpTo(quantity="output_tokens"),
                ),
                decision_pb2.WorkToCheck(product="chat", quantities={"output_tokens": 50}),
            ],
        )
    )
    assert list(found.decisions) == [DENY, DENY] * 2  # 10 are left, less than a token costs
    limit = found.limit_names[found.limits[0]].limit
    assert (limit.kind, limit.account, limit.left) == (
        decision_pb2.LIMIT_KIND_GRANTS,
        "acme",
        10,
    )


async def test_what_is_wrong_with_a_range_is_named(priced: Served):
    await priced.account("acme")
    for up_to, field in (
        (decision_pb2.UpTo(quantity="input_tokens"), "up_to.quantity"),
        (decision_pb2.UpTo(quantity="output_tokens", minimum=10), "up_to.minimum"),
    ):
        body = {"quantities": {"output_tokens": 9}, "up_to": up_to}
        for call in (priced.check, priced.authorize, priced.debit):
            found = await refusal_of(call("acme", **body))
            assert (found.reason, found.metadata["field"]) == ("UP_TO_INVALID", field)
    found = await refusal_of(priced.debit("acme", request_id="", **ranged(1, 2)))
    assert ("request_id", "FIELD_REQUIRED") in found.violations
    found = await refusal_of(priced.authorize("acme", quote_id="quote_x", **ranged(1, 2)))
    assert found.reason == "FIELD_NOT_ALLOWED"


async def test_a_budget_and_a_cap_are_named_with_their_ids(priced: Served):
    """
    team 10,000 shared; team/a may draw 100 of it; team/b has a budget of 90 a day
    """
    await priced.account("team")
    await priced.account("team/a", parent="team")
    await priced.account("team/b", parent="team")
    await priced.grant("team", 10_000, shared=True)
    made = await priced.families.SetCap(
        family_pb2.SetCapRequest(
            tenant=TENANT,
            request_id=priced.new_id(),
            cap=family_pb2.Cap(
                account="team",
                below="team/a",
                asset="credit",
                limit=100,
                window=types_pb2.Window(kind=types_pb2.WINDOW_KIND_LIFETIME),
            ),
        )
    )
    day = {"kind": types_pb2.WINDOW_KIND_CALENDAR, "unit": types_pb2.WINDOW_UNIT_DAY}
    await budget(priced, "team/b", "daily", 90, **day, zone="UTC")
    capped = await priced.debit("team/a")
    assert capped.limit.kind == decision_pb2.LIMIT_KIND_CAP
    assert (capped.limit.account, capped.limit.id) == ("team", made.cap.cap_id)
    assert capped.limit.left == 100
    denied = await priced.debit("team/b")
    assert (denied.reason, denied.limit.name) == ("BUDGET_EXCEEDED", "daily")
    assert (denied.limit.kind, denied.limit.left) == (decision_pb2.LIMIT_KIND_BUDGET, 90)
    assert 0 < denied.retry_after_us <= DAY_US
    fits = await priced.debit("team/b", **ranged(1, 100))
    assert (fits.decision, fits.allowed_quantity, fits.limit.name) == (UP_TO, 6, "daily")


@pytest.mark.parametrize("way", ["authorize", "debit"])
async def test_200_callers_under_three_nested_limits_get_what_is_affordable(
    priced: Served, way: str
):
    """Budgets of 90, 75 and 60 calls, one below the other, and credits for 80: 60 of 200 run."""
    await priced.account("acme")
    await priced.account("acme/team", parent="acme")
    await priced.account("acme/team/bot", parent="acme/team")
    await priced.grant("acme", 80 * COST, shared=True)
    for account, calls in (("acme", 90), ("acme/team", 75), ("acme/team/bot", 60)):
        await budget(priced, account, "calls", calls * COST)
    call = priced.authorize if way == "authorize" else priced.debit
    answers = await asyncio.gather(*[call("acme/team/bot") for _ in range(200)])
    allowed = [each for each in answers if each.decision == ALLOW]
    assert len(allowed) == 60
    assert {each.limit.account for each in answers if each.decision == DENY} == {"acme/team/bot"}
    assert (await priced.balance("acme")).available == str(20 * COST)
