"""What a DecideStream passes on: one stream to each owner, opened when it is first needed.

Items go in messages as they gather and are answered by number. What is asked of a shard stays in
order: while anything of it is unanswered at one process, nothing of it goes to another. A stream
that breaks gives each of its items what a call of its own would have got. Whoever asks bounds what
is unanswered. Must not decide anything.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, MutableSequence
from typing import Any, Final

import grpc
from google.rpc import code_pb2

from ledger.api.calls import Call
from ledger.api.deciding import CHECK_METHOD, KINDS
from ledger.api.errors import CallFailed
from ledger.api.forward import LOOK_S, Forwarder, unreachable
from ledger.api.limits import MESSAGE_BYTES_MAX
from ledger.auth.principal import Principal
from ledger.engine.ticket import NotOwner
from ledger.v1 import decision_pb2 as pb

STREAM_METHOD: Final = f"{CHECK_METHOD.rpartition('/')[0]}/DecideStream"
PASSAGE_S: Final = 20  # then a new stream: a principal's seal lasts 60, a connection 20 minutes
SHUTTING_DOWN: Final = "SHUTTING_DOWN"
OUTCOME_UNKNOWN: Final = "OUTCOME_UNKNOWN"
ITEMS_MAX: Final = 256  # in a message


class Onward:
    """One item for another process; `which` is the name of its request's field."""

    __slots__ = ("number", "request", "shard", "which")

    def __init__(self, number: int, which: str, request: Any, shard: int) -> None:
        self.number = number
        self.which = which
        self.request = request
        self.shard = shard

    @property
    def method(self) -> str:
        """The method that asks for it alone."""
        return CHECK_METHOD if self.which == "check" else KINDS[self.which].method


class Passage:
    """One stream to one owner. `run` once; whoever runs it fails what `ends` then leaves."""

    def __init__(
        self,
        forwarder: Forwarder,
        address: str,
        call: Call,
        answered: Callable[[list[tuple[Onward, pb.DecideReply]]], None],
    ) -> None:
        self.address = address
        self._principal: Principal = call.principal
        self._until_s = asyncio.get_running_loop().time() + PASSAGE_S
        self._hop = call.hop
        self._forwarder = forwarder
        self._answered = answered
        self._owed: dict[int, Onward] = {}
        self._unsent: deque[int] = deque()  # those of them that have not left
        self._due = asyncio.Event()
        self._numbers = 0
        self._proven = False  # a reply has come
        self._finishing = False
        self.task: asyncio.Task[None] | None = None

    def serves(self, principal: Principal) -> bool:
        """Whether more may go this way, for whoever asks now."""
        return asyncio.get_running_loop().time() < self._until_s and (
            principal is self._principal or principal == self._principal
        )

    def ask(self, onward: Onward) -> None:
        """Send an item with what is sent next."""
        self._numbers += 1
        self._owed[self._numbers] = onward
        self._unsent.append(self._numbers)
        self._due.set()

    def finish(self) -> None:
        """Nothing more is asked: end with the last answer."""
        self._finishing = True
        if not self._owed and self.task is not None:
            self.task.cancel()

    async def run(self) -> Exception | None:
        """Send and take answers until it breaks, or its process is not among the living any more;
        says how."""
        going = asyncio.create_task(self._go())
        try:
            while not going.done():
                await asyncio.wait({going}, timeout=LOOK_S)
                if not self._forwarder.lives(self.address):
                    break
            done = going.done() and not going.cancelled()
            error = going.exception() if done else None
        finally:
            going.cancel()
            await asyncio.gather(going, return_exceptions=True)
        return error if isinstance(error, Exception) else None

    async def _go(self) -> None:
        call = await self._forwarder.open(
            self.address, STREAM_METHOD, pb.DecideStreamRequest, pb.DecideStreamResponse, self._hop
        )
        writing = asyncio.create_task(self._write(call))
        try:
            while self._owed or not self._finishing:
                message = await call.read()
                if not isinstance(message, pb.DecideStreamResponse):
                    return
                self._take(message.replies)
        finally:
            call.cancel()
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)

    async def _write(self, call: Any) -> None:
        try:
            while True:
                await self._due.wait()
                self._due.clear()
                while self._unsent:
                    await call.write(self._message())
        except Exception:
            call.cancel()  # so that whoever reads knows
            raise

    def _message(self) -> pb.DecideStreamRequest:
        """What has gathered, as much as a message has room for."""
        message, numbers = pb.DecideStreamRequest(), list[int]()
        items: MutableSequence[pb.DecideItem] = message.items
        while self._unsent and len(numbers) < ITEMS_MAX:
            number = self._unsent.popleft()
            numbers.append(number)
            onward = self._owed[number]
            getattr(message.items.add(number=number), onward.which).CopyFrom(onward.request)
        while len(numbers) > 1 and message.ByteSize() > MESSAGE_BYTES_MAX:
            half = len(numbers) // 2
            self._unsent.extendleft(reversed(numbers[half:]))
            del numbers[half:]
            del items[half:]
        return message

    def _take(self, replies: Iterable[pb.DecideReply]) -> None:
        self._proven = True
        found = []
        for reply in replies:
            onward = self._owed.pop(reply.number, None)
            if onward is None:
                continue
            code = code_pb2.Code.Name(reply.error.code) if reply.HasField("error") else "OK"
            self._forwarder.counted(onward.method, code)
            reply.number = onward.number
            found.append((onward, reply))
        self._answered(found)

    def ends(self, error: Exception | None) -> list[tuple[Onward, Exception]]:
        """What it still owes, each with its failure, after it ended so."""
        unsent = frozenset(self._unsent)
        refusal, unknown = self._ending(error)
        found = list[tuple[Onward, Exception]]()
        for number, onward in self._owed.items():
            if refusal is not None:
                result, failure = refusal.code.name, refusal
            elif number in unsent or onward.which == "check":
                result, failure = "UNREACHABLE", unreachable(self.address)
            else:
                result, failure = "UNKNOWN", unknown
            self._forwarder.counted(onward.method, result)
            found.append((onward, failure))
        self._owed.clear()
        self._unsent.clear()
        return found

    def _ending(self, error: Exception | None) -> tuple[CallFailed | None, CallFailed]:
        """(why the owner refused the whole stream, what becomes of what was sent). An owner that
        stops answers what it took, but a failing stream may lose messages on the way: so only a
        refusal before any answer is certain, and is each item's."""
        refusal, why = None, "gave no answer"
        if isinstance(error, grpc.aio.AioRpcError):
            failure = self._forwarder.failure(error, self.address, STREAM_METHOD)
            if isinstance(failure, CallFailed):
                return None, failure
            said = failure.failure()
            if not self._proven and said.reason not in (SHUTTING_DOWN, OUTCOME_UNKNOWN):
                refusal = said
            why = f"ended the stream ({said.reason})"
        return refusal, CallFailed(
            OUTCOME_UNKNOWN,
            f"{self.address} had the item and {why}: send the same ids again, or ask GetOutcome",
        )


