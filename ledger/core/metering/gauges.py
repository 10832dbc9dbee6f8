"""Gauges: what was last reported of each in a scope that is still to be charged (rules T1, T2).

A scope is [start, end), which its reports record: the fold asks for no time zone. Of a gauge the
last reports by effective time are kept, so that one that is taken back leaves the one before. Pure
data: only `evolve` changes it.
"""

from __future__ import annotations

from bisect import insort
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from ledger.core.state import Account

NOT_DUE: Final = 9_223_372_036_854_775_807


class GaugeReport(NamedTuple):
    """A report as it counts: the last of a scope by these two is what the scope is charged."""

    effective_at: int
    locator: int  # of its entry
    key: bytes
    quantities: tuple[int, ...]


class GaugeScope(NamedTuple):
    """[start, end) of a day, a month or a billing period, as its reports recorded it."""

    start: int
    end: int


class Gauge:
    """A gauge in a scope: what it is usage of, and its last reports, in order.

    `forgotten`: how many came that are not kept any more, for so many came later.
    """

    __slots__ = ("attributes", "forgotten", "key", "product", "quantity_names", "reports")

    def __init__(
        self,
        key: int,
        product: str,
        attributes: tuple[tuple[str, str], ...],
        quantity_names: tuple[str, ...],
    ) -> None:
        self.key = key
        self.product = product
        self.attributes = attributes
        self.quantity_names = quantity_names
        self.reports: list[GaugeReport] = []
        self.forgotten = 0

    @property
    def level(self) -> tuple[int, ...]:
        """What it shows: its last report."""
        return self.reports[-1].quantities

    def add(self, report: GaugeReport, most: int) -> None:
        """Take a report in at its time; beyond so many the oldest is kept no more."""
        insort(self.reports, report)
        if len(self.reports) > most:
            del self.reports[0]
            self.forgotten += 1

    def place_of(self, key: bytes) -> int:
        """Where the report of that key stands; -1 = it is not kept."""
        for place, report in enumerate(self.reports):
            if report.key == key:
                return place
        return -1


class Gauges:
    """Those of an account: by scope, and by key as they were first reported.

    `charged`: of scopes that were charged before their end, for the account was closed then: what
    is reported of such a one is refused, should it be opened again.
    """

    __slots__ = ("account", "charged", "due", "scopes")

    def __init__(self, account: Account) -> None:
        self.account = account
        self.scopes: dict[GaugeScope, dict[int, Gauge]] = {}
        self.charged: dict[tuple[int, int, int], None] = {}  # start, end, key
        self.due = NOT_DUE  # when the next of them is charged

    @property
    def empty(self) -> bool:
        """Whether there is nothing to be known of them."""
        return not self.scopes and not self.charged

    def count(self) -> int:
        """How many there are, those too of which only that is known that they were charged."""
        return sum([len(gauges) for gauges in self.scopes.values()]) + len(self.charged)

    def of(self, scope: GaugeScope, key: int) -> Gauge | None:
        """The gauge of that key in a scope."""
        gauges = self.scopes.get(scope)
        return gauges.get(key) if gauges is not None else None

    def drop(self, scope: GaugeScope, key: int) -> None:
        """Nothing of a gauge is to be charged any more."""
        gauges = self.scopes[scope]
        del gauges[key]
        if not gauges:
            del self.scopes[scope]

    def ends_at(self, scope: GaugeScope) -> int:
        """When a scope ends: as the account closes, if that is earlier (rule T2)."""
        closed_at = self.account.closed_at
        if not closed_at:
            return scope.end
        return max(scope.start + 1, min(scope.end, closed_at))

    def next(self) -> tuple[GaugeScope, Gauge] | None:
        """What is charged next: of scopes that end together the inner one, then what was reported
        first."""
        if not self.scopes:
            return None
        scope = min(self.scopes, key=self._turn)
        return scope, next(iter(self.scopes[scope].values()))

    def in_turn(self) -> list[GaugeScope]:
        """The scopes in the order in which they are charged."""
        return sorted(self.scopes, key=self._turn)

    def _turn(self, scope: GaugeScope) -> tuple[int, int, int]:
        return self.ends_at(scope), -scope.start, scope.end

    def find_due(self) -> None:
        """Work out anew when the next of them is charged: once its scope's grace has ended."""
        ends = [self.ends_at(scope) for scope in self.scopes]
        self.due = min(ends) + self.account.policy.period_grace if ends else NOT_DUE
