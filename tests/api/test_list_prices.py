"""List prices over gRPC: published, charged beside a commitment, shown, given back (rule R9)."""

from __future__ import annotations

import time

import pytest

from ledger.core.limits import DAY_US
from ledger.v1 import commitment_pb2, correction_pb2, types_pb2, usage_pb2
from rating.v1 import card_pb2 as pb
from rating.v1 import pricing_pb2
from tests.api.served import TENANT, Served, event, refusal_of

ROW = pb.PriceRow(product="chat", quantity="calls", price="0.50", list_price="0.80")


@pytest.fixture
async def acme(served: Served) -> Served:
    """An account with 100 dollars and a commitment of 2, at 50 cents a call, or 80 at list."""
    await served.asset("USD", 2, pricing_pb2.ASSET_KIND_MONEY)
    await publish(served, ROW)
    await served.account("acme")
    await served.grant("acme", 10_000, asset="USD")
    now_us = time.time_ns() // 1_000
    await served.commitments.Create(
        commitment_pb2.CommitmentServiceCreateRequest(
            tenant=TENANT,
            request_id=served.new_id(),
            account="acme",
            terms=commitment_pb2.CommitmentTerms(
                kind=types_pb2.GRANT_KIND_POSTPAID, asset="USD", price_asset="USD"
            ),
            segments=[
                commitment_pb2.CommitmentSegment(
                    ends_at_us=now_us + 30 * DAY_US, amount=200, price=200
                )
            ],
        )
    )
    return served


async def publish(served: Served, *rows: pb.PriceRow) -> None:
    await served.pricing.PublishRateCard(
        pricing_pb2.PublishRateCardRequest(
            tenant=TENANT, request_id=served.new_id(), card=card_with(*rows)
        )
    )


def card_with(*rows: pb.PriceRow) -> pb.RateCard:
    meters = [pb.Meter(quantity="calls")]
    return pb.RateCard(name="default", asset="USD", asset_scale=2, meters=meters, rows=rows)


async def test_the_rest_is_charged_at_list_price_and_both_parts_are_shown(acme: Served) -> None:
    """Ten calls are 5 dollars or 8; of 5 the commitment pays 2, so 60 % of 8 are left: 4.80."""
    reply = await acme.ingest(event("u", "acme", quantities={"calls": 10}))
    assert reply.results[0].charge == 680
    entry = (
        await acme.usage.Get(
            usage_pb2.UsageServiceGetRequest(
                tenant=TENANT, account="acme", source="gateway", id="u"
            )
        )
    ).entry
    (line,) = entry.lines
    assert (line.commit_charge, line.list_charge, line.committed) == (500, 800, 200)
    assert line.charge == 680
    assert [piece.amount for piece in entry.slices] == [200, 480]
    reversed_ = await acme.corrections.ReverseUsage(
        correction_pb2.ReverseUsageRequest(
            tenant=TENANT,
            reversals=[
                correction_pb2.Reversal(
                    request_id="r",
                    account="acme",
                    event=correction_pb2.SourceAndId(source="gateway", id="u"),
                )
            ],
        )
    )
    assert reversed_.results[0].amount == 680
    again = await acme.ingest(event("v", "acme", quantities={"calls": 10}))
    assert again.results[0].charge == 680


async def test_a_card_shows_its_list_prices(acme: Served) -> None:
    reply = await acme.pricing.GetRateCard(
        pricing_pb2.GetRateCardRequest(tenant=TENANT, name="default")
    )
    assert list(reply.card.rows) == [ROW]


@pytest.mark.parametrize(
    "more",
    [
        {"included": 5},
        {"maximum": "5"},
        {"price": "", "package": pb.PackageModel(size=1, price="1")},
    ],
)
async def test_a_list_price_goes_with_a_plain_price(
    served: Served, more: dict[str, object]
) -> None:
    await served.asset("USD", 2, pricing_pb2.ASSET_KIND_MONEY)
    fields: dict[str, object] = {"product": "chat", "quantity": "calls", "price": "1"}
    row = pb.PriceRow(**{**fields, "list_price": "2", **more})  # type: ignore[arg-type]
    found = await refusal_of(publish(served, row))
    assert ("rows[0].list_price", "NOT_SERVED") in [
        (field.removeprefix("card."), reason) for field, reason in found.violations
    ]
