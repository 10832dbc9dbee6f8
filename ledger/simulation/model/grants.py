"""Grants: issued, taking effect, repaying, voided, rolled over, expired (B3 to B5, T3)."""

from __future__ import annotations

from ledger.core import events as e
from ledger.core.events import BookKind, CommitmentEnding, GrantKind
from ledger.core.limits import DAY_US
from ledger.simulation.model.shard import PAYMENT_WAIT_US, Next, Shard
from ledger.simulation.naive_holdings import (
    CANCELLED,
    EXPIRED,
    VOIDED,
    NaiveAccount,
    NaiveCommitment,
    NaiveGrant,
    Part,
)
from ledger.simulation.rules import Rule

RULE = Rule.GRANT_FIGURES
MOVED = -1  # on to another commitment
MANUAL = "manual"  # the source of funds where none is named


def issued(m: Shard, event: e.GrantIssued) -> None:
    """Asked for; or the next entries say what for."""
    if not event.key or event.key not in m.requests:
        m.ahead.append(event)
        account = m.accounts[event.account]
    else:
        account = m.deciding(event.account)
        if event.expires_at and event.expires_at <= max(m.recorded_at, event.effective_at):
            m.fail(RULE, f"grant {event.grant} is over before it begins")
    m.expect(Rule.CLOSED_TAKES_NOTHING, "grant to a closed account", 0, account.closed_at)
    if not event.effective_given:
        m.expect(RULE, "effective at", m.recorded_at, event.effective_at)
    take_key(m, "grant", account, event.external_key, event.grant)
    grant = made(m, account, event)
    _fund(m, account, grant, event.source)
    m.expect(RULE, "scheduled", event.effective_at > m.recorded_at, event.scheduled)
    due = event.effective_at <= m.recorded_at and not event.pending
    if due and m.ahead and m.ahead[-1] is event and not event.backfills:
        if repaid_by(m, account, grant, grant.available):
            m.unrepaid.add(grant.number)  # which only what is a seat's own may do
        return
    backfill(m, account, grant, event.backfills, grant.available if due else 0)


def take_key(m: Shard, kind: str, account: NaiveAccount, key: bytes, number: int) -> None:
    """External keys are permanent, one of a kind and family (rule I5)."""
    place = (kind, account.root, key)
    if key and m.external.setdefault(place, number) != number:
        m.fail(RULE, f"{kind} {number} has the key of {kind} {m.external[place]}")


def made(m: Shard, account: NaiveAccount, event: e.GrantIssued) -> NaiveGrant:
    """The grant as its entry says; numbered in its shard, counted in its family."""
    family = [a.number for a in m.accounts.values() if a.root == account.root]
    before = [grant for grant in m.grants.values() if grant.account in family]
    m.expect(RULE, "ordinal", len(before) + 1, event.ordinal)
    m.expect(RULE, "number", len(m.grants) + 1, event.grant)
    m.expect_book(event.book, BookKind.GRANT, event.asset, event.grant)
    grant = NaiveGrant(
        number=event.grant,
        ordinal=event.ordinal,
        account=event.account,
        kind=event.kind,
        asset=event.asset,
        amount=event.amount,
        price=event.price_paid,
        price_asset=event.price_asset,
        priority=event.priority,
        effective_at=event.effective_at,
        expires_at=event.expires_at,
        products=event.products,
        tags=event.tags,
        attributes=event.attributes,
        shared=event.shared,
        rollover=event.rollover,
        origin=event.origin,
        issued_at=m.recorded_at,
        book=event.book,
        funding=event.funding_book,
        cash=event.cash_book,
        deferred=event.deferred_book,
        scheduled=event.scheduled,
    )
    if event.pending:
        if event.kind != GrantKind.PREPAID or not event.price_paid:
            m.fail(RULE, f"grant {event.grant} waits for a payment that nobody owes")
        grant.pending, grant.unpaid = event.amount, event.price_paid
    if event.sharing is not None:
        grant.listed = event.sharing.accounts
    account.grants.append(grant)
    m.grants[grant.number] = grant
    return grant


