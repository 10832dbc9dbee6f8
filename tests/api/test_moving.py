"""Accounts that move within their family, over gRPC (rule D1)."""

from __future__ import annotations

import grpc

from ledger.v1 import account_pb2 as pb
from ledger.v1 import journal_pb2
from tests.api.served import TENANT, Served, refusal_of
from tests.api.test_accounts import creating, getting


def moving(account: str, parent: str, version: int = 1, **changes) -> pb.MoveRequest:
    fields = {"request_id": "move", "expected_version": version, **changes}
    return pb.MoveRequest(tenant=TENANT, account=account, parent=parent, **fields)


async def children(stored: Served, parent: str) -> list[str]:
    page = await stored.accounts.List(pb.AccountServiceListRequest(tenant=TENANT, parent=parent))
    return [each.account for each in page.accounts]


async def family(stored: Served) -> None:
    for account, parent in (("acme", ""), ("eu", "acme"), ("us", "acme"), ("team", "eu")):
        await stored.accounts.Create(creating(account, parent=parent))
    await stored.accounts.Create(creating("ann", parent="team"))
    await stored.accounts.Create(creating("other"))


async def test_a_moved_account_is_listed_where_it_stands(stored: Served) -> None:
    await moved(stored)


async def test_the_directory_in_memory_lists_it_there_too(served: Served) -> None:
    await moved(served)


async def moved(stored: Served) -> None:
    await family(stored)
    reply = await stored.accounts.Move(moving("team", "us", reason="sold", actor="ops"))
    assert (reply.account.parent, reply.account.root) == ("us", "acme")
    assert (reply.account.place_version, reply.replayed) == (2, False)
    again = await stored.accounts.Move(moving("team", "us", reason="sold", actor="ops"))
    assert again.replayed and again.position == reply.position
    assert (await children(stored, "us"), await children(stored, "eu")) == (["team"], [])
    assert await children(stored, "team") == ["ann"]
    found = (await stored.accounts.Get(getting("team"))).account
    assert (found.parent, found.place_version) == ("us", 2)
    outcome = await stored.journal.GetOutcome(
        journal_pb2.GetOutcomeRequest(tenant=TENANT, account="team", request_id="move")
    )
    assert outcome.kind == journal_pb2.MUTATION_KIND_MOVE_ACCOUNT
    # It was opened under another parent: its Create, sent again, is answered as it was (rule I5).
    assert (await stored.accounts.Create(creating("team", parent="eu"))).replayed


async def test_a_directory_that_is_behind_is_brought_up_to_date(stored: Served) -> None:
    """A server died between the entry and the directory: the next look at it tells."""
    await family(stored)
    directory = stored.ledger.directory
    place = directory.place

    async def lost(profile, parent, version):
        return profile

    directory.place = lost
    await stored.accounts.Move(moving("team", "us"))
    directory.place = place
    assert await children(stored, "us") == []
    assert (await stored.accounts.Get(getting("team"))).account.parent == "us"
    assert await children(stored, "us") == ["team"]


async def test_what_would_break_is_refused(stored: Served) -> None:
    await family(stored)
    for request, reason, code in (
        (moving("acme", "eu"), "ACCOUNT_IS_ROOT", grpc.StatusCode.FAILED_PRECONDITION),
        (moving("eu", "ann"), "PARENT_BELOW", grpc.StatusCode.FAILED_PRECONDITION),
        (moving("team", "eu"), "PARENT_SAME", grpc.StatusCode.FAILED_PRECONDITION),
        (moving("team", "other"), "PARENT_ELSEWHERE", grpc.StatusCode.FAILED_PRECONDITION),
        (moving("team", "nobody"), "PARENT_UNKNOWN", grpc.StatusCode.NOT_FOUND),
        (moving("team", "us", 2), "VERSION_MISMATCH", grpc.StatusCode.ABORTED),
        (moving("team", "us", 0), "NUMBER_OUT_OF_RANGE", grpc.StatusCode.INVALID_ARGUMENT),
    ):
        refusal = await refusal_of(stored.accounts.Move(request))
        assert (refusal.reason, refusal.code) == (reason, code), refusal
    assert (await stored.accounts.Get(getting("team"))).account.parent == "eu"
