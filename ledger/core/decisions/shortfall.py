"""Which limit decided a denial, what is left of it, and when more may be allowed (rules D4, H4).

Looks at what is known to come: budgets and caps that begin anew, months of overage, grants that
take effect or recur, periods of seats, holds that expire. Reads state, changes nothing.
"""

from __future__ import annotations

from itertools import islice
from typing import Final

from ledger.core.budgets.budgeting import is_mandates
from ledger.core.decisions.assessing import Assessment
from ledger.core.drawing.drawdown import (
    Overdraw,
    in_turn,
    may_pay,
    overage_headroom,
    overdraft_headroom,
    overdraft_limit,
    rooms_at,
)
from ledger.core.events import Limit, LimitKind, Overage
from ledger.core.funding.caps import capping
from ledger.core.limits import INT64_MAX
from ledger.core.outcomes import Reason
from ledger.core.seats.seat_draws import seats_of, turn_of
from ledger.core.state import NEVER, Account, Grant, State
from ledger.core.windows import showing

HOLDS_LOOKED_AT: Final = 64  # the oldest ones: when they expire is worth no more


def limit_of(
    state: State,
    account: Account,
    found: Assessment,
    now: int,
    overdraw: Overdraw | None = None,
) -> Limit:
    """The limit that denied what was assessed. `overdraw`: how far a rule would have let it go."""
    number, denied = account.number, found.denied
    assert denied, "it is allowed"
    if found.mandate is not None:
        return Limit(LimitKind.MANDATE, found.mandate.account.number, left=found.mandate.left)
    exceeded = found.budget
    if exceeded is not None:
        budget = exceeded.budget
        kind = LimitKind.MANDATE if is_mandates(budget) else LimitKind.BUDGET
        of = budget.operation
        value = (str(of.policy),) if of is not None and of.policy else exceeded.value
        return Limit(
            LimitKind.OPERATION if of is not None else kind,
            budget.account.number, budget.number, budget.name, exceeded.left,
            exceeded.resets_at, value, exceeded.shared,
        )  # fmt: skip
    left = min(found.available, INT64_MAX)
    if denied == Reason.SEAT_SUSPENDED:
        return Limit(LimitKind.SEAT, number, left=left)
    if denied == Reason.SEAT_EXHAUSTED:
        return Limit(LimitKind.SEAT, number, left=left, retry_at=_seat_at(account, found, now))
    if denied == Reason.GRACE_ENDED:
        return Limit(LimitKind.GRACE, number, retry_at=_funds_at(account, found, now))
    if denied == Reason.MARGIN_BELOW_FLOOR:
        return Limit(LimitKind.MARGIN, number)
    if denied != Reason.INSUFFICIENT_CREDITS:
        return Limit(LimitKind.PRICE, number)
    return _of_pots(state, account, found, left, now, overdraw)


def _of_pots(
    state: State,
    account: Account,
    found: Assessment,
    left: int,
    now: int,
    overdraw: Overdraw | None,
) -> Limit:
    """The last pot that could have paid: overage, overdraft, else what caps or the grants leave."""
    policy, asset, number = account.policy, found.asset, account.number
    funds_at = _funds_at(account, found, now)
    if policy.overage != Overage.OFF and policy.holds_overage:
        period = account.calendar.start_of(now)
        headroom = overage_headroom(account, asset, period) or 0
        retry_at = _earlier(funds_at, account.calendar.end_of(now))
        return Limit(LimitKind.OVERAGE, number, left=headroom, retry_at=retry_at)
    below = overdraw is not None and overdraw.asset == asset
    if below or (policy.holds_overdraft and overdraft_limit(account, asset)):
        headroom = overdraft_headroom(account, asset, overdraw)
        return Limit(LimitKind.OVERDRAFT, number, left=headroom, retry_at=funds_at)
    counted_at = found.counted_at
    rooms = rooms_at(account, now, counted_at, False)
    last: Grant | None = None
    for grant in in_turn(account):
        if not may_pay(grant, asset, found.bound.use, now):
            continue
        last = grant
        units = max(0, rooms.of(grant))
        rooms.take(grant, units)
        if grant.book.available <= units or not grant.account.caps_given:
            continue
        for cap in capping(account, grant):
            most = rooms.left_of(cap)
            if most is not None and most < grant.book.available:
                window, owner = cap.terms.window, cap.owner
                _, ends_at = showing(window, cap.counter, now, owner.anchors, owner.calendar)
                if counted_at:
                    ends_at = 0  # what is drawn with a hold counts in its window for ever
                return Limit(
                    LimitKind.CAP, owner.number, cap.number, left=most,
                    retry_at=_earlier(funds_at, ends_at),
                )  # fmt: skip
    if last is None:
        return Limit(LimitKind.GRANTS, number, left=left, retry_at=funds_at)
    return Limit(LimitKind.GRANTS, last.account.number, last.number, left=left, retry_at=funds_at)


def _seat_at(account: Account, found: Assessment, now: int) -> int:
    """The same where the account does not pay what a seat's allowance does not (rule S3): when that
    may, or overage, where it is what pays."""
    first = _own_at(account, found, now)
    turn = turn_of(account, found.asset, found.bound.use, now, recorded=False)
    policy = account.policy
    if turn is not None and turn.overage and policy.overage != Overage.OFF and policy.holds_overage:
        first = _earlier(first, account.calendar.end_of(now))
    return first


def _own_at(account: Account, found: Assessment, now: int) -> int:
    """When holds expire, and the next period of the seats of which the work is, if one stays."""
    asset, first = found.asset, 0
    for hold in islice(account.holds.values(), HOLDS_LOOKED_AT):
        if hold.asset == asset and hold.expires_at != NEVER and hold.left:
            first = _earlier(first, hold.expires_at)
    of_seats = seats_of(account, asset, found.bound.use, now)
    if of_seats is not None:
        plan, seats = of_seats
        if plan.due != NEVER and any(seat.until > plan.due for seat in seats):
            first = _earlier(first, plan.due)
    return first if first > now else 0


def _funds_at(account: Account, found: Assessment, now: int) -> int:
    """The first instant at which units come, or come back, that may pay for it; 0 = unknown."""
    asset, first = found.asset, _own_at(account, found, now)
    node: Account | None = account
    while node is not None:
        for grant in node.grants:
            comes = grant.asset == asset and now < grant.effective_at < grant.expires_at
            if comes and not grant.settled and (node is account or grant.shared):
                first = _earlier(first, grant.effective_at)
        for recurring in node.recurring:
            of_asset = recurring.terms.asset == asset and recurring.due != NEVER
            if of_asset and (node is account or recurring.terms.shared):
                first = _earlier(first, recurring.due)
        for plan in node.seats.plans.values() if node.seats is not None else ():
            allowance = plan.terms.allowance
            pooled = allowance.asset == asset and not plan.individual and plan.due != NEVER
            if pooled and (node is account or allowance.shared):
                first = _earlier(first, plan.due)
        node = node.parent
    return first if first > now else 0


def _earlier(first: int, other: int) -> int:
    """The earlier of two instants; 0 = none."""
    return min(first, other) if first and other else first or other
