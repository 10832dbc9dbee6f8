"""Assets, versions of rate cards with every fault named, and quotes."""

from __future__ import annotations

import grpc
import pytest

from ledger.api.rendering.render_card import card_of
from ledger.v1 import account_pb2, usage_pb2
from rating.card import canonical_bytes, content_hash
from rating.v1 import card_pb2
from rating.v1 import pricing_pb2 as pb
from tests.api.served import TENANT, Served, card, event, refusal_of, work


def publishing(rate_card: card_pb2.RateCard, **changes) -> pb.PublishRateCardRequest:
    fields = {"tenant": TENANT, "request_id": "publish", "card": rate_card, **changes}
    return pb.PublishRateCardRequest(**fields)


def asset(**changes) -> pb.CreateAssetRequest:
    fields = {"asset": "gold", "scale": 2, "kind": pb.ASSET_KIND_UNIT, **changes}
    return pb.CreateAssetRequest(tenant=TENANT, request_id="r", asset=pb.Asset(**fields))


async def quote(caller: Served, **changes) -> pb.QuoteResponse:
    return await caller.pricing.Quote(pb.QuoteRequest(**{**work("acme"), **changes}))


async def test_assets_are_declared_once(served: Served):
    made = await served.pricing.CreateAsset(asset(display_name="Gold"))
    assert (made.asset.asset, made.asset.scale, made.replayed) == ("gold", 2, False)
    assert made.asset.kind == pb.ASSET_KIND_UNIT
    assert made.asset.created_at_us > 0
    again = await served.pricing.CreateAsset(asset(display_name="Gold"))
    assert again.replayed
    assert again.asset == made.asset
    for other in (asset(), asset(display_name="Gold", scale=3)):
        found = await refusal_of(served.pricing.CreateAsset(other))
        assert (found.code, found.reason) == (grpc.StatusCode.ALREADY_EXISTS, "ASSET_EXISTS")


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"asset": ""}, "FIELD_REQUIRED", "asset.asset"),
        ({"asset": "x" * 129}, "TEXT_TOO_LONG", "asset.asset"),
        ({"scale": -1}, "NUMBER_OUT_OF_RANGE", "asset.scale"),
        ({"scale": 19}, "NUMBER_OUT_OF_RANGE", "asset.scale"),
        ({"kind": 0}, "NUMBER_OUT_OF_RANGE", "asset.kind"),
    ],
    ids=str,
)
async def test_bad_assets(served: Served, changes, reason, field):
    found = await refusal_of(served.pricing.CreateAsset(asset(**changes)))
    assert (found.reason, found.metadata["field"]) == (reason, field)


async def test_assets_are_listed_in_pages(served: Served):
    for code in ("c", "a", "b"):
        await served.pricing.CreateAsset(asset(asset=code))
    first = await served.pricing.ListAssets(pb.ListAssetsRequest(tenant=TENANT, page_size=2))
    rest = await served.pricing.ListAssets(
        pb.ListAssetsRequest(tenant=TENANT, page_size=2, page_token=first.next_page_token)
    )
    assert [found.asset for found in [*first.assets, *rest.assets]] == ["a", "b", "c"]
    assert not rest.next_page_token


async def test_a_card_is_published_read_back_and_listed(priced: Served):
    shown = await priced.pricing.GetRateCard(pb.GetRateCardRequest(tenant=TENANT, name="default"))
    expected = card(rounding=card_pb2.ROUNDING_HALF_EVEN, prompt_quantity="input_tokens")
    assert shown.card == expected
    assert (shown.version.version, shown.version.rows) == (2, 3)
    assert len(shown.version.content_hash) == 32
    second = await priced.pricing.PublishRateCard(
        publishing(card(rounding=card_pb2.ROUNDING_UP), expected_version=2)
    )
    assert second.version.version == 3
    listed = await priced.pricing.ListRateCards(pb.ListRateCardsRequest(tenant=TENANT))
    assert [version.version for version in listed.versions] == [3, 2]
    one = await priced.pricing.GetRateCard(
        pb.GetRateCardRequest(tenant=TENANT, name="default", version=2)
    )
    assert one == shown


