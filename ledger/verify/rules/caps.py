"""Sharing and caps: who may be named, and what no draw may exceed (rules D1, D8)."""

from __future__ import annotations

from collections.abc import Sequence

from ledger.core.events import (
    CapBegun,
    CapRemoved,
    CapSet,
    CapWindowOpened,
    SharingMode,
    SharingUpdated,
    Slice,
    WindowKind,
)
from ledger.core.state import Account, Grant, State
from ledger.verify.rules.judge import Judge


def sharing_updated(judge: Judge, state: State, event: SharingUpdated) -> None:
    """A grant of the account's own, with accounts of its subtree, at the version that it has."""
    account, grant = state.accounts[event.account], state.grants[event.grant]
    judge.equal(state, f"account of grant {grant.number}", account.number, grant.account.number)
    judge.equal(state, "version of the sharing", grant.sharing_version + 1, event.version)
    if event.expected_version:
        judge.equal(state, "expected version", grant.sharing_version, event.expected_version)
    listed = event.sharing.mode == SharingMode.LISTED
    judge.equal(state, "accounts are listed", listed, bool(event.sharing.accounts))
    matching = event.sharing.mode == SharingMode.MATCHING
    judge.equal(state, "labels are named", matching, bool(event.sharing.labels))
    for number in event.sharing.accounts:
        if not _is_below(state.accounts[number], account):
            judge.wrong(state, "account that it is shared with", "one below its own", number)
    for number in event.alike:
        other = state.grants[number]
        alike = (other.recurring, other.commitment) == (grant.recurring, grant.commitment)
        if other.account is not account or not alike:
            judge.wrong(state, "grant that is shared alike", f"as {grant.number}", number)


def cap_set(judge: Judge, state: State, event: CapSet) -> None:
    """Of an account on one below it; a new one has the next number, another its next version."""
    account, below = state.accounts[event.account], state.accounts[event.below]
    found = account.caps_given.get(event.cap)
    judge.equal(state, "caps of a closed account", 0, account.closed_at)
    if not _is_below(below, account):
        judge.wrong(state, "account that is capped", "one below", event.below)
    if found is None:
        following = state.families[account.root].next_cap
        judge.equal(state, "number of the cap", following, event.cap)
        judge.equal(state, "version of the cap", 1, event.version)
    else:
        judge.equal(state, "version of the cap", found.version + 1, event.version)
        of = (found.below.number, found.asset, found.grant.number if found.grant else 0)
        judge.equal(state, "what the cap is of", of, (event.below, event.asset, event.grant))
        judge.equal(state, "window of the cap", found.terms.window, event.terms.window)
        if event.expected_version:
            judge.equal(state, "expected version", found.version, event.expected_version)
    if event.terms.reserved and not event.grant:
        judge.wrong(state, "grant of which units are reserved", "one", 0)


def cap_begun(judge: Judge, state: State, event: CapBegun) -> None:
    """A new one."""
    judge.equal(state, "version of a new cap", 1, event.version)
    cap_set(judge, state, event)


def cap_removed(judge: Judge, state: State, event: CapRemoved) -> None:
    cap = state.accounts[event.account].caps_given[event.cap]
    if event.expected_version:
        judge.equal(state, "expected version", cap.version, event.expected_version)


def cap_window_opened(judge: Judge, state: State, event: CapWindowOpened) -> None:
    """A window of its own, that none of the same cap reaches into."""
    cap = state.accounts[event.account].caps_given[event.cap]
    if cap.terms.window.kind == WindowKind.LIFETIME or not event.since < event.end:
        judge.wrong(state, "window of the cap", "one of its kind", (event.since, event.end))
    for cell in cap.counter.cells:
        if cell.since == event.since:
            judge.wrong(state, "window of the cap", "opened once", event.since)


def look_at_shares(
    judge: Judge, state: State, account: Account, slices: Sequence[Slice], at: int
) -> None:
    """What is about to be drawn of grants above the account is shared with it, and leaves what is
    set aside for others and each ceiling on the way as it is. Said again, apart from the core."""
    taken: dict[tuple[int, int], int] = {}
    for piece in slices:
        grant = state.books.accounts[piece.book].grant
        if grant is None:
            continue
        line = _line(account, grant.account)
        if not line and grant.account is not account:
            judge.wrong(state, f"who draws grant {grant.number}", "one below", account.number)
        elif grant.account is not account and not _shares(grant, line):
            judge.wrong(
                state, f"who draws grant {grant.number}", "one it is shared with", account.number
            )
        for each in line:
            for cap in each.caps:
                if cap.owner is not grant.account or cap.grant not in (None, grant):
                    continue
                if cap.asset != grant.asset:
                    continue
                place = (cap.owner.number, cap.number)
                taken[place] = taken.get(place, 0) + piece.amount
                ceiling = cap.ceiling(at)
                if ceiling is not None and sum(cap.counted(at)) + taken[place] > ceiling:
                    drawn = sum(cap.counted(at)) + taken[place]
                    judge.wrong(state, f"drawn within cap {cap.number}", f"<= {ceiling}", drawn)
        others = sum(
            [
                cap.aside
                for cap in grant.account.caps_given.values()
                if cap.terms.reserved and cap.grant is grant and cap.below not in line
            ]
        )
        if piece.amount > grant.book.available - others:
            most = grant.book.available - others
            judge.wrong(state, f"drawn from grant {grant.number}", f"<= {most}", piece.amount)


def _line(account: Account, owner: Account) -> list[Account]:
    """From the account up to the owner, without it; empty where that is not above it."""
    line: list[Account] = []
    each: Account | None = account
    while each is not None and each is not owner:
        line.append(each)
        each = each.parent
    return line if each is owner else []


def _shares(grant: Grant, line: list[Account]) -> bool:
    sharing = grant.shared_with
    if not grant.shared or sharing is None:
        return grant.shared
    if grant.account.number in sharing.accounts:  # what an agent bought that pays by itself
        return True
    return any(
        each.number in sharing.accounts or not {*each.policy.labels}.isdisjoint(sharing.labels)
        for each in line
    )


def _is_below(account: Account, above: Account) -> bool:
    return account is not above and bool(_line(account, above))
