"""Credits in, what is left of them, and taking them back."""

from __future__ import annotations

import grpc
import pytest

from ledger.api.positions import encode_position
from ledger.core.limits import HOUR_US, INT64_MAX
from ledger.v1 import account_pb2, balance_pb2, decision_pb2, types_pb2, usage_pb2
from ledger.v1 import grant_pb2 as pb
from rating.v1 import pricing_pb2
from tests.api.served import TENANT, Served, event, refusal_of


async def listed(caller: Served, account: str, **changes) -> pb.GrantServiceListResponse:
    return await caller.grants.List(
        pb.GrantServiceListRequest(tenant=TENANT, account=account, **changes)
    )


def voiding(grant_id: str, request_id: str = "void") -> pb.GrantServiceVoidRequest:
    return pb.GrantServiceVoidRequest(tenant=TENANT, request_id=request_id, grant_id=grant_id)


async def test_a_grant_is_issued_and_shown(priced: Served):
    await priced.asset("USD", 9, pricing_pb2.ASSET_KIND_MONEY)
    await priced.account("acme")
    now = priced.ledger.clock.now_us()
    issued = await priced.grant(
        "acme",
        1_000,
        request_id="issue",
        external_key="order-1",
        price_paid=5,
        price_asset="USD",
        priority=-3,
        expires_at_us=now + HOUR_US,
        products=["video", "chat"],
    )
    grant = issued.grant
    assert (grant.account, grant.external_key, grant.asset, grant.scale) == (
        "acme",
        "order-1",
        "credit",
        6,
    )
    assert (grant.amount, grant.remaining, grant.held, grant.priority) == (1_000, 1_000, 0, -3)
    assert (grant.price_paid, grant.price_asset, grant.price_scale) == (5, "USD", 9)
    assert list(grant.products) == ["chat", "video"]
    assert grant.state == types_pb2.GRANT_STATE_ACTIVE
    assert grant.kind == types_pb2.GRANT_KIND_PREPAID
    assert grant.issued_at_us == grant.effective_at_us >= now
    await priced.ingest(event("a", "acme"))
    shown = await priced.grants.Get(
        pb.GrantServiceGetRequest(
            tenant=TENANT, grant_id=grant.grant_id, min_position=issued.position
        )
    )
    assert (shown.grant.remaining, shown.grant.external_key) == (400, "")
    again = await priced.grant(
        "acme",
        1_000,
        request_id="issue",
        external_key="order-1",
        price_paid=5,
        price_asset="USD",
        priority=-3,
        expires_at_us=now + HOUR_US,
        products=["chat", "video"],
    )
    assert again.replayed
    assert again.grant == grant


async def test_the_states_of_a_grant(priced: Served):
    await priced.account("acme")
    now = priced.ledger.clock.now_us()
    await priced.grant("acme", 1)
    await priced.grant("acme", 2, effective_at_us=now + HOUR_US)
    voided = await priced.grant("acme", 3)
    await priced.grants.Void(voiding(voided.grant.grant_id))
    states = [(grant.amount, grant.state) for grant in (await listed(priced, "acme")).grants]
    assert states == [
        (1, types_pb2.GRANT_STATE_ACTIVE),
        (2, types_pb2.GRANT_STATE_SCHEDULED),
        (3, types_pb2.GRANT_STATE_VOIDED),
    ]
    assert (await priced.balance("acme")).granted == "1"


async def test_grants_are_listed_in_pages_in_the_order_issued(priced: Served):
    await priced.account("acme")
    for amount in range(1, 8):
        await priced.grant("acme", amount, priority=-amount)
    first = await listed(priced, "acme", page_size=4)
    rest = await listed(priced, "acme", page_size=4, page_token=first.next_page_token)
    assert [grant.amount for grant in [*first.grants, *rest.grants]] == list(range(1, 8))
    assert not rest.next_page_token
    await priced.account("other")
    foreign = await refusal_of(listed(priced, "other", page_token=first.next_page_token))
    assert foreign.reason == "PAGE_INVALID"


