"""Recurring grants, period by period (rules T1, S1)."""

from __future__ import annotations

from ledger.core.events import (
    RecurringChanged,
    RecurringEnded,
    RecurringIssued,
    RecurringPaused,
    RecurringResumed,
    RecurringStarted,
    Timing,
)
from ledger.core.evolve.moves import set_timer
from ledger.core.state import NEVER, TIMER_RECURRING, RecurringGrant, State


def recurring_started(state: State, event: RecurringStarted) -> None:
    account = state.accounts[event.account]
    recurring = RecurringGrant(
        event.recurring,
        account,
        event.external_key,
        event.terms,
        event.starts_at,
        event.ends_at or NEVER,
        state.now,
    )
    state.recurring[event.recurring] = recurring
    state.next_recurring = event.recurring + 1
    account.recurring.append(recurring)
    if event.external_key:
        state.families[account.root].recurring_keys[event.external_key] = event.recurring
    _set_recurring(state, recurring)
    state.keys.add(event.key, state.locator)


def recurring_issued(state: State, event: RecurringIssued) -> None:
    recurring = state.recurring[event.recurring]
    if recurring.next_terms is not None:
        recurring.terms, recurring.next_terms = recurring.next_terms, None
    recurring.fresh = False
    recurring.next_at = event.end
    recurring.period_start = event.start
    recurring.period_end = event.end
    recurring.full = event.full
    recurring.grants = ()
    recurring.amount = recurring.terms.amount
    recurring.price_paid = recurring.terms.price_paid
    recurring.price_asset = recurring.terms.price_asset
    _issued_by(state, recurring, event.grant)
    _set_recurring(state, recurring)


def recurring_changed(state: State, event: RecurringChanged) -> None:
    recurring = state.recurring[event.recurring]
    recurring.version = event.version
    if event.timing == Timing.NOW:
        recurring.terms, recurring.next_terms = event.terms, None
        if event.full:  # of a period that runs: what it gives at most has grown
            recurring.amount = max(recurring.amount, event.terms.amount)
            recurring.price_paid = max(recurring.price_paid, event.terms.price_paid)
            recurring.price_asset = event.terms.price_asset or recurring.price_asset
        _issued_by(state, recurring, event.grant)
    else:
        recurring.next_terms = event.terms
    state.keys.add(event.key, state.locator)


def _issued_by(state: State, recurring: RecurringGrant, grant: int) -> None:
    if grant:
        recurring.grants = (*recurring.grants, grant)
        state.grants[grant].recurring = recurring.number


def recurring_paused(state: State, event: RecurringPaused) -> None:
    state.recurring[event.recurring].paused = True
    state.keys.add(event.key, state.locator)


def recurring_resumed(state: State, event: RecurringResumed) -> None:
    recurring = state.recurring[event.recurring]
    recurring.paused = False
    recurring.fresh = recurring.fresh or event.next_at > recurring.next_at
    recurring.next_at = event.next_at
    _set_recurring(state, recurring)
    state.keys.add(event.key, state.locator)


def recurring_ended(state: State, event: RecurringEnded) -> None:
    state.recurring[event.recurring].ends_at = event.ends_at
    state.keys.add(event.key, state.locator)


def _set_recurring(state: State, recurring: RecurringGrant) -> None:
    due = recurring.due
    if due != NEVER:
        set_timer(state, recurring.account, due, TIMER_RECURRING, recurring.number)
