"""The core on an event loop: a clock, timers, tasks and a transport around it.

Owns waiting: callers for room and for their outcomes, the core for its next batch. Decides nothing
that the core decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol, TypeAlias

from ledger.client.core import IngestCore
from ledger.client.durations import SECOND_US
from ledger.client.errors import ClientClosed
from ledger.client.events import EventOutcome, Outcome, UsageEvent
from ledger.client.parcels import Batch, Delivery
from ledger.client.retry import Failure, FailureKind

Answer: TypeAlias = list[EventOutcome] | Failure


class Transport(Protocol):
    """Carries batches. Every batch sent is answered by `answered`, exactly once, in any order."""

    def send(self, batch: Batch, answered: Callable[[Batch, Answer], None]) -> None:
        """Begin to send; must not wait."""
        ...

    async def close(self) -> None:
        """Let go of connections and tasks; nothing is answered any more."""
        ...


def _nobody(address: str, failure: Failure) -> None:
    """Nobody cares for failures."""


class Sender:
    """`deliver` from any number of tasks at once; `close` once."""

    def __init__(
        self,
        core: IngestCore,
        transport: Transport,
        monotonic_us: Callable[[], int],
        failed: Callable[[str, Failure], None] = _nobody,
    ) -> None:
        """`monotonic_us`: microseconds since some moment; never goes back.

        `failed` is told (address, failure) of batches, and of events that were misrouted.
        """
        self._failed = failed
        self._core = core
        self._now_us = monotonic_us
        self._transport = transport
        self._timer: asyncio.TimerHandle | None = None
        self._offering = asyncio.Lock()  # first come, first served
        self._room = asyncio.Event()  # set with every answer
        self._closed = False
        self._pumping = False

    @property
    def pending_events(self) -> int:
        """Events that wait or are in flight."""
        return self._core.pending_events

    async def deliver(
        self, events: Iterable[UsageEvent], *, flush: bool
    ) -> asyncio.Future[list[EventOutcome]]:
        """Return once all events are taken, after waiting for room; the future: their outcomes.

        Raises InvalidEvent before anything is taken, ClientClosed. Cancelling stops the waiting,
        not the events that were taken.
        """
        if self._closed:
            raise ClientClosed("the client is closed")
        delivery = self._core.prepare(events)
        done: asyncio.Future[list[EventOutcome]] = asyncio.get_running_loop().create_future()
        delivery.done = lambda: None if done.done() else done.set_result(delivery.results())
        if not delivery.items:
            delivery.done()
            return done
        async with self._offering:
            while not self._closed and not self._core.offer(delivery, self._now_us()):
                self._room.clear()
                self._pump()
                await self._room.wait()
            if self._closed:
                raise ClientClosed("the client was closed")
        if flush:
            self._core.flush()
        self._pump()
        return done

    async def record(self, event: UsageEvent) -> EventOutcome:
        """One event and its outcome. Callers that come one by one, as many as there are, share
        batches: what arrives in one turn of the loop, or while a batch is in flight.

        Raises InvalidEvent, ClientClosed. Cancelling stops the waiting, not an event that was
        taken.
        """
        if self._offering.locked():  # others wait for room, and came first
            return (await (await self.deliver((event,), flush=True)))[0]
        if self._closed:
            raise ClientClosed("the client is closed")
        loop = asyncio.get_running_loop()
        delivery = self._core.prepare((event,))
        if not self._core.offer(delivery, self._now_us()):
            return (await (await self.deliver((event,), flush=True)))[0]
        done: asyncio.Future[EventOutcome] = loop.create_future()
        delivery.done = lambda: None if done.done() else done.set_result(delivery.results()[0])
        if not self._pumping:
            self._pumping = True
            loop.call_soon(self._pump_flushed)
        return await done

    async def drain(self) -> None:
        """Return when nothing is pending."""
        self._core.flush()
        self._pump()
        while self._core.pending_events and not self._closed:
            self._room.clear()
            await self._room.wait()

    def reroute(self) -> None:
        """The shard map has changed."""
        self._core.reroute()
        self._pump()

    async def close(self) -> None:
        """Give up what has not been answered."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        await self._transport.close()
        _complete(self._core.close(self._now_us()))
        self._room.set()

    def _answered(self, batch: Batch, answer: Answer) -> None:
        if isinstance(answer, Failure):
            self._failed(batch.address, answer)
            _complete(self._core.failed(batch.number, answer, self._now_us()))
        else:
            self._look_for_misrouted(batch.address, answer)
            _complete(self._core.succeeded(batch.number, answer, self._now_us()))
        self._room.set()
        self._pump()

    def _look_for_misrouted(self, address: str, outcomes: list[EventOutcome]) -> None:
        for outcome in outcomes:
            if outcome.outcome is Outcome.RETRY:
                self._failed(address, Failure(FailureKind.RETRY, "UNAVAILABLE", outcome.reason, ""))
                return

    def _pump_flushed(self) -> None:
        self._pumping = False
        self._core.flush()
        self._pump()

    def _pump(self) -> None:
        """Send what is due, and come back when more will be."""
        if self._closed:
            return
        now_us = self._now_us()
        for batch in self._core.poll(now_us):
            self._transport.send(batch, self._answered)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        wake_us = self._core.wake_us(now_us)
        if wake_us is not None:
            delay_s = max(0, wake_us - now_us) / SECOND_US
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._pump)


def _complete(deliveries: list[Delivery]) -> None:
    for delivery in deliveries:
        assert delivery.done is not None
        delivery.done()
