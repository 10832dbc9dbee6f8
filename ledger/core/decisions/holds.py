"""Deciding holds: authorise, extend, capture, release, expire (rules H1 to H3).

A hold reserves exact slices as pending debits. Captures may take parts of it; every way out settles
it exactly once. Reads state, changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ledger.core.admission import (
    in_future,
    known_account,
    outcome_expected,
    refuse_closed,
    refuse_frozen,
    refuse_new,
    refuse_suspense,
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
from ledger.core.commands import CaptureHold, ExtendHold, ReleaseHold, Sizing
from ledger.core.drawing.drawdown import (
    Overdraw,
    applicable,
    draw,
    from_first_grant,
    grace_ended,
    in_all,
    is_commitment,
    overdraft_headroom,
    overdraft_limit,
)
from ledger.core.drawing.paying import Payment, merged, paid_by_commitments, pay, post
from ledger.core.events import (
    Event,
    HoldAuthorized,
    HoldCharged,
    HoldExpired,
    HoldExtended,
    HoldReleased,
    HoldSized,
    HoldUpTo,
    Limit,
    OperationHeld,
    OperationReserved,
    PolicyHeld,
    Pot,
    ProviderCost,
    RowDraw,
    Ruling,
    Sized,
    SizedOperationHeld,
    Slice,
    Suspense,
    UpTo,
    UsageCaptured,
    UsageCosted,
    UsageModeled,
    UsageRecorded,
)
from ledger.core.funding.caps import Rooms
from ledger.core.funding.following import follow_up, returned_by
from ledger.core.holdings import Estimate
from ledger.core.identity import KEY_BYTES
from ledger.core.limits import (
    HOLD_LIFETIME_BATCH_MAX_US,
    HOLD_LIFETIME_DEFAULT_US,
    INT64_MAX,
)
from ledger.core.mandates.mandating import MandateDenial, first_mandate_denying
from ledger.core.opening import declare, used_book
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.pricing.contracted import bound_for
from ledger.core.pricing.costs import cost_of, costs_for, provider_cost
from ledger.core.pricing.pricing import Priced, overflow, price
from ledger.core.pricing.quoted import ByQuote, price_by_quote, quote_refused
from ledger.core.pricing.rerates import row_draws
from ledger.core.seats.seat_draws import is_suspended, refuse_seat, turn_of
from ledger.core.shapes import Shape, Use
from ledger.core.state import HOLD_EXPIRED, QUOTE_OPEN, Account, Grant, Hold, SettledHold, State
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
        "denied",
        "mandate",
        "opened",
        "priced",
        "reasons",
        "slices",
        "taken",
        "uses_debt",
    )

    def __init__(self, bound: Bound, priced: Priced, available: int) -> None:
        charges, charge = estimated(bound.plan, priced)
        self.bound = bound
        self.priced = priced
        self.asset = bound.asset
        self.card_version: int = bound.declaration.card_version
        self.charge = charge
        self.charges = charges
        self.available = available
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
    if isinstance(found, Refusal) or not state.families[account.root].budgets:
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
    if isinstance(found, Refusal) or not state.families[account.root].budgets:
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
    available = applicable(account, bound.asset, bound.use, now)
    ended = grace_ended(account, bound.asset, now)
    seated = None
    if account.seats is not None:
        seated = turn_of(account, bound.asset, bound.use, now, False)
    own = seated is None or seated.account
    if (account.policy.holds_overdraft or overdraw is not None) and not ended and own:
        available += overdraft_headroom(account, bound.asset, overdraw)
    found = Assessment(bound, priced, available)
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
            committed=committed, counted_at=hold.authorized_at if hold is not None else 0,
            overdraw=overdraw,
        )  # fmt: skip
        slices = merged(state, held, drawn.slices) if held else drawn.slices
        found.uses_debt = any(piece.pot != Pot.GRANT for piece in slices)
        found.slices = tuple(slices)
        if drawn.left:
            found.denied = Reason.INSUFFICIENT_CREDITS if own else Reason.SEAT_EXHAUSTED
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


def authorized(
    state: State,
    account: Account,
    found: Assessment,
    quantities: tuple[int, ...],
    lifetime: int,
    out: list[Event],
    key: bytes = b"",
    trace: bytes = b"",
    quote: int = 0,
    up_to: UpTo | None = None,
    limit: Limit | None = None,
    ruling: Ruling | None = None,
    sizing: Sizing | None = None,
    operation: bytes = b"",
    reserves: bool = False,
) -> HoldAuthorized:
    """Append the hold of what was found, with the books that it opens. `up_to`: it is for as much
    as is affordable, where `limit` allows no more. `ruling`: what a policy had to say.
    `sizing`: its estimate is learned. `operation`: that it is part of; `reserves`: or that it is
    for, with all its calls."""
    out.extend(found.opened)
    now = state.now
    terms = found.bound.terms
    figures = (
        key,
        account.number,
        state.next_hold,
        declare(state, found.bound.declaration, out),
        quantities,
        found.charges,
        used_book(state, found.bound, out) if found.charge else 0,
        found.slices,
        now,
        now + (lifetime or HOLD_LIFETIME_DEFAULT_US),
        lifetime,
        terms.lifetime_max,
        terms.expiry,
        account.calendar.start_of(now),
        account.version,
        trace,
        quote,
    )
    if sizing is not None and operation:
        hold: HoldAuthorized = SizedOperationHeld(
            *figures, up_to, limit, ruling, *said_of(sizing), operation
        )
    elif reserves:
        hold = OperationReserved(*figures, up_to, limit, ruling, operation)
    elif operation:
        hold = OperationHeld(*figures, up_to, limit, ruling, operation)
    elif sizing is not None:
        hold = HoldSized(*figures, up_to, limit, ruling, *said_of(sizing))
    elif ruling is not None:
        hold = PolicyHeld(*figures, up_to, limit, ruling)
    else:
        hold = HoldAuthorized(*figures) if up_to is None else HoldUpTo(*figures, up_to, limit)
    out.append(hold)
    return hold


def said_of(sizing: Sizing) -> tuple[tuple[int, ...], tuple[Sized, ...], int, int]:
    """What an entry says of where its estimate comes from."""
    return sizing.asked, sizing.sizes, sizing.version, int(sizing.learned)


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


def hold_refused(account: Account, lifetime: int) -> Refusal | None:
    """Why the account may not have another hold of that lifetime, if it may not."""
    refusal = refuse_new(account)
    if refusal is not None:
        return refusal
    if not 0 <= lifetime <= HOLD_LIFETIME_BATCH_MAX_US:
        return lifetime_invalid(lifetime, HOLD_LIFETIME_BATCH_MAX_US)
    return holds_limit(account)


def holds_limit(account: Account) -> Refusal | None:
    """Whether the account has as many open holds as it may (rule H1)."""
    count = len(account.holds) - account.outcomes - len(account.leases)
    if count < account.policy.holds_open_max:
        return None
    return Refusal(
        Reason.HOLDS_LIMIT,
        "account",
        str(count),
        "the account has as many open holds as its policy allows; capture or release some",
    )


def lifetime_invalid(lifetime: int, longest: int) -> Refusal:
    """No hold for the product lives so long (rule H1)."""
    return Refusal(
        Reason.HOLD_LIFETIME_INVALID,
        "lifetime_us",
        str(lifetime),
        f"a hold for this product lives from 1 to {longest} us, extensions included; 0 is the "
        "default",
    )


def decide_extend(state: State, command: ExtendHold, out: list[Event]) -> Event | Known | Refusal:
    """Move an open hold's expiry to `lifetime` from now, later or earlier (rule H1).

    Never beyond the longest lifetime that its product had at the authorisation, counted from there.
    """
    account = known_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    hold = open_hold(state, account, command.hold)
    if isinstance(hold, Refusal):
        return hold
    now = state.now
    longest = hold.authorized_at + hold.lifetime_max - now
    lifetime = command.lifetime or HOLD_LIFETIME_DEFAULT_US
    if not 0 < lifetime <= longest:
        return Refusal(
            Reason.HOLD_LIFETIME_INVALID,
            "lifetime_us",
            str(command.lifetime),
            f"the hold may live {longest} us more: it ends {hold.lifetime_max} us after its "
            "authorisation at the latest",
        )
    extended = HoldExtended(
        command.key, account.number, hold.number, command.lifetime, now + lifetime, command.trace
    )
    out.append(extended)
    return extended


def open_hold(state: State, account: Account, number: int) -> Hold | Refusal:
    """The account's hold if it is open, else why it is not."""
    hold = state.holds.get(number)
    if hold is not None and hold.account is account and _is_of_request(hold):
        return hold
    settled = state.settled_hold(account, number)
    if settled is None or settled.account is not account or not _is_of_request(settled):
        return unknown_hold(number)
    return hold_settled(number, settled.settled_at)


