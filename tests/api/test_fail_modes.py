"""Fail modes over the wire: in versions, by product, told to clients with the shard map."""

from __future__ import annotations

import grpc

from ledger.api.server import LedgerServer
from ledger.engine.ledger import Ledger
from ledger.journal.leases import Identity
from ledger.journal.storage import MemoryStorage
from ledger.v1 import fail_mode_pb2 as pb
from ledger.v1 import journal_pb2
from tests.api.cluster import cluster
from tests.api.served import TENANT, Served, SystemClock, refusal_of


async def give(
    caller: Served, product: str, mode: pb.FailMode.ValueType, **more: int
) -> pb.SetFailModeResponse:
    return await caller.fail_modes.SetFailMode(
        pb.SetFailModeRequest(
            tenant=TENANT, request_id=caller.new_id(), product=product, mode=mode, **more
        )
    )


async def listed(caller: Served, **more: object) -> pb.ListFailModesResponse:
    return await caller.fail_modes.ListFailModes(
        pb.ListFailModesRequest(tenant=TENANT, **more)  # type: ignore[arg-type]
    )


async def test_a_product_has_a_fail_mode_in_versions(served: Served) -> None:
    assert list((await listed(served)).fail_modes) == []
    first = await give(served, "chat", pb.FAIL_MODE_OPEN)
    assert (first.fail_mode.product, first.fail_mode.mode) == ("chat", pb.FAIL_MODE_OPEN)
    assert not first.replayed
    again = await give(served, "chat", pb.FAIL_MODE_OPEN)
    assert again == pb.SetFailModeResponse(fail_mode=first.fail_mode, replayed=True)
    stale = await refusal_of(give(served, "chat", pb.FAIL_MODE_CLOSED))
    assert (stale.code, stale.reason) == (grpc.StatusCode.ABORTED, "VERSION_DIFFERS")
    assert stale.metadata["field"] == "expected_version"
    second = await give(
        served, "chat", pb.FAIL_MODE_LEASE_ONLY, expected_version=first.fail_mode.version
    )
    assert second.fail_mode.version > first.fail_mode.version
    assert list((await listed(served)).fail_modes) == [second.fail_mode]


async def test_clients_are_told_with_the_shard_map(served: Served) -> None:
    modes = {"søk": pb.FAIL_MODE_OPEN, "chat": pb.FAIL_MODE_CLOSED, "zoo": pb.FAIL_MODE_LEASE_ONLY}
    for product, mode in modes.items():
        await give(served, product, mode)
    routing = await served.journal.GetRouting(journal_pb2.GetRoutingRequest(tenant=TENANT))
    named = [(each.product, each.mode) for each in routing.fail_modes]
    assert named == [(name, modes[name]) for name in ("chat", "søk", "zoo")]
    page = await listed(served, page_size=2)
    rest = await listed(served, page_size=2, page_token=page.next_page_token)
    assert [*page.fail_modes, *rest.fail_modes] == list(routing.fail_modes)
    assert not rest.next_page_token
    other = await served.journal.GetRouting(journal_pb2.GetRoutingRequest(tenant="sandbox"))
    assert not other.fail_modes


async def told(caller: Served) -> list[tuple[str, pb.FailMode.ValueType]]:
    """What goes with the shard map."""
    routing = await caller.journal.GetRouting(journal_pb2.GetRoutingRequest(tenant=TENANT))
    return [(each.product, each.mode) for each in routing.fail_modes]


async def test_a_server_that_has_opened_nothing_yet_knows_them() -> None:
    """Else a client takes an open product for a closed one while its server starts again."""
    storage = MemoryStorage(SystemClock().now_us, 1)
    async with cluster([storage]) as [first]:
        await give(first, "chat", pb.FAIL_MODE_OPEN)
    starting = LedgerServer(Ledger(storage, SystemClock(), identity=Identity("next", "")))
    address = await starting.listen("127.0.0.1:0")
    try:
        async with grpc.aio.insecure_channel(address) as channel:
            caller = Served(starting, starting.edge.ledger, channel)
            assert await told(caller) == [("chat", pb.FAIL_MODE_OPEN)]
    finally:
        await starting.stop(0)


async def test_a_server_without_a_shard_knows_them_and_each_change() -> None:
    storage = MemoryStorage(SystemClock().now_us, 1)
    async with cluster([storage, storage.seen_by_another()]) as [first, second]:
        assert not (first.ledger.owned and second.ledger.owned)
        opened = await give(first, "chat", pb.FAIL_MODE_OPEN)
        for caller in (first, second):
            assert await told(caller) == [("chat", pb.FAIL_MODE_OPEN)]
        version = opened.fail_mode.version
        await give(first, "chat", pb.FAIL_MODE_CLOSED, expected_version=version)
        for caller in (first, second):
            assert await told(caller) == [("chat", pb.FAIL_MODE_CLOSED)]


async def test_a_server_without_a_shard_lists_and_changes_what_they_are_now() -> None:
    """By what it knew, a mode that another server had changed since was taken for the present."""
    storage = MemoryStorage(SystemClock().now_us, 1)
    async with cluster([storage, storage.seen_by_another()]) as servers:
        [owner] = [each for each in servers if each.ledger.owned]
        [other] = [each for each in servers if not each.ledger.owned]
        opened = await give(other, "chat", pb.FAIL_MODE_OPEN)
        assert [each.mode for each in (await listed(other)).fail_modes] == [pb.FAIL_MODE_OPEN]
        version = opened.fail_mode.version
        closed = await give(owner, "chat", pb.FAIL_MODE_CLOSED, expected_version=version)
        version = closed.fail_mode.version
        again = await give(other, "chat", pb.FAIL_MODE_OPEN, expected_version=version)
        assert not again.replayed
        version = again.fail_mode.version
        await give(owner, "chat", pb.FAIL_MODE_CLOSED, expected_version=version)
        assert [each.mode for each in (await listed(other)).fail_modes] == [pb.FAIL_MODE_CLOSED]
        for caller in servers:
            assert await told(caller) == [("chat", pb.FAIL_MODE_CLOSED)]


async def test_what_is_no_mode_or_no_product_is_refused(served: Served) -> None:
    none = await refusal_of(give(served, "chat", pb.FAIL_MODE_UNSPECIFIED))
    assert (none.reason, none.metadata["field"]) == ("FIELD_REQUIRED", "mode")
    other = await refusal_of(give(served, "chat", 9))  # type: ignore[arg-type]
    assert (other.reason, other.metadata["field"]) == ("NUMBER_OUT_OF_RANGE", "mode")
    nameless = await refusal_of(give(served, "", pb.FAIL_MODE_OPEN))
    assert nameless.metadata["field"] == "product"
