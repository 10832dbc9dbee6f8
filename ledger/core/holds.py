"""Deciding holds: authorise, capture, release, expire (rules H1 to H3).

A hold reserves exact slices as pending debits; every way out settles it exactly once. Reads state,
changes nothing.
"""

from __future__ import annotations

from ledger.core.commands import AuthorizeHold, CaptureHold, ReleaseHold
from ledger.core.drawdown import draw, from_grants, house_book, overdraft_headroom
from ledger.core.events import (
    AuthorizeDenied,
    BookKind,
    Event,
    HoldAuthorized,
    HoldExpired,
    HoldReleased,
    LimitExceeded,
    Slice,
    Suspense,
    UsageRecorded,
)
from ledger.core.grants import follow_up, returned_by
from ledger.core.limits import (
    FUTURE_TOLERANCE_US,
    HOLD_LIFETIME_DEFAULT_US,
    HOLD_LIFETIME_MAX_US,
    INT64_MAX,
    KEYS_A_SHARD_MAX,
)
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.shapes import Shape
from ledger.core.state import HOLD_EXPIRED, Account, Hold, State
from ledger.core.usage import (
    account_closed,
    declare,
    in_future,
    keys_exhausted,
    overflow,
    rating_fault,
    rounding_totals,
    unknown_account,
)
from rating.price import UNPRICED, RatingFault, rate


class Assessment:
    """What a piece of work would cost an account now, and what would pay: the answer of Check."""

    __slots__ = ("asset", "available", "card_version", "charge", "charges", "denied", "uses_debt")

    def __init__(
        self,
        asset: int,
        charge: int,
        charges: tuple[int, ...],
        available: int,
        card_version: int,
        denied: str,
        uses_debt: bool,
    ) -> None:
        self.asset = asset
        self.charge = charge
        self.charges = charges
        self.available = available
        self.card_version = card_version
        self.denied = denied  # "" = allowed, else the reason
        self.uses_debt = uses_debt


def assess(
    state: State, account: Account, shape: Shape, quantities: tuple[int, ...], now: int
) -> Assessment | Refusal:
    """Decide without recording: advisory (rules D4, B8). Used by Check and Quote."""
    if account.closed_at:
        return account_closed(account)
    bound, plan = state.catalog.step(account.card_key, shape, now, quantities)
    period = state.months.start_of(now)
    try:
        charges, total, _, _ = rate(plan, quantities, rounding_totals(account, plan, period))
    except RatingFault as fault:
        return rating_fault(fault)
    if total > INT64_MAX:
        return overflow(state, bound, total)
    available = available_to(account, bound.asset, shape.product, now)
    denied, uses_debt = "", False
    if UNPRICED in charges:
        denied = Reason.UNPRICED
    elif total:
        found = draw(state, account, bound.asset, shape.product, total, now, period, [], False)
        uses_debt = found.uses_debt
        if found.left:
            denied = Reason.INSUFFICIENT_CREDITS
    return Assessment(
        bound.asset, total, charges, available, bound.declaration.card_version, denied, uses_debt
    )


def available_to(account: Account, asset: int, product: str, now: int) -> int:
    """Units that `product` may use now: applicable grants and overdraft headroom (rule B6)."""
    found: list[Slice] = []
    left = from_grants(account, asset, product, _EVERYTHING, now, found)
    return _EVERYTHING - left + overdraft_headroom(account, asset)


_EVERYTHING = INT64_MAX * INT64_MAX


def decide_authorize(
    state: State, command: AuthorizeHold, out: list[Event]
) -> Event | Known | Refusal:
    """Reserve the estimate's price, or record the denial: both replay (rules H1, I2)."""
    locator = state.keys.find(command.key)
    if locator is not None:
        return Known(locator)
    account = state.accounts.get(command.account)
    if account is None:
        return unknown_account(command.account)
    if len(state.keys) >= KEYS_A_SHARD_MAX:
        return keys_exhausted()
    lifetime = command.lifetime or HOLD_LIFETIME_DEFAULT_US
    if not 0 < lifetime <= HOLD_LIFETIME_MAX_US:
        return Refusal(
            Reason.HOLD_LIFETIME_INVALID,
            "lifetime_us",
            str(command.lifetime),
            f"a hold lives from 1 to {HOLD_LIFETIME_MAX_US} us",
        )
    if len(account.holds) >= account.policy.holds_open_max:
        return Refusal(
            Reason.HOLDS_LIMIT,
            "account",
            str(len(account.holds)),
            "the account has as many open holds as its policy allows; capture or release some",
        )
    now = state.recorded_at
    assessment = assess(state, account, command.shape, command.quantities, now)
    if isinstance(assessment, Refusal):
        return assessment
    bound, _ = state.catalog.step(account.card_key, command.shape, now, command.quantities)
    if assessment.denied:
        denied = AuthorizeDenied(
            command.key,
            account.number,
            declare(state, bound, out),
            command.quantities,
            assessment.charge,
            assessment.available,
            assessment.denied,
            command.lifetime,
            account.version,
            command.trace,
        )
        out.append(denied)
        return denied
    used = 0
    slices: tuple[Slice, ...] = ()
    if assessment.charge:
        used = house_book(state, account.tenant, BookKind.USED, bound.asset, bound.used_key[3], out)
        period = state.months.start_of(now)
        slices = tuple(
            draw(
                state,
                account,
                bound.asset,
                command.shape.product,
                assessment.charge,
                now,
                period,
                out,
                False,
            ).slices
        )
    authorized = HoldAuthorized(
        command.key,
        account.number,
        state.next_hold,
        declare(state, bound, out),
        command.quantities,
        assessment.charges,
        used,
        slices,
        now,
        now + lifetime,
        command.lifetime,
        account.version,
        command.trace,
    )
    out.append(authorized)
    return authorized


