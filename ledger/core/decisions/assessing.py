"""Whether work can be paid for, and by what: the assessment behind a hold, a debit and advice
(rules D1, H1, H4).

Reads state, changes nothing, records nothing.
"""

from __future__ import annotations

from ledger.core.admission import (
    refuse_new,
    unusable,
)
from ledger.core.budgets.budgeting import (
    Drawn,
    Exceeded,
    first_exceeded,
    first_not_reserving,
    is_mandates,
)
from ledger.core.catalog import Bound
from ledger.core.decisions.charging import from_hold
from ledger.core.drawing.drawdown import (
    Overdraw,
    applicable,
    draw,
    from_first_grant,
    grace_ended,
    in_all,
    overdraft_headroom,
    overdraft_limit,
)
from ledger.core.drawing.paying import merged, paid_by_commitments
from ledger.core.events import (
    Event,
    Pot,
    Slice,
    Suspense,
)
from ledger.core.funding.caps import Rooms
from ledger.core.limits import (
    INT64_MAX,
)
from ledger.core.mandates.mandating import MandateDenial, first_mandate_denying
from ledger.core.outcomes import Reason, Refusal
from ledger.core.pricing.contracted import bound_for
from ledger.core.pricing.costs import costs_for
from ledger.core.pricing.pricing import Priced, overflow, price
from ledger.core.pricing.quoted import price_by_quote, quote_refused
from ledger.core.seats.seat_draws import is_suspended, refuse_seat, turn_of
from ledger.core.shapes import Shape, Use
from ledger.core.state import Account, Hold, State
from rating.compile import Plan


class Assessment:
    """What a piece of work would cost an account now, and what would pay: the answer of Check."""

    __slots__ = (
        "asset",
        "available",
        "bound",
        "budget",
        "card_version",
        "charge",
        "charges",
        "counted_at",
        "denied",
        "mandate",
        "opened",
        "priced",
        "reasons",
        "slices",
        "taken",
        "uses_debt",
    )

    def __init__(self, bound: Bound, priced: Priced, available: int, counted_at: int = 0) -> None:
        charges, charge = estimated(bound.plan, priced)
        self.bound = bound
        self.priced = priced
        self.asset = bound.asset
        self.card_version: int = bound.declaration.card_version
        self.charge = charge
        self.charges = charges
        self.available = available
        self.counted_at = counted_at  # when what is drawn counts towards caps; 0 = now
        self.denied = ""  # "" = allowed, else the reason
        self.budget: Exceeded | None = None  # the budget that does not allow it, where one does not
        self.mandate: MandateDenial | None = None  # the mandate that does not
        self.reasons: tuple[str, ...] = ()  # why each quantity has no price, where one has none
        self.uses_debt = False
        self.slices: tuple[Slice, ...] = ()  # what would be held
        self.taken: tuple[int, ...] = ()  # of each slice of the hold of its operation
        self.opened: list[Event] = []  # books that a hold would open


def assess(
    state: State,
    account: Account,
    shape: Shape,
    quantities: tuple[int, ...],
    now: int,
    quote: int = 0,
    overdraw: Overdraw | None = None,
    operation: bytes = b"",
    hold: Hold | None = None,
) -> Assessment | Refusal:
    """Decide without recording: advisory (rules D4, B8). Used by Check and Quote. `quote` is to
    price it, if not 0 (rule H9); `overdraw`: how far a rule lets it go below zero. `operation`:
    that it is part of; `hold`: of an operation, which is to pay first."""
    refusal = refuse_new(account)
    if refusal is not None:
        return refusal
    if not quantities or min(quantities) <= 0:
        refusal = unusable(quantities)
        if refusal is not None:
            return refusal
    if account.seats is not None:
        refusal = refuse_seat(account, shape, now)
        if refusal is not None:
            return refusal
    if quote:
        by = price_by_quote(state, account, quote, shape, quantities, now)
        if isinstance(by, Refusal):
            return by
        if by.unused:
            return quote_refused(by.unused, quote)
        return _assess(
            state, account, by.bound, shape, quantities, by.priced, now, operation=operation
        )
    bound = bound_for(state, account, shape, now, quantities)
    costs = costs_for(state, account, bound, shape, quantities, now)
    if isinstance(costs, Refusal):
        return costs
    reserved = hold.slices if hold is not None and hold.asset == bound.asset else ()
    priced = price(state, account, bound, quantities, now, costs=costs, reserved=reserved)
    if isinstance(priced, Refusal):
        return priced
    return _assess(state, account, bound, shape, quantities, priced, now, overdraw, operation, hold)


