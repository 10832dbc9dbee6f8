"""Decisions that callers ask for one by one share a stream to each address, instead of a call each.

What is asked while messages are under way is the next message: it goes when as much waits as is
unanswered, or after LINGER_S, so that busy callers share messages, commits and replies, and one
that is alone waits for nobody. The answers come by number. An item that fails is its caller's
failure alone; a stream that breaks fails all that it owes, as of unknown outcome, and their callers
send the same again on a new one. Owns the streams; decides nothing about retries.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any, Final, TypeAlias

import grpc
from google.rpc import code_pb2

from ledger.client.channels import Channels
from ledger.client.durations import SECOND_US
from ledger.client.failures import MOVED, failure_of
from ledger.client.refreshing import STALL_S
from ledger.client.retry import Failure, FailureKind, classify
from ledger.v1 import decision_pb2 as pb
from ledger.v1.decision_pb2_grpc import DecisionServiceStub

MESSAGE_ITEMS_MAX: Final = 256  # the server's
UNANSWERED_MAX: Final = 1_024  # the server's, of a stream; what is asked beyond it waits
LINGER_S: Final = 0.001  # longer than a turn of a busy loop, shorter than a commit
LOOKS: Final = 5  # for what stalls, within STALL_S; also within the deadline of an attempt
_Call: TypeAlias = grpc.aio.StreamStreamCall[pb.DecideStreamRequest, pb.DecideStreamResponse]


class ItemFailed(Exception):
    """What was asked has a failure for an answer."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure: Final = failure


class Pipes:
    """One stream an address, opened when something is asked and again after it broke."""

    def __init__(
        self,
        channels: Channels,
        attempt_us: int,
        route: Callable[[str], str],
        stalled: Callable[[str], None],
    ) -> None:
        """`route`: where an account is served by the present map. `stalled` is told an address that
        does not answer for long."""
        self._channels = channels
        self._timeout_s = attempt_us / SECOND_US
        self._route = route
        self._stalled = stalled
        self._pipes: dict[str, _Pipe] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def ask(self, address: str, which: str, request: Any, account: str) -> asyncio.Future[Any]:
        """Ask what `request` asks; `which` is the name of its field in an item. The future has the
        reply to it, or ItemFailed. Raises what the client's token raises."""
        pipe = self._pipes.get(address)
        if pipe is None:
            metadata = self._channels.metadata
            pipe = self._pipes[address] = _Pipe()
            task = asyncio.create_task(self._run(address, pipe, metadata))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return pipe.ask(which, request, account)

    async def close(self) -> None:
        """End the streams; what they owe fails."""
        ending = list(self._tasks)
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    async def _run(self, address: str, pipe: _Pipe, metadata: tuple[tuple[str, str], ...]) -> None:
        failure = Failure(FailureKind.UNKNOWN, "CANCELLED", "", "the client was closed")
        call = DecisionServiceStub(self._channels.to(address)).DecideStream(metadata=metadata)
        beside = [
            asyncio.create_task(pipe.write(call)),
            asyncio.create_task(self._watch(address, pipe)),
        ]
        try:
            failure = await pipe.read(call)
            failure = self._channels.since(metadata, failure, answered=pipe.answered)
        finally:
            del self._pipes[address]
            pipe.fail(failure.kept_unknown() if not failure.reason else failure)
            call.cancel()
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    async def _watch(self, address: str, pipe: _Pipe) -> None:
        """Let nobody wait beyond the deadline of an attempt, nor where another serves by now."""
        overdue = Failure(
            FailureKind.UNKNOWN,
            "DEADLINE_EXCEEDED",
            "",
            f"no reply within {self._timeout_s:g} s",
        )
        while True:
            await asyncio.sleep(min(STALL_S, self._timeout_s) / LOOKS)
            now_s = monotonic()
            stalls = False
            for asked in list(pipe.owed.values()):
                age_s = now_s - asked.since_s
                if age_s >= self._timeout_s:
                    pipe.give_up(asked, overdue)
                elif age_s < STALL_S:
                    break  # they stand in the order in which they were asked
                elif self._route(asked.account) != address:
                    pipe.give_up(asked, MOVED)
                else:
                    stalls = True
            if stalls:
                self._stalled(address)