def _fund(m: Shard, account: NaiveAccount, grant: NaiveGrant, source: str) -> None:
    """Units from where they come from, the price to where it waits (rules B3, B4, B5)."""
    if grant.kind == GrantKind.POSTPAID:
        m.expect_book(grant.funding, BookKind.COMMITMENT, grant.asset, grant.number)
    elif grant.kind == GrantKind.PREPAID or grant.price:
        m.expect_book(grant.funding, BookKind.FUNDING, grant.asset, 0, source or MANUAL)
    else:
        m.expect_book(grant.funding, BookKind.PROMOTION, grant.asset)
    if grant.pending:
        m.books[grant.funding].debits_pending += grant.amount
        m.books[grant.book].credits_pending += grant.amount
    else:
        m.transfer(grant.funding, grant.book, grant.amount)
    if not grant.price:
        m.expect(RULE, "money side of what is free", (0, 0), (grant.cash, grant.deferred))
        return
    if grant.kind == GrantKind.POSTPAID:
        m.expect(RULE, "cash of what is billed as it is drawn", 0, grant.cash)
        m.expect_book(grant.deferred, BookKind.UNBILLED, grant.price_asset, account.number)
        return
    m.expect_book(grant.deferred, BookKind.DEFERRED, grant.price_asset, grant.number)
    if grant.pending:
        m.expect(RULE, "cash of what is not paid yet", 0, grant.cash)
        return
    if m.books[grant.cash].kind == BookKind.UNBILLED:
        m.expect_book(grant.cash, BookKind.UNBILLED, grant.price_asset, account.number)
    else:
        m.expect_book(grant.cash, BookKind.CASH, grant.price_asset, 0, source or MANUAL)
    m.pay(account, grant.cash, grant.deferred, grant.price, grant)


def backfill(
    m: Shard,
    account: NaiveAccount,
    grant: NaiveGrant,
    found: tuple[e.Backfill, ...],
    most: int,
) -> None:
    """A grant in force repays with `most` units at most what its products owe, the oldest first;
    a free one only where the policy says so (rules B3, H6)."""
    parts = repaid_by(m, account, grant, most)
    repaid: dict[str, int] = {}
    for (_, product), take in parts.items():
        repaid[product] = repaid.get(product, 0) + take
    actual = [(part.product, part.amount) for part in found]
    m.expect(RULE, "backfills", list(repaid.items()), actual)
    for each in found:
        value = grant.value_of(each.amount)
        m.expect(RULE, "backfill value", value, each.value)
        m.transfer(grant.book, each.book, each.amount)
        grant.drawn += each.amount
        m.earn(grant, each.product, value)
    for part, take in parts.items():
        account.pay_off(grant.asset, part, take)
        grant.repaid[part] = grant.repaid.get(part, 0) + take
    if parts:
        account.run[grant.asset] = m.locator


def repaid_by(m: Shard, account: NaiveAccount, grant: NaiveGrant, most: int) -> dict[Part, int]:
    """What a grant in force repays of what is owed: the oldest first, of what it is for."""
    free = grant.kind == GrantKind.PROMOTIONAL and not account.policy.promotional_backfills
    left = 0 if free else most
    parts: dict[Part, int] = {}
    for part, owed in account.owing.get(grant.asset, {}).items():
        applies = not grant.attributes and grant.applies(m.use_now(account, part[1]))
        take = min(left, owed) if applies else 0
        left -= take
        if take:
            parts[part] = take
    return parts


def started(m: Shard, event: e.GrantStarted) -> None:
    """What was issued ahead takes effect, once, in time."""
    grant = m.grants[event.grant]
    if not grant.scheduled or m.recorded_at < grant.effective_at:
        m.fail(RULE, f"grant {grant.number} takes effect twice or early")
    grant.scheduled = False
    gone = grant.settled or grant.over <= m.recorded_at
    account = m.accounts[event.account]
    m.touch(account)
    backfill(m, account, grant, event.backfills, 0 if gone else grant.available)


# -- how a grant ends ------------------------------------------------------------------------------


def voided(m: Shard, event: e.GrantVoided) -> None:
    """Asked for; what pends is cancelled just before."""
    account = m.deciding(event.account)
    grant = unsettled(m, event.grant, account)
    if not event.key:
        m.ahead.append(event)  # which the change of a package explains
    take_cancelled(m, grant)
    m.expect(RULE, "voided", grant.available, event.amount)
    void(m, event, grant)
    grant.forfeit = event.forfeit


