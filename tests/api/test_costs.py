"""What the provider takes, over a real socket: published, shown by line, given back (rule B4)."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.v1 import correction_pb2, types_pb2, usage_pb2
from rating.v1 import card_pb2, pricing_pb2
from tests.api.served import PRODUCT, TENANT, Served, card, event, refusal_of

COST = 100 * 1_000 + 20 * 2_000  # nano-dollars of one event


def supplier(**changes: Any) -> card_pb2.RateCard:
    """What the provider of `chat` takes, in dollars; nothing is known of cached tokens."""
    fields = {
        "name": "supplier",
        "asset": "USD",
        "asset_scale": 9,
        "products": [card_pb2.Product(product=PRODUCT, provider="acme-ai")],
        "rows": [
            card_pb2.PriceRow(product=PRODUCT, quantity="input_tokens", price="0.000001"),
            card_pb2.PriceRow(product=PRODUCT, quantity="output_tokens", price="0.000002"),
        ],
        **changes,
    }
    return card(**fields)


async def publish(
    caller: Served, made: card_pb2.RateCard, validate_only: bool = False
) -> pricing_pb2.PublishRateCardResponse:
    return await caller.pricing.PublishRateCard(
        pricing_pb2.PublishRateCardRequest(
            tenant=TENANT, request_id=caller.new_id(), card=made, validate_only=validate_only
        )
    )


async def resell(caller: Served) -> None:
    """A card that is priced as the default one and names the supplier's; `acme` has 1,000 units
    that were paid with a thousandth of a dollar."""
    await caller.asset("USD", 9, pricing_pb2.ASSET_KIND_MONEY)
    await publish(caller, supplier())
    await publish(caller, card(name="resold", cost_card="supplier"))
    await caller.account("acme", rate_card="resold")
    await caller.grant("acme", 1_000, price_paid=1_000_000, price_asset="USD")


async def shown(caller: Served, event_id: str) -> usage_pb2.UsageEntry:
    reply = await caller.usage.Get(
        usage_pb2.UsageServiceGetRequest(
            tenant=TENANT, account="acme", source="gateway", id=event_id
        )
    )
    return reply.entry


async def test_usage_shows_what_it_cost_and_what_is_left(priced: Served) -> None:
    """600 of 1,000 units recognise 600,000 nano-dollars; the provider takes 140,000."""
    await resell(priced)
    await priced.ingest(event("u", "acme"))
    entry = await shown(priced, "u")
    assert (entry.outcome, entry.charge) == (usage_pb2.INGEST_OUTCOME_APPLIED, 600)
    assert entry.cost == types_pb2.ProviderCost(
        cost=COST,
        asset="USD",
        scale=9,
        cost_card="supplier",
        cost_card_version=entry.cost.cost_card_version,
        value=600_000,
        margin=600_000 - COST,
    )
    assert [(line.quantity_name, line.cost) for line in entry.lines] == [
        ("input_tokens", 100_000),
        ("output_tokens", 40_000),
    ]
    assert [(each.cost, each.cost_asset, each.cost_scale) for each in entry.slices] == [
        (COST, "USD", 9)
    ]
    booked = entry.transfers[-1]
    assert (booked.debit_account, booked.credit_account, booked.amount, booked.asset) == (
        "cost/acme-ai",
        "payable/acme-ai",
        COST,
        "USD",
    )


async def test_a_quote_says_what_work_would_cost_and_leave(priced: Served) -> None:
    await resell(priced)
    reply = await priced.pricing.Quote(
        pricing_pb2.QuoteRequest(
            tenant=TENANT,
            account="acme",
            product=PRODUCT,
            quantities={"input_tokens": 100, "output_tokens": 20, "cached_tokens": 0},
        )
    )
    assert (reply.charge, reply.cost.cost, reply.cost.value) == (600, COST, 600_000)
    assert (reply.cost.asset, reply.cost.scale) == ("USD", 9)
    assert reply.cost.margin == 600_000 - COST
    assert not reply.cost.unknown
    await priced.account("other")
    reply = await priced.pricing.Quote(
        pricing_pb2.QuoteRequest(
            tenant=TENANT, account="other", product=PRODUCT, quantities={"input_tokens": 1}
        )
    )
    assert not reply.HasField("cost")


async def test_a_cost_that_is_not_known_is_said_and_not_taken_for_zero(priced: Served) -> None:
    await resell(priced)
    await priced.ingest(event("u", "acme", quantities={"input_tokens": 10, "cached_tokens": 4}))
    entry = await shown(priced, "u")
    assert list(entry.cost.unknown) == ["cached_tokens"]
    assert entry.cost.cost == 6_000
    assert [(each.quantity_name, each.HasField("cost")) for each in entry.lines] == [
        ("cached_tokens", False),
        ("input_tokens", True),
    ]


async def test_without_a_card_of_costs_nothing_is_said_of_them(priced: Served) -> None:
    await priced.account("acme")
    await priced.ingest(event("u", "acme"))
    entry = await shown(priced, "u")
    assert not entry.HasField("cost")
    assert not any(line.HasField("cost") for line in entry.lines)


async def test_the_cost_stays_unless_a_reversal_says_otherwise(priced: Served) -> None:
    await resell(priced)
    await priced.ingest(event("u", "acme"))
    results = []
    for number, refund_cost in enumerate((False, True, True)):
        reply = await priced.corrections.ReverseUsage(
            correction_pb2.ReverseUsageRequest(
                tenant=TENANT,
                reversals=[
                    correction_pb2.Reversal(
                        request_id=f"r{min(number, 1)}",
                        account="acme",
                        event=correction_pb2.SourceAndId(source="gateway", id="u"),
                        quantities={"input_tokens": 30},
                        refund_cost=refund_cost,
                    )
                ],
            )
        )
        results.extend(reply.results)
    assert [(each.cost, each.cost_asset, each.replayed) for each in results] == [
        (0, "", False),
        (30_000, "USD", False),
        (30_000, "USD", True),
    ]
    (result,) = (
        await priced.corrections.ReverseUsage(
            correction_pb2.ReverseUsageRequest(
                tenant=TENANT,
                reversals=[
                    correction_pb2.Reversal(
                        request_id="goodwill",
                        account="acme",
                        event=correction_pb2.SourceAndId(source="gateway", id="u"),
                        as_charged=1,
                        refund_cost=True,
                    )
                ],
            )
        )
    ).results
    assert (result.reason, result.field) == ("FIELD_NOT_ALLOWED", "refund_cost")


@pytest.mark.parametrize(
    ("changes", "path", "reason"),
    [
        ({"cost_card": "nobody's"}, "cost_card", "COST_CARD_UNKNOWN"),
        ({"cost_card": "resold"}, "cost_card", "COST_CARD_OWN"),
        ({"cost_card": "default"}, "cost_card", "COST_ASSET_NOT_MONEY"),
        (
            {
                "cost_card": "supplier",
                "meters": [
                    card_pb2.Meter(quantity="input_tokens", scale=3),
                    card_pb2.Meter(quantity="output_tokens"),
                    card_pb2.Meter(quantity="cached_tokens"),
                ],
            },
            "meters[0].scale",
            "COST_SCALE_DIFFERS",
        ),
    ],
)
async def test_a_card_that_names_no_card_of_costs_is_refused(
    priced: Served, changes: dict[str, Any], path: str, reason: str
) -> None:
    """Each fault with its place, and nothing is published."""
    await priced.asset("USD", 9, pricing_pb2.ASSET_KIND_MONEY)
    await publish(priced, supplier())
    made = card(**{"name": "resold", **changes})
    faults = (await publish(priced, made, validate_only=True)).faults
    assert [(fault.path, fault.reason) for fault in faults] == [(path, reason)]
    refusal = await refusal_of(publish(priced, made))
    assert refusal.reason == "RATE_CARD_INVALID"


async def test_a_card_of_costs_stays_one_for_those_that_name_it(priced: Served) -> None:
    """Another scale of a meter would make every cost wrong by as much."""
    await resell(priced)
    meters = [
        card_pb2.Meter(quantity="input_tokens"),
        card_pb2.Meter(quantity="output_tokens"),
        card_pb2.Meter(quantity="seconds", scale=3),
    ]
    await publish(
        priced, card(name="other", cost_card="supplier", meters=meters, rows=supplier().rows)
    )
    meters[2] = card_pb2.Meter(quantity="seconds")
    faults = (await publish(priced, supplier(meters=meters), validate_only=True)).faults
    assert [fault.reason for fault in faults] == ["COST_SCALE_DIFFERS"]
    assert "'other' names this card" in faults[0].message


async def test_a_price_on_top_of_the_cost(priced: Served) -> None:
    """1.5 times the provider's 100,000 and 40,000 nano-dollars, and a cent for each line."""
    await priced.asset("USD", 9, pricing_pb2.ASSET_KIND_MONEY)
    await publish(priced, supplier())
    model = card_pb2.CostPlusModel(markup="1.5", fixed="0.01")
    rows = [
        card_pb2.PriceRow(product=PRODUCT, quantity=name, cost_plus=model)
        for name in ("input_tokens", "output_tokens")
    ]
    plus = card(name="plus", asset="USD", asset_scale=9, rows=rows)
    faults = (await publish(priced, plus, validate_only=True)).faults
    assert {fault.reason for fault in faults} == {"COST_CARD_MISSING"}
    plus.cost_card = "supplier"
    await publish(priced, plus)
    await priced.account("acme", rate_card="plus")
    await priced.ingest(event("u", "acme"))
    entry = await shown(priced, "u")
    assert [line.charge for line in entry.lines] == [10_150_000, 10_060_000]
    assert (entry.charge, entry.cost.cost) == (20_210_000, COST)
    in_credits = card(name="odd", cost_card="supplier", rows=rows)
    faults = (await publish(priced, in_credits, validate_only=True)).faults
    assert {fault.reason for fault in faults} == {"COST_ASSET_DIFFERS"}