def _is_of_request(hold: Hold | SettledHold) -> bool:
    """Whether a hold is of one piece of work that was authorised: no outcome, and no lease."""
    return hold.outcome is None and hold.lease is None


def decide_capture(state: State, command: CaptureHold, out: list[Event]) -> Event | Known | Refusal:
    """Charge a hold with the actual quantities (rule H1).

    Less than the hold gives the rest back, or leaves it held where more captures follow; more draws
    the excess as new usage. A hold that stays open may have nothing left: what follows is new usage
    then. After expiry the usage is recorded as plain usage, marked late, until the last capture. A
    captured, released or charged hold is refused.
    """
    account = known_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    hold = state.holds.get(command.hold)
    if hold is not None and hold.account is account and _is_of_request(hold):
        product, attributes, operation = hold.product, hold.attributes, hold.operation
        drawn = hold.drawn
    else:
        hold = None
        settled = state.settled_hold(account, command.hold)
        if settled is None or settled.account is not account or not _is_of_request(settled):
            return unknown_hold(command.hold)
        if settled.ended != HOLD_EXPIRED or settled.captured_late:
            return hold_settled(command.hold, settled.settled_at)
        product, attributes, operation = settled.product, settled.attributes, settled.operation
        drawn = settled.drawn
    if drawn is not None:
        operation = command.operation or operation
    elif command.operation and command.operation[:KEY_BYTES] != operation[:KEY_BYTES]:
        return Refusal(
            Reason.OPERATION_DIFFERS,
            "operation",
            str(command.hold),
            "the hold was authorised for another operation, or none; name that, or nothing",
        )
    refusal = _capture_refused(state, account, command, late=hold is None)
    if refusal is None:
        refusal = _other_work(command, product, attributes, of_operation=drawn is not None)
    if refusal is not None:
        return refusal
    if drawn is not None:
        product, attributes = command.product, command.attributes
    shape = state.catalog.shape(product, attributes, command.quantity_names)
    at = command.effective_at or state.now
    by: ByQuote | None = None
    if hold is not None and hold.quote:
        found = _by_quote(state, hold, command, shape, at)
        if isinstance(found, Refusal):
            return found
        by, bound = found, found.bound
    else:
        bound = bound_for(state, account, shape, at, command.quantities)
        if drawn is not None:
            refusal = draw_refused(state, account, shape, bound, at)
            if refusal is not None:
                return refusal
    quoted = by.priced if by is not None else None
    charge = charge_usage(state, account, hold, bound, shape, command.quantities, at, out, quoted)
    if isinstance(charge, Refusal):
        return charge
    priced, payment = charge.priced, charge.payment
    figures = (
        command.key,
        account.number,
        at,
        declare(state, bound.declaration, out),
        command.quantities,
        priced.charges,
        payment.used,
        payment.slices,
        priced.period,
        priced.advances,
        payment.over_limit,
        priced.suspense,
        1 if command.effective_at else 0,
        command.hold,
        1 if hold is None else 0,
        operation,
        b"",
        command.trace,
    )
    modeled = (
        priced.reasons, priced.scoped, charge.draws, priced.totals_before, priced.listed,
    )  # fmt: skip
    cost = charge.cost
    captured: UsageRecorded
    if command.keep_open:
        captured = UsageCaptured(*figures, *modeled, cost, charge.taken)
    elif cost is not None:
        captured = UsageCosted(*figures, *modeled, cost)
    elif any(modeled):
        captured = UsageModeled(*figures, *modeled)
    else:
        captured = UsageRecorded(*figures)
    if by is not None and not command.keep_open:
        captured = by.of(captured)
    returned: list[tuple[Grant, int]] = []
    if hold is not None and not command.keep_open:
        returned = returned_by(state, hold, charge.taken)
    post(state, account, bound, priced, payment, captured, out, returned)
    return captured


