"""Holds in parts: extended, captured several times, charged at expiry, shown and listed."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from ledger.core.limits import DAY_US, MINUTE_US
from ledger.v1 import decision_pb2 as pb
from ledger.v1 import journal_pb2, types_pb2, usage_pb2
from rating.v1 import card_pb2, pricing_pb2
from tests.api.served import PRODUCT, TENANT, Served, card, refusal_of

COST = 600  # of 100 input and 20 output tokens
OPEN = types_pb2.HOLD_STATE_OPEN


async def funded(priced: Served, amount: int = 1_000, **policy: Any) -> None:
    await priced.account("acme", **policy)
    if amount:
        await priced.grant("acme", amount)


def capturing(hold_id: str, input_tokens: int = 50, **changes: Any) -> pb.CaptureRequest:
    fields = {
        "tenant": TENANT,
        "hold_id": hold_id,
        "quantities": {"input_tokens": input_tokens, "output_tokens": 0},
        **changes,
    }
    return pb.CaptureRequest(**fields)


async def shown(priced: Served, hold_id: str, min_position: str = "") -> pb.Hold:
    request = pb.GetHoldRequest(tenant=TENANT, hold_id=hold_id, min_position=min_position)
    return (await priced.decisions.GetHold(request)).hold


async def listed(priced: Served, **changes: Any) -> pb.ListHoldsResponse:
    fields = {"tenant": TENANT, "account": "acme", **changes}
    return await priced.decisions.ListHolds(pb.ListHoldsRequest(**fields))


async def test_a_hold_is_captured_in_parts_until_the_last(priced: Served):
    await funded(priced)
    held = await priced.authorize("acme")
    first = await priced.decisions.Capture(
        capturing(held.hold_id, request_id="one", keep_open=True)
    )
    assert (first.charge, first.released, first.hold_left) == (150, 0, 450)
    assert first.hold_state == OPEN
    assert (await priced.balance("acme")).available == "400"
    second = await priced.decisions.Capture(
        capturing(held.hold_id, 10, request_id="two", keep_open=True)
    )
    assert (second.charge, second.released, second.hold_left) == (30, 0, 420)
    last = await priced.decisions.Capture(capturing(held.hold_id, 40, request_id="three"))
    assert (last.charge, last.released, last.hold_left) == (120, 300, 0)
    assert last.hold_state == types_pb2.HOLD_STATE_CAPTURED
    assert (await priced.balance("acme")).available == "700"
    again = await priced.decisions.Capture(
        capturing(held.hold_id, request_id="one", keep_open=True)
    )
    assert again.replayed
    assert (again.charge, again.released, again.position) == (150, 0, first.position)
    assert (again.hold_state, again.hold_left) == (types_pb2.HOLD_STATE_CAPTURED, 0)
    repeated = await priced.decisions.Capture(capturing(held.hold_id, 40, request_id="three"))
    assert (repeated.replayed, repeated.released) == (True, 300)
    found = await refusal_of(
        priced.decisions.Capture(capturing(held.hold_id, request_id="four", keep_open=True))
    )
    assert (found.code, found.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "HOLD_SETTLED")


async def test_the_last_capture_is_no_retry_of_one_that_keeps_open(priced: Served):
    await funded(priced)
    held = await priced.authorize("acme")
    await priced.decisions.Capture(capturing(held.hold_id, request_id="one", keep_open=True))
    found = await refusal_of(priced.decisions.Capture(capturing(held.hold_id, request_id="one")))
    assert (found.code, found.reason) == (grpc.StatusCode.ALREADY_EXISTS, "CONFLICT")
    assert found.metadata["field"] == "keep_open"


async def test_a_release_gives_back_what_captures_left(priced: Served):
    await funded(priced)
    held = await priced.authorize("acme")
    await priced.decisions.Capture(capturing(held.hold_id, request_id="one", keep_open=True))
    request = pb.ReleaseRequest(tenant=TENANT, request_id="out", hold_id=held.hold_id)
    assert (await priced.decisions.Release(request)).released == 450
    again = await priced.decisions.Release(request)
    assert (again.released, again.replayed) == (450, True)
    assert (await priced.balance("acme")).available == "850"


async def test_a_capture_in_parts_is_a_usage_event_of_its_hold(priced: Served):
    await funded(priced)
    held = await priced.authorize("acme")
    captured = await priced.decisions.Capture(
        capturing(held.hold_id, request_id="one", keep_open=True)
    )
    request = usage_pb2.UsageServiceGetRequest(
        tenant=TENANT, account="acme", id="one", min_position=captured.position
    )
    entry = (await priced.usage.Get(request)).entry
    assert (entry.hold_id, entry.charge) == (held.hold_id, 150)
    outcome = await priced.journal.GetOutcome(
        journal_pb2.GetOutcomeRequest(tenant=TENANT, account="acme", request_id="one")
    )
    assert outcome.kind == journal_pb2.MUTATION_KIND_CAPTURE
    assert (outcome.capture.charge, outcome.capture.hold_left) == (150, 450)


async def test_an_extension_moves_the_expiry_and_replays(priced: Served):
    await funded(priced)
    held = await priced.authorize("acme", lifetime_us=MINUTE_US)
    request = pb.ExtendRequest(
        tenant=TENANT, request_id="more", hold_id=held.hold_id, lifetime_us=DAY_US // 2
    )
    extended = await priced.decisions.Extend(request)
    assert (extended.hold_state, extended.replayed) == (OPEN, False)
    assert extended.expires_at_us > held.expires_at_us + DAY_US // 3
    again = await priced.decisions.Extend(request)
    assert (again.expires_at_us, again.replayed) == (extended.expires_at_us, True)
    assert (await shown(priced, held.hold_id)).expires_at_us == extended.expires_at_us
    outcome = await priced.journal.GetOutcome(
        journal_pb2.GetOutcomeRequest(tenant=TENANT, account="acme", request_id="more")
    )
    assert (outcome.kind, outcome.resource) == (journal_pb2.MUTATION_KIND_EXTEND, held.hold_id)
    assert outcome.extend.expires_at_us == extended.expires_at_us
    request.lifetime_us = DAY_US // 3
    assert (await refusal_of(priced.decisions.Extend(request))).metadata["field"] == "lifetime_us"


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"request_id": ""}, "FIELD_REQUIRED", "request_id"),
        ({"hold_id": ""}, "FIELD_REQUIRED", "hold_id"),
        ({"hold_id": "hold_nonsense"}, "HOLD_UNKNOWN", "hold_id"),
        ({"lifetime_us": -1}, "NUMBER_OUT_OF_RANGE", "lifetime_us"),
        ({"lifetime_us": 35 * DAY_US + 1}, "NUMBER_OUT_OF_RANGE", "lifetime_us"),
        ({"lifetime_us": DAY_US}, "HOLD_LIFETIME_INVALID", "lifetime_us"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_bad_extensions_change_nothing(priced: Served, changes, reason, field):
    await funded(priced)
    held = await priced.authorize("acme")
    fields = {"tenant": TENANT, "request_id": "more", "hold_id": held.hold_id, **changes}
    found = await refusal_of(priced.decisions.Extend(pb.ExtendRequest(**fields)))
    assert (found.reason, found.metadata["field"]) == (reason, field)
    assert (await shown(priced, held.hold_id)).expires_at_us == held.expires_at_us


async def test_a_settled_hold_is_not_extended(priced: Served):
    await funded(priced)
    held = await priced.authorize("acme")
    await priced.decisions.Capture(capturing(held.hold_id, request_id="one"))
    request = pb.ExtendRequest(tenant=TENANT, request_id="more", hold_id=held.hold_id)
    found = await refusal_of(priced.decisions.Extend(request))
    assert (found.code, found.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "HOLD_SETTLED")


async def test_a_hold_is_shown_with_what_is_left_of_its_slices(priced: Served):
    await funded(priced, 400, overdraft_asset="credit", overdraft_limit=500)
    held = await priced.authorize("acme", attributes={"region": "eu"})
    await priced.decisions.Capture(capturing(held.hold_id, 150, request_id="one", keep_open=True))
    hold = await shown(priced, held.hold_id)
    assert (hold.hold_id, hold.account, hold.product) == (held.hold_id, "acme", PRODUCT)
    assert dict(hold.attributes) == {"region": "eu"}
    assert (hold.state, hold.amount, hold.captured, hold.left) == (OPEN, COST, 450, 150)
    assert (hold.asset, hold.scale, hold.captures, hold.settled_at_us) == ("credit", 6, 1, 0)
    assert hold.extendable_to_us == hold.authorized_at_us + DAY_US
    assert hold.hold_expiry == card_pb2.HOLD_EXPIRY_RELEASE == held.hold_expiry
    [grant, overdraft] = hold.slices
    assert (grant.pot, grant.left, grant.payer) == (types_pb2.POT_GRANT, 0, "")
    assert grant.grant_id.startswith("grant_")
    assert (overdraft.pot, overdraft.left) == (types_pb2.POT_OVERDRAFT, 150)
    last = await priced.decisions.Capture(capturing(held.hold_id, 10, request_id="two"))
    hold = await shown(priced, held.hold_id, last.position)
    assert (hold.state, hold.captured, hold.left) == (types_pb2.HOLD_STATE_CAPTURED, 480, 0)
    assert (hold.captures, list(hold.slices)) == (2, [])
    assert hold.settled_at_us >= hold.authorized_at_us


async def test_holds_of_others_and_unknown_ones_are_not_shown(priced: Served):
    await funded(priced)
    held = await priced.authorize("acme")
    stranger = pb.GetHoldRequest(tenant="sandbox", hold_id=held.hold_id)
    assert (await refusal_of(priced.decisions.GetHold(stranger))).reason == "HOLD_UNKNOWN"
    unknown = held.hold_id[:-4] + "AAAA"
    request = pb.GetHoldRequest(tenant=TENANT, hold_id=unknown)
    found = await refusal_of(priced.decisions.GetHold(request))
    assert (found.code, found.reason) == (grpc.StatusCode.NOT_FOUND, "HOLD_UNKNOWN")


async def test_holds_are_listed_page_by_page(priced: Served):
    await funded(priced, 10_000)
    await priced.account("other")
    await priced.grant("other", 10_000)
    held = [(await priced.authorize("acme")).hold_id for _ in range(5)]
    await priced.authorize("other")
    page = await listed(priced, page_size=2)
    assert [hold.hold_id for hold in page.holds] == held[:2]
    page = await listed(priced, page_size=2, page_token=page.next_page_token)
    page = await listed(priced, page_size=2, page_token=page.next_page_token)
    assert [hold.hold_id for hold in page.holds] == held[4:]
    assert not page.next_page_token
    for number, hold_id in enumerate(held[:3]):
        await priced.decisions.Capture(capturing(hold_id, request_id=f"c{number}"))
    assert [hold.hold_id for hold in (await listed(priced)).holds] == held[3:]
    settled = {"filter": pb.HOLD_FILTER_SETTLED, "page_size": 2}
    page = await listed(priced, **settled)
    assert [hold.hold_id for hold in page.holds] == [held[2], held[1]]
    page = await listed(priced, **settled, page_token=page.next_page_token)
    assert [hold.hold_id for hold in page.holds] == [held[0]]
    assert not page.next_page_token
    assert page.holds[0].captured == 150


async def test_an_account_without_holds_has_an_empty_list(priced: Served):
    await priced.account("acme")
    for choice in (pb.HOLD_FILTER_OPEN, pb.HOLD_FILTER_SETTLED):
        assert not (await listed(priced, filter=choice)).holds


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"account": "nobody"}, "ACCOUNT_UNKNOWN", "account"),
        ({"page_size": -1}, "PAGE_INVALID", "page_size"),
        ({"page_token": "x"}, "PAGE_INVALID", "page_token"),
        ({"filter": 9}, "NUMBER_OUT_OF_RANGE", "filter"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_bad_listings(priced: Served, changes, reason, field):
    await priced.account("acme")
    found = await refusal_of(listed(priced, **changes))
    assert (found.reason, found.metadata["field"]) == (reason, field)


async def test_a_page_token_is_good_for_its_own_listing(priced: Served):
    await funded(priced, 10_000)
    for _ in range(2):
        await priced.authorize("acme")
    token = (await listed(priced, page_size=1)).next_page_token
    found = await refusal_of(listed(priced, page_token=token, filter=pb.HOLD_FILTER_SETTLED))
    assert found.reason == "PAGE_INVALID"


# -- terms by product ------------------------------------------------------------------------------


async def terms(server: Served, **product: Any) -> None:
    products = [card_pb2.Product(product=PRODUCT, **product)]
    await server.pricing.PublishRateCard(
        pricing_pb2.PublishRateCardRequest(
            tenant=TENANT, request_id=server.new_id(), card=card(products=products)
        )
    )


async def test_a_product_may_have_its_holds_charged_at_expiry(served: Served):
    await served.asset("credit", 6, pricing_pb2.ASSET_KIND_CREDIT)
    await terms(served, hold_expiry=card_pb2.HOLD_EXPIRY_CHARGE, batch=True)
    await funded(served)
    held = await served.authorize("acme", lifetime_us=1)
    assert held.hold_expiry == card_pb2.HOLD_EXPIRY_CHARGE
    found = await refusal_of(served.decisions.Capture(capturing(held.hold_id, request_id="late")))
    assert found.reason == "HOLD_SETTLED"
    hold = await shown(served, held.hold_id)
    assert (hold.state, hold.captured) == (types_pb2.HOLD_STATE_CHARGED, COST)
    balance = await served.balance("acme")
    assert (balance.available, balance.pending) == (str(1_000 - COST), "0")
    long = await served.authorize("acme", lifetime_us=35 * DAY_US, quantities={"input_tokens": 1})
    hold = await shown(served, long.hold_id)
    assert hold.extendable_to_us == hold.authorized_at_us + 35 * DAY_US
    assert hold.hold_expiry == card_pb2.HOLD_EXPIRY_CHARGE


async def test_the_terms_of_a_product_are_part_of_its_card(served: Served):
    await served.asset("credit", 6, pricing_pb2.ASSET_KIND_CREDIT)
    await terms(served, hold_expiry=card_pb2.HOLD_EXPIRY_CHARGE, batch=True)
    reply = await served.pricing.GetRateCard(
        pricing_pb2.GetRateCardRequest(tenant=TENANT, name="default")
    )
    [product] = reply.card.products
    assert (product.hold_expiry, product.batch) == (card_pb2.HOLD_EXPIRY_CHARGE, True)
    found = await refusal_of(terms(served, hold_expiry=7))
    assert found.reason == "RATE_CARD_INVALID"
    assert found.metadata["field"] == "card.products[0].hold_expiry"
