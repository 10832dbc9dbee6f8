"""Captures: what was used is taken from its hold, whole or in parts; of any work where the hold is
for an operation (rules H1, D4).

Reads state, changes nothing.
"""

from __future__ import annotations

from ledger.core.admission import (
    in_future,
    known_account,
    refuse_closed,
    refuse_frozen,
    unusable,
)
from ledger.core.commands import CaptureHold
from ledger.core.decisions.charging import charge_usage
from ledger.core.decisions.holds import hold_settled, is_of_request, unknown_hold
from ledger.core.decisions.operation_draws import draw_refused, operation_differs
from ledger.core.drawing.paying import post
from ledger.core.events import (
    Event,
    UsageCaptured,
    UsageCosted,
    UsageModeled,
    UsageRecorded,
)
from ledger.core.funding.following import refill, returned_by
from ledger.core.identity import KEY_BYTES
from ledger.core.opening import declare
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.pricing.contracted import bound_for
from ledger.core.pricing.quoted import ByQuote, price_by_quote
from ledger.core.shapes import Shape
from ledger.core.state import HOLD_EXPIRED, QUOTE_OPEN, Account, Grant, Hold, State


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
    if hold is not None and hold.account is account and is_of_request(hold):
        product, attributes, operation = hold.product, hold.attributes, hold.operation
        drawn = hold.drawn
    else:
        hold = None
        settled = state.settled_hold(account, command.hold)
        if settled is None or settled.account is not account or not is_of_request(settled):
            return unknown_hold(command.hold)
        if settled.ended != HOLD_EXPIRED or settled.captured_late:
            return hold_settled(command.hold, settled.settled_at)
        product, attributes, operation = settled.product, settled.attributes, settled.operation
        drawn = settled.drawn
    if drawn is not None:
        if hold is not None:  # one that comes late draws nothing of it
            refusal = operation_differs(state, account, hold, command.operation, state.now)
            if refusal is not None:
                return refusal
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
            refusal = draw_refused(state, account, shape, bound, at, state.now)
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
        refill(state, hold, charge.taken, out)
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