def _other_work(
    command: CaptureHold,
    product: str,
    attributes: tuple[tuple[str, str], ...],
    *,
    of_operation: bool,
) -> Refusal | None:
    """A capture of a hold of an operation says what was used; any other hold is of its own work."""
    if of_operation:
        if command.product:
            return None
        return Refusal(
            Reason.HOLD_OTHER_WORK,
            "product",
            "",
            "the hold is of an operation with all its calls: name the product that was used, or "
            "release it",
        )
    if command.product in ("", product) and command.attributes in ((), attributes):
        return None
    field = "attributes" if command.product in ("", product) else "product"
    return Refusal(
        Reason.HOLD_OTHER_WORK,
        field,
        command.product,
        f"the hold is for {product!r} with its attributes; leave them out, or reserve for an "
        "operation, of which any product may be drawn",
    )


def draw_refused(
    state: State, account: Account, shape: Shape, bound: Bound, at: int
) -> Refusal | None:
    """Why work of that kind may not be drawn of a hold of an operation, whatever it costs: nobody
    has authorised that."""
    if bound.terms.outcome is not None:
        return outcome_expected(shape.product)
    denial = first_mandate_denying(account, bound.asset, bound.use, 0, state.now)
    if denial is not None and denial.reason in (Reason.MANDATE_PRODUCT, Reason.MANDATE_ATTRIBUTES):
        return Refusal(
            denial.reason,
            "product",
            shape.product,
            "the mandate is not for such work: record what has happened as usage of its own",
        )
    if account.seats is None:
        return None
    refusal = refuse_seat(account, shape, at)
    if refusal is not None:
        return refusal
    seated = turn_of(account, bound.asset, bound.use, at, False)
    if seated is None or seated.account:
        return None
    return Refusal(
        Reason.HOLD_OTHER_WORK,
        "hold_id",
        shape.product,
        "the seat's plan leaves out what the account has, which the hold is of; leave the hold out",
    )


