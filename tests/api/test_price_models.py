"""Every price model over the wire: published, quoted, charged, shown, given back, to the unit."""

from __future__ import annotations

import time
from typing import Any

import pytest

from ledger.v1 import correction_pb2, usage_pb2
from rating.card import canonical_bytes, content_hash
from rating.card_file import read_card
from rating.v1 import card_pb2 as pb
from rating.v1 import pricing_pb2
from tests.api.served import TENANT, Served, event

FUNDS = 1_000_000  # cents


def tiers(*said: tuple[int, str, str]) -> list[pb.Tier]:
    return [pb.Tier(up_to=up_to, price=price, flat=flat) for up_to, price, flat in said]


def row(**fields: Any) -> pb.PriceRow:
    return pb.PriceRow(**{"product": "chat", "quantity": "calls", **fields})


GRADUATED = row(
    graduated=pb.GraduatedModel(
        tiers=tiers((100, "0.10", ""), (1_000, "0.05", ""), (0, "0.02", ""))
    )
)
VOLUME = row(volume=pb.VolumeModel(tiers=tiers((100, "0.10", ""), (0, "0.05", ""))))
STAIRS = row(stairstep=pb.StairstepModel(tiers=tiers((5, "", "50"), (0, "", "80"))))
PACKAGE = row(package=pb.PackageModel(size=100, price="5"))
SHARE = row(
    quantity="amount",
    percentage=pb.PercentageModel(rate="0.10", fixed="1", free=1_000, transaction_maximum="5"),
)
LIMITED = row(price="0.10", included=100, maximum="5", scope=pb.RUNNING_SCOPE_DAY)

# Cents that events of these quantities cost one after the other, by hand: docs/pricing.md has the
# sums. A volume row that crosses a tier prices the earlier quantity anew, apart.
CASES = {
    "graduated": (GRADUATED, {90: 900, 20: 150, 890: 4_450, 100: 200}, 0),
    "volume": (VOLUME, {100: 1_000, 50: 250, 10: 50}, -500),
    "stairstep": (STAIRS, {1: 5_000, 4: 0, 2: 3_000, 1_000: 0}, 0),
    "package": (PACKAGE, {1: 500, 99: 0, 2: 500, 250: 1_000}, 0),
    "percentage": (SHARE, {600: 0, 400: 0, 100: 110, 9_900: 500}, 0),
    "included and maximum": (LIMITED, {60: 0, 61: 210, 10: 100, 1_000: 190}, 0),
}


@pytest.fixture
async def acme(served: Served) -> Served:
    """An account with 10,000 dollars; nothing is priced yet."""
    await served.asset("USD", 2, pricing_pb2.ASSET_KIND_MONEY)
    await served.account("acme")
    await served.grant("acme", FUNDS, asset="USD")
    return served


def priced_by(*rows: pb.PriceRow) -> pb.RateCard:
    return pb.RateCard(
        name="default",
        asset="USD",
        asset_scale=2,
        meters=[pb.Meter(quantity="calls"), pb.Meter(quantity="amount", scale=2)],
        rows=rows,
    )


async def publish(caller: Served, *rows: pb.PriceRow, expected: int = 0) -> int:
    reply = await caller.pricing.PublishRateCard(
        pricing_pb2.PublishRateCardRequest(
            tenant=TENANT,
            request_id=caller.new_id(),
            card=priced_by(*rows),
            expected_version=expected,
        )
    )
    return reply.version.version


async def use(caller: Served, id_: str, quantity: str, count: int, **fields: Any) -> int:
    """Record an event; returns what it is charged."""
    reply = await caller.ingest(event(id_, "acme", quantities={quantity: count}, **fields))
    [result] = reply.results
    assert result.outcome == usage_pb2.INGEST_OUTCOME_APPLIED, result
    return result.charge


async def quoted(caller: Served, quantity: str, count: int, **fields: Any) -> int:
    reply = await caller.pricing.Quote(
        pricing_pb2.QuoteRequest(
            tenant=TENANT, account="acme", product="chat", quantities={quantity: count}, **fields
        )
    )
    return reply.charge


async def available(caller: Served) -> int:
    return int((await caller.balance("acme")).available)


async def reverse(caller: Served, id_: str, **fields: Any) -> int:
    reply = await caller.corrections.ReverseUsage(
        correction_pb2.ReverseUsageRequest(
            tenant=TENANT,
            reversals=[
                correction_pb2.Reversal(
                    request_id=caller.new_id("reverse"),
                    account="acme",
                    event=correction_pb2.SourceAndId(source="gateway", id=id_),
                    **fields,
                )
            ],
        )
    )
    [result] = reply.results
    assert result.outcome == correction_pb2.CORRECTION_OUTCOME_APPLIED, result
    return result.amount


