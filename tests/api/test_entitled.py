"""A product that is not sold to every account (rule P2): it waits, is denied, and says why."""

from __future__ import annotations

import asyncio

from ledger.v1 import contract_pb2, decision_pb2, package_pb2, recurring_pb2, usage_pb2
from rating.v1 import card_pb2, override_pb2
from rating.v1 import pricing_pb2 as pb
from tests.api.served import TENANT, Served, card, event, work

TOKENS = {"input_tokens": 10}


def selling(required: bool) -> card_pb2.RateCard:
    """`chat` for all, `beta` for whom it is said."""
    rows = [
        card_pb2.PriceRow(product=product, quantity="input_tokens", price="0.000003")
        for product in ("chat", "beta")
    ]
    products = [
        card_pb2.Product(product="chat"),
        card_pb2.Product(product="beta", entitlement_required=required),
    ]
    return card(rows=rows, products=products)


async def publish(caller: Served, required: bool, expected: int = 0, since: int = 0) -> int:
    reply = await caller.pricing.PublishRateCard(
        pb.PublishRateCardRequest(
            tenant=TENANT,
            request_id=caller.new_id(),
            card=selling(required),
            expected_version=expected,
            effective_from_us=since,
        )
    )
    return reply.version.version


async def test_what_is_not_sold_to_an_account_waits_and_is_denied(served: Served):
    """Rule B8: one reason for ingest, authorise, check and quote; another product is charged."""
    await served.asset("credit", 6, pb.ASSET_KIND_CREDIT)
    await publish(served, True)
    await served.account("acme")
    await served.grant("acme", 1_000)
    sold, kept = (
        await served.ingest(
            event("a", "acme", quantities=TOKENS),
            event("b", "acme", product="beta", quantities=TOKENS),
        )
    ).results
    assert (sold.outcome, sold.charge) == (usage_pb2.INGEST_OUTCOME_APPLIED, 30)
    assert (kept.outcome, kept.reason, kept.charge) == (
        usage_pb2.INGEST_OUTCOME_SUSPENSE,
        "NOT_ENTITLED",
        0,
    )
    entry = (
        await served.usage.Get(
            usage_pb2.UsageServiceGetRequest(
                tenant=TENANT, account="acme", source="gateway", id="b"
            )
        )
    ).entry
    assert [line.unrated_reason for line in entry.lines] == ["NOT_ENTITLED"]
    for answer in (
        await served.authorize("acme", product="beta", quantities=TOKENS),
        await served.check("acme", product="beta", quantities=TOKENS),
    ):
        assert (answer.decision, answer.reason) == (decision_pb2.DECISION_DENY, "NOT_ENTITLED")
    quote = await served.pricing.Quote(
        pb.QuoteRequest(**{**work("acme"), "product": "beta", "quantities": TOKENS})
    )
    assert (quote.allowed, quote.reason, quote.charge) == (False, "NOT_ENTITLED", 0)
    assert [line.unrated_reason for line in quote.lines] == ["NOT_ENTITLED"]
    assert (await served.balance("acme")).available == "970"


async def test_a_later_version_may_sell_it_to_all(served: Served):
    await served.asset("credit", 6, pb.ASSET_KIND_CREDIT)
    first = await publish(served, True)
    await served.account("acme")
    now = served.ledger.clock.now_us()
    second = await publish(served, False, first, now)
    shown = await served.pricing.GetRateCard(
        pb.GetRateCardRequest(tenant=TENANT, name="default", version=second)
    )
    assert [product.entitlement_required for product in shown.card.products] == [False, False]
    later = max(served.ledger.clock.now_us(), now)
    quote = await served.pricing.Quote(
        pb.QuoteRequest(
            **{
                **work("acme"),
                "product": "beta",
                "quantities": TOKENS,
                "effective_at_us": later + 1_000_000,
            }
        )
    )
    assert (quote.charge, [line.unrated_reason for line in quote.lines]) == (30, [""])


