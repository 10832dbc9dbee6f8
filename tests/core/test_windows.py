"""Windows count what falls into them, and never less (rule H5)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.events import Window, WindowKind, WindowUnit
from ledger.core.limits import DAY_US, HOUR_US, MINUTE_US
from ledger.core.periods import CALENDAR_MONTHS, Calendar
from ledger.core.windows import (
    OF_NO_WINDOW,
    Counter,
    bounds_at,
    bucket_width,
    showing,
    span_at,
    unpack_counter,
    window_fault,
)
from rating.zones import local_of

LIFETIME = Window(WindowKind.LIFETIME)
BILLING = Window(WindowKind.BILLING)


def us(text: str) -> int:
    """An instant of UTC in microseconds."""
    return (
        datetime.fromisoformat(text).replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    ) // (timedelta(microseconds=1))


def calendar_window(unit: WindowUnit, zone: str = "UTC") -> Window:
    return Window(WindowKind.CALENDAR, unit, zone)


class Counted:
    """A counter with an account's calendar beside it."""

    def __init__(self, window: Window, zone: str = "UTC", anchor: str = "") -> None:
        self.window = window
        self.counter = Counter()
        self.calendar = Calendar(((0, zone),))
        self.anchors = ((0, us(anchor)),) if anchor else CALENDAR_MONTHS

    def span(self, at: int, now: int) -> tuple[int, int]:
        return span_at(self.window, self.counter, at, now, self.anchors, self.calendar)

    def use(self, at: int, now: int, posted: int, pending: int = 0) -> tuple[int, int]:
        span = self.span(at, now)
        self.counter.count(self.window, *span, posted, pending, now)
        return span

    def shown(self, now: int) -> tuple[int, int]:
        return showing(self.window, self.counter, now, self.anchors, self.calendar)


@pytest.mark.parametrize(
    ("window", "at", "start", "end"),
    [
        (calendar_window(WindowUnit.DAY), "2026-05-13T10:00", "2026-05-13", "2026-05-14"),
        (calendar_window(WindowUnit.WEEK), "2026-05-13T10:00", "2026-05-11", "2026-05-18"),
        (calendar_window(WindowUnit.WEEK), "2026-05-11T00:00", "2026-05-11", "2026-05-18"),
        (calendar_window(WindowUnit.MONTH), "2026-02-28T23:59", "2026-02-01", "2026-03-01"),
        (calendar_window(WindowUnit.QUARTER), "2026-05-13T10:00", "2026-04-01", "2026-07-01"),
        (calendar_window(WindowUnit.YEAR), "2024-12-31T23:00", "2024-01-01", "2025-01-01"),
        (
            calendar_window(WindowUnit.DAY, "America/New_York"),  # clocks go forward that day
            "2026-03-08T12:00",
            "2026-03-08T05:00",
            "2026-03-09T04:00",
        ),
        (
            calendar_window(WindowUnit.MONTH, "Europe/Berlin"),
            "2026-03-31T22:30",
            "2026-03-31T22:00",
            "2026-04-30T22:00",
        ),
    ],
)
def test_units_of_the_calendar(window: Window, at: str, start: str, end: str) -> None:
    """A calendar window is a unit of the calendar in its zone (rules H5, T1)."""
    counted = Counted(window)
    assert counted.span(us(at), us(at)) == (us(start), us(end))
    assert counted.shown(us(at)) == (us(start), us(end))


def test_billing_periods_run_from_the_anchor() -> None:
    """A billing window is the account's billing period (rules H5, T1)."""
    counted = Counted(BILLING, anchor="2026-01-31")
    assert counted.span(us("2026-02-28"), us("2026-02-28")) == (us("2026-02-28"), us("2026-03-31"))


def test_the_current_window_and_the_one_before_are_kept() -> None:
    """Late usage counts in the window of its own time while that is the current or the previous
    one; older usage counts only in the lifetime, and is flagged (rule H5)."""
    counted = Counted(calendar_window(WindowUnit.DAY))
    now = us("2026-05-13T10:00")
    counted.use(now, now, 5)
    assert counted.use(now - DAY_US, now, 7) == (us("2026-05-12"), us("2026-05-13"))
    assert counted.use(now - 2 * DAY_US, now, 11) == OF_NO_WINDOW
    counter = counted.counter
    assert counter.within(counted.window, now) == (5, 0)
    assert (counter.posted, counter.late) == (23, 11)
    counted.use(now + DAY_US, now + DAY_US, 1)
    assert [cell.posted for cell in counter.cells] == [5, 1]


def test_usage_a_little_ahead_counts_in_the_window_to_come() -> None:
    """Usage may be minutes ahead of the clock: over a boundary it counts in the next window, which
    is not the current one yet, and the previous stays kept (rules H5, I4)."""
    counted = Counted(calendar_window(WindowUnit.DAY))
    now = us("2026-05-12T23:58")
    counted.use(now - DAY_US, now, 1)
    counted.use(now, now, 2)
    counted.use(now + 4 * MINUTE_US, now, 4)
    assert counted.counter.within(counted.window, now) == (2, 0)
    assert counted.counter.within(counted.window, now + 2 * MINUTE_US) == (4, 0)
    counted.use(now - DAY_US, now, 8)
    assert [cell.posted for cell in counted.counter.cells] == [9, 2, 4]


