"""How often a shard is checkpointed, how much of it stays in memory, and work done in slices.

Owns the limits of checkpoints and paging, once, with their arithmetic, and the slices in which such
work is done between decisions. Must not know what is checkpointed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final, TypeVar

import msgspec

from ledger.core.limits import HOUR_US, MILLISECOND_US, MINUTE_US
from ledger.engine.clock import Clock

PageT = TypeVar("PageT")

SLICE_US: Final = 2 * MILLISECOND_US  # work goes on so long before the loop's turn


class Upkeep(msgspec.Struct, frozen=True):
    """What an operator may set."""

    checkpoint_entries: int = 500_000
    """Entries between two checkpoints: a restart replays at most about twice as many, 5 us each."""

    checkpoint_interval_us: int = 5 * MINUTE_US
    """A quiet shard is checkpointed when so long has passed, if anything was recorded."""

    resident_families: int = 100_000
    """Families that stay in memory of one shard; x ~2 kB = 200 MB. Changed ones stay anyway."""

    idle_us: int = HOUR_US
    """A family that nothing touched for so long leaves memory."""


class Slices:
    """Measures slices of work: `over` says that the loop is due its turn, `rest` gives it."""

    __slots__ = ("_clock", "_started", "longest_us")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started = 0
        self.longest_us = 0

    def begin(self) -> None:
        """A slice begins."""
        self._started = self._clock.monotonic_us()

    def over(self) -> bool:
        """Whether this slice has lasted long enough."""
        return self._clock.monotonic_us() - self._started >= SLICE_US

    def end(self) -> None:
        """A slice ends."""
        self.longest_us = max(self.longest_us, self._clock.monotonic_us() - self._started)

    async def rest(self) -> None:
        """End a slice, let others run, begin the next."""
        self.end()
        await asyncio.sleep(0)
        self.begin()

    async def pages(self, read: AsyncIterator[PageT]) -> AsyncIterator[PageT]:
        """What is read, page by page: waiting for a page is no work, others run meanwhile."""
        self.end()
        async for page in read:
            self.begin()
            yield page
            self.end()
        self.begin()
