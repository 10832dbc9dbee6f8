"""An event loop in a thread of its own, for callers that do not await.

Owns the thread. What runs on the loop is ended before the thread is; a caller that is interrupted
while it waits cancels what it waits for.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import Any, Final, TypeVar

from ledger.client import forking
from ledger.client.errors import ClientClosed

T = TypeVar("T")


class LoopThread:
    """Runs from the first use until `stop`; may be used from any number of threads."""

    def __init__(self, name: str = "drawdown-client") -> None:
        self._name: Final = name
        self._lock = threading.Lock()  # what is begun before `stop` is ended by it
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stopped = False

    @property
    def gone(self) -> bool:
        """Whether nothing runs any more, or in another process, from which this one was forked."""
        return self._stopped or forking.is_carried()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run it on the loop and wait for what it returns or raises. Raises ClientClosed, and
        RuntimeError in a process that was forked too late."""
        future = self._begun(work)
        try:
            return future.result()
        except CancelledError:
            raise ClientClosed("the client was closed while a call was waiting") from None
        except BaseException:
            future.cancel()  # an interrupt of this thread; else it is done, and nothing happens
            raise

    def look(self, at: Callable[[], T]) -> T:
        """What it returns where nothing on the loop changes it meanwhile."""
        if self._loop is not None and not self.gone:
            with suppress(ClientClosed):
                return self.run(_called(at))
        return at()

    def soon(self, callback: Callable[[], object]) -> bool:
        """Have it called on the loop; False where that is stopped, or was never used."""
        with self._lock:
            if self._stopped or self._loop is None:
                return False
            self._loop.call_soon_threadsafe(callback)
            return True

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
            if close is not None and not self.gone:
                with suppress(ClientClosed):
                    self.run(close())

    def stop(self) -> None:
        """Cancel what runs, and end the thread. In a forked process there is none."""
        with self._lock:
            stopped, self._stopped = self._stopped, True
            loop, thread = self._loop, self._thread
        if loop is None or thread is None or forking.is_carried():
            return
        if not stopped:
            loop.call_soon_threadsafe(loop.stop)
        thread.join()

    def _begun(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        try:
            forking.opening()
            if threading.current_thread() is self._thread:
                raise RuntimeError(
                    "a synchronous call on the loop's own thread would wait for itself"
                )
            with self._lock:
                if self._stopped:
                    raise ClientClosed("the client is closed")
                if self._loop is None:
                    self._loop = asyncio.new_event_loop()
                    self._thread = threading.Thread(
                        target=self._turn, args=(self._loop,), name=self._name, daemon=True
                    )
                    self._thread.start()
                return asyncio.run_coroutine_threadsafe(work, self._loop)
        except BaseException:
            work.close()
            raise

    @staticmethod
    def _turn(loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
            loop.run_until_complete(_cancel_others())
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())  # as a spool's last write
        finally:
            loop.close()


async def _called(function: Callable[[], T]) -> T:
    return function()


async def _next(source: AsyncIterator[T]) -> T:
    return await anext(source)


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
