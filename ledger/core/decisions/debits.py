"""Charging work at once if it is within every limit (rules D4, H4): authorised and captured in one.

The entry is usage like any other, with slices from the pots that may be held, so that corrections,
budgets and read models know it as they know usage. Reads state, changes nothing.
"""

from __future__ import annotations

from ledger.core.admission import known_account, outcome_expected, refuse_new
from ledger.core.commands import DebitWork
from ledger.core.decisions.assessing import Assessment
from ledger.core.decisions.authorizing import (
    alternatives_refused,
    assess_up_to,
    deny,
    operation_refused,
    range_of,
)
from ledger.core.decisions.charging import from_hold
from ledger.core.decisions.operation_draws import paying_hold
from ledger.core.decisions.ruling import rule
from ledger.core.drawing.drawdown import Overdraw, draw
from ledger.core.drawing.paying import (
    NOTHING_TO_PAY,
    Payment,
    merged,
    paid_by_commitments,
    post,
)
from ledger.core.events import (
    Event,
    HoldDebited,
    Limit,
    PolicyDebited,
    Ruling,
    Slice,
    UpTo,
    UsageDebited,
)
from ledger.core.opening import declare, open_revenue, used_book
from ledger.core.outcomes import Known, Refusal
from ledger.core.pricing.costs import bearing, cost_of, provider_cost
from ledger.core.pricing.rerates import row_draws
from ledger.core.shapes import Shape
from ledger.core.state import Account, Hold, State


def decide_debit(state: State, command: DebitWork, out: list[Event]) -> Event | Known | Refusal:
    """Charge the work whole, or as much as is affordable where that was asked; else record the
    denial: both replay (rule I2)."""
    account = known_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    refusal = refuse_new(account)
    if refusal is not None:
        return refusal
    up_to = range_of(command.shape, command.quantities, command.up_to, command.minimum)
    if isinstance(up_to, Refusal):
        return up_to
    refusal = alternatives_refused(command)
    if refusal is not None:
        return refusal
    refusal = operation_refused(state, account, command.operation)
    if refusal is not None:
        return refusal
    hold: Hold | None = None
    operation = command.operation
    if command.hold:
        paying = paying_hold(
            state, account, command.hold, operation, command.shape, command.quantities, state.now
        )
        if isinstance(paying, Refusal):
            return paying
        hold = paying
        operation = operation or hold.operation
    afforded = assess_up_to(
        state, account, command.shape, command.quantities, up_to, state.now,
        operation=operation, hold=hold,
    )  # fmt: skip
    if isinstance(afforded, Refusal):
        return afforded
    found, quantities, limit = afforded
    if found.bound.terms.outcome is not None:
        return outcome_expected(command.shape.product)
    shape, ruling, overdraw = command.shape, None, None
    if account.rules is not None or command.alternatives:
        ruled = rule(
            state, account, shape, command.quantities, up_to, command.alternatives, 0, afforded,
            state.now, operation, hold,
        )  # fmt: skip
        if ruled is not None:
            (found, quantities, limit), shape, up_to, _, ruling, overdraw = ruled
    if found.denied:
        return deny(
            state, account, found, command.quantities, out, command.key, command.trace,
            up_to=up_to, debit=1, operation=operation, ruling=ruling, hold=command.hold,
        )  # fmt: skip
    return _debited(
        state, account, command, shape, found, quantities, up_to, limit, ruling, overdraw, out,
        operation, hold,
    )  # fmt: skip


def _debited(
    state: State,
    account: Account,
    command: DebitWork,
    shape: Shape,
    found: Assessment,
    quantities: tuple[int, ...],
    up_to: UpTo | None,
    limit: Limit | None,
    ruling: Ruling | None,
    overdraw: Overdraw | None,
    out: list[Event],
    operation: bytes,
    hold: Hold | None,
) -> UsageDebited | Refusal:
    now, bound = state.now, found.bound
    cost = cost_of(state, account, bound, shape, quantities, now)
    if isinstance(cost, Refusal):
        return cost
    priced = found.priced
    out.extend(found.opened)
    slices, taken = found.slices, found.taken
    if found.charge != priced.total:  # what it makes earlier usage cost follows as its own entry
        slices, taken = _slices(state, account, found, now, out, overdraw, hold)
    payment = NOTHING_TO_PAY
    if slices:
        borne = cost.total if cost is not None else 0
        open_revenue(state, account.tenant, bound.declaration.product, slices, out)
        payment = Payment(used_book(state, bound, out), bearing(slices, borne), 0, None)
    draws = row_draws(bound.plan, priced, payment.used, payment.slices)
    figures = (
        command.key,
        account.number,
        now,
        declare(state, bound.declaration, out),
        quantities,
        priced.charges,
        payment.used,
        payment.slices,
        priced.period,
        priced.advances,
        0,
        0,
        0,
        command.hold,
        0,
        operation,
        b"",
        command.trace,
        priced.reasons,
        priced.scoped,
        draws,
        priced.totals_before,
        priced.listed,
        provider_cost(state, account, cost, out) if cost is not None else None,
        account.version,
        up_to,
        limit,
    )
    if hold is not None:
        debited: UsageDebited = HoldDebited(*figures, ruling, taken)
    else:
        debited = UsageDebited(*figures) if ruling is None else PolicyDebited(*figures, ruling)
    post(state, account, bound, priced, payment, debited, out)
    return debited


def _slices(
    state: State,
    account: Account,
    found: Assessment,
    now: int,
    out: list[Event],
    overdraw: Overdraw | None,
    hold: Hold | None,
) -> tuple[tuple[Slice, ...], tuple[int, ...]]:
    """What pays for the lines alone: the first of what was found to pay for all; and what of it is
    of each slice of the hold."""
    priced = found.priced
    held: list[Slice] = []
    taken: list[int] = []
    if hold is not None and hold.asset == found.asset:
        from_hold(state, hold, priced, held, taken, priced.total)
    left = priced.total - sum([piece.amount for piece in held])
    if not left:
        return tuple(held), tuple(taken)
    committed = priced.committed
    if committed and held:
        committed -= paid_by_commitments(state, held)
    drawn = draw(
        state, account, found.asset, found.bound.use, left, now, priced.period, out, False,
        committed=committed, counted_at=hold.counted_at if hold is not None else 0,
        overdraw=overdraw,
    )  # fmt: skip
    assert not drawn.left, "more than this was found to be affordable"
    return tuple(merged(state, held, drawn.slices)), tuple(taken)
