"""Price overrides of an account from a file: set, shown, and what is wrong with them said."""

import json
from pathlib import Path

import grpc
import pytest

from cli.processes import Server, drawdown
from ledger.v1 import account_pb2, account_pb2_grpc
from rating.v1 import card_pb2, pricing_pb2, pricing_pb2_grpc

OVERRIDES = """
[[overrides]]
product = "api"
quantity = "calls"
change = { type = "overwrite", asset = "units", price = "0.5" }
effective_until_us = 4102444800000000

[[overrides]]
product = "*"
quantity = "*"
change = { type = "multiplier", ratio = "4/5" }
attributes = { region = "eu" }
priority = 3
"""
TIERED = """
[[overrides]]
product = "api"
quantity = "calls"
[overrides.change]
type = "tiered"
asset = "units"
model = { type = "volume", tiers = [{ price = "2" }] }
"""


@pytest.fixture(scope="module", autouse=True)
def account(server: Server) -> None:
    """`acme`, and what its card charges in."""
    with grpc.insecure_channel(server.address) as channel:
        pricing = pricing_pb2_grpc.PricingServiceStub(channel)
        pricing.CreateAsset(
            pricing_pb2.CreateAssetRequest(
                tenant="default",
                request_id="units",
                asset=pricing_pb2.Asset(asset="units", scale=6, kind=pricing_pb2.ASSET_KIND_UNIT),
            )
        )
        row = card_pb2.PriceRow(product="api", quantity="calls", price="1")
        pricing.PublishRateCard(
            pricing_pb2.PublishRateCardRequest(
                tenant="default",
                request_id="overridden",
                card=card_pb2.RateCard(
                    name="overridden",
                    asset="units",
                    asset_scale=6,
                    meters=[card_pb2.Meter(quantity="calls")],
                    rows=[row],
                ),
            )
        )
        account_pb2_grpc.AccountServiceStub(channel).Create(
            account_pb2.AccountServiceCreateRequest(
                tenant="default",
                request_id="overridden",
                account="overridden",
                policy=account_pb2.AccountPolicy(rate_card="overridden"),
            )
        )


def test_a_list_is_set_from_a_file_and_shown(server: Server, tmp_path: Path) -> None:
    at = ("--address", server.address)
    file = tmp_path / "overrides.toml"
    file.write_text(OVERRIDES)
    done = drawdown("pricing", "override", "set", "overridden", str(file), *at)
    assert done.stdout == "overridden has 2 price overrides, version 1\n", done.stderr
    shown = drawdown("pricing", "override", "show", "overridden", *at)
    assert "0.5 units" in shown.stdout, shown.stderr
    assert "x 4/5" in shown.stdout
    listed = json.loads(drawdown("pricing", "override", "show", "overridden", "--json", *at).stdout)
    assert listed["version"] == 1
    assert [each["number"] for each in listed["overrides"]] == [1, 2]
    assert listed["overrides"][1]["override"]["multiplier"] == {"ratio": "4/5"}
    file.write_text(TIERED)
    tiers = drawdown("pricing", "override", "set", "overridden", str(file), "--json", *at)
    [each] = json.loads(tiers.stdout)["overrides"]
    assert each["override"]["tiered"]["volume"] == {"tiers": [{"price": "2"}]}
    empty = tmp_path / "none.json"
    empty.write_text('{"overrides": []}')
    gone = drawdown("pricing", "override", "set", "overridden", str(empty), "--json", *at)
    assert json.loads(gone.stdout) == {"version": 3, "overrides": [], "inherited": []}


def test_a_file_that_is_none_is_refused_before_anything_is_asked(
    server: Server, tmp_path: Path
) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(OVERRIDES.replace('"4/5"', "0.8").replace("priority = 3", 'priority = "high"'))
    refused = drawdown(
        "pricing", "override", "set", "overridden", str(file), "--address", server.address
    )
    assert refused.returncode == 1
    assert "overrides[1]" in refused.stderr


def test_what_the_card_has_not_is_refused_by_the_server(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "unknown.toml"
    file.write_text(OVERRIDES.replace('"calls"', '"bytes"'))
    refused = drawdown(
        "pricing", "override", "set", "overridden", str(file), "--address", server.address
    )
    assert refused.returncode == 1
    assert "OVERRIDES_INVALID" in refused.stderr
    assert "overrides[0].quantity" in refused.stderr
