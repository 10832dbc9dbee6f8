"""`drawdown share` and `drawdown cap`: what a family shares, from a shell."""

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
    types_pb2,
)
from rating.v1 import pricing_pb2, pricing_pb2_grpc

TENANT = "sandbox"


@pytest.fixture(scope="module")
def shared(server: Server) -> tuple[Server, str]:
    """A family of two, and a grant of its root."""
    with grpc.insecure_channel(server.address) as channel:
        asset = pricing_pb2.Asset(asset="unit", scale=2, kind=pricing_pb2.ASSET_KIND_CREDIT)
        pricing_pb2_grpc.PricingServiceStub(channel).CreateAsset(
            pricing_pb2.CreateAssetRequest(tenant=TENANT, request_id="unit", asset=asset)
        )
        for account, parent in (("house", ""), ("house/lab", "house")):
            account_pb2_grpc.AccountServiceStub(channel).Create(
                account_pb2.AccountServiceCreateRequest(
                    tenant=TENANT, request_id=account, account=account, parent=parent
                )
            )
        issued = grant_pb2_grpc.GrantServiceStub(channel).Issue(
            grant_pb2.GrantServiceIssueRequest(
                tenant=TENANT, request_id="grant of house", account="house", asset="unit",
                amount=10_000, kind=types_pb2.GRANT_KIND_PROMOTIONAL,
            )
        )  # fmt: skip
    return server, issued.grant.grant_id


def run(server: Server, *arguments: str) -> Any:
    done = drawdown(*arguments, "--tenant", TENANT, "--address", server.address, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_grant_is_shared_and_capped(shared: tuple[Server, str]) -> None:
    server, grant_id = shared
    where = ("--tenant", TENANT, "--address", server.address)
    said = drawdown("share", grant_id, *where).stdout
    assert said == f"{grant_id} of house is shared with none; version 1\n"
    listed = run(server, "share", grant_id, "--account", "house/lab")
    assert listed["sharing"]["sharing"]["accounts"] == ["house/lab"]
    said = drawdown("share", grant_id, *where).stdout
    assert said == f"{grant_id} of house is shared with listed: house/lab; version 2\n"
    both = drawdown("share", grant_id, "--all", "--label", "x", *where)
    assert both.returncode == 2 and "give one of" in both.stderr

    cap = ("cap", "set", "house", "house/lab")
    made = run(server, *cap, "5000", "--asset", "unit", "--window", "month")["cap"]
    assert (made["limit"], made["window"]["kind"]) == ("5000", "WINDOW_KIND_CALENDAR")
    reserve = run(server, *cap, "--grant", grant_id, "--reserve", "100")["cap"]
    run(server, *cap, "--grant", grant_id, "--fraction", "1/4", "--id", reserve["cap_id"])
    found = run(server, "cap", "list", "house/lab", "--binding")["caps"]
    assert [(each["left"], each["set_aside"]) for each in found] == [("5000", "0"), ("2500", "0")]
    shown = drawdown("cap", "list", "house", *where)
    assert shown.returncode == 0, shown.stderr
    assert "25" in shown.stdout and "unit" in shown.stdout
    run(server, "cap", "remove", reserve["cap_id"], "--expected-version", "2")
    assert len(run(server, "cap", "list", "house")["caps"]) == 1
    wrong = drawdown(*cap, "--fraction", "half", *where)
    assert wrong.returncode == 2 and "1/4" in wrong.stderr
    refused = drawdown("cap", "set", "house/lab", "house", "5", "--asset", "unit", *where)
    assert refused.returncode != 0 and "NOT_BELOW" in refused.stderr
