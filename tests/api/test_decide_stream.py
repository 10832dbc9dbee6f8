"""Many decisions on one stream: each answered by its number, in order an account, bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc
import pytest

from ledger.api import decide_stream
from ledger.api.decide_stream import ITEMS_MAX, MESSAGE_ITEMS_MAX
from ledger.journal.storage import MemoryStorage
from ledger.v1 import budget_pb2, types_pb2
from ledger.v1 import decision_pb2 as pb
from ledger.v1.decision_pb2_grpc import DecisionServiceStub
from tests.api.cluster import cluster
from tests.api.served import TENANT, Served, SystemClock, refused, servicer_of, work
from tests.patience import HANGS_S

ALLOW, DENY = pb.DECISION_ALLOW, pb.DECISION_DENY
COST = 600  # of 100 input and 20 output tokens


class Stream:
    """One stream as a caller has it: items out, answers by number in the order of their coming."""

    def __init__(self, served: Served, channel: grpc.aio.Channel | None = None) -> None:
        stub = served.decisions if channel is None else DecisionServiceStub(channel)
        self.call = stub.DecideStream()
        self.came: list[pb.DecideReply] = []

    async def send(self, *items: pb.DecideItem) -> None:
        await self.call.write(pb.DecideStreamRequest(items=items))

    async def until(self, count: int) -> dict[int, pb.DecideReply]:
        """The answers, once so many have come."""
        async with asyncio.timeout(HANGS_S):
            while len(self.came) < count:
                reply = await self.call.read()
                assert reply is not grpc.aio.EOF, self.came
                assert 1 <= len(reply.replies) <= MESSAGE_ITEMS_MAX
                self.came += reply.replies
        assert len(self.came) == count
        return {each.number: each for each in self.came}

    async def end(self) -> None:
        await self.call.done_writing()
        async with asyncio.timeout(HANGS_S):
            assert await self.call.read() is grpc.aio.EOF
            assert await self.call.code() == grpc.StatusCode.OK


def authorize(number: int, account: str, request_id: str = "", **changes: Any) -> pb.DecideItem:
    fields = {**work(account), "request_id": request_id or f"a{number}", **changes}
    return pb.DecideItem(number=number, authorize=pb.AuthorizeRequest(**fields))


def debit(number: int, account: str, request_id: str = "", **changes: Any) -> pb.DecideItem:
    fields = {**work(account), "request_id": request_id or f"d{number}", **changes}
    return pb.DecideItem(number=number, debit=pb.DebitRequest(**fields))


def capture(number: int, hold_id: str) -> pb.DecideItem:
    request = pb.CaptureRequest(
        tenant=TENANT,
        request_id=f"c{number}",
        hold_id=hold_id,
        quantities={"input_tokens": 100, "output_tokens": 20},
    )
    return pb.DecideItem(number=number, capture=request)


async def test_each_kind_is_answered_as_its_single_call_is(priced: Served):
    await priced.account("acme")
    await priced.grant("acme", 10 * COST)
    stream = Stream(priced)
    await stream.send(
        pb.DecideItem(number=7, check=pb.CheckRequest(**work("acme"))),
        authorize(8, "acme"),
        authorize(9, "acme"),
        debit(10, "acme"),
        debit(11, "acme", quantities={"output_tokens": 1_000_000}),
    )
    found = await stream.until(5)
    assert (found[7].check.decision, found[7].check.charge) == (ALLOW, COST)
    assert [found[n].authorize.decision for n in (8, 9)] == [ALLOW, ALLOW]
    assert found[8].authorize.hold_state == types_pb2.HOLD_STATE_OPEN
    assert (found[10].debit.decision, found[10].debit.charge) == (ALLOW, COST)
    assert (found[11].debit.decision, found[11].debit.limit.left) == (DENY, 7 * COST)
    first, second = found[8].authorize.hold_id, found[9].authorize.hold_id
    again = pb.ExtendRequest(tenant=TENANT, request_id="e", hold_id=second, lifetime_us=60_000_000)
    back = pb.ReleaseRequest(tenant=TENANT, request_id="r", hold_id=second)
    await stream.send(
        capture(1, first),
        pb.DecideItem(number=2, extend=again),
        pb.DecideItem(number=3, release=back),
        capture(4, first),
    )
    found = await stream.until(9)
    assert (found[1].capture.charge, found[1].capture.released) == (COST, 0)
    assert found[2].extend.expires_at_us
    assert found[3].release.released == COST
    assert found[4].error.reason == "HOLD_SETTLED"
    await stream.end()
    assert (await priced.balance("acme")).available == str(8 * COST)


async def test_what_is_wrong_with_an_item_is_its_answer_and_the_stream_goes_on(priced: Served):
    await priced.account("acme")
    await priced.grant("acme", COST)
    stream = Stream(priced)
    await stream.send(
        authorize(1, "nobody"),
        pb.DecideItem(number=2),
        authorize(3, "acme", quantities={"input_tokens": -1}),
        authorize(4, "acme", request_id="same"),
        authorize(5, "acme", request_id="same"),
        authorize(6, "acme", request_id="same", lifetime_us=1),
        pb.DecideItem(number=7, check=pb.CheckRequest(**work("nobody"))),
        capture(8, "hold_of_nobody"),
    )
    found = await stream.until(8)
    assert found[1].error.reason == "ACCOUNT_UNKNOWN"
    assert found[1].error.code == grpc.StatusCode.NOT_FOUND.value[0]
    assert found[2].error.reason == "FIELD_REQUIRED"
    assert found[3].error.reason == "QUANTITY_INVALID"
    assert found[4].authorize.decision == found[5].authorize.decision == ALLOW
    assert (found[4].authorize.replayed, found[5].authorize.replayed) == (False, True)
    assert found[4].authorize.hold_id == found[5].authorize.hold_id
    assert found[6].error.reason == "CONFLICT"
    assert found[6].error.metadata["field"] == "lifetime_us"
    assert found[7].error.reason == "ACCOUNT_UNKNOWN"
    assert found[8].error.reason == "HOLD_UNKNOWN"
    await stream.end()


async def test_one_account_is_answered_in_order(priced: Served):
    """Of 90 debits over three accounts the first fifty of each are paid for, the rest denied."""
    for name in "abc":
        await priced.account(name)
        await priced.grant(name, 50 * COST)
    stream = Stream(priced)
    for number in range(0, 270, 9):
        await stream.send(*[debit(number + n, "abc"[(number + n) % 3]) for n in range(9)])
    await stream.until(270)
    for place in range(3):
        mine = [each for each in stream.came if each.number % 3 == place]
        assert [each.number for each in mine] == sorted(each.number for each in mine)
        assert [each.debit.decision for each in mine] == [ALLOW] * 50 + [DENY] * 40
    await stream.end()


async def test_200_items_under_three_nested_limits_get_what_is_affordable(priced: Served):
    """As single calls do: budgets of 90, 75 and 60 calls, and credits for 80."""
    await priced.account("acme")
    await priced.account("acme/team", parent="acme")
    await priced.account("acme/team/bot", parent="acme/team")
    await priced.grant("acme", 80 * COST, shared=True)
    for account, calls in (("acme", 90), ("acme/team", 75), ("acme/team/bot", 60)):
        await priced.budgets.Set(
            budget_pb2.BudgetServiceSetRequest(
                tenant=TENANT,
                request_id=priced.new_id(),
                account=account,
                budget=budget_pb2.Budget(
                    name="calls",
                    measure=budget_pb2.BUDGET_MEASURE_CHARGE,
                    asset="credit",
                    limit=calls * COST,
                    window=types_pb2.Window(kind=types_pb2.WINDOW_KIND_LIFETIME),
                ),
            )
        )
    streams = [Stream(priced) for _ in range(4)]

    async def ask(place: int, stream: Stream) -> list[pb.DecideReply]:
        first = place * 50
        await stream.send(*[authorize(first + n, "acme/team/bot") for n in range(50)])
        return list((await stream.until(50)).values())

    answers = await asyncio.gather(*[ask(n, stream) for n, stream in enumerate(streams)])
    decisions = [each.authorize.decision for some in answers for each in some]
    assert (decisions.count(ALLOW), decisions.count(DENY)) == (60, 140)
    for stream in streams:
        await stream.end()


async def test_what_waits_goes_as_one_and_is_answered_together(priced: Served):
    """600 items come in three messages: each shard gets few tickets, not one an item."""
    await priced.account("acme")
    await priced.grant("acme", 1_000 * COST)
    [shard] = {each.shard async for each in shards_of(priced, ["acme"])}
    writer = priced.ledger.writers[shard]
    accepted: list[int] = []
    accept = writer.accept

    def counted(commands: Any, *more: Any, **named: Any) -> Any:
        accepted.append(len(commands))
        return accept(commands, *more, **named)

    writer.accept = counted  # type: ignore[method-assign]
    stream = Stream(priced)
    for first in range(0, 600, 200):
        await stream.send(*[debit(first + n, "acme") for n in range(200)])
    await stream.until(600)
    await stream.end()
    assert sum(accepted) == 600
    assert len(accepted) <= 6


async def shards_of(served: Served, names: Iterable[str]) -> AsyncIterator[Any]:
    tenant = await served.server.edge.tenant(TENANT)
    for name in names:
        yield await served.server.edge.account(tenant, name)


async def test_a_reader_that_stalls_holds_up_no_more_than_its_own_stream(priced: Served):
    """Nothing is read back: the server takes so many items, and no more until answers are read."""
    await priced.account("acme")
    await priced.grant("acme", 100_000 * COST)
    small = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 16_384)]
    async with grpc.aio.insecure_channel(priced.address, small) as channel:
        stream = Stream(priced, channel)

        async def flood() -> None:
            for first in range(0, 8_000, 200):
                await stream.send(*[debit(first + n, "acme") for n in range(200)])

        flooding = asyncio.create_task(flood())
        before = -1
        while (now := await paid_for(priced, 100_000)) != before or not now:
            before = now
            await asyncio.sleep(0.5)
        other = await asyncio.wait_for(priced.debit("acme"), HANGS_S)
        assert other.decision == ALLOW
        assert before < 4_000
        async with asyncio.timeout(HANGS_S):
            while len(stream.came) < 8_000:
                stream.came += (await stream.call.read()).replies
        await flooding
        await stream.end()
    assert [each.number for each in stream.came] == list(range(8_000))
    assert await paid_for(priced, 100_000) == 8_001


async def paid_for(served: Served, granted: int) -> int:
    """Calls that were paid for, of credits for so many."""
    return granted - int((await served.balance("acme")).available) // COST


async def test_no_more_than_its_bound_is_unanswered(
    priced: Served, monkeypatch: pytest.MonkeyPatch
):
    """While no reply is taken, exactly so many items are recorded."""
    monkeypatch.setattr(decide_stream, "ITEMS_MAX", 40)
    await priced.account("acme")
    await priced.grant("acme", 1_000 * COST)

    async def requests() -> AsyncIterator[pb.DecideStreamRequest]:
        for first in range(0, 200, 20):
            items = [debit(first + n, "acme") for n in range(20)]
            yield pb.DecideStreamRequest(items=items)

    replies = servicer_of(priced, "DecisionService").decide_stream(requests(), NoCall())
    first = await anext(replies)
    answered = len(first.replies)
    async with asyncio.timeout(HANGS_S):
        while await paid_for(priced, 1_000) < 40:
            await asyncio.sleep(0)
    await asyncio.sleep(0.1)
    assert await paid_for(priced, 1_000) == 40
    async for reply in replies:
        answered += len(reply.replies)
    assert answered == 200


class NoCall:
    """Stands for the call of a servicer that is asked directly."""

    deadline_us = 0
    span = None
    trace = b""
    forwarded = False
    gate = None

    class principal:
        actor = ""
        accounts = ()

    async def let_in(self, method: str, request: Any) -> None:
        """Whoever asks."""


async def test_a_message_that_is_too_large_ends_the_stream(priced: Served):
    await priced.account("acme")
    stream = Stream(priced)
    await stream.send(*[debit(n, "acme") for n in range(MESSAGE_ITEMS_MAX + 1)])
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await stream.call.read()
    assert refused(failed.value).reason == "TOO_MANY"
    assert ITEMS_MAX >= MESSAGE_ITEMS_MAX


async def test_a_server_that_stops_answers_what_it_took(priced: Served):
    await priced.account("acme")
    await priced.grant("acme", 1_000 * COST)
    stream = Stream(priced)
    await stream.send(*[debit(n, "acme") for n in range(100)])
    found = await stream.until(100)
    priced.server.edge.closing.set()
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await asyncio.wait_for(stream.call.read(), HANGS_S)
    assert refused(failed.value).reason == "SHUTTING_DOWN"
    assert {each.debit.decision for each in found.values()} == {ALLOW}


async def test_items_of_another_server_are_decided_there_in_order():
    """Two servers: a stream at one is answered for accounts of both."""
    shared = MemoryStorage(SystemClock().now_us, 4)
    async with cluster([shared, shared]) as servers:
        first = servers[0]
        await first.priced()
        names = [f"account-{number}" for number in range(8)]
        for name in names:
            await first.account(name)
            await first.grant(name, 5 * COST)
        for server, tag in zip(servers, "xy", strict=True):
            stream = Stream(server)
            items = [debit(n, names[n % 8], f"{tag}{n}") for n in range(24 if tag == "x" else 40)]
            items.append(pb.DecideItem(number=99, check=pb.CheckRequest(**work(names[0]))))
            await stream.send(*items)
            found = await stream.until(len(items))
            assert found[99].check.decision in (ALLOW, DENY)
            for place in range(8):
                mine = [
                    each for each in stream.came if each.number % 8 == place and each.number < 99
                ]
                assert [each.number for each in mine] == sorted(each.number for each in mine)
                paid = 3 if tag == "x" else 2
                expected = [ALLOW] * paid + [DENY] * (len(mine) - paid)
                assert [each.debit.decision for each in mine] == expected
            await stream.end()
