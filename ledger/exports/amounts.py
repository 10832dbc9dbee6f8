"""Exact decimals, days and instants as text. Pure; integers all the way, no floats (rule N2)."""

from __future__ import annotations

import datetime
from functools import lru_cache
from typing import Final

from ledger.core.limits import DAY_US, SECOND_US

_EPOCH: Final = datetime.date(1970, 1, 1)
LAST_DAY: Final = (datetime.date(9999, 12, 30) - _EPOCH).days
"""The tools count days to 9999-12-31, and a closing balance stands on the day after the last one.
What takes effect later is dated here; its instant stands beside it."""


def decimal_text(minor: int, scale: int) -> str:
    """Minor units of 10^-scale with all their places: decimal_text(-5, 2) = "-0.05"."""
    if scale == 0:
        return str(minor)
    digits = str(abs(minor)).zfill(scale + 1)
    return f"{'-' if minor < 0 else ''}{digits[:-scale]}.{digits[-scale:]}"


def day_number(at_us: int) -> int:
    """Days since 1970, UTC, LAST_DAY at most."""
    return min(at_us // DAY_US, LAST_DAY)


@lru_cache(maxsize=4_096)
def day_text(day: int) -> str:
    """A day number as 2026-11-30."""
    return (_EPOCH + datetime.timedelta(days=day)).isoformat()


@lru_cache(maxsize=4_096)
def instant_text(at_us: int) -> str:
    """Microseconds since 1970 as RFC 3339, UTC, six places; beyond the year 9999 the number."""
    day, us = divmod(at_us, DAY_US)
    if day > LAST_DAY + 1:
        return str(at_us)
    seconds, fraction = divmod(us, SECOND_US)
    hours, seconds = divmod(seconds, 3_600)
    minutes, seconds = divmod(seconds, 60)
    return f"{day_text(day)}T{hours:02}:{minutes:02}:{seconds:02}.{fraction:06}Z"
