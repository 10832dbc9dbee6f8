"""What many futures say: bands of ten, fifty and ninety in a hundred."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Final, NamedTuple

from ledger.core.limits import HOUR_US
from ledger.forecast.draws import Draws, seed_of
from ledger.forecast.hours import LEAST, Hours
from ledger.forecast.pots import Means
from ledger.forecast.walk import NEVER, walk

FUTURES: Final = 200  # x 90 blocks of a day x ~6 us = 100 ms for the longest horizon


class Outlook(IntEnum):
    """What is to be expected of a balance."""

    EMPTIES = 1  # by the horizon, in one future of ten at least
    LASTS = 2  # beyond the horizon, in more than nine of ten
    NEVER_AT_THIS_RATE = 3  # nothing was used, and nothing expires
    EMPTY = 4  # it is now
    INSUFFICIENT_HISTORY = 5  # less than LEAST hours since the first usage


class Band(NamedTuple):
    """What one future in ten, five and nine in ten do not exceed."""

    p10: int
    p50: int
    p90: int


class Bill(NamedTuple):
    """How what no pot pays is billed: what was until now in the period, whether it is from here on,
    and up to how much in the period (None = without end)."""

    so_far: int
    bills: bool
    most: int | None

    def total(self, unpaid: int) -> int:
        """The bill when so much more is not paid by any pot."""
        if not self.bills:
            return self.so_far
        more = unpaid if self.most is None else min(unpaid, max(0, self.most - self.so_far))
        return self.so_far + more


class Foretold(NamedTuple):
    """Figures of one asset; the bands are None where the outlook is INSUFFICIENT_HISTORY. An end of
    `empty_at_us` that lies beyond the horizon is 0."""

    outlook: Outlook
    available: int
    history: int
    last_day: int
    burn_an_hour: int
    burn_a_day: int
    empty_at_us: Band | None = None
    left: Band | None = None
    used: Band | None = None
    expired: Band | None = None
    unpaid: Band | None = None
    bill: Band | None = None


def foretell(
    hours: Hours,
    means: Means,
    bill: Bill,
    now_us: int,
    horizon: int,
    period_end_us: int,
    seed: int,
) -> Foretold:
    """Run FUTURES futures of an asset, as far as there is a history to make them of."""
    available = means.available
    known = (available, len(hours), hours.last_day, hours.burn(1), hours.burn(24))
    if len(hours) < LEAST:
        outlook = Outlook.INSUFFICIENT_HISTORY
        return Foretold(outlook, *known)
    draws, now = Draws(hours), now_us // HOUR_US
    until_bill = max(1, -((now_us - period_end_us) // HOUR_US))
    futures = [
        walk(hours, draws, means, now, horizon, until_bill, seed_of(seed, number))
        for number in range(FUTURES)
    ]
    empty = band([each.empty_after for each in futures])
    if available <= 0:
        outlook = Outlook.EMPTY
    elif empty.p10 != NEVER:
        outlook = Outlook.EMPTIES
    elif hours.total or any(pot.end <= horizon for pot in means.pots):
        outlook = Outlook.LASTS
    else:
        outlook = Outlook.NEVER_AT_THIS_RATE
    unpaid = [each.unpaid for each in futures]
    return Foretold(
        outlook,
        *known,
        Band(*[0 if each == NEVER else now_us + each * HOUR_US for each in empty]),
        band([each.left for each in futures]),
        band([each.used for each in futures]),
        band([each.expired for each in futures]),
        band(unpaid),
        band([bill.total(each) for each in unpaid]),
    )


def band(values: Sequence[int]) -> Band:
    """By the nearest rank: the smallest value that so many in ten do not exceed."""
    ranked = sorted(values)
    return Band(*[ranked[-(-len(ranked) * tenths // 10) - 1] for tenths in (1, 5, 9)])
