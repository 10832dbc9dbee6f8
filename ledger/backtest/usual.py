"""Most usage, decided and applied again in one loop, without an entry or an identity.

It leaves the state as `decide_usage` and `evolve` would where the first grant pays the whole, as
`record_usual` does; all else is left to them. What no decision reads, the books of what was used
and earned, is posted once a batch (`Usual.end_batch`). A test compares the two on whole journals.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import mul
from typing import Final

from ledger.backtest.figures import Earnings, Figured, Tally
from ledger.core.books import Book
from ledger.core.catalog import Bound, CardKey, PricedCard
from ledger.core.drawdown import applies, in_turn
from ledger.core.events import Event, PlanDeclared, Pot, Slice, UsageRecorded
from ledger.core.evolve.moves import exhausted
from ledger.core.evolve.usage import usage_recorded
from ledger.core.limits import INT64_MAX
from ledger.core.periods import Calendar
from ledger.core.pricing import NO_TOTALS, rounding_totals
from ledger.core.shapes import Shape
from ledger.core.state import Account, State
from ledger.core.usual import alone
from rating.plan import Plan
from rating.price import UNPRICED, RatingFault, rate

_GRANT: Final = int(Pot.GRANT)
_NO_ADVANCES: Final[tuple[tuple[int, int], ...]] = ()


class Priced:
    """A plan that a batch declared: how its events were described and are priced now, and sums of
    them that are posted at the batch's end."""

    __slots__ = (
        "asset",
        "bound",
        "card",
        "card_key",
        "charged",
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
        if bound is None or bound.asset != self.asset or bound.plan.modeled or bound.cost_card:
            return False
        used = state.house.get(bound.used_key)
        if used is None or (self.used is not None and self.used is not used):
            return False
        self.card, self.bound, self.plan, self.used = card, bound, bound.plan, used
        self.settled_from, self.settled_until = card.settled_from_us, card.settled_until_us
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


class Seat:
    """An account of those that are replayed, and its sums in the asset that it used last and in the
    money that it earned last."""

    __slots__ = (
        "account",
        "asset",
        "earned",
        "earnings",
        "money",
        "new",
        "old",
        "old_earned",
        "tally",
    )

    def __init__(self, account: Account) -> None:
        self.account = account
        self.asset = -1
        self.tally: Tally | None = None
        self.old = 0
        self.new = 0
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


class Usual:
    """What the loop works on; the replay of which it is a part sets the batch's."""

    __slots__ = ("corrected", "figured", "money", "plans", "replaced", "seats", "state", "tenant")

    def __init__(self, state: State, figured: Figured, money: dict[int, int], tenant: int) -> None:
        self.state = state
        self.figured = figured
        self.money = money  # journal's book -> the asset of what it pays in money
        self.tenant = tenant
        self.seats: dict[int, Seat] = {}
        self.plans: dict[int, Priced] = {}  # of the batch, by index
        self.corrected: frozenset[int] = frozenset()  # of the batch: what is corrected later
        self.replaced: set[bytes] = set()  # of the batch: what amendments have recorded

    def begin_batch(self, corrected: frozenset[int]) -> None:
        """Nothing is declared yet."""
        self.plans = {}
        self.corrected = corrected
        self.replaced = set()

    def forget_cards(self) -> None:
        """Another version prices from here on."""
        for priced in self.plans.values():
            priced.card_key = None

    def end_batch(self) -> None:
        """Post what the batch used and earned."""
        for priced in self.plans.values():
            if not priced.old:
                continue
            used, total = priced.used, priced.drawn
            assert used is not None
            used.credits_posted += total
            used.totals.debits_posted += total
            used.totals.credits_posted += total
            burnt = self.figured.burnt(priced.declared.product, priced.asset)
            burnt.old += priced.old
            burnt.new += total + priced.charged
            revenue, value = priced.revenue, priced.earned
            if revenue is not None:
                revenue.credits_posted += value
                revenue.totals.debits_posted += value
                revenue.totals.credits_posted += value
                self.figured.earned(priced.declared.product, priced.money).new += value
            if priced.old_earned:
                earned = self.figured.earned(priced.declared.product, priced.old_money)
                earned.old += priced.old_earned

    def close(self) -> None:
        """Put the sums of all accounts where they belong."""
        for seat in self.seats.values():
            seat.close()

    def seat(self, number: int) -> Seat | None:
        """The account's; None where it is not replayed."""
        account = self.state.accounts.get(number)
        if account is None or (self.tenant and account.tenant != self.tenant):
            return None
        seat = self.seats[number] = Seat(account)
        return seat

    def take(self, events: Sequence[Event], place: int) -> int:
        """Decide the entries from `place` on again; returns where the first stands that is not
        usual, of which nothing is done.

        Usual is what `record_usual` takes, and what one grant had paid whole.
        """
        state = self.state
        offsets = state.offsets
        if offsets:
            state.record_at(0)  # those with a clock of their own are not usual
        corrected, replaced = self.corrected, self.replaced
        plans, seats, money_of = self.plans, self.seats, self.money
        now = state.now
        calendar: Calendar | None = None
        period, earliest, latest = 0, 0, -1
        began = place
        for event in events if place == 0 else events[place:]:
            if type(event) is not UsageRecorded:
                break
            seat = seats.get(event.account)
            if seat is None:
                seat = self.seat(event.account)
                if seat is None:
                    break
            account = seat.account
            if account.calendar is not calendar:
                calendar = account.calendar
                if calendar.now != now:
                    calendar.stand_at(now, state.window_start, state.window_end)
                period, earliest, latest = calendar.present, calendar.first, calendar.last
            at = event.effective_at
            slices = event.slices
            if account.unordered:
                next(in_turn(account), None)  # whoever looks has them put in order
            grant = account.first
            if (
                len(slices) != 1
                or event.hold
                or event.over_limit
                or event.suspense
                or grant is None
                or account.next_due <= now
                or account.watched
                or account.unordered
                or at < account.open_from
                or not earliest <= at <= latest
                or (account.parent is not None and not alone(account, now))
                or (corrected and place in corrected)
                or (offsets and offsets.get(account.tenant))
                or (replaced and event.key in replaced)
            ):
                break
            priced = plans[event.plan]
            if priced.card_key is not account.card_key and not priced.make_ready(state, account):
                break
            if not priced.settled_from <= at < priced.settled_until:
                break
            bound = priced.bound
            assert bound is not None
            quantities = event.quantities
            charges: Sequence[int] = ()
            advances = _NO_ADVANCES
            if priced.first_price >= 0:
                first, second = quantities
                total = priced.first_price * first + priced.second_price * second
            else:
                plan, card = priced.plan, priced.card
                assert plan is not None and card is not None
                if plan.simple:
                    total = sum(map(mul, plan.numerators, quantities))
                else:
                    if plan.steps:
                        bound = card.step(bound, priced.shape, quantities)
                        plan = bound.plan
                        if plan.modeled:
                            break
                    totals = NO_TOTALS if plan.whole else rounding_totals(account, plan, period)
                    try:
                        charges, total, advances, _ = rate(plan, quantities, totals)
                    except RatingFault:
                        break
                    if UNPRICED in charges:
                        break
            left = 0
            while grant is not None:
                if (
                    grant.asset == bound.asset
                    and grant.effective_at <= at < grant.expires_at
                    and (not grant.limited or applies(grant, bound.use))
                ):
                    book = grant.book
                    left = book.credits_posted - book.debits_posted - book.debits_pending
                    if left > 0:
                        break
                grant = grant.after
            if grant is None or not 0 < total <= INT64_MAX or left < total:
                break
            value = 0
            pays = book.value_book
            if grant.price_paid:
                value = grant.value_of(total)
                if value and (pays is None or not priced.earns(pays.asset)):
                    break
            if advances:
                used = priced.used
                assert used is not None
                recorded = UsageRecorded(
                    b"",
                    account.number,
                    at,
                    0,
                    quantities,
                    tuple(charges),
                    used.number,
                    (Slice(_GRANT, book.number, total, value),),
                    period,
                    advances,
                )
                usage_recorded(state, recorded)
                priced.charged += total
                if value:
                    self.figured.earned(priced.declared.product, priced.money).new += value
            else:
                book.debits_posted += total
                if value and pays is not None:
                    grant.recognised += value
                    pays.debits_posted += value
                    priced.earned += value
                if left == total:
                    exhausted(state, grant)
                priced.drawn += total
            piece = slices[0]
            amount = piece.amount
            priced.old += amount
            if seat.asset != priced.asset:
                seat.close()
                seat.asset = priced.asset
                seat.tally = self.figured.tally(account.number, priced.asset)
            seat.old += amount
            seat.new += total
            worth = piece.value
            if worth:
                money = money_of.get(piece.book, 0)
                if money == priced.old_money:
                    priced.old_earned += worth
                elif not priced.old_earned:
                    priced.old_money = money
                    priced.old_earned = worth
                else:
                    self.figured.earned(priced.declared.product, money).old += worth
                if money != seat.money:
                    seat.earn_in(money, self.figured.earnings_of(account.number, money))
                seat.old_earned += worth
            if value:
                money = priced.money
                if money != seat.money:
                    seat.earn_in(money, self.figured.earnings_of(account.number, money))
                seat.earned += value
            place += 1
        state.locator += place - began
        return place