async def test_facts_of_products_are_kept_and_change_no_price(priced: Served):
    """What a buyer asks beside the price: read back as published, named by the version's hash."""
    products = [card_pb2.Product(product="chat", facts={"provider": "acme", "latency_class": "x"})]
    published = await priced.pricing.PublishRateCard(
        publishing(card(products=products), expected_version=2)
    )
    shown = await priced.pricing.GetRateCard(pb.GetRateCardRequest(tenant=TENANT, name="default"))
    assert dict(shown.card.products[0].facts) == {"provider": "acme", "latency_class": "x"}
    kept, faults = card_of(shown.card)
    assert not faults
    assert content_hash(canonical_bytes(kept)) == published.version.content_hash
    before = await priced.pricing.GetRateCard(
        pb.GetRateCardRequest(tenant=TENANT, name="default", version=2)
    )
    assert before.card.rows == shown.card.rows
    wrong = [card_pb2.Product(product="chat", facts={"n": "x" * 1_025})]
    found = await refusal_of(
        priced.pricing.PublishRateCard(
            publishing(card(products=wrong), expected_version=published.version.version)
        )
    )
    assert found.violations == [("card.products[0].facts['n']", "NAME_TOO_LONG")]


async def test_publishing_again_publishes_nothing(priced: Served):
    again = await priced.pricing.PublishRateCard(publishing(card()))
    assert (again.replayed, again.version.version) == (True, 2)


async def test_a_stale_version_is_refused(priced: Served):
    found = await refusal_of(
        priced.pricing.PublishRateCard(publishing(card(rounding=card_pb2.ROUNDING_UP)))
    )
    assert (found.code, found.reason) == (grpc.StatusCode.ABORTED, "VERSION_DIFFERS")


def broken() -> card_pb2.RateCard:
    found = card(asset_scale=4)
    found.meters.add(quantity="input_tokens")
    found.meters.add(quantity="lost", subset_of="nothing")
    found.rows.add(product="chat", quantity="input_tokens", price="-1")
    found.rows.add(product="chat", quantity="unknown", price="cheap")
    return found


BROKEN = [
    ("meters[3].quantity", "METER_DUPLICATE"),
    ("meters[4].subset_of", "SUBSET_PARENT_UNKNOWN"),
    ("rows[3].price", "PRICE_NEGATIVE"),
    ("rows[3]", "ROW_TIE"),
    ("rows[4].quantity", "QUANTITY_UNKNOWN"),
    ("rows[4].price", "PRICE_MALFORMED"),
    ("asset_scale", "ASSET_SCALE_DIFFERS"),
    ("asset_scale", "SCALE_CHANGED"),
]


async def test_every_fault_of_a_card_is_listed_and_nothing_is_published(priced: Served):
    found = await refusal_of(
        priced.pricing.PublishRateCard(publishing(broken(), expected_version=2))
    )
    assert (found.code, found.reason) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "RATE_CARD_INVALID",
    )
    assert found.violations == [(f"card.{path}", reason) for path, reason in BROKEN]
    assert "8 faults, of which validate_only lists 8; the first is meters[3]" in found.message
    listed = await priced.pricing.ListRateCards(pb.ListRateCardsRequest(tenant=TENANT))
    assert [version.version for version in listed.versions] == [2]


async def test_validation_only_says_what_is_wrong(priced: Served):
    reply = await priced.pricing.PublishRateCard(publishing(broken(), validate_only=True))
    assert [(fault.path, fault.reason) for fault in reply.faults] == BROKEN
    assert reply.faults[2].value == "-1"
    sound = await priced.pricing.PublishRateCard(
        publishing(card(rounding=card_pb2.ROUNDING_UP), validate_only=True)
    )
    assert not sound.faults
    assert not sound.HasField("version")
    listed = await priced.pricing.ListRateCards(pb.ListRateCardsRequest(tenant=TENANT))
    assert len(listed.versions) == 1


async def test_a_card_with_very_many_faults(priced: Served):
    rows = [
        card_pb2.PriceRow(
            product="chat", quantity="input_tokens", price=f"-{number}", priority=number
        )
        for number in range(5_000)
    ]
    request = publishing(card(rows=rows), expected_version=2)
    found = await refusal_of(priced.pricing.PublishRateCard(request))
    assert found.metadata["faults"] == "5000"
    assert "5000 faults, of which validate_only lists 1000; the first is rows[0]" in found.message
    assert len(found.violations) > 5
    request.validate_only = True
    assert len((await priced.pricing.PublishRateCard(request)).faults) == 1_000


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (publishing(card(asset="gold")), "RATE_CARD_INVALID"),
        (publishing(card(name="")), "RATE_CARD_INVALID"),
        (publishing(card(rounding=9)), "RATE_CARD_INVALID"),
        (publishing(card(), request_id=""), "FIELD_REQUIRED"),
        (pb.PublishRateCardRequest(tenant=TENANT, request_id="r"), "FIELD_REQUIRED"),
        (publishing(card(), effective_from_us=-1), "NUMBER_OUT_OF_RANGE"),
    ],
    ids=["asset", "name", "rounding", "request_id", "card", "effective"],
)
async def test_bad_publications(priced: Served, request_, reason):
    found = await refusal_of(priced.pricing.PublishRateCard(request_))
    assert (found.code, found.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)


