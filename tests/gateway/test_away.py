"""What gateways are told while the server of an account's shard is away, and what becomes of it.

`near` answers the gateway; `far` has the account, does not listen, and comes back. A token costs 3
minor units; the route estimates 100 of them.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from ledger.api.calls import Call, Detached
from ledger.api.server import LedgerServer
from ledger.auth.gateway_keys import GatewayKeys, MemoryGatewayKeys
from ledger.client.errors import SpoolFailed
from ledger.client.guarded import OpenBounds
from ledger.gateway import away, recording
from ledger.gateway.forward_auth import ForwardAuth
from ledger.gateway.let_in import SIGNED, LetIn, let_in_of
from ledger.gateway.open_spool import OpenSpool
from ledger.journal.storage import MemoryStorage
from ledger.v1 import decision_pb2, fail_mode_pb2, fail_mode_pb2_grpc, usage_pb2
from tests.api.cluster import cluster, member, until
from tests.api.served import Served, SystemClock
from tests.api.test_decide_stream import Stream
from tests.gateway.test_asking import (
    GRANTED,
    ROUTE,
    Asking,
    body_of,
    descriptor,
    headers_of,
    limited,
)
from tests.gateway.test_several_servers import own
from tests.patience import HANGS_S

OK, UNKNOWN, OVER = 1, 0, 2
BOUNDS = OpenBounds(calls=3, quantities={"input_tokens": 250})
MODES = fail_mode_pb2.FailMode


def capture(number: int, hold_id: str, used: int) -> decision_pb2.DecideItem:
    """One on a stream."""
    request = decision_pb2.CaptureRequest(
        tenant="default",
        request_id=f"c-{number}",
        hold_id=hold_id,
        quantities={"input_tokens": used},
    )
    return decision_pb2.DecideItem(number=number, capture=request)


def said_by(token: str) -> LetIn:
    """What it says, signed or not."""
    return let_in_of(token.partition(SIGNED)[0])


class Sides:
    """Two servers; the one that gateways ask has a spool."""

    def __init__(self, near: Served, far: Served, spool: OpenSpool) -> None:
        self.near, self.far = near, far
        self.spool = spool
        self.account = own(far)
        self.keys = MemoryGatewayKeys()
        self.told = Counter[str]()
        self.asking = Asking(near, asyncio.Event(), [])
        self._back: LedgerServer | None = None

    async def set(self, mode: int, product: str = "chat") -> None:
        stub = fail_mode_pb2_grpc.FailModeServiceStub(self.near.channel)
        await stub.SetFailMode(
            fail_mode_pb2.SetFailModeRequest(
                tenant="default", request_id=f"mode-{mode}", product=product, mode=mode
            )
        )

    async def goes(self) -> None:
        """The owner answers no more; it has its shards all the same."""
        await self.far.server.hang_up(0)

    async def comes_back(self, **options: Any) -> None:
        keeper = self.far.ledger.shards.keeper
        assert keeper is not None
        self._back = LedgerServer(self.far.ledger, gateway_keys=self.keys, **options)
        await self._back.listen(keeper.identity.address)
        await self._back.serve()

    async def ask(self, **headers: Any) -> Any:
        return await self.asking.check(self.asking.request(x_account=self.account, **headers))

    async def recorded(self) -> None:
        await until(lambda: not self.spool.kept)

    async def used(self) -> int:
        """Tokens charged at the account, once its server can be reached again."""
        async with asyncio.timeout(HANGS_S):
            while True:
                try:
                    return (GRANTED - await self.asking.available(self.account)) // 3
                except grpc.aio.AioRpcError as error:
                    if error.code() != grpc.StatusCode.UNAVAILABLE:
                        raise
                await asyncio.sleep(0.01)

    async def close(self) -> None:
        if self._back is not None:
            await self._back.stop(0)


@pytest.fixture
async def sides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sides]:
    monkeypatch.setattr(recording, "ROUND_S", 0.05)
    monkeypatch.setattr(away, "LOOK_S", HANGS_S)  # a busy machine looks for a name longer than that
    monkeypatch.setattr(away, "PATIENCE_S", HANGS_S)
    first = MemoryStorage(SystemClock().now_us, 4)
    told, keys = Counter[str](), MemoryGatewayKeys()
    spool = OpenSpool(tmp_path / "spool", BOUNDS)
    options = {
        "let_in": spool,
        "gateway_keys": keys,
        "count_away": lambda what: told.update([what]),
    }
    async with (
        member(first.seen_by_another(), "far") as far,
        member(first, "near", **options) as near,
    ):
        await until(lambda: len(near.ledger.owned) == len(far.ledger.owned) == 2)
        await until(lambda: own(far) != own(near))
        made = Sides(near, far, spool)
        made.told, made.keys = told, keys
        await near.priced()
        await far.account(made.account)
        await far.grant(made.account, GRANTED)
        assert (await made.ask()).status.code == 0  # the channel to the owner is there
        [held] = (
            await far.decisions.ListHolds(
                decision_pb2.ListHoldsRequest(tenant="default", account=made.account)
            )
        ).holds
        await far.decisions.Release(
            decision_pb2.ReleaseRequest(tenant="default", request_id="back", hold_id=held.hold_id)
        )
        try:
            yield made
        finally:
            await made.close()


async def test_a_product_without_a_mode_is_closed(sides: Sides) -> None:
    await sides.goes()
    reply = await sides.ask()
    assert body_of(reply) == (503, "LEDGER_UNAVAILABLE")
    headers = {each.header.key: each.header.value for each in reply.denied_response.headers}
    assert headers["x-drawdown-fail-mode"] == "closed"
    assert headers["x-drawdown-decided-by"] == "fail_closed"
    assert headers["retry-after"] == "1"
    said = json.loads(reply.denied_response.body)["error"]
    assert (said["fail_mode"], said["decided_by"]) == ("closed", "fail_closed")
    assert sides.told == {"LEDGER_UNAVAILABLE": 1}


async def test_lease_only_is_denied_for_a_gateway_holds_no_lease(sides: Sides) -> None:
    await sides.set(MODES.FAIL_MODE_LEASE_ONLY)
    await sides.goes()
    reply = await sides.ask()
    assert body_of(reply) == (503, "LEASE_INSUFFICIENT")
    said = json.loads(reply.denied_response.body)["error"]
    assert (said["fail_mode"], said["decided_by"]) == ("lease-only", "lease")


async def test_what_an_open_product_lets_in_is_recorded_once_with_what_it_used(
    sides: Sides,
) -> None:
    await sides.set(MODES.FAIL_MODE_OPEN)
    await sides.goes()
    request = sides.asking.request(x_account=sides.account)
    reply, again = await sides.asking.check(request), await sides.asking.check(request)
    assert reply == again  # Envoy asks twice: it runs once
    shown = headers_of(reply)
    assert shown["x-drawdown-decision"] == "ALLOW"
    assert shown["x-drawdown-fail-mode"] == reply.dynamic_metadata["fail_mode"] == "open"
    assert shown["x-drawdown-decided-by"] == reply.dynamic_metadata["decided_by"] == "fail_open"
    assert reply.dynamic_metadata["account"] == sides.account
    token = reply.dynamic_metadata["hold_id"]
    settled = await sides.asking.settle(descriptor(40, hold_id=token, account=sides.account))
    assert [each.code for each in settled.statuses] == [OK]
    assert settled.dynamic_metadata[token]["outcome"] == "KEPT"
    other = await sides.asking.settle(descriptor(41, hold_id=token))
    assert other.dynamic_metadata[token]["reason"] == "CONFLICT"
    await sides.comes_back()
    await sides.recorded()
    assert await sides.used() == 40
    later = await sides.asking.settle(descriptor(40, hold_id=token))  # told again, much later
    assert later.dynamic_metadata[token]["outcome"] == "KEPT"
    await sides.recorded()
    assert await sides.used() == 40
    assert sides.told["LET_IN"] == sides.told["RECORDED"] == 1
    assert sides.told["RECORDED_BEFORE"] == 1


async def test_the_usage_says_that_it_was_let_in(sides: Sides) -> None:
    await sides.set(MODES.FAIL_MODE_OPEN)
    await sides.goes()
    token = (await sides.ask(x_model="m")).dynamic_metadata["hold_id"]
    await sides.asking.settle(descriptor(40, hold_id=token))
    await sides.comes_back()
    await sides.recorded()
    found = await sides.near.usage.Get(
        usage_pb2.UsageServiceGetRequest(
            tenant="default", account=sides.account, source="gateway", id=said_by(token).key
        )
    )
    assert dict(found.entry.attributes) == {"decided_by": "fail_open"}


async def test_bounds_of_an_account_and_room_that_comes_back(sides: Sides) -> None:
    """250 tokens: two estimates of 100, the first of which used 10, then another; three calls."""
    await sides.set(MODES.FAIL_MODE_OPEN)
    await sides.goes()
    first, _ = await sides.ask(), await sides.ask()
    assert body_of(await sides.ask()) == (503, "FAIL_OPEN_BOUND")
    await sides.asking.settle(descriptor(10, hold_id=first.dynamic_metadata["hold_id"]))
    assert (await sides.ask()).status.code == 0
    assert body_of(await sides.ask()) == (503, "FAIL_OPEN_BOUND")
    await sides.comes_back()
    await until(lambda: sides.told["RECORDED"] == 1)


async def test_what_used_nothing_charges_nothing_and_its_estimate_never_comes(
    sides: Sides,
) -> None:
    await sides.set(MODES.FAIL_MODE_OPEN)
    await sides.goes()
    token = (await sides.ask()).dynamic_metadata["hold_id"]
    let_in = said_by(token)
    await sides.asking.settle(descriptor(0, hold_id=token))
    await sides.comes_back()
    await sides.recorded()
    assert sides.told["NOTHING_USED"] == 1
    unsettled = let_in._replace(until_us=0)  # as if another server had let it in
    assert await sides.spool.keep(unsettled, {"input_tokens": 100})
    await sides.recorded()
    assert sides.told["RECORDED_BEFORE"] == 1
    assert await sides.used() == 0


async def test_of_what_nobody_settles_the_estimate_is_recorded(sides: Sides) -> None:
    await sides.set(MODES.FAIL_MODE_OPEN)
    await sides.goes()
    route = ROUTE | {"lifetime_s": "1"}
    request = sides.asking.request(route=route, x_account=sides.account)
    token = (await sides.asking.check(request)).dynamic_metadata["hold_id"]
    await sides.comes_back()
    await sides.recorded()
    assert await sides.used() == 100
    await sides.asking.settle(descriptor(40, hold_id=token))  # too late: it is not charged twice
    await sides.recorded()
    assert (await sides.used(), sides.told["REFUSED"]) == (100, 1)


async def test_a_hold_that_the_unanswered_question_made_is_captured(
    sides: Sides, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The owner has recorded it and the answer is lost: it is not charged beside the usage."""
    await sides.set(MODES.FAIL_MODE_OPEN)
    answered = away.authorize

    async def lost(*asked: Any) -> Any:
        await answered(*asked)
        raise TimeoutError

    monkeypatch.setattr(away, "authorize", lost)
    token = (await sides.ask()).dynamic_metadata["hold_id"]
    assert token.startswith("open_")
    await sides.asking.settle(descriptor(40, hold_id=token))
    await sides.recorded()
    assert (await sides.used(), sides.told["CAPTURED"]) == (40, 1)


