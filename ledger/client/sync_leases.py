"""A lease that threads share: decisions are made where they are asked for, under a lock.

`HeldLease` decides by the same core as that of the loop, which keeps the lease up. A decision does
not wait for the loop, and takes a microsecond or two.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Final, Self, TypeVar

from ledger.client import leases
from ledger.client.events import EventOutcome, UsageEvent
from ledger.client.lease_clock import passed_us
from ledger.client.lease_core import LeaseCore, Request
from ledger.client.limits import LeaseTerms
from ledger.client.looping import LoopThread

Event = TypeVar("Event")


class LockedCore(LeaseCore[Event]):
    """The same, for any number of threads."""

    __slots__ = ("_lock",)

    def __init__(self, terms: LeaseTerms, prefix: str) -> None:
        super().__init__(terms, prefix)
        self._lock = threading.Lock()

    def try_spend(self, amount: int, now_us: int) -> bool:
        """See LeaseCore."""
        with self._lock:
            return super().try_spend(amount, now_us)

    def give_up(self, amount: int) -> None:
        """See LeaseCore."""
        with self._lock:
            super().give_up(amount)

    def record(self, event: Event, amount: int, now_us: int) -> bool:
        """See LeaseCore."""
        with self._lock:
            return super().record(event, amount, now_us)

    def finished(self) -> bool:
        """See LeaseCore."""
        with self._lock:
            return super().finished()

    def leave(self) -> tuple[list[Event], list[Event]]:
        """See LeaseCore."""
        with self._lock:
            return super().leave()

    def next_request(self, now_us: int) -> Request[Event] | None:
        """See LeaseCore."""
        with self._lock:
            return super().next_request(now_us)

    def acquired(self, *answer: Any) -> None:
        """See LeaseCore."""
        with self._lock:
            super().acquired(*answer)

    def renewed(self, *answer: Any) -> None:
        """See LeaseCore."""
        with self._lock:
            super().renewed(*answer)

    def reported(self, *answer: Any) -> None:
        """See LeaseCore."""
        with self._lock:
            super().reported(*answer)

    def given_back(self, number: int) -> None:
        """See LeaseCore."""
        with self._lock:
            super().given_back(number)

    def lost(self, number: int, reason: str, now_us: int, after_us: int) -> None:
        """See LeaseCore."""
        with self._lock:
            super().lost(number, reason, now_us, after_us)


class HeldLease:
    """A lease that this process holds; any thread may decide by it. Decide with `spend`, or
    `try_spend` and `record`; use it as a context manager, or `open` and `close` it."""

    def __init__(self, lease: leases.HeldLease, loop: LoopThread) -> None:
        """`lease` decides by a LockedCore."""
        self._lease: Final = lease
        self._loop: Final = loop
        self._stirring = False

    # -- decisions ---------------------------------------------------------------------------------

    def try_spend(self, amount: int) -> bool:
        """Whether work of so many units may go ahead; then `record` what it used, or `give_up`."""
        core = self._lease.core
        spent = core.try_spend(amount, passed_us())
        if not spent or core.remaining < core.terms.low:
            self._stir()
        return spent

    def record(self, amount: int, event: UsageEvent) -> None:
        """What was used of units that were spent: it is reported within the terms' time. Raises
        ClientClosed where the lease, or its client, was closed meanwhile."""
        if self._lease.core.record(event, amount, passed_us()):
            self._stir()

    def give_up(self, amount: int) -> None:
        """Work that was let go ahead was not done."""
        self._lease.give_up(amount)

    def spend(self, amount: int, event: UsageEvent) -> bool:
        """Whether work of so many units may go ahead; then its usage is recorded."""
        if not self.try_spend(amount):
            return False
        self.record(amount, event)
        return True

    def spend_priced(self, event: UsageEvent) -> bool:
        """The same for what the event costs by the price sheet that is pinned here. Raises
        ValueError where that has no price for it: ask the server."""
        return self.spend(self.amount_of(event), event)

    def amount_of(self, event: UsageEvent) -> int:
        """What it costs by the price sheet that is pinned here. Raises ValueError, as
        `spend_priced` does."""
        return self._lease.amount_of(event)

    def _stir(self) -> None:
        """There may be something to ask for: once is enough until the loop has looked."""
        if not self._stirring:
            self._stirring = True
            self._loop.soon(self._stirred)

    def _stirred(self) -> None:
        self._stirring = False
        self._lease.stir()

    # -- what is there -----------------------------------------------------------------------------

    @property
    def priced(self) -> bool:
        """Whether prices are pinned here."""
        return self._lease.priced

    @property
    def remaining(self) -> int:
        """Units that may be spent now."""
        return self._lease.remaining

    @property
    def lease_id(self) -> str:
        """Of the lease that is held now; "" = none is."""
        return self._lease.lease_id

    @property
    def refused(self) -> str:
        """Why there is no lease, or it was not renewed, where the server said so."""
        return self._lease.refused

    @property
    def unrecorded(self) -> Sequence[tuple[UsageEvent, EventOutcome]]:
        """Events that the server refused, with what it said, and those that closing the client
        kept from being reported: record them some other way."""
        return self._lease.unrecorded

    def on_loop(self, loop: LoopThread) -> leases.HeldLease:
        """For the client of that loop. Raises ValueError where it is another one's."""
        if loop is not self._loop:
            raise ValueError("the lease is of another client: hold one by this client")
        return self._lease

    # -- life --------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> None:
        """Ask for the lease, and keep it up from now on; returns once the server has answered."""
        self._loop.run(self._lease.open())

    def close(self) -> None:
        """Spend no more, report what is left, give back the rest."""
        if not self._loop.gone:
            self._loop.run(self._lease.close())
