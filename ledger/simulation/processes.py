"""Simulated processes: what SIGKILL ends at once, what SIGSTOP stops, and the clocks they see.

A crash cuts the process's handles first and then drops its tasks. Nothing is cancelled, for SIGKILL
runs no `finally`: the coroutines are kept until the seed is over, so that no collector closes them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from ledger.simulation.loop import Owner, SimulatedLoop

T = TypeVar("T")
EPOCH_US = 1_790_000_000_000_000  # 2026-09-21: the world's wall clock when it begins


class WorldTime:
    """True time: the loop's virtual time, and leaps of the wall clock that everybody makes.

    A leap is a machine that was suspended: wall clocks move, monotonic ones do not.
    """

    __slots__ = ("leapt_us", "loop")

    def __init__(self, loop: SimulatedLoop) -> None:
        self.loop = loop
        self.leapt_us = 0

    def now_us(self) -> int:
        """Microseconds since the epoch, UTC: also the database's clock."""
        return EPOCH_US + self.loop.now_us + self.leapt_us


class SimulatedClock:
    """One machine's clocks: `offset_us` is how wrong its wall clock is."""

    __slots__ = ("_time", "offset_us")

    def __init__(self, time: WorldTime, offset_us: int = 0) -> None:
        self._time = time
        self.offset_us = offset_us

    def now_us(self) -> int:
        """See engine.clock.Clock."""
        return self._time.now_us() + self.offset_us

    def monotonic_us(self) -> int:
        """See engine.clock.Clock."""
        return self._time.loop.now_us


class Process(Owner):
    """One process of the world, from its start to its end."""

    __slots__ = ("clock", "graveyard", "loop", "stops")

    def __init__(self, loop: SimulatedLoop, name: str, clock: SimulatedClock) -> None:
        super().__init__(name)
        self.loop = loop
        self.clock = clock
        self.graveyard: list[asyncio.Task[Any]] = []
        self.stops = 0  # how often it was stopped

    def spawn(self, work: Coroutine[Any, Any, T], name: str = "") -> asyncio.Task[T]:
        """Start a task of this process."""
        return self.loop.spawn(self, work, name)

    def kill(self) -> None:
        """SIGKILL: from now on nothing of it runs."""
        self.dead = True
        for task in asyncio.all_tasks(self.loop):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            self.graveyard.append(task)
        self.held.clear()

    def stop(self) -> None:
        """SIGSTOP: what would run waits."""
        self.stopped = True
        self.stops += 1

    def resume(self) -> None:
        """SIGCONT."""
        if not self.dead:
            self.loop.resume(self)
