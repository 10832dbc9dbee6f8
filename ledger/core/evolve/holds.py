"""Holds reserve slices, and settle exactly once (rules H1 to H3)."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from ledger.core.events import (
    AuthorizeDenied,
    HoldAuthorized,
    HoldCharged,
    HoldDebited,
    HoldExpired,
    HoldExpiry,
    HoldExtended,
    HoldRefilled,
    HoldReleased,
    OperationHeld,
    OperationPartHeld,
    OperationReserved,
    OutcomeConfirmed,
    OutcomeRejected,
    OutcomeReported,
    SizedOperationHeld,
    Slice,
    UsageCaptured,
    UsageRecorded,
)
from ledger.core.evolve.caps import count_draw
from ledger.core.evolve.moves import OVERAGE, set_timer
from ledger.core.leases.leases import SettledLease
from ledger.core.state import (
    HOLD_CAPTURED,
    HOLD_CHARGED,
    HOLD_EXPIRED,
    HOLD_RELEASED,
    NEVER,
    QUOTE_USED,
    TIMER_HOLD,
    Estimate,
    Hold,
    Outcome,
    SettledHold,
    SettledOutcome,
    State,
)


def capture(state: State, event: UsageRecorded) -> int:
    """Settle the hold that this usage is of, or take its part; or note that the last capture came
    late (rules H1, H2). Returns when it counts towards caps: when the hold was authorised (H5)."""
    if event.late:
        if not isinstance(event, UsageCaptured):
            family = state.families[state.accounts[event.account].root]
            family.settled[event.hold].captured_late = True
        return event.effective_at
    hold = state.holds[event.hold]
    if isinstance(event, UsageCaptured | HoldDebited):
        _take(state, hold, event)
        return hold.counted_at
    by_slice = hold.taken_by(event.slices, event.period)
    taken = sum(by_slice)
    if hold.drawn is not None:
        hold.draw(state.declared[event.plan].product, taken)
    elif hold.part_of:
        _draw_of_whole(state, hold, state.declared[event.plan].product, by_slice)
    if isinstance(event, HoldCharged):
        settle(state, hold, HOLD_CHARGED, taken)
        return hold.counted_at
    hold.captures += 1
    if isinstance(event, OutcomeConfirmed):
        charge = sum([piece.amount for piece in event.slices])
        settle(state, hold, HOLD_CHARGED if event.by_time else HOLD_CAPTURED, taken, charge)
    else:
        settle(state, hold, HOLD_CAPTURED, taken)
    return hold.counted_at


def _take(state: State, hold: Hold, event: UsageCaptured | HoldDebited) -> None:
    """A part of the hold is captured: it no longer pends, the rest stays held."""
    _lower(state, hold, event.taken)
    hold.captures += 1
    if hold.drawn is not None:
        hold.draw(state.declared[event.plan].product, sum(event.taken))
    elif hold.part_of:
        _draw_of_whole(state, hold, state.declared[event.plan].product, event.taken)
    if hold.estimate is not None:
        names = state.declared[event.plan].quantity_names
        hold.estimate = hold.estimate.without(names, event.quantities)


def _lower(state: State, hold: Hold, units: Sequence[int]) -> None:
    """So many units of each of its slices no longer pend."""
    rest = list(hold.slices)
    for place, taken in enumerate(units):
        if taken:
            _unreserve(state, hold, rest[place], taken)
            rest[place] = replace(rest[place], amount=rest[place].amount - taken)
    hold.slices = tuple(rest)


def _draw_of_whole(state: State, hold: Hold, product: str, taken: Sequence[int]) -> None:
    """What a call's hold draws is drawn of its operation's first, as far as it came from there."""
    used = [min(part, units) for part, units in zip(hold.parts, taken, strict=False)]
    if not any(used):
        return
    hold.parts = tuple([part - units for part, units in zip(hold.parts, used, strict=True)])
    whole = state.holds.get(hold.part_of)
    if whole is not None:
        whole.draw(product, sum(used))


def hold_refilled(state: State, event: HoldRefilled) -> None:
    """What a call's hold has left of its operation's is held there again."""
    part, whole = state.holds[event.part], state.holds[event.hold]
    units = {
        (piece.pot, piece.book): amount
        for piece, amount in zip(whole.slices, event.units, strict=True)
    }
    back = [units.get((piece.pot, piece.book), 0) for piece in part.slices]
    _lower(state, part, back)
    part.parts = tuple([left - moved for left, moved in zip(part.parts, back, strict=True)])
    part.handed_on = sum(event.units)
    slices = list(whole.slices)
    for place, amount in enumerate(event.units):
        if amount:
            _reserve(state, whole, slices[place], amount)
            slices[place] = replace(slices[place], amount=slices[place].amount + amount)
    whole.slices = tuple(slices)


def hold_authorized(state: State, event: HoldAuthorized) -> None:
    account = state.accounts[event.account]
    plan = state.declared[event.plan]
    used = state.books.accounts[event.used_book] if event.used_book else None
    hold = Hold(
        event.hold,
        account,
        plan.product,
        plan.attributes,
        plan.asset,
        used,
        event.slices,
        event.effective_at,
        event.expires_at,
        event.lifetime_max,
        event.period,
        Estimate(plan, event.quantities) if event.expiry == HoldExpiry.CHARGE else None,
    )
    state.holds[event.hold] = hold
    state.next_hold = event.hold + 1
    account.holds[event.hold] = hold
    if isinstance(event, OperationPartHeld) and any(event.taken):
        _take_over(state, hold, state.holds[event.of], event.taken)
    reserve(state, hold)
    lend(state, hold)
    if event.expires_at != NEVER:  # an outcome may pend until somebody says
        set_timer(state, account, event.expires_at, TIMER_HOLD, event.hold)
    if isinstance(event, OperationHeld | SizedOperationHeld):
        hold.operation = event.operation
    if isinstance(event, OperationReserved):
        hold.drawn = {}
    if event.quote:
        hold.quote = event.quote
        state.quotes[event.quote].hold = event.hold
    if event.key:  # one that follows its quote has none
        state.keys.add(event.key, state.locator)


def _take_over(state: State, hold: Hold, whole: Hold, taken: tuple[int, ...]) -> None:
    """A call's hold is made of its operation's: that has so much less of each of its slices."""
    units = {
        (piece.pot, piece.book): amount for piece, amount in zip(whole.slices, taken, strict=True)
    }
    _lower(state, whole, taken)
    hold.part_of, hold.counted_at = whole.number, whole.counted_at
    hold.parts = tuple([units.get((piece.pot, piece.book), 0) for piece in hold.slices])


def outcome_reported(state: State, event: OutcomeReported) -> None:
    """Reserve as for a hold, and remember what is charged once the outcome is confirmed."""
    hold_authorized(state, event)
    hold = state.holds[event.hold]
    hold.outcome = Outcome(
        Estimate(state.declared[event.plan], event.quantities),
        hold.estimate is not None,
        state.now,
        state.locator,
    )
    hold.estimate = None
    hold.account.outcomes += 1


def outcome_rejected(state: State, event: OutcomeRejected) -> None:
    settle(state, state.holds[event.hold], HOLD_EXPIRED if event.by_time else HOLD_RELEASED)
    if event.key:  # the clock has none
        state.keys.add(event.key, state.locator)


def hold_extended(state: State, event: HoldExtended) -> None:
    hold = state.holds[event.hold]
    hold.expires_at = event.expires_at
    set_timer(state, hold.account, event.expires_at, TIMER_HOLD, event.hold)
    state.keys.add(event.key, state.locator)


def lend(state: State, hold: Hold) -> None:
    """Note with the owners of shared grants that a hold of an account below reserves units."""
    for piece in hold.slices:
        grant = state.books.accounts[piece.book].grant
        if grant is not None and grant.account is not hold.account:
            owner = grant.account
            owner.lent[hold.number] = hold
            owner.next_due = min(owner.next_due, hold.expires_at)


def reserve(state: State, hold: Hold) -> None:
    """All of its slices pend from now on."""
    for piece in hold.slices:
        _reserve(state, hold, piece, piece.amount)


def _reserve(state: State, hold: Hold, piece: Slice, amount: int) -> None:
    """So much of one of the hold's slices pends from now on."""
    account = hold.account
    assert hold.used is not None
    book = state.books.accounts[piece.book]
    state.books.reserve(book, hold.used, amount)
    if book.grant is not None and book.grant.account.caps_given:
        count_draw(account, book.grant, hold.counted_at, 0, amount)
    if piece.pot == OVERAGE:
        pending = account.overage_pending
        pending[hold.asset] = pending.get(hold.asset, 0) + amount


