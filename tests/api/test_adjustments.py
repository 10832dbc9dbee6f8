"""Adjustments of a period, and corrections of usage that the dedupe window has left, over gRPC on
PostgreSQL (rules D3, I4, T2)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from ledger.core.limits import DAY_US
from ledger.journal.storage import PostgresStorage
from ledger.projections.as_of import History
from ledger.v1 import correction_pb2 as pb
from ledger.v1 import usage_pb2
from tests.api.served import TENANT, Served, SystemClock, event, refusal_of, served
from tests.projections.projecting import project

MARCH = int(datetime(2031, 3, 1, tzinfo=UTC).timestamp()) * 1_000_000
APRIL = int(datetime(2031, 4, 1, tzinfo=UTC).timestamp()) * 1_000_000
FEBRUARY = int(datetime(2031, 2, 1, tzinfo=UTC).timestamp()) * 1_000_000
KIND = pb.AdjustmentKind


@pytest.fixture
def clock() -> SystemClock:
    return SystemClock()


@pytest.fixture
async def caller(database: str, clock: SystemClock) -> AsyncIterator[Served]:
    """A family of two accounts with credits, and the read models. It is the fifth of March 2031."""
    storage = await PostgresStorage.open(database, 4)
    try:
        async with served(storage, clock, history=History(storage.pool)) as made:
            await made.priced()
            clock.ahead_us = MARCH + 4 * DAY_US - clock.now_us()
            await made.account("acme")
            await made.account("acme/eu", parent="acme")
            await made.grant("acme", 100_000, shared=True)
            yield made
    finally:
        await storage.close()


def named(event_id: str, **changes: Any) -> pb.Reversal:
    fields: dict[str, Any] = {
        "request_id": f"reverse {event_id}",
        "account": "acme",
        "event": pb.SourceAndId(source="gateway", id=event_id),
        **changes,
    }
    return pb.Reversal(**fields)


async def reverse(caller: Served, *reversals: pb.Reversal) -> list[pb.ReversalResult]:
    reply = await caller.corrections.ReverseUsage(
        pb.ReverseUsageRequest(tenant=TENANT, reversals=reversals)
    )
    return list(reply.results)


async def pages(caller: Served, size: int = 0, **changes: Any) -> list[pb.Adjustment]:
    fields = {"tenant": TENANT, "account": "acme", "page_size": size, **changes}
    request = pb.ListAdjustmentsRequest(**fields)
    found: list[pb.Adjustment] = []
    while True:
        reply = await caller.corrections.ListAdjustments(request)
        assert not size or len(reply.adjustments) <= size
        found.extend(reply.adjustments)
        if not reply.next_page_token:
            return found
        request.page_token = reply.next_page_token


async def test_the_adjustments_of_a_period(
    caller: Served, clock: SystemClock, database: str
) -> None:
    """Rule T2: late usage of a closed period and its reversal count in the open one and name the
    closed one; what is corrected of the open one and adjusted by hand counts in it too."""
    late = event("late", "acme", effective_at_us=FEBRUARY + 20 * DAY_US)
    of_child = event("child", "acme/eu", effective_at_us=FEBRUARY + 21 * DAY_US)
    await caller.ingest(late, of_child, event("usual", "acme"))
    [given, _] = await reverse(caller, named("late"), named("usual"))
    by_hand = await caller.corrections.AdjustBalance(
        pb.AdjustBalanceRequest(
            tenant=TENANT,
            request_id="by hand",
            account="acme",
            asset="credit",
            amount=50,
            reason="an outage",
            actor="mary",
        )
    )
    await project(database)
    found = await pages(caller)
    assert [(each.kind, each.closed_period_us, each.charged) for each in found] == [
        (KIND.ADJUSTMENT_KIND_USAGE, FEBRUARY, 600),
        (KIND.ADJUSTMENT_KIND_REVERSAL, FEBRUARY, -600),
        (KIND.ADJUSTMENT_KIND_REVERSAL, 0, -600),
        (KIND.ADJUSTMENT_KIND_MANUAL, 0, -50),
    ]
    assert {(each.account, each.asset, each.scale) for each in found} == {("acme", "credit", 6)}
    assert (found[0].source, found[0].usage_id) == ("gateway", "late")
    assert found[0].effective_at_us == FEBRUARY + 20 * DAY_US
    assert (found[1].entry_seq, found[1].original_entry_seq) == (
        given.entry_seq,
        found[0].entry_seq,
    )
    assert found[3].grant_id == by_hand.grant_id
    family = await pages(caller, subtree=True)
    assert [each.account for each in family] == ["acme", "acme/eu", "acme", "acme", "acme"]
    for size in (1, 2, 3):
        assert await pages(caller, size, subtree=True) == family
    assert await pages(caller, account="acme/eu") == [family[1]]

    first = await caller.corrections.ListAdjustments(
        pb.ListAdjustmentsRequest(tenant=TENANT, account="acme", page_size=1)
    )
    assert (first.period_start_us, first.period_end_us) == (MARCH, APRIL)
    assert await pages(caller, period_at_us=FEBRUARY) == []
    other = pb.ListAdjustmentsRequest(
        tenant=TENANT, account="acme", subtree=True, page_token=first.next_page_token
    )
    refused = await refusal_of(caller.corrections.ListAdjustments(other))
    assert (refused.reason, refused.metadata["field"]) == ("PAGE_INVALID", "page_token")


async def test_a_reversal_within_the_grace_counts_in_its_own_period(
    caller: Served, clock: SystemClock, database: str
) -> None:
    """Rule T2: March is open until the second of April; recorded then, it is March's."""
    await caller.ingest(event("u", "acme"))
    clock.ahead_us += APRIL + DAY_US // 2 - clock.now_us()
    await reverse(caller, named("u"))
    await project(database)
    [found] = await pages(caller, period_at_us=MARCH)
    assert (found.closed_period_us, found.charged) == (0, -600)
    assert found.recorded_at_us > APRIL > found.effective_at_us
    assert await pages(caller) == []


