"""Any server of a ledger answers a gateway, whoever has the account: Envoy balances over them all.

`near` has none of `far`'s families. An input token costs 3 minor units, a route's 100 hold 300.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from ledger.api.calls import Call, Detached
from ledger.client.routing import family_shard
from ledger.gateway.cloud_events import PLAIN, CloudEvents
from ledger.journal.storage import MemoryStorage
from rating.v1 import meter_pb2
from tests.api.cluster import cluster
from tests.api.served import Served, SystemClock
from tests.gateway.test_asking import GRANTED, HELD, Asking, descriptor
from tests.gateway.test_http import EVENT_CHARGE, METERS, event

OK = 1


def own(served: Served, stem: str = "team") -> str:
    """An account whose family that server has."""
    names = (f"{stem}-{number}" for number in range(10_000))
    return next(name for name in names if family_shard("default", name, 4) in served.ledger.owned)


@pytest.fixture
async def sides() -> AsyncIterator[tuple[Served, Served]]:
    first = MemoryStorage(SystemClock().now_us, 4)
    async with cluster([first, first.seen_by_another()]) as [near, far]:
        await near.priced()
        for side in (near, far):
            await near.account(own(side))
            await near.grant(own(side), GRANTED)
        yield near, far


async def test_a_question_and_its_settlement_go_to_whoever_has_the_account(
    sides: tuple[Served, Served],
) -> None:
    near, far = sides
    asking = Asking(near, asyncio.Event(), [])
    holds = {}
    for side in sides:
        request = asking.request(x_account=own(side))
        first, again = await asking.check(request), await asking.check(request)
        assert first == again
        assert first.dynamic_metadata["account"] == own(side)
        holds[own(side)] = first.dynamic_metadata["hold_id"]
        assert await asking.available(own(side)) == GRANTED - HELD
    reply = await asking.settle(
        *[descriptor(10, hold_id=hold, account=account) for account, hold in holds.items()]
    )
    assert [status.code for status in reply.statuses] == [OK, OK]
    assert {reply.dynamic_metadata[hold]["outcome"] for hold in holds.values()} == {"CAPTURED"}
    told_again = await Asking(far, asyncio.Event(), []).settle(
        *[descriptor(10, hold_id=hold) for hold in holds.values()]
    )
    assert all(told_again.dynamic_metadata[hold]["replayed"] for hold in holds.values())
    for side in sides:
        assert await asking.available(own(side)) == GRANTED - 30


async def test_events_of_a_batch_go_each_to_its_own(sides: tuple[Served, Served]) -> None:
    near, _ = sides
    await near.meters.PublishMeters(
        meter_pb2.PublishMetersRequest(
            tenant="default", request_id="m", meters=meter_pb2.MeterSet(rules=METERS)
        )
    )
    events = CloudEvents(near.server.inside, "default")
    batch = [event(number, subject=own(side)) for number, side in enumerate(sides)]
    told = await events.answer(
        PLAIN, json.dumps(batch).encode(), "", True, Call(Detached(()), SystemClock(), None)
    )
    assert told.status == 200, told.body
    asking = Asking(near, asyncio.Event(), [])
    for side in sides:
        assert await asking.available(own(side)) == GRANTED - EVENT_CHARGE