def void(m: Shard, event: e.GrantVoided, grant: NaiveGrant, moves: bool = False) -> None:
    """The issue reversed for what is left (rules B3, B4, F2); what `moves` to another commitment
    takes the exact rest of the price along (rule D7)."""
    m.expect(RULE, "grant", grant.number, event.grant)
    rest = grant.rest_of(event.amount)
    refunded = 0 if event.forfeit else grant.share_of(event.amount)
    breakage = rest - refunded
    if moves or grant.kind == GrantKind.POSTPAID:
        refunded, breakage = rest, 0  # a postpaid one was never paid
    m.expect(RULE, "money", (refunded, breakage), (event.refunded, event.breakage))
    grant.settled = VOIDED
    leave(m, grant, event.amount, grant.funding)
    postpaid = grant.kind == GrantKind.POSTPAID
    m.expect(RULE, "cash", 0 if postpaid or not refunded else grant.cash, event.cash_book)
    pay_out(m, grant, refunded, event.cash_book)
    pay_out(m, grant, breakage, event.breakage_book)


def expired(m: Shard, event: e.GrantExpired) -> None:
    """Posted by the clock, after the grace."""
    grant = m.grants[event.grant]
    unsettled(m, event.grant, m.accounts[event.account])
    if m.recorded_at < m.breaks_at(grant):
        m.fail(Rule.EXPIRED_IN_TIME, f"grant {grant.number} is posted before its grace")
    if grant.rollover is not None and not grant.rolled_over:
        m.fail(Rule.EXPIRED_IN_TIME, f"grant {grant.number} did not roll over before")
    m.touch(m.accounts[event.account])
    expire(m, event, grant, grant.available)


def expire(m: Shard, event: e.GrantExpired, grant: NaiveGrant, amount: int) -> None:
    """Breakage, or a commitment's true-up (rules B3, B4, D7)."""
    m.expect(RULE, "grant that expires", (grant.number, amount), (event.grant, event.amount))
    value = grant.rest_of(amount)
    m.expect(RULE, "breakage", value, event.value)
    grant.settled = EXPIRED
    postpaid = grant.kind == GrantKind.POSTPAID
    kind = BookKind.TRUE_UP if postpaid else BookKind.FORFEITED
    m.expect_book(event.forfeited_book, kind, grant.asset)
    leave(m, grant, amount, event.forfeited_book)
    pay_out(m, grant, value, event.breakage_book)
    _counts_above(m, grant, amount)


def _counts_above(m: Shard, grant: NaiveGrant, amount: int) -> None:
    """A segment's true-up is not owed of those above that ran at its end (rule D7): right behind
    it, before anything else that was announced."""
    if not grant.commitment:
        return
    ended = min(grant.over - 1, m.recorded_at)
    follow: list[tuple[str, Next]] = []
    above = m.accounts[grant.account].parent
    while above:
        rest = amount
        for segment in [each for each in m.grants.values() if each.account == above]:
            runs = segment.effective_at <= ended < segment.over and not segment.settled
            alike = (segment.asset, segment.price_asset) == (grant.asset, grant.price_asset)
            units = min(rest, segment.available)
            if segment.commitment and runs and alike and units > 0:
                rest -= units
                what = f"{units} of grant {grant.number} for grant {segment.number}"
                follow.append((what, _counted(m, segment, grant.number, units)))
        above = m.accounts[above].parent
    m.due[:0] = follow


def _counted(m: Shard, segment: NaiveGrant, of: int, units: int) -> Next:
    def count(event: e.TrueUpCounted) -> None:
        m.expect_of_kind(event, e.TrueUpCounted)
        refunded = segment.share_of(units)
        prepaid = segment.kind == GrantKind.PREPAID
        cash = segment.cash if refunded and prepaid else 0
        expected = (segment.account, segment.number, units, refunded, cash, of)
        found = (
            event.account, event.grant, event.amount, event.refunded, event.cash_book, event.of
        )  # fmt: skip
        m.expect(RULE, "what a true-up counts for", expected, found)
        leave(m, segment, units, segment.funding)
        pay_out(m, segment, refunded, event.cash_book)

    return count


def leave(m: Shard, grant: NaiveGrant, amount: int, book: int) -> None:
    """Units leave a grant undrawn."""
    if amount:
        grant.unused += amount
        m.transfer(grant.book, book, amount)


