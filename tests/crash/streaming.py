"""Debits on one raw DecideStream to one server, whoever owns their accounts: a caller that never
learns where an account is. Each number is to be answered once; what may be sent again is, under
the same id."""

from __future__ import annotations

import asyncio
from collections import Counter, deque

import grpc

from ledger.v1 import decision_pb2 as pb
from ledger.v1.decision_pb2_grpc import DecisionServiceStub
from tests.patience import HANGS_S

UNANSWERED_MAX = 200
AGAIN_S = 0.05


class Streaming:
    """`run` until `stop`."""

    def __init__(self, address: str, tenant: str, accounts: list[str], prefix: str) -> None:
        self._address = address
        self._tenant = tenant
        self._accounts = accounts
        self._prefix = prefix
        self._made = 0
        self._numbers = 0
        self._owed: dict[int, int] = {}  # number -> which debit
        self._again: deque[int] = deque()
        self._resting = 0
        self._moved = asyncio.Event()
        self.stopping = False
        self.paid: dict[int, str] = {}  # debit -> account
        self.answers: Counter[str] = Counter()  # by reason; "" = paid

    def account(self, debit: int) -> str:
        return self._accounts[debit % len(self._accounts)]

    async def run(self) -> None:
        async with grpc.aio.insecure_channel(self._address) as channel:
            call = DecisionServiceStub(channel).DecideStream()
            reading = asyncio.create_task(self._read(call))
            while not (self.stopping and self._idle()):
                items = self._next()
                if items:
                    await call.write(pb.DecideStreamRequest(items=items))
                self._moved.clear()
                if not items:
                    waiting = asyncio.create_task(self._moved.wait())
                    await asyncio.wait(
                        {waiting, reading}, timeout=60, return_when=asyncio.FIRST_COMPLETED
                    )
                    waiting.cancel()
                if reading.done():
                    raise AssertionError(f"the stream ended: {reading.exception()!r}")
            await call.done_writing()
            await reading
            assert await call.code() == grpc.StatusCode.OK

    def _idle(self) -> bool:
        return not self._owed and not self._again and not self._resting

    def _next(self) -> list[pb.DecideItem]:
        items: list[pb.DecideItem] = []
        while len(self._owed) < UNANSWERED_MAX and len(items) < 100:
            if self._again:
                debit = self._again.popleft()
            elif not self.stopping:
                debit = self._made
                self._made += 1
            else:
                break
            self._numbers += 1
            self._owed[self._numbers] = debit
            items.append(self.item(self._numbers, debit))
        return items

    def item(self, number: int, debit: int) -> pb.DecideItem:
        request = pb.DebitRequest(
            tenant=self._tenant,
            request_id=f"{self._prefix}-{debit}",
            account=self.account(debit),
            product="chat",
            quantities={"tokens": 1},
        )
        return pb.DecideItem(number=number, debit=request)

    async def _read(self, call: grpc.aio.StreamStreamCall) -> None:
        while isinstance(message := await call.read(), pb.DecideStreamResponse):
            for reply in message.replies:
                debit = self._owed.pop(reply.number)  # KeyError: answered twice, or never asked
                self.answers[reply.error.reason] += 1
                if reply.WhichOneof("reply") == "debit":
                    assert reply.debit.decision == pb.DECISION_ALLOW, reply
                    self.paid[debit] = self.account(debit)
                else:
                    assert reply.error.metadata["retryable"] == "true", reply
                    self._resting += 1
                    asyncio.get_running_loop().call_later(AGAIN_S, self._rested, debit)
            self._moved.set()

    def _rested(self, debit: int) -> None:
        self._resting -= 1
        self._again.append(debit)
        self._moved.set()

    async def more(self, paid: int) -> None:
        """Return when so many more are paid."""
        wanted = len(self.paid) + paid
        async with asyncio.timeout(HANGS_S):
            while len(self.paid) < wanted:
                await asyncio.sleep(0.01)