async def test_another_server_settles_what_this_one_let_in(sides: Sides) -> None:
    """Envoy balances: the settlement comes to whoever has no spool and never saw the request."""
    await sides.set(MODES.FAIL_MODE_OPEN)
    await sides.goes()
    token = (await sides.ask()).dynamic_metadata["hold_id"]
    unsettled = (await sides.ask()).dynamic_metadata["hold_id"]
    await sides.comes_back()
    back = sides._back
    assert back is not None

    async def told(token: str, used: int) -> str:
        call = Call(Detached(()), SystemClock(), None)
        settled = await back.settlements.settle("default", "", token, {"input_tokens": used}, call)
        return settled.became

    assert await told(token, 40) == "CAPTURED"
    assert await told(unsettled, 0) == "RELEASED"
    assert await sides.used() == 40


async def test_an_upstream_settles_it_as_it_settles_a_hold(sides: Sides) -> None:
    await sides.set(MODES.FAIL_MODE_OPEN)
    await sides.goes()
    shown = headers_of(await sides.ask())
    capture = decision_pb2.CaptureRequest(
        tenant="default",
        request_id="capture-1",
        hold_id=shown["x-drawdown-hold-id"],
        quantities={"input_tokens": 40},
    )
    assert (await sides.near.decisions.Capture(capture)).reason == "KEPT"
    assert (await sides.near.decisions.Capture(capture)).reason == "KEPT"
    capture.quantities["input_tokens"] = 41
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await sides.near.decisions.Capture(capture)
    assert failed.value.code() == grpc.StatusCode.ALREADY_EXISTS
    other = headers_of(await sides.ask())["x-drawdown-hold-id"]
    await sides.near.decisions.Release(
        decision_pb2.ReleaseRequest(tenant="default", request_id="release-1", hold_id=other)
    )
    await sides.comes_back()
    await sides.recorded()
    assert await sides.used() == 40
    assert (sides.told["RECORDED"], sides.told["NOTHING_USED"]) == (1, 1)


