"""`drawdown mandate`: what an agent may spend, from a shell."""

from __future__ import annotations

import json

import grpc

from cli.processes import Server, drawdown
from ledger.v1 import account_pb2, account_pb2_grpc, payment_pb2, payment_pb2_grpc
from rating.v1 import pricing_pb2, pricing_pb2_grpc

TENANT = "sandbox"


def test_a_mandate_is_granted_delegated_shown_and_revoked(server: Server) -> None:
    where = ("--tenant", TENANT, "--address", server.address)
    with grpc.insecure_channel(server.address) as channel:
        asset = pricing_pb2.Asset(asset="spent", scale=2, kind=pricing_pb2.ASSET_KIND_CREDIT)
        pricing_pb2_grpc.PricingServiceStub(channel).CreateAsset(
            pricing_pb2.CreateAssetRequest(tenant=TENANT, request_id="spent", asset=asset)
        )
        account_pb2_grpc.AccountServiceStub(channel).Create(
            account_pb2.AccountServiceCreateRequest(
                tenant=TENANT, request_id="payer", account="payer"
            )
        )
    terms = ("--asset", "spent", "--product", "chat", "--attribute", "region=eu")
    made = drawdown("mandate", "grant", "payer", "bot", "50000", *terms, *where, "--json")
    assert made.returncode == 0, made.stderr
    told = json.loads(made.stdout)
    assert (told["account"], told["terms"]["attributes"]) == ("payer/bot", {"region": "eu"})
    less = drawdown("mandate", "grant", "payer/bot", "sub", "20000", *terms, *where)
    assert less.returncode == 0, less.stderr
    more = drawdown("mandate", "grant", "payer/bot", "big", "60000", *terms, *where)
    assert more.returncode != 0
    assert "allows less" in more.stderr
    listed = drawdown("mandate", "list", "payer/bot", *where)
    assert "payer/bot/sub" in listed.stdout and "200" in listed.stdout, listed.stdout
    bought = drawdown("mandate", "buy", "payer/bot", "100", "--asset", "spent", *where)
    assert bought.returncode != 0
    assert "purchase limit" in bought.stderr
    stopped = drawdown("mandate", "revoke", "payer/bot", "--reason", "enough", *where)
    assert stopped.stdout.strip() == "the mandate of payer/bot is revoked", stopped.stderr
    shown = drawdown("mandate", "show", "payer/bot/sub", *where)
    assert "revoked" in shown.stdout, shown.stdout
    unsigned = drawdown("mandate", "token", "payer/bot", *where)
    assert unsigned.returncode != 0
    assert "--mandate-key" in unsigned.stderr


def test_an_agent_buys(server: Server) -> None:
    where = ("--tenant", TENANT, "--address", server.address)
    with grpc.insecure_channel(server.address) as channel:
        pricing = pricing_pb2_grpc.PricingServiceStub(channel)
        for code, kind in (
            ("bought", pricing_pb2.ASSET_KIND_CREDIT),
            ("EUR", pricing_pb2.ASSET_KIND_MONEY),
        ):
            asset = pricing_pb2.Asset(asset=code, scale=2, kind=kind)
            pricing.CreateAsset(
                pricing_pb2.CreateAssetRequest(tenant=TENANT, request_id=code, asset=asset)
            )
        account_pb2_grpc.AccountServiceStub(channel).Create(
            account_pb2.AccountServiceCreateRequest(
                tenant=TENANT, request_id="agents-buyer", account="agents-buyer"
            )
        )
    terms = ("--asset", "bought", "--buys", "2000", "--price", "1/10", "--money", "EUR")
    made = drawdown("mandate", "grant", "agents-buyer", "bot", "50000", *terms, *where)
    assert "20.00 EUR" in made.stdout or "20 EUR" in made.stdout, made.stdout + made.stderr
    odd = drawdown(
        "mandate", "grant", "agents-buyer", "b", "1", "--asset", "bought", "--price", "1/1", *where
    )
    assert "--buys" in odd.stderr
    asked = drawdown(
        "mandate", "buy", "agents-buyer/bot", "5000", "--asset", "bought", *where, "--json"
    )
    assert asked.returncode == 0, asked.stderr
    told = json.loads(asked.stdout)
    assert (told["price_paid"], told["price_asset"]) == ("500", "EUR")
    with grpc.insecure_channel(server.address) as channel:
        payment_pb2_grpc.PaymentServiceStub(channel).Confirm(
            payment_pb2.PaymentServiceConfirmRequest(
                tenant=TENANT, request_id="paid", grant_id=told["grant_id"]
            )
        )
    shown = drawdown("mandate", "show", "agents-buyer/bot", *where, "--json")
    assert json.loads(shown.stdout)["purchased"] == "500"
    again = drawdown("mandate", "buy", "agents-buyer/bot", "15001", "--asset", "bought", *where)
    assert again.returncode == 0, again.stderr
    over = drawdown("mandate", "buy", "agents-buyer/bot", "10", "--asset", "bought", *where)
    assert "purchase limit" in over.stderr
