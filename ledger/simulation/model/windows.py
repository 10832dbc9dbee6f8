"""Windows of budgets: where usage counts, what the present one holds, when it resets (rule H5).

Days, weeks and months are lists of instants at which they begin. Of windows that are over the last
is kept, and what a sliding one reaches; the rest counts in the lifetime of its budget alone.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Final
from zoneinfo import ZoneInfo

from ledger.core.events import Window, WindowKind, WindowUnit
from ledger.simulation.model.shard import Shard
from ledger.simulation.naive_holdings import NaiveBudget, Span

FOR_EVER: Final = 2**63 - 1
ALWAYS: Final[Span] = (0, FOR_EVER)
NOWHERE: Final[Span] = (0, 0)
BUCKETS: Final = 60
_YEARS: Final = range(2024, 2030)


def place_of(m: Shard, budget: NaiveBudget, at: int) -> Span:
    """[since, end) in which usage of an instant counts; (0, 0) = its window is kept no more."""
    window, now = budget.terms.window, m.recorded_at
    match window.kind:
        case WindowKind.LIFETIME:
            return ALWAYS
        case WindowKind.SLIDING:
            width = _width(window)
            since = at - at % width
            return (since, since + width) if since + width > now - window.length else NOWHERE
        case WindowKind.FIXED:
            return _fixed(budget, at)
    found = _bounds(m, budget, at)
    if found[1] > now or found[1] == _bounds(m, budget, now)[0]:
        return found
    return NOWHERE


def _width(window: Window) -> int:
    """Of a bucket: sixty of them hold the whole length, wherever the last one stands."""
    return -(-window.length // (BUCKETS - 1))


def _fixed(budget: NaiveBudget, at: int) -> Span:
    """From first use on, and again from the first use after that."""
    length, kept = budget.terms.window.length, sorted(budget.windows)
    for since, end in kept:
        if since <= at < end:
            return since, end
    if not kept:
        return max(at - length, 0), at + length
    last = kept[-1][1]
    return (max(at - length, last), at + length) if at >= last else NOWHERE


def _bounds(m: Shard, budget: NaiveBudget, at: int) -> Span:
    window = budget.terms.window
    if window.kind == WindowKind.BILLING:
        return m.accounts[budget.account].months.month_of(at)
    starts = _starts(WindowUnit(window.unit), window.zone)
    place = bisect_right(starts, at)
    return starts[place - 1], starts[place]


@cache
def _starts(unit: WindowUnit, zone: str) -> tuple[int, ...]:
    """The first instant of each day, week or month in a zone."""
    with files("tzdata").joinpath("zoneinfo", *zone.split("/")).open("rb") as file:
        found = ZoneInfo.from_file(file)
    day, days = datetime(_YEARS.start, 1, 1), []
    while day.year in _YEARS:
        first = {WindowUnit.DAY: True, WindowUnit.WEEK: day.weekday() == 0}
        if first.get(unit, day.day == 1):
            days.append(day)
        day += timedelta(days=1)
    return tuple(int(each.replace(tzinfo=found).timestamp()) * 1_000_000 for each in days)


def kept(m: Shard, budget: NaiveBudget, span: Span) -> Span:
    """Where a hold pends, for as long as that window is kept."""
    return span if span[1] > m.recorded_at or span in budget.windows else NOWHERE


def count(m: Shard, budget: NaiveBudget, span: Span, posted: int, pending: int) -> None:
    """Count, and let what is over for long go."""
    budget.posted += posted
    if span == NOWHERE:
        return
    cell = budget.windows.setdefault(span, [0, 0])
    cell[0] += posted
    cell[1] += pending
    window, now = budget.terms.window, m.recorded_at
    over = [each for each in sorted(budget.windows) if each[1] <= now]
    if window.kind == WindowKind.SLIDING:
        over = [each for each in over if each[1] <= now - window.length]
    else:
        over = over[:-1]
    for each in over:
        del budget.windows[each]


def tally(m: Shard, budget: NaiveBudget, span: Span, posted: int) -> None:
    """The same of usage that is counted many at a time: nothing goes by it."""
    if span in budget.windows:
        budget.posted += posted
        budget.windows[span][0] += posted
    else:
        count(m, budget, span, posted, 0)


def within(m: Shard, budget: NaiveBudget) -> tuple[int, int]:
    """(posted, pending) of the window of now."""
    window, now = budget.terms.window, m.recorded_at
    cells = [
        cell
        for (since, end), cell in budget.windows.items()
        if (end > now - window.length if window.kind == WindowKind.SLIDING else since <= now < end)
    ]
    return sum(cell[0] for cell in cells), sum(cell[1] for cell in cells)


def left_in(m: Shard, budget: NaiveBudget) -> int:
    """What the window of now leaves."""
    return budget.terms.limit - sum(within(m, budget))


def resets_at(m: Shard, budget: NaiveBudget) -> int:
    """When the window of now is over; of a sliding one, when the oldest that it holds leaves it."""
    window, now = budget.terms.window, m.recorded_at
    match window.kind:
        case WindowKind.LIFETIME:
            return 0
        case WindowKind.SLIDING:
            reached = [end for (_, end), cell in budget.windows.items()
                       if end > now - window.length and any(cell)]  # fmt: skip
            return min(reached, default=-window.length) + window.length
        case WindowKind.FIXED:
            ends = [end for since, end in budget.windows if since <= now < end]
            return ends[0] if ends else 0
    return _bounds(m, budget, now)[1]


def told_until(m: Shard, budget: NaiveBudget) -> int:
    """Until when a threshold that was reached is not told again."""
    window = budget.terms.window
    if window.kind == WindowKind.LIFETIME:
        return FOR_EVER
    if window.kind == WindowKind.SLIDING:
        return m.recorded_at + window.length
    return resets_at(m, budget)
