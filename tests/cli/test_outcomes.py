"""`drawdown outcome`: work that is sold by its result, from a shell."""

from __future__ import annotations

import json
from typing import Any

import grpc
import pytest

from cli.processes import Server, drawdown
from ledger.v1 import account_pb2, account_pb2_grpc, grant_pb2, grant_pb2_grpc, types_pb2
from rating.v1 import card_pb2, pricing_pb2, pricing_pb2_grpc

TENANT = "sandbox"


@pytest.fixture(scope="module")
def sold(server: Server) -> Server:
    """A sandbox that sells cases at 2 credits by result, and an account with 10 credits."""
    with grpc.insecure_channel(server.address) as channel:
        pricing = pricing_pb2_grpc.PricingServiceStub(channel)
        asset = pricing_pb2.Asset(asset="credit", scale=2, kind=pricing_pb2.ASSET_KIND_CREDIT)
        pricing.CreateAsset(
            pricing_pb2.CreateAssetRequest(tenant=TENANT, request_id="asset", asset=asset)
        )
        card = card_pb2.RateCard(
            name="default",
            asset="credit",
            asset_scale=2,
            meters=[card_pb2.Meter(quantity="cases")],
            products=[card_pb2.Product(product="case", outcome=card_pb2.OutcomeTerms())],
            rows=[card_pb2.PriceRow(product="case", quantity="cases", price="2")],
        )
        pricing.PublishRateCard(
            pricing_pb2.PublishRateCardRequest(tenant=TENANT, request_id="card", card=card)
        )
        account_pb2_grpc.AccountServiceStub(channel).Create(
            account_pb2.AccountServiceCreateRequest(
                tenant=TENANT, request_id="account", account="buyer"
            )
        )
        grant_pb2_grpc.GrantServiceStub(channel).Issue(
            grant_pb2.GrantServiceIssueRequest(
                tenant=TENANT,
                request_id="grant",
                account="buyer",
                asset="credit",
                amount=1_000,
                kind=types_pb2.GRANT_KIND_PROMOTIONAL,
            )
        )
    return server


def run(server: Server, *arguments: str) -> Any:
    """What a command answers, for programs."""
    done = drawdown(
        "outcome", *arguments, "--tenant", TENANT, "--address", server.address, "--json"
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_work_is_reported_confirmed_rejected_and_listed(sold: Server) -> None:
    where = ("--tenant", TENANT, "--address", sold.address)
    first = run(sold, "report", "buyer", "case", "cases=1", "--evidence", "ticket=4711")
    second = run(sold, "report", "buyer", "case", "cases=2")
    assert (first["reserved"], second["reserved"]) == ("200", "400")
    listed = run(sold, "list", "buyer")["outcomes"]
    assert [each["outcome_id"] for each in listed] == [first["outcome_id"], second["outcome_id"]]
    shown = drawdown("outcome", "list", "buyer", *where)
    assert shown.returncode == 0 and "case" in shown.stdout
    done = drawdown("outcome", "confirm", first["outcome_id"], *where)
    assert "confirmed: 2" in done.stdout, done.stderr
    gone = drawdown("outcome", "reject", second["outcome_id"], "--reason", "reopened", *where)
    assert "rejected: 4" in gone.stdout, gone.stderr
    late = drawdown("outcome", "confirm", second["outcome_id"], *where)
    assert (late.returncode, "OUTCOME_REJECTED" in late.stderr) == (1, True)
    rejected = run(sold, "list", "buyer", "--status", "rejected", "--subtree")["outcomes"]
    assert [each["outcome_id"] for each in rejected] == [second["outcome_id"]]
    assert "no outcome is pending" in drawdown("outcome", "list", "buyer", *where).stdout


@pytest.mark.parametrize("words", [("cases",), ("cases=many",), ("cases=1", "cases=2")])
def test_what_is_mistyped_is_said(sold: Server, words: tuple[str, ...]) -> None:
    where = ("--tenant", TENANT, "--address", sold.address)
    done = drawdown("outcome", "report", "buyer", "case", *words, *where)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
