"""`drawdown charge`: a fee from its start to its end, from a shell."""

from __future__ import annotations

import json
from pathlib import Path

import grpc
import pytest

from cli.processes import Server, drawdown
from ledger.v1 import account_pb2, account_pb2_grpc
from rating.v1 import pricing_pb2, pricing_pb2_grpc

TENANT = "sandbox"


@pytest.fixture(scope="module")
def charged(server: Server) -> Server:
    """A sandbox with money, and an account."""
    with grpc.insecure_channel(server.address) as channel:
        asset = pricing_pb2.Asset(asset="EUR", scale=2, kind=pricing_pb2.ASSET_KIND_MONEY)
        pricing_pb2_grpc.PricingServiceStub(channel).CreateAsset(
            pricing_pb2.CreateAssetRequest(tenant=TENANT, request_id="euro", asset=asset)
        )
        account_pb2_grpc.AccountServiceStub(channel).Create(
            account_pb2.AccountServiceCreateRequest(
                tenant=TENANT, request_id="charged", account="charged"
            )
        )
    return server


def test_a_fee_from_its_start_to_its_end(charged: Server, tmp_path: Path) -> None:
    where = ("--tenant", TENANT, "--address", charged.address)

    def run(*arguments: str) -> str:
        done = drawdown("charge", *arguments, *where)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run("list", "charged") == "no charge\n"
    assert run("fees", "charged") == "no fee\n"
    started = run(
        "start", "charged", "seats", "4900", "--asset", "EUR", "--quantity", "10", "--unit", "year",
        "--cash-only", "--discount", "1/4", "--discount-periods", "1",
    )  # fmt: skip
    charge = started.split()[0]
    assert started == f"{charge} seats of charged: 10, charged 367.5 EUR\n"
    assert "charge_" in charge and "seats" in run("list", "charged")
    assert f"{charge} seats of charged: 12, charged now 73.5 EUR\n" == run(
        "quantity", charge, "12", "--now"
    )
    assert "12, 9 with the next period, charged now 0 EUR" in run("quantity", charge, "9")
    [listed] = json.loads(run("list", "charged", "--json"))["charges"]
    terms = {**listed["terms"], "unit_amount": 5000}
    file = tmp_path / "terms.json"
    file.write_text(json.dumps(terms))
    assert run("terms", charge, str(file)).startswith(f"{charge} seats of charged: 12")
    once = run("start", "charged", "setup", "100", "--asset", "EUR", "--once", "--discount", "30")
    assert "charged 0.7 EUR, ends" in once
    ended = run("end", charge, "--now")
    assert "charged now -440.9" in ended or "charged now -441 EUR" in ended
    wrong = drawdown("charge", "start", "charged", "x", "1", "--asset", "EUR", "--discount", "x",
                     *where)  # fmt: skip
    assert wrong.returncode == 2 and "write a fraction" in wrong.stderr
    unsaid = drawdown("charge", "start", "charged", "x", *where)
    assert unsaid.returncode == 2 and "UNIT_AMOUNT and --asset" in unsaid.stderr
