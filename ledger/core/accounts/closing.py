"""Deciding how an account closes: at zero, or with what it still has written off (rules B3, T2).

What is written off stands in the closing's own entry, each amount as a transfer; what its holds
give back to grants that ended before follows, and is counted in. Reads state, changes nothing.
"""

from __future__ import annotations

from ledger.core.books import Book
from ledger.core.commands import CloseAccount
from ledger.core.events import (
    AccountClosed,
    AccountClosedOut,
    BookKind,
    Event,
    GrantExpired,
    GrantVoided,
    WriteOff,
    WriteOffKind,
)
from ledger.core.funding.following import follow_up, returned_by
from ledger.core.limits import INT64_MAX
from ledger.core.opening import house_book
from ledger.core.state import GRANT_OPEN, Account, Grant, State


def close(state: State, account: Account, command: CloseAccount, out: list[Event]) -> Event:
    """Append what closes an account that nothing keeps open."""
    now = state.now
    if not (command.write_off or command.release_holds or command.note):
        closed = AccountClosed(command.key, account.number, now, command.trace)
        out.append(closed)
        return closed
    returned = _returned(state, account, command.write_off)
    closed_out = AccountClosedOut(
        command.key,
        account.number,
        now,
        tuple(sorted(account.holds)),
        tuple(_write_offs(state, account, _following(state, returned), out))
        if command.write_off
        else (),
        command.write_off,
        command.release_holds,
        command.note,
        command.trace,
    )
    out.append(closed_out)
    follow_up(state, returned, out)  # where the rest of those grants went
    return closed_out


def _returned(state: State, account: Account, write_off: bool) -> list[tuple[Grant, int]]:
    """What its holds give back, in all to each grant, so that the last unit takes the exact rest of
    the money (rule B4); what is written off takes what comes back to a grant that goes on."""
    returned: dict[int, tuple[Grant, int]] = {}
    for number in sorted(account.holds):
        for grant, amount in returned_by(state, account.holds[number], ()):
            if write_off and grant.account is account and grant.settled == GRANT_OPEN:
                continue
            _, before = returned.get(grant.number, (grant, 0))
            returned[grant.number] = (grant, before + amount)
    return list(returned.values())


def settling(state: State, account: Account) -> dict[int, int]:
    """What the books of an account are owed more by once its holds are released (rule D6), below
    zero where it is less: book -> minor units."""
    return _following(state, _returned(state, account, False)) if account.holds else {}


def _following(state: State, returned: list[tuple[Grant, int]]) -> dict[int, int]:
    """What follows from that: book -> what it is owed more."""
    entries: list[Event] = []
    follow_up(state, returned, entries)
    more: dict[int, int] = {}
    for event in entries:
        if isinstance(event, GrantVoided):
            grant = state.grants[event.grant]
            sides = [(grant.funding.number, -event.amount), (event.cash_book, -event.refunded)]
        elif isinstance(event, GrantExpired):
            pays = state.grants[event.grant].book.value_book
            sides = [(pays.number, event.value)] if pays is not None else []
        else:
            continue
        for book, amount in sides:
            more[book] = more.get(book, 0) + amount
    return more


def _write_offs(
    state: State, account: Account, following: dict[int, int], out: list[Event]
) -> list[WriteOff]:
    """What is left of its grants is forfeited, an advance is absorbed, overage is settled; money
    not earned is breakage, money not paid is bad debt (rules B3, B4, F4). `following` entries make
    a book owed so much more."""
    found: list[WriteOff] = []
    for grant in account.grants:
        book = grant.book
        left = book.credits_posted - book.debits_posted  # holds are given back by then
        if grant.settled:
            continue
        if left:
            house = _house(state, account, BookKind.FORFEITED, grant.asset, out)
            found.append(
                WriteOff(WriteOffKind.GRANT, book.number, house, grant.asset, left, grant.number)
            )
        value, pays = grant.rest_of(left), book.value_book
        if value and pays is not None and pays.kind == BookKind.DEFERRED:
            house = _house(state, account, BookKind.BREAKAGE, pays.asset, out)
            kind = WriteOffKind.BREAKAGE
            found.append(WriteOff(kind, pays.number, house, pays.asset, value, grant.number))
    for book in commitments(account):
        owed = book.owed + following.get(book.number, 0)
        if owed:
            house = _house(state, account, BookKind.SETTLED, book.asset, out)
            found.extend(_owed(WriteOffKind.COMMITMENT, book, owed, house, book.owner))
    for kind, house_kind, books in (
        (WriteOffKind.ADVANCE, BookKind.PROMOTION, account.advance),
        (WriteOffKind.OVERAGE, BookKind.SETTLED, account.overage),
        (WriteOffKind.UNBILLED, BookKind.BAD_DEBT, account.unbilled),
        (WriteOffKind.RECEIVABLE, BookKind.BAD_DEBT, account.receivable),
    ):
        for asset in sorted(books):
            owed = books[asset].owed + following.get(books[asset].number, 0)
            if owed:
                house = _house(state, account, house_kind, asset, out)
                found.extend(_owed(kind, books[asset], owed, house))
    return found


def commitments(account: Account) -> list[Book]:
    """What its grants are owed for that are billed as they are drawn (rule B3)."""
    return [
        grant.funding
        for grant in account.grants
        if grant.funding.kind == BookKind.COMMITMENT and grant.funding.owner == grant.number
    ]


def _house(state: State, account: Account, kind: BookKind, asset: int, out: list[Event]) -> int:
    return house_book(state, account.tenant, kind, asset, "", out)


def _owed(kind: WriteOffKind, book: Book, owed: int, house: int, grant: int = 0) -> list[WriteOff]:
    """Take what a book is owed to zero; what does not fit one transfer is split (rule N1)."""
    debit, credit = (house, book.number) if owed > 0 else (book.number, house)
    left = abs(owed)
    found: list[WriteOff] = []
    while left:
        amount = min(left, INT64_MAX)
        found.append(WriteOff(kind, debit, credit, book.asset, amount, grant))
        left -= amount
    return found
