"""Books with their counters."""

from __future__ import annotations

import msgspec

from ledger.core.books import Book
from ledger.core.events import BookKind
from ledger.core.packing.wide import Wide, wide
from ledger.core.state import State


class PackedBook(msgspec.Struct, array_like=True, gc=False):
    """A book and its four counters: debits and credits posted, debits and credits pending."""

    number: int
    kind: BookKind
    asset: int
    owner: int
    counters: tuple[Wide, Wide, Wide, Wide]
    tenant: int = 0  # of a house book; a family's are its own tenant's
    name: str = ""
    value_book: int = 0  # what pays in money for what is drawn from it


def pack_book(book: Book) -> PackedBook:
    return PackedBook(
        book.number,
        BookKind(book.kind),
        book.asset,
        book.owner,
        pack_counters(book),
        value_book=book.value_book.number if book.value_book is not None else 0,
    )


def pack_counters(book: Book) -> tuple[Wide, Wide, Wide, Wide]:
    return (
        wide(book.debits_posted),
        wide(book.credits_posted),
        wide(book.debits_pending),
        wide(book.credits_pending),
    )


def unpack_book(state: State, packed: PackedBook, tenant: int) -> Book:
    books = state.books
    totals = books.totals[packed.asset]
    book = Book(packed.number, tenant, packed.kind, packed.asset, packed.owner, packed.name, totals)
    debits_posted, credits_posted, debits_pending, credits_pending = packed.counters
    book.debits_posted = int(debits_posted)
    book.credits_posted = int(credits_posted)
    book.debits_pending = int(debits_pending)
    book.credits_pending = int(credits_pending)
    assert books.numbered[packed.number] is None, f"book {packed.number} is here already"
    books.numbered[packed.number] = book
    books.accounts[packed.number] = book
    return book