async def test_listing_waits_for_a_position_and_says_so(caller: Served) -> None:
    """What is asked for as of a position is refused, safe to retry, until the tables know it."""
    reply = await caller.ingest(event("u", "acme"))
    request = pb.ListAdjustmentsRequest(tenant=TENANT, account="acme", min_position=reply.position)
    refused = await refusal_of(caller.corrections.ListAdjustments(request))
    assert (refused.reason, refused.metadata["field"]) == ("READ_MODELS_BEHIND", "min_position")


async def test_usage_older_than_the_window_is_corrected_by_its_id(
    caller: Served, clock: SystemClock, database: str
) -> None:
    """Rules D3, I4: the read models know its entry by source and id for as long as it may be
    corrected; the family is that of the account that is named."""
    await caller.ingest(*[event(each, "acme/eu") for each in ("u", "v", "w")])
    clock.ahead_us += 40 * DAY_US
    await caller.ingest(event("new", "acme"))
    [behind] = await reverse(caller, named("u"))
    assert (behind.reason, behind.field) == ("USAGE_UNKNOWN", "event.id")
    assert "behind, at position" in behind.message

    await project(database)
    given, unknown, fresh = await reverse(caller, named("u"), named("x"), named("new"))
    assert (given.outcome, given.amount) == (pb.CORRECTION_OUTCOME_APPLIED, 600)
    assert (unknown.reason, unknown.field) == ("USAGE_UNKNOWN", "event.id")
    assert "behind" not in unknown.message
    assert fresh.amount == 600
    [again] = await reverse(caller, named("u"))
    assert again.replayed

    amended = await caller.corrections.AmendUsage(
        pb.AmendUsageRequest(
            tenant=TENANT,
            request_id="amend",
            account="acme/eu",
            event=pb.SourceAndId(source="gateway", id="v"),
            replacement=usage_pb2.UsageEvent(id="v2", quantities={"input_tokens": 10}),
        )
    )
    assert (amended.reversal.amount, amended.usage.charge) == (600, 30)

    await caller.account("stranger")
    [strange] = await reverse(caller, named("w", account="stranger"))
    assert strange.reason == "USAGE_UNKNOWN"
    clock.ahead_us += 370 * DAY_US
    [too_old] = await reverse(caller, named("w"))
    assert too_old.reason == "CORRECTION_TOO_OLD"
