"""Decision policies over gRPC: set, shown, and what decisions say of them (rules D4, I2)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ledger.v1 import decision_pb2 as d
from ledger.v1 import decision_policy_pb2 as pb
from ledger.v1 import journal_pb2, package_pb2, recurring_pb2
from tests.api.served import TENANT, Served, refusal_of

COST = 600  # of 100 input tokens at 3 and 20 output tokens at 15
HALF = d.Alternative(product="chat", quantities=[d.QuantityMap(quantity="output_tokens")])
BRIEF = d.Alternative(
    product="chat",
    attributes={"mode": "brief"},
    quantities=[
        d.QuantityMap(quantity="output_tokens", becomes="output_tokens", permille=100),
        d.QuantityMap(quantity="input_tokens", becomes="input_tokens", permille=500),
    ],
)  # 50 x 3 + 2 x 15 = 180


async def set_rules(
    served: Served, account: str, *rules: pb.PolicyRule, **more: Any
) -> pb.DecisionPolicyServiceSetResponse:
    fields = {"request_id": served.new_id(), "account": account, **more}
    return await served.policies.Set(
        pb.DecisionPolicyServiceSetRequest(tenant=TENANT, rules=rules, **fields)
    )


async def get(served: Served, account: str) -> pb.DecisionPolicyServiceGetResponse:
    return await served.policies.Get(
        pb.DecisionPolicyServiceGetRequest(tenant=TENANT, account=account)
    )


def overdraw(bound: int, **more: Any) -> pb.PolicyRule:
    fields = {"asset": "credit", "scale": 6, "bound": bound, **more}
    return pb.PolicyRule(action=d.POLICY_ACTION_OVERDRAW, **fields)


async def test_a_policy_is_shown_as_it_was_set_and_inherited(priced: Served):
    await priced.account("acme")
    await priced.account("team", parent="acme")
    rule = pb.PolicyRule(
        action=d.POLICY_ACTION_DOWNGRADE,
        products=["chat"],
        attributes={"tier": "free"},
        limits=[d.LIMIT_KIND_GRANTS, d.LIMIT_KIND_BUDGET],
        available_below=0,
        margin_floor_permille=50,
        alternatives=[BRIEF],
    )
    first = await set_rules(priced, "acme", rule, overdraw(5, lasting_us=9), request_id="r")
    assert list(first.policy.rules) == [rule, overdraw(5, lasting_us=9)]
    assert (first.policy.version, first.policy.account, first.replayed) == (1, "acme", False)
    again = await set_rules(priced, "acme", rule, overdraw(5, lasting_us=9), request_id="r")
    assert again.replayed and again.policy == first.policy
    found = await get(priced, "team")
    assert (found.own.version, list(found.own.rules)) == (0, [])
    assert found.standing == first.policy
    await set_rules(priced, "team", overdraw(1))
    found = await get(priced, "team")
    assert found.own == found.standing and found.own.account == "team"
    removed = await set_rules(priced, "team", expected_version=1)
    assert (removed.policy.version, list(removed.policy.rules)) == (2, [])
    assert (await get(priced, "team")).standing.account == "acme"
    outcome = await priced.journal.GetOutcome(
        journal_pb2.GetOutcomeRequest(tenant=TENANT, account="acme", request_id="r")
    )
    assert outcome.kind == journal_pb2.MUTATION_KIND_SET_DECISION_POLICY
    assert outcome.resource == "acme"


@pytest.mark.parametrize(
    ("rule", "reason", "field"),
    [
        (pb.PolicyRule(), "POLICY_RULE_INVALID", "rules[0].action"),
        (overdraw(0), "POLICY_RULE_INVALID", "rules[0].bound"),
        (
            pb.PolicyRule(action=d.POLICY_ACTION_OVERDRAW, asset="none", bound=1),
            "ASSET_UNKNOWN",
            "rules[0].asset",
        ),
        (
            pb.PolicyRule(action=d.POLICY_ACTION_DOWNGRADE, alternatives=[HALF] * 9),
            "NUMBER_OUT_OF_RANGE",
            "rules[0].alternatives",
        ),
        (pb.PolicyRule(action=99), "NUMBER_OUT_OF_RANGE", "rules[0].action"),
    ],
)
async def test_what_a_rule_may_not_say_is_refused(
    priced: Served, rule: pb.PolicyRule, reason: str, field: str
):
    await priced.account("acme")
    found = await refusal_of(set_rules(priced, "acme", rule))
    assert (found.reason, found.metadata["field"]) == (reason, field)


async def test_a_downgrade_is_held_captured_and_replayed(priced: Served):
    await priced.account("acme")
    await priced.grant("acme", 400)
    await set_rules(
        priced,
        "acme",
        pb.PolicyRule(action=d.POLICY_ACTION_DENY, products=["video"]),
        pb.PolicyRule(action=d.POLICY_ACTION_DOWNGRADE, alternatives=[HALF, BRIEF]),
    )
    advice = await priced.check("acme")
    held = await priced.authorize("acme", request_id="h")
    for answer, amount in ((advice, advice.charge), (held, held.amount)):
        assert (answer.decision, answer.reason, amount) == (d.DECISION_DOWNGRADE, "", 180)
        ruling = answer.ruling
        assert (ruling.policy_account, ruling.policy_version, ruling.rule) == ("acme", 1, 2)
        assert (ruling.reason, ruling.charge) == ("INSUFFICIENT_CREDITS", COST)
        assert (ruling.product, dict(ruling.attributes)) == ("chat", {"mode": "brief"})
        assert dict(ruling.quantities) == {"input_tokens": 50, "output_tokens": 2}
        assert [
            (each.rule, each.alternative, each.charge, each.result) for each in ruling.tried
        ] == [
            (1, 0, 0, "OTHER_PRODUCT"),
            (2, 1, 300, "NOT_CHEAPEST"),
            (2, 2, 180, ""),
        ]
    again = await priced.authorize("acme", request_id="h")
    assert again.replayed
    again.replayed = False
    assert again == held
    outcome = await priced.journal.GetOutcome(
        journal_pb2.GetOutcomeRequest(tenant=TENANT, account="acme", request_id="h")
    )
    assert outcome.authorize.ruling == held.ruling
    captured = await priced.decisions.Capture(
        d.CaptureRequest(
            tenant=TENANT,
            request_id="c",
            hold_id=held.hold_id,
            quantities={"input_tokens": 50, "output_tokens": 1},
        )
    )
    assert (captured.charge, captured.released) == (165, 15)


async def test_alternatives_of_the_request_need_no_policy(priced: Served):
    await priced.account("acme")
    await priced.grant("acme", 400)
    charged = await priced.debit("acme", alternatives=[HALF, BRIEF])
    assert (charged.decision, charged.charge) == (d.DECISION_DOWNGRADE, 180)
    assert (charged.ruling.policy_account, charged.ruling.rule) == ("", 0)
    denied = await priced.debit("acme", alternatives=[HALF])
    assert (denied.decision, denied.reason) == (d.DECISION_DENY, "INSUFFICIENT_CREDITS")
    assert [each.result for each in denied.ruling.tried] == ["INSUFFICIENT_CREDITS"]
    plain = await priced.debit("acme")
    assert (plain.decision, plain.HasField("ruling")) == (d.DECISION_DENY, False)
    empty = await refusal_of(priced.debit("acme", alternatives=[d.Alternative()]))
    assert empty.reason == "ALTERNATIVES_INVALID"
    many = await refusal_of(priced.check("acme", alternatives=[HALF] * 9))
    assert many.reason == "NUMBER_OUT_OF_RANGE"


async def test_what_is_missing_is_said_and_asked_for(priced: Served):
    await priced.account("acme")
    await priced.grant("acme", 400)
    await set_rules(priced, "acme", pb.PolicyRule(action=d.POLICY_ACTION_TOP_UP))
    told = await priced.debit("acme")
    assert (told.decision, told.reason) == (d.DECISION_TOP_UP, "INSUFFICIENT_CREDITS")
    assert (told.ruling.missing, told.ruling.asset, told.ruling.top_up_id) == (200, "credit", "")


async def test_two_hundred_at_once_go_as_far_below_zero_as_the_bound(priced: Served):
    """17 fit: 400 credits and 10,000 below zero, at 600 each."""
    await priced.account("acme")
    await priced.grant("acme", 400)
    await set_rules(priced, "acme", overdraw(10_000))
    answers = await asyncio.gather(*[priced.debit("acme") for _ in range(200)])
    allowed = [each for each in answers if each.decision != d.DECISION_DENY]
    assert len(allowed) == (400 + 10_000) // COST == 17
    assert {each.decision for each in allowed} == {d.DECISION_ALLOW_OVERDRAFT}
    assert {each.ruling.rule for each in allowed} == {1}
    denied = next(each for each in answers if each.decision == d.DECISION_DENY)
    assert [each.result for each in denied.ruling.tried] == ["BOUND_EXCEEDED"]
    balance = await priced.balance("acme", "", max(each.position for each in answers))
    assert int(balance.available) <= 0


async def test_a_stream_is_told_the_same(priced: Served):
    await priced.account("acme")
    await priced.grant("acme", 400)
    await set_rules(
        priced, "acme", pb.PolicyRule(action=d.POLICY_ACTION_DEFER, alternatives=[BRIEF])
    )
    items = [
        d.DecideItem(
            number=number,
            authorize=d.AuthorizeRequest(
                tenant=TENANT,
                request_id=f"s-{number}",
                account="acme",
                product="chat",
                quantities={"input_tokens": 100, "output_tokens": 20},
            ),
        )
        for number in range(3)
    ]
    replies = {}
    async for message in priced.decisions.DecideStream(iter([d.DecideStreamRequest(items=items)])):
        replies.update({each.number: each.authorize for each in message.replies})
    assert [replies[number].decision for number in range(3)] == [
        d.DECISION_DEFER,
        d.DECISION_DEFER,
        d.DECISION_DENY,
    ]
    assert replies[0].expires_at_us > 0 and replies[0].ruling.attributes["mode"] == "brief"


async def test_a_package_carries_rules(priced: Served):
    rules = [overdraw(700, lasting_us=5), pb.PolicyRule(action=d.POLICY_ACTION_TOP_UP)]
    made = package_pb2.PackageVersion(
        name="pro", unit=recurring_pb2.PERIOD_UNIT_MONTH, every=1, rules=rules
    )
    wrong = [overdraw(1, asset="none"), pb.PolicyRule(action=99, limits=[d.LIMIT_KIND_MARGIN])]
    bad = package_pb2.PackageVersion(
        name="pro", unit=recurring_pb2.PERIOD_UNIT_MONTH, every=1, rules=wrong
    )
    request = package_pb2.PackageServicePublishRequest(
        tenant=TENANT, request_id="p", package=bad, validate_only=True
    )
    faults = (await priced.packages.Publish(request)).faults
    assert {(each.path, each.reason) for each in faults} == {
        ("rules[0].asset", "ASSET_UNKNOWN"),
        ("rules[1].action", "VALUE_UNKNOWN"),
        ("rules[1].limits", "VALUE_UNKNOWN"),
    }
    published = await priced.packages.Publish(
        package_pb2.PackageServicePublishRequest(tenant=TENANT, request_id="q", package=made)
    )
    assert list(published.package.rules) == rules
    await priced.account("acme")
    await priced.packages.Subscribe(
        package_pb2.PackageServiceSubscribeRequest(
            tenant=TENANT, request_id="s", account="acme", package="pro"
        )
    )
    charged = await priced.debit("acme")
    assert (charged.decision, charged.ruling.package) == (d.DECISION_ALLOW_OVERDRAFT, "pro")
    assert charged.ruling.policy_version == published.package.version
    found = await get(priced, "acme")
    assert (found.own.version, found.standing.package) == (0, "pro")
    assert list(found.standing.rules) == rules


async def test_many_are_told_what_one_is(priced: Served):
    """Each decision, and what it costs, is that of Check; what runs instead only Check says."""
    for name in ("rich", "poor", "none"):
        await priced.account(name)
    await priced.grant("rich", 400)
    await priced.grant("poor", 100)
    for name in ("rich", "poor"):
        await set_rules(
            priced,
            name,
            pb.PolicyRule(
                action=d.POLICY_ACTION_DOWNGRADE, attributes={"tier": "a"}, alternatives=[BRIEF]
            ),
            pb.PolicyRule(
                action=d.POLICY_ACTION_DEFER, attributes={"tier": "b"}, alternatives=[BRIEF]
            ),
            overdraw(300),
            pb.PolicyRule(action=d.POLICY_ACTION_TOP_UP),
        )
    quantities = {"input_tokens": 100, "output_tokens": 20}
    work = [
        d.WorkToCheck(product="chat", attributes={"tier": tier}, quantities=quantities)
        for tier in "abc"
    ]
    accounts = ["rich", "poor", "none"]
    many = await priced.decisions.CheckMany(
        d.CheckManyRequest(tenant=TENANT, accounts=accounts, work=work)
    )
    places = 0
    for account in accounts:
        for each in work:
            one = await priced.check(account, attributes=each.attributes, quantities=quantities)
            assert (one.decision, one.charge) == (many.decisions[places], many.charges[places])
            assert many.reason_names[many.reasons[places]] == one.reason
            places += 1
    assert list(many.decisions) == [
        d.DECISION_DOWNGRADE,
        d.DECISION_DEFER,
        d.DECISION_ALLOW_OVERDRAFT,
        *[d.DECISION_TOP_UP] * 3,
        *[d.DECISION_DENY] * 3,
    ]
