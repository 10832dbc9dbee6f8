"""Rates between assets, and charges that are paid in the settlement currency, over gRPC (R5)."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from ledger.core.events import BookKind
from ledger.v1 import account_pb2, correction_pb2, types_pb2, usage_pb2
from rating.v1 import conversion_pb2 as pb
from rating.v1 import pricing_pb2
from tests.api.served import TENANT, Served, event, refusal_of

OVERAGE = account_pb2.OVERAGE_SELF
_OWED = (BookKind.OVERAGE, BookKind.UNBILLED)


@pytest.fixture
async def converting(priced: Served) -> Served:
    """Credits of scale 6 and dollars of scale 9."""
    await priced.asset("USD", 9, pricing_pb2.ASSET_KIND_MONEY)
    return priced


async def publish(caller: Served, rate: str = "0.01", **changes: Any) -> pb.Conversion:
    """A credit is worth a cent, unless said otherwise."""
    fields: dict[str, Any] = {"source": "credit", "target": "USD", "rate": rate}
    expected = changes.pop("expected_version", 0)
    reply = await caller.conversions.PublishConversion(
        pb.PublishConversionRequest(
            tenant=TENANT,
            request_id=caller.new_id(),
            conversion=pb.Conversion(**{**fields, **changes}),
            expected_version=expected,
        )
    )
    return reply.conversion


async def shown(caller: Served, event_id: str) -> usage_pb2.UsageEntry:
    reply = await caller.usage.Get(
        usage_pb2.UsageServiceGetRequest(
            tenant=TENANT, account="acme", source="gateway", id=event_id
        )
    )
    return reply.entry


async def test_overage_is_paid_in_money_at_the_rate_of_its_time(converting: Served):
    """600 minor units of 10^-6 credits at a cent a credit: 600 x 10^9 / 10^6 / 100 = 6,000."""
    rate = await publish(converting)
    await converting.account("acme", settlement_asset="USD", overage=OVERAGE)
    await converting.grant("acme", 100)
    reply = await converting.ingest(event("u", "acme"))
    assert reply.results[0].charge == 600
    entry = await shown(converting, "u")
    assert [(each.pot, each.amount) for each in entry.slices] == [
        (types_pb2.POT_GRANT, 100),
        (types_pb2.POT_CONVERTED, 500),
    ]
    found = entry.conversion
    assert (found.units, found.amount, found.asset, found.scale) == (500, 5_000, "USD", 9)
    assert (found.rate, found.rate_version) == ("10", rate.version)
    assert [(each.pot, each.amount, each.value) for each in found.slices] == [
        (types_pb2.POT_OVERAGE, 5_000, 5_000)
    ]
    moved = [(each.debit_account, each.credit_account, each.asset) for each in found.transfers]
    assert moved == [
        ("overage/acme", "conversion/chat", "USD"),
        ("unbilled/acme", "revenue/chat", "USD"),
    ]
    assert entry.transfers[1].debit_account == "conversion/chat"
    account = await converting.accounts.Get(
        account_pb2.AccountServiceGetRequest(tenant=TENANT, account="acme")
    )
    assert account.account.policy.settlement_asset == "USD"


async def test_a_reversal_gives_both_back(converting: Served):
    await publish(converting)
    await converting.account("acme", settlement_asset="USD", overage=OVERAGE)
    await converting.grant("acme", 100)
    await converting.ingest(event("u", "acme"))
    reply = await converting.corrections.ReverseUsage(
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
    assert reply.results[0].amount == 600
    assert (await shown(converting, "u")).reversed == 600
    for writer in converting.ledger.writers:
        writer.state.books.check()
        owed = [book.owed for book in writer.state.books.accounts.values() if book.kind in _OWED]
        assert not any(owed)


async def test_a_rate_is_published_once_and_listed_newest_first(converting: Served):
    first = await publish(converting)
    assert (first.version, first.effective_from_us) == (4, 1)  # from ever
    again = await converting.conversions.PublishConversion(
        pb.PublishConversionRequest(
            tenant=TENANT,
            request_id="again",
            conversion=pb.Conversion(source="credit", target="USD", rate="0.01"),
        )
    )
    assert again.replayed
    assert again.conversion == first
    second = await publish(converting, "1/3", expected_version=first.version)
    assert second.effective_from_us > second.published_at_us > 0
    listed = await converting.conversions.ListConversions(pb.ListConversionsRequest(tenant=TENANT))
    assert list(listed.conversions) == [second, first]
    page = await converting.conversions.ListConversions(
        pb.ListConversionsRequest(tenant=TENANT, source="credit", page_size=1)
    )
    rest = await converting.conversions.ListConversions(
        pb.ListConversionsRequest(
            tenant=TENANT, source="credit", page_size=1, page_token=page.next_page_token
        )
    )
    assert [*page.conversions, *rest.conversions] == [second, first]
    stale = await refusal_of(publish(converting, "0.02"))
    assert (stale.code, stale.reason) == (grpc.StatusCode.ABORTED, "VERSION_DIFFERS")


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"source": ""}, "FIELD_REQUIRED", "conversion.source"),
        ({"target": "x" * 129}, "TEXT_TOO_LONG", "conversion.target"),
        ({"target": "EUR"}, "ASSET_UNKNOWN", "conversion.target"),
        ({"target": "credit"}, "CONVERSION_CYCLIC", "conversion.target"),
        ({"rate": ""}, "RATE_INVALID", "conversion.rate"),
        ({"rate": "-1"}, "RATE_INVALID", "conversion.rate"),
        ({"rate": "0"}, "RATE_INVALID", "conversion.rate"),
        ({"effective_from_us": -1}, "NUMBER_OUT_OF_RANGE", "conversion.effective_from_us"),
    ],
    ids=str,
)
async def test_bad_rates(converting: Served, changes, reason, field):
    fields = {"rate": "0.01", **changes}
    found = await refusal_of(publish(converting, **fields))
    assert (found.reason, found.metadata["field"]) == (reason, field)


async def test_a_circle_of_conversions_is_refused(converting: Served):
    await converting.asset("token", 0, pricing_pb2.ASSET_KIND_UNIT)
    await publish(converting, source="token", target="credit")
    await publish(converting)
    found = await refusal_of(publish(converting, source="USD", target="token"))
    assert found.reason == "CONVERSION_CYCLIC"
    assert "USD to token to credit to USD" in found.message


async def test_the_settlement_currency_is_money_that_exists(converting: Served):
    for code, reason in (("credit", "ASSET_KIND_INVALID"), ("EUR", "ASSET_UNKNOWN")):
        found = await refusal_of(converting.account("acme", settlement_asset=code))
        assert (found.reason, found.metadata["field"]) == (reason, "policy.settlement_asset")
