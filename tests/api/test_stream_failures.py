"""A stream whose shard fails under it, and advice among what is recorded: every item is answered,
in its turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from ledger.api.decide_stream import ITEMS_MAX, MESSAGE_ITEMS_MAX
from ledger.journal.memory import AppendFault
from ledger.journal.protocol import JournalRow
from ledger.journal.storage import MemoryStorage
from ledger.v1 import decision_pb2 as pb
from tests.api.cluster import cluster
from tests.api.served import Served, SystemClock, served, servicer_of, work
from tests.api.test_decide_stream import COST, NoCall, Stream, debit
from tests.patience import HANGS_S

DENY = pb.DECISION_DENY


class Stuck:
    """A journal that can be held up, and then fail."""

    def __init__(self) -> None:
        self.going = asyncio.Event()
        self.going.set()
        self.held_up = asyncio.Event()
        self.fails = False

    async def pause(self) -> None:
        if not self.going.is_set():
            self.held_up.set()
        await self.going.wait()
        await asyncio.sleep(0)

    def fault(self, _: JournalRow) -> AppendFault | None:
        return AppendFault.UNAVAILABLE if self.fails else None


async def test_all_that_waits_for_a_shard_that_fails_is_answered():
    """Two small tickets are in flight, and as much as may be unanswered waits behind them."""
    stuck = Stuck()
    clock = SystemClock()
    storage = MemoryStorage(clock.now_us, 1, pause=stuck.pause, on_append=stuck.fault)
    async with served(storage, clock) as caller:
        await caller.priced()
        await caller.account("acme")
        await caller.grant("acme", 2_000 * COST)

        async def requests() -> AsyncIterator[pb.DecideStreamRequest]:
            stuck.going.clear()
            yield pb.DecideStreamRequest(items=[debit(0, "acme")])
            await stuck.held_up.wait()  # the first ticket commits, and the second one fills
            yield pb.DecideStreamRequest(items=[debit(1, "acme")])
            await asyncio.sleep(0)
            for first in range(2, ITEMS_MAX, MESSAGE_ITEMS_MAX):
                numbers = range(first, min(first + MESSAGE_ITEMS_MAX, ITEMS_MAX))
                yield pb.DecideStreamRequest(items=[debit(number, "acme") for number in numbers])
            stuck.fails = True
            stuck.going.set()

        found: dict[int, pb.DecideReply] = {}
        async with asyncio.timeout(HANGS_S):
            async for reply in decide(caller, requests()):
                found |= {each.number: each for each in reply.replies}
        assert sorted(found) == list(range(ITEMS_MAX))
        assert {each.error.metadata["retryable"] for each in found.values()} == {"true"}


def decide(
    caller: Served, requests: AsyncIterator[pb.DecideStreamRequest]
) -> AsyncIterator[pb.DecideStreamResponse]:
    """A stream without a socket: what it has taken in is known."""
    replies: AsyncIterator[pb.DecideStreamResponse]
    replies = servicer_of(caller, "DecisionService").decide_stream(requests, NoCall())
    return replies


async def test_advice_comes_after_what_was_asked_before_it(priced: Served):
    """Nothing is left once what was sent before the question is paid for, however much waited."""
    await priced.account("acme")
    await priced.grant("acme", 200 * COST)
    stream = Stream(priced)
    await stream.send(*[debit(number, "acme") for number in range(50)])
    await stream.send(
        *[debit(number, "acme") for number in range(50, 200)],
        pb.DecideItem(number=200, check=pb.CheckRequest(**work("acme"))),
        pb.DecideItem(number=201, check=pb.CheckRequest(**work("nobody"))),
    )
    found = await stream.until(202)
    assert found[200].check.decision == DENY
    assert found[201].error.reason == "ACCOUNT_UNKNOWN"
    await stream.end()


async def test_advice_comes_after_what_another_server_was_asked_before_it():
    """Half of the accounts are the other server's."""
    shared = MemoryStorage(SystemClock().now_us, 4)
    names = [f"account-{number}" for number in range(8)]
    async with cluster([shared, shared]) as servers:
        await servers[0].priced()
        for name in names:
            await servers[0].account(name)
            await servers[0].grant(name, 3 * COST)
        stream = Stream(servers[0])
        for place, name in enumerate(names):
            items = [debit(10 * place + number, name) for number in range(3)]
            question = pb.DecideItem(number=10 * place + 9, check=pb.CheckRequest(**work(name)))
            await stream.send(*items, question)
        found = await stream.until(4 * len(names))
        answers = [found[10 * place + 9].check.decision for place in range(len(names))]
        assert answers == [DENY] * len(names)
        await stream.end()