def test_a_fixed_window_begins_with_the_first_use() -> None:
    """A fixed window is open from first use for its length; the next begins with the first use
    after it (rule H5)."""
    counted = Counted(Window(WindowKind.FIXED, length=HOUR_US))
    began = us("2026-05-12T10:20")
    assert counted.shown(began) == (0, 0)
    counted.use(began, began, 1)
    assert counted.shown(began + 1) == (began, began + HOUR_US)
    counted.use(began + HOUR_US - 1, began + HOUR_US - 1, 2)
    assert counted.counter.within(counted.window, began + HOUR_US - 1) == (3, 0)
    assert counted.counter.within(counted.window, began + HOUR_US) == (0, 0)
    later = began + 3 * HOUR_US
    counted.use(later, later, 4)
    assert counted.shown(later) == (later, later + HOUR_US)
    counted.use(began, later, 8)  # the window before is kept
    assert [cell.posted for cell in counted.counter.cells] == [11, 4]
    # Late, of a time in which none was open: by less than the length, it counts in the one that is.
    counted.use(later - 1, later, 16)
    assert counted.counter.within(counted.window, later) == (20, 0)
    assert counted.use(later - HOUR_US - 1, later, 32) == OF_NO_WINDOW


def test_a_sliding_window_lets_go_bucket_by_bucket() -> None:
    """A sliding window is a ring of 60 buckets; the oldest counts whole (rule H5)."""
    window = Window(WindowKind.SLIDING, length=59 * MINUTE_US)
    counted = Counted(window)
    assert bucket_width(window.length) == MINUTE_US
    began = us("2026-05-12T10:00")
    for minute in range(60):
        counted.use(began + minute * MINUTE_US, began + minute * MINUTE_US, 1)
    counter = counted.counter
    assert counter.within(window, began + 59 * MINUTE_US) == (60, 0)
    assert counter.within(window, began + 60 * MINUTE_US - 1) == (60, 0)
    assert counter.within(window, began + 60 * MINUTE_US) == (59, 0)
    assert counted.shown(began + 60 * MINUTE_US)[1] == began + 61 * MINUTE_US
    counted.use(began + 70 * MINUTE_US, began + 70 * MINUTE_US, 1)
    assert len(counter.cells) == 50


def test_pending_counts_beside_what_is_posted() -> None:
    """Holds pend in the window of their authorisation and go from there (rule H5)."""
    counted = Counted(calendar_window(WindowUnit.MONTH))
    now = us("2026-05-31T23:00")
    span = counted.use(now, now, 0, 40)
    later = now + 2 * HOUR_US
    assert counted.counter.within(counted.window, now) == (0, 40)
    counted.counter.count(counted.window, *span, 30, -40, later)
    assert counted.counter.within(counted.window, now) == (30, 0)
    assert counted.counter.within(counted.window, later) == (0, 0)


@pytest.mark.parametrize(
    ("window", "field"),
    [
        (Window(WindowKind.CALENDAR, 0, "UTC"), "window.unit"),
        (Window(WindowKind.CALENDAR, WindowUnit.DAY, "Mars/Base"), "window.zone"),
        (Window(WindowKind.CALENDAR, WindowUnit.DAY, "UTC", HOUR_US), "window.length_us"),
        (Window(WindowKind.LIFETIME, WindowUnit.DAY), "window.unit"),
        (Window(WindowKind.BILLING, 0, "UTC"), "window.zone"),
        (Window(WindowKind.FIXED, length=MINUTE_US), "window.length_us"),
        (Window(WindowKind.SLIDING, length=367 * DAY_US), "window.length_us"),
    ],
)
def test_a_window_that_is_none_is_told_by_its_field(window: Window, field: str) -> None:
    fault = window_fault(window)
    assert fault is not None
    assert fault.field == field


# -- against a list of everything ------------------------------------------------------------------

