"""What a run of usual usage counts in budgets, added up and said once behind it (rules H4, H5).

Usage that is recorded many at a time is counted here as it is decided: in windows that are open,
where no threshold is reached. Whatever is otherwise is for `budget_counts`, an entry at a time. A
tally is one entry a family, and stands behind its run before anything else is decided; so whoever
asks a budget finds all of it counted. What is counted is posted at once, as usual usage is: a child
of a large family is out of the processor's caches by the end of the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ledger.core.budgets.budgets import Budget
from ledger.core.budgets.lanes import (
    EACH,
    PLACE,
    RUN,
    USED,
    Drawn,
    Kind,
    Lane,
    Layout,
    layout_of,
)
from ledger.core.catalog import Bound
from ledger.core.events import BudgetMeasure, BudgetsTallied, GrantKind, WindowKind
from ledger.core.funding.caps import Cap
from ledger.core.limits import INT64_MAX
from ledger.core.shapes import Shape
from ledger.core.state import Account, Family, Grant, State
from ledger.core.windows import Cell, Span

_CHARGE: Final = int(BudgetMeasure.CHARGE)
_NET_CHARGE: Final = int(BudgetMeasure.NET_CHARGE)
_COST: Final = int(BudgetMeasure.COST)
_QUANTITY: Final = int(BudgetMeasure.QUANTITY)
_REQUESTS: Final = int(BudgetMeasure.REQUESTS)
_SLIDING: Final = int(WindowKind.SLIDING)
_PROMOTIONAL: Final = int(GrantKind.PROMOTIONAL)
_NO_BUDGETS: Final[tuple[Budget, ...]] = ()
NEVER_REACHED: Final = 1 << 200  # no use of a window is so much: each of its entries fits int64


class Tally:
    """What a run has counted in the budgets of one family, in columns as the entry says it."""

    __slots__ = (
        "budgets",
        "counted_in",
        "earlier",
        "first",
        "layout",
        "places",
        "posted",
        "root",
        "windows",
    )

    def __init__(self, root: int) -> None:
        self.root = root
        self.first = -1  # index in the batch of its first entry that counts
        self.windows: list[Span] = []
        self.budgets: list[int] = []
        self.counted_in: list[int] = []  # the place of the window
        self.posted: list[int] = []
        # Where windows stand that a budget has met before another: near the end of one, and
        # buckets of sliding ones.
        self.earlier: dict[Cell, int] = {}
        self.layout: Layout | None = None  # met last, with the places of its windows
        self.places: list[int] = []

    def begin(self, number: int, since: int, end: int) -> int:
        """Place of what is counted of a budget in a window from now on."""
        self.budgets.append(number)
        self.counted_in.append(self.window(since, end))
        self.posted.append(0)
        return len(self.posted) - 1

    def begin_lane(self, layout: Layout, row: int, amounts: list[int]) -> int:
        """The same of all budgets of a lane, which have counted these."""
        if layout is not self.layout:
            self.layout = layout
            self.places = [self.window(*window) for window in layout.windows]
        place = len(self.posted)
        self.budgets.extend(layout.kept[row + layout.numbers : row + layout.size])
        self.counted_in.extend(self.places)
        self.posted.extend(amounts)
        return place

    def window(self, since: int, end: int) -> int:
        """Place of a window, of which there are few."""
        if (since, end) not in self.windows:
            self.windows.append((since, end))
        return self.windows.index((since, end))

    def entry(self) -> BudgetsTallied | None:
        """What is to be said of it, if any is."""
        budgets, counted_in, posted = self.budgets, self.counted_in, self.posted
        if 0 in posted:  # a lane's budget that has counted none
            counted = [place for place, by in enumerate(posted) if by]
            budgets = [budgets[place] for place in counted]
            counted_in = [counted_in[place] for place in counted]
            posted = [posted[place] for place in counted]
        if not budgets:
            return None
        windows = tuple(self.windows)
        columns = tuple(budgets), tuple(counted_in), tuple(posted)
        return BudgetsTallied(self.root, self.first, windows, *columns)


class Tallies:
    """The tallies of a run, one a family.

    While it lasts, where it has counted of a budget stands with the budget (`Budget.run`, `place`),
    or with the lane of several, which no decision reads: it is found at once there, and a run that
    came to nothing leaves nothing.
    """

    __slots__ = ("amounts", "families", "found", "lanes", "plain", "run")

    def __init__(self, run: int) -> None:
        """`run`: where its first entry will stand; no other run has that which records any."""
        self.run = run
        self.families: dict[int, Tally] = {}
        self.plain: dict[Account, None] = {}  # whose budgets it has counted one by one
        # Of the event that is looked at: what counts where.
        self.found: list[tuple[Budget, Cell, int]] = []
        self.lanes: list[Account] = []  # those whose lanes it counts in
        self.amounts: list[int] = []

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
        run, found, lanes, amounts = self.run, self.found, self.lanes, self.amounts
        found.clear()
        lanes.clear()
        amounts.clear()
        node: Account | None = account
        while node is not None:
            layout = node.layout
            if layout is None:
                budgets: Sequence[Budget] = node.budgets
            elif layout.since <= at < layout.end and now < layout.end:
                kept, place = layout.kept, node.row + USED
                for measure, asset, quantity in layout.measures:
                    if measure == _REQUESTS:
                        amount = 1
                    elif measure == _QUANTITY:
                        names = shape.quantity_names
                        amount = quantities[names.index(quantity)] if quantity in names else 0
                    elif measure == _NET_CHARGE and grant.kind == _PROMOTIONAL:
                        amount = 0
                    else:
                        amount = total if asset == bound.asset else 0
                    if amount and kept[place] + amount >= kept[place + 1]:
                        return False
                    amounts.append(amount)
                    place += EACH
                lanes.append(node)
                budgets = _NO_BUDGETS
                if layout.rest:
                    budgets = [node.budgets[each] for each in layout.rest]
            else:
                node.end_lane()
                budgets = node.budgets
            for budget in budgets:
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
                    kept_value = values.counter_of(bound.use.value_of(values.said.group_by), now)
                    if kept_value is None:  # it is to be opened
                        return False
                    budget = kept_value
                cell = budget.met
                if cell is None or not cell.since <= at < cell.end or now >= cell.end:
                    cell = self._meet(tally, budget, at, now)
                    if cell is None:
                        return False
                if cell.posted + amount >= budget.alarm:
                    return False
                if budget.run == run and tally.posted[budget.place] + amount > INT64_MAX:
                    return False  # what is said fits int64 (rule N1): a new run begins
                found.append((budget, cell, amount))
            node = node.parent
        if tally.first < 0 and (found or any(amounts)):
            tally.first = index
        if lanes:
            self._post(tally)
        for budget, cell, amount in found:
            if budget.run != run:
                budget.run, budget.place = run, tally.begin(budget.number, cell.since, cell.end)
                self.plain[budget.account] = None
            tally.posted[budget.place] += amount
            cell.posted += amount
        return True

    def _post(self, tally: Tally) -> None:
        """What the event counts in lanes."""
        run, amounts, start = self.run, self.amounts, 0
        for account in self.lanes:
            layout, row = account.layout, account.row
            assert layout is not None
            kept, size = layout.kept, len(layout.measures)
            of_lane = amounts[start : start + size] if len(amounts) > size else amounts
            start += size
            place = row + USED
            for amount in of_lane:
                kept[place] += amount
                place += EACH
            if kept[row + RUN] != run:
                kept[row + RUN] = run
                kept[row + PLACE] = tally.begin_lane(layout, row, of_lane)
            else:
                place, posted = kept[row + PLACE], tally.posted
                for amount in of_lane:
                    posted[place] += amount
                    place += 1

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
        entries = [tally.entry() for tally in self.families.values()]
        return [each for each in entries if each is not None]

    def lay(self, state: State) -> None:
        """Lay in lanes what the run, which is over, has counted one by one."""
        now = state.now
        for account in self.plain:
            budgets, layout = account.budgets, account.layout
            if layout is None or any(is_plain(budgets[each], now) for each in layout.rest):
                lay(account, state.families[account.root], now)


def is_plain(budget: Budget, now: int) -> bool:
    """Whether a budget may stand in a lane: it counts all usage by what the entry itself says, in
    the one window that it met last, which is that of now."""
    cell = budget.met
    return (
        cell is not None
        and cell.since <= now < cell.end
        and 0 <= cell.posted <= INT64_MAX
        and budget.for_all
        and budget.values is None
        and budget.measure != _COST
        and budget.terms.window.kind != _SLIDING
    )


def cap_is_plain(cap: Cap, now: int) -> bool:
    """Whether a cap may stand in a lane: it counts in the one window that is open now, below a
    ceiling that is a number of units, and sets nothing aside."""
    terms = cap.terms
    if not cap.windowed or terms.window.kind == _SLIDING or terms.denominator or terms.reserved:
        return False
    cell = cap.cell(now)
    return cell is not None and 0 <= cell.posted <= INT64_MAX


def lay(account: Account, family: Family, now: int) -> None:
    """Lay the budgets of an account that are plain in a lane, and its caps if all are."""
    account.end_lane()
    budgets, caps = account.budgets, account.caps
    plain = [place for place, budget in enumerate(budgets) if is_plain(budget, now)]
    if not plain:
        return
    laid = [budgets[place] for place in plain]
    cells = [budget.met for budget in laid if budget.met is not None]
    alarms = [min(budget.alarm, INT64_MAX) for budget in laid]
    drawn: tuple[Drawn, ...] | None = None
    if all(cap_is_plain(cap, now) for cap in caps):
        drawn = tuple([_drawn(cap) for cap in caps])
        met = [cap.met for cap in caps if cap.met is not None]
        cells += met
        alarms += [_most(cap, cell) for cap, cell in zip(caps, met, strict=True)]
    kind = Kind(
        tuple([(budget.measure, budget.asset, budget.terms.quantity) for budget in laid]),
        tuple([place for place in range(len(budgets)) if place not in plain]),
        drawn,
        tuple([(cell.since, cell.end) for cell in cells]),
    )
    layout = layout_of(family.layouts, kind)
    lane = Lane(account, layout, cells, alarms, [budget.number for budget in laid])
    for place, budget in enumerate(laid):
        budget.lane, budget.laid = lane, place
    for place, cap in enumerate(caps if drawn is not None else (), len(laid)):
        cap.lane, cap.laid = lane, place


def _drawn(cap: Cap) -> Drawn:
    """What a cap counts draws of."""
    return cap.grant.number if cap.grant is not None else 0, cap.owner.number, cap.asset


def _most(cap: Cap, cell: Cell) -> int:
    """Units that may be drawn in its window beside those that are held."""
    limit = cap.terms.limit
    return INT64_MAX if limit < 0 else min(INT64_MAX, max(-1, limit - cell.pending))


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
