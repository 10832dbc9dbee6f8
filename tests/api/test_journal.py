"""What became of a call, who serves which shard, and whether the books balance."""

from __future__ import annotations

import pytest

from ledger.v1 import decision_pb2, grant_pb2, usage_pb2
from ledger.v1 import journal_pb2 as pb
from tests.api.served import TENANT, Served, event, refusal_of

RECORDED = pb.OUTCOME_STATE_RECORDED
NOT_FOUND = pb.OUTCOME_STATE_NOT_FOUND
ABANDONED = pb.OUTCOME_STATE_ABANDONED


async def outcome(caller: Served, account: str = "acme", **changes) -> pb.GetOutcomeResponse:
    return await caller.journal.GetOutcome(
        pb.GetOutcomeRequest(tenant=TENANT, account=account, **changes)
    )


def usage(event_id: str) -> pb.UsageKey:
    return pb.UsageKey(source="gateway", id=event_id)


async def test_the_outcome_of_usage_is_its_first_reply(priced: Served):
    await priced.account("acme")
    first = (await priced.ingest(event("a", "acme"))).results[0]
    found = await outcome(priced, usage=usage("a"))
    assert (found.state, found.kind) == (RECORDED, pb.MUTATION_KIND_USAGE)
    assert (found.usage.outcome, found.usage.charge) == (first.outcome, first.charge)
    assert (found.asset, found.scale) == ("credit", 6)
    assert found.usage.replayed
    assert found.recorded_at_us > 0


async def test_the_outcomes_of_every_other_call(priced: Served):
    made = await priced.account("acme")
    issued = await priced.grant("acme", 1_000, request_id="issue")
    held = await priced.authorize("acme", request_id="auth")
    captured = await priced.decisions.Capture(
        decision_pb2.CaptureRequest(
            tenant=TENANT,
            request_id="capture",
            hold_id=held.hold_id,
            quantities={"input_tokens": 10},
        )
    )
    other = await priced.authorize("acme", request_id="auth-2", quantities={"input_tokens": 1})
    released = await priced.decisions.Release(
        decision_pb2.ReleaseRequest(tenant=TENANT, request_id="release", hold_id=other.hold_id)
    )
    denied = await priced.authorize("acme", request_id="auth-3", quantities={"input_tokens": 999})
    await priced.grants.Void(
        grant_pb2.GrantServiceVoidRequest(
            tenant=TENANT, request_id="void", grant_id=issued.grant.grant_id
        )
    )
    found = await outcome(priced, request_id="auth")
    assert (found.kind, found.resource) == (pb.MUTATION_KIND_AUTHORIZE, held.hold_id)
    assert found.authorize.amount == held.amount
    assert found.authorize.hold_state == captured.hold_state
    found = await outcome(priced, request_id="capture")
    assert (found.kind, found.resource) == (pb.MUTATION_KIND_CAPTURE, held.hold_id)
    assert (found.capture.charge, found.capture.released) == (30, held.amount - 30)
    found = await outcome(priced, request_id="release")
    assert (found.kind, found.resource) == (pb.MUTATION_KIND_RELEASE, other.hold_id)
    assert found.release.released == released.released
    found = await outcome(priced, request_id="auth-3")
    assert (found.authorize.decision, found.resource) == (denied.decision, "")
    for request_id, kind, resource in (
        ("issue", pb.MUTATION_KIND_ISSUE_GRANT, issued.grant.grant_id),
        ("void", pb.MUTATION_KIND_VOID_GRANT, issued.grant.grant_id),
        ("request-3", pb.MUTATION_KIND_CREATE_ACCOUNT, "acme"),
    ):
        found = await outcome(priced, request_id=request_id)
        assert (found.state, found.kind, found.resource) == (RECORDED, kind, resource)
    assert made.account.account == "acme"


async def test_what_is_not_applied_may_still_be_until_it_is_abandoned(priced: Served):
    await priced.account("acme")
    assert (await outcome(priced, request_id="lost")).state == NOT_FOUND
    assert (await outcome(priced, usage=usage("lost"))).state == NOT_FOUND
    assert (await outcome(priced, request_id="lost", abandon=True)).state == ABANDONED
    assert (await outcome(priced, request_id="lost")).state == ABANDONED
    assert (await outcome(priced, request_id="lost", abandon=True)).state == ABANDONED
    found = await refusal_of(priced.authorize("acme", request_id="lost"))
    assert found.reason == "ABANDONED"
    await outcome(priced, usage=usage("lost"), abandon=True)
    result = (await priced.ingest(event("lost", "acme"))).results[0]
    assert (result.outcome, result.reason) == (usage_pb2.INGEST_OUTCOME_CONFLICT, "ABANDONED")


async def test_what_is_applied_cannot_be_abandoned(priced: Served):
    await priced.account("acme")
    await priced.ingest(event("a", "acme"))
    found = await outcome(priced, usage=usage("a"), abandon=True)
    assert found.state == RECORDED


async def test_calls_of_accounts_that_do_not_exist(priced: Served):
    found = await outcome(priced, account="nobody", request_id="create")
    assert (found.state, found.position) == (NOT_FOUND, "")
    refusal = await refusal_of(outcome(priced, account="nobody", request_id="create", abandon=True))
    assert refusal.reason == "ACCOUNT_UNKNOWN"


@pytest.mark.parametrize(
    "changes",
    [{}, {"request_id": ""}, {"usage": pb.UsageKey(id="a")}, {"usage": pb.UsageKey(source="s")}],
    ids=str,
)
async def test_outcomes_need_a_key(priced: Served, changes):
    await priced.account("acme")
    assert (await refusal_of(outcome(priced, **changes))).reason == "FIELD_REQUIRED"


async def test_the_shard_map(priced: Served):
    routing = await priced.journal.GetRouting(pb.GetRoutingRequest(tenant=TENANT))
    assert routing.hash == "blake2b-64"
    assert [(route.shard, route.address) for route in routing.shards] == [
        (0, ""),
        (1, ""),
        (2, ""),
        (3, ""),
    ]


async def test_the_books_balance_on_every_shard(priced: Served):
    for number in range(8):
        await priced.account(f"customer-{number}")
        await priced.grant(f"customer-{number}", 1_000)
        await priced.authorize(f"customer-{number}")
        await priced.ingest(event("a", f"customer-{number}"))
    trial = await priced.journal.TrialBalance(pb.TrialBalanceRequest(tenant=TENANT))
    assert trial.balanced
    assert sum(int(row.debits_posted) for row in trial.rows) == 8 * (1_000 + 600)
    assert sum(int(row.credits_pending) for row in trial.rows) == 8 * 600
    assert {row.asset for row in trial.rows} == {"credit"}
    nothing = pb.TrialBalanceRequest(tenant=TENANT, asset="gold", min_position=trial.position)
    assert not (await priced.journal.TrialBalance(nothing)).rows
    other = await priced.journal.TrialBalance(pb.TrialBalanceRequest(tenant="sandbox"))
    assert not other.rows
