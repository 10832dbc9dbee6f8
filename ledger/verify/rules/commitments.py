"""Commitments: segments one after the other, invoices within (rule D7)."""

from __future__ import annotations

from ledger.core.events import (
    BookOpened,
    CommitmentCreated,
    CommitmentEnded,
    CommitmentEnding,
    Event,
    GrantIssued,
    Invoice,
    InvoiceDue,
    Segment,
    SegmentAdded,
)
from ledger.core.state import GRANT_OPEN, Commitment, State
from ledger.verify.rules.judge import Judge
from ledger.verify.transfers import goes_on_to


def commitment_created(judge: Judge, state: State, event: CommitmentCreated) -> None:
    """Segments follow each other, each is a grant; invoices stand in order (rule D7)."""
    judge.equal(state, "number of the commitment", state.next_commitment, event.commitment)
    keys = state.families[state.accounts[event.account].root].commitment_keys
    if event.external_key and event.external_key in keys:
        judge.wrong(state, "external key", "new in the family", event.external_key.hex())
    judge.equal(state, "grants of segments", len(event.segments), len(event.grants))
    before = 0
    for segment, grant in zip(event.segments, event.grants, strict=False):
        _segment(judge, state, event.account, segment, grant, event.terms.kind)
        if segment.starts_at < before:
            what = f"start of the segment of grant {grant}"
            judge.wrong(state, what, f"{before} or later", segment.starts_at)
        before = segment.ends_at
    _invoices(judge, state, event.invoices)


def _segment(
    judge: Judge, state: State, account: int, segment: Segment, number: int, kind: int
) -> None:
    grant = state.grants[number]
    starts_at = segment.starts_at or state.now
    expected = (account, kind, starts_at, segment.ends_at, segment.amount, segment.price, None)
    found = (
        grant.account.number,
        grant.kind,
        grant.effective_at,
        grant.expires_at,
        grant.amount,
        grant.price_paid,
        grant.commitment,
    )
    judge.equal(state, f"grant {number} of a segment", expected, found)


def _invoices(judge: Judge, state: State, invoices: tuple[Invoice, ...]) -> None:
    before = 1
    for invoice in invoices:
        if invoice.at < before or invoice.amount <= 0:
            judge.wrong(state, "invoice", f"some money at {before} or later", invoice)
        before = invoice.at


def goes_on_moving(judge: Judge, state: State, event: Event) -> None:
    """What a transfer has voided is issued and added to its target by the next entries."""
    assert judge.moving is not None
    if isinstance(event, BookOpened | GrantIssued):
        return
    moved, judge.moving = judge.moving, None
    added: object = None
    if isinstance(event, SegmentAdded):
        added = (event.of, event.segment.amount, event.segment.price)
    judge.equal(state, "segment that a transfer adds", moved, added)
    if isinstance(event, SegmentAdded):
        old = state.grants[moved[0]]
        target, what = goes_on_to(state, old).number, f"commitment that takes {old.number}"
        judge.equal(state, what, target, event.commitment)
        starts_at = old.effective_at if old.effective_at > state.now else 0
        expected = (starts_at, old.expires_at)
        found = (event.segment.starts_at, event.segment.ends_at)
        judge.equal(state, f"time of what moves of grant {old.number}", expected, found)


def segment_added(judge: Judge, state: State, event: SegmentAdded) -> None:
    if bool(event.key) == bool(event.of):
        judge.wrong(state, "segment", "asked for, of a transfer, or rolled over", event.of)
    into = state.grants[event.of].rolls_into if event.of else 0
    if into:
        commitment = state.commitments[event.commitment]
        rolled = (into, event.account, 0, event.of)
        found = (event.commitment, commitment.account.number, commitment.ended_at)
        origin = state.grants[event.grant].origin
        judge.equal(state, "segment that rolled over", rolled, (*found, origin))
    else:
        commitment = _goes_on(judge, state, event.commitment, event.account)
    kind = commitment.terms.kind
    _segment(judge, state, event.account, event.segment, event.grant, kind)
    _invoices(judge, state, event.invoices)


def commitment_ended(judge: Judge, state: State, event: CommitmentEnded) -> None:
    """True-up is of what is left of the segments that run, a transfer of all that have not
    ended, at its price; a target is another of the same family and assets (B4, D7)."""
    commitment = _goes_on(judge, state, event.commitment, event.account)
    transfer = event.ending == CommitmentEnding.TRANSFER
    units = value = 0
    if event.ending != CommitmentEnding.WAIVE:
        for grant in commitment.grants:
            runs = transfer or grant.effective_at <= state.now
            if runs and state.now < grant.expires_at and grant.settled == GRANT_OPEN:
                units += grant.book.available
                value += grant.rest_of(grant.book.available)
    what = "transfer" if transfer else "true-up"
    judge.equal(state, what, (units, value), (event.units, event.value))
    to_come = commitment.invoices[commitment.invoiced :] if transfer else ()
    judge.equal(state, "invoices that move", to_come, event.invoices)
    judge.equal(state, "target of a transfer", transfer, event.target > 0)
    if not event.target:
        return
    target = state.commitments[event.target]
    _goes_on(judge, state, event.target, target.account.number)
    if target is commitment:
        judge.wrong(state, "target of a transfer", "another commitment", event.target)
    ours, theirs = commitment.terms, target.terms
    judge.equal(
        state,
        f"family and assets of commitment {event.target}",
        (commitment.account.root, ours.asset, ours.price_asset),
        (target.account.root, theirs.asset, theirs.price_asset),
    )


def invoice_due(judge: Judge, state: State, event: InvoiceDue) -> None:
    """Once, in order, not before its time, between the books of who is committed."""
    commitment = state.commitments[event.commitment]
    if commitment.due > state.now:
        what = f"invoice of commitment {event.commitment}"
        judge.wrong(state, what, f"due at {commitment.due}", state.now)
        return
    invoice = commitment.invoices[commitment.invoiced]
    judge.equal(
        state,
        f"invoice of commitment {event.commitment}",
        (commitment.account.number, invoice.at, commitment.terms.price_asset, invoice.amount),
        (event.account, event.at, event.asset, event.amount),
    )
    account = state.accounts[event.account]
    money = commitment.terms.price_asset
    for books, number in (
        (account.receivable, event.receivable_book),
        (account.unbilled, event.unbilled_book),
    ):
        book = books.get(money)
        expected = book.number if book is not None else 0
        judge.equal(state, f"book of invoice at {event.at}", expected, number)


def _goes_on(judge: Judge, state: State, number: int, account: int) -> Commitment:
    commitment = state.commitments[number]
    what = f"commitment {number}"
    judge.equal(state, f"account of {what}", commitment.account.number, account)
    if commitment.is_over(state.now):
        judge.wrong(state, what, "not over", f"over at {commitment.ended_at}")
    return commitment