def decide_capture(state: State, command: CaptureHold, out: list[Event]) -> Event | Known | Refusal:
    """Settle a hold at the actual quantities (rule H1).

    Less than the hold gives the rest back; more draws the excess as new usage. After expiry the
    usage is recorded as plain usage, marked late. A captured or released hold is refused.
    """
    locator = state.keys.find(command.key)
    if locator is not None:
        return Known(locator)
    if state.accounts.get(command.account) is None:
        return unknown_account(command.account)
    if len(state.keys) >= KEYS_A_SHARD_MAX:
        return keys_exhausted()
    hold = state.holds.get(command.hold)
    if hold is not None and hold.account.number == command.account:
        shape = Shape(hold.product, hold.attributes, command.quantity_names)
        return _capture(state, command, hold.account, shape, hold, out)
    settled = state.settled_holds.get(command.hold)
    if settled is None or settled.account.number != command.account:
        return unknown_hold(command.hold)
    if settled.ended != HOLD_EXPIRED:
        return hold_settled(command.hold, settled.settled_at)
    shape = Shape(settled.product, settled.attributes, command.quantity_names)
    return _capture(state, command, settled.account, shape, None, out)


def _capture(
    state: State,
    command: CaptureHold,
    account: Account,
    shape: Shape,
    hold: Hold | None,
    out: list[Event],
) -> Event | Refusal:
    now = state.recorded_at
    at = command.effective_at or now
    if at > now + FUTURE_TOLERANCE_US:
        return in_future(at, now)
    bound, plan = state.catalog.step(account.card_key, shape, at, command.quantities)
    period = state.months.start_of(at)
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
        left = _from_hold(state, hold, total, slices)
    over_limit = 0
    used = 0
    if total:
        used = house_book(state, account.tenant, BookKind.USED, bound.asset, bound.used_key[3], out)
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
        Suspense.UNPRICED if UNPRICED in charges else Suspense.NONE,
        1 if command.effective_at else 0,
        command.hold,
        1 if hold is None else 0,
        b"",
        b"",
        command.trace,
    )
    out.append(captured)
    if hold is not None:
        follow_up(state, returned_by(state, hold, slices), out)
    if over_limit:
        out.append(LimitExceeded(account.number, bound.asset, over_limit, account.policy.excess))
    return captured


def _from_hold(state: State, hold: Hold, total: int, slices: list[Slice]) -> int:
    """Pay from the hold's own slices, in their order; returns what they do not cover."""
    left = total
    for piece in hold.slices:
        if left == 0:
            break
        take = min(piece.amount, left)
        grant = state.books.accounts[piece.book].grant
        # A grant's value follows what is drawn by now, so that the last slice takes the exact rest.
        value = grant.value_of(take, grant.drawn) if grant is not None else 0
        if grant is None and piece.value:
            value = take
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
        value = (
            grant.value_of(amount, grant.drawn) if grant is not None else before.value + piece.value
        )
        merged[place] = Slice(piece.pot, piece.book, amount, value, before.cost + piece.cost)
    return list(merged.values())


def decide_release(state: State, command: ReleaseHold, out: list[Event]) -> Event | Known | Refusal:
    """Give a hold back; one that is settled already is refused by name."""
    locator = state.keys.find(command.key)
    if locator is not None:
        return Known(locator)
    if state.accounts.get(command.account) is None:
        return unknown_account(command.account)
    if len(state.keys) >= KEYS_A_SHARD_MAX:
        return keys_exhausted()
    hold = state.holds.get(command.hold)
    if hold is None or hold.account.number != command.account:
        settled = state.settled_holds.get(command.hold)
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
        f"the hold was captured or released at {settled_at}",
    )
