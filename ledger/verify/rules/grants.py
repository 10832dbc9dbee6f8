"""Grants: issued in balance, ended with what is left (rules B3, B4, T3, F1)."""

from __future__ import annotations

from ledger.core.events import (
    BookKind,
    CommitmentEnding,
    GrantCancelled,
    GrantExpired,
    GrantIssued,
    GrantReduced,
    GrantReleased,
    GrantRolledOver,
    GrantVoided,
)
from ledger.core.state import GRANT_CANCELLED, GRANT_OPEN, GRANT_VOIDED, NEVER, Grant, State
from ledger.verify.rules.judge import Judge, look_at_kind, look_at_taken
from ledger.verify.rules.true_ups import counts_above, trued_up_in_order
from ledger.verify.transfers import still_goes_on, was_moved


def grant_issued(judge: Judge, state: State, event: GrantIssued) -> None:
    account = state.accounts[event.account]
    judge.equal(state, "number of the grant", state.next_grant, event.grant)
    ordinal = state.families[account.root].next_ordinal
    judge.equal(state, "ordinal of the grant", ordinal, event.ordinal)
    repaid = sum([part.amount for part in event.backfills])
    if not 0 <= repaid <= event.amount:
        judge.wrong(state, "backfill", f"0 to {event.amount}", repaid)


def grant_rolled_over(judge: Judge, state: State, event: GrantRolledOver) -> None:
    """At its expiry, once, the fraction of what is left and not held, rounded down, up to the cap;
    of what a hold gives back later, no more than that (rule T3)."""
    grant = state.grants[event.grant]
    terms, left = grant.rollover, grant.book.available
    if terms is None or event.account != grant.account.number:
        judge.wrong(state, f"grant {event.grant}", "one that rolls over", event.account)
        return
    if grant.expires_at > state.now:
        judge.wrong(state, "rollover", f"at {grant.expires_at}", state.now)
    most = left * terms.numerator // terms.denominator
    if terms.cap >= 0:
        most = min(most, terms.cap - grant.rolled)
    if grant.rolls_into and state.commitments[grant.rolls_into].ended_at:
        most = 0
    if event.amount > most or (event.amount < most and not grant.rolled_over):
        judge.wrong(state, "units that roll over", most, event.amount)
    value = grant.share_of(event.amount)
    judge.equal(state, "price of what rolls over", value, event.value)


def grant_voided(judge: Judge, state: State, event: GrantVoided) -> None:
    grant = state.grants[event.grant]
    expected = (GRANT_OPEN, GRANT_CANCELLED) if event.key else (GRANT_VOIDED,)
    subscription = grant.account.subscription
    of_a_package = subscription is not None and grant.number in subscription.grants
    if _ends_early(grant) or (of_a_package and not event.key and event.forfeit):
        expected = (GRANT_OPEN, *expected)  # forfeited as the package changes (rule P3)
    if grant.settled not in expected:
        judge.wrong(state, f"state of grant {event.grant}", expected, grant.settled)
    look_at_taken(judge, state, event.grant, event.amount)
    if was_moved(grant) and still_goes_on(state, grant):
        money = grant.rest_of(event.amount)
        judge.equal(state, f"money of grant {grant.number}", money, event.refunded)
        judge.equal(state, f"breakage of grant {grant.number}", 0, event.breakage)
        if event.amount:
            judge.moving = grant.number, event.amount, event.refunded


def grant_expired(judge: Judge, state: State, event: GrantExpired) -> None:
    grant = state.grants[event.grant]
    moved = was_moved(grant)
    if grant.settled == GRANT_VOIDED and not moved:
        judge.wrong(state, f"state of grant {event.grant}", "not voided", "voided")
    due = grant.expires_at + grant.account.policy.period_grace
    if moved:
        if still_goes_on(state, grant):
            judge.wrong(state, f"end of grant {event.grant}", "moved on", "expired")
    elif _ends_early(grant):
        judge.equal(
            state,
            f"early end of grant {event.grant}",
            CommitmentEnding.TRUE_UP,
            grant.commitment.ending if grant.commitment is not None else 0,
        )
    elif grant.settled == GRANT_OPEN and (grant.expires_at == NEVER or state.now < due):
        judge.wrong(state, f"breakage of grant {event.grant}", due, state.now)
    elif grant.settled == GRANT_OPEN and grant.commitment is not None:
        trued_up_in_order(judge, state, grant)
    if event.amount and grant.commitment is not None:
        counts_above(judge, state, grant, event.amount)
    look_at_taken(judge, state, event.grant, event.amount)


def grant_reduced(judge: Judge, state: State, event: GrantReduced) -> None:
    judge.equal(
        state, f"state of grant {event.grant}", GRANT_OPEN, state.grants[event.grant].settled
    )
    look_at_taken(judge, state, event.grant, event.amount)


def grant_released(judge: Judge, state: State, event: GrantReleased) -> None:
    """floor(A x paid / P) in all, never more than P, into the deferred of its own (rule F1)."""
    grant = state.grants[event.grant]
    what = f"grant {event.grant}"
    judge.equal(state, f"account of {what}", event.account, grant.account.number)
    judge.equal(state, f"state of {what}", GRANT_OPEN, grant.settled)
    if not 0 < event.payment <= grant.unpaid:
        judge.wrong(state, f"payment of {what}", f"1 to {grant.unpaid}", event.payment)
        return
    paid = grant.price_paid - grant.unpaid + event.payment
    share = grant.amount * paid // grant.price_paid
    released = grant.amount - grant.pending
    judge.equal(state, f"units released of {what}", share - released, event.amount)
    look_at_kind(judge, state, event.cash_book, BookKind.CASH, grant.price_asset)


def grant_cancelled(judge: Judge, state: State, event: GrantCancelled) -> None:
    grant = state.grants[event.grant]
    what = f"grant {event.grant}"
    judge.equal(state, f"what pends of {what}", grant.pending, event.amount)
    judge.equal(state, f"what is unpaid of {what}", grant.unpaid, event.unpaid)
    if event.whole:
        judge.equal(state, f"what is unpaid of {what}, which ends", grant.price_paid, event.unpaid)


def _ends_early(grant: Grant) -> bool:
    """Whether its commitment was ended before its segment was (rule D7)."""
    commitment = grant.commitment
    return commitment is not None and 0 < commitment.ended_at < grant.expires_at
