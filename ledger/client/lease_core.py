"""One credit lease as its holder has it: decisions in a counter, and what to ask next. No I/O.

The server puts a slice in escrow; here is what may be spent of it, by this machine's own monotonic
clock, which comes in with each call (microseconds). Nothing is spent after the deadline: the time
at which the slice was first asked for + term - margin (rule H7). One request is out at a time, and
is asked again, the same, until it is answered: so what an answer says is in escrow covers all that
was spent and not reported. Reports, renewals ahead of time and the return come out of
`next_request`; `answered`, `failed` and `lost` take what came of them.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final, Generic, TypeAlias, TypeVar

from ledger.client.errors import ClientClosed
from ledger.client.limits import LeaseTerms

Event = TypeVar("Event")
NEVER: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class AcquireRequest:
    """Put a slice into escrow."""

    number: int
    request_id: str
    wanted: int
    minimum: int
    term_us: int


@dataclass(frozen=True, slots=True)
class RenewRequest:
    """Let it go on; the holder is bound to `keep` until it is answered."""

    number: int
    request_id: str
    lease_id: str
    wanted: int
    keep: int
    term_us: int


@dataclass(frozen=True, slots=True)
class ReportRequest(Generic[Event]):
    """Record what was used: each event with the units that were spent for it here."""

    number: int
    lease_id: str
    events: tuple[tuple[Event, int], ...]


@dataclass(frozen=True, slots=True)
class GiveBackRequest:
    """End it."""

    number: int
    request_id: str
    lease_id: str


Request: TypeAlias = AcquireRequest | RenewRequest | ReportRequest[Event] | GiveBackRequest


class LeaseCore(Generic[Event]):
    """Made with its terms and a prefix of request ids that nobody else has; every other input is an
    argument. `remaining` and `deadline_us` are what a decision looks at."""

    __slots__ = (
        "_again_us",
        "_asked",
        "_base",
        "_before",
        "_closing",
        "_down_to",
        "_first_sent_us",
        "_left",
        "_lost",
        "_numbers",
        "_oldest_us",
        "_out",
        "_prefix",
        "_queue",
        "_recorded",
        "_renew_us",
        "_sent",
        "_slept_us",
        "deadline_us",
        "lease_id",
        "refused",
        "remaining",
        "terms",
    )

    def __init__(self, terms: LeaseTerms, prefix: str) -> None:
        self.terms = terms
        self.lease_id = ""  # "" = there is none
        self.remaining = 0
        self.deadline_us = 0
        self.refused = ""  # why there is no lease, where the server said so
        self._prefix = prefix
        self._numbers = 0
        self._base = 0  # in escrow, as far as this holder may go: spent + remaining
        self._recorded = 0  # of what was spent, units of events that are not reported yet
        self._before = ""  # the lease that was lost last
        self._lost = 0  # units spent of lost leases, of which nobody has said what became of them
        self._down_to = NEVER
        self._renew_us = 0
        self._queue: deque[tuple[str, Event, int]] = deque()  # lease, event, units
        self._oldest_us = NEVER  # when the first of them came
        self._sent: tuple[tuple[Event, int], ...] = ()
        self._asked: Request[Event] | None = None
        self._out = False  # whether it is on its way
        self._first_sent_us = 0
        self._again_us = 0
        self._slept_us = 0  # not before then is more asked for
        self._closing = False
        self._left = False  # nobody asks `next_request` any more

    # -- decisions ---------------------------------------------------------------------------------

    def try_spend(self, amount: int, now_us: int) -> bool:
        """Whether work of so many units may go ahead: then they are spent."""
        left = self.remaining - amount
        if left < 0 or now_us >= self.deadline_us:
            return False
        self.remaining = left
        return True

    def give_up(self, amount: int) -> None:
        """Work that was let go ahead was not done: its units may be spent again, but those of a
        lease that was lost meanwhile, which are said first: they are in no lease any more."""
        gone = min(amount, self._lost)
        self._lost -= gone
        amount -= gone
        if amount <= self.spent - self._recorded:
            self.remaining += amount

    def record(self, event: Event, amount: int, now_us: int) -> bool:
        """What was used of units that were spent: it is reported soon. Units of a lease that was
        lost meanwhile are reported as of that one. True: `next_request` is to be asked anew. Raises
        ClientClosed where nobody would report it any more."""
        if self._left:
            raise ClientClosed("the lease is closed: record the usage some other way")
        lease_id = self.lease_id
        if lease_id and amount <= self.spent - self._recorded:
            self._recorded += amount
        else:
            lease_id = self._before or lease_id
            self._lost -= min(amount, self._lost)
        self._queue.append((lease_id, event, amount))
        self._oldest_us = min(self._oldest_us, now_us)
        return len(self._queue) == 1 or len(self._queue) == self.terms.batch_events

    @property
    def spent(self) -> int:
        """Units that were spent and are not reported."""
        return self._base - self.remaining

    @property
    def waiting(self) -> int:
        """Events that are not reported."""
        return len(self._queue) + len(self._sent)

    @property
    def done(self) -> bool:
        """Whether it was closed, and nothing is left to be said."""
        return self._closing and not self.lease_id and not self.waiting and self._asked is None

    def close(self) -> None:
        """Spend no more: report what is left, and give back the rest."""
        self._closing = True
        self.deadline_us = 0

    def finished(self) -> bool:
        """Whether it is done. From then on it takes nothing more: who keeps it up may go."""
        self._left = self._left or self.done
        return self._left

    def leave(self) -> tuple[list[Event], list[Event]]:
        """Who keeps it up goes before it is done: it takes nothing more. Events of which it is not
        known whether they were reported, and those that were not."""
        self.close()
        self._left = True
        sent = [event for event, _ in self._sent]
        waiting = [event for _, event, _ in self._queue]
        self._sent = ()
        self._queue.clear()
        return sent, waiting

    # -- what to ask -------------------------------------------------------------------------------

    def next_request(self, now_us: int) -> Request[Event] | None:
        """What is to be sent now, if anything; it is out until one of the three below."""
        if self._out:
            return None
        if self._asked is None:
            self._asked = self._wish(now_us)
            self._first_sent_us = now_us
        elif now_us < self._again_us:
            return None
        self._out = self._asked is not None
        return self._asked

    def wake_at(self, now_us: int) -> int:
        """When `next_request` is to be asked again, if nothing else happens until then."""
        if self._out:
            return NEVER
        if self._asked is not None:
            return self._again_us
        due = NEVER
        if self._queue:
            due = self._oldest_us + self.terms.report_every_us
        if not self._closing:
            due = min(due, max(self._slept_us, now_us if self._is_low() else self._renew_us))
        return due

    def _is_low(self) -> bool:
        return not self.lease_id or self.remaining < self.terms.low or self._base > self._down_to

    def _wish(self, now_us: int) -> Request[Event] | None:
        terms = self.terms
        if self._queue and (
            self._closing
            or len(self._queue) >= terms.batch_events
            or now_us >= self._oldest_us + terms.report_every_us
            or self._queue[0][0] != self.lease_id
        ):
            return self._report(now_us)
        if self._closing:
            if not self.lease_id:
                return None
            return GiveBackRequest(*self._identity(), self.lease_id)
        if now_us < self._slept_us:
            return None
        if not self.lease_id:
            return AcquireRequest(*self._identity(), terms.wanted, terms.minimum, terms.term_us)
        if now_us >= self._renew_us or self._is_low():
            spent = self.spent
            keep = max(spent, min(self._base, self._down_to))
            self.remaining = keep - spent
            self._base = keep
            wanted = terms.wanted + spent
            return RenewRequest(*self._identity(), self.lease_id, wanted, keep, terms.term_us)
        return None

    def _identity(self) -> tuple[int, str]:
        self._numbers += 1
        return self._numbers, f"{self._prefix}-{self._numbers}"

    def _report(self, now_us: int) -> ReportRequest[Event]:
        lease_id = self._queue[0][0]
        events: list[tuple[Event, int]] = []
        while self._queue and len(events) < self.terms.batch_events:
            if self._queue[0][0] != lease_id:
                break
            _, event, amount = self._queue.popleft()
            events.append((event, amount))
        self._oldest_us = now_us if self._queue else NEVER
        self._sent = tuple(events)
        self._numbers += 1
        return ReportRequest(self._numbers, lease_id, self._sent)

    # -- what came of it ---------------------------------------------------------------------------

    def acquired(
        self, number: int, lease_id: str, amount: int, term_us: int, margin_us: int, now_us: int
    ) -> None:
        """The lease is there; with nothing in it, it waits for its share."""
        if not self._is_out(number):
            return
        self.lease_id, self.refused = lease_id, ""
        self._base = self.remaining = amount
        self._recorded = 0
        self._down_to = NEVER
        self._runs(amount, term_us, margin_us, now_us)

    def renewed(
        self, number: int, amount: int, down_to: int, term_us: int, margin_us: int, now_us: int
    ) -> None:
        """It goes on, with so much in escrow: what was spent and not reported is a part of it."""
        if not self._is_out(number):
            return
        spent = self.spent
        self._base = amount
        self.remaining = amount - spent
        self._down_to = down_to
        self._runs(amount, term_us, margin_us, now_us)

    def _runs(self, amount: int, term_us: int, margin_us: int, now_us: int) -> None:
        run_us = term_us - margin_us
        self.deadline_us = 0 if self._closing else self._first_sent_us + run_us
        self._renew_us = self._first_sent_us + run_us - run_us // 4
        wanting = self.remaining < self.terms.low or amount > self._down_to
        self._slept_us = now_us + (self.terms.ask_every_us if wanting else 0)

    def reported(
        self, number: int, left: int, down_to: int, again: tuple[Event, ...], runs: bool
    ) -> None:
        """The events were taken but those that are to be sent `again`; `left` is in escrow now. It
        is another lease's where the one that they are of was lost."""
        asked = self._asked
        if not self._is_out(number):
            return
        assert isinstance(asked, ReportRequest)
        kept = [(event, amount) for event, amount in self._sent if event in again]
        taken = sum([amount for _, amount in self._sent]) - sum([amount for _, amount in kept])
        self._sent = ()
        for event, amount in reversed(kept):
            self._queue.appendleft((asked.lease_id, event, amount))
            self._oldest_us = 0
        if asked.lease_id != self.lease_id:
            return
        if not runs:
            self._lose()
            return
        spent = self.spent - taken
        self._recorded -= taken
        self._base = left
        self.remaining = left - spent
        self._down_to = down_to

    def given_back(self, number: int) -> None:
        """It has ended."""
        if self._is_out(number):
            self._lose()

    def failed(self, number: int, now_us: int, after_us: int) -> None:
        """Nothing is known of it: the same is asked again, not before `after_us` from now."""
        asked = self._asked
        if asked is not None and asked.number == number and self._out:
            self._out = False
            self._again_us = now_us + after_us

    def lost(self, number: int, reason: str, now_us: int, after_us: int) -> None:
        """The server refused it for good: what it had is lost, or there is none to be had for now.
        Events of a report that was refused as a whole are dropped: none is the lease's any more."""
        asked = self._asked
        if not self._is_out(number):
            return
        self.refused = reason
        self._slept_us = now_us + after_us
        if isinstance(asked, ReportRequest):
            self._sent = ()
            if asked.lease_id != self.lease_id:
                return
        self._lose()

    def put_off(self, number: int, reason: str, now_us: int, after_us: int) -> None:
        """A renewal was refused, and the lease runs on as it was agreed."""
        if self._is_out(number):
            self.refused = reason
            self._slept_us = now_us + after_us

    def _is_out(self, number: int) -> bool:
        """Whether that is what was asked last; then it is answered."""
        if self._asked is None or self._asked.number != number:
            return False
        self._asked = None
        self._out = False
        return True

    def _lose(self) -> None:
        self._before = self.lease_id or self._before
        self._lost += self.spent - self._recorded
        self.lease_id = ""
        self.remaining = self._base = self._recorded = 0
        self.deadline_us = 0
        self._down_to = NEVER
