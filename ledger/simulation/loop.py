"""Our event loop: virtual time that jumps to the next timer, ready handles in an order from a seed.

No selector, no threads, no sockets, no executor. Every handle belongs to the process in whose
context it was made; what a dead process wanted to run is dropped, what a stopped one wants is kept.
Times are integer microseconds within; asyncio's interface wants seconds.
"""

from __future__ import annotations

import asyncio
from asyncio import events
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar
from heapq import heappop, heappush
from random import Random
from typing import Any, Final, TypeVar

from ledger.core.limits import SECOND_US
from ledger.journal.errors import JournalError

T = TypeVar("T")
STEPS_MAX: Final = 200_000  # x ~20 us = 4 s: a seed that goes on longer has hung


class Owner:
    """What a handle belongs to. `dead` is for ever; `stopped` handles wait in `held`."""

    __slots__ = ("dead", "held", "name", "steps", "stopped")

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.stopped = False
        self.held: list[events.Handle] = []
        self.steps = 0  # handles run so far


NOBODY: Final = Owner("world")
OWNER: ContextVar[Owner] = ContextVar("OWNER", default=NOBODY)


class LoopHung(Exception):
    """Nothing is left to run, or the steps ran out, and the world is not done."""


class SimulatedLoop(asyncio.BaseEventLoop):
    """See the module. `run` drives it; `now_us` is virtual time since the start."""

    def __init__(self, random: Random, shuffle: bool) -> None:
        """Without `shuffle` handles run first in, first out, as asyncio's own loop does."""
        super().__init__()
        self.now_us = 0
        self.steps = 0
        self.errors: list[str] = []
        self._burying = False  # what a dead process had begun is let go of
        self.on_step: Callable[[Owner], None] | None = None  # before each handle
        self._random = random
        self._shuffle = shuffle
        self._queue: list[tuple[Owner, events.Handle]] = []
        self._timers: list[tuple[int, int, Owner, events.TimerHandle]] = []
        self._timer_count = 0

    # -- asyncio's interface -----------------------------------------------------------------------

    def time(self) -> float:
        """Virtual seconds."""
        return self.now_us / SECOND_US

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> events.Handle:
        """See asyncio."""
        handle = events.Handle(callback, args, self, context)
        self._push(_owner(context), handle)
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any,
        context: Context | None = None,
    ) -> events.TimerHandle:  # fmt: skip
        """See asyncio."""
        when_us = self.now_us + max(0, round(delay * SECOND_US))
        return self._at_us(when_us, callback, args, context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any,
        context: Context | None = None,
    ) -> events.TimerHandle:  # fmt: skip
        """See asyncio."""
        return self._at_us(max(self.now_us, round(when * SECOND_US)), callback, args, context)

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> events.Handle:
        """There are no threads."""
        raise AssertionError("a simulated process uses a thread")

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]
        """There are no threads."""
        raise AssertionError("a simulated process uses an executor")

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """What nobody caught is an error of the seed; that the journal was away is not."""
        error = context.get("exception")
        if error is not None and not isinstance(error, JournalError) and not self._burying:
            self.errors.append(f"{context.get('message')}: {error!r}")

    def _timer_handle_cancelled(self, handle: events.TimerHandle) -> None:
        """It is skipped when its time comes."""

    # -- owners ------------------------------------------------------------------------------------

    def spawn(self, owner: Owner, work: Coroutine[Any, Any, T], name: str = "") -> asyncio.Task[T]:
        """Start a task that belongs to a process, and with it all that it makes."""
        return asyncio.Task(work, loop=self, name=name or None, context=context_of(owner))

    def resume(self, owner: Owner) -> None:
        """Let a stopped process run what it missed."""
        owner.stopped = False
        held, owner.held = owner.held, []
        self._queue += [(owner, handle) for handle in held]

    # -- running -----------------------------------------------------------------------------------

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run until `work` is done. Raises LoopHung, and what `work` raises."""
        before = events._get_running_loop()
        events._set_running_loop(self)
        try:
            task = self.spawn(NOBODY, work, "world")
            while not task.done():
                self._step()
            return task.result()
        finally:
            events._set_running_loop(before)

    def _step(self) -> None:
        queue = self._queue
        if not queue:
            self._advance()
        elif self._timers and self._timers[0][0] <= self.now_us:
            self._fire()
        place = self._random.randrange(len(queue)) if self._shuffle and len(queue) > 1 else 0
        owner, handle = queue.pop(place)
        if handle._cancelled:
            return
        if owner.stopped and not owner.dead:
            owner.held.append(handle)
            return
        self.steps += 1
        owner.steps += 1
        if self.steps > STEPS_MAX:
            raise LoopHung(f"{STEPS_MAX} steps and no end at {self.now_us} us")
        if self.on_step is not None:
            self.on_step(owner)
        if owner.dead:
            self._burying = True  # nobody is left who would look at what it failed with
            del handle
            self._burying = False
        else:
            handle._run()

    def _advance(self) -> None:
        """Jump to the next timer."""
        while not self._queue:
            if not self._timers:
                raise LoopHung(f"nothing is left to run at {self.now_us} us")
            self.now_us = max(self.now_us, self._timers[0][0])
            self._fire()

    def _fire(self) -> None:
        timers = self._timers
        while timers and timers[0][0] <= self.now_us:
            _, _, owner, handle = heappop(timers)
            if not handle._cancelled and not owner.dead:
                self._queue.append((owner, handle))

    def _push(self, owner: Owner, handle: events.Handle) -> None:
        if not owner.dead:
            self._queue.append((owner, handle))

    def _at_us(
        self, when_us: int, callback: Callable[..., object], args: Any, context: Context | None
    ) -> events.TimerHandle:
        handle = events.TimerHandle(when_us / SECOND_US, callback, args, self, context)
        self._timer_count += 1
        heappush(self._timers, (when_us, self._timer_count, _owner(context), handle))
        return handle


def context_of(owner: Owner) -> Context:
    """A context in which everything belongs to `owner`."""
    context = Context()
    context.run(OWNER.set, owner)
    return context


def _owner(context: Context | None) -> Owner:
    return OWNER.get() if context is None else context.get(OWNER, NOBODY)
