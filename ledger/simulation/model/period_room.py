"""What a period of a package gives, by grants and by seats together (rules P3, S2).

What a plan gave is added up grant by grant; all shares are exact until they are rounded once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, floor

from ledger.core.catalog import asset_number
from ledger.core.events import (
    Allotment,
    ExhaustedSeat,
    Proration,
    RecurringTerms,
    SeatTerms,
    UnknownSeat,
)
from ledger.core.packages.packaged import KINDS, UNITS, Package, PackagedSeats
from ledger.simulation.model.shard import Shard
from ledger.simulation.naive_holdings import NaiveAccount, NaivePlan
from ledger.simulation.naive_packages import NaivePackage, NaiveSubscription
from ledger.simulation.prices import CREDITS
from ledger.simulation.rules import Rule

RULE = Rule.PACKAGED


@dataclass
class Before:
    """What stood when a package took the place of another within a period."""

    version: NaivePackage
    released: dict[int, int] = field(default_factory=dict)


def asset_of(account: NaiveAccount, code: str) -> int:
    """The number of an asset of its tenant; 0 = none."""
    return asset_number(account.tenant, 1 if code == CREDITS else 2) if code else 0


def seat_terms(
    account: NaiveAccount, package: Package, said: PackagedSeats, anchor: int
) -> SeatTerms:
    """What a package says of a plan, in its own periods."""
    given = said.allowance
    allowance = RecurringTerms(
        KINDS[given.kind], asset_of(account, given.asset), given.amount, given.price_paid,
        asset_of(account, given.price_asset), given.priority, given.products, UNITS[package.unit],
        package.every, anchor, "", Proration.BOTH, given.expires_after_us, given.tags, (),
        given.shared,
    )  # fmt: skip
    return SeatTerms(
        said.attribute, Allotment[said.allotment.name], allowance,
        UnknownSeat[said.unknown.name], ExhaustedSeat[said.exhausted.name], said.alert,
        packaged=True,
    )  # fmt: skip


def following_terms(m: Shard, account: NaiveAccount, plan: NaivePlan) -> SeatTerms | None:
    """What a plan of a package gives otherwise from its next period on: the package's period has
    begun before."""
    subscription = m.subscriptions.get(account.number)
    if subscription is None or subscription.over:
        return None
    if subscription.end <= plan.end:
        m.fail(RULE, f"seats {plan.name} go on before their package does: {subscription}")
    package = subscription.version.package
    for said in package.seats:
        if said.name == plan.name:
            terms = seat_terms(account, package, said, subscription.anchor)
            stays = terms == plan.terms or terms.allotment != plan.terms.allotment
            return None if stays else terms
    return None


# -- with a term -----------------------------------------------------------------------------------


def to_begin(account: NaiveAccount, package: Package, start: int) -> list[PackagedSeats]:
    """Its plans that are not there, and of which no period runs that has begun."""
    there = account.seat_plans
    return [
        said
        for said in package.seats
        if said.name not in there or max(there[said.name].ends_at, there[said.name].end) <= start
    ]


def bound(
    account: NaiveAccount,
    subscription: NaiveSubscription,
    before: Before | None,
    start: int,
) -> dict[int, int]:
    """Asset -> units that grants and seats of a term may have: what the larger of this package and
    the one before gives a whole period, less what is there. None said: no other package gave."""
    package = subscription.version.package
    since = subscription.end - subscription.full if before is not None else start
    named = {said.name for said in package.seats}
    fresh: dict[int, int] = {}
    for said in to_begin(account, package, start):
        asset = asset_of(account, said.allowance.asset)
        fresh[asset] = fresh.get(asset, 0) + said.included * said.allowance.amount
    left: dict[int, int] = {}
    for asset in {*fresh, *subscription.largest}:
        plans = counted(account, asset, since)
        released = subscription.released.get(asset, 0)
        if not released and named.issuperset([plan.name for plan in plans]):
            continue
        there = released + sum([since_then(plan, since) for plan in plans])
        most = max(
            subscription.largest.get(asset, 0),
            worth(account, package, asset, plans) + fresh.get(asset, 0),
            *[rate(plan) for plan in plans],
        )
        if before is not None:
            given_back = before.released.get(asset, 0) - released
            old = worth(account, before.version.package, asset, plans)
            most = max(most, old, there + given_back)
        left[asset] = max(0, most - there)
    return left


# -- what there is of a period ---------------------------------------------------------------------


def counted(account: NaiveAccount, asset: int, at: int) -> list[NaivePlan]:
    """Plans of packages that give of an asset, and whose period is not over then."""
    return [
        plan
        for plan in account.seat_plans.values()
        if plan.terms.packaged and plan.terms.allowance.asset == asset and plan.end > at
    ]


def rate(plan: NaivePlan) -> int:
    """What the most seats that it had in its period have a whole one."""
    return plan.largest * plan.terms.allowance.amount


def since_then(plan: NaivePlan, at: int) -> int:
    """What it gave; of a period that began before then at most what that is for the rest."""
    if plan.start >= at:
        return plan.given
    return min(plan.given, ceil(Fraction(rate(plan) * (plan.end - at), plan.full)))


def worth(account: NaiveAccount, package: Package, asset: int, plans: Iterable[NaivePlan]) -> int:
    """What a package gives of an asset a whole period, with the most seats that plans of it had."""
    named = {said.name for said in package.seats}
    units = sum([x.amount for x in package.grants if asset_of(account, x.asset) == asset])
    return units + sum([rate(plan) for plan in plans if plan.name in named])


def beside_others(
    m: Shard, account: NaiveAccount, asset: int, named: set[str], at: int, units: int
) -> int | None:
    """What seats may be given that come to so many units for the rest of the period: above what is
    there for it; None where no seats of another package are."""
    plans = counted(account, asset, at)
    if named.issuperset([plan.name for plan in plans]):
        return None
    for plan in plans:
        rest = Fraction(plan.end - at, plan.full)
        if plan.name in named:
            units += floor(plan.quantity(at) * plan.terms.allowance.amount * rest)
        units -= _given(m, plan, at)
    return max(0, units)


def _given(m: Shard, plan: NaivePlan, at: int) -> int:
    """What it gave for the rest of its period: of each grant the share of its own time, less what
    was taken back; those of one time are rounded together."""
    numbers = [*plan.grants, *[each for seat in plan.seats.values() for each in seat.grants]]
    shares: dict[int, Fraction] = {}
    for grant in [m.grants[number] for number in numbers]:
        rest = Fraction(plan.end - at, plan.end - grant.effective_at)
        share = max(Fraction(0), grant.amount * rest - grant.unused)
        shares[grant.effective_at] = shares.get(grant.effective_at, Fraction(0)) + share
    return sum([ceil(share) for share in shares.values()])


def room_for(m: Shard, account: NaiveAccount, plan: NaivePlan, more: int) -> int | None:
    """Units that so many more seats of a package's plan may be given; None = what they come to."""
    subscription = m.subscriptions.get(account.number)
    if not plan.terms.packaged or subscription is None:
        return None
    now, asset, amount = m.recorded_at, plan.terms.allowance.asset, plan.terms.allowance.amount
    package = subscription.version.package
    named = {said.name for said in package.seats}
    known = plan.name in named
    named = named if known else {plan.name}
    runs = now < subscription.end
    since = subscription.end - subscription.full if runs else now
    released = subscription.released.get(asset, 0) if runs else 0
    own = sum([m.grants[x].amount for x in subscription.own if m.grants[x].asset == asset])
    plans = counted(account, asset, now)
    alone = named.issuperset([each.name for each in plans])
    if alone and released <= (own if known and not subscription.over else 0):
        return None
    fresh = more * amount
    if plan in plans:
        fresh = max(0, plan.quantity(now) + more - plan.largest) * amount
    most = max(
        subscription.largest.get(asset, 0) if runs else 0,
        worth(account, package, asset, plans) + (fresh if known else 0),
        fresh,
        *[rate(each) + (fresh if each is plan else 0) for each in plans],
    )
    left = most - released - sum([since_then(each, since) for each in plans])
    units = floor(more * amount * Fraction(plan.end - now, plan.full))
    beside = beside_others(m, account, asset, named, now, units)
    return max(0, left if beside is None else min(left, beside))
