"""Corrections give back what was taken, last first (rule D3)."""

from __future__ import annotations

from typing import TypeVar

from ledger.core.books import BooksUnbalanced
from ledger.core.events import (
    AdjustmentNoted,
    BalanceAdjusted,
    BookKind,
    GivenBack,
    ProviderCost,
    UsageReversed,
)
from ledger.core.evolve.caps import count_back, count_draw
from ledger.core.evolve.moves import (
    ADVANCE,
    activate,
    debt_of,
    draw_rows,
    pay,
    post_slices,
    share,
)
from ledger.core.evolve.suspense import reversed_of
from ledger.core.limits import CORRECTED_A_FAMILY_MAX
from ledger.core.pricing.shared_totals import KIND_MASK
from ledger.core.state import GRANT_OPEN, Account, Corrected, Family, State

_P = TypeVar("_P", bound=tuple[int, ...])


def usage_reversed(state: State, event: UsageReversed) -> None:
    account = state.accounts[event.account]
    amount = sum([piece.amount for piece in event.given_back])
    at = event.counted_at or event.effective_at
    undraw(state, account, event.used_book, event.period, event.given_back, at, event.original)
    for row, quantity in event.moves:
        move_back(account.totals, (row, event.period), quantity)
    reversed_of(state, account, event)
    for each in event.scoped:
        place = (each.key, each.scope, each.start)
        move_back(account.scoped, place, each.quantity)
        if each.scope > KIND_MASK:
            share(state, account, place, -each.quantity)
    if event.draws:
        draw_rows(state, account, event.draws)
    if event.cost is not None:
        _take_less(state, account, event.cost, event.period)
    _correct(state, state.families[account.root], event, amount + event.kept - event.beyond)
    if event.key:  # the entry of a part that had waited has none
        state.keys.add(event.key, state.locator)


def _take_less(state: State, account: Account, cost: ProviderCost, period: int) -> None:
    """The provider takes less: debit payable, credit cost, and its totals move back (rule B4)."""
    books = state.books.accounts
    if cost.total:
        state.books.transfer(books[cost.payable_book], books[cost.cost_book], cost.total)
    for row, quantity in cost.advances:
        move_back(account.totals, (~row, period), quantity)
    for each in cost.scoped:
        move_back(account.scoped, (~each.key, each.scope, each.start), each.quantity)


def undraw(
    state: State,
    account: Account,
    used_book: int,
    period: int,
    pieces: tuple[GivenBack, ...],
    at: int,
    original: int = -1,
    line_at: int = -1,
) -> None:
    """Give units of usage back, and let debt and overage of its month fall, and what counts towards
    caps in the window of `at`: as the entry `original` had counted, -1 = as the accounts are now;
    `line_at`, where that is another, is for caps that do not know since when they count."""
    books = state.books.accounts
    for piece in pieces:
        drawn = books[piece.drawn]
        used = piece.used_book or used_book
        product = books[used].name
        _give_back(state, account, used, piece, product)
        if drawn.grant is not None and drawn.grant.account.caps_given:
            above_at = line_at if line_at >= 0 else original if original >= 0 else state.locator
            count_back(state, account, drawn.grant, at, piece.amount, original, above_at)
        if drawn.kind == ADVANCE:
            debt_of(state, drawn).take((piece.debt, product), piece.amount)
        elif drawn.kind == BookKind.OVERAGE:
            place = (drawn.asset, piece.period or period)
            move_back(account.overage_posted, place, piece.amount)


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


def move_back(counters: dict[_P, int], place: _P, by: int) -> None:
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
            event.effective_at, event.quantities, amount, event.as_charged, event.refunds
        )
        return
    before.quantities = tuple(
        [sum(each) for each in zip(before.quantities, event.quantities, strict=True)]
    )
    before.refunds = tuple([sum(each) for each in zip(before.refunds, event.refunds, strict=True)])
    before.amount += amount
    before.as_charged += event.as_charged


def balance_adjusted(state: State, event: BalanceAdjusted) -> None:
    account = state.accounts[event.account]
    now = state.now
    post_slices(state, account, event.used_book, event.period, event.slices, now)
    for back in event.given_back:
        _give_back(state, account, event.used_book, back, "")
        drawn = state.books.accounts[back.drawn].grant
        if drawn is not None and drawn.account.caps_given:
            count_draw(account, drawn, now, -back.amount, 0)
    state.keys.add(event.key, state.locator)


def adjustment_noted(state: State, event: AdjustmentNoted) -> None:
    pass
