"""What the naive model keeps of accounts, grants, holds and whatever issues grants: plain figures.

Every figure of a grant is a number of its own, counted up by the entries; what is left follows from
them each time it is asked for. Nothing of the core's code.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final, NamedTuple

from ledger.core.events import (
    AccountPolicy,
    Allotment,
    BudgetTerms,
    CommitmentTerms,
    Comparator,
    GrantKind,
    Invoice,
    MandateTerms,
    PolicyRule,
    PurchaseTerms,
    RecurringTerms,
    Rollover,
    SeatTerms,
    TopUpRule,
)
from ledger.simulation.months import Months
from rating.overrides import Override

FOREVER: Final = 2**80

OPEN: Final = 0
VOIDED: Final = 1
EXPIRED: Final = 2
CANCELLED: Final = 3

Place = tuple[str, int]
"""("grant", number) | ("advance", account) | ("overage", payer) | ("promotion", 0)."""

Span = tuple[int, int]
"""[since, end) of a window, or of a part of a sliding one."""

Part = tuple[int, str]
"""Of what an account owes in advance: (the entry that repaid last before it, product)."""


class Piece(NamedTuple):
    """One slice: what paid, where, how much, and the money that it recognises."""

    pot: int
    place: Place
    amount: int
    value: int


ORDERS: Final = {
    Comparator.DRAWDOWN_1: (
        "postpaid last", "priority", "expiry", "cost", "more attributes", "breadth", "effective",
    ),
    Comparator.METRONOME_1: (
        "rolled first", "postpaid last", "priority", "free first", "breadth", "fewer attributes",
        "expiry", "effective",
    ),
    Comparator.ORB_1: ("expiry", "cost"),
    Comparator.STRIPE_1: ("priority", "expiry", "promotional first", "effective"),
    Comparator.OPENMETER_1: ("priority", "expiry"),
}  # fmt: skip


@dataclass
class NaiveGrant:
    """A grant by its figures; `available` is what is left and not held."""

    number: int
    ordinal: int
    account: int
    kind: GrantKind
    asset: int
    amount: int
    price: int
    price_asset: int
    priority: int
    effective_at: int
    expires_at: int  # 0 = never
    products: tuple[str, ...]
    tags: tuple[str, ...]
    attributes: tuple[tuple[str, str], ...]
    shared: bool
    rollover: Rollover | None
    origin: int
    issued_at: int
    book: int
    funding: int  # the books of where units and price came from, and where the price waits
    cash: int
    deferred: int
    scheduled: bool = False
    drawn: int = 0
    held: int = 0
    unused: int = 0  # left undrawn
    given: int = 0  # drawn, and given back
    away: int = 0  # of those: to elsewhere
    pending: int = 0  # waits for its payment
    cancelled: int = 0  # was never paid for
    unpaid: int = 0  # of the price
    returned: int = 0  # of the price: left with units
    recognised: int = 0
    cash_in: int = 0  # what customers paid and were not paid back
    part_of: int = 0  # the grant that was paid for, where it is a part of that
    rolled: int = 0
    rolled_over: bool = False
    rolls_into: int = 0  # the commitment that takes what rolls over
    settled: int = OPEN
    forfeit: bool = False
    commitment: int = 0
    recurring: int = 0
    repaid: dict[Part, int] = field(default_factory=dict)
    listed: tuple[int, ...] = ()  # accounts that it is shared with; () = with all below its own
    bought_by: tuple[int, ...] = ()  # those whose mandates count what is paid for it
    seat: tuple[int, str, int] | None = None  # (account, plan, seat) that alone draws it

    @property
    def left(self) -> int:
        """Units that were neither drawn nor taken back, held ones too."""
        return self.amount - self.drawn - self.unused - self.cancelled - self.pending

    @property
    def available(self) -> int:
        """Units that may be drawn or held."""
        return self.left - self.held

    @property
    def over(self) -> int:
        """When it expires."""
        return self.expires_at or FOREVER

    @property
    def whole(self) -> int:
        """Units that the rest of the price is for."""
        return self.amount - self.unused - self.cancelled

    def value_of(self, amount: int) -> int:
        """Money recognised by drawing so much more (rule B4)."""
        if not self.price:
            return 0
        return (self.price - self.returned) * (self.drawn + amount) // self.whole - self.recognised

    def share_of(self, amount: int) -> int:
        """Money that units take along that leave undrawn, rounded down (rules S1, F2, T3)."""
        return (self.price - self.returned) * amount // self.whole if amount and self.price else 0

    def rest_of(self, amount: int, drawn: int = 0, value: int = 0) -> int:
        """The same, or all that is left of the price where no unit is left."""
        if self.drawn + drawn + amount < self.whole - self.pending:
            return self.share_of(amount)
        return self.price - self.unpaid - self.returned - self.recognised - value

    def rank(self, comparator: Comparator) -> tuple[object, ...]:
        """Rule D2."""
        facts: dict[str, object] = {
            "postpaid last": self.kind == GrantKind.POSTPAID,
            "rolled first": self.origin == 0,
            "priority": self.priority,
            "expiry": self.over,
            "cost": Fraction(self.price, self.amount),
            "free first": self.price > 0,
            "promotional first": self.kind != GrantKind.PROMOTIONAL,
            "breadth": FOREVER - 1 if self.tags else len(self.products) or FOREVER,
            "more attributes": -len(self.attributes),
            "fewer attributes": len(self.attributes),
            "effective": self.effective_at,
            "ordinal": self.ordinal,  # as the order of issue
        }
        return tuple(facts[key] for key in (*ORDERS[comparator], "ordinal"))

    def applies(self, use: Use) -> bool:
        """Rule D1, whatever the time."""
        named = not self.products and not self.tags
        named = named or use.product in self.products or bool(set(use.tags) & set(self.tags))
        return named and set(self.attributes) <= set(use.attributes)

    def may_pay(self, asset: int, use: Use, at: int) -> bool:
        """Rule D1."""
        return (
            not self.settled
            and self.asset == asset
            and self.effective_at <= at < self.over
            and self.applies(use)
            and self.available > 0
        )


class Use(NamedTuple):
    """What is to be paid: the product, what the usage bears, the product's tags."""

    product: str
    attributes: tuple[tuple[str, str], ...] = ()
    tags: tuple[str, ...] = ()