async def test_a_package_sells_it_to_its_subscribers(served: Served):
    """Rule P2: by an entitlement that names the product; each later use goes by its own time."""
    await served.asset("credit", 6, pb.ASSET_KIND_CREDIT)
    await publish(served, True)
    await served.account("acme")
    await served.grant("acme", 1_000)
    await served.packages.Publish(
        package_pb2.PackageServicePublishRequest(
            tenant=TENANT,
            request_id=served.new_id(),
            package=package_pb2.PackageVersion(
                name="early",
                entitlements=[package_pb2.PackageEntitlement(feature="new", products=["beta"])],
                overrides=[
                    override_pb2.PriceOverride(
                        product="beta",
                        quantity="input_tokens",
                        multiplier=override_pb2.Multiplier(ratio="2"),
                    )
                ],
            ),
        )
    )
    await served.packages.Subscribe(
        package_pb2.PackageServiceSubscribeRequest(
            tenant=TENANT, request_id=served.new_id(), account="acme", package="early"
        )
    )
    (sold,) = (await served.ingest(event("c", "acme", product="beta", quantities=TOKENS))).results
    assert (sold.outcome, sold.charge) == (usage_pb2.INGEST_OUTCOME_APPLIED, 60)
    check = await served.check("acme", product="beta", quantities=TOKENS)
    assert check.decision == decision_pb2.DECISION_ALLOW
    shown = await served.pricing.GetPriceOverrides(
        override_pb2.GetPriceOverridesRequest(tenant=TENANT, account="acme")
    )
    assert [(each.number, each.source) for each in shown.inherited] == [
        (1, override_pb2.OVERRIDE_SOURCE_PACKAGE)
    ]
    await served.packages.Cancel(
        package_pb2.PackageServiceCancelRequest(
            tenant=TENANT,
            request_id=served.new_id(),
            account="acme",
            timing=recurring_pb2.RECURRING_TIMING_NOW,
        )
    )
    (kept,) = (await served.ingest(event("d", "acme", product="beta", quantities=TOKENS))).results
    assert (kept.outcome, kept.reason) == (usage_pb2.INGEST_OUTCOME_SUSPENSE, "NOT_ENTITLED")


async def test_a_card_that_asks_for_a_contract_prices_nothing_without(served: Served):
    """Rule B8: it waits and is denied with one reason; a contract as of then has it rated."""
    await served.asset("credit", 6, pb.ASSET_KIND_CREDIT)
    made = selling(False)
    made.contract_required = True
    published = await served.pricing.PublishRateCard(
        pb.PublishRateCardRequest(tenant=TENANT, request_id=served.new_id(), card=made)
    )
    assert published.version.version
    shown = await served.pricing.GetRateCard(pb.GetRateCardRequest(tenant=TENANT, name="default"))
    assert shown.card.contract_required
    await served.packages.Publish(
        package_pb2.PackageServicePublishRequest(
            tenant=TENANT,
            request_id=served.new_id(),
            package=package_pb2.PackageVersion(name="base"),
        )
    )
    await served.account("acme")
    await served.grant("acme", 1_000)
    started = served.ledger.clock.now_us()
    (kept,) = (await served.ingest(event("a", "acme", quantities=TOKENS))).results
    assert (kept.outcome, kept.reason) == (usage_pb2.INGEST_OUTCOME_SUSPENSE, "NO_CONTRACT")
    for answer in (
        await served.authorize("acme", quantities=TOKENS),
        await served.check("acme", quantities=TOKENS),
    ):
        assert (answer.decision, answer.reason) == (decision_pb2.DECISION_DENY, "NO_CONTRACT")
    quote = await served.pricing.Quote(pb.QuoteRequest(**{**work("acme"), "quantities": TOKENS}))
    assert (quote.allowed, quote.reason) == (False, "NO_CONTRACT")
    await served.contracts.Sign(
        contract_pb2.ContractServiceSignRequest(
            tenant=TENANT,
            request_id=served.new_id(),
            account="acme",
            contract="deal",
            package="base",
            starts_at_us=started - 60_000_000,
            ends_at_us=started + 86_400_000_000,
        )
    )
    (charged,) = (await served.ingest(event("b", "acme", quantities=TOKENS))).results
    assert (charged.outcome, charged.charge) == (usage_pb2.INGEST_OUTCOME_APPLIED, 30)
    assert (await served.check("acme", quantities=TOKENS)).decision == decision_pb2.DECISION_ALLOW
    while (await served.balance("acme")).available != "940":  # what had waited is rated, too
        await asyncio.sleep(0.01)
