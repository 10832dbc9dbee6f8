"""What the budgets of one account have used of windows that are open, side by side (H4, H5).

A family of many thousand children has more budgets than the caches of a processor hold, and what
usage costs there is each object that is looked at. So once a run has counted in the budgets of an
account, those that are plain are laid in a lane: one array with what each has used, at which use it
tells next, and its number; what they measure, and when, is one object for all accounts alike.
While a lane lasts, its figures are those that hold. Whoever asks a budget for its counter finds
them there (`Budget.counter`), and whatever changes a counter, or what is counted, ends the lane
first. All of it is derived: nothing is recorded of lanes, or packed.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, TypeAlias

from ledger.core.windows import Cell, Span

Measure: TypeAlias = tuple[int, int, str]
"""What a budget counts: the measure, the asset of a charge, the name of a quantity."""

RUN, PLACE, USED, ALARM, NUMBER, EACH = 0, 1, 2, 3, 4, 3
"""Where it stands in the array: the run that counted last and where that began to, then of each
budget what it has used, the use at which it is to be looked at, and its number."""


class Layout:
    """What budgets measure in which windows, and the time in which all of these are open."""

    __slots__ = ("end", "measures", "since", "windows")

    def __init__(self, measures: tuple[Measure, ...], windows: tuple[Span, ...]) -> None:
        self.measures = measures
        self.windows = windows
        self.since = max([since for since, _ in windows])
        self.end = min([end for _, end in windows])


ENDED: Final = Layout((), ((0, 0),))
"""The layout of a lane that has ended: open at no time."""


@lru_cache(maxsize=4_096)
def layout_of(measures: tuple[Measure, ...], windows: tuple[Span, ...]) -> Layout:
    """One object for all that are equal."""
    return Layout(measures, windows)


class Lane:
    """Some budgets of an account; `rest` are places of its others among all of them."""

    __slots__ = ("cells", "kept", "layout", "rest")

    def __init__(
        self,
        measures: Sequence[Measure],
        cells: Sequence[Cell],
        alarms: Sequence[int],
        numbers: Sequence[int],
        rest: tuple[int, ...],
    ) -> None:
        windows = tuple([(cell.since, cell.end) for cell in cells])
        self.layout = layout_of(tuple(measures), windows)
        self.cells = tuple(cells)
        self.rest = rest
        kept = array("q", [-1, 0])
        for cell, alarm, number in zip(cells, alarms, numbers, strict=True):
            kept.extend([cell.posted, alarm, number])
        self.kept = kept

    def settle(self, place: int) -> None:
        """Let the window of one of its budgets show what was used."""
        if self.layout is not ENDED:
            self.cells[place].posted = self.kept[USED + EACH * place]

    def finish(self) -> None:
        """Let all of them show it, and be none any more."""
        for place in range(len(self.cells)):
            self.settle(place)
        self.layout = ENDED
