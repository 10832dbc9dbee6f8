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


BY_USER = {"name": "per-user", "limit": 1_200, "thresholds": [50], "group_by": ["user"]}


def of_user(user: str) -> dict[str, Any]:
    return {**WORK, "attributes": {"user": user}}


async def values_of(served: Served, **fields: Any) -> pb.ListValuesResponse:
    request = pb.ListValuesRequest(tenant=TENANT, account="acme", name="per-user", **fields)
    return await served.budgets.ListValues(request)


async def test_each_value_of_an_attribute_has_a_limit_of_its_own(funded: Served):
    """Rule H5: the value that is refused is named, with what it has left and when that resets."""
    limits = [pb.BudgetValueLimit(value=["vip"], limit=5_000)]
    made = await setting(funded, **BY_USER, values_max=2, value_limits=limits)
    assert list(made.budget.group_by) == ["user"]
    assert (made.budget.values_max, list(made.budget.value_limits)) == (2, limits)

    async def authorize_for(user: str, request_id: str = "") -> decision_pb2.AuthorizeResponse:
        return await funded.decisions.Authorize(
            decision_pb2.AuthorizeRequest(
                tenant=TENANT, request_id=request_id or funded.new_id(), account="team",
                **of_user(user),
            )
        )  # fmt: skip

    await funded.ingest(event("one", "team", attributes={"user": "ada"}))
    for user in ("ada", "bob", "bob", "eve", "vip", "vip", "vip"):
        assert (await authorize_for(user)).decision == decision_pb2.DECISION_ALLOW, user
    denied = await authorize_for("ada", "denied")
    exceeded = denied.budget_exceeded
    assert (denied.reason, exceeded.name, exceeded.left) == ("BUDGET_EXCEEDED", "per-user", 0)
    assert (list(exceeded.value), exceeded.shared) == (["ada"], False)
    again = await authorize_for("ada", "denied")
    assert again.replayed and again.budget_exceeded == exceeded
    told = await funded.journal.GetOutcome(
        journal_pb2.GetOutcomeRequest(tenant=TENANT, account="team", request_id="denied")
    )
    assert told.authorize.budget_exceeded == exceeded
    # eve and dan are more than have a counter: together they have the limit of one.
    assert (await authorize_for("dan")).decision == decision_pb2.DECISION_ALLOW
    shared = (await authorize_for("eve")).budget_exceeded
    assert (list(shared.value), shared.shared, shared.left) == (["eve"], True, 0)
    checked = await funded.decisions.Check(
        decision_pb2.CheckRequest(tenant=TENANT, account="team", **of_user("eve"))
    )
    assert checked.budget_exceeded == shared

    listed = await values_of(funded)
    assert [
        (list(each.value), each.shared, each.limit, each.used, each.pending, each.left)
        for each in listed.values
    ] == [
        (["ada"], False, 1_200, "600", "600", "0"),
        (["bob"], False, 1_200, "0", "1200", "0"),
        ([], True, 1_200, "0", "1200", "0"),
        (["vip"], False, 5_000, "0", "1800", "3200"),
    ]
    assert list(listed.values[0].crossed) == [50]
    assert listed.values[0].resets_at_us == exceeded.resets_at_us
    page = await values_of(funded, page_size=3)
    rest = await values_of(funded, page_size=3, page_token=page.next_page_token)
    assert [*page.values, *rest.values] == list(listed.values) and not rest.next_page_token
    of_bob = await values_of(funded, value=["bob"])
    assert list(of_bob.values) == [listed.values[1]]
    of_dan = await values_of(funded, value=["dan"])
    assert list(of_dan.values) == [listed.values[2]]
    standing = await shown(funded, name="per-user")
    assert (standing.values, standing.used, standing.left) == (4, "0", "1200")
    assert standing.budget == made.budget


async def test_what_a_budget_by_value_may_not_say(funded: Served):
    for changes, field in (
        ({"group_by": ["a", "b", "c"]}, "budget.group_by"),
        ({"group_by": [], "values_max": 5}, "budget.group_by"),
        ({"values_max": 10_001}, "budget.values_max"),
        ({"value_limits": [pb.BudgetValueLimit(value=[], limit=1)]}, "budget.value_limits"),
    ):
        refused = await refusal_of(setting(funded, **{**BY_USER, **changes}))
        assert (refused.reason, refused.metadata["field"]) == ("BUDGET_INVALID", field)
    long = await refusal_of(setting(funded, **{**BY_USER, "group_by": ["x" * 65]}))
    assert (long.reason, long.metadata["field"]) == ("TEXT_TOO_LONG", "budget.group_by")
    unknown = await refusal_of(values_of(funded))
    assert (unknown.reason, unknown.metadata["value"]) == ("BUDGET_UNKNOWN", "per-user")
    await setting(funded, name="per-user")
    assert list((await values_of(funded)).values) == []
    fixed = await refusal_of(setting(funded, name="per-user", group_by=["user"]))
    assert (fixed.reason, fixed.metadata["field"]) == ("BUDGET_FIXED", "budget.group_by")
