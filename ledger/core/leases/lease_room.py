"""How much a credit lease may take: of pots, of budgets, and of what others have (rules H4, H7).

Scarce balance is shared max-min fair among the leases of an account in one asset, by what each
wants: what there is to share is what they hold and what is free. Reads state, changes nothing.
"""

from __future__ import annotations

from typing import NamedTuple

from ledger.core.budgets.budgets import Budget
from ledger.core.budgets.operation_cover import covering, policy_owner
from ledger.core.catalog import Bound
from ledger.core.drawing.drawdown import (
    applicable,
    draw,
    grace_ended,
    overage_headroom,
    overdraft_headroom,
)
from ledger.core.events import LEASED_QUANTITY, BudgetMeasure, Event, Slice, WindowKind
from ledger.core.funding.caps import Cap, capping
from ledger.core.leases.leases import Want, fair_shares
from ledger.core.limits import INT64_MAX
from ledger.core.mandates.mandating import is_mandated
from ledger.core.outcomes import Reason, Refusal
from ledger.core.seats.seat_draws import turn_of
from ledger.core.shapes import Use
from ledger.core.state import Account, Hold, State


class Room(NamedTuple):
    """What there is for a lease: `share` in all, and `growth` more that budgets allow."""

    share: int
    growth: int


def room_of(
    state: State,
    account: Account,
    bound: Bound,
    hold: Hold | None,
    wanted: int,
    least: int,
    operation: bytes,
) -> Room | Refusal:
    """Its fair share of what the account's leases hold and of what is free, and how much more of it
    the budgets allow now, those of its operation included. `hold`: the lease, if it is there. A
    refusal where a hard budget counts what units in escrow do not bound."""
    if is_mandated(account):
        return Refusal(
            Reason.LEASE_UNBOUNDED,
            "account",
            str(account.number),
            "an agent's mandate bounds each request, which units in escrow do not; authorise each",
        )
    refusal = None if operation else _of_operations(account, bound.use)
    if refusal is not None:
        return refusal
    others = [
        each
        for each in account.leases
        if each is not hold and each.asset == bound.asset and not _is_over(each)
    ]
    own = hold.left if hold is not None else 0
    number = hold.number if hold is not None else state.next_hold
    mine = Want(number, wanted, least)
    share = growth = INT64_MAX
    free = _free(state, account, bound, state.now)
    if free is not None:
        wants = [_want(each) for each in others]
        pool = own + free + sum([each.left for each in others])
        share = fair_shares(pool, [*wants, mine])[number]
    budgets = [budget for node in account.line() for budget in node.budgets]
    budgets.extend(covering(state, account, operation, state.now))
    for budget in budgets:
        if not budget.terms.hard or not _may_apply(budget, bound.use):
            continue
        refusal = _unbounded(budget, bound)
        if refusal is not None:
            return refusal
        if budget.terms.asset != bound.asset:
            continue
        counter, limit = _counted_in(budget, bound.use, state.now)
        left = limit - _counted_by(counter, hold, state.now)
        growth = min(growth, left)
        pool, wants = own + left, []
        for each in others:
            use = _use_of(state, each)
            if not budget.applies(use) or not _covers(state, budget, each):
                continue
            if _counts_beside(budget, use, bound.use, state.now):
                pool += _pending(counter, each, state.now) if counter is not None else 0
                wants.append(_want(each))
        share = min(share, fair_shares(pool, [*wants, mine])[number])
    return Room(min(share, wanted), max(0, growth))


def _want(hold: Hold) -> Want:
    assert hold.lease is not None, hold.number
    return Want(hold.number, hold.lease.wanted, hold.lease.minimum)


def _use_of(state: State, hold: Hold) -> Use:
    """What usage of a lease is for, by the card in force."""
    shape = state.catalog.shape(hold.product, hold.attributes, (LEASED_QUANTITY,))
    return state.catalog.bind(hold.account.card_key, shape, state.now).use


