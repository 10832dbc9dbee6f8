"""Wakes a writer by a time, if nothing has woken it before.

It knows the loop's time and whom to wake; what is due, and when, is the writer's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ledger.core.limits import SECOND_US


class Alarm:
    """Rings once, by the earliest time that it was set to."""

    __slots__ = ("_handle", "_wake")

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._handle: asyncio.TimerHandle | None = None

    def ring_in(self, wait_us: int) -> None:
        """Be woken by then. An alarm that rings before stays: it costs one look, while a timer of
        its own for each wait would cost more than many waits."""
        loop = asyncio.get_running_loop()
        at = loop.time() + wait_us / SECOND_US
        if self._handle is not None:
            if self._handle.when() <= at:
                return
            self._handle.cancel()
        self._handle = loop.call_at(at, self._ring)

    def end(self, _: object) -> None:
        """Nobody is to be woken any more."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _ring(self) -> None:
        self._handle = None
        self._wake()
