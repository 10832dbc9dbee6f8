"""Top-ups over gRPC: rules, charges, and how they come out (rule H6)."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.core.limits import DAY_US, HOUR_US
from ledger.v1 import grant_pb2, journal_pb2
from ledger.v1 import top_up_pb2 as pb
from rating.v1 import pricing_pb2
from tests.api.served import TENANT, Served, event, refusal_of

RULE = {
    "asset": "credit",
    "threshold": 1_000,
    "target": 10_000,
    "price_numerator": 2,
    "price_denominator": 1,
    "price_asset": "USD",
    "source": "card",
    "requests_max": 3,
    "window_us": DAY_US,
}


async def ruled(served: Served, **changes: Any) -> pb.TopUpServiceSetRuleResponse:
    request = pb.TopUpServiceSetRuleRequest(
        tenant=TENANT,
        request_id=served.new_id(),
        account="acme",
        rule=pb.TopUpRule(**{**RULE, **changes}),
    )
    return await served.top_ups.SetRule(request)


async def listed(
    served: Served, state: int = pb.TOP_UP_STATE_UNSPECIFIED, **changes: Any
) -> pb.TopUpServiceListResponse:
    fields = {"tenant": TENANT, "account": "acme", "state": state, **changes}
    return await served.top_ups.List(pb.TopUpServiceListRequest(**fields))


def settling(request: type, served: Served, top_up: pb.TopUp, request_id: str = "") -> Any:
    return request(
        tenant=TENANT, request_id=request_id or served.new_id(), top_up_id=top_up.top_up_id
    )


@pytest.fixture
async def funded(priced: Served) -> Served:
    await priced.asset("USD", 9, pricing_pb2.ASSET_KIND_MONEY)
    await priced.account("acme", overdraft_asset="credit", overdraft_limit=5_000)
    return priced


async def test_usage_asks_for_one_charge_that_closes_the_whole_gap(funded: Served):
    await funded.grant("acme", 1_600)
    made = await ruled(funded)
    assert (made.rule.version, made.rule.scale, made.rule.price_scale) == (1, 6, 9)
    await funded.ingest(funded_event(funded))  # 600: 1,000 are left, not below the threshold
    assert not (await listed(funded)).top_ups
    await ruled(funded, disabled=True)
    await funded.ingest(*[funded_event(funded) for _ in range(5)])  # 2,000 are owed in advance
    assert not (await listed(funded)).top_ups
    await ruled(funded)
    (top_up,) = (await listed(funded)).top_ups
    assert (top_up.available, top_up.amount, top_up.price_paid) == ("-2000", 12_000, 24_000)
    assert (top_up.state, top_up.rule_version) == (pb.TOP_UP_STATE_PENDING, 3)
    await funded.ingest(funded_event(funded))  # what pends counts
    assert len((await listed(funded)).top_ups) == 1
    await funded.top_ups.Confirm(settling(pb.TopUpServiceConfirmRequest, funded, top_up))
    balance = await funded.balance("acme")
    assert (balance.available, balance.advance) == ("14400", "0")  # 9,400, and the overdraft


def funded_event(served: Served) -> Any:
    return event(served.new_id("event"), "acme")


async def test_a_charge_is_confirmed_once_and_replays(funded: Served):
    await ruled(funded)
    (top_up,) = (await listed(funded, pb.TOP_UP_STATE_PENDING)).top_ups
    assert (top_up.amount, top_up.available, top_up.source) == (10_000, "0", "card")
    assert top_up.expires_at_us == top_up.requested_at_us + DAY_US
    confirm = settling(pb.TopUpServiceConfirmRequest, funded, top_up, "pay")
    first = await funded.top_ups.Confirm(confirm)
    again = await funded.top_ups.Confirm(confirm)
    assert (again.grant_id, again.position, again.replayed) == (
        first.grant_id,
        first.position,
        True,
    )
    refused = await refusal_of(
        funded.top_ups.Confirm(settling(pb.TopUpServiceConfirmRequest, funded, top_up))
    )
    assert (refused.reason, refused.metadata["field"]) == ("TOP_UP_SETTLED", "top_up_id")
    assert refused.metadata["value"] == top_up.top_up_id
    shown = await funded.top_ups.Get(
        pb.TopUpServiceGetRequest(tenant=TENANT, top_up_id=top_up.top_up_id)
    )
    assert shown.top_up.state == pb.TOP_UP_STATE_CONFIRMED
    assert shown.top_up.grant_id == first.grant_id
    grant = await funded.grants.Get(
        grant_pb2.GrantServiceGetRequest(tenant=TENANT, grant_id=first.grant_id)
    )
    assert (grant.grant.amount, grant.grant.price_paid) == (10_000, 20_000)
    outcome = await funded.journal.GetOutcome(
        journal_pb2.GetOutcomeRequest(tenant=TENANT, account="acme", request_id="pay")
    )
    assert outcome.kind == journal_pb2.MUTATION_KIND_CONFIRM_TOP_UP
    assert outcome.resource == first.grant_id


async def test_a_decline_holds_the_next_one_off(funded: Served):
    await ruled(funded)
    (top_up,) = (await listed(funded)).top_ups
    declined = await funded.top_ups.Decline(settling(pb.TopUpServiceDeclineRequest, funded, top_up))
    assert declined.next_at_us > top_up.requested_at_us + HOUR_US - 1
    await funded.ingest(funded_event(funded))
    assert not (await listed(funded, pb.TOP_UP_STATE_PENDING)).top_ups
    assert len((await listed(funded, pb.TOP_UP_STATE_DECLINED)).top_ups) == 1


async def test_rules_are_shown_replaced_and_removed(funded: Served):
    await ruled(funded, disabled=True)
    await ruled(funded, threshold=5, disabled=True)
    request = pb.TopUpServiceGetRulesRequest(tenant=TENANT, account="acme")
    (rule,) = (await funded.top_ups.GetRules(request)).rules
    assert (rule.version, rule.threshold, rule.disabled) == (2, 5, True)
    remove = pb.TopUpServiceRemoveRuleRequest(
        tenant=TENANT, request_id="remove", account="acme", asset="credit"
    )
    await funded.top_ups.RemoveRule(remove)
    assert (await funded.top_ups.RemoveRule(remove)).replayed
    assert not (await funded.top_ups.GetRules(request)).rules
    remove.request_id = "again"
    refused = await refusal_of(funded.top_ups.RemoveRule(remove))
    assert (refused.reason, refused.metadata["value"]) == ("TOP_UP_RULE_UNKNOWN", "credit")


async def test_charges_come_in_pages(funded: Served):
    await ruled(funded)
    for target in (20_000, 30_000):
        await ruled(funded, threshold=target - 1, target=target)
    first = await listed(funded, page_size=2)
    assert [each.amount for each in first.top_ups] == [10_000, 10_000]
    second = await listed(funded, page_size=2, page_token=first.next_page_token)
    assert [each.amount for each in second.top_ups] == [10_000]
    assert not second.next_page_token


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"asset": ""}, "FIELD_REQUIRED", "rule.asset"),
        ({"asset": "none"}, "ASSET_UNKNOWN", "rule.asset"),
        ({"price_asset": "credit"}, "ASSET_KIND_INVALID", "rule.price_asset"),
        ({"threshold": -1}, "TOP_UP_RULE_INVALID", "rule.threshold"),
        ({"amount": 5}, "TOP_UP_RULE_INVALID", "rule.amount"),
        ({"window_us": 5}, "TOP_UP_RULE_INVALID", "rule.window_us"),
        ({"requests_max": 25}, "TOP_UP_RULE_INVALID", "rule.requests_max"),
        ({"source": "x" * 129}, "TEXT_TOO_LONG", "rule.source"),
    ],
)
async def test_bad_rules_change_nothing(
    funded: Served, changes: dict[str, Any], reason: str, field: str
):
    refused = await refusal_of(ruled(funded, **changes))
    assert (refused.reason, refused.metadata["field"]) == (reason, field)
    request = pb.TopUpServiceGetRulesRequest(tenant=TENANT, account="acme")
    assert not (await funded.top_ups.GetRules(request)).rules


async def test_an_id_that_was_not_given_out_is_unknown(funded: Served):
    top_up = pb.TopUp(top_up_id="top_up_x")
    confirm = settling(pb.TopUpServiceConfirmRequest, funded, top_up)
    refused = await refusal_of(funded.top_ups.Confirm(confirm))
    assert (refused.reason, refused.metadata["field"]) == ("TOP_UP_UNKNOWN", "top_up_id")
