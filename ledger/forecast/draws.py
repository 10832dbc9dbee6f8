"""Futures: recorded hours drawn again in blocks, so that days and weeks keep their shape.

A block bootstrap. A future is put together of blocks of up to a day. Each is taken from the history
at an hour of the week like the one that it stands for, where there are two weeks and more, else at
a like hour of the day; which one, chance says: SplitMix64 under a given seed, integers alone.

Use goes up and down over longer times than a day, too. So each future has a level of its own: the
present one, which is that of the last days, times what use of this history once came to after days
like those, for as long as the future is. A history that never drifts has futures of its own level;
one that does has wider bands, as wide as it has earned.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final, NamedTuple

from ledger.forecast.hours import DAY, WEEK, Hours

BASE_SHORT: Final = 3 * DAY  # what the present level is taken from
BASE_LONG: Final = WEEK  # the same, from three weeks of history on: whole weeks are alike
FACTOR_MAX: Final = 10  # a level is at most so many times that of the whole history
NEAR: Final = 1  # hours by which a block may be taken earlier or later in its day

_WORD: Final = (1 << 64) - 1


class Chance:
    """SplitMix64: the same numbers for the same seed, everywhere."""

    __slots__ = ("_state",)

    def __init__(self, seed: int) -> None:
        self._state = seed & _WORD

    def below(self, count: int) -> int:
        """A number from 0 to before `count`; the bias below 2^-50 is nothing to us."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _WORD
        word = self._state
        word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
        word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & _WORD
        return ((word ^ (word >> 31)) * count) >> 64


def seed_of(*parts: int) -> int:
    """A seed that follows from these numbers."""
    text = ",".join(map(str, parts))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


class Level(NamedTuple):
    """What recorded hours are multiplied with in one future: numerator / denominator."""

    numerator: int
    denominator: int

    def of(self, units: int) -> int:
        """So many units at this level, rounded down."""
        return units * self.numerator // self.denominator


AS_RECORDED: Final = Level(1, 1)


def level_of(hours: Hours, length: int, chance: Chance) -> Level:
    """The level of one future of so many hours."""
    count = len(hours)
    base = BASE_LONG if count >= 3 * WEEK else min(BASE_SHORT, count // 2)
    after = min(length, (count - base) // 2)
    at = base + chance.below(count - base - after + 1)
    before, then = hours.between(at - base, at), hours.between(at, at + after)
    last = hours.between(count - base, count)
    if not (before and last):
        return AS_RECORDED  # use had stopped, and says nothing of what follows
    numerator, denominator = then * last * count, after * before * hours.total
    return Level(min(numerator, FACTOR_MAX * denominator), denominator)


class Draws:
    """Where in a history a block for a given hour may come from."""

    __slots__ = ("_hours", "_places", "_round")

    def __init__(self, hours: Hours) -> None:
        assert len(hours) >= 2 * DAY, len(hours)
        self._hours = hours
        self._round = WEEK if len(hours) >= 2 * WEEK else DAY
        self._places: dict[tuple[int, int], list[int]] = {}

    def block(self, hour: int, length: int, chance: Chance) -> int:
        """The place in the history of a block of up to a day for the hours from `hour` on."""
        assert 1 <= length <= DAY, length
        alike = (hour - self._hours.first) % self._round
        places = self._places.get((alike, length))
        if places is None:
            last = len(self._hours) - length
            places = [
                place + near
                for place in range(alike, len(self._hours), self._round)
                for near in range(-NEAR, NEAR + 1)
                if 0 <= place + near <= last
            ]
            if not places:  # the only such hour is too near to the end
                places = [last]
            self._places[alike, length] = places
        return places[chance.below(len(places))]