def _by_quote(
    state: State, hold: Hold, command: CaptureHold, shape: Shape, at: int
) -> ByQuote | Refusal:
    """Price the capture of a hold that was made with a quote. It is used once, so that the hold is
    captured at once while it stands (rule H9)."""
    quote = state.quote_of(hold.account, hold.quote)
    if command.keep_open and quote is not None and quote.state == QUOTE_OPEN:
        return Refusal(
            Reason.QUOTE_SINGLE_USE,
            "keep_open",
            "true",
            "the hold was made with a quote, which prices one capture; capture it at once",
        )
    return price_by_quote(
        state, hold.account, hold.quote, shape, command.quantities, at, hold.number
    )


def _capture_refused(
    state: State, account: Account, command: CaptureHold, *, late: bool
) -> Refusal | None:
    """A frozen account takes captures of open holds: that work was let go ahead. A late one is new
    usage (rules H1, I2)."""
    at = command.effective_at or state.now
    if at < account.open_from:
        refusal = refuse_closed(state, account, at) or (refuse_frozen(account) if late else None)
        if refusal is not None:
            return refusal
    if not command.quantities or min(command.quantities) <= 0:
        refusal = unusable(command.quantities)
        if refusal is not None:
            return refusal
    if at > state.window_end:
        return in_future(at, state.now)
    if at < state.window_start:
        return Refusal(
            Reason.TOO_OLD,
            "effective_at_us",
            str(at),
            "the effective time is before the dedupe window; the hold stays as it is",
        )
    return None


class Charge(NamedTuple):
    """What usage of a hold costs and draws; `taken` of each of the hold's slices, () = of none."""

    priced: Priced
    payment: Payment
    taken: tuple[int, ...]
    draws: tuple[RowDraw, ...]
    cost: ProviderCost | None


def charge_usage(
    state: State,
    account: Account,
    hold: Hold | None,
    bound: Bound,
    shape: Shape,
    quantities: tuple[int, ...],
    at: int,
    out: list[Event],
    quoted: Priced | None = None,
) -> Charge | Refusal:
    """Price usage effective at `at`, unless it is `quoted`, and draw it: from the hold first, then
    as any usage.

    Books that are to be opened are appended to `out`.
    """
    cost = cost_of(state, account, bound, shape, quantities, at)
    if isinstance(cost, Refusal):
        return cost
    lines = cost.lines if cost is not None else ()
    reserved: Sequence[Slice] = hold.slices if hold is not None else ()
    if hold is not None and hold.asset != bound.asset:
        reserved = ()
    priced = quoted or price(state, account, bound, quantities, at, costs=lines, reserved=reserved)
    if isinstance(priced, Refusal):
        return priced
    reported = hold is not None and hold.outcome is not None  # there was room as it was
    if priced.suspense and not reported:
        refusal = refuse_suspense(state, account)
        if refusal is not None:
            return refusal
    held: list[Slice] = []
    taken: list[int] = []
    if hold is not None and hold.asset == bound.asset:
        from_hold(state, hold, priced, held, taken, priced.total)
    borne = cost.total if cost is not None else 0
    since = hold.authorized_at if hold is not None else 0
    payment = pay(state, account, bound, priced, at, out, held=held, cost=borne, counted_at=since)
    draws = row_draws(bound.plan, priced, payment.used, payment.slices)
    provider = provider_cost(state, account, cost, out) if cost is not None else None
    return Charge(priced, payment, tuple(taken), draws, provider)


