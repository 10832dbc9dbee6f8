"""What the fast loop keeps beside the state: plans of a batch, and accounts, with their sums."""

from __future__ import annotations

from ledger.backtest.figures import Earnings, Tally
from ledger.core.books import Book
from ledger.core.catalog import Bound, CardKey, PricedCard
from ledger.core.events import PlanDeclared
from ledger.core.shapes import Shape
from ledger.core.state import Account, State
from rating.plan import Plan


class Priced:
    """A plan that a batch declared: how its events were described and are priced now, and sums of
    them that are posted at the batch's end."""

    __slots__ = (
        "asset",
        "bound",
        "card",
        "card_key",
        "charged",
        "cost_card",
        "declared",
        "drawn",
        "earned",
        "first_price",
        "money",
        "old",
        "old_earned",
        "old_money",
        "plan",
        "revenue",
        "second_price",
        "settled_from",
        "settled_until",
        "shape",
        "used",
    )

    def __init__(self, declared: PlanDeclared, shape: Shape) -> None:
        self.declared = declared
        self.shape = shape
        self.asset: int = declared.asset
        self.card_key: CardKey | None = None  # whose accounts it is made ready for
        self.card: PricedCard | None = None
        self.bound: Bound | None = None
        self.cost_card: tuple[int, str] | None = None  # that its card names
        self.plan: Plan | None = None
        self.used: Book | None = None
        self.settled_from = self.settled_until = 0
        self.first_price = -1  # of plans of two whole prices
        self.second_price = 0
        self.money = 0  # the asset of what is earned
        self.revenue: Book | None = None
        self.old_money = 0
        self.old = 0  # charged by the ledger
        self.old_earned = 0
        self.drawn = 0  # charged now, and not yet posted
        self.charged = 0  # and posted already, with its entry
        self.earned = 0

    def make_ready(self, state: State, account: Account) -> bool:
        """Look up what its events need from accounts of this card; whether all of that is there."""
        self.card_key = None
        card = state.catalog.cards.get(account.card_key)
        if card is None:
            return False
        bound = card.settled.get(self.shape)
        if bound is None or bound.asset != self.asset or bound.plan.modeled or bound.minimums:
            return False
        used = state.house.get(bound.used_key)
        if used is None or (self.used is not None and self.used is not used):
            return False
        self.card, self.bound, self.plan, self.used = card, bound, bound.plan, used
        self.settled_from, self.settled_until = card.settled_from_us, card.settled_until_us
        self.cost_card = bound.cost_card
        self.first_price = -1
        if bound.plan.simple and bound.plan.count == 2:
            self.first_price, self.second_price = bound.plan.numerators
        self.card_key = account.card_key
        return True

    def earns(self, asset: int) -> bool:
        """Whether there is a revenue book for this money; all of a batch's is one."""
        if self.revenue is not None:
            return self.money == asset
        used = self.used
        if used is None or used.revenues is None or asset not in used.revenues:
            return False
        self.money, self.revenue = asset, used.revenues[asset]
        return True


class Kin:
    """A family, whose accounts are all looked at again after an entry of any of them."""

    __slots__ = ("look",)

    def __init__(self) -> None:
        self.look = 0  # entries so far that were not usual


class Seat:
    """An account of those that are replayed, and its sums in the asset that it used last and in the
    money that it earned last."""

    __slots__ = (
        "account",
        "asset",
        "earliest",
        "earned",
        "earnings",
        "kin",
        "kin_looked_at",
        "latest",
        "looked_at",
        "money",
        "new",
        "old",
        "old_earned",
        "period",
        "tally",
        "until",
    )

    def __init__(self, account: Account, kin: Kin) -> None:
        self.account = account
        self.kin = kin
        self.asset = -1
        self.tally: Tally | None = None
        self.old = 0
        self.new = 0
        self.looked_at = self.kin_looked_at = (
            0  # when it was seen to take usage, and of which times
        )
        self.earliest, self.latest, self.period, self.until = 0, -1, 0, 0
        self.money = -1
        self.earnings: Earnings | None = None
        self.old_earned = 0
        self.earned = 0

    def close(self) -> None:
        """Put the sums where they belong."""
        if self.tally is not None:
            self.tally.old += self.old
            self.tally.new += self.new
        self.old = self.new = 0
        self.earn_in(-1, None)

    def earn_in(self, money: int, earnings: Earnings | None) -> None:
        """Put what it earned where that belongs, and go on in this money."""
        if self.earnings is not None:
            self.earnings.revenue.old += self.old_earned
            self.earnings.revenue.new += self.earned
        self.money, self.earnings = money, earnings
        self.old_earned = self.earned = 0
