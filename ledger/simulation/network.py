"""The simulated network: calls to whoever serves, over messages that are lost, doubled, late.

Owns what a transport promises: each call is answered exactly once, by a reply, by the connection
that broke, or by its deadline. `SimulatedTransport` is `client.sender.Transport` over it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, Final, Protocol, TypeAlias

from ledger.client.events import Outcome
from ledger.client.parcels import Batch
from ledger.client.retry import Failure, FailureKind, classify
from ledger.client.sender import Answer as SenderAnswer
from ledger.core.limits import SECOND_US
from ledger.simulation.loop import NOBODY, context_of
from ledger.simulation.messages import Call, Reply, UsageAnswer, UsageCall
from ledger.simulation.processes import Process
from ledger.simulation.scenario import NetworkFaults

ATTEMPT_US: Final = 3_000_000  # the deadline of one call
LATE_US: Final = 15_000_000
"""A server has answered by then, whether the caller still waits or not: a slow commit and another
behind it take 8 s, a store that stays away 2 s."""

Request: TypeAlias = UsageCall | Call
Answered: TypeAlias = Callable[[Reply], None]


class Host(Protocol):
    """Something that serves calls in a process of its own."""

    process: Process

    def serve(self, request: Request, deadline_us: int) -> Coroutine[Any, Any, Reply]:
        """Answer one request."""
        ...


class _Open:
    """A call that has not been answered."""

    __slots__ = ("answered", "caller", "host", "timer")

    def __init__(self, caller: Process, answered: Answered) -> None:
        self.caller = caller
        self.answered = answered
        self.host: Host | None = None
        self.timer: asyncio.TimerHandle | None = None


class Network:
    """Carries every call of the world."""

    def __init__(self, random: Random, faults: NetworkFaults) -> None:
        self.faults = faults
        self.hosts: list[Host] = []  # who answers at the moment
        self.on_reply: Callable[[Host, Reply, int], None] = lambda host, reply, began: None
        """Told of each reply as it leaves, and of the step in which its request was read."""
        self.on_late: Callable[[Host, Request], None] = lambda host, request: None
        """Told of each request that a server has had for LATE_US, while it ran."""
        self.favoured: Host | None = None  # every other call goes there
        self._random = random
        self._open: dict[int, _Open] = {}
        self._calls = 0

    def call(self, caller: Process, request: Request, answered: Answered) -> int:
        """Send; `answered` runs in the caller exactly once, unless it forgets the call first."""
        self._calls += 1
        number = self._calls
        made = self._open[number] = _Open(caller, answered)
        loop = caller.loop
        timeout = _failure("DEADLINE_EXCEEDED", "no reply in time")
        made.timer = loop.call_later(
            ATTEMPT_US / SECOND_US, self._end, number, timeout, context=context_of(NOBODY)
        )
        host = made.host = self._host()
        for delay_us in self._fates():
            self._later(caller, delay_us, self._arrive, number, host, request)
        return number

    def _host(self) -> Host | None:
        """Where a call goes: mostly to who came last, at times to one that may be stopped."""
        if not self.hosts:
            return None
        if self.favoured in self.hosts and self._random.randrange(2):
            return self.favoured
        return self.hosts[-1] if self._random.randrange(4) else self._random.choice(self.hosts)

    def forget(self, number: int) -> None:
        """The caller wants no answer any more."""
        made = self._open.pop(number, None)
        if made is not None and made.timer is not None:
            made.timer.cancel()

    def broke(self, host: Host) -> None:
        """The host died: who waits for it sees the connection end, or waits for the deadline."""
        if host in self.hosts:
            self.hosts.remove(host)
        for number, made in list(self._open.items()):
            if made.host is host and self._random.randrange(4):
                reset = _failure("UNAVAILABLE", "connection reset")
                self._later(made.caller, self._trip_us(), self._end, number, reset)

    # -- parts -------------------------------------------------------------------------------------

    def _arrive(self, number: int, host: Host | None, request: Request) -> None:
        if host is None or host.process.dead:
            self._end(number, _failure("UNAVAILABLE", "connection refused"))
            return
        host.process.spawn(self._serve(number, host, request))

    async def _serve(self, number: int, host: Host, request: Request) -> None:
        deadline_us = host.process.clock.monotonic_us() + ATTEMPT_US
        began = host.process.loop.steps
        watch = host.process.loop.call_later(
            LATE_US / SECOND_US,
            self._watch,
            host,
            request,
            host.process.stops,
            context=context_of(NOBODY),
        )
        reply = await host.serve(request, deadline_us)
        watch.cancel()
        self.on_reply(host, reply, began)
        for delay_us in self._fates():
            self._later(host.process, delay_us, self._end, number, reply)

    def _watch(self, host: Host, request: Request, stops: int) -> None:
        if not host.process.dead and host.process.stops == stops:
            self.on_late(host, request)

    def _end(self, number: int, reply: Reply) -> None:
        made = self._open.pop(number, None)
        if made is None:  # answered, or given up
            return
        if made.timer is not None:
            made.timer.cancel()
        made.caller.loop.call_soon(made.answered, reply, context=context_of(made.caller))

    def _later(
        self, process: Process, delay_us: int, callback: Callable[..., None], *args: Any
    ) -> None:
        process.loop.call_later(delay_us / SECOND_US, callback, *args, context=context_of(NOBODY))

    def _trip_us(self) -> int:
        return 1 + self._random.randrange(2 * self.faults.trip_us)

    def _fates(self) -> list[int]:
        """The delays of the copies of one message that arrive: none, one or two."""
        faults, random = self.faults, self._random
        if faults.lost and random.randrange(1_000) < faults.lost:
            return []
        copies = 2 if faults.doubled and random.randrange(1_000) < faults.doubled else 1
        delays = []
        for _ in range(copies):
            delay_us = self._trip_us()
            if faults.delayed and random.randrange(1_000) < faults.delayed:
                delay_us += random.randrange(faults.delay_us)
            delays.append(delay_us)
        return delays


class SimulatedTransport:
    """One call a batch. See `client.sender.Transport`."""

    def __init__(
        self,
        network: Network,
        process: Process,
        tenant: int,
        unknown: Callable[[str], None] = lambda event_id: None,
    ) -> None:
        """`unknown` is told of each event of which an attempt may have been recorded."""
        self._unknown = unknown
        self._network = network
        self._process = process
        self._tenant = tenant
        self._calls: dict[int, None] = {}

    def send(self, batch: Batch, answered: Callable[[Batch, SenderAnswer], None]) -> None:
        """See Transport."""
        events = [item.event for item in batch.items]
        items = tuple(
            (
                event.id,
                event.account,
                event.product,
                tuple(event.quantities),
                tuple(event.quantities.values()),
                event.effective_at_us,
                tuple(sorted(event.attributes.items())),
                event.operation,
                event.operation_parent,
            )
            for event in events
        )
        number = 0

        def take(reply: Reply) -> None:
            self._calls.pop(number, None)
            if isinstance(reply, Failure):
                if reply.kind is FailureKind.UNKNOWN:
                    for event in events:
                        self._unknown(event.id)
                answered(batch, reply)
            else:
                assert isinstance(reply, UsageAnswer), reply
                for event, outcome in zip(events, reply.outcomes, strict=True):
                    if outcome.outcome is Outcome.UNKNOWN:
                        self._unknown(event.id)
                answered(batch, list(reply.outcomes))

        number = self._network.call(self._process, UsageCall(self._tenant, items), take)
        self._calls[number] = None

    async def close(self) -> None:
        """See Transport."""
        for number in self._calls:
            self._network.forget(number)
        self._calls.clear()


def _failure(code: str, message: str) -> Failure:
    return classify(code, message)
