"""Money that comes, goes back, or is owed (rules F1 to F4)."""

from __future__ import annotations

from ledger.core.events import (
    AccountBilled,
    CreditNoteIssued,
    GrantChargedBack,
    GrantReduced,
    GrantRefunded,
    PaymentRecorded,
    ReceivableWrittenOff,
    TrueUpCounted,
)
from ledger.core.evolve.moves import exhausted, pay, retire
from ledger.core.state import GRANT_VOIDED, State


def grant_reduced(state: State, event: GrantReduced | TrueUpCounted) -> None:
    grant = state.grants[event.grant]
    state.books.transfer(grant.book, grant.funding, event.amount)
    grant.unused += event.amount
    grant.returned += event.refunded
    if event.cash_book:
        assert grant.book.value_book is not None
        pay(
            grant.account,
            grant.book.value_book,
            state.books.accounts[event.cash_book],
            event.refunded,
            grant,
        )
    exhausted(state, grant)


def grant_refunded(state: State, event: GrantRefunded) -> None:
    grant = state.grants[event.grant]
    books, deferred = state.books.accounts, grant.book.value_book
    assert deferred is not None
    state.books.transfer(grant.book, grant.funding, event.amount)
    grant.unused += event.amount
    for money, book in ((event.refunded, event.cash_book), (event.breakage, event.breakage_book)):
        grant.returned += money
        if money:
            pay(grant.account, deferred, books[book], money, grant)
    exhausted(state, grant)
    state.keys.add(event.key, state.locator)


def grant_charged_back(state: State, event: GrantChargedBack) -> None:
    """What is given back from now on lowers what is owed: its price comes from the receivable."""
    books = state.books.accounts
    cash, receivable = books[event.cash_book], books[event.receivable_book]
    for part in event.parts:
        grant = state.grants[part.grant]
        if part.amount:
            state.books.transfer(grant.book, grant.funding, part.amount)
            grant.unused += part.amount
        if part.value:
            assert grant.book.value_book is not None
            pay(grant.account, grant.book.value_book, cash, part.value, grant)
            grant.returned += part.value
        grant.cash = receivable
        if part.ends:
            grant.settled = GRANT_VOIDED
            retire(grant)
    if event.owed:
        account = state.accounts[event.account]
        pay(account, receivable, cash, event.owed, state.grants[event.grant])
    state.keys.add(event.key, state.locator)


def account_billed(state: State, event: AccountBilled) -> None:
    books = state.books.accounts
    for line in event.lines:
        state.books.transfer(books[line.debit], books[line.credit], line.amount)
    state.keys.add(event.key, state.locator)


def payment_recorded(state: State, event: PaymentRecorded) -> None:
    books = state.books.accounts
    account = state.accounts[event.account]
    pay(account, books[event.cash_book], books[event.receivable_book], event.amount)
    state.keys.add(event.key, state.locator)


def receivable_lowered(state: State, event: CreditNoteIssued | ReceivableWrittenOff) -> None:
    books = state.books.accounts
    state.books.transfer(books[event.book], books[event.receivable_book], event.amount)
    state.keys.add(event.key, state.locator)
