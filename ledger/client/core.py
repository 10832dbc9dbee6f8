"""Which events go into which batch, when, and what happens when one fails. No I/O at all.

Events wait by family. A batch takes families in the order in which they became ready, and a family
is in at most one batch in flight, so its order is kept whatever fails (unless `ordered` is off).
While a batch is in flight, what waits is coalesced into the next. What failed safely or with an
unknown outcome goes back to the head of its family and is sent again with the same id. Time comes
in with each call (monotonic, in microseconds), chance by `randrange`; buffers are bounded, and
`offer` takes only what fits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from typing import Final

from ledger.client.errors import InvalidEvent
from ledger.client.events import (
    EventOutcome,
    Outcome,
    ShapeKey,
    UsageEvent,
    event_bytes,
    shape_bytes,
    shape_key,
    unlooked_at,
)
from ledger.client.limits import Limits
from ledger.client.parcels import Batch, Delivery, Family, Link, Pending
from ledger.client.retry import Failure, FailureKind, RandRange, RetryPolicy
from ledger.client.routing import Routing

SHAPES_MAX: Final = 4_096  # sizes of shapes that are remembered
_NEVER: Final = 2**63
_AGAIN: Final = (Outcome.RETRY, Outcome.UNKNOWN)


class IngestCore:
    """Made with its limits, policy, routing and chance; every other input is an argument."""

    def __init__(
        self, limits: Limits, policy: RetryPolicy, routing: Routing, randrange: RandRange
    ) -> None:
        self.limits = limits
        self.pending_events = 0
        self.pending_bytes = 0
        self._policy = policy
        self._routing = routing
        self._randrange = randrange
        self._shapes: dict[ShapeKey, int] = {}
        self._families: dict[str, Family] = {}
        self._accounts: dict[str, tuple[Family, int]] = {}  # account -> its family, events pending
        self._links: dict[str, Link] = {}
        self._resting: list[tuple[int, int, Family]] = []  # heap of (until, order, family)
        self._rests = 0
        self._batches: dict[int, Batch] = {}
        self._numbers = 0

    # -- taking events -----------------------------------------------------------------------------

    def prepare(self, events: Iterable[UsageEvent]) -> Delivery:
        """Check that all events fit into messages. Raises InvalidEvent; takes nothing yet."""
        items = []
        for event in events:
            shape = shape_key(event)
            size = self._shapes.get(shape)
            if size is None:
                size = shape_bytes(shape)
                if len(self._shapes) >= SHAPES_MAX:
                    self._shapes.clear()
                self._shapes[shape] = size
            size += event_bytes(event)
            if size > self.limits.batch_bytes:
                message = f"{size} bytes; at most {self.limits.batch_bytes} fit into a batch"
                raise InvalidEvent("EVENT_TOO_LARGE", "id", event.id, message)
            items.append(Pending(event, shape, size))
        return Delivery(items)

    def offer(self, delivery: Delivery, now_us: int) -> bool:
        """Take as many of its events as fit, in order; True when all are taken."""
        limits = self.limits
        while delivery.taken < len(delivery.items):
            item = delivery.items[delivery.taken]
            full = self.pending_events >= limits.pending_events
            full = full or self.pending_bytes + item.size > limits.pending_bytes
            if full and self.pending_events:
                return False
            delivery.taken += 1
            item.offered_us = now_us
            self.pending_events += 1
            self.pending_bytes += item.size
            family = self._family_of(item.event.account)
            family.pending += 1
            self._append(family, item)
        return True

    def flush(self) -> None:
        """Let nothing that waits now linger."""
        for link in self._links.values():
            link.flush = bool(link.ready)

    # -- sending -----------------------------------------------------------------------------------

    def poll(self, now_us: int) -> list[Batch]:
        """The batches to send now. Each is answered by `succeeded` or `failed`, exactly once."""
        while self._resting and self._resting[0][0] <= now_us:
            self._make_ready(heappop(self._resting)[2])
        batches = []
        for link in self._links.values():
            while self._due_us(link, now_us) <= now_us:
                batches.append(self._gather(link, now_us))
        return batches

    def wake_us(self, now_us: int) -> int | None:
        """When to poll again if nothing else happens; None = only when something does."""
        times = [self._due_us(link, now_us) for link in self._links.values()]
        if self._resting:
            times.append(self._resting[0][0])
        soonest = min(times, default=_NEVER)
        return None if soonest == _NEVER else soonest

    def reroute(self) -> None:
        """The shard map has changed: what waits goes to the new addresses."""
        waiting = [family for link in self._links.values() for family in link.ready]
        for link in self._links.values():
            link.clear_ready()
        for family in waiting:
            self._make_ready(family)

    # -- answers -----------------------------------------------------------------------------------

    def succeeded(
        self, number: int, outcomes: Sequence[EventOutcome], now_us: int
    ) -> list[Delivery]:
        """Take the outcomes of a batch, in its order; the deliveries that are complete now.

        A number that is not in flight (an answer that came twice, or too late) changes nothing.
        """
        batch = self._batches.get(number)
        if batch is None:
            return []
        if len(outcomes) != len(batch.items):
            message = f"{len(outcomes)} outcomes for {len(batch.items)} events"
            return self.failed(
                number, Failure(FailureKind.UNKNOWN, "INTERNAL", "", message), now_us
            )
        link = self._take_back(batch)
        link.attempt = 0
        complete: list[Delivery] = []
        again: list[Pending] = []
        for item, outcome in zip(batch.items, outcomes, strict=True):
            if outcome.outcome in _AGAIN:
                item.unknown |= outcome.outcome is Outcome.UNKNOWN
                if not self._is_over(item, now_us):
                    again.append(item)
                    continue
                outcome = outcome._replace(outcome=item.undelivered, judged=False)
            self._settle(item, outcome, complete)
        troubled = self._put_back(again)
        for family in batch.families:
            family.busy = False
            if family in troubled:
                family.attempt += 1
                delay = self._policy.delay_us(family.attempt, 0, self._randrange)
                self._rest(family, now_us + delay)
            else:
                family.attempt = 0
                if not family.resting:
                    self._make_ready(family)
        return complete

    def failed(self, number: int, failure: Failure, now_us: int) -> list[Delivery]:
        """Take the failure of a whole batch; the deliveries that are complete now."""
        batch = self._batches.get(number)
        if batch is None:
            return []
        link = self._take_back(batch)
        complete: list[Delivery] = []
        again: list[Pending] = []
        for item in batch.items:
            item.unknown |= failure.kind is FailureKind.UNKNOWN
            if failure.again and not self._is_over(item, now_us):
                again.append(item)
                continue
            refused = failure.kind is FailureKind.REFUSED and not item.unknown
            outcome = Outcome.INVALID if refused else item.undelivered
            self._settle(item, _undelivered(outcome, failure), complete)
        if failure.again:
            link.fail(batch.sent_us, now_us)
            delay = self._policy.delay_us(link.attempt, failure.retry_after_us, self._randrange)
            link.not_before_us = max(link.not_before_us, now_us + delay)
        self._put_back(again)
        for family in reversed(batch.families):
            family.busy = False
            if not family.resting:
                self._make_ready(family, first=True)
        return complete

    def close(self, now_us: int) -> list[Delivery]:
        """Give everything up: RETRY where certainly not recorded, else UNKNOWN."""
        failure = Failure(
            FailureKind.RETRY, "CANCELLED", "CLIENT_CLOSED", "the client was closed", again=False
        )
        complete: list[Delivery] = []
        for batch in list(self._batches.values()):
            for item in batch.items:
                item.unknown = True
            complete += self.failed(batch.number, failure, now_us)
        for family in list(self._families.values()):
            while family.queue:
                item = family.pop()
                self._settle(item, _undelivered(item.undelivered, failure), complete)
        self._links.clear()
        self._resting.clear()
        return complete

    # -- parts -------------------------------------------------------------------------------------

    def _family_of(self, account: str) -> Family:
        """The family that the account's pending events are in, else the one that routing names."""
        found = self._accounts.get(account)
        if found is not None:
            family, count = found
        else:
            key, count = self._routing.family(account), 0
            family = self._families.get(key) or Family(key)
            self._families[key] = family
        self._accounts[account] = (family, count + 1)
        return family

    def _append(self, family: Family, item: Pending) -> None:
        family.append(item)
        if family.link is not None:
            family.link.grow(item)
        elif not family.busy and not family.resting:
            self._make_ready(family)

    def _make_ready(self, family: Family, *, first: bool = False) -> None:
        family.resting = False
        if not family.queue or family.link is not None:
            return
        address = self._routing.address(family.key)
        link = self._links.get(address)
        if link is None:
            link = self._links[address] = Link(address)
        link.add(family, first=first)

    def _rest(self, family: Family, until_us: int) -> None:
        if not family.queue or family.resting:
            return
        if family.link is not None:
            family.link.remove(family)
        family.resting = True
        self._rests += 1
        heappush(self._resting, (until_us, self._rests, family))

    def _due_us(self, link: Link, now_us: int) -> int:
        """When the link's next batch is due; _NEVER while only an answer can make it so."""
        limits = self.limits
        if not link.ready or link.in_flight >= (1 if link.attempt else limits.in_flight):
            return _NEVER
        if link.in_flight:
            enough = min(limits.worth_events, limits.batch_events)
            due = link.since_us + limits.coalesce_us
        else:
            enough = limits.batch_events
            due = link.since_us if link.flush else link.since_us + limits.linger_us
        if link.events >= enough or link.bytes >= limits.batch_bytes:
            due = now_us
        return max(due, link.not_before_us)

    def _gather(self, link: Link, now_us: int) -> Batch:
        limits = self.limits
        self._numbers += 1
        batch = Batch(self._numbers, link.address, now_us)
        size = 0
        while link.ready and len(batch.items) < limits.batch_events:
            if batch.items and size + link.ready[0].queue[0].size > limits.batch_bytes:
                break
            family = link.remove(link.ready[0])
            family.busy = limits.ordered
            batch.families.append(family)
            while family.queue and len(batch.items) < limits.batch_events:
                if batch.items and size + family.queue[0].size > limits.batch_bytes:
                    break
                item = family.pop()
                size += item.size
                batch.items.append(item)
            if not family.busy and family.queue:
                link.add(family, first=True)
                break
        link.in_flight += 1
        self._batches[batch.number] = batch
        return batch

    def _take_back(self, batch: Batch) -> Link:
        del self._batches[batch.number]
        link = self._links[batch.address]
        link.in_flight -= 1
        return link

    def _put_back(self, items: list[Pending]) -> set[Family]:
        """Put items at the head of their families, in order; returns the families."""
        families = set()
        for item in reversed(items):
            family = self._accounts[item.event.account][0]
            family.push(item)
            if family.link is not None:
                family.link.grow(item)
            families.add(family)
        return families

    def _is_over(self, item: Pending, now_us: int) -> bool:
        limit = self._policy.give_up_us
        return bool(limit) and now_us - item.offered_us >= limit

    def _settle(self, item: Pending, outcome: EventOutcome, complete: list[Delivery]) -> None:
        account = item.event.account
        family, count = self._accounts[account]
        if count > 1:
            self._accounts[account] = (family, count - 1)
        else:
            del self._accounts[account]
        family.pending -= 1
        if not family.pending:
            del self._families[family.key]
        self.pending_events -= 1
        self.pending_bytes -= item.size
        if item.settle(outcome):
            complete.append(item.delivery)


def _undelivered(outcome: Outcome, failure: Failure) -> EventOutcome:
    reason, field = failure.reason or failure.code, failure.metadata.get("field", "")
    if outcome is Outcome.INVALID:
        return unlooked_at(reason, failure.message, field)
    return EventOutcome(outcome, reason=reason, field=field, message=failure.message, judged=False)