UNITS = {
    WindowUnit.DAY: lambda day: (day.year, day.month, day.day),
    WindowUnit.WEEK: lambda day: day.isocalendar()[:2],
    WindowUnit.MONTH: lambda day: (day.year, day.month),
    WindowUnit.QUARTER: lambda day: (day.year, (day.month - 1) // 3),
    WindowUnit.YEAR: lambda day: day.year,
}
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"])
WINDOWS = st.one_of(
    st.just(LIFETIME),
    st.builds(calendar_window, st.sampled_from(WindowUnit), ZONES),
    st.builds(
        lambda kind, length: Window(kind, length=length),
        st.sampled_from([WindowKind.FIXED, WindowKind.SLIDING]),
        st.integers(10 * MINUTE_US, 40 * DAY_US),
    ),
)
FORWARD = st.one_of(
    st.integers(0, 5), st.integers(0, HOUR_US), st.integers(0, DAY_US), st.integers(0, 70 * DAY_US)
)
BACK = st.one_of(
    st.just(0), st.integers(-5 * MINUTE_US, HOUR_US), st.integers(0, 3 * DAY_US),
    st.integers(0, 35 * DAY_US),
)  # fmt: skip
STEPS = st.lists(st.tuples(FORWARD, BACK, st.integers(0, 9), st.integers(0, 3)), max_size=40)


class Listed:
    """Every event in a list; each question reads them all."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.events: list[tuple[int, int, int, int]] = []  # at, recorded, posted, pending
        self.opened: list[tuple[int, int, list[tuple[int, int]]]] = []  # fixed: from, to, what

    def add(self, at: int, now: int, posted: int, pending: int) -> None:
        self.events.append((at, now, posted, pending))
        if self.window.kind == WindowKind.FIXED:
            self._add_fixed(at, now, posted, pending)

    def _add_fixed(self, at: int, now: int, posted: int, pending: int) -> None:
        ended = [each for each in self.opened if each[1] <= now]
        kept = [each for each in self.opened if each[1] > now or each is ended[-1]]
        for since, end, inside in kept:
            if since <= at < end:
                inside.append((posted, pending))
                return
        if not self.opened or at >= self.opened[-1][1]:
            last = self.opened[-1][1] if self.opened else 0
            since = max(last, at - self.window.length)
            self.opened.append((since, at + self.window.length, [(posted, pending)]))

    def _unit(self, at: int) -> object:
        return UNITS[WindowUnit(self.window.unit)](local_of(at, self.window.zone))

    def within(self, now: int) -> tuple[int, int]:
        window = self.window
        if window.kind == WindowKind.FIXED:
            found = [
                each for since, end, all_ in self.opened if since <= now < end for each in all_
            ]
        elif window.kind == WindowKind.LIFETIME:
            found = [(posted, pending) for _, _, posted, pending in self.events]
        elif window.kind == WindowKind.SLIDING:
            width = -(-window.length // 59)
            found = [
                (posted, pending)
                for at, _, posted, pending in self.events
                if at // width * width + width > now - window.length
            ]
        else:
            unit = self._unit(now)
            found = [
                (posted, pending)
                for at, _, posted, pending in self.events
                if self._unit(at) == unit
            ]
        return sum([each[0] for each in found]), sum([each[1] for each in found])


@given(window=WINDOWS, steps=STEPS)
def test_a_counter_agrees_with_a_list_of_everything(
    window: Window, steps: list[tuple[int, int, int, int]]
) -> None:
    """Whatever comes in which order, late or ahead, a counter shows of the window of now what a
    list of all events shows; a sliding one never less than what is in it; packed and back it is the
    same, and it stays small (rule H5)."""
    counted, listed = Counted(window), Listed(window)
    now = us("2026-01-30T21:00")
    for forward, back, posted, pending in steps:
        now += forward
        at = now - back
        counted.use(at, now, posted, pending)
        listed.add(at, now, posted, pending)
        counted.counter = unpack_counter(counted.counter.pack())
        counter = counted.counter
        assert counter.within(window, now) == listed.within(now)
        if window.kind == WindowKind.SLIDING:
            exact = sum([each[2] for each in listed.events if each[0] > now - window.length])
            assert counter.within(window, now)[0] >= exact
        assert counter.posted == sum([each[2] for each in listed.events])
        assert len(counter.cells) <= (91 if window.kind == WindowKind.SLIDING else 3)
        in_windows = sum([cell.posted for cell in counter.cells])
        assert counter.late + in_windows <= counter.posted


@given(window=WINDOWS, steps=STEPS)
def test_what_is_given_back_lowers_the_window_of_its_event(
    window: Window, steps: list[tuple[int, int, int, int]]
) -> None:
    """Counted and given back at once leaves each window as it was (rule H4)."""
    counted = Counted(window)
    now = us("2026-01-30T21:00")
    for forward, back, posted, _ in steps:
        now += forward
        counted.use(now - back, now, posted)
        before = counted.counter.within(window, now)
        span = counted.use(now - back, now, 7)
        assert counted.use(now - back, now, -7) == span
        assert counted.counter.within(window, now) == before


@given(
    st.lists(
        st.tuples(
            st.sampled_from(list(WindowUnit)),
            st.sampled_from(["UTC", "Europe/Berlin", "Pacific/Apia"]),
            st.integers(us("2011-01-01"), us("2030-01-01")),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_whatever_was_asked_before_a_window_holds_its_instant_and_abuts_the_next(
    asked: list[tuple[WindowUnit, str, int]],
) -> None:
    """The span that was met last is another's only where it is theirs too."""
    calendar = Calendar(((0, "UTC"),))
    for unit, zone, at in asked:
        window = calendar_window(unit, zone)
        found = bounds_at(window, at, CALENDAR_MONTHS, calendar)
        assert found[0] <= at < found[1]
        assert bounds_at(window, found[0], CALENDAR_MONTHS, calendar) == found
        after = bounds_at(window, found[1], CALENDAR_MONTHS, calendar)
        assert after[0] == found[1]
        assert bounds_at(window, at, CALENDAR_MONTHS, calendar) == found  # found anew
        assert bounds_at(window, found[1] - 1, CALENDAR_MONTHS, calendar) == found
