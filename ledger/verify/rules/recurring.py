"""Recurring grants: each period once, by its share (rules T1, S1)."""

from __future__ import annotations

from ledger.core.events import (
    Proration,
    RecurringChanged,
    RecurringEnded,
    RecurringIssued,
    RecurringPaused,
    RecurringResumed,
    RecurringStarted,
    Timing,
)
from ledger.core.periods import prorated
from ledger.core.state import RecurringGrant, State
from ledger.verify.rules.judge import Judge


def recurring_started(judge: Judge, state: State, event: RecurringStarted) -> None:
    judge.equal(state, "number of the recurring grant", state.next_recurring, event.recurring)
    if event.ends_at and event.ends_at <= event.starts_at:
        judge.wrong(state, "end", f"after {event.starts_at}", event.ends_at)
    keys = state.families[state.accounts[event.account].root].recurring_keys
    if event.external_key and event.external_key in keys:
        judge.wrong(state, "external key", "new in the family", event.external_key.hex())


def recurring_issued(judge: Judge, state: State, event: RecurringIssued) -> None:
    """Follows the period before, within [due, end), and never above its time (T1, S1)."""
    recurring = state.recurring[event.recurring]
    terms = recurring.next_terms or recurring.terms
    what = f"period of recurring grant {event.recurring}"
    judge.equal(state, f"start of the {what}", recurring.due, event.start)
    judge.equal(state, f"version of the {what}", recurring.version, event.version)
    if event.start > state.now:
        judge.wrong(state, what, f"due at {event.start}", state.now)
    if not event.start < event.end <= recurring.ends_at:
        judge.wrong(state, f"end of the {what}", recurring.ends_at, event.end)
    longest = event.end - event.start
    if not longest <= event.full:
        judge.wrong(state, f"length of the {what}", f"{longest} or more", event.full)
    if not longest <= event.remaining <= event.full:
        judge.wrong(state, f"share of the {what}", longest, event.remaining)
    elif terms.proration == Proration.BOTH:
        judge.equal(state, f"share of the {what}", longest, event.remaining)
    share = (terms.amount, terms.price_paid)
    _share(judge, state, recurring, event, share)


def _share(
    judge: Judge,
    state: State,
    recurring: RecurringGrant,
    event: RecurringIssued | RecurringChanged,
    whole: tuple[int, int],
) -> None:
    """Amount and price are the time's share of the whole, and the grant is of them."""
    if not 0 <= event.remaining <= event.full:
        judge.wrong(state, "remaining time", f"0 to {event.full}", event.remaining)
        return
    amount, price_paid = 0, 0
    if event.full:
        amount, price_paid = (prorated(each, event.remaining, event.full) for each in whole)
    judge.equal(state, "prorated amount", amount, event.amount)
    judge.equal(state, "prorated price", price_paid if amount else 0, event.price_paid)
    judge.equal(state, "whether there is a grant", amount > 0, event.grant > 0)
    if event.grant:
        grant = state.grants[event.grant]
        issued = (grant.account.number, grant.amount, grant.price_paid, grant.recurring)
        expected = (recurring.account.number, event.amount, event.price_paid, 0)
        judge.equal(state, f"grant {event.grant}", expected, issued)


def recurring_changed(judge: Judge, state: State, event: RecurringChanged) -> None:
    recurring = _running(judge, state, event.recurring, event.account)
    judge.equal(state, "version of the terms", recurring.version + 1, event.version)
    whole = (
        max(0, event.terms.amount - recurring.amount),
        max(0, event.terms.price_paid - recurring.price_paid),
    )
    if event.timing == Timing.NOW and event.full:
        judge.equal(state, "full period", recurring.full, event.full)
        remaining = recurring.period_end - state.now
        judge.equal(state, "remaining time", remaining, event.remaining)
    elif event.full:
        judge.wrong(state, "a share", "none before the next period", event.remaining)
    _share(judge, state, recurring, event, whole)


def recurring_paused(judge: Judge, state: State, event: RecurringPaused) -> None:
    paused = _running(judge, state, event.recurring, event.account).paused
    judge.equal(state, f"recurring grant {event.recurring} paused", False, paused)


def recurring_resumed(judge: Judge, state: State, event: RecurringResumed) -> None:
    recurring = _running(judge, state, event.recurring, event.account)
    judge.equal(state, f"recurring grant {event.recurring} paused", True, recurring.paused)
    next_at = max(recurring.next_at, state.now)
    judge.equal(state, "start of the next period", next_at, event.next_at)


def recurring_ended(judge: Judge, state: State, event: RecurringEnded) -> None:
    recurring = _running(judge, state, event.recurring, event.account)
    if not state.now <= event.ends_at <= recurring.ends_at:
        lasts = f"{state.now} to {recurring.ends_at}"
        judge.wrong(state, f"end of recurring grant {event.recurring}", lasts, event.ends_at)


def _running(judge: Judge, state: State, number: int, account: int) -> RecurringGrant:
    recurring = state.recurring[number]
    what = f"recurring grant {number}"
    judge.equal(state, f"account of {what}", recurring.account.number, account)
    if recurring.ends_at <= state.now:
        judge.wrong(state, what, "not ended", f"ended at {recurring.ends_at}")
    return recurring
