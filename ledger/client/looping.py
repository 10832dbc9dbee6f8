"""An event loop in a thread of its own, for callers that do not await.

Owns the thread. What runs on the loop is ended before the thread is; a caller that is interrupted
while it waits cancels what it waits for.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import CancelledError
from typing import Any, Final, TypeVar

T = TypeVar("T")


class LoopThread:
    """Runs from the first use until `stop`; may be used from any number of threads."""

    def __init__(self, name: str = "drawdown-client") -> None:
        self._name: Final = name
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stopped = False

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run it on the loop and wait for what it returns or raises."""
        loop = self._running(work)
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("a synchronous call on the loop's own thread would wait for itself")
        future = asyncio.run_coroutine_threadsafe(work, loop)
        try:
            return future.result()
        except CancelledError:
            raise RuntimeError("the loop was stopped while a call was waiting") from None
        except BaseException:
            future.cancel()  # an interrupt of this thread; else it is done, and nothing happens
            raise

    def each(self, source: AsyncIterator[T]) -> Iterator[T]:
        """What it gives, one by one; closed with the iterator that this returns."""
        try:
            while True:
                try:
                    yield self.run(_next(source))
                except StopAsyncIteration:
                    return
        finally:
            close = getattr(source, "aclose", None)
            if close is not None and not self._stopped:
                self.run(close())

    def stop(self) -> None:
        """Cancel what runs, and end the thread."""
        with self._lock:
            self._stopped = True
            loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        if loop.is_running():
            asyncio.run_coroutine_threadsafe(_cancel_others(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
        thread.join()

    def _running(self, work: Coroutine[Any, Any, Any]) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._stopped:
                work.close()
                raise RuntimeError("the client is closed")
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._turn, name=self._name, daemon=True)
                self._thread.start()
            return self._loop

    def _turn(self) -> None:
        assert self._loop is not None
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            self._loop.close()


async def _next(source: AsyncIterator[T]) -> T:
    return await anext(source)


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
