"""Payments, refunds, chargebacks and bills over gRPC: F1 to F4, B3, B4, I1, I5."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from ledger.v1 import account_pb2, grant_pb2, journal_pb2, types_pb2
from ledger.v1 import payment_pb2 as pb
from rating.v1 import pricing_pb2
from tests.api.served import TENANT, Served, event, refusal_of

NAMED = {
    "Confirm": pb.PaymentServiceConfirmRequest,
    "Fail": pb.PaymentServiceFailRequest,
    "Refund": pb.RefundRequest,
    "Chargeback": pb.ChargebackRequest,
    "Bill": pb.BillRequest,
    "RecordPayment": pb.RecordPaymentRequest,
    "IssueCreditNote": pb.IssueCreditNoteRequest,
    "WriteOff": pb.WriteOffRequest,
    "GetOwed": pb.GetOwedRequest,
}


async def ask(caller: Served, name: str, **fields: Any) -> Any:
    if name != "GetOwed":
        fields.setdefault("request_id", caller.new_id())
    request = NAMED[name](**{"tenant": TENANT, **fields})
    return await getattr(caller.payments, name)(request)


async def bought(caller: Served, amount: int = 1_000, price: int = 97, **terms: Any) -> str:
    """A paid grant of the account acme."""
    paid = {"price_paid": price, "price_asset": "USD", **terms}
    return (await caller.grant("acme", amount, **paid)).grant.grant_id


async def owed(caller: Served, position: str = "") -> tuple[str, str, str]:
    [found] = (await ask(caller, "GetOwed", account="acme", min_position=position)).owed
    assert (found.asset, found.scale) == ("USD", 9)
    return found.unbilled, found.receivable, found.lifetime_value


@pytest.fixture
async def shop(priced: Served) -> Served:
    await priced.asset("USD", 9, pricing_pb2.ASSET_KIND_MONEY)
    await priced.account("acme", freeze_on_chargeback=True)
    return priced


async def outcome(caller: Served, request_id: str) -> journal_pb2.GetOutcomeResponse:
    request = journal_pb2.GetOutcomeRequest(tenant=TENANT, account="acme", request_id=request_id)
    return await caller.journal.GetOutcome(request)


async def test_a_gated_grant_is_paid_in_parts(shop: Served):
    grant = await bought(shop, gated=True, source="stripe")
    part = {"grant_id": grant, "amount": 50, "request_id": "part", "asset": "USD"}
    first = await ask(shop, "Confirm", **part)
    assert (first.released, first.paid, first.asset, first.scale) == (515, 50, "USD", 9)
    again = await ask(shop, "Confirm", **part)
    assert again.replayed
    assert (again.released, again.position) == (515, first.position)
    found = await refusal_of(ask(shop, "Confirm", **{**part, "amount": 49}))
    assert (found.reason, found.metadata["field"]) == ("CONFLICT", "amount")
    for other in ("credit", "EUR"):  # the grant has its price in dollars
        await shop.asset(other, 6, pricing_pb2.ASSET_KIND_MONEY) if other == "EUR" else None
        found = await refusal_of(ask(shop, "Confirm", **{**part, "asset": other}))
        assert (found.reason, found.metadata["field"]) == ("CONFLICT", "asset")
    assert (await ask(shop, "Confirm", **{**part, "asset": ""})).replayed
    recorded = await outcome(shop, "part")
    assert recorded.kind == journal_pb2.MUTATION_KIND_CONFIRM_PAYMENT
    assert recorded.resource == grant
    failed = await ask(shop, "Fail", grant_id=grant, request_id="fail")
    assert (failed.cancelled, failed.ended) == (485, False)
    assert (await outcome(shop, "fail")).kind == journal_pb2.MUTATION_KIND_FAIL_PAYMENT
    late = await refusal_of(ask(shop, "Confirm", grant_id=grant))
    assert (late.code, late.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "PAYMENT_LATE")
    assert await owed(shop, failed.position) == ("0", "0", "50")


async def test_a_confirmation_repays_what_is_owed(shop: Served):
    await shop.ingest(event("a", "acme"))
    grant = await bought(shop, gated=True)
    confirmed = await ask(shop, "Confirm", grant_id=grant)
    assert (confirmed.released, confirmed.repaid_advance) == (1_000, 600)


async def test_what_is_not_used_is_refunded(shop: Served):
    grant = await bought(shop)
    asked = {"grant_id": grant, "units": 100, "reason": "moved away", "actor": "ops"}
    refund = await ask(shop, "Refund", request_id="refund", **asked)
    assert (refund.units, refund.refunded, refund.breakage, refund.asset) == (100, 9, 0, "USD")
    assert (await ask(shop, "Refund", request_id="refund", **asked)).replayed
    found = await refusal_of(ask(shop, "Refund", request_id="refund", **{**asked, "units": 99}))
    assert (found.reason, found.metadata["field"]) == ("CONFLICT", "units")
    other = {**asked, "reason": "another"}
    found = await refusal_of(ask(shop, "Refund", request_id="refund", **other))
    assert (found.reason, found.metadata["field"]) == ("CONFLICT", "reason")
    recorded = await outcome(shop, "refund")
    assert (recorded.kind, recorded.resource) == (journal_pb2.MUTATION_KIND_REFUND, grant)
    rest = await ask(shop, "Refund", grant_id=grant)
    assert (rest.units, rest.refunded) == (900, 88)
    assert await owed(shop, rest.position) == ("0", "0", "0")


async def test_a_payment_is_charged_back(shop: Served):
    grant = await bought(shop)
    await shop.ingest(event("a", "acme"))
    taken = await ask(shop, "Chargeback", grant_id=grant, request_id="cb", reason="fraud")
    assert (taken.payment, taken.owed, taken.asset) == (97, 58, "USD")
    assert [(each.grant_id, each.units) for each in taken.voided] == [(grant, 400)]
    assert (await ask(shop, "Chargeback", grant_id=grant, request_id="cb", reason="fraud")).replayed
    twice = await refusal_of(ask(shop, "Chargeback", grant_id=grant))
    assert twice.reason == "CHARGED_BACK"
    assert (await outcome(shop, "cb")).kind == journal_pb2.MUTATION_KIND_CHARGEBACK
    found = await shop.accounts.Get(
        account_pb2.AccountServiceGetRequest(
            tenant=TENANT, account="acme", min_position=taken.position
        )
    )
    assert found.account.state == account_pb2.ACCOUNT_STATE_FROZEN
    assert found.account.freeze.cause == account_pb2.FREEZE_CAUSE_CHARGEBACK
    shown = await shop.grants.Get(grant_pb2.GrantServiceGetRequest(tenant=TENANT, grant_id=grant))
    assert shown.grant.state == types_pb2.GRANT_STATE_VOIDED
    assert await owed(shop) == ("0", "58", "0")
    paid = await ask(shop, "RecordPayment", account="acme", asset="USD", amount=58)
    assert await owed(shop, paid.position) == ("0", "0", "58")


async def test_a_commitment_is_billed_and_settled(shop: Served):
    grant = await bought(shop, kind=types_pb2.GRANT_KIND_POSTPAID)
    await shop.ingest(event("a", "acme"))
    assert (await owed(shop))[0] == "58"
    asked = {"account": "acme", "request_id": "bill", "reason": "May", "actor": "biller"}
    bill = await ask(shop, "Bill", **asked)
    found = [(each.kind, each.asset, each.scale, each.amount, each.grant_id) for each in bill.lines]
    assert found == [
        (pb.BILL_LINE_KIND_COMMITMENT, "credit", 6, 600, grant),
        (pb.BILL_LINE_KIND_MONEY, "USD", 9, 58, ""),
    ]
    again = await ask(shop, "Bill", **asked)
    assert (again.replayed, again.bill_id, list(again.lines)) == (
        True,
        bill.bill_id,
        list(bill.lines),
    )
    recorded = await outcome(shop, "bill")
    assert (recorded.kind, recorded.resource) == (journal_pb2.MUTATION_KIND_BILL, bill.bill_id)
    nothing = await refusal_of(ask(shop, "Bill", account="acme"))
    assert (nothing.code, nothing.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "NOTHING_OWED")
    money = {"account": "acme", "asset": "USD"}
    paid = await ask(shop, "RecordPayment", amount=50, source="bank", request_id="pay", **money)
    assert not paid.replayed
    found = await refusal_of(
        ask(shop, "RecordPayment", amount=50, source="card", request_id="pay", **money)
    )
    assert (found.reason, found.metadata["field"]) == ("CONFLICT", "source")
    await ask(shop, "IssueCreditNote", amount=5, request_id="note", reason="sorry", **money)
    above = await refusal_of(ask(shop, "WriteOff", amount=4, **money))
    assert above.reason == "AMOUNT_EXCEEDS_OWED"
    assert above.metadata["value"] == "3"
    off = await ask(shop, "WriteOff", amount=3, request_id="off", **money)
    assert await owed(shop, off.position) == ("0", "0", "50")
    for request_id, kind in (
        ("pay", journal_pb2.MUTATION_KIND_RECORD_PAYMENT),
        ("note", journal_pb2.MUTATION_KIND_ISSUE_CREDIT_NOTE),
        ("off", journal_pb2.MUTATION_KIND_WRITE_OFF),
    ):
        assert (await outcome(shop, request_id)).kind == kind


@pytest.mark.parametrize(
    ("name", "fields", "reason", "field"),
    [
        ("Confirm", {"amount": -1}, "NUMBER_OUT_OF_RANGE", "amount"),
        ("Confirm", {"grant_id": "grant_x"}, "GRANT_UNKNOWN", "grant_id"),
        ("Confirm", {"asset": "EUR"}, "ASSET_UNKNOWN", "asset"),
        ("Confirm", {"asset": "credit"}, "PAYMENT_NOT_AWAITED", "grant_id"),
        ("Fail", {"request_id": ""}, "FIELD_REQUIRED", "request_id"),
        ("Refund", {"units": -1}, "NUMBER_OUT_OF_RANGE", "units"),
        ("Refund", {"units": 1_001}, "REFUND_TOO_LARGE", "units"),
        ("Refund", {"reason": "x" * 257}, "TEXT_TOO_LONG", "reason"),
        ("Chargeback", {"grant_id": ""}, "FIELD_REQUIRED", "grant_id"),
        ("Bill", {"account": "nobody"}, "ACCOUNT_UNKNOWN", "account"),
        ("Bill", {"amount": 5}, "FIELD_REQUIRED", "asset"),
        ("RecordPayment", {"asset": "credit", "amount": 1}, "ASSET_KIND_INVALID", "asset"),
        ("RecordPayment", {"asset": "USD", "amount": 0}, "NUMBER_OUT_OF_RANGE", "amount"),
        ("WriteOff", {"asset": "USD", "amount": 1}, "AMOUNT_EXCEEDS_OWED", "amount"),
        ("IssueCreditNote", {"amount": 1}, "FIELD_REQUIRED", "asset"),
    ],
)
async def test_what_makes_no_sense_changes_nothing(shop: Served, name, fields, reason, field):
    grant = await bought(shop)
    about = {"grant_id": grant} if "grant_id" in NAMED[name].DESCRIPTOR.fields_by_name else {}
    about = about or {"account": "acme"}
    before = await owed(shop)
    found = await refusal_of(ask(shop, name, **{**about, **fields}))
    assert (found.reason, found.metadata["field"]) == (reason, field)
    assert await owed(shop) == before
