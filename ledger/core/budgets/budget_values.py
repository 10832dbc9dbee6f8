"""The values that a budget counts each by itself: which have a counter, and which one (rule H5).

A value has a counter of its own, a budget with a number, from its first entry until its window is
over and another value needs one. The number of counters is limited: what comes beyond counts in
one more together, the others, with the same limit; so a value may have less than its limit there,
never more. Whoever has counted with the others goes on with them until the window of that counter
is over: a counter that begins at nothing is of a value that has used nothing in its window.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from ledger.core.events import BudgetTerms, BudgetValueOpened, BudgetValues, WindowKind
from ledger.core.limits import BUDGET_VALUES_CLOSED_MAX

if TYPE_CHECKING:
    from ledger.core.budgets.budgets import Budget

Value: TypeAlias = tuple[str, ...]
"""Of each attribute that a budget groups by, in its order; "" = usage lacks it."""
OTHERS: Value = ()


class Values:
    """The counters of a budget's values."""

    __slots__ = ("apart", "budget", "kept", "limits", "others", "queue", "said")

    def __init__(self, budget: Budget, said: BudgetValues) -> None:
        self.budget = budget
        self.said = said
        self.limits: dict[Value, int] = {each.value: each.limit for each in said.limits}
        self.kept: dict[Value, Budget] = {}
        self.others: Budget | None = None
        # Those that were named with a limit as the counter of the others was opened: none of them
        # has counted there.
        self.apart: frozenset[Value] = frozenset()
        # Derived: when each counter may be over, its number, and it. The instant may be too early;
        # one in which a hold pends may not stand here.
        self.queue: list[tuple[int, int, Budget]] = []

    def change(self, said: BudgetValues) -> None:
        """Another number of values, or other limits for some; `budget` has its terms by now."""
        self.said = said
        self.limits = {each.value: each.limit for each in said.limits}
        for counter in self.counters():
            counter.change(self.terms_of(counter.value), self.budget.version)

    def counters(self) -> list[Budget]:
        """All that are open."""
        found = list(self.kept.values())
        if self.others is not None:
            found.append(self.others)
        return found

    def terms_of(self, value: Value) -> BudgetTerms:
        """Those of the budget, with the limit of the value."""
        terms = self.budget.terms
        limit = self.limits.get(value, terms.limit)
        return terms if limit == terms.limit else msgspec.structs.replace(terms, limit=limit)

    def limit_of(self, value: Value, shared: bool) -> int:
        """What the value may use in a window; `shared`: in the counter of the others."""
        limit = self.budget.terms.limit
        own = self.limits.get(value, limit)
        return min(own, limit) if shared else own

    def counter_of(self, value: Value, now: int) -> Budget | None:
        """Where the value counts; None = a counter would be opened for it."""
        found = self.kept.get(value)
        if found is None:
            others = self.others
            if others is not None and value not in self.apart and not is_over(others, now):
                return others
        return found

    def corrected(self, value: Value, original: int) -> Budget | None:
        """Where usage counted that is given back now, by its locator; None = nowhere any more.

        A fixed window of the others begins when one of them comes, not when the value does: what is
        given back may not have counted in it, so it lowers nothing there.
        """
        kept = self.kept.get(value)
        if kept is not None and original >= kept.created_by:
            return kept
        others = self.others
        if others is None or original < others.created_by:
            return None
        return others if self.budget.terms.window.kind != WindowKind.FIXED else None

    def opening(self, value: Value, now: int, number: int, entry: int) -> BudgetValueOpened:
        """What opens a counter for the value, or for it and others where it is one too many."""
        over = self.over(now)
        free = self.said.values_max + sum([each in self.kept for each in self.limits])
        free -= len(self.kept) - sum([each is not self.others for each in over])
        free -= sum([each.value in self.limits for each in over])
        others = self.others
        if value not in self.limits and free <= 0:
            value = OTHERS
            if others is not None and others not in over:
                over.append(others)
        closed = tuple([each.number for each in over])
        budget = self.budget
        return BudgetValueOpened(budget.account.number, budget.number, number, entry, value, closed)

    def over(self, now: int) -> list[Budget]:
        """Counters whose windows are over, the first of them by when that was."""
        queue = self.queue
        found: list[Budget] = []
        while queue and queue[0][0] <= now and len(found) < BUDGET_VALUES_CLOSED_MAX:
            end, number, counter = heappop(queue)
            if not self._has(counter):
                continue
            if counter.held:
                counter.queued = False
                continue
            last = ends_at(counter)
            if last == end:
                found.append(counter)
            else:
                heappush(queue, (last, number, counter))
        for counter in found:
            heappush(queue, (ends_at(counter), counter.number, counter))
        return found

    def _has(self, counter: Budget) -> bool:
        return self.kept.get(counter.value) is counter or counter is self.others

    def place(self, counter: Budget) -> None:
        """One more counter, by its value."""
        if counter.value == OTHERS:
            self.others = counter
            self.apart = frozenset(self.limits)
        else:
            self.kept[counter.value] = counter
        self.await_end(counter)

    def drop(self, counter: Budget) -> None:
        """One counter less."""
        if counter is self.others:
            self.others = None
        else:
            del self.kept[counter.value]

    def await_end(self, counter: Budget) -> None:
        """Look whether it is over, in time: it is new, or nothing pends in it any more."""
        if not counter.queued:
            counter.queued = True
            heappush(self.queue, (ends_at(counter), counter.number, counter))

    def await_all(self) -> None:
        """The same of all of them, which were packed elsewhere."""
        counters = self.counters()
        self.queue = [(ends_at(each), each.number, each) for each in counters]
        heapify(self.queue)
        for each in counters:
            each.queued = True


def ends_at(counter: Budget) -> int:
    """When the last window in which it has counted is over, or nothing of it is reached; one that
    was opened this instant is about to count."""
    cells = counter.counter.cells
    if not cells:
        return counter.created_at + 1
    window = counter.terms.window
    return cells[-1].end + (window.length if window.kind == WindowKind.SLIDING else 0)


def is_over(counter: Budget, now: int) -> bool:
    """Whether no window of now or later has anything of it."""
    return not counter.held and ends_at(counter) <= now