@pytest.mark.parametrize("model", CASES)
async def test_a_model_charges_what_it_says_and_gives_all_of_it_back(acme: Served, model: str):
    """Rule R1: a quote, the charge, the line that is shown and the balance agree on every event."""
    priced, costs, rerated = CASES[model]
    await publish(acme, priced)
    shown = await acme.pricing.GetRateCard(
        pricing_pb2.GetRateCardRequest(tenant=TENANT, name="default")
    )
    assert list(shown.card.rows) == [priced], "it is read back as it was published"
    for number, (count, cost) in enumerate(costs.items()):
        assert await quoted(acme, priced.quantity, count) == cost
        assert await use(acme, f"e{number}", priced.quantity, count) == cost
    assert await available(acme) == FUNDS - sum(costs.values()) - rerated
    entry = (
        await acme.usage.Get(
            usage_pb2.UsageServiceGetRequest(
                tenant=TENANT, account="acme", source="gateway", id="e1"
            )
        )
    ).entry
    assert (entry.lines[0].charge, entry.charge) == ([*costs.values()][1],) * 2
    for number in reversed(range(len(costs))):
        await reverse(acme, f"e{number}")
    assert await available(acme) == FUNDS


async def test_a_formula_reads_the_attributes_of_its_event(acme: Served):
    """2 pictures of 2048 x 1024 are 2 x 2 x 0.04; without the width the quantity waits (B8)."""
    text = 'calls * ceil(attr("width") * attr("height") / 1048576) * 0.04'
    formula = pb.FormulaModel(expression=text, attributes=["width", "height"])
    await publish(acme, row(formula=formula, scope=pb.RUNNING_SCOPE_EVENT))
    size = {"width": "2048", "height": "1024"}
    assert await quoted(acme, "calls", 2, attributes=size) == 16
    assert await use(acme, "a", "calls", 2, attributes=size) == 16
    without = event("b", "acme", quantities={"calls": 2}, attributes={"height": "1024"})
    [result] = (await acme.ingest(without)).results
    assert (result.outcome, result.reason) == (
        usage_pb2.INGEST_OUTCOME_SUSPENSE,
        "ATTRIBUTE_MISSING",
    )
    assert await reverse(acme, "a") == 16


async def test_hours_price_the_night_otherwise(acme: Served):
    """22:00 to 06:00 in Berlin, Monday to Friday; the first minute belongs to it."""
    night = pb.Hours(zone="Europe/Berlin", start="22:00", end="06:00", weekdays=[1, 2, 3, 4, 5])
    await publish(acme, row(price="0.30"), row(price="0.20", hours=night))
    ten_pm = 1_767_387_600_000_000  # Friday 2 January 2026, 21:00 UTC
    hour = 3_600_000_000
    for at, cost in (
        (ten_pm - 1, 30),
        (ten_pm, 20),
        (ten_pm + 8 * hour - 1, 20),
        (ten_pm + 8 * hour, 30),
    ):
        assert await quoted(acme, "calls", 1, effective_at_us=at) == cost


async def test_holds_are_priced_by_models_too(acme: Served):
    """Rule H1: the estimate on the totals of now, the capture by what runs on then."""
    await publish(acme, GRADUATED)
    await use(acme, "a", "calls", 90)
    hold = await acme.authorize("acme", quantities={"calls": 20})
    assert hold.amount == 150
    assert await available(acme) == FUNDS - 900 - 150


async def test_a_total_goes_on_in_the_next_version_of_the_card(acme: Served):
    """A new price in the middle of a month restarts no tiers."""
    first = await publish(acme, GRADUATED)
    await use(acme, "a", "calls", 90)
    dearer = row(
        graduated=pb.GraduatedModel(
            tiers=tiers((100, "0.20", ""), (1_000, "0.05", ""), (0, "0.02", ""))
        )
    )
    now = time.time_ns() // 1_000
    await acme.pricing.PublishRateCard(
        pricing_pb2.PublishRateCardRequest(
            tenant=TENANT,
            request_id="next",
            card=priced_by(dearer),
            expected_version=first,
            effective_from_us=now,
        )
    )
    later = max(acme.ledger.clock.now_us(), now) + 1_000_000
    assert await quoted(acme, "calls", 20, effective_at_us=later) == 10 * 20 + 10 * 5


async def test_the_sheet_of_a_model_is_the_card_that_was_published(acme: Served):
    await publish(acme, GRADUATED, SHARE)
    found = await acme.pricing.GetPriceSheet(
        pricing_pb2.GetPriceSheetRequest(tenant=TENANT, name="default")
    )
    kept = read_card(found.sheet)
    assert content_hash(canonical_bytes(kept)) == found.version.content_hash
    difference = await acme.pricing.DiffRateCards(
        pricing_pb2.DiffRateCardsRequest(
            tenant=TENANT, name="default", candidate=priced_by(row(price="0.10"), SHARE)
        )
    )
    [changed] = difference.rows
    assert (changed.ratio, changed.large) == ("", True), "other terms: nothing says by how much"
