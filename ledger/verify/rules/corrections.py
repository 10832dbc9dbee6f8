"""Corrections: never more than was taken, back to where it came from (rules D3, T2)."""

from __future__ import annotations

from collections.abc import Sequence

from ledger.core.events import (
    AdjustmentNoted,
    BalanceAdjusted,
    BookKind,
    GivenBack,
    GrantRestored,
    UsageRerated,
    UsageReversed,
)
from ledger.core.limits import CORRECTION_WINDOW_US
from ledger.core.state import GRANT_OPEN, GRANT_VOIDED, Account, Grant, State
from ledger.verify.rules.costs import look_at_cost_taken_less
from ledger.verify.rules.judge import Judge
from ledger.verify.rules.scopes import taken_back
from ledger.verify.rules.scopes import usage_rerated as rerated
from ledger.verify.rules.usage import BOOK_OF_POT, from_books, pays_for


def usage_reversed(judge: Judge, state: State, event: UsageReversed) -> None:
    """What can be said without the event that is corrected: see `reversals` for the rest."""
    judge.replacement = event.replaced_by
    account = state.accounts[event.account]
    if event.effective_at < state.now - CORRECTION_WINDOW_US:
        limit = f"after {state.now - CORRECTION_WINDOW_US}"
        judge.wrong(state, "effective time", limit, event.effective_at)
    _of_what_waits(judge, state, event)
    if not event.original < state.locator:
        judge.wrong(state, "original", "an earlier entry", event.original)
    if min(event.quantities, default=0) < 0 or min(event.refunds, default=0) < 0:
        judge.wrong(state, "quantities and refunds", "0 or more", "less")
    amount = sum([piece.amount for piece in event.given_back])
    most = event.as_charged or sum(event.refunds)
    if amount > most or (event.as_charged and amount + event.kept != most):
        judge.wrong(state, "sum given back", most, amount)
    if event.as_charged and (any(event.quantities) or event.moves):
        judge.wrong(state, "quantities of goodwill", "none", event.quantities)
    look_at_cost_taken_less(judge, state, account, event)
    asset = state.declared[event.plan].asset
    look_at_given_back(judge, state, account, asset, event.given_back)
    taken_back(judge, state, account, event)


def usage_rerated(judge: Judge, state: State, event: UsageRerated) -> None:
    """Drawn as usage is, given back as by a reversal."""
    rerated(judge, state, event)
    account = state.accounts[event.account]
    from_books(judge, state, account, event)
    asset = state.declared[event.plan].asset
    look_at_given_back(judge, state, account, asset, event.given_back)


def look_at_given_back(
    judge: Judge, state: State, account: Account, asset: int, pieces: Sequence[GivenBack]
) -> None:
    """From books of its own line, back to where it came from, with the money of it (D3, B4)."""
    recognised: dict[int, list[int]] = {}
    for piece in pieces:
        for number in {piece.book, piece.drawn}:
            book = state.books.accounts[number]
            if book.asset != asset:
                judge.wrong(state, f"asset of book {number}", asset, book.asset)
        source = state.books.accounts[piece.drawn]
        if not pays_for(state, source, account, earlier=True):
            judge.wrong(state, f"owner of book {piece.drawn}", "its own line", source.owner)
        if source.grant is None:
            judge.equal(state, "book given back to", piece.drawn, piece.book)
            continue
        taken = recognised.setdefault(source.grant.number, [0, 0])
        taken[0] += piece.amount
        taken[1] += piece.value
        _returns_to(judge, state, source.grant, piece.book)
    for number, (units, money) in recognised.items():
        grant = state.grants[number]
        if units > grant.drawn:
            judge.wrong(state, f"given back of grant {number}", grant.drawn, units)
            continue
        keeps = (grant.price_paid - grant.returned) * (grant.drawn - units)
        keeps = keeps // grant.whole if grant.price_paid else 0
        judge.equal(state, f"money of grant {number}", max(0, grant.recognised - keeps), money)


