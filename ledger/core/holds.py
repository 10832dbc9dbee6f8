"""Deciding holds: authorise, capture, release, expire (rules H1 to H3).

A hold reserves exact slices as pending debits; every way out settles it exactly once. Reads state,
changes nothing.
"""

from __future__ import annotations

from ledger.core.catalog import Bound
from ledger.core.commands import AuthorizeHold, CaptureHold, ReleaseHold
from ledger.core.drawdown import applicable, draw, from_first_grant, overdraft_headroom
from ledger.core.events import (
    AdjustmentNoted,
    AuthorizeDenied,
    Event,
    HoldAuthorized,
    HoldExpired,
    HoldReleased,
    LimitExceeded,
    Pot,
    Slice,
    Suspense,
    UsageRecorded,
)
from ledger.core.grants import follow_up, returned_by
from ledger.core.limits import HOLD_LIFETIME_DEFAULT_US, HOLD_LIFETIME_MAX_US, INT64_MAX
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.shapes import Shape
from ledger.core.state import HOLD_EXPIRED, Account, Hold, State
from ledger.core.usage import (
    NO_TOTALS,
    closed_period,
    declare,
    in_future,
    overflow,
    rating_fault,
    recorded_before,
    refuse_closed,
    refuse_frozen,
    refuse_new,
    rounding_totals,
    unknown_account,
    unusable,
    used_book,
)
from rating.price import UNPRICED, RatingFault, rate


class Assessment:
    """What a piece of work would cost an account now, and what would pay: the answer of Check."""

    __slots__ = (
        "asset",
        "available",
        "bound",
        "card_version",
        "charge",
        "charges",
        "denied",
        "opened",
        "slices",
        "uses_debt",
    )

    def __init__(self, bound: Bound, charge: int, charges: tuple[int, ...], available: int) -> None:
        self.bound = bound
        self.asset = bound.asset
        self.card_version: int = bound.declaration.card_version
        self.charge = charge
        self.charges = charges
        self.available = available
        self.denied = ""  # "" = allowed, else the reason
        self.uses_debt = False
        self.slices: tuple[Slice, ...] = ()  # what would be held
        self.opened: list[Event] = []  # books that a hold would open


def assess(
    state: State, account: Account, shape: Shape, quantities: tuple[int, ...], now: int
) -> Assessment | Refusal:
    """Decide without recording: advisory (rules D4, B8). Used by Check and Quote."""
    refusal = refuse_new(account)
    if refusal is not None:
        return refusal
    if not quantities or min(quantities) <= 0:
        refusal = unusable(quantities)
        if refusal is not None:
            return refusal
    bound, plan = state.catalog.step(account.card_key, shape, now, quantities)
    totals = NO_TOTALS
    if not plan.whole:
        totals = rounding_totals(account, plan, state.months.start_of(now))
    try:
        charges, total, _, _ = rate(plan, quantities, totals)
    except RatingFault as fault:
        return rating_fault(fault)
    if total > INT64_MAX:
        return overflow(state, bound, total)
    available = available_to(account, bound.asset, shape.product, now)
    found = Assessment(bound, total, charges, available)
    if UNPRICED in charges:
        found.denied = Reason.UNPRICED
    elif total:
        whole = from_first_grant(account, bound.asset, shape.product, total, now)
        if whole is not None:
            found.slices = (whole,)
            return found
        period = state.months.start_of(now)
        drawn = draw(
            state, account, bound.asset, shape.product, total, now, period, found.opened, False
        )
        found.uses_debt = drawn.uses_debt
        found.slices = tuple(drawn.slices)
        if drawn.left:
            found.denied = Reason.INSUFFICIENT_CREDITS
    return found


def available_to(account: Account, asset: int, product: str, now: int) -> int:
    """Units that `product` may use now: applicable grants and overdraft headroom (rule B6)."""
    return applicable(account, asset, product, now) + overdraft_headroom(account, asset)


