"""Quotes that bind as messages: as they were recorded, in their present state (rule H9)."""

from __future__ import annotations

from typing import Final, NamedTuple

from ledger.api.assets import Assets
from ledger.api.ids import HOLD, QUOTE, mint
from ledger.api.rendering.render_usage import unit_price
from ledger.core.events import PlanDeclared, QuoteMade
from ledger.core.limits import BASIS_POINTS
from ledger.core.pricing.quotes import QUOTE_EXPIRED, QUOTE_OPEN, QUOTE_USED, Quote
from ledger.core.state import Account, State
from rating.plan import NO_ROW, Plan
from rating.v1 import pricing_pb2 as pb

STATES: Final = {
    QUOTE_OPEN: pb.QUOTE_STATE_OPEN,
    QUOTE_USED: pb.QUOTE_STATE_USED,
    QUOTE_EXPIRED: pb.QUOTE_STATE_EXPIRED,
}


class QuoteDetails(NamedTuple):
    """What a quote's message needs, taken at one position."""

    number: int
    account: int
    declared: PlanDeclared
    plan: Plan | None
    quantities: tuple[int, ...]
    own: tuple[int, ...]
    charges: tuple[int, ...]
    tolerance: int
    made_at_us: int
    expires_at_us: int
    state: pb.QuoteState.ValueType
    hold: int
    settled_at_us: int


class QuotePage(NamedTuple):
    """Some of an account's quotes; the next page begins after this number, 0 = there is none."""

    quotes: list[QuoteDetails]
    after: int


def find_quote(state: State, account: int, number: int) -> QuoteDetails | None:
    """The account's quote of that number, open or settled within the window."""
    owner = state.accounts.get(account)
    quote = state.quote_of(owner, number) if owner is not None else None
    return _details(state, quote) if quote is not None else None


def open_quotes(state: State, account: Account | None, after: int, size: int) -> QuotePage:
    """The account's open quotes with a number above `after`, ascending."""
    quotes = account.quotes if account is not None else {}
    numbers = [number for number in quotes if number > after]  # in order: they were added in it
    page = [_details(state, quotes[number]) for number in numbers[:size]]
    return QuotePage(page, page[-1].number if len(numbers) > size else 0)


def made_quote(
    state: State, event: QuoteMade, declared: PlanDeclared, tenant: int, *, fresh: bool
) -> QuoteDetails:
    """A quote as it was recorded; only its state is the present one, unless it is `fresh`."""
    now = None if fresh else find_quote(state, event.account, event.quote)
    present: tuple[pb.QuoteState.ValueType, int, int] = (pb.QUOTE_STATE_UNSPECIFIED, 0, 0)
    if fresh:
        present = (pb.QUOTE_STATE_OPEN, event.hold, 0)
    elif now is not None:
        present = (now.state, now.hold, now.settled_at_us)
    return QuoteDetails(
        event.quote,
        event.account,
        declared,
        state.catalog.plan_of(tenant, declared),
        event.quantities,
        event.own,
        event.charges,
        event.tolerance,
        event.made_at,
        event.expires_at,
        *present,
    )


def _details(state: State, quote: Quote) -> QuoteDetails:
    return QuoteDetails(
        quote.number,
        quote.account.number,
        quote.plan,
        state.catalog.plan_of(quote.account.tenant, quote.plan),
        quote.quantities,
        quote.own,
        quote.charges,
        quote.tolerance,
        quote.made_at,
        quote.expires_at,
        STATES[quote.state],
        quote.hold,
        quote.settled_at,
    )


def render_binding(
    assets: Assets, quote: QuoteDetails, shard: int, account: str
) -> pb.BindingQuote:
    """A quote; `account` is the id of its account."""
    declared = quote.declared
    asset = assets.of(declared.asset)
    return pb.BindingQuote(
        quote_id=mint(QUOTE, shard, quote.account, quote.number),
        account=account,
        product=declared.product,
        attributes=dict(declared.attributes),
        lines=[
            pb.BindingQuoteLine(
                quantity_name=name,
                quantity=quote.quantities[place],
                priced_quantity=quote.own[place],
                quantity_max=quote.own[place] * quote.tolerance // BASIS_POINTS,
                price_row=max(declared.rows[place], NO_ROW),
                unit_price=unit_price(quote.plan, place),
                charge=quote.charges[place],
            )
            for place, name in enumerate(declared.quantity_names)
        ],
        charge=sum(quote.charges),
        asset=asset.code,
        scale=asset.scale,
        rate_card=declared.rate_card,
        rate_card_version=declared.card_version,
        tolerance_basis_points=quote.tolerance,
        made_at_us=quote.made_at_us,
        expires_at_us=quote.expires_at_us,
        state=quote.state,
        hold_id=mint(HOLD, shard, quote.account, quote.hold) if quote.hold else "",
        settled_at_us=quote.settled_at_us,
    )
