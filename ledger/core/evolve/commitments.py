"""Commitments: segments, early ends, invoices (rule D7)."""

from __future__ import annotations

from ledger.core.events import CommitmentCreated, CommitmentEnded, InvoiceDue, SegmentAdded
from ledger.core.evolve.moves import set_timer
from ledger.core.state import NEVER, TIMER_COMMITMENT, Commitment, State


def commitment_created(state: State, event: CommitmentCreated) -> None:
    account = state.accounts[event.account]
    commitment = Commitment(
        event.commitment,
        account,
        event.external_key,
        event.terms,
        event.invoices,
        state.now,
    )
    for grant in event.grants:
        commitment.take(state.grants[grant])
    state.commitments[event.commitment] = commitment
    state.next_commitment = event.commitment + 1
    account.commitments.append(commitment)
    if event.external_key:
        state.families[account.root].commitment_keys[event.external_key] = event.commitment
    _set_commitment(state, commitment)
    if event.key:
        state.keys.add(event.key, state.locator)


def segment_added(state: State, event: SegmentAdded) -> None:
    commitment = state.commitments[event.commitment]
    commitment.take(state.grants[event.grant])
    commitment.plan(event.invoices)
    _set_commitment(state, commitment)
    if event.key:
        state.keys.add(event.key, state.locator)


def commitment_ended(state: State, event: CommitmentEnded) -> None:
    commitment = state.commitments[event.commitment]
    commitment.ended_at = state.now
    commitment.ending = int(event.ending)
    commitment.moved_to = event.target
    if event.invoices:
        target = state.commitments[event.target]
        target.plan(event.invoices)
        _set_commitment(state, target)
    if event.key:
        state.keys.add(event.key, state.locator)


def invoice_due(state: State, event: InvoiceDue) -> None:
    books = state.books.accounts
    receivable, unbilled = books[event.receivable_book], books[event.unbilled_book]
    state.books.transfer(receivable, unbilled, event.amount)
    commitment = state.commitments[event.commitment]
    commitment.invoiced += 1
    _set_commitment(state, commitment)


def _set_commitment(state: State, commitment: Commitment) -> None:
    due = commitment.due
    if due != NEVER:
        set_timer(state, commitment.account, due, TIMER_COMMITMENT, commitment.number)