@dataclass
class NaiveLease:
    """What makes a hold a lease (rule H7)."""

    wanted: int
    minimum: int
    term: int
    on_lapse: int
    recalled: int = -1  # units that it is to come down to
    lapsed: bool = False  # and stays charged
    unreported: int = 0  # of one that lapsed and was returned: what late reports may take of it


@dataclass
class NaiveHold:
    """A hold: what it reserves, and how it ended ("" = open)."""

    number: int
    account: int
    use: Use
    asset: int
    pieces: list[Piece]
    authorized_at: int
    expires_at: int
    books: list[tuple[int, int]]  # (debit, credit) of each piece
    lifetime_max: int
    period: int
    version: int  # of the card that it was priced by
    estimate: dict[str, int]  # what an expiry charges; {} = it releases
    overrides: dict[str, NaiveOverride]  # by quantity: what priced it
    ended: str = ""
    ended_at: int = 0
    late: bool = False
    quote: int = 0  # that prices its capture
    lease: NaiveLease | None = None  # with whom it is in escrow
    operation: bytes = b""  # that it is part of
    names: tuple[str, ...] = ()  # and what was estimated of which quantity
    asked: tuple[int, ...] = ()
    budgets: list[NaiveBudget] = field(default_factory=list)  # in which it pended
    reserves: bool = False  # for an operation with all its calls
    drawn: dict[str, int] = field(default_factory=dict)  # of such a hold: units by product

    @property
    def reserved(self) -> int:
        """What it still reserves."""
        return sum(piece.amount for piece in self.pieces)


