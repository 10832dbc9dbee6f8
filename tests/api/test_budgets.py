"""Budgets over gRPC: set, asked, shown, removed (rules H4, H5)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ledger.core.limits import DAY_US, HOUR_US
from ledger.v1 import budget_pb2 as pb
from ledger.v1 import decision_pb2, journal_pb2, types_pb2
from rating.v1 import pricing_pb2
from tests.api.served import PRODUCT, TENANT, Served, event, refusal_of

DAILY = types_pb2.Window(
    kind=types_pb2.WINDOW_KIND_CALENDAR, unit=types_pb2.WINDOW_UNIT_DAY, zone="Europe/Berlin"
)
SLIDING = types_pb2.Window(kind=types_pb2.WINDOW_KIND_SLIDING)  # without a length
WORK = {"product": PRODUCT, "quantities": {"input_tokens": 100, "output_tokens": 20}}  # costs 600


async def setting(served: Served, account: str = "acme", **changes: Any) -> Any:
    fields = {
        "name": "daily",
        "measure": pb.BUDGET_MEASURE_CHARGE,
        "limit": 1_500,
        "asset": "credit",
        "window": DAILY,
        **changes,
    }
    return await served.budgets.Set(
        pb.BudgetServiceSetRequest(
            tenant=TENANT,
            request_id=served.new_id(),
            account=account,
            budget=pb.Budget(**fields),
        )
    )


async def shown(served: Served, account: str = "acme", name: str = "daily") -> pb.BudgetStanding:
    request = pb.BudgetServiceGetRequest(tenant=TENANT, account=account, name=name)
    return (await served.budgets.Get(request)).budget


async def authorize(
    served: Served, account: str, request_id: str = ""
) -> decision_pb2.AuthorizeResponse:
    return await served.decisions.Authorize(
        decision_pb2.AuthorizeRequest(
            tenant=TENANT, request_id=request_id or served.new_id(), account=account, **WORK
        )
    )


@pytest.fixture
async def funded(priced: Served) -> Served:
    await priced.account("acme")
    await priced.account("team", parent="acme")
    await priced.grant("acme", 100_000, shared=True)
    return priced


async def test_a_hard_budget_above_an_account_refuses_by_name(funded: Served):
    made = await setting(funded, thresholds=[50, 100])
    assert (made.budget.version, made.budget.scale) == (1, 6)
    await funded.ingest(event("one", "team"))
    first = await authorize(funded, "team")
    assert first.decision == decision_pb2.DECISION_ALLOW
    standing = await shown(funded)
    assert (standing.used, standing.pending, standing.left) == ("600", "600", "300")
    assert list(standing.crossed) == []
    denied = await authorize(funded, "team", "denied")
    assert (denied.decision, denied.reason) == (decision_pb2.DECISION_DENY, "BUDGET_EXCEEDED")
    exceeded = denied.budget_exceeded
    assert (exceeded.account, exceeded.name, exceeded.left) == ("acme", "daily", 300)
    assert exceeded.resets_at_us == standing.resets_at_us
    assert 0 < standing.resets_at_us - standing.window_start_us <= DAY_US + HOUR_US
    again = await authorize(funded, "team", "denied")
    assert again.replayed
    assert again.budget_exceeded == exceeded
    told = await funded.journal.GetOutcome(
        journal_pb2.GetOutcomeRequest(tenant=TENANT, account="team", request_id="denied")
    )
    assert told.authorize.budget_exceeded == exceeded


async def test_check_and_a_quote_with_a_hold_ask_too(funded: Served):
    await setting(funded, limit=599)
    checked = await funded.decisions.Check(
        decision_pb2.CheckRequest(tenant=TENANT, account="team", **WORK)
    )
    assert (checked.decision, checked.reason) == (decision_pb2.DECISION_DENY, "BUDGET_EXCEEDED")
    exceeded = checked.budget_exceeded
    assert (exceeded.account, exceeded.name, exceeded.left) == ("acme", "daily", 599)
    request = pricing_pb2.CreateQuoteRequest(
        tenant=TENANT, request_id=funded.new_id(), account="team", hold=True, **WORK
    )
    refused = await refusal_of(funded.pricing.CreateQuote(request))
    assert (refused.reason, refused.metadata["value"]) == ("BUDGET_EXCEEDED", "daily")
    request.hold, request.request_id = False, funded.new_id()
    await funded.pricing.CreateQuote(request)


async def test_recorded_usage_counts_and_may_exceed(funded: Served):
    await setting(funded, thresholds=[50, 100])
    await funded.ingest(*[event(f"event-{number}", "team") for number in range(4)])
    standing = await shown(funded)
    assert (standing.used, standing.left, standing.used_in_all) == ("2400", "-900", "2400")
    assert list(standing.crossed) == [50, 100]


async def test_all_that_apply_to_an_account_are_listed(funded: Served):
    await setting(funded)
    await setting(funded, "team", name="b", measure=pb.BUDGET_MEASURE_REQUESTS, asset="", limit=3)
    await setting(
        funded, "team", name="a", measure=pb.BUDGET_MEASURE_QUANTITY, asset="",
        quantity="input_tokens", soft=True, window=None, attributes={"tier": "free"},
    )  # fmt: skip
    request = pb.BudgetServiceListRequest(tenant=TENANT, account="team", include_above=True)
    listed = await funded.budgets.List(request)
    found = [(each.account, each.budget.name) for each in listed.budgets]
    assert found == [("team", "b"), ("team", "a"), ("acme", "daily")]
    request.page_size = 2
    first = await funded.budgets.List(request)
    request.page_token = first.next_page_token
    second = await funded.budgets.List(request)
    assert [*first.budgets, *second.budgets] == list(listed.budgets)
    assert second.next_page_token == ""
    of_team = await funded.budgets.List(pb.BudgetServiceListRequest(tenant=TENANT, account="team"))
    assert [each.budget.name for each in of_team.budgets] == ["b", "a"]
    assert of_team.budgets[1].budget.window.kind == types_pb2.WINDOW_KIND_LIFETIME
    assert of_team.budgets[1].resets_at_us == 0


async def test_another_limit_keeps_the_counter_and_a_removed_one_is_gone(funded: Served):
    await setting(funded)
    await funded.ingest(event("one", "acme"))
    changed = await setting(funded, limit=700)
    assert changed.budget.version == 2
    assert (await shown(funded)).left == "100"
    fixed = await refusal_of(setting(funded, products=["other"]))
    assert (fixed.reason, fixed.metadata["field"]) == ("BUDGET_FIXED", "budget.products")
    request = pb.BudgetServiceRemoveRequest(
        tenant=TENANT, request_id="gone", account="acme", name="daily"
    )
    assert not (await funded.budgets.Remove(request)).replayed
    assert (await funded.budgets.Remove(request)).replayed
    gone = await refusal_of(shown(funded))
    assert (gone.reason, gone.metadata["field"]) == ("BUDGET_UNKNOWN", "name")
    told = await funded.journal.GetOutcome(
        journal_pb2.GetOutcomeRequest(tenant=TENANT, account="acme", request_id="gone")
    )
    assert told.kind == journal_pb2.MUTATION_KIND_REMOVE_BUDGET
    assert (await authorize(funded, "acme")).decision == decision_pb2.DECISION_ALLOW


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "budget.name"),
        ({"measure": pb.BUDGET_MEASURE_UNSPECIFIED}, "budget.measure"),
        ({"limit": -1}, "budget.limit"),
        ({"asset": "none"}, "budget.asset"),
        ({"thresholds": [0]}, "budget.thresholds"),
        ({"window": SLIDING}, "budget.window.length_us"),
        ({"window": types_pb2.Window(kind=types_pb2.WINDOW_KIND_CALENDAR)}, "budget.window.unit"),
    ],
)  # fmt: skip
async def test_what_is_no_budget_is_refused_by_its_field(
    funded: Served, changes: dict[str, Any], field: str
):
    refused = await refusal_of(setting(funded, **changes))
    fields = [field for field, *_ in refused.violations] or [refused.metadata["field"]]
    assert field in fields


async def test_many_at_once_never_exceed_a_hard_budget(funded: Served):
    """However many ask at the same time, on whichever account below: no more is allowed than the
    budget above them all has (rule H4)."""
    for number in range(4):
        await funded.account(f"bot-{number}", parent="team")
    await setting(funded, limit=600 * 7 + 599)
    replies = await asyncio.gather(
        *[authorize(funded, f"bot-{number % 4}") for number in range(40)]
    )
    allowed = [each for each in replies if each.decision == decision_pb2.DECISION_ALLOW]
    assert len(allowed) == 7
    denied = [each for each in replies if each.decision == decision_pb2.DECISION_DENY]
    assert {(each.reason, each.budget_exceeded.left) for each in denied} == {
        ("BUDGET_EXCEEDED", 599)
    }
    standing = await shown(funded)
    assert (standing.pending, standing.left) == ("4200", "599")
    await funded.decisions.Release(
        decision_pb2.ReleaseRequest(
            tenant=TENANT, request_id=funded.new_id(), hold_id=allowed[0].hold_id
        )
    )
    again = await asyncio.gather(*[authorize(funded, "bot-1") for _ in range(3)])
    assert [each.decision for each in again].count(decision_pb2.DECISION_ALLOW) == 1
