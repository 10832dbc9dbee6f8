"""What a run of usual usage counts in budgets, added up and said once behind it (rules H4, H5).

Usage that is recorded many at a time is counted here as it is decided: in windows that are open,
where no threshold is reached. Whatever is otherwise is for `budget_counts`, an entry at a time. A
tally is one entry a family, and stands behind its run before anything else is decided; so whoever
asks a budget finds all of it counted. What is counted is posted at once, as usual usage is: a child
of a large family is out of the processor's caches by the end of the run.
"""

from __future__ import annotations

from typing import Final

from ledger.core.budgets.budgets import Budget
from ledger.core.catalog import Bound
from ledger.core.events import BudgetMeasure, BudgetsTallied, GrantKind, WindowKind
from ledger.core.limits import INT64_MAX
from ledger.core.shapes import Shape
from ledger.core.state import Account, Grant
from ledger.core.windows import Cell

_CHARGE: Final = int(BudgetMeasure.CHARGE)
_NET_CHARGE: Final = int(BudgetMeasure.NET_CHARGE)
_COST: Final = int(BudgetMeasure.COST)
_REQUESTS: Final = int(BudgetMeasure.REQUESTS)
_SLIDING: Final = int(WindowKind.SLIDING)
_PROMOTIONAL: Final = int(GrantKind.PROMOTIONAL)
NEVER_REACHED: Final = 1 << 200  # no use of a window is so much: each of its entries fits int64


class Tally:
    """What a run has counted in the budgets of one family, in columns as the entry says it."""

    __slots__ = ("budgets", "counted_in", "earlier", "first", "posted", "root", "windows")

    def __init__(self, root: int) -> None:
        self.root = root
        self.first = -1  # index in the batch of its first entry that counts
        self.windows: list[tuple[int, int]] = []
        self.budgets: list[int] = []
        self.counted_in: list[int] = []  # the place of the window
        self.posted: list[int] = []
        # Where windows stand that a budget has met before another: near the end of one, and
        # buckets of sliding ones.
        self.earlier: dict[Cell, int] = {}

    def begin(self, number: int, cell: Cell) -> int:
        """Place of what is counted of a budget in a window from now on."""
        since, end = cell.since, cell.end
        place = 0
        for window in self.windows:
            if window[1] == end and window[0] == since:
                break
            place += 1
        else:
            self.windows.append((since, end))
        self.budgets.append(number)
        self.counted_in.append(place)
        self.posted.append(0)
        return len(self.posted) - 1


class Tallies:
    """The tallies of a run, one a family.

    While it lasts, where it has counted of a budget stands with the budget (`Budget.run`, `place`),
    which no decision reads: it is found at once there, and a run that came to nothing leaves
    nothing.
    """

    __slots__ = ("families", "found", "run")

    def __init__(self, run: int) -> None:
        """`run`: where its first entry will stand; no other run has that which records any."""
        self.run = run
        self.families: dict[int, Tally] = {}
        self.found: list[tuple[Budget, Cell, int]] = []

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
            tally = self.families[account.root] = Tally(account.root)
        run, found, posted = self.run, self.found, tally.posted
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
                values = budget.values
                if values is not None:
                    kept = values.counter_of(bound.use.value_of(values.said.group_by), now)
                    if kept is None:  # it is to be opened
                        return False
                    budget = kept
                cell = budget.met
                if cell is None or not cell.since <= at < cell.end or now >= cell.end:
                    cell = self._meet(tally, budget, at, now)
                    if cell is None:
                        return False
                if cell.posted + amount >= budget.alarm:
                    return False
                if budget.run == run and posted[budget.place] + amount > INT64_MAX:
                    return False  # what is said fits int64 (rule N1): a new run begins
                found.append((budget, cell, amount))
            node = node.parent
        if found and tally.first < 0:
            tally.first = index
        for budget, cell, amount in found:
            if budget.run != run:
                budget.run, budget.place = run, tally.begin(budget.number, cell)
            posted[budget.place] += amount
            cell.posted += amount
        return True

    def _meet(self, tally: Tally, budget: Budget, at: int, now: int) -> Cell | None:
        """Where usage of an instant counts now, if no threshold that is to be told looks on but
        that of the window of now: a window that stays with the budget until it is over."""
        cell = open_cell(budget, at, now)
        if cell is None:
            return None
        alarm = NEVER_REACHED
        if budget.terms.thresholds:
            if budget.terms.window.kind == _SLIDING or now < cell.since:
                return None
            alarm = next_told(budget, now)
        before = budget.met
        if before is not None and budget.run == self.run:
            tally.earlier[before] = budget.place
        place = tally.earlier.get(cell, -1)
        budget.run, budget.place = (self.run, place) if place >= 0 else (-1, 0)
        budget.met, budget.alarm = cell, alarm
        return cell

    def entries(self) -> list[BudgetsTallied]:
        """What is to be said of them, in the order in which families came."""
        return [
            BudgetsTallied(
                tally.root,
                tally.first,
                tuple(tally.windows),
                tuple(tally.budgets),
                tuple(tally.counted_in),
                tuple(tally.posted),
            )
            for tally in self.families.values()
            if tally.budgets
        ]


def open_cell(budget: Budget, at: int, now: int) -> Cell | None:
    """Where usage of an instant counts, if that window, or bucket, is open by now and there."""
    window = budget.terms.window
    sliding = window.kind == _SLIDING
    cells = budget.counter.cells
    place = len(cells)
    while place > 0:  # mostly the last
        place -= 1
        cell = cells[place]
        if cell.since <= at < cell.end:
            if sliding:
                return cell if cell.end > now - window.length else None
            return cell if now < cell.end else None
        if not sliding:
            return None
    return None


def next_told(budget: Budget, now: int) -> int:
    """The least use of the window of now that is a threshold which was not told in it: derived,
    and kept until the budget is changed or tells one."""
    terms = budget.terms
    for threshold in terms.thresholds:
        if budget.crossed.get(threshold, 0) <= now:
            return max(1, -(-threshold * terms.limit // 100))
    return NEVER_REACHED