async def test_an_upstream_settles_it_on_a_stream_as_well(sides: Sides) -> None:
    """Also while the shard is away: its items wait for nobody there."""
    await sides.set(MODES.FAIL_MODE_OPEN)
    await sides.goes()
    used, unused = [headers_of(await sides.ask())["x-drawdown-hold-id"] for _ in range(2)]
    again = decision_pb2.CaptureRequest(
        tenant="default", request_id="c-2", hold_id=used, quantities={"input_tokens": 41}
    )
    stream = Stream(sides.near)
    await stream.send(
        capture(1, used, 40),
        decision_pb2.DecideItem(
            number=2,
            release=decision_pb2.ReleaseRequest(tenant="default", request_id="r-1", hold_id=unused),
        ),
    )
    replies = await stream.until(2)
    assert replies[1].capture.reason == "KEPT"
    assert replies[2].WhichOneof("reply") == "release"
    await stream.send(decision_pb2.DecideItem(number=3, capture=again), capture(4, "open_x", 1))
    replies = await stream.until(4)
    assert replies[3].error.reason == "CONFLICT"
    assert replies[4].error.reason == "HOLD_UNKNOWN"
    await stream.end()
    await sides.comes_back()
    await sides.recorded()
    assert await sides.used() == 40


async def test_a_token_that_is_none_or_another_accounts_settles_nothing(sides: Sides) -> None:
    keys = sides.near.server._gateway_keys
    foreign = GatewayKeys(MemoryGatewayKeys(), SystemClock())
    await foreign.learn()
    work = LetIn("default", sides.account, "chat", {}, "", "", "key", 1, 2)
    other = work._replace(tenant="other").token(keys)
    unsigned = work.token(keys).partition(SIGNED)[0]
    for token in ("open_x", "open_", "open_WzFd", other, unsigned, work.token(foreign)):
        reply = await sides.asking.settle(descriptor(1, hold_id=token))
        assert [each.code for each in reply.statuses] == [UNKNOWN]
        assert reply.dynamic_metadata[token]["reason"] == "HOLD_UNKNOWN"
    mine = work.token(keys)
    reply = await sides.asking.settle(descriptor(1, hold_id=mine, account="somebody"))
    assert reply.dynamic_metadata[mine]["reason"] == "HOLD_UNKNOWN"
    assert sides.spool.kept == 0


