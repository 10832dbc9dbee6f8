"""Quotes are made, and settled once: used by usage, or expired (rule H9)."""

from __future__ import annotations

from ledger.core.events import QuoteExpired, QuoteMade, UsageQuoted
from ledger.core.evolve.holds import settle_quote
from ledger.core.evolve.moves import set_timer
from ledger.core.evolve.usage import usage_costed
from ledger.core.pricing.quotes import QUOTE_EXPIRED, QUOTE_USED, Quote
from ledger.core.state import TIMER_QUOTE, State


def quote_made(state: State, event: QuoteMade) -> None:
    account = state.accounts[event.account]
    quote = Quote(
        event.quote,
        account,
        state.declared[event.plan],
        event.quantities,
        event.own,
        event.charges,
        event.positions,
        event.tolerance,
        event.made_at,
        event.expires_at,
    )
    state.quotes[event.quote] = account.quotes[event.quote] = quote
    state.next_quote = event.quote + 1
    set_timer(state, account, event.expires_at, TIMER_QUOTE, event.quote)
    state.keys.add(event.key, state.locator)


def quote_expired(state: State, event: QuoteExpired) -> None:
    settle_quote(state, event.quote, QUOTE_EXPIRED)


def usage_quoted(state: State, event: UsageQuoted) -> None:
    """As any usage with its cost, and the quote that prices it is used."""
    usage_costed(state, event)
    if event.part is not None:
        settle_quote(state, event.quote, QUOTE_USED)
