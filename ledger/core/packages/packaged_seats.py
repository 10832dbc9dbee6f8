"""Seats that a package carries, as terms of a plan of an account (rules P1, S2).

A plan that a package says goes by the version of each period; whoever changes seats changes them as
of any plan. Reads state, changes nothing.
"""

from __future__ import annotations

from ledger.core.events import (
    Allotment,
    ExhaustedSeat,
    Proration,
    RecurringTerms,
    SeatTerms,
    UnknownSeat,
)
from ledger.core.limits import ANCHOR_MAX_US, DAY_US
from ledger.core.outcomes import Reason, Refusal
from ledger.core.packages.packaged import KINDS, UNITS, Package, PackagedSeats, version_of
from ledger.core.seats.seat_checks import invalid_seat_terms, seats_limit, too_many_plans
from ledger.core.seats.seats import SeatPlan
from ledger.core.state import Account, State

_FULL_MAX_US = 366 * DAY_US  # of a year, by which a quantity is checked ahead


def terms_of(
    state: State, account: Account, package: Package, seats: PackagedSeats, anchor: int
) -> SeatTerms:
    """What a version says of one plan, in periods of the package from an anchor on."""
    given = seats.allowance
    allowance = RecurringTerms(
        KINDS[given.kind],
        state.catalog.asset_number(account.tenant, given.asset),
        given.amount,
        given.price_paid,
        state.catalog.asset_number(account.tenant, given.price_asset),
        given.priority,
        given.products,
        UNITS[package.unit],
        package.every,
        anchor,
        "",
        Proration.BOTH,
        given.expires_after_us,
        given.tags,
        shared=given.shared,
    )
    return SeatTerms(
        seats.attribute,
        Allotment[seats.allotment.name],
        allowance,
        UnknownSeat[seats.unknown.name],
        ExhaustedSeat[seats.exhausted.name],
        seats.alert,
        packaged=True,
    )


def following_terms(state: State, plan: SeatPlan) -> SeatTerms | None:
    """The terms of a package's plan from its next period on; None where they stay: they are the
    same, allowances are given otherwise, or so many seats cannot have them."""
    account = plan.account
    subscription = account.subscription
    if not plan.terms.packaged or subscription is None or subscription.over:
        return None
    versions = state.catalog.packages.get((account.tenant, subscription.package), [])
    found = version_of(versions, subscription.version)
    for seats in found.package.seats if found is not None else ():
        if seats.name != plan.name:
            continue
        assert found is not None
        terms = terms_of(state, account, found.package, seats, subscription.anchor)
        there = plan.present(plan.period_end)
        refusal = invalid_seat_terms(state, account, terms) or seats_limit(
            terms, plan.full, len(there), plan.tally.unassigned
        )
        stays = terms == plan.terms or terms.allotment != plan.terms.allotment
        return None if stays or refusal is not None else terms
    return None


def unfit_seats(state: State, account: Account, package: Package) -> Refusal | None:
    """Why the account cannot have the seats of a package."""
    plans = account.seats.plans if account.seats is not None else {}
    new = 0
    for place, seats in enumerate(package.seats):
        at = f"seats[{place}]"
        plan = plans.get(seats.name)
        if plan is not None and plan.ends_at > state.now and not plan.terms.packaged:
            return Refusal(
                Reason.SEAT_PLAN_EXISTS,
                f"{at}.name",
                seats.name,
                "the account has a plan of seats of this name by itself; end that first",
            )
        new += plan is None
        terms = terms_of(state, account, package, seats, ANCHOR_MAX_US)
        refusal = invalid_seat_terms(state, account, terms) or seats_limit(
            terms, _FULL_MAX_US * package.every, 0, seats.included
        )
        if refusal is not None:
            return Refusal(refusal.reason, f"{at}.{refusal.field}", refusal.value, refusal.message)
    return too_many_plans(len(plans) + new - 1) if new else None
