"""A server and a network that fail by plan, in virtual time, around the pure core.

`World.run` drives the core until everything is answered. The server keeps one record an id, so that
what was recorded, in which order and how often it was sent can be asked afterwards.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator
from enum import Enum

from ledger.client.core import IngestCore
from ledger.client.events import EventOutcome, Outcome, UsageEvent
from ledger.client.limits import Limits
from ledger.client.parcels import Batch, Delivery
from ledger.client.retry import Failure, FailureKind, RetryPolicy, classify
from ledger.client.routing import Routing


class Fate(Enum):
    DELIVERED = "recorded and answered"
    TWICE = "recorded and answered twice"
    LOST_BEFORE = "never arrived"
    LOST_AFTER = "recorded, the answer was lost"
    BUSY = "refused as a whole, safe to retry"
    PARTLY_RETRY = "some families were not taken"
    PARTLY_UNKNOWN = "of some families nobody knows; they were recorded"
    SHORT = "recorded, the answer has too few outcomes"


LOST = classify("UNAVAILABLE", "connection reset")
BUSY = classify("UNAVAILABLE", "queue full", reason="QUEUE_FULL", metadata={"retryable": "true"})
REFUSED = classify(
    "NOT_FOUND", "no such tenant", reason="TENANT_UNKNOWN", metadata={"retryable": "false"}
)


class World:
    def __init__(
        self,
        limits: Limits,
        policy: RetryPolicy,
        fates: Iterator[Fate],
        *,
        family_of: Callable[[str], str] = lambda account: account.split("/")[0],
        routing: Routing | None = None,
    ) -> None:
        self.limits = limits
        self.routing = routing or Routing("tenant", "home:1")
        self.core = IngestCore(limits, policy, self.routing, lambda n: n // 2)
        self.numbers = itertools.count()
        self.now_us = 1_000_000
        self.recorded: dict[str, str] = {}  # id -> account, in the order recorded
        self.sent: list[str] = []
        self.batches: list[Batch] = []
        self.fates = fates
        self.family_of = family_of
        self.in_flight: dict[int, Batch] = {}
        self._answers: list[tuple[int, int, Batch, Fate]] = []
        self._sends = 0

    def run(self, deliveries: list[Delivery], *, horizon_us: int = 10**12) -> list[Delivery]:
        """Offer the deliveries one after another as there is room; return them as completed."""
        complete: list[Delivery] = []
        waiting = list(deliveries)
        while waiting or self.core.pending_events:
            while waiting and self.core.offer(waiting[0], self.now_us):
                waiting.pop(0)
            self.check_bounds()
            for batch in self.core.poll(self.now_us):
                self.send(batch)
            complete += self.step()
            assert self.now_us < horizon_us, "no progress"
        return complete

    def send(self, batch: Batch) -> None:
        self.check_batch(batch)
        self._sends += 1
        self.batches.append(batch)
        self.in_flight[batch.number] = batch
        fate = next(self.fates, Fate.DELIVERED)
        delay_us = 1_000 + self._sends * 7_919 % 9_000  # answers overtake each other
        heapq.heappush(self._answers, (self.now_us + delay_us, self._sends, batch, fate))

    def step(self) -> list[Delivery]:
        """Go on to whatever happens next."""
        wake_us = self.core.wake_us(self.now_us)
        if self._answers and (wake_us is None or self._answers[0][0] <= wake_us):
            self.now_us, _, batch, fate = heapq.heappop(self._answers)
            del self.in_flight[batch.number]
            return self.answer(batch, fate)
        assert wake_us is not None, "nothing will ever happen"
        self.now_us = max(self.now_us + 1, wake_us)
        return []

    def answer(self, batch: Batch, fate: Fate) -> list[Delivery]:
        core, number = self.core, batch.number
        if fate is Fate.LOST_BEFORE:
            return core.failed(number, LOST, self.now_us)
        if fate is Fate.BUSY:
            return core.failed(number, BUSY, self.now_us)
        outcomes = self.decide(batch, fate)
        if fate is Fate.LOST_AFTER:
            return core.failed(number, LOST, self.now_us)
        if fate is Fate.SHORT:
            return core.succeeded(number, outcomes[1:], self.now_us)
        complete = core.succeeded(number, outcomes, self.now_us)
        if fate is Fate.TWICE:
            assert core.succeeded(number, outcomes, self.now_us) == []
            assert core.failed(number, LOST, self.now_us) == []
        return complete

    def decide(self, batch: Batch, fate: Fate) -> list[EventOutcome]:
        families = sorted({self.family_of(item.event.account) for item in batch.items})
        unlucky = set(families[::2])
        outcomes = []
        for item in batch.items:
            event = item.event
            self.sent.append(event.id)
            hit = self.family_of(event.account) in unlucky
            if hit and fate is Fate.PARTLY_RETRY:
                outcomes.append(EventOutcome(Outcome.RETRY, reason="WRITER_REOPENING"))
                continue
            replayed = event.id in self.recorded
            self.recorded.setdefault(event.id, event.account)
            if hit and fate is Fate.PARTLY_UNKNOWN:
                outcomes.append(EventOutcome(Outcome.UNKNOWN, reason="OUTCOME_UNKNOWN"))
            else:
                outcomes.append(EventOutcome(Outcome.APPLIED, charge=1, replayed=replayed))
        return outcomes

    # -- what must hold at every moment ------------------------------------------------------------

    def check_bounds(self) -> None:
        core, limits = self.core, self.limits
        assert core.pending_events <= limits.pending_events
        assert core.pending_bytes <= limits.pending_bytes or core.pending_events == 1

    def check_batch(self, batch: Batch) -> None:
        limits = self.limits
        assert 1 <= len(batch.items) <= limits.batch_events
        assert sum(item.size for item in batch.items) <= limits.batch_bytes
        same_address = [b for b in self.in_flight.values() if b.address == batch.address]
        assert len(same_address) < limits.in_flight
        if not limits.ordered:
            return
        flying = {self.family_of(i.event.account) for b in self.in_flight.values() for i in b.items}
        assert not flying & {self.family_of(item.event.account) for item in batch.items}

    def check_empty(self) -> None:
        """Nothing is kept once everything is answered."""
        core = self.core
        assert core.pending_events == core.pending_bytes == 0
        assert core._families == {} and core._accounts == {} and core._batches == {}
        assert core._resting == []
        for link in core._links.values():
            assert not link.ready
            assert link.events == link.bytes == link.in_flight == 0


def usage(number: int, account: str, *, text: str = "") -> UsageEvent:
    return UsageEvent(f"e-{number}", account, {"tokens": number + 1}, attributes={"text": text})


def failure(kind: FailureKind, **values: object) -> Failure:
    return Failure(kind, "UNAVAILABLE", **values)  # type: ignore[arg-type]
