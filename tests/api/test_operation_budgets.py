"""Budgets of operations over gRPC: set, kept by every decision, shown (rule H4)."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.v1 import budget_pb2 as pb
from ledger.v1 import decision_pb2, journal_pb2, package_pb2, recurring_pb2, types_pb2
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


def policy(served: Served, **changes: Any) -> pb.SetOperationPolicyRequest:
    fields = {"account": "acme", "budget": cap(1_000), **changes}
    fields.setdefault("request_id", served.new_id())
    return pb.SetOperationPolicyRequest(tenant=TENANT, **fields)


async def test_each_operation_has_a_budget_by_a_policy(funded: Served):
    request = policy(funded, idle_us=3_600_000_000)
    made = await funded.budgets.SetOperationPolicy(request)
    assert (made.policy.version, made.policy.account) == (1, "acme")
    assert (await funded.budgets.SetOperationPolicy(request)).replayed
    told = await funded.journal.GetOutcome(
        journal_pb2.GetOutcomeRequest(tenant=TENANT, account="acme", request_id=request.request_id)
    )
    assert (told.kind, told.resource) == (
        journal_pb2.MUTATION_KIND_SET_OPERATION_POLICY, "acme",
    )  # fmt: skip
    where = pb.GetOperationPolicyRequest(tenant=TENANT, account="bot")
    counts = await funded.budgets.GetOperationPolicy(where)
    assert (counts.own.version, counts.standing) == (0, made.policy)

    before = await shown(funded)  # what it would have
    assert (before.budget.left, before.policy_version) == ("1000", 1)
    large = {"quantities": {"input_tokens": 200, "output_tokens": 40}}  # costs 1200
    named = asked(funded, "tool", "run", **large)
    del named["request_id"]
    advised = await funded.decisions.Check(decision_pb2.CheckRequest(**named))
    explained = await funded.decisions.ExplainDecision(decision_pb2.ExplainDecisionRequest(**named))
    denied = await funded.decisions.Debit(
        decision_pb2.DebitRequest(**asked(funded, "tool", "run", **large))
    )
    assert denied.reason == advised.reason == "OPERATION_BUDGET_EXCEEDED"
    assert (denied.limit.policy_version, denied.limit.left, list(denied.limit.value)) == (
        1, 1_000, [],
    )  # fmt: skip
    assert advised.limit == denied.limit
    [step] = explained.budgets
    assert (step.name, step.policy_version, step.allows) == (denied.limit.name, 1, False)

    held = await funded.decisions.Authorize(decision_pb2.AuthorizeRequest(**asked(funded, "tool")))
    assert held.decision == decision_pb2.DECISION_ALLOW
    after = await shown(funded, "tool")
    assert (after.budget.pending, after.operation_key) == ("600", denied.limit.name)

    # By hand, another limit: it is not the policy's any more.
    await funded.budgets.SetOperationBudget(setting(funded, budget=cap(5_000)))
    assert (await shown(funded)).policy_version == 0
    stale = policy(funded, expected_version=7)
    assert (await refusal_of(funded.budgets.SetOperationPolicy(stale))).reason == "VERSION_MISMATCH"
    gone = policy(funded)
    gone.ClearField("budget")
    removed = await funded.budgets.SetOperationPolicy(gone)
    assert (removed.policy.version, removed.policy.HasField("budget")) == (2, False)
    counts = await funded.budgets.GetOperationPolicy(where)
    assert not counts.HasField("standing")
    debited = await funded.decisions.Debit(
        decision_pb2.DebitRequest(**asked(funded, "other", quantities=large["quantities"]))
    )
    assert debited.decision == decision_pb2.DECISION_ALLOW


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"budget": cap(name="run")}, "FIELD_NOT_ALLOWED", "budget.name"),
        ({"idle_us": -1}, "NUMBER_OUT_OF_RANGE", "idle_us"),
        ({"budget": cap(limit=-1)}, "BUDGET_INVALID", "budget.limit"),
        ({"account": "nobody"}, "ACCOUNT_UNKNOWN", "account"),
    ],
)
async def test_policies_that_are_refused(
    funded: Served, changes: dict[str, Any], reason: str, field: str
):
    refused = await refusal_of(funded.budgets.SetOperationPolicy(policy(funded, **changes)))
    assert (refused.reason, refused.metadata["field"]) == (reason, field)


async def test_a_package_gives_each_operation_a_budget(funded: Served):
    """Previewed, with the subscription, and by its version; faults are named by their places."""
    given = package_pb2.PackageOperations(budget=cap(700, thresholds=[80]), idle_us=5)
    plain = package_pb2.PackageVersion(
        name="pro", unit=recurring_pb2.PERIOD_UNIT_MONTH, every=1, operations=given
    )
    bad = package_pb2.PackageVersion()
    bad.CopyFrom(plain)
    bad.operations.budget.asset = "none"
    bad.operations.budget.name = "run"
    bad.operations.idle_us = -1
    request = package_pb2.PackageServicePublishRequest(
        tenant=TENANT, request_id="p", package=bad, validate_only=True
    )
    faults = (await funded.packages.Publish(request)).faults
    assert [(each.path, each.reason) for each in faults] == [
        ("operations.budget.name", "BUDGET_INVALID"),
        ("operations.idle_us", "NUMBER_OUT_OF_RANGE"),
        ("operations.budget.asset", "ASSET_UNKNOWN"),
    ]
    published = await funded.packages.Publish(
        package_pb2.PackageServicePublishRequest(tenant=TENANT, request_id="q", package=plain)
    )
    said = published.package.operations
    assert (said.budget.limit, said.budget.scale, said.idle_us) == (700, 6, 5)
    tried = await funded.packages.Preview(
        package_pb2.PackageServicePreviewRequest(tenant=TENANT, account="acme", package="pro")
    )
    assert (tried.operations.budget.limit, tried.operations.idle_us) == (700, 5)
    await funded.packages.Subscribe(
        package_pb2.PackageServiceSubscribeRequest(
            tenant=TENANT, request_id="s", account="acme", package="pro"
        )
    )
    where = pb.GetOperationPolicyRequest(tenant=TENANT, account="bot")
    standing = (await funded.budgets.GetOperationPolicy(where)).standing
    version = published.package.version
    assert (standing.account, standing.package, standing.version) == ("acme", "pro", version)
    denied = await funded.decisions.Debit(
        decision_pb2.DebitRequest(
            **asked(funded, "tool", "run", quantities={"input_tokens": 200, "output_tokens": 40})
        )
    )
    assert (denied.reason, denied.limit.policy_version) == ("OPERATION_BUDGET_EXCEEDED", version)

    await funded.budgets.SetOperationPolicy(policy(funded))  # its own comes first
    standing = (await funded.budgets.GetOperationPolicy(where)).standing
    assert (standing.package, standing.budget.limit) == ("", 1_000)
    again = await funded.packages.PreviewSubscribers(
        package_pb2.PackageServicePreviewSubscribersRequest(tenant=TENANT, package="pro")
    )
    [subscriber] = again.previews
    assert not subscriber.HasField("operations")  # it is as it would be
