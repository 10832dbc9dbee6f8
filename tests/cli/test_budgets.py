"""`drawdown budget`: what an account may use in a window, from a shell."""

from __future__ import annotations

import json
from typing import Any

import grpc
import pytest

from cli.processes import Server, drawdown
from ledger.v1 import account_pb2, account_pb2_grpc, usage_pb2, usage_pb2_grpc
from rating.v1 import pricing_pb2, pricing_pb2_grpc

TENANT = "sandbox"


@pytest.fixture(scope="module")
def opened(server: Server) -> Server:
    with grpc.insecure_channel(server.address) as channel:
        asset = pricing_pb2.Asset(asset="coin", scale=2, kind=pricing_pb2.ASSET_KIND_CREDIT)
        pricing_pb2_grpc.PricingServiceStub(channel).CreateAsset(
            pricing_pb2.CreateAssetRequest(tenant=TENANT, request_id="coin", asset=asset)
        )
        account_pb2_grpc.AccountServiceStub(channel).Create(
            account_pb2.AccountServiceCreateRequest(
                tenant=TENANT, request_id="spender", account="spender"
            )
        )
    return server


def run(server: Server, *arguments: str) -> Any:
    done = drawdown("budget", *arguments, "--tenant", TENANT, "--address", server.address, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_budgets_are_set_listed_and_removed(opened: Server) -> None:
    where = ("--tenant", TENANT, "--address", opened.address)
    made = run(
        opened, "set", "spender", "monthly", "50000", "--asset", "coin", "--window", "month",
        "--zone", "Europe/Berlin", "--threshold", "80",
    )  # fmt: skip
    assert made["budget"]["window"]["kind"] == "WINDOW_KIND_CALENDAR"
    run(opened, "set", "spender", "calls", "5", "--measure", "requests", "--window", "sliding:7d")
    listed = run(opened, "list", "spender", "--above")["budgets"]
    assert [(each["budget"]["name"], each["left"]) for each in listed] == [
        ("monthly", "50000"),
        ("calls", "5"),
    ]
    assert listed[1]["budget"]["window"]["length_us"] == str(7 * 86_400_000_000)
    shown = drawdown("budget", "list", "spender", *where)
    assert shown.returncode == 0, shown.stderr
    assert "monthly" in shown.stdout and "500" in shown.stdout
    run(opened, "remove", "spender", "calls")
    assert len(run(opened, "list", "spender")["budgets"]) == 1
    wrong = drawdown("budget", "set", "spender", "x", "1", "--window", "hour", *where)
    assert wrong.returncode != 0 and "sliding:7d" in wrong.stderr


def test_budgets_by_value_are_set_and_their_values_listed(opened: Server) -> None:
    where = ("--tenant", TENANT, "--address", opened.address)
    made = run(
        opened, "set", "spender", "per-user", "200", "--measure", "requests", "--window", "day",
        "--by", "user", "--by", "region", "--values", "50", "--value-limit", "ada,eu=7",
    )["budget"]  # fmt: skip
    assert (made["group_by"], made["values_max"]) == (["user", "region"], 50)
    assert made["value_limits"] == [{"value": ["ada", "eu"], "limit": "7"}]
    assert run(opened, "values", "spender", "per-user")["values"] == []
    shown = drawdown("budget", "values", "spender", "per-user", *where)
    assert shown.returncode == 0 and "no value" in shown.stdout
    with grpc.insecure_channel(opened.address) as channel:
        used = usage_pb2.UsageEvent(
            id="one", account="spender", product="chat", quantities={"tokens": 5},
            attributes={"user": "ada", "region": "eu"},
        )  # fmt: skip
        usage_pb2_grpc.UsageServiceStub(channel).Ingest(
            usage_pb2.IngestRequest(tenant=TENANT, source="cli", events=[used])
        )
    [counted] = run(opened, "values", "spender", "per-user")["values"]
    assert (counted["value"], counted["used"], counted["left"]) == (["ada", "eu"], "1", "6")
    named = run(opened, "values", "spender", "per-user", "--value", "bob", "--value", "eu")
    assert named["values"] == []
    shown = drawdown("budget", "values", "spender", "per-user", *where)
    assert shown.returncode == 0 and "ada, eu" in shown.stdout, shown.stdout
    listed = drawdown("budget", "list", "spender", *where)
    assert "each user, region: 1" in " ".join(listed.stdout.split()), listed.stdout
    wrong = drawdown("budget", "set", "spender", "x", "1", "--value-limit", "ada", *where)
    assert wrong.returncode != 0 and "VALUE=LIMIT" in wrong.stderr


def test_an_operation_is_given_a_budget_and_shown(opened: Server) -> None:
    where = ("--tenant", TENANT, "--address", opened.address)
    made = run(opened, "set-operation", "spender", "run-1", "5", "--measure", "requests")
    assert (made["budget"]["limit"], made["idle_us"]) == ("5", str(86_400_000_000))
    shown = run(opened, "show-operation", "spender", "run-1")
    assert (shown["budget"]["left"], shown["operation_key"]) == ("5", made["operation_key"])
    told = drawdown("budget", "show-operation", "spender", "run-1", *where)
    assert "used 0, held 0, left 5 of 5; 0 operations below it" in told.stdout
    again = drawdown(
        "budget", "set-operation", "spender", "run-1", "9", "--measure", "requests", *where
    )
    assert "budget of operation run-1: version 2" in again.stdout
    unknown = drawdown("budget", "show-operation", "spender", "run-2", *where)
    assert unknown.returncode != 0 and "no budget covers the operation" in unknown.stderr


def test_each_operation_is_given_a_budget_by_a_policy(opened: Server) -> None:
    where = ("--tenant", TENANT, "--address", opened.address)
    made = run(opened, "set-operations", "spender", "5", "--measure", "requests", "--idle", "60")
    assert (made["policy"]["version"], made["policy"]["idle_us"]) == ("1", str(60_000_000))
    told = drawdown("budget", "show-operations", "spender", *where)
    assert "each operation up to 5, ends 60 seconds idle; version 1 of spender" in told.stdout
    shown = run(opened, "show-operation", "spender", "run-9")
    assert (shown["budget"]["left"], shown["policy_version"]) == ("5", "1")
    removed = drawdown("budget", "remove-operations", "spender", *where)
    assert "policy of operations of spender: version 2" in removed.stdout
    told = drawdown("budget", "show-operations", "spender", *where)
    assert "no policy of operations counts for the account" in told.stdout