async def test_a_void_takes_back_what_is_not_held(priced: Served):
    await priced.account("acme")
    grant = (await priced.grant("acme", 1_000)).grant
    await priced.authorize("acme")
    voided = await priced.grants.Void(voiding(grant.grant_id))
    assert (voided.voided, voided.grant.remaining, voided.grant.held) == (400, 600, 600)
    assert voided.grant.state == types_pb2.GRANT_STATE_VOIDED
    assert (await priced.grants.Void(voiding(grant.grant_id))).replayed
    found = await refusal_of(priced.grants.Void(voiding(grant.grant_id, "again")))
    assert (found.code, found.reason) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "GRANT_SETTLED",
    )


async def test_a_grant_first_repays_what_is_owed(priced: Served):
    await priced.account("acme")
    await priced.ingest(event("a", "acme"))
    assert (await priced.balance("acme")).available == "-600"
    issued = await priced.grant("acme", 1_000)
    assert (issued.repaid_advance, issued.grant.remaining) == (600, 400)
    balance = await priced.balance("acme")
    assert (balance.available, balance.advance, balance.granted) == ("400", "0", "400")


async def test_an_external_key_is_taken_for_ever(priced: Served):
    await priced.account("acme")
    await priced.grant("acme", 1, external_key="order-1")
    found = await refusal_of(priced.grant("acme", 1, external_key="order-1"))
    assert (found.code, found.reason) == (grpc.StatusCode.ALREADY_EXISTS, "GRANT_KEY_TAKEN")
    assert found.metadata["value"] == "order-1"


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"amount": 0}, "NUMBER_OUT_OF_RANGE", "amount"),
        ({"amount": -INT64_MAX}, "NUMBER_OUT_OF_RANGE", "amount"),
        ({"asset": "gold"}, "ASSET_UNKNOWN", "asset"),
        ({"asset": ""}, "FIELD_REQUIRED", "asset"),
        ({"kind": 0}, "NUMBER_OUT_OF_RANGE", "kind"),
        ({"kind": 9}, "NUMBER_OUT_OF_RANGE", "kind"),
        ({"price_paid": -1}, "NUMBER_OUT_OF_RANGE", "price_paid"),
        ({"price_paid": 5}, "FIELD_REQUIRED", "price_asset"),
        ({"price_paid": 5, "price_asset": "gold"}, "ASSET_UNKNOWN", "price_asset"),
        ({"price_paid": 5, "price_asset": "credit"}, "ASSET_KIND_INVALID", "price_asset"),
        ({"expires_at_us": 5}, "EXPIRY_INVALID", "expires_at_us"),
        ({"effective_at_us": -5}, "NUMBER_OUT_OF_RANGE", "effective_at_us"),
        ({"products": [""]}, "FIELD_REQUIRED", "products[0]"),
        ({"products": ["a", "a"]}, "NAME_REPEATED", "products"),
        ({"products": [str(n) for n in range(101)]}, "TOO_MANY", "products"),
        ({"external_key": "x" * 129}, "TEXT_TOO_LONG", "external_key"),
        ({"request_id": ""}, "FIELD_REQUIRED", "request_id"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_bad_grants_issue_nothing(priced: Served, changes, reason, field):
    await priced.account("acme")
    found = await refusal_of(priced.grant("acme", **{"amount": 1, **changes}))
    assert (found.reason, found.metadata["field"]) == (reason, field)
    assert not (await listed(priced, "acme")).grants


async def test_a_promotional_grant_is_free(priced: Served):
    await priced.asset("USD", 9, pricing_pb2.ASSET_KIND_MONEY)
    await priced.account("acme")
    promotional = types_pb2.GRANT_KIND_PROMOTIONAL
    found = await refusal_of(
        priced.grant("acme", 5, kind=promotional, price_paid=1, price_asset="USD")
    )
    assert found.reason == "AMOUNT_INVALID"
    issued = await priced.grant("acme", 5, kind=promotional)
    assert issued.grant.kind == promotional


async def test_balances_count_holds_overdraft_and_what_applies(priced: Served):
    await priced.account("acme", overdraft_asset="credit", overdraft_limit=100)
    await priced.grant("acme", 1_000)
    await priced.grant("acme", 50, products=["video"])
    await priced.authorize("acme")
    balance = await priced.balance("acme", "chat")
    assert (balance.available, balance.applicable) == ("550", "500")
    assert (balance.granted, balance.pending) == ("1050", "600")
    assert [grant.amount for grant in balance.grants] == [50, 1_000]
    assert (await priced.balance("acme", "video")).applicable == "550"


async def test_overage_of_the_month(priced: Served):
    await priced.account("acme", overage=account_pb2.OVERAGE_SELF)
    await priced.ingest(event("a", "acme"))
    balance = await priced.balance("acme")
    assert (balance.overage, balance.advance, balance.available) == ("600", "0", "0")


async def test_overage_of_a_child_is_billed_to_its_parent(priced: Served):
    await priced.account("acme")
    await priced.account("acme/search", "acme", overage=account_pb2.OVERAGE_PARENT)
    await priced.ingest(event("a", "acme/search"))
    entry = (
        await priced.usage.Get(
            usage_pb2.UsageServiceGetRequest(
                tenant=TENANT, account="acme/search", source="gateway", id="a"
            )
        )
    ).entry
    assert [(piece.pot, piece.payer) for piece in entry.slices] == [(types_pb2.POT_OVERAGE, "acme")]
    assert entry.transfers[0].debit_account == "overage/acme"


async def test_a_new_account_has_no_balances(priced: Served):
    made = await priced.account("acme")
    reply = await priced.balances.Get(
        balance_pb2.BalanceServiceGetRequest(
            tenant=TENANT, account="acme", min_position=made.position
        )
    )
    assert (reply.account, len(reply.balances)) == ("acme", 0)
    assert reply.as_of_us > 0
    assert reply.position


@pytest.mark.parametrize("position", ["nonsense", "AQ", "AQAA!", "x" * 30_000, "AQAAAA"])
async def test_positions_that_are_none_of_ours(priced: Served, position):
    await priced.account("acme")
    found = await refusal_of(priced.balance("acme", min_position=position))
    assert (found.code, found.reason) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "POSITION_INVALID",
    )