def _of_what_waits(judge: Judge, state: State, event: UsageReversed) -> None:
    """No more is settled than waits, and nothing goes on waiting that is reversed (rule B8)."""
    waiting = state.families[state.accounts[event.account].root].waiting.get(event.original)
    if waiting is None:
        judge.equal(state, "settled suspense", 0, event.suspended)
        return
    if event.as_charged:
        judge.equal(state, "settled suspense", 0, event.suspended)
        return
    left = [a - b for a, b in zip(waiting.quantities, event.quantities, strict=False)]
    if not event.suspended and not any(left[place] for place in waiting.places):
        judge.wrong(state, "settled suspense", 1, event.suspended)


def balance_adjusted(judge: Judge, state: State, event: BalanceAdjusted) -> None:
    """Debited by slices, credited to a grant, or by the grant that was just issued."""
    account = state.accounts[event.account]
    taken = sum([piece.amount for piece in event.slices])
    back = sum([piece.amount for piece in event.given_back])
    issued = 0
    if event.amount > 0 and not event.grant_given:
        grant = state.grants.get(event.grant)
        if grant is not None:
            judge.equal(state, "account of the grant", event.account, grant.account.number)
            judge.equal(state, "price of the grant", 0, grant.price_paid)
            issued = grant.amount
    judge.equal(state, "sum adjusted", event.amount, back + issued - taken)
    for piece in event.slices:
        book = state.books.accounts[piece.book]
        judge.equal(state, f"asset of book {book.number}", event.asset, book.asset)
        judge.equal(state, f"kind of book {book.number}", BOOK_OF_POT[piece.pot], book.kind)
        if not pays_for(state, book, account, earlier=False):
            judge.wrong(state, f"owner of book {book.number}", "its own line", book.owner)
    for returned in event.given_back:
        book = state.books.accounts[returned.book]
        grant_of = book.grant
        judge.equal(state, f"asset of book {book.number}", event.asset, book.asset)
        judge.equal(state, "book given back to", returned.drawn, returned.book)
        if grant_of is None or returned.amount > grant_of.drawn:
            judge.wrong(state, "given back by hand", "what was drawn", returned.amount)
            continue
        keeps = (grant_of.price_paid - grant_of.returned) * (grant_of.drawn - returned.amount)
        keeps = keeps // grant_of.whole if grant_of.price_paid else 0
        money = max(0, grant_of.recognised - keeps)
        judge.equal(state, f"money of grant {grant_of.number}", money, returned.value)


def _returns_to(judge: Judge, state: State, grant: Grant, number: int) -> None:
    """Back to the grant; where it has ended, to one in its stead or to where its rest went."""
    if number == grant.book.number and grant.settled == GRANT_OPEN:
        return
    book = state.books.accounts[number]
    ended = grant.settled != GRANT_OPEN or grant.expires_at <= state.now
    onward = (
        book is grant.funding
        if grant.settled == GRANT_VOIDED
        else book.kind in (BookKind.FORFEITED, BookKind.TRUE_UP)
    )
    if not ended or not (onward or book.grant is not None):
        judge.wrong(state, f"book given back to for grant {grant.number}", "its own", number)


def grant_restored(judge: Judge, state: State, event: GrantRestored) -> None:
    grant = state.grants[event.of]
    judge.equal(state, "number of the grant", state.next_grant, event.grant)
    ordinal = state.families[grant.account.root].next_ordinal
    judge.equal(state, "ordinal of the grant", ordinal, event.ordinal)
    judge.equal(state, "account of the grant", grant.account.number, event.account)
    if grant.settled == GRANT_OPEN and grant.expires_at > state.now:
        judge.wrong(state, f"grant {event.of}", "ended", "open")
    if not 0 < event.amount <= grant.drawn:
        judge.wrong(state, "amount restored", f"1 to {grant.drawn}", event.amount)
    if not 0 <= event.price_paid <= grant.recognised:
        judge.wrong(state, "price restored", f"0 to {grant.recognised}", event.price_paid)


def adjustment_noted(judge: Judge, state: State, event: AdjustmentNoted) -> None:
    if not event.closed < event.period <= state.now:
        judge.wrong(state, "periods", "closed before open", (event.closed, event.period))
    if not 0 <= event.entry < state.batch_length:
        judge.wrong(state, "adjusted entry", f"before {state.batch_length}", event.entry)