@dataclass
class NaiveBudget:
    """A budget: what counted, what pends by hold and where, thresholds and until when they are not
    told again. `operation`: of which it is; b"" = of the account itself."""

    number: int
    account: int
    operation: bytes
    terms: BudgetTerms
    version: int = 0
    idle: int = 0
    seen_at: int = 0
    posted: int = 0
    held: dict[int, int] = field(default_factory=dict)
    pends_in: dict[int, Span] = field(default_factory=dict)
    windows: dict[Span, list[int]] = field(default_factory=dict)  # those kept: [posted, pending]
    crossed: dict[int, int] = field(default_factory=dict)
    name: str = ""
    created_at: int = 0
    removed: bool = False


@dataclass
class NaiveMandate:
    """What bounds an account that is an agent's, and what it has spent; what it may buy, and for
    how much it has."""

    terms: MandateTerms
    budget: NaiveBudget
    revoked_at: int = 0
    purchase: PurchaseTerms | None = None
    purchased: int = 0


@dataclass
class Operations:
    """Those of a family: which have a budget, and which have joined one."""

    own: dict[bytes, NaiveBudget] = field(default_factory=dict)
    joined: dict[bytes, NaiveBudget] = field(default_factory=dict)


@dataclass
class NaiveOverride:
    """A price override of an account (rule R4)."""

    number: int
    override: Override
    set_at: int
    ended_at: int = FOREVER


Counter = tuple[int, str, str, int]
"""Whose total: (version, product, quantity, month), or (-1 - number of an override, "", "", month).
"""


@dataclass
class NaiveQuote:
    """A price that was promised, and how that ended ("" = open). `own`: quantities without their
    parts; `starts`: where their totals stood."""

    number: int
    account: int
    product: str
    attributes: tuple[tuple[str, str], ...]
    own: dict[str, int]
    version: int
    starts: dict[str, int]
    tolerance: int
    expires_at: int
    hold: int = 0  # that reserves it now
    ended: str = ""
    ended_at: int = 0


@dataclass
class NaiveUsage:
    """A recorded event, for whoever corrects it, and how much of it was given back."""

    locator: int
    account: int
    entry: int
    effective_at: int
    period: int
    use: Use
    names: tuple[str, ...]
    quantities: tuple[int, ...]
    version: int
    asset: int
    used_book: int
    pieces: list[Piece]
    suspense: int
    run: int  # of the advance that it added to
    units: dict[str, tuple[Fraction, Counter]]  # by quantity that has a price
    given_back: list[int] = field(default_factory=list)  # quantities
    amount: int = 0  # of its own slices, from the last one on
    as_charged: int = 0
    waits: list[int] = field(default_factory=list)  # places of quantities without a price (B8)
    ratings: list[NaiveUsage] = field(default_factory=list)  # of what had waited, in order
    rated: tuple[int, ...] | None = None  # of a rating: the places that it charged
    quote: NaiveQuote | None = None  # that priced so much of each quantity:
    covered: dict[str, int] = field(default_factory=dict)
    budgets: list[NaiveBudget] = field(default_factory=list)  # in which it counted
    hold: NaiveHold | None = None  # of which it was captured, in time
    counted: dict[int, Span] = field(default_factory=dict)  # by budget: where, if it is of a hold

    @property
    def charge(self) -> int:
        """What its slices drew."""
        return sum(piece.amount for piece in self.pieces)

    @property
    def refundable(self) -> int:
        """What may be given back of all that was charged for it."""
        return sum(each.charge - each.amount for each in (self, *self.ratings))

    @property
    def left(self) -> tuple[int, ...]:
        """Quantities that were not given back."""
        gone = self.given_back or [0] * len(self.quantities)
        return tuple(a - b for a, b in zip(self.quantities, gone, strict=True))