def _is_over(hold: Hold) -> bool:
    """Whether a lease has lapsed and only waits for reports: it wants nothing more."""
    return hold.lease is not None and hold.lease.lapsed_at > 0


# -- budgets ---------------------------------------------------------------------------------------


def _may_apply(budget: Budget, use: Use) -> bool:
    """Whether it counts some usage of such a lease: that may bear more attributes."""
    named = not budget.products and not budget.tags
    named = named or use.product in budget.products or not budget.tags.isdisjoint(use.tags)
    if not named:
        return False
    own = dict(use.attributes)
    return not [pair for pair in budget.attributes if own.get(pair[0], pair[1]) != pair[1]]


def _of_operations(account: Account, use: Use) -> Refusal | None:
    """Why units in escrow, which are of no operation, do not keep each within what a hard policy
    gives it, if one counts for the account."""
    owner = policy_owner(account)
    policy = owner.gives if owner is not None else None
    if owner is None or policy is None or policy.terms is None or not policy.terms.hard:
        return None
    if not _may_apply(Budget(0, owner, "", policy.terms, 0, 0, 0), use):
        return None
    return Refusal(
        Reason.LEASE_UNBOUNDED,
        "account",
        str(account.number),
        f"version {policy.version} of a policy bounds each operation, which units in escrow do "
        "not; authorise or debit each piece of work, or make the policy a soft one",
    )


def _unbounded(budget: Budget, bound: Bound) -> Refusal | None:
    """Why units in escrow do not keep usage within a hard budget, if they do not."""
    terms = budget.terms
    if terms.measure not in (BudgetMeasure.CHARGE, BudgetMeasure.NET_CHARGE):
        return Refusal(
            Reason.LEASE_UNBOUNDED,
            "product",
            budget.name,
            "a hard budget applies that counts something else than a charge, which no slice of "
            "units bounds; authorise each piece of work, or make the budget a soft one",
        )
    if terms.asset != bound.asset:
        return None
    missing = sorted([name for name, value in budget.attributes - bound.use.attributes])
    if budget.values is not None:
        borne = {name for name, _ in bound.use.attributes}
        missing.extend([name for name in budget.values.said.group_by if name not in borne])
    if not missing:
        return None
    return Refusal(
        Reason.LEASE_UNBOUNDED,
        "attributes",
        budget.name,
        f"a hard budget applies to some of that usage only; name its attribute {missing[0]!r}, so "
        "that the lease counts in it or is for other usage",
    )


def _counted_in(budget: Budget, use: Use, now: int) -> tuple[Budget | None, int]:
    """Where such usage counts, the counter of its value where each counts by itself, and the limit
    there; None = a counter is still to be opened, so that nothing is counted."""
    values = budget.values
    if values is None:
        return budget, budget.terms.limit
    value = use.value_of(values.said.group_by)
    counter = values.counter_of(value, now)
    return counter, values.limit_of(value, counter is not None and counter is values.others)


def _covers(state: State, budget: Budget, hold: Hold) -> bool:
    """Whether a budget, if it is one of an operation, is of that of a lease, or of one above it."""
    if budget.operation is None:
        return True
    root = budget.operation.root
    covered = covering(state, hold.account, hold.operation, state.now)
    return any(each.operation is not None and each.operation.root == root for each in covered)


def _counts_beside(budget: Budget, one: Use, other: Use, now: int) -> bool:
    """Whether both count in one counter of the budget."""
    values = budget.values
    if values is None:
        return True
    names = values.said.group_by
    mine, its = one.value_of(names), other.value_of(names)
    counter = values.counter_of(mine, now)
    return mine == its or (counter is not None and counter is values.counter_of(its, now))


def _counted_by(counter: Budget | None, hold: Hold | None, now: int) -> int:
    """Units that are used or pend in the present window, once what a lease has counts there: also
    of a budget that is younger than the lease."""
    counted = sum(counter.counter.within(counter.terms.window, now)) if counter is not None else 0
    if hold is None or (counter is not None and _pending(counter, hold, now)):
        return counted
    return counted + hold.left


