"""A server's collector rests on this: a first look finds the garbage of calls that do not fail."""

from __future__ import annotations

import asyncio
import gc
import itertools
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import grpc
import pytest

from ledger.v1.balance_pb2 import WatchRequest
from ledger.v1.decision_pb2 import GetHoldRequest
from tests.api.served import TENANT, Served

CALLS = 240
AT_ONCE = 16
YOUNG = 500  # objects, so that the collector looks often amid calls


@contextmanager
def looking_once() -> Iterator[None]:
    """The collector as `ledger.server` sets it, but often."""
    before = gc.get_threshold()
    gc.collect()
    gc.set_threshold(YOUNG, 1_000_000, 1_000_000)
    try:
        yield
    finally:
        gc.set_threshold(*before)


async def test_calls_leave_no_garbage_that_a_first_look_misses(priced: Served):
    """Holds, advice and denials, many at once: a second look would find next to nothing."""
    await priced.account("acme")
    await priced.grant("acme", 100_000)
    numbers = itertools.count()

    async def ask() -> None:
        for number in itertools.takewhile(lambda number: number < CALLS, numbers):
            if number % 3:
                await priced.authorize("acme", request_id=f"hold-{number}")
            else:
                await priced.check("acme")

    looks = gc.get_stats()[0]["collections"]
    with looking_once():
        await asyncio.gather(*[ask() for _ in range(AT_ONCE)])
        looked = gc.get_stats()[0]["collections"] - looks
        gc.collect(0)
        missed = gc.collect(1)
    assert looked > 3
    assert missed < CALLS // 10, missed


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_call_that_fails_leaves_no_frames(priced: Served, streamed: bool):
    """gRPC's context keeps what is raised, and no frame of ours that it came through the context:
    all of it goes at once, but for gRPC's own look for the handler."""

    async def fail() -> None:
        with suppress(grpc.aio.AioRpcError):
            if streamed:
                watching = WatchRequest(tenant=TENANT, accounts=["nobody"])
                async for _ in priced.balances.Watch(watching):
                    raise AssertionError("nobody has no balance")
            else:
                await priced.decisions.GetHold(GetHoldRequest(tenant=TENANT, hold_id="nothing"))

    await fail()
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        for _ in range(20):
            await fail()
        gc.collect()
        found = Counter(type(each).__name__ for each in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
    assert found["AbortError"] == found["frame"] == found["RPCState"] == 0, found
