"""Paying for rated usage: what pays, and what follows the entry (rules D1, D4, R5, T2).

One path for usage, captures of holds and what waited for a price: `pay` finds the slices, and
`post` appends the entry with what its payment takes along. Reads state, changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ledger.core.catalog import Bound
from ledger.core.drawing.conversion import follow_conversion, open_conversion
from ledger.core.drawing.drawdown import BEYOND_LIMITS, Conversion, draw, is_commitment
from ledger.core.events import AdjustmentNoted, Event, LimitExceeded, Slice, UsageRecorded
from ledger.core.funding.following import follow_up
from ledger.core.opening import open_revenue, used_book
from ledger.core.pricing.costs import bearing
from ledger.core.pricing.pricing import Priced
from ledger.core.state import Account, Grant, State

_NO_SLICES: Final[tuple[Slice, ...]] = ()


class Payment:
    """What pays for usage: `slices` of pots in the asset of its price, of which `over_limit` units
    landed by the policy's excess; `conversion`, where the settlement currency pays a part; `used`:
    the book of what the product used, 0 where nothing is charged."""

    __slots__ = ("conversion", "over_limit", "slices", "used")

    def __init__(
        self,
        used: int,
        slices: tuple[Slice, ...],
        over_limit: int,
        conversion: Conversion | None,
    ) -> None:
        self.used = used
        self.slices = slices
        self.over_limit = over_limit
        self.conversion = conversion


NOTHING_TO_PAY: Final = Payment(0, _NO_SLICES, 0, None)


def pay(
    state: State,
    account: Account,
    bound: Bound,
    priced: Priced,
    at: int,
    out: list[Event],
    *,
    held: Sequence[Slice] = _NO_SLICES,
    cost: int = 0,
    counted_at: int = 0,
) -> Payment:
    """Who pays for what was priced: what a hold `held` for it, then as any usage, which counts
    towards caps when the hold does (`counted_at`).

    The slices bear the provider's `cost`. Books that are to be opened are appended to `out`.
    """
    total = priced.total
    if not total:
        return NOTHING_TO_PAY
    used = used_book(state, bound, out)
    left = total - sum([piece.amount for piece in held]) if held else total
    slices: Sequence[Slice] = held
    over_limit = sum([piece.amount for piece in held if piece.pot in BEYOND_LIMITS]) if held else 0
    conversion: Conversion | None = None
    if left:
        drawn = draw(
            state,
            account,
            bound.asset,
            bound.use,
            left,
            at,
            priced.period,
            out,
            True,
            not bound.plan.modeled,
            priced.committed - paid_by_commitments(state, held) if priced.committed else 0,
            counted_at,
        )
        slices = merged(state, held, drawn.slices) if held else drawn.slices
        over_limit += drawn.over_limit
        conversion = drawn.conversion
    product = bound.declaration.product
    open_revenue(state, account.tenant, product, slices, out)
    if conversion is not None:
        open_conversion(state, account, conversion, product, out)
    return Payment(used, bearing(slices, cost), over_limit, conversion)


def post(
    state: State,
    account: Account,
    bound: Bound,
    priced: Priced,
    payment: Payment,
    recorded: UsageRecorded,
    out: list[Event],
    returned: Sequence[tuple[Grant, int]] = (),
) -> None:
    """Append the entry and what follows from it: what was converted, goes back to grants that ended
    meanwhile, went over the limits, or belongs to a closed period."""
    entry = state.batch_length + len(out)
    out.append(recorded)
    conversion = payment.conversion
    if conversion is not None:
        product, at = bound.declaration.product, recorded.effective_at
        follow_conversion(state, account, conversion, product, entry, at, priced.period, out)
    if returned:
        follow_up(state, returned, out, payment.slices)
    if payment.over_limit and conversion is None:
        over, excess = payment.over_limit, account.policy.excess
        out.append(LimitExceeded(account.number, bound.asset, over, excess))
    if priced.closed is not None:
        out.append(AdjustmentNoted(account.number, entry, priced.closed, priced.period))


def paid_by_commitments(state: State, pieces: Sequence[Slice]) -> int:
    """Units of these slices that commitments pay."""
    paid = 0
    for piece in pieces:
        grant = state.books.accounts[piece.book].grant
        if grant is not None and is_commitment(grant):
            paid += piece.amount
    return paid


def merged(state: State, first: Sequence[Slice], more: Sequence[Slice]) -> list[Slice]:
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
