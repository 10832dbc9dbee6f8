"""How much is gathered, sent and kept: the one home of the client's limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

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
