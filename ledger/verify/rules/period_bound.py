"""What a period of a package may give, worked out again from what was published (rules P3, S1, S2).

Of each asset a term's grants are the share of the time, as far as there is room: below the largest
that a package of the period grants, and below what the larger of the package of now and the one
before gives of grants and seats together. Seats that begin with it, and those that are added by
hand, are held to the same, and beside seats of other packages to what theirs come to above those.

A plan that starts again says no more what the one of before gave: plans are remembered as they
stood before the first that a term starts. Without the published versions nothing is judged here:
that a body is missing is a finding of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

from ledger.core.contracts.contracts import ended_within
from ledger.core.events import (
    Minted,
    PackagePeriodBegun,
    PackageTerm,
    SeatPlanStarted,
    SeatsAdded,
    Subscribed,
)
from ledger.core.packages.packaged import Package, PackageVersion
from ledger.core.packages.phases import Terms, begun, following, present
from ledger.core.packages.seat_room import counted
from ledger.core.packages.subscriptions import Subscription
from ledger.core.seats.seats import SeatPlan
from ledger.core.state import Account, State
from ledger.verify.rules.judge import Judge
from rating.rounding import ROUND_HALF_EVEN, rounded


class Had(NamedTuple):
    """A plan of a package as it stands in its period. `rate`: what its largest quantity has a whole
    one; `due` and `given`: what its seats come to, and what there is, for the rest of it."""

    name: str
    asset: int
    start: int
    end: int
    full: int
    rate: int
    released: int
    due: int
    given: int

    def since(self, at: int) -> int:
        """What it gave; of a period that had begun before then at most what its seats come to for
        the rest."""
        if self.start >= at:
            return self.released
        return min(self.released, -(-self.rate * (self.end - at) // self.full))


class Fresh(NamedTuple):
    """A plan that a term starts: `rate` as above, what that is for the time that is left of its
    period, and what it was given."""

    asset: int
    rate: int
    due: Fraction
    released: int


class Seated:
    """The plans of an account as they stood before those that its package starts."""

    def __init__(self, account: int, had: list[Had]) -> None:
        self.account = account
        self.had = had
        self.fresh: list[Fresh] = []


def note_started(judge: Judge, state: State, event: SeatPlanStarted) -> None:
    """A package starts a plan: the entry of its term is to follow."""
    if event.key or not judge.packages.versions:
        return
    account = state.accounts[event.account]
    if judge.seated is None or judge.seated.account != event.account:
        judge.seated = Seated(event.account, _stood(state, account, event.start))
    allowance = event.terms.allowance
    rate = event.tally.largest * allowance.amount
    due = Fraction(rate * (event.end - event.start), event.full)
    judge.seated.fresh.append(Fresh(allowance.asset, rate, due, event.tally.released))


def look_at_bound(
    judge: Judge,
    state: State,
    account: Account,
    event: Subscribed | PackagePeriodBegun | None,
    term: PackageTerm,
    minted: Sequence[Minted],
) -> None:
    """A term of which its period has granted `minted`, less what it took back; `event` None = of a
    change. A contract that is the first of the period gives all beside what was there (P5)."""
    seated, judge.seated = judge.seated, None
    if seated is None or seated.account != account.number:
        seated = Seated(account.number, _stood(state, account, term.start))
    found = judge.packages.versions.get((account.tenant, term.version))
    before = account.subscription
    if found is None or (before is not None and _published(judge, before) is None):
        return
    package = _terms(judge, account, event, term, found).package
    whole = _whole(judge, account, package)
    largest = {each.asset: each.largest for each in minted}
    for asset, amount in whole.items():
        largest[asset] = max(amount, largest.get(asset, 0))
    said = {each.asset: each.largest for each in term.minted}
    judge.equal(state, "largest package of the period", largest, said)
    afresh = (
        isinstance(event, Subscribed)
        and not event.key
        and not (
            before is not None and term.start < before.period_end and ended_within(account, before)
        )
    )
    left = None if afresh else _left(judge, account, package, term, minted, largest, seated)
    released = {each.asset: each.released for each in minted}
    names = [each.name for each in package.grants]
    judge.equal(state, "grants of the package", names, [each.name for each in term.issues])
    for grant, issue in zip(package.grants, term.issues, strict=False):
        asset = judge.packages.asset(account.tenant, grant.asset)
        room = max(0, largest.get(asset, 0) - released.get(asset, 0))
        if left is not None and asset in left:
            room = min(room, left[asset])
        share = rounded(grant.amount * term.remaining, term.full, ROUND_HALF_EVEN)
        judge.equal(state, f"amount of {grant.name!r}", min(share, room), issue.amount)
        released[asset] = released.get(asset, 0) + issue.amount
        if left is not None and asset in left:
            left[asset] -= issue.amount
    if left is not None:
        _look_at_seats(judge, state, package, seated, term, left)


def _look_at_seats(
    judge: Judge,
    state: State,
    package: Package,
    seated: Seated,
    term: PackageTerm,
    left: Mapping[int, int],
) -> None:
    """Seats that begin have what grants leave, and what seats of other packages do."""
    named = {each.name for each in package.seats}
    for asset in {each.asset for each in seated.fresh}:
        fresh = [each for each in seated.fresh if each.asset == asset]
        given = sum([each.released for each in fresh])
        if not given:
            continue
        what = f"units of asset {asset} for seats"
        if asset in left and given > max(0, left[asset]):
            judge.wrong(state, what, f"{max(0, left[asset])} at most", given)
        due = int(sum([each.due for each in fresh]))
        beside = _beside(seated.had, asset, term.start, named, due)
        if beside is not None and given > beside:
            judge.wrong(state, what, f"{beside} at most, beside other seats", given)


def look_at_added(judge: Judge, state: State, plan: SeatPlan, event: SeatsAdded, more: int) -> None:
    """So many more seats of a package's plan are held to the same bound."""
    account, allowance = plan.account, plan.terms.allowance
    subscription = account.subscription
    given = sum([each.amount for each in event.issues])
    if not plan.terms.packaged or subscription is None or not given:
        return
    found = _published(judge, subscription)
    if found is None:
        return
    asset, now = allowance.asset, state.now
    package = present(found, subscription).package
    named = {each.name for each in package.seats}
    known = plan.name in named
    if not known:  # of a package that the account had before: it alone
        named = {plan.name}
    granted, since, own = Minted(asset, 0, 0), now, 0
    if now < subscription.period_end:
        granted = _minted(subscription.minted, asset)
        since = subscription.period_end - subscription.full
    if known:
        of = {
            each.name
            for each in package.grants
            if judge.packages.asset(account.tenant, each.asset) == asset
        }
        own = sum([each.amount for each in subscription.issues if each.name in of])
    had = [each for each in _stood(state, account, now) if each.asset == asset and each.end > now]
    if granted.released <= own and all(each.name in named for each in had):
        return
    here = any(each.name == plan.name for each in had)
    above = max(0, plan.quantity(now) + more - plan.tally.largest) if here else more
    fresh = above * allowance.amount
    worth = [
        granted.largest,
        _worth(judge, account, package, asset, had) + fresh * known,
        *[each.rate + fresh * (each.name == plan.name) for each in had],
        fresh,
    ]
    room = max(worth) - granted.released - sum([each.since(since) for each in had])
    units = more * allowance.amount * (plan.period_end - now) // plan.full
    beside = _beside(had, asset, now, named, units)
    if beside is not None:
        room = min(room, beside)
    if given > max(0, room):
        judge.wrong(state, "units of seats that are added", f"{max(0, room)} at most", given)


