"""Windows in which something is counted, and counters of them (rule H5): for budgets and caps.

`decide` asks where usage of an instant counts (`span_at`), which needs the zones; the answer, two
instants, stands in the entry, and `evolve` counts there (`Counter.count`) without asking anything.
What a counter holds of the window of an instant is `Counter.within`; `showing` says when that
window began and when it is over. No I/O, no clock, no state of the ledger.

A span [since, end) is a whole window, or one of the 60 buckets of a sliding one. Of windows that
are over the last is kept; what is older counts in the counter's totals alone, as a span of (0, 0).
"""

from __future__ import annotations

from datetime import datetime
from functools import cache, lru_cache
from typing import Final, NamedTuple, TypeAlias

from ledger.core.events import PeriodUnit, Window, WindowKind, WindowUnit
from ledger.core.limits import (
    DAY_US,
    INT64_MAX,
    WINDOW_BUCKETS,
    WINDOW_LENGTH_MAX_US,
    WINDOW_LENGTH_MIN_US,
)
from ledger.core.periods import Anchors, Calendar, Cycle, billing_period, day_in, month_of
from rating.zones import instant_of, is_zone

Span: TypeAlias = tuple[int, int]
"""[since, end) of a window, or of a bucket of a sliding one."""

OF_NO_WINDOW: Final[Span] = (0, 0)
"""Counts in the totals alone: its window is older than those that are kept."""
FOR_EVER: Final[Span] = (0, INT64_MAX)

PackedCounter: TypeAlias = tuple[str, str, str, list[tuple[int, int, str, str]]]
"""Posted and pending in all, posted in no window; then since, end, posted, pending of the spans."""

_ZONES_END_US: Final = (datetime(9000, 1, 1) - datetime(1970, 1, 1)).days * DAY_US
_CYCLES: Final = {
    WindowUnit.WEEK: PeriodUnit.WEEK,
    WindowUnit.MONTH: PeriodUnit.MONTH,
    WindowUnit.QUARTER: PeriodUnit.QUARTER,
    WindowUnit.YEAR: PeriodUnit.YEAR,
}
_MET: Final[dict[tuple[int, str], Span]] = {}
"""The span that was met last, by unit and zone: thousands of accounts of a family use for the first
time in it, and need not find it each. As many as there are zones and units."""


class Fault(NamedTuple):
    """Why a window is none: the field, and what to do."""

    field: str
    value: str
    message: str


class Cell:
    """What is counted of one span. Never below zero but where usage that was counted before is
    given back in a window that is kept no more."""

    __slots__ = ("end", "pending", "posted", "since")

    def __init__(self, since: int, end: int, posted: int, pending: int) -> None:
        self.since = since
        self.end = end
        self.posted = posted
        self.pending = pending


