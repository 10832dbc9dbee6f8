"""What a run of usual usage counts in budgets, added up and said once behind it (rules H4, H5).

Usage that is recorded many at a time is counted here as it is decided: in windows that are open,
where no threshold is reached. Whatever is otherwise is for `budget_counts`, an entry at a time. A
tally is one entry a family, and stands behind its run before anything else is decided; so whoever
asks a budget finds all of it counted. Changes no state.
"""

from __future__ import annotations

from typing import Final

from ledger.core.budgets import Budget
from ledger.core.catalog import Bound
from ledger.core.events import BudgetMeasure, BudgetMove, BudgetsTallied, GrantKind, WindowKind
from ledger.core.limits import INT64_MAX
from ledger.core.shapes import Shape
from ledger.core.state import Account, Grant
from ledger.core.windows import Cell

_CHARGE: Final = int(BudgetMeasure.CHARGE)
_NET_CHARGE: Final = int(BudgetMeasure.NET_CHARGE)
_COST: Final = int(BudgetMeasure.COST)
_REQUESTS: Final = int(BudgetMeasure.REQUESTS)
_FIXED: Final = int(WindowKind.FIXED)
_SLIDING: Final = int(WindowKind.SLIDING)
_PROMOTIONAL: Final = int(GrantKind.PROMOTIONAL)


class Counted:
    """What a run has counted so far in one window of a budget; `more` is of the event at hand."""

    __slots__ = ("budget", "cell", "more", "posted")

    def __init__(self, budget: Budget, cell: Cell) -> None:
        self.budget = budget
        self.cell = cell
        self.posted = 0
        self.more = 0


class Tally:
    """What a run has counted in the budgets of one family."""

    __slots__ = ("cells", "first", "root")

    def __init__(self, root: int, first: int) -> None:
        self.root = root
        self.first = first  # index in the batch of its first entry that counts
        self.cells: dict[Cell, Counted] = {}


class Tallies:
    """The tallies of a run, one a family."""

    __slots__ = ("families", "found")

    def __init__(self) -> None:
        self.families: dict[int, Tally] = {}
        self.found: list[Counted] = []

    def count(
        self,
        account: Account,
        bound: Bound,
        shape: Shape,
        quantities: tuple[int, ...],
        total: int,
        grant: Grant,
        cost: int,
        at: int,
        now: int,
        index: int,
    ) -> bool:
        """Count usage that is about to be recorded as the entry at `index`, paid by one grant;
        False = it is not usual, and nothing was counted. `cost` -1 = there is none."""
        tally = self.families.get(account.root)
        if tally is None:
            tally = self.families[account.root] = Tally(account.root, index)
        cells = tally.cells
        found = self.found
        found.clear()
        node: Account | None = account
        while node is not None:
            for budget in node.budgets:
                if not budget.for_all and not budget.applies(bound.use):
                    continue
                measure = budget.measure
                if measure == _REQUESTS:
                    amount = 1
                elif measure == _CHARGE:
                    amount = total if budget.asset == bound.asset else 0
                elif measure == _NET_CHARGE:
                    of_asset = budget.asset == bound.asset and grant.kind != _PROMOTIONAL
                    amount = total if of_asset else 0
                elif measure == _COST:
                    if cost >= 0:  # what it is in stands in another plan
                        return False
                    amount = 0
                else:
                    names = shape.quantity_names
                    quantity = budget.terms.quantity
                    amount = quantities[names.index(quantity)] if quantity in names else 0
                if amount == 0:
                    continue
                cell = open_cell(budget, at, now)
                if cell is None:
                    return False
                counted = cells.get(cell)
                if counted is None:
                    counted = Counted(budget, cell)
                posted = counted.posted + amount
                if posted > INT64_MAX:  # a move fits int64 (rule N1): a new run begins
                    return False
                if budget.told and reaches(budget, cell.posted + posted, now):
                    return False
                counted.more = amount
                found.append(counted)
            node = node.parent
        if not cells:
            tally.first = index
        for counted in found:
            counted.posted += counted.more
            cells[counted.cell] = counted
        return True

    def entries(self) -> list[BudgetsTallied]:
        """What is to be said of them, in the order in which families came."""
        return [
            BudgetsTallied(
                tally.root,
                tally.first,
                tuple(
                    [
                        BudgetMove(each.budget.number, cell.since, cell.end, each.posted)
                        for cell, each in tally.cells.items()
                    ]
                ),
            )
            for tally in self.families.values()
            if tally.cells
        ]


def open_cell(budget: Budget, at: int, now: int) -> Cell | None:
    """Where usage of an instant counts, if that window, or bucket, is open by now and there."""
    kind = budget.window
    cells = budget.counter.cells
    place = len(cells)
    while place > 0:  # mostly the last
        place -= 1
        cell = cells[place]
        if cell.since <= at < cell.end:
            if kind == _SLIDING:
                return cell if cell.end > now - budget.terms.window.length else None
            return cell if now < cell.end else None
        if kind != _SLIDING:
            return None
    return None


def reaches(budget: Budget, used: int, now: int) -> bool:
    """Whether so much in the window of now is a threshold that was not told in it; of a sliding
    one, and before its window has begun, that is for whoever looks at all of it to say."""
    cells = budget.counter.cells
    if budget.window == _SLIDING or not cells[-1].since <= now < cells[-1].end:
        return True
    terms = budget.terms
    for threshold in terms.thresholds:
        if used * 100 < threshold * terms.limit:
            return False
        if budget.crossed.get(threshold, 0) <= now:
            return True
    return False