# -- what there is ---------------------------------------------------------------------------------


def _left(
    judge: Judge,
    account: Account,
    package: Package,
    term: PackageTerm,
    minted: Sequence[Minted],
    largest: Mapping[int, int],
    seated: Seated,
) -> dict[int, int]:
    """Asset -> units that grants and seats of a term may have together; without an asset of which
    the period has nothing of another package."""
    before = account.subscription
    goes_on = before is not None and term.start < before.period_end
    since = term.end - term.full if goes_on else term.start
    named = {each.name for each in package.seats}
    left: dict[int, int] = {}
    for asset in {*largest, *[each.asset for each in seated.fresh]}:
        granted = _minted(minted, asset)
        had = [each for each in seated.had if each.asset == asset and each.end > since]
        if not granted.released and all(each.name in named for each in had):
            continue
        there = sum([each.since(since) for each in had])
        fresh = sum([each.rate for each in seated.fresh if each.asset == asset])
        worth = [
            largest.get(asset, 0),
            _worth(judge, account, package, asset, had) + fresh,
            *[each.rate for each in had],
        ]
        if goes_on and before is not None:
            of = _published(judge, before)
            assert of is not None
            worth.append(_worth(judge, account, present(of, before).package, asset, had))
            worth.append(_minted(before.minted, asset).released + there)
        left[asset] = max(0, max(worth) - granted.released - there)
    return left