async def test_what_a_version_without_signatures_let_in_is_settled_from_the_disk(
    sides: Sides,
) -> None:
    """Its gateway hands back a token that is not signed: it is taken for that very work alone."""
    await sides.goes()
    work = LetIn("default", sides.account, "chat", {}, "", "", "key", 1, 2**62)
    assert await sides.spool.keep(work, {"input_tokens": 100}) is not None
    [token, changed] = [
        each.token(sides.near.server._gateway_keys).partition(SIGNED)[0]
        for each in (work, work._replace(began_us=2))
    ]
    reply = await sides.asking.settle(descriptor(40, hold_id=changed))
    assert reply.dynamic_metadata[changed]["reason"] == "HOLD_UNKNOWN"
    reply = await sides.asking.settle(descriptor(40, hold_id=token))
    assert reply.dynamic_metadata[token]["outcome"] == "KEPT"


async def test_an_account_that_nobody_knows_is_not_let_in(sides: Sides) -> None:
    await sides.set(MODES.FAIL_MODE_OPEN)
    await sides.goes()
    sides.account = "nobody"
    assert body_of(await sides.ask()) == (403, "ACCOUNT_UNKNOWN")


async def test_what_could_never_be_recorded_is_not_let_in(sides: Sides) -> None:
    """A shard that is away cannot say so: whoever sends it would work for nothing."""
    await sides.set(MODES.FAIL_MODE_OPEN)
    await sides.goes()
    route = ROUTE | {"attribute.model": "header:x-model"}
    request = sides.asking.request(route=route, x_account=sides.account, x_model="m" * 200)
    sides.near.server.answers._quiet = dict.fromkeys(range(4), float("inf"))  # nobody is asked
    status, _ = body_of(await sides.asking.check(request))
    assert status == 400


