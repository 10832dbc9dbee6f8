"""The waterfall as plainly as it can be written: what the core must agree with.

One account and what is shared with it from above, one asset, a price of 1. Lists and loops over
everything, no books, no events, no indexes. Written from the rules (D1, D2, D4, D6, H1, H6, T3),
not from the core.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from ledger.core.events import Comparator, Excess, Overage, Pot
from ledger.core.limits import DAY_US
from ledger.core.periods import month_of

Slices = list[tuple[Pot, int, int]]  # pot, number of the grant or of who is billed, amount
Bears = tuple[frozenset[str], frozenset[tuple[str, str]]]  # tags and attributes of usage
NOTHING: Bears = (frozenset(), frozenset())
SELF, PARENT = 2, 1  # who is billed
FOREVER = 2**64
ALL, TAGGED = 2**64, 2**63  # products of a grant for every product, and of one for those of a tag


@dataclass
class ModelGrant:
    number: int
    amount: int
    paid: int
    free: bool
    priority: int
    effective_at: int
    expires_at: int
    products: frozenset[str]
    left: int = 0
    held: int = 0
    drawn: int = 0
    started: bool = False
    over: bool = False  # voided, or expired and past its grace
    distance: int = 0  # from who draws to whose it is
    postpaid: bool = False
    rolled: bool = False  # it is what was left of another
    tags: frozenset[str] = frozenset()
    attributes: frozenset[tuple[str, str]] = frozenset()

    def rank(self, order: Comparator) -> tuple[object, ...]:
        cost = Fraction(self.paid, self.amount)
        products = TAGGED if self.tags else len(self.products) or ALL
        specifiers = len(self.attributes)
        keys: tuple[object, ...]
        match order:
            case Comparator.METRONOME_1:
                keys = (not self.rolled, self.postpaid, self.priority, cost > 0, products)
                keys += (specifiers, self.expires_at, self.effective_at)
            case Comparator.ORB_1:
                keys = (self.expires_at, cost)
            case Comparator.STRIPE_1:
                keys = (self.priority, self.expires_at, not self.free, self.effective_at)
            case Comparator.OPENMETER_1:
                keys = (self.priority, self.expires_at)
            case _:
                keys = (self.distance, self.postpaid, self.priority, self.expires_at, cost)
                keys += (-specifiers, products, self.effective_at)
        return (*keys, self.number)

    def may_pay(self, product: str, at: int, bears: Bears = NOTHING) -> bool:
        tags, attributes = bears
        applies = not self.products and not self.tags
        applies = applies or product in self.products or bool(self.tags & tags)
        applies = applies and self.attributes <= attributes
        return self.effective_at <= at < self.expires_at and applies and self.left > self.held


@dataclass
class ModelHold:
    product: str
    slices: Slices
    expires_at: int
    authorized_at: int
    open: bool = True
    takes_late: bool = True  # whether captures may still come after its expiry
    estimate: int = 0  # what its expiry would charge; 0 = it is released
    amount: int = 0  # as it was authorised

    def __post_init__(self) -> None:
        self.amount = sum(piece[2] for piece in self.slices)


@dataclass
class Model:
    now: int
    overdraft: int = 0
    overage: Overage = Overage.OFF
    cap: int = -1
    excess: Excess = Excess.OWE
    order: Comparator = Comparator.INHERITED
    holds_draw: tuple[bool, bool] = (True, True)  # overdraft, overage (rule H3)
    grants: list[ModelGrant] = field(default_factory=list)
    holds: list[ModelHold] = field(default_factory=list)
    owing: list[tuple[str, int]] = field(default_factory=list)  # product, amount; in order
    run: int = 0  # place in `owing` from which debt is new since the last repayment
    overage_by_month: dict[int, int] = field(default_factory=dict)
    absorbed: int = 0
    grace: int = -1
    below_since: int = 0  # when it fell below zero; 0 = it is not
    unpaid: int = 0  # money that it owes, billed or not: counts against the cap (rule D4)
    me: int = SELF
    above: int = PARENT

    def settle_due(self) -> None:
        for hold in sorted(self.holds, key=lambda hold: hold.expires_at):
            if hold.open and hold.expires_at <= self.now:
                if hold.estimate:
                    self.capture(hold, hold.estimate, hold.expires_at)
                else:
                    self._give_back(hold)
        for grant in self.grants:
            if not grant.started and grant.effective_at <= self.now:
                self._start(grant)
            if not grant.over and grant.expires_at + DAY_US <= self.now:
                self._end(grant)

    def issue(self, grant: ModelGrant) -> int:
        grant.left = grant.amount
        self.grants.append(grant)
        return self._start(grant) if grant.effective_at <= self.now else 0

    def _start(self, grant: ModelGrant) -> int:
        """In force from now on: it repays what its products owe, the oldest first."""
        grant.started = True
        left = grant.left - grant.held
        if grant.free or grant.over or grant.expires_at <= self.now:
            left = 0
        kept, repaid = [], 0
        for product, owed in self.owing:
            take = min(left, owed) if not grant.products or product in grant.products else 0
            left -= take
            repaid += take
            kept.append((product, owed - take))
        self.owing = kept
        if repaid:
            self.run = len(kept)
        self._look_below()
        grant.left -= repaid
        grant.drawn += repaid
        return repaid

    @property
    def owed(self) -> int:
        return sum(amount for _, amount in self.owing)

    def void(self, grant: ModelGrant) -> int:
        return self._end(grant)

    def _end(self, grant: ModelGrant) -> int:
        gone = grant.left - grant.held
        grant.left = grant.held
        grant.over = True
        return gone

    def find(
        self, product: str, amount: int, at: int, recorded: bool, bears: Bears = NOTHING
    ) -> tuple[Slices, int]:
        """Slices for an amount, and what is left of it."""
        slices: Slices = []
        for grant in sorted(self.grants, key=lambda grant: grant.rank(self.order)):
            if amount and grant.may_pay(product, at, bears) and not grant.over:
                take = min(amount, grant.left - grant.held)
                slices.append((Pot.GRANT, grant.number, take))
                amount -= take
        pending = [piece for hold in self.holds if hold.open for piece in hold.slices]
        in_advance = self.owed + sum(p[2] for p in pending if p[0] == Pot.OVERDRAFT)
        take = min(amount, max(0, self.overdraft - in_advance))
        may_owe, may_bill = (True, True) if recorded else self.holds_draw
        if take and may_owe:
            slices.append((Pot.OVERDRAFT, 0, take))
            amount -= take
        if self.overage != Overage.OFF and may_bill:
            used = self.overage_by_month.get(month_of(at)[0], 0)
            if self.overage == Overage.SELF:
                used = max(used, self.unpaid)
            used += sum(p[2] for p in pending if p[0] == Pot.OVERAGE)
            take = amount if self.cap < 0 else min(amount, max(0, self.cap - used))
            if take:
                slices.append((Pot.OVERAGE, self._payer(), take))
                amount -= take
        if amount and recorded:
            pot = {
                Excess.OWE: Pot.EXCESS_OWED,
                Excess.BILL: Pot.EXCESS_BILLED,
                Excess.ABSORB: Pot.ABSORBED,
            }[self.excess]
            slices.append((pot, self._payer() if pot == Pot.EXCESS_BILLED else 0, amount))
            amount = 0
        return slices, amount

    def _payer(self) -> int:
        return self.above if self.overage == Overage.PARENT else self.me

    def post(self, slices: Slices, at: int, product: str) -> None:
        month = month_of(at)[0]
        for pot, number, amount in slices:
            if pot == Pot.GRANT:
                grant = self.grant(number)
                grant.left -= amount
                grant.drawn += amount
            elif pot in (Pot.OVERDRAFT, Pot.EXCESS_OWED):
                self._owe(product, amount)
            elif pot in (Pot.OVERAGE, Pot.EXCESS_BILLED):
                self.overage_by_month[month] = self.overage_by_month.get(month, 0) + amount
            else:
                self.absorbed += amount
        self._look_below()

    def _owe(self, product: str, amount: int) -> None:
        """What a product comes to owe until something is repaid is one debt, as old as its first
        part: debts are told apart by the repayments between them."""
        for place in range(self.run, len(self.owing)):
            if self.owing[place][0] == product:
                self.owing[place] = (product, self.owing[place][1] + amount)
                return
        self.owing.append((product, amount))

    def _look_below(self) -> None:
        self.below_since = (self.below_since or self.now) if self.owed else 0

    @property
    def grace_ended(self) -> bool:
        """Nothing is authorised (rule H6)."""
        return 0 <= self.grace <= self.now - self.below_since if self.below_since else False

    def hold(self, hold: ModelHold) -> None:
        self.holds.append(hold)
        for pot, number, amount in hold.slices:
            if pot == Pot.GRANT:
                self.grant(number).held += amount

    def release(self, hold: ModelHold) -> None:
        self._give_back(hold)
        hold.takes_late = False

    def capture(self, hold: ModelHold, amount: int, at: int, stays_open: bool = False) -> Slices:
        """Slices of a capture: the hold's own first, then as usage; one a pot.

        Overage was held against the cap of its own month; another month's cap is asked anew.
        """
        if not hold.open:
            hold.takes_late = stays_open
            slices, _ = self.find(hold.product, amount, at, recorded=True)
            self.post(slices, at, hold.product)
            return slices
        taken: dict[tuple[Pot, int], int] = {}
        rest: Slices = []
        left = amount
        same_month = month_of(hold.authorized_at) == month_of(at)
        for pot, number, held in hold.slices:
            take = min(held, left) if pot != Pot.OVERAGE or same_month else 0
            if take:
                taken[(pot, number)] = take
                left -= take
            rest.append((pot, number, held - take))
        for pot, number, more in self.find(hold.product, left, at, recorded=True)[0]:
            taken[(pot, number)] = taken.get((pot, number), 0) + more
        slices = [(pot, number, amount) for (pot, number), amount in taken.items()]
        if stays_open:
            for (pot, number, held), (_, _, kept) in zip(hold.slices, rest, strict=True):
                if pot == Pot.GRANT:
                    self.grant(number).held -= held - kept
            hold.slices = rest
            hold.estimate = max(0, hold.estimate - amount)
            self.post(slices, at, hold.product)
            return slices
        hold.takes_late = False
        hold.open = False
        for pot, number, held in hold.slices:
            if pot == Pot.GRANT:
                self.grant(number).held -= held
        self.post(slices, at, hold.product)
        self._forfeit(hold)
        return slices

    def _give_back(self, hold: ModelHold) -> None:
        hold.open = False
        for pot, number, held in hold.slices:
            if pot == Pot.GRANT:
                self.grant(number).held -= held
        self._forfeit(hold)

    def _forfeit(self, hold: ModelHold) -> None:
        """What comes back to a grant that ended goes where its rest went."""
        for pot, number, _ in hold.slices:
            if pot == Pot.GRANT and self.grant(number).over:
                self._end(self.grant(number))

    def grant(self, number: int) -> ModelGrant:
        return next(grant for grant in self.grants if grant.number == number)