async def test_the_only_fault_of_a_card_is_its_refusal(priced: Served):
    found = await refusal_of(priced.pricing.PublishRateCard(publishing(card(name=""))))
    assert found.message.startswith("the rate card does not compile: name: ")


async def test_an_unknown_card(priced: Served):
    for wanted in (
        pb.GetRateCardRequest(tenant=TENANT, name="other"),
        pb.GetRateCardRequest(tenant=TENANT, name="default", version=9),
        pb.GetRateCardRequest(tenant="sandbox", name="default"),
    ):
        found = await refusal_of(priced.pricing.GetRateCard(wanted))
        assert (found.code, found.reason) == (
            grpc.StatusCode.NOT_FOUND,
            "RATE_CARD_UNKNOWN",
        )


async def test_a_price_in_fractions_of_a_minor_unit_is_exact(served: Served):
    rows = [card_pb2.PriceRow(product="chat", quantity="input_tokens", price="0.0000004")]
    await served.priced(rows=rows)
    await served.account("acme")
    found = await quote(served, quantities={"input_tokens": 3})
    assert (found.lines[0].unit_price, found.charge) == ("2/5", 1)
    events = [event(f"e{n}", "acme", quantities={"input_tokens": 1}) for n in range(10)]
    reply = await served.ingest(*events)
    assert sum(result.charge for result in reply.results) == 4


async def test_a_large_prompt_prices_the_whole_line_by_its_step(served: Served):
    rows = [
        card_pb2.PriceRow(product="chat", quantity="input_tokens", price="0.000003"),
        card_pb2.PriceRow(
            product="chat", quantity="input_tokens", price="0.000006", above_prompt=200
        ),
    ]
    await served.priced(rows=rows)
    await served.account("acme")
    await served.ingest(event("a", "acme", quantities={"input_tokens": 201, "cached_tokens": 1}))
    found = await quote(served, quantities={"input_tokens": 200})
    assert found.charge == 600
    entry = (
        await served.usage.Get(
            usage_pb2.UsageServiceGetRequest(
                tenant=TENANT, account="acme", source="gateway", id="a"
            )
        )
    ).entry
    assert [(line.unit_price, line.priced_quantity) for line in entry.lines] == [
        ("", 1),
        ("6", 200),
    ]


async def test_a_quote_says_who_would_pay_and_binds_nobody(priced: Served):
    await priced.account("acme", overdraft_asset="credit", overdraft_limit=150)
    grant = (await priced.grant("acme", 400)).grant
    found = await quote(priced)
    assert (found.charge, found.asset, found.scale) == (600, "credit", 6)
    assert [(draw.grant_id, draw.amount) for draw in found.grants] == [(grant.grant_id, 400)]
    assert (found.overdraft, found.overage, found.uncovered) == (150, 0, 50)
    assert (found.allowed, found.reason) == (False, "INSUFFICIENT_CREDITS")
    assert [(line.quantity_name, line.charge) for line in found.lines] == [
        ("input_tokens", 300),
        ("output_tokens", 300),
    ]
    cheaper = await quote(priced, quantities={"output_tokens": 30})
    assert (cheaper.allowed, cheaper.overdraft, cheaper.uncovered) == (True, 50, 0)
    assert (await priced.balance("acme")).available == "550"
    assert (found.available_after, found.applicable_after) == ("0", "0")
    assert (cheaper.available_after, cheaper.applicable_after) == ("100", "100")


async def test_a_quote_says_what_is_left_in_all_and_for_this_work(priced: Served):
    """What other products may draw is available, not applicable (rule B6); overage leaves both."""
    await priced.account("acme", overage=account_pb2.OVERAGE_SELF)
    await priced.grant("acme", 1_000, products=["video"])
    await priced.grant("acme", 700)
    found = await quote(priced)
    assert (found.charge, found.available_after, found.applicable_after) == (600, "1100", "100")
    more = await quote(priced, quantities={"output_tokens": 60})
    assert (more.charge, more.overage) == (900, 200)
    assert (more.available_after, more.applicable_after) == ("1000", "0")


async def test_a_quote_without_a_price(priced: Served):
    await priced.account("acme")
    found = await quote(priced, product="video", quantities={"seconds": 3})
    assert (found.allowed, found.reason, found.charge) == (False, "UNPRICED", 0)
    assert [(line.price_row, line.unrated_reason) for line in found.lines] == [(-1, "UNPRICED")]
    assert (found.available_after, found.applicable_after) == ("0", "0")
