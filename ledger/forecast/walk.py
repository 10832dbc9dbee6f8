"""One future, run against what pays for it."""

from __future__ import annotations

from typing import Final, NamedTuple

from ledger.forecast.draws import Chance, Draws, Level, level_of
from ledger.forecast.hours import DAY, Hours
from ledger.forecast.pots import Means

NEVER: Final = 1 << 60  # hours


class Future(NamedTuple):
    """What became of a balance: after how many hours nothing was left for the first time; what was
    left at the horizon, what was used and what had expired unused until then; and what no pot paid
    until the bill."""

    empty_after: int
    left: int
    used: int
    expired: int
    unpaid: int


class _Run:
    """The pots of one future, as they are drawn."""

    __slots__ = (
        "active",
        "expired",
        "means",
        "owed",
        "room",
        "units",
        "unpaid",
    )

    def __init__(self, means: Means) -> None:
        self.means = means
        self.units = [pot.units for pot in means.pots]
        self.active: list[int] = []  # places of pots in force, in drawdown order
        self.owed = means.owed
        self.room = means.headroom
        self.unpaid = 0
        self.expired = 0

    @property
    def available(self) -> int:
        return sum([self.units[place] for place in self.active]) + self.room

    def reach(self, hour: int) -> None:
        """Let pots expire and take effect."""
        pots = self.means.pots
        for place in self.active:
            if pots[place].end <= hour:
                self.expired += self.units[place]
                self.units[place] = 0
        active = []
        for place, pot in enumerate(pots):
            if not pot.start <= hour < pot.end:
                continue
            if pot.start == hour and hour > 0 and self.owed:
                paid = min(self.units[place], self.owed)
                self.units[place] -= paid
                self.owed -= paid
                self.room += paid
            if self.units[place]:
                active.append(place)
        self.active = active

    def draw(self, amount: int) -> None:
        for place in self.active:
            if not amount:
                return
            taken = min(amount, self.units[place])
            self.units[place] -= taken
            amount -= taken
        if amount and self.room > 0:
            taken = min(amount, self.room)
            self.room -= taken
            self.owed += taken
            amount -= taken
        self.unpaid += amount


def walk(
    hours: Hours, draws: Draws, means: Means, now: int, horizon: int, bill: int, seed: int
) -> Future:
    """Run one future until the horizon and until the bill, each a number of hours from now; `now`
    is the number of the present hour since 1970."""
    assert horizon > 0 and bill > 0, (horizon, bill)
    run, chance = _Run(means), Chance(seed)
    level = level_of(hours, _span(hours, means, max(horizon, bill)), chance)
    changes = {pot.start for pot in means.pots} | {pot.end for pot in means.pots}
    end = max(horizon, bill)
    empty, used, at = NEVER, 0, 0
    seen = (0, 0, 0)
    unpaid = 0
    run.reach(0)
    if run.available <= 0:
        empty = 0
    for stop in sorted({each for each in changes if 0 < each < end} | {horizon, bill}):
        while at < stop:
            length = min(DAY, stop - at)
            place = draws.block(now + at, length, chance)
            amount = level.of(hours.between(place, place + length))
            if empty == NEVER and amount >= run.available:
                empty = at + _until(hours, place, level, run.available)
            run.draw(amount)
            used += amount
            at += length
        if at == bill:
            unpaid = run.unpaid
        if at == horizon:
            seen = (run.available, used, run.expired)
        run.reach(at)
        if empty == NEVER and run.available <= 0:
            empty = at
    return Future(empty if empty <= horizon else NEVER, *seen, unpaid)


def _span(hours: Hours, means: Means, most: int) -> int:
    """The hours that a future's level is of: until the balance is gone at the mean rate, at least a
    day, so that one which is gone soon is not judged by what use comes to over a month."""
    if not hours.total:
        return most
    return min(most, max(DAY, means.available * len(hours) // hours.total))


def _until(hours: Hours, place: int, level: Level, available: int) -> int:
    """Hours from a place on after which so much is used; it is within a day."""
    count = 0
    while level.of(hours.between(place, place + count)) < available:
        count += 1
    return count