async def test_over_http_as_well(sides: Sides) -> None:
    await sides.set(MODES.FAIL_MODE_OPEN)
    await sides.goes()
    server = sides.near.server
    gateway = ForwardAuth(server.answers, server.routes)
    query = ROUTE | {"mode": "hold", "key": "header:x-request-id"}
    headers = {"x-account": sides.account, "x-request-id": "r-1"}
    call = Call(Detached(()), SystemClock(), None)
    reply = await gateway.answer(query, headers, call)
    assert reply.status == 200
    assert reply.headers["x-drawdown-decided-by"] == "fail_open"
    advice = await gateway.answer(ROUTE, headers, call)
    assert advice.status == 200
    assert advice.headers["x-drawdown-fail-mode"] == "open"
    for _ in range(BOUNDS.calls - 1):
        await gateway.answer(ROUTE, headers, call)
    assert (await gateway.answer(ROUTE, headers, call)).status == 503


def told_by(reply: Any) -> dict[str, str]:
    """Headers that a rate limit's answer gives the client."""
    return {each.key: each.value for each in reply.response_headers_to_add}


async def test_a_rate_limit_of_a_closed_product_is_over(sides: Sides) -> None:
    await sides.goes()
    for entries in ({}, {"request_id": ""}):
        reply = await sides.asking.settle(limited(10, account=sides.account, **entries))
        assert [each.code for each in reply.statuses] == [reply.overall_code] == [OVER]
        headers = told_by(reply)
        assert headers["x-drawdown-reason"] == "LEDGER_UNAVAILABLE"
        assert headers["x-drawdown-fail-mode"] == "closed"
        assert headers["retry-after"] == "1"
        assert json.loads(reply.raw_body)["error"]["code"] == "LEDGER_UNAVAILABLE"
    assert sides.told == {"LEDGER_UNAVAILABLE": 2}


async def test_a_rate_limit_that_holds_is_let_in_and_recorded_once(sides: Sides) -> None:
    """Two of 100 tokens are within the 250 of the bound; the third is over."""
    await sides.set(MODES.FAIL_MODE_OPEN)
    await sides.goes()
    part = limited(100, account=sides.account)
    first, again = await sides.asking.settle(part), await sides.asking.settle(part)
    assert first == again
    assert first.overall_code == OK
    assert told_by(first)["x-drawdown-decided-by"] == "fail_open"
    said = dict(first.dynamic_metadata)
    assert (said["fail_mode"], said["account"]) == ("open", sides.account)
    token = said["hold_id"]
    assert said_by(token).until_us > 0
    other = await sides.asking.settle(limited(100, "r-2", account=sides.account))
    assert other.overall_code == OK
    over = await sides.asking.settle(limited(100, "r-3", account=sides.account))
    assert over.overall_code == OVER
    assert told_by(over)["x-drawdown-reason"] == "FAIL_OPEN_BOUND"
    kept = await sides.asking.settle(descriptor(40, hold_id=token))
    assert kept.dynamic_metadata[token]["outcome"] == "KEPT"
    await sides.asking.settle(descriptor(0, hold_id=other.dynamic_metadata["hold_id"]))
    await sides.comes_back()
    await sides.recorded()
    assert await sides.used() == 40
    assert (sides.told["RECORDED"], sides.told["NOTHING_USED"]) == (1, 1)


