"""Work between looking names up and handing commands to a writer: who forgets names waits for it.

Such work carries names of accounts and events that the directory may have forgotten meanwhile.
Owns no name, and must not hold such work up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Underway:
    """Of one process. `passed` knows only what is `working` as it is asked."""

    __slots__ = ("_ends",)

    def __init__(self) -> None:
        self._ends: set[asyncio.Future[None]] = set()

    @contextmanager
    def working(self) -> Iterator[None]:
        """From before the first name is looked up until the last command is a writer's."""
        end = self.begin()
        try:
            yield
        finally:
            self.end(end)

    def begin(self) -> asyncio.Future[None]:
        """The same where a block does not fit: whoever has the future must `end` it."""
        end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ends.add(end)
        return end

    def end(self, end: asyncio.Future[None]) -> None:
        """What began has ended."""
        self._ends.discard(end)
        end.set_result(None)

    async def passed(self) -> None:
        """Return when everything that is working now has ended."""
        if self._ends:
            await asyncio.wait(set(self._ends))
