"""`drawdown seat`: a team's seats, from a shell."""

from __future__ import annotations

import json

import grpc
import pytest

from cli.processes import Server, drawdown
from ledger.v1 import account_pb2, account_pb2_grpc
from rating.v1 import pricing_pb2, pricing_pb2_grpc

TENANT = "sandbox"


@pytest.fixture(scope="module")
def seated(server: Server) -> Server:
    """A sandbox with credits, and an account."""
    with grpc.insecure_channel(server.address) as channel:
        asset = pricing_pb2.Asset(asset="seat-credit", scale=2, kind=pricing_pb2.ASSET_KIND_CREDIT)
        pricing_pb2_grpc.PricingServiceStub(channel).CreateAsset(
            pricing_pb2.CreateAssetRequest(tenant=TENANT, request_id="seat asset", asset=asset)
        )
        account_pb2_grpc.AccountServiceStub(channel).Create(
            account_pb2.AccountServiceCreateRequest(
                tenant=TENANT, request_id="seated", account="seated"
            )
        )
    return server


def test_seats_from_the_start_to_the_end(seated: Server) -> None:
    where = ("--tenant", TENANT, "--address", seated.address)

    def run(*arguments: str) -> str:
        done = drawdown("seat", *arguments, *where)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run("plans", "seated") == "no plan of seats\n"
    terms = ("--asset", "seat-credit", "--attribute", "agent")
    started = run("start", "seated", "desks", "100", "--count", "20", *terms)
    assert started.startswith("granted 20 seat-credit\ndesks: 20 seats (20 unassigned, ")
    assert "granted 5 " in run("add", "seated", "desks", "--count", "5")
    assert "(25 unassigned, 3 leaving)" in run("remove", "seated", "desks", "--count", "3")
    own = run("start", "seated", "agents", "500", "ann", "bob", "--individual", *terms)
    assert own.startswith("granted 10 ")
    run("reassign", "seated", "agents", "--from", "ann", "--to", "cid")
    run("suspend", "seated", "agents", "cid")
    listed = run("list", "seated", "agents")
    assert "cid" in listed and "suspended" in listed and "5" in listed
    run("resume", "seated", "agents", "cid")
    found = json.loads(run("list", "seated", "agents", "cid", "--json"))
    assert [(each["name"], each["suspended"]) for each in found["seats"]] == [("cid", False)]
    gone = run("remove", "seated", "agents", "bob", "--mode", "forfeit-unused")
    assert gone.startswith("taken back 5 seat-credit\nagents: 1 seats")
    run("terms", "seated", "agents", "--amount", "700", "--unknown", "reject", "--alert", "10")
    document = json.loads(run("plans", "seated", "--json"))["plans"][0]
    assert document["next_terms"]["allowance"]["amount"] == "700"
    assert document["next_terms"]["unknown"] == "UNKNOWN_SEAT_REJECT"
    assert "taken back 5 " in run("end", "seated", "agents", "--now")
    assert "ends" in run("end", "seated", "desks")
    assert run("plans", "seated").count("\n") == 2


def test_a_refusal_says_why(seated: Server) -> None:
    done = drawdown(
        "seat", "add", "seated", "nothing", "--count", "1", "--tenant", TENANT, "--address",
        seated.address,
    )  # fmt: skip
    assert done.returncode != 0
    assert "no such plan of seats" in done.stderr
