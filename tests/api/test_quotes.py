"""Quotes that bind over gRPC: promised, reserved, used once, expired (rule H9)."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from ledger.core.limits import MINUTE_US
from ledger.journal.storage import MemoryStorage
from ledger.v1 import correction_pb2, decision_pb2, explain_pb2, journal_pb2, usage_pb2
from rating.v1 import card_pb2
from rating.v1 import pricing_pb2 as pb
from tests.api.served import (
    TENANT,
    Served,
    SystemClock,
    card,
    compact,
    event,
    plain,
    refusal_of,
    served,
    work,
)

EXPENSIVE = [
    card_pb2.PriceRow(product="chat", quantity=quantity, price="0.001")
    for quantity in ("input_tokens", "output_tokens", "cached_tokens")
]


async def account(caller: Served, credits: int = 100_000) -> None:
    await caller.account("acme")
    if credits:
        await caller.grant("acme", credits)


async def quote(caller: Served, **changes: Any) -> pb.CreateQuoteResponse:
    fields = {**work("acme"), "request_id": caller.new_id(), **changes}
    return await caller.pricing.CreateQuote(pb.CreateQuoteRequest(**fields))


async def reprice(caller: Served) -> None:
    """Every token costs 1,000 from now on, instead of 3 and 15."""
    published = await caller.pricing.PublishRateCard(
        pb.PublishRateCardRequest(
            tenant=TENANT,
            request_id=caller.new_id(),
            card=card(rows=EXPENSIVE),
            expected_version=2,
        )
    )
    clock = caller.ledger.clock
    assert isinstance(clock, SystemClock)
    clock.ahead_us += max(0, published.version.effective_from_us - clock.now_us())


async def entry(caller: Served, event_id: str, source: str = "gateway") -> usage_pb2.UsageEntry:
    reply = await caller.usage.Get(
        usage_pb2.UsageServiceGetRequest(tenant=TENANT, account="acme", source=source, id=event_id)
    )
    return reply.entry


async def find(caller: Served, quote_id: str) -> pb.BindingQuote:
    reply = await caller.pricing.GetQuote(pb.GetQuoteRequest(tenant=TENANT, quote_id=quote_id))
    return reply.quote


async def listed(caller: Served, **changes: Any) -> pb.ListQuotesResponse:
    fields = {"tenant": TENANT, "account": "acme", **changes}
    return await caller.pricing.ListQuotes(pb.ListQuotesRequest(**fields))


async def test_a_quote_says_what_it_pins(priced: Served):
    """Row versions, prices, attributes, up to which quantity, and until when."""
    await account(priced)
    made = await quote(priced, attributes={"region": "eu"})
    found = made.quote
    assert not made.replayed
    assert (found.account, found.product, dict(found.attributes)) == (
        "acme",
        "chat",
        {"region": "eu"},
    )
    assert (found.charge, found.asset, found.scale) == (600, "credit", 6)
    assert (found.rate_card, found.rate_card_version) == ("default", 2)
    assert found.tolerance_basis_points == 12_000
    assert found.expires_at_us - found.made_at_us == 15 * MINUTE_US
    assert (found.state, found.hold_id, found.settled_at_us) == (pb.QUOTE_STATE_OPEN, "", 0)
    assert [
        (line.quantity_name, line.quantity, line.quantity_max, line.unit_price, line.charge)
        for line in found.lines
    ] == [("input_tokens", 100, 120, "3", 300), ("output_tokens", 20, 24, "15", 300)]
    assert await find(priced, found.quote_id) == found
    assert list((await listed(priced)).quotes) == [found]
    assert (await priced.balance("acme")).available == "100000"


async def test_explain_tells_what_the_quote_priced_from_what_is_beyond_it(priced: Served):
    """Each by its own rows; and why usage without the quote costs more (rule H9)."""
    await account(priced, 1_000_000)
    made = (await quote(priced)).quote
    await reprice(priced)
    await priced.ingest(event("one", "acme", 121, 24, quote_id=made.quote_id))
    await priced.ingest(event("two", "acme", 121, 24))
    named = [
        explain_pb2.ExplainRequest(tenant=TENANT, account="acme", source="gateway", id=each)
        for each in ("one", "two")
    ]
    reply = await priced.explaining.ExplainDifference(
        explain_pb2.ExplainDifferenceRequest(tenant=TENANT, one=named[0], other=named[1])
    )
    found = reply.one
    quoted, beyond = found.quoted.lines, found.lines
    assert (found.quoted.rate_card, found.quoted.rate_card_version) == ("default", 2)
    assert [(line.priced_quantity, line.charge) for line in quoted] == [(120, 360), (24, 360)]
    assert [(line.priced_quantity, line.charge) for line in beyond] == [(1, 1_000), (0, 0)]
    assert found.words[:6] == [
        "chat: 0.00172 credit by default version 3",
        "  a quote priced by default version 2:",
        "  120 input_tokens: 0.00036 credit",
        "    row 0 (product chat), per_unit",
        "    tier 1: 120 x 0.000003 = 0.00036",
        "  24 output_tokens: 0.00036 credit",
    ]
    assert "  what is beyond it:" in found.words
    assert not reply.other.HasField("quoted")
    assert reply.charged_more == 145_000 - 1_720
    [cause] = [each for each in reply.causes if each.kind == "quote"]
    assert (cause.one, cause.other) == ("120 input_tokens + 24 output_tokens by default 2", "")


@pytest.mark.parametrize("form", [plain, compact])
async def test_usage_that_names_it_costs_what_was_promised(priced: Served, form):
    """In either form: up to 1.2 x what was quoted at the quoted price, the rest at the live one; a
    second use says why it was charged otherwise."""
    await account(priced)
    made = (await quote(priced)).quote
    await reprice(priced)
    used = event("one", "acme", 121, 24, quote_id=made.quote_id)
    again = event("two", "acme", 1, 1, quote_id=made.quote_id)
    reply = await priced.usage.Ingest(form(used, again, event("three", "acme", 1, 1)))
    first = 120 * 3 + 24 * 15 + 1_000
    if form is plain:
        assert [(each.charge, each.reason) for each in reply.results] == [
            (first, ""),
            (2_000, "QUOTE_USED"),
            (2_000, ""),
        ]
        assert reply.results[1].outcome == usage_pb2.INGEST_OUTCOME_APPLIED
    else:
        assert list(reply.compact.charges) == [first, 2_000, 2_000]
        [detail] = reply.compact.details
        assert (detail.event, detail.result.reason) == (1, "QUOTE_USED")
    recorded = await entry(priced, "one")
    assert (recorded.quote_id, recorded.quote_reason) == (made.quote_id, "")
    assert [
        (
            line.priced_quantity,
            line.charge,
            line.unit_price,
            line.quoted_quantity,
            line.quoted_charge,
            line.quoted_unit_price,
        )
        for line in recorded.lines
    ] == [(121, 1_360, "1000", 120, 360, "3"), (24, 360, "1000", 24, 360, "15")]
    second = await entry(priced, "two")
    assert (second.quote_id, second.quote_reason) == (made.quote_id, "QUOTE_USED")
    settled = await find(priced, made.quote_id)
    assert settled.state == pb.QUOTE_STATE_USED
    assert settled.settled_at_us > 0
    assert not (await listed(priced)).quotes
    replayed = (await priced.usage.Ingest(form(again))).SerializeToString()
    assert b"QUOTE_USED" in replayed


async def test_of_many_that_send_at_once_one_uses_it(priced: Served):
    await account(priced)
    made = (await quote(priced)).quote
    await reprice(priced)
    replies = await asyncio.gather(
        *[
            priced.ingest(event(f"e{number}", "acme", 1, 0, quote_id=made.quote_id))
            for number in range(20)
        ]
    )
    charges = sorted(reply.results[0].charge for reply in replies)
    assert charges == [3] + [1_000] * 19


async def test_with_a_hold_it_is_reserved_and_captured(priced: Served):
    """The hold says which quote prices its capture; the capture uses it."""
    await account(priced)
    made = (await quote(priced, hold=True)).quote
    assert made.hold_id
    assert (await priced.balance("acme")).available == "99400"
    shown = await priced.decisions.GetHold(
        decision_pb2.GetHoldRequest(tenant=TENANT, hold_id=made.hold_id)
    )
    assert shown.hold.quote_id == made.quote_id
    await reprice(priced)
    captured = await priced.decisions.Capture(
        decision_pb2.CaptureRequest(
            tenant=TENANT,
            request_id="capture",
            hold_id=made.hold_id,
            quantities={"input_tokens": 100, "output_tokens": 20},
        )
    )
    assert (captured.charge, captured.released, captured.reason) == (600, 0, "")
    recorded = await entry(priced, "capture", source="")
    assert (recorded.quote_id, recorded.hold_id) == (made.quote_id, made.hold_id)
    assert (await find(priced, made.quote_id)).state == pb.QUOTE_STATE_USED


async def test_authorize_goes_by_a_quote(priced: Served):
    await account(priced)
    made = (await quote(priced)).quote
    await reprice(priced)
    held = await priced.authorize("acme", quote_id=made.quote_id)
    assert (held.decision, held.amount) == (decision_pb2.DECISION_ALLOW, 600)
    assert (await find(priced, made.quote_id)).hold_id == held.hold_id
    found = await refusal_of(priced.authorize("acme", quote_id=made.quote_id))
    assert (found.code, found.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "QUOTE_HELD")
    assert found.metadata["value"] == made.quote_id


async def test_what_cannot_be_paid_or_priced_makes_nothing(priced: Served):
    await account(priced, credits=0)
    for changes, reason in (
        ({"hold": True}, "INSUFFICIENT_CREDITS"),
        ({"product": "video", "quantities": {"seconds": 1}}, "UNPRICED"),
    ):
        found = await refusal_of(quote(priced, **changes))
        assert (found.code, found.reason) == (grpc.StatusCode.FAILED_PRECONDITION, reason)
    assert not (await listed(priced)).quotes
    assert (await quote(priced)).quote.state == pb.QUOTE_STATE_OPEN


async def test_it_expires_by_the_ledgers_clock():
    """Usage that names it later is charged the live price and says so."""
    clock = SystemClock()
    async with served(MemoryStorage(clock.now_us, 4), clock) as caller:
        await caller.priced()
        await account(caller)
        made = (await quote(caller, lifetime_us=MINUTE_US)).quote
        await reprice(caller)
        clock.ahead_us += MINUTE_US
        reply = await caller.ingest(event("late", "acme", 1, 0, quote_id=made.quote_id))
        assert (reply.results[0].charge, reply.results[0].reason) == (1_000, "QUOTE_EXPIRED")
        assert (await find(caller, made.quote_id)).state == pb.QUOTE_STATE_EXPIRED
        found = await refusal_of(caller.authorize("acme", quote_id=made.quote_id))
        assert found.reason == "QUOTE_EXPIRED"


async def test_a_retry_gets_the_same_quote_in_its_present_state(priced: Served):
    await account(priced)
    first = await quote(priced, request_id="once")
    await priced.ingest(event("one", "acme", quote_id=first.quote.quote_id))
    again = await quote(priced, request_id="once")
    assert again.replayed
    assert (again.quote.quote_id, again.quote.charge) == (first.quote.quote_id, 600)
    assert again.quote.state == pb.QUOTE_STATE_USED
    found = await refusal_of(quote(priced, request_id="once", hold=True))
    assert (found.reason, found.metadata["field"]) == ("CONFLICT", "hold")
    outcome = await priced.journal.GetOutcome(
        journal_pb2.GetOutcomeRequest(tenant=TENANT, account="acme", request_id="once")
    )
    assert (outcome.kind, outcome.resource) == (
        journal_pb2.MUTATION_KIND_CREATE_QUOTE,
        first.quote.quote_id,
    )


async def test_a_reversal_gives_back_what_was_charged(priced: Served):
    await account(priced)
    made = (await quote(priced)).quote
    await reprice(priced)
    await priced.ingest(event("one", "acme", 121, 0, quote_id=made.quote_id))
    reply = await priced.corrections.ReverseUsage(
        correction_pb2.ReverseUsageRequest(
            tenant=TENANT,
            reversals=[
                correction_pb2.Reversal(
                    request_id="back",
                    account="acme",
                    event=correction_pb2.SourceAndId(source="gateway", id="one"),
                )
            ],
        )
    )
    assert reply.results[0].amount == 360 + 1_000
    assert (await priced.balance("acme")).available == "100000"


async def test_quotes_are_listed_in_pages(priced: Served):
    await account(priced)
    made = [(await quote(priced)).quote.quote_id for _ in range(3)]
    first = await listed(priced, page_size=2)
    rest = await listed(priced, page_token=first.next_page_token)
    assert [each.quote_id for each in [*first.quotes, *rest.quotes]] == made
    assert not rest.next_page_token


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"request_id": ""}, "FIELD_REQUIRED", "request_id"),
        ({"lifetime_us": -1}, "NUMBER_OUT_OF_RANGE", "lifetime_us"),
        ({"lifetime_us": 25 * 60 * MINUTE_US}, "QUOTE_LIFETIME_INVALID", "lifetime_us"),
        ({"tolerance_basis_points": 1}, "NUMBER_OUT_OF_RANGE", "tolerance_basis_points"),
        ({"tolerance_basis_points": 20_001}, "NUMBER_OUT_OF_RANGE", "tolerance_basis_points"),
        ({"quantities": {}}, "FIELD_REQUIRED", "quantities"),
    ],
    ids=str,
)
async def test_what_is_wrong_with_a_quote_is_named(priced: Served, changes, reason, field):
    await account(priced)
    found = await refusal_of(quote(priced, **changes))
    assert (found.code, found.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
    assert found.metadata["field"] == field


async def test_an_id_that_is_none_of_the_accounts_is_invalid_input(priced: Served):
    """It is not recorded: the same event may come again with the right one (rule I2)."""
    await account(priced)
    await priced.account("beta")
    of_beta = (await quote(priced, account="beta")).quote.quote_id
    for quote_id in ("quote_nonsense", of_beta):
        for form in (plain, compact):
            reply = await priced.usage.Ingest(form(event("one", "acme", quote_id=quote_id)))
            result = reply.results[0] if form is plain else reply.compact.details[0].result
            assert result.outcome == usage_pb2.INGEST_OUTCOME_INVALID
            assert (result.reason, result.field) == ("QUOTE_UNKNOWN", "quote_id")
        found = await refusal_of(priced.authorize("acme", quote_id=quote_id))
        assert (found.code, found.reason) == (grpc.StatusCode.NOT_FOUND, "QUOTE_UNKNOWN")
    found = await refusal_of(find(priced, "quote_nonsense"))
    assert (found.code, found.reason) == (grpc.StatusCode.NOT_FOUND, "QUOTE_UNKNOWN")
    assert (await priced.ingest(event("one", "acme"))).results[0].charge == 600
