"""`drawdown lease`: what is out with holders, from a shell."""

from __future__ import annotations

import json
from typing import Any

import grpc
import pytest

from cli.processes import Server, drawdown
from ledger.v1 import (
    account_pb2,
    account_pb2_grpc,
    grant_pb2,
    grant_pb2_grpc,
    lease_pb2,
    lease_pb2_grpc,
    types_pb2,
)
from rating.v1 import card_pb2, pricing_pb2, pricing_pb2_grpc

TENANT = "sandbox"


@pytest.fixture(scope="module")
def leased(server: Server) -> tuple[Server, str]:
    """An account with 10 credits, of which a holder has 3."""
    with grpc.insecure_channel(server.address) as channel:
        pricing = pricing_pb2_grpc.PricingServiceStub(channel)
        asset = pricing_pb2.Asset(asset="units", scale=2, kind=pricing_pb2.ASSET_KIND_CREDIT)
        pricing.CreateAsset(
            pricing_pb2.CreateAssetRequest(tenant=TENANT, request_id="units", asset=asset)
        )
        card = card_pb2.RateCard(
            name="edge",
            asset="units",
            asset_scale=2,
            meters=[card_pb2.Meter(quantity="calls")],
            products=[card_pb2.Product(product="chat")],
            rows=[card_pb2.PriceRow(product="chat", quantity="calls", price="0.01")],
        )
        pricing.PublishRateCard(
            pricing_pb2.PublishRateCardRequest(tenant=TENANT, request_id="edge", card=card)
        )
        account_pb2_grpc.AccountServiceStub(channel).Create(
            account_pb2.AccountServiceCreateRequest(
                tenant=TENANT,
                request_id="edge-account",
                account="edged",
                policy=account_pb2.AccountPolicy(rate_card="edge"),
            )
        )
        grant_pb2_grpc.GrantServiceStub(channel).Issue(
            grant_pb2.GrantServiceIssueRequest(
                tenant=TENANT,
                request_id="edge-grant",
                account="edged",
                asset="units",
                amount=1_000,
                kind=types_pb2.GRANT_KIND_PROMOTIONAL,
            )
        )
        made = lease_pb2_grpc.LeaseServiceStub(channel).Acquire(
            lease_pb2.LeaseServiceAcquireRequest(
                tenant=TENANT,
                request_id="lease",
                account="edged",
                product="chat",
                holder="edge-1",
                wanted=300,
            )
        )
    return server, made.lease_id


def told(server: Server, *arguments: str) -> str:
    done = drawdown("lease", *arguments, "--tenant", TENANT, "--address", server.address)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_listed_recalled_shown_and_given_back(leased: tuple[Server, str]) -> None:
    server, lease_id = leased
    listed = told(server, "list", "edged")
    assert "edge-1" in listed
    assert "3 units in escrow, 0 of it overdue; late reports may overdraw 0" in listed
    assert "told" in told(server, "recall", lease_id, "100")
    shown: dict[str, Any] = json.loads(told(server, "show", lease_id, "--json"))
    assert (shown["lease"]["left"], shown["lease"]["down_to"]) == ("300", "100")
    assert told(server, "give-back", lease_id) == "given back\n"
    assert told(server, "list", "edged") == "nothing is out with holders\n"
