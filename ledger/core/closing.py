"""Deciding how an account closes: at zero, or with what it still has written off (rules B3, T2).

What is written off stands in the closing's own entry, each amount as a transfer. Reads state,
changes nothing.
"""

from __future__ import annotations

from ledger.core.books import Book
from ledger.core.commands import CloseAccount
from ledger.core.drawdown import house_book
from ledger.core.events import (
    AccountClosed,
    AccountClosedOut,
    BookKind,
    Event,
    WriteOff,
    WriteOffKind,
)
from ledger.core.following import follow_up, returned_by
from ledger.core.limits import INT64_MAX
from ledger.core.state import Account, State


def close(state: State, account: Account, command: CloseAccount, out: list[Event]) -> Event:
    """Append what closes an account that nothing keeps open."""
    now = state.now
    if not (command.write_off or command.release_holds or command.note):
        closed = AccountClosed(command.key, account.number, now, command.trace)
        out.append(closed)
        return closed
    held = sorted(account.holds)
    closed_out = AccountClosedOut(
        command.key,
        account.number,
        now,
        tuple(held),
        tuple(_write_offs(state, account, out)) if command.write_off else (),
        command.write_off,
        command.release_holds,
        command.note,
        command.trace,
    )
    out.append(closed_out)
    for number in held:  # of grants that ended before, what comes back goes where their rest went
        follow_up(state, returned_by(state, account.holds[number], ()), out)
    return closed_out


def _write_offs(state: State, account: Account, out: list[Event]) -> list[WriteOff]:
    """What is left of its grants is forfeited, an advance is absorbed, overage is settled; money
    not earned is breakage, money not paid is bad debt (rules B3, B4, F4)."""
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
        if book.owed:
            house = _house(state, account, BookKind.SETTLED, book.asset, out)
            found.extend(_owed(WriteOffKind.COMMITMENT, book, house, book.owner))
    for kind, house_kind, books in (
        (WriteOffKind.ADVANCE, BookKind.PROMOTION, account.advance),
        (WriteOffKind.OVERAGE, BookKind.SETTLED, account.overage),
        (WriteOffKind.UNBILLED, BookKind.BAD_DEBT, account.unbilled),
        (WriteOffKind.RECEIVABLE, BookKind.BAD_DEBT, account.receivable),
    ):
        for asset in sorted(books):
            if books[asset].owed:
                house = _house(state, account, house_kind, asset, out)
                found.extend(_owed(kind, books[asset], house))
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


def _owed(kind: WriteOffKind, book: Book, house: int, grant: int = 0) -> list[WriteOff]:
    """Bring a book that is owed to zero; what does not fit one transfer is split (rule N1)."""
    debit, credit = (house, book.number) if book.owed > 0 else (book.number, house)
    left = abs(book.owed)
    found: list[WriteOff] = []
    while left:
        amount = min(left, INT64_MAX)
        found.append(WriteOff(kind, debit, credit, book.asset, amount, grant))
        left -= amount
    return found
