"""Recurring grants once more, naively: a diary of what was asked, and Fractions (rules T1, S1).

It walks from period to period with the bounds that it finds in a list of all of them, and knows
nothing of entries, timers or versions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from fractions import Fraction

from zone_files import first_shown, shown

from ledger.core.events import PeriodUnit, Proration

FOREVER = 2**62


@dataclass(frozen=True)
class Terms:
    amount: int
    unit: PeriodUnit
    every: int
    anchor: int
    zone: str
    proration: Proration

    def bounds(self, at: int) -> tuple[int, int]:
        """The period that holds an instant: look at one start after the other."""
        step = 0 if self._start(0) <= at else -1
        while self._start(step) > at:
            step -= 1
        while self._start(step + 1) <= at:
            step += 1
        return self._start(step), self._start(step + 1)

    def _start(self, index: int) -> int:
        anchor = shown(self.anchor, self.zone)
        if self.unit == PeriodUnit.WEEK:
            return first_shown(anchor + timedelta(days=7 * self.every * index), self.zone)
        months = {PeriodUnit.MONTH: 1, PeriodUnit.QUARTER: 3, PeriodUnit.YEAR: 12}[self.unit]
        year, month = divmod(anchor.year * 12 + anchor.month - 1 + months * self.every * index, 12)
        day = anchor.day
        while True:
            try:
                return first_shown(anchor.replace(year=year, month=month + 1, day=day), self.zone)
            except ValueError:
                day -= 1


def share(amount: int, part: int, full: int) -> int:
    return round(Fraction(amount) * part / full)  # half to even


@dataclass
class Model:
    """One recurring grant. `issued` is what each issue gave: (start, end, amount)."""

    terms: Terms
    at: int  # where the next period starts
    ends: int = FOREVER
    waiting: Terms | None = None
    paused: bool = False
    fresh: bool = True
    current: tuple[int, int, int, int] = (0, 0, 1, 0)  # start, end, full, most generous amount
    grants: list[tuple[int, int]] = field(default_factory=list)  # of the current: start, amount
    issued: list[tuple[int, int, int]] = field(default_factory=list)
    given: int = 0

    def wait(self, now: int) -> None:
        """Time passes."""
        while not self.paused and self.at <= now and self.at < self.ends:
            if self.waiting is not None:
                self.terms, self.waiting = self.waiting, None
            start, end = self.terms.bounds(self.at)
            stops = min(end, self.ends)
            low, high = start, end
            if self.terms.proration in (Proration.FIRST, Proration.BOTH) or not self.fresh:
                low = self.at
            if self.terms.proration in (Proration.LAST, Proration.BOTH):
                high = stops
            amount = share(self.terms.amount, high - low, end - start)
            self.issued.append((self.at, stops, amount))
            self.current = (self.at, stops, end - start, self.terms.amount)
            self.grants = [(self.at, amount)]
            self.given += amount
            self.at = stops
            self.fresh = False

    def change(self, now: int, terms: Terms, at_once: bool) -> None:
        if not at_once:
            self.waiting = terms
            return
        self.terms, self.waiting = terms, None
        start, end, full, most = self.current
        if start <= now < end and not self.paused:
            more = share(max(0, terms.amount - most), end - now, full)
            self.grants.append((now, more))
            self.given += more
            self.current = (start, end, full, max(most, terms.amount))

    def resume(self, now: int) -> None:
        self.paused = False
        if now > self.at:
            self.at, self.fresh = now, True

    def end(self, now: int, at_once: bool) -> None:
        if not at_once:
            self.ends = min(self.ends, max(now, self.current[1]))
            return
        self.ends = now
        if self.terms.proration in (Proration.LAST, Proration.BOTH) and now < self.current[1]:
            end = self.current[1]
            for start, amount in self.grants:
                self.given -= share(amount, end - now, end - start)

    def ended(self, now: int) -> bool:
        return self.ends <= now
