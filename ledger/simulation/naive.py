"""The price and the waterfall as plainly as they can be written: what the core must agree with.

Lists, loops and Fractions over everything; no indexes, no caches, nothing of the core's code.
Written from the rules (R1, R3, R8, D1, D2, D4, B4). Reads the model, changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil
from typing import Final, NamedTuple

from ledger.core.events import AccountPolicy, Comparator, Excess, GrantKind, Overage, Pot
from ledger.simulation.months import Months
from ledger.simulation.prices import NAIVE, SUBSETS, Prices
from rating.card import Rounding

FOREVER: Final = 2**80
DAY_US: Final = 86_400_000_000
MINUTE_US: Final = 60_000_000

Place = tuple[str, int]
"""("grant", number) | ("advance", account) | ("overage", payer) | ("promotion", 0)."""


class Piece(NamedTuple):
    """One slice: what paid, where, how much, and the money that it recognises."""

    pot: int
    place: Place
    amount: int
    value: int


ORDERS: Final = {
    Comparator.DRAWDOWN_1: ("priority", "expiry", "cost", "products", "effective"),
    Comparator.METRONOME_1: ("priority", "free first", "products", "expiry", "effective"),
    Comparator.ORB_1: ("expiry", "cost"),
    Comparator.STRIPE_1: ("priority", "expiry", "promotional first", "effective"),
    Comparator.OPENMETER_1: ("priority", "expiry"),
}


@dataclass
class NaiveGrant:
    """A grant by its figures; `available` is what is left and not held."""

    number: int
    ordinal: int
    account: int
    kind: GrantKind
    asset: int
    amount: int
    paid: int
    priority: int
    effective_at: int
    expires_at: int
    products: tuple[str, ...]
    drawn: int = 0
    held: int = 0
    unused: int = 0
    returned: int = 0
    recognised: int = 0
    settled: int = 0
    scheduled: bool = False
    books: tuple[int, int, int, int] = (0, 0, 0, 0)  # its own, funding, cash, deferred

    @property
    def available(self) -> int:
        """Units that may be drawn or held."""
        return self.amount - self.drawn - self.unused - self.held

    def value_of(self, amount: int) -> int:
        """Money recognised by drawing so much more (rule B4)."""
        price, whole = self.paid - self.returned, self.amount - self.unused
        return price * (self.drawn + amount) // whole - self.recognised

    def leaving(self, amount: int, forfeit: bool = False) -> tuple[int, int]:
        """(money that goes back, breakage) with units that leave undrawn (rules B4, F2)."""
        if not self.paid:
            return 0, 0
        price, whole = self.paid - self.returned, self.amount - self.unused
        share = price * amount // whole if amount else 0
        rest = price - self.recognised if self.drawn + amount == whole else share
        return (0, rest) if forfeit else (share, rest - share)

    def rank(self, comparator: Comparator) -> tuple[object, ...]:
        """Rule D2."""
        facts: dict[str, object] = {
            "priority": self.priority,
            "expiry": self.expires_at or FOREVER,
            "cost": Fraction(self.paid, self.amount),
            "free first": self.paid > 0,
            "promotional first": self.kind != GrantKind.PROMOTIONAL,
            "products": len(self.products) or FOREVER,
            "effective": self.effective_at,
            "ordinal": self.ordinal,  # as the order of issue
        }
        return tuple(facts[key] for key in (*ORDERS[comparator], "ordinal"))

    def may_pay(self, asset: int, product: str, at: int) -> bool:
        """Rule D1."""
        return (
            not self.settled
            and self.asset == asset
            and self.effective_at <= at < (self.expires_at or FOREVER)
            and (not self.products or product in self.products)
            and self.available > 0
        )


@dataclass
class NaiveHold:
    """A hold: what it reserves, and how it ended ("" = open)."""

    number: int
    account: int
    product: str
    asset: int
    pieces: list[Piece]
    authorized_at: int
    month: int  # that its overage counts in
    expires_at: int
    books: list[tuple[int, int]]  # (debit, credit) of each piece
    ended: str = ""
    ended_at: int = 0
    late: bool = False


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
    closed_at: int = 0
    gaps: list[tuple[int, int]] = field(default_factory=list)  # [closed, reopened)
    frozen_at: int = 0
    profile_version: int = 1
    suspended: int = 0
    grants: list[NaiveGrant] = field(default_factory=list)
    holds: dict[int, NaiveHold] = field(default_factory=dict)  # open ones
    advance: dict[int, list[int]] = field(default_factory=dict)  # asset -> [owed, pending]
    owing: dict[int, dict[tuple[int, str], int]] = field(default_factory=dict)
    """Of it by asset: (repayments before it, product) -> units, oldest first."""
    repayments: int = 0
    overage: dict[int, list[int]] = field(default_factory=dict)  # what others put on it, too
    overage_posted: dict[tuple[int, int], int] = field(default_factory=dict)  # its own usage's
    overage_pending: dict[int, int] = field(default_factory=dict)
    totals: dict[tuple[int, str, str, int], int] = field(default_factory=dict)


@dataclass(frozen=True)
class Version:
    """A published version of a rate card, as far as a shard has applied it."""

    number: int
    name: str
    prices: Prices
    published_at: int
    effective_from: int
    asset: int


@dataclass
class Priced:
    """The price of an event. `charges`: -1 = waits for a price. `broken`: subsets exceed (R8)."""

    version: int = 0
    asset: int = 0
    charges: tuple[int, ...] = ()
    moved: dict[tuple[int, str, str, int], int] = field(default_factory=dict)
    broken: bool = False

    @property
    def total(self) -> int:
        """What is charged now."""
        return sum(charge for charge in self.charges if charge > 0)


def closed_by(account: NaiveAccount, now: int) -> int:
    """Of what had ended by then the grace is over, for ever (rule T2)."""
    return max(account.closed_until, now - account.policy.period_grace)


def period_of(account: NaiveAccount, at: int, recorded_at: int) -> int:
    """The month that usage counts in: its own until its grace is over, then the open one (T2)."""
    start, end = account.months.month_of(at)
    if end > closed_by(account, recorded_at):
        return start
    return account.months.month_of(recorded_at)[0]


def price(
    account: NaiveAccount,
    versions: Sequence[Version],
    product: str,
    names: tuple[str, ...],
    quantities: tuple[int, ...],
    at: int,
    recorded_at: int,
) -> Priced:
    """The charge of one event at its effective time."""
    own = dict(zip(names, quantities, strict=True))
    for part, whole in SUBSETS.items():
        if part in own and whole in own:
            own[whole] -= own[part]
            if own[whole] < 0:
                return Priced(broken=True)
    version = _version_for(versions, product, names, at)
    if version is None:
        charges = tuple(-1 if own[name] else 0 for name in names)
        return Priced(0, 0, charges)
    found = Priced(version.number, version.asset)
    charges_list = []
    for name in names:
        unit = version.prices.rows.get((product, name))
        if unit is None:
            charges_list.append(-1 if own[name] else 0)
            continue
        if unit.denominator == 1:
            charges_list.append(int(unit * own[name]))
            continue
        place = (version.number, product, name, period_of(account, at, recorded_at))
        before = account.totals.get(place, 0)
        if own[name]:
            found.moved[place] = own[name]
        mode = version.prices.rounding
        charges_list.append(
            _rounded(unit * (before + own[name]), mode) - _rounded(unit * before, mode)
        )
    found.charges = tuple(charges_list)
    return found


def _version_for(
    versions: Sequence[Version], product: str, names: tuple[str, ...], at: int
) -> Version | None:
    """The version in force, then back-dated ones that reach so far; the first that prices most."""
    in_force = [each for each in versions if max(each.published_at, each.effective_from) <= at]
    candidates = []
    if in_force:
        candidates.append(
            max(in_force, key=lambda v: (max(v.published_at, v.effective_from), v.number))
        )
    back = [each for each in versions if each.effective_from <= at < each.published_at]
    candidates += sorted(back, key=lambda each: (each.published_at, each.number))
    best: Version | None = None
    best_priced = -1
    for each in candidates:
        priced = sum((product, name) in each.prices.rows for name in names)
        if priced > best_priced:
            best, best_priced = each, priced
    return best


def _rounded(exact: Fraction, mode: Rounding) -> int:
    return ceil(exact) if mode is Rounding.UP else round(exact)


def overdraft_left(account: NaiveAccount, asset: int) -> int:
    """Rule D4: the limit less what is owed and held."""
    policy = account.policy
    if policy.overdraft_asset != asset:
        return 0
    owed, pending = account.advance.get(asset, [0, 0])
    return max(0, policy.overdraft_limit - owed - pending)


def available(account: NaiveAccount, asset: int, product: str, at: int) -> int:
    """Rule B6: grants that may pay, and the overdraft's headroom."""
    grants = [each for each in account.grants if each.may_pay(asset, product, at)]
    return sum(grant.available for grant in grants) + overdraft_left(account, asset)