class _Asked:
    """What a caller waits for."""

    __slots__ = ("account", "answer", "number", "request", "since_s", "which")

    def __init__(self, number: int, which: str, request: Any, account: str) -> None:
        self.number = number
        self.which = which
        self.request = request
        self.account = account
        self.since_s = monotonic()
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()


class _Pipe:
    """What one stream owes."""

    def __init__(self) -> None:
        self.waiting: deque[_Asked] = deque()  # not yet sent
        self.owed: dict[int, _Asked] = {}  # all of them, by number, in the order of asking
        self.answered = False  # anything yet
        self._numbers = 0
        self._due = asyncio.Event()  # something is to be sent
        self._lingering: asyncio.TimerHandle | None = None

    def ask(self, which: str, request: Any, account: str) -> asyncio.Future[Any]:
        """See Pipes."""
        self._numbers += 1
        asked = _Asked(self._numbers, which, request, account)
        self.owed[asked.number] = asked
        self.waiting.append(asked)
        if not self._due.is_set():  # else it goes with what is due
            self._look()
        return asked.answer

    def _look(self) -> None:
        """Whether what waits is to go now, or in a while."""
        waits = len(self.waiting)
        unanswered = len(self.owed) - waits
        if not waits or unanswered >= UNANSWERED_MAX:  # answers are looked at, too
            return
        if waits >= min(unanswered, MESSAGE_ITEMS_MAX):
            self._due.set()
        elif self._lingering is None:
            self._lingering = asyncio.get_running_loop().call_later(LINGER_S, self._lingered)

    def _lingered(self) -> None:
        self._lingering = None
        self._due.set()

    async def write(self, call: _Call) -> None:
        """Send what is due, as much as there is in a message."""
        while True:
            await self._due.wait()
            self._due.clear()
            room = UNANSWERED_MAX - (len(self.owed) - len(self.waiting))
            message = pb.DecideStreamRequest()
            items, waiting = message.items, self.waiting
            for _ in range(min(len(waiting), room, MESSAGE_ITEMS_MAX)):
                asked = waiting.popleft()
                if asked.answer.done():  # nobody waits for it any more
                    self.owed.pop(asked.number, None)
                    continue
                getattr(items.add(number=asked.number), asked.which).MergeFrom(asked.request)
            if items:
                await call.write(message)
            self._look()

    async def read(self, call: _Call) -> Failure:
        """Take answers until the stream breaks; says how it broke."""
        try:
            while True:
                message = await call.read()
                if not isinstance(message, pb.DecideStreamResponse):
                    return Failure(FailureKind.UNKNOWN, "UNAVAILABLE", "", "the stream ended")
                self.answered = True
                for reply in message.replies:
                    asked = self.owed.pop(reply.number, None)
                    if asked is not None and not asked.answer.done():
                        _answer(asked, reply)
                self._look()
        except grpc.aio.AioRpcError as error:
            return failure_of(error)

    def give_up(self, asked: _Asked, failure: Failure) -> None:
        """Its answer is waited for no more."""
        del self.owed[asked.number]
        if not asked.answer.done():
            asked.answer.set_exception(ItemFailed(failure))

    def fail(self, failure: Failure) -> None:
        """The stream is gone: so are the answers that it owes."""
        if self._lingering is not None:
            self._lingering.cancel()
        for asked in list(self.owed.values()):
            self.give_up(asked, failure)


def _answer(asked: _Asked, reply: pb.DecideReply) -> None:
    which = reply.WhichOneof("reply")
    if which == asked.which:
        asked.answer.set_result(getattr(reply, which))
        return
    if which == "error":
        failure = _failure(reply.error)
    else:
        message = f"the reply was not understood: {which} where {asked.which} was asked"
        failure = Failure(FailureKind.UNKNOWN, "INTERNAL", "", message)
    asked.answer.set_exception(ItemFailed(failure))


def _failure(error: pb.DecideError) -> Failure:
    return classify(
        code_pb2.Code.Name(error.code),
        error.message,
        reason=error.reason,
        metadata=dict(error.metadata),
        retry_after_us=error.retry_after_us,
    )