def _assess(
    state: State,
    account: Account,
    bound: Bound,
    shape: Shape,
    quantities: tuple[int, ...],
    priced: Priced,
    now: int,
    overdraw: Overdraw | None = None,
    operation: bytes = b"",
    hold: Hold | None = None,
) -> Assessment | Refusal:
    """Who would pay what was priced, and whether all mandates and budgets allow it (D4, H4)."""
    found = payable(state, account, bound, priced, now, overdraw, hold)
    if isinstance(found, Refusal) or not state.families[account.root].may_bound:
        return found
    denial = first_mandate_denying(account, bound.asset, bound.use, found.charge, now)
    if denial is not None:
        found.denied, found.mandate = denial.reason, denial
        found.slices, found.opened = (), []
        return found
    if found.denied:
        return found
    drawn = Drawn(hold, found.taken) if hold is not None else None
    exceeded = first_exceeded(
        state, account, bound, shape, quantities, found.charge, found.slices, now, operation, drawn
    )
    _note_exceeded(found, exceeded)
    return found


def _note_exceeded(found: Assessment, exceeded: Exceeded | None) -> None:
    """A budget that does not allow what was found denies it."""
    if exceeded is not None:
        of_mandate = is_mandates(exceeded.budget)
        found.denied = Reason.MANDATE_EXCEEDED if of_mandate else Reason.BUDGET_EXCEEDED
        if exceeded.budget.operation is not None:
            found.denied = Reason.OPERATION_BUDGET_EXCEEDED
        found.budget = exceeded
        found.slices, found.opened = (), []


def assess_reserve(
    state: State, account: Account, bound: Bound, amount: int, now: int, operation: bytes
) -> Assessment | Refusal:
    """Whether so many units may be held for an operation with all its calls (rules D4, H4): by
    whoever pays for usage of any product, and where no budget that counts all of it says no."""
    priced = Priced(None, account.calendar.start_of(now))
    priced.charges, priced.total = (amount,), amount
    found = payable(state, account, bound, priced, now)
    if isinstance(found, Refusal) or not state.families[account.root].may_bound:
        return found
    denial = first_mandate_denying(account, bound.asset, None, 0, now)
    if denial is not None:
        found.denied, found.mandate = denial.reason, denial
        found.slices, found.opened = (), []
    elif not found.denied:
        exceeded = first_not_reserving(
            state, account, bound.asset, amount, found.slices, now, operation
        )
        _note_exceeded(found, exceeded)
    return found


