"""The right to answer reads of a shard, by this process's own monotonic clock.

A lease is good from the moment in which its last renewal was *sent* until a margin before its term
ends: whoever takes the shard over does so only after the whole term by the database's clock. Reads
alone depend on it; what is written is fenced by the journal's primary key.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

from ledger.engine.clock import Clock

TERM_US: Final = 2_000_000


class Terms(NamedTuple):
    """The times of a lease, in microseconds, all from its term."""

    term_us: int = TERM_US

    @property
    def margin_us(self) -> int:
        """Before the end, nothing is answered: 500 ms, as far as two clocks may be apart."""
        return self.term_us // 4

    @property
    def beat_us(self) -> int:
        """Between two renewals: three may fail before a read has to wait."""
        return self.term_us // 4

    @property
    def patience_us(self) -> int:
        """How long a renewal may take: two that hang still leave time for a third."""
        return self.term_us // 4

    @property
    def eager_us(self) -> int:
        """Between two looks of a process that waits for shards."""
        return self.term_us // 40

    @property
    def names_us(self) -> int:
        """How long a cached name may be used without asking what changed."""
        return self.term_us


class ReadLease(Protocol):
    """Whether reads may be answered now."""

    def holds(self) -> bool:
        """Asked as an answer is given."""
        ...


class Always:
    """A process that shares its storage with nobody."""

    def holds(self) -> bool:
        """See ReadLease."""
        return True


class Never:
    """A shard that is not ours."""

    def holds(self) -> bool:
        """See ReadLease."""
        return False


ALWAYS: Final = Always()
NEVER_OURS: Final = Never()


class HeldLease:
    """A lease that was won. Renew it with the time at which the renewal was sent."""

    __slots__ = ("_clock", "_until_us", "epoch", "terms")

    def __init__(self, clock: Clock, terms: Terms, epoch: int, sent_us: int) -> None:
        self.epoch = epoch
        self.terms = terms
        self._clock = clock
        self._until_us = 0
        self.renewed(sent_us)

    def holds(self) -> bool:
        """See ReadLease."""
        return self._clock.monotonic_us() < self._until_us

    @property
    def left_us(self) -> int:
        """How long it is good for; 0 or less: it lapsed."""
        return self._until_us - self._clock.monotonic_us()

    def renewed(self, sent_us: int) -> None:
        """The store confirmed a renewal that was sent then, by the monotonic clock."""
        self._until_us = max(self._until_us, sent_us + self.terms.term_us - self.terms.margin_us)

    def revoke(self) -> None:
        """It is another's, or about to be given away."""
        self._until_us = 0
