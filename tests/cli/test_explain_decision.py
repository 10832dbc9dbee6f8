"""`drawdown explain-decision`: why a request would be denied, from a shell."""

from __future__ import annotations

import json

import grpc

from cli.processes import Server, drawdown
from ledger.v1 import account_pb2, account_pb2_grpc

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
