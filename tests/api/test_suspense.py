"""What waits for a price: listed, rated when it is published, shown and corrected, over gRPC on
PostgreSQL (rules B8, D3)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from ledger.core.limits import DAY_US, HOUR_US
from ledger.journal.storage import PostgresStorage
from ledger.projections.as_of import History
from ledger.v1 import balance_pb2, correction_pb2, types_pb2
from ledger.v1 import usage_pb2 as pb
from ledger.verify import verify
from rating.v1 import card_pb2, pricing_pb2
from tests.api.served import TENANT, Served, SystemClock, card, event, refusal_of, served
from tests.projections.projecting import project


@pytest.fixture
async def caller(database: str) -> AsyncIterator[Served]:
    """A family of two accounts with credits, another account, and the read models."""
    storage = await PostgresStorage.open(database, 4)
    clock = SystemClock()
    try:
        async with served(storage, clock, history=History(storage.pool)) as made:
            await made.priced()
            await made.account("acme")
            await made.account("acme/eu", parent="acme")
            await made.account("other")
            since = clock.now_us() - DAY_US
            await made.grant("acme", 100_000, shared=True, effective_at_us=since)
            yield made
    finally:
        await storage.close()


def strange(event_id: str, account: str = "acme", **changes: Any) -> pb.UsageEvent:
    """Usage of chat whose images have no price."""
    quantities = {"input_tokens": 100, "images": 3}
    return event(event_id, account, quantities=quantities, **changes)


async def publish(caller: Served, version: int, **prices: str) -> None:
    """A version with these prices of chat besides, meant from an hour ago."""
    made = card()
    for quantity, price in prices.items():
        made.meters.append(card_pb2.Meter(quantity=quantity))
        made.rows.append(card_pb2.PriceRow(product="chat", quantity=quantity, price=price))
    await caller.pricing.PublishRateCard(
        pricing_pb2.PublishRateCardRequest(
            tenant=TENANT,
            request_id=caller.new_id(),
            card=made,
            expected_version=version,
            effective_from_us=SystemClock().now_us() - HOUR_US,
        )
    )


async def listed(caller: Served, size: int = 0, **changes: Any) -> list[pb.SuspendedUsage]:
    request = pb.ListSuspenseRequest(tenant=TENANT, page_size=size, **changes)
    found: list[pb.SuspendedUsage] = []
    while True:
        reply = await caller.usage.ListSuspense(request)
        assert not size or len(reply.usage) <= size
        found.extend(reply.usage)
        if not reply.next_page_token:
            return found
        request.page_token = reply.next_page_token


async def get(caller: Served, event_id: str, account: str = "acme") -> pb.UsageEntry:
    request = pb.UsageServiceGetRequest(
        tenant=TENANT, account=account, source="gateway", id=event_id
    )
    return (await caller.usage.Get(request)).entry


async def test_it_is_listed_and_leaves_the_list_when_it_is_rated(
    caller: Served, database: str
) -> None:
    """Rule B8: the other quantities are charged at once; a published price rates what waits, which
    the next read sees."""
    reply = await caller.ingest(strange("a"), strange("b", "acme/eu"))
    assert [each.reason for each in reply.results] == ["UNPRICED"] * 2
    await caller.ingest(strange("c", "other"))
    await project(database)
    found = await listed(caller)
    assert [(each.account, each.id, each.product) for each in found] == [
        ("acme", "a", "chat"),
        ("acme/eu", "b", "chat"),
        ("other", "c", "chat"),
    ]
    [waits] = found[0].quantities
    assert (waits.name, waits.quantity, waits.reason) == ("images", 3, "UNPRICED")
    assert found[0].recorded_at_us >= found[0].effective_at_us > 0
    for size in (1, 2):
        assert await listed(caller, size) == found
    assert await listed(caller, account="acme") == found[:2]
    assert await listed(caller, account="acme/eu") == found[1:2]
    assert await listed(caller, product="chat", reason="UNPRICED") == found
    assert await listed(caller, product="speech") == []
    assert await listed(caller, reason="NO_CONTRACT") == []

    before = await caller.balance("acme")
    await publish(caller, 2, images="0.001")
    entry = await get(caller, "a")
    [rating] = entry.ratings
    assert [(line.quantity_name, line.charge) for line in rating.lines] == [("images", 3_000)]
    assert (rating.charge, rating.asset, rating.rate_card_version) == (3_000, "credit", 3)
    assert [piece.pot for piece in rating.slices] == [types_pb2.POT_GRANT]
    assert sum(each.amount for each in rating.transfers if each.asset == "credit") == 3_000
    assert entry.charge == 300
    assert entry.outcome == pb.INGEST_OUTCOME_SUSPENSE  # as it was answered
    after = await caller.balance("acme")
    assert int(before.available) - int(after.available) == 6_000
    await project(database)
    assert await listed(caller) == []
    report = await verify(database)
    assert report.ok, report

    # As of its own time: it counts once it was recorded, and did not before (rule T5).
    known = [rating.recorded_at_us - 1, rating.recorded_at_us]
    balances = [
        await caller.balances.Get(
            balance_pb2.BalanceServiceGetRequest(
                tenant=TENANT,
                account="acme",
                effective_at_us=entry.effective_at_us,
                known_at_us=known_at,
            )
        )
        for known_at in known
    ]
    then, since = (int(each.balances[0].available) for each in balances)
    assert then - since in (3_000, 6_000)  # of acme itself, or of acme/eu in the same batch too


async def test_a_reversal_gives_back_what_rated_it_too(caller: Served, database: str) -> None:
    """Rule D3: the last first, and a retry shows the same."""
    await caller.ingest(strange("a"))
    await publish(caller, 2, images="0.001")
    request = correction_pb2.ReverseUsageRequest(
        tenant=TENANT,
        reversals=[
            correction_pb2.Reversal(
                request_id="r",
                account="acme",
                event=correction_pb2.SourceAndId(source="gateway", id="a"),
            )
        ],
    )
    [given] = (await caller.corrections.ReverseUsage(request)).results
    assert given.outcome == correction_pb2.CORRECTION_OUTCOME_APPLIED, given
    assert (given.amount, [piece.amount for piece in given.given_back]) == (3_300, [3_000, 300])
    [again] = (await caller.corrections.ReverseUsage(request)).results
    assert again.replayed
    assert list(again.given_back) == list(given.given_back)
    entry = await get(caller, "a")
    assert (entry.reversed, entry.ratings[0].reversed) == (300, 3_000)
    await project(database)
    report = await verify(database)
    assert report.ok, report


async def test_what_is_reversed_leaves_the_list(caller: Served, database: str) -> None:
    """Rule B8: a part of it lowers what waits; what waits no more is not rated."""
    await caller.ingest(strange("a"), strange("b"))
    for request_id, event_id, quantities in (("r", "a", {"images": 1}), ("s", "b", {})):
        await caller.corrections.ReverseUsage(
            correction_pb2.ReverseUsageRequest(
                tenant=TENANT,
                reversals=[
                    correction_pb2.Reversal(
                        request_id=request_id,
                        account="acme",
                        event=correction_pb2.SourceAndId(source="gateway", id=event_id),
                        quantities=quantities,
                    )
                ],
            )
        )
    await project(database)
    [found] = await listed(caller)
    assert (found.id, found.quantities[0].quantity) == ("a", 2)
    await publish(caller, 2, images="0.001")
    assert (await get(caller, "a")).ratings[0].charge == 2_000
    assert not (await get(caller, "b")).ratings
    await project(database)
    assert (await verify(database)).ok


async def test_bad_requests(caller: Served) -> None:
    """Each names the field, and changes nothing."""
    for changes, reason, field in (
        ({"account": "nobody"}, "ACCOUNT_UNKNOWN", "account"),
        ({"product": "x" * 129}, "TEXT_TOO_LONG", "product"),
        ({"page_size": -1}, "PAGE_INVALID", "page_size"),
        ({"page_token": "x"}, "PAGE_INVALID", "page_token"),
        ({"min_position": "x"}, "POSITION_INVALID", "min_position"),
    ):
        request = pb.ListSuspenseRequest(**{"tenant": TENANT, **changes})
        found = await refusal_of(caller.usage.ListSuspense(request))
        assert (found.reason, found.metadata["field"]) == (reason, field)
    reply = await caller.ingest(strange("a"))
    request = pb.ListSuspenseRequest(tenant=TENANT, min_position=reply.position)
    found = await refusal_of(caller.usage.ListSuspense(request))
    assert (found.code, found.reason) == (grpc.StatusCode.UNAVAILABLE, "READ_MODELS_BEHIND")
