"""What providers take for usage of the fast loop, on both sides.

The totals of cost cards move at once, for later usage goes on from them; the books, which no
decision reads, are posted once a batch.
"""

from __future__ import annotations

from ledger.backtest.figures import Figured
from ledger.core.catalog import Bound
from ledger.core.events import Event, ProviderCost, UsageCosted
from ledger.core.pricing.costs import Cost
from ledger.core.state import Account, State
from rating.plan import UNPRICED


def is_modeled(event: Event) -> bool:
    """Whether usage with a cost says anything of price models, or has no cost after all."""
    assert isinstance(event, UsageCosted)
    modeled = event.reasons or event.scoped or event.draws or event.totals_before
    return bool(modeled) or event.cost is None


class UsualCosts:
    """Costs of the batch, as far as they are not posted."""

    __slots__ = ("_due", "_figured", "_state")

    def __init__(self, state: State, figured: Figured) -> None:
        self._state = state
        self._figured = figured
        self._due: dict[Bound, int] = {}

    def takes(self, product: str, account: Account, period: int, cost: Cost) -> None:
        """An event decided again costs so much, as `usage_costed` would have it."""
        totals = account.totals
        for row, quantity in cost.advances:
            place = (~row, period)
            if place not in totals:  # the first of its month makes room for it
                account.forget_months(self._state.months_before)
            totals[place] = totals.get(place, 0) + quantity
        figures, total, bound = self._figured.figures, cost.total, cost.bound
        figures.costed.new += 1
        if UNPRICED in cost.lines:
            figures.cost_unknown.new += 1
        if total:
            self._due[bound] = self._due.get(bound, 0) + total
            self._figured.cost_of(product, bound.asset).new += total
            self._figured.earnings_of(account.number, bound.asset).cost.new += total

    def took(self, product: str, account: Account, cost: ProviderCost, money: int) -> None:
        """It cost so much in the ledger."""
        figures, total = self._figured.figures, cost.total
        figures.costed.old += 1
        if UNPRICED in cost.lines:
            figures.cost_unknown.old += 1
        if total:
            self._figured.cost_of(product, money).old += total
            self._figured.earnings_of(account.number, money).cost.old += total

    def post(self) -> None:
        """Post what is due; the books were found open as it was priced."""
        state = self._state
        for bound, amount in self._due.items():
            debit, credit = [state.books.numbered[each] for each in state.cost_books[bound]]
            assert debit is not None and credit is not None, bound
            debit.debits_posted += amount
            credit.credits_posted += amount
            debit.totals.debits_posted += amount
            debit.totals.credits_posted += amount
        self._due.clear()