def payable(
    state: State,
    account: Account,
    bound: Bound,
    priced: Priced,
    now: int,
    overdraw: Overdraw | None = None,
    hold: Hold | None = None,
) -> Assessment | Refusal:
    """Who would pay what was priced; a hold of its operation first."""
    _, total = estimated(bound.plan, priced)
    if total > INT64_MAX:
        return overflow(state, bound, total)
    counted_at = hold.counted_at if hold is not None else 0
    available = applicable(account, bound.asset, bound.use, now, counted_at)
    ended = grace_ended(account, bound.asset, now)
    seated = None
    if account.seats is not None:
        seated = turn_of(account, bound.asset, bound.use, now, False)
    own = seated is None or seated.account
    if (account.policy.holds_overdraft or overdraw is not None) and not ended and own:
        available += overdraft_headroom(account, bound.asset, overdraw)
    found = Assessment(bound, priced, available, counted_at)
    charges = found.charges
    held: list[Slice] = []
    if hold is not None and hold.asset == bound.asset and not priced.suspense:
        taken: list[int] = []
        from_hold(state, hold, priced, held, taken, total)
        found.taken = tuple(taken)
        found.available += hold.left
    left = total - sum([piece.amount for piece in held])
    if priced.suspense:
        of_all = priced.reasons or (priced.suspense,) * len(charges)
        found.denied = Reason[Suspense(priced.suspense).name]
        found.reasons = tuple([Suspense(reason).name if reason else "" for reason in of_all])
    elif account.seats is not None and is_suspended(account, bound.use, now):
        found.denied = Reason.SEAT_SUSPENDED
    elif left and ended:
        found.denied = Reason.GRACE_ENDED
    elif held and not left:
        found.slices = tuple(held)
        found.uses_debt = any(piece.pot != Pot.GRANT for piece in held)
    elif total:
        whole = None
        if not bound.plan.listed and not held:
            whole = from_first_grant(account, bound.asset, bound.use, total, now)
        if whole is not None:
            found.slices = (whole,)
            return found
        period = account.calendar.start_of(now)
        committed = priced.committed
        if committed and held:
            committed -= paid_by_commitments(state, held)
        drawn = draw(
            state, account, bound.asset, bound.use, left, now, period, found.opened, False,
            committed=committed, counted_at=counted_at, overdraw=overdraw,
        )  # fmt: skip
        slices = merged(state, held, drawn.slices) if held else drawn.slices
        found.uses_debt = any(piece.pot != Pot.GRANT for piece in slices)
        found.slices = tuple(slices)
        if drawn.left:
            found.denied = Reason.INSUFFICIENT_CREDITS if own else Reason.SEAT_EXHAUSTED
            if hold is not None:  # what of it was to be overage of another month pays nothing
                found.available = min(found.available, total - drawn.left)
    return found


def estimated(plan: Plan, priced: Priced) -> tuple[tuple[int, ...], int]:
    """The lines of an estimate and their sum: with what earlier usage would cost more by it, but
    not less, for that is given back only once it is recorded (rule R1)."""
    charges, total = priced.charges, priced.total
    for row, amount in priced.rerates:
        if amount > 0:
            index = plan.rows.index(row)
            charges = (*charges[:index], charges[index] + amount, *charges[index + 1 :])
            total += amount
    return charges, total


def available_to(account: Account, asset: int, use: Use, now: int) -> int:
    """Units that such usage may draw now: applicable grants and overdraft headroom (rule B6)."""
    headroom = 0 if grace_ended(account, asset, now) else overdraft_headroom(account, asset)
    if account.seats is not None:
        seated = turn_of(account, asset, use, now, False)
        headroom = headroom if seated is None or seated.account else 0
    return applicable(account, asset, use, now) + headroom


def available_in_all(account: Account, asset: int, now: int) -> int:
    """Units that the account may draw now for whatever it may, below zero where more is owed in
    advance than the overdraft allows (rule B6)."""
    advance = account.advance.get(asset)
    limit = 0 if grace_ended(account, asset, now) else overdraft_limit(account, asset)
    grants = [
        grant
        for grant in in_all(account)
        if grant.asset == asset and grant.effective_at <= now < grant.expires_at
    ]
    units = Rooms(account, now).of_all(grants)
    return units + limit - (advance.owed + advance.debits_pending if advance is not None else 0)


def within_wholes(plan: Plan, quantities: tuple[int, ...]) -> tuple[int, ...]:
    """The quantities, parts cut to what is left of their whole: captures may have taken more of
    the whole than of its parts, and less may be learned of it than of them (rule R8)."""
    cut = list(quantities)
    for _ in plan.parents:  # as deep as parts of parts may go
        for parent, children in plan.parents:
            left = cut[parent]
            for child in children:
                cut[child] = min(cut[child], left)
                left -= cut[child]
    return tuple(cut)
