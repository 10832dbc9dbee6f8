"""What entries say of charges and money, on either side: the journal's, and those decided again.

One reading for both, so that what differs is what was decided. Only where a book's money is found
is apart: the journal numbers its books without the replay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final

from ledger.backtest.figures import Figured, Pair
from ledger.core.events import (
    AuthorizeDenied,
    Backfill,
    BalanceAdjusted,
    BookKind,
    BookOpened,
    BudgetDenied,
    ConversionReversed,
    Event,
    FeeCharged,
    FeeRecognised,
    GaugeCharged,
    GivenBack,
    GrantIssued,
    GrantReleased,
    GrantRestored,
    GrantStarted,
    HoldAuthorized,
    HoldCharged,
    HoldDebitDenied,
    HoldDebited,
    HoldSized,
    HoldUpTo,
    MinimumCharged,
    OperationHeld,
    OperationPartHeld,
    OperationReserved,
    OutcomeConfirmed,
    PlanDeclared,
    PolicyDebited,
    PolicyDenied,
    PolicyHeld,
    ProviderCost,
    QuotedDenied,
    SharedRerated,
    SizedDenied,
    SizedOperationHeld,
    Slice,
    SuspenseRated,
    TopUpRequested,
    UsageCaptured,
    UsageConverted,
    UsageCosted,
    UsageDebited,
    UsageLeased,
    UsageModeled,
    UsageQuoted,
    UsageRecorded,
    UsageRepriced,
    UsageRerated,
    UsageReversed,
    WorkDenied,
)
from ledger.core.funding.adjustments import PRODUCT
from ledger.core.funding.minimums import PRODUCT as MINIMUM_PRODUCT
from ledger.core.state import State
from rating.plan import UNPRICED


class Side:
    """Takes entries into a book of figures; `plan` is the declaration that an entry names."""

    new: ClassVar[bool]

    def __init__(self, figured: Figured) -> None:
        self._figured = figured

    def take(self, event: Event, plan: PlanDeclared | None) -> None:
        """Add what the entry says."""
        taker = _TAKERS.get(type(event))
        if taker is not None:
            taker(self, event, plan)

    def money_of_book(self, number: int) -> int:
        """The asset of the money that a draw of the book recognises; 0 = none."""
        raise NotImplementedError

    def money_of_grant(self, number: int) -> int:
        """The asset that a grant's price is in; 0 = it has none."""
        raise NotImplementedError

    def plan(self, index: int) -> PlanDeclared:
        """The declaration at a place of the batch."""
        raise NotImplementedError

    def _add(self, pair: Pair, amount: int) -> None:
        if self.new:
            pair.new += amount
        else:
            pair.old += amount

    def _usage(self, event: UsageRecorded, plan: PlanDeclared | None) -> None:
        assert plan is not None
        amount = sum([piece.amount for piece in event.slices])
        self._charge(event.account, plan, amount)
        self._over_limit(event.account, plan, event.over_limit)
        if event.suspense:
            self._add(self._figured.figures.suspense, 1)
        self._earn(event.account, plan.product, event.slices)
        cost = event.cost
        if cost is not None:
            self._add(self._figured.figures.costed, 1)
            if UNPRICED in cost.lines:
                self._add(self._figured.figures.cost_unknown, 1)
            self._cost(event.account, plan.product, cost, cost.total)

    def _cost(self, account: int, product: str, cost: ProviderCost, amount: int) -> None:
        """What the provider takes, or takes less, in the money of its card (rule B4)."""
        if amount:
            money = self.plan(cost.plan).asset
            self._add(self._figured.cost_of(product, money), amount)
            self._add(self._figured.earnings_of(account, money).cost, amount)

    def _over_limit(self, account: int, plan: PlanDeclared, amount: int) -> None:
        if amount:
            tally = self._figured.tally(account, plan.asset)
            if self.new:
                tally.over_limit_new += amount
            else:
                tally.over_limit_old += amount

    def _rated(self, event: SuspenseRated, plan: PlanDeclared | None) -> None:
        self._usage(event, plan)
        self._add(self._figured.figures.suspense, -event.settled)

    def _charge(self, account: int, plan: PlanDeclared, amount: int) -> None:
        if amount:
            tally = self._figured.tally(account, plan.asset)
            if self.new:
                tally.new += amount
            else:
                tally.old += amount
            self._add(self._figured.burnt(plan.product, plan.asset), amount)

    def _earn(self, account: int, product: str, slices: Iterable[Slice]) -> None:
        for piece in slices:
            if piece.value:
                self._revenue(account, product, self.money_of_book(piece.book), piece.value)

    def _give_back(self, account: int, product: str, given_back: Iterable[GivenBack]) -> None:
        for piece in given_back:
            if piece.value:
                self._revenue(account, product, self.money_of_book(piece.drawn), -piece.value)

    def _revenue(self, account: int, product: str, money: int, amount: int) -> None:
        self._add(self._figured.earned(product, money), amount)
        self._add(self._figured.earnings_of(account, money).revenue, amount)

    def _reversed(self, event: UsageReversed, plan: PlanDeclared | None) -> None:
        assert plan is not None
        amount = sum([piece.amount for piece in event.given_back])
        self._charge(event.account, plan, -amount)
        if event.suspended:
            self._add(self._figured.figures.suspense, -1)
        self._give_back(event.account, plan.product, event.given_back)
        if event.cost is not None:
            self._cost(event.account, plan.product, event.cost, -event.cost.total)

    def _rerated(self, event: UsageRerated, plan: PlanDeclared | None) -> None:
        """What earlier usage costs more or less counts where it came to be so (rule R1)."""
        assert plan is not None
        back = sum([piece.amount for piece in event.given_back])
        amount = sum([piece.amount for piece in event.slices]) - back
        self._charge(event.account, plan, amount)
        self._over_limit(event.account, plan, event.over_limit)
        self._earn(event.account, plan.product, event.slices)
        self._give_back(event.account, plan.product, event.given_back)

    def _converted(self, event: UsageConverted, _plan: PlanDeclared | None) -> None:
        self._earn(event.account, event.product, event.slices)

    def _converted_back(self, event: ConversionReversed, _plan: PlanDeclared | None) -> None:
        self._give_back(event.account, event.product, event.given_back)

    def _minimum(self, event: MinimumCharged, _plan: PlanDeclared | None) -> None:
        product = event.product or MINIMUM_PRODUCT
        amount = sum([piece.amount for piece in event.slices])
        if amount:
            tally = self._figured.tally(event.account, event.asset)
            if self.new:
                tally.new += amount
                tally.over_limit_new += event.over_limit
            else:
                tally.old += amount
                tally.over_limit_old += event.over_limit
            self._add(self._figured.burnt(product, event.asset), amount)
        self._earn(event.account, product, event.slices)

    def _fee(self, event: FeeCharged, _plan: PlanDeclared | None) -> None:
        """A fee is burnt as it is charged, and revenue as it is earned."""
        if event.amount:
            tally = self._figured.tally(event.account, event.asset)
            if self.new:
                tally.new += event.amount + event.kept
                tally.over_limit_new += event.over_limit
            else:
                tally.old += event.amount + event.kept
                tally.over_limit_old += event.over_limit
            self._add(self._figured.burnt(event.product, event.asset), event.amount + event.kept)
        self._earn(event.account, event.product, event.slices)
        self._give_back(event.account, event.product, event.given_back)
        self._recognised(event, None)

    def _recognised(self, event: FeeCharged | FeeRecognised, _plan: PlanDeclared | None) -> None:
        for part in event.deferrals:
            self._revenue(event.account, event.product, part.asset, part.earned - part.deferred)

    def _adjusted(self, event: BalanceAdjusted, _plan: PlanDeclared | None) -> None:
        self._earn(event.account, PRODUCT, event.slices)
        self._give_back(event.account, PRODUCT, event.given_back)

    def _issued(self, event: GrantIssued, _plan: PlanDeclared | None) -> None:
        self._repaid(event.account, event.price_asset, event.backfills)

    def _available(self, event: GrantStarted | GrantReleased, _plan: PlanDeclared | None) -> None:
        self._repaid(event.account, self.money_of_grant(event.grant), event.backfills)

    def _repaid(self, account: int, money: int, backfills: Iterable[Backfill]) -> None:
        for part in backfills:
            if part.value:
                self._revenue(account, part.product, money, part.value)

    def _authorized(self, _event: Event, _plan: PlanDeclared | None) -> None:
        self._add(self._figured.figures.authorized, 1)

    def _denied(self, _event: Event, _plan: PlanDeclared | None) -> None:
        self._add(self._figured.figures.denied, 1)

    def _asked_for(self, _event: Event, _plan: PlanDeclared | None) -> None:
        self._add(self._figured.figures.top_ups, 1)