def pay_out(m: Shard, grant: NaiveGrant, money: int, book: int) -> None:
    """Money leaves with them; of a grant without a money side it is only noted."""
    grant.returned += money
    if not money or not book:
        if money and grant.deferred and not (grant.kind == GrantKind.POSTPAID and not book):
            m.fail(RULE, f"{money} of grant {grant.number} goes nowhere")
        return
    kind = BookKind(m.books[book].kind)
    known = (BookKind.CASH, BookKind.BREAKAGE, BookKind.RECEIVABLE, BookKind.UNBILLED)
    m.expect(RULE, f"book {book} takes money back", True, kind in known)
    m.pay(m.accounts[grant.account], grant.deferred, book, money, grant)


def unsettled(m: Shard, number: int, account: NaiveAccount) -> NaiveGrant:
    """A grant of the account that goes on."""
    grant = m.grants[number]
    if grant.settled or grant.account != account.number:
        m.fail(RULE, f"grant {number} ends twice, or elsewhere")
    return grant


def follow_up(m: Shard, grant: NaiveGrant, amount: int) -> None:
    """What a hold gave back to a grant that had ended goes where its rest went (rules D6, T3)."""

    def expiry(event: e.GrantExpired) -> None:
        m.expect_of_kind(event, e.GrantExpired)
        expire(m, event, grant, amount)

    def end(event: e.GrantVoided) -> None:
        m.expect_of_kind(event, e.GrantVoided)
        m.expect(RULE, "given back", amount, event.amount)
        m.expect(RULE, "forfeited as before", grant.forfeit, event.forfeit)
        void(m, event, grant)

    def roll(event: e.GrantRolledOver) -> None:
        m.expect_of_kind(event, e.GrantRolledOver)
        roll_over(m, event, grant, amount)

    ends = _where_it_went(m, grant)
    if ends == MOVED:
        move(m, grant, goes_on_to(m, grant), amount)
    elif ends == EXPIRED:
        m.then(f"{amount} back to expired grant {grant.number}", expiry)
    elif ends:
        m.then(f"{amount} back to voided grant {grant.number}", end)
    elif grant.rolled_over:
        m.then(f"{amount} back to rolled over grant {grant.number}", roll)


def _where_it_went(m: Shard, grant: NaiveGrant) -> int:
    """How the rest of a grant ended: of a segment that was moved, where it went to (rule D7)."""
    target = goes_on_to(m, grant)
    if target is None or target.number == grant.commitment:
        return grant.settled
    if 0 < target.ended_at < grant.over:
        return VOIDED if target.ending == CommitmentEnding.WAIVE else EXPIRED
    return EXPIRED if grant.over <= m.recorded_at else MOVED


# -- what moves to another commitment --------------------------------------------------------------


def goes_on_to(m: Shard, grant: NaiveGrant) -> NaiveCommitment | None:
    """The commitment where a segment's rest is by now; None of what is no segment."""
    found = m.commitments.get(grant.commitment)
    while found is not None and found.moved_to and found.ended_at < grant.over:
        found = m.commitments[found.moved_to]
    return found


def move(m: Shard, grant: NaiveGrant, target: NaiveCommitment | None, amount: int) -> None:
    """Voided here, issued there and added as a segment: each by the next entries (rule D7)."""
    assert target is not None
    account, terms = m.accounts[target.account], target.terms

    def leaves(event: e.GrantVoided) -> None:
        m.expect_of_kind(event, e.GrantVoided)
        m.expect(RULE, "moved", (amount, False), (event.amount, event.forfeit))
        void(m, event, grant, moves=True)
        said.append(event.refunded)

    def comes(event: e.GrantIssued) -> None:
        m.expect_of_kind(event, e.GrantIssued)
        m.expect(RULE, "account of what moves", account.number, event.account)
        issued(m, event)

    def is_added(event: e.SegmentAdded) -> None:
        m.expect_of_kind(event, e.SegmentAdded)
        starts_at = grant.effective_at if grant.effective_at > m.recorded_at else 0
        segment = e.Segment(starts_at, grant.expires_at, amount, said[0])
        expected = (account.number, target.number, segment, (), grant.number)
        found = (event.account, event.commitment, event.segment, event.invoices, event.of)
        m.expect(RULE, "segment that moved", expected, found)
        take_segment(m, target, event.segment, event.grant)

    said: list[int] = []
    m.then(f"grant {grant.number} moves to commitment {target.number}", leaves)
    if amount:
        m.then(f"{amount} of grant {grant.number} issued there", comes)
        m.then(f"{amount} of grant {grant.number} added by terms {terms}", is_added)