def waterfall(
    account: NaiveAccount,
    parent: NaiveAccount | None,
    comparator: Comparator,
    asset: int,
    product: str,
    amount: int,
    at: int,
    is_money: bool,
    recorded: bool,
    recorded_at: int,
) -> tuple[list[Piece], int, int]:
    """(pieces, what nobody pays, what lands over every limit) of `amount` (rules D1, D2, D4)."""
    pieces: list[Piece] = []
    left = amount
    for grant in sorted(account.grants, key=lambda grant: grant.rank(comparator)):
        if left and grant.may_pay(asset, product, at):
            take = min(left, grant.available)
            pieces.append(Piece(Pot.GRANT, ("grant", grant.number), take, grant.value_of(take)))
            left -= take
    take = min(left, overdraft_left(account, asset))
    if take:
        pieces.append(Piece(Pot.OVERDRAFT, ("advance", account.number), take, 0))
        left -= take
    policy = account.policy
    payer = parent if policy.overage == Overage.PARENT and parent is not None else account
    if left and policy.overage != Overage.OFF:
        room = left
        if policy.overage_cap >= 0:
            posted = account.overage_posted.get((asset, period_of(account, at, recorded_at)), 0)
            pending = account.overage_pending.get(asset, 0)
            room = max(0, policy.overage_cap - posted - pending)
        take = min(left, room)
        if take:
            place = ("overage", payer.number)
            pieces.append(Piece(Pot.OVERAGE, place, take, take if is_money else 0))
            left -= take
    if not left or not recorded:
        return pieces, left, 0
    match policy.excess:
        case Excess.OWE:
            pieces.append(Piece(Pot.EXCESS_OWED, ("advance", account.number), left, 0))
        case Excess.BILL:
            place, value = ("overage", payer.number), left if is_money else 0
            pieces.append(Piece(Pot.EXCESS_BILLED, place, left, value))
        case _:
            pieces.append(Piece(Pot.ABSORBED, ("promotion", 0), left, 0))
    return pieces, 0, left


