"""Budgets of operations over gRPC: set, kept by every decision, shown (rule H4)."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.v1 import budget_pb2 as pb
from ledger.v1 import decision_pb2, journal_pb2, types_pb2
from tests.api.served import PRODUCT, TENANT, Served, event, refusal_of

WORK = {"product": PRODUCT, "quantities": {"input_tokens": 100, "output_tokens": 20}}  # costs 600


@pytest.fixture
async def funded(priced: Served) -> Served:
    await priced.account("acme")
    await priced.account("bot", parent="acme")
    await priced.grant("acme", 100_000, shared=True)
    return priced


def cap(limit: int = 1_500, **changes: Any) -> pb.Budget:
    return pb.Budget(measure=pb.BUDGET_MEASURE_CHARGE, limit=limit, asset="credit", **changes)


def setting(served: Served, **changes: Any) -> pb.SetOperationBudgetRequest:
    fields = {"account": "acme", "operation": "run", "budget": cap(), **changes}
    fields.setdefault("request_id", served.new_id())
    return pb.SetOperationBudgetRequest(tenant=TENANT, **fields)


async def shown(served: Served, operation: str = "run") -> pb.GetOperationBudgetResponse:
    request = pb.GetOperationBudgetRequest(tenant=TENANT, account="acme", operation=operation)
    return await served.budgets.GetOperationBudget(request)


def asked(served: Served, operation: str, parent: str = "", **changes: Any) -> dict[str, Any]:
    return {
        "tenant": TENANT,
        "request_id": served.new_id(),
        "account": "bot",
        "operation": operation,
        "operation_parent": parent,
        **WORK,
        **changes,
    }


async def test_holds_debits_and_usage_of_an_operation_share_its_cap(funded: Served):
    made = await funded.budgets.SetOperationBudget(setting(funded, idle_us=3_600_000_000))
    assert (made.budget.version, made.budget.name, made.idle_us) == (1, "", 3_600_000_000)
    held = await funded.decisions.Authorize(decision_pb2.AuthorizeRequest(**asked(funded, "run")))
    assert held.decision == decision_pb2.DECISION_ALLOW
    debited = await funded.decisions.Debit(
        decision_pb2.DebitRequest(**asked(funded, "tool", "run"))
    )
    assert debited.decision == decision_pb2.DECISION_ALLOW
    standing = await shown(funded)
    assert (standing.budget.used, standing.budget.pending, standing.budget.left) == (
        "600", "600", "300",
    )  # fmt: skip
    assert standing.operations_below == 1 and standing.operation_key == made.operation_key
    request = decision_pb2.AuthorizeRequest(**asked(funded, "tool", request_id="denied"))
    denied = await funded.decisions.Authorize(request)
    assert (denied.decision, denied.reason) == (
        decision_pb2.DECISION_DENY, "OPERATION_BUDGET_EXCEEDED",
    )  # fmt: skip
    named = asked(funded, "tool")
    del named["request_id"]
    advised = await funded.decisions.Check(decision_pb2.CheckRequest(**named))
    assert (advised.reason, advised.limit) == ("OPERATION_BUDGET_EXCEEDED", denied.limit)
    del named["operation"], named["operation_parent"]
    apart = await funded.decisions.Check(decision_pb2.CheckRequest(**named))
    assert apart.decision == decision_pb2.DECISION_ALLOW
    limit = denied.limit
    assert (limit.kind, limit.account, limit.name, limit.left) == (
        decision_pb2.LIMIT_KIND_OPERATION, "acme", made.operation_key, 300,
    )  # fmt: skip
    told = await funded.journal.GetOutcome(
        journal_pb2.GetOutcomeRequest(tenant=TENANT, account="bot", request_id="denied")
    )
    assert told.authorize.limit == limit
    capture = decision_pb2.CaptureRequest(
        tenant=TENANT, request_id=funded.new_id(), hold_id=held.hold_id, operation="other",
        quantities={"input_tokens": 100},
    )  # fmt: skip
    refused = await refusal_of(funded.decisions.Capture(capture))
    assert refused.reason == "OPERATION_DIFFERS"
    capture.operation = "run"
    await funded.decisions.Capture(capture)
    used = event("usage-1", "bot")
    used.operation = "tool"
    await funded.ingest(used)
    after = (await shown(funded, "tool")).budget
    assert (after.used, after.pending, after.left) == ("1500", "0", "0")


async def test_a_repeat_is_answered_and_another_body_is_a_conflict(funded: Served):
    request = setting(funded)
    await funded.budgets.SetOperationBudget(request)
    again = await funded.budgets.SetOperationBudget(request)
    assert again.replayed and again.budget.version == 1
    told = await funded.journal.GetOutcome(
        journal_pb2.GetOutcomeRequest(tenant=TENANT, account="acme", request_id=request.request_id)
    )
    assert told.kind == journal_pb2.MUTATION_KIND_SET_OPERATION_BUDGET
    request.operation = "other"
    conflict = await refusal_of(funded.budgets.SetOperationBudget(request))
    assert (conflict.reason, conflict.metadata["field"]) == ("CONFLICT", "operation")


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"operation": ""}, "FIELD_REQUIRED", "operation"),
        ({"budget": cap(name="run")}, "FIELD_NOT_ALLOWED", "budget.name"),
        ({"budget": cap(group_by=["user"])}, "FIELD_NOT_ALLOWED", "budget.group_by"),
        (
            {"budget": cap(window=types_pb2.Window(kind=types_pb2.WINDOW_KIND_BILLING))},
            "BUDGET_INVALID",
            "budget.window",
        ),
        ({"budget": cap(limit=-1)}, "BUDGET_INVALID", "budget.limit"),
        ({"expected_version": 3}, "VERSION_MISMATCH", "expected_version"),
        ({"account": "nobody"}, "ACCOUNT_UNKNOWN", "account"),
    ],
)
async def test_what_is_wrong_with_a_budget_is_named(
    funded: Served, changes: dict[str, Any], reason: str, field: str
):
    refused = await refusal_of(funded.budgets.SetOperationBudget(setting(funded, **changes)))
    assert (refused.reason, refused.metadata["field"]) == (reason, field)


async def test_an_operation_that_nothing_covers_has_no_budget(funded: Served):
    refused = await refusal_of(shown(funded))
    assert (refused.reason, refused.metadata["value"]) == ("BUDGET_UNKNOWN", "run")
