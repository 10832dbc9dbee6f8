"""What the core keeps of events on their way: deliveries, families, links, batches. No decisions.

A delivery is what one caller gave at once. A family's events keep their order. A link gathers the
families that are ready to be sent to one address.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from ledger.client.events import EventOutcome, Outcome, ShapeKey, UsageEvent


class Delivery:
    """Events that one caller gave at once, and their outcomes, in order."""

    __slots__ = ("done", "items", "left", "outcomes", "taken")

    def __init__(self, items: list[Pending]) -> None:
        self.items = items
        self.taken = 0
        self.left = len(items)
        self.outcomes: list[EventOutcome | None] = [None] * len(items)
        self.done: Callable[[], None] | None = None
        """For the shell: called by it when the delivery is complete."""
        for place, item in enumerate(items):
            item.delivery = self
            item.place = place

    def results(self) -> list[EventOutcome]:
        """The outcomes of a complete delivery, in the order given."""
        assert self.left == 0
        return [outcome for outcome in self.outcomes if outcome is not None]


class Pending:
    """An event on its way. `unknown`: an attempt may have been recorded."""

    __slots__ = ("delivery", "event", "offered_us", "place", "shape", "size", "unknown")

    delivery: Delivery

    def __init__(self, event: UsageEvent, shape: ShapeKey, size: int) -> None:
        self.event = event
        self.shape = shape
        self.size = size
        self.place = 0
        self.offered_us = 0
        self.unknown = False

    @property
    def undelivered(self) -> Outcome:
        """What to say of it when it is given up."""
        return Outcome.UNKNOWN if self.unknown else Outcome.RETRY

    def settle(self, outcome: EventOutcome) -> bool:
        """Keep its outcome; True when its delivery is complete."""
        delivery = self.delivery
        assert delivery.outcomes[self.place] is None
        delivery.outcomes[self.place] = outcome
        delivery.left -= 1
        return delivery.left == 0


class Family:
    """The events of one family that wait. In one of: idle, ready (in a link), busy, resting."""

    __slots__ = ("attempt", "busy", "bytes", "key", "link", "pending", "queue", "resting")

    def __init__(self, key: str) -> None:
        self.key = key
        self.queue: deque[Pending] = deque()
        self.bytes = 0
        self.pending = 0  # waiting or in flight
        self.attempt = 0
        self.busy = False
        self.resting = False
        self.link: Link | None = None

    def append(self, item: Pending) -> None:
        """Add an event at the end."""
        self.queue.append(item)
        self.bytes += item.size

    def push(self, item: Pending) -> None:
        """Put an event back at the head."""
        self.queue.appendleft(item)
        self.bytes += item.size

    def pop(self) -> Pending:
        """Take the first event."""
        item = self.queue.popleft()
        self.bytes -= item.size
        return item


class Link:
    """What is ready for one address."""

    __slots__ = (
        "address",
        "attempt",
        "bytes",
        "events",
        "failed_us",
        "flush",
        "in_flight",
        "not_before_us",
        "ready",
        "since_us",
    )

    def __init__(self, address: str) -> None:
        self.address = address
        self.ready: deque[Family] = deque()
        self.events = 0
        self.bytes = 0
        self.since_us = 0  # when the event that waits for longest, or nearly, was offered
        self.flush = False
        self.in_flight = 0
        self.attempt = 0  # failures in a row; while there are any, one batch at a time
        self.failed_us = -1
        self.not_before_us = 0

    def add(self, family: Family, *, first: bool) -> None:
        """A family becomes ready; `first`: ahead of the others."""
        assert family.link is None
        if not self.ready:
            self.since_us = family.queue[0].offered_us
        family.link = self
        self.events += len(family.queue)
        self.bytes += family.bytes
        if first:
            self.ready.appendleft(family)
        else:
            self.ready.append(family)

    def grow(self, item: Pending) -> None:
        """An event was added to a family that is ready."""
        self.events += 1
        self.bytes += item.size

    def remove(self, family: Family) -> Family:
        """Take a family out; the first costs nothing."""
        self.ready.remove(family)
        family.link = None
        self.events -= len(family.queue)
        self.bytes -= family.bytes
        if not self.ready:
            self.flush = False
        return family

    def clear_ready(self) -> None:
        """Forget what is ready."""
        while self.ready:
            self.remove(self.ready[0])

    def fail(self, sent_us: int, now_us: int) -> None:
        """Count a failure; batches that failed together count once."""
        if sent_us > self.failed_us or not self.attempt:
            self.attempt += 1
            self.failed_us = now_us
        assert self.attempt >= 1


class Batch:
    """Events to send to `address` at once; the reply names `number`."""

    __slots__ = ("address", "families", "items", "number", "sent_us")

    def __init__(self, number: int, address: str, sent_us: int) -> None:
        self.number = number
        self.address = address
        self.sent_us = sent_us
        self.families: list[Family] = []
        self.items: list[Pending] = []
