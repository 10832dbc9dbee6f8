"""What an entry needs before it: books to be opened, and its plan's declaration (rules B2, B7).

What a decision lacks is appended to its events, once however often it asks. Reads state, changes
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from ledger.core.books import Book
from ledger.core.catalog import Bound
from ledger.core.events import OF_A_GRANT, BookKind, BookOpened, Event, Overage, PlanDeclared, Slice
from ledger.core.state import Account, State


def declare(state: State, declared: PlanDeclared, out: list[Event]) -> int:
    """Index in the batch of a plan's declaration, said once a batch."""
    index = state.vocabulary.get(declared)
    if index is None:
        index = state.batch_length + len(out)
        out.append(declared)
    return index


def used_book(state: State, bound: Bound, out: list[Event]) -> int:
    """Number of the book of what the product used, to be opened if there is none."""
    number = state.used_books.get(bound)
    if number is None:
        tenant, kind, asset, product = bound.used_key
        number = house_book(state, tenant, kind, asset, product, out)
        if number in state.books.accounts:
            state.used_books[bound] = number
    return number


def overage_payer(account: Account) -> Account:
    """Who is billed: the account itself, or its parent (rule D1)."""
    if account.policy.overage == Overage.PARENT and account.parent is not None:
        return account.parent
    return account


def money_value(state: State, asset: int, amount: int) -> int:
    """The price in money of overage (rule B4): the amount itself where the asset is money."""
    found = state.catalog.assets.get(asset)
    return amount if found is not None and found.kind == "money" else 0


def advance_book(state: State, account: Account, asset: int, opened: list[Event]) -> int:
    """Number of the account's advance book, to be opened if it has none."""
    return owned_book(state, BookKind.ADVANCE, account.advance, account, asset, opened)


def overage_book(
    state: State,
    account: Account,
    asset: int,
    opened: list[Event],
    payer: Account | None = None,
) -> int:
    """Number of the payer's overage book, to be opened if it has none; None = by the policy."""
    if payer is None:
        payer = overage_payer(account)
    if asset not in payer.overage and money_value(state, asset, 1):
        owned_book(state, BookKind.UNBILLED, payer.unbilled, payer, asset, opened)
    return owned_book(state, BookKind.OVERAGE, payer.overage, payer, asset, opened)


def open_revenue(
    state: State, tenant: int, product: str, slices: Sequence[Slice], opened: list[Event]
) -> None:
    """Open the product's revenue books that the money of these slices goes to (rule B4)."""
    for piece in slices:
        if piece.value:
            book = state.books.accounts.get(piece.book)
            if book is None:  # overage in money, whose books this decision opens
                for event in opened:
                    if isinstance(event, BookOpened) and event.book == piece.book:
                        house_book(state, tenant, BookKind.REVENUE, event.asset, product, opened)
                        break
            elif book.value_book is not None:
                asset = book.value_book.asset
                house_book(state, tenant, BookKind.REVENUE, asset, product, opened)


def owned_book(
    state: State,
    kind: BookKind,
    books: dict[int, Book],
    owner: Account,
    asset: int,
    opened: list[Event],
) -> int:
    """Number of an account's book, which is kept in `books`; to be opened if it has none."""
    book = books.get(asset)
    if book is not None:
        return book.number
    return open_book(state, owner.tenant, kind, asset, owner.number, "", opened)


def house_book(
    state: State, tenant: int, kind: BookKind, asset: int, name: str, opened: list[Event]
) -> int:
    """Number of a tenant's house book on this shard, to be opened if there is none (rule B7)."""
    book = state.house.get((tenant, kind, asset, name))
    if book is not None:
        return book.number
    return open_book(state, tenant, kind, asset, 0, name, opened)


def open_book(
    state: State,
    tenant: int,
    kind: BookKind,
    asset: int,
    owner: int,
    name: str,
    opened: list[Event],
) -> int:
    """Number of a book that this decision opens: the same one if it needs it twice, but for a book
    of a grant, which it needs once."""
    number = state.next_book
    if kind in OF_A_GRANT:
        for event in reversed(opened):
            if isinstance(event, BookOpened):
                number = event.book + 1
                break
        opened.append(BookOpened(number, tenant, kind, asset, owner, name))
        return number
    for event in opened:
        if isinstance(event, BookOpened):
            if (event.kind, event.owner, event.asset, event.name, event.tenant) == (
                kind,
                owner,
                asset,
                name,
                tenant,
            ):
                return event.book
            number += 1
    opened.append(BookOpened(number, tenant, kind, asset, owner, name))
    return number