_TAKERS: Final[dict[type, Callable[[Any, Any, PlanDeclared | None], None]]] = {
    UsageRecorded: Side._usage,
    UsageModeled: Side._usage,
    UsageCosted: Side._usage,
    UsageCaptured: Side._usage,
    UsageLeased: Side._usage,
    UsageDebited: Side._usage,
    PolicyDebited: Side._usage,
    HoldDebited: Side._usage,
    HoldCharged: Side._usage,
    OutcomeConfirmed: Side._usage,
    UsageQuoted: Side._usage,
    UsageRepriced: Side._usage,
    GaugeCharged: Side._usage,
    SuspenseRated: Side._rated,
    UsageReversed: Side._reversed,
    UsageRerated: Side._rerated,
    SharedRerated: Side._rerated,
    UsageConverted: Side._converted,
    ConversionReversed: Side._converted_back,
    BalanceAdjusted: Side._adjusted,
    MinimumCharged: Side._minimum,
    FeeCharged: Side._fee,
    FeeRecognised: Side._recognised,
    GrantIssued: Side._issued,
    GrantStarted: Side._available,
    GrantReleased: Side._available,
    HoldAuthorized: Side._authorized,
    HoldSized: Side._authorized,
    OperationHeld: Side._authorized,
    OperationReserved: Side._authorized,
    OperationPartHeld: Side._authorized,
    SizedOperationHeld: Side._authorized,
    HoldUpTo: Side._authorized,
    PolicyHeld: Side._authorized,
    PolicyDenied: Side._denied,
    HoldDebitDenied: Side._denied,
    AuthorizeDenied: Side._denied,
    QuotedDenied: Side._denied,
    SizedDenied: Side._denied,
    WorkDenied: Side._denied,
    BudgetDenied: Side._denied,
    TopUpRequested: Side._asked_for,
}