def from_hold(
    state: State,
    hold: Hold,
    priced: Priced,
    slices: list[Slice],
    taken: list[int],
    left: int,
) -> None:
    """Pay `left` units from what is left of the hold's own slices, in their order; `taken` gets
    what each of them gives.

    Overage was held against the cap of the month of the authorisation: usage of another month asks
    that month's cap anew (rule D4).
    """
    listed = bool(priced.listed)
    committed = priced.committed  # units that commitments are to pay, and no more (rule R9)
    for piece in hold.slices:
        most = left
        if listed:
            grant = state.books.accounts[piece.book].grant
            of_commitment = grant is not None and is_commitment(grant)
            most = committed if of_commitment else left - committed
        take = min(piece.amount, most)
        if listed and of_commitment:
            committed -= take
        if piece.pot == Pot.OVERAGE and priced.period != hold.period:
            take = 0
        taken.append(take)
        if take == 0:
            continue
        grant = state.books.accounts[piece.book].grant
        # A grant's value follows what is drawn by now, so that the last slice takes the exact rest.
        value = grant.value_of(take) if grant is not None else take if piece.value else 0
        slices.append(Slice(piece.pot, piece.book, take, value))
        left -= take


def decide_release(state: State, command: ReleaseHold, out: list[Event]) -> Event | Known | Refusal:
    """Give a hold back; one that is settled already is refused by name."""
    account = known_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    hold = open_hold(state, account, command.hold)
    if isinstance(hold, Refusal):
        return hold
    released = HoldReleased(command.key, command.account, command.hold, command.trace)
    out.append(released)
    follow_up(state, returned_by(state, hold, ()), out)
    return released


def expire_hold(state: State, hold: Hold, out: list[Event]) -> None:
    """Post the expiry of an overdue hold as an entry of its own: it is released, or what was
    estimated and not captured is charged, as its product's policy was at its authorisation (H2)."""
    assert state.now >= hold.expires_at, (state.now, hold.expires_at)
    estimate = hold.estimate
    if estimate is not None and any(estimate.quantities):
        charged = _charge_estimate(state, hold, estimate, out)
        if charged:
            return
    out.append(HoldExpired(hold.account.number, hold.number))
    follow_up(state, returned_by(state, hold, ()), out)


def _charge_estimate(state: State, hold: Hold, estimate: Estimate, out: list[Event]) -> bool:
    """Charge it at the hold's expiry, by the price rows of the authorisation. As any usage it goes
    on from the running totals of its period (rule R1), so that rounding may differ by a unit.

    False where the charge would fit no transfer, which only a total at the very limit can do.
    """
    account, at = hold.account, hold.expires_at
    shape = state.catalog.shape(hold.product, hold.attributes, estimate.plan.quantity_names)
    card = state.catalog.card((account.tenant, estimate.plan.rate_card))
    bound = card.declared(shape, estimate.plan)
    quantities = within_wholes(bound.plan, estimate.quantities)
    began = len(out)  # the plan of a cost is named by its place in the batch
    charge = charge_usage(state, account, hold, bound, shape, quantities, at, out)
    if isinstance(charge, Refusal):
        del out[began:]
        return False
    priced, payment = charge.priced, charge.payment
    charged = HoldCharged(
        b"",
        account.number,
        at,
        declare(state, bound.declaration, out),
        quantities,
        priced.charges,
        payment.used,
        payment.slices,
        priced.period,
        priced.advances,
        payment.over_limit,
        priced.suspense,
        hold=hold.number,
        operation=hold.operation,
        totals_before=priced.totals_before,
        listed=priced.listed,
        reasons=priced.reasons,
        scoped=priced.scoped,
        draws=charge.draws,
        cost=charge.cost,
    )
    returned = returned_by(state, hold, charge.taken)
    post(state, account, bound, priced, payment, charged, out, returned)
    return True


def unknown_hold(number: int) -> Refusal:
    """No such hold of this account, or settled longer ago than the dedupe window."""
    return Refusal(Reason.HOLD_UNKNOWN, "hold_id", str(number), "the account has no such hold")


def hold_settled(number: int, settled_at: int) -> Refusal:
    """Every hold settles exactly once."""
    return Refusal(
        Reason.HOLD_SETTLED,
        "hold_id",
        str(number),
        f"the hold was captured, released or let expire at {settled_at}",
    )
