"""Why a decision would be made so, over gRPC: steps with their figures, in data and in words."""

from __future__ import annotations

from typing import Any

from ledger.v1 import budget_pb2, decision_pb2, types_pb2
from rating.v1 import card_pb2, pricing_pb2
from tests.api.served import TENANT, Served, card, refusal_of, work
from tests.api.test_costs import publish, supplier

UNITS = 10**6


async def explained(caller: Served, account: str, **changes: Any) -> Any:
    request = decision_pb2.ExplainDecisionRequest(**{**work(account), "tenant": TENANT, **changes})
    return await caller.decisions.ExplainDecision(request)


async def test_each_step_is_told_and_nothing_changes(priced: Served):
    """What Check answers, and why; asked twice it is the same."""
    await priced.account("acme")
    await priced.account("dev", parent="acme")
    await priced.grant("acme", 5 * UNITS, shared=True)
    await priced.grant("dev", 100)
    charge = (await priced.check("dev")).charge
    assert charge > 100
    first = await explained(priced, "dev")
    assert first.decision == await priced.check("dev")
    assert first.decision.decision == decision_pb2.DECISION_ALLOW
    assert [(line.quantity_name, line.quantity) for line in first.lines] == [
        ("input_tokens", 100),
        ("output_tokens", 20),
    ]
    assert sum(line.charge for line in first.lines) == first.charge == charge
    own, shared, overdraft, overage = first.pots
    assert (own.account, own.units, own.gives) == ("dev", 100, 100)
    assert (shared.account, shared.units, shared.gives) == ("acme", 5 * UNITS, charge - 100)
    assert (overdraft.pot, overdraft.withheld) == (types_pb2.POT_OVERDRAFT, "NOT_GIVEN")
    assert (overage.pot, overage.withheld) == (types_pb2.POT_OVERAGE, "NOT_GIVEN")
    assert first.words[-1] == "ALLOW"
    assert await explained(priced, "dev") == first


async def test_a_budget_that_refuses_is_among_those_that_were_asked(priced: Served):
    """With what it counts, what is left, and that it decided."""
    await priced.account("acme")
    await priced.grant("acme", 5 * UNITS)
    for name, limit in (("calls", 5), ("none", 0)):
        await priced.budgets.Set(
            budget_pb2.BudgetServiceSetRequest(
                tenant=TENANT,
                request_id=priced.new_id(),
                account="acme",
                budget=budget_pb2.Budget(
                    name=name, measure=budget_pb2.BUDGET_MEASURE_REQUESTS, limit=limit
                ),
            )
        )
    held = await priced.authorize("acme")
    assert held.reason == "BUDGET_EXCEEDED"
    found = await explained(priced, "acme")
    assert found.decision.reason == "BUDGET_EXCEEDED"
    assert [(each.name, each.limit, each.counts, each.allows) for each in found.budgets] == [
        ("calls", 5, 1, True),
        ("none", 0, 1, False),
    ]
    assert found.pots[0].gives == found.charge
    assert found.words[-1] == "DENY (BUDGET_EXCEEDED)"


