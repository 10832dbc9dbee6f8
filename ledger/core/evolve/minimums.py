"""Minimums: awaited for a tenant, and settled for a period of an account (rule R2)."""

from __future__ import annotations

from ledger.core.events import MinimumCharged, MinimumsAwaited
from ledger.core.evolve.moves import post_slices
from ledger.core.state import State


def minimums_awaited(state: State, event: MinimumsAwaited) -> None:
    state.begin_minimums(event.tenant, event.since)


def minimum_charged(state: State, event: MinimumCharged) -> None:
    """Post what the period lacked as usage is; with the last of them it is settled."""
    account = state.accounts[event.account]
    post_slices(state, account, event.used_book, event.period, event.slices, event.effective_at)
    if event.last:
        account.minimums_until = event.end
        account.cards_before = tuple([each for each in account.cards_before if each[0] > event.end])
        state.await_minimums(account)
