"""A real Envoy, a server that it asks, and another one that has the account and is stopped or dies.

Promise: an open product goes on; every request that ran is charged once, with what its answer said,
also when the server that let it in is killed before it could record anything.
"""

from __future__ import annotations

import asyncio
import signal
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from ledger.client.routing import family_shard
from ledger.v1 import journal_pb2, journal_pb2_grpc
from ledger.v1.fail_mode_pb2 import FAIL_MODE_OPEN
from ledger.verify import verify
from tests.crash.processes import ServerProcess, lapse
from tests.gateway.front import Caller, Front, configuration
from tests.gateway.test_kill import GRANTED, Traffic
from tests.patience import HANGS_S

TERM = "--lease-term-ms=60000"  # it is over when a test says so
USED = 100  # minor units of a request: 10 tokens out
WHILE_STOPPED = 12
LIMITED = 4
SENDERS = 4


class Pair:
    """Envoy asks `front.server`; `far` has the account."""

    def __init__(self, front: Front, far: ServerProcess) -> None:
        self.front = front
        self.far = far

    async def lapsed(self, server: ServerProcess) -> None:
        """The leases of one that was killed are over."""
        await asyncio.to_thread(lapse, self.front.dsn, server.address)

    async def account(self, caller: Caller) -> str:
        """One of the other server's, once both have their share."""
        async with asyncio.timeout(HANGS_S):
            while True:
                theirs = await self._theirs()
                if len(theirs) == 2:
                    break
                await asyncio.sleep(0.1)
        names = (f"team-{number}" for number in range(1_000))
        name = next(name for name in names if family_shard("default", name, 4) in theirs)
        return await caller.account(name, GRANTED)

    async def _theirs(self) -> list[int]:
        async with grpc.aio.insecure_channel(self.front.server.address) as channel:
            reply = await journal_pb2_grpc.JournalServiceStub(channel).GetRouting(
                journal_pb2.GetRoutingRequest(tenant="default")
            )
        addresses = [route.address for route in reply.shards]
        return [shard for shard, address in enumerate(addresses) if address == self.far.address]

    async def reached(self, caller: Caller, account: str) -> int:
        """Requests until the owner decided one, as it does at once but on a busy machine; each ran
        and is settled."""
        asked, decided_here = 0, True
        async with asyncio.timeout(HANGS_S):
            while decided_here:
                reply = await caller.ask(account, x_say_output=10)
                assert reply.status_code == 200
                asked += 1
                if decided_here := "x-drawdown-decided-by" in reply.headers:
                    await asyncio.sleep(0.2)
        await self.charged(caller, account, USED * asked)
        return asked

    def figure(self, name: str) -> int:
        """One of the metrics of the server that Envoy asks, all its labels together."""
        with urllib.request.urlopen(f"http://{self.front.server.metrics}/metrics") as reply:
            lines = reply.read().decode().splitlines()
        return sum(int(float(line.rpartition(" ")[2])) for line in lines if line.startswith(name))

    async def kept(self, ended: int) -> None:
        """Return when so many are on the disk with what they used, and no others."""
        async with asyncio.timeout(HANGS_S):
            while await asyncio.to_thread(self._let_in) != (0, ended):
                await asyncio.sleep(0.1)

    def _let_in(self) -> tuple[int, int]:
        states = ("running", "ended")
        running, ended = (self.figure(f'drawdown_gateway_let_in{{state="{s}"}}') for s in states)
        return running, ended

    async def charged(self, caller: Caller, account: str, amount: int) -> None:
        """Return when exactly that is charged and nothing is held or kept any more."""
        await self.kept(0)
        async with asyncio.timeout(HANGS_S):
            while await caller.holds(account):
                await asyncio.sleep(0.1)
            while GRANTED - await caller.available(account) < amount:
                await asyncio.sleep(0.1)
        assert GRANTED - await caller.available(account) == amount


@pytest.fixture
async def pair(database: str, tmp_path: Path) -> AsyncIterator[Pair]:
    front = await asyncio.to_thread(
        Front, database, tmp_path, TERM, gateway_spool=tmp_path / "spool"
    )
    far = ServerProcess(database, tmp_path / "far.log", TERM)
    try:
        front.server.start()
        await front.server.ready()
        far.start()
        await far.ready()
        await asyncio.to_thread(front.start_envoy, configuration(front.ports))
        yield Pair(front, far)
    finally:
        if far.running:
            far.kill()
        await asyncio.to_thread(front.stop)
    report = await verify(database)
    assert report.ok, report.findings


async def test_the_owner_stops_and_whoever_let_requests_in_is_killed(pair: Pair) -> None:
    async with pair.front.caller() as caller:
        await caller.prices()
        await caller.ledger.set_fail_mode("chat", FAIL_MODE_OPEN)
        account = await pair.account(caller)
        before = await pair.reached(caller, account)
        pair.far.signal(signal.SIGSTOP)
        decided = []
        for _ in range(WHILE_STOPPED):
            reply = await caller.ask(account, x_answer="stream", x_say_output=10)
            assert reply.status_code == 200
            decided.append(reply.headers["x-drawdown-decided-by"])
            assert reply.headers["x-drawdown-fail-mode"] == "open"
        for _ in range(LIMITED):  # where the rate limit is the check itself
            reply = await caller.ask(account, "/limit/x", x_say_output=10)
            assert reply.status_code == 200, reply.text
            decided.append(reply.headers["x-drawdown-decided-by"])
        assert set(decided) == {"fail_open"}
        reply = await caller.ask(account, "/look/x")  # advice by both filters: the second says so
        assert (reply.status_code, reply.headers["x-drawdown-fail-mode"]) == (200, "open")
        await pair.kept(WHILE_STOPPED + LIMITED)
        pair.front.server.kill()
        pair.far.kill()
        await pair.lapsed(pair.far)
        pair.front.server.start()
        await pair.front.server.ready()
        await pair.charged(caller, account, USED * (before + WHILE_STOPPED + LIMITED))


async def test_the_owner_is_killed_amid_traffic(pair: Pair) -> None:
    async with pair.front.caller() as caller:
        await caller.prices()
        await caller.ledger.set_fail_mode("chat", FAIL_MODE_OPEN)
        account = await pair.account(caller)
        traffic = Traffic(caller, account)
        senders = [asyncio.create_task(traffic.sender(number)) for number in range(SENDERS)]
        async with asyncio.timeout(3 * HANGS_S):
            await traffic.allowed(20)
            pair.far.kill()
            let_in = "drawdown_gateway_away_total"
            while await asyncio.to_thread(pair.figure, let_in) < 20:
                await asyncio.sleep(0.1)
            await pair.lapsed(pair.far)
            await traffic.allowed(80)
            traffic.stopping = True
            await asyncio.gather(*senders)
        assert set(traffic.codes) <= {200, 503}
        await pair.charged(caller, account, USED * traffic.codes[200])
