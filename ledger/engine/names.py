"""How long cached names may be used: until somebody else may have changed them unseen.

Another process may end an alias or erase an account. The directory notes such changes; this asks
for them several times a term, and caches count as fresh only for one term after the last question
was sent, by the monotonic clock. So a name is never older than that, whatever stood still.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from ledger.core.limits import SECOND_US
from ledger.engine.clock import Clock
from ledger.engine.lease import Terms
from ledger.journal.directory import NOTHING_CHANGED, Changed, Directory
from ledger.journal.errors import JournalError


class NameWatch:
    """Asks while it runs; `sole` is for a process that shares its storage with nobody."""

    def __init__(self, directory: Directory, clock: Clock, terms: Terms, *, sole: bool) -> None:
        self._directory = directory
        self._clock = clock
        self._terms = terms
        self._sole = sole
        self._fresh_until_us = 0
        self._listeners: list[Callable[[Changed], None]] = []
        self._asking = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def fresh(self) -> bool:
        """Whether cached names may be used."""
        return self._sole or self._clock.monotonic_us() < self._fresh_until_us

    def listen(self, listener: Callable[[Changed], None]) -> None:
        """Have a cache told what to forget, in the moment in which the directory forgets it."""
        self._listeners.append(listener)

    def start(self) -> None:
        """Begin to ask."""
        if not self._sole:
            self._task = asyncio.create_task(self._run(), name="names")

    async def stop(self) -> None:
        """Ask no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def catch_up(self) -> None:
        """Forget all that changed before this was called. Raises JournalUnavailable."""
        async with self._asking:
            sent_us = self._clock.monotonic_us()
            changed = await self._directory.catch_up()
            if changed != NOTHING_CHANGED:
                for listener in self._listeners:
                    listener(changed)
            self._fresh_until_us = sent_us + self._terms.names_us

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(JournalError):  # asked again; until then names are looked up
                await self.catch_up()
            await asyncio.sleep(self._terms.beat_us / SECOND_US)
