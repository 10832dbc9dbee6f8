"""What the entries of several kinds do alike: pay, retire, owe, set a timer."""

from __future__ import annotations

from heapq import heappush
from typing import Final

from ledger.core.books import Book, BooksUnbalanced
from ledger.core.events import Backfill, BookKind, Pot, RowDraw, Slice
from ledger.core.evolve.caps import count_draw
from ledger.core.state import Account, Debt, Grant, State

OVERAGE: Final = int(Pot.OVERAGE)
EXCESS_BILLED: Final = int(Pot.EXCESS_BILLED)
ADVANCE: Final = int(BookKind.ADVANCE)


def recognise(value_book: Book, used: Book, value: int) -> None:
    """Post the money of one slice: debit deferred or unbilled, credit revenue (rule B4)."""
    revenues = used.revenues
    assert revenues is not None, used
    revenue = revenues[value_book.asset]
    value_book.debits_posted += value
    revenue.credits_posted += value
    totals = value_book.totals
    totals.debits_posted += value
    totals.credits_posted += value


def owe(state: State, product: str, slices: tuple[Slice, ...]) -> None:
    for piece in slices:
        book = state.books.accounts[piece.book]
        if book.kind == ADVANCE:
            debt_of(state, book).add(product, piece.amount, state.now)


def post_slices(
    state: State,
    account: Account,
    used_book: int,
    period: int,
    slices: tuple[Slice, ...],
    at: int,
) -> None:
    """Post a draw: its slices leave their books, and what the product used is credited. `at`: when
    it counts towards caps."""
    books = state.books.accounts
    for piece in slices:
        book, used = books[piece.book], books[used_book]
        state.books.transfer(book, used, piece.amount)
        if piece.value and book.value_book is not None:
            recognise(book.value_book, used, piece.value)
        if book.grant is not None:
            book.grant.recognised += piece.value
            if book.grant.account.caps_given:
                count_draw(account, book.grant, at, piece.amount, 0)
            if book.available <= 0:
                exhausted(state, book.grant)
        elif book.kind == BookKind.OVERAGE:
            add_overage(state, account, book.asset, period, piece.amount)
    if slices:
        owe(state, books[used_book].name, slices)


def debt_of(state: State, advance: Book) -> Debt:
    """Whose debt an advance book holds."""
    debts = state.accounts[advance.owner].debt
    debt = debts.get(advance.asset)
    if debt is None:
        debt = debts[advance.asset] = Debt()
    return debt


def add_overage(state: State, account: Account, asset: int, period: int, amount: int) -> None:
    posted = account.overage_posted
    if (asset, period) not in posted:  # the first of its month makes room for it
        account.forget_months(state.months_before)
    posted[(asset, period)] = posted.get((asset, period), 0) + amount


def draw_rows(state: State, account: Account, draws: tuple[RowDraw, ...]) -> None:
    """Note what rows with a running total drew from each book in a scope, or have drawn less."""
    rows = account.row_draws
    for each in draws:
        place = (each.key, each.scope, each.start)
        drawn = rows.get(place)
        if drawn is None:  # the first of its scope makes room for it
            account.forget_scoped(state.days_before, state.months_before)
            rows = account.row_draws
            drawn = rows[place] = {}
        part = (each.used, each.book, each.period)
        left = drawn.get(part, 0) + each.amount
        if each.amount > 0 or left <= 0:
            drawn.pop(part, None)  # what is drawn stands last
        if left > 0:
            drawn[part] = left
        if not drawn:
            del rows[place]


def share(state: State, account: Account, place: tuple[int, int, int], by: int) -> None:
    """Move the part that an account has in a total that several share (rule D8)."""
    family = state.families[account.root]
    if place not in family.shared:  # the first of its scope makes room for it
        family.forget_shared(state.days_before, state.months_before)
    family.share(place, account.number, by)


def paid_for(grant: Grant | None) -> Grant | None:
    """The grant that was paid for, of one that a grant is a part of."""
    return grant.part_of or grant if grant is not None else None


def pay(
    account: Account, debit: Book, credit: Book, money: int, grant: Grant | None = None
) -> None:
    """Post money in from a customer, or back out; cash counts in lifetime value (rule H6), and in
    what was paid for the grant."""
    if debit.totals is not credit.totals or money <= 0:
        raise BooksUnbalanced(f"no transfer: {money} from book {debit.number} to {credit.number}")
    debit.debits_posted += money
    credit.credits_posted += money
    debit.totals.debits_posted += money
    debit.totals.credits_posted += money
    paid = (debit.kind == BookKind.CASH) - (credit.kind == BookKind.CASH)
    if paid:
        account.lifetime[debit.asset] = account.lifetime.get(debit.asset, 0) + paid * money
        if grant is not None:
            (grant.part_of or grant).paid += paid * money


def repay(state: State, grant: Grant, backfills: tuple[Backfill, ...]) -> None:
    """Repay parts of the advance: debit grant, credit advance; recognise their money (B3, B4)."""
    account = grant.account
    for part in backfills:
        advance = state.books.accounts[part.book]
        debt = debt_of(state, advance)
        state.books.transfer(grant.book, advance, part.amount)
        repaid = debt.repay(part.product, part.amount, state.locator)
        for each, units in repaid.items():
            grant.repaid[each] = grant.repaid.get(each, 0) + units
        grant.recognised += part.value
        value_book = grant.book.value_book
        if part.value and value_book is not None:
            revenue = state.revenues[(account.tenant, part.product)][value_book.asset]
            state.books.transfer(value_book, revenue, part.value)
    if backfills and grant.book.credits_posted == grant.book.debits_posted:
        retire(grant)


def activate(grant: Grant) -> None:
    """Let the grant pay; where in the order is for the comparator to say when next asked."""
    if grant.seat is not None:  # its usage asks the seat
        grant.chained = True
        grant.seat.pots.append(grant)
        return
    account = grant.account
    grant.after = account.first
    grant.chained = True
    account.first = grant
    account.sharing += grant.shared
    account.unordered = True


def exhausted(state: State, grant: Grant) -> None:
    """Nothing is available of a grant: retire it unless a hold may give back; never below zero."""
    book = grant.book
    if book.available < 0:
        raise BooksUnbalanced(
            f"entry {state.entry_seq}: grant {grant.number} is drawn {-book.available} beyond its "
            "units"
        )
    if book.debits_posted == book.credits_posted:
        retire(grant)


def retire(grant: Grant) -> None:
    """Take a grant that has nothing left out of the chain, whose order stays."""
    if not grant.chained:
        return
    grant.chained = False
    if grant.seat is not None:
        grant.seat.pots.remove(grant)
        return
    account = grant.account
    account.sharing -= grant.shared
    before = account.first
    if before is grant:
        account.first = grant.after
        return
    while before is not None:
        if before.after is grant:
            before.after = grant.after
            return
        before = before.after


def set_timer(state: State, account: Account, due: int, kind: int, number: int) -> None:
    heappush(state.timers, (state.timer_at(account.tenant, due), kind, number))
    if due < account.next_due:
        account.next_due = due
