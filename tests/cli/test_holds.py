"""`drawdown hold`: units for an operation with all its calls, from a shell."""

from __future__ import annotations

import json
import re

import grpc
import pytest

from cli.processes import Server, drawdown
from ledger.v1 import (
    account_pb2,
    account_pb2_grpc,
    decision_pb2,
    decision_pb2_grpc,
    grant_pb2,
    grant_pb2_grpc,
    types_pb2,
)
from rating.v1 import card_pb2, pricing_pb2, pricing_pb2_grpc

TENANT = "sandbox"


@pytest.fixture(scope="module")
def funded(server: Server) -> Server:
    """An account with 10 credits; a call of chat costs 0.01 of them."""
    with grpc.insecure_channel(server.address) as channel:
        pricing = pricing_pb2_grpc.PricingServiceStub(channel)
        asset = pricing_pb2.Asset(asset="held", scale=2, kind=pricing_pb2.ASSET_KIND_CREDIT)
        pricing.CreateAsset(
            pricing_pb2.CreateAssetRequest(tenant=TENANT, request_id="held", asset=asset)
        )
        card = card_pb2.RateCard(
            name="held",
            asset="held",
            asset_scale=2,
            meters=[card_pb2.Meter(quantity="calls")],
            products=[card_pb2.Product(product="chat")],
            rows=[card_pb2.PriceRow(product="chat", quantity="calls", price="0.01")],
        )
        pricing.PublishRateCard(
            pricing_pb2.PublishRateCardRequest(tenant=TENANT, request_id="held-card", card=card)
        )
        account_pb2_grpc.AccountServiceStub(channel).Create(
            account_pb2.AccountServiceCreateRequest(
                tenant=TENANT,
                request_id="held-account",
                account="runner",
                policy=account_pb2.AccountPolicy(rate_card="held"),
            )
        )
        grant_pb2_grpc.GrantServiceStub(channel).Issue(
            grant_pb2.GrantServiceIssueRequest(
                tenant=TENANT,
                request_id="held-grant",
                account="runner",
                asset="held",
                amount=1_000,
                kind=types_pb2.GRANT_KIND_PROMOTIONAL,
            )
        )
    return server


def test_units_are_held_drawn_shown_and_given_back(funded: Server) -> None:
    options = ("--address", funded.address, "--tenant", TENANT)
    reserved = drawdown("hold", "reserve", "runner", "run-17", "500", *options)
    found = re.search(r"5 held held until .*: (hold_\S+)", reserved.stdout)
    assert reserved.returncode == 0 and found, reserved.stdout
    hold_id = found[1]
    with grpc.insecure_channel(funded.address) as channel:
        request = decision_pb2.DebitRequest(
            tenant=TENANT, request_id="held-debit", account="runner", product="chat",
            quantities={"calls": 120}, hold_id=hold_id,
        )  # fmt: skip
        assert decision_pb2_grpc.DecisionServiceStub(channel).Debit(request).charge == 120
    shown = drawdown("hold", "show", hold_id, *options)
    assert shown.stdout.startswith("open, for an operation of runner\n3.8 of 5 held left")
    assert shown.stdout.endswith("1.2 drawn for chat\n")
    as_json = drawdown("hold", "show", hold_id, "--json", *options)
    assert json.loads(as_json.stdout)["hold"]["drawn"] == {"chat": "120"}
    held = drawdown("hold", "authorize", "runner", "chat", "calls=100", "--of", hold_id, *options)
    part = re.search(r"1 held held until .*: (hold_\S+)", held.stdout)
    assert held.returncode == 0 and part, held.stdout
    shown = drawdown("hold", "show", part[1], *options)
    assert f"part of {hold_id}, of its operation" in shown.stdout
    taken = drawdown("hold", "capture", part[1], "calls=30", "--keep-open", *options)
    assert taken.stdout == "0.3 held charged, 0.7 left\n"
    taken = drawdown("hold", "capture", part[1], "calls=10", *options)
    assert taken.stdout == "0.1 held charged, 0.6 went back\n"
    whole = ("hold", "capture", hold_id, "calls=20", "--product", "chat", "--keep-open")
    assert drawdown(*whole, *options).stdout == "0.2 held charged, 3.2 left\n"
    why = drawdown("explain-decision", "runner", "chat", "calls=100", "--of", hold_id, *options)
    assert f"  hold {hold_id} has " in why.stdout and why.stdout.endswith("ALLOW\n"), why.stderr
    more = drawdown("hold", "authorize", "runner", "chat", "calls=900", "--of", hold_id, *options)
    assert more.stdout == "denied: INSUFFICIENT_CREDITS, 8.2 available\n"
    denied = drawdown("hold", "reserve", "runner", "run-18", "600", *options)
    assert denied.stdout == "denied: INSUFFICIENT_CREDITS, 5 available\n"
    assert "`drawdown reasons INSUFFICIENT_CREDITS`" in denied.stderr
    released = drawdown("hold", "release", hold_id, *options)
    assert released.stdout == "3.2 held went back\n"
