"""Credit leases over gRPC: acquired, renewed, reported on, returned, lapsed, shown (rules H7, I5).

A call of 100 input and 20 output tokens costs 600 micro credits at the prices of `served.card`.
"""

from __future__ import annotations

from typing import Any

import pytest

from ledger.core.limits import MINUTE_US
from ledger.v1 import (
    account_pb2,
    budget_pb2,
    correction_pb2,
    explain_pb2,
    journal_pb2,
    usage_pb2,
)
from ledger.v1 import lease_pb2 as pb
from tests.api.served import PRODUCT, TENANT, Served, SystemClock, refusal_of


@pytest.fixture
async def leasing(served: Served) -> Served:
    """In memory, with an account of 10,000 micro credits."""
    await served.priced()
    await served.account("acme")
    await served.grant("acme", 10_000)
    return served


async def acquire(caller: Served, wanted: int, **changes: Any) -> pb.LeaseServiceAcquireResponse:
    fields = {
        "tenant": TENANT,
        "request_id": caller.new_id(),
        "account": "acme",
        "product": PRODUCT,
        "holder": "edge-1",
        "wanted": wanted,
        **changes,
    }
    return await caller.leases.Acquire(pb.LeaseServiceAcquireRequest(**fields))


async def renew(
    caller: Served, lease_id: str, wanted: int, keep: int, **changes: Any
) -> pb.LeaseServiceRenewResponse:
    fields = {
        "tenant": TENANT,
        "request_id": caller.new_id(),
        "lease_id": lease_id,
        "wanted": wanted,
        "keep": keep,
        **changes,
    }
    return await caller.leases.Renew(pb.LeaseServiceRenewRequest(**fields))


def used(event_id: str, **changes: Any) -> usage_pb2.UsageEvent:
    quantities = {"input_tokens": 100, "output_tokens": 20}
    return usage_pb2.UsageEvent(**{"id": event_id, "quantities": quantities, **changes})


async def report(
    caller: Served, lease_id: str, *events: usage_pb2.UsageEvent
) -> pb.ReportUsageResponse:
    return await caller.leases.ReportUsage(
        pb.ReportUsageRequest(tenant=TENANT, lease_id=lease_id, source="edge", events=events)
    )


async def find(caller: Served, lease_id: str) -> pb.Lease:
    reply = await caller.leases.Get(pb.LeaseServiceGetRequest(tenant=TENANT, lease_id=lease_id))
    return reply.lease


async def give_back(caller: Served, lease_id: str, **changes: Any) -> pb.GiveBackResponse:
    fields = {"tenant": TENANT, "request_id": caller.new_id(), "lease_id": lease_id, **changes}
    return await caller.leases.GiveBack(pb.GiveBackRequest(**fields))


async def exposure(caller: Served) -> tuple[int, str, str, str]:
    reply = await caller.leases.GetExposure(pb.GetExposureRequest(tenant=TENANT, account="acme"))
    [found] = reply.exposures
    return found.leases, found.in_escrow, found.overdue, found.may_overdraw