async def test_a_position_that_is_not_reached(priced: Served):
    await priced.account("acme")
    ahead = encode_position(dict.fromkeys(range(4), 10**9))
    found = await refusal_of(priced.balance("acme", min_position=ahead))
    assert (found.code, found.reason) == (grpc.StatusCode.OUT_OF_RANGE, "POSITION_AHEAD")


async def test_a_shared_grant_is_drawn_by_children_with_their_own_overage_behind(priced: Served):
    """Rules D1, D4: one entry; the parent's commitment, then the child's own bill."""
    await priced.asset("USD", 9, pricing_pb2.ASSET_KIND_MONEY)
    await priced.account("acme")
    await priced.account("acme/eu", "acme", overage=account_pb2.OVERAGE_SELF)
    shared = (
        await priced.grant("acme", 400, shared=True, price_paid=1_000, price_asset="USD")
    ).grant
    assert shared.shared
    balance = await priced.balance("acme/eu")
    assert (balance.available, balance.granted) == ("400", "400")
    assert [grant.account for grant in balance.grants] == ["acme"]
    await priced.ingest(event("a", "acme/eu"))
    entry = (
        await priced.usage.Get(
            usage_pb2.UsageServiceGetRequest(
                tenant=TENANT, account="acme/eu", source="gateway", id="a"
            )
        )
    ).entry
    assert [(piece.pot, piece.grant_id, piece.amount) for piece in entry.slices] == [
        (types_pb2.POT_GRANT, shared.grant_id, 400),
        (types_pb2.POT_OVERAGE, "", 200),
    ]
    assert [transfer.debit_account for transfer in entry.transfers] == [
        f"grant/{shared.grant_id}",
        "overage/acme/eu",
        f"deferred/{shared.grant_id}",
    ]
    assert (await priced.balance("acme/eu")).available == "0"
    assert (await priced.balance("acme")).overage == "0"


