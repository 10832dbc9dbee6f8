"""`drawdown explain-decision`: why a request would be denied, from a shell."""

from __future__ import annotations

import json

import grpc

from cli.processes import Server, drawdown
from ledger.v1 import account_pb2, account_pb2_grpc, decision_pb2, decision_pb2_grpc

TENANT = "sandbox"


def test_a_denial_is_told_in_words_and_as_data(server: Server) -> None:
    where = ("--tenant", TENANT, "--address", server.address)
    with grpc.insecure_channel(server.address) as channel:
        account_pb2_grpc.AccountServiceStub(channel).Create(
            account_pb2.AccountServiceCreateRequest(
                tenant=TENANT, request_id="asking", account="asking"
            )
        )
    asked = ("explain-decision", "asking", "unheard-of", "tokens=5", *where)
    told = drawdown(*asked)
    assert told.returncode == 0, told.stderr
    assert told.stdout.splitlines()[-1] == "DENY (UNPRICED)"
    assert "5 tokens: has no price (UNPRICED)" in told.stdout
    document = json.loads(drawdown(*asked, "--json").stdout)
    assert document["decision"]["reason"] == "UNPRICED"
    ranged = drawdown(*asked, "--up-to", "tokens=1", "--attribute", "model=big")
    assert ranged.returncode == 0, ranged.stderr
    within = drawdown(*asked, "--operation", "tool", "--operation-parent", "run")
    assert within.returncode == 0, within.stderr
    unnamed = drawdown(*asked, "--operation-parent", "run")
    assert unnamed.returncode != 0 and "operation" in unnamed.stderr
    wrong = drawdown("explain-decision", "asking", "unheard-of", "tokens=many", *where)
    assert wrong.returncode != 0 and "whole number" in wrong.stderr


def test_a_recorded_decision_is_told_from_the_entries_before_it(server: Server) -> None:
    where = ("--tenant", TENANT, "--address", server.address)
    with grpc.insecure_channel(server.address) as channel:
        account_pb2_grpc.AccountServiceStub(channel).Create(
            account_pb2.AccountServiceCreateRequest(
                tenant=TENANT, request_id="asked", account="asked"
            )
        )
        denied = decision_pb2_grpc.DecisionServiceStub(channel).Authorize(
            decision_pb2.AuthorizeRequest(
                tenant=TENANT, request_id="asked-first", account="asked", product="unheard-of",
                quantities={"tokens": 5},
            )
        )  # fmt: skip
    assert denied.reason == "UNPRICED"
    asked = ("explain-decision", "asked", *where)
    told = drawdown(*asked, "--request", "asked-first")
    assert told.returncode == 0, told.stderr
    first, *words = told.stdout.splitlines()
    assert first.startswith("entry ") and first.endswith("from the entries before it:")
    assert words[-1] == "DENY (UNPRICED)"
    document = json.loads(drawdown(*asked, "--request", "asked-first", "--json").stdout)
    by_entry = drawdown(*asked, "--entry", document["entry"]["entry_seq"])
    assert by_entry.stdout == told.stdout
    for wrong in ((), ("--request", "a", "--hold", "b"), ("chat", "tokens=1", "--entry", "1")):
        refused = drawdown(*asked, *wrong)
        assert refused.returncode == 2 and "--request, --hold" in refused.stderr, wrong
    unknown = drawdown(*asked, "--request", "nobody")
    assert unknown.returncode != 0 and "request_id" in unknown.stderr