async def test_from_escrow_to_its_end(leasing: Served):
    made = await acquire(leasing, 6_000, request_id="first", term_us=MINUTE_US)
    assert (made.amount, made.share, made.asset, made.scale) == (6_000, 6_000, "credit", 6)
    assert (made.term_us, made.margin_us, made.replayed) == (MINUTE_US, 6_000_000, False)
    again = await acquire(leasing, 6_000, request_id="first", term_us=MINUTE_US)
    assert (again.lease_id, again.amount, again.replayed) == (made.lease_id, 6_000, True)
    shown = await leasing.balance("acme")
    assert (shown.available, shown.pending, shown.leased) == ("4000", "6000", "6000")
    assert await exposure(leasing) == (1, "6000", "0", "0")

    reported = await report(leasing, made.lease_id, used("one"), used("two"), used("one"))
    assert [each.charge for each in reported.results] == [600, 600, 600]
    assert [each.replayed for each in reported.results] == [False, False, True]
    assert (reported.lease.left, reported.lease.down_to, reported.lease.reports) == (
        4_800,
        4_800,
        2,
    )
    assert not reported.over

    renewed = await renew(leasing, made.lease_id, 9_000, 4_800)
    assert (renewed.amount, renewed.down_to) == (8_800, 8_800), "all that there is"
    big = used("big", quantities={"input_tokens": 3_000, "output_tokens": 0})
    reported = await report(leasing, made.lease_id, big)
    assert [each.charge for each in reported.results] == [9_000]
    assert [(each.event, each.amount) for each in reported.over] == [(0, 200)]
    assert (reported.lease.left, reported.lease.over) == (0, "200")

    entry = (
        await leasing.usage.Get(
            usage_pb2.UsageServiceGetRequest(tenant=TENANT, account="acme", source="edge", id="big")
        )
    ).entry
    assert (entry.lease_id, entry.lease_over, entry.hold_id) == (made.lease_id, 200, "")
    done = await give_back(leasing, made.lease_id)
    assert not done.replayed
    ended = await find(leasing, made.lease_id)
    assert (ended.state, ended.left, ended.reported) == (pb.LEASE_STATE_RETURNED, 0, "10200")
    refusal = await refusal_of(renew(leasing, made.lease_id, 1, 0))
    assert (refusal.code.name, refusal.reason) == ("FAILED_PRECONDITION", "LEASE_ENDED")


async def test_what_became_of_a_call(leasing: Served):
    """GetOutcome knows each of them by its request id, and usage by its own (rule I5)."""
    made = await acquire(leasing, 6_000, request_id="a")
    await renew(leasing, made.lease_id, 3_000, 3_000, request_id="b")
    await report(leasing, made.lease_id, used("one"))
    await leasing.leases.Recall(
        pb.RecallRequest(tenant=TENANT, request_id="c", lease_id=made.lease_id, keep=100)
    )
    assert (await find(leasing, made.lease_id)).down_to == 100
    await give_back(leasing, made.lease_id, request_id="d")
    for request_id, kind in (
        ("a", journal_pb2.MUTATION_KIND_ACQUIRE_LEASE),
        ("b", journal_pb2.MUTATION_KIND_RENEW_LEASE),
        ("c", journal_pb2.MUTATION_KIND_RECALL_LEASE),
        ("d", journal_pb2.MUTATION_KIND_GIVE_BACK_LEASE),
    ):
        found = await leasing.journal.GetOutcome(
            journal_pb2.GetOutcomeRequest(tenant=TENANT, account="acme", request_id=request_id)
        )
        assert (found.kind, found.resource) == (kind, made.lease_id)
    found = await leasing.journal.GetOutcome(
        journal_pb2.GetOutcomeRequest(
            tenant=TENANT, account="acme", usage=journal_pb2.UsageKey(source="edge", id="one")
        )
    )
    assert (found.kind, found.resource) == (journal_pb2.MUTATION_KIND_USAGE, made.lease_id)
    assert found.usage.charge == 600


async def test_what_is_no_usage_of_the_lease(leasing: Served):
    """Each event has an outcome of its own; the others are recorded."""
    await leasing.account("other")
    made = await acquire(leasing, 6_000, attributes={"region": "eu"})
    reported = await report(
        leasing,
        made.lease_id,
        used("one"),
        used("two", account="other"),
        used("three", account="nobody"),
        used("four", product="images", attributes={"region": "eu"}),
        used("five", attributes={"region": "us"}),
        used("six", attributes={"region": "eu", "user": "ann"}),
        used("seven", quote_id="quote_x"),
    )
    assert [each.reason for each in reported.results] == [
        "", "LEASE_OTHER_WORK", "ACCOUNT_UNKNOWN", "LEASE_OTHER_WORK", "LEASE_OTHER_WORK", "",
        "QUOTE_UNKNOWN",
    ]  # fmt: skip
    assert reported.lease.left == 4_800
    nothing = await refusal_of(report(leasing, made.lease_id))
    assert nothing.reason == "BATCH_EMPTY"


