"""Commitments over gRPC, with a server whose clock is moved (rule D7)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from ledger.core.limits import DAY_US
from ledger.journal.storage import MemoryStorage
from ledger.v1 import commitment_pb2 as pb
from ledger.v1 import grant_pb2, journal_pb2, types_pb2
from rating.v1 import pricing_pb2
from tests.api.served import TENANT, Served, SystemClock, event, refusal_of, served
from tests.patience import HANGS_S


@pytest.fixture
def clock() -> SystemClock:
    return SystemClock()


@pytest.fixture
async def caller(clock: SystemClock) -> AsyncIterator[Served]:
    """One account, with a price, and money to bill in."""
    async with served(MemoryStorage(clock.now_us, 4), clock) as made:
        await made.priced()
        await made.asset("USD", 2, pricing_pb2.ASSET_KIND_MONEY)
        await made.account("acme")
        yield made


def terms(**changes: Any) -> pb.CommitmentTerms:
    fields: dict[str, Any] = {
        "kind": types_pb2.GRANT_KIND_POSTPAID,
        "asset": "credit",
        "price_asset": "USD",
        **changes,
    }
    return pb.CommitmentTerms(**fields)


def asked(caller: Served, clock: SystemClock, **changes: Any) -> pb.CommitmentServiceCreateRequest:
    now = clock.now_us()
    fields: dict[str, Any] = {
        "tenant": TENANT,
        "request_id": caller.new_id(),
        "account": "acme",
        "terms": terms(),
        "segments": [
            pb.CommitmentSegment(ends_at_us=now + 30 * DAY_US, amount=10_000, price=500),
            pb.CommitmentSegment(
                starts_at_us=now + 30 * DAY_US,
                ends_at_us=now + 60 * DAY_US,
                amount=20_000,
                price=800,
            ),
        ],
        "invoices": [pb.CommitmentInvoice(at_us=now + 10 * DAY_US, amount=1_300)],
        **changes,
    }
    return pb.CommitmentServiceCreateRequest(**fields)


async def get(caller: Served, commitment_id: str) -> pb.Commitment:
    request = pb.CommitmentServiceGetRequest(tenant=TENANT, commitment_id=commitment_id)
    return (await caller.commitments.Get(request)).commitment


async def test_a_commitment_from_its_start_to_an_early_end(
    caller: Served, clock: SystemClock
) -> None:
    request = asked(
        caller,
        clock,
        external_key="contract-7",
        terms=terms(priority=3, products=["chat"], tags=["t"], metadata={"deal": "7"}),
    )
    created = await caller.commitments.Create(request)
    kept = created.commitment
    assert (kept.external_key, kept.state) == ("contract-7", pb.COMMITMENT_STATE_ACTIVE)
    assert (kept.terms.scale, kept.terms.price_scale, kept.terms.priority) == (6, 2, 3)
    assert (list(kept.terms.products), dict(kept.terms.metadata)) == (["chat"], {"deal": "7"})
    assert [(each.amount, each.price, each.drawn) for each in kept.segments] == [
        (10_000, 500, 0),
        (20_000, 800, 0),
    ]
    assert kept.segments[0].starts_at_us == kept.created_at_us
    grants = await caller.grants.List(
        grant_pb2.GrantServiceListRequest(tenant=TENANT, account="acme")
    )
    assert [each.grant_id for each in grants.grants] == [s.grant_id for s in kept.segments]
    assert [each.state for each in grants.grants] == [
        types_pb2.GRANT_STATE_ACTIVE,
        types_pb2.GRANT_STATE_SCHEDULED,
    ]

    again = await caller.commitments.Create(request)
    assert again.replayed and again.commitment == kept
    outcome = await caller.journal.GetOutcome(
        journal_pb2.GetOutcomeRequest(tenant=TENANT, account="acme", request_id=request.request_id)
    )
    assert outcome.kind == journal_pb2.MUTATION_KIND_CREATE_COMMITMENT
    assert outcome.resource == kept.commitment_id

    await caller.ingest(event("a", "acme"))
    drawn = (await get(caller, kept.commitment_id)).segments[0].drawn
    assert drawn > 0

    clock.ahead_us += 10 * DAY_US
    async with asyncio.timeout(HANGS_S):  # the server posts by itself what is due
        while not (await get(caller, kept.commitment_id)).invoices[0].posted:
            await asyncio.sleep(0.02)

    added = await caller.commitments.AddSegment(
        pb.AddSegmentRequest(
            tenant=TENANT,
            request_id=caller.new_id(),
            commitment_id=kept.commitment_id,
            segment=pb.CommitmentSegment(
                ends_at_us=clock.now_us() + 5 * DAY_US, amount=100, price=5
            ),
            invoices=[pb.CommitmentInvoice(at_us=clock.now_us() + DAY_US, amount=5)],
        )
    )
    assert [each.posted for each in added.commitment.invoices] == [True, False]
    assert added.commitment.segments[2].amount == 100

    ended = await caller.commitments.End(
        pb.CommitmentServiceEndRequest(
            tenant=TENANT,
            request_id=caller.new_id(),
            commitment_id=kept.commitment_id,
            ending=pb.COMMITMENT_ENDING_TRUE_UP,
        )
    )
    assert ended.trued_up == 10_100 - drawn
    assert 0 < ended.value <= 505
    assert ended.commitment.state == pb.COMMITMENT_STATE_ENDED
    assert ended.commitment.ending == pb.COMMITMENT_ENDING_TRUE_UP
    assert (await caller.balance("acme")).available == "0"


async def test_a_commitment_is_completed_and_listed(caller: Served, clock: SystemClock) -> None:
    first = (await caller.commitments.Create(asked(caller, clock, invoices=[]))).commitment
    prepaid = terms(kind=types_pb2.GRANT_KIND_PREPAID)
    second = (await caller.commitments.Create(asked(caller, clock, terms=prepaid))).commitment
    request = pb.CommitmentServiceListRequest(tenant=TENANT, account="acme", page_size=1)
    page = await caller.commitments.List(request)
    assert [each.commitment_id for each in page.commitments] == [first.commitment_id]
    request.page_token = page.next_page_token
    page = await caller.commitments.List(request)
    assert [each.commitment_id for each in page.commitments] == [second.commitment_id]
    assert not page.next_page_token
    clock.ahead_us += 60 * DAY_US
    assert (await get(caller, first.commitment_id)).state == pb.COMMITMENT_STATE_COMPLETED


async def test_a_commitment_ends_by_transfer(caller: Served, clock: SystemClock) -> None:
    """Rule D7: what is left moves to another of the family, with its price and its invoices."""
    first = (await caller.commitments.Create(asked(caller, clock))).commitment
    second = (await caller.commitments.Create(asked(caller, clock, invoices=[]))).commitment
    await caller.account("stranger")
    other = (await caller.commitments.Create(asked(caller, clock, account="stranger"))).commitment
    await caller.ingest(event("a", "acme"))
    drawn = (await get(caller, first.commitment_id)).segments[0].drawn

    def ending(target: str, **changes: Any) -> pb.CommitmentServiceEndRequest:
        fields: dict[str, Any] = {
            "tenant": TENANT,
            "request_id": caller.new_id(),
            "commitment_id": first.commitment_id,
            "ending": pb.COMMITMENT_ENDING_TRANSFER,
            "target_commitment_id": target,
            **changes,
        }
        return pb.CommitmentServiceEndRequest(**fields)

    field = "target_commitment_id"
    waive = ending(second.commitment_id, ending=pb.COMMITMENT_ENDING_WAIVE)
    for request, reason in (
        (ending(""), "FIELD_REQUIRED"),
        (ending("commitment_x"), "COMMITMENT_UNKNOWN"),
        (ending(first.commitment_id), "TRANSFER_INVALID"),
        (ending(other.commitment_id), "TRANSFER_INVALID"),
        (waive, "TRANSFER_INVALID"),
    ):
        found = await refusal_of(caller.commitments.End(request))
        assert (found.reason, found.metadata["field"]) == (reason, field), found
    assert (await get(caller, first.commitment_id)).state == pb.COMMITMENT_STATE_ACTIVE

    request = ending(second.commitment_id)
    ended = await caller.commitments.End(request)
    assert (ended.transferred, ended.trued_up) == (30_000 - drawn, 0)
    assert ended.commitment.ending == pb.COMMITMENT_ENDING_TRANSFER
    assert ended.commitment.moved_to == second.commitment_id
    assert [each.left_undrawn for each in ended.commitment.segments] == [10_000 - drawn, 20_000]
    assert (await caller.commitments.End(request)).replayed
    took = await get(caller, second.commitment_id)
    assert [each.amount for each in took.segments[2:]] == [10_000 - drawn, 20_000]
    assert sum(each.price for each in took.segments[2:]) == ended.value
    assert [each.amount for each in took.invoices] == [1_300]


async def test_refusals_name_the_field(caller: Served, clock: SystemClock) -> None:
    now = clock.now_us()

    def segment(**changes: Any) -> pb.CommitmentSegment:
        fields = {"ends_at_us": now + 9 * DAY_US, "amount": 1, "price": 1, **changes}
        return pb.CommitmentSegment(**fields)

    overlap = [segment(), segment(starts_at_us=now + 8 * DAY_US, ends_at_us=now + 20 * DAY_US)]
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    for changes, status, reason, field in (
        ({"segments": overlap}, invalid, "SEGMENTS_OVERLAP", "segments[1].starts_at_us"),
        ({"segments": []}, invalid, "FIELD_REQUIRED", "segments"),
        ({"segments": [segment()] * 121}, invalid, "TOO_MANY", "segments"),
        ({"segments": [segment(price=0)]}, invalid, "NUMBER_OUT_OF_RANGE", "segments[0].price"),
        (
            {"segments": [segment(ends_at_us=5)]},
            invalid,
            "SEGMENT_INVALID",
            "segments[0].ends_at_us",
        ),
        (
            {"invoices": [pb.CommitmentInvoice(at_us=5)]},
            invalid,
            "NUMBER_OUT_OF_RANGE",
            "invoices[0].amount",
        ),
        (
            {"terms": terms(kind=types_pb2.GRANT_KIND_PROMOTIONAL)},
            invalid,
            "NUMBER_OUT_OF_RANGE",
            "terms.kind",
        ),
        (
            {"terms": terms(price_asset="credit")},
            invalid,
            "ASSET_KIND_INVALID",
            "terms.price_asset",
        ),
        ({"account": "nobody"}, grpc.StatusCode.NOT_FOUND, "ACCOUNT_UNKNOWN", "account"),
    ):
        found = await refusal_of(caller.commitments.Create(asked(caller, clock, **changes)))
        assert (found.code, found.reason, found.metadata["field"]) == (
            status,
            reason,
            field,
        ), found
    missing = await refusal_of(
        caller.commitments.Get(
            pb.CommitmentServiceGetRequest(tenant=TENANT, commitment_id="commitment_x")
        )
    )
    assert missing.reason == "COMMITMENT_UNKNOWN"
