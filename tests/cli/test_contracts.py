"""`drawdown contract`: signed, amended, listed and ended from a shell."""

from __future__ import annotations

import json
from pathlib import Path

import grpc
import pytest

from cli.processes import Server, drawdown
from ledger.v1 import account_pb2, account_pb2_grpc
from rating.v1 import pricing_pb2, pricing_pb2_grpc

TENANT = "sandbox"
PLAN = """
name = "signed"
unit = "week"
grants = [{ name = "credits", asset = "credit", amount = 3_000, kind = "promotional" }]
"""
COMMITMENTS = {
    "commitments": [
        {
            "terms": {"kind": "GRANT_KIND_POSTPAID", "asset": "credit", "price_asset": "USD"},
            "segments": [{"ends_at_us": "4102444800000000", "amount": "500", "price": "7"}],
        }
    ]
}


@pytest.fixture(scope="module")
def sold(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A sandbox with credits, money, a package, and an account."""
    with grpc.insecure_channel(server.address) as channel:
        stub = pricing_pb2_grpc.PricingServiceStub(channel)
        for code, kind in (
            ("credit", pricing_pb2.ASSET_KIND_CREDIT),
            ("USD", pricing_pb2.ASSET_KIND_MONEY),
        ):
            asset = pricing_pb2.Asset(asset=code, scale=2, kind=kind)
            stub.CreateAsset(
                pricing_pb2.CreateAssetRequest(tenant=TENANT, request_id=code, asset=asset)
            )
        account_pb2_grpc.AccountServiceStub(channel).Create(
            account_pb2.AccountServiceCreateRequest(
                tenant=TENANT, request_id="signed", account="signer"
            )
        )
    file = tmp_path_factory.mktemp("plan") / "plan.toml"
    file.write_text(PLAN)
    where = ("--tenant", TENANT, "--address", server.address)
    published = drawdown("package", "publish", str(file), *where)
    assert published.returncode == 0, published.stderr
    return server


def test_a_contract_from_a_shell_to_its_end(sold: Server, tmp_path: Path) -> None:
    where = ("--tenant", TENANT, "--address", sold.address)

    def run(*arguments: str) -> str:
        done = drawdown("contract", *arguments, *where)
        assert done.returncode == 0, done.stderr
        return done.stdout

    file = tmp_path / "commitments.json"
    file.write_text(json.dumps(COMMITMENTS))
    assert run("list", "signer") == "signer has no contracts\n"
    signed = run(
        "sign",
        "signer",
        "deal",
        "signed",
        "--ends",
        "2100-01-01",
        "--commitments",
        str(file),
        "--rolls-over",
        "1/2:1000",
    )
    assert signed.startswith("signer has the contract deal, running: signed version")
    amended = run("amend", "signer", "deal", "--auto-renew", "--ends", "2100-06-01")
    assert amended.rstrip().endswith("until 2100-06-01T00:00:00Z, renewed then")
    refused = drawdown(
        "contract", "sign", "signer", "other", "signed", "--ends", "2100-01-01", *where
    )
    assert refused.returncode == 1 and "CONTRACTS_OVERLAP" in refused.stderr
    listed = json.loads(run("list", "signer", "--json"))["contracts"][0]
    assert listed["rollover"] == {"numerator": "1", "denominator": "2", "cap": "1000"}
    run("amend", "signer", "deal", "--rolls-over", "0/1")
    assert "rollover" not in json.loads(run("list", "signer", "--json"))["contracts"][0]
    bad = drawdown("contract", "amend", "signer", "deal", "--rolls-over", "half", *where)
    assert bad.returncode != 0 and "name a fraction" in bad.stderr
    bad = drawdown("contract", "amend", "signer", "deal", "--minimum", "5", *where)
    assert bad.returncode != 0 and "no minimum of scope contract" in bad.stderr
    ended = run("end", "signer", "deal", "--ending", "waive", "--old-grants", "forfeit-unused")
    assert "taken back: 3,000 of grant" in ended and "deal, over: signed" in ended
    document = json.loads(run("list", "signer", "--json"))
    assert [len(each["commitment_ids"]) for each in document["contracts"]] == [1]


def test_a_file_that_is_none_is_said(sold: Server, tmp_path: Path) -> None:
    file = tmp_path / "wrong.json"
    file.write_text('{"commitment": []}')
    failed = drawdown(
        "contract", "sign", "signer", "x", "signed", "--ends", "2100-01-01",
        "--commitments", str(file), "--address", sold.address,
    )  # fmt: skip
    assert failed.returncode == 1 and "has no commitments" in failed.stderr
