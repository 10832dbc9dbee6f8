"""Deciding what waited for a price: rate it at its effective time once it has one (B8, D5, T2).

The door for the sweep: a family's usage events in order of recording, so that the earlier one draws
first. Reads state, changes nothing. What has no price yet stays as it is.
"""

from __future__ import annotations

from ledger.core.catalog import Bound
from ledger.core.drawing.paying import pay, post
from ledger.core.events import Event, SuspenseRated
from ledger.core.metering.waiting import Waiting
from ledger.core.opening import declare
from ledger.core.outcomes import Refusal
from ledger.core.pricing.contracted import as_contracted
from ledger.core.pricing.costs import costs_for
from ledger.core.pricing.pricing import Priced, price
from ledger.core.pricing.rerates import row_draws
from ledger.core.shapes import Shape
from ledger.core.state import Account, State
from rating.price import UNPRICED


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
    payment = pay(state, account, bound, priced, at, out)
    recorded = SuspenseRated(
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
        scoped=priced.scoped,
        draws=row_draws(bound.plan, priced, payment.used, payment.slices),
        totals_before=priced.totals_before,
        listed=priced.listed,
        original=locator,
        original_entry=waiting.entry_seq,
        rated=rated,
        settled=0 if waits else 1,
    )
    post(state, account, bound, priced, payment, recorded, out)


def _first_price(
    state: State, account: Account, shape: Shape, waiting: Waiting
) -> tuple[Bound, Priced, tuple[int, ...]] | None:
    """The first version that rates something of what waits, and what: one that is in force may have
    a row for it and yet not be able to, where a price model lacks something."""
    at, quantities, places = waiting.effective_at, waiting.quantities, waiting.places
    for bound in state.catalog.card(account.card_key).reaching(shape, at, quantities, places):
        if as_contracted(account, bound, at) is not bound:
            continue
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
