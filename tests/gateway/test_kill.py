"""Our server dies by SIGKILL amid a gateway's traffic, and comes back.

Promise: without it nothing runs (closed, 503); what ran was held for; what was settled is charged
exactly once; what could not be settled expires, and nothing is left over.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path

import httpx

from ledger.v1 import types_pb2
from ledger.verify import verify
from tests.gateway.front import Caller, Front, configuration
from tests.patience import HANGS_S

SENDERS = 6
KILLS = 3
REQUESTS_BETWEEN_KILLS = 40
GRANTED = 10**9
LIFETIME = 'lifetime_s: "600"'
SHORT = 'lifetime_s: "2"'  # so that the test sees holds expire


class Traffic:
    """Requests one after another; what each was answered is kept."""

    def __init__(self, caller: Caller, account: str = "acme") -> None:
        self.caller = caller
        self.account = account
        self.codes = Counter[int]()
        self.stopping = False
        self.changed = asyncio.Event()

    async def sender(self, number: int) -> None:
        chance = random.Random(number)
        while not self.stopping:
            try:
                reply = await self.caller.ask(
                    self.account, x_answer=chance.choice(("json", "stream")), x_say_output=10
                )
            except httpx.TransportError:
                continue
            self.codes[reply.status_code] += 1
            self.changed.set()
            if reply.status_code != 200:
                await asyncio.sleep(0.02)

    async def allowed(self, count: int) -> None:
        while self.codes[200] < count:
            self.changed.clear()
            await self.changed.wait()


async def test_the_server_is_killed_amid_traffic(database: str, tmp_path: Path) -> None:
    front = await asyncio.to_thread(Front, database, tmp_path)
    try:
        front.server.start()
        await front.server.ready()
        configured = configuration(front.ports)
        assert configured.count(LIFETIME) == 2
        await asyncio.to_thread(front.start_envoy, configured.replace(LIFETIME, SHORT))
        async with front.caller() as caller:
            await caller.prices()
            await caller.account("acme", GRANTED)
            traffic = Traffic(caller)
            senders = [asyncio.create_task(traffic.sender(number)) for number in range(SENDERS)]
            async with asyncio.timeout(KILLS * HANGS_S):
                for kill in range(KILLS):
                    await traffic.allowed((kill + 1) * REQUESTS_BETWEEN_KILLS)
                    front.server.kill()
                    runs = len(front.upstream.asked)
                    reply = await caller.ask("acme")
                    assert reply.status_code == 503
                    assert len(front.upstream.asked) <= runs + SENDERS  # those that were let in
                    front.server.start()
                    await front.server.ready()
                await traffic.allowed((KILLS + 1) * REQUESTS_BETWEEN_KILLS)
                traffic.stopping = True
                await asyncio.gather(*senders)
                while await caller.holds("acme"):
                    await asyncio.sleep(0.1)
            holds = await caller.holds("acme", settled=True)
            ended = Counter(hold.state for hold in holds)
            captured, expired = types_pb2.HOLD_STATE_CAPTURED, types_pb2.HOLD_STATE_EXPIRED
            assert set(ended) <= {captured, expired}
            assert set(traffic.codes) <= {200, 503}
            assert len(holds) >= len(front.upstream.asked)  # nothing ran that was not held for
            charged = GRANTED - await caller.available("acme")
            assert charged >= 100 * KILLS * REQUESTS_BETWEEN_KILLS
            assert {hold.captured for hold in holds if hold.state == captured} == {100}
            late = charged - 100 * ended[captured]
            assert late % 100 == 0 and 0 <= late <= 100 * ended[expired]  # recorded all the same
    finally:
        await asyncio.to_thread(front.stop)
    report = await verify(database)
    assert report.ok, report.findings
