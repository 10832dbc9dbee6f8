"""Most usage, decided and applied again in one loop, without an entry or an identity.

It leaves the state as `decide_usage` and `evolve` would where the first grant pays the whole, as
`record_usual` does; all else is left to them. What no decision reads, the books of what was used
and earned, is posted once a batch (`Usual.end_batch`). A test compares the two on whole journals.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import mul
from typing import Final

from ledger.backtest.figures import Figured
from ledger.backtest.usual_costs import UsualCosts, is_modeled
from ledger.backtest.usual_parts import Kin, Priced, Seat
from ledger.core.drawing.drawdown import applies, in_turn
from ledger.core.events import (
    Event,
    LimitExceeded,
    PlanDeclared,
    Pot,
    Slice,
    UsageCosted,
    UsageRecorded,
)
from ledger.core.evolve.moves import exhausted
from ledger.core.evolve.usage import usage_recorded
from ledger.core.limits import INT64_MAX
from ledger.core.metering.usual import alone
from ledger.core.pricing.costs import usual_cost
from ledger.core.pricing.pricing import NO_TOTALS, rounding_totals
from ledger.core.state import State
from rating.price import UNPRICED, RatingFault, rate

_GRANT: Final = int(Pot.GRANT)
_NO_ADVANCES: Final[tuple[tuple[int, int], ...]] = ()


class Usual:
    """What the loop works on; the replay of which it is a part sets the batch's."""

    __slots__ = (
        "corrected",
        "costs",
        "figured",
        "kin",
        "look",
        "money",
        "plans",
        "replaced",
        "seats",
        "state",
        "tenant",
    )

    def __init__(self, state: State, figured: Figured, money: dict[int, int], tenant: int) -> None:
        self.state = state
        self.figured = figured
        self.money = money  # journal's book -> the asset of what it pays in money
        self.tenant = tenant
        self.seats: dict[int, Seat] = {}
        self.kin: dict[int, Kin] = {}  # by root
        self.look = 0  # after what may have changed any account
        self.plans: dict[int, Priced] = {}  # of the batch, by index
        self.corrected: frozenset[int] = frozenset()  # of the batch: what is corrected later
        self.replaced: set[bytes] = set()  # of the batch: what amendments have recorded
        self.costs = UsualCosts(state, figured)

    def begin_batch(self, corrected: frozenset[int]) -> None:
        """Nothing is declared yet."""
        self.plans = {}
        self.corrected = corrected
        self.replaced = set()

    def look_again(self) -> None:
        """Something was decided apart from usage: any account may be otherwise."""
        self.look += 1

    def look_after(self, event: Event) -> None:
        """An entry was decided that was not usual: what it may have changed is looked at again."""
        kind = type(event)
        if kind is UsageRecorded or kind is UsageCosted:
            account = self.state.accounts.get(event.account)
            if account is not None:
                kin = self.kin.get(account.root)
                if kin is not None:
                    kin.look += 1
        elif kind is not PlanDeclared and kind is not LimitExceeded:
            self.look += 1

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

        self.costs.post()

    def close(self) -> None:
        """Put the sums of all accounts where they belong."""
        for seat in self.seats.values():
            seat.close()

    def seat(self, number: int) -> Seat | None:
        """The account's; None where it is not replayed."""
        account = self.state.accounts.get(number)
        if account is None or (self.tenant and account.tenant != self.tenant):
            return None
        kin = self.kin.get(account.root)
        if kin is None:
            kin = self.kin[account.root] = Kin()
        seat = self.seats[number] = Seat(account, kin)
        return seat

    def _takes(self, seat: Seat) -> bool:
        """Whether the account takes usual usage: until something is due there, or an entry comes
        that is otherwise. Usual usage changes nothing of what is looked at here."""
        state, account = self.state, seat.account
        now = state.now
        if account.unordered:
            next(in_turn(account), None)  # whoever looks has them put in order
        if (
            account.next_due <= now
            or account.watched
            or account.unordered
            or (account.parent is not None and not alone(account, now))
            or (state.offsets and state.offsets.get(account.tenant))
        ):
            return False
        seat.period = account.calendar.start_of(now)
        month_ends = account.calendar.end_of(now)
        seat.earliest = max(seat.period, account.open_from)
        seat.latest = month_ends - 1  # no usage was recorded long before its time (rule I4)
        seat.until = min(month_ends, account.next_due)
        above = account.parent
        while above is not None:
            seat.until = min(seat.until, above.next_due)
            above = above.parent
        seat.looked_at, seat.kin_looked_at = self.look, seat.kin.look
        return True

    def take(self, events: Sequence[Event], place: int) -> int:
        """Decide the entries from `place` on again; returns where the first stands that is not
        usual, of which nothing is done.

        Usual is what `record_usual` takes, and what one grant had paid whole.
        """
        state = self.state
        offsets = state.offsets
        if offsets:
            state.record_at(0)  # those with a clock of their own are not usual
        replaced = self.replaced
        apart = bool(self.corrected or replaced)
        plans, seats, money_of = self.plans, self.seats, self.money
        look, now = self.look, state.now
        began = place
        for event in events if place == 0 else events[place:]:
            kind = type(event)
            if kind is not UsageRecorded and (kind is not UsageCosted or is_modeled(event)):
                break
            assert isinstance(event, UsageRecorded)
            seat = seats.get(event.account)
            if seat is None:
                seat = self.seat(event.account)
                if seat is None:
                    break
            account = seat.account
            if (
                now >= seat.until or seat.looked_at != look or seat.kin_looked_at != seat.kin.look
            ) and not self._takes(seat):
                break
            at = event.effective_at
            slices = event.slices
            grant = account.first
            if (
                len(slices) != 1
                or event.hold
                or event.over_limit
                or event.suspense
                or grant is None
                or grant.aside
                or not seat.earliest <= at <= seat.latest
                or (apart and (place in self.corrected or (replaced and event.key in replaced)))
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
                    totals = (
                        NO_TOTALS if plan.whole else rounding_totals(account, plan, seat.period)
                    )
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
            if priced.cost_card is not None:
                cost = usual_cost(
                    state, account, priced.cost_card, priced.shape, quantities, at, seat.period
                )
                if cost is None:
                    break
                self.costs.takes(priced.declared.product, account, seat.period, cost)
            if kind is UsageCosted:
                was = event.cost
                assert was is not None
                self.costs.took(priced.declared.product, account, was, plans[was.plan].asset)
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
                    seat.period,
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