async def test_a_rate_limit_that_advises_keeps_nothing(sides: Sides) -> None:
    await sides.set(MODES.FAIL_MODE_OPEN)
    await sides.goes()
    part = limited(100, request_id="", account=sides.account)
    for _ in range(BOUNDS.calls):
        reply = await sides.asking.settle(part)
        assert reply.overall_code == OK
        assert reply.dynamic_metadata["decided_by"] == "fail_open"
    reply = await sides.asking.settle(part)
    assert (reply.overall_code, told_by(reply)["x-drawdown-fail-mode"]) == (OVER, "open")
    assert sides.told == {"ADVISED": 3, "FAIL_OPEN_BOUND": 1}
    assert sides.spool.kept == 0


async def test_a_spool_that_is_opened_again_knows_what_is_not_recorded(tmp_path: Path) -> None:
    def one(number: int) -> LetIn:
        return LetIn("default", "acme", "chat", {"a": "b"}, "", "", f"key-{number}", 5, 6)

    spool = OpenSpool(tmp_path, OpenBounds())
    kept = [await spool.keep(one(number), {"input_tokens": number + 1}) for number in range(4)]
    assert all(kept)
    await spool.say_used(one(1), {"input_tokens": 7})
    await spool.done(kept[0])  # type: ignore[arg-type]
    await spool.close()
    again = OpenSpool(tmp_path, OpenBounds())
    assert again.kept == 4  # one segment: that one of it is done is not on the disk
    entry = again.entry("default", "key-1")
    assert entry is not None
    assert (entry.used, entry.estimate) == ({"input_tokens": 7}, {"input_tokens": 2})
    for number in range(4):
        found = again.entry("default", f"key-{number}")
        assert found is not None
        await again.done(found)
    assert (again.kept, again.bytes) == (0, 0)
    await again.close()
    assert [name for name in os.listdir(tmp_path) if name.endswith(".spool")] == []


async def test_one_key_that_comes_twice_at_once_is_kept_once(tmp_path: Path) -> None:
    """Else one of the two counts for its account, and stays on the disk, for ever."""
    spool = OpenSpool(tmp_path, BOUNDS)
    work = LetIn("default", "acme", "chat", {}, "", "", "key", 1, 2)
    both = await asyncio.gather(*[spool.keep(work, {"input_tokens": 1}) for _ in range(2)])
    [entry] = [each for each in both if each is not None]
    assert await spool.keep(work, {"input_tokens": 1}) is entry
    assert (spool.kept, spool.running) == (1, 1)
    await spool.done(entry)
    assert (spool.kept, spool.running, spool.bytes) == (0, 0, 0)
    await spool.close()


async def test_what_is_said_twice_at_once_is_answered_once_it_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = OpenSpool(tmp_path, BOUNDS)
    work = LetIn("default", "acme", "chat", {}, "", "", "key", 1, 2)
    assert await spool.keep(work, {"input_tokens": 1})
    syncing, goes_on, sync = threading.Event(), threading.Event(), os.fsync

    def held_up(file: int) -> None:
        syncing.set()
        assert goes_on.wait(HANGS_S)
        sync(file)

    monkeypatch.setattr(os, "fsync", held_up)
    both = [asyncio.create_task(spool.say_used(work, {"input_tokens": 1})) for _ in range(2)]
    assert await asyncio.to_thread(syncing.wait, HANGS_S)
    for _ in range(10):
        await asyncio.sleep(0)
    assert not any(each.done() for each in both)
    goes_on.set()
    [entry, same] = await asyncio.gather(*both)
    assert entry is same
    await spool.close()