async def test_the_terms_of_a_grant_come_back_as_they_were_given(priced: Served):
    await priced.asset("USD", 9, pricing_pb2.ASSET_KIND_MONEY)
    await priced.account("acme")
    now = priced.ledger.clock.now_us()
    terms = {
        "tags": ["media"],
        "attributes": {"region": "eu"},
        "gated": True,
        "price_paid": 50,
        "price_asset": "USD",
        "expires_at_us": now + HOUR_US,
        "rollover": types_pb2.Rollover(
            numerator=1, denominator=2, cap=7, lifetime_us=HOUR_US, again=True
        ),
        "metadata": {"order": "17"},
        "source": "stripe",
    }
    issued = (await priced.grant("acme", 10, request_id="issue", **terms)).grant
    assert issued.state == types_pb2.GRANT_STATE_PENDING
    assert (issued.pending, issued.remaining) == (10, 0)
    assert list(issued.tags) == ["media"]
    assert dict(issued.attributes) == {"region": "eu"}
    assert issued.rollover == terms["rollover"]
    assert dict(issued.metadata) == {"order": "17"}
    [shown] = (await listed(priced, "acme")).grants
    assert shown == issued
    again = await priced.grant("acme", 10, request_id="issue", **terms)
    assert again.replayed
    changed = {**terms, "metadata": {"order": "18"}}
    found = await refusal_of(priced.grant("acme", 10, request_id="issue", **changed))
    assert (found.reason, found.metadata["field"]) == ("CONFLICT", "metadata")


async def test_a_void_refunds_or_forfeits(priced: Served):
    """Rule B4: deferred back to cash, or to breakage."""
    await priced.asset("USD", 9, pricing_pb2.ASSET_KIND_MONEY)
    await priced.account("acme")
    paid = {"price_paid": 50, "price_asset": "USD"}
    refunded = (await priced.grant("acme", 10, **paid)).grant
    forfeited = (await priced.grant("acme", 10, **paid)).grant
    voided = await priced.grants.Void(voiding(refunded.grant_id))
    assert (voided.refunded, voided.breakage) == (50, 0)
    request = voiding(forfeited.grant_id, "other")
    request.forfeit = True
    voided = await priced.grants.Void(request)
    assert (voided.refunded, voided.breakage) == (0, 50)


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"gated": True}, "GATE_INVALID", "gated"),
        ({"tags": ["a", "a"]}, "NAME_REPEATED", "tags"),
        ({"attributes": {"": "x"}}, "FIELD_REQUIRED", "attributes['']"),
        (
            {"rollover": types_pb2.Rollover(numerator=1, denominator=1)},
            "ROLLOVER_INVALID",
            "rollover",
        ),
        (
            {"rollover": types_pb2.Rollover(numerator=1)},
            "NUMBER_OUT_OF_RANGE",
            "rollover.denominator",
        ),
    ],
)
async def test_terms_that_make_no_sense(priced: Served, changes, reason, field):
    await priced.account("acme")
    found = await refusal_of(priced.grant("acme", 1, **changes))
    assert (found.reason, found.metadata["field"]) == (reason, field)
    assert not (await listed(priced, "acme")).grants


async def test_pending_is_what_a_hold_still_reserves(priced: Served):
    """Of 100 x 3 held 40 x 3 are captured, and the hold stays open: 180 pend (rule H1)."""
    await priced.account("acme")
    await priced.grant("acme", 1_000)
    held = await priced.authorize("acme", quantities={"input_tokens": 100})
    await priced.decisions.Capture(
        decision_pb2.CaptureRequest(
            tenant=TENANT,
            request_id="part",
            hold_id=held.hold_id,
            quantities={"input_tokens": 40},
            keep_open=True,
        )
    )
    balance = await priced.balance("acme")
    assert (balance.granted, balance.pending, balance.available) == ("880", "180", "700")
