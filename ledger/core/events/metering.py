"""What a report counted over a level: the most that counts already in its scope (rules N4, R1)."""

from __future__ import annotations

import msgspec

from ledger.core.events.base import Fact


class LevelMove(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A report of `value` for the quantity at `place` counted `counted`, which raises the level.

    `key` says whose level it is, a digest under the family's key; `start` is where the scope
    begins. What is below the level counts nothing, nor what has no room (LEVELS_AN_ACCOUNT_MAX).
    """

    place: int
    key: int
    start: int
    value: int
    counted: int


class UsageMetered(Fact, frozen=True, tag=88):
    """How quantities of the usage event right behind it came about: its meters take the largest
    value, or different values, of a scope. What was reported is part of its identity (rule I1).

    `carried` = 1: a job has rated the usage again (rule R7), whose levels were raised before.
    """

    account: int
    moves: tuple[LevelMove, ...]
    carried: int = 0


class LevelBack(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A level that falls by what counts no more."""

    key: int
    start: int
    quantity: int


class MetersReversed(Fact, frozen=True, tag=89):
    """What a reversal takes off levels (rule D3): what was given back counts with its next report.

    `entry` is the index of the reversal in the batch, `original` the locator of the usage.
    """

    account: int
    entry: int
    original: int
    moves: tuple[LevelBack, ...]
