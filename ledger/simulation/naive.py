"""The price and the waterfall as plainly as they can be written: what the core must agree with.

Lists, loops and Fractions over everything; no indexes, no caches, nothing of the core's code.
Written from the rules (R1, R3, R8, D1 to D4, H3, H6, B4). Reads the model, changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil
from typing import Final, NamedTuple

from ledger.core.events import (
    Comparator,
    Excess,
    ExhaustedSeat,
    Overage,
    OverdraftKind,
    Pot,
    RecurringTerms,
    UnknownSeat,
)
from ledger.simulation.naive_holdings import (
    Counter,
    NaiveAccount,
    NaiveGrant,
    NaiveHold,
    NaiveOverride,
    NaivePlan,
    NaiveSeat,
    Piece,
    Place,
    Use,
)
from ledger.simulation.prices import CARDS, NAIVE, SUBSETS, Prices
from rating.card import Rounding
from rating.overrides import Multiplier, Overwrite

_BASIS_POINTS: Final = 10_000


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
    units: dict[str, tuple[Fraction, Counter]] = field(default_factory=dict)  # of what has a price
    overrides: dict[str, NaiveOverride] = field(default_factory=dict)
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


def own_quantities(names: tuple[str, ...], quantities: Sequence[int]) -> dict[str, int] | None:
    """What each quantity is charged for: a whole without its parts; None where those exceed it."""
    own = dict(zip(names, quantities, strict=True))
    for part, whole in SUBSETS.items():
        if part in own and whole in own:
            own[whole] -= own[part]
            if own[whole] < 0:
                return None
    return own


def price(
    account: NaiveAccount,
    version: Version | None,
    product: str,
    names: tuple[str, ...],
    quantities: tuple[int, ...],
    period: int,
    overrides: dict[str, NaiveOverride],
) -> Priced:
    """The charge of one event by a version and the overrides that count for its quantities, in the
    period that it counts in."""
    own = own_quantities(names, quantities)
    if own is None:
        return Priced(broken=True)
    if version is None:
        return Priced(0, 0, tuple(-1 if own[name] else 0 for name in names))
    found = Priced(version.number, version.asset, overrides=overrides)
    charges = []
    for name in names:
        priced = _unit(version, product, name, period, overrides.get(name))
        if priced is None:
            charges.append(-1 if own[name] else 0)
            continue
        found.units[name] = unit, place = priced
        if unit.denominator == 1:
            charges.append(int(unit * own[name]))
            continue
        before = account.totals.get(place, 0)
        if own[name]:
            found.moved[place] = own[name]
        mode = version.prices.rounding
        charges.append(rounded(unit * (before + own[name]), mode) - rounded(unit * before, mode))
    found.charges = tuple(charges)
    return found


def _unit(
    version: Version, product: str, name: str, period: int, counting: NaiveOverride | None
) -> tuple[Fraction, Counter] | None:
    """The price of one minor unit, and whose total its rounding runs on: its row's if it has one
    (rules R1, R4). None where it has no price."""
    row = version.prices.rows.get((product, name))
    place = (version.number, product, name, period)
    if counting is None:
        return (row, place) if row is not None else None
    change = counting.override.change
    if isinstance(change, Multiplier):
        assert row is not None
        return row * Fraction(change.ratio), place
    assert isinstance(change, Overwrite)
    scale = next(scale for _, code, scale in CARDS if code == change.asset)
    own = (-1 - counting.number, "", "", period)
    return Fraction(change.price) * 10**scale, place if row is not None else own


def version_for(
    versions: Sequence[Version], product: str, names: tuple[str, ...], at: int
) -> Version | None:
    """The version in force, then back-dated ones that reach so far; the first that prices most."""
    best: Version | None = None
    best_priced = -1
    for each in candidates(versions, at):
        priced = sum((product, name) in each.prices.rows for name in names)
        if priced > best_priced:
            best, best_priced = each, priced
    return best


def candidates(versions: Sequence[Version], at: int) -> list[Version]:
    """Those that may price usage of that time, the one in force first (rule R3)."""
    in_force = [each for each in versions if max(each.published_at, each.effective_from) <= at]
    back = [each for each in versions if each.effective_from <= at < each.published_at]
    found = sorted(back, key=lambda each: (each.published_at, each.number))
    if in_force:
        latest = max(in_force, key=lambda v: (max(v.published_at, v.effective_from), v.number))
        found.insert(0, latest)
    return found


def rounded(exact: Fraction, mode: Rounding) -> int:
    """A charge in whole minor units."""
    return ceil(exact) if mode is Rounding.UP else round(exact)


def prorated(amount: int, remaining: int, full: int) -> int:
    """Rule S1: half to even, once."""
    return round(Fraction(amount * remaining, full))


class Overdrawn(NamedTuple):
    """How far a rule lets work go below zero, all in all."""

    asset: int
    bound: int


class Turn(NamedTuple):
    """What pays first for usage of a seat, and whether the account pays the rest (rule S3)."""

    grants: list[NaiveGrant]
    account: bool = True  # with its grants and overdraft
    overage: bool = True


class Payers:
    """Who may pay for an account's usage, as things stand."""

    def __init__(
        self,
        account: NaiveAccount,
        above: Sequence[NaiveAccount],
        comparator: Comparator,
        unpaid: Callable[[NaiveAccount, int], int],
        now: int,
    ) -> None:
        """`above`: its ancestors, the nearest first. `unpaid(account, asset)` is the money that is
        not billed or not paid."""
        self.account = account
        self.above = above
        self._comparator = comparator
        self._unpaid = unpaid
        self._now = now

    def grants(self) -> list[NaiveGrant]:
        """Its own and what its ancestors share, in the order in which they pay: the nearest pot
        first by our own comparator, by rank alone by any other (rules D1, D2)."""

        def rank(grant: NaiveGrant) -> tuple[object, ...]:
            return grant.rank(self._comparator)

        pots = [[grant for grant in self.account.grants if grant.seat is None]]
        line = {self.account.number, *[each.number for each in self.above]}
        pots += [[grant for grant in each.grants if is_for(grant, line)] for each in self.above]
        if self._comparator == Comparator.DRAWDOWN_1:
            return [grant for pot in pots for grant in sorted(pot, key=rank)]
        return sorted([grant for pot in pots for grant in pot], key=rank)

    def seats(self, asset: int, use: Use, at: int) -> tuple[NaivePlan, list[NaiveSeat]] | None:
        """The seats whose usage it is, of whatever plan gives them something for it (S3)."""
        for _, plan in sorted(self.account.seat_plans.items()):
            said = dict(use.attributes).get(plan.terms.attribute, "")
            if not plan.individual or not said or not _gives(plan.terms.allowance, asset, use):
                continue
            own = plan.seat_of(said, at)
            if own is not None:
                return plan, [own]
            if plan.terms.unknown == UnknownSeat.UNASSIGNED:
                return plan, [each for each in plan.present(at) if not each.name]
        return None

    def turn(self, asset: int, use: Use, at: int, recorded: bool) -> Turn:
        """What is its seat's own pays first, whatever the order of the others (rules D1, S3)."""
        found = self.seats(asset, use, at)
        if found is None:
            return Turn([])
        plan, seats = found
        grants = []
        for seat in seats:
            of = (self.account.number, plan.name, seat.number)
            had = [each for each in self.account.grants if each.seat == of]
            grants += sorted(had, key=lambda each: each.rank(self._comparator))
        rest = plan.terms.exhausted
        denied = rest == ExhaustedSeat.DENY and not recorded
        return Turn(grants, rest != ExhaustedSeat.OVERAGE and not denied, not denied)

    def of_other_seats(self, turn: Turn) -> list[NaiveGrant]:
        """What pays only for other usage, in the order of the comparator: allowances of seats whose
        turn it is not, and where the account does not pay what a seat's does not, its grants."""
        said = [each for each in self.account.grants if each.seat or not turn.account]
        others = [each for each in said if each not in turn.grants]
        return sorted(others, key=lambda each: each.rank(self._comparator))

    def paying(self, turn: Turn) -> list[NaiveGrant]:
        """Grants in the order in which they pay, where it is a seat's turn."""
        return [*turn.grants, *(self.grants() if turn.account else ())]

    def overdraft_limit(self, asset: int) -> int:
        """Rules D4, H6: what may be owed in advance."""
        policy = self.account.policy
        if policy.overdraft_asset != asset:
            return 0
        limit = policy.overdraft_limit
        if policy.overdraft_kind == OverdraftKind.PERCENT_OF_LIFETIME:
            lifetime = max(0, self.account.lifetime.get(asset, 0))
            limit = min(limit, lifetime * policy.overdraft_basis_points // _BASIS_POINTS)
        return limit

    def overdraft_left(self, asset: int, overdrawn: Overdrawn | None = None) -> int:
        """The same less what is owed and held; or as far as a rule lets it go."""
        limit = self.overdraft_limit(asset)
        if overdrawn is not None and overdrawn.asset == asset:
            limit = max(limit, overdrawn.bound)
        owed, pending = self.account.advance.get(asset, [0, 0])
        return max(0, limit - owed - pending)

    def grace_ended(self, asset: int) -> bool:
        """Rule H6: below zero for as long as the policy bears it."""
        grace, since = self.account.policy.overdraft_grace, self.account.since.get(asset)
        return grace >= 0 and since is not None and since + grace <= self._now

    def available(self, asset: int, use: Use, at: int, overdrawn: Overdrawn | None = None) -> int:
        """Rule B6: grants that may pay, and the overdraft's headroom where a hold may draw it."""
        turn = self.turn(asset, use, at, False)
        paying = self.paying(turn)
        units = sum(each.available for each in paying if each.may_pay(asset, use, at))
        if turn.account and self._may_overdraw(overdrawn) and not self.grace_ended(asset):
            units += self.overdraft_left(asset, overdrawn)
        return units

    def _may_overdraw(self, overdrawn: Overdrawn | None) -> bool:
        """Whether what is to be held may draw the overdraft (rule H3)."""
        return self.account.policy.holds_overdraft or overdrawn is not None

    def overage_room(self, asset: int, period: int, wanted: int) -> int:
        """Rule D4: what the cap leaves; unpaid money counts in it, of whatever period."""
        policy = self.account.policy
        if policy.overage == Overage.OFF:
            return 0
        if policy.overage_cap < 0:
            return wanted
        posted = self.account.overage_posted.get((asset, period), 0)
        if policy.overage == Overage.SELF:
            posted = max(posted, self._unpaid(self.account, asset))
        pending = self.account.overage_pending.get(asset, 0)
        return max(0, policy.overage_cap - posted - pending)

    def waterfall(
        self,
        asset: int,
        use: Use,
        amount: int,
        at: int,
        period: int,
        is_money: bool,
        recorded: bool,
        overdrawn: Overdrawn | None = None,
        payer: NaiveAccount | None = None,
    ) -> tuple[list[Piece], int, int]:
        """(pieces, what nobody pays, what lands over every limit) of `amount` (D1 to D4, H3).
        `payer`: who is billed, where that is not whom the policy names."""
        pieces: list[Piece] = []
        left = amount
        turn = self.turn(asset, use, at, recorded)
        for grant in self.paying(turn):
            if left and grant.may_pay(asset, use, at):
                take = min(left, grant.available)
                pieces.append(Piece(Pot.GRANT, ("grant", grant.number), take, grant.value_of(take)))
                left -= take
        account, policy = self.account, self.account.policy
        overdraws = recorded or (self._may_overdraw(overdrawn) and not self.grace_ended(asset))
        if turn.account and overdraws:
            take = min(left, self.overdraft_left(asset, overdrawn))
            if take:
                pieces.append(Piece(Pot.OVERDRAFT, ("advance", account.number), take, 0))
                left -= take
        if payer is None:
            payer = self.above[0] if policy.overage == Overage.PARENT and self.above else account
        place: Place = ("overage", payer.number)
        if left and turn.overage and (recorded or policy.holds_overage):
            take = min(left, self.overage_room(asset, period, left))
            if take:
                pieces.append(Piece(Pot.OVERAGE, place, take, take if is_money else 0))
                left -= take
        if not left or not recorded:
            return pieces, left, 0
        match policy.excess:
            case Excess.OWE:
                pieces.append(Piece(Pot.EXCESS_OWED, ("advance", account.number), left, 0))
            case Excess.BILL:
                pieces.append(Piece(Pot.EXCESS_BILLED, place, left, left if is_money else 0))
            case _:
                pieces.append(Piece(Pot.ABSORBED, ("promotion", 0), left, 0))
        return pieces, 0, left


def _gives(allowance: RecurringTerms, asset: int, use: Use) -> bool:
    """Whether seats are given anything for such usage."""
    named = not allowance.products and not allowance.tags
    named = named or use.product in allowance.products or bool({*use.tags} & {*allowance.tags})
    return allowance.asset == asset and named and {*allowance.attributes} <= {*use.attributes}


def is_for(grant: NaiveGrant, line: set[int]) -> bool:
    """Whether it is shared with an account of that line, which is not its own (rule D1)."""
    return grant.shared and (not grant.listed or not line.isdisjoint(grant.listed))


def from_hold(
    hold: NaiveHold, grants: dict[int, NaiveGrant], total: int, period: int
) -> tuple[list[Piece], int]:
    """(what the hold itself pays of a capture, what is left to find) (rule H1)."""
    pieces = []
    left = total
    for piece in hold.pieces:
        other_month = period != hold.period
        if left == 0 or (piece.pot == Pot.OVERAGE and other_month) or not piece.amount:
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
