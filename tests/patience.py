"""How long tests wait for what must come. Speed is never asserted: a machine may be busy."""

import time
from collections.abc import Awaitable, Callable
from typing import Final

HANGS_S: Final = 120
"""What takes longer has stopped for ever."""
SPUN_S: Final = 0.1
LONGER: Final = (1, 8, 64)
"""What a bound is multiplied by."""


class BoundReached(Exception):
    """The bound that is tested has ended what had to come before it."""


def given_time(check: Callable[[float], None], bound_s: float) -> None:
    """Run a test of a bound within which something else has to happen; again with a longer one
    where it raises BoundReached: the machine may have taken that time itself. Whatever fails
    otherwise, or before its bound can have passed, has failed."""
    for times in LONGER:
        began_s = time.monotonic()
        try:
            return check(bound_s * times)
        except BoundReached:
            if times == LONGER[-1] or time.monotonic() - began_s < bound_s * times:
                raise
    return None


async def time_given(check: Callable[[float], Awaitable[None]], bound_s: float) -> None:
    """The same with await."""
    for times in LONGER:
        began_s = time.monotonic()
        try:
            return await check(bound_s * times)
        except BoundReached:
            if times == LONGER[-1] or time.monotonic() - began_s < bound_s * times:
                raise
    return None


def slowdown() -> float:
    """How many times as long as on an idle machine a piece of work takes now."""
    began, used = time.perf_counter(), time.thread_time()
    while time.thread_time() - used < SPUN_S:
        pass
    return max(1.0, (time.perf_counter() - began) / SPUN_S)
