"""Corrections give back what was taken, last first (rule D3)."""

from __future__ import annotations

from ledger.core.books import BooksUnbalanced
from ledger.core.events import AdjustmentNoted, BalanceAdjusted, BookKind, GivenBack, UsageReversed
from ledger.core.evolve.moves import (
    ADVANCE,
    activate,
    add_overage,
    debt_of,
    exhausted,
    owe,
    pay,
    recognise,
)
from ledger.core.evolve.suspense import reversed_of
from ledger.core.limits import CORRECTED_A_FAMILY_MAX
from ledger.core.state import GRANT_OPEN, Account, Corrected, Family, State


def usage_reversed(state: State, event: UsageReversed) -> None:
    account = state.accounts[event.account]
    books = state.books.accounts
    product = state.declared[event.plan].product
    amount = 0
    for piece in event.given_back:
        drawn = books[piece.drawn]
        amount += piece.amount
        _give_back(state, account, event.used_book, piece, product)
        if drawn.kind == ADVANCE:
            debt_of(state, drawn).take((piece.debt, product), piece.amount)
        elif drawn.kind == BookKind.OVERAGE:
            _move_back(account.overage_posted, (drawn.asset, event.period), piece.amount)
    for row, quantity in event.moves:
        _move_back(account.totals, (row, event.period), quantity)
    reversed_of(state, account, event)
    _correct(state, state.families[account.root], event, amount + event.kept - event.beyond)
    if event.key:  # the entry of a part that had waited has none
        state.keys.add(event.key, state.locator)


def _give_back(
    state: State, account: Account, used_book: int, piece: GivenBack, product: str
) -> None:
    """Post the transfers, and take the draw off the grant that had paid: its units are here again,
    or leave it undrawn with their money."""
    books = state.books.accounts
    used, credited, source = books[used_book], books[piece.book], books[piece.drawn].grant
    grant = credited.grant
    state.books.transfer(used, credited, piece.amount)
    if grant is not None and not grant.chained and grant.settled == GRANT_OPEN:
        activate(grant)
    if piece.value and piece.money_book:
        money_book = books[piece.money_book]
        assert used.revenues is not None
        payer = source.account if source is not None else account
        pay(payer, used.revenues[money_book.asset], money_book, piece.value, source)
    if source is None:
        return
    source.recognised -= piece.value
    if piece.book == piece.drawn:
        source.given_back += piece.amount
    else:
        source.unused += piece.amount
        source.returned += piece.value
    if source.drawn < 0 or source.recognised < 0:
        raise BooksUnbalanced(
            f"entry {state.entry_seq}: more is given back than was drawn from grant {source.number}"
        )
    if piece.debt >= 0:
        part = (piece.debt, product)
        left = source.repaid[part] - piece.amount
        if left:
            source.repaid[part] = left
        else:
            del source.repaid[part]


def _move_back(counters: dict[tuple[int, int], int], place: tuple[int, int], by: int) -> None:
    """Lower a counter of a period; one that is zero is as none."""
    left = counters.get(place, 0) - by
    if left:
        counters[place] = left
    else:
        del counters[place]


def _correct(state: State, family: Family, event: UsageReversed, amount: int) -> None:
    """Remember how much was given back of the event that was corrected."""
    if len(family.corrected) >= CORRECTED_A_FAMILY_MAX:
        family.corrected = family.remembered(state.corrected_before)
    before = family.corrected.get(event.original)
    if before is None:
        family.corrected[event.original] = Corrected(
            event.effective_at, event.quantities, amount, event.as_charged
        )
        return
    before.quantities = tuple(
        [sum(each) for each in zip(before.quantities, event.quantities, strict=True)]
    )
    before.amount += amount
    before.as_charged += event.as_charged


def balance_adjusted(state: State, event: BalanceAdjusted) -> None:
    account = state.accounts[event.account]
    books = state.books.accounts
    for piece in event.slices:
        book = books[piece.book]
        used = books[event.used_book]
        state.books.transfer(book, used, piece.amount)
        if piece.value and book.value_book is not None:
            recognise(book.value_book, used, piece.value)
        if book.grant is not None:
            book.grant.recognised += piece.value
            if book.available <= 0:
                exhausted(state, book.grant)
        elif book.kind == BookKind.OVERAGE:
            add_overage(state, account, book.asset, event.period, piece.amount)
    if event.slices:
        owe(state, books[event.used_book].name, event.slices)
    for back in event.given_back:
        _give_back(state, account, event.used_book, back, "")
    state.keys.add(event.key, state.locator)


def adjustment_noted(state: State, event: AdjustmentNoted) -> None:
    pass
