"""How batches travel: as single calls, or on one stream an address. No decisions, no retries.

A broken stream answers every batch that it still owes with the failure that broke it, so that the
core sends them again on a new one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeAlias

import grpc

from ledger.client.channels import Channels, no_token
from ledger.client.compact import Envelope, outcomes_of
from ledger.client.durations import SECOND_US
from ledger.client.failures import MOVED, failure_of
from ledger.client.parcels import Batch
from ledger.client.refreshing import Refreshing, Stall
from ledger.client.retry import Failure, FailureKind
from ledger.client.routing import Routing
from ledger.client.sender import Answer
from ledger.v1 import usage_pb2 as pb
from ledger.v1.usage_pb2_grpc import UsageServiceStub

Answered: TypeAlias = Callable[[Batch, Answer], None]


class UnaryTransport:
    """One Ingest call a batch."""

    def __init__(
        self,
        channels: Channels,
        envelope: Envelope,
        attempt_us: int,
        observe: Callable[[str], object],
        routing: Routing,
        refreshing: Refreshing,
    ) -> None:
        """`observe` is told the position of every reply."""
        self._channels = channels
        self._envelope = envelope
        self._timeout_s = attempt_us / SECOND_US
        self._observe = observe
        self._routing = routing
        self._refreshing = refreshing
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, batch: Batch, answered: Answered) -> None:
        """See Transport."""
        self._refreshing.used()
        task = asyncio.create_task(self._call(batch, answered))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """See Transport."""
        await _cancel(self._tasks)

    async def _call(self, batch: Batch, answered: Answered) -> None:
        try:
            metadata = self._channels.metadata
        except Exception as error:
            answered(batch, no_token(error))
            return
        stub = UsageServiceStub(self._channels.to(batch.address))
        request = self._envelope.request(batch.items)
        answer: Answer
        call = stub.Ingest(request, timeout=self._timeout_s, metadata=metadata)
        family = batch.families[0].key
        stall = Stall(self._refreshing, call, batch.address, lambda: self._routing.address(family))
        try:
            response = await call
            self._observe(response.position)
            answer = outcomes_of(response)
        except asyncio.CancelledError:
            if not stall.moved:
                raise
            answer = MOVED
        except grpc.aio.AioRpcError as error:
            answer = failure_of(error)
        except (ValueError, IndexError) as error:
            answer = _not_understood(error)
        finally:
            stall.over()
        answered(batch, answer)


class StreamTransport:
    """One IngestStream an address, opened with the first batch and again after a failure."""

    def __init__(
        self,
        channels: Channels,
        envelope: Envelope,
        attempt_us: int,
        observe: Callable[[str], object],
        routing: Routing,
        refreshing: Refreshing,
    ) -> None:
        """`observe` is told the position of every reply; `routing` is not asked here."""
        self._channels = channels
        self._envelope = envelope
        self._timeout_s = attempt_us / SECOND_US
        self._observe = observe
        self._refreshing = refreshing
        self._streams: dict[str, _Stream] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, batch: Batch, answered: Answered) -> None:
        """See Transport."""
        self._refreshing.used()
        stream = self._streams.get(batch.address)
        if stream is None:
            stream = self._streams[batch.address] = _Stream()
            task = asyncio.create_task(self._run(batch.address, stream))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        stream.owed[batch.number] = (batch, answered)
        stream.outgoing.put_nowait(batch)

    async def close(self) -> None:
        """See Transport."""
        await _cancel(self._tasks)

    async def _run(self, address: str, stream: _Stream) -> None:
        try:
            metadata = self._channels.metadata
        except Exception as error:
            del self._streams[address]
            for batch, answered in list(stream.owed.values()):
                answered(batch, no_token(error))
            return
        call = UsageServiceStub(self._channels.to(address)).IngestStream(metadata=metadata)
        writing = asyncio.create_task(self._write(call, stream))
        try:
            failure = await self._read(call, stream)
            failure = self._channels.since(metadata, failure, answered=stream.answered)
        finally:
            call.cancel()
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
        del self._streams[address]
        if not failure.reason:  # made on the way: it names no batch, and any may be recorded
            failure = failure.kept_unknown()
        for batch, answered in list(stream.owed.values()):
            answered(batch, failure)
            if not failure.again:  # the first that is owed; the rest was not judged
                failure = Failure(FailureKind.UNKNOWN, "UNAVAILABLE", "", "the stream ended")

    async def _write(self, call: _IngestCall, stream: _Stream) -> None:
        while True:
            batch = await stream.outgoing.get()
            request = self._envelope.request(batch.items)
            await call.write(pb.IngestStreamRequest(batch_number=batch.number, batch=request))

    async def _read(self, call: _IngestCall, stream: _Stream) -> Failure:
        """Take replies until the stream breaks; says how it broke."""
        try:
            while True:
                reply = await self._next(call, stream)
                if not isinstance(reply, pb.IngestStreamResponse):
                    return Failure(FailureKind.UNKNOWN, "UNAVAILABLE", "", "the stream ended")
                stream.answered = True
                self._observe(reply.batch.position)
                outcomes = outcomes_of(reply.batch)
                batch, answered = stream.owed.pop(reply.batch_number)
                answered(batch, outcomes)
        except grpc.aio.AioRpcError as error:
            return failure_of(error)
        except TimeoutError:
            message = f"no reply within {self._timeout_s:g} s"
            return Failure(FailureKind.UNKNOWN, "DEADLINE_EXCEEDED", "", message)
        except (ValueError, IndexError, KeyError) as error:
            return _not_understood(error)

    async def _next(self, call: _IngestCall, stream: _Stream) -> object:
        """The next reply; waits for ever only while none is owed."""
        reading = asyncio.ensure_future(call.read())
        try:
            while True:
                owed_before = bool(stream.owed)
                done, _ = await asyncio.wait({reading}, timeout=self._timeout_s)
                if done:
                    return reading.result()
                if owed_before and stream.owed:
                    raise TimeoutError
        finally:
            reading.cancel()


_IngestCall: TypeAlias = grpc.aio.StreamStreamCall[pb.IngestStreamRequest, pb.IngestStreamResponse]


class _Stream:
    __slots__ = ("answered", "outgoing", "owed")

    def __init__(self) -> None:
        self.outgoing: asyncio.Queue[Batch] = asyncio.Queue()  # bounded by the core's in_flight
        self.owed: dict[int, tuple[Batch, Answered]] = {}
        self.answered = False  # anything yet


def _not_understood(error: Exception) -> Failure:
    message = f"the reply was not understood: {error}"
    return Failure(FailureKind.UNKNOWN, "INTERNAL", "", message)


async def _cancel(tasks: set[asyncio.Task[None]]) -> None:
    ending = list(tasks)
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)
