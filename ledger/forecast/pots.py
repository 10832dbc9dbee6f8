"""What pays for the usage of a future: grants as they take effect and expire, then overdraft."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ledger.core.limits import HOUR_US


class Pot(NamedTuple):
    """A grant, or one that is to come: units that may be drawn within [starts_at, expires_at)."""

    units: int
    starts_at: int
    expires_at: int


class Timed(NamedTuple):
    """The same in whole hours from now: it pays from the hour `start` until before `end`."""

    units: int
    start: int
    end: int


class Means(NamedTuple):
    """All that may pay: pots in the order in which they do; what is owed in advance, and how much
    more may be. What comes in pays what is owed first (rule B3)."""

    pots: tuple[Timed, ...]
    owed: int
    headroom: int

    @property
    def available(self) -> int:
        """What may be drawn at once; below zero where more is owed than the overdraft allows."""
        return sum([pot.units for pot in self.pots if pot.start <= 0 < pot.end]) + self.headroom


def means_of(
    pots: Sequence[Pot], coming: Sequence[Pot], owed: int, headroom: int, now_us: int
) -> Means:
    """`pots` in drawdown order; each that is to come stands before the first that expires later. A
    pot that begins or ends within an hour does so at its end."""
    line = list(pots)
    for pot in coming:
        place = next(
            (at for at, each in enumerate(line) if each.expires_at > pot.expires_at), len(line)
        )
        line.insert(place, pot)
    timed = [
        Timed(pot.units, _hours(pot.starts_at, now_us), _hours(pot.expires_at, now_us))
        for pot in line
        if pot.units > 0
    ]
    return Means(tuple([pot for pot in timed if pot.start < pot.end]), owed, headroom)


def _hours(at_us: int, now_us: int) -> int:
    """Whole hours from now until an instant, rounded up; 0 = now, or before."""
    return max(0, -((now_us - at_us) // HOUR_US))
