"""The clock that a lease ends by: it never goes back, and goes on while the machine is suspended.

Python's own monotonic clock stands still meanwhile, so that a laptop that was shut would spend of a
slice that has long gone back (rule H7).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Final

_NAMES: Final = {"linux": "CLOCK_BOOTTIME", "darwin": "CLOCK_MONOTONIC"}


def _clock() -> Callable[[], int]:
    clock: int | None = getattr(time, _NAMES.get(sys.platform, ""), None)
    return time.monotonic_ns if clock is None else partial(time.clock_gettime_ns, clock)


passed_ns: Final = _clock()
"""Nanoseconds since some moment."""


def passed_us() -> int:
    """The same in microseconds."""
    return passed_ns() // 1_000
