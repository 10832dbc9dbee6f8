"""Which limit decided a denial, what is left of it, and when more may be allowed (rules D4, H4).

Looks at what is known to come: budgets and caps that begin anew, months of overage, grants that
take effect or recur, holds that expire. Reads state, changes nothing.
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
)
from ledger.core.events import Limit, LimitKind, Overage
from ledger.core.funding.caps import Rooms, capping
from ledger.core.limits import INT64_MAX
from ledger.core.outcomes import Reason
from ledger.core.state import NEVER, Account, Grant, State
from ledger.core.windows import showing

HOLDS_LOOKED_AT: Final = 64  # the oldest ones: when they expire is worth no more
_OF_SEATS: Final = (Reason.SEAT_SUSPENDED, Reason.SEAT_EXHAUSTED)


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
        return Limit(
            LimitKind.OPERATION if budget.operation is not None else kind,
            budget.account.number, budget.number, budget.name, exceeded.left,
            exceeded.resets_at, exceeded.value, exceeded.shared,
        )  # fmt: skip
    left = min(found.available, INT64_MAX)
    if denied in _OF_SEATS:
        return Limit(LimitKind.SEAT, number, left=left, retry_at=_funds_at(account, found, now))
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
    rooms = Rooms(account, now)
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
            most = cap.left(now)
            if most is not None and most < grant.book.available:
                window, owner = cap.terms.window, cap.owner
                _, ends_at = showing(window, cap.counter, now, owner.anchors, owner.calendar)
                return Limit(
                    LimitKind.CAP, owner.number, cap.number, left=most,
                    retry_at=_earlier(funds_at, ends_at),
                )  # fmt: skip
    if last is None:
        return Limit(LimitKind.GRANTS, number, left=left, retry_at=funds_at)
    return Limit(LimitKind.GRANTS, last.account.number, last.number, left=left, retry_at=funds_at)


def _funds_at(account: Account, found: Assessment, now: int) -> int:
    """The first instant at which units come, or come back, that may pay for it; 0 = unknown."""
    asset, first = found.asset, 0
    for hold in islice(account.holds.values(), HOLDS_LOOKED_AT):
        if hold.asset == asset and hold.expires_at != NEVER and hold.left:
            first = _earlier(first, hold.expires_at)
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
        node = node.parent
    return first if first > now else 0


def _earlier(first: int, other: int) -> int:
    """The earlier of two instants; 0 = none."""
    return min(first, other) if first and other else first or other
