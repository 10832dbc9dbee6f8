"""`drawdown statement` and `drawdown rollup`: a month, from a shell."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import grpc
import pytest

from cli.processes import Server, drawdown
from ledger.core.limits import DAY_US
from ledger.v1 import account_pb2, account_pb2_grpc, usage_pb2, usage_pb2_grpc
from rating.v1 import card_pb2, pricing_pb2, pricing_pb2_grpc

TENANT = "months"  # a sandbox of its own


@pytest.fixture(scope="module")
def used(server: Server, data_dir: Path) -> Server:
    """An account that owes 120 coins for usage of this month."""
    added = drawdown("tenant", "add", TENANT, "--sandbox", f"--data-dir={data_dir}")
    assert added.returncode == 0, added.stderr
    with grpc.insecure_channel(server.address) as channel:
        pricing = pricing_pb2_grpc.PricingServiceStub(channel)
        asset = pricing_pb2.Asset(asset="coin", scale=2, kind=pricing_pb2.ASSET_KIND_CREDIT)
        pricing.CreateAsset(
            pricing_pb2.CreateAssetRequest(tenant=TENANT, request_id="coin", asset=asset)
        )
        card = card_pb2.RateCard(
            name="default",
            asset="coin",
            asset_scale=2,
            meters=[card_pb2.Meter(quantity="calls")],
            products=[card_pb2.Product(product="chat")],
            rows=[card_pb2.PriceRow(product="chat", quantity="calls", price="0.01")],
        )
        pricing.PublishRateCard(
            pricing_pb2.PublishRateCardRequest(tenant=TENANT, request_id="card", card=card)
        )
        account_pb2_grpc.AccountServiceStub(channel).Create(
            account_pb2.AccountServiceCreateRequest(
                tenant=TENANT,
                request_id="user",
                account="user",
                policy=account_pb2.AccountPolicy(overage=account_pb2.OVERAGE_SELF),
            )
        )
        event = usage_pb2.UsageEvent(
            id="1", account="user", product="chat", quantities={"calls": 120},
            attributes={"region": "eu"},
        )  # fmt: skip
        usage_pb2_grpc.UsageServiceStub(channel).Ingest(
            usage_pb2.IngestRequest(tenant=TENANT, source="tests", events=[event])
        )
    return server


def run(server: Server, *arguments: str) -> str:
    done = drawdown(*arguments, "--tenant", TENANT, "--address", server.address)
    assert done.returncode == 0, done.stderr
    return done.stdout


def document(server: Server, *arguments: str) -> Any:
    return json.loads(run(server, *arguments))


def test_a_month_from_draft_to_document(used: Server) -> None:
    rolled = document(used, "rollup", "user", "--from", "2020-01-01", "--json")
    assert rolled["overage"][0]["amount"]["units"] == "1.20"
    assert rolled["usage"][0]["quantities"] == {"calls": "120"}
    draft = document(used, "statement", "draft", "user", "--format", "json")
    assert draft["totals"][0]["billable"]["minor"] == "120"
    shown = run(used, "statement", "draft", "user", "--attribute", "region")
    assert "eu" in shown and "overage" in shown and "1.2" in shown
    early = drawdown("statement", "close", "user", "--tenant", TENANT, "--address", used.address)
    assert (early.returncode, "STATEMENT_PERIOD_OPEN" in early.stderr) == (1, True)
    days = (int(draft["end_us"]) - int(draft["start_us"])) // DAY_US + 2
    run(used, "clock", "advance", "--by", f"{days}d")
    run(used, "statement", "close", "user", "--request-id", "first")
    closed = document(used, "statement", "show", "user", "1", "--format", "json")
    assert closed["state"] == "STATEMENT_STATE_CLOSED"
    assert closed["totals"][0]["billable"] == draft["totals"][0]["billable"]
    [listed] = document(used, "statement", "list", "user", "--json")
    assert listed["closing"]["hash"] == closed["closing"]["hash"]
    assert closed["closing"]["hash"] in run(used, "statement", "list", "user")
    table = run(used, "statement", "show", "user", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(table)))
    assert [row["minor"] for row in rows if row["section"] == "line"] == ["120"]
    page = run(used, "statement", "show", "user", "--format", "html")
    assert page.startswith("<!doctype html>") and "1.20" in page
    set_ = document(used, "statement", "set", "user", "separate", "--json")
    assert set_["settings"] == {"form": "STATEMENT_FORM_SEPARATE", "version": "1"}
