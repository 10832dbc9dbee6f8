"""Money that comes, goes back, or is owed (rules F1 to F4)."""

from __future__ import annotations

import msgspec

from ledger.core.events.base import Fact


class GrantRefunded(Fact, frozen=True, tag=60):
    """Unused units taken back and paid back: debit grant, credit funding (rule F2).

    Money, of the grant's deferred: `refunded` to cash; where no unit is left, what rounding leaves
    of the price is `breakage`. `rest` = 1: all that was left and not held was asked for. `note` is
    the digest of the reason and of who asked, here and below.
    """

    key: bytes
    account: int
    grant: int
    amount: int
    refunded: int
    cash_book: int
    breakage: int = 0
    breakage_book: int = 0
    rest: int = 0
    note: bytes = b""
    trace: bytes = b""


class ChargedBackPart(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a chargeback takes of a grant: debit grant, credit funding; debit its deferred, credit
    cash with `value`. `ends`: it was open until then, and is void."""

    grant: int
    amount: int
    value: int
    ends: bool


class GrantChargedBack(Fact, frozen=True, tag=61):
    """The bank took the whole `payment` of a grant back (rule F3).

    `parts` are what is left of it and of what it was rolled over or restored to; `owed`, the rest
    of the payment, was used or forfeited: debit `receivable_book`, credit `cash_book`.
    """

    key: bytes
    account: int
    grant: int
    payment: int
    cash_book: int
    receivable_book: int
    owed: int
    parts: tuple[ChargedBackPart, ...]
    note: bytes = b""
    trace: bytes = b""


class BillLine(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One transfer of a bill: units from settled to overage or to the commitment of `grant`, or
    money from receivable to unbilled (rules B3, B4)."""

    debit: int
    credit: int
    asset: int
    amount: int
    grant: int = 0


class AccountBilled(Fact, frozen=True, tag=62):
    """What an account owed and was not billed for, or up to `most` of `asset` (rule B4)."""

    key: bytes
    account: int
    lines: tuple[BillLine, ...]
    asset: int = 0  # as asked for; 0 = every asset
    most: int = 0  # as asked for; 0 = all
    note: bytes = b""
    trace: bytes = b""


class PaymentRecorded(Fact, frozen=True, tag=63):
    """A bill was paid, wholly or in part: debit `cash_book`, credit `receivable_book` (rule B4)."""

    key: bytes
    account: int
    asset: int
    amount: int
    cash_book: int
    receivable_book: int
    source: str = ""  # as the caller named it
    note: bytes = b""
    trace: bytes = b""


class CreditNoteIssued(Fact, frozen=True, tag=64):
    """A part of what was billed is waived: debit `book`, credit `receivable_book` (rule F4)."""

    key: bytes
    account: int
    asset: int
    amount: int
    book: int
    receivable_book: int
    note: bytes = b""
    trace: bytes = b""


class ReceivableWrittenOff(Fact, frozen=True, tag=65):
    """A bill will not be paid: debit bad debt (`book`), credit `receivable_book` (rule F4)."""

    key: bytes
    account: int
    asset: int
    amount: int
    book: int
    receivable_book: int
    note: bytes = b""
    trace: bytes = b""
