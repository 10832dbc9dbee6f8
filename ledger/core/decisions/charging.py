"""Usage is charged: to what its hold has reserved first, then as any usage (rules H1, D1).

Reads state, changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ledger.core.admission import (
    refuse_suspense,
)
from ledger.core.catalog import Bound
from ledger.core.drawing.drawdown import (
    is_commitment,
)
from ledger.core.drawing.paying import Payment, pay
from ledger.core.events import (
    Event,
    Pot,
    ProviderCost,
    RowDraw,
    Slice,
)
from ledger.core.outcomes import Refusal
from ledger.core.pricing.costs import cost_of, provider_cost
from ledger.core.pricing.pricing import Priced, price
from ledger.core.pricing.rerates import row_draws
from ledger.core.shapes import Shape
from ledger.core.state import Account, Hold, State


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
    since = hold.counted_at if hold is not None else 0
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