class Counter:
    """What was counted in the windows that are kept, in order of time, and beside them.

    What a window counts stands there alone, so that usage touches one place (a family may have many
    thousand counters, and memory is what they cost): the totals of its lifetime are added up.
    `late` is the part that counts in no window, because its own was over too long by then.
    """

    __slots__ = ("beside_pending", "beside_posted", "cells", "late")

    def __init__(self) -> None:
        self.beside_posted = 0  # in no window that is kept
        self.beside_pending = 0
        self.late = 0
        self.cells: list[Cell] = []

    @property
    def posted(self) -> int:
        """In all of its lifetime."""
        return self.beside_posted + sum([each.posted for each in self.cells])

    @property
    def pending(self) -> int:
        """In all of its lifetime."""
        return self.beside_pending + sum([each.pending for each in self.cells])

    def cell(self, at: int) -> Cell | None:
        """Where usage of an instant counts, of the spans that are kept; None = in none of them."""
        for cell in reversed(self.cells):
            if cell.since <= at < cell.end:
                return cell
        return None

    def count(
        self, window: Window, since: int, end: int, posted: int, pending: int, now: int
    ) -> None:
        """Count in the span that was recorded; `now`, the recorded time, lets old ones go."""
        if end == 0:
            self.beside_posted += posted
            self.beside_pending += pending
            self.late += posted
            return
        cells = self.cells
        place = len(cells)
        while place > 0 and cells[place - 1].since > since:
            place -= 1
        if place > 0 and cells[place - 1].since == since:
            cell = cells[place - 1]
            cell.posted += posted
            cell.pending += pending
        else:
            cells.insert(place, Cell(*shared_span(since, end), posted, pending))
        self._forget(window, now)

    def add(self, window: Window, since: int, end: int, posted: int, now: int) -> None:
        """The same of usage in a window that is open. Nothing is forgotten by it, as usage that is
        recorded many at a time looks at one window alone."""
        for cell in reversed(self.cells):
            if cell.since == since and end:
                cell.posted += posted
                return
        self.count(window, since, end, posted, 0, now)

    def _forget(self, window: Window, now: int) -> None:
        """Drop windows that ended before the last that did; buckets that no window reaches."""
        cells = self.cells
        past = 0
        if window.kind == WindowKind.SLIDING:
            reach = now - window.length
            while past < len(cells) and cells[past].end <= reach:
                past += 1
        else:
            while past + 1 < len(cells) and cells[past + 1].end <= now:
                past += 1
        if past:
            for cell in cells[:past]:
                self.beside_posted += cell.posted
                self.beside_pending += cell.pending
            del cells[:past]

    def within(self, window: Window, now: int) -> tuple[int, int]:
        """(posted, pending) of the window that holds `now`; buckets that it touches count whole."""
        posted = pending = 0
        if window.kind == WindowKind.SLIDING:
            reach = now - window.length
            for cell in self.cells:
                if cell.end > reach:
                    posted += cell.posted
                    pending += cell.pending
            return posted, pending
        for cell in reversed(self.cells):
            if cell.since <= now < cell.end:
                return cell.posted, cell.pending
        return posted, pending

    def pack(self) -> PackedCounter:
        """As plain values; figures as text, for totals may pass 64 bits (rule N1)."""
        all_posted, all_pending = self.beside_posted, self.beside_pending
        cells = []
        for cell in self.cells:
            posted, pending = cell.posted, cell.pending
            all_posted += posted
            all_pending += pending
            cells.append((cell.since, cell.end, str(posted), str(pending)))
        return str(all_posted), str(all_pending), str(self.late), cells


def unpack_counter(packed: PackedCounter) -> Counter:
    """The counter that was packed so."""
    counter = Counter()
    posted, pending, late, cells = packed
    for since, end, each_posted, each_pending in cells:
        span = shared_span(since, end)
        counter.cells.append(Cell(*span, int(each_posted), int(each_pending)))
    counter.beside_posted = int(posted) - counter.posted
    counter.beside_pending = int(pending) - counter.pending
    counter.late = int(late)
    return counter


@lru_cache(maxsize=4_096)
def shared_span(since: int, end: int) -> Span:
    """The span, as the same two objects for all counters: looked at with each event, they are at
    hand."""
    return since, end


def span_at(
    window: Window, counter: Counter, at: int, now: int, anchors: Anchors, calendar: Calendar
) -> Span:
    """Where usage of the instant `at` counts, decided at `now` (rule H5)."""
    kind = window.kind
    if kind == WindowKind.LIFETIME:
        return FOR_EVER
    if kind == WindowKind.SLIDING:
        width = bucket_width(window.length)
        since = at - at % width
        return (since, since + width) if since + width > now - window.length else OF_NO_WINDOW
    for cell in reversed(counter.cells):
        # Of a calendar one that is over only the next question knows whether it is the last.
        if cell.since <= at < cell.end and (kind == WindowKind.FIXED or now < cell.end):
            return cell.since, cell.end
    if kind == WindowKind.FIXED:
        return _fixed_at(window.length, counter.cells, at)
    bounds = bounds_at(window, at, anchors, calendar)
    if bounds[1] > now:
        return bounds
    present = bounds_at(window, now, anchors, calendar)[0]
    return bounds if bounds[1] == present else OF_NO_WINDOW


