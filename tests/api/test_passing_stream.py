"""What a stream at one server asks of accounts of another: it goes on as it came, on one stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from ledger.api import passing_stream
from ledger.api.calls import STATUS_DETAILS, Call, Detached
from ledger.api.errors import CallFailed
from ledger.api.passing_stream import STREAM_METHOD, Onward, Passages
from ledger.client.routing import family_shard
from ledger.engine.ticket import NotOwner
from ledger.journal.storage import MemoryStorage
from ledger.v1 import decision_pb2 as pb
from tests.api.cluster import cluster, is_open, until
from tests.api.served import TENANT, Served, SystemClock, work
from tests.api.test_decide_stream import ALLOW, COST, DENY, Stream, authorize, capture, debit
from tests.patience import HANGS_S

SHARDS = 4
DEBIT = STREAM_METHOD.replace("DecideStream", "Debit")


class Pair:
    """`near` is asked; `opened` are its streams to others, `counted` what it passed on."""

    def __init__(self, near: Served, far: Served, counted: list[tuple[str, str]]) -> None:
        self.near = near
        self.far = far
        self.counted = counted
        self.opened: list[Any] = []

    def note_streams(self, patch: pytest.MonkeyPatch) -> None:
        """Keep the streams that are opened from now on."""
        forwarder = self.near.server.forwarder
        open_ = forwarder.open

        async def noted(*asked: Any) -> Any:
            call = await open_(*asked)
            self.opened.append(call)
            return call

        patch.setattr(forwarder, "open", noted)

    async def accounts(self, owner: Served, count: int, credits: int) -> list[str]:
        """Accounts of an owner, with credits for so many calls each."""
        owned = owner.ledger.owned
        names = [f"{owner.address}-{n}".replace(":", "-") for n in range(100)]
        found = [name for name in names if family_shard(TENANT, name, SHARDS) in owned][:count]
        for name in found:
            await self.near.account(name)
            await self.near.grant(name, credits * COST)
        return found


@pytest.fixture
async def pair(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pair]:
    counted: list[tuple[str, str]] = []
    shared = MemoryStorage(SystemClock().now_us, SHARDS)

    def count(method: str, result: str) -> None:
        counted.append((method, result))

    async with cluster([shared, shared], count_forward=count) as (near, far):
        await near.priced()
        made = Pair(near, far, counted)
        made.note_streams(monkeypatch)
        yield made


async def test_all_that_an_owner_is_asked_goes_on_one_stream_in_order(pair: Pair):
    """A client's numbers may be any, and twice the same."""
    names = await pair.accounts(pair.far, 3, 100)
    stream = Stream(pair.near)
    for first in range(0, 600, 200):
        await stream.send(
            *[debit(n % 300, names[n % 3], f"d{n}") for n in range(first, first + 200)]
        )
    async with asyncio.timeout(HANGS_S):
        while len(stream.came) < 600:
            stream.came += (await stream.call.read()).replies
    for place in range(3):
        mine = [each for each in stream.came if each.number % 3 == place]
        assert [each.number for each in mine] == [*range(place, 300, 3)] * 2
        assert [each.debit.decision for each in mine] == [ALLOW] * 100 + [DENY] * 100
    await stream.end()
    assert len(pair.opened) == 1
    assert pair.counted.count((DEBIT, "OK")) == 600


async def test_every_kind_is_answered_there_and_advice_comes_after_what_was_asked(pair: Pair):
    [name] = await pair.accounts(pair.far, 1, 3)
    stream = Stream(pair.near)
    await stream.send(
        authorize(1, name),
        debit(2, name),
        debit(3, name),
        pb.DecideItem(number=4, check=pb.CheckRequest(**work(name))),
        authorize(5, "nobody"),
        debit(6, name, quantities={"input_tokens": -1}),
    )
    found = await stream.until(6)
    assert [found[2].debit.decision, found[3].debit.decision] == [ALLOW, ALLOW]
    assert found[4].check.decision == DENY
    assert found[5].error.reason == "ACCOUNT_UNKNOWN"
    assert found[6].error.reason == "QUANTITY_INVALID"
    hold = found[1].authorize.hold_id
    await stream.send(
        pb.DecideItem(
            number=7,
            extend=pb.ExtendRequest(
                tenant=TENANT, request_id="e", hold_id=hold, lifetime_us=60_000_000
            ),
        ),
        capture(8, hold),
        capture(9, hold),
    )
    found = await stream.until(9)
    assert found[7].extend.expires_at_us
    assert found[8].capture.charge == COST
    assert found[9].error.reason == "HOLD_SETTLED"
    await stream.end()
    assert len(pair.opened) == 1