async def test_refusals(leasing: Served):
    refusal = await refusal_of(acquire(leasing, 0))
    assert (refusal.code.name, refusal.reason) == ("INVALID_ARGUMENT", "LEASE_INVALID")
    refusal = await refusal_of(acquire(leasing, 5, holder=""))
    assert refusal.violations[0][0] == "holder"
    refusal = await refusal_of(acquire(leasing, 5, term_us=1))
    assert refusal.reason == "LEASE_TERM_INVALID"
    refusal = await refusal_of(renew(leasing, "lease_x", 5, 0))
    assert refusal.reason == "LEASE_UNKNOWN"
    await leasing.budgets.Set(
        budget_pb2.BudgetServiceSetRequest(
            tenant=TENANT,
            request_id=leasing.new_id(),
            account="acme",
            budget=budget_pb2.Budget(
                name="calls", measure=budget_pb2.BUDGET_MEASURE_REQUESTS, limit=5
            ),
        )
    )
    refusal = await refusal_of(acquire(leasing, 5))
    assert (refusal.code.name, refusal.reason) == ("FAILED_PRECONDITION", "LEASE_UNBOUNDED")


async def test_lapses_by_the_servers_clock(leasing: Served):
    gone = await acquire(leasing, 3_000, term_us=5_000_000)
    stays = await acquire(
        leasing, 3_000, term_us=5_000_000, on_lapse=pb.LEASE_LAPSE_CHARGE, holder="edge-2"
    )
    clock = leasing.ledger.clock
    assert isinstance(clock, SystemClock)
    clock.ahead_us += 7_000_000
    late = await report(leasing, gone.lease_id, used("one"))
    assert (late.lease.state, late.lease.unreported) == (pb.LEASE_STATE_LAPSED, 2_400)
    kept = await report(leasing, stays.lease_id, used("two"))
    assert (kept.lease.state, kept.lease.left) == (pb.LEASE_STATE_OVERDUE, 2_400)
    assert await exposure(leasing) == (1, "2400", "2400", "2400")
    refusal = await refusal_of(give_back(leasing, stays.lease_id))
    assert refusal.reason == "LEASE_OVERDUE"
    await give_back(leasing, stays.lease_id, write_off=True)
    assert await exposure(leasing) == (0, "0", "0", "2400")
    assert (await leasing.balance("acme")).available == "8800"
    listed = await leasing.leases.List(pb.LeaseServiceListRequest(tenant=TENANT, account="acme"))
    assert not listed.leases


async def test_usage_of_a_lease_is_explained_and_given_back_as_any(leasing: Served):
    made = await acquire(leasing, 6_000)
    await report(leasing, made.lease_id, used("one"), used("two"))
    explained = await leasing.explaining.Explain(
        explain_pb2.ExplainRequest(tenant=TENANT, account="acme", source="edge", id="one")
    )
    assert explained.explanation.entry.charge == 600
    key = correction_pb2.Reversal(
        request_id="back",
        account="acme",
        event=correction_pb2.SourceAndId(source="edge", id="one"),
    )
    reversed_ = await leasing.corrections.ReverseUsage(
        correction_pb2.ReverseUsageRequest(tenant=TENANT, reversals=[key])
    )
    assert reversed_.results[0].amount == 600
    shown = await leasing.balance("acme")
    assert (shown.available, shown.leased) == ("4600", "4800"), "it goes back to the balance"


async def test_an_account_closes_with_what_is_out(leasing: Served):
    """As with holds: only where that is asked for; then nothing more is a report of the lease."""
    made = await acquire(leasing, 6_000)
    refusal = await refusal_of(close(leasing))
    assert refusal.reason == "ACCOUNT_NOT_EMPTY"
    await close(leasing, release_holds=True, write_off=True)
    assert (await find(leasing, made.lease_id)).state == pb.LEASE_STATE_RETURNED
    reported = await report(leasing, made.lease_id, used("one"))
    assert [each.reason for each in reported.results] == ["LEASE_ENDED"]


async def close(caller: Served, **changes: bool) -> Any:
    return await caller.accounts.Close(
        account_pb2.AccountServiceCloseRequest(
            tenant=TENANT, request_id=caller.new_id(), account="acme", **changes
        )
    )
