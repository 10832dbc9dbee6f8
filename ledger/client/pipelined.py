"""Decisions that callers ask for one by one share a stream to each address, instead of a call each.

What is asked while a message is being written is the next message; the answers come by number. An
item that fails is its caller's failure alone; a stream that breaks fails all that it owes, as of
unknown outcome, and their callers send the same again on a new one. Owns the streams; decides
nothing about retries.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, TypeAlias, TypeVar

import grpc
from google.rpc import code_pb2

from ledger.client.channels import Channels
from ledger.client.failures import failure_of
from ledger.client.retry import Failure, FailureKind, classify
from ledger.v1 import decision_pb2 as pb
from ledger.v1.decision_pb2_grpc import DecisionServiceStub

MESSAGE_ITEMS_MAX: Final = 256  # the server's
UNANSWERED_MAX: Final = 1_024  # the server's, of a stream; callers wait beyond it
ReplyT = TypeVar("ReplyT")
_Call: TypeAlias = grpc.aio.StreamStreamCall[pb.DecideStreamRequest, pb.DecideStreamResponse]


class ItemFailed(Exception):
    """What was asked has a failure for an answer."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure: Final = failure


class Pipes:
    """One stream an address, opened when something is asked and again after it broke."""

    def __init__(self, channels: Channels, attempt_us: int) -> None:
        self._channels = channels
        self._timeout_s = attempt_us / 1_000_000
        self._pipes: dict[str, _Pipe] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._numbers = 0

    async def ask(self, address: str, item: pb.DecideItem) -> Any:
        """The reply to what the item asks; its number is set here. Raises ItemFailed."""
        pipe = self._pipes.get(address)
        if pipe is None:
            pipe = self._pipes[address] = _Pipe()
            task = asyncio.create_task(self._run(address, pipe))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            async with asyncio.timeout(self._timeout_s), pipe.room:
                if pipe.broken is not None:
                    raise ItemFailed(pipe.broken)
                self._numbers += 1
                item.number = self._numbers
                answer: asyncio.Future[pb.DecideReply | Failure]
                answer = asyncio.get_running_loop().create_future()
                pipe.owed[item.number] = answer
                pipe.waiting.append(item)
                pipe.asked.set()
                try:
                    reply = await answer
                finally:
                    pipe.owed.pop(item.number, None)
        except TimeoutError:
            message = f"no reply within {self._timeout_s:g} s"
            raise ItemFailed(
                Failure(FailureKind.UNKNOWN, "DEADLINE_EXCEEDED", "", message)
            ) from None
        if isinstance(reply, Failure):
            raise ItemFailed(reply)
        which = reply.WhichOneof("reply")
        if which == "error":
            raise ItemFailed(_failure(reply.error))
        if which is None or which != item.WhichOneof("request"):
            message = f"the reply was not understood: {which} where {item} was asked"
            raise ItemFailed(Failure(FailureKind.UNKNOWN, "INTERNAL", "", message))
        return getattr(reply, which)

    async def close(self) -> None:
        """End the streams; what they owe fails."""
        ending = list(self._tasks)
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    async def _run(self, address: str, pipe: _Pipe) -> None:
        failure = Failure(FailureKind.UNKNOWN, "CANCELLED", "", "the client was closed")
        call = DecisionServiceStub(self._channels.to(address)).DecideStream(
            metadata=self._channels.metadata
        )
        writing = asyncio.create_task(pipe.write(call))
        try:
            failure = await pipe.read(call)
        finally:
            del self._pipes[address]
            pipe.fail(failure.kept_unknown() if not failure.reason else failure)
            call.cancel()
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)


class _Pipe:
    """What one stream owes."""

    def __init__(self) -> None:
        self.room = asyncio.Semaphore(UNANSWERED_MAX)
        self.waiting: list[pb.DecideItem] = []
        self.owed: dict[int, asyncio.Future[pb.DecideReply | Failure]] = {}
        self.asked = asyncio.Event()
        self.broken: Failure | None = None

    async def write(self, call: _Call) -> None:
        """Send what waits, as much as there is in a message."""
        while True:
            await self.asked.wait()
            self.asked.clear()
            while self.waiting:
                items = self.waiting[:MESSAGE_ITEMS_MAX]
                del self.waiting[:MESSAGE_ITEMS_MAX]
                await call.write(pb.DecideStreamRequest(items=items))

    async def read(self, call: _Call) -> Failure:
        """Take answers until the stream breaks; says how it broke."""
        try:
            while True:
                message = await call.read()
                if not isinstance(message, pb.DecideStreamResponse):
                    return Failure(FailureKind.UNKNOWN, "UNAVAILABLE", "", "the stream ended")
                for reply in message.replies:
                    answer = self.owed.get(reply.number)
                    if answer is not None and not answer.done():
                        answer.set_result(reply)
        except grpc.aio.AioRpcError as error:
            return failure_of(error)

    def fail(self, failure: Failure) -> None:
        """The stream is gone: so are the answers that it owes."""
        self.broken = failure
        for answer in self.owed.values():
            if not answer.done():
                answer.set_result(failure)


def _failure(error: pb.DecideError) -> Failure:
    return classify(
        code_pb2.Code.Name(error.code),
        error.message,
        reason=error.reason,
        metadata=dict(error.metadata),
        retry_after_us=error.retry_after_us,
    )
