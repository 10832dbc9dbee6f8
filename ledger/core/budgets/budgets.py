"""Budgets as state: terms, the counter of their windows, and the holds that pend in them (H4, H5).

Set, counted and asked in `budgeting`. They stand with their account and bind its whole subtree;
a number is one of the shard.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ledger.core.budgets.budget_values import Values
from ledger.core.budgets.lanes import Lane
from ledger.core.budgets.operations import Operation
from ledger.core.events import BudgetMeasure, BudgetTerms, BudgetValues
from ledger.core.shapes import Use
from ledger.core.windows import Cell, Counter, Span

if TYPE_CHECKING:
    from ledger.core.state import Account


@lru_cache(maxsize=4_096)
def _same(terms: BudgetTerms) -> BudgetTerms:
    """One object for equal terms: thousands of accounts have budgets of the same."""
    return terms


@lru_cache(maxsize=4_096)
def _set_of(values: tuple[Any, ...]) -> frozenset[Any]:
    return frozenset(values)


class _Counted:
    """What usage that is recorded many at a time looks at of a budget, side by side: a family may
    have many thousand, and memory is what they cost. (Attributes lie in the order of their names,
    but those of a base come first.)"""

    __slots__ = ("alarm", "asset", "for_all", "measure", "met", "number", "place", "run", "values")


class Budget(_Counted):
    """One budget of an account, or what one has counted of one of its values."""

    __slots__ = (
        "_counter",
        "account",
        "attributes",
        "created_at",
        "created_by",
        "crossed",
        "held",
        "laid",
        "lane",
        "name",
        "of",
        "operation",
        "packaged",
        "products",
        "queued",
        "tags",
        "terms",
        "value",
        "version",
    )

    def __init__(
        self,
        number: int,
        account: Account,
        name: str,
        terms: BudgetTerms,
        version: int,
        created_at: int,
        created_by: int,
    ) -> None:
        self.number = number
        self.account = account
        self.name = name
        self.version = version
        self.packaged = False  # a package has it so; whoever sets it by hand has it hold (rule P1)
        self.created_at = created_at
        self.created_by = created_by  # locator of its entry: what was recorded before is not in it
        self._counter = Counter()
        self.held: dict[int, tuple[Span, int]] = {}  # hold -> where it pends, and how much
        self.crossed: dict[int, int] = {}  # threshold -> until when it is not told again
        self.terms = _same(terms)
        self.products = _set_of(terms.products)
        self.tags = _set_of(terms.tags)
        self.attributes = _set_of(terms.attributes)
        self.values: Values | None = None  # it counts each value of some attributes by itself
        # Of the counter of one: the budget, the value, and whether `Values.queue` has it.
        self.of: Budget | None = None
        self.value: tuple[str, ...] = ()
        self.queued = False
        self.operation: Operation | None = None  # that it covers, with those below it
        self.for_all = not terms.products and not terms.tags and not terms.attributes
        # Of its terms, for who looks at them with each event:
        self.measure = int(terms.measure)
        self.asset = terms.asset
        # Derived, for `tallies`: the window that was met last and is open, and at which use of it
        # a threshold is told; the run that counted in it, and where what it did stands there.
        self.met: Cell | None = None
        self.alarm = 0
        self.run = -1
        self.place = 0
        self.lane: Lane | None = None  # where what it has used stands meanwhile, and at which place
        self.laid = 0

    @property
    def counter(self) -> Counter:
        """What it counts, to be read."""
        if self.lane is not None:
            self.lane.settle(self.laid)
        return self._counter

    def take_counter(self) -> Counter:
        """The same to be changed, or because what it tells is another: no lane has it any more."""
        self.met = None
        if self.lane is not None:
            self.lane.finish()
            self.lane = None
        return self._counter

    def begin_at(self, counter: Counter) -> None:
        """Go on with what was counted before it was packed."""
        self._counter = counter

    def applies(self, use: Use) -> bool:
        """Whether it is for such usage, whoever's of the subtree."""
        named = not self.products and not self.tags
        named = named or use.product in self.products or not self.tags.isdisjoint(use.tags)
        return named and self.attributes <= use.attributes

    def reserves(self, asset: int) -> bool:
        """Whether a hold of an operation pends in it, whatever its calls will be: it counts the
        charge in the hold's asset, of all usage together."""
        if not self.for_all or self.values is not None or self.terms.asset != asset:
            return False
        return self.measure in (BudgetMeasure.CHARGE, BudgetMeasure.NET_CHARGE)

    def said_values(self) -> BudgetValues | None:
        """Of what it counts each value by itself; None = it counts all together."""
        return self.values.said if self.values is not None else None

    def change(self, terms: BudgetTerms, version: int) -> None:
        """Another limit, hardness or other thresholds; what it counts stays what it is."""
        self.terms = _same(terms)
        self.take_counter()
        self.version = version
        self.crossed = {
            each: self.crossed[each] for each in sorted(self.crossed) if each in terms.thresholds
        }

    def pend(self, hold: int, span: Span, amount: int) -> None:
        """So much more of a hold pends, or less; whoever looks may ask whether any does."""
        where, before = self.held.get(hold, (span, 0))
        if before + amount:
            self.held[hold] = (where, before + amount)
        else:
            self.held.pop(hold, None)
