"""`drawdown margin` and `drawdown operation`, with the public map as prices and as costs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import grpc
import pytest

from cli.processes import TIMEOUT_S, Server, drawdown
from ledger.v1 import (
    account_pb2,
    account_pb2_grpc,
    report_pb2,
    report_pb2_grpc,
    usage_pb2,
    usage_pb2_grpc,
)

MODEL = "gpt-4o-mini"


@pytest.fixture(scope="module")
def channel(server: Server) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.address) as opened:
        yield opened


@pytest.fixture(scope="module")
def used(server: Server, channel: grpc.Channel) -> str:
    """An account that owes for one call, whose provider takes 0.7 of the list price."""
    at = ("--address", server.address)
    for options in (
        ("--as", "cost", "--times", "0.7"),
        ("--name", "resold", "--cost-card", "costs"),
    ):
        done = drawdown("import-prices", *options, *at)
        assert done.returncode == 0, done.stderr
    policy = account_pb2.AccountPolicy(rate_card="resold", overage=account_pb2.OVERAGE_SELF)
    account_pb2_grpc.AccountServiceStub(channel).Create(
        account_pb2.AccountServiceCreateRequest(
            tenant="default", request_id="margins", account="margins", policy=policy
        )
    )
    reply = usage_pb2_grpc.UsageServiceStub(channel).Ingest(
        usage_pb2.IngestRequest(
            tenant="default",
            source="tests",
            events=[
                usage_pb2.UsageEvent(
                    id="call",
                    account="margins",
                    product=MODEL,
                    quantities={"input_tokens": 1_000_000, "output_tokens": 0},
                    operation="answer",
                )
            ],
        )
    )
    margin = report_pb2.GetMarginRequest(tenant="default", min_position=reply.position)
    until = time.monotonic() + TIMEOUT_S
    while True:
        try:
            report_pb2_grpc.ReportServiceStub(channel).GetMargin(margin)
        except grpc.RpcError as error:
            if "ask again" not in error.details() or time.monotonic() > until:
                raise
        else:
            return "margins"


def test_a_margin_for_scripts_and_for_people(server: Server, used: str) -> None:
    """0.15 dollars a million input tokens, of which the provider takes 0.105."""
    at = ("--account", used, "--address", server.address)
    [row] = json.loads(drawdown("margin", "--json", *at).stdout)
    [money] = row["earnings"]["money"]
    assert (row["group"], money["asset"]) == (MODEL, "USD")
    assert (money["earned"], money["cost"], money["margin"]) == (
        "150000000",
        "105000000",
        "45000000",
    )
    done = drawdown("margin", "--by", "account", *at)
    assert done.returncode == 0, done.stderr
    for word in (used, "0.105", "0.045"):
        assert word in done.stdout
    assert "(none)" in drawdown("margin", "--attribute", "region", *at).stdout


def test_an_operation_for_scripts_and_for_people(server: Server, used: str) -> None:
    at = ("--address", server.address)
    done = drawdown("operation", "answer", "--account", used, "--json", *at)
    [node] = json.loads(done.stdout)["operations"]
    assert node["operation"]["operation"] == "answer"
    assert node["total"]["money"][0]["margin"] == "45000000"
    key = node["operation"]["operation_key"]
    shown = drawdown("operation", key, *at)
    assert shown.returncode == 0, shown.stderr
    assert "answer" in shown.stdout
    unknown = drawdown("operation", "nobody's", "--account", used, *at)
    assert unknown.returncode == 1
    assert "OPERATION_UNKNOWN" in unknown.stderr or "names this operation" in unknown.stderr


def test_what_does_not_go_together_is_a_wrong_command_line(server: Server) -> None:
    at = ("--address", server.address)
    for options in (("--as", "cost", "--cost-card", "x"), ("--times", "2")):
        done = drawdown("import-prices", *options, *at)
        assert done.returncode == 2
    done = drawdown("import-prices", "--as", "cost", "--times", "a lot", *at)
    assert done.returncode == 1
    assert "--times a lot" in done.stderr