async def test_a_stream_that_ends_or_breaks_leaves_no_other_behind(pair: Pair):
    [name] = await pair.accounts(pair.far, 1, 1_000)
    before = len(asyncio.all_tasks())
    for breaks in (False, True):
        stream = Stream(pair.near)
        await stream.send(*[debit(n, name, f"{breaks}{n}") for n in range(100)])
        if breaks:
            stream.call.cancel()
        else:
            await stream.until(100)
            await stream.end()
        await until(lambda: all(call.done() for call in pair.opened))
    await until(lambda: len(asyncio.all_tasks()) <= before)


async def test_a_new_stream_takes_over_in_order(pair: Pair, monkeypatch: pytest.MonkeyPatch):
    """Each is of use for a while; nothing overtakes what is on the one before."""
    monkeypatch.setattr(passing_stream, "PASSAGE_S", 0)
    names = await pair.accounts(pair.far, 2, 50)
    stream = Stream(pair.near)
    for first in range(0, 120, 8):
        await stream.send(*[debit(first + n, names[n % 2]) for n in range(8)])
    await stream.until(120)
    for place in range(2):
        mine = [each for each in stream.came if each.number % 2 == place]
        assert [each.number for each in mine] == list(range(place, 120, 2))
        assert [each.debit.decision for each in mine] == [ALLOW] * 50 + [DENY] * 10
    assert len(pair.opened) > 1
    await until(lambda: all(call.done() for call in pair.opened[:-1]))
    await stream.end()
    await until(lambda: all(call.done() for call in pair.opened))


async def test_what_is_asked_of_a_shard_that_has_come_here_waits_for_what_is_elsewhere(pair: Pair):
    [name] = await pair.accounts(pair.far, 1, 10)
    shard = family_shard(TENANT, name, SHARDS)
    came: list[pb.DecideReply] = []
    failed: list[int] = []
    again: list[Onward] = []
    ours: set[int] = set()
    passages = Passages(
        pair.near.server.forwarder,
        ours.__contains__,
        Call(Detached(()), SystemClock(), None),
        answered=came.append,
        failed=lambda number, _: failed.append(number),
        again=again.append,
    )
    first, *behind = [Onward(n, "debit", debit(n, name).debit, shard) for n in range(3)]
    passages.pass_on(first, NotOwner(shard, 0))
    ours.add(shard)
    for each in behind:
        passages.pass_on(each, NotOwner(shard, 0))
    assert passages.busy(shard)
    assert not failed
    await until(lambda: bool(again))
    assert [each.number for each in came] == [0]
    assert again == behind
    assert not passages.busy(shard)
    assert not failed
    await passages.close()


class Scripted:
    """A stream to an owner, as a test answers it; `asked`: what it has taken."""

    def __init__(self) -> None:
        self.asked: list[pb.DecideItem] = []
        self._said: asyncio.Queue[pb.DecideStreamResponse | Exception] = asyncio.Queue()

    async def opened(self, *_: Any) -> Scripted:
        return self

    async def write(self, message: pb.DecideStreamRequest) -> None:
        self.asked.extend(message.items)

    async def read(self) -> pb.DecideStreamResponse:
        said = await self._said.get()
        if isinstance(said, Exception):
            raise said
        return said

    def cancel(self) -> None:
        """Nobody is there."""

    def allow(self, number: int) -> None:
        """Answer what came as that item."""
        reply = pb.DecideReply(number=number, debit=pb.DebitResponse(decision=ALLOW))
        self._said.put_nowait(pb.DecideStreamResponse(replies=[reply]))

    def refuse(self, reason: str) -> None:
        """End the whole stream with a status of the ledger's."""
        status = CallFailed(reason, "not you").status()
        details = grpc.aio.Metadata((STATUS_DETAILS, status.SerializeToString()))
        error = grpc.aio.AioRpcError(
            CallFailed(reason, "").code, grpc.aio.Metadata(), details, "not you"
        )
        self._said.put_nowait(error)


