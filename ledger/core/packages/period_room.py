"""What a package may still give of a period, its grants and its seats together (rule P3).

Grants of a period have a bound of their own (`package_terms`), and so have seats beside other seats
(`seat_room`). Both together are never more, less what was taken back, than the larger of the
package of now and the one before it gives for the whole period, with as many seats as there were.
Of those that the period had still before nothing but the largest grants and single plans of seats
are known; they count by that. Where it has nothing of another package there is no limit. Reads
state, changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ledger.core.events import Minted, RecurringTerms
from ledger.core.packages.packaged import Package, version_of
from ledger.core.packages.phases import present
from ledger.core.packages.seat_room import counted, room
from ledger.core.packages.subscriptions import Subscription
from ledger.core.seats.seat_shares import ANYTHING
from ledger.core.seats.seat_shares import Part as SeatsPart
from ledger.core.seats.seats import SeatPlan
from ledger.core.state import Account, State


class Part(NamedTuple):
    """A period, or what is left of one, and what it granted before by asset: released, largest."""

    anchor: int
    start: int
    end: int
    full: int
    minted: tuple[Minted, ...]


def room_of_term(
    state: State,
    account: Account,
    package: Package,
    part: Part,
    minted: Mapping[int, Minted],
    more: Mapping[int, int],
) -> dict[int, int]:
    """Asset -> units that a package may give of a period or what is left of one, of which so much
    is granted; its plans that begin come to so many units `more` a whole period."""
    before = account.subscription
    goes_on = before is not None and part.start < before.period_end
    since = part.end - part.full if goes_on else part.start
    named = {seats.name for seats in package.seats}
    found: dict[int, int] = {}
    assets = [state.catalog.asset_number(account.tenant, each.asset) for each in package.grants]
    for asset in dict.fromkeys([*more, *assets]):
        granted = minted.get(asset, Minted(asset, 0, 0))
        plans = counted(account, asset, since)  # those that are over by now, too
        if not granted.released and all(plan.name in named for plan in plans):
            found[asset] = ANYTHING
            continue
        seated = sum([_released(plan, since) for plan in plans])
        worth = [
            granted.largest,
            _worth(state, account, package, asset, plans) + more.get(asset, 0),
            *[_rate(plan) for plan in plans],
        ]
        if goes_on and before is not None:
            worth.append(_worth(state, account, _had(state, before), asset, plans))
            # What was there before this decision took something back may be given again.
            worth.append(_granted(before, asset).released + seated)
        found[asset] = max(0, max(worth) - granted.released - seated)
    return found


def room_for(
    state: State, plan: SeatPlan, terms: RecurringTerms, part: SeatsPart, more: int
) -> int:
    """Units that so many `more` seats of a plan may be granted for a part of its period."""
    account, asset, units = plan.account, terms.asset, more * terms.amount
    subscription = account.subscription
    if not plan.terms.packaged or subscription is None:
        return ANYTHING
    package = _had(state, subscription)
    named = {seats.name for seats in package.seats}
    known = plan.name in named
    if not known:  # of a package that the account had before: it alone
        named = {plan.name}
    granted, since = Minted(asset, 0, 0), part.start
    if part.start < subscription.period_end:
        granted, since = _granted(subscription, asset), subscription.period_end - subscription.full
    own = _own(state, subscription, package, asset) if known else 0
    plans = counted(account, asset, part.start)
    if granted.released <= own and all(each.name in named for each in plans):
        return ANYTHING
    above = more  # the largest quantity of the period
    if plan in plans:
        above = max(0, plan.quantity(part.start) + more - plan.tally.largest)
    fresh = above * terms.amount
    worth = [
        granted.largest,
        _worth(state, account, package, asset, plans) + fresh * known,
        *[_rate(each) + fresh * (each is plan) for each in plans],
    ]
    left = max(*worth, fresh) - granted.released
    left -= sum([_released(each, since) for each in plans])
    return max(0, min(left, room(state, account, asset, named, part, units)))


def _worth(
    state: State, account: Account, package: Package, asset: int, plans: list[SeatPlan]
) -> int:
    """What a package gives of an asset a whole period, with as many seats as those plans have had
    at most."""
    named = {seats.name for seats in package.seats}
    grants = [
        each
        for each in package.grants
        if state.catalog.asset_number(account.tenant, each.asset) == asset
    ]
    seats = sum([_rate(plan) for plan in plans if plan.name in named])
    return sum([each.amount for each in grants]) + seats


def _rate(plan: SeatPlan) -> int:
    """What its largest quantity is given a whole period."""
    return plan.tally.largest * plan.terms.allowance.amount


def _released(plan: SeatPlan, since: int) -> int:
    """What its period has given, less what was taken back; of one that had begun before then what
    its seats come to for the rest of it, at most."""
    if plan.period_start >= since:
        return plan.tally.released
    return min(plan.tally.released, -(-_rate(plan) * (plan.period_end - since) // plan.full))


def _had(state: State, subscription: Subscription) -> Package:
    """The package of the period that runs, or ran last, in its phase."""
    place = (subscription.account.tenant, subscription.package)
    found = version_of(state.catalog.packages[place], subscription.version)
    assert found is not None, (place, subscription.version)
    return present(found, subscription).package


def _granted(subscription: Subscription, asset: int) -> Minted:
    """What its period has granted."""
    found = [each for each in subscription.minted if each.asset == asset]
    return found[0] if found else Minted(asset, 0, 0)


def _own(state: State, subscription: Subscription, package: Package, asset: int) -> int:
    """What of it is of the package that the account has now."""
    account = subscription.account
    of = {
        each.name
        for each in package.grants
        if state.catalog.asset_number(account.tenant, each.asset) == asset
    }
    return sum([each.amount for each in subscription.issues if each.name in of])
