"""`drawdown package`: a plan from a file, and an account that has it, from a shell."""

from __future__ import annotations

import json
from pathlib import Path

import grpc
import pytest

from cli.processes import Server, drawdown
from ledger.v1 import account_pb2, account_pb2_grpc
from rating.v1 import pricing_pb2, pricing_pb2_grpc

TENANT = "sandbox"
PRO = """
name = "pro"
unit = "week"
grants = [{ name = "credits", asset = "credit", amount = 3_000, kind = "promotional" }]
entitlements = [
  { feature = "sso", products = ["chat-pro"] },
  { feature = "region", kind = "static", value = "eu" },
  { feature = "tokens", kind = "metered", grant = "credits" },
]

[policy]
overage = "self"

[[phases]]
name = "trial"
days = 14
grants = [{ name = "credits", amount = 3_000 }]

[[budgets]]
name = "calls"
measure = "requests"
limit = 5_000
window = { kind = "calendar", unit = "month", zone = "Europe/Berlin" }

[[charges]]
name = "base"
product = "plan"
asset = "credit"
unit_amount = 700
once = true

[operations]
idle_us = 3_600_000_000
budget = { measure = "charge", asset = "credit", limit = 2_500 }
"""


@pytest.fixture(scope="module")
def sold(server: Server) -> Server:
    """A sandbox with credits, and an account."""
    with grpc.insecure_channel(server.address) as channel:
        asset = pricing_pb2.Asset(asset="credit", scale=2, kind=pricing_pb2.ASSET_KIND_CREDIT)
        pricing_pb2_grpc.PricingServiceStub(channel).CreateAsset(
            pricing_pb2.CreateAssetRequest(tenant=TENANT, request_id="asset", asset=asset)
        )
        account_pb2_grpc.AccountServiceStub(channel).Create(
            account_pb2.AccountServiceCreateRequest(
                tenant=TENANT, request_id="planned", account="planned"
            )
        )
    return server


def test_a_plan_from_a_file_to_its_end(sold: Server, tmp_path: Path) -> None:
    file = tmp_path / "pro.toml"
    file.write_text(PRO)
    where = ("--tenant", TENANT, "--address", sold.address)

    def run(*arguments: str) -> str:
        done = drawdown("package", *arguments, *where)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run("list", "pro") == "no packages\n"
    assert "package pro: checked, not published" in run("publish", str(file), "--dry-run")
    assert run("publish", str(file)).endswith("from ever on: published\n")
    assert "unchanged" in run("publish", str(file))
    assert "  first trial for 14 days\n" in run("list", "pro")
    assert "  region eu\n" in run("list", "pro")
    assert "  charge base: 1 x 700 credit (minor units) once\n" in run("list", "pro")
    tried = run("preview", "planned", "pro")
    assert "charge base: 1 x 700; now 700 credit (minor units)\n" in tried
    assert "granted: credits 3,000" in tried
    assert "budget set: calls, limit 5,000\n" in tried
    assert "each operation: limit 2,500\n" in tried
    assert "  each operation: 2,500 credit\n" in run("list", "pro")
    assert run("preview-all", "pro") == "no account has the package pro\n"
    assert "planned has pro version" in run("subscribe", "planned", "pro")
    given = drawdown("budget", "show-operations", "planned", *where).stdout
    assert "each operation up to 25, ends 3600 seconds idle; package pro, version " in given
    shown = run("show", "planned")
    assert "  tokens 2,300 of 3,000 credit left" in shown and "  region eu\n" in shown
    more = PRO.replace("3_000", "9_000").replace('"pro"', '"max"')
    file.write_text(more.replace('"calls"', '"requests"'))
    run("publish", str(file))
    tried = run("preview-all", "pro", "max")
    assert "planned would have max version" in tried
    assert "budget removed: calls\nbudget set: requests, limit 5,000\n" in tried
    changed = run("change", "planned", "max", "--now", "--old-grants", "forfeit-unused")
    assert "taken back: 2,300 of grant" in changed and "planned has max version" in changed
    assert "will have pro with its next period" in run("change", "planned", "pro")
    assert "the subscription of planned ends at" in run("cancel", "planned")
    document = json.loads(run("show", "planned", "--json"))
    assert document["subscription"]["package"] == "max"
    assert [each["feature"] for each in document["entitlements"]] == ["sso", "region", "tokens"]
    refused = drawdown("package", "subscribe", "planned", "pro", *where)
    assert refused.returncode != 0 and "has the package 'max'" in refused.stderr


def test_every_fault_of_a_file_is_said_with_its_place(sold: Server, tmp_path: Path) -> None:
    file = tmp_path / "wrong.json"
    file.write_text(
        '{"name": "x", "every": 0, "grants": [{"name": "", "asset": "a", "amount": 0}]}'
    )
    failed = drawdown("package", "publish", str(file), "--address", sold.address)
    assert failed.returncode == 1
    assert "every: NUMBER_OUT_OF_RANGE '0'" in failed.stderr
    assert "grants[0].name: NAME_EMPTY ''" in failed.stderr
    assert "the package is not well formed: 3 faults" in failed.stderr
