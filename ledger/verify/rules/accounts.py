"""Accounts, and the shard's own entries: versions in order, closed at zero (rules I2, I5)."""

from __future__ import annotations

from typing import Final

from ledger.core.books import Book
from ledger.core.events import (
    OF_A_GRANT,
    AccountClosed,
    AccountClosedOut,
    AccountCreated,
    AccountFrozen,
    AccountMoved,
    AccountPolicyUpdated,
    AccountProfileUpdated,
    AccountReopened,
    AccountUnfrozen,
    BookKind,
    CommitmentEnding,
    ConfigurationApplied,
    GrantKind,
    WriteOffKind,
    WriterOpened,
)
from ledger.core.limits import DEPTH_MAX
from ledger.core.state import GRANT_VOIDED, Account, State
from ledger.verify.rules.judge import Judge
from ledger.verify.rules.usage import MONTH_MAX_US
from ledger.verify.transfers import goes_on_to, still_goes_on, was_moved

_SIDES_OF_WRITE_OFF: Final[dict[int, tuple[BookKind, BookKind]]] = {
    WriteOffKind.GRANT: (BookKind.GRANT, BookKind.FORFEITED),
    WriteOffKind.ADVANCE: (BookKind.ADVANCE, BookKind.PROMOTION),
    WriteOffKind.OVERAGE: (BookKind.OVERAGE, BookKind.SETTLED),
    WriteOffKind.BREAKAGE: (BookKind.DEFERRED, BookKind.BREAKAGE),
    WriteOffKind.UNBILLED: (BookKind.UNBILLED, BookKind.BAD_DEBT),
    WriteOffKind.RECEIVABLE: (BookKind.RECEIVABLE, BookKind.BAD_DEBT),
    WriteOffKind.COMMITMENT: (BookKind.COMMITMENT, BookKind.SETTLED),
}
"""The account's book and the house's."""


def account_created(judge: Judge, state: State, event: AccountCreated) -> None:
    if event.account in state.accounts:
        judge.wrong(state, f"account {event.account}", "new", "there already")
    if not event.parent:
        judge.equal(state, "root", event.account, event.root)
        return
    parent = state.accounts[event.parent]
    family = (parent.tenant, parent.root)
    judge.equal(state, "family", family, (event.tenant, event.root))


def account_policy_updated(judge: Judge, state: State, event: AccountPolicyUpdated) -> None:
    account = state.accounts[event.account]
    judge.equal(state, "version of the policy", account.version + 1, event.version)
    zone = event.policy.zone or (zone_of(account.parent) if account.parent else "UTC")
    judge.equal(state, "another zone", zone != zone_of(account), event.zone_from > 0)
    _zones_below(judge, state, account, event)
    another = event.policy.billing_anchor != account.policy.billing_anchor
    judge.equal(state, "another billing anchor", another, event.anchor_from > 0)
    if event.anchor_from:
        _next_month(judge, state, event.anchor_from)


def account_moved(judge: Judge, state: State, event: AccountMoved) -> None:
    """Within its family, not below itself, and never too deep; another zone as ever (D1, T1)."""
    account, parent = state.accounts[event.account], state.accounts[event.parent]
    judge.equal(state, "version of the place", account.place_version + 1, event.version)
    before = account.parent.number if account.parent is not None else 0
    judge.equal(state, "parent before", before, event.before)
    judge.equal(state, "family", account.root, parent.root)
    judge.equal(state, "closed, its parent", 0, parent.closed_at)
    if event.parent == event.before:
        judge.wrong(state, "parent", f"another than {event.before}", event.parent)
    line, above = [parent.number], parent.parent
    while above is not None:
        line.append(above.number)
        above = above.parent
    if account.number in line:
        judge.wrong(state, "accounts above it", "without itself", line)
        return
    levels, deep = [account], len(line)
    while levels:
        levels, deep = [child for each in levels for child in each.children], deep + 1
    if deep - 1 > DEPTH_MAX:
        judge.wrong(state, "depth", f"at most {DEPTH_MAX}", deep - 1)
    zone = account.policy.zone or zone_of(parent)
    judge.equal(state, "another zone", zone != zone_of(account), event.zone_from > 0)
    _zones_below(judge, state, account, event)


def _zones_below(
    judge: Judge, state: State, account: Account, event: AccountPolicyUpdated | AccountMoved
) -> None:
    inheriting = [each.number for each in account.in_its_zone()[1:]]
    for number, since in event.zone_from_below:
        if number not in inheriting or not event.zone_from:
            judge.wrong(state, "accounts of that zone", inheriting, number)
        _next_month(judge, state, since)
    if event.zone_from:
        _next_month(judge, state, event.zone_from)


def _next_month(judge: Judge, state: State, since: int) -> None:
    """Another zone counts from the end of the month that runs (rule T1)."""
    if not state.now < since <= state.now + MONTH_MAX_US:
        judge.wrong(state, "end of the month", f"after {state.now}", since)


def account_profile_updated(judge: Judge, state: State, event: AccountProfileUpdated) -> None:
    version = state.accounts[event.account].profile_version + 1
    judge.equal(state, "version of the metadata", version, event.version)


def account_closed(judge: Judge, state: State, event: AccountClosed) -> None:
    """At zero only."""
    account = state.accounts[event.account]
    _closing(judge, state, account, event.closed_at)
    judge.equal(state, "open holds", 0, len(account.holds))
    for book in books_of(account):
        left = book.credits_posted - book.debits_posted
        judge.equal(state, f"left in book {book.number}", 0, left)


