"""How long tests wait for what must come. Speed is never asserted: a machine may be busy."""

from collections.abc import Awaitable, Callable
from typing import Final

HANGS_S: Final = 120
"""What takes longer has stopped for ever."""
LONGER: Final = (1, 8, 64)
"""What a bound is multiplied by."""


def given_time(check: Callable[[float], None], bound_s: float) -> None:
    """Run a test of a bound within which something else has to happen; again with a longer one
    where it failed: the machine may have taken that time itself."""
    for times in LONGER:
        try:
            return check(bound_s * times)
        except Exception:
            if times == LONGER[-1]:
                raise
    return None


async def time_given(check: Callable[[float], Awaitable[None]], bound_s: float) -> None:
    """The same with await."""
    for times in LONGER:
        try:
            return await check(bound_s * times)
        except Exception:
            if times == LONGER[-1]:
                raise
    return None
