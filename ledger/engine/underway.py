"""Work between looking names up and handing commands to a writer: who forgets names waits for it.

Such work carries names of accounts and events that the directory may have forgotten meanwhile.
Owns no name, and must not hold such work up: it costs a call half a microsecond.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Work:
    """What is under way. A future is made of it only where somebody waits."""

    __slots__ = ("ended",)

    def __init__(self) -> None:
        self.ended: asyncio.Future[None] | None = None


class Underway:
    """Of one process. `passed` knows only what is `working` as it is asked."""

    __slots__ = ("_working",)

    def __init__(self) -> None:
        self._working: set[Work] = set()

    @contextmanager
    def working(self) -> Iterator[None]:
        """From before the first name is looked up until the last command is a writer's."""
        work = self.begin()
        try:
            yield
        finally:
            self.end(work)

    def begin(self) -> Work:
        """The same where a block does not fit: whoever has the work must `end` it."""
        work = Work()
        self._working.add(work)
        return work

    def end(self, work: Work) -> None:
        """What began has ended."""
        self._working.discard(work)
        if work.ended is not None:
            work.ended.set_result(None)

    async def passed(self) -> None:
        """Return when everything that is working now has ended."""
        ends: set[asyncio.Future[None]] = set()
        for work in self._working:
            if work.ended is None:
                work.ended = asyncio.get_running_loop().create_future()
            ends.add(work.ended)
        if ends:
            await asyncio.wait(ends)
