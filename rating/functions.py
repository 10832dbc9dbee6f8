"""What a running total costs: each price model as a function F of integers (rule R1).

Owns F, compiled once a row over one common denominator: piecewise linear for everything that runs
on a quantity or a cost. A line is F(Q + q) - F(Q), rounding included. Must not know of plans or of
events: see ``price``. Plain slotted classes only, so that it compiles with mypyc as it stands.
"""

from bisect import bisect_left
from typing import Final

from rating.rounding import rounded

MEASURE_QUANTITY: Final = 0  # what runs on is the row's quantity
MEASURE_COST: Final = 1  # ... the provider's cost of it, in minor units of the card's asset
MEASURE_EVENT: Final = 2  # nothing runs on: a formula over the event alone

SCOPE_EVENT: Final = 0  # no running total
SCOPE_DAY: Final = 1
SCOPE_MONTH: Final = 2
SCOPE_PERIOD: Final = 3
SCOPE_MINIMUM: Final = 4  # of a card's minimum: what was charged in the billing period
SCOPE_SUBTREE_DAY: Final = 5  # those of all accounts below one that has prices of its own
SCOPE_SUBTREE_MONTH: Final = 6
SCOPE_SUBTREE_PERIOD: Final = 7
SCOPE_CONTRACT: Final = 8  # the term of a contract, of all accounts that it is for

NO_MAXIMUM: Final = -1


class Function:
    """A row's price as a function of what runs on in its scope.

    ``transactional``: a part of it belongs to the event alone, so what an event is given back
    depends on what it was charged. ``rerates``: a line may cost earlier quantity anew.
    """

    __slots__ = ("measure", "rerates", "scope", "transactional")

    def __init__(self, measure: int, scope: int, transactional: bool, rerates: bool) -> None:
        self.measure: int = measure
        self.scope: int = scope
        self.transactional: bool = transactional
        self.rerates: bool = rerates

    def total(self, running: int) -> int:
        """F: what the whole running total costs, in minor units of the asset."""
        raise NotImplementedError

    def charge(self, before: int, more: int) -> int:
        """What ``more`` costs on top of a running total: the line, zero or more."""
        return self.total(before + more) - self.total(before)

    def rerate(self, before: int, more: int) -> int:
        """What ``before`` costs more, or less, because ``more`` came: zero but for volume."""
        return 0


class Tiered(Function):
    """Piecewise linear: (intercept + slope x units) / denominator within each tier.

    ``bounds`` are the last units of every tier but the open one. ``included`` units come first
    and are free; of what is above them every ``size`` begun is one unit of the slopes.
    ``maximum`` caps F.
    """

    __slots__ = (
        "bounds",
        "denominator",
        "direct",
        "included",
        "intercepts",
        "maximum",
        "rounding",
        "size",
        "slopes",
    )

    def __init__(
        self,
        bounds: tuple[int, ...],
        slopes: tuple[int, ...],
        intercepts: tuple[int, ...],
        denominator: int,
        rounding: int,
        scope: int,
        included: int = 0,
        maximum: int = NO_MAXIMUM,
        size: int = 1,
        measure: int = MEASURE_QUANTITY,
        rerates: bool = False,
    ) -> None:
        super().__init__(measure, scope, False, rerates)
        assert len(slopes) == len(intercepts) == len(bounds) + 1
        assert denominator > 0 and size > 0 and included >= 0
        self.bounds: tuple[int, ...] = bounds
        self.slopes: tuple[int, ...] = slopes
        self.intercepts: tuple[int, ...] = intercepts
        self.denominator: int = denominator
        self.rounding: int = rounding
        self.included: int = included
        self.maximum: int = maximum
        self.size: int = size
        self.direct: bool = included == 0 and size == 1  # every unit is priced as it is

    def total(self, running: int) -> int:
        """F: zero up to what is included, then by the tier that it reaches, capped."""
        units = self.units(running)
        return self.of(units, bisect_left(self.bounds, units))

    def units(self, running: int) -> int:
        """What of a running total is priced: above what is included, in begun packages."""
        above = running - self.included
        if above <= 0:
            return 0
        return above if self.size == 1 else -(-above // self.size)

    def exact(self, units: int, tier: int) -> int:
        """The numerator over ``denominator`` of units by the price of a tier, before rounding."""
        return self.intercepts[tier] + self.slopes[tier] * units if units else 0

    def of(self, units: int, tier: int) -> int:
        """What units cost by the price of a tier, rounded and capped."""
        if units == 0:
            return 0
        exact = self.intercepts[tier] + self.slopes[tier] * units
        denominator = self.denominator
        cost = exact if denominator == 1 else rounded(exact, denominator, self.rounding)
        return self.maximum if 0 <= self.maximum < cost else cost

    def charge(self, before: int, more: int) -> int:
        """The line; where the whole is priced anew, at the tier that the whole reaches."""
        bounds = self.bounds
        units = before + more if self.direct else self.units(before + more)
        tier = bisect_left(bounds, units) if bounds else 0
        after = self.of(units, tier)
        if before == 0:
            return after
        earlier = before if self.direct else self.units(before)
        if tier and not self.rerates and earlier <= bounds[tier - 1]:
            tier = bisect_left(bounds, earlier)
        return after - self.of(earlier, tier)

    def rerate(self, before: int, more: int) -> int:
        """What the earlier quantity costs at the tier now reached, less what it cost before."""
        if not self.rerates:
            return 0
        earlier = self.units(before)
        old = bisect_left(self.bounds, earlier)
        new = bisect_left(self.bounds, self.units(before + more))
        return 0 if old == new else self.of(earlier, new) - self.of(earlier, old)


class Transaction(Function):
    """A share that runs on, and figures of the single event beside it.

    A transaction is an event that is not wholly within ``share.included``; it bears ``fixed``, and
    costs within ``minimum`` and ``maximum``. All three are whole minor units.
    """

    __slots__ = ("fixed", "maximum", "minimum", "share")

    def __init__(self, share: Tiered, fixed: int, minimum: int, maximum: int) -> None:
        super().__init__(share.measure, share.scope, True, False)
        self.share: Tiered = share
        self.fixed: int = fixed
        self.minimum: int = minimum
        self.maximum: int = maximum

    def total(self, running: int) -> int:
        """F of one event of that size in an empty scope."""
        return self.charge(0, running)

    def charge(self, before: int, more: int) -> int:
        """The share of the event, its fixed part, and its own minimum and maximum."""
        if 0 < self.share.included >= before + more:
            return 0
        cost = self.share.charge(before, more) + self.fixed
        if cost < self.minimum:
            return self.minimum
        return self.maximum if 0 <= self.maximum < cost else cost
