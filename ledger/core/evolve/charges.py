"""Fixed charges: their periods, fees, and what those earn (rules T1, S1, B4)."""

from __future__ import annotations

from ledger.core.charges.fixed_charges import FeeDraw, FixedCharge
from ledger.core.events import (
    ChargeBilling,
    ChargeChanged,
    ChargeEnded,
    ChargePeriodBegun,
    ChargeRepriced,
    ChargeStarted,
    Deferral,
    FeeCharged,
    FeeRecognised,
    Slice,
    Timing,
)
from ledger.core.evolve.corrections import undraw
from ledger.core.evolve.moves import post_slices, set_timer
from ledger.core.state import NEVER, TIMER_CHARGE, State


def charge_started(state: State, event: ChargeStarted) -> None:
    account = state.accounts[event.account]
    charge = FixedCharge(
        event.charge,
        account,
        event.name,
        event.terms,
        event.quantity,
        event.starts_at,
        event.ends_at or NEVER,
        state.now,
    )
    charge.packaged = not event.key
    state.charges[event.charge] = charge
    state.next_charge = event.charge + 1
    account.charges = (*account.charges, charge)
    _set_timer(state, charge)
    _remember(state, event.key)


def charge_period_begun(state: State, event: ChargePeriodBegun) -> None:
    charge = state.charges[event.charge]
    if charge.next_terms is not None:
        charge.terms, charge.next_terms = charge.next_terms, None
    charge.quantity, charge.next_quantity = event.quantity, -1
    charge.begun = event.number
    charge.next_at = event.end
    charge.period_start = event.start
    charge.period_end = event.end
    charge.charged_from = event.charged_from
    charge.charged_to = event.charged_to
    charge.full = event.full
    charge.counted = event.quantity
    charge.weighed = 0
    charge.weighed_to = event.charged_from
    charge.settled = False
    charge.charged = 0
    charge.drawn = ()
    if not charge.recurs:
        charge.ends_at = event.end
    if charge.terms.billing == ChargeBilling.ARREARS:  # else its fee follows
        _set_timer(state, charge)


def fee_charged(state: State, event: FeeCharged) -> None:
    charge = state.charges[event.charge]
    account = charge.account
    at, month = event.effective_at, event.period
    post_slices(state, account, event.used_book, month, event.slices, at)
    _defer(state, charge, event.deferrals)
    undraw(state, account, event.used_book, month, event.given_back, at)
    charge.charged += event.amount
    drawn = [*charge.drawn, *[FeeDraw(month, piece) for piece in event.slices]]
    charge.drawn = tuple(drawn if event.amount > 0 else _without(drawn, -event.amount))
    charge.earned_to = event.earned_to
    charge.earns_at = event.earns_at
    charge.earns_until = event.earns_until
    if event.settled:
        charge.settled = True
    _set_timer(state, charge)


def fee_recognised(state: State, event: FeeRecognised) -> None:
    charge = state.charges[event.charge]
    _defer(state, charge, event.deferrals)
    charge.earned_to = event.earned_to
    charge.earns_at = event.earns_at
    _set_timer(state, charge)


def _defer(state: State, charge: FixedCharge, deferrals: tuple[Deferral, ...]) -> None:
    """Move money between what is earned and what is not (rule B4)."""
    books = state.books
    unearned = dict(charge.unearned)
    for part in deferrals:
        revenue, deferred = books.accounts[part.revenue_book], books.accounts[part.unearned_book]
        if part.earned:
            books.transfer(deferred, revenue, part.earned)
        if part.deferred > 0:
            books.transfer(revenue, deferred, part.deferred)
        elif part.deferred < 0:
            books.transfer(deferred, revenue, -part.deferred)
        unearned[part.asset] = unearned.get(part.asset, 0) + part.deferred - part.earned
    charge.unearned = tuple([each for each in sorted(unearned.items()) if each[1]])


def _without(drawn: list[FeeDraw], amount: int) -> list[FeeDraw]:
    """The draws without their last `amount` units, which went back."""
    while amount:
        month, piece = drawn.pop()
        take = min(amount, piece.amount)
        amount -= take
        if take < piece.amount:
            value = piece.value - piece.value * take // piece.amount
            left = Slice(piece.pot, piece.book, piece.amount - take, value)
            drawn.append(FeeDraw(month, left))
    return drawn


def charge_changed(state: State, event: ChargeChanged) -> None:
    charge = state.charges[event.charge]
    charge.version = event.version
    if event.terms is not None:
        charge.next_terms = event.terms
    elif event.timing == Timing.NEXT_PERIOD:
        charge.next_quantity = event.quantity
    else:
        charge.quantity, charge.next_quantity = event.quantity, -1
        if event.weighed:
            charge.counted = event.quantity
            charge.weighed = int(event.weighed)
            charge.weighed_to = event.weighed_to
    if event.key:  # else of a package, or of its seats
        charge.packaged = False
    _remember(state, event.key)


def charge_repriced(state: State, event: ChargeRepriced) -> None:
    charge = state.charges[event.charge]
    charge.version = event.version
    charge.terms, charge.next_terms = event.terms, None
    charge.quantity, charge.next_quantity = event.quantity, -1
    if event.weighed:
        charge.counted = event.quantity
        charge.weighed = int(event.weighed)
        charge.weighed_to = event.weighed_to


def charge_ended(state: State, event: ChargeEnded) -> None:
    charge = state.charges[event.charge]
    charge.ends_at = event.ends_at
    if event.timing == Timing.NOW:
        charge.period_end = min(charge.period_end, event.ends_at)
        charge.settled = True
    _remember(state, event.key)


def _remember(state: State, key: bytes) -> None:
    """Note the key of what was asked for; a part of another decision has none."""
    if key:
        state.keys.add(key, state.locator)


def _set_timer(state: State, charge: FixedCharge) -> None:
    due = charge.due
    if due != NEVER:
        set_timer(state, charge.account, due, TIMER_CHARGE, charge.number)
