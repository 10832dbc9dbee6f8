"""Price sheets over the wire: the version in force at an instant, fetched once and kept by hash."""

from __future__ import annotations

import hashlib
import json

import grpc
import pytest

from ledger.core.limits import HOUR_US
from ledger.v1 import account_pb2
from rating.card import canonical_bytes, content_hash
from rating.card_file import read_card
from rating.v1 import card_pb2
from rating.v1 import pricing_pb2 as pb
from tests.api.served import TENANT, Served, card, refusal_of


async def sheet_of(caller: Served, **fields) -> pb.GetPriceSheetResponse:
    return await caller.pricing.GetPriceSheet(
        pb.GetPriceSheetRequest(**{"tenant": TENANT, **fields})
    )


async def publish(
    caller: Served, price: str, expected: int, effective: int = 0
) -> pb.RateCardVersion:
    rows = [card_pb2.PriceRow(product="chat", quantity="input_tokens", price=price)]
    reply = await caller.pricing.PublishRateCard(
        pb.PublishRateCardRequest(
            tenant=TENANT,
            request_id=caller.new_id(),
            card=card(rows=rows),
            expected_version=expected,
            effective_from_us=effective,
        )
    )
    return reply.version


def price(reply: pb.GetPriceSheetResponse) -> str:
    return json.loads(reply.sheet)["rows"][0]["price"]


async def test_the_sheet_is_the_card_and_bears_its_hash(priced: Served):
    """It can be read as a card file, whose canonical bytes have the version's content hash."""
    shown = await priced.pricing.GetRateCard(pb.GetRateCardRequest(tenant=TENANT, name="default"))
    found = await sheet_of(priced, name="default")
    assert found.version == shown.version
    sheet = json.loads(found.sheet)
    assert (sheet["version"], sheet["content_hash"]) == (2, shown.version.content_hash.hex())
    assert content_hash(canonical_bytes(read_card(found.sheet))) == shown.version.content_hash
    assert (found.not_modified, found.valid_until_us) == (False, 0)
    again = await sheet_of(priced, name="default")
    assert hashlib.sha256(again.sheet).digest() == hashlib.sha256(found.sheet).digest()


async def test_whoever_has_the_content_gets_no_sheet(priced: Served):
    """An agent asks again with the hash that it holds, and pays for bytes only after a change."""
    first = await sheet_of(priced, name="default")
    known = first.version.content_hash
    kept = await sheet_of(priced, name="default", if_none_match=known)
    assert (kept.not_modified, kept.sheet, kept.version) == (True, b"", first.version)
    await publish(priced, "0.000004", 2)
    changed = await sheet_of(priced, name="default", version=3, if_none_match=known)
    assert (changed.not_modified, price(changed)) == (False, "0.000004")


async def test_the_sheet_of_an_instant_is_the_one_in_force_then(priced: Served):
    """Rule of effective times: a version published ahead is not in force, and says from when."""
    now = priced.ledger.clock.now_us()
    later = await publish(priced, "0.000007", 2, now + HOUR_US)
    present = await sheet_of(priced, name="default")
    assert (present.version.version, price(present)) == (2, "0.000003")
    assert present.valid_until_us == later.effective_from_us == now + HOUR_US
    for at, version, until in (
        (1, 2, now + HOUR_US),
        (now + HOUR_US - 1, 2, now + HOUR_US),
        (now + HOUR_US, 3, 0),
    ):
        found = await sheet_of(priced, name="default", at_us=at)
        assert (found.version.version, found.at_us, found.valid_until_us) == (version, at, until)
    named = await sheet_of(priced, name="default", version=3)
    assert price(named) == "0.000007"


async def test_the_sheet_of_an_account_is_that_of_its_card(priced: Served):
    """Its own policy's, else its nearest ancestor's, else "default"; by alias too."""
    await priced.account("acme")
    await priced.account("acme/search", "acme")
    assert (await sheet_of(priced, account="acme/search")).version.name == "default"
    await priced.pricing.PublishRateCard(
        pb.PublishRateCardRequest(tenant=TENANT, request_id="own", card=card(name="own"))
    )
    await priced.accounts.UpdatePolicy(
        account_pb2.UpdatePolicyRequest(
            tenant=TENANT,
            request_id="policy",
            account="acme",
            policy=account_pb2.AccountPolicy(rate_card="own"),
            expected_version=1,
        )
    )
    assert (await sheet_of(priced, account="acme/search")).version.name == "own"


@pytest.mark.parametrize(
    ("fields", "code", "reason"),
    [
        ({}, grpc.StatusCode.INVALID_ARGUMENT, "FIELD_REQUIRED"),
        (
            {"name": "default", "account": "a"},
            grpc.StatusCode.INVALID_ARGUMENT,
            "FIELD_NOT_ALLOWED",
        ),
        ({"name": "x" * 129}, grpc.StatusCode.INVALID_ARGUMENT, "TEXT_TOO_LONG"),
        (
            {"name": "default", "version": -1},
            grpc.StatusCode.INVALID_ARGUMENT,
            "NUMBER_OUT_OF_RANGE",
        ),
        ({"name": "default", "at_us": -1}, grpc.StatusCode.INVALID_ARGUMENT, "NUMBER_OUT_OF_RANGE"),
        (
            {"name": "default", "if_none_match": b"abc"},
            grpc.StatusCode.INVALID_ARGUMENT,
            "NUMBER_OUT_OF_RANGE",
        ),
        ({"name": "other"}, grpc.StatusCode.NOT_FOUND, "RATE_CARD_UNKNOWN"),
        ({"name": "default", "version": 9}, grpc.StatusCode.NOT_FOUND, "RATE_CARD_UNKNOWN"),
        ({"account": "nobody"}, grpc.StatusCode.NOT_FOUND, "ACCOUNT_UNKNOWN"),
    ],
    ids=str,
)
async def test_bad_requests_for_sheets(priced: Served, fields, code, reason):
    found = await refusal_of(sheet_of(priced, **fields))
    assert (found.code, found.reason) == (code, reason)