def _terms(
    judge: Judge,
    account: Account,
    event: Subscribed | PackagePeriodBegun | None,
    term: PackageTerm,
    found: PackageVersion,
) -> Terms:
    """The version in the phase that the term is of (rule P4)."""
    before = account.subscription
    if before is None:
        return begun(found, term.package, ())
    same = before.package == term.package
    if isinstance(event, PackagePeriodBegun):
        return following(found, before) if same else begun(found, term.package, before.phased)
    goes_on = event is None or (event.key and term.start < before.period_end)
    return present(found, before) if same and goes_on else begun(found, term.package, before.phased)


def _published(judge: Judge, subscription: Subscription) -> PackageVersion | None:
    place = (subscription.account.tenant, subscription.version)
    return judge.packages.versions.get(place)


def _stood(state: State, account: Account, at: int) -> list[Had]:
    """The plans of packages that count, whatever they give of (rule P5)."""
    plans = account.seats.plans.values() if account.seats is not None else ()
    assets = dict.fromkeys([plan.terms.allowance.asset for plan in plans])
    return [_had(state, plan, at) for asset in assets for plan in counted(account, asset, 0)]


def _had(state: State, plan: SeatPlan, at: int) -> Had:
    allowance = plan.terms.allowance
    rest = max(0, plan.period_end - at)
    there = plan.quantity(at) * allowance.amount * rest // plan.full
    shares: dict[int, int] = {}  # time of a grant -> units x time
    numbers = [*plan.grants, *[each for seat in plan.seats.values() for each in seat.grants]]
    for grant in [state.grants[number] for number in numbers]:
        lasts = plan.period_end - grant.effective_at
        shares.setdefault(lasts, 0)
        shares[lasts] += max(0, grant.amount * rest - grant.unused * lasts)
    given = sum([-(-share // lasts) for lasts, share in shares.items()])
    rate = plan.tally.largest * allowance.amount
    return Had(
        plan.name,
        allowance.asset,
        plan.period_start,
        plan.period_end,
        plan.full,
        rate,
        plan.tally.released,
        there,
        given,
    )


def _beside(had: Iterable[Had], asset: int, at: int, named: set[str], units: int) -> int | None:
    """What so many units for the rest of the period leave beside seats that are there; None where
    there are none of another package."""
    runs = [each for each in had if each.asset == asset and each.end > at]
    if all(each.name in named for each in runs):
        return None
    due = units + sum([each.due for each in runs if each.name in named])
    return max(0, due - sum([each.given for each in runs]))


def _whole(judge: Judge, account: Account, package: Package) -> dict[int, int]:
    """Asset -> what it grants for a whole period."""
    whole: dict[int, int] = {}
    for grant in package.grants:
        asset = judge.packages.asset(account.tenant, grant.asset)
        whole[asset] = whole.get(asset, 0) + grant.amount
    return whole


def _worth(judge: Judge, account: Account, package: Package, asset: int, had: Iterable[Had]) -> int:
    """What it gives of an asset for a whole period, with the most seats that those plans had."""
    named = {each.name for each in package.seats}
    seats = sum([each.rate for each in had if each.name in named])
    return _whole(judge, account, package).get(asset, 0) + seats


def _minted(minted: Iterable[Minted], asset: int) -> Minted:
    found = [each for each in minted if each.asset == asset]
    return found[0] if found else Minted(asset, 0, 0)
