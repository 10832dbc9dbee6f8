"""Deciding what waited for a price: rate it at its effective time once it has one (B8, D5, T2).

The door for the sweep: a family's usage events in order of recording, so that the earlier one draws
first. Reads state, changes nothing. What has no price yet stays as it is.
"""

from __future__ import annotations

from typing import Final

from ledger.core.catalog import Bound
from ledger.core.conversion import follow_conversion, open_conversion
from ledger.core.costs import costs_for
from ledger.core.drawdown import Conversion, draw, open_revenue
from ledger.core.events import (
    AdjustmentNoted,
    Event,
    LimitExceeded,
    Slice,
    SuspenseRated,
)
from ledger.core.outcomes import Refusal
from ledger.core.pricing import Priced, price
from ledger.core.rerates import row_draws
from ledger.core.shapes import Shape
from ledger.core.state import Account, State
from ledger.core.usage import declare, used_book
from ledger.core.waiting import Waiting
from rating.price import UNPRICED

_NO_SLICES: Final[tuple[Slice, ...]] = ()


def rate_waiting(state: State, locator: int, waiting: Waiting, out: list[Event]) -> None:
    """Append what rates a usage event as far as it now has prices, by the versions that apply at
    its effective time; nothing where none has come."""
    account = state.accounts[waiting.account]
    if account.closed_at and account.closed_at <= account.closed_by(state.now):
        return  # a closed account takes nothing once its grace has ended (rule T2)
    at, quantities = waiting.effective_at, waiting.quantities
    shape = state.catalog.shape(*waiting.described)
    found = _first_price(state, account, shape, waiting)
    if found is None:
        return
    bound, priced, rated = found
    waits = tuple([place for place in waiting.places if place not in rated])
    priced.keep(bound.plan, rated, waits)
    total, period = priced.total, priced.period
    used = over_limit = 0
    slices = _NO_SLICES
    conversion: Conversion | None = None
    if total:
        used = used_book(state, bound, out)
        drawn = draw(
            state, account, bound.asset, bound.use, total, at, period, out, True,
            not bound.plan.modeled,
        )  # fmt: skip
        slices, over_limit = tuple(drawn.slices), drawn.over_limit
        open_revenue(state, account.tenant, shape.product, slices, out)
        conversion = drawn.conversion
        if conversion is not None:
            open_conversion(state, account, conversion, shape.product, out)
    index = declare(state, bound, out)
    entry = state.batch_length + len(out)
    out.append(
        SuspenseRated(
            b"",
            account.number,
            at,
            index,
            quantities,
            priced.charges,
            used,
            slices,
            period,
            priced.advances,
            over_limit,
            scoped=priced.scoped,
            draws=row_draws(bound.plan, priced, used, slices),
            totals_before=priced.totals_before,
            original=locator,
            original_entry=waiting.entry_seq,
            rated=rated,
            settled=0 if waits else 1,
        )
    )
    if conversion is not None:
        follow_conversion(state, account, conversion, shape.product, entry, at, period, out)
    elif over_limit:
        out.append(LimitExceeded(account.number, bound.asset, over_limit, account.policy.excess))
    if priced.closed is not None:
        out.append(AdjustmentNoted(account.number, entry, priced.closed, period))


def _first_price(
    state: State, account: Account, shape: Shape, waiting: Waiting
) -> tuple[Bound, Priced, tuple[int, ...]] | None:
    """The first version that rates something of what waits, and what: one that is in force may have
    a row for it and yet not be able to, where a price model lacks something."""
    at, quantities, places = waiting.effective_at, waiting.quantities, waiting.places
    for bound in state.catalog.card(account.card_key).reaching(shape, at, quantities, places):
        costs = costs_for(state, account, bound, shape, quantities, at)
        if isinstance(costs, Refusal):
            continue
        priced = price(state, account, bound, quantities, at, costs=costs)
        if not isinstance(priced, Refusal):
            rated = tuple([place for place in places if priced.charges[place] != UNPRICED])
            if rated:
                return bound, priced, rated
    return None


def rated_by(state: State, account: int, locator: int) -> tuple[int, ...]:
    """The entries that rated a usage event of the account after it had waited; () = none did."""
    found = state.accounts.get(account)
    rated = state.families[found.root].rated.get(locator) if found is not None else None
    return rated.entries if rated is not None else ()