def from_hold(
    account: NaiveAccount,
    hold: NaiveHold,
    grants: dict[int, NaiveGrant],
    total: int,
    at: int,
    recorded_at: int,
) -> tuple[list[Piece], int]:
    """(what the hold itself pays of a capture, what is left to find) (rule H1)."""
    pieces = []
    left = total
    for piece in hold.pieces:
        other_month = period_of(account, at, recorded_at) != hold.month
        if left == 0 or (piece.pot == Pot.OVERAGE and other_month):
            continue
        take = min(piece.amount, left)
        kind, number = piece.place
        value = grants[number].value_of(take) if kind == "grant" else take if piece.value else 0
        pieces.append(Piece(piece.pot, piece.place, take, value))
        left -= take
    return pieces, left


def merged(first: list[Piece], more: list[Piece], grants: dict[int, NaiveGrant]) -> list[Piece]:
    """One piece a pot and place, in the order in which they first come."""
    found: dict[tuple[int, Place], Piece] = {}
    for piece in [*first, *more]:
        key = (piece.pot, piece.place)
        before = found.get(key)
        if before is None:
            found[key] = piece
            continue
        amount = before.amount + piece.amount
        kind, number = piece.place
        value = grants[number].value_of(amount) if kind == "grant" else before.value + piece.value
        found[key] = Piece(piece.pot, piece.place, amount, value)
    return list(found.values())


def prices_of(content_hash: bytes) -> Prices | None:
    """The naive card of a published body; None for an asset."""
    return NAIVE.get(content_hash)
