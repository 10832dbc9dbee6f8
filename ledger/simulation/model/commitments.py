"""Commitments: segments that are grants, invoices on their days, an early end (rule D7)."""

from __future__ import annotations

from ledger.core import events as e
from ledger.core.events import BookKind, CommitmentEnding
from ledger.simulation.model.grants import RULE, expire, move, take_key, take_segment, void
from ledger.simulation.model.shard import Next, Shard
from ledger.simulation.naive_holdings import NaiveCommitment, NaiveGrant
from ledger.simulation.rules import Rule


def created(m: Shard, event: e.CommitmentCreated) -> None:
    """Its segments are the grants before it, and follow each other."""
    account = m.deciding(event.account) if event.key else m.accounts[event.account]
    m.expect(Rule.CLOSED_TAKES_NOTHING, "commitment if closed", 0, account.closed_at)
    m.expect(RULE, "number", len(m.commitments) + 1, event.commitment)
    take_key(m, "commitment", account, event.external_key, event.commitment)
    m.expect(RULE, "segments", len(event.segments), len(event.grants))
    commitment = NaiveCommitment(event.commitment, account.number, event.terms, [], [])
    before = 0
    for segment, grant in zip(event.segments, event.grants, strict=True):
        if segment.starts_at < before:
            m.fail(RULE, f"{segment} overlaps the one before")
        before = segment.ends_at
        take_segment(m, commitment, segment, grant)
    m.commitments[event.commitment] = commitment
    account.commitments.append(commitment)
    commitment.invoices = list(event.invoices)
    if not event.key:
        m.ahead.append(event)  # which a contract explains


def segment_added(m: Shard, event: e.SegmentAdded) -> None:
    """One more, which may run beside others; nothing else changes."""
    commitment = _goes_on(m, event.commitment, event.account)
    take_segment(m, commitment, event.segment, event.grant)
    commitment.invoices = sorted([*commitment.invoices, *event.invoices], key=lambda i: i.at)


def over(m: Shard, commitment: NaiveCommitment) -> bool:
    """Whether nothing may be asked of it any more."""
    last = max(m.grants[number].over for number in commitment.grants)
    return commitment.ended_at > 0 or (last <= m.recorded_at and not commitment.invoices)


def _goes_on(m: Shard, number: int, account: int) -> NaiveCommitment:
    m.deciding(account)
    commitment = m.commitments[number]
    m.expect(RULE, "account", account, commitment.account)
    if over(m, commitment):
        m.fail(RULE, f"commitment {number} is over")
    return commitment


def ended(m: Shard, event: e.CommitmentEnded) -> None:
    """What runs is trued up or waived and what is to come voided, or all of it moves to another
    commitment: each by the next entries."""
    commitment = _goes_on(m, event.commitment, event.account)
    now = m.recorded_at
    left = [m.grants[number] for number in commitment.grants]
    left = [grant for grant in left if not grant.settled and grant.over > now]
    target = _target(m, commitment, event)
    counted: list[NaiveGrant] = []
    if target is not None:
        counted = left
    elif event.ending == CommitmentEnding.TRUE_UP:
        counted = [grant for grant in left if grant.effective_at <= now]
    units = sum(grant.available for grant in counted)
    value = sum(grant.rest_of(grant.available) for grant in counted)
    m.expect(RULE, "trued up or moved", (units, value), (event.units, event.value))
    invoices = commitment.invoices if target is not None else []
    m.expect(RULE, "invoices that move", tuple(invoices), event.invoices)
    commitment.ended_at, commitment.ending = now, event.ending
    if not event.key:
        m.ahead.append(event)  # which the end of a contract explains
    if target is not None:
        commitment.moved_to = target.number
        target.invoices = sorted([*target.invoices, *invoices], key=lambda i: i.at)
    for grant in left:
        if target is not None:
            move(m, grant, target, grant.available)
        else:
            m.then(f"segment {grant.number} ends", _end_of(m, grant, grant in counted))


def _target(
    m: Shard, commitment: NaiveCommitment, event: e.CommitmentEnded
) -> NaiveCommitment | None:
    """The commitment that takes what is left; None where it moves nowhere."""
    if event.ending != CommitmentEnding.TRANSFER:
        m.expect(RULE, "where what ends moves to", 0, event.target)
        return None
    target = m.commitments.get(event.target)
    if target is None or not_movable(m, commitment, target) or over(m, target):
        m.fail(RULE, f"{event} moves to {target}")
    return target


def not_movable(m: Shard, commitment: NaiveCommitment, target: NaiveCommitment) -> bool:
    """Whether it is the same one, or of another family, asset or money (rule D7)."""
    ours, theirs = commitment.terms, target.terms
    return (
        commitment is target
        or m.accounts[commitment.account].root != m.accounts[target.account].root
        or (ours.asset, ours.price_asset) != (theirs.asset, theirs.price_asset)
    )


def _end_of(m: Shard, grant: NaiveGrant, trued_up: bool) -> Next:
    def end(event: e.GrantExpired | e.GrantVoided) -> None:
        if trued_up:
            m.expect_of_kind(event, e.GrantExpired)
            assert isinstance(event, e.GrantExpired)
            expire(m, event, grant, grant.available)
            return
        m.expect_of_kind(event, e.GrantVoided)
        assert isinstance(event, e.GrantVoided)
        m.expect(RULE, "voided", (grant.available, False), (event.amount, event.forfeit))
        void(m, event, grant)

    return end


def invoice_due(m: Shard, event: e.InvoiceDue) -> None:
    """In order, once, not before its time: debit receivable, credit unbilled."""
    commitment = m.commitments[event.commitment]
    m.touch(m.accounts[commitment.account])
    if commitment.due > m.recorded_at:
        m.fail(Rule.EXPIRED_IN_TIME, f"{event} is not due before {commitment.due}")
    invoice = commitment.invoices.pop(0)
    commitment.invoiced += 1
    money = commitment.terms.price_asset
    expected = (commitment.account, invoice.at, money, invoice.amount)
    m.expect(RULE, "invoice", expected, (event.account, event.at, event.asset, event.amount))
    m.expect_book(event.receivable_book, BookKind.RECEIVABLE, money, commitment.account)
    m.expect_book(event.unbilled_book, BookKind.UNBILLED, money, commitment.account)
    m.transfer(event.receivable_book, event.unbilled_book, event.amount)
