"""Commitments: segments that are grants, invoices on their days, an early end (rule D7)."""

from __future__ import annotations

from ledger.core import events as e
from ledger.core.events import BookKind, CommitmentEnding
from ledger.simulation.model.grants import RULE, expire, take_key, void
from ledger.simulation.model.shard import Next, Shard
from ledger.simulation.naive_holdings import NaiveCommitment, NaiveGrant
from ledger.simulation.rules import Rule


def created(m: Shard, event: e.CommitmentCreated) -> None:
    """Its segments are the grants before it, and follow each other."""
    account = m.deciding(event.account)
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
        _segment(m, commitment, segment, grant)
    m.commitments[event.commitment] = commitment
    account.commitments.append(commitment)
    commitment.invoices = list(event.invoices)


def _segment(m: Shard, commitment: NaiveCommitment, segment: e.Segment, number: int) -> None:
    terms = commitment.terms
    grant = m.explained(e.GrantIssued, number)
    expected = {
        "account": commitment.account, "kind": terms.kind, "asset": terms.asset,
        "amount": segment.amount, "price_paid": segment.price, "price_asset": terms.price_asset,
        "priority": terms.priority, "effective_at": segment.starts_at or m.recorded_at,
        "expires_at": segment.ends_at, "products": terms.products, "tags": terms.tags,
        "attributes": terms.attributes, "shared": terms.shared, "pending": False, "rollover": None,
        "origin": 0,
    }  # fmt: skip
    for name, wanted in expected.items():
        m.expect(RULE, f"{name} of the grant of a segment", wanted, getattr(grant, name))
    if terms.kind == e.GrantKind.PREPAID:  # billed, not paid ahead
        m.expect_book(grant.cash_book, BookKind.UNBILLED, terms.price_asset, commitment.account)
    m.grants[number].commitment = commitment.number
    commitment.grants.append(number)


def segment_added(m: Shard, event: e.SegmentAdded) -> None:
    """One more, which may run beside others; nothing else changes."""
    commitment = _goes_on(m, event.commitment, event.account)
    _segment(m, commitment, event.segment, event.grant)
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
    """What runs is trued up or waived, what is to come is voided, each by the next entries."""
    commitment = _goes_on(m, event.commitment, event.account)
    now = m.recorded_at
    left = [m.grants[number] for number in commitment.grants]
    left = [grant for grant in left if not grant.settled and grant.over > now]
    true_up = event.ending == CommitmentEnding.TRUE_UP
    runs = [grant for grant in left if true_up and grant.effective_at <= now]
    units = sum(grant.available for grant in runs)
    value = sum(grant.rest_of(grant.available) for grant in runs)
    m.expect(RULE, "true-up", (units, value), (event.true_up, event.value))
    commitment.ended_at = now
    for grant in left:
        m.then(f"segment {grant.number} ends", _end_of(m, grant, grant in runs))


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