class There:
    """What is unanswered of one shard, all of it at one owner, and what waits for that."""

    __slots__ = ("passage", "unanswered", "waiting")

    def __init__(self, passage: Passage) -> None:
        self.passage = passage
        self.unanswered = 0
        self.waiting: deque[Onward] = deque()  # since the shard has changed hands


class Passages:
    """What one stream passes on. `close` once."""

    def __init__(
        self,
        forwarder: Forwarder,
        owns: Callable[[int], bool],
        call: Call,
        *,
        answered: Callable[[pb.DecideReply], None],
        failed: Callable[[int, Exception], None],
        again: Callable[[Onward], None],
    ) -> None:
        """`again` takes what waited for other items of its shard, anew."""
        self._forwarder = forwarder
        self._owns = owns
        self._call = call
        self._answered = answered
        self._failed = failed
        self._again = again
        self._to: dict[str, Passage] = {}
        self._there: dict[int, There] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __bool__(self) -> bool:
        """Whether anything is being decided elsewhere."""
        return bool(self._there)

    def busy(self, shard: int) -> bool:
        """Whether something of the shard is being decided elsewhere, or waits for that."""
        return shard in self._there

    def pass_on(self, onward: Onward, refused: NotOwner) -> None:
        """Have the shard's owner decide, after what it was asked before."""
        shard = onward.shard
        there = self._there.get(shard)
        if there is not None and there.waiting:
            there.waiting.append(onward)
            return
        address = "" if self._owns(shard) else self._forwarder.route(shard)
        passage = self._passage(address) if address else None
        if passage is None and there is None:
            self._failed(onward.number, refused)
        elif there is not None and there.passage is not passage:
            there.waiting.append(onward)
        else:
            assert passage is not None
            if there is None:
                there = self._there[shard] = There(passage)
            there.unanswered += 1
            passage.ask(onward)

    def _passage(self, address: str) -> Passage:
        passage = self._to.get(address)
        if passage is not None and passage.serves(self._call.principal):
            return passage
        if passage is not None:
            passage.finish()
        passage = self._to[address] = Passage(self._forwarder, address, self._call, self._taken)
        passage.task = asyncio.create_task(self._run(passage))
        self._tasks.add(passage.task)
        passage.task.add_done_callback(self._tasks.discard)
        return passage

    async def _run(self, passage: Passage) -> None:
        error = await passage.run()
        if self._to.get(passage.address) is passage:
            del self._to[passage.address]
        for onward, failure in passage.ends(error):
            self._failed(onward.number, failure)
            self._settled(onward.shard)

    def _taken(self, found: list[tuple[Onward, pb.DecideReply]]) -> None:
        for onward, reply in found:
            self._answered(reply)
            self._settled(onward.shard)

    def _settled(self, shard: int) -> None:
        there = self._there[shard]
        there.unanswered -= 1
        if not there.unanswered:
            del self._there[shard]
            for onward in there.waiting:
                self._again(onward)

    async def close(self) -> None:
        """End the streams, whatever they owe."""
        ending = list(self._tasks)
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