def _fixed_at(length: int, cells: list[Cell], at: int) -> Span:
    """A window from first use on. What comes late, and is older than the first use by less than the
    length, counts in it too: a counter never shows less than what was used."""
    if not cells:
        return max(at - length, 0), at + length
    if at >= cells[-1].end:
        return max(at - length, cells[-1].end), at + length
    return OF_NO_WINDOW


def bounds_at(window: Window, at: int, anchors: Anchors, calendar: Calendar) -> Span:
    """[start, end) of the calendar or billing window that holds an instant."""
    if window.kind == WindowKind.BILLING:
        return billing_period(at, anchors, calendar)
    if not 0 <= at < _ZONES_END_US:
        return day_in(at, window.zone) if window.unit == WindowUnit.DAY else month_of(at)
    place = window.unit, window.zone
    met = _MET.get(place)
    if met is None or not met[0] <= at < met[1]:
        met = _MET[place] = _in_zone(WindowUnit(window.unit), window.zone, at)
    return met


def _in_zone(unit: WindowUnit, zone: str, at: int) -> Span:
    if unit == WindowUnit.DAY:
        return day_in(at, zone)
    return Cycle(_CYCLES[unit], 1, _anchor(unit, zone), zone).period_of(at)


@cache
def _anchor(unit: WindowUnit, zone: str) -> int:
    """An instant at which a unit begins: 3 January 2000 was a Monday."""
    return instant_of(datetime(2000, 1, 3 if unit == WindowUnit.WEEK else 1), zone)


def showing(
    window: Window, counter: Counter, now: int, anchors: Anchors, calendar: Calendar
) -> Span:
    """(start, when it resets) of the window that holds `now`, for whoever shows it. A start of 0 =
    none is open, or it is for ever; 0 for the reset = it does not. A sliding one resets in parts:
    the instant is when the oldest of what it holds leaves it."""
    if window.kind == WindowKind.LIFETIME:
        return OF_NO_WINDOW
    if window.kind == WindowKind.SLIDING:
        reach = now - window.length
        for cell in counter.cells:
            if cell.end > reach and (cell.posted or cell.pending):
                return reach, cell.end + window.length
        return reach, 0
    if window.kind == WindowKind.FIXED:
        for cell in counter.cells:
            if cell.since <= now < cell.end:
                return cell.end - window.length, cell.end
        return OF_NO_WINDOW
    return bounds_at(window, now, anchors, calendar)


def bucket_width(length: int) -> int:
    """So wide that 60 buckets reach over the whole length, whereever the last one stands."""
    return -(-length // (WINDOW_BUCKETS - 1))


def window_fault(window: Window) -> Fault | None:
    """Why it is no window, if it is none."""
    kind = window.kind
    if kind not in WindowKind.__members__.values():
        return Fault("window.kind", str(kind), "name one of the kinds of windows")
    if kind == WindowKind.CALENDAR:
        if window.unit not in WindowUnit.__members__.values():
            return Fault("window.unit", str(window.unit), "name a unit of the calendar")
        if not is_zone(window.zone):
            return Fault(
                "window.zone",
                window.zone,
                "name a zone of the IANA time zone database, as Europe/Berlin",
            )
    elif window.unit or window.zone:
        given = ("unit", str(window.unit)) if window.unit else ("zone", window.zone)
        return Fault(f"window.{given[0]}", given[1], "only a calendar window has a unit and a zone")
    if kind in (WindowKind.FIXED, WindowKind.SLIDING):
        if not WINDOW_LENGTH_MIN_US <= window.length <= WINDOW_LENGTH_MAX_US:
            return Fault(
                "window.length_us",
                str(window.length),
                f"a fixed or sliding window is from {WINDOW_LENGTH_MIN_US} to "
                f"{WINDOW_LENGTH_MAX_US} us long",
            )
    elif window.length:
        return Fault(
            "window.length_us",
            str(window.length),
            "only a fixed or sliding window has a length of its own",
        )
    return None