async def test_budgets_of_its_operation_are_asked_last(priced: Served):
    """The nearest first (rule H4): `tool` would join below `run`, but to ask makes nothing known.
    600 are debited for `run`, 600 asked for `tool`, whose 700 allow it; the 1,000 of `run` do not.
    """
    await priced.account("acme")
    await priced.account("bot", parent="acme")
    await priced.grant("acme", 5 * UNITS, shared=True)
    charge = budget_pb2.BUDGET_MEASURE_CHARGE
    capped = {"tenant": TENANT, "account": "acme"}
    own = budget_pb2.Budget(name="own", measure=charge, limit=5_000, asset="credit")
    await priced.budgets.Set(
        budget_pb2.BudgetServiceSetRequest(request_id=priced.new_id(), budget=own, **capped)
    )
    keys = {}
    for operation, limit in (("run", 1_000), ("tool", 700)):
        made = await priced.budgets.SetOperationBudget(
            budget_pb2.SetOperationBudgetRequest(
                request_id=priced.new_id(), operation=operation, **capped,
                budget=budget_pb2.Budget(measure=charge, limit=limit, asset="credit"),
            )
        )  # fmt: skip
        keys[operation] = made.operation_key
    run = {"operation": "run", "request_id": priced.new_id()}
    await priced.decisions.Debit(decision_pb2.DebitRequest(**work("bot"), **run))
    asked = {"operation": "tool", "operation_parent": "run"}
    found = await explained(priced, "bot", **asked)
    check = decision_pb2.CheckRequest(**work("bot"), **asked)
    assert found.decision == await priced.decisions.Check(check)
    assert found.decision.reason == "OPERATION_BUDGET_EXCEEDED"
    assert found.decision.limit.name == keys["run"]
    assert [
        (each.name, each.of_operation, each.limit, each.used, each.counts, each.allows)
        for each in found.budgets
    ] == [
        ("own", False, 5_000, 600, 600, True),
        (keys["tool"], True, 700, 0, 600, True),
        (keys["run"], True, 1_000, 600, 600, False),
    ]
    refuses = (
        f"  budget of operation {keys['run']} of acme: 400 of 1000 left, 600 asked for, refuses"
    )
    assert found.words[-2:] == [refuses, "DENY (OPERATION_BUDGET_EXCEEDED)"]
    alone = await explained(priced, "bot", operation="tool")
    assert alone.decision.decision == decision_pb2.DECISION_ALLOW
    assert [each.name for each in alone.budgets] == ["own", keys["tool"]]
    assert [each.name for each in (await explained(priced, "bot")).budgets] == ["own"]


async def test_a_parent_needs_an_operation(priced: Served):
    await priced.account("acme")
    refused = await refusal_of(explained(priced, "acme", operation_parent="run"))
    assert (refused.reason, refused.metadata["field"]) == ("FIELD_REQUIRED", "operation")


async def test_debt_is_told_with_why_it_may_not_pay(priced: Served):
    """An overdraft that is for recorded usage alone (rule H3)."""
    await priced.account(
        "acme", overdraft_asset="credit", overdraft_limit=10 * UNITS, holds_overdraft=False
    )
    found = await explained(priced, "acme")
    assert found.decision.reason == "INSUFFICIENT_CREDITS"
    [overdraft] = [each for each in found.pots if each.pot == types_pb2.POT_OVERDRAFT]
    assert (overdraft.units, overdraft.room, overdraft.withheld) == (10 * UNITS, 0, "NOT_FOR_HOLDS")


async def test_what_has_no_price_says_so_and_what_is_wrong_is_refused(priced: Served):
    """As in Check."""
    await priced.account("acme")
    found = await explained(priced, "acme", product="unheard-of")
    assert {line.unrated_reason for line in found.lines} == {"UNPRICED"}
    assert found.words[-1] == "DENY (UNPRICED)"
    request = decision_pb2.ExplainDecisionRequest(**work("nobody"))
    refused = await refusal_of(priced.decisions.ExplainDecision(request))
    assert refused.reason == "ACCOUNT_UNKNOWN"


async def test_what_work_would_earn_is_told_where_the_cost_is_known(priced: Served):
    """100 and 20 tokens at 5 and 9 millionths of a dollar; the provider takes 1 and 2."""
    await priced.asset("USD", 9, pricing_pb2.ASSET_KIND_MONEY)
    await publish(priced, supplier())
    rows = [
        card_pb2.PriceRow(product="chat", quantity="input_tokens", price="0.000005"),
        card_pb2.PriceRow(product="chat", quantity="output_tokens", price="0.000009"),
    ]
    sold = card(name="sold", asset="USD", asset_scale=9, rows=rows, cost_card="supplier")
    await publish(priced, sold)
    await priced.account("acme", rate_card="sold")
    found = await explained(priced, "acme")
    assert found.margin == decision_pb2.MarginStep(
        asset="USD", scale=9, price="680000", cost="140000"
    )
    assert "  the provider takes 0.00014 of 0.00068 USD" in found.words
