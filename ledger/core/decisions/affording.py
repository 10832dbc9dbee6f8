"""As much of one quantity as all limits afford, exactly (rules D4, H4, R1).

Asks the decision itself, for one quantity after another: whatever limits it counts, and by whatever
model it is priced. Where the price of more may be less, as at a boundary of volume prices, each
stretch between such boundaries is searched by itself, the largest first. Reads state, changes
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ledger.core.catalog import Bound
from ledger.core.decisions.assessing import Assessment, assess
from ledger.core.decisions.shortfall import limit_of
from ledger.core.drawing.drawdown import Overdraw
from ledger.core.events import Limit, UpTo
from ledger.core.outcomes import Refusal
from ledger.core.pricing.pricing import totals_at
from ledger.core.shapes import Shape
from ledger.core.state import Account, Hold, State
from rating.functions import SCOPE_EVENT, Function, Tiered
from rating.plan import Plan


class Afforded(NamedTuple):
    """What may run: its quantities and what they cost, and what allows no more; None = it is all
    that was asked for, or denied."""

    found: Assessment
    quantities: tuple[int, ...]
    limit: Limit | None


def afford(
    state: State,
    account: Account,
    shape: Shape,
    quantities: tuple[int, ...],
    up_to: UpTo,
    now: int,
    overdraw: Overdraw | None = None,
    operation: bytes = b"",
    hold: Hold | None = None,
) -> Afforded | Refusal:
    """The largest quantity from minimum to maximum that is allowed, or the denial of the least.

    `quantities` are the most that is asked for. What is allowed is so by every limit at once, and
    one more is not.
    """
    search = _Search(
        state, account, shape, quantities, up_to.quantity, now, overdraw, operation, hold
    )
    best = search.largest(up_to.minimum, up_to.maximum)
    if best < 0:
        least = search.ask(up_to.minimum)
        if isinstance(least, Refusal):  # it contradicts what it is a part of, or has parts of
            least = search.ask(up_to.maximum)
        return least if isinstance(least, Refusal) else Afforded(least, quantities, None)
    found = search.ask(best)
    assert isinstance(found, Assessment) and not found.denied, "it was allowed a moment ago"
    limit = None
    if best < up_to.maximum:
        beyond = search.ask(best + 1)
        if isinstance(beyond, Assessment):
            assert beyond.denied, "more is allowed"
            limit = limit_of(state, account, beyond, now, overdraw)
    return Afforded(found, search.with_(best), limit)


class _Search:
    """Decisions for different amounts of one quantity, each asked for once."""

    __slots__ = (
        "_account",
        "_asked",
        "_hold",
        "_now",
        "_operation",
        "_overdraw",
        "_place",
        "_quantities",
        "_shape",
        "_state",
    )

    def __init__(
        self,
        state: State,
        account: Account,
        shape: Shape,
        quantities: tuple[int, ...],
        named: str,
        now: int,
        overdraw: Overdraw | None = None,
        operation: bytes = b"",
        hold: Hold | None = None,
    ) -> None:
        self._state = state
        self._account = account
        self._shape = shape
        self._quantities = quantities
        self._place: int = shape.quantity_names.index(named)
        self._now = now
        self._overdraw = overdraw
        self._operation = operation
        self._hold = hold
        self._asked: dict[int, Assessment | Refusal] = {}

    def with_(self, amount: int) -> tuple[int, ...]:
        """The quantities with so much of that one."""
        place = self._place
        return (*self._quantities[:place], amount, *self._quantities[place + 1 :])

    def ask(self, amount: int) -> Assessment | Refusal:
        """What is decided of so much."""
        found = self._asked.get(amount)
        if found is None:
            found = self._asked[amount] = assess(
                self._state,
                self._account,
                self._shape,
                self.with_(amount),
                self._now,
                0,
                self._overdraw,
                self._operation,
                self._hold,
            )
        return found

    def allows(self, amount: int) -> bool:
        """Whether so much is allowed."""
        found = self.ask(amount)
        return isinstance(found, Assessment) and not found.denied

    def largest(self, low: int, high: int) -> int:
        """The largest amount from low to high that is allowed; -1 = none is."""
        if self.allows(high):
            return high
        starts = [low, *[cut + 1 for cut in self._cuts() if low <= cut < high]]
        last = high
        for start in reversed(starts):
            if self.allows(last):
                return last
            if self.allows(start):
                return self._between(start, last)
            last = start - 1
        return -1

    def _between(self, low: int, high: int) -> int:
        """The boundary between an amount that is allowed and one that is not."""
        while high - low > 1:
            middle = (low + high) // 2
            if self.allows(middle):
                low = middle
            else:
                high = middle
        return low

    def _cuts(self) -> Sequence[int]:
        """Amounts after which one more may cost less or be valid otherwise, ascending."""
        state, now = self._state, self._now
        card = state.catalog.card(self._account.card_key)
        bound: Bound = card.bind(self._shape, now)
        plan = bound.plan
        cuts: set[int] = set()
        if not any(self.with_(0)):
            cuts.add(0)  # nothing at all is no work
        for parent, children in plan.parents:
            parts = sum([self._quantities[each] for each in children if each != self._place])
            if parent == self._place:
                cuts.add(parts - 1)
            elif self._place in children:
                cuts.add(self._quantities[parent] - parts)
        plans: list[Plan] = [plan]
        for above, step in plan.steps:
            plans.append(step)
            if plan.prompt_index == self._place:
                cuts.add(above)
        for each in plans:
            if each.modeled:
                totals = totals_at(state, self._account, each, now)
                self._add_cuts(each, totals, cuts)
        return sorted(cuts)

    def _add_cuts(self, plan: Plan, totals: dict[int, int], cuts: set[int]) -> None:
        """Of the row of the quantity, which is charged for what its parts leave of it; and of the
        row that it is a part of, which is charged for less as it grows."""
        place, quantities = self._place, self._quantities
        for index, function in enumerate(plan.functions):
            if not isinstance(function, Tiered) or not function.bounds:
                continue
            parts = sum([quantities[child] for child in plan.subsets[index] if child != place])
            before = _before(function, totals, plan.keys[index])
            for bound in function.bounds:
                own = function.included + bound * function.size - before
                if index == place:
                    cuts.add(own + parts)
                elif place in plan.subsets[index]:
                    rest = quantities[index] - parts - own  # of it, where the row is at its bound
                    cuts.update((rest - 1, rest))


def _before(function: Function, totals: dict[int, int], key: int) -> int:
    return 0 if function.scope == SCOPE_EVENT else totals.get(key, 0)
