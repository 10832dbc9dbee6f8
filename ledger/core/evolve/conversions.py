"""What the settlement currency paid of usage, and what of it went back (rules R5, D3)."""

from __future__ import annotations

from ledger.core.events import ConversionReversed, UsageConverted
from ledger.core.evolve.corrections import undraw
from ledger.core.evolve.moves import post_slices
from ledger.core.state import State


def usage_converted(state: State, event: UsageConverted) -> None:
    account = state.accounts[event.account]
    at = event.effective_at
    post_slices(state, account, event.book, event.period, event.slices, at)


def conversion_reversed(state: State, event: ConversionReversed) -> None:
    account = state.accounts[event.account]
    at = event.effective_at
    pieces, now = event.given_back, state.locator
    undraw(state, account, event.book, event.period, pieces, at, event.original, now)