@dataclass
class NaiveRecurring:
    """What an account is granted every period (rules T1, S1)."""

    number: int
    account: int
    terms: RecurringTerms
    starts_at: int
    ends_at: int
    next_at: int
    next_terms: RecurringTerms | None = None
    version: int = 1
    paused: bool = False
    fresh: bool = True
    start: int = 0  # of the last period that was issued
    end: int = 0
    full: int = 0
    grants: list[int] = field(default_factory=list)
    amount: int = 0  # of the most generous terms that the period had
    price: int = 0
    price_asset: int = 0

    @property
    def due(self) -> int:
        """When it next issues."""
        return FOREVER if self.paused or self.next_at >= self.ends_at else self.next_at


ENDLESS: Final = (1 << 63) - 1  # as entries say it


@dataclass
class NaiveSeat:
    """A seat, there before `until`; what the period has `released` to it of what it is `entitled`
    to by its time (rules S1, S2)."""

    number: int
    name: str = ""  # "" = nobody's
    until: int = ENDLESS
    suspended: bool = False
    entitled: int = 0
    released: int = 0
    grants: list[int] = field(default_factory=list)  # of the period
    allotted: bool = False  # it has had some, ever
    alerted: bool = False


@dataclass
class NaivePlan:
    """A plan of seats and its period. Of a pool `unassigned` are counted, and `leaving` with the
    period; `seat_us`: seats x time; `given`: units of its grants, added up one by one."""

    name: str
    account: int
    terms: SeatTerms
    next_terms: SeatTerms | None = None
    version: int = 0
    started_at: int = 0
    ends_at: int = ENDLESS
    start: int = 0
    end: int = 0
    full: int = 0
    grants: list[int] = field(default_factory=list)  # of the pool and period
    unassigned: int = 0
    leaving: int = 0
    largest: int = 0
    seat_us: int = 0
    released: int = 0
    given: int = 0
    next_seat: int = 1
    seats: dict[int, NaiveSeat] = field(default_factory=dict)
    named: dict[str, NaiveSeat] = field(default_factory=dict)  # who has one, or had one last

    @property
    def individual(self) -> bool:
        """Whether each seat has an allowance of its own."""
        return self.terms.allotment == Allotment.INDIVIDUAL

    @property
    def due(self) -> int:
        """When its next period begins."""
        return FOREVER if self.ends_at <= self.end else self.end

    def present(self, at: int) -> list[NaiveSeat]:
        """Seats that are there."""
        return [self.seats[each] for each in sorted(self.seats) if at < self.seats[each].until]

    def quantity(self, at: int) -> int:
        """How many there are, with those that are counted."""
        over = at >= self.ends_at
        return 0 if over else len(self.present(at)) + self.unassigned + self.leaving

    def leaves(self, seat: NaiveSeat) -> bool:
        """Whether a seat goes before its plan does."""
        return seat.until < self.ends_at

    def seat_of(self, name: str, at: int) -> NaiveSeat | None:
        """Whose name that is at an instant."""
        seat = self.named.get(name)
        return seat if seat is not None and at < min(seat.until, self.ends_at) else None

    def call(self, seat: NaiveSeat, name: str) -> None:
        """It is somebody's, or nobody's."""
        if seat.name and self.named.get(seat.name) is seat:
            del self.named[seat.name]
        seat.name = name
        if name:
            self.named[name] = seat

    def forget(self, seat: NaiveSeat) -> None:
        """It is gone, and has had nothing of its own."""
        if self.named.get(seat.name) is seat:
            del self.named[seat.name]
        del self.seats[seat.number]

    def shown(self) -> tuple[object, ...]:
        """As a read shows it."""
        tally = (self.unassigned, self.leaving, self.largest, self.seat_us, self.released)
        seats = {
            each.number: (each.name, each.until, each.suspended, each.entitled, each.released)
            for each in self.seats.values()
        }
        return self.version, self.ends_at, self.end, tally, seats


