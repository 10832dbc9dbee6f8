"""Why usage costs what it costs, over gRPC: as data and in words (row, tiers, rounding, payers)."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from ledger.v1 import account_pb2, explain_pb2, types_pb2
from rating.card import Meter, PriceRow, RateCard
from rating.models import Graduated, Package, Percentage, Scope, Stairstep, Tier, Volume
from rating.v1 import card_pb2, conversion_pb2, override_pb2, pricing_pb2
from tests.api.served import TENANT, Served, card, event, refusal_of

TIERS = (Tier(100, "0.0001"), Tier(None, "0.00005"))
MODELS = {
    "graduated": PriceRow("graduated", "calls", "", model=Graduated(TIERS)),
    "volume": PriceRow("volume", "calls", "", model=Volume(TIERS), scope=Scope.DAY),
    "stairstep": PriceRow(
        "stairstep", "calls", "", model=Stairstep((Tier(100, flat="0.01"), Tier(None, flat="0.02")))
    ),
    "package": PriceRow("package", "calls", "", model=Package(40, "0.003")),
    "percentage": PriceRow(
        "percentage", "calls", "", model=Percentage("0.029", fixed="0.0003", free=10)
    ),
    "plain": PriceRow("plain", "calls", "0.0000015"),
}


def named(event_id: str, account: str = "acme", **changes: Any) -> explain_pb2.ExplainRequest:
    fields = {"tenant": TENANT, "account": account, "source": "gateway", "id": event_id}
    return explain_pb2.ExplainRequest(**{**fields, **changes})


async def explained(caller: Served, event_id: str) -> explain_pb2.Explanation:
    return (await caller.explaining.Explain(named(event_id))).explanation


@pytest.fixture
async def modeled(priced: Served) -> Served:
    """`acme` with a card of one product for each price model."""
    made = RateCard("models", "credit", 6, meters=(Meter("calls"),), rows=tuple(MODELS.values()))
    await priced.ledger.publish_card(1, made)
    await priced.account("acme", rate_card="models")
    await priced.grant("acme", 10_000_000)
    return priced


@pytest.mark.parametrize("product", MODELS)
async def test_the_tiers_add_up_to_what_was_charged(modeled: Served, product: str):
    """Of the second of two events, which goes on where the first one stood (rule R1)."""
    for event_id, calls in (("first", 90), ("second", 41)):
        reply = await modeled.ingest(
            event(event_id, "acme", product=product, quantities={"calls": calls})
        )
        assert reply.results[0].reason == ""
    found = await explained(modeled, "second")
    [line] = found.lines
    assert (line.quantity, line.priced_quantity) == (41, 41)
    assert line.charge == found.entry.lines[0].charge
    assert found.entry.charge == line.charge
    assert line.model == ("per_unit" if product == "plain" else product)
    assert found.totals_unknown == (product == "plain")
    if product != "plain":
        assert line.total_before == "90"
        assert line.scope == ("day" if product == "volume" else "month")
    parts = sum([whole_part(each.amount) for each in line.tiers]) + line.fixed
    if product not in ("stairstep", "volume"):
        assert abs(parts - line.charge) <= 1  # each of two totals is rounded
    assert any("paid" in each for each in found.words)


def whole_part(text: str) -> int:
    numerator, _, denominator = text.partition("/")
    return int(numerator) // int(denominator or 1)


async def test_words_say_the_row_and_who_paid(priced: Served):
    await priced.account("acme")
    first = (await priced.grant("acme", 400)).grant.grant_id
    await priced.grant("acme", 10_000)
    await priced.ingest(event("u", "acme"))
    found = await explained(priced, "u")
    second = found.entry.slices[1].grant_id
    assert found.comparator == "DRAWDOWN_1"
    assert list(found.words) == [
        "chat: 0.0006 credit by default version 2",
        "  100 input_tokens: 0.0003 credit",
        "    row 0 (product chat), per_unit",
        "    tier 1: 100 x 0.000003 = 0.0003",
        "  20 output_tokens: 0.0003 credit",
        "    row 1 (product chat), per_unit",
        "    tier 1: 20 x 0.000015 = 0.0003",
        f"  grant {first} paid 0.0004 credit",
        f"  grant {second} paid 0.0002 credit",
    ]


async def test_a_row_says_what_it_stands_before(priced: Served):
    """The most specific row wins (rule R3)."""
    rows = [*card().rows, card_pb2.PriceRow(product="*", quantity="input_tokens", price="1")]
    await priced.pricing.PublishRateCard(
        pricing_pb2.PublishRateCardRequest(
            tenant=TENANT, request_id="general", card=card(name="general", rows=rows)
        )
    )
    await priced.account("acme", rate_card="general")
    await priced.ingest(event("u", "acme"))
    line = (await explained(priced, "u")).lines[0]
    assert list(line.conditions) == ["product chat"]
    assert [each.by for each in line.beaten] == ["product"]


async def test_what_waits_says_why(priced: Served):
    await priced.account("acme")
    await priced.ingest(event("u", "acme", quantities={"input_tokens": 5, "images": 2}))
    found = await explained(priced, "u")
    lines = {line.quantity_name: line for line in found.lines}
    assert (lines["images"].price_row, lines["images"].unrated_reason) == (-1, "UNPRICED")
    assert "  images waits: UNPRICED" in found.words


async def test_a_conversion_is_part_of_the_account(priced: Served):
    await priced.asset("USD", 9, pricing_pb2.ASSET_KIND_MONEY)
    await priced.conversions.PublishConversion(
        conversion_pb2.PublishConversionRequest(
            tenant=TENANT,
            request_id="rate",
            conversion=conversion_pb2.Conversion(source="credit", target="USD", rate="0.01"),
        )
    )
    overage = account_pb2.OVERAGE_SELF
    await priced.account("acme", settlement_asset="USD", overage=overage)
    await priced.ingest(event("u", "acme"))
    words = (await explained(priced, "u")).words
    assert list(words[-2:]) == [
        "  0.0006 credit was converted to 0.000006 USD, at version 4",
        "    overage paid 0.000006 USD, worth 0.000006 USD",
    ]


async def test_why_one_event_cost_more_than_the_other(priced: Served):
    await priced.account("acme")
    await priced.ingest(event("u", "acme"), event("v", "acme", input_tokens=300))
    reply = await priced.explaining.ExplainDifference(
        explain_pb2.ExplainDifferenceRequest(tenant=TENANT, one=named("u"), other=named("v"))
    )
    assert reply.charged_more == 600
    assert reply.one.entry.charge + 600 == reply.other.entry.charge
    causes = [(each.kind, each.quantity_name, each.one, each.other) for each in reply.causes]
    assert causes == [("quantity", "input_tokens", "100", "300")]
    assert reply.words[0] == "the second event costs 0.0006 credit more than the first"


async def test_what_cannot_be_explained_is_said(priced: Served):
    await priced.account("acme")
    await priced.account("beta", rate_card="nowhere")
    await priced.ingest(event("u", "acme"), event("w", "beta"))
    missing = await refusal_of(priced.explaining.Explain(named("none")))
    assert (missing.code, missing.reason) == (grpc.StatusCode.NOT_FOUND, "USAGE_UNKNOWN")
    both = explain_pb2.ExplainDifferenceRequest(
        tenant=TENANT, one=named("u"), other=named("w", "beta")
    )
    found = await refusal_of(priced.explaining.ExplainDifference(both))
    assert (found.reason, found.metadata["field"]) == ("NOT_COMPARABLE", "other.id")
    half = explain_pb2.ExplainDifferenceRequest(tenant=TENANT, one=named("u"))
    found = await refusal_of(priced.explaining.ExplainDifference(half))
    assert (found.reason, found.metadata["field"]) == ("FIELD_REQUIRED", "other")


async def test_an_override_says_that_it_counts(priced: Served):
    """Half the price of a row, another price in its place, and one where no row has any (R4)."""
    await priced.account("acme")
    kept = {"product": "chat", "attributes": {}}
    overrides = [
        override_pb2.PriceOverride(
            multiplier=override_pb2.Multiplier(ratio="0.5"), quantity="input_tokens", **kept
        ),
        override_pb2.PriceOverride(
            overwrite=override_pb2.Overwrite(asset="credit", price="0.000002"),
            quantity="output_tokens",
            **kept,
        ),
    ]
    await priced.pricing.SetPriceOverrides(
        override_pb2.SetPriceOverridesRequest(
            tenant=TENANT, request_id="o", account="acme", overrides=overrides
        )
    )
    await priced.ingest(event("u", "acme"))
    found = await explained(priced, "u")
    half, other = found.lines
    assert (half.charge, half.price_override > 0, half.price_row >= 0) == (150, True, True)
    assert half.tiers[0].unit_price == "3/2"
    assert (other.charge, other.price_override > 0) == (40, True)
    assert [each.unit_price for each in other.tiers] == ["2"]
    assert f"    override {other.price_override} of row 1 (product chat), per_unit" in found.words


async def test_what_was_rated_since_is_told_and_how_the_rest_was_converted(priced: Served):
    """Usage whose images had no price when it was recorded, of an account without credits."""
    await priced.asset("USD", 9, pricing_pb2.ASSET_KIND_MONEY)
    await priced.conversions.PublishConversion(
        conversion_pb2.PublishConversionRequest(
            tenant=TENANT,
            request_id="rate",
            conversion=conversion_pb2.Conversion(source="credit", target="USD", rate="0.01"),
        )
    )
    overage = account_pb2.OVERAGE_SELF
    await priced.account("acme", settlement_asset="USD", overage=overage)
    await priced.ingest(event("u", "acme", quantities={"input_tokens": 5, "images": 2}))
    assert "  images waits: UNPRICED" in (await explained(priced, "u")).words
    later = card()
    later.meters.append(card_pb2.Meter(quantity="images"))
    row = card_pb2.PriceRow(product="chat", quantity="images", price="0.001")
    later.rows.append(row)
    await priced.pricing.PublishRateCard(
        pricing_pb2.PublishRateCardRequest(
            tenant=TENANT, request_id="later", card=later, expected_version=2, effective_from_us=1
        )
    )
    found = await explained(priced, "u")
    [rating] = found.entry.ratings
    assert (rating.charge, rating.conversion.amount, rating.conversion.rate) == (
        2_000,
        20_000,
        "10",
    )
    assert [each.pot for each in rating.conversion.slices] == [types_pb2.POT_OVERAGE]
    assert list(found.words[-7:]) == [
        "  images waited: UNPRICED; rated since, 0.002 credit by default version 5",
        "  converted paid 0.000015 credit",
        "  0.000015 credit was converted to 0.00000015 USD, at version 4",
        "    overage paid 0.00000015 USD, worth 0.00000015 USD",
        "  converted paid 0.002 credit",
        "  0.002 credit was converted to 0.00002 USD, at version 4",
        "    overage paid 0.00002 USD, worth 0.00002 USD",
    ]