class ReplaySide(Side):
    """What was decided again; its books stand in the state."""

    new = True

    def __init__(self, figured: Figured, state: State) -> None:
        super().__init__(figured)
        self._state = state

    def money_of_book(self, number: int) -> int:
        """See Side."""
        book = self._state.books.accounts[number]
        return book.grant.price_asset if book.grant is not None else book.asset

    def money_of_grant(self, number: int) -> int:
        """See Side."""
        return self._state.grants[number].price_asset

    def plan(self, index: int) -> PlanDeclared:
        """See Side."""
        return self._state.declared[index]


class JournalSide(Side):
    """What the ledger had; of books that are opened in the range it learns as the journal says."""

    new = False

    def __init__(self, figured: Figured, state: State) -> None:
        """`state` stands where the range begins."""
        super().__init__(figured)
        self.money: dict[int, int] = {}  # book -> the money of what is drawn from it
        self.plans: dict[int, PlanDeclared] = {}  # of the batch, by index
        self._grants: dict[int, int] = {}  # grant -> the asset of its price
        for each in state.books.accounts.values():
            if each.kind == BookKind.OVERAGE:
                self.money[each.number] = each.asset
        for grant in state.grants.values():
            self.money[grant.book.number] = grant.price_asset
            self._grants[grant.number] = grant.price_asset

    def learn(self, event: Event) -> None:
        """Whose money a book is that the entry opens or names."""
        if isinstance(event, BookOpened):
            if event.kind == BookKind.OVERAGE:
                self.money[event.book] = event.asset
        elif isinstance(event, GrantIssued):
            self.money[event.book] = self._grants[event.grant] = event.price_asset
        elif isinstance(event, GrantRestored):
            self.money[event.book] = self._grants[event.grant] = self._grants[event.of]

    def money_of_book(self, number: int) -> int:
        """See Side."""
        return self.money.get(number, 0)

    def money_of_grant(self, number: int) -> int:
        """See Side."""
        return self._grants.get(number, 0)

    def plan(self, index: int) -> PlanDeclared:
        """See Side."""
        return self.plans[index]