@pytest.fixture
def scripted(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> Scripted:
    """Stands for what `near` opens to its only peer, which counts as living."""
    made = Scripted()
    monkeypatch.setattr(pair.near.server.forwarder, "open", made.opened)
    monkeypatch.setattr(pair.near.server.forwarder, "lives", lambda _: True)
    return made


async def test_advice_waits_for_what_was_asked_before_its_shard_came_here(
    pair: Pair, scripted: Scripted
):
    """Then it is of the state here, which has all of it."""
    [name] = await pair.accounts(pair.far, 1, 10)
    [mine] = await pair.accounts(pair.near, 1, 10)
    stream = Stream(pair.near)
    await stream.send(debit(1, name))
    await until(lambda: len(scripted.asked) == 1)
    pair.far.ledger.shards.leave()
    await until(lambda: len(pair.near.ledger.owned) == SHARDS)
    await until(lambda: is_open(pair.near))
    advice = pb.CheckRequest(**work(name))
    await stream.send(pb.DecideItem(number=2, check=advice))
    for number in (3, 4):  # what is behind it goes on meanwhile
        own = pb.CheckRequest(**work(mine))
        await stream.send(pb.DecideItem(number=number, check=own))
        await stream.until(number - 2)
    assert [each.number for each in stream.came] == [3, 4]
    scripted.allow(scripted.asked[0].number)
    found = await stream.until(4)
    assert [each.number for each in stream.came] == [3, 4, 1, 2]
    assert found[1].debit.decision == ALLOW
    assert (found[2].check.decision, found[2].check.charge) == (ALLOW, COST)
    await stream.end()


@pytest.mark.parametrize(
    ("reason", "answers", "debited", "advised"),
    [
        ("NOT_PERMITTED", 0, "NOT_PERMITTED", "NOT_PERMITTED"),
        ("NOT_PERMITTED", 1, "OUTCOME_UNKNOWN", "OWNER_UNREACHABLE"),
        ("SHUTTING_DOWN", 0, "OUTCOME_UNKNOWN", "OWNER_UNREACHABLE"),
    ],
)
async def test_a_whole_stream_that_is_refused(
    pair: Pair, scripted: Scripted, reason: str, answers: int, debited: str, advised: str
):
    """Before any answer nothing of it was taken, which is said; later nobody can say so, nor of an
    owner that stops, which may have taken what it had."""
    [name] = await pair.accounts(pair.far, 1, 10)
    stream = Stream(pair.near)
    await stream.send(*[debit(number, name) for number in range(answers + 2)])
    await until(lambda: len(scripted.asked) == answers + 2)
    await stream.send(pb.DecideItem(number=9, check=pb.CheckRequest(**work(name))))
    await until(lambda: len(scripted.asked) == answers + 3)
    for each in scripted.asked[:answers]:
        scripted.allow(each.number)
    found = await stream.until(answers)
    assert {each.debit.decision for each in found.values()} <= {ALLOW}
    scripted.refuse(reason)
    found = await stream.until(answers + 3)
    assert {found[number].error.reason for number in (answers, answers + 1)} == {debited}
    assert found[9].error.reason == advised
    assert reason in found[answers].error.message or reason == debited
    await stream.end()


async def test_an_owner_that_stops_leaves_nothing_unsaid(pair: Pair):
    """What it took is answered; of what is not, nobody says that it was not recorded."""
    [name] = await pair.accounts(pair.far, 1, 1_000)
    stream = Stream(pair.near)
    await stream.send(*[debit(n, name) for n in range(100)])
    await stream.until(100)
    pair.far.server.edge.closing.set()
    await until(lambda: all(call.done() for call in pair.opened))
    await stream.send(*[debit(100 + n, name) for n in range(100)])
    found = await stream.until(200)
    said = {each.error.reason for each in found.values()}
    assert said <= {"", "SHUTTING_DOWN", "OUTCOME_UNKNOWN", "OWNER_UNREACHABLE"}
    assert {found[n].debit.decision for n in range(100)} == {ALLOW}
    await stream.end()


async def test_what_cannot_be_reached_was_certainly_not_recorded(pair: Pair):
    [name] = await pair.accounts(pair.far, 1, 1_000)
    [mine] = await pair.accounts(pair.near, 1, 1_000)
    await pair.near.server.forwarder.close()
    await pair.far.server.stop(0)
    stream = Stream(pair.near)
    await stream.send(*[debit(n, name if n % 2 else mine) for n in range(100)])
    found = await stream.until(100)
    assert {found[n].error.reason for n in range(1, 100, 2)} == {"OWNER_UNREACHABLE"}
    assert {found[n].error.code for n in range(1, 100, 2)} == {grpc.StatusCode.UNAVAILABLE.value[0]}
    assert {found[n].debit.decision for n in range(0, 100, 2)} == {ALLOW}
    await stream.end()


async def test_shards_that_change_hands_amid_a_stream(pair: Pair):
    """The far server hands over all it has: each debit is paid for once, or may be sent again."""
    names = await pair.accounts(pair.far, 2, 10_000)
    stream, paid = Stream(pair.near), 0
    for first in range(0, 4_000, 100):
        await stream.send(*[debit(first + n, names[n % 2]) for n in range(100)])
        await stream.until(first + 100)
        if first == 1_000:
            pair.far.ledger.shards.leave()
        if first == 3_000:
            await until(lambda: len(pair.near.ledger.owned) == SHARDS)
        elif first > 1_000 and len(pair.near.ledger.owned) < SHARDS:
            await asyncio.sleep(0.05)
    assert len(pair.near.ledger.owned) == SHARDS
    for each in stream.came:
        if each.WhichOneof("reply") == "debit":
            paid += 1
        else:
            assert each.error.metadata["retryable"] == "true", each
    await stream.end()
    left = [int((await pair.near.balance(name)).available) for name in names]
    assert sum(left) == (20_000 - paid) * COST
