"""Grants: issued, released by their payment, rolled over, expired, voided (rules B3, B4, T3)."""

from __future__ import annotations

from ledger.core.events import (
    GrantCancelled,
    GrantExpired,
    GrantIssued,
    GrantReleased,
    GrantRestored,
    GrantRolledOver,
    GrantRolloverSet,
    GrantStarted,
    GrantVoided,
)
from ledger.core.evolve.mandates import purchase_settled
from ledger.core.evolve.moves import activate, paid_for, pay, repay, retire, set_timer
from ledger.core.state import (
    GRANT_CANCELLED,
    GRANT_EXPIRED,
    GRANT_VOIDED,
    NEVER,
    TIMER_GRANT,
    Grant,
    State,
)


def grant_issued(state: State, event: GrantIssued) -> None:
    account = state.accounts[event.account]
    books = state.books.accounts
    book, funding = books[event.book], books[event.funding_book]
    cash = books[event.cash_book] if event.cash_book else None
    origin = state.grants[event.origin] if event.origin else None
    grant = Grant(
        event.grant,
        event.ordinal,
        account,
        event.kind,
        event.asset,
        event.amount,
        event.price_paid,
        event.price_asset,
        event.priority,
        event.effective_at,
        event.expires_at or NEVER,
        frozenset(event.products),
        event.external_key,
        book,
        funding if origin is None else origin.funding,
        state.now,
        frozenset(event.tags),
        frozenset(event.attributes),
        event.shared,
        event.rollover,
        event.metadata,
        cash if origin is None else origin.cash,
        event.origin,
    )
    grant.shared_with = event.sharing
    grant.scheduled = event.scheduled
    grant.unpaid = event.price_paid if event.pending else 0
    grant.part_of = paid_for(origin)
    grant.seat = origin.seat if origin is not None else None
    book.grant = grant
    if event.deferred_book:
        book.value_book = books[event.deferred_book]
    state.grants[event.grant] = grant
    state.next_grant = max(state.next_grant, event.grant + 1)
    family = state.families[account.root]
    family.next_ordinal = event.ordinal + 1
    if event.external_key:
        family.grant_keys[event.external_key] = event.grant
    account.grants.append(grant)
    if event.pending:
        state.books.reserve(funding, book, event.amount)
    else:
        if origin is not None:
            _move_out(state, origin, event.amount, event.price_paid)
        state.books.transfer(funding, book, event.amount)
        if cash is not None and event.price_paid:
            assert book.value_book is not None
            pay(account, cash, book.value_book, event.price_paid, grant)
        activate(grant)
    repay(state, grant, event.backfills)
    for due in grant.dues():
        set_timer(state, account, due, TIMER_GRANT, event.grant)
    if event.key:
        state.keys.add(event.key, state.locator)


def grant_restored(state: State, event: GrantRestored) -> None:
    """Its terms are those of the grant that ended; its units come with the next entry."""
    ended = state.grants[event.of]
    grant = Grant(
        event.grant,
        event.ordinal,
        ended.account,
        ended.kind,
        ended.asset,
        event.amount,
        event.price_paid,
        ended.price_asset,
        ended.priority,
        ended.effective_at,
        event.expires_at or NEVER,
        ended.products,
        b"",
        state.books.accounts[event.book],
        ended.funding,
        state.now,
        ended.tags,
        ended.attributes,
        ended.shared,
        ended.rollover,
        ended.metadata,
        ended.cash,
        event.of,
    )
    grant.part_of = paid_for(ended)
    grant.seat = ended.seat
    grant.shared_with = ended.shared_with
    grant.book.grant = grant
    if event.deferred_book:
        grant.book.value_book = state.books.accounts[event.deferred_book]
    state.grants[event.grant] = grant
    state.next_grant = event.grant + 1
    state.families[grant.account.root].next_ordinal = event.ordinal + 1
    grant.account.grants.append(grant)
    for due in grant.dues():
        set_timer(state, grant.account, due, TIMER_GRANT, event.grant)


def _move_out(state: State, grant: Grant, amount: int, money: int) -> None:
    """Let units leave a grant undrawn with their share of its price; the caller posts both."""
    grant.unused += amount
    grant.returned += money
    if grant.book.debits_posted + amount == grant.book.credits_posted:
        retire(grant)


def grant_started(state: State, event: GrantStarted) -> None:
    grant = state.grants[event.grant]
    grant.scheduled = False
    repay(state, grant, event.backfills)


def grant_rollover_set(state: State, event: GrantRolloverSet) -> None:
    grant = state.grants[event.grant]
    grant.rollover, grant.rolls_into = event.rollover, event.commitment
    set_timer(state, grant.account, grant.expires_at, TIMER_GRANT, grant.number)


def grant_rolled_over(state: State, event: GrantRolledOver) -> None:
    state.grants[event.grant].rolled_over = True
    state.grants[event.grant].rolled += event.amount  # the entry that follows moves them


def grant_released(state: State, event: GrantReleased) -> None:
    grant = state.grants[event.grant]
    books = state.books
    cash = grant.cash = books.accounts[event.cash_book]
    assert grant.book.value_book is not None
    pay(grant.account, cash, grant.book.value_book, event.payment, grant)
    grant.unpaid -= event.payment
    if grant.bought_by and not grant.unpaid:
        purchase_settled(state, grant, 0)
    if event.amount:
        books.release(grant.funding, grant.book, event.amount)
        books.transfer(grant.funding, grant.book, event.amount)
        if not grant.chained:
            activate(grant)
    repay(state, grant, event.backfills)
    state.keys.add(event.key, state.locator)


def grant_cancelled(state: State, event: GrantCancelled) -> None:
    grant = state.grants[event.grant]
    state.books.release(grant.funding, grant.book, event.amount)
    grant.cancelled += event.amount
    grant.returned += event.unpaid
    grant.unpaid -= event.unpaid
    if grant.bought_by:
        purchase_settled(state, grant, event.unpaid)
    if event.whole:
        grant.settled = GRANT_CANCELLED
    if event.key:
        state.keys.add(event.key, state.locator)


def grant_voided(state: State, event: GrantVoided) -> None:
    grant = state.grants[event.grant]
    grant.settled = GRANT_VOIDED
    grant.forfeit = event.forfeit
    _leave(
        state,
        grant,
        (event.amount, grant.funding.number),
        (event.refunded, event.cash_book),
        (event.breakage, event.breakage_book),
    )
    if event.key:
        state.keys.add(event.key, state.locator)


def grant_expired(state: State, event: GrantExpired) -> None:
    grant = state.grants[event.grant]
    grant.settled = GRANT_EXPIRED
    units = (event.amount, event.forfeited_book)
    _leave(state, grant, units, (event.value, event.breakage_book))


def _leave(state: State, grant: Grant, units: tuple[int, int], *shares: tuple[int, int]) -> None:
    """Post units that nobody drew to a book, and their shares of the price to others; of a grant
    without a money side the shares are only noted. It pays no more."""
    books = state.books.accounts
    amount, to = units
    if amount:
        state.books.transfer(grant.book, books[to], amount)
        grant.unused += amount
    for money, book in shares:
        grant.returned += money
        if money and book:
            assert grant.book.value_book is not None
            pay(grant.account, grant.book.value_book, books[book], money, grant)
    retire(grant)