@dataclass
class NaiveCommitment:
    """What an account is committed to (rule D7)."""

    number: int
    account: int
    terms: CommitmentTerms
    grants: list[int]
    invoices: list[Invoice]  # those that are to come
    invoiced: int = 0
    ended_at: int = 0
    ending: int = 0
    moved_to: int = 0  # the commitment that took its rest

    @property
    def due(self) -> int:
        """When its next invoice is posted."""
        return FOREVER if self.ended_at or not self.invoices else self.invoices[0].at


@dataclass
class NaiveTopUp:
    """A charge that was asked for (rule H6): pending, confirmed, declined or expired."""

    number: int
    account: int
    asset: int
    amount: int
    price: int
    price_asset: int
    requested_at: int
    expires_at: int
    state: str = "pending"
    settled_at: int = 0


@dataclass
class NaiveAccount:
    """An account and all that it owes."""

    number: int
    tenant: int
    parent: int
    root: int
    policy: AccountPolicy
    months: Months
    closed_until: int = 0  # what had ended by then is closed, whatever the grace is now
    version: int = 1
    place_version: int = 1
    before: list[int] = field(default_factory=list)  # parents that it had
    closed_at: int = 0
    gaps: list[tuple[int, int]] = field(default_factory=list)  # [closed, reopened)
    frozen_at: int = 0
    profile_version: int = 1
    suspended: int = 0
    written_off: int = 0  # the entry up to which what it owed is owed no more
    grants: list[NaiveGrant] = field(default_factory=list)
    holds: dict[int, NaiveHold] = field(default_factory=dict)  # open ones
    recurring: list[NaiveRecurring] = field(default_factory=list)
    commitments: list[NaiveCommitment] = field(default_factory=list)
    top_ups: list[NaiveTopUp] = field(default_factory=list)
    rules: dict[int, tuple[int, TopUpRule | None]] = field(default_factory=dict)
    advance: dict[int, list[int]] = field(default_factory=dict)  # asset -> [owed, pending]
    owing: dict[int, dict[Part, int]] = field(default_factory=dict)
    """Of it by asset: (the entry that repaid before it, product) -> units, oldest first."""
    run: dict[int, int] = field(default_factory=dict)  # asset -> the entry that repaid last
    since: dict[int, int] = field(default_factory=dict)  # asset -> when it fell below zero
    overage: dict[int, list[int]] = field(default_factory=dict)  # what others put on it, too
    overage_posted: dict[tuple[int, int], int] = field(default_factory=dict)  # its own usage's
    overage_pending: dict[int, int] = field(default_factory=dict)
    lifetime: dict[int, int] = field(default_factory=dict)  # money: paid less refunded
    totals: dict[tuple[int, str, str, int], int] = field(default_factory=dict)
    overrides: list[NaiveOverride] = field(default_factory=list)  # taken back ones, too
    overrides_version: int = 0
    contracted: list[NaiveOverride] = field(default_factory=list)  # those of its contracts
    ruled: int = 0  # the version of its rules for shortage
    mandate: NaiveMandate | None = None
    budgets: list[NaiveBudget] = field(default_factory=list)
    decision_rules: tuple[PolicyRule, ...] = ()
    seat_plans: dict[str, NaivePlan] = field(default_factory=dict)

    def owe(self, asset: int, product: str, amount: int, now: int) -> None:
        """More is owed in advance."""
        self.advance.setdefault(asset, [0, 0])[0] += amount
        owing = self.owing.setdefault(asset, {})
        if not owing:
            self.since[asset] = now
        part = (self.run.get(asset, 0), product)
        owing[part] = owing.get(part, 0) + amount

    def pay_off(self, asset: int, part: Part, amount: int) -> None:
        """So much of a part is owed no more."""
        self.advance[asset][0] -= amount
        owing = self.owing[asset]
        owing[part] -= amount
        if not owing[part]:
            del owing[part]
        if not owing:
            self.since.pop(asset, None)