def decide_authorize(
    state: State, command: AuthorizeHold, out: list[Event]
) -> Event | Known | Refusal:
    """Reserve the estimate's price, or record the denial: both replay (rules H1, I2)."""
    known = recorded_before(state, command.key)
    if known is not None:
        return known
    account = state.accounts.get(command.account)
    if account is None:
        return unknown_account(command.account)
    refusal = _hold_refused(account, command.lifetime)
    if refusal is not None:
        return refusal
    now = state.recorded_at
    found = assess(state, account, command.shape, command.quantities, now)
    if isinstance(found, Refusal):
        return found
    if found.denied:
        denied = AuthorizeDenied(
            command.key,
            account.number,
            declare(state, found.bound, out),
            command.quantities,
            found.charge,
            min(found.available, INT64_MAX),  # a sum of grants may not fit (rule N1)
            found.denied,
            command.lifetime,
            account.version,
            command.trace,
        )
        out.append(denied)
        return denied
    out.extend(found.opened)
    authorized = HoldAuthorized(
        command.key,
        account.number,
        state.next_hold,
        declare(state, found.bound, out),
        command.quantities,
        found.charges,
        used_book(state, found.bound, out) if found.charge else 0,
        found.slices,
        now,
        now + (command.lifetime or HOLD_LIFETIME_DEFAULT_US),
        command.lifetime,
        account.version,
        command.trace,
    )
    out.append(authorized)
    return authorized


def _hold_refused(account: Account, lifetime: int) -> Refusal | None:
    refusal = refuse_new(account)
    if refusal is not None:
        return refusal
    if not 0 <= lifetime <= HOLD_LIFETIME_MAX_US:
        return Refusal(
            Reason.HOLD_LIFETIME_INVALID,
            "lifetime_us",
            str(lifetime),
            f"a hold lives from 1 to {HOLD_LIFETIME_MAX_US} us; 0 is the default",
        )
    if len(account.holds) >= account.policy.holds_open_max:
        return Refusal(
            Reason.HOLDS_LIMIT,
            "account",
            str(len(account.holds)),
            "the account has as many open holds as its policy allows; capture or release some",
        )
    return None


def decide_capture(state: State, command: CaptureHold, out: list[Event]) -> Event | Known | Refusal:
    """Settle a hold at the actual quantities (rule H1).

    Less than the hold gives the rest back; more draws the excess as new usage. After expiry the
    usage is recorded as plain usage, marked late, once. A captured or released hold is refused.
    """
    known = recorded_before(state, command.key)
    if known is not None:
        return known
    account = state.accounts.get(command.account)
    if account is None:
        return unknown_account(command.account)
    hold = state.holds.get(command.hold)
    if hold is not None and hold.account is account:
        product, attributes = hold.product, hold.attributes
    else:
        hold = None
        settled = state.settled_hold(account, command.hold)
        if settled is None or settled.account is not account:
            return unknown_hold(command.hold)
        if settled.ended != HOLD_EXPIRED or settled.captured_late:
            return hold_settled(command.hold, settled.settled_at)
        product, attributes = settled.product, settled.attributes
    refusal = _capture_refused(state, account, command, late=hold is None)
    if refusal is not None:
        return refusal
    shape = state.catalog.shape(product, attributes, command.quantity_names)
    return _capture(state, command, account, shape, hold, out)


def _capture_refused(
    state: State, account: Account, command: CaptureHold, *, late: bool
) -> Refusal | None:
    """A frozen account takes captures of open holds: that work was let go ahead. A late one is new
    usage (rules H1, I2)."""
    at = command.effective_at or state.recorded_at
    if at < account.open_from:
        refusal = refuse_closed(state, account, at) or (refuse_frozen(account) if late else None)
        if refusal is not None:
            return refusal
    if not command.quantities or min(command.quantities) <= 0:
        refusal = unusable(command.quantities)
        if refusal is not None:
            return refusal
    if at > state.window_end:
        return in_future(at, state.recorded_at)
    if at < state.window_start:
        return Refusal(
            Reason.TOO_OLD,
            "effective_at_us",
            str(at),
            "the effective time is before the dedupe window; the hold stays as it is",
        )
    return None


