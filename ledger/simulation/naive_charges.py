"""What the naive model keeps of fixed charges, and what a period of one costs (rules S1, T1, B4).

A period is a list of quantities, each from its instant on, weighed anew each time it is asked for.
Nothing of the core's code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from ledger.core.events import ChargeBilling, ChargeTerms, Proration
from ledger.simulation.naive_holdings import FOREVER, Piece

Step = tuple[int, int]
"""(from when on, so many)."""


class Drawn(NamedTuple):
    """What paid for a part of a period's fees, and the month that its overage counts in."""

    month: int
    piece: Piece


@dataclass
class NaiveCharge:
    """A fixed charge: its terms, its period, what that was charged so far and what is unearned."""

    number: int
    account: int
    name: str
    terms: ChargeTerms
    quantity: int
    starts_at: int
    ends_at: int
    next_at: int
    next_terms: ChargeTerms | None = None
    next_quantity: int = -1
    version: int = 1
    begun: int = 0
    start: int = 0  # of the period that was begun last
    end: int = 0
    charged_from: int = 0
    charged_to: int = 0
    full: int = 0
    steps: list[Step] = field(default_factory=list)
    settled: bool = True  # whether all of it is charged
    charged: int = 0
    drawn: list[Drawn] = field(default_factory=list)
    unearned: dict[int, int] = field(default_factory=dict)  # money by asset
    earned_to: int = 0
    earns_at: int = 0
    earns_until: int = 0
    packaged: bool = False  # a package has it so
    base: int = 0  # what the period weighs up to `base_to`, where other terms began to count
    base_to: int = 0
    announced: int = 0  # the fee that stands right before what it belongs to

    @property
    def ahead(self) -> bool:
        """Whether a period is charged as it begins."""
        return self.terms.billing == ChargeBilling.ADVANCE

    @property
    def due(self) -> int:
        """When time next does something with it."""
        if self.unearned:
            return min(self.earns_at, self._next)
        return self._next

    @property
    def _next(self) -> int:
        if not self.settled:
            return self.end
        return self.next_at if self.next_at < self.ends_at else FOREVER

    def over(self, now: int) -> bool:
        """Whether nothing more is charged or earned."""
        return self.ends_at <= now and self.due == FOREVER

    def runs(self, now: int) -> bool:
        """Whether there is a period that a change of now counts in."""
        open_ = self.ahead or not self.settled
        return open_ and self.begun > 0 and self.start <= now < self.end

    def changed(self, now: int, quantity: int) -> list[Step] | None:
        """The period with another quantity from now on; None where it is charged as before."""
        if self.terms.prorate_changes:
            return [*self.steps, (now, quantity)]
        return None if self.ahead else [(self.charged_from, quantity)]

    def last_part(self, at: int) -> int | None:
        """Until when a period that is to end then is charged; None where it costs what it did."""
        if not self.terms.every or not self.runs(max(at, self.start)):
            return None
        until = self.charged_to
        if self.terms.proration in (Proration.LAST, Proration.BOTH):
            until = max(at, self.start, self.steps[-1][0])
        return until if until != self.charged_to or not self.ahead else None

    def weighed(self, steps: Sequence[Step], until: int) -> int:
        """What the period weighs up to an instant."""
        since = max(self.charged_from, self.base_to)
        return self.base + weight(self.terms, self.begun, steps, since, until)

    def total(self, steps: Sequence[Step], until: int) -> int:
        """What the period costs where it is charged up to then."""
        weighed = self.weighed(steps, until)
        return cost(self.terms, self.begun, weighed, until - self.charged_from, self.full)

    def earned(self, unearned: int, at: int) -> int:
        """What of it is earned by an instant, by what its time costs, rounded down."""
        since, until = self.earned_to, self.earns_until
        if at >= until:
            return unearned
        one = [(since, 1)]
        whole = weight(self.terms, self.begun, one, since, until)
        if not whole:
            return unearned * (at - since) // (until - since)
        return unearned * weight(self.terms, self.begun, one, since, at) // whole


def unit_at(terms: ChargeTerms, number: int, at: int) -> int:
    """What one costs at an instant of a period: nothing on trial, then by the ramp."""
    if number <= terms.trial_periods or at < terms.trial_until:
        return 0
    reached = [each for each in terms.ramp if each.period <= number and each.instant <= at]
    return reached[-1].unit_amount if reached else terms.unit_amount


def weight(terms: ChargeTerms, number: int, steps: Sequence[Step], start: int, end: int) -> int:
    """Quantity x unit amount x microseconds, piece by piece."""
    marks = {start, end, terms.trial_until, *[at for at, _ in steps]}
    marks.update(each.instant for each in terms.ramp)
    found = 0
    for since, until in pairwise(sorted(marks)):
        if start <= since and until <= end:
            [*_, quantity] = [quantity for at, quantity in steps if at <= since]
            found += quantity * unit_at(terms, number, since) * (until - since)
    return found


def cost(terms: ChargeTerms, number: int, weighed: int, length: int, full: int) -> int:
    """The weight over a full period, less the discount of `length`; rounded once, half to even."""
    exact, off = Fraction(weighed, full), terms.discount
    first = max(off.from_period, 1) if off is not None else 0
    if off is None or number < first or (off.periods and number >= first + off.periods):
        return round(exact)
    if off.denominator:
        return round(exact * (1 - Fraction(off.numerator, off.denominator)))
    return round(max(Fraction(0), exact - Fraction(off.amount * length, full)))
