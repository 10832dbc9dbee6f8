"""What a run of usual usage counts in budgets, added up and said once behind it (rules H4, H5).

Usage that is recorded many at a time is counted here as it is decided: in windows that are open,
where no threshold is reached. Whatever is otherwise is for `budget_counts`, an entry at a time. A
tally is one entry a family, and stands behind its run before anything else is decided; so whoever
asks a budget finds all of it counted. Changes no state.
"""

from __future__ import annotations

from typing import Final

from ledger.core.budgets.budgets import Budget
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
NEVER_REACHED: Final = 1 << 200  # no use of a window is so much: each of its entries fits int64


class Tally:
    """What a run has counted in the budgets of one family."""

    __slots__ = ("budgets", "first", "others", "root")

    def __init__(self, root: int) -> None:
        self.root = root
        self.first = -1  # index in the batch of its first entry that counts
        self.budgets: list[
            Budget
        ] = []  # each with what was counted in the window that it met first
        # What was counted in others: near the end of a window, and in the buckets of sliding ones.
        self.others: dict[Cell, tuple[Budget, int]] = {}


class Tallies:
    """The tallies of a run, one a family.

    While it lasts, what a run has counted of a budget stands with the budget (`Budget.run`), which
    no decision reads: it is found at once there, and a run that came to nothing leaves nothing.
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
        run, found = self.run, self.found
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
                counter = budget.counter
                cell = counter.met
                if cell is None or not cell.since <= at < cell.end or now >= cell.end:
                    cell = open_cell(budget, at, now)
                    if cell is None:
                        return False
                    counter.met = cell
                posted = amount
                if budget.run == run and budget.run_cell is cell:
                    posted += budget.run_posted
                elif tally.others:
                    posted += tally.others.get(cell, (budget, 0))[1]
                if posted > INT64_MAX:  # a move fits int64 (rule N1): a new run begins
                    return False
                if budget.told and (
                    (budget.run == run and budget.run_cell is not cell)
                    or reaches(budget, cell, cell.posted + posted, now)
                ):
                    return False
                found.append((budget, cell, posted))
            node = node.parent
        if found and tally.first < 0:
            tally.first = index
        for budget, cell, posted in found:
            if budget.run != run:
                budget.run, budget.run_cell = run, cell
                tally.budgets.append(budget)
            if budget.run_cell is cell:
                budget.run_posted = posted
            else:
                tally.others[cell] = (budget, posted)
        return True

    def entries(self) -> list[BudgetsTallied]:
        """What is to be said of them, in the order in which families came."""
        entries: list[BudgetsTallied] = []
        for tally in self.families.values():
            moves: list[BudgetMove] = []
            for budget in tally.budgets:
                cell = budget.run_cell
                assert cell is not None
                moves.append(BudgetMove(budget.number, cell.since, cell.end, budget.run_posted))
            for cell, (budget, posted) in tally.others.items():
                moves.append(BudgetMove(budget.number, cell.since, cell.end, posted))
            if moves:
                entries.append(BudgetsTallied(tally.root, tally.first, tuple(moves)))
        return entries


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


def reaches(budget: Budget, cell: Cell, used: int, now: int) -> bool:
    """Whether so much used in a window is a threshold that was not told in it. Of a sliding one,
    and of one that does not hold now, that is for whoever looks at all of it to say."""
    if budget.window == _SLIDING or not cell.since <= now < cell.end:
        return True
    if budget.alarm_cell is not cell:
        budget.alarm_cell, budget.alarm = cell, next_told(budget, now)
    return used >= budget.alarm


def next_told(budget: Budget, now: int) -> int:
    """The least use of the window of now that is a threshold which was not told in it: derived,
    and kept until the budget is changed or tells one."""
    terms = budget.terms
    for threshold in terms.thresholds:
        if budget.crossed.get(threshold, 0) <= now:
            return max(1, -(-threshold * terms.limit // 100))
    return NEVER_REACHED