def take_segment(m: Shard, commitment: NaiveCommitment, segment: e.Segment, number: int) -> None:
    """The grant before it is one of the commitment's, on its terms."""
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
    if terms.kind == GrantKind.PREPAID and segment.price:  # billed, not paid ahead
        m.expect_book(grant.cash_book, BookKind.UNBILLED, terms.price_asset, commitment.account)
    m.grants[number].commitment = commitment.number
    commitment.grants.append(number)


# -- what rolls over -------------------------------------------------------------------------------


def rolled_over(m: Shard, event: e.GrantRolledOver) -> None:
    """At the expiry, by the clock, once."""
    grant = unsettled(m, event.grant, m.accounts[event.account])
    if grant.rollover is None or grant.rolled_over or m.recorded_at < grant.over:
        m.fail(Rule.EXPIRED_IN_TIME, f"grant {grant.number} rolls over: {grant}")
    m.touch(m.accounts[event.account])
    roll_over(m, event, grant, grant.available)


def roll_over(m: Shard, event: e.GrantRolledOver, grant: NaiveGrant, unheld: int) -> None:
    """min(unheld x fraction, cap), rounded down, with its share of the price (rule T3)."""
    terms = grant.rollover
    assert terms is not None
    amount = unheld * terms.numerator // terms.denominator
    if terms.cap >= 0:
        amount = min(amount, terms.cap - grant.rolled)
    into = m.commitments.get(grant.rolls_into)
    if into is not None and into.ended_at:
        amount = 0
    value = grant.share_of(amount)
    found = (event.grant, event.amount, event.value)
    m.expect(RULE, "grant that rolls over", (grant.number, amount, value), found)
    grant.rolled_over = True
    grant.rolled += amount
    if not amount:
        return

    def anew(issued: e.GrantIssued) -> None:
        m.expect_of_kind(issued, e.GrantIssued)
        over = grant.over + terms.lifetime if terms.lifetime else 0
        expected = {
            "account": grant.account, "kind": grant.kind, "asset": grant.asset, "amount": amount,
            "price_paid": value, "price_asset": grant.price_asset, "priority": grant.priority,
            "effective_at": grant.over, "expires_at": over,
            "products": tuple(sorted(grant.products)), "tags": tuple(sorted(grant.tags)),
            "attributes": tuple(sorted(grant.attributes)), "shared": grant.shared,
            "rollover": terms if terms.again else None, "origin": grant.number,
            "funding_book": grant.book, "pending": False, "scheduled": False, "backfills": (),
        }  # fmt: skip
        for name, wanted in expected.items():
            m.expect(RULE, f"{name} of what rolled over", wanted, getattr(issued, name))
        new = made(m, m.accounts[grant.account], issued)
        new.funding, new.cash = grant.funding, grant.cash
        new.part_of = grant.part_of or grant.number
        leave(m, grant, amount, new.book)
        grant.returned += value
        if issued.cash_book:
            m.expect(RULE, "money comes from", grant.deferred, issued.cash_book)
            m.expect_book(new.deferred, BookKind.DEFERRED, grant.price_asset, new.number)
            m.transfer(grant.deferred, new.deferred, value)
        elif grant.kind == GrantKind.POSTPAID:
            m.expect(RULE, "what is billed", grant.deferred, new.deferred)
        else:
            m.expect(RULE, "money that rolls over", False, bool(value and grant.deferred))

    def added(event: e.SegmentAdded) -> None:
        m.expect_of_kind(event, e.SegmentAdded)
        assert into is not None
        over = grant.over + terms.lifetime
        number = max(m.grants)
        segment = e.Segment(grant.over, over, amount, value)
        expected = (into.account, into.number, segment, (), grant.number, number)
        found = (
            event.account, event.commitment, event.segment, event.invoices, event.of, event.grant
        )  # fmt: skip
        m.expect(RULE, "segment that rolled over", expected, found)
        m.grants[number].commitment = into.number
        into.grants.append(number)

    if into is not None:
        m.at_once(f"{amount} of grant {grant.number} added to the next term", added)
    m.at_once(f"{amount} of grant {grant.number} issued anew", anew)