def _capture(
    state: State,
    command: CaptureHold,
    account: Account,
    shape: Shape,
    hold: Hold | None,
    out: list[Event],
) -> Event | Refusal:
    at = command.effective_at or state.recorded_at
    bound, plan = state.catalog.step(account.card_key, shape, at, command.quantities)
    closed, period = closed_period(state, account, at)
    try:
        charges, total, advances, _ = rate(
            plan, command.quantities, rounding_totals(account, plan, period)
        )
    except RatingFault as fault:
        return rating_fault(fault)
    if total > INT64_MAX:
        return overflow(state, bound, total)
    slices: list[Slice] = []
    left = total
    if hold is not None and hold.asset == bound.asset:
        same_period = period == state.months.start_of(hold.authorized_at)
        left = _from_hold(state, hold, total, same_period, slices)
    over_limit = 0
    used = used_book(state, bound, out) if total else 0
    if left:
        found = draw(state, account, bound.asset, shape.product, left, at, period, out, True)
        slices = _merged(state, slices, found.slices)
        over_limit = found.over_limit
    captured = UsageRecorded(
        command.key,
        account.number,
        at,
        declare(state, bound, out),
        command.quantities,
        charges,
        used,
        tuple(slices),
        period,
        advances,
        over_limit,
        int(Suspense.UNPRICED if UNPRICED in charges else Suspense.NONE),
        1 if command.effective_at else 0,
        command.hold,
        1 if hold is None else 0,
        b"",
        b"",
        command.trace,
    )
    entry = state.batch_length + len(out)
    out.append(captured)
    if hold is not None:
        follow_up(state, returned_by(state, hold, slices), out)
    if over_limit:
        out.append(LimitExceeded(account.number, bound.asset, over_limit, account.policy.excess))
    if closed is not None:
        out.append(AdjustmentNoted(account.number, entry, closed, period))
    return captured


def _from_hold(state: State, hold: Hold, total: int, same_period: bool, slices: list[Slice]) -> int:
    """Pay from the hold's own slices, in their order; returns what they do not cover.

    Overage was held against the cap of the month of the authorisation: usage of another month asks
    that month's cap anew (rule D4).
    """
    left = total
    for piece in hold.slices:
        if left == 0:
            break
        if piece.pot == Pot.OVERAGE and not same_period:
            continue
        take = min(piece.amount, left)
        grant = state.books.accounts[piece.book].grant
        # A grant's value follows what is drawn by now, so that the last slice takes the exact rest.
        value = grant.value_of(take) if grant is not None else take if piece.value else 0
        slices.append(Slice(piece.pot, piece.book, take, value))
        left -= take
    return left


def _merged(state: State, first: list[Slice], more: list[Slice]) -> list[Slice]:
    """Slices of the hold followed by those of the excess, one slice a book and pot (rule D3)."""
    merged: dict[tuple[int, int], Slice] = {(piece.pot, piece.book): piece for piece in first}
    for piece in more:
        place = (piece.pot, piece.book)
        before = merged.get(place)
        if before is None:
            merged[place] = piece
            continue
        amount = before.amount + piece.amount
        grant = state.books.accounts[piece.book].grant
        value = grant.value_of(amount) if grant is not None else before.value + piece.value
        merged[place] = Slice(piece.pot, piece.book, amount, value, before.cost + piece.cost)
    return list(merged.values())


def decide_release(state: State, command: ReleaseHold, out: list[Event]) -> Event | Known | Refusal:
    """Give a hold back; one that is settled already is refused by name."""
    known = recorded_before(state, command.key)
    if known is not None:
        return known
    account = state.accounts.get(command.account)
    if account is None:
        return unknown_account(command.account)
    hold = state.holds.get(command.hold)
    if hold is None or hold.account.number != command.account:
        settled = state.settled_hold(account, command.hold)
        if settled is None or settled.account.number != command.account:
            return unknown_hold(command.hold)
        return hold_settled(command.hold, settled.settled_at)
    released = HoldReleased(command.key, command.account, command.hold, command.trace)
    out.append(released)
    follow_up(state, returned_by(state, hold, ()), out)
    return released


def expire_hold(state: State, hold: Hold, out: list[Event]) -> None:
    """Post the expiry of an overdue hold as an entry of its own (rule H2)."""
    assert state.recorded_at >= hold.expires_at, (state.recorded_at, hold.expires_at)
    out.append(HoldExpired(hold.account.number, hold.number))
    follow_up(state, returned_by(state, hold, ()), out)


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