def _pending(budget: Budget, hold: Hold, now: int) -> int:
    """What a lease has of the present window."""
    found = budget.held.get(hold.number)
    if found is None or not _counts_now(budget, found[0][0], found[0][1], now):
        return 0
    return found[1]


def _counts_now(budget: Budget, since: int, end: int, now: int) -> bool:
    window = budget.terms.window
    if window.kind == WindowKind.SLIDING:
        return end > now - window.length
    return since <= now < end


# -- pots ------------------------------------------------------------------------------------------


def _free(state: State, account: Account, bound: Bound, now: int) -> int | None:
    """Units that new work may draw of the pots; None = without a limit (rules D4, H3)."""
    asset, policy = bound.asset, account.policy
    if grace_ended(account, asset, now):
        return 0
    seated = None
    if account.seats is not None:
        seated = turn_of(account, asset, bound.use, now, False)
    free = max(0, applicable(account, asset, bound.use, now))
    if policy.holds_overdraft and (seated is None or seated.account):
        free += overdraft_headroom(account, asset)
    if policy.holds_overage and (seated is None or seated.overage):
        overage = overage_headroom(account, asset, account.calendar.start_of(now))
        if overage is None:
            return None
        free += overage
    return free


def grow(
    state: State,
    account: Account,
    bound: Bound,
    room: Room,
    more: int,
    ended: int,
    opened: list[Event],
    hold: Hold | None = None,
) -> list[Slice]:
    """Slices of up to `more` units that a lease grows by, and of up to `ended` in the stead of what
    it has of grants that ended. Books that they need are appended to `opened`."""
    wanted = min(more, room.growth) + ended
    asset, now = bound.asset, state.now
    if wanted <= 0 or grace_ended(account, asset, now):
        return []
    period = account.calendar.start_of(now)
    drawn = draw(state, account, asset, bound.use, wanted, now, period, opened, False)
    if hold is None or account.parent is None:
        return drawn.slices
    return _within_caps(state, account, hold, drawn.slices)


def _within_caps(state: State, account: Account, hold: Hold, slices: list[Slice]) -> list[Slice]:
    """What of these slices caps leave room for, once what the lease has counts in their present
    window too (rule D8)."""
    now = state.now
    taken: dict[Cap, int] = {}
    for piece in hold.slices:
        for cap in _caps_on(state, account, piece):
            if not _counted(cap, hold.authorized_at, now):
                taken[cap] = taken.get(cap, 0) + piece.amount
    found: list[Slice] = []
    for piece in slices:
        units = piece.amount
        for cap in _caps_on(state, account, piece):
            left = cap.left(now)
            if left is not None:
                units = min(units, max(0, left - taken.get(cap, 0)))
        for cap in _caps_on(state, account, piece):
            taken[cap] = taken.get(cap, 0) + units
        if units:
            book = state.books.accounts.get(piece.book)  # or it is among those to be opened
            grant = book.grant if book is not None else None
            value = grant.value_of(units) if grant is not None else piece.value
            found.append(Slice(piece.pot, piece.book, units, value))
    return found


def _counted(cap: Cap, at: int, now: int) -> bool:
    """Whether what counts since then is in the window of now."""
    if not cap.windowed:
        return True
    cell = cap.counter.cell(at)
    if cell is None:
        return False
    window = cap.terms.window
    if window.kind == WindowKind.SLIDING:
        return cell.end > now - window.length
    return cell.since <= now < cell.end


def _caps_on(state: State, account: Account, piece: Slice) -> list[Cap]:
    book = state.books.accounts.get(piece.book)
    grant = book.grant if book is not None else None
    if grant is None or not grant.account.caps_given or grant.account is account:
        return []
    return capping(account, grant)
