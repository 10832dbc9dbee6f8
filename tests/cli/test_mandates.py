"""`drawdown mandate`: what an agent may spend, from a shell."""

from __future__ import annotations

import json

import grpc

from cli.processes import Server, drawdown
from ledger.v1 import account_pb2, account_pb2_grpc
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
    stopped = drawdown("mandate", "revoke", "payer/bot", "--reason", "enough", *where)
    assert stopped.stdout.strip() == "the mandate of payer/bot is revoked", stopped.stderr
    shown = drawdown("mandate", "show", "payer/bot/sub", *where)
    assert "revoked" in shown.stdout, shown.stdout
    unsigned = drawdown("mandate", "token", "payer/bot", *where)
    assert unsigned.returncode != 0
    assert "--mandate-key" in unsigned.stderr