def _closing(judge: Judge, state: State, account: Account, closed_at: int) -> None:
    """Once, now, and nothing below it is open."""
    judge.equal(state, "closed before", 0, account.closed_at)
    judge.equal(state, "closed at", state.now, closed_at)
    for child in account.children:
        if not child.closed_at:
            judge.wrong(state, f"account {child.number} below", "closed", "open")


def account_closed_out(judge: Judge, state: State, event: AccountClosedOut) -> None:
    """Every hold is given back; each transfer is of the account's own books, by its kind, and
    nothing is left in them once what a hold gives back to a grant that ended before has followed
    its rest. Older entries did not count in what follows: they stay good."""
    account = state.accounts[event.account]
    _closing(judge, state, account, event.closed_at)
    judge.equal(state, "holds given back", tuple(sorted(account.holds)), event.holds)
    if event.holds and not event.release_holds:
        judge.wrong(state, "holds given back", "none was asked for", event.holds)
    if event.write_offs and not event.write_off:
        judge.wrong(state, "written off", "nothing was asked for", len(event.write_offs))
    left = {
        book.number: book.credits_posted - book.debits_posted
        for book in books_of(account)
        if book.grant is None or not book.grant.settled
    }
    for each in event.write_offs:
        own, house = _SIDES_OF_WRITE_OFF[each.kind]
        debit, credit = (state.books.accounts[book] for book in (each.debit, each.credit))
        ours, theirs = (debit, credit) if debit.kind == own else (credit, debit)
        what = f"write-off of book {ours.number}"
        judge.equal(state, f"{what}, kinds", (own, house), (ours.kind, theirs.kind))
        judge.equal(state, f"{what}, assets", (each.asset,) * 2, (debit.asset, credit.asset))
        if ours.number not in left:
            judge.wrong(state, f"{what}, owner", account.number, ours.owner)
        else:
            left[ours.number] -= each.amount if ours is debit else -each.amount
        grant = ours.owner if ours.kind in OF_A_GRANT else 0
        judge.equal(state, f"{what}, grant", grant, each.grant)
    following = _following(state, account)
    for number, amount in left.items():
        if amount:
            judge.equal(state, f"left in book {number}", following.get(number, 0), amount)


def _following(state: State, account: Account) -> dict[int, int]:
    """What is to be left in its books for what its holds give back to grants that ended before: a
    commitment is credited with units that are voided or move, unbilled with the price of what was
    paid ahead; a true-up debits unbilled (rules D6, D7, B4)."""
    returned: dict[int, int] = {}
    for hold in account.holds.values():
        for piece in hold.slices:
            grant = state.books.accounts[piece.book].grant
            if grant is not None and grant.settled:
                returned[grant.number] = returned.get(grant.number, 0) + piece.amount
    following: dict[int, int] = {}
    for number, units in returned.items():
        grant = state.grants[number]
        moves = was_moved(grant) and still_goes_on(state, grant)
        voided = grant.settled == GRANT_VOIDED
        if was_moved(grant) and not moves:
            voided = goes_on_to(state, grant).ending == CommitmentEnding.WAIVE
        book, amount = grant.book.value_book, grant.rest_of(units)
        if voided:
            book, amount = grant.cash, -(amount if moves else grant.share_of(units))
            if grant.kind == GrantKind.POSTPAID:
                book, amount = grant.funding, -units
            elif grant.forfeit:
                amount = 0
        if book is not None:
            following[book.number] = following.get(book.number, 0) + amount
    return following


def account_reopened(judge: Judge, state: State, event: AccountReopened) -> None:
    account = state.accounts[event.account]
    if not account.closed_at:
        judge.wrong(state, f"account {event.account}", "closed", "open")
    if account.parent is not None:
        judge.equal(state, "closed, its parent", 0, account.parent.closed_at)


def account_frozen(judge: Judge, state: State, event: AccountFrozen) -> None:
    judge.equal(state, "frozen before", 0, state.accounts[event.account].frozen_at)


def account_unfrozen(judge: Judge, state: State, event: AccountUnfrozen) -> None:
    if not state.accounts[event.account].frozen_at:
        judge.wrong(state, f"account {event.account}", "frozen", "not frozen")


def configuration_applied(judge: Judge, state: State, event: ConfigurationApplied) -> None:
    version = state.configuration.get(event.tenant, 0) + 1
    judge.equal(state, "version of the configuration", version, event.version)


def writer_opened(judge: Judge, state: State, event: WriterOpened) -> None:
    judge.equal(state, "epoch", state.epoch + 1, event.epoch)


def books_of(account: Account) -> list[Book]:
    """The books that stand for what an account has and owes."""
    books = [grant.book for grant in account.grants]
    for grant in account.grants:
        deferred = grant.book.value_book
        if deferred is not None and deferred.kind == BookKind.DEFERRED and not grant.settled:
            books.append(deferred)
        if grant.funding.kind == BookKind.COMMITMENT:
            books.append(grant.funding)
    for kept in (account.advance, account.overage, account.unbilled, account.receivable):
        books.extend(kept.values())
    return books


def zone_of(account: Account) -> str:
    """The zone of its policy, else of its nearest ancestor's, else UTC (rule T1)."""
    above: Account | None = account
    while above is not None:
        if above.policy.zone:
            return above.policy.zone
        above = above.parent
    return "UTC"
