"""What a caller's iterator gives, on the loop: read in a thread of its own, a bounded way ahead.

The iterator may wait, for a queue or for calls of the same client, and holds nobody up. Its thread
ends with it; one that waits for ever for its next item ends with the process.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterable
from typing import Final, Generic, TypeVar

T = TypeVar("T")
AHEAD_MAX: Final = 1_024  # items that are read and not taken; as many as a stream has unanswered


class Fed(Generic[T]):
    """The items as an asynchronous iterator; begun by the first of them that is asked for."""

    def __init__(self, items: Iterable[T]) -> None:
        self._items = items
        self._room = threading.Semaphore(AHEAD_MAX)
        self._read: deque[T] = deque()
        self._ended = False  # the reader has no more
        self._error: Exception | None = None
        self._given_up = False  # nobody takes any more
        self._stirred = asyncio.Event()

    async def each(self) -> AsyncIterator[T]:
        """One after the other. Raises what the iterator raises."""
        loop = asyncio.get_running_loop()
        threading.Thread(
            target=self._run, args=(loop,), name="drawdown-reader", daemon=True
        ).start()
        try:
            while True:
                while self._read:
                    yield self._read.popleft()
                    self._room.release()
                if self._ended and not self._read:
                    break
                self._stirred.clear()
                if not self._read and not self._ended:
                    await self._stirred.wait()
            if self._error is not None:
                raise self._error
        finally:
            self._given_up = True
            self._room.release()

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            for item in self._items:
                self._room.acquire()
                if self._given_up:
                    return
                self._read.append(item)
                self._stir(loop)
        except Exception as error:
            self._error = error
        except BaseException as error:  # would end the loop if it was raised there
            self._error = RuntimeError(f"the iterator was left by {error!r}")
        finally:
            self._ended = True
            self._stir(loop)

    def _stir(self, loop: asyncio.AbstractEventLoop) -> None:
        if len(self._read) <= 1 or self._ended:  # else it is not at its end yet, and looks again
            try:
                loop.call_soon_threadsafe(self._stirred.set)
            except RuntimeError:  # the loop is closed
                self._given_up = True
