"""What a writer says for itself: it opened the shard or a book; and what changes nothing."""

from __future__ import annotations

from ledger.core.books import Book
from ledger.core.events import (
    OF_A_GRANT,
    OF_AN_ACCOUNT,
    BookKind,
    BookOpened,
    ClockAdvanced,
    ConfigurationApplied,
    LimitExceeded,
    PlanDeclared,
    RequestAbandoned,
    TimeShifted,
    UsageQuarantined,
    WriterOpened,
)
from ledger.core.state import State


def writer_opened(state: State, event: WriterOpened) -> None:
    state.epoch = event.epoch


def configuration_applied(state: State, event: ConfigurationApplied) -> None:
    state.configuration[event.tenant] = event.version
    if state.suspended:
        state.try_suspended_of(event.tenant)


def clock_advanced(state: State, event: ClockAdvanced) -> None:
    state.advance_clock(event.tenant, event.offset)


def time_shifted(state: State, event: TimeShifted) -> None:
    state.record_at(event.offset)


def book_opened(state: State, event: BookOpened) -> None:
    book = state.books.open(
        event.book, event.tenant, event.kind, event.asset, event.owner, event.name
    )
    state.next_book = max(state.next_book, event.book + 1)
    place_book(state, book)


def place_book(state: State, book: Book) -> None:
    """Let those find a book that use it: its account, the house, the books that it goes with."""
    kind, asset = book.kind, book.asset
    if kind in OF_A_GRANT:
        return  # the grant names them
    if kind not in OF_AN_ACCOUNT:
        state.house[(book.tenant, kind, asset, book.name)] = book
        if kind == BookKind.REVENUE:
            state.revenues.setdefault((book.tenant, book.name), {})[asset] = book
        elif kind == BookKind.USED or kind == BookKind.CONVERSION:
            book.revenues = state.revenues.setdefault((book.tenant, book.name), {})
        return
    account = state.accounts[book.owner]
    if kind == BookKind.ADVANCE:
        account.advance[asset] = book
    elif kind == BookKind.RECEIVABLE:
        account.receivable[asset] = book
    else:
        (account.overage if kind == BookKind.OVERAGE else account.unbilled)[asset] = book
        if kind == BookKind.OVERAGE:
            book.value_book = account.unbilled.get(asset)


def plan_declared(state: State, event: PlanDeclared) -> None:
    state.vocabulary[event] = state.batch_length
    state.declared[state.batch_length] = event


def usage_quarantined(state: State, event: UsageQuarantined) -> None:
    state.keys.add(event.key, state.locator)


def limit_exceeded(state: State, event: LimitExceeded) -> None:
    pass


def request_abandoned(state: State, event: RequestAbandoned) -> None:
    state.keys.add(event.key, state.locator)
