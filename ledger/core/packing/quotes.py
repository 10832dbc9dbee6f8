"""Quotes, open and settled."""

from __future__ import annotations

import msgspec

from ledger.core.events import PlanDeclared, PlanOverridden
from ledger.core.pricing.quotes import QUOTE_OPEN, Quote
from ledger.core.state import Family, State
from rating.overrides import NumberedOverride


class PackedQuote(msgspec.Struct, array_like=True, gc=False):
    """A quote; its hold is known by that."""

    number: int
    account: int
    product: str
    attributes: tuple[tuple[str, str], ...]
    quantity_names: tuple[str, ...]
    rate_card: str
    card_version: int
    rows: tuple[int, ...]
    asset: int
    quantities: tuple[int, ...]
    own: tuple[int, ...]
    charges: tuple[int, ...]
    positions: tuple[tuple[int, int], ...]
    tolerance: int
    made_at: int
    expires_at: int
    hold: int
    state: int
    settled_at: int
    overrides: tuple[NumberedOverride | None, ...] = ()


def pack_quote(quote: Quote) -> PackedQuote:
    plan = quote.plan
    return PackedQuote(
        quote.number,
        quote.account.number,
        plan.product,
        plan.attributes,
        plan.quantity_names,
        plan.rate_card,
        plan.card_version,
        plan.rows,
        plan.asset,
        quote.quantities,
        quote.own,
        quote.charges,
        quote.positions,
        quote.tolerance,
        quote.made_at,
        quote.expires_at,
        quote.hold,
        quote.state,
        quote.settled_at,
        plan.overrides,
    )


def unpack_quote(state: State, family: Family, packed: PackedQuote) -> None:
    account = state.accounts[packed.account]
    declared = (
        packed.product,
        packed.attributes,
        packed.quantity_names,
        packed.rate_card,
        packed.card_version,
        packed.rows,
        packed.asset,
    )
    quote = Quote(
        packed.number,
        account,
        PlanOverridden(*declared, packed.overrides)
        if packed.overrides
        else PlanDeclared(*declared),
        packed.quantities,
        packed.own,
        packed.charges,
        packed.positions,
        packed.tolerance,
        packed.made_at,
        packed.expires_at,
    )
    quote.hold = packed.hold
    quote.state = packed.state
    quote.settled_at = packed.settled_at
    if packed.state == QUOTE_OPEN:
        state.quotes[packed.number] = account.quotes[packed.number] = quote
    else:
        family.settled_quotes[packed.number] = quote
