"""How much is gathered, sent and kept: the one home of the client's limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ledger.client.durations import SECOND_US

BATCH_EVENTS_MAX: Final = 8_192  # the server's
MESSAGE_BYTES_MAX: Final = 16 << 20  # the server's


@dataclass(frozen=True, slots=True)
class Limits:
    """How events are gathered. Times in microseconds."""

    batch_events: int = 4_096
    batch_bytes: int = 8 << 20
    worth_events: int = 512
    """Enough for a batch of its own while others are in flight."""
    linger_us: int = 2_000
    """How long an event waits for company while nothing is in flight."""
    coalesce_us: int = 50_000
    """How long it waits while something is."""
    in_flight: int = 4
    """Batches in flight to one address."""
    ordered: bool = True
    """False: a family may be in several batches at once, for more speed on few accounts; then only
    the order within a batch is kept."""
    pending_events: int = 65_536
    """Events waiting or in flight; `offer` takes no more."""
    pending_bytes: int = 64 << 20

    def __post_init__(self) -> None:
        """Raises ValueError for limits that could never work."""
        if not 1 <= self.batch_events <= BATCH_EVENTS_MAX:
            raise ValueError(f"batch_events is 1 to {BATCH_EVENTS_MAX}, not {self.batch_events}")
        if not 1 <= self.batch_bytes <= MESSAGE_BYTES_MAX:
            raise ValueError(f"batch_bytes is 1 to {MESSAGE_BYTES_MAX}, not {self.batch_bytes}")
        if min(self.in_flight, self.pending_events, self.pending_bytes, self.worth_events) < 1:
            raise ValueError("in_flight, pending_events, pending_bytes, worth_events are 1 or more")
        if min(self.linger_us, self.coalesce_us) < 0:
            raise ValueError("linger_us and coalesce_us are 0 or more")


@dataclass(frozen=True, slots=True)
class LeaseTerms:
    """What a holder wants of a credit lease, and how it goes about it. Times in microseconds."""

    wanted: int
    """Units at hand, in minor units of the account's asset."""
    minimum: int = 0
    """The smallest slice that is of use; 0 = any."""
    term_us: int = 60_000_000
    """How long a slice is good for; 5 seconds to a day."""
    low: int = -1
    """More is asked for below so many units; -1 = a quarter of what is wanted."""
    report_every_us: int = SECOND_US
    """How long a usage event waits for company."""
    batch_events: int = 1_000
    """Events of one report."""
    ask_every_us: int = 250_000
    """How long to wait before more is asked for again."""

    def __post_init__(self) -> None:
        """Raises ValueError for terms that could never work."""
        if self.wanted < 1 or not 0 <= self.minimum <= self.wanted:
            raise ValueError("wanted is 1 or more, and minimum from 0 to it")
        if not 1 <= self.batch_events <= BATCH_EVENTS_MAX:
            raise ValueError(f"batch_events is 1 to {BATCH_EVENTS_MAX}, not {self.batch_events}")
        if min(self.report_every_us, self.ask_every_us) < 0 or self.term_us < 0:
            raise ValueError("times are 0 or more")
        if self.low < 0:
            object.__setattr__(self, "low", self.wanted // 4)