def unreserve(state: State, hold: Hold) -> None:
    """Nothing of its slices pends any more."""
    for piece in hold.slices:
        grant = state.books.accounts[piece.book].grant
        if grant is not None:
            grant.account.lent.pop(hold.number, None)
        if piece.amount:
            _unreserve(state, hold, piece, piece.amount)


def _unreserve(state: State, hold: Hold, piece: Slice, amount: int) -> None:
    """So much of one of the hold's slices no longer pends."""
    assert hold.used is not None
    book = state.books.accounts[piece.book]
    state.books.release(book, hold.used, amount)
    if book.grant is not None and book.grant.account.caps_given:
        count_draw(hold.account, book.grant, hold.counted_at, 0, -amount)
    if piece.pot == OVERAGE:
        hold.account.overage_pending[hold.asset] -= amount


def settle(state: State, hold: Hold, ended: int, taken: int = 0, charge: int = 0) -> None:
    """Take every pending slice back; every way out of a hold comes through here, once.

    `taken` is what of it this way out drew, for whoever asks how much was captured; `charge` what
    an outcome was charged.
    """
    account = hold.account
    left = hold.left
    unreserve(state, hold)
    del state.holds[hold.number]
    del account.holds[hold.number]
    if hold.quote in state.quotes:
        state.quotes[hold.quote].hold = 0
        if ended == HOLD_CHARGED:
            settle_quote(state, hold.quote, QUOTE_USED)
    outcome = hold.outcome
    settled = None
    if outcome is not None:
        account.outcomes -= 1
        settled = SettledOutcome(
            outcome.reported_at,
            outcome.reported_by,
            state.locator,
            charge,
            outcome.estimate.plan.quantity_names,
            outcome.estimate.quantities,
        )
    lease = hold.lease
    ended_lease = None
    if lease is not None:
        account.leases = tuple([each for each in account.leases if each is not hold])
        ended_lease = SettledLease(
            lease.holder,
            lease.on_lapse,
            lease.granted_at,
            lease.reports,
            lease.reported,
            lease.over,
            left if ended == HOLD_EXPIRED else 0,
        )
    family = state.families[account.root]
    family.forget_settled(state.settled_before)
    family.settled[hold.number] = SettledHold(
        hold.number,
        account,
        hold.product,
        hold.attributes,
        hold.asset,
        hold.amount,
        ended,
        False,
        state.now,
        hold.amount - left - hold.handed_on + taken,
        hold.captures,
        hold.authorized_at,
        hold.expires_at,
        settled,
        ended_lease,
        hold.operation,
        hold.drawn,
        hold.counted_at,
    )


def settle_quote(state: State, number: int, settled: int) -> None:
    """A quote is used, or expires: once (rule H9)."""
    quote = state.quotes.pop(number)
    del quote.account.quotes[number]
    quote.state = settled
    quote.settled_at = state.now
    family = state.families[quote.account.root]
    family.forget_quotes(state.settled_before)
    family.settled_quotes[number] = quote


def authorize_denied(state: State, event: AuthorizeDenied) -> None:
    state.keys.add(event.key, state.locator)


def hold_released(state: State, event: HoldReleased) -> None:
    settle(state, state.holds[event.hold], HOLD_RELEASED)
    state.keys.add(event.key, state.locator)


def hold_expired(state: State, event: HoldExpired) -> None:
    settle(state, state.holds[event.hold], HOLD_EXPIRED)