async def test_what_nobody_saw_fail_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever said it first had gone as the disk failed."""
    spool = OpenSpool(tmp_path, BOUNDS)
    work = LetIn("default", "acme", "chat", {}, "", "", "key", 1, 2)
    assert await spool.keep(work, {"input_tokens": 1})
    syncing, goes_on = threading.Event(), threading.Event()

    def failing(file: int) -> None:
        syncing.set()
        assert goes_on.wait(HANGS_S)
        raise OSError("no disk")

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(os, "fsync", failing)
        first = asyncio.create_task(spool.say_used(work, {"input_tokens": 1}))
        assert await asyncio.to_thread(syncing.wait, HANGS_S)
        first.cancel()
        await asyncio.wait({first})
        second = asyncio.create_task(spool.say_used(work, {"input_tokens": 1}))
        await asyncio.sleep(0)
        goes_on.set()
        with pytest.raises(SpoolFailed):
            await second
    await spool.say_used(work, {"input_tokens": 1})
    await spool.close()
    again = OpenSpool(tmp_path, BOUNDS)
    entry = again.entry("default", "key")
    assert entry is not None
    assert entry.used == {"input_tokens": 1}
    await again.close()


async def test_no_more_than_the_disks_share_is_let_in(tmp_path: Path) -> None:
    """Room for what runs is kept free for what it will have used."""
    spool = OpenSpool(tmp_path, OpenBounds(calls=10_000), bytes_max=4_000)
    let_in = []
    for number in range(100):
        one = LetIn("default", "acme", "chat", {}, "", "", f"key-{number}", 5, 6)
        if await spool.keep(one, {"input_tokens": 100}) is None:
            break
        let_in.append(one)
    assert 3 <= len(let_in) < 20
    for one in let_in:
        await spool.say_used(one, {"input_tokens": 100, "output_tokens": 100})
    await spool.close()


async def test_without_a_spool_nothing_is_let_in(tmp_path: Path) -> None:
    first = MemoryStorage(SystemClock().now_us, 4)
    async with cluster([first, first.seen_by_another()]) as [near, far]:
        await near.priced()
        account = own(far)
        await far.account(account)
        unused = OpenSpool(tmp_path, BOUNDS)  # the server has none
        sides = Sides(near, far, unused)
        await sides.set(MODES.FAIL_MODE_OPEN)
        await sides.goes()
        assert body_of(await sides.ask()) == (503, "FAIL_OPEN_BOUND")
        await unused.close()


async def test_a_server_without_a_shard_goes_by_the_modes_it_knows_while_the_database_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looks for new ones, and waits no longer for them than for an account's name."""
    monkeypatch.setattr(away, "AGAIN_S", 0.0)
    storage = MemoryStorage(SystemClock().now_us, 1)
    spool = OpenSpool(tmp_path / "spool", BOUNDS)
    async with (
        member(storage.seen_by_another(), "far") as far,
        member(storage, "near", let_in=spool) as near,
    ):
        assert not near.ledger.owned
        await near.priced()
        sides = Sides(near, far, spool)
        await far.account(sides.account)
        await far.grant(sides.account, GRANTED)
        assert (await sides.ask()).status.code == 0
        await sides.set(MODES.FAIL_MODE_OPEN)
        assert (await sides.ask()).status.code == 0

        async def hangs(*_: Any) -> Any:
            await asyncio.Event().wait()

        monkeypatch.setattr(storage.configuration, "read", hangs)
        await sides.goes()
        async with asyncio.timeout(HANGS_S):
            reply = await sides.ask()
        assert (reply.status.code, reply.dynamic_metadata["fail_mode"]) == (0, "open")


async def test_what_nobody_waited_for_any_more_does_not_run_and_charges_nothing(
    tmp_path: Path,
) -> None:
    """The gateway's time is over while its request is being synced."""
    spool = OpenSpool(tmp_path, OpenBounds())
    one = LetIn("default", "acme", "chat", {}, "", "", "key", 5, 6)
    keeping = asyncio.ensure_future(spool.keep(one, {"input_tokens": 100}))
    await asyncio.sleep(0)
    keeping.cancel()
    await asyncio.wait([keeping])
    assert keeping.cancelled()
    await spool.close()
    again = OpenSpool(tmp_path, OpenBounds())
    entry = again.entry("default", "key")
    assert entry is not None
    assert entry.used == {}
    assert (again.kept, again.running) == (1, 0)
    await again.close()
