"""What is counted together: the windows of budgets and caps (rules H5, D8)."""

from __future__ import annotations

from enum import IntEnum

import msgspec


class WindowKind(IntEnum):
    """How time is cut for a counter (rule H5)."""

    LIFETIME = 1  # not at all
    CALENDAR = 2  # units of the calendar, in a zone
    BILLING = 3  # the account's billing periods
    FIXED = 4  # a length from first use, and again from the first use after it
    SLIDING = 5  # the length before each instant


class WindowUnit(IntEnum):
    """The units of the calendar; a week begins on Monday."""

    DAY = 1
    WEEK = 2
    MONTH = 3
    QUARTER = 4
    YEAR = 5


class Window(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How a counter cuts time. `unit` and `zone` are those of a calendar window, 0 and "" for the
    others; `length` in microseconds that of a fixed or sliding one."""

    kind: WindowKind = WindowKind.LIFETIME
    unit: int = 0  # a WindowUnit
    zone: str = ""
    length: int = 0
