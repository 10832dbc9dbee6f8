"""`drawdown account move` and `tree`: a family and its shape, from a shell."""

from __future__ import annotations

import grpc

from cli.processes import Server, drawdown
from ledger.v1 import account_pb2, account_pb2_grpc

TENANT = "sandbox"


def test_a_tree_is_shown_and_an_account_moved_in_it(server: Server) -> None:
    with grpc.insecure_channel(server.address) as channel:
        stub = account_pb2_grpc.AccountServiceStub(channel)
        for account, parent in (("firm", ""), ("eu", "firm"), ("us", "firm"), ("team", "eu")):
            stub.Create(
                account_pb2.AccountServiceCreateRequest(
                    tenant=TENANT, request_id=f"open {account}", account=account, parent=parent
                )
            )
    where = ("--tenant", TENANT, "--address", server.address)
    assert drawdown("account", "tree", "firm", *where).stdout == "firm\n  eu\n    team\n  us\n"
    move = ("account", "move", "team", "--to", "us", "--expected-version", "1", "--reason", "sold")
    done = drawdown(*move, *where)
    assert done.returncode == 0, done.stderr
    assert "below us, version 2 of its place" in done.stdout
    assert drawdown("account", "tree", "firm", *where).stdout == "firm\n  eu\n  us\n    team\n"
    refused = drawdown(*move[:3], "--to", "us", "--expected-version", "2", *where)
    assert refused.returncode != 0 and "PARENT_SAME" in refused.stderr
