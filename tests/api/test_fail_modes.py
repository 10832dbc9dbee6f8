"""Fail modes over the wire: in versions, by product, told to clients with the shard map."""

from __future__ import annotations

import grpc

from ledger.v1 import fail_mode_pb2 as pb
from ledger.v1 import journal_pb2
from tests.api.served import TENANT, Served, refusal_of


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
    told = [(each.product, each.mode) for each in routing.fail_modes]
    assert told == [(name, modes[name]) for name in ("chat", "søk", "zoo")]
    page = await listed(served, page_size=2)
    rest = await listed(served, page_size=2, page_token=page.next_page_token)
    assert [*page.fail_modes, *rest.fail_modes] == list(routing.fail_modes)
    assert not rest.next_page_token
    other = await served.journal.GetRouting(journal_pb2.GetRoutingRequest(tenant="sandbox"))
    assert not other.fail_modes


async def test_what_is_no_mode_or_no_product_is_refused(served: Served) -> None:
    none = await refusal_of(give(served, "chat", pb.FAIL_MODE_UNSPECIFIED))
    assert (none.reason, none.metadata["field"]) == ("FIELD_REQUIRED", "mode")
    other = await refusal_of(give(served, "chat", 9))  # type: ignore[arg-type]
    assert (other.reason, other.metadata["field"]) == ("NUMBER_OUT_OF_RANGE", "mode")
    nameless = await refusal_of(give(served, "", pb.FAIL_MODE_OPEN))
    assert nameless.metadata["field"] == "product"
