"""Usage charged again by a version, from the command line: tried, done, gone on with (rule R7)."""

from __future__ import annotations

import json

import grpc
import pytest

from cli.processes import Server, drawdown
from ledger.v1 import account_pb2, account_pb2_grpc, usage_pb2, usage_pb2_grpc
from rating.v1 import card_pb2, pricing_pb2, pricing_pb2_grpc


def publish(pricing: pricing_pb2_grpc.PricingServiceStub, price: str, before: int) -> int:
    request = pricing_pb2.PublishRateCardRequest(
        tenant="default",
        request_id=f"rerated {price}",
        expected_version=before,
        card=card_pb2.RateCard(
            name="rerated",
            asset="rerated",
            asset_scale=2,
            meters=[card_pb2.Meter(quantity="calls")],
            rows=[card_pb2.PriceRow(product="api", quantity="calls", price=price)],
        ),
    )
    return int(pricing.PublishRateCard(request).version.version)


@pytest.fixture(scope="module")
def version(server: Server) -> int:
    """Two accounts have used what costs 1 a call, and now 3."""
    with grpc.insecure_channel(server.address) as channel:
        pricing = pricing_pb2_grpc.PricingServiceStub(channel)
        pricing.CreateAsset(
            pricing_pb2.CreateAssetRequest(
                tenant="default",
                request_id="rerated",
                asset=pricing_pb2.Asset(asset="rerated", scale=2, kind=pricing_pb2.ASSET_KIND_UNIT),
            )
        )
        first = publish(pricing, "1", 0)
        for account, calls in (("small", 2), ("large", 70)):
            account_pb2_grpc.AccountServiceStub(channel).Create(
                account_pb2.AccountServiceCreateRequest(
                    tenant="default",
                    request_id=account,
                    account=account,
                    policy=account_pb2.AccountPolicy(rate_card="rerated"),
                )
            )
            usage = usage_pb2.UsageEvent(
                id=account, account=account, product="api", quantities={"calls": calls}
            )
            reply = usage_pb2_grpc.UsageServiceStub(channel).Ingest(
                usage_pb2.IngestRequest(tenant="default", source="cli", events=[usage])
            )
            assert reply.results[0].charge == 100 * calls
        return publish(pricing, "3", first)


def test_it_is_tried_then_done_then_found_done(server: Server, version: int) -> None:
    """What the dry run says is what happens; asked again the job goes on and has nothing to do."""
    asked = (
        "pricing", "rerate", f"--card=rerated@{version}", "--from=2026-01-01",
        "--address", server.address,
    )  # fmt: skip
    tried = drawdown(*asked, "--dry-run", "--json")
    said = json.loads(tried.stdout)
    assert said["dry_run"] and said["job"].startswith(f"rerated@{version}-"), tried.stderr
    [product] = said["products"]
    assert (product["charged"], product["recharged"], product["events"]) == ("7200", "21600", 2)
    assert [each["account"] for each in said["accounts"]] == ["large", "small"]
    shown = drawdown(*asked, "--dry-run")
    assert "144 rerated" in shown.stdout, shown.stdout + shown.stderr
    unasked = drawdown(*asked)
    assert unasked.returncode == 1 and "--yes" in unasked.stderr
    done = json.loads(drawdown(*asked, "--yes", "--json").stdout)
    assert done["products"] == said["products"] and done["job"] == said["job"]
    again = drawdown(*asked, "--yes")
    assert "no usage costs otherwise" in again.stdout, again.stdout + again.stderr
    assert "2 usage events were rated again before" in again.stdout


def test_a_card_is_named_with_its_version(server: Server) -> None:
    refused = drawdown("pricing", "rerate", "--card=rerated", "--from=2026-01-01")
    assert refused.returncode == 2 and "NAME@VERSION" in refused.stderr
    unknown = drawdown(
        "pricing", "rerate", "--card=rerated@99999", "--from=2026-01-01", "--yes",
        "--address", server.address,
    )  # fmt: skip
    assert unknown.returncode == 1 and "RATE_CARD_UNKNOWN" in unknown.stderr