# -- payments that do not come ---------------------------------------------------------------------


def cancelled(m: Shard, event: e.GrantCancelled) -> None:
    """By whoever says that the payment failed, by the clock, or just before what ends the grant."""
    grant = m.grants[event.grant]
    m.expect(RULE, "account of the grant", grant.account, event.account)
    if event.key:
        m.deciding(event.account)
    else:
        m.touch(m.accounts[event.account])
    m.expect(RULE, "what pends", (grant.pending, grant.unpaid), (event.amount, event.unpaid))
    if not grant.pending:
        m.fail(RULE, f"nothing pends of grant {grant.number}")
    by_clock = grant.issued_at + PAYMENT_WAIT_US <= m.recorded_at
    if event.key or by_clock:
        m.expect(RULE, "the whole grant", grant.unpaid == grant.price, event.whole)
    else:
        m.expect(RULE, "the whole grant", False, event.whole)
        m.ahead.append(event)
    m.books[grant.funding].debits_pending -= event.amount
    m.books[grant.book].credits_pending -= event.amount
    grant.pending = grant.unpaid = 0
    grant.cancelled += event.amount
    grant.returned += event.unpaid
    for number in grant.bought_by:  # what is never paid, they count no more
        mandate = m.accounts[number].mandate
        assert mandate is not None
        mandate.purchased -= event.unpaid
    if event.whole:
        grant.settled = CANCELLED


def take_cancelled(m: Shard, grant: NaiveGrant) -> None:
    """What ends a grant explains that the rest of it was cancelled."""
    m.ahead = [
        each
        for each in m.ahead
        if not (isinstance(each, e.GrantCancelled) and each.grant == grant.number)
    ]
    m.expect(RULE, f"what pends of grant {grant.number}", 0, grant.pending)


def reduced(m: Shard, event: e.GrantReduced) -> None:
    """A part taken back; the end of what had issued it follows (rule S1)."""
    grant = unsettled(m, event.grant, m.accounts[event.account])
    if not 0 < event.amount <= grant.available:
        m.fail(RULE, f"{event.amount} of {grant.available} taken back")
    refunded = grant.share_of(event.amount)
    m.expect(RULE, "refunded", refunded, event.refunded)
    cash = grant.cash if refunded and grant.kind != GrantKind.POSTPAID else 0
    m.expect(RULE, "cash", cash, event.cash_book)
    leave(m, grant, event.amount, grant.funding)
    pay_out(m, grant, refunded, event.cash_book)
    m.ahead.append(event)


def restored(m: Shard, event: e.GrantRestored) -> None:
    """On the terms of one that has ended; the correction that follows fills it (rule D3)."""
    old = m.grants[event.of]
    account = m.accounts[event.account]
    family = [a.number for a in m.accounts.values() if a.root == account.root]
    before = [grant for grant in m.grants.values() if grant.account in family]
    m.expect(RULE, "ordinal", len(before) + 1, event.ordinal)
    m.expect(RULE, "number", len(m.grants) + 1, event.grant)
    m.expect(RULE, "account", old.account, event.account)
    if not old.settled and old.over > m.recorded_at:
        m.fail(RULE, f"grant {old.number} goes on, and {event}")
    over = max(old.expires_at, m.recorded_at + 30 * DAY_US) if old.expires_at else 0
    m.expect(RULE, "expiry", over, event.expires_at)
    m.expect_book(event.book, BookKind.GRANT, old.asset, event.grant)
    grant = NaiveGrant(
        number=event.grant,
        ordinal=event.ordinal,
        account=event.account,
        kind=old.kind,
        asset=old.asset,
        amount=event.amount,
        price=event.price_paid,
        price_asset=old.price_asset,
        priority=old.priority,
        effective_at=old.effective_at,
        expires_at=event.expires_at,
        products=old.products,
        tags=old.tags,
        attributes=old.attributes,
        shared=old.shared,
        listed=old.listed,
        rollover=old.rollover,
        origin=old.number,
        issued_at=m.recorded_at,
        book=event.book,
        funding=old.funding,
        cash=old.cash,
        deferred=event.deferred_book,
        drawn=event.amount,  # until it is filled
        seat=old.seat,
        part_of=old.part_of or old.number,
    )
    account.grants.append(grant)
    m.grants[grant.number] = grant
    m.ahead.append(event)
