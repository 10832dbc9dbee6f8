"""What the budgets of one account have used of windows that are open, and what was drawn below its
caps, side by side (H4, H5, D8).

A family of many thousand children has more budgets and caps than the caches of a processor hold,
and what usage costs there is each object that is looked at, and each page that one lies on. So once
a run has counted in the budgets of an account, those that are plain are laid in a lane, and its
caps with them, if all are: a row of an array that all accounts of the family share whose lanes are
alike, with what each has used, at which use it is to be looked at, and the budgets' numbers. What
they measure, and when, is one object for all of them.
While a lane lasts, its figures are those that hold. Whoever asks a budget or a cap for its counter
finds them there (`Budget.counter`, `Cap.counter`), and whatever changes a counter, or what is
counted, ends the lane first. All of it is derived: nothing is recorded of lanes, or packed.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from ledger.core.windows import Cell, Span

if TYPE_CHECKING:
    from ledger.core.state import Account

Measure: TypeAlias = tuple[int, int, str]
"""What a budget counts: the measure, the asset of a charge, the name of a quantity."""

Drawn: TypeAlias = tuple[int, int, int]
"""What a cap counts draws of: the number of a grant, or 0, and of all that an owner shares in an
asset."""

RUN, PLACE, USED, EACH = 0, 1, 2, 2
"""Where it stands in a row: the run that counted last and where that began to, then of each budget,
and of each cap behind them, what it has used and the use at which it is to be looked at. The
budgets' numbers are last."""
NO_RUN: Final = -1
MORE_ROWS_MAX: Final = 1_024  # made at once: x ~100 B


class Kind(NamedTuple):
    """What lanes have in common that are alike. `rest` are places of budgets that stand in none;
    `caps` None = its caps stand in none. `windows` of the budgets, then of the caps."""

    measures: tuple[Measure, ...]
    rest: tuple[int, ...]
    caps: tuple[Drawn, ...] | None
    windows: tuple[Span, ...]


class Layout:
    """The lanes of one kind in a family: the time in which all of its windows are open, and a row
    for each account. Rows lie side by side, as do the numbers that say where one begins."""

    __slots__ = (
        "_free",
        "_layouts",
        "_taken",
        "caps",
        "end",
        "first_cap",
        "kept",
        "kind",
        "measures",
        "numbers",
        "rest",
        "since",
        "size",
    )

    def __init__(self, kind: Kind, layouts: dict[Kind, Layout]) -> None:
        """`layouts`: of the family, which have this one while it has rows."""
        self.kind = kind
        self.measures = kind.measures
        self.rest = kind.rest
        self.caps = kind.caps
        self.since = max([since for since, _ in kind.windows])
        self.end = min([end for _, end in kind.windows])
        self.first_cap = USED + EACH * len(kind.measures)
        self.numbers = self.first_cap + EACH * len(kind.caps or ())
        self.size = self.numbers + len(kind.measures)
        self.kept = array("q")
        self._free: list[int] = []
        self._taken = 0
        self._layouts = layouts

    @property
    def windows(self) -> tuple[Span, ...]:
        """Those of its budgets."""
        return self.kind.windows[: len(self.measures)]

    def take(self) -> int:
        """Where a row begins that nobody has."""
        if not self._free:
            end = len(self.kept)
            more = self.size * min(max(1, end // self.size), MORE_ROWS_MAX)
            self.kept.frombytes(bytes(self.kept.itemsize * more))
            self._free = list(range(end, end + more, self.size))
            self._free.reverse()
        self._taken += 1
        return self._free.pop()

    def give_back(self, row: int) -> None:
        """Nobody has that row any more."""
        self._free.append(row)
        self._taken -= 1
        if self._taken == 0:
            del self._layouts[self.kind]


class Lane:
    """The row of an account: `cells` are the windows of its budgets and caps that stand in it."""

    __slots__ = ("account", "cells", "layout", "row")

    def __init__(
        self,
        account: Account,
        layout: Layout,
        cells: Sequence[Cell],
        alarms: Sequence[int],
        numbers: Sequence[int],
    ) -> None:
        self.account = account
        self.layout: Layout | None = layout  # None = it has ended
        self.cells = tuple(cells)
        self.row = layout.take()
        row = [NO_RUN, 0]
        for cell, alarm in zip(cells, alarms, strict=True):
            row += [cell.posted, alarm]
        row.extend(numbers)
        layout.kept[self.row : self.row + layout.size] = array("q", row)
        account.lane, account.layout, account.row = self, layout, self.row

    def settle(self, place: int) -> None:
        """Let the window of one of its budgets or caps show what was used."""
        if self.layout is not None:
            self.cells[place].posted = self.layout.kept[self.row + USED + EACH * place]

    def finish(self) -> None:
        """Let all of them show it, and be none any more."""
        layout = self.layout
        if layout is None:
            return
        for place in range(len(self.cells)):
            self.settle(place)
        self.layout = None
        self.account.lane = self.account.layout = None
        layout.give_back(self.row)


def layout_of(layouts: dict[Kind, Layout], kind: Kind) -> Layout:
    """The one of a family for all lanes that are alike."""
    layout = layouts.get(kind)
    if layout is None:
        layout = layouts[kind] = Layout(kind, layouts)
    return layout
