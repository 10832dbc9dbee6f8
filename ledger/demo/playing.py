"""Playing the traces: an hour of real requests in a few seconds, order and gaps kept.

Events are handed to the client as they fall due; the client gathers them into batches. A request's
effective time is its own, shifted so that the traces end now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import merge
from time import monotonic_ns, time_ns
from typing import Final

from ledger.client import DrawdownClient, EventOutcome, UsageEvent
from ledger.demo.tally import Tally
from ledger.demo.traces import TraceRequest
from ledger.demo.workload import TRACES, Trace, load_requests, trace_event

TICK_S: Final = 0.04


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A request of a trace: when it is due, in microseconds since the first, and whose it is."""

    offset_us: int
    trace: Trace
    row: int
    request: TraceRequest


@dataclass
class Workload:
    """The requests of all traces, and the times that they are played at."""

    requests: dict[str, list[TraceRequest]]
    scheduled: list[Scheduled] = field(default_factory=list)
    length_us: int = 0

    @classmethod
    def load(cls, rows: int) -> Workload:
        """All traces, the first `rows` of each; 0 = all."""
        workload = cls({name: load_requests(trace, rows) for name, trace in TRACES.items()})
        lanes = [_scheduled(TRACES[name], lane) for name, lane in workload.requests.items()]
        workload.scheduled = list(merge(*lanes, key=lambda each: each.offset_us))
        workload.length_us = workload.scheduled[-1].offset_us
        return workload

    def events(self, root: str, run: str, ends_at_us: int) -> Iterator[tuple[int, UsageEvent]]:
        """(due, event) of every request; the last of them happened at `ends_at_us`."""
        for each in self.scheduled:
            yield (
                each.offset_us,
                trace_event(
                    each.trace,
                    each.request,
                    f"{root}/{each.trace.team}",
                    run,
                    each.row,
                    effective_at_us=ends_at_us - (self.length_us - each.offset_us),
                ),
            )


def _scheduled(trace: Trace, requests: Sequence[TraceRequest]) -> Iterator[Scheduled]:
    for row, request in enumerate(requests):
        yield Scheduled(request.offset_us, trace, row, request)


class Player:
    """Plays a workload once; `tally` fills as answers come."""

    def __init__(self, client: DrawdownClient, told: Callable[[], None]) -> None:
        self.tally = Tally()
        self.charges: dict[str, list[tuple[str, int]]] = {}  # account -> (event id, charge)
        self.took_us = 0
        self.ended_at_us = 0
        self._client = client
        self._told = told
        self._answers: set[asyncio.Task[None]] = set()

    async def play(self, workload: Workload, root: str, run: str, seconds: int) -> None:
        """Play it in `seconds`; returns when every event has its outcome."""
        began_us = _now_us()
        self.ended_at_us = time_ns() // 1_000
        speed_length_us = max(workload.length_us, 1)
        due: list[UsageEvent] = []
        for offset_us, event in workload.events(root, run, self.ended_at_us):
            due_us = offset_us * seconds * 1_000_000 // speed_length_us
            if due_us > _now_us() - began_us:
                await self._send(due)
                due = []
                while due_us > _now_us() - began_us:
                    self._told()
                    await asyncio.sleep(TICK_S)
            due.append(event)
        await self._send(due)
        await self._client.drain()
        await asyncio.gather(*self._answers)
        self.took_us = _now_us() - began_us
        self._told()

    async def _send(self, events: list[UsageEvent]) -> None:
        if not events:
            return
        sent_us = _now_us()
        outcomes = await self._client.submit(events)
        task = asyncio.create_task(self._take(events, outcomes, sent_us))
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)

    async def _take(
        self,
        events: list[UsageEvent],
        outcomes: asyncio.Future[list[EventOutcome]],
        sent_us: int,
    ) -> None:
        answered = await outcomes
        self.tally.add(answered, _now_us() - sent_us)
        for event, outcome in zip(events, answered, strict=True):
            self.charges.setdefault(event.account, []).append((event.id, outcome.charge))

    def crossing(self, account: str, amount: int) -> str:
        """The event of an account with which its charges first pass `amount`; else its last."""
        total = 0
        for event_id, charge in self.charges[account]:
            total += charge
            if total > amount:
                return event_id
        return self.charges[account][-1][0]


def _now_us() -> int:
    return monotonic_ns() // 1_000
