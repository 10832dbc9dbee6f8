"""Budgets: what an account and all below it may use in a window (rules H4, H5)."""

from __future__ import annotations

from enum import IntEnum

import msgspec

from ledger.core.events.base import Fact
from ledger.core.events.holds import AuthorizeDenied
from ledger.core.events.windows import Window


class BudgetMeasure(IntEnum):
    """What a budget counts (rule H4). Never reused or renamed."""

    CHARGE = 1  # units of an asset that usage is charged, before any grant pays
    NET_CHARGE = 2  # of those, what promotional grants do not pay
    COST = 3  # what providers take, in minor units of a money asset
    QUANTITY = 4  # one quantity, by its name
    REQUESTS = 5  # usage events


class BudgetTerms(msgspec.Struct, frozen=True, array_like=True):
    """What a budget counts, and how much of it may be used in each window (rules H4, H5).

    It is for usage of one of `products` or of a product with one of `tags`, with all `attributes`;
    where neither a product nor a tag is named, of all products. `asset` is that of a charge or
    cost, `quantity` the name of a quantity. A `hard` one refuses what is authorised beyond its
    limit, a soft one only counts. Each of `thresholds`, percent of the limit, is told once a
    window.
    """

    measure: BudgetMeasure
    limit: int
    asset: int = 0
    quantity: str = ""
    hard: bool = True
    window: Window = Window()
    products: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()
    thresholds: tuple[int, ...] = ()


class ValueLimit(msgspec.Struct, frozen=True, array_like=True):
    """A limit of its own for one of the values that a budget counts each by itself."""

    value: tuple[str, ...]
    limit: int


class BudgetValues(msgspec.Struct, frozen=True, array_like=True):
    """That a budget counts each value of the attributes `group_by` by itself (rule H5): usage that
    lacks one counts as of the value "". Up to `values_max` values have a counter at a time, besides
    those that `limits` names; whatever is beyond counts in one counter together.
    """

    group_by: tuple[str, ...] = ()
    values_max: int = 0
    limits: tuple[ValueLimit, ...] = ()


class BudgetSet(Fact, frozen=True, tag=100):
    """The account has a budget (`version` 1), or its limit, hardness or thresholds are others.

    `budget` is its number in the shard, `name` its own among the account's. Its counter goes on.
    `key` is empty where the account's package says it: it stands before the entry of the period,
    then.
    """

    key: bytes
    account: int
    budget: int
    name: str
    terms: BudgetTerms
    version: int
    expected_version: int = 0
    trace: bytes = b""


class GroupedBudgetSet(BudgetSet, frozen=True, tag=154):
    """The same of a budget that counts each value of some attributes by itself: in a counter with
    a number of its own that is opened as it is first counted in. Its own number counts nothing."""

    values: BudgetValues = BudgetValues()


class BudgetValueOpened(Fact, frozen=True, tag=155):
    """A value of a budget of the account, or whatever is beyond those that may have a counter (an
    empty `value`), counts under `number` from the entry at `entry` of this batch on.

    `closed` are numbers of such counters whose windows are over: they are kept no more.
    """

    account: int
    budget: int
    number: int
    entry: int
    value: tuple[str, ...] = ()
    closed: tuple[int, ...] = ()


class BudgetRemoved(Fact, frozen=True, tag=101):
    """The budget counts and refuses no more. `key` is empty where its package does not say it."""

    key: bytes
    account: int
    budget: int
    name: str
    trace: bytes = b""


class BudgetMove(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a budget counts more, or less (below 0), in the span [since, end) of its window; (0, 0):
    only in its lifetime, for the window of the event is kept no more (rule H5)."""

    budget: int
    since: int
    end: int
    posted: int
    pending: int = 0


class BudgetsCounted(Fact, frozen=True, tag=102):
    """What the entry at `entry` of this batch, usage of the account or a hold of it, or what became
    of either, counts in each budget that applies to it. `hold` is what pends or pended there."""

    account: int
    entry: int
    moves: tuple[BudgetMove, ...]
    hold: int = 0


class BudgetsTallied(Fact, frozen=True, tag=186):
    """What a run of usage of one family counts in its budgets, added up: the entries of the family
    from `first` of this batch on that nothing has counted so far, each whole in the window of its
    time. `account` is the root.

    In columns, since a run may be of as many accounts as events: each of `budgets` counts as much
    of `posted` more, in the one of the few `windows`, [since, end), that `counted_in` places.
    """

    account: int
    first: int
    windows: tuple[tuple[int, int], ...]
    budgets: tuple[int, ...]
    counted_in: tuple[int, ...]
    posted: tuple[int, ...]

    def moves(self) -> list[BudgetMove]:
        """The same a budget and window at a time."""
        moved: dict[tuple[int, int], int] = {}
        for budget, place, by in zip(self.budgets, self.counted_in, self.posted, strict=True):
            moved[budget, place] = moved.get((budget, place), 0) + by
        return [
            BudgetMove(budget, *self.windows[place], by) for (budget, place), by in moved.items()
        ]


class BudgetCrossed(Fact, frozen=True, tag=103):
    """A budget's use has reached a threshold, percent of its limit; told again after `until`.

    `used` is what had been used of `limit` in the window by then.
    """

    account: int
    budget: int
    threshold: int
    used: str  # decimal: it may not fit 64 bits (rule N1)
    limit: int
    until: int


class BudgetDenied(AuthorizeDenied, frozen=True, tag=104):
    """A denial because of a hard budget, the first that does not allow it (rule H4): its account,
    its name, what was left in its window, and when that resets; 0 = it does not."""

    quote: int = 0
    budget: int = 0
    budget_account: int = 0
    budget_name: str = ""
    left: int = 0
    resets_at: int = 0
